//! Sending and taking signals.

use super::Entered;
use super::view::view;
use crate::cred::Cred;
use crate::handles::proc::ProcHandle;
use crate::host::Host;
use crate::id::{Identity, Lid, Pid};
use crate::object::group::Pgrp;
use crate::object::kills::Whom;
use crate::object::node::{LwpNode, ProcNode};
use crate::object::table;
use crate::ops::creds;
use crate::ops::jobs;
use crate::ops::post::{Load, QueueFull, Recipient};
use crate::ops::{deathsig, kill};
use crate::pgrp;
use crate::policy::Difference;
use crate::reclaim::Pin;
use crate::signal::state::SigState;
use crate::signal::{
    ChildFlags, DeathSignalError, Disposition, DispositionError, KillError, QueueError, Signo,
};
use crate::world::World;
use crate::world::aftermath::Aftermath;

/// Whom a signal is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum KillTarget {
    /// The process with that pid, proc0 included: one of its LWPs takes the signal. A further
    /// LWP's number means its process by [Linux's rules](crate::Difference::LwpForProcess).
    Proc(Pid),
    /// Each process of that group, but for proc0 and init.
    Pgrp(Pid),
    /// Each process of the sender's group, itself included, but for proc0 and init.
    OwnPgrp,
    /// Each process of the session of that number, but for proc0 and init.
    Session(Pid),
    /// The process with that pid and all that descend from it, but for proc0 and init.
    Tree(Pid),
    /// Each process with that real uid, but for proc0 and init.
    User(u32),
    /// Each process but proc0, init and the sender's own.
    All,
    /// The LWP with that lid, whatever its process, and no other of that.
    Lwp(Lid),
    /// The same, if it is an LWP of that process (`tgkill`; `_lwp_kill` with one's own).
    LwpOf(Pid, Lid),
}

/// Whom a signal with a value is for: one, as there is one value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QueueTarget {
    /// As [`KillTarget::Proc`].
    Proc(Pid),
    /// As [`KillTarget::Lwp`].
    Lwp(Lid),
    /// As [`KillTarget::LwpOf`].
    LwpOf(Pid, Lid),
}

impl KillTarget {
    /// What the number given to `kill(2)` means: a process; 0 the sender's group; -1
    /// all; below that a group.
    pub fn from_raw(number: i32) -> Self {
        match number {
            1.. => Self::Proc(Pid(number)),
            0 => Self::OwnPgrp,
            -1 => Self::All,
            // The least number has no opposite, and names no group.
            group => Self::Pgrp(Pid(group.wrapping_neg())),
        }
    }
}

/// What became of a signal, over all that it was for.
struct Sending<'e, H: Host> {
    world: &'e World<H>,
    /// `None`: nothing is sent, and only the permission is asked for.
    signo: Option<Signo>,
    sender: &'e ProcNode<H>,
    cred: &'e Cred,
    pin: &'e Pin<'e>,
    /// For the first to whom something is sent.
    load: Load<H::SigValue>,
    sent: Result<(), QueueFull>,
    result: Result<(), KillError>,
    aftermath: Aftermath<H>,
}

impl<'e, H: Host> Sending<'e, H> {
    fn send(&mut self, to: &Recipient<'_, H>) {
        let asked = match to {
            Recipient::Lwp(_, lwp) => Some(*lwp),
            Recipient::Proc(_) => None,
        };
        self.send_if(to, asked);
    }

    /// The same, if the LWP that the number is of may be signalled.
    fn send_if(&mut self, to: &Recipient<'_, H>, asked: Option<&LwpNode<H>>) {
        let (Recipient::Proc(proc) | Recipient::Lwp(proc, _)) = to;
        if let Some(signo) = self.allowed(proc, asked) {
            let load = std::mem::replace(&mut self.load, Load::Nothing);
            self.sent = kill::send_with(self.world, to, signo, load, self.pin, &mut self.aftermath);
        }
    }

    /// Sends to the process or LWP that is meant, if it is there.
    fn send_to_one(&mut self, target: QueueTarget) {
        let (ids, pin) = (&self.world.ids, self.pin);
        let of_lwp = |lid| {
            let (lwp, _) = table::find_lwp(ids, lid, pin)?;
            Some((lwp.proc_pinned(pin), lwp))
        };
        let found = match target {
            QueueTarget::Proc(pid) => {
                let found = table::find(ids, pid, pin);
                if found.is_none()
                    && let Some(lwp) = self.world.further_lwp(pid, pin)
                {
                    return self.send_if(&Recipient::Proc(lwp.proc_pinned(pin)), Some(lwp));
                }
                found.map(|(proc, _)| Recipient::Proc(proc))
            }
            QueueTarget::Lwp(lid) => of_lwp(lid).map(|(proc, lwp)| Recipient::Lwp(proc, lwp)),
            QueueTarget::LwpOf(pid, lid) => of_lwp(lid)
                .filter(|(proc, _)| proc.pid() == pid)
                .map(|(proc, lwp)| Recipient::Lwp(proc, lwp)),
        };
        if let Some(to) = found {
            self.send(&to);
        }
    }

    /// Sends to those of many that are there, and no fork of theirs escapes. They are looked
    /// for when it has been noted.
    fn send_to_many<I>(&mut self, whom: Whom, all: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = &'e ProcNode<H>>,
    {
        let sender = || Some(kill::sender(self.sender, self.cred, self.pin));
        let under_way =
            self.signo.and_then(|signo| jobs::note(self.world, signo, whom, sender, self.pin));
        for proc in all().into_iter().filter(|proc| kill::is_ordinary(proc)) {
            if let Some(signo) = self.allowed(proc, None) {
                let aftermath = &mut self.aftermath;
                kill::send_to_one_of_many(self.world, proc, signo, self.pin, aftermath);
            }
        }
        drop(under_way);
    }

    fn send_to_group(&mut self, group: &'e Pgrp) {
        let (world, pin) = (self.world, self.pin);
        let members = || pgrp::members(&world.ids, group, pin).map(|(proc, _)| proc);
        self.send_to_many(Whom::Group(group.id()), members);
    }

    /// What may be sent to a process, or to that LWP of it, if anything is to be.
    fn allowed(&mut self, proc: &ProcNode<H>, lwp: Option<&LwpNode<H>>) -> Option<Signo> {
        let rules = self.world.rules;
        // None has been reaped meanwhile.
        let cred = match lwp {
            Some(lwp) => creds::of_lwp(rules, lwp, self.pin)?,
            None => proc.resources.cred.get(self.pin)?,
        };
        let in_one_session = || {
            let [a, b] = [self.sender, proc].map(|proc| kill::session_of(proc, self.pin));
            a.is_some() && a == b
        };
        if std::ptr::eq(self.sender, proc)
            || kill::may_signal(self.world, &self.cred.users(), cred, self.signo, in_one_session)
        {
            self.result = Ok(());
            return self.signo;
        }
        if self.result == Err(KillError::NoSuchProcess) {
            self.result = Err(KillError::NotPermitted);
        }
        None
    }
}

fn processes<'g, H: Host>(
    world: &'g World<H>,
    pin: &'g Pin<'_>,
) -> impl Iterator<Item = &'g ProcNode<H>> {
    table::all(&world.ids, pin)
}

view! {
    /// Signals, as the current process sends them and the current LWP takes them. In an
    /// implicit context that is init, and there is no LWP and no mask.
    ///
    /// ```
    /// use lwproc::{Kernel, KillTarget, Rfork, SigModel, SigSet, Signo};
    ///
    /// let kernel = Kernel::builder().signal_model(SigModel::Record).build()?;
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// k.signals().set_blocked(SigSet::from(Signo::INT))?;
    /// k.signals().kill(KillTarget::Proc(k.pid()), 2)?;
    /// assert_eq!(k.signals().take(), None);
    /// k.signals().set_blocked(SigSet::EMPTY)?;
    /// assert_eq!(k.signals().take(), Some(Signo::INT));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Signals
}

impl<'e, H: Host> Signals<'e, H> {
    pub(super) fn entered(self) -> &'e Entered<'e, H> {
        self.0
    }
}

impl<H: Host> Entered<'_, H> {
    /// The signals of the current process and LWP.
    #[inline]
    pub fn signals(&self) -> Signals<'_, H> {
        Signals(self)
    }

    /// Sends to the process of a handle, as [`Signals::kill`].
    pub(crate) fn kill_by_handle(&self, proc: &ProcHandle<H>, signo: i32) -> Result<(), KillError> {
        if !std::ptr::eq(proc.anchor().world(), self.seat.world()) {
            return Err(KillError::WrongKernel);
        }
        let to = Recipient::Proc(proc.node());
        self.send(signo, Load::Nothing, |sending| sending.send(&to)).map(drop)
    }

    /// Sends to the group of that identity, if it is there, as the current process.
    pub(super) fn kill_group(&self, id: Identity, signo: Signo) -> Result<(), KillError> {
        let sent = self.send(signo.number().into(), Load::Nothing, |sending| {
            let found = pgrp::find(&sending.world.ids, id.pid(), sending.pin);
            if let Some((group, _)) = found.filter(|(group, _)| group.id() == id) {
                sending.send_to_group(group);
            }
        });
        sent.map(drop)
    }

    /// Sends a signal as the current process, to whom `address` says; what became of the load.
    fn send(
        &self,
        signo: i32,
        load: Load<H::SigValue>,
        address: impl FnOnce(&mut Sending<'_, H>),
    ) -> Result<Result<(), QueueFull>, KillError> {
        let looks_first = self.seat.world().rules.is_linux(Difference::BadSignalForNobody);
        let (signo, refused) = match (signo, Signo::new(signo)) {
            (0, _) => (None, None),
            (_, Some(signo)) => (Some(signo), None),
            (signo, None) => (None, Some(KillError::BadSignal { signo })),
        };
        if let Some(bad) = refused.filter(|_| !looks_first) {
            return Err(bad);
        }
        let mut sending = Sending {
            world: self.seat.world(),
            signo,
            sender: self.proc(),
            cred: self.cred(),
            pin: &self.seat.pin(),
            load,
            sent: Ok(()),
            result: Err(KillError::NoSuchProcess),
            aftermath: Aftermath::none(),
        };
        address(&mut sending);
        // What was not sent is dropped.
        let Sending { result, sent, load, mut aftermath, .. } = sending;
        aftermath.run(|| drop(load));
        aftermath.settle();
        match refused {
            Some(bad) if result != Err(KillError::NoSuchProcess) => Err(bad),
            _ => result.map(|()| sent),
        }
    }
}

impl<H: Host> Signals<'_, H> {
    /// Sends a signal as the current process. 0 sends nothing, and asks whether one
    /// could be sent. What it does is a matter of the kernel's
    /// [`SigModel`](crate::SigModel); the errors are the same with all.
    ///
    /// A sender may signal a process whose real or saved uid is the sender's real or
    /// effective one; with effective uid 0 every process; its own; and with SIGCONT
    /// each of its session. To signal a zombie succeeds without effect. With
    /// several processes meant, it is enough that one may be signalled.
    ///
    /// Of many processes (a group, a session, a tree, all of a user, all) none escapes that
    /// is there when the call begins, and no child that is being made and will be one: and
    /// the child of one that has the signal and has not taken it gets it too, whatever it
    /// is, unless it blocks it.
    /// One that is made while the call runs may get it twice.
    ///
    /// Of a signal for a process one LWP is told, which does not block it: by the
    /// [rules](crate::Difference::Receiver) its newest or its first. If that one sleeps, its sleep
    /// is interrupted. Any LWP may take the signal; if the one that was told ends, or is parked, or
    /// blocks it before anybody does, another is told.
    ///
    /// SIGKILL, where signals are [recorded](crate::SigModel::Record), also ends a process
    /// as a whole, as [`ProcHandle::end`] with "killed by 9": nobody need take it. proc0 and
    /// init are exempt.
    ///
    /// Lock-free but for the host, what sleeping LWPs
    /// [sleep with](Entered::sleep_with), and the LWPs that SIGKILL ends; O(LWPs) for a
    /// process, O(ids) for a group or all. If one of those panics, the others get the signal all the same, and
    /// then the first panic goes on.
    ///
    /// # Errors
    /// [`KillError::BadSignal`] (EINVAL), [`KillError::NoSuchProcess`] (ESRCH),
    /// [`KillError::NotPermitted`] (EPERM).
    pub fn kill(self, target: KillTarget, signo: i32) -> Result<(), KillError> {
        let sent = self.0.send(signo, Load::Nothing, |sending| {
            let (world, pin, own) = (sending.world, sending.pin, sending.sender);
            match target {
                KillTarget::Proc(pid) => sending.send_to_one(QueueTarget::Proc(pid)),
                KillTarget::Lwp(lid) => sending.send_to_one(QueueTarget::Lwp(lid)),
                KillTarget::LwpOf(pid, lid) => {
                    sending.send_to_one(QueueTarget::LwpOf(pid, lid));
                }
                KillTarget::All => {
                    let others = || processes(world, pin).filter(|proc| !std::ptr::eq(*proc, own));
                    sending.send_to_many(Whom::All, others);
                    let is_done = world.rules.is_linux(Difference::KillOfNobody);
                    if is_done && sending.result == Err(KillError::NotPermitted) {
                        sending.result = Ok(());
                    }
                }
                KillTarget::Session(sid) => {
                    let is_in = |proc: &&ProcNode<H>| {
                        kill::session_of(proc, pin).is_some_and(|id| id.pid() == sid)
                    };
                    let all = || processes(world, pin).filter(is_in);
                    sending.send_to_many(Whom::Session(sid), all);
                }
                KillTarget::User(uid) => {
                    let is_of = |proc: &&ProcNode<H>| kill::real_user_of(proc, pin) == Some(uid);
                    let all = || processes(world, pin).filter(is_of);
                    sending.send_to_many(Whom::User(uid), all);
                }
                KillTarget::Tree(pid) => {
                    if let Some((root, _)) = table::find(&world.ids, pid, pin) {
                        let all = || kill::tree(world, root, pin);
                        sending.send_to_many(Whom::Tree(root.id), all);
                    }
                }
                KillTarget::Pgrp(pgid) => {
                    if let Some((group, _)) = pgrp::find(&world.ids, pgid, pin) {
                        sending.send_to_group(group);
                    }
                }
                KillTarget::OwnPgrp => {
                    if let Some(group) = pgrp::group_of(own, pin) {
                        sending.send_to_group(group);
                    }
                }
            }
        });
        sent.map(drop)
    }

    /// Sends a signal with a value, as the current process (`sigqueue`,
    /// `rt_tgsigqueueinfo`); who takes it by [`Signals::take_info`] has the value. 0 sends
    /// nothing, and asks. The permission is that of [`Signals::kill`].
    ///
    /// Where signals are [recorded](crate::SigModel::Record): from SIGRTMIN on (33 to 63, by
    /// [`Rules::LINUX`](crate::Rules::LINUX) 32 to 64) each is kept that is sent, also by a
    /// kill, which has no value; they are taken in the order of sending. Of any other number
    /// one is pending at a time: it has the value of the first send, or none. (A send with a
    /// value and one without, of one such number at the same moment, may both be taken.)
    ///
    /// The value is dropped by who takes the signal, by who discards it, at the end of the LWP
    /// or process, and here when it is not sent. SIGKILL comes without, and so does what
    /// [the kernel stops and continues processes](crate::JobControl::Kernel) by.
    ///
    /// Lock-free but for the allocator, and as [`Signals::kill`]; O(what is queued for the
    /// process).
    ///
    /// # Errors
    /// As [`Signals::kill`]; [`QueueError::Full`] (EAGAIN), from SIGRTMIN on: beyond
    /// [the most](crate::Builder::max_queued_signals). What others send beyond it is pending
    /// once, and without its value.
    // POSIX: `sigqueue`; Linux: `__send_signal_locked`.
    #[doc(alias = "sigqueue")]
    pub fn queue(
        self,
        target: QueueTarget,
        signo: i32,
        value: H::SigValue,
    ) -> Result<(), QueueError> {
        let sent = self.0.send(signo, Load::Value(value), |sending| sending.send_to_one(target))?;
        sent.map_err(|QueueFull| QueueError::Full)
    }

    /// What the current process does with a signal. Wait-free.
    ///
    /// # Errors
    /// As [`Signals::set_disposition`].
    pub fn disposition(self, signo: i32) -> Result<Disposition, DispositionError> {
        Ok(self.0.proc().disposition(self.disposable(signo)?))
    }

    /// Says what the current process does with a signal; what it did before. A child does
    /// as its parent, and another program catches nothing
    /// ([`exec`](Entered::exec)). What becomes ignored is discarded, be it pending.
    /// Lock-free; O(LWPs) then.
    ///
    /// # Errors
    /// [`DispositionError::BadSignal`] (EINVAL): SIGKILL and SIGSTOP do what they do.
    /// [`DispositionError::NotKept`] (ENOSYS), unless the [rules](crate::Rules) have
    /// [`JobControl::Kernel`](crate::JobControl::Kernel).
    pub fn set_disposition(
        self,
        signo: i32,
        new: Disposition,
    ) -> Result<Disposition, DispositionError> {
        let signo = self.disposable(signo)?;
        let before = self.0.proc().signals.get_or_init(SigState::new).dispositions.set(signo, new);
        let (world, pin) = (self.0.seat.world(), self.0.seat.pin());
        Aftermath::collect(|aftermath| {
            jobs::disposed(world, self.0.proc(), signo, &pin, aftermath);
        });
        Ok(before)
    }

    /// What the current process says of its children. Wait-free.
    pub fn child_flags(self) -> ChildFlags {
        self.0.proc().signals.get().map_or(ChildFlags::NONE, |all| all.dispositions.of_children())
    }

    /// Says of the current process's children whether they leave zombies, and whether it is
    /// sent SIGCHLD when they stop or go on; what was said before. A child says the same of
    /// its own; another program nothing ([`exec`](Entered::exec)). Wait-free but for the
    /// allocator the first time.
    ///
    /// # Errors
    /// [`DispositionError::NotKept`] (ENOSYS), as [`Signals::set_disposition`].
    // POSIX: SA_NOCLDWAIT, SA_NOCLDSTOP. Linux's exec clears all flags; NetBSD's these two.
    #[doc(alias = "SA_NOCLDWAIT")]
    #[doc(alias = "SA_NOCLDSTOP")]
    pub fn set_child_flags(self, new: ChildFlags) -> Result<ChildFlags, DispositionError> {
        if !jobs::kept(self.0.seat.world()) {
            return Err(DispositionError::NotKept);
        }
        let signals = self.0.proc().signals.get_or_init(SigState::new);
        Ok(signals.dispositions.set_of_children(new))
    }

    /// What the current process is sent when its parent ends, as the current LWP has asked;
    /// nothing in an implicit context. Wait-free.
    #[doc(alias = "PR_GET_PDEATHSIG")]
    pub fn death_signal(self) -> Option<Signo> {
        self.0.node().and_then(LwpNode::death_signal)
    }

    /// Has the current process sent a signal when its parent ends: the LWP that made it, and
    /// then again the one that inherits it from that. What it was. Each LWP of the
    /// process asks for itself, and a new one for nothing. It is sent with the rights of the
    /// parent's user, after the child has another parent: who still sees the old one as its
    /// parent afterwards is sent it. A change of the LWP's
    /// effective ids ends it, and so does an exec with effective ids that are not the real
    /// ones. (Linux.) Wait-free.
    ///
    /// # Errors
    /// [`DeathSignalError::Implicit`] (EINVAL).
    #[doc(alias = "PR_SET_PDEATHSIG")]
    pub fn set_death_signal(self, signo: Option<Signo>) -> Result<Option<Signo>, DeathSignalError> {
        let node = self.0.node().ok_or(DeathSignalError::Implicit)?;
        Ok(deathsig::ask(self.0.seat.world(), node, signo))
    }

    fn disposable(self, signo: i32) -> Result<Signo, DispositionError> {
        let world = self.0.seat.world();
        if !jobs::kept(world) {
            return Err(DispositionError::NotKept);
        }
        let untouchable = world.rules.numbers.untouchable();
        let known = Signo::new(signo).filter(|known| !untouchable.contains(*known));
        known.ok_or(DispositionError::BadSignal { signo })
    }
}
