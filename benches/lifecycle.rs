//! The life of a process and an LWP: `cargo bench -p lwproc-benches`.
//!
//! Each operation on 1 and 2 threads, and beside the look-up and the fork the
//! same job on one locked map. Only ratios within one run mean anything.
#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lwproc::{Entered, Kernel, Lwp, Pid, Rfork};
use lwproc_benches::{LockedTable, on_threads};
use std::hint::black_box;

/// A thread's own process, entered.
fn entered(kernel: &Kernel) -> Entered<'_> {
    let mut k = kernel.enter().expect("a new thread");
    k.rfork(Rfork::Fresh).expect("ids");
    k
}

/// Benchmarks one operation of an entered thread.
fn bench_entered(c: &mut Criterion, name: &str, op: impl Fn(&Kernel, &mut Entered<'_>) + Sync) {
    let mut group = c.benchmark_group(name);
    for threads in [1, 2] {
        let kernel = Kernel::new();
        group.bench_function(BenchmarkId::new("lwproc", threads), |b| {
            b.iter_custom(|iters| {
                on_threads(threads, iters, || entered(&kernel), |k| op(&kernel, k))
            });
        });
    }
    group.finish();
}

fn entry(c: &mut Criterion) {
    bench_entered(c, "curlwp", |_, k| {
        black_box(k.curlwp().map(|l| l.lid()));
    });
    let mut group = c.benchmark_group("enter_leave");
    for threads in [1, 2] {
        let kernel = Kernel::new();
        group.bench_function(BenchmarkId::new("bound", threads), |b| {
            b.iter_custom(|n| {
                let bind = || drop(entered(&kernel));
                on_threads(threads, n, bind, |()| drop(black_box(kernel.enter())))
            });
        });
        group.bench_function(BenchmarkId::new("implicit", threads), |b| {
            b.iter_custom(|n| on_threads(threads, n, || (), |()| drop(black_box(kernel.enter()))));
        });
    }
    group.finish();
}

fn lifecycle(c: &mut Criterion) {
    bench_entered(c, "newlwp_release", |kernel, k| {
        drop(black_box(kernel.alloclwp(Some(k.pid())).expect("ids")));
    });
    bench_entered(c, "rfork_release", |_, k| {
        let parent = k.rfork(Rfork::Share).expect("ids").expect("the parent");
        k.releaselwp().expect("pertinent");
        k.switch(parent).expect("same kernel");
    });
    let mut group = c.benchmark_group("switch");
    for threads in [1, 2] {
        let kernel = Kernel::new();
        group.bench_function(BenchmarkId::new("lwproc", threads), |b| {
            b.iter_custom(|n| {
                let two = || (entered(&kernel), Some(kernel.alloclwp(None).expect("ids")));
                on_threads(threads, n, two, |(k, other): &mut (Entered<'_>, Option<Lwp>)| {
                    let new = other.take().expect("the other one");
                    *other = k.switch(new).expect("same kernel");
                })
            });
        });
    }
    group.finish();
    let mut group = c.benchmark_group("rfork_release");
    for threads in [1, 2] {
        let table = LockedTable::default();
        group.bench_function(BenchmarkId::new("locked_btree", threads), |b| {
            b.iter_custom(|n| on_threads(threads, n, || (), |()| table.exit(table.fork(1))));
        });
    }
    group.finish();
}

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("find");
    for live in [1000, 100_000] {
        let (kernel, table) = (Kernel::new(), LockedTable::default());
        let lwps: Vec<Lwp> = (0..live).map(|_| kernel.alloclwp(None).expect("ids")).collect();
        let locked: Vec<i32> = (0..live).map(|_| table.fork(0)).collect();
        let pids: Vec<Pid> = lwps.iter().map(Lwp::pid).collect();
        for threads in [1, 2] {
            let step = |i: &mut usize| {
                *i = (*i + 7919) % live;
                *i
            };
            let id = format!("{live}/{threads}");
            group.bench_function(BenchmarkId::new("lwproc", &id), |b| {
                b.iter_custom(|n| {
                    on_threads(
                        threads,
                        n,
                        || 0,
                        |i| {
                            let guard = kernel.pin();
                            black_box(kernel.find(pids[step(i)], &guard).map(|p| p.nlwps()));
                        },
                    )
                });
            });
            group.bench_function(BenchmarkId::new("locked_btree", &id), |b| {
                b.iter_custom(|n| {
                    on_threads(
                        threads,
                        n,
                        || 0,
                        |i| {
                            black_box(table.find(locked[step(i)]).map(|p| p.ppid));
                        },
                    )
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, entry, lifecycle, find);
criterion_main!(benches);
