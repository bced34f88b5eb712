//! The part of the model that is about groups, signals, draining and specific data.

use super::state::{LwpModel, Model, ProcModel};
use super::{Driver, Embedder};
use lwproc::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};

/// An operation on groups, signals, the drain, or specific data. Indices choose
/// among what there is.
#[derive(Clone, Copy, Debug)]
pub enum ServiceOp {
    Setpgid(u8, u8),
    Setsid,
    Kill(u8, u8),
    KillLwp(u8, u8),
    KillGroup(u8, u8),
    KillAll(u8),
    Block(u64),
    Take,
    Exec(u8),
    ExitGroup(u8),
    SetProcData(u8),
    SetLwpData(u8),
}

/// A value that counts how many there are.
pub struct Counted(pub u32, Arc<AtomicIsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, SeqCst);
    }
}

/// Keys, and how many values there are under them.
pub struct Keys {
    pub proc: ProcKey<Counted>,
    lwp: LwpKey<Counted>,
    live: Arc<AtomicIsize>,
}

impl Keys {
    pub fn new(kernel: &Kernel<Embedder>) -> Self {
        let live = Arc::new(AtomicIsize::new(0));
        Self { proc: kernel.proc_key(), lwp: kernel.lwp_key(), live }
    }

    fn value(&self, n: u8) -> Counted {
        self.live.fetch_add(1, SeqCst);
        Counted(n.into(), self.live.clone())
    }

    pub fn live(&self) -> isize {
        self.live.load(SeqCst)
    }
}

fn signo(n: u8) -> i32 {
    [0, 1, 9, 15, 17, 19, 30, 64, 65, -1][usize::from(n) % 10]
}

impl Model {
    pub fn lwp(&mut self) -> Option<&mut LwpModel> {
        let cur = self.cur?;
        self.lwp_state.get_mut(&(cur.pid, cur.lid))
    }

    fn group_exists(&self, pgid: Pid) -> Option<Pid> {
        self.procs.values().find(|p| p.pgid == pgid).map(|p| p.sid)
    }

    fn setpgid(&mut self, pid: Pid, pgid: Pid) -> Result<(), GroupError> {
        if pgid.0 < 0 {
            return Err(GroupError::BadNumber);
        }
        let own = self.curproc();
        let target = if pid.0 == 0 { own } else { pid };
        let is_child = |p: &&ProcModel| p.ppid == own && target > Pid(0) && !p.zombie;
        let known = self.procs.get(&target).filter(|p| target == own || is_child(p));
        let known = known.ok_or(GroupError::NoSuchProcess)?;
        let pgid = if pgid.0 == 0 { target } else { pgid };
        if target != own {
            if known.sid != self.procs[&own].sid {
                return Err(GroupError::OtherSession);
            }
            if known.execed {
                return Err(GroupError::HasExeced);
            }
        }
        if known.sid == target {
            return Err(GroupError::SessionLeader);
        }
        let session = self.group_exists(pgid);
        if session.is_none() && pgid != target {
            return Err(GroupError::NoSuchGroup);
        }
        if session.is_some_and(|sid| sid != known.sid) {
            return Err(GroupError::OtherSession);
        }
        self.procs.get_mut(&target).unwrap().pgid = pgid;
        Ok(())
    }

    fn setsid(&mut self) -> Result<Pid, GroupError> {
        let own = self.curproc();
        if self.group_exists(own).is_some() {
            return Err(GroupError::GroupExists);
        }
        let proc = self.procs.get_mut(&own).unwrap();
        (proc.pgid, proc.sid) = (own, own);
        Ok(own)
    }

    /// The superuser may signal everybody; a user those who are, or were when they
    /// started, the same user; all their own process; SIGCONT reaches the session.
    fn may_signal(&self, pid: Pid, signo: Option<Signo>) -> bool {
        let (own, target) = (&self.procs[&self.curproc()], &self.procs[&pid]);
        let (from, to) = (own.cred.users, target.cred.users);
        let same_user = [from.real, from.effective].map(|id| id == to.real || id == to.saved);
        own.cred.is_superuser()
            || pid == self.curproc()
            || same_user.contains(&true)
            || (signo == Some(Signo::CONT) && own.sid == target.sid)
    }

    /// A signal for each of these that may be signalled; it is enough that one may.
    fn kill(&mut self, pids: Vec<Pid>, signo: i32) -> Result<(), KillError> {
        let signo = match signo {
            0 => None,
            n => Some(Signo::new(n).ok_or(KillError::BadSignal { signo })?),
        };
        if pids.is_empty() {
            return Err(KillError::NoSuchProcess);
        }
        let may: Vec<Pid> = pids.into_iter().filter(|pid| self.may_signal(*pid, signo)).collect();
        if may.is_empty() {
            return Err(KillError::NotPermitted);
        }
        for pid in may {
            let proc = self.procs.get_mut(&pid).unwrap();
            if let Some(signo) = signo
                && !proc.zombie
            {
                proc.pending = proc.pending.with(signo);
            }
        }
        Ok(())
    }

    fn members(&self, pgid: Pid) -> Vec<Pid> {
        let own = self.procs.iter().filter(|(pid, p)| p.pgid == pgid && **pid > Pid(1));
        own.map(|(pid, _)| *pid).collect()
    }

    /// What the current LWP could take: its own, and the process's.
    pub fn takeable(&mut self) -> (SigSet, SigSet) {
        let blocked = self.lwp().map_or(SigSet::EMPTY, |lwp| lwp.blocked);
        let own = self.lwp().map_or(SigSet::EMPTY, |lwp| lwp.pending);
        (own - blocked, self.procs[&self.curproc()].pending - blocked)
    }

    pub fn drain(&mut self) {
        let (pid, own) = (self.curproc(), self.cur.map(|cur| cur.lid));
        self.procs.get_mut(&pid).unwrap().draining = true;
        for ((_, lid), lwp) in self.lwp_state.range_mut((pid, Lid(0))..=(pid, Lid(i32::MAX))) {
            lwp.must_exit |= Some(*lid) != own;
        }
    }

    pub fn reopen(&mut self) {
        let pid = self.curproc();
        self.procs.get_mut(&pid).unwrap().draining = false;
        for (_, lwp) in self.lwp_state.range_mut((pid, Lid(0))..=(pid, Lid(i32::MAX))) {
            lwp.must_exit = false;
        }
    }
}

impl Driver<'_> {
    pub fn service_step(&mut self, op: ServiceOp) {
        match op {
            ServiceOp::Setpgid(a, b) => {
                // Also nobody, the caller itself, and nonsense.
                let odd = |n: u8| Pid([0, -1, i32::MAX][usize::from(n) % 3]);
                let pid = if a < 60 { odd(a) } else { self.any_pid(a) };
                let pgid = if b < 60 { odd(b) } else { self.any_pid(b) };
                let got = self.k.as_ref().unwrap().setpgid(pid, pgid);
                assert_eq!(got, self.model.setpgid(pid, pgid), "setpgid({pid}, {pgid})");
            }
            ServiceOp::Setsid => {
                let got = self.k.as_ref().unwrap().setsid();
                assert_eq!(got, self.model.setsid());
            }
            ServiceOp::Kill(a, n) => {
                let pid = self.any_pid(a);
                let got = self.k.as_ref().unwrap().kill(KillTarget::Proc(pid), signo(n));
                assert_eq!(got, self.model.kill(vec![pid], signo(n)));
            }
            ServiceOp::KillLwp(a, n) => {
                let lwps: Vec<_> = self.model.lwp_state.keys().copied().collect();
                let (pid, lid) = lwps[usize::from(a) % lwps.len()];
                let got = self.k.as_ref().unwrap().kill(KillTarget::Lwp(lid), signo(n));
                let before = self.model.procs[&pid].pending;
                assert_eq!(got, self.model.kill(vec![pid], signo(n)));
                self.model.procs.get_mut(&pid).unwrap().pending = before;
                if let (Ok(()), Some(signo)) = (got, Signo::new(signo(n))) {
                    let lwp = self.model.lwp_state.get_mut(&(pid, lid)).unwrap();
                    lwp.pending = lwp.pending.with(signo);
                }
            }
            ServiceOp::KillGroup(a, n) => {
                let (own, pid) = (a < 60, self.any_pid(a));
                let target = if own { KillTarget::OwnPgrp } else { KillTarget::Pgrp(pid) };
                let pgid = if own { self.model.procs[&self.model.curproc()].pgid } else { pid };
                let got = self.k.as_ref().unwrap().kill(target, signo(n));
                let members = self.model.members(pgid);
                assert_eq!(got, self.model.kill(members, signo(n)));
            }
            ServiceOp::KillAll(n) => {
                let got = self.k.as_ref().unwrap().kill(KillTarget::All, signo(n));
                let own = self.model.curproc();
                let others = self.model.procs.keys().copied().filter(|p| *p > Pid(1) && *p != own);
                let others = others.collect();
                assert_eq!(got, self.model.kill(others, signo(n)));
            }
            ServiceOp::Block(mask) => {
                let mask = SigSet::from_bits(mask);
                let got = self.k.as_mut().unwrap().set_blocked(mask);
                match self.model.lwp() {
                    None => assert_eq!(got, Err(MaskError::Implicit)),
                    Some(lwp) => {
                        assert_eq!(got, Ok(lwp.blocked));
                        lwp.blocked = mask.without(Signo::KILL).without(Signo::STOP);
                    }
                }
            }
            ServiceOp::Take => {
                let got = self.k.as_mut().unwrap().take_signal();
                let (own, procs) = self.model.takeable();
                assert_eq!(got, own.first().or(procs.first()));
                if let Some(signo) = own.first() {
                    let lwp = self.model.lwp().unwrap();
                    lwp.pending = lwp.pending.without(signo);
                } else if let Some(signo) = procs.first() {
                    let pid = self.model.curproc();
                    let proc = self.model.procs.get_mut(&pid).unwrap();
                    proc.pending = proc.pending.without(signo);
                }
            }
            ServiceOp::Exec(n) => {
                let comm = ["true", "false"][usize::from(n) % 2];
                let got = self.k.as_mut().unwrap().execnotify(comm);
                let pid = self.model.curproc();
                let proc = self.model.procs.get_mut(&pid).unwrap();
                let nlwps = proc.lwps.len() as u32;
                if !proc.draining {
                    assert_eq!(got, Err(ExecError::NotDraining));
                } else if nlwps > 1 {
                    assert_eq!(got, Err(ExecError::NotAlone { nlwps }));
                } else {
                    assert_eq!(got, Ok(()));
                    (proc.comm, proc.execed) = (comm.into(), true);
                    self.model_close_on_exec();
                    self.model.reopen();
                    self.model.tell(pid, TraceEvent::Exec { pid, comm: Comm::new(comm) });
                }
            }
            ServiceOp::ExitGroup(code) => {
                let status = ExitStatus::exited(code);
                let got = self.k.as_mut().unwrap().exit_group(status);
                let expected = self.model.release(Some(status));
                assert_eq!(got, expected);
                if got.is_ok() {
                    self.model.drain();
                    let pid = self.model.curproc();
                    let gone: BTreeSet<_> =
                        self.model.parked.iter().copied().filter(|at| at.0 == pid).collect();
                    self.model.parked.retain(|at| at.0 != pid);
                    gone.iter().for_each(|(pid, lid)| self.model.freelwp(*pid, *lid));
                    self.handles.retain(|h| !gone.contains(&(h.pid(), h.lid())));
                }
            }
            ServiceOp::SetProcData(n) => {
                let k = self.k.as_ref().unwrap();
                let old = k.set_proc_specific(self.keys.proc, self.keys.value(n)).unwrap();
                let pid = self.model.curproc();
                let data = self.model.procs.get_mut(&pid).unwrap().data.replace(n.into());
                assert_eq!(old.map(|value| value.0), data);
            }
            ServiceOp::SetLwpData(n) => {
                let value = self.keys.value(n);
                let got = self.k.as_mut().unwrap().set_lwp_specific(self.keys.lwp, value);
                match self.model.lwp() {
                    None => assert_eq!(got.err(), Some(SpecificError::NoLwp)),
                    Some(lwp) => {
                        let old = lwp.data.replace(n.into());
                        assert_eq!(got.unwrap().map(|value| value.0), old);
                    }
                }
            }
        }
    }

    pub fn check_services(&mut self) {
        let (own, procs) = self.model.takeable();
        let lwp = self.model.lwp().cloned().unwrap_or_default();
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        let proc = &model.procs[&model.curproc()];
        assert_eq!((k.pgid(), k.sid()), (proc.pgid, proc.sid));
        assert_eq!(k.pending(), lwp.pending | proc.pending);
        assert_eq!((k.blocked(), k.must_exit()), (lwp.blocked, lwp.must_exit));
        assert_eq!(k.has_pending(), !(own | procs).is_empty(), "the mark follows the sets");
        assert_eq!(k.proc_specific(self.keys.proc).map(|value| value.0), proc.data);
        assert_eq!(k.lwp_specific(self.keys.lwp).map(|value| value.0), lwp.data);
        let data = model.procs.values().filter(|p| p.data.is_some()).count()
            + model.lwp_state.values().filter(|l| l.data.is_some()).count();
        assert_eq!(self.keys.live(), data as isize, "dropped with what they are about");

        let guard = self.kernel.pin();
        let groups: BTreeSet<Pid> = model.procs.values().map(|p| p.pgid).collect();
        let seen: Vec<Pid> = self.kernel.pgrps(&guard).map(|group| group.id()).collect();
        assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), groups);
        assert_eq!(seen.len(), groups.len(), "a group seen twice");
        for group in self.kernel.pgrps(&guard) {
            let members: BTreeSet<Pid> = group.members().map(|p| p.pid()).collect();
            let own = model.procs.iter().filter(|(_, p)| p.pgid == group.id());
            assert_eq!(members, own.map(|(pid, _)| *pid).collect());
            let tied = |p: &ProcModel| {
                let parent = &model.procs[&p.ppid];
                !p.zombie && p.pgid == group.id() && parent.pgid != p.pgid && parent.sid == p.sid
            };
            assert_eq!(group.is_orphaned(), !model.procs.values().any(tied), "{}", group.id());
        }
    }
}
