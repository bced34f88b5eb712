//! Process groups: random sequences against a plain model, and threads that do
//! everything at once; at rest everything must add up.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;
#[path = "common/random.rs"]
mod random;

use becoming::Become;
use lwproc::*;
use proptest::prelude::*;
use random::Random;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

// ---- one thread, against a model ----

#[derive(Clone, Debug)]
enum Op {
    Fork(u8),
    Setpgid { caller: u8, pid: u8, pgid: u8 },
    Setsid(u8),
    Exit(u8),
    Wait { caller: u8, target: u8, pgid: u8 },
}

#[derive(Clone, Debug)]
struct P {
    ppid: Pid,
    pgid: Pid,
    sid: Pid,
    zombie: bool,
    /// When it was made, or ended.
    since: usize,
}

/// What POSIX says, with maps.
#[derive(Default)]
struct Model(BTreeMap<Pid, P>);

impl Model {
    fn group_sid(&self, pgid: Pid) -> Option<Pid> {
        self.0.values().find(|p| p.pgid == pgid).map(|p| p.sid)
    }

    fn setpgid(&mut self, caller: Pid, pid: Pid, pgid: Pid) -> Result<(), GroupError> {
        use GroupError::*;
        if pgid.0 < 0 {
            return Err(BadNumber);
        }
        let pid = if pid.0 == 0 { caller } else { pid };
        let pgid = if pgid.0 == 0 { pid } else { pgid };
        let target = self.0.get(&pid).filter(|p| !p.zombie).ok_or(NoSuchProcess)?.clone();
        if pid != caller {
            if target.ppid != caller {
                return Err(NoSuchProcess);
            }
            if target.sid != self.0[&caller].sid {
                return Err(OtherSession);
            }
        }
        if target.sid == pid {
            return Err(SessionLeader);
        }
        match self.group_sid(pgid) {
            Some(sid) if sid != target.sid => return Err(OtherSession),
            None if pgid != pid => return Err(NoSuchGroup),
            _ => {}
        }
        self.0.get_mut(&pid).unwrap().pgid = pgid;
        Ok(())
    }

    fn setsid(&mut self, caller: Pid) -> Result<Pid, GroupError> {
        if self.group_sid(caller).is_some() {
            return Err(GroupError::GroupExists);
        }
        let p = self.0.get_mut(&caller).unwrap();
        (p.pgid, p.sid) = (caller, caller);
        Ok(caller)
    }

    fn exit(&mut self, pid: Pid, now: usize) {
        let children: Vec<Pid> =
            self.0.iter().filter(|(_, p)| p.ppid == pid).map(|(c, _)| *c).collect();
        for child in children {
            let child_is = self.0.get_mut(&child).unwrap();
            child_is.ppid = Pid::INIT;
            if child_is.zombie {
                self.0.remove(&child);
            }
        }
        if self.0[&pid].ppid <= Pid::INIT {
            self.0.remove(&pid);
        } else {
            let ended = self.0.get_mut(&pid).unwrap();
            (ended.zombie, ended.since) = (true, now);
        }
    }

    fn wait(&mut self, caller: Pid, target: WaitTarget) -> Result<Option<Pid>, WaitError> {
        let own = self.0[&caller].pgid;
        let matches = |pid: Pid, p: &P| {
            p.ppid == caller
                && match target {
                    WaitTarget::Pid(wanted) => wanted == pid,
                    WaitTarget::Pgrp(pgid) => p.pgid == pgid,
                    WaitTarget::OwnPgrp => p.pgid == own,
                    _ => true,
                }
        };
        let all: Vec<_> = self.0.iter().filter(|(pid, p)| matches(**pid, p)).collect();
        if all.is_empty() {
            return Err(WaitError::NoChild);
        }
        let zombie = all.iter().filter(|(_, p)| p.zombie).max_by_key(|(_, p)| p.since);
        let pid = zombie.map(|(pid, _)| **pid);
        pid.map(|pid| self.0.remove(&pid));
        Ok(pid)
    }

    /// Every id that is in use.
    fn ids(&self) -> BTreeSet<Pid> {
        self.0.iter().flat_map(|(pid, p)| [*pid, p.pgid, p.sid]).collect()
    }
}

fn run(ops: &[Op]) {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).id_capacity(40).build().unwrap();
    let zero = P { ppid: Pid(0), pgid: Pid(0), sid: Pid(0), zombie: false, since: 0 };
    let mut model = Model::default();
    model.0.insert(Pid(0), zero.clone());
    model.0.insert(Pid::INIT, zero.clone());
    let mut lwps: Vec<Lwp> = Vec::new();
    let mut known = vec![Pid(-1), Pid(0), Pid(1), Pid(99)];
    for (step, op) in ops.iter().enumerate() {
        if lwps.is_empty() {
            let lwp = kernel.spawn().start().unwrap();
            known.push(lwp.pid());
            model.0.insert(lwp.pid(), P { since: step, ..zero.clone() });
            lwps.push(lwp);
        }
        let any = |i: u8| known[known.len() - 1 - usize::from(i) % known.len()];
        let at = |i: u8| usize::from(i) % lwps.len();
        let mut k = kernel.enter().unwrap();
        match *op {
            Op::Fork(i) => {
                let i = at(i);
                k.switch(lwps.swap_remove(i)).unwrap();
                let pid = k.pid();
                let parent = k.rfork(Rfork::Share);
                assert_eq!(parent.is_err(), model.ids().len() > 40, "no id is lost");
                if let Ok(parent) = parent {
                    let mother = &model.0[&pid];
                    let born = P { ppid: pid, since: step, zombie: false, ..mother.clone() };
                    known.push(k.pid());
                    model.0.insert(k.pid(), born);
                    lwps.extend(parent);
                }
                lwps.extend(k.unbind().unwrap());
            }
            Op::Setpgid { caller, pid, pgid } => {
                let (pid, pgid) = (any(pid), any(pgid));
                let i = at(caller);
                k.switch(lwps.swap_remove(i)).unwrap();
                assert_eq!(
                    k.groups().setpgid(pid, pgid),
                    model.setpgid(k.pid(), pid, pgid),
                    "{}: setpgid({pid}, {pgid})",
                    k.pid()
                );
                lwps.extend(k.unbind().unwrap());
            }
            Op::Setsid(i) => {
                let i = at(i);
                k.switch(lwps.swap_remove(i)).unwrap();
                assert_eq!(k.groups().setsid(), model.setsid(k.pid()));
                lwps.extend(k.unbind().unwrap());
            }
            Op::Exit(i) => {
                let i = at(i);
                let lwp = lwps.swap_remove(i);
                model.exit(lwp.pid(), step);
                drop(lwp);
            }
            Op::Wait { caller, target, pgid } => {
                let target = match target % 4 {
                    0 => WaitTarget::Any,
                    1 => WaitTarget::Pid(any(pgid)),
                    2 => WaitTarget::Pgrp(any(pgid)),
                    _ => WaitTarget::OwnPgrp,
                };
                let i = at(caller);
                k.switch(lwps.swap_remove(i)).unwrap();
                let waited = k.try_wait(target).map(|r| r.map(|r| r.pid));
                assert_eq!(waited, model.wait(k.pid(), target), "{target:?}");
                lwps.extend(k.unbind().unwrap());
            }
        }
        drop(k);
        compare(&kernel, &model);
    }
    drop(lwps);
    assert_eq!(kernel.counts().ids, 2);
}

fn compare(kernel: &Kernel, model: &Model) {
    let guard = kernel.pin();
    let is = |p: ProcRef<'_>| (p.pid(), (p.pgid().unwrap(), p.sid().unwrap()));
    let found: BTreeMap<_, _> = guard.procs().map(is).collect();
    let wanted: BTreeMap<_, _> = model.0.iter().map(|(pid, p)| (*pid, (p.pgid, p.sid))).collect();
    assert_eq!(found, wanted);
    let mut groups = BTreeSet::new();
    for group in guard.pgrps() {
        let members: BTreeSet<Pid> = group.members().map(|p| p.pid()).collect();
        let of_it = model.0.iter().filter(|(_, p)| p.pgid == group.id());
        assert_eq!(members, of_it.map(|(pid, _)| *pid).collect());
        assert_eq!(Some(group.sid()), model.group_sid(group.id()));
        assert!(groups.insert(group.id()));
    }
    assert_eq!(groups, model.0.values().map(|p| p.pgid).collect());
    assert_eq!(kernel.counts().ids, model.ids().len());
}

fn op() -> impl Strategy<Value = Op> {
    let i = any::<u8>;
    prop_oneof![
        5 => i().prop_map(Op::Fork),
        6 => (i(), i(), i()).prop_map(|(caller, pid, pgid)| Op::Setpgid { caller, pid, pgid }),
        3 => i().prop_map(Op::Setsid),
        3 => i().prop_map(Op::Exit),
        3 => (i(), i(), i()).prop_map(|(caller, target, pgid)| Op::Wait { caller, target, pgid }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_match_the_model(ops in prop::collection::vec(op(), 0..150)) {
        run(&ops);
    }
}

// ---- many threads ----

const THREADS: usize = 4;

/// Pids that the threads show each other, many of them stale.
struct Board([AtomicI32; 16]);

struct Worker<'k> {
    kernel: &'k Kernel,
    board: &'k Board,
    random: Random,
    owned: Vec<Lwp>,
    done: [usize; 3],
}

impl Worker<'_> {
    fn keep(&mut self, lwp: Option<Lwp>) {
        self.owned.extend(lwp);
        while self.owned.len() > 6 {
            let i = self.random.below(self.owned.len());
            drop(self.owned.swap_remove(i));
        }
    }

    fn step(&mut self, k: &mut Entered<'_>) {
        let mut look = || Pid(self.board.0[self.random.below(16)].load(Relaxed));
        let (one, other) = (look(), look());
        let at = self.random.below(16);
        match self.random.below(16) {
            0..=2 => {
                if let Ok(old) = k.rfork(Rfork::Share) {
                    self.board.0[at].store(k.pid().0, Relaxed);
                    self.keep(old);
                }
            }
            // LWPs of many threads in one process.
            3 | 4 => {
                if let Ok(old) = k.become_new_lwp(one) {
                    self.keep(old);
                }
            }
            5 => {
                let i = self.random.below(self.owned.len().max(1));
                if i < self.owned.len() {
                    let lwp = self.owned.swap_remove(i);
                    let old = k.switch(lwp).unwrap();
                    self.keep(old);
                }
            }
            6 => drop(self.owned.pop()),
            7 => drop(k.exit(ExitStatus::exited(0))),
            8..=10 => {
                let pid = if self.random.below(2) == 0 { Pid(0) } else { one };
                let pgid = if self.random.below(2) == 0 { Pid(0) } else { other };
                self.done[0] += usize::from(k.groups().setpgid(pid, pgid).is_ok());
            }
            11 => {
                if k.pid() > Pid::INIT && k.groups().setsid().is_ok() {
                    assert_eq!((k.groups().pgid(), k.groups().sid()), (k.pid(), k.pid()));
                    self.done[1] += 1;
                }
            }
            12 => {
                let target = match self.random.below(3) {
                    0 => WaitTarget::Pid(one),
                    1 => WaitTarget::Pgrp(one),
                    _ => WaitTarget::OwnPgrp,
                };
                self.done[2] += usize::from(matches!(k.try_wait(target), Ok(Some(_))));
            }
            13 => {
                if let (Ok(pgid), Ok(sid)) = (k.groups().pgid_of(one), k.groups().sid_of(one)) {
                    assert!(pgid.0 >= 0 && sid.0 >= 0);
                }
            }
            14 => {
                let guard = self.kernel.pin();
                let mut seen = HashSet::new();
                for group in guard.pgrps() {
                    assert!(seen.insert(group.identity()), "a group seen twice");
                    let _ = (group.is_orphaned(), group.sid());
                }
            }
            _ => {
                let guard = self.kernel.pin();
                if let Some(group) = guard.pgrp(one) {
                    assert_eq!(group.id(), one);
                    let mut seen = HashSet::new();
                    assert!(group.members().all(|p| seen.insert(p.identity())), "seen twice");
                }
            }
        }
    }
}

/// The invariants, with every thread at rest.
fn check(kernel: &Kernel) {
    let guard = kernel.pin();
    let mut by_group: BTreeMap<Pid, BTreeSet<Pid>> = BTreeMap::new();
    let mut sessions = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for proc in guard.procs() {
        let (pgid, sid) = (proc.pgid().unwrap(), proc.sid().unwrap());
        by_group.entry(pgid).or_default().insert(proc.pid());
        assert_eq!(*sessions.entry(pgid).or_insert(sid), sid, "a group in two sessions");
        assert!(proc.sid() != Some(proc.pid()) || pgid == proc.pid(), "a leader elsewhere");
        ids.extend([proc.pid().0, pgid.0, sid.0]);
    }
    let found: BTreeMap<Pid, BTreeSet<Pid>> =
        guard.pgrps().map(|g| (g.id(), g.members().map(|p| p.pid()).collect())).collect();
    assert_eq!(found, by_group, "the groups' members are those that say so");
    ids.extend(guard.lwps().map(|l| l.lid().0));
    assert_eq!(kernel.counts().ids, ids.len(), "no id leaked, none given back too early");
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

fn storm(policy: WaitPolicy, capacity: usize, rounds: usize, steps: usize) {
    let kernel = Kernel::builder().wait_policy(policy).id_capacity(capacity).build().unwrap();
    let board = Board(std::array::from_fn(|_| AtomicI32::new(0)));
    let rest = Barrier::new(THREADS + 1);
    let done: Vec<[usize; 3]> = std::thread::scope(|s| {
        let worker = |me: usize| {
            let (kernel, board, rest) = (&kernel, &board, &rest);
            s.spawn(move || {
                let _abort = AbortOnPanic;
                let random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(me as u64 + 1));
                let mut worker = Worker { kernel, board, random, owned: vec![], done: [0; 3] };
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
                worker.done
            })
        };
        let workers: Vec<_> = (0..THREADS).map(worker).collect();
        let _abort = AbortOnPanic;
        for _ in 0..rounds {
            rest.wait();
            check(&kernel);
            rest.wait();
        }
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    // Not a storm in which nothing succeeds.
    let at_least = |i: usize| done.iter().map(|d| d[i]).sum::<usize>() > rounds;
    assert!(at_least(0) && at_least(1), "{done:?}");
    assert!(policy == WaitPolicy::AutoReap || at_least(2), "{done:?}");
    assert_eq!(kernel.shutdown().survivors, []);
}

#[test]
fn storm_with_autoreap() {
    storm(WaitPolicy::AutoReap, 400, 60, 400);
}

#[test]
fn storm_with_zombies() {
    storm(WaitPolicy::Wait, 400, 60, 400);
}

#[test]
fn storm_with_few_ids() {
    storm(WaitPolicy::Wait, 16, 100, 400);
}
