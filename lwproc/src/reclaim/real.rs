//! Reclamation on crossbeam-epoch: one collector per kernel.
#![allow(unsafe_code)]

use crate::sync::{AtomicU64, Relaxed};
use std::fmt;
use std::mem::ManuallyDrop;

#[cfg(lwproc_real_epochs)]
pub use super::watched::Managed;

/// A heap object that may only be freed after a grace period.
#[cfg(not(lwproc_real_epochs))]
#[repr(transparent)]
pub struct Managed<T> {
    value: T,
}

#[cfg(not(lwproc_real_epochs))]
impl<T> Managed<T> {
    /// Allocates; the caller owns the object until it is published.
    pub fn new(value: T) -> *mut Managed<T> {
        Box::into_raw(Box::new(Managed { value }))
    }

    /// The object of a live pointer.
    ///
    /// # Safety
    /// `this` came from [`Managed::new`], and something other than a pin (a
    /// count, ownership, the process's live LWPs) keeps it from being freed
    /// for `'a`.
    #[inline]
    pub unsafe fn deref_counted<'a>(this: *mut Managed<T>) -> &'a T {
        // SAFETY: valid for `'a` by this function's contract.
        unsafe { &(*this).value }
    }

    /// Frees at once.
    ///
    /// # Safety
    /// `this` came from [`Managed::new`], was never retired, and no thread
    /// can reach it any more.
    pub unsafe fn free(this: *mut Managed<T>) {
        // SAFETY: sole owner by this function's contract.
        drop(unsafe { Box::from_raw(this) });
    }
}

/// The set of participants and garbage of one kernel.
pub struct Collector(crossbeam_epoch::Collector);

impl Collector {
    pub fn new() -> Self {
        #[cfg(lwproc_real_epochs)]
        super::watched::forget();
        Self(crossbeam_epoch::Collector::new())
    }

    pub fn register(&self) -> Local {
        Local {
            handle: ManuallyDrop::new(self.0.register()),
            retired: AtomicU64::new(0),
            freed: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector(crossbeam-epoch)")
    }
}

/// One participant of a collector. Used by one thread at a time; only the
/// statistics are read by others.
pub struct Local {
    handle: ManuallyDrop<crossbeam_epoch::LocalHandle>,
    retired: AtomicU64,
    freed: AtomicU64,
}

impl Local {
    /// Enters a read-side section. Wait-free, except that one pin in 128
    /// frees garbage that has become safe.
    #[inline]
    pub fn pin(&self) -> Pin<'_> {
        Pin { guard: self.handle.pin(), local: self }
    }

    /// Objects retired here, and those of them freed so far.
    pub fn retired_freed(&self) -> (u64, u64) {
        // Relaxed: statistics; `freed` first, so that it never exceeds `retired`.
        let freed = self.freed.load(Relaxed);
        (self.retired.load(Relaxed), freed)
    }

    /// Leaves the collector: its garbage passes to the collector itself.
    ///
    /// # Safety
    /// Once, with no pin held, and no use of this participant afterwards but
    /// for its statistics.
    pub unsafe fn unregister(&mut self) {
        // SAFETY: dropped once by this function's contract.
        unsafe { ManuallyDrop::drop(&mut self.handle) };
    }
}

/// A read-side section: what it can reach is not freed until it ends.
pub struct Pin<'l> {
    guard: crossbeam_epoch::Guard,
    local: &'l Local,
}

/// The address of a counter that outlives every deferred call (the
/// participants of a kernel are freed after its collector).
struct FreedCounter(*const AtomicU64);
// SAFETY: an atomic may be used from any thread.
unsafe impl Send for FreedCounter {}

impl Pin<'_> {
    /// Frees the object once no pin can see it.
    ///
    /// # Safety
    /// `object` came from [`Managed::new`], can no longer be reached by a
    /// thread that pins from now on, and is retired once.
    pub unsafe fn retire<T>(&self, object: *mut Managed<T>) {
        // Relaxed: statistics, written by the owning thread only.
        self.local.retired.store(self.local.retired.load(Relaxed) + 1, Relaxed);
        let freed = FreedCounter(&raw const self.local.freed);
        let run = move || {
            let FreedCounter(freed) = { freed };
            // SAFETY: unreachable (this function's contract) and every pin
            // that could have seen it is gone (the epoch's guarantee).
            unsafe { Managed::free(object) };
            // SAFETY: participants outlive the collector that runs this.
            // Relaxed: statistics.
            unsafe { &*freed }.fetch_add(1, Relaxed);
        };
        // SAFETY: the closure may run on any thread: retired objects are
        // `Send` by construction (processes, LWPs, edges, comms).
        unsafe { self.guard.defer_unchecked(run) };
    }

    /// Passes this participant's garbage on and frees what can be freed.
    pub fn flush(&self) {
        self.guard.flush();
    }

    /// The model checks here that the object is not freed for this pin.
    #[inline]
    pub fn check<T>(&self, _object: *mut Managed<T>) {
        #[cfg(lwproc_real_epochs)]
        Managed::look(_object);
    }
}
