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
use crate::ops::jobs::{self, Left};
use crate::ops::post::{self, Recipient};
use crate::ops::{deathsig, kill};
use crate::pgrp;
use crate::policy::Difference;
use crate::reclaim::Pin;
use crate::signal::dispositions::Dispositions;
use crate::signal::{
    ChildFlags, DeathSignalError, Disposition, DispositionError, KillError, MaskError, SigSet,
    Signo,
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
    result: Result<(), KillError>,
    aftermath: Aftermath<H>,
}

impl<'e, H: Host> Sending<'e, H> {
    fn send(&mut self, to: &Recipient<'_, H>) {
        let (Recipient::Proc(proc) | Recipient::Lwp(proc, _)) = to;
        if let Some(signo) = self.allowed(proc) {
            kill::send(self.world, to, signo, self.pin, &mut self.aftermath);
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
            if let Some(signo) = self.allowed(proc) {
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

    /// What may be sent to a process, if anything is to be.
    fn allowed(&mut self, proc: &ProcNode<H>) -> Option<Signo> {
        // None has been reaped meanwhile.
        let cred = proc.resources.cred.get(self.pin)?;
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
        self.send(signo, |sending| sending.send(&Recipient::Proc(proc.node())))
    }

    /// Sends to the group of that identity, if it is there, as the current process.
    pub(super) fn kill_group(&self, id: Identity, signo: Signo) -> Result<(), KillError> {
        self.send(signo.number().into(), |sending| {
            let found = pgrp::find(&sending.world.ids, id.pid(), sending.pin);
            if let Some((group, _)) = found.filter(|(group, _)| group.id() == id) {
                sending.send_to_group(group);
            }
        })
    }

    /// Sends a signal as the current process, to whom `address` says.
    fn send(&self, signo: i32, address: impl FnOnce(&mut Sending<'_, H>)) -> Result<(), KillError> {
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
            result: Err(KillError::NoSuchProcess),
            aftermath: Aftermath::none(),
        };
        address(&mut sending);
        let Sending { result, aftermath, .. } = sending;
        aftermath.settle();
        match refused {
            Some(bad) if result != Err(KillError::NoSuchProcess) => Err(bad),
            _ => result,
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
    /// One that is made while the call runs may get it twice. A signal for a process wakes each of
    /// its LWPs that sleeps and does not block it; one of them takes it, and the others
    /// find none.
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
        self.0.send(signo, |sending| {
            let (world, pin, own) = (sending.world, sending.pin, sending.sender);
            match target {
                KillTarget::Proc(pid) => {
                    let found = table::find(&world.ids, pid, pin).map(|(proc, _)| proc);
                    if let Some(proc) = found.or_else(|| world.process_of_lwp(pid, pin)) {
                        sending.send(&Recipient::Proc(proc));
                    }
                }
                KillTarget::Lwp(lid) => {
                    if let Some((lwp, _)) = table::find_lwp(&world.ids, lid, pin) {
                        sending.send(&Recipient::Lwp(lwp.proc_pinned(pin), lwp));
                    }
                }
                KillTarget::LwpOf(pid, lid) => {
                    let found = table::find_lwp(&world.ids, lid, pin);
                    let found = found.map(|(lwp, _)| (lwp.proc_pinned(pin), lwp));
                    if let Some((proc, lwp)) = found.filter(|(proc, _)| proc.pid() == pid) {
                        sending.send(&Recipient::Lwp(proc, lwp));
                    }
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
        })
    }

    /// The signals pending for the current LWP, blocked or not: its own and its
    /// process's. Wait-free.
    pub fn pending(self) -> SigSet {
        let own = self.0.node().map_or(SigSet::EMPTY, |node| post::pending(&node.pending));
        own | post::of_proc(self.0.proc())
    }

    /// The signals that the current LWP blocks; none in an implicit context. Wait-free.
    pub fn blocked(self) -> SigSet {
        self.0.node().map_or(SigSet::EMPTY, post::blocked)
    }

    /// Replaces the current LWP's mask; the one before. SIGKILL and SIGSTOP are never
    /// blocked. A new LWP blocks what the one does that made it, in its process or by a fork;
    /// nothing, if others made it. Wait-free.
    ///
    /// # Errors
    /// [`MaskError::Implicit`] (EINVAL): an implicit context has no mask.
    pub fn set_blocked(self, mask: SigSet) -> Result<SigSet, MaskError> {
        let node = self.0.node().ok_or(MaskError::Implicit)?;
        let before = post::blocked(node);
        let untouchable = self.0.seat.world().rules.numbers.untouchable();
        post::set_blocked(node, self.0.proc(), mask - untouchable);
        Ok(before)
    }

    /// Takes a pending signal that is not blocked: the lowest-numbered one of the LWP's
    /// own, or else of the process's. Of several LWPs that take at once, exactly one
    /// gets a signal of the process, and it sees what the sender did before. `None`
    /// when there is none. Lock-free, but where the kernel
    /// [stops processes](crate::JobControl::Kernel): then it **blocks** while the process is
    /// stopped, or is `None` in a [scope](crate::Scope), which stops after the poll.
    #[doc(alias = "take_signal")]
    pub fn take(self) -> Option<Signo> {
        let (k, world) = (self.0, self.0.seat.world());
        if !jobs::kept(world) {
            return post::take(k.node(), k.proc());
        }
        loop {
            if k.cx.ground().is_none() {
                k.stop_by_the_way();
            } else if k.is_stopped() {
                // The scope stops when its poll has ended.
                return None;
            }
            let since = k.proc().jobs.load();
            let signo = post::take(k.node(), k.proc())?;
            let mut left = Left::Nothing;
            Aftermath::collect(|aftermath| {
                left = jobs::taken(world, k.proc(), signo, since, &k.seat.pin(), aftermath);
            });
            if left == Left::Post {
                return Some(signo);
            }
        }
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
        let before = self.0.proc().dispositions.get_or_init(Dispositions::new).set(signo, new);
        jobs::disposed(self.0.seat.world(), self.0.proc(), signo, &self.0.seat.pin());
        Ok(before)
    }

    /// What the current process says of its children. Wait-free.
    pub fn child_flags(self) -> ChildFlags {
        self.0.proc().dispositions.get().map_or(ChildFlags::NONE, |all| all.of_children())
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
        let dispositions = self.0.proc().dispositions.get_or_init(Dispositions::new);
        Ok(dispositions.set_of_children(new))
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

    /// Whether there may be something to take: the mark `LW_PENDSIG`. It is set when
    /// there is; now and then also when another LWP has just taken the signal, or it has just
    /// been blocked. Wait-free; one load.
    // Seed: S504-S512, S516.
    #[inline]
    pub fn has_pending(self) -> bool {
        match self.0.node() {
            Some(node) => node.word.load().has_signals(),
            None => !post::of_proc(self.0.proc()).is_empty(),
        }
    }
}
