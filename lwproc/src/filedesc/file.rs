//! Open files: the embedder's value, and who refers to it.
#![allow(unsafe_code)]

use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Managed, Pin, RefCount, Tagged};
use std::borrow::Borrow;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;

/// A file object of a kernel.
pub type FilePtr<F> = *mut Managed<FileNode<F>>;

/// One open file (`struct file`).
pub struct FileNode<F> {
    /// One for each descriptor and each reference.
    refs: RefCount,
    /// Taken out by whoever drops the last reference.
    value: UnsafeCell<ManuallyDrop<F>>,
}

// SAFETY: the value is shared by reference while it is counted, and taken out
// by one thread after all others have dropped theirs (P10).
unsafe impl<F: Send + Sync> Send for FileNode<F> {}
// SAFETY: as above.
unsafe impl<F: Send + Sync> Sync for FileNode<F> {}

/// One counted reference to an open file. Given back with
/// [`FileHold::release`], never dropped: that needs a pin, and yields the value.
#[must_use = "a reference is given back by `release`"]
pub struct FileHold<F>(FilePtr<F>);

// SAFETY: counted, and all that it reaches is `Sync`.
unsafe impl<F: Send + Sync> Send for FileHold<F> {}

impl<F> FileHold<F> {
    /// A file with its first reference.
    pub fn new(value: F) -> Self {
        let value = UnsafeCell::new(ManuallyDrop::new(value));
        Self(Managed::new(FileNode { refs: RefCount::new(), value }))
    }

    /// Takes a reference to what a slot has; `None` when its last reference
    /// has just gone, and the slot has another value by now.
    ///
    /// # Safety
    /// `seen` is a file, loaded with Acquire from a slot under `pin`.
    pub unsafe fn try_of(seen: Tagged<FileNode<F>>, pin: &Pin<'_>) -> Option<Self> {
        // SAFETY: by contract.
        let node = unsafe { seen.as_ref(pin) }?;
        node.refs.try_inc().then(|| Self(seen.ptr()))
    }

    /// The reference that a slot had.
    ///
    /// # Safety
    /// The caller took it out of the slot.
    pub unsafe fn out_of(entry: Tagged<FileNode<F>>) -> Self {
        Self(entry.ptr())
    }

    /// What a slot has that is given this reference.
    pub fn into_entry(self) -> Tagged<FileNode<F>> {
        Tagged::new(self.0)
    }

    fn node(&self) -> &FileNode<F> {
        // SAFETY: counted by this reference.
        unsafe { Managed::deref_counted(self.0) }
    }

    pub fn get(&self) -> &F {
        // SAFETY: taken out only when no reference is left.
        unsafe { &*self.node().value.get() }
    }

    /// Another reference. Wait-free.
    pub fn share(&self) -> Self {
        self.node().refs.inc();
        Self(self.0)
    }

    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }

    /// Drops the reference. With the last comes the value: the caller closes
    /// the file by dropping it, when no pin is held. Wait-free. `pin` is called with
    /// the last reference only.
    #[must_use = "dropping the value closes the file"]
    pub fn release<'p, P: Borrow<Pin<'p>>>(self, pin: impl FnOnce() -> P) -> Option<F> {
        if self.node().refs.dec() == Dropped::Shared {
            return None;
        }
        // SAFETY: no reference is left, and none can be taken any more.
        let value = unsafe { self.take() };
        // SAFETY: no slot has it: each counts.
        unsafe { pin().borrow().retire(self.0) };
        Some(value)
    }

    /// As [`FileHold::release`], when nobody can be looking.
    ///
    /// # Safety
    /// No thread looks into slots that had it.
    #[must_use = "dropping the value closes the file"]
    pub unsafe fn release_alone(self) -> Option<F> {
        if self.node().refs.dec() == Dropped::Shared {
            return None;
        }
        // SAFETY: no reference is left, and none can be taken any more.
        let value = unsafe { self.take() };
        // SAFETY: by contract.
        unsafe { Managed::free(self.0) };
        Some(value)
    }

    /// # Safety
    /// The last reference has been dropped, and the value was not yet taken.
    unsafe fn take(&self) -> F {
        // SAFETY: nobody else refers to the value any more, by contract.
        let value = unsafe { &mut *self.node().value.get() };
        // SAFETY: once, by contract.
        unsafe { ManuallyDrop::take(value) }
    }
}
