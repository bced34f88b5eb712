//! A million live processes, and a million LWPs in one process released in
//! any order. Prints the cost per operation at 1,000 and at 1,000,000, and the
//! ratio: `cargo run --release -p lwproc --example scale [MILLIONS-AS-NUMBER]`.

#[path = "../tests/common/random.rs"]
mod random;

use lwproc::{Kernel, Lwp, Pid, Rfork};
use random::Random;
use std::time::Instant;

/// Runs `batch` until at least `total` operations have been timed; nanoseconds
/// for each.
fn per_op(total: usize, batch: usize, mut run: impl FnMut() -> std::time::Duration) -> f64 {
    let (mut done, mut time) = (0, std::time::Duration::ZERO);
    while done < total {
        time += run();
        done += batch;
    }
    time.as_nanos() as f64 / done as f64
}

#[derive(Clone, Copy)]
enum Order {
    Newest,
    Oldest,
    Random,
}

fn arrange(lwps: &mut [Lwp], order: Order) {
    match order {
        Order::Newest => lwps.reverse(),
        Order::Oldest => {}
        Order::Random => Random(42).shuffle(lwps),
    }
}

/// Forks `n` children of one process.
fn fork_many(kernel: &Kernel, n: usize) -> Vec<Lwp> {
    let mut k = kernel.enter().expect("not entered");
    k.rfork(Rfork::Fresh).expect("ids");
    let mut parent = k.unbind().expect("not exiting").expect("forked");
    let mut children = Vec::with_capacity(n + 1);
    for _ in 0..n {
        k.switch(parent).expect("same kernel");
        parent = k.rfork(Rfork::Fresh).expect("ids").expect("the parent");
        children.extend(k.unbind().expect("not exiting"));
    }
    children.push(parent);
    children
}

fn newlwps(kernel: &Kernel, n: usize) -> Vec<Lwp> {
    let first = kernel.spawn().start().expect("ids");
    let pid = first.pid();
    let mut lwps = vec![first];
    lwps.extend((1..n).map(|_| kernel.new_lwp(pid).expect("ids")));
    lwps
}

/// Create and release, with `live` others there.
fn churn(kernel: &Kernel, ops: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..ops {
        drop(kernel.spawn().start().expect("ids"));
    }
    start.elapsed().as_nanos() as f64 / ops as f64
}

fn row(name: &str, small: f64, large: f64) {
    println!("{name:<44} {small:>9.0} {large:>9.0} {:>7.2}", large / small);
}

fn main() {
    let large: usize = std::env::args().nth(1).map_or(1_000_000, |n| n.parse().expect("a number"));
    let small = 1000;
    println!("{:<44} {:>9} {:>9} {:>7}", "ns per operation, with live:", small, large, "ratio");

    let time = |n: usize, order: Order, make: fn(&Kernel, usize) -> Vec<Lwp>| {
        let mut create = 0.0;
        let release = per_op(large.min(1_000_000), n, || {
            let kernel = Kernel::new();
            let start = Instant::now();
            let mut lwps = make(&kernel, n);
            create += start.elapsed().as_nanos() as f64;
            arrange(&mut lwps, order);
            let start = Instant::now();
            drop(lwps);
            let took = start.elapsed();
            let counts = kernel.counts();
            assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2), "{counts:?}");
            took
        });
        (create / large.max(n) as f64, release)
    };
    for (name, order) in [
        ("newest first", Order::Newest),
        ("oldest first", Order::Oldest),
        ("random", Order::Random),
    ] {
        let (s, l) = (time(small, order, fork_many), time(large, order, fork_many));
        row(&format!("rfork children of one process ({name})"), s.0, l.0);
        row(&format!("  release them, {name}"), s.1, l.1);
        let (s, l) = (time(small, order, newlwps), time(large, order, newlwps));
        row(&format!("newlwp in one process ({name})"), s.0, l.0);
        row(&format!("  release them, {name}"), s.1, l.1);
    }

    let (few, many) = (Kernel::new(), Kernel::new());
    let (few_lwps, many_lwps) = (fork_many(&few, small), fork_many(&many, large));
    row("create and release among live processes", churn(&few, 200_000), churn(&many, 200_000));
    let find = |kernel: &Kernel, n: usize| {
        let guard = kernel.pin();
        let (mut random, mut found) = (Random(7), 0usize);
        let start = Instant::now();
        for _ in 0..1_000_000 {
            let pid = Pid(2 + random.below(n) as i32);
            found += usize::from(guard.proc(pid).is_some());
        }
        assert_eq!(found, 1_000_000);
        start.elapsed().as_nanos() as f64 / 1e6
    };
    row("find a random pid (cold caches when many)", find(&few, small), find(&many, large));
    drop((few_lwps, many_lwps));
    for kernel in [few, many] {
        let counts = kernel.counts();
        assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2), "{counts:?}");
    }
}
