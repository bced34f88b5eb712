//! The part of the driver that is about processes and LWPs.

use super::becoming::Become;
use super::state::Cur;
use super::{Driver, Embedder, Op, pick};
use lwproc::*;
use std::collections::BTreeMap;

/// What a fork is given.
#[derive(Clone, Copy)]
enum AddressSpace {
    Local,
    Remote,
}

/// How a child is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    Try,
    Blocking,
    /// The zombie is claimed, and given back.
    GiveBack,
}

/// What [`Spawn::start`] says when `rfork` says that.
fn of_fork(error: ForkError) -> SpawnError {
    match error {
        ForkError::KernelFull => SpawnError::KernelFull,
        ForkError::Limit => SpawnError::Limit,
        ForkError::IdsExhausted => SpawnError::IdsExhausted,
        other => panic!("{other:?}"),
    }
}

impl Driver<'_> {
    pub fn any_pid(&self, index: u8) -> Pid {
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

    fn rfork(&mut self, how: Rfork, with: AddressSpace) {
        let parent = self.model.curproc();
        let expected = self.model.fork_error(parent);
        let k = self.k.as_mut().unwrap();
        let (space, got) = match with {
            AddressSpace::Local => (None, k.rfork(how).map_err(of_fork)),
            AddressSpace::Remote => {
                // As its place will be.
                let name = self.model.places + 1;
                let space = self.kernel.host().spaces.add(name);
                (Some(name), k.become_child_with(space, how))
            }
        };
        match got {
            Err(error) => assert_eq!(Some(error), expected.map(of_fork)),
            Ok(old) => {
                assert_eq!(expected, None);
                let (pid, lid) = self.here();
                assert_eq!(lid.0, pid.0);
                self.model.fork(parent, pid, how, space);
                self.model.hand_mask_down(pid);
                self.model.hand_signals_down(parent, pid);
                self.gave_back(old);
                self.model.run_as(Cur { pid, lid, refcnt: 1, exiting: false });
            }
        }
    }

    fn newlwp(&mut self, pid: Pid) {
        let expected = self.model.newlwp_error(pid);
        match self.k.as_mut().unwrap().become_new_lwp(pid) {
            Err(error) => assert_eq!(Some(error), expected),
            Ok(old) => {
                assert_eq!(expected, None);
                let (at, lid) = self.here();
                assert_eq!(at, pid);
                // The new one comes before the exiting old one goes.
                self.model.newlwp(pid, lid);
                self.model.hand_mask_to_further(pid, lid);
                self.gave_back(old);
                self.model.run_as(Cur { pid, lid, refcnt: 1, exiting: false });
            }
        }
    }

    fn release(&mut self, status: Option<ExitStatus>) {
        let k = self.k.as_mut().unwrap();
        let result = match status {
            Some(status) => k.exit(status),
            None => k.release(),
        };
        let expected = self.model.release(status);
        assert_eq!(result, expected);
    }

    pub fn wait(&mut self, target: WaitTarget, how: How) {
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
        if how == How::GiveBack {
            match k.try_wait(target.peek()) {
                Ok(Some(seen)) => {
                    assert_eq!(zombies.get(&seen.pid), Some(&seen.status));
                    let (own, children) = self.model.procs[&seen.pid].faults;
                    assert_eq!(seen.usage.minor_faults, own + children);
                }
                other => assert!(zombies.is_empty() && other == none, "{other:?}, not {none:?}"),
            }
            if let Ok(Some(claim)) = k.claim_zombie(target) {
                assert_eq!(zombies.get(&claim.pid()), Some(&claim.status()));
            }
            return;
        }
        let got = match how {
            How::Blocking => k.wait(target).map(Some),
            _ => k.try_wait(target),
        };
        match got {
            Ok(Some(reaped)) => {
                assert_eq!(zombies.get(&reaped.pid), Some(&reaped.status));
                let (own, children) = self.model.reap(reaped.pid).faults;
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

    pub fn step(&mut self, op: Op) {
        match op {
            Op::Rfork(how) => self.rfork(how, AddressSpace::Local),
            Op::RforkVmspace(how) => self.rfork(how, AddressSpace::Remote),
            Op::Newlwp(i) => self.newlwp(self.any_pid(i)),
            Op::NewlwpNumber(number) => self.newlwp(Pid(number)),
            Op::Alloclwp => {
                let expected = self.model.fork_error(Pid(0));
                match self.kernel.spawn().start() {
                    Err(error) => assert_eq!(Some(error), expected.map(of_fork)),
                    Ok(lwp) => {
                        assert_eq!(expected, None);
                        self.model.fork(Pid(0), lwp.pid(), Rfork::Fresh, None);
                        self.owned.push(lwp);
                    }
                }
            }
            Op::AlloclwpIn(i) => {
                let pid = self.any_pid(i);
                let expected = self.model.newlwp_error(pid);
                match self.kernel.new_lwp(pid) {
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
                    self.model.run_as(Cur { pid, lid, refcnt, exiting: false });
                }
            }
            Op::Unbind => {
                let exiting = self.model.cur.is_some_and(|cur| cur.exiting);
                match self.k.as_mut().unwrap().unbind() {
                    Err(error) => {
                        assert_eq!((error, exiting), (UnbindError::Exiting, true))
                    }
                    Ok(old) => {
                        assert!(!exiting);
                        self.gave_back(old);
                    }
                }
            }
            Op::Release => self.release(None),
            Op::Exit(code) => self.release(Some(ExitStatus::exited(code))),
            Op::Hold => {
                let expected = self.model.newlwp_error(Pid::INIT);
                let result = self.k.as_mut().unwrap().hold();
                match (&mut self.model.cur, result) {
                    (Some(cur), result) => {
                        assert_eq!(result, Ok(()));
                        cur.refcnt += 1;
                        cur.exiting = false;
                    }
                    (None, Err(error)) => {
                        let why = match error {
                            HoldError::Draining => NewLwpError::Draining,
                            HoldError::Limit => NewLwpError::Limit,
                            HoldError::KernelFull => NewLwpError::KernelFull,
                            _ => NewLwpError::IdsExhausted,
                        };
                        assert_eq!(Some(why), expected);
                    }
                    (None, Ok(())) => {
                        let (pid, lid) = self.here();
                        assert_eq!(pid, Pid::INIT);
                        self.model.newlwp(pid, lid);
                        self.model.run_as(Cur { pid, lid, refcnt: 1, exiting: false });
                    }
                }
            }
            Op::Rele => {
                let result = self.k.as_mut().unwrap().unhold();
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
                    self.model.lose(pid, lid);
                }
            }
            Op::Unclaim(i) => {
                if let Some(lwp) = self.any_owned(i) {
                    let (pid, lid) = (lwp.pid(), lwp.lid());
                    let handle = lwp.unclaim();
                    if self.model.procs[&pid].exiting {
                        assert_eq!(handle.state(), LwpState::Gone);
                        self.model.freelwp(pid, lid);
                    } else {
                        self.model.parked.insert((pid, lid));
                        self.handles.push(handle);
                    }
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
            Op::Wait => self.wait(WaitTarget::Any, How::Try),
            Op::WaitFor(i) => self.wait(WaitTarget::Pid(self.any_pid(i)), How::Try),
            Op::WaitForGroup(0..60) => self.wait(WaitTarget::OwnPgrp, How::Try),
            Op::WaitForGroup(i) => self.wait(WaitTarget::Pgrp(self.any_pid(i)), How::Try),
            Op::GiveBack => self.wait(WaitTarget::Any, How::GiveBack),
            Op::Drain | Op::Reopen => {
                let k = self.k.as_mut().unwrap();
                if matches!(op, Op::Drain) {
                    let already = self.model.procs[&self.model.curproc()].draining;
                    assert_eq!(k.drain() == Drain::Already, already);
                    self.model.drain();
                } else {
                    k.reopen();
                    self.model.reopen();
                }
            }
            Op::Rename(n) => {
                let (name, pid) =
                    (["", "sh", "cat", "init"][usize::from(n) % 4], self.model.curproc());
                self.k.as_mut().unwrap().process().set_comm(name);
                self.model.procs.get_mut(&pid).unwrap().comm = name.into();
            }
            Op::AddUsage(n) => {
                let pid = self.model.curproc();
                let more = Usage { minor_faults: n.into(), ..Usage::default() };
                self.k.as_ref().unwrap().resources().add_usage(more);
                self.model.procs.get_mut(&pid).unwrap().faults.0 += u64::from(n);
            }
            Op::Cred(op) => self.cred_step(op),
            Op::Limit(op) => self.limit_step(op),
            Op::Emul(op) => self.emul_step(op),
            Op::Name(op) => self.name_step(op),
            Op::Watch(op) => self.watch_step(op),
            Op::Thread(op) => self.thread_step(op),
            Op::Handle(op) => self.handle_step(op),
            Op::Fd(op) => self.fd_step(op),
            Op::Service(op) => self.service_step(op),
            Op::LeaveAndEnter => {
                self.k = None;
                self.check_outside();
                self.model.biglocks = 0;
                self.model.cur = self.model.settle();
                self.k = Some(self.kernel.enter().unwrap());
            }
        }
    }
}
