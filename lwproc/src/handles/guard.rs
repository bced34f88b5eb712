//! The guard under which a kernel is looked at.

use crate::host::{Host, ThreadHost};
use crate::object::home::Anchor;
use crate::ops::seat::Seat;
use crate::reclaim::Pin;
use crate::sync::Arc;
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

impl<H: Host> fmt::Debug for Guard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}
