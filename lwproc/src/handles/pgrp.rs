//! Looking at a process group.
#![allow(unsafe_code)]

use super::guard::Guard;
use super::proc::ProcRef;
use crate::host::{Host, ThreadHost};
use crate::id::{Identity, Pid};
use crate::object::group::{GroupPtr, Pgrp};
use crate::ops::kill;
use crate::pgrp;
use crate::reclaim::Tagged;
use crate::signal::Signo;
use crate::world::aftermath::Aftermath;
use std::fmt;

/// A process group seen under a guard. `Copy`.
pub struct PgrpRef<'g, H: Host = ThreadHost> {
    ptr: GroupPtr,
    guard: &'g Guard<'g, H>,
}

impl<H: Host> Clone for PgrpRef<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<H: Host> Copy for PgrpRef<'_, H> {}

impl<'g, H: Host> PgrpRef<'g, H> {
    /// # Safety
    /// `ptr` was found published under `guard`.
    pub(crate) unsafe fn new(ptr: GroupPtr, guard: &'g Guard<'g, H>) -> Self {
        Self { ptr, guard }
    }

    pub(super) fn guard(&self) -> &'g Guard<'g, H> {
        self.guard
    }

    pub(super) fn node(&self) -> &'g Pgrp {
        // SAFETY: found published under the guard, by `new`'s contract.
        unsafe { Tagged::new(self.ptr).as_ref(self.guard.pin()) }.expect("never null")
    }

    /// Its number: the pid of the process that made it.
    pub fn id(&self) -> Pid {
        self.node().id().pid()
    }

    /// The number that is never issued again.
    pub fn identity(&self) -> Identity {
        self.node().id()
    }

    /// Its session: the pid of the process that made that.
    pub fn sid(&self) -> Pid {
        self.node().session(self.guard.pin()).id().pid()
    }

    /// Its members, zombies included. Weakly consistent: a process that is in
    /// the group throughout is seen exactly once, none twice; and one that was
    /// forked by a member is here as soon as it can be found at all. None at
    /// all, if the last has just gone.
    ///
    /// Wait-free per step; O(members), for group 0 O(ids in use).
    pub fn members(&self) -> impl Iterator<Item = ProcRef<'g, H>> + use<'g, H> {
        let guard = self.guard;
        pgrp::members(&guard.world().ids, self.node(), guard.pin())
            // SAFETY: resolved through the table under the guard.
            .map(move |(_, ptr)| unsafe { ProcRef::new(ptr, guard) })
    }

    /// Posts a signal to each member (`pgsignal`), as [`ProcRef::post`] does to one. None
    /// that is forked meanwhile escapes, as with [`Signals::kill`](crate::Signals::kill).
    pub fn post(&self, signo: Signo) {
        let (world, pin) = (self.guard.world(), self.guard.pin());
        Aftermath::collect(|aftermath| {
            kill::send_to_group(world, self.node(), signo, pin, aftermath);
        });
    }

    /// Whether no member has a parent in another group of the same session:
    /// nobody is left there to continue the group when it is stopped. Zombies
    /// are not asked. init counts as a parent like any other: in session 0, which
    /// it is in, a group of orphans is not orphaned. A look at each member in
    /// turn, no snapshot.
    pub fn is_orphaned(&self) -> bool {
        pgrp::is_orphaned(&self.guard.world().ids, self.node(), None, self.guard.pin())
    }
}

impl<H: Host> fmt::Debug for PgrpRef<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PgrpRef({} of session {})", self.id(), self.sid())
    }
}
