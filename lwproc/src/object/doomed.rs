//! LWPs that are to end.
#![allow(unsafe_code)]

use super::node::LwpPtr;
use crate::host::Host;

/// An LWP that has been claimed, and is to end when nothing is in the way.
#[must_use]
pub(crate) struct Doomed<H: Host>(LwpPtr<H>);

impl<H: Host> Doomed<H> {
    /// # Safety
    /// The caller has the right to run the LWP, and gives it to this value.
    pub(crate) unsafe fn new(lwp: LwpPtr<H>) -> Self {
        Self(lwp)
    }

    /// The LWP, with the right to run it.
    pub(crate) fn into_raw(self) -> LwpPtr<H> {
        self.0
    }
}
