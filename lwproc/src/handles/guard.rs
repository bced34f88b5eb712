//! The guard under which a kernel is looked at.
#![allow(unsafe_code)]

use super::lwp::LwpRef;
use super::pgrp::PgrpRef;
use super::proc::ProcRef;
use crate::host::{Host, ThreadHost};
use crate::id::{Lid, Pid};
use crate::object::home::Anchor;
use crate::object::node::LwpPtr;
use crate::object::table;
use crate::ops::seat::Seat;
use crate::pgrp;
use crate::reclaim::Pin;
use crate::sync::{Acquire, Arc};
use crate::world::World;
use crate::world::participant::Participant;
use std::fmt;

/// A read-side section: what is found under it stays readable. `!Send`.
///
/// While it is held, nothing retired in this kernel is freed; other kernels
/// are not affected. Taking one is wait-free once the thread is known to the
/// kernel, but for one in 128 that moves the epoch on.
///
/// ```
/// use lwproc::{Kernel, Rfork};
///
/// let kernel = Kernel::new();
/// let mut k = kernel.enter()?;
/// k.rfork(Rfork::Fresh)?;
/// let guard = k.pin();
/// let own = guard.proc(k.pid()).expect("it runs");
/// assert_eq!(own.ppid(), lwproc::Pid::INIT);
/// // What an iterator yields lasts as long as the guard, so iterators nest.
/// let children = guard.procs().flat_map(|proc| proc.children());
/// assert_eq!(children.count(), 2); // init and this one
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a guard protects only while it is held"]
pub struct Guard<'k, H: Host = ThreadHost> {
    // Before `seat`, which must see the pin gone when it is dropped.
    pin: Pin<'k>,
    seat: Seat<'k, H>,
    /// What keeps the world, for a guard of the kernel's own.
    anchor: Option<&'k Arc<Anchor<H>>>,
}

impl<'k, H: Host> Guard<'k, H> {
    #[inline(always)]
    pub(crate) fn new(seat: Seat<'k, H>) -> Self {
        Self { pin: seat.pin(), seat, anchor: None }
    }

    /// A guard for user code that the end of an LWP runs: the kernel may be torn
    /// down already, and then only the LWP's own anchor keeps the world.
    pub(crate) fn in_death(me: &'k Participant<H>, anchor: Option<&'k Arc<Anchor<H>>>) -> Self {
        Self { anchor, ..Self::new(Seat::new(me)) }
    }

    #[inline]
    pub(crate) fn pin(&self) -> &Pin<'k> {
        &self.pin
    }

    #[inline]
    pub(crate) fn world(&self) -> &'k World<H> {
        self.seat.world()
    }

    pub(crate) fn anchor(&self) -> Arc<Anchor<H>> {
        self.anchor.map_or_else(|| self.seat.anchor(), Arc::clone)
    }
}

impl<H: Host> Guard<'_, H> {
    /// The process with that pid, zombies included. Wait-free; writes nothing.
    #[doc(alias = "find")]
    #[doc(alias = "proc_find")]
    #[inline]
    pub fn proc(&self, pid: Pid) -> Option<ProcRef<'_, H>> {
        let (_, ptr) = table::find(&self.world().ids, pid, self.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { ProcRef::new(ptr, self) })
    }

    /// The LWP with that lid, whatever its process ([`LwpRef::pid`] says which).
    /// Wait-free; writes nothing.
    // Seed: `lwp_find` S79-S99, without the list walk and for any process.
    #[doc(alias = "find_lwp")]
    #[doc(alias = "lwp_find")]
    pub fn lwp(&self, lid: Lid) -> Option<LwpRef<'_, H>> {
        let (_, ptr) = table::find_lwp(&self.world().ids, lid, self.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { LwpRef::new(ptr, self) })
    }

    /// Every process, in slot order, zombies included. Weakly consistent: a
    /// process present throughout is seen exactly once, no identity twice. Wait-free
    /// per step; O(ids) for all.
    pub fn procs<'g>(&'g self) -> impl Iterator<Item = ProcRef<'g, H>> + use<'g, H> {
        let guard: &'g Guard<'g, H> = self;
        guard.world().ids.procs().filter_map(move |proc| {
            // Acquire [P3]: as in `table::find`.
            let found = proc.load(Acquire);
            // SAFETY: found published under the guard.
            (!found.is_null()).then(|| unsafe { ProcRef::new(found.ptr(), guard) })
        })
    }

    /// Every LWP, in slot order. Weakly consistent, as [`Guard::procs`].
    pub fn lwps<'g>(&'g self) -> impl Iterator<Item = LwpRef<'g, H>> + use<'g, H> {
        let guard: &'g Guard<'g, H> = self;
        guard.world().ids.slots().filter_map(move |slot| {
            // Acquire [P4]: as in `table::find_lwp`.
            let found: LwpPtr<H> = slot.lwp.load(Acquire).ptr();
            // SAFETY: found published under the guard.
            (!found.is_null()).then(|| unsafe { LwpRef::new(found, guard) })
        })
    }

    /// The process group with that number. Wait-free; writes nothing.
    ///
    /// A group that a process is about to make may be found already. So may, for a
    /// moment after its last member has gone, a group that a process was about to join.
    #[doc(alias = "pgrp_find")]
    pub fn pgrp(&self, pgid: Pid) -> Option<PgrpRef<'_, H>> {
        let (_, found) = pgrp::find(&self.world().ids, pgid, self.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { PgrpRef::new(found, self) })
    }

    /// Every process group, in slot order. Weakly consistent, as [`Guard::procs`];
    /// see [`Guard::pgrp`] for the edges of a group's life.
    pub fn pgrps<'g>(&'g self) -> impl Iterator<Item = PgrpRef<'g, H>> + use<'g, H> {
        let guard: &'g Guard<'g, H> = self;
        let found = pgrp::all(&guard.world().ids, guard.pin());
        // SAFETY: found published under the guard.
        found.map(move |ptr| unsafe { PgrpRef::new(ptr, guard) })
    }

    /// The LWP that runs on a virtual CPU (`curcpu()->ci_curlwp`); `None` when none
    /// does, or an implicit context, or there is no such CPU. Wait-free.
    // Seed: S501.
    #[doc(alias = "cpu_curlwp")]
    pub fn cpu_lwp(&self, cpu: usize) -> Option<LwpRef<'_, H>> {
        let lwp: LwpPtr<H> = self.world().cpus.as_ref()?.curlwp(cpu)?.cast();
        // SAFETY: a CPU is told of its LWP's going before the LWP is retired, and
        // was not yet when the guard was taken.
        (!lwp.is_null()).then(|| unsafe { LwpRef::new(lwp, self) })
    }
}

impl<H: Host> fmt::Debug for Guard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}
