//! Cells with an `Arc` that readers may take a share of at any time.
//!
//! The value goes with its last `Arc`, at once and in the thread that drops it,
//! not after a grace period: it is the user's, and its drop is user code. Only
//! the memory of the node around it waits for the readers. They go by the `Weak`
//! in the node, which yields nothing once the value is gone; the cell's own `Arc`
//! belongs to whoever swaps the node out.
#![allow(unsafe_code)]

use super::{Link, Managed, Pin, Tagged};
use crate::sync::{AcqRel, Acquire, Relaxed};
use std::cell::UnsafeCell;
use std::sync::{Arc, Weak};

/// One value that was put in a cell.
struct Shared<T: ?Sized> {
    readers: Weak<T>,
    /// The cell's own. Touched by whoever swaps the node out, once.
    owner: UnsafeCell<Option<Arc<T>>>,
}

/// See the module. Empty at first.
pub struct SharedCell<T: ?Sized>(Link<Shared<T>>);

// SAFETY: hands out `Arc<T>` to any thread, and drops one on any.
unsafe impl<T: ?Sized + Send + Sync> Send for SharedCell<T> {}
// SAFETY: as above; `owner` is touched by one thread only.
unsafe impl<T: ?Sized + Send + Sync> Sync for SharedCell<T> {}

impl<T: ?Sized> SharedCell<T> {
    pub fn new() -> Self {
        Self(Link::new(Tagged::NULL))
    }

    /// A cell that is not yet shared, with a value in it.
    pub fn with(value: Arc<T>) -> Self {
        let cell = Self::new();
        // Relaxed: published with what the cell is in.
        cell.0.store(Self::node(Some(value)), Relaxed);
        cell
    }

    fn node(value: Option<Arc<T>>) -> Tagged<Shared<T>> {
        value.map_or(Tagged::NULL, |value| {
            let (readers, owner) = (Arc::downgrade(&value), UnsafeCell::new(Some(value)));
            Tagged::new(Managed::new(Shared { readers, owner }))
        })
    }

    /// Whether nothing is in it. Wait-free; one load.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Relaxed: a hint.
        self.0.load(Relaxed).is_null()
    }

    /// A share of the value now. Lock-free; starts over only when another thread
    /// has replaced the value meanwhile.
    pub fn get(&self, pin: &Pin<'_>) -> Option<Arc<T>> {
        // Acquire [P61]: the value; pairs with AcqRel in `swap`.
        let mut seen = self.0.load(Acquire);
        loop {
            // SAFETY: loaded with Acquire under the pin.
            let node = unsafe { seen.as_ref(pin) }?;
            if let Some(value) = node.readers.upgrade() {
                return Some(value);
            }
            // It has been swapped out: a read-modify-write sees what is there now.
            // Acquire [P61]: as above. Relaxed if it is there still: once more.
            seen = match self.0.compare_exchange(seen, seen, Relaxed, Acquire) {
                Ok(same) => same,
                Err(now) => now,
            };
        }
    }

    /// Replaces the value; the one before. Lock-free but for the allocator.
    pub fn swap(&self, new: Option<Arc<T>>, pin: &Pin<'_>) -> Option<Arc<T>> {
        // AcqRel [P61]: Release: the new value; Acquire: the old node.
        let old = self.0.swap(Self::node(new), AcqRel);
        // SAFETY: read with Acquire under the pin.
        let node = unsafe { old.as_ref(pin) }?;
        // SAFETY: swapped out by this thread, so touched once.
        let owner = unsafe { &mut *node.owner.get() }.take();
        // SAFETY: swapped out by this thread, so retired once.
        unsafe { pin.retire(old.ptr()) };
        owner
    }

    /// Takes the value out when nobody can be looking.
    #[cold]
    pub fn take(&mut self) -> Option<Arc<T>> {
        // Relaxed: nobody else is left.
        let old = self.0.load(Relaxed);
        if old.is_null() {
            return None;
        }
        // Relaxed: as above.
        self.0.store(Tagged::NULL, Relaxed);
        // SAFETY: `&mut self`: nobody else can reach the node.
        let node = unsafe { Managed::deref_counted(old.ptr()) };
        // SAFETY: as above.
        let owner = unsafe { &mut *node.owner.get() }.take();
        // SAFETY: never retired; nobody can reach it.
        unsafe { Managed::free(old.ptr()) };
        owner
    }
}

impl<T: ?Sized> Drop for SharedCell<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            drop(self.take());
        }
    }
}
