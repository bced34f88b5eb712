//! A plain sequential model of a kernel, written from the description of the
//! behaviour, and a driver that runs the same operations on both and compares
//! every answer and the whole state after every step.

use lwproc::*;
use std::collections::{BTreeMap, BTreeSet};

/// One operation. Indices choose among what there is, modulo its number.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Rfork,
    Newlwp(u8),
    NewlwpNumber(i32),
    Alloclwp,
    AlloclwpIn(u8),
    Switch(u8),
    Unbind,
    Release,
    Exit(u8),
    Hold,
    Rele,
    DropOwned(u8),
    Unclaim(u8),
    Claim(u8),
    Wait,
    WaitFor(u8),
    GiveBack,
    Drain,
    Reopen,
    Rename(u8),
    SetUid(u8),
    LeaveAndEnter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ProcModel {
    ppid: Pid,
    lwps: BTreeSet<Lid>,
    draining: bool,
    status: ExitStatus,
    zombie: bool,
    comm: String,
    uid: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cur {
    pid: Pid,
    lid: Lid,
    refcnt: u32,
    exiting: bool,
}

/// What the kernel should be.
pub struct Model {
    policy: WaitPolicy,
    capacity: usize,
    procs: BTreeMap<Pid, ProcModel>,
    cur: Option<Cur>,
    parked: BTreeSet<(Pid, Lid)>,
}

impl Model {
    fn new(policy: WaitPolicy, capacity: usize) -> Self {
        let permanent = |pid: i32, comm: &str| ProcModel {
            ppid: Pid(0),
            lwps: BTreeSet::from([Lid(pid)]),
            draining: false,
            status: ExitStatus::default(),
            zombie: false,
            comm: comm.into(),
            uid: 0,
        };
        let procs =
            BTreeMap::from([(Pid(0), permanent(0, "system")), (Pid(1), permanent(1, "init"))]);
        Self { policy, capacity, procs, cur: None, parked: BTreeSet::new() }
    }

    fn curproc(&self) -> Pid {
        self.cur.map_or(Pid(1), |cur| cur.pid)
    }

    /// Ids in use, 0 included.
    fn ids(&self) -> BTreeSet<i32> {
        let lids = self.procs.values().flat_map(|p| &p.lwps).map(|l| l.0);
        self.procs.keys().map(|p| p.0).chain(lids).collect()
    }

    fn full(&self) -> bool {
        self.ids().len() == self.capacity + 1
    }

    fn lwps(&self) -> usize {
        self.procs.values().map(|p| p.lwps.len()).sum()
    }

    fn fork(&mut self, parent: Pid, pid: Pid) {
        assert!(!self.ids().contains(&pid.0), "{pid} is in use");
        let lwps = BTreeSet::from([Lid(pid.0)]);
        let (comm, uid) = (self.procs[&parent].comm.clone(), self.procs[&parent].uid);
        let comm = if comm.is_empty() { "rumproc".into() } else { comm };
        let (status, draining, zombie) = (ExitStatus::default(), false, false);
        let proc = ProcModel { ppid: parent, lwps, draining, status, zombie, comm, uid };
        self.procs.insert(pid, proc);
    }

    fn newlwp_error(&self, pid: Pid) -> Option<NewLwpError> {
        match self.procs.get(&pid) {
            None => Some(NewLwpError::NoSuchProcess),
            Some(p) if p.lwps.is_empty() => Some(NewLwpError::NoSuchProcess),
            Some(p) if p.draining => Some(NewLwpError::Draining),
            Some(p) if p.lwps.contains(&Lid(pid.0)) && self.full() => {
                Some(NewLwpError::IdsExhausted)
            }
            Some(_) => None,
        }
    }

    fn newlwp(&mut self, pid: Pid, lid: Lid) {
        let free = !self.procs[&pid].lwps.contains(&Lid(pid.0));
        assert_eq!(free, lid.0 == pid.0, "the pid is taken over whenever it is free");
        assert!(free || !self.ids().contains(&lid.0), "{lid} is in use");
        self.procs.get_mut(&pid).unwrap().lwps.insert(lid);
    }

    fn freelwp(&mut self, pid: Pid, lid: Lid) {
        let proc = self.procs.get_mut(&pid).unwrap();
        assert!(proc.lwps.remove(&lid));
        if !proc.lwps.is_empty() {
            return;
        }
        let ppid = proc.ppid;
        let orphans: Vec<Pid> =
            self.procs.iter().filter(|(_, p)| p.ppid == pid).map(|(pid, _)| *pid).collect();
        for orphan in orphans {
            if self.procs[&orphan].zombie {
                self.procs.remove(&orphan);
            } else {
                self.procs.get_mut(&orphan).unwrap().ppid = Pid(1);
            }
        }
        if self.policy == WaitPolicy::AutoReap || ppid <= Pid(1) {
            self.procs.remove(&pid);
        } else {
            self.procs.get_mut(&pid).unwrap().zombie = true;
        }
    }

    /// The exiting LWP goes, at a switch or when leaving.
    fn settle(&mut self) -> Option<Cur> {
        let old = self.cur.take()?;
        if old.exiting {
            self.freelwp(old.pid, old.lid);
            return None;
        }
        Some(old)
    }

    fn children(&self) -> impl Iterator<Item = (Pid, &ProcModel)> {
        let me = self.curproc();
        self.procs
            .iter()
            .filter(move |(pid, p)| p.ppid == me && **pid > Pid(0))
            .map(|(pid, p)| (*pid, p))
    }
}

/// A kernel and its model, run in step.
struct Driver<'k> {
    kernel: &'k Kernel,
    k: Option<Entered<'k>>,
    owned: Vec<Lwp>,
    handles: Vec<LwpHandle>,
    model: Model,
}

fn pick<T: Copy>(from: impl Iterator<Item = T>, index: u8) -> Option<T> {
    let all: Vec<T> = from.collect();
    (!all.is_empty()).then(|| all[usize::from(index) % all.len()])
}

impl Driver<'_> {
    fn any_pid(&self, index: u8) -> Pid {
        pick(self.model.procs.keys().copied(), index).unwrap()
    }

    fn any_owned(&mut self, index: u8) -> Option<Lwp> {
        let i = usize::from(index).checked_rem(self.owned.len())?;
        Some(self.owned.swap_remove(i))
    }

    fn here(&self) -> (Pid, Lid) {
        let k = self.k.as_ref().unwrap();
        (k.pid(), k.lid().expect("not implicit"))
    }

    /// The old LWP that a switching operation gave back.
    fn gave_back(&mut self, old: Option<Lwp>) {
        let expected = self.model.settle().map(|cur| (cur.pid, cur.lid));
        assert_eq!(old.as_ref().map(|l| (l.pid(), l.lid())), expected);
        self.owned.extend(old);
    }

    fn newlwp(&mut self, pid: Pid) {
        let expected = self.model.newlwp_error(pid);
        match self.k.as_mut().unwrap().newlwp(pid) {
            Err(error) => assert_eq!(Some(error), expected),
            Ok(old) => {
                assert_eq!(expected, None);
                let (at, lid) = self.here();
                assert_eq!(at, pid);
                // The new one comes before the exiting old one goes.
                self.model.newlwp(pid, lid);
                self.gave_back(old);
                self.model.cur = Some(Cur { pid, lid, refcnt: 1, exiting: false });
            }
        }
    }

    fn release(&mut self, status: Option<ExitStatus>) {
        let k = self.k.as_mut().unwrap();
        let result = match status {
            Some(status) => k.exit(status),
            None => k.releaselwp(),
        };
        let expected = match &mut self.model.cur {
            None | Some(Cur { exiting: true, .. }) => Err(ReleaseError::NotPertinent),
            Some(cur) if cur.refcnt > 1 => Err(ReleaseError::Held { holds: cur.refcnt - 1 }),
            Some(cur) => {
                cur.refcnt = 0;
                cur.exiting = true;
                if let Some(status) = status {
                    self.model.procs.get_mut(&cur.pid).unwrap().status = status;
                }
                Ok(())
            }
        };
        assert_eq!(result, expected);
    }

    fn wait(&mut self, target: WaitTarget, give_back: bool) {
        let matches = |pid: Pid| target == WaitTarget::Any || target == WaitTarget::Pid(pid);
        let children: Vec<_> = self.model.children().filter(|(pid, _)| matches(*pid)).collect();
        let zombies: BTreeMap<Pid, ExitStatus> =
            children.iter().filter(|(_, p)| p.zombie).map(|(pid, p)| (*pid, p.status)).collect();
        let none = if children.is_empty() { Err(WaitError::NoChild) } else { Ok(None) };
        let k = self.k.as_ref().unwrap();
        if give_back {
            if let Ok(Some(claim)) = k.claim_zombie(target) {
                assert_eq!(zombies.get(&claim.pid()), Some(&claim.status()));
            }
            return;
        }
        match k.try_wait(target) {
            Ok(Some(reaped)) => {
                assert_eq!(zombies.get(&reaped.pid), Some(&reaped.status));
                self.model.procs.remove(&reaped.pid);
            }
            other => {
                assert!(zombies.is_empty(), "missed {zombies:?}");
                assert_eq!(other, none);
            }
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Rfork => {
                let (parent, full) = (self.model.curproc(), self.model.full());
                match self.k.as_mut().unwrap().rfork(Rfork::Share) {
                    Err(error) => assert_eq!((error, full), (ForkError::IdsExhausted, true)),
                    Ok(old) => {
                        assert!(!full);
                        let (pid, lid) = self.here();
                        assert_eq!(lid.0, pid.0);
                        self.model.fork(parent, pid);
                        self.gave_back(old);
                        self.model.cur = Some(Cur { pid, lid, refcnt: 1, exiting: false });
                    }
                }
            }
            Op::Newlwp(i) => self.newlwp(self.any_pid(i)),
            Op::NewlwpNumber(number) => self.newlwp(Pid(number)),
            Op::Alloclwp => {
                let full = self.model.full();
                match self.kernel.alloclwp(None) {
                    Err(error) => assert_eq!((error, full), (NewLwpError::IdsExhausted, true)),
                    Ok(lwp) => {
                        assert!(!full);
                        self.model.fork(Pid(0), lwp.pid());
                        self.owned.push(lwp);
                    }
                }
            }
            Op::AlloclwpIn(i) => {
                let pid = self.any_pid(i);
                let expected = self.model.newlwp_error(pid);
                match self.kernel.alloclwp(Some(pid)) {
                    Err(error) => assert_eq!(Some(error), expected),
                    Ok(lwp) => {
                        assert_eq!(expected, None);
                        self.model.newlwp(pid, lwp.lid());
                        self.owned.push(lwp);
                    }
                }
            }
            Op::Switch(i) => {
                if let Some(lwp) = self.any_owned(i) {
                    let (pid, lid) = (lwp.pid(), lwp.lid());
                    let old = self.k.as_mut().unwrap().switch(lwp).unwrap();
                    self.gave_back(old);
                    // Its count is what it was when it was last current.
                    let refcnt = self.k.as_ref().unwrap().curlwp().unwrap().refcnt();
                    self.model.cur = Some(Cur { pid, lid, refcnt, exiting: false });
                }
            }
            Op::Unbind => {
                let exiting = self.model.cur.is_some_and(|cur| cur.exiting);
                match self.k.as_mut().unwrap().unbind() {
                    Err(error) => assert_eq!((error, exiting), (UnbindError::Exiting, true)),
                    Ok(old) => {
                        assert!(!exiting);
                        self.gave_back(old);
                    }
                }
            }
            Op::Release => self.release(None),
            Op::Exit(code) => self.release(Some(ExitStatus::exited(code))),
            Op::Hold => {
                let full = self.model.full();
                let result = self.k.as_mut().unwrap().lwphold();
                match (&mut self.model.cur, result) {
                    (Some(cur), result) => {
                        assert_eq!(result, Ok(()));
                        cur.refcnt += 1;
                        cur.exiting = false;
                    }
                    (None, Err(error)) => match error {
                        HoldError::Draining => assert!(self.model.procs[&Pid(1)].draining),
                        _ => assert_eq!((error, full), (HoldError::IdsExhausted, true)),
                    },
                    (None, Ok(())) => {
                        let (pid, lid) = self.here();
                        assert_eq!(pid, Pid::INIT);
                        self.model.newlwp(pid, lid);
                        self.model.cur = Some(Cur { pid, lid, refcnt: 1, exiting: false });
                    }
                }
            }
            Op::Rele => {
                let result = self.k.as_mut().unwrap().lwprele();
                match &mut self.model.cur {
                    Some(cur) if cur.refcnt > 0 => {
                        assert_eq!(result, Ok(()));
                        cur.refcnt -= 1;
                        cur.exiting = cur.refcnt == 0;
                    }
                    _ => assert_eq!(result, Err(ReleError::NotHeld)),
                }
            }
            Op::DropOwned(i) => {
                if let Some(lwp) = self.any_owned(i) {
                    let (pid, lid) = (lwp.pid(), lwp.lid());
                    drop(lwp);
                    self.model.freelwp(pid, lid);
                }
            }
            Op::Unclaim(i) => {
                if let Some(lwp) = self.any_owned(i) {
                    self.model.parked.insert((lwp.pid(), lwp.lid()));
                    self.handles.push(lwp.unclaim());
                }
            }
            Op::Claim(i) => {
                if let Some(i) = usize::from(i).checked_rem(self.handles.len()) {
                    let handle = self.handles.swap_remove(i);
                    let at = (handle.pid(), handle.lid());
                    let lwp = handle.claim().unwrap();
                    assert!(self.model.parked.remove(&at));
                    assert!(matches!(handle.claim(), Err(ClaimError::AlreadyRunning { .. })));
                    self.owned.push(lwp);
                }
            }
            Op::Wait => self.wait(WaitTarget::Any, false),
            Op::WaitFor(i) => self.wait(WaitTarget::Pid(self.any_pid(i)), false),
            Op::GiveBack => self.wait(WaitTarget::Any, true),
            Op::Drain | Op::Reopen => {
                let (k, pid) = (self.k.as_mut().unwrap(), self.model.curproc());
                let draining = matches!(op, Op::Drain);
                if draining {
                    k.drain()
                } else {
                    k.reopen()
                }
                self.model.procs.get_mut(&pid).unwrap().draining = draining;
            }
            Op::Rename(n) => {
                let (name, pid) =
                    (["", "sh", "cat", "init"][usize::from(n) % 4], self.model.curproc());
                self.k.as_mut().unwrap().set_comm(name);
                self.model.procs.get_mut(&pid).unwrap().comm = name.into();
            }
            Op::SetUid(n) => {
                let (uid, pid) = (u32::from(n % 3), self.model.curproc());
                let change = CredChange::SetResuid(Some(uid), None, None);
                self.k.as_mut().unwrap().set_cred(&change).unwrap();
                self.model.procs.get_mut(&pid).unwrap().uid = uid;
            }
            Op::LeaveAndEnter => {
                self.k = None;
                self.model.cur = self.model.settle();
                self.k = Some(self.kernel.enter().unwrap());
            }
        }
    }

    /// Compares the whole state: every invariant follows from the equality.
    fn check(&self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        assert_eq!(k.pid(), model.curproc());
        assert_eq!(k.lid(), model.cur.map(|cur| cur.lid));
        assert_eq!(k.cred().users().real, model.procs[&model.curproc()].uid);
        let current = model.cur.filter(|cur| !cur.exiting);
        assert_eq!(
            k.curlwp().map(|l| (l.pid(), l.lid(), l.refcnt())),
            current.map(|cur| (cur.pid, cur.lid, cur.refcnt))
        );
        let guard = self.kernel.pin();
        let mut seen = BTreeMap::new();
        for proc in self.kernel.procs(&guard) {
            let lwps: Vec<Lid> = proc.lwps().map(|l| l.lid()).collect();
            assert_eq!(proc.nlwps() as usize, lwps.len(), "nlwps is the size of p_lwps");
            let (zombie, draining) = match proc.state() {
                ProcState::Active => (false, false),
                ProcState::Draining => (false, true),
                ProcState::Zombie => (true, model.procs[&proc.pid()].draining),
                other => panic!("{other:?}"),
            };
            let status = model.procs.get(&proc.pid()).map_or(ExitStatus::default(), |p| p.status);
            let (ppid, comm) = (proc.ppid(), proc.comm().to_string());
            let lwps = lwps.into_iter().collect();
            let uid = proc.cred().unwrap().users().real;
            let found = ProcModel { ppid, lwps, draining, status, zombie, comm, uid };
            assert!(seen.insert(proc.pid(), found).is_none(), "seen twice");
            let children: BTreeSet<Pid> = proc.children().map(|c| c.pid()).collect();
            let expected = model.procs.iter().filter(|(pid, p)| p.ppid == proc.pid() && pid.0 > 0);
            assert_eq!(children, expected.map(|(pid, _)| *pid).collect());
            assert!(self.kernel.find(proc.pid(), &guard).is_some());
        }
        assert_eq!(seen, model.procs);
        for lwp in self.kernel.lwps(&guard) {
            let parked = model.parked.contains(&(lwp.pid(), lwp.lid()));
            assert_eq!(lwp.state() == LwpState::Run, parked);
            assert_eq!(self.kernel.find_lwp(lwp.lid(), &guard).map(|l| l.pid()), Some(lwp.pid()));
        }
        for uid in 0..3 {
            let own = model.procs.values().filter(|p| p.uid == uid).count();
            assert_eq!(self.kernel.user_counts(uid).procs, own);
            assert_eq!(self.kernel.user_counts_by_scan(uid).procs, own);
        }
        let counts = self.kernel.counts();
        let zombies = model.procs.values().filter(|p| p.zombie).count();
        assert_eq!(counts.zombies, zombies);
        assert_eq!(counts.procs, model.procs.len() - zombies);
        assert_eq!(counts.lwps, model.lwps());
        assert_eq!(counts.ids, model.ids().len());
    }
}

/// Runs the operations on a new kernel and on the model.
pub fn run(policy: WaitPolicy, capacity: usize, ops: &[Op]) {
    let kernel = Kernel::builder().wait_policy(policy).id_capacity(capacity).build().unwrap();
    run_in(&kernel, Model::new(policy, capacity), ops);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed, "everything retired is freed");
    assert!(kernel.shutdown().is_clean());
}

fn run_in(kernel: &Kernel, model: Model, ops: &[Op]) {
    let mut driver = Driver {
        kernel,
        k: Some(kernel.enter().unwrap()),
        owned: Vec::new(),
        handles: Vec::new(),
        model,
    };
    driver.check();
    for op in ops {
        driver.step(*op);
        driver.check();
    }
    let Driver { k, owned, handles, .. } = driver;
    drop((k, owned));
    drop(handles.iter().map(|h| h.claim().unwrap()).collect::<Vec<_>>());
    let mut k = kernel.enter().unwrap();
    drop(k.unbind().unwrap());
    drop(k);
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}
