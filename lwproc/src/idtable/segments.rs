//! Slots in segments that double in size and never move.
#![allow(unsafe_code)]

use crate::reclaim::Link;
#[cfg(any(test, lwproc_loom, lwproc_shuttle))]
use crate::reclaim::Tagged;
use crate::sync::{Acquire, AtomicPtr, AtomicU64, Relaxed, Release};

/// Slots of segment 0, as a power of two; segment `k` has `FIRST << k`.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const FIRST_BITS: u32 = 6;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const FIRST_BITS: u32 = 2;
const FIRST: u32 = 1 << FIRST_BITS;
/// Enough for 2^30 indices.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const SEGMENTS: usize = (31 - FIRST_BITS) as usize;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const SEGMENTS: usize = 4;

/// One id: who bears it, and its place in a free list.
#[derive(Debug)]
pub struct Slot<P, L, G = ()> {
    /// The process whose pid this is.
    pub proc: Link<P>,
    /// The LWP whose lid this is.
    pub lwp: Link<L>,
    /// The process group of this id.
    pub pgrp: Link<G>,
    /// How often the id has been released, and in the 16 bits on top how many
    /// bear it beside the first.
    pub generation: AtomicU64,
    /// In a free list: the next index, and how deep the list is here.
    pub link: AtomicU64,
}

#[cfg(any(test, lwproc_loom, lwproc_shuttle))]
impl<P, L, G> Slot<P, L, G> {
    fn new() -> Self {
        Self {
            proc: Link::new(Tagged::NULL),
            lwp: Link::new(Tagged::NULL),
            pgrp: Link::new(Tagged::NULL),
            generation: AtomicU64::new(0),
            link: AtomicU64::new(0),
        }
    }
}

/// The growing array of slots.
#[derive(Debug)]
pub struct Segments<P, L, G = ()>([AtomicPtr<Slot<P, L, G>>; SEGMENTS]);

// SAFETY: slots hold atomics only; the pointers in them are managed by the
// kernel, whose own bounds say whether they may cross threads.
unsafe impl<P: Send + Sync, L: Send + Sync, G: Send + Sync> Send for Segments<P, L, G> {}
// SAFETY: as above.
unsafe impl<P: Send + Sync, L: Send + Sync, G: Send + Sync> Sync for Segments<P, L, G> {}

/// Segment and offset of an index: biased by the first segment's size, the
/// number of leading zeros names the segment.
#[inline]
fn locate(index: u32) -> (usize, usize) {
    let biased = index + FIRST;
    let top = 31 - biased.leading_zeros();
    ((top - FIRST_BITS) as usize, (biased - (1 << top)) as usize)
}

fn segment_len(segment: usize) -> usize {
    (FIRST as usize) << segment
}

impl<P, L, G> Segments<P, L, G> {
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())))
    }

    /// The slot of an index below 2^31, if its segment exists. Wait-free.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&Slot<P, L, G>> {
        let (segment, offset) = locate(index);
        // Acquire [P1]: the slots are initialised; pairs with Release in `ensure`.
        let base = self.0.get(segment)?.load(Acquire);
        if base.is_null() {
            return None;
        }
        // SAFETY: `offset` is below the segment's length by `locate`.
        let slot = unsafe { base.add(offset) };
        // SAFETY: segments live as long as the table.
        Some(unsafe { &*slot })
    }

    /// The slots of the first so many indices, as far as their segments exist.
    pub fn iter(&self, count: usize) -> impl Iterator<Item = &Slot<P, L, G>> {
        self.0.iter().enumerate().flat_map(move |(segment, base)| {
            let first = segment_len(segment) - FIRST as usize;
            let len = segment_len(segment).min(count.saturating_sub(first));
            // Acquire [P1]: the slots are initialised; pairs with Release in `ensure`.
            let base = base.load(Acquire);
            if base.is_null() || len == 0 {
                return &[][..];
            }
            // SAFETY: segments live as long as the table.
            unsafe { std::slice::from_raw_parts(base, len) }
        })
    }

    /// The slot, with its segment made if need be. Lock-free but for the
    /// allocator; when two threads make a segment one of the two is dropped.
    #[inline]
    pub fn ensure(&self, index: u32) -> &Slot<P, L, G> {
        match self.get(index) {
            Some(slot) => slot,
            None => self.make(index),
        }
    }

    #[cold]
    fn make(&self, index: u32) -> &Slot<P, L, G> {
        let (segment, _) = locate(index);
        let new = Self::allocate(segment_len(segment));
        let cell = &self.0[segment];
        // Release [P1]: publishes the slots; pairs with Acquire in `get`.
        // Relaxed on failure: `get` below loads again.
        if cell.compare_exchange(std::ptr::null_mut(), new, Release, Relaxed).is_err() {
            // SAFETY: `new` was made above and published nowhere.
            unsafe { Self::free(new, segment_len(segment)) };
        }
        self.get(index).expect("the segment was just installed")
    }

    #[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
    fn allocate(len: usize) -> *mut Slot<P, L, G> {
        // Zeroed pages come from the system untouched: a large segment costs
        // nothing until its slots are used.
        let slots = Box::<[Slot<P, L, G>]>::new_zeroed_slice(len);
        // SAFETY: all-zero is `Slot::new()`: null links and zero counters.
        let slots = unsafe { slots.assume_init() };
        Box::into_raw(slots).cast()
    }

    #[cfg(any(lwproc_loom, lwproc_shuttle))]
    fn allocate(len: usize) -> *mut Slot<P, L, G> {
        let slots: Box<[Slot<P, L, G>]> = (0..len).map(|_| Slot::new()).collect();
        Box::into_raw(slots).cast()
    }

    /// # Safety
    /// `base` came from [`Self::allocate`] with this length, and nobody else
    /// has it.
    unsafe fn free(base: *mut Slot<P, L, G>, len: usize) {
        let slots = std::ptr::slice_from_raw_parts_mut(base, len);
        // SAFETY: sole owner by this function's contract.
        drop(unsafe { Box::from_raw(slots) });
    }
}

impl<P, L, G> Drop for Segments<P, L, G> {
    fn drop(&mut self) {
        for (segment, cell) in self.0.iter().enumerate() {
            // Relaxed: `&mut self`, nobody else is left.
            let base = cell.load(Relaxed);
            if !base.is_null() {
                // SAFETY: installed by `ensure` with this length.
                unsafe { Self::free(base, segment_len(segment)) };
            }
        }
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn indices_tile_the_segments() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(locate(index), expected, "index {index}");
            expected.1 += 1;
            if expected.1 == segment_len(expected.0) {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(locate((1 << 30) - 1).0, SEGMENTS - 1);
    }

    #[test]
    fn existing_segments_are_walked_in_order_and_to_the_end() {
        let segments = Segments::<(), ()>::new();
        let made: Vec<*const Slot<(), ()>> =
            [0, 63, 200].map(|i| &raw const *segments.ensure(i)).into();
        let walk = |count| segments.iter(count).map(|slot| &raw const *slot).collect::<Vec<_>>();
        assert_eq!(walk(0), []);
        assert_eq!(walk(1), [made[0]]);
        assert_eq!((walk(64).len(), walk(64)[63]), (64, made[1]));
        // 64 to 191 have no segment.
        assert_eq!((walk(201).len(), walk(201)[72]), (73, made[2]));
        assert_eq!(walk(usize::MAX).len(), 64 + 256);
    }

    #[test]
    fn zeroed_is_new() {
        let segments = Segments::<(), ()>::new();
        let slot = segments.ensure(5);
        let fresh = Slot::<(), ()>::new();
        assert!(slot.proc.load(Relaxed) == fresh.proc.load(Relaxed));
        assert!(slot.lwp.load(Relaxed) == fresh.lwp.load(Relaxed));
        assert!(slot.pgrp.load(Relaxed) == fresh.pgrp.load(Relaxed));
        assert_eq!(slot.generation.load(Relaxed), fresh.generation.load(Relaxed));
        assert_eq!(slot.link.load(Relaxed), fresh.link.load(Relaxed));
    }
}
