//! The model epoch: the guarantee of an epoch scheme, and nothing else.
//!
//! Axiom: *if an object may be gone for a pin, then its retirement happens
//! before that pin.* A pin reads the retirement clock with Acquire and keeps
//! it as its stamp; a retirement advances the clock with Release and stamps
//! the object. Looking at an object whose stamp is not later than the pin's
//! is a use after free in some real execution, and panics here. Memory is
//! kept until the collector goes, so addresses are never reused within one
//! iteration: what depends on reuse is outside this model.
#![allow(unsafe_code)]

use crate::sync::{AcqRel, Acquire, AtomicU64, Watched};
use std::cell::Cell;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64 as StdU64, Ordering::SeqCst};

std::thread_local! {
    /// Objects allocated and not yet freed. All threads of one model run on
    /// one host thread, so a host thread-local counts one model.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// A heap object with the stamp of its retirement (0: not retired).
pub struct Managed<T> {
    /// Written when the object is made, read at each look at it: loom tells a
    /// look that the making does not happen before.
    made: Watched<()>,
    retired_at: StdU64,
    value: T,
}

impl<T> Managed<T> {
    pub fn new(value: T) -> *mut Managed<T> {
        LIVE.set(LIVE.get() + 1);
        let made = Watched::new(());
        made.with_mut(|_| ());
        Box::into_raw(Box::new(Managed { made, retired_at: StdU64::new(0), value }))
    }

    /// See the real twin.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn deref_counted<'a>(this: *mut Managed<T>) -> &'a T {
        // SAFETY: memory is kept until the end of the iteration.
        let object = unsafe { &*this };
        assert!(object.retired_at.load(SeqCst) == 0, "counted use of a retired object");
        object.made.with(|_| ());
        &object.value
    }

    /// Where the value is, for a pin that has been checked.
    pub fn value_ptr(this: *mut Managed<T>) -> *const T {
        // SAFETY: a place computation inside a live allocation.
        unsafe { &raw const (*this).value }
    }

    /// See the real twin.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn free(this: *mut Managed<T>) {
        LIVE.set(LIVE.get() - 1);
        // SAFETY: sole owner by this function's contract.
        drop(unsafe { Box::from_raw(this) });
    }
}

type Deferred = Box<dyn FnOnce()>;

struct State {
    clock: AtomicU64,
    garbage: Mutex<Vec<Deferred>>,
}

/// The set of garbage of one kernel.
pub struct Collector(std::sync::Arc<State>);

impl Collector {
    pub fn new() -> Self {
        let state = State { clock: AtomicU64::new(1), garbage: Mutex::new(Vec::new()) };
        Self(std::sync::Arc::new(state))
    }

    pub fn register(&self) -> Local {
        Local {
            state: self.0.clone(),
            depth: Cell::new(0),
            stamp: Cell::new(0),
            retired: Cell::new(0),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        loop {
            let garbage = std::mem::take(&mut *self.0.garbage.lock().unwrap());
            if garbage.is_empty() {
                break;
            }
            garbage.into_iter().for_each(|free| free());
        }
        if !std::thread::panicking() {
            let left = LIVE.replace(0);
            assert!(left == 0, "{left} objects leaked: neither retired nor freed");
        }
        LIVE.set(0);
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector(model)")
    }
}

/// One participant.
pub struct Local {
    state: std::sync::Arc<State>,
    depth: Cell<usize>,
    stamp: Cell<u64>,
    retired: Cell<u64>,
}

impl Local {
    pub fn pin(&self) -> Pin<'_> {
        if self.depth.get() == 0 {
            // Acquire [P0]: pairs with the clock's AcqRel in `retire`.
            self.stamp.set(self.state.clock.load(Acquire));
        }
        self.depth.set(self.depth.get() + 1);
        Pin { local: self, stamp: self.stamp.get() }
    }

    pub fn retired_freed(&self) -> (u64, u64) {
        (self.retired.get(), 0)
    }

    /// Nothing is left here: everything is freed when the collector goes.
    pub fn free_mail(&self) {}

    /// See the real twin.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn unregister(&mut self) {
        assert!(self.depth.get() == 0, "participant leaves while pinned");
    }
}

/// A read-side section with the stamp of its start.
pub struct Pin<'l> {
    local: &'l Local,
    stamp: u64,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.local.depth.set(self.local.depth.get() - 1);
    }
}

impl Pin<'_> {
    /// See the real twin.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn retire<T>(&self, object: *mut Managed<T>) {
        self.local.retired.set(self.local.retired.get() + 1);
        // AcqRel [P0]: the object is unreachable before a pin that reads this.
        let at = self.local.state.clock.fetch_add(1, AcqRel) + 1;
        // SAFETY: memory is kept until the end of the iteration.
        let before = unsafe { &(*object).retired_at }.swap(at, SeqCst);
        assert!(before == 0, "retired twice");
        let free: Box<dyn FnOnce() + '_> = Box::new(move || {
            // SAFETY: runs when the collector goes: nobody is left.
            unsafe { Managed::free(object) };
        });
        // SAFETY: only the lifetime is erased; the closure runs before the
        // model's iteration ends, while all types it names are alive.
        let free: Deferred = unsafe { std::mem::transmute(free) };
        self.local.state.garbage.lock().unwrap().push(free);
    }

    pub fn flush(&self) {}

    /// Panics when a thread with this pin may be looking at freed memory.
    pub fn check<T>(&self, object: *mut Managed<T>) {
        // SAFETY: memory is kept until the end of the iteration.
        let object = unsafe { &*object };
        object.made.with(|_| ());
        let at = object.retired_at.load(SeqCst);
        assert!(
            at == 0 || self.stamp < at,
            "use after retire: retired at {at}, pinned at {}",
            self.stamp
        );
    }
}
