//! A place for one value, which any thread may put there and any may take.
#![allow(unsafe_code)]

use crate::sync::{AcqRel, Acquire, AtomicPtr, Relaxed};
use std::ptr::null_mut;

/// See the module.
pub struct Mailbox<T>(AtomicPtr<T>);

// SAFETY: values go from thread to thread, and no two have one at once.
unsafe impl<T: Send> Sync for Mailbox<T> {}

impl<T> Mailbox<T> {
    pub fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Puts a value there; the one that nobody has taken comes back. Wait-free.
    pub fn put(&self, value: Box<T>) -> Option<Box<T>> {
        // Release [P73]: the value; pairs with Acquire in `take`. Acquire [P73]: the
        // one before, which another thread may have put there.
        owned(self.0.swap(Box::into_raw(value), AcqRel))
    }

    /// Takes the value. Wait-free; one load when there is none.
    #[inline]
    pub fn take(&self) -> Option<Box<T>> {
        // Relaxed: a hint; one that is missed is found the next time.
        if self.0.load(Relaxed).is_null() {
            return None;
        }
        // Acquire [P73]: the value; pairs with Release in `put`.
        owned(self.0.swap(null_mut(), Acquire))
    }
}

fn owned<T>(value: *mut T) -> Option<Box<T>> {
    // SAFETY: from `Box::into_raw` in `put`, and swapped out once.
    (!value.is_null()).then(|| unsafe { Box::from_raw(value) })
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
