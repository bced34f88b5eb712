//! Atomic pointers to managed objects, with three tag bits.
#![allow(unsafe_code)]

use super::{Managed, Pin};
use crate::sync::{AtomicPtr, Ordering, fetch_or_addr};
use std::fmt;

const TAG_MASK: usize = 0b111;

/// A pointer to a managed object (or null) and a tag of three bits. A plain
/// value: nothing is protected by holding one.
pub struct Tagged<T>(*mut Managed<T>);

impl<T> Clone for Tagged<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Tagged<T> {}
impl<T> PartialEq for Tagged<T> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
impl<T> Eq for Tagged<T> {}

impl<T> Tagged<T> {
    pub const NULL: Self = Self(std::ptr::null_mut());

    #[inline]
    pub fn new(object: *mut Managed<T>) -> Self {
        const { assert!(align_of::<Managed<T>>() > TAG_MASK, "room for the tag") };
        Self(object)
    }

    #[inline]
    pub fn with_tag(self, tag: usize) -> Self {
        Self(self.0.map_addr(|a| (a & !TAG_MASK) | (tag & TAG_MASK)))
    }

    #[inline]
    pub fn tag(self) -> usize {
        self.0.addr() & TAG_MASK
    }

    #[inline]
    pub fn ptr(self) -> *mut Managed<T> {
        self.0.map_addr(|a| a & !TAG_MASK)
    }

    #[inline]
    pub fn is_null(self) -> bool {
        self.ptr().is_null()
    }

    /// The object, or `None` for null.
    ///
    /// # Safety
    /// The pointer was loaded while `pin` was held, from a link whose objects
    /// are retired by the rules of this module; and the object's making
    /// happens before: by an Acquire load of this link, or of one through
    /// which the object had been published earlier.
    #[inline]
    pub unsafe fn as_ref<'g>(self, pin: &'g Pin<'_>) -> Option<&'g T> {
        if self.is_null() {
            return None;
        }
        pin.check(self.ptr());
        // SAFETY: the pin keeps it from being freed for `'g`.
        Some(unsafe { value_of(self.ptr()) })
    }
}

/// The value of a managed object that a pin or a count protects.
///
/// # Safety
/// `object` is not freed for `'a`.
#[inline]
unsafe fn value_of<'a, T>(object: *mut Managed<T>) -> &'a T {
    #[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
    // SAFETY: by contract.
    return unsafe { Managed::deref_counted(object) };
    #[cfg(any(lwproc_loom, lwproc_shuttle))]
    // SAFETY: by contract (the model keeps memory for the iteration).
    return unsafe { &*Managed::value_ptr(object) };
}

/// An atomic [`Tagged`].
pub struct Link<T>(AtomicPtr<Managed<T>>);

impl<T> Link<T> {
    pub fn new(value: Tagged<T>) -> Self {
        Self(AtomicPtr::new(value.0))
    }

    #[inline]
    pub fn load(&self, order: Ordering) -> Tagged<T> {
        Tagged(self.0.load(order))
    }

    #[inline]
    pub fn store(&self, value: Tagged<T>, order: Ordering) {
        self.0.store(value.0, order);
    }

    #[inline]
    pub fn swap(&self, value: Tagged<T>, order: Ordering) -> Tagged<T> {
        Tagged(self.0.swap(value.0, order))
    }

    /// Sets bits of the tag; the value before.
    #[inline]
    pub fn fetch_or_tag(&self, tag: usize, order: Ordering) -> Tagged<T> {
        Tagged(fetch_or_addr(&self.0, tag & TAG_MASK, order))
    }

    /// Clears bits of the tag. Lock-free.
    pub fn clear_tag(&self, tag: usize, order: Ordering) {
        // Relaxed: only the tag is looked at.
        let mut seen = self.load(Ordering::Relaxed);
        while seen.tag() & tag != 0 {
            let cleared = seen.with_tag(seen.tag() & !tag);
            // Relaxed on failure: as above.
            match self.compare_exchange(seen, cleared, order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    #[inline]
    pub fn compare_exchange(
        &self,
        current: Tagged<T>,
        new: Tagged<T>,
        success: Ordering,
        failure: Ordering,
    ) -> Result<Tagged<T>, Tagged<T>> {
        self.0.compare_exchange(current.0, new.0, success, failure).map(Tagged).map_err(Tagged)
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}
