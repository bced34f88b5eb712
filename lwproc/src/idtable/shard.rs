//! The free ids of one thread.
//!
//! Two stacks through the slots' `link` words. `ready` is popped one id at a
//! time, by the owner and, when ids run out, by anybody; a tag in its head
//! makes the pop safe against reuse. `freed` is only pushed to and taken
//! whole, so it needs no tag. When `ready` is empty and enough ids lie in
//! `freed`, the owner moves the whole of `freed` over: that is the quarantine
//! of a released number. When very many lie there, it hands them over to all
//! (`surplus.rs`).
//!
//! A thread takes, in this order: a ready id; its freed ids, if more than 64 lie there; the
//! surplus; 16 fresh ids; its freed ids, however few; another shard's. So a number stays out
//! of use for a while, and on a fresh kernel one thread counts 1, 2, 3. A thread with 128
//! freed ids hands them over.

use super::segments::Segments;
use super::slot::Slot;
use crate::sync::{Acquire, AtomicU64, Relaxed, Release};
use crossbeam_utils::CachePadded;

/// An index (0: none) in the low half; in the high half a tag, a depth, or another index.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    const EMPTY: Word = Word(0);

    pub(super) fn new(index: u32, high: u32) -> Self {
        Word(u64::from(high) << 32 | u64::from(index))
    }
    pub(super) fn of(bits: u64) -> Self {
        Word(bits)
    }
    pub(super) fn bits(self) -> u64 {
        self.0
    }
    pub(super) fn index(self) -> u32 {
        self.0 as u32
    }
    pub(super) fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// See the module.
#[derive(Debug)]
pub struct Shard(CachePadded<Heads>);

#[derive(Debug)]
struct Heads {
    /// Top index, and a tag that grows with every change. (32 bits: a stalled
    /// pop would have to sleep through exactly 2^32 changes to be fooled.)
    ready: AtomicU64,
    /// Top index, and the stack's depth.
    freed: AtomicU64,
}

impl Shard {
    pub fn new() -> Self {
        Self(CachePadded::new(Heads { ready: AtomicU64::new(0), freed: AtomicU64::new(0) }))
    }

    /// Takes an id from `ready`. Lock-free.
    pub fn pop<L, G>(&self, slots: &Segments<Slot<L, G>>) -> Option<u32> {
        // Acquire [P2]: the link and generation of the top slot; pairs with
        // Release in `install`.
        let mut head = Word(self.0.ready.load(Acquire));
        while head != Word::EMPTY && head.index() != 0 {
            // Relaxed: read through the Acquire of the head. It may be stale
            // when another thread pops first: then the tag has moved on.
            let below = Word(slots.ensure(head.index()).link.load(Relaxed)).index();
            let next = Word::new(below, head.high().wrapping_add(1));
            // Relaxed: by its tag the head is the one that was seen with Acquire.
            // Acquire [P2] on failure: as for the load above.
            match self.0.ready.compare_exchange(head.0, next.0, Relaxed, Acquire) {
                Ok(_) => return Some(head.index()),
                Err(seen) => head = Word(seen),
            }
        }
        None
    }

    /// Puts an id aside for later; how many lie there now. Owner only. Lock-free.
    #[must_use]
    pub fn push_freed<L, G>(&self, index: u32, slots: &Segments<Slot<L, G>>) -> u32 {
        let link = &slots.ensure(index).link;
        // Relaxed: the CAS publishes.
        let mut head = Word(self.0.freed.load(Relaxed));
        loop {
            // Relaxed: published by the CAS.
            link.store(head.0, Relaxed);
            let new = Word::new(index, head.high() + 1);
            // Release [P2]: the slot's link, generation and cleared pointers;
            // pairs with Acquire in `take_freed`.
            match self.0.freed.compare_exchange(head.0, new.0, Release, Relaxed) {
                Ok(_) => return new.high(),
                Err(seen) => head = Word(seen),
            }
        }
    }

    /// Takes all that has been freed here, if there is any: the first of a chain that is
    /// the caller's now.
    pub fn take_freed(&self) -> Option<u32> {
        // Acquire [P2]: for every pushed slot (each push continues the
        // release sequence of those below it).
        let first = Word(self.0.freed.swap(0, Acquire)).index();
        (first != 0).then_some(first)
    }

    /// If more than `at_least` ids have been freed here, makes them ready and
    /// takes one. Owner only.
    pub fn recycle<L, G>(&self, slots: &Segments<Slot<L, G>>, at_least: u32) -> Option<u32> {
        // Relaxed: a hint; the swap decides.
        if Word(self.0.freed.load(Relaxed)).high() <= at_least {
            return None;
        }
        self.steal(self, slots)
    }

    /// Takes all that `victim` has freed: one to return, the rest made ready
    /// here. Owner only.
    pub fn steal<L, G>(&self, victim: &Shard, slots: &Segments<Slot<L, G>>) -> Option<u32> {
        Some(self.adopt(victim.take_freed()?, slots))
    }

    /// Takes a chain over that is the caller's: returns the first, and makes the rest
    /// ready here. Owner only.
    pub fn adopt<L, G>(&self, first: u32, slots: &Segments<Slot<L, G>>) -> u32 {
        // Relaxed: the chain is this thread's alone.
        let rest = Word(slots.ensure(first).link.load(Relaxed)).index();
        if rest != 0 {
            self.install(rest);
        }
        first
    }

    /// Makes fresh ids ready, the last of the iterator on top. Owner only.
    pub fn install_fresh<L, G>(
        &self,
        indices: impl Iterator<Item = u32>,
        slots: &Segments<Slot<L, G>>,
    ) {
        let mut top = 0;
        for index in indices {
            // Relaxed: published by `install`.
            slots.ensure(index).link.store(Word::new(top, 0).0, Relaxed);
            top = index;
        }
        if top != 0 {
            self.install(top);
        }
    }

    /// Makes a chain the content of `ready`, which is empty: only the owner
    /// fills it, and it fills it only after finding it empty.
    fn install(&self, top: u32) {
        // Relaxed: only the tag is wanted.
        let head = Word(self.0.ready.load(Relaxed));
        debug_assert_eq!(head.index(), 0, "only an empty list is refilled");
        let new = Word::new(top, head.high().wrapping_add(1));
        // Release [P2]: the chain's links and generations; pairs with
        // Acquire in `pop`.
        self.0.ready.store(new.0, Release);
    }
}
