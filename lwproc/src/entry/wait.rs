//! Waiting for children.
#![allow(unsafe_code)]

use super::Entered;
use super::sleep::Interrupted;
use super::wait_for::{ChildEvent, ChildKind, Then, WaitEvents, WaitFor, WaitTarget, Whose};
use crate::error::WaitError;
use crate::family::{self, Child, Maker};
use crate::handles::proc::ProcHandle;
use crate::host::{Host, ThreadHost};
use crate::id::Pid;
use crate::object::job_word::Notice;
use crate::object::node::{LwpNode, ProcNode, ProcPtr};
use crate::object::status::ExitStatus;
use crate::ops::death;
use crate::pgrp;
use crate::reclaim::{Managed, Pin};
use crate::usage::Usage;
use crate::waitq::WaitQueue;
use crate::world::aftermath::Aftermath;
use crate::world::clock::Deadline;
use crate::world::config::Part;
use std::fmt;

impl From<Interrupted> for WaitError {
    fn from(why: Interrupted) -> Self {
        match why {
            Interrupted::TimedOut => Self::TimedOut,
            _ => Self::Interrupted,
        }
    }
}

/// A child of which a wait has found something: that it has ended, unless the wait was for
/// other [events](WaitTarget::events).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Reaped {
    /// Its pid. Unless the wait [only peeked](WaitTarget::peek), it may be reissued from
    /// now on.
    pub pid: Pid,
    /// What was found.
    pub event: ChildEvent,
    /// How it ended; what it would end with, if it lives.
    pub status: ExitStatus,
    /// What it used, and the children it had waited for.
    pub usage: Usage,
}

/// The right to reap one zombie: a reaping that can be undone. Other waits do not get the
/// child meanwhile. Dropping it gives the right back: the child is a zombie again, and those
/// that wait for it are woken.
#[must_use = "dropping it leaves the zombie as it was"]
pub struct Zombie<'e, H: Host = ThreadHost> {
    entered: &'e Entered<'e, H>,
    child: ProcPtr<H>,
}

/// How a child has ended, whose edge the caller saw say so.
fn end_of<H: Host>(child: &ProcNode<H>, pid: Pid) -> Reaped {
    let usage = child.resources.usage_at_end();
    // Relaxed: read through the Acquire of the edge [P13].
    let status = child.word.load().status();
    Reaped { pid, event: ChildEvent::Ended, status, usage }
}

impl Reaped {
    /// The status word of `wait(2)`: what `WIFEXITED`, `WIFSIGNALED`, `WIFSTOPPED` and
    /// `WIFCONTINUED` of Linux and NetBSD look at.
    pub const fn as_wait_status(&self) -> i32 {
        match self.event {
            ChildEvent::Ended => self.status.as_wait_status(),
            ChildEvent::Stopped(signo) => (signo.number() as i32) << 8 | 0x7f,
            ChildEvent::Continued => 0xffff,
        }
    }
}

/// Which children a wait means.
struct Meant<'e, H: Host> {
    entered: &'e Entered<'e, H>,
    pin: &'e Pin<'e>,
    /// The only one, if it is that.
    pid: Option<Pid>,
    /// The group in which they are, if that matters.
    group: Option<Pid>,
    kind: ChildKind,
    /// The LWP whose they are, if that matters.
    maker: Option<Maker>,
}

impl<'e, H: Host> Meant<'e, H> {
    fn new(entered: &'e Entered<'e, H>, what: WaitFor, pin: &'e Pin<'e>) -> Self {
        let (pid, group) = match what.target {
            WaitTarget::Any => (None, None),
            WaitTarget::Pgrp(pgid) => (None, Some(pgid)),
            WaitTarget::OwnPgrp => (None, entered.own_pgid()),
            WaitTarget::Pid(pid) => (Some(pid), None),
        };
        let own = || Maker::of(entered.proc(), entered.node().map(LwpNode::serial), pin);
        let maker = (what.whose == Whose::ThisLwp).then(own);
        Self { entered, pin, pid, group, kind: what.kind, maker }
    }

    fn has(&self, child: &Child<'_, H>) -> bool {
        let group_of = || pgrp::group_of(child.node, self.pin).map(|its| its.id().pid());
        let kin = child.kin(self.pin);
        (self.group.is_none() || group_of() == self.group)
            && self.kind.has(kin.exit_signal)
            && self.maker.is_none_or(|maker| maker.has(kin, self.entered.proc(), self.pin))
    }

    /// The only one that is meant.
    fn child(&self, pid: Pid) -> Option<Child<'_, H>> {
        let ids = &self.entered.seat.world().ids;
        let child = family::child(ids, self.entered.proc_ptr(), pid, self.pin);
        child.filter(|child| self.has(child))
    }

    /// All that are meant, when there may be several.
    fn children(&self) -> impl Iterator<Item = Child<'_, H>> {
        let ids = &self.entered.seat.world().ids;
        family::children(ids, self.entered.proc(), self.pin).filter(|child| self.has(child))
    }

    /// Whether there is any.
    fn is_any(&self) -> bool {
        let world = self.entered.seat.world();
        let has_all_kinds = match self.kind {
            ChildKind::Ordinary => !world.config.is_touched(Part::CloneChildren),
            ChildKind::Clone => false,
            ChildKind::Any => true,
        };
        if has_all_kinds && self.group.is_none() && self.maker.is_none() {
            return family::has_children(self.entered.proc());
        }
        self.children().next().is_some()
    }
}

/// What a wait has found.
pub(crate) enum Found<'e, H: Host> {
    /// To be reaped when the wait is over.
    Claimed(Zombie<'e, H>),
    Seen(Reaped),
}

impl<H: Host> Found<'_, H> {
    pub(crate) fn settle(self) -> Reaped {
        match self {
            Self::Claimed(zombie) => zombie.reap(),
            Self::Seen(child) => child,
        }
    }
}

impl<H: Host> Zombie<'_, H> {
    fn node(&self) -> &ProcNode<H> {
        // SAFETY: in the table until the holder of the claim reaps it.
        unsafe { Managed::deref_counted(self.child) }
    }

    /// The child's pid.
    pub fn pid(&self) -> Pid {
        self.entered.numbering().pid(self.node())
    }

    /// How it ended.
    pub fn status(&self) -> ExitStatus {
        // Relaxed: read through the Acquire of the edge [P13] that was claimed.
        self.node().word.load().status()
    }

    /// Reaps it. What it used is added to the parent's
    /// [children's use](crate::Resources::children_usage). Lock-free, but for the allocator
    /// the first time.
    pub fn reap(self) -> Reaped {
        let this = std::mem::ManuallyDrop::new(self);
        let reaped = end_of(this.node(), this.pid());
        if reaped.usage != Usage::default() {
            this.entered.proc().resources.stats_mut().add_children(reaped.usage);
        }
        let seat = &this.entered.seat;
        // SAFETY: this value is the right to.
        let reap = |aftermath: &mut Aftermath<H>| unsafe {
            death::reap_zombie(seat.world(), seat.me(), this.child, &seat.pin(), aftermath);
        };
        Aftermath::collect(reap);
        reaped
    }
}

impl<H: Host> Drop for Zombie<'_, H> {
    fn drop(&mut self) {
        family::unclaim(self.node());
        WaitQueue::wake_all_of([&self.entered.proc().waiters, &self.node().waiters]);
    }
}

impl<H: Host> fmt::Debug for Zombie<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zombie({} {})", self.pid(), self.status())
    }
}

impl<H: Host> Entered<'_, H> {
    /// Takes the right to reap a child of the current process that has ended;
    /// `None` when none has yet; of several, one that POSIX leaves open: here the one that
    /// ended last. Exactly one caller gets each zombie; proc0, and init unless it
    /// [waits](crate::Builder::init_waits), whose children are reaped for them, never do.
    /// Whoever only wants to look [peeks](WaitTarget::peek): a claim is for an end, and takes
    /// it. Lock-free; O(zombies), for [`WaitTarget::Pid`] O(1); of a group or a
    /// [kind](WaitFor::kind), O(children) when none of it has ended.
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD).
    pub fn claim_zombie(
        &self,
        what: impl Into<WaitFor>,
    ) -> Result<Option<Zombie<'_, H>>, WaitError> {
        self.claim(self.start_of_wait(what.into()))
    }

    /// The same, by the kernel's numbers.
    fn claim(&self, what: WaitFor) -> Result<Option<Zombie<'_, H>>, WaitError> {
        self.find_ended(what, |child| {
            let claimed = child.is_zombie().then(|| child.claim()).flatten();
            claimed.map(|()| Zombie { entered: self, child: child.ptr })
        })
    }

    /// The first ended child of which `take` makes something.
    fn find_ended<R>(
        &self,
        what: WaitFor,
        take: impl Fn(&Child<'_, H>) -> Option<R>,
    ) -> Result<Option<R>, WaitError> {
        let pin = self.seat.pin();
        // Where children are reaped by whoever ended them, a claim
        // that comes between and is given back would leave them to nobody.
        let takes = !self.proc().reaps_by_itself();
        let take = |child: &Child<'_, H>| if takes { take(child) } else { None };
        let meant = Meant::new(self, what, &pin);
        if let Some(pid) = meant.pid {
            return meant.child(pid).map(|child| take(&child)).ok_or(WaitError::NoChild);
        }
        let ended = family::ended_children(&self.seat.world().ids, self.proc(), &pin);
        if let Some(found) = ended.filter(|child| meant.has(child)).find_map(|child| take(&child)) {
            return Ok(Some(found));
        }
        // One that another LWP is about to reap is a child still.
        if meant.is_any() { Ok(None) } else { Err(WaitError::NoChild) }
    }

    /// What a wait finds now, by the kernel's numbers, which is to be [settled](Found::settle).
    pub(crate) fn find(&self, what: WaitFor) -> Result<Option<Found<'_, H>>, WaitError> {
        if what.events.has(WaitEvents::EXITED) {
            let ended = match what.then {
                Then::Reap => self.claim(what)?.map(Found::Claimed),
                Then::Keep => self.find_ended(what, |child| {
                    let pid = || self.numbering().pid(child.node);
                    child.has_ended().then(|| Found::Seen(end_of(child.node, pid())))
                })?,
            };
            if ended.is_some() || what.events == WaitEvents::EXITED {
                return Ok(ended);
            }
        }
        self.find_notice(what)
    }

    /// A child that has stopped, or goes on. O(children); for [`WaitTarget::Pid`] O(1).
    fn find_notice(&self, what: WaitFor) -> Result<Option<Found<'_, H>>, WaitError> {
        let pin = self.seat.pin();
        let taken = |child: &Child<'_, H>| {
            let (notice, event, events) = match child.node.notice()? {
                it @ Notice::Stopped(by) => (it, ChildEvent::Stopped(by), WaitEvents::STOPPED),
                it @ Notice::Continued => (it, ChildEvent::Continued, WaitEvents::CONTINUED),
            };
            let takes = || what.then == Then::Keep || child.node.jobs.take_notice(notice);
            let usage = || child.node.resources.usage_at_end();
            (what.events.has(events) && takes()).then(|| Reaped {
                pid: self.numbering().pid(child.node),
                event,
                status: child.node.word.load().status(),
                usage: usage(),
            })
        };
        // One that has ended is a child for who waits for ends.
        let counts =
            |child: &Child<'_, H>| what.events.has(WaitEvents::EXITED) || !child.has_ended();
        let meant = Meant::new(self, what, &pin);
        if let Some(pid) = meant.pid {
            let child = meant.child(pid).filter(counts);
            return child.map(|child| taken(&child).map(Found::Seen)).ok_or(WaitError::NoChild);
        }
        let mut any = false;
        for child in meant.children().filter(counts) {
            any = true;
            if let Some(found) = taken(&child) {
                return Ok(Some(Found::Seen(found)));
            }
        }
        if any { Ok(None) } else { Err(WaitError::NoChild) }
    }

    /// As [`Entered::claim_zombie`], of one child that is known by its handle.
    pub(crate) fn claim_by_handle(
        &self,
        proc: &ProcHandle<H>,
        kind: ChildKind,
    ) -> Result<Option<Zombie<'_, H>>, WaitError> {
        // Another kernel's objects are not protected by this pin.
        if !std::ptr::eq(proc.anchor().world(), self.seat.world()) {
            return Err(WaitError::NoChild);
        }
        let pin = self.seat.pin();
        let child = family::as_child(proc.node(), proc.ptr(), self.proc_ptr(), &pin)
            .filter(|child| kind.has(child.kin(&pin).exit_signal))
            .ok_or(WaitError::NoChild)?;
        if self.proc().reaps_by_itself() || !child.is_zombie() {
            return Ok(None);
        }
        Ok(child.claim().map(|()| Zombie { entered: self, child: child.ptr }))
    }

    /// Reaps a child of the current process that has ended; `None` when none
    /// has yet (`WNOHANG`). Lock-free; as [`Entered::claim_zombie`].
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD). With
    /// [`WaitPolicy::AutoReap`](crate::WaitPolicy::AutoReap) no child is ever
    /// reaped: it is `None` while there are children, and then this.
    pub fn try_wait(&self, what: impl Into<WaitFor>) -> Result<Option<Reaped>, WaitError> {
        Ok(self.find(self.start_of_wait(what.into()))?.map(Found::settle))
    }

    /// Waits until a child of the current process ends, and reaps it, or
    /// [only looks](WaitTarget::peek).
    /// **Blocks** the thread; gives its virtual CPU and the big lock to others
    /// meanwhile.
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD): there is none, or none is left.
    /// [`WaitError::Interrupted`] (EINTR): no child has ended, and an unblocked signal
    /// is pending, the LWP is [to exit](Entered::must_exit), or somebody
    /// [unsleeps](crate::LwpRef::unsleep) it. An implicit context is not interrupted.
    pub fn wait(&self, what: impl Into<WaitFor>) -> Result<Reaped, WaitError> {
        self.wait_by(what.into(), None)
    }

    pub(super) fn wait_by(&self, what: WaitFor, deadline: Deadline) -> Result<Reaped, WaitError> {
        let what = self.start_of_wait(what);
        self.sleep_for(deadline, || self.find(what).transpose()).map(Found::settle)
    }

    pub(super) fn claim_zombie_by(
        &self,
        what: WaitFor,
        deadline: Deadline,
    ) -> Result<Zombie<'_, H>, WaitError> {
        let what = self.start_of_wait(what);
        self.sleep_for(deadline, || self.claim(what).transpose())
    }

    /// What a wait that starts now is for, however long it waits: in the kernel's numbers.
    pub(crate) fn start_of_wait(&self, what: WaitFor) -> WaitFor {
        /// What nobody has.
        const NONE: Pid = Pid(-1);
        let kernels = |number| self.numbering().kernels(number).unwrap_or(NONE);
        let target = match what.target {
            WaitTarget::OwnPgrp => self.own_pgid().map_or(what.target, WaitTarget::Pgrp),
            WaitTarget::Pgrp(pgid) => WaitTarget::Pgrp(kernels(pgid)),
            WaitTarget::Pid(pid) => WaitTarget::Pid(kernels(pid)),
            WaitTarget::Any => WaitTarget::Any,
        };
        WaitFor { target, ..what }
    }

    /// The group that the current process is in, by the kernel's number.
    fn own_pgid(&self) -> Option<Pid> {
        pgrp::group_of(self.proc(), &self.seat.pin()).map(|group| group.id().pid())
    }

    /// Sleeps until `done` yields what is waited for of a child.
    fn sleep_for<R>(
        &self,
        deadline: Deadline,
        done: impl Fn() -> Option<Result<R, WaitError>>,
    ) -> Result<R, WaitError> {
        // One sleep, however often it looks: what ends it is not lost between two.
        match done() {
            Some(found) => found,
            None => self.sleep_in(&self.proc().waiters, deadline, done)?,
        }
    }

    /// As [`Entered::wait`], for one child that is known by its handle.
    pub(crate) fn wait_by_handle(
        &self,
        child: &ProcHandle<H>,
        kind: ChildKind,
        deadline: Deadline,
    ) -> Result<Reaped, WaitError> {
        let done = || self.claim_by_handle(child, kind).transpose();
        let zombie = match done() {
            Some(zombie) => zombie,
            None => self.sleep_in(&child.node().waiters, deadline, done)?,
        };
        zombie.map(Zombie::reap)
    }

    /// Sleeps until `done` yields something of a process, be it a child or not.
    pub(super) fn watch<R>(
        &self,
        proc: &ProcHandle<H>,
        deadline: Deadline,
        done: impl Fn(&ProcHandle<H>) -> Option<R>,
    ) -> Result<R, Interrupted> {
        match done(proc) {
            Some(result) => Ok(result),
            None => self.sleep_in(&proc.node().waiters, deadline, || done(proc)),
        }
    }
}
