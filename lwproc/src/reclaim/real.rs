//! Reclamation on crossbeam-epoch: one collector per kernel.
//!
//! Garbage goes back to the thread that retired it, 256 objects at a time. That thread frees
//! one for each that it retires, so memory stays with its part of the allocator. A thread
//! that has stopped keeps back two batches at most.
#![allow(unsafe_code)]

use super::mailbox::Mailbox;
use crate::sync::{AtomicU64, Relaxed};
use crossbeam_utils::CachePadded;
use std::cell::UnsafeCell;
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
        Local::new(self.0.register())
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector(crossbeam-epoch)")
    }
}

/// How many objects wait for their grace period together.
const BATCH: usize = 256;

/// An object that nobody can reach any more, and how it is freed.
struct Retired {
    object: *mut (),
    free: unsafe fn(*mut ()),
}

impl Retired {
    fn new<T>(object: *mut Managed<T>) -> Self {
        unsafe fn free<T>(object: *mut ()) {
            // SAFETY: made from such an object in `new`, freed once.
            unsafe { Managed::free(object.cast::<Managed<T>>()) };
        }
        Self { object: object.cast(), free: free::<T> }
    }
}

/// Retired objects of one thread.
struct Batch(Vec<Retired>);

// SAFETY: what is retired may be freed by any thread: retired objects are `Send` by
// construction (processes, LWPs, edges, comms).
unsafe impl Send for Batch {}

impl Batch {
    fn new() -> Self {
        Self(Vec::with_capacity(BATCH))
    }

    /// Frees the object that was added last, if there is one. Its drop may retire
    /// others: nothing is borrowed meanwhile.
    ///
    /// # Safety
    /// No pin can see what is in the batch, which is used by this thread only.
    #[inline]
    unsafe fn free_one(this: &UnsafeCell<Self>) -> bool {
        // SAFETY: the caller's, for this statement.
        let Some(last) = unsafe { &mut *this.get() }.0.pop() else {
            return false;
        };
        // SAFETY: no pin can see it, and it is in the batch once.
        unsafe { (last.free)(last.object) };
        true
    }

    /// Frees all; how many.
    ///
    /// # Safety
    /// As for `free_one`.
    unsafe fn free_all(self) -> u64 {
        let this = UnsafeCell::new(self);
        let mut freed = 0;
        // SAFETY: as the caller says.
        while unsafe { Self::free_one(&this) } {
            freed += 1;
        }
        freed
    }
}

/// One participant of a collector. Used by one thread at a time, but for the
/// statistics and the mailbox.
///
/// What a thread retires it frees itself, one object at each that it retires later:
/// so memory stays with the thread that uses it, and no two threads count frees in
/// one place. Others free it only when the thread is behind.
pub struct Local {
    handle: ManuallyDrop<crossbeam_epoch::LocalHandle>,
    /// Retired lately.
    fresh: UnsafeCell<Batch>,
    /// Past its grace period, and now freed.
    ripe: UnsafeCell<Batch>,
    retired: AtomicU64,
    freed: AtomicU64,
    mail: CachePadded<Mail>,
}

/// What others leave with a participant.
struct Mail {
    /// Past its grace period.
    ripe: Mailbox<Batch>,
    /// Objects of this participant that others have freed.
    freed: AtomicU64,
}

impl Mail {
    /// Frees a batch here and now.
    ///
    /// # Safety
    /// Its grace period is over.
    unsafe fn free(&self, batch: Batch) {
        // SAFETY: as the caller says.
        let freed = unsafe { batch.free_all() };
        // Relaxed: statistics.
        self.freed.fetch_add(freed, Relaxed);
    }
}

/// Where a participant's mail is; participants outlive every deferred call (those of
/// a kernel are freed after its collector).
struct Address(*const Mail);
// SAFETY: `Mail` may be used from any thread.
unsafe impl Send for Address {}

impl Local {
    fn new(handle: crossbeam_epoch::LocalHandle) -> Self {
        Self {
            handle: ManuallyDrop::new(handle),
            fresh: UnsafeCell::new(Batch::new()),
            ripe: UnsafeCell::new(Batch::new()),
            retired: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            mail: CachePadded::new(Mail { ripe: Mailbox::new(), freed: AtomicU64::new(0) }),
        }
    }

    /// Enters a read-side section. Wait-free, except that one pin in 128
    /// moves the epoch on.
    #[inline]
    pub fn pin(&self) -> Pin<'_> {
        Pin { guard: self.handle.pin(), local: self }
    }

    /// Objects retired here, and those of them freed so far.
    pub fn retired_freed(&self) -> (u64, u64) {
        // Relaxed: statistics; `freed` first, so that it never exceeds `retired`.
        let freed = self.freed.load(Relaxed) + self.mail.freed.load(Relaxed);
        (self.retired.load(Relaxed), freed)
    }

    /// Frees one object that is past its grace period, if there is one.
    #[inline]
    fn free_one(&self) -> bool {
        // SAFETY: the owner's, for this statement.
        if unsafe { &*self.ripe.get() }.0.is_empty()
            && let Some(more) = self.mail.ripe.take()
        {
            // SAFETY: the owner's, for this statement.
            unsafe { *self.ripe.get() = *more };
        }
        // SAFETY: the owner's; ripe.
        let freed = unsafe { Batch::free_one(&self.ripe) };
        // Relaxed: statistics, written by the owning thread only.
        self.freed.store(self.freed.load(Relaxed) + u64::from(freed), Relaxed);
        freed
    }

    /// Frees what others have left with this participant. Any thread may.
    pub fn free_mail(&self) {
        if let Some(batch) = self.mail.ripe.take() {
            // SAFETY: only what is past its grace period is left there.
            unsafe { self.mail.free(*batch) };
        }
    }

    /// Leaves the collector. What it retired and the collector does not have yet stays
    /// with it.
    ///
    /// # Safety
    /// Once, with no pin held, and no use of this participant afterwards but
    /// for its statistics and its mail.
    pub unsafe fn unregister(&mut self) {
        // SAFETY: dropped once by this function's contract.
        unsafe { ManuallyDrop::drop(&mut self.handle) };
    }
}

impl Drop for Local {
    /// Frees everything that was retired here. After its collector, as all participants.
    fn drop(&mut self) {
        self.free_mail();
        for batch in [&mut self.fresh, &mut self.ripe] {
            let batch = std::mem::replace(batch.get_mut(), Batch(Vec::new()));
            // SAFETY: no pin is left.
            unsafe { self.mail.free(batch) };
        }
    }
}

/// A read-side section: what it can reach is not freed until it ends.
pub struct Pin<'l> {
    guard: crossbeam_epoch::Guard,
    local: &'l Local,
}

impl Pin<'_> {
    /// Frees the object once no pin can see it.
    ///
    /// # Safety
    /// `object` came from [`Managed::new`], can no longer be reached by a
    /// thread that pins from now on, and is retired once.
    // Not inlined: most of those that give a reference back retire nothing, and would save
    // the registers that this needs.
    #[inline(never)]
    pub unsafe fn retire<T>(&self, object: *mut Managed<T>) {
        let local = self.local;
        // Relaxed: statistics, written by the owning thread only.
        local.retired.store(local.retired.load(Relaxed) + 1, Relaxed);
        // SAFETY: the owner's, for this statement and the next.
        let fresh = unsafe { &mut *local.fresh.get() };
        fresh.0.push(Retired::new(object));
        if fresh.0.len() >= BATCH {
            self.seal();
        }
        local.free_one();
    }

    /// What was retired so far begins its grace period.
    #[cold]
    fn seal(&self) {
        // SAFETY: the owner's, for this statement.
        let batch = std::mem::replace(unsafe { &mut *self.local.fresh.get() }, Batch::new());
        let (batch, address) = (Box::new(batch), Address(&raw const *self.local.mail));
        let run = move || {
            let Address(mail) = { address };
            // SAFETY: participants outlive the collector that runs this.
            let mail = unsafe { &*mail };
            if let Some(late) = mail.ripe.put(batch) {
                // SAFETY: it was left there, so its grace period is over.
                unsafe { mail.free(*late) };
            }
        };
        // SAFETY: the closure may run on any thread: see `Batch` and `Address`.
        unsafe { self.guard.defer_unchecked(run) };
        // One closure stands for the whole batch: it is not to wait for others.
        self.guard.flush();
    }

    /// Passes this participant's garbage on and frees what can be freed.
    pub fn flush(&self) {
        // SAFETY: the owner's, for this statement.
        let is_empty = unsafe { &*self.local.fresh.get() }.0.is_empty();
        if is_empty {
            self.guard.flush()
        } else {
            self.seal()
        }
        while self.local.free_one() {}
    }

    /// The model checks here that the object is not freed for this pin.
    #[inline]
    pub fn check<T>(&self, _object: *mut Managed<T>) {
        #[cfg(lwproc_real_epochs)]
        Managed::look(_object);
    }
}
