//! The table of numbers: who bears an id, and which ids are free.
//!
//! Pids and lids share one space. An id is a *slot index* in its low bits and
//! the slot's *generation* above, so each reuse of a slot yields a new number
//! and a stale number misses, until the generations that fit in 31 bits have
//! gone round (1,024 reuses of the slot with the default capacity; the 64-bit
//! identity never does). A slot has two pointers, the process and the LWP
//! that bear its id; that makes the first-LWP rule, the take-over of a pid by
//! a later LWP, and "the pid stays findable" plain stores.
//!
//! Ids are handed out by *reserve, build, publish*: a reserved id is found by
//! nobody until the finished object is stored in its slot (R3).
//!
//! Look-up is wait-free: three dependent loads, no store. Reserving is
//! lock-free, and touches only the thread's own [`Shard`] in the steady state.

mod segments;
mod shard;

pub use segments::Slot;
pub use shard::Shard;

use crate::id::Identity;
use crate::sync::{AtomicU32, Relaxed};
use crossbeam_utils::CachePadded;
use segments::Segments;

/// How many fresh ids a thread takes at a time.
#[cfg(not(lwproc_loom))]
const BATCH: u32 = 16;
#[cfg(lwproc_loom)]
const BATCH: u32 = 1;

/// How many ids must have been freed on a shard before it prefers them over
/// fresh ones: keeps a number out of use for a while.
#[cfg(not(lwproc_loom))]
const QUARANTINE: u32 = 64;
#[cfg(lwproc_loom)]
const QUARANTINE: u32 = 1;

/// A reserved id: its holder alone may publish under it or give it back.
#[must_use = "a reserved id must be published or released"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserved(pub Identity);

/// Every id of the table is in use (EAGAIN).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exhausted;

/// See the module.
#[derive(Debug)]
pub struct IdTable<P, L> {
    segments: Segments<P, L>,
    /// Ids are `1..=last` (0 is proc0's).
    last: u32,
    /// Low bits of a number that are its slot index.
    index_bits: u32,
    /// The highest index handed out so far, by batches.
    fresh: CachePadded<AtomicU32>,
}

impl<P, L> IdTable<P, L> {
    /// The largest capacity: half of the 31-bit numbers, so that every slot
    /// has at least two generations.
    pub const MAX_CAPACITY: usize = (1 << 30) - 1;

    /// A table of `capacity` ids beside 0; `capacity` is at least 1 and at
    /// most [`Self::MAX_CAPACITY`].
    pub fn new(capacity: usize) -> Self {
        let last = capacity.clamp(1, Self::MAX_CAPACITY) as u32;
        Self {
            segments: Segments::new(),
            last,
            index_bits: 32 - last.leading_zeros(),
            fresh: CachePadded::new(AtomicU32::new(0)),
        }
    }

    pub fn capacity(&self) -> usize {
        self.last as usize
    }

    /// The slot of index 0, for proc0.
    pub fn slot_zero(&self) -> &Slot<P, L> {
        self.segments.ensure(0)
    }

    /// The slot that a number names, if it exists. Wait-free.
    #[inline]
    pub fn slot(&self, number: i32) -> Option<&Slot<P, L>> {
        let number = u32::try_from(number).ok()?;
        let index = number & ((1 << self.index_bits) - 1);
        self.segments.get(index)
    }

    /// Slots in index order: `(index, slot)`. Sees every slot that was in use
    /// when the iteration started.
    pub fn slots(&self) -> impl Iterator<Item = &Slot<P, L>> {
        // Relaxed: a slot's occupants are published by the slot itself.
        let high = self.fresh.load(Relaxed).min(self.last);
        (0..=high).filter_map(|index| self.segments.get(index))
    }

    /// Reserves an id. Lock-free, but for the allocator when a new segment is
    /// due.
    ///
    /// `own` is the calling thread's shard, `all` every shard of the table:
    /// the last free ids are taken from other threads' shards. (An id that
    /// another thread is moving between its lists at that moment is missed.)
    pub fn reserve<'a>(
        &'a self,
        own: &Shard,
        all: impl Iterator<Item = &'a Shard>,
    ) -> Result<Reserved, Exhausted> {
        let index = own
            .pop(&self.segments)
            .or_else(|| own.recycle(&self.segments, QUARANTINE))
            .or_else(|| self.take_fresh(own))
            .or_else(|| own.recycle(&self.segments, 0))
            .or_else(|| {
                let mut all = all;
                all.find_map(|other| {
                    other.pop(&self.segments).or_else(|| own.steal(other, &self.segments))
                })
            })
            .ok_or(Exhausted)?;
        // Relaxed: the free list handed the slot over, generation included.
        let generation = self.segments.ensure(index).generation.load(Relaxed);
        Ok(Reserved(Identity(generation << self.index_bits | u64::from(index))))
    }

    /// Gives an id back. Nothing may be published under it any more.
    /// Lock-free.
    pub fn release(&self, own: &Shard, id: Reserved) {
        let index = (id.0.0 & ((1 << self.index_bits) - 1)) as u32;
        let slot = self.segments.ensure(index);
        // Relaxed: this thread owns the slot; the free list publishes it.
        slot.generation.store(slot.generation.load(Relaxed) + 1, Relaxed);
        own.push_freed(index, &self.segments);
    }

    fn take_fresh(&self, own: &Shard) -> Option<u32> {
        // Relaxed: the counter divides indices; nothing is published by it.
        let mut seen = self.fresh.load(Relaxed);
        let count = loop {
            let count = BATCH.min(self.last - seen.min(self.last));
            if count == 0 {
                return None;
            }
            match self.fresh.compare_exchange(seen, seen + count, Relaxed, Relaxed) {
                Ok(_) => break count,
                Err(now) => seen = now,
            }
        };
        let first = seen + 1;
        // Descending, so that they are popped in ascending order.
        let rest = (first + 1)..(first + count);
        own.install_fresh(rest.rev(), &self.segments);
        self.segments.ensure(first);
        Some(first)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    type Table = IdTable<(), ()>;

    fn reserve(table: &Table, shard: &Shard) -> Option<i32> {
        table.reserve(shard, [].iter()).ok().map(|r| r.0.number())
    }

    #[test]
    fn a_fresh_table_counts_from_one() {
        let (table, shard) = (Table::new(1000), Shard::new());
        let numbers: Vec<_> = (0..200).map(|_| reserve(&table, &shard).unwrap()).collect();
        assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    }

    #[test]
    fn a_reused_slot_yields_a_new_number() {
        let (table, shard) = (Table::new(4), Shard::new());
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let id = table.reserve(&shard, [].iter()).unwrap();
            assert!(id.0.number() > 0);
            assert!(seen.insert(id.0), "identity issued twice");
            table.release(&shard, id);
        }
        let numbers: HashSet<_> = seen.iter().map(|id| id.number()).collect();
        assert_eq!(numbers.len(), 1000, "31 bits hold a thousand reuses of four slots");
    }

    #[test]
    fn exhaustion_is_exact_and_nothing_is_lost() {
        let shards = [Shard::new(), Shard::new(), Shard::new()];
        let table = Table::new(100);
        for _ in 0..3 {
            let held: Vec<_> =
                (0..100).map(|i| table.reserve(&shards[i % 3], shards.iter()).unwrap()).collect();
            assert_eq!(table.reserve(&shards[0], shards.iter()), Err(Exhausted));
            let distinct: HashSet<_> = held.iter().map(|r| r.0).collect();
            assert_eq!(distinct.len(), 100);
            for id in held {
                table.release(&shards[1], id);
            }
        }
    }

    #[test]
    fn generations_wrap_within_positive_numbers() {
        let (table, shard) = (Table::new(1), Shard::new());
        assert_eq!(table.index_bits, 1);
        let id = table.reserve(&shard, [].iter()).unwrap();
        let wrapped = Reserved(Identity((1 << 40) << 1 | 1));
        table.segments.ensure(1).generation.store(1 << 40, Relaxed);
        table.release(&shard, wrapped);
        let next = table.reserve(&shard, [].iter()).unwrap();
        assert_ne!(next.0, id.0);
        assert!(next.0.number() > 0);
    }

    #[test]
    fn numbers_out_of_range_name_no_slot() {
        let table = Table::new(10);
        for number in [-1, i32::MIN, 15, 9] {
            assert!(table.slot(number).is_none(), "{number}");
        }
    }
}
