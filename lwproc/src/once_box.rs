//! A value made when it is first needed: most owners never need theirs.
#![allow(unsafe_code)]

use crate::sync::{Acquire, AtomicPtr, Relaxed, Release};
use std::fmt;

/// Empty, and then one value for the rest of its life.
pub(crate) struct OnceBox<T>(AtomicPtr<T>);

impl<T> OnceBox<T> {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// The value, if it has been made. Wait-free.
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire [P22]: the value; pairs with Release in `get_or_init`.
        let value = self.0.load(Acquire);
        // SAFETY: freed with the cell only.
        unsafe { value.as_ref() }
    }

    /// The value, made now if need be: all callers get the same. Wait-free but
    /// for the allocator and `make`.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let new = Box::into_raw(Box::new(make()));
        // Release [P22]: the value; pairs with Acquire in `get`, and on failure
        // here.
        match self.0.compare_exchange(std::ptr::null_mut(), new, Release, Acquire) {
            // SAFETY: freed with the cell only.
            Ok(_) => unsafe { &*new },
            Err(others) => {
                // SAFETY: never published.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: freed with the cell only.
                unsafe { &*others }
            }
        }
    }
}

// SAFETY: owns a `T`, and gives out `&T`.
unsafe impl<T: Send> Send for OnceBox<T> {}
// SAFETY: as above; any thread may be the one that makes the value.
unsafe impl<T: Send + Sync> Sync for OnceBox<T> {}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        // Relaxed: nobody else is left.
        let value = self.0.load(Relaxed);
        if !value.is_null() {
            // SAFETY: made by `get_or_init`, freed once, here.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

impl<T> fmt::Debug for OnceBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceBox")
    }
}
