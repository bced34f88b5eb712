//! The floor: what an operation cannot avoid, and nothing else. Atomic
//! read-modify-writes on lines that no other thread writes, allocations and
//! frees of the same sizes through the same epochs and allocator, thread-local
//! reads, loads that depend on each other.

use crossbeam_epoch::{Collector, LocalHandle};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel};

/// An LWP's size.
pub type LwpBytes = [u64; 152 / 8];
/// A process's without its table, LWP, edge and slot.
pub type ProcBytes = [u64; 216 / 8];
/// An empty descriptor table's.
pub type TableBytes = [u64; 96 / 8];
/// That of an edge to a parent.
pub type EdgeBytes = [u64; 32 / 8];

thread_local! {
    /// A thread's own word.
    static OWN: Cell<*const u64> = const { Cell::new(ptr::null()) };
}

/// A thread's own lines, and its place in an epoch of its own.
pub struct Floor {
    lines: [CachePadded<AtomicU64>; 32],
    epoch: LocalHandle,
    entered: Cell<bool>,
}

impl Floor {
    /// Called on the thread that will use it.
    pub fn new() -> Self {
        OWN.set(ptr::from_ref(&7));
        Self {
            lines: std::array::from_fn(|_| CachePadded::new(AtomicU64::new(0))),
            epoch: Collector::new().register(),
            entered: Cell::new(false),
        }
    }

    /// This many read-modify-writes, each on a line of its own.
    #[inline]
    pub fn rmws<const COUNT: usize>(&self) {
        for line in &self.lines[..COUNT] {
            line.fetch_add(1, AcqRel);
        }
    }

    /// One thread-local read.
    #[inline]
    pub fn local() -> *const u64 {
        black_box(OWN.get())
    }

    /// The check that a thread is not in already, and the mark that it is.
    #[inline]
    pub fn enter(&self) -> bool {
        !black_box(&self.entered).replace(true)
    }

    /// The mark that it is out.
    #[inline]
    pub fn leave(&self) {
        black_box(&self.entered).set(false);
    }

    /// One pin and its end.
    #[inline]
    pub fn pin(&self) -> crossbeam_epoch::Guard {
        self.epoch.pin()
    }

    /// Allocates an object, as it is built.
    #[inline]
    pub fn make<T: Default>() -> Box<T> {
        black_box(Box::default())
    }

    /// Retires an object.
    #[inline]
    pub fn retire<T: Send + 'static>(guard: &crossbeam_epoch::Guard, object: Box<T>) {
        guard.defer(move || drop(object));
    }
}

/// Loads that depend on each other: each from where the one before said.
pub fn chase<const LOADS: usize>(chain: &[Cell<usize>]) -> usize {
    let mut at = 0;
    for _ in 0..LOADS {
        at = black_box(&chain[at]).get();
    }
    at
}
