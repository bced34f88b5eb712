//! Persistent threads that do everything at once to the same few processes;
//! whenever they rest, everything must add up.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI32, AtomicIsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};

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

/// A host whose files and data are counted.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicIsize>);

impl Counting {
    fn new_one(&self) -> Counted {
        self.0.fetch_add(1, Relaxed);
        Counted(self.0.clone())
    }
}

struct Counted(Arc<AtomicIsize>);

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

type Kernel = lwproc::Kernel<Counting>;
type Entered<'k> = lwproc::Entered<'k, Counting>;
type Lwp = lwproc::Lwp<Counting>;

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
    keys: (ProcKey<Counted>, LwpKey<Counted>),
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
        match self.random.below(32) {
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
            15..=25 => self.service(k, number),
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
    fn service(&mut self, k: &mut Entered<'_>, number: i32) {
        let fd = |random: &mut Random| Fd(random.below(20) as i32);
        let host = self.kernel.host();
        match self.random.below(24) {
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

/// Who shares a descriptor table with whom: one use for each LWP.
fn check_tables(kernel: &Kernel) {
    let guard = kernel.pin();
    let mut left: Vec<_> = kernel.procs(&guard).filter(|p| p.nlwps() > 0).collect();
    while let Some(one) = left.pop() {
        let (sharing, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|p| p.shares_fds_with(&one));
        left = others;
        let lwps: u32 = sharing.iter().chain([&one]).map(|p| p.nlwps()).sum();
        assert_eq!(one.fd_table_users(), lwps as usize, "one use for each LWP");
        assert!(sharing.iter().all(|p| p.fd_count() == one.fd_count()));
    }
}

/// Groups and their members say the same; the ids that they keep.
fn check_groups(kernel: &Kernel) -> HashSet<i32> {
    let guard = kernel.pin();
    let mut members: HashMap<Pid, HashSet<Identity>> = HashMap::new();
    let mut sessions = HashMap::new();
    for proc in kernel.procs(&guard) {
        let (pgid, sid) = (proc.pgid().unwrap(), proc.sid().unwrap());
        members.entry(pgid).or_default().insert(proc.identity());
        assert_eq!(*sessions.entry(pgid).or_insert(sid), sid, "a group is in one session");
    }
    for group in kernel.pgrps(&guard) {
        let seen: HashSet<_> = group.members().map(|p| p.identity()).collect();
        assert_eq!(members.remove(&group.id()), Some(seen), "group {}", group.id());
        assert_eq!(sessions[&group.id()], group.sid());
    }
    assert!(members.is_empty(), "groups that are not found: {members:?}");
    sessions.into_iter().flat_map(|(pgid, sid)| [pgid.0, sid.0]).collect()
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
            ProcState::Active | ProcState::Draining => procs += 1,
            other => panic!("{} is {other:?} at rest", proc.pid()),
        }
        let parent = kernel.find(proc.ppid(), &guard).expect("a live parent");
        assert!(parent.nlwps() > 0, "an orphan has a live parent");
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
        .chain(check_groups(kernel))
        .collect();
    assert_eq!(counts.ids, ids.len(), "no id leaked, none in use twice");
    check_tables(kernel);
    for uid in 0..3 {
        // LWPs that have not entered since a change are still charged to the old user.
        let (charged, scanned) = (kernel.user_counts(uid), kernel.user_counts_by_scan(uid));
        assert_eq!(charged.procs, scanned.procs, "processes of user {uid}");
    }
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
