//! The part of the model that is about signals.

use super::Driver;
use super::host::Raised;
use super::services::ServiceOp;
use super::state::{KILLED, Model};
use lwproc::*;
use std::collections::BTreeSet;

fn signo(n: u8) -> i32 {
    [0, 1, 9, 15, 17, 19, 30, 64, 65, -1][usize::from(n) % 10]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    ToOne,
    ToMany,
}

impl Model {
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
    /// With a lid it is for that LWP of the one process.
    fn kill(&mut self, pids: Vec<Pid>, lid: Option<Lid>, signo: i32) -> Result<(), KillError> {
        self.kill_as(Sent::ToOne, pids, lid, signo)
    }

    fn kill_as(
        &mut self,
        sent: Sent,
        pids: Vec<Pid>,
        lid: Option<Lid>,
        signo: i32,
    ) -> Result<(), KillError> {
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
        let alive = may.into_iter().filter(|pid| !self.procs[pid].zombie);
        if let Some(signo) = signo {
            alive.collect::<Vec<_>>().into_iter().for_each(|pid| self.post(sent, pid, lid, signo));
        }
        Ok(())
    }

    fn post(&mut self, sent: Sent, pid: Pid, lid: Option<Lid>, signo: Signo) {
        match self.settings.signals {
            SigModel::Ignore => {}
            SigModel::Raise => self.raised.push((Raised::ToHost, pid, signo.number())),
            SigModel::Panic => self.raised.push((Raised::Unhandled, pid, signo.number())),
            SigModel::Record => {
                let pending = match lid {
                    None => &mut self.procs.get_mut(&pid).unwrap().pending,
                    Some(lid) => &mut self.lwp_state.get_mut(&(pid, lid)).unwrap().pending,
                };
                *pending = pending.with(signo);
                let proc = self.procs.get_mut(&pid).unwrap();
                if pid > Pid(1) && (sent == Sent::ToMany || signo == Signo::KILL) {
                    proc.of_many = proc.of_many.with(signo);
                }
                if signo == Signo::KILL && pid > Pid(1) {
                    self.end_whole(pid, KILLED);
                }
            }
        }
    }

    /// A child gets what its parent was sent with many and has not taken.
    pub fn hand_signals_down(&mut self, parent: Pid, child: Pid) {
        let (of, mask) = (&self.procs[&parent], self.lwp_state[&(child, Lid(child.0))].blocked);
        let inherited = of.of_many & (of.pending - mask).with(Signo::KILL);
        inherited.iter().for_each(|signo| self.post(Sent::ToMany, child, None, signo));
    }

    fn are_members(&self, pgid: Pid, members: &[Pid]) -> bool {
        let own = self.procs.iter().filter(|(pid, p)| p.pgid == pgid && **pid > Pid(1));
        own.map(|(pid, _)| *pid).collect::<BTreeSet<_>>() == members.iter().copied().collect()
    }

    /// What the current LWP could take: its own, and the process's.
    pub fn takeable(&mut self) -> (SigSet, SigSet) {
        let blocked = self.lwp().map_or(SigSet::EMPTY, |lwp| lwp.blocked);
        let own = self.lwp().map_or(SigSet::EMPTY, |lwp| lwp.pending);
        (own - blocked, self.procs[&self.curproc()].pending - blocked)
    }
}

impl Driver<'_> {
    pub fn signal_step(&mut self, op: ServiceOp) {
        match op {
            ServiceOp::Kill(a, n) => {
                let pid = self.any_pid(a);
                let got = self.k.as_ref().unwrap().signals().kill(KillTarget::Proc(pid), signo(n));
                assert_eq!(got, self.model.kill(vec![pid], None, signo(n)));
            }
            ServiceOp::KillLwp(a, n) => {
                let lwps: Vec<_> = self.model.lwp_state.keys().copied().collect();
                let (pid, lid) = lwps[usize::from(a) % lwps.len()];
                let target =
                    if n < 128 { KillTarget::Lwp(lid) } else { KillTarget::LwpOf(pid, lid) };
                let got = self.k.as_ref().unwrap().signals().kill(target, signo(n));
                assert_eq!(got, self.model.kill(vec![pid], Some(lid), signo(n)));
            }
            ServiceOp::KillGroup(a, n) => {
                let (own, pid) = (a < 60, self.any_pid(a));
                let target = if own { KillTarget::OwnPgrp } else { KillTarget::Pgrp(pid) };
                let pgid = if own { self.model.procs[&self.model.curproc()].pgid } else { pid };
                // In the order in which they get it, which is that in which they end.
                let members: Vec<Pid> = self.kernel.pin().pgrp(pgid).map_or(vec![], |group| {
                    group.members().map(|proc| proc.pid()).filter(|pid| *pid > Pid(1)).collect()
                });
                assert!(self.model.are_members(pgid, &members));
                let got = self.k.as_ref().unwrap().signals().kill(target, signo(n));
                assert_eq!(got, self.model.kill_as(Sent::ToMany, members, None, signo(n)));
            }
            ServiceOp::KillAll(n) => {
                let own = self.model.curproc();
                let procs = self.kernel.pin();
                let others = procs.procs().map(|proc| proc.pid());
                let others = others.filter(|p| *p > Pid(1) && *p != own).collect();
                drop(procs);
                let got = self.k.as_ref().unwrap().signals().kill(KillTarget::All, signo(n));
                assert_eq!(got, self.model.kill_as(Sent::ToMany, others, None, signo(n)));
            }
            ServiceOp::Block(mask) => {
                let mask = SigSet::from_bits(mask);
                let got = self.k.as_mut().unwrap().signals().set_blocked(mask);
                match self.model.lwp() {
                    None => assert_eq!(got, Err(MaskError::Implicit)),
                    Some(lwp) => {
                        assert_eq!(got, Ok(lwp.blocked));
                        lwp.blocked = mask.without(Signo::KILL).without(Signo::STOP);
                    }
                }
            }
            ServiceOp::Take => {
                let got = self.k.as_mut().unwrap().signals().take();
                let (own, procs) = self.model.takeable();
                assert_eq!(got, own.first().or(procs.first()));
                if let Some(signo) = own.first() {
                    let lwp = self.model.lwp().unwrap();
                    lwp.pending = lwp.pending.without(signo);
                } else if let Some(signo) = procs.first() {
                    let pid = self.model.curproc();
                    let proc = self.model.procs.get_mut(&pid).unwrap();
                    proc.pending = proc.pending.without(signo);
                    if signo != Signo::KILL {
                        proc.of_many = proc.of_many.without(signo);
                    }
                }
            }
            other => unreachable!("{other:?}"),
        }
        self.forget_parked();
    }

    /// What was passed to the host. Each of a group gets it, in any order.
    pub fn check_signals(&mut self) {
        let mut raised = self.kernel.host().take_raised();
        let mut known = std::mem::take(&mut self.model.raised);
        raised.sort();
        known.sort();
        assert_eq!(raised, known);
    }
}
