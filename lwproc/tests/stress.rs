//! Persistent threads that do everything at once to the same few processes;
//! whenever they rest, everything must add up.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

mod common;

use common::invariants::{check, check_host};
use common::worker::{Board, Counting, Gear, Kernel, Lwp, Random, Worker};
use lwproc::{SigModel, SpawnError, WaitPolicy};
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::sync::atomic::AtomicI32;

const THREADS: usize = 4;

/// A thread that fails must not leave the others waiting for it.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// How a kernel is made, and for how long it is used.
#[derive(Clone, Copy)]
struct Setting {
    policy: WaitPolicy,
    capacity: usize,
    max_procs: Option<usize>,
    cpus: Option<NonZeroUsize>,
    rounds: usize,
}

/// How often a thread enters in a round.
const STEPS: usize = 400;

fn stress(setting: Setting) {
    let host = Counting::default();
    let Setting { policy, capacity, max_procs, cpus, rounds } = setting;
    let mut builder = lwproc::Kernel::builder().wait_policy(policy).id_capacity(capacity);
    if let Some(max) = max_procs {
        builder = builder.max_procs(max as u64);
    }
    if let Some(count) = cpus {
        builder = builder.virtual_cpus(count);
    }
    let builder = builder.signal_model(SigModel::Record).host(host.clone());
    let kernel = builder.build().unwrap();
    let gear = Gear::new(&kernel);
    let board = Board(std::array::from_fn(|_| AtomicI32::new(1)));
    let rest = Barrier::new(THREADS + 1);
    std::thread::scope(|s| {
        let thread = |me| {
            let (kernel, board, rest) = (&kernel, &board, &rest);
            s.spawn(move || {
                let _abort = AbortOnPanic;
                let random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(me as u64 + 1));
                let mut worker = Worker::new(kernel, board, random, gear);
                for _ in 0..rounds {
                    for _ in 0..STEPS {
                        let mut k = kernel.enter().unwrap();
                        for _ in 0..1 + worker.random.below(6) {
                            match worker.random.below(12) {
                                0 => worker.block(&mut k),
                                _ => worker.step(&mut k),
                            }
                        }
                    }
                    rest.wait();
                    rest.wait();
                }
                drop(worker);
                // What is bound to the thread goes with it.
            })
        };
        let threads: Vec<_> = (0..THREADS).map(thread).collect();
        let _abort = AbortOnPanic;
        for _ in 0..rounds {
            rest.wait();
            check(&kernel);
            check_host(&kernel, &gear);
            // Else the table fills with LWPs that nobody owns, and nothing is made or
            // ended any more.
            let guard = kernel.pin();
            guard.lwps().for_each(|lwp| drop(lwp.claim()));
            drop(guard);
            check_host(&kernel, &gear);
            if let Some(max) = max_procs {
                check_full(&kernel, max);
            }
            rest.wait();
        }
        // The scope alone does not wait for the threads' storage, and what is bound there.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    check(&kernel);
    check_host(&kernel, &gear);
    let report = kernel.shutdown();
    assert_eq!(report.survivors, []);
    host.expect_nothing_left();
}

/// No place for a process was lost, and none was given twice: as many can be made as
/// there is room for.
fn check_full(kernel: &Kernel, max: usize) {
    let counts = kernel.counts();
    let here = counts.procs + counts.zombies;
    assert!(here <= max, "{here} processes");
    let made: Vec<Lwp> = (here..max).map(|_| kernel.spawn().start().unwrap()).collect();
    assert_eq!(kernel.spawn().start().err(), Some(SpawnError::KernelFull));
    drop(made);
}

const AUTOREAP: Setting = Setting {
    policy: WaitPolicy::AutoReap,
    capacity: 400,
    max_procs: None,
    cpus: None,
    rounds: 60,
};
const WAITING: Setting = Setting { policy: WaitPolicy::Wait, ..AUTOREAP };

#[test]
fn autoreap() {
    stress(AUTOREAP);
}

#[test]
fn waiting() {
    stress(WAITING);
}

/// Ids run out all the time, and shards are robbed.
#[test]
fn few_ids() {
    stress(Setting { capacity: 24, rounds: 200, ..WAITING });
}

#[test]
fn few_processes() {
    stress(Setting { max_procs: Some(20), ..WAITING });
}

/// More threads than virtual CPUs.
#[test]
fn few_cpus() {
    stress(Setting { cpus: NonZeroUsize::new(2), ..AUTOREAP });
}
