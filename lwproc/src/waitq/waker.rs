//! Where the waker of a sleeping task lies.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::task::Waker;

/// The waker of a task that sleeps.
pub(super) struct WakerCell(UnsafeCell<Option<Waker>>);

// SAFETY: a waker is `Send` and `Sync`, and `take` is called once, by one thread.
unsafe impl Sync for WakerCell {}

impl WakerCell {
    pub(super) fn new(waker: Waker) -> Self {
        Self(UnsafeCell::new(Some(waker)))
    }

    /// # Safety
    /// By who moved the sleeper's state away from WAITING: once.
    pub(super) unsafe fn take(&self) -> Waker {
        // SAFETY: nobody else has it, by contract.
        unsafe { &mut *self.0.get() }.take().expect("a waker is taken once")
    }
}
