//! A thread that does everything at random to the same few processes.

use super::becoming::Become;
use super::host::Emul;
pub use super::host::{Counted, Counting};
pub use super::random::Random;
use super::services::SERVICES;
use lwproc::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

pub type Kernel = lwproc::Kernel<Counting>;
pub type Entered<'k> = lwproc::Entered<'k, Counting>;
pub type Lwp = lwproc::Lwp<Counting>;

/// How many kinds of operations [`Worker::perform`] knows. All are lock-free or better;
/// those that may block are [`Worker::block`]'s.
pub const KINDS: usize = 32 + SERVICES;

/// Numbers that the threads show each other: pids and lids, many of them stale.
pub struct Board(pub [AtomicI32; 64]);

impl Board {
    pub fn show(&self, at: usize, number: i32) {
        self.0[at % 64].store(number, Relaxed);
    }
    pub fn look(&self, random: &mut Random) -> i32 {
        self.0[random.below(64)].load(Relaxed)
    }
}

/// What the threads of a kernel have in common.
#[derive(Clone, Copy, Debug)]
pub struct Gear {
    pub proc: ProcKey<Counted>,
    pub lwp: LwpKey<Counted>,
    /// Of each process that was forked with an address space.
    pub space: ProcKey<Counted>,
    /// By their numbers.
    pub emuls: [EmulId; 3],
}

impl Gear {
    /// For a kernel that is new.
    pub fn new(kernel: &Kernel) -> Self {
        kernel.host().watch_ends(kernel);
        let emuls = [0, 1, 2].map(|n| match n {
            0 => kernel.native_emul(),
            n => kernel.add_emul(Emul(n)),
        });
        let (proc, lwp, space) = (kernel.proc_key(), kernel.lwp_key(), kernel.proc_key());
        Self { proc, lwp, space, emuls }
    }
}

pub struct Worker<'k> {
    pub kernel: &'k Kernel,
    pub board: &'k Board,
    pub random: Random,
    pub owned: Vec<Lwp>,
    pub gear: Gear,
    /// Exit hooks of its own, to be taken away again.
    pub hooks: Vec<HookId>,
    pub ops: usize,
}

impl<'k> Worker<'k> {
    pub fn new(kernel: &'k Kernel, board: &'k Board, random: Random, gear: Gear) -> Self {
        Self { kernel, board, random, owned: Vec::new(), gear, hooks: Vec::new(), ops: 0 }
    }
}

impl Worker<'_> {
    pub fn keep(&mut self, lwp: Option<Lwp>) {
        self.owned.extend(lwp);
        while self.owned.len() > 8 {
            let i = self.random.below(self.owned.len());
            drop(self.owned.swap_remove(i));
        }
    }

    pub fn take(&mut self) -> Option<Lwp> {
        let i = self.random.below(self.owned.len().max(1));
        (i < self.owned.len()).then(|| self.owned.swap_remove(i))
    }

    /// Something, and what it is: one of [`KINDS`].
    pub fn step(&mut self, k: &mut Entered<'_>) {
        let kind = self.random.below(32);
        self.perform(k, kind);
    }

    /// The operation of a number below [`KINDS`]. From 32 on those to what the
    /// process or the LWP has (`services.rs`), as 15 to 25 are, one of which each.
    pub fn perform(&mut self, k: &mut Entered<'_>, kind: usize) {
        self.ops += 1;
        let number = self.board.look(&mut self.random);
        let at = self.random.below(64);
        match kind {
            0..=2 => {
                if let Ok(old) = k.rfork(Rfork::Share) {
                    assert_eq!(k.lid().unwrap().0, k.pid().0);
                    self.board.show(at, k.pid().0);
                    self.keep(old);
                }
            }
            3..=5 => {
                if let Ok(old) = k.become_new_lwp(Pid(number)) {
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
                let claimed = guard.lwp(Lid(number)).map(|l| l.claim());
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
                    // What was dropped is as killed.
                    let status = reaped.status;
                    assert!(status.exit_code().is_some() || status.signal() == Some(9));
                }
            }
            12 => {
                let guard = self.kernel.pin();
                if let Some(proc) = guard.proc(Pid(number)) {
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
                for proc in guard.procs() {
                    assert!(seen.insert(proc.identity()), "a process seen twice");
                }
                assert!(guard.proc(Pid::INIT).is_some());
            }
            14 => k.process().set_comm(["a", "b", "c"][self.random.below(3)]),
            15..=25 => {
                let kind = self.random.below(SERVICES);
                self.service(k, number, kind);
            }
            32.. => self.service(k, number, kind - 32),
            26 | 27 => {
                let files = [Rfork::Share, Rfork::Copy, Rfork::Fresh][self.random.below(3)];
                if let Ok(old) = k.rfork(files) {
                    self.board.show(at, k.pid().0);
                    self.keep(old);
                }
            }
            _ => {
                let old = k.unbind().ok().flatten();
                self.keep(old);
                let _ = k.hold();
            }
        }
    }
}
