//! The guard under which a kernel is looked at.

use crate::host::{Host, ThreadHost};
use crate::reclaim::Pin;
use crate::sync::Arc;
use crate::world::seat::Seat;
use crate::world::{Anchor, World};
use std::fmt;

/// A read-side section: what is found under it stays readable. `!Send`.
///
/// While it is held, nothing retired in this kernel is freed; other kernels
/// are not affected. Taking one is wait-free once the thread is known to the
/// kernel, but for one in 128 that frees garbage.
#[must_use = "a guard protects only while it is held"]
pub struct Guard<'k, H: Host = ThreadHost> {
    // Before `seat`, which must see the pin gone when it is dropped.
    pin: Pin<'k>,
    seat: Seat<'k, H>,
}

impl<'k, H: Host> Guard<'k, H> {
    pub(crate) fn new(seat: Seat<'k, H>) -> Self {
        Self { pin: seat.pin(), seat }
    }

    pub(crate) fn pin(&self) -> &Pin<'k> {
        &self.pin
    }

    pub(crate) fn world(&self) -> &'k World<H> {
        self.seat.world()
    }

    pub(crate) fn anchor(&self) -> Arc<Anchor<H>> {
        self.seat.anchor()
    }
}

impl<H: Host> fmt::Debug for Guard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}
