//! The table of numbers: who bears an id, and which ids are free.
//!
//! Pids and lids share one space. An id is a *slot index* in its low bits and
//! the slot's *generation* above, so each reuse of a slot yields a new number
//! and a stale number misses, until the generations that fit in 31 bits have
//! gone round (1,024 reuses of the slot with the default capacity; the 64-bit
//! identity never does). Or, as the kernel was told, an id is a slot index and no
//! more: only the identity then has the generation.
//!
//! A slot has three pointers, to the process, the LWP and the process group that bear
//! its id; that makes the first-LWP rule, the take-over of a pid by a later LWP, and
//! "the pid stays findable" plain stores.
//!
//! An id that is in use has one bearer, and may get more: the group and the
//! session that its process leads. Who takes the last one off releases the id.
//! The count of the further ones is in the same word as the generation, so no
//! bearer is added to an id that has been released, or to its successor.
//!
//! Ids are handed out by *reserve, build, publish*: a reserved id is found by
//! nobody until the finished object is stored in its slot (R3).
//!
//! The pointers to processes lie in an array of their own: who looks for one, or
//! walks them all, has eight in a cache line, and the rest of a slot is for who
//! makes and ends.
//!
//! Look-up is wait-free: three dependent loads, no store. Reserving is
//! lock-free, and touches only the thread's own [`Shard`] in the steady state; in
//! Linux's order, one word for all ([`Cyclic`]).

pub mod cyclic;
pub mod segments;
mod shard;
mod slot;
pub mod surplus;

pub use shard::Shard;
pub use slot::Slot;

use crate::id::{Identity, Numbering};
use crate::reclaim::Link;
use crate::sync::{AcqRel, AtomicU32, Relaxed};
use crossbeam_utils::CachePadded;
use cyclic::Cyclic;
use segments::Segments;
use surplus::Surplus;

/// How many fresh ids a thread takes at a time.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const BATCH: u32 = 16;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const BATCH: u32 = 2;

/// How many ids must have been freed on a shard before it prefers them over
/// fresh ones: keeps a number out of use for a while.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const QUARANTINE: u32 = 64;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const QUARANTINE: u32 = 1;

/// A thread that has freed so many ids, and not used them again, hands them over.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const FULL: u32 = 2 * QUARANTINE;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const FULL: u32 = 3;

/// Bits of a number.
const NUMBER_BITS: u32 = 31;

/// Bits of a slot's `generation` that are the generation.
const GENERATION: u64 = BEARER - 1;
/// One further bearer.
const BEARER: u64 = 1 << 48;

/// A reserved id: its holder alone may publish under it or give it back.
#[must_use = "a reserved id must be published or released"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserved(pub Identity);

/// Every id of the table is in use (EAGAIN).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exhausted;

/// See the module.
#[derive(Debug)]
pub struct IdTable<P, L, G = ()> {
    /// The process whose pid each slot's id is.
    procs: Segments<Link<P>>,
    /// What else a slot has.
    slots: Segments<Slot<L, G>>,
    /// Ids are `1..=last` (0 is proc0's); in Linux's order, at most.
    last: u32,
    /// Low bits of a number that are its slot index: as a mask, and how many.
    index_mask: u32,
    index_bits: u32,
    /// The highest index handed out so far: by batches, or in Linux's order.
    fresh: CachePadded<AtomicU32>,
    /// Free ids that no thread has.
    surplus: Surplus,
    /// What gives the ids instead of all that, in Linux's order.
    cyclic: Option<Box<Cyclic>>,
}

impl<P, L, G> IdTable<P, L, G> {
    /// The largest capacity: half of the 31-bit numbers, so that every slot
    /// has at least two generations.
    pub const MAX_CAPACITY: usize = (1 << 30) - 1;

    /// A table of `capacity` ids beside 0; `capacity` is at least 1 and at
    /// most [`Self::MAX_CAPACITY`].
    pub fn new(capacity: usize, numbering: Numbering) -> Self {
        let capacity = capacity.clamp(1, Self::MAX_CAPACITY) as u32;
        let (last, index_bits, cyclic) = match numbering {
            Numbering::Generations => (capacity, 32 - capacity.leading_zeros(), None),
            Numbering::Dense => (capacity, NUMBER_BITS, None),
            Numbering::Cyclic => {
                let cyclic = Box::new(Cyclic::new(capacity + 1));
                (Self::MAX_CAPACITY as u32, NUMBER_BITS, Some(cyclic))
            }
        };
        Self {
            procs: Segments::new(),
            slots: Segments::new(),
            last,
            index_mask: (1 << index_bits) - 1,
            index_bits,
            fresh: CachePadded::new(AtomicU32::new(0)),
            surplus: Surplus::new(),
            cyclic,
        }
    }

    pub fn capacity(&self) -> usize {
        self.cyclic.as_ref().map_or(self.last, |cyclic| cyclic.max() - 1) as usize
    }

    /// What gives the ids, if it is Linux's order.
    pub fn cyclic(&self) -> Option<&Cyclic> {
        self.cyclic.as_deref()
    }

    /// Makes the slot of index 0, for proc0.
    pub fn make_zero(&self) {
        self.procs.ensure(0);
        self.slots.ensure(0);
    }

    fn index(&self, number: i32) -> Option<u32> {
        Some(u32::try_from(number).ok()? & self.index_mask)
    }

    /// The pointer to a process in the slot that a number names, if that exists. Wait-free.
    #[inline]
    pub fn proc(&self, number: i32) -> Option<&Link<P>> {
        self.procs.get(self.index(number)?)
    }

    /// The rest of the slot that a number names, if it exists. Wait-free.
    #[inline]
    pub fn slot(&self, number: i32) -> Option<&Slot<L, G>> {
        self.slots.get(self.index(number)?)
    }

    /// The pointers to processes in index order. Sees every slot that was in use
    /// when the iteration started.
    pub fn procs(&self) -> impl Iterator<Item = &Link<P>> {
        self.procs.iter(self.used())
    }

    /// The rest of the slots, as [`Self::procs`].
    pub fn slots(&self) -> impl Iterator<Item = &Slot<L, G>> {
        self.slots.iter(self.used())
    }

    /// How many slots may be in use.
    fn used(&self) -> usize {
        // Relaxed: a slot's occupants are published by the slot itself.
        self.fresh.load(Relaxed).min(self.last) as usize + 1
    }

    /// Reserves an id. Lock-free, but for the allocator when a new segment is
    /// due.
    ///
    /// `own` is the calling thread's shard, `all` every shard of the table:
    /// the last free ids are taken from other threads' shards. (An id that
    /// another thread is moving at that moment, between its lists or to all, is missed.)
    pub fn reserve<'a>(
        &'a self,
        own: &Shard,
        all: impl Iterator<Item = &'a Shard>,
    ) -> Result<Reserved, Exhausted> {
        let index = match &self.cyclic {
            None => self.take_free(own, all),
            Some(cyclic) => self.take_next(cyclic),
        }
        .ok_or(Exhausted)?;
        // Relaxed: the free list, or the bit, handed the slot over, generation included.
        let word = self.slots.ensure(index).generation.load(Relaxed);
        Ok(Reserved(self.identity(word, index)))
    }

    /// Takes the next index in Linux's order, and makes its slot.
    fn take_next(&self, cyclic: &Cyclic) -> Option<u32> {
        let index = cyclic.reserve()?;
        self.procs.ensure(index);
        self.slots.ensure(index);
        // Relaxed, twice: as in `used`.
        if self.fresh.load(Relaxed) < index {
            self.fresh.fetch_max(index, Relaxed);
        }
        Some(index)
    }

    #[inline]
    fn take_free<'a>(&'a self, own: &Shard, all: impl Iterator<Item = &'a Shard>) -> Option<u32> {
        own.pop(&self.slots)
            .or_else(|| own.recycle(&self.slots, QUARANTINE))
            .or_else(|| self.take_surplus(own))
            .or_else(|| self.take_fresh(own))
            .or_else(|| own.recycle(&self.slots, 0))
            .or_else(|| {
                let mut all = all;
                all.find_map(|other| {
                    other.pop(&self.slots).or_else(|| own.steal(other, &self.slots))
                })
            })
            // What was handed over meanwhile.
            .or_else(|| self.take_surplus(own))
    }

    fn index_of(&self, id: Identity) -> u32 {
        id.0 as u32 & self.index_mask
    }

    /// The id that a slot with that `generation` is in.
    fn identity(&self, word: u64, index: u32) -> Identity {
        Identity((word & GENERATION) << self.index_bits | u64::from(index))
    }

    /// Gives an id back that never had more than one bearer. Nothing may be
    /// published under it any more. Lock-free.
    pub fn release(&self, own: &Shard, id: Reserved) {
        let index = self.index_of(id.0);
        let slot = self.slots.ensure(index);
        // Relaxed: this thread owns the slot; the free list publishes it.
        let word = slot.generation.load(Relaxed);
        debug_assert!(word < BEARER, "released while others bear it");
        slot.generation.store((word + 1) & GENERATION, Relaxed);
        self.set_free(own, index);
    }

    /// Adds a bearer to an id, unless it has been released. Lock-free.
    #[must_use]
    pub fn hold(&self, id: Identity) -> bool {
        let index = self.index_of(id);
        let word = &self.slots.ensure(index).generation;
        // Relaxed: the CAS decides, and publishes nothing: it only keeps the id.
        let mut seen = word.load(Relaxed);
        while self.identity(seen, index) == id {
            // The count is full: 65,535 threads are making one group at this
            // moment, and each that loses takes its own off again.
            if seen >> 48 == 0xffff {
                seen = word.load(Relaxed);
                continue;
            }
            match word.compare_exchange(seen, seen + BEARER, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Takes a bearer off an id; true when it was the last, and the id has been
    /// released. What it published under the id is gone. Lock-free.
    pub fn unhold(&self, own: &Shard, id: Reserved) -> bool {
        let index = self.index_of(id.0);
        let word = &self.slots.ensure(index).generation;
        // Relaxed: the CAS decides.
        let mut seen = word.load(Relaxed);
        let last = loop {
            debug_assert_eq!(self.identity(seen, index), id.0, "released while borne");
            let last = seen < BEARER;
            let new = if last { (seen + 1) & GENERATION } else { seen - BEARER };
            // AcqRel [P40]: Release: this bearer's pointer in the slot is empty;
            // Acquire: so are the others', before the last one gives the id to
            // the free list.
            match word.compare_exchange(seen, new, AcqRel, Relaxed) {
                Ok(_) => break last,
                Err(now) => seen = now,
            }
        };
        if last {
            self.set_free(own, index);
        }
        last
    }

    /// Puts a released id among the calling thread's free ones, or back in its place.
    #[inline]
    fn set_free(&self, own: &Shard, index: u32) {
        if let Some(cyclic) = &self.cyclic {
            cyclic.release(index);
        } else if own.push_freed(index, &self.slots) >= FULL {
            self.hand_over(own);
        }
    }

    /// Gives what the calling thread has freed to all.
    #[cold]
    fn hand_over(&self, own: &Shard) {
        // Nothing is there when a thief was quicker.
        if let Some(first) = own.take_freed() {
            self.surplus.put(first, &self.slots);
        }
    }

    fn take_surplus(&self, own: &Shard) -> Option<u32> {
        Some(own.adopt(self.surplus.take(&self.slots)?, &self.slots))
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
        // First: once the others are ready, a thief may publish under them. A batch is
        // in two segments at most.
        for end in [first, first + count - 1] {
            self.procs.ensure(end);
            self.slots.ensure(end);
        }
        // Descending, so that they are popped in ascending order.
        let rest = (first + 1)..(first + count);
        own.install_fresh(rest.rev(), &self.slots);
        Some(first)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Barrier;

    type Table = IdTable<(), ()>;

    fn table(capacity: usize) -> Table {
        Table::new(capacity, Numbering::Generations)
    }

    fn reserve(table: &Table, shard: &Shard) -> Option<i32> {
        table.reserve(shard, [].iter()).ok().map(|r| r.0.number())
    }

    #[test]
    fn a_fresh_table_counts_from_one() {
        let (table, shard) = (table(1000), Shard::new());
        let numbers: Vec<_> = (0..200).map(|_| reserve(&table, &shard).unwrap()).collect();
        assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    }

    #[test]
    fn a_reused_slot_yields_a_new_number() {
        let (table, shard) = (table(4), Shard::new());
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
        let table = table(100);
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

    /// One thread makes, another ends.
    #[test]
    fn the_table_grows_with_what_is_in_use_and_not_with_what_was() {
        let (table, [maker, ender]) = (table(1 << 20), [Shard::new(), Shard::new()]);
        let mut held = std::collections::VecDeque::new();
        for _ in 0..100_000 {
            held.push_back(table.reserve(&maker, [].iter()).unwrap());
            if held.len() > 500 {
                table.release(&ender, held.pop_front().unwrap());
            }
        }
        let most = 500 + 2 * (FULL + BATCH);
        assert!(table.used() <= most as usize, "{} slots for 500 ids", table.used());
    }

    /// They all make, and then all end, one after the other.
    #[test]
    fn what_some_threads_have_freed_others_take() {
        let table = table(1 << 20);
        let shards = [(); 8].map(|()| Shard::new());
        for own in &shards {
            let held: Vec<_> = (0..5000).map(|_| table.reserve(own, [].iter()).unwrap()).collect();
            held.into_iter().for_each(|id| table.release(own, id));
        }
        let most = 5000 + 8 * 2 * FULL;
        assert!(table.used() <= most as usize, "{} slots for 5000 ids", table.used());
    }

    /// The last id is the first of a segment, which takes its time to make.
    #[test]
    fn an_id_that_is_stolen_from_a_fresh_batch_has_its_place() {
        const LAST: usize = 64 * 255;
        for _ in 0..200 {
            let (table, shards) = (table(LAST), [Shard::new(), Shard::new()]);
            (16..LAST).for_each(|_| _ = reserve(&table, &shards[0]).unwrap());
            let (start, left) = (Barrier::new(2), AtomicU32::new(16));
            let take = |own: &Shard| {
                start.wait();
                while left.load(Relaxed) > 0 {
                    if let Ok(id) = table.reserve(own, shards.iter()) {
                        left.fetch_sub(1, Relaxed);
                        let number = id.0.number();
                        assert!(table.proc(number).is_some() && table.slot(number).is_some());
                    }
                }
            };
            std::thread::scope(|s| {
                s.spawn(|| take(&shards[1]));
                take(&shards[0]);
            });
        }
    }

    #[test]
    fn an_id_is_released_by_its_last_bearer_and_by_no_other() {
        let (table, shard) = (table(1), Shard::new());
        let id = table.reserve(&shard, [].iter()).unwrap();
        assert!(table.hold(id.0) && table.hold(id.0));
        assert!(!table.unhold(&shard, id));
        assert!(table.hold(id.0), "as long as there is one");
        assert!(!table.unhold(&shard, id));
        assert_eq!(table.reserve(&shard, [].iter()), Err(Exhausted));
        assert!(!table.unhold(&shard, id));
        assert!(table.unhold(&shard, id));
        assert!(!table.hold(id.0), "released");
        let next = table.reserve(&shard, [].iter()).unwrap();
        assert_ne!(next, id);
        assert!(!table.hold(id.0), "its successor is not it");
        assert!(table.hold(next.0));
    }

    #[test]
    fn generations_wrap_within_positive_numbers() {
        let (table, shard) = (table(1), Shard::new());
        assert_eq!(table.index_bits, 1);
        let id = table.reserve(&shard, [].iter()).unwrap();
        let wrapped = Reserved(Identity((1 << 40) << 1 | 1));
        table.slots.ensure(1).generation.store(1 << 40, Relaxed);
        table.release(&shard, wrapped);
        let next = table.reserve(&shard, [].iter()).unwrap();
        assert_ne!(next.0, id.0);
        assert!(next.0.number() > 0);
    }

    #[test]
    fn numbers_out_of_range_name_no_slot() {
        let table = table(10);
        for number in [-1, i32::MIN, 15, 9] {
            assert!(table.slot(number).is_none(), "{number}");
            assert!(table.proc(number).is_none(), "{number}");
        }
    }
}
