//! The part of the model that is about groups, signals, draining and specific data.

use super::Driver;
use super::state::{LwpModel, Model, ProcModel};
use lwproc::*;
use std::collections::BTreeSet;

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

    pub fn drain(&mut self) {
        let (pid, own) = (self.curproc(), self.cur.map(|cur| cur.lid));
        let proc = self.procs.get_mut(&pid).unwrap();
        if std::mem::replace(&mut proc.draining, true) {
            return;
        }
        for ((_, lid), lwp) in self.lwp_state.range_mut((pid, Lid(0))..=(pid, Lid(i32::MAX))) {
            lwp.must_exit |= Some(*lid) != own;
        }
    }

    /// A process exits as a whole, and its parked LWPs go.
    pub fn end_whole(&mut self, pid: Pid, status: ExitStatus) {
        let proc = self.procs.get_mut(&pid).unwrap();
        if !proc.exiting {
            proc.status = status;
        }
        (proc.exiting, proc.said, proc.draining) = (true, true, true);
        for (_, lwp) in self.lwp_state.range_mut((pid, Lid(0))..=(pid, Lid(i32::MAX))) {
            lwp.must_exit = true;
        }
        let gone: Vec<_> = self.parked.iter().copied().filter(|at| at.0 == pid).collect();
        self.parked.retain(|at| at.0 != pid);
        gone.into_iter().for_each(|(pid, lid)| self.freelwp(pid, lid));
    }

    pub fn reopen(&mut self) {
        let pid = self.curproc();
        let proc = self.procs.get_mut(&pid).unwrap();
        if proc.exiting {
            return;
        }
        proc.draining = false;
        for (_, lwp) in self.lwp_state.range_mut((pid, Lid(0))..=(pid, Lid(i32::MAX))) {
            lwp.must_exit = false;
        }
    }
}

impl Driver<'_> {
    /// The handles of LWPs that are not parked any more.
    pub fn forget_parked(&mut self) {
        self.handles.retain(|h| self.model.parked.contains(&(h.pid(), h.lid())));
    }

    pub fn service_step(&mut self, op: ServiceOp) {
        match op {
            ServiceOp::Setpgid(a, b) => {
                // Also nobody, the caller itself, and nonsense.
                let odd = |n: u8| Pid([0, -1, i32::MAX][usize::from(n) % 3]);
                let pid = if a < 60 { odd(a) } else { self.any_pid(a) };
                let pgid = if b < 60 { odd(b) } else { self.any_pid(b) };
                let got = self.k.as_ref().unwrap().groups().setpgid(pid, pgid);
                assert_eq!(got, self.model.setpgid(pid, pgid), "setpgid({pid}, {pgid})");
            }
            ServiceOp::Setsid => {
                let got = self.k.as_ref().unwrap().groups().setsid();
                assert_eq!(got, self.model.setsid());
            }
            ServiceOp::Kill(..)
            | ServiceOp::KillLwp(..)
            | ServiceOp::KillGroup(..)
            | ServiceOp::KillAll(_)
            | ServiceOp::Block(_)
            | ServiceOp::Take => self.signal_step(op),
            ServiceOp::Exec(n) => {
                let comm = ["true", "false"][usize::from(n) % 2];
                let got = self.k.as_mut().unwrap().exec(comm);
                let pid = self.model.curproc();
                let limited = self.model.new_user_is_over_the_limit(pid);
                let proc = self.model.procs.get_mut(&pid).unwrap();
                let nlwps = proc.lwps.len() as u32;
                if proc.exiting {
                    assert_eq!(got, Err(ExecError::Exiting));
                } else if !proc.draining {
                    assert_eq!(got, Err(ExecError::NotDraining));
                } else if nlwps > 1 {
                    assert_eq!(got, Err(ExecError::NotAlone { nlwps }));
                } else if limited {
                    assert_eq!(got, Err(ExecError::Limit));
                } else {
                    assert_eq!(got, Ok(()));
                    (proc.comm, proc.execed, proc.new_user) = (comm.into(), true, false);
                    for ids in [&mut proc.cred.users, &mut proc.cred.groups] {
                        ids.saved = ids.effective;
                    }
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
                let pid = self.model.curproc();
                if got.is_ok() && pid > Pid(1) {
                    self.model.end_whole(pid, status);
                    self.forget_parked();
                }
            }
            ServiceOp::SetProcData(n) => self.set_proc_data(n),
            ServiceOp::SetLwpData(n) => self.set_lwp_data(n),
        }
    }

    pub fn check_services(&mut self) {
        let (own, procs) = self.model.takeable();
        let alone = self.model.lwp_state.keys().filter(|(pid, _)| *pid == self.model.curproc());
        let alone = alone.count() <= 1;
        let lwp = self.model.lwp().cloned().unwrap_or_default();
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        let proc = &model.procs[&model.curproc()];
        assert_eq!((k.groups().pgid(), k.groups().sid()), (proc.pgid, proc.sid));
        assert_eq!(k.signals().pending(), lwp.pending | proc.pending);
        assert_eq!((k.signals().blocked(), k.must_exit()), (lwp.blocked, lwp.must_exit));
        // Of the process's signals another LWP may have been told, and none that is to exit.
        let (marked, any) = (k.signals().has_pending(), !(own | procs).is_empty());
        let must = !own.is_empty() || (any && alone && !lwp.must_exit);
        assert!(any >= marked && marked >= must, "the mark follows the sets: {own:?} {procs:?}");
        let guard = self.kernel.pin();
        let groups: BTreeSet<Pid> = model.procs.values().map(|p| p.pgid).collect();
        let seen: Vec<Pid> = guard.pgrps().map(|group| group.id()).collect();
        assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), groups);
        assert_eq!(seen.len(), groups.len(), "a group seen twice");
        for group in guard.pgrps() {
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
