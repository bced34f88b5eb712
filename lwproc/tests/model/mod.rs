//! A plain sequential model of a kernel, written from the description of the
//! behaviour, and a driver that runs the same operations on both and compares
//! every answer and the whole state after every step.

mod files;
mod services;
mod state;

pub use files::{Embedder, FdOp};
use lwproc::*;
pub use services::ServiceOp;
use state::{Cur, Model, ProcModel};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// One operation. Indices choose among what there is, modulo its number.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Rfork(Rfork),
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
    WaitForGroup(u8),
    GiveBack,
    Drain,
    Reopen,
    Rename(u8),
    SetUid(u8),
    AddUsage(u8),
    Fd(FdOp),
    Service(ServiceOp),
    LeaveAndEnter,
}

/// A kernel and its model, run in step.
struct Driver<'k> {
    kernel: &'k Kernel<Embedder>,
    k: Option<Entered<'k, Embedder>>,
    owned: Vec<Lwp<Embedder>>,
    handles: Vec<LwpHandle<Embedder>>,
    files: Vec<FileHandle<Embedder>>,
    keys: services::Keys,
    /// What the exit hook saw.
    ended: Arc<Mutex<Vec<Pid>>>,
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

    fn any_owned(&mut self, index: u8) -> Option<Lwp<Embedder>> {
        let i = usize::from(index).checked_rem(self.owned.len())?;
        Some(self.owned.swap_remove(i))
    }

    fn here(&self) -> (Pid, Lid) {
        let k = self.k.as_ref().unwrap();
        (k.pid(), k.lid().expect("not implicit"))
    }

    /// The old LWP that a switching operation gave back.
    fn gave_back(&mut self, old: Option<Lwp<Embedder>>) {
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
        let expected = self.model.release(status);
        assert_eq!(result, expected);
    }

    fn wait(&mut self, target: WaitTarget, give_back: bool) {
        let own = self.model.procs[&self.model.curproc()].pgid;
        let matches = |pid: Pid| match target {
            WaitTarget::Any => true,
            WaitTarget::Pid(wanted) => pid == wanted,
            WaitTarget::Pgrp(pgid) => self.model.procs[&pid].pgid == pgid,
            WaitTarget::OwnPgrp => self.model.procs[&pid].pgid == own,
            other => panic!("{other:?}"),
        };
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
                let (own, children) = self.model.procs.remove(&reaped.pid).unwrap().faults;
                assert_eq!(reaped.usage.minor_faults, own + children);
                let me = self.model.curproc();
                self.model.procs.get_mut(&me).unwrap().faults.1 += own + children;
            }
            other => {
                assert!(zombies.is_empty(), "missed {zombies:?}");
                assert_eq!(other, none);
            }
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Rfork(how) => {
                let (parent, full) = (self.model.curproc(), self.model.full());
                match self.k.as_mut().unwrap().rfork(how) {
                    Err(error) => assert_eq!((error, full), (ForkError::IdsExhausted, true)),
                    Ok(old) => {
                        assert!(!full);
                        let (pid, lid) = self.here();
                        assert_eq!(lid.0, pid.0);
                        self.model.fork(parent, pid, how);
                        self.model.hand_mask_down(pid);
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
                        self.model.fork(Pid(0), lwp.pid(), Rfork::Fresh);
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
            Op::WaitForGroup(0..60) => self.wait(WaitTarget::OwnPgrp, false),
            Op::WaitForGroup(i) => self.wait(WaitTarget::Pgrp(self.any_pid(i)), false),
            Op::GiveBack => self.wait(WaitTarget::Any, true),
            Op::Drain | Op::Reopen => {
                let k = self.k.as_mut().unwrap();
                if matches!(op, Op::Drain) {
                    k.drain();
                    self.model.drain();
                } else {
                    k.reopen();
                    self.model.reopen();
                }
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
            Op::AddUsage(n) => {
                let pid = self.model.curproc();
                let more = Usage { minor_faults: n.into(), ..Usage::default() };
                self.k.as_ref().unwrap().add_usage(more);
                self.model.procs.get_mut(&pid).unwrap().faults.0 += u64::from(n);
            }
            Op::Fd(op) => self.fd_step(op),
            Op::Service(op) => self.service_step(op),
            Op::LeaveAndEnter => {
                self.k = None;
                self.model.cur = self.model.settle();
                self.k = Some(self.kernel.enter().unwrap());
            }
        }
    }

    /// Compares the whole state: every invariant follows from the equality.
    fn check(&mut self) {
        self.check_services();
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        assert_eq!(k.pid(), model.curproc());
        assert_eq!(k.lid(), model.cur.map(|cur| cur.lid));
        assert_eq!(k.cred().users().real, model.procs[&model.curproc()].uid);
        let current = model.cur.filter(|cur| !cur.exiting);
        assert_eq!(
            k.curlwp().map(|l| (l.pid(), l.lid(), l.refcnt())),
            current.map(|cur| (cur.pid, cur.lid, cur.refcnt))
        );
        let faults = (k.usage().minor_faults, k.children_usage().minor_faults);
        assert_eq!(faults, model.procs[&model.curproc()].faults);
        self.check_files();
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
            let known = &model.procs[&proc.pid()];
            // A zombie has no limits, and nobody asks for its children's use.
            let nofile = proc.rlimit(Resource::Nofile).map_or(known.nofile, |limit| limit.soft);
            let faults = (proc.usage().minor_faults, known.faults.1);
            let (pgid, sid) = (proc.pgid().unwrap(), proc.sid().unwrap());
            let pending = proc.pending();
            let (execed, data) = (known.execed, proc.specific(self.keys.proc).map(|v| v.0));
            let found = ProcModel {
                ppid,
                lwps,
                draining,
                status,
                zombie,
                comm,
                uid,
                nofile,
                faults,
                pgid,
                sid,
                execed,
                pending,
                data,
            };
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
    let builder = Kernel::builder().wait_policy(policy).id_capacity(capacity);
    let builder = builder.signal_model(SigModel::Record);
    let embedder = Embedder::default();
    let kernel = builder.host(embedder.clone()).build().unwrap();
    run_in(&kernel, Model::new(policy, capacity), ops);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed, "everything retired is freed");
    assert!(kernel.shutdown().is_clean());
    assert!(embedder.open_files().is_empty(), "every file is closed");
}

fn run_in(kernel: &Kernel<Embedder>, model: Model, ops: &[Op]) {
    let ended = Arc::new(Mutex::new(Vec::new()));
    let seen = ended.clone();
    kernel.exithook_establish(move |proc| seen.lock().unwrap().push(proc.pid()));
    let mut driver = Driver {
        kernel,
        k: Some(kernel.enter().unwrap()),
        owned: Vec::new(),
        handles: Vec::new(),
        files: Vec::new(),
        keys: services::Keys::new(kernel),
        ended: ended.clone(),
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
    // init may be in a group that another process made: it keeps that id.
    let guard = kernel.pin();
    let init = kernel.find(Pid::INIT, &guard).unwrap();
    let ids = BTreeSet::from([Some(Pid(0)), Some(Pid(1)), init.pgid(), init.sid()]);
    assert_eq!((counts.procs, counts.lwps, counts.zombies), (2, 2, 0));
    assert_eq!(counts.ids, ids.len());
}
