//! Waiting for children.
#![allow(unsafe_code)]

use super::Entered;
use super::sleep::Interrupted;
use crate::error::WaitError;
use crate::family::{self, Child};
use crate::handles::proc::ProcHandle;
use crate::host::{Host, ThreadHost};
use crate::id::Pid;
use crate::object::node::ProcPtr;
use crate::object::status::ExitStatus;
use crate::ops::death;
use crate::pgrp;
use crate::reclaim::Managed;
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

/// Which children are waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum WaitTarget {
    /// Any child.
    Any,
    /// The child with that pid.
    Pid(Pid),
    /// Any child in that process group.
    Pgrp(Pid),
    /// Any child in the process group that the current process is in when it
    /// starts to wait.
    OwnPgrp,
}

impl WaitTarget {
    /// What the number given to `waitpid(2)` means: a child; 0 the own group; -1 any; below
    /// that a group.
    pub fn from_raw(number: i32) -> Self {
        match number {
            1.. => Self::Pid(Pid(number)),
            0 => Self::OwnPgrp,
            -1 => Self::Any,
            // The least number has no opposite, and names no group.
            group => Self::Pgrp(Pid(group.wrapping_neg())),
        }
    }
}

/// A child that has been waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Reaped {
    /// Its pid, which may be reissued from now on.
    pub pid: Pid,
    /// How it ended.
    pub status: ExitStatus,
    /// What it used, and the children it had waited for.
    pub usage: Usage,
}

/// The right to reap one zombie. Dropping it gives the right back: the child
/// is a zombie again.
#[must_use = "dropping it leaves the zombie as it was"]
pub struct Zombie<'e, H: Host = ThreadHost> {
    entered: &'e Entered<'e, H>,
    child: ProcPtr<H>,
}

impl<H: Host> Zombie<'_, H> {
    fn node(&self) -> &crate::object::node::ProcNode<H> {
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
        let usage = this.node().resources.usage_at_end();
        let reaped = Reaped { pid: this.pid(), status: this.status(), usage };
        if usage != Usage::default() {
            this.entered.proc().resources.stats_mut().add_children(usage);
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
    /// proc0, whose children are reaped for them, never do.
    /// Lock-free; O(zombies), for [`WaitTarget::Pid`] O(1); of a group, O(children) when
    /// none in it has ended.
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD).
    pub fn claim_zombie(&self, target: WaitTarget) -> Result<Option<Zombie<'_, H>>, WaitError> {
        let pin = self.seat.pin();
        // init's and proc0's zombies are reaped by whoever made them: a claim
        // that comes between and is given back would leave them to nobody.
        let takes = !self.proc().reaps_by_itself();
        let take = |child: &Child<'_, H>| takes && child.is_zombie() && child.claim().is_some();
        let ids = &self.seat.world().ids;
        let is_in = |child: &Child<'_, H>, pgid| {
            pgrp::group_of(child.node, &pin).is_some_and(|its| its.id().pid() == pgid)
        };
        let group = match target {
            WaitTarget::Any => None,
            WaitTarget::Pgrp(pgid) => Some(pgid),
            WaitTarget::OwnPgrp => Some(self.groups().pgid()),
            WaitTarget::Pid(pid) => {
                let child = family::child(ids, self.proc_ptr(), pid, &pin);
                let child = child.ok_or(WaitError::NoChild)?;
                return Ok(take(&child).then(|| Zombie { entered: self, child: child.ptr }));
            }
        };
        let is_meant = |child: &Child<'_, H>| group.is_none_or(|pgid| is_in(child, pgid));
        let mut zombies = family::zombies(ids, self.proc(), &pin);
        if let Some(child) = zombies.find(|child| is_meant(child) && take(child)) {
            return Ok(Some(Zombie { entered: self, child: child.ptr }));
        }
        // One that another LWP is about to reap is a child still.
        let any = match group {
            None => family::has_children(self.proc()),
            Some(_) => family::children(ids, self.proc(), &pin).any(|child| is_meant(&child)),
        };
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
    pub fn try_wait(&self, target: WaitTarget) -> Result<Option<Reaped>, WaitError> {
        Ok(self.claim_zombie(target)?.map(Zombie::reap))
    }

    /// Waits until a child of the current process ends, and reaps it.
    /// **Blocks** the thread; gives its virtual CPU and the big lock to others
    /// meanwhile.
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD): there is none, or none is left.
    /// [`WaitError::Interrupted`] (EINTR): no child has ended, and an unblocked signal
    /// is pending, the LWP is [to exit](Entered::must_exit), or somebody
    /// [unsleeps](crate::LwpRef::unsleep) it. An implicit context is not interrupted.
    pub fn wait(&self, target: WaitTarget) -> Result<Reaped, WaitError> {
        self.wait_by(target, None)
    }

    pub(super) fn wait_by(
        &self,
        target: WaitTarget,
        deadline: Deadline,
    ) -> Result<Reaped, WaitError> {
        self.claim_zombie_by(target, deadline).map(Zombie::reap)
    }

    /// What a wait that starts now is for, however long it waits.
    pub(crate) fn start_of_wait(&self, target: WaitTarget) -> WaitTarget {
        match target {
            WaitTarget::OwnPgrp => WaitTarget::Pgrp(self.groups().pgid()),
            other => other,
        }
    }

    pub(super) fn claim_zombie_by(
        &self,
        target: WaitTarget,
        deadline: Deadline,
    ) -> Result<Zombie<'_, H>, WaitError> {
        let target = self.start_of_wait(target);
        // One sleep, however often it looks: what ends it is not lost between two.
        let done = || self.claim_zombie(target).transpose();
        match done() {
            Some(zombie) => zombie,
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
