//! `Arc` for the models: std's, and the synchronisation that the checker cannot see
//! in it. Dropping a reference is a Release, and whoever drops the last
//! acquires all the others'. (The checker switches threads only at its own operations,
//! so the modelled one and std's are one step.)
#![allow(unsafe_code)]

use super::{AcqRel, AtomicU32};
use std::ops::Deref;
use std::sync as real;

struct Inner<T> {
    drops: AtomicU32,
    value: T,
}

pub(crate) struct Arc<T>(real::Arc<Inner<T>>);
pub(crate) struct Weak<T>(real::Weak<Inner<T>>);

impl<T> Arc<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(real::Arc::new(Inner { drops: AtomicU32::new(0), value }))
    }

    pub(crate) fn new_cyclic(make: impl FnOnce(&Weak<T>) -> T) -> Self {
        Self(real::Arc::new_cyclic(|weak| {
            let value = make(&Weak(weak.clone()));
            Inner { drops: AtomicU32::new(0), value }
        }))
    }
}

impl<T> Weak<T> {
    pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
        self.0.upgrade().map(Arc)
    }

    pub(crate) fn strong_count(&self) -> usize {
        self.0.strong_count()
    }

    pub(crate) fn as_ptr(&self) -> *const T {
        let inner = self.0.as_ptr();
        // SAFETY: a place computation inside an allocation that the weak
        // reference keeps.
        unsafe { &raw const (*inner).value }
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Weak<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, AcqRel);
    }
}
