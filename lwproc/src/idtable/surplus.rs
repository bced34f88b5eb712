//! Free ids that no thread has.
//!
//! Where one thread makes and another ends, the ids come free with the one that ends.
//! So a thread with many freed ids hands them over, all at once, and a thread that has
//! no id ready takes such a batch before it takes fresh ids: the table grows with what
//! is in use at once, and not with what ever was.
//!
//! A stack of batches. A batch is a chain of free slots, linked by the low half of their
//! `link` words; the high half of the first one's is the first slot of the batch below.

use super::segments::Segments;
use super::shard::Word;
use super::slot::Slot;
use crate::sync::{Acquire, AtomicU64, Relaxed, Release};
use crossbeam_utils::CachePadded;

/// See the module. The first slot of the batch on top, and a tag that grows with every
/// change: who takes a batch may have slept while that batch was taken, used, and put
/// back above others. (32 bits: as in `Shard::pop`.)
#[derive(Debug)]
pub struct Surplus(CachePadded<AtomicU64>);

impl Surplus {
    pub fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    /// Hands the chain that begins with the slot `first` over. It is the caller's.
    /// Lock-free.
    pub fn put<L, G>(&self, first: u32, slots: &Segments<Slot<L, G>>) {
        let link = &slots.ensure(first).link;
        // Relaxed: the chain is this thread's alone.
        let next = Word::of(link.load(Relaxed)).index();
        // Relaxed: nothing is read through it here; the CAS carries on the publication
        // of the batches below.
        let mut head = Word::of(self.0.load(Relaxed));
        loop {
            // Relaxed: published by the CAS.
            link.store(Word::new(next, head.index()).bits(), Relaxed);
            let new = Word::new(first, head.high().wrapping_add(1));
            // Release [P78]: the links and generations of the chain, and the pointers of
            // its slots, which are empty; pairs with Acquire in `take`.
            match self.0.compare_exchange(head.bits(), new.bits(), Release, Relaxed) {
                Ok(_) => return,
                Err(seen) => head = Word::of(seen),
            }
        }
    }

    /// Takes a batch: the first slot of a chain that is the caller's now. Lock-free.
    pub fn take<L, G>(&self, slots: &Segments<Slot<L, G>>) -> Option<u32> {
        // Acquire [P78]: pairs with Release in `put`.
        let mut head = Word::of(self.0.load(Acquire));
        while head.index() != 0 {
            // Relaxed: read through the Acquire of the head. It may be stale when
            // another thread takes the batch first: then the tag has moved on.
            let below = Word::of(slots.ensure(head.index()).link.load(Relaxed)).high();
            let new = Word::new(below, head.high().wrapping_add(1));
            // Relaxed: by its tag the head is the one that was seen with Acquire.
            // Acquire [P78] on failure: as for the load above.
            match self.0.compare_exchange(head.bits(), new.bits(), Relaxed, Acquire) {
                Ok(_) => return Some(head.index()),
                Err(seen) => head = Word::of(seen),
            }
        }
        None
    }
}
