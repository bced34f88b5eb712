//! Persistent threads that do everything at once to the same few processes;
//! whenever they rest, everything must add up.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

const THREADS: usize = 4;

/// A small generator: the test must not depend on another crate's stream.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// Numbers that the threads show each other: pids and lids, many of them stale.
struct Board([AtomicI32; 64]);

impl Board {
    fn show(&self, at: usize, number: i32) {
        self.0[at % 64].store(number, Relaxed);
    }
    fn look(&self, random: &mut Random) -> i32 {
        self.0[random.below(64)].load(Relaxed)
    }
}

struct Worker<'k> {
    kernel: &'k Kernel,
    board: &'k Board,
    random: Random,
    owned: Vec<Lwp>,
    ops: usize,
}

impl Worker<'_> {
    fn keep(&mut self, lwp: Option<Lwp>) {
        self.owned.extend(lwp);
        while self.owned.len() > 8 {
            let i = self.random.below(self.owned.len());
            drop(self.owned.swap_remove(i));
        }
    }

    fn take(&mut self) -> Option<Lwp> {
        let i = self.random.below(self.owned.len().max(1));
        (i < self.owned.len()).then(|| self.owned.swap_remove(i))
    }

    fn step(&mut self, k: &mut Entered<'_>) {
        self.ops += 1;
        let number = self.board.look(&mut self.random);
        let at = self.random.below(64);
        match self.random.below(16) {
            0..=2 => {
                if let Ok(old) = k.rfork(Rfork::Share) {
                    assert_eq!(k.lid().unwrap().0, k.pid().0);
                    self.board.show(at, k.pid().0);
                    self.keep(old);
                }
            }
            3..=5 => {
                if let Ok(old) = k.newlwp(Pid(number)) {
                    assert_eq!(k.pid().0, number);
                    self.board.show(at, k.lid().unwrap().0);
                    self.keep(old);
                }
            }
            6 => {
                if let Some(lwp) = self.take() {
                    let (pid, lid) = (lwp.pid(), lwp.lid());
                    let old = k.switch(lwp).unwrap();
                    assert_eq!((k.pid(), k.lid()), (pid, Some(lid)));
                    self.keep(old);
                }
            }
            7 => drop(self.take()),
            8 => {
                if let Some(lwp) = self.take() {
                    self.board.show(at, lwp.lid().0);
                    drop(lwp.unclaim());
                }
            }
            9 => {
                let guard = self.kernel.pin();
                let claimed = self.kernel.find_lwp(Lid(number), &guard).map(|l| l.claim());
                if let Some(Ok(lwp)) = claimed {
                    assert_eq!(lwp.lid().0, number);
                    self.keep(Some(lwp));
                }
            }
            10 => {
                let code = self.random.below(256) as u8;
                if k.exit(ExitStatus::exited(code)).is_ok() {
                    assert!(k.curlwp().is_none());
                }
            }
            11 => {
                if let Ok(Some(reaped)) = k.try_wait(WaitTarget::Any) {
                    assert!(reaped.status.exit_code().is_some());
                }
            }
            12 => {
                let guard = self.kernel.pin();
                if let Some(proc) = self.kernel.find(Pid(number), &guard) {
                    assert_eq!(proc.pid().0, number);
                    let mut seen = HashSet::new();
                    assert!(proc.lwps().all(|l| seen.insert(l.lid())), "an LWP seen twice");
                    let mut seen = HashSet::new();
                    assert!(proc.children().all(|c| seen.insert(c.identity())));
                    let _ = (proc.ppid(), proc.comm(), proc.state());
                }
            }
            13 => {
                let guard = self.kernel.pin();
                let mut seen = HashSet::new();
                for proc in self.kernel.procs(&guard) {
                    assert!(seen.insert(proc.identity()), "a process seen twice");
                }
                assert!(self.kernel.find(Pid::INIT, &guard).is_some());
            }
            14 => k.set_comm(["a", "b", "c"][self.random.below(3)]),
            _ => {
                let old = k.unbind().ok().flatten();
                self.keep(old);
                let _ = k.lwphold();
            }
        }
    }
}

/// The invariants, with every thread at rest.
fn check(kernel: &Kernel) {
    let guard = kernel.pin();
    let (mut lwps, mut zombies, mut procs) = (0, 0, 0);
    let mut children = HashSet::new();
    for proc in kernel.procs(&guard) {
        let own: Vec<Lid> = proc.lwps().map(|l| l.lid()).collect();
        assert_eq!(own.len(), proc.nlwps() as usize, "nlwps is the size of p_lwps");
        assert!(own.iter().filter(|l| l.0 == proc.pid().0).count() <= 1);
        for lid in &own {
            assert_eq!(kernel.find_lwp(*lid, &guard).unwrap().pid(), proc.pid());
        }
        lwps += own.len();
        match proc.state() {
            ProcState::Zombie => zombies += 1,
            ProcState::Active => procs += 1,
            other => panic!("{} is {other:?} at rest", proc.pid()),
        }
        let parent = kernel.find(proc.ppid(), &guard).expect("a live parent");
        assert_eq!(parent.state(), ProcState::Active, "an orphan has a live parent");
        for child in proc.children() {
            assert_eq!(child.ppid(), proc.pid());
            assert!(children.insert(child.identity()), "a child of two parents");
        }
    }
    assert_eq!(children.len(), procs + zombies - 1, "all but proc0 are somebody's child");
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.zombies, counts.lwps), (procs, zombies, lwps));
    let guard2 = kernel.pin();
    let ids: HashSet<i32> = kernel
        .procs(&guard2)
        .map(|p| p.pid().0)
        .chain(kernel.lwps(&guard2).map(|l| l.lid().0))
        .collect();
    assert_eq!(counts.ids, ids.len(), "no id leaked, none in use twice");
}

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
    let kernel = Kernel::builder().wait_policy(policy).id_capacity(capacity).build().unwrap();
    let board = Board(std::array::from_fn(|_| AtomicI32::new(1)));
    let rest = Barrier::new(THREADS + 1);
    std::thread::scope(|s| {
        for me in 0..THREADS {
            let (kernel, board, rest) = (&kernel, &board, &rest);
            s.spawn(move || {
                let _abort = AbortOnPanic;
                let random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(me as u64 + 1));
                let mut worker = Worker { kernel, board, random, owned: Vec::new(), ops: 0 };
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
