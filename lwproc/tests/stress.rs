//! Persistent threads that do everything at once to the same few processes;
//! whenever they rest, everything must add up.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

mod common;

use common::invariants::check;
use common::worker::{Board, Counting, Random, Worker};
use lwproc::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

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

fn stress(policy: WaitPolicy, capacity: usize, rounds: usize, steps: usize) {
    let host = Counting::default();
    let builder = lwproc::Kernel::builder().wait_policy(policy).id_capacity(capacity);
    let builder = builder.signal_model(SigModel::Record).host(host.clone());
    let kernel = builder.build().unwrap();
    let keys = (kernel.proc_key(), kernel.lwp_key());
    let board = Board(std::array::from_fn(|_| AtomicI32::new(1)));
    let rest = Barrier::new(THREADS + 1);
    std::thread::scope(|s| {
        for me in 0..THREADS {
            let (kernel, board, rest) = (&kernel, &board, &rest);
            s.spawn(move || {
                let _abort = AbortOnPanic;
                let random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(me as u64 + 1));
                let mut worker = Worker { kernel, board, random, owned: Vec::new(), keys, ops: 0 };
                for _ in 0..rounds {
                    for _ in 0..steps {
                        let mut k = kernel.enter().unwrap();
                        for _ in 0..1 + worker.random.below(6) {
                            worker.step(&mut k);
                        }
                    }
                    rest.wait();
                    rest.wait();
                }
                drop(worker);
                // What is bound to the thread goes with it.
            });
        }
        let _abort = AbortOnPanic;
        for _ in 0..rounds {
            rest.wait();
            check(&kernel);
            rest.wait();
        }
    });
    // A scope does not wait for the threads' storage; the teardown takes what
    // they have not yet released.
    let report = kernel.shutdown();
    assert_eq!(report.survivors, []);
    assert_eq!(host.0.load(Relaxed), 0, "files closed, data destroyed");
}

#[test]
fn autoreap() {
    stress(WaitPolicy::AutoReap, 400, 60, 400);
}

#[test]
fn waiting() {
    stress(WaitPolicy::Wait, 400, 60, 400);
}

/// Ids run out all the time, and shards are robbed.
#[test]
fn few_ids() {
    stress(WaitPolicy::Wait, 24, 200, 400);
}
