//! The kernel that an object is of, as the objects know it: that there is one.
//!
//! What a kernel consists of stands above. `world/mod.rs` makes these, and it alone turns
//! them into a `&World`.
#![allow(unsafe_code)]

use crate::host::Host;
use std::any::Any;
use std::marker::PhantomData;

/// Where the kernel is. Keeps nothing alive.
pub(crate) struct Home<H: Host> {
    address: *const (),
    host: PhantomData<fn() -> H>,
}

impl<H: Host> Clone for Home<H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<H: Host> Copy for Home<H> {}

// SAFETY: an address. What `world/mod.rs` makes of it is a `World`, which is `Send` and
// `Sync`.
unsafe impl<H: Host> Send for Home<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for Home<H> {}

impl<H: Host> Home<H> {
    #[inline]
    pub(crate) fn at(address: *const ()) -> Self {
        Self { address, host: PhantomData }
    }

    #[inline]
    pub(crate) fn address(self) -> *const () {
        self.address
    }
}

/// One participant's share in keeping a kernel's memory. Shared in turn, and counted, by
/// the LWPs and handles that the participant's thread makes.
pub(crate) struct Anchor<H: Host> {
    pub(crate) home: Home<H>,
    /// The share: it is given back when this is dropped.
    _kept: Box<dyn Any + Send + Sync>,
}

impl<H: Host> Anchor<H> {
    /// `kept` keeps what `home` names.
    pub(crate) fn new(home: Home<H>, kept: Box<dyn Any + Send + Sync>) -> Self {
        Self { home, _kept: kept }
    }
}
