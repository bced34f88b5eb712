//! The count that keeps an object's memory for its handles.

use crate::sync::{Acquire, AtomicU64, Relaxed, Release};

/// A reference count that never rises from zero. 64 bits: it cannot overflow.
#[derive(Debug)]
pub struct RefCount(AtomicU64);

/// What the thread that dropped a reference owes.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dropped {
    /// Others hold references: nothing to do.
    Shared,
    /// It was the last: retire the object.
    Last,
}

impl RefCount {
    /// One reference, owned by the maker.
    #[inline]
    pub fn new() -> Self {
        Self(AtomicU64::new(1))
    }

    /// How many references there are; may be past already.
    #[inline]
    pub fn load(&self) -> u64 {
        // Relaxed: a hint.
        self.0.load(Relaxed)
    }

    /// Adds a reference unless the object is already on its way out. For
    /// readers that hold a pin. Lock-free.
    #[inline]
    pub fn try_inc(&self) -> bool {
        // Relaxed: the caller already sees the object (its pin); the count
        // itself publishes nothing.
        let mut seen = self.0.load(Relaxed);
        while seen != 0 {
            match self.0.compare_exchange(seen, seen + 1, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        // Acquire [P10]: pairs with the last `dec`: whoever finds the object on
        // its way out finds what replaced it. It is still zero.
        self.0.load(Acquire);
        false
    }

    /// Adds a reference for a holder of one. Wait-free.
    #[inline]
    pub fn inc(&self) {
        // Relaxed: the holder's own reference keeps the object.
        self.0.fetch_add(1, Relaxed);
    }

    /// Drops a reference. Wait-free.
    #[inline]
    pub fn dec(&self) -> Dropped {
        // Release [P10]: uses through this reference come before the
        // retirement by whoever sees the count reach zero.
        if self.0.fetch_sub(1, Release) == 1 {
            // Acquire [P10]: pairs with the Release of every earlier `dec`. A load, and
            // not a fence, so that the thread sanitizer knows it.
            self.0.load(Acquire);
            Dropped::Last
        } else {
            Dropped::Shared
        }
    }
}
