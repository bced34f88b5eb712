//! A growing array: segments that double in size and never move.
#![allow(unsafe_code)]

use crate::reclaim::Link;
#[cfg(any(test, lwproc_loom, lwproc_shuttle))]
use crate::reclaim::Tagged;
use crate::sync::{Acquire, AtomicPtr, AtomicU64, Relaxed, Release};

/// Elements of segment 0, as a power of two; segment `k` has `FIRST << k`.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const FIRST_BITS: u32 = 6;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const FIRST_BITS: u32 = 2;
const FIRST: u32 = 1 << FIRST_BITS;
/// One for each place of a top bit.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const SEGMENTS: usize = (u32::BITS - FIRST_BITS) as usize;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const SEGMENTS: usize = 4;

/// What a segment can hold.
///
/// # Safety
/// All-zero memory is what `fresh` makes, and nothing has to be dropped.
pub unsafe trait Fresh {
    /// What an element is before its first use.
    #[cfg(any(test, lwproc_loom, lwproc_shuttle))]
    fn fresh() -> Self;
}

// SAFETY: zero is the null link without a tag; the array does not own what is linked.
unsafe impl<T> Fresh for Link<T> {
    #[cfg(any(test, lwproc_loom, lwproc_shuttle))]
    fn fresh() -> Self {
        Link::new(Tagged::NULL)
    }
}

// SAFETY: zero is zero.
unsafe impl Fresh for AtomicU64 {
    #[cfg(any(test, lwproc_loom, lwproc_shuttle))]
    fn fresh() -> Self {
        Self::new(0)
    }
}

/// The growing array.
#[derive(Debug)]
pub struct Segments<T>([AtomicPtr<T>; SEGMENTS]);

// SAFETY: gives out `&T` only, on any thread, and drops them on any.
unsafe impl<T: Send + Sync> Send for Segments<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Segments<T> {}

/// Segment and offset of an index: biased by the first segment's size, the
/// number of leading zeros names the segment.
#[inline]
fn locate(index: u32) -> (usize, usize) {
    let biased = index + FIRST;
    // No smaller than FIRST: said so that nothing is checked.
    let top = (biased | FIRST).ilog2();
    ((top - FIRST_BITS) as usize, (biased ^ 1 << top) as usize)
}

fn segment_len(segment: usize) -> usize {
    (FIRST as usize) << segment
}

impl<T: Fresh> Segments<T> {
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())))
    }

    /// The element of an index below 2^31, if its segment exists. Wait-free.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (segment, offset) = locate(index);
        // Acquire [P1]: the elements are initialised; pairs with Release in `ensure`.
        let base = self.0.get(segment)?.load(Acquire);
        if base.is_null() {
            return None;
        }
        // SAFETY: `offset` is below the segment's length by `locate`.
        let element = unsafe { base.add(offset) };
        // SAFETY: segments live as long as the array.
        Some(unsafe { &*element })
    }

    /// The elements from an index below 2^31 to the end of its segment, if that exists.
    /// Wait-free.
    pub fn rest(&self, index: u32) -> Option<&[T]> {
        let (segment, offset) = locate(index);
        // Acquire [P1]: the elements are initialised; pairs with Release in `ensure`.
        let base = self.0.get(segment)?.load(Acquire);
        if base.is_null() {
            return None;
        }
        // SAFETY: segments live as long as the array.
        let elements = unsafe { std::slice::from_raw_parts(base, segment_len(segment)) };
        elements.get(offset..)
    }

    /// The elements of the first so many indices, as far as their segments exist.
    pub fn iter(&self, count: usize) -> impl Iterator<Item = &T> {
        self.0.iter().enumerate().flat_map(move |(segment, base)| {
            let first = segment_len(segment) - FIRST as usize;
            let len = segment_len(segment).min(count.saturating_sub(first));
            // Acquire [P1]: the elements are initialised; pairs with Release in `ensure`.
            let base = base.load(Acquire);
            if base.is_null() || len == 0 {
                return &[][..];
            }
            // SAFETY: segments live as long as the array.
            unsafe { std::slice::from_raw_parts(base, len) }
        })
    }

    /// The element, with its segment made if need be. Lock-free but for the
    /// allocator; when two threads make a segment one of the two is dropped.
    #[inline]
    pub fn ensure(&self, index: u32) -> &T {
        match self.get(index) {
            Some(element) => element,
            None => self.make(index),
        }
    }

    #[cold]
    fn make(&self, index: u32) -> &T {
        let (segment, _) = locate(index);
        let new = Self::allocate(segment_len(segment));
        let cell = &self.0[segment];
        // Release [P1]: publishes the elements; pairs with Acquire in `get`.
        // Relaxed on failure: `get` below loads again.
        if cell.compare_exchange(std::ptr::null_mut(), new, Release, Relaxed).is_err() {
            // SAFETY: `new` was made above and published nowhere.
            unsafe { Self::free(new, segment_len(segment)) };
        }
        self.get(index).expect("the segment was just installed")
    }

    #[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
    fn allocate(len: usize) -> *mut T {
        // Zeroed pages come from the system untouched: a large segment costs
        // nothing until its elements are used.
        let elements = Box::<[T]>::new_zeroed_slice(len);
        // SAFETY: by the trait's contract.
        let elements = unsafe { elements.assume_init() };
        Box::into_raw(elements).cast()
    }

    #[cfg(any(lwproc_loom, lwproc_shuttle))]
    fn allocate(len: usize) -> *mut T {
        let elements: Box<[T]> = (0..len).map(|_| T::fresh()).collect();
        Box::into_raw(elements).cast()
    }
}

impl<T> Segments<T> {
    /// # Safety
    /// `base` came from `allocate` with this length, and nobody else has it.
    unsafe fn free(base: *mut T, len: usize) {
        let elements = std::ptr::slice_from_raw_parts_mut(base, len);
        // SAFETY: sole owner by this function's contract.
        drop(unsafe { Box::from_raw(elements) });
    }
}

impl<T> Drop for Segments<T> {
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
        assert_eq!(locate(u32::MAX - FIRST).0, SEGMENTS - 1);
    }

    #[test]
    fn existing_segments_are_walked_in_order_and_to_the_end() {
        let segments = Segments::<Link<()>>::new();
        let made: Vec<*const Link<()>> =
            [0, 63, 200].map(|i| &raw const *segments.ensure(i)).into();
        let walk = |count| segments.iter(count).map(|link| &raw const *link).collect::<Vec<_>>();
        assert_eq!(walk(0), []);
        assert_eq!(walk(1), [made[0]]);
        assert_eq!((walk(64).len(), walk(64)[63]), (64, made[1]));
        // 64 to 191 have no segment.
        assert_eq!((walk(201).len(), walk(201)[72]), (73, made[2]));
        assert_eq!(walk(usize::MAX).len(), 64 + 256);
    }

    #[test]
    fn the_rest_of_a_segment_begins_with_the_element_and_ends_with_the_segment() {
        let segments = Segments::<AtomicU64>::new();
        assert!(segments.rest(70).is_none());
        let made = &raw const *segments.ensure(70);
        let rest = segments.rest(70).unwrap();
        assert_eq!((&raw const rest[0], rest.len()), (made, 64 + 128 - 70));
        assert!(segments.rest(63).is_none() && segments.rest(u32::MAX - FIRST).is_none());
    }

    #[test]
    fn a_zeroed_link_is_fresh() {
        let segments = Segments::<Link<()>>::new();
        assert!(segments.ensure(5).load(Relaxed) == Link::<()>::fresh().load(Relaxed));
    }
}
