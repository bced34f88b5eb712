//! Waiting for children.
#![allow(unsafe_code)]

use super::Entered;
use super::sleep::Interrupted;
use super::wait_for::{ChildEvent, Then, WaitEvents, WaitFor, WaitTarget};
use crate::error::WaitError;
use crate::family::{self, Child};
use crate::handles::proc::ProcHandle;
use crate::host::{Host, ThreadHost};
use crate::id::Pid;
use crate::object::job_word::Notice;
use crate::object::node::{ProcNode, ProcPtr};
use crate::object::status::ExitStatus;
use crate::ops::death;
use crate::pgrp;
use crate::reclaim::{Managed, Pin};
use crate::usage::Usage;
use crate::waitq::WaitQueue;
use crate::world::aftermath::Aftermath;
use crate::world::clock::Deadline;
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
fn end_of<H: Host>(child: &ProcNode<H>) -> Reaped {
    let usage = child.resources.usage_at_end();
    // Relaxed: read through the Acquire of the edge [P13].
    let status = child.word.load().status();
    Reaped { pid: child.pid(), event: ChildEvent::Ended, status, usage }
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

/// Whom a target means.
enum Meant {
    /// Each child, or each in that group.
    Children(Option<Pid>),
    Child(Pid),
}

/// Whether a child is in that group, if one is meant.
fn is_in<H: Host>(child: &Child<'_, H>, group: Option<Pid>, pin: &Pin<'_>) -> bool {
    let its = || pgrp::group_of(child.node, pin).map(|its| its.id().pid());
    group.is_none() || its() == group
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
        self.node().pid()
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
        let reaped = end_of(this.node());
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
    /// ended last. Exactly one caller gets each zombie; init and
    /// proc0, whose children are reaped for them, never do. Whoever only wants to look
    /// [peeks](WaitTarget::peek).
    /// Lock-free; O(zombies), for [`WaitTarget::Pid`] O(1); of a group, O(children) when
    /// none in it has ended.
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD).
    pub fn claim_zombie(&self, target: WaitTarget) -> Result<Option<Zombie<'_, H>>, WaitError> {
        self.find_ended(target, |child| {
            let claimed = child.is_zombie().then(|| child.claim()).flatten();
            claimed.map(|()| Zombie { entered: self, child: child.ptr })
        })
    }

    /// The first ended child of which `take` makes something.
    fn find_ended<R>(
        &self,
        target: WaitTarget,
        take: impl Fn(&Child<'_, H>) -> Option<R>,
    ) -> Result<Option<R>, WaitError> {
        let pin = self.seat.pin();
        // init's and proc0's zombies are reaped by whoever made them: a claim
        // that comes between and is given back would leave them to nobody.
        let takes = !self.proc().reaps_by_itself();
        let take = |child: &Child<'_, H>| if takes { take(child) } else { None };
        let ids = &self.seat.world().ids;
        let group = match self.meant_by(target) {
            Meant::Children(group) => group,
            Meant::Child(pid) => {
                let child = family::child(ids, self.proc_ptr(), pid, &pin);
                return child.map(|child| take(&child)).ok_or(WaitError::NoChild);
            }
        };
        let is_meant = |child: &Child<'_, H>| is_in(child, group, &pin);
        let ended = family::ended_children(ids, self.proc(), &pin);
        if let Some(found) = ended.filter(is_meant).find_map(|child| take(&child)) {
            return Ok(Some(found));
        }
        // One that another LWP is about to reap is a child still.
        let any = match group {
            None => family::has_children(self.proc()),
            Some(_) => family::children(ids, self.proc(), &pin).any(|child| is_meant(&child)),
        };
        if any { Ok(None) } else { Err(WaitError::NoChild) }
    }

    /// What a wait finds now, which is to be [settled](Found::settle).
    pub(crate) fn find(&self, what: WaitFor) -> Result<Option<Found<'_, H>>, WaitError> {
        if what.events.has(WaitEvents::EXITED) {
            let ended = match what.then {
                Then::Reap => self.claim_zombie(what.target)?.map(Found::Claimed),
                Then::Keep => self.find_ended(what.target, |child| {
                    child.has_ended().then(|| Found::Seen(end_of(child.node)))
                })?,
            };
            if ended.is_some() || what.events == WaitEvents::EXITED {
                return Ok(ended);
            }
        }
        self.find_notice(what)
    }

    fn meant_by(&self, target: WaitTarget) -> Meant {
        match target {
            WaitTarget::Any => Meant::Children(None),
            WaitTarget::Pgrp(pgid) => Meant::Children(Some(pgid)),
            WaitTarget::OwnPgrp => Meant::Children(Some(self.groups().pgid())),
            WaitTarget::Pid(pid) => Meant::Child(pid),
        }
    }

    /// A child that has stopped, or goes on. O(children); for [`WaitTarget::Pid`] O(1).
    fn find_notice(&self, what: WaitFor) -> Result<Option<Found<'_, H>>, WaitError> {
        let pin = self.seat.pin();
        let ids = &self.seat.world().ids;
        let taken = |child: &Child<'_, H>| {
            let (notice, event, events) = match child.node.notice()? {
                it @ Notice::Stopped(by) => (it, ChildEvent::Stopped(by), WaitEvents::STOPPED),
                it @ Notice::Continued => (it, ChildEvent::Continued, WaitEvents::CONTINUED),
            };
            let takes = || what.then == Then::Keep || child.node.jobs.take_notice(notice);
            let usage = || child.node.resources.usage_at_end();
            (what.events.has(events) && takes()).then(|| Reaped {
                pid: child.node.pid(),
                event,
                status: child.node.word.load().status(),
                usage: usage(),
            })
        };
        // One that has ended is a child for who waits for ends.
        let counts =
            |child: &Child<'_, H>| what.events.has(WaitEvents::EXITED) || !child.has_ended();
        let group = match self.meant_by(what.target) {
            Meant::Children(group) => group,
            Meant::Child(pid) => {
                let child = family::child(ids, self.proc_ptr(), pid, &pin).filter(counts);
                return child.map(|child| taken(&child).map(Found::Seen)).ok_or(WaitError::NoChild);
            }
        };
        let is_meant = |child: &Child<'_, H>| is_in(child, group, &pin);
        let mut any = false;
        for child in family::children(ids, self.proc(), &pin).filter(is_meant).filter(counts) {
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
    ) -> Result<Option<Zombie<'_, H>>, WaitError> {
        // Another kernel's objects are not protected by this pin.
        if !std::ptr::eq(proc.anchor().world(), self.seat.world()) {
            return Err(WaitError::NoChild);
        }
        let pin = self.seat.pin();
        let child = family::as_child(proc.node(), proc.ptr(), self.proc_ptr(), &pin)
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
        Ok(self.find(what.into())?.map(Found::settle))
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
        target: WaitTarget,
        deadline: Deadline,
    ) -> Result<Zombie<'_, H>, WaitError> {
        let WaitFor { target, .. } = self.start_of_wait(target.into());
        self.sleep_for(deadline, || self.claim_zombie(target).transpose())
    }

    /// What a wait that starts now is for, however long it waits.
    pub(crate) fn start_of_wait(&self, what: WaitFor) -> WaitFor {
        match what.target {
            WaitTarget::OwnPgrp => {
                WaitFor { target: WaitTarget::Pgrp(self.groups().pgid()), ..what }
            }
            _ => what,
        }
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
        deadline: Deadline,
    ) -> Result<Reaped, WaitError> {
        let done = || self.claim_by_handle(child).transpose();
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
