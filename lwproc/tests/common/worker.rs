//! A thread that does everything at random to the same few processes.

use lwproc::*;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicIsize, Ordering::Relaxed};

/// A small generator: the test must not depend on another crate's stream.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// A host whose files and data are counted.
#[derive(Clone, Default)]
pub struct Counting(pub Arc<AtomicIsize>);

impl Counting {
    pub fn new_one(&self) -> Counted {
        self.0.fetch_add(1, Relaxed);
        Counted(self.0.clone())
    }
}

pub struct Counted(Arc<AtomicIsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Host for Counting {
    type VmSpace = ();
    type File = Counted;
    type Emul = ();
    type Vfs = ();
}

pub type Kernel = lwproc::Kernel<Counting>;
pub type Entered<'k> = lwproc::Entered<'k, Counting>;
pub type Lwp = lwproc::Lwp<Counting>;

/// How many kinds of operations [`Worker::perform`] knows.
pub const KINDS: usize = 32 + 24;

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

pub struct Worker<'k> {
    pub kernel: &'k Kernel,
    pub board: &'k Board,
    pub random: Random,
    pub owned: Vec<Lwp>,
    pub keys: (ProcKey<Counted>, LwpKey<Counted>),
    pub ops: usize,
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
    /// process or the LWP has, as 15 to 25 are, one of which each.
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
            15..=25 => {
                let kind = self.random.below(24);
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
                let _ = k.lwphold();
            }
        }
    }
}

impl Worker<'_> {
    /// Something to what the process or the LWP has.
    fn service(&mut self, k: &mut Entered<'_>, number: i32, kind: usize) {
        let fd = |random: &mut Random| Fd(random.below(20) as i32);
        let host = self.kernel.host();
        match kind {
            0..=2 => drop(k.fd_open(host.new_one(), OnExec::Keep)),
            3 | 4 => drop(k.fd_close(fd(&mut self.random))),
            5 => drop(k.fd_dup2(fd(&mut self.random), fd(&mut self.random))),
            6 => drop(k.fd_set_on_exec(fd(&mut self.random), OnExec::Close)),
            7 => drop(k.fd_get(fd(&mut self.random)).map(|file| file.handle())),
            8 => drop(k.setsid()),
            9 => drop(k.setpgid(Pid(0), Pid(number))),
            10 => drop(k.setpgid(Pid(number), Pid(0))),
            11 => drop(k.setpgid(Pid(number), k.pgid())),
            12 => drop(k.kill(KillTarget::Proc(Pid(number)), 1 + self.random.below(64) as i32)),
            13 => drop(k.kill(KillTarget::OwnPgrp, 15)),
            14 | 15 => {
                k.take_signal();
            }
            16 => drop(k.set_blocked(SigSet::from_bits(self.random.below(usize::MAX) as u64))),
            17 => {
                let uid = self.random.below(3) as u32;
                let _ = k.set_cred(&CredChange::SetResuid(Some(uid), None, None));
            }
            18 => {
                let limit = Limit { soft: 16 + self.random.below(8) as u64, hard: 24 };
                let _ = k.set_rlimit(Resource::Nofile, limit);
            }
            19 => drop(k.set_proc_specific(self.keys.0, host.new_one())),
            20 => drop(k.set_lwp_specific(self.keys.1, host.new_one())),
            21 => {
                if k.pid() > Pid::INIT && k.exit_group(ExitStatus::exited(1)).is_ok() {
                    assert!(k.curlwp().is_none());
                }
            }
            22 => {
                if k.pid() > Pid::INIT {
                    k.drain();
                    if k.execnotify("execed").is_err() {
                        k.reopen();
                    }
                }
            }
            _ => {
                let guard = self.kernel.pin();
                let mut seen = HashSet::new();
                if let Some(group) = self.kernel.pgrp(Pid(number), &guard) {
                    assert!(group.members().all(|p| seen.insert(p.identity())), "seen twice");
                    let _ = (group.sid(), group.is_orphaned());
                }
            }
        }
    }
}
