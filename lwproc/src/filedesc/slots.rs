//! The slots of a table, in segments that never move, and the bitmap.
//!
//! | descriptors | slots | bitmap |
//! |---|---|---|
//! | 0 to 15, 16 to 63 | `low`, made at the first use of each | one word in the table |
//! | 64 to 255, 256 to 1023, ... to 2^20 - 1 | `high`, each three times all below it | a word in each block of 64 |
#![allow(unsafe_code)]

use super::file::FileNode;
use crate::reclaim::{Link, Tagged};
use crate::sync::{Acquire, AtomicPtr, AtomicU64, Relaxed, Release};
use std::array::from_fn;

/// What one descriptor is: null is free, [`RESERVED`](super::table::RESERVED),
/// or a file with [`ON_EXEC`](super::table::ON_EXEC).
pub type Slot<F> = Link<FileNode<F>>;

/// Descriptors of the first segment; the second has three times as many.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const FIRST: u32 = 16;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const FIRST: u32 = 1;
/// Descriptors below the blocks.
const LOW: u32 = 4 * FIRST;
/// Segments of blocks.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const HIGH: usize = 7;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const HIGH: usize = 1;
/// Descriptors of a block, as many as are below the first, and bits of a word that are
/// used.
pub(super) const BLOCK: u32 = LOW;

/// No descriptor is as high as this.
pub const FDS_MAX: u32 = BLOCK << (2 * HIGH);

/// Slots and their word of the bitmap.
struct Block<F> {
    used: AtomicU64,
    slots: [Slot<F>; BLOCK as usize],
}

impl<F> Block<F> {
    fn new() -> Self {
        Self { used: AtomicU64::new(0), slots: from_fn(|_| Slot::new(Tagged::NULL)) }
    }
}

/// See the module.
pub struct Slots<F> {
    /// The bitmap of what is below the blocks.
    used: AtomicU64,
    low: [AtomicPtr<Slot<F>>; 2],
    high: [AtomicPtr<Block<F>>; HIGH],
}

/// Where a descriptor's slot is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Segment and slot.
    Low(usize, usize),
    /// Segment, block and slot.
    High(usize, usize, usize),
}

#[inline]
fn locate(fd: u32) -> Place {
    if fd < FIRST {
        Place::Low(0, fd as usize)
    } else if fd < LOW {
        Place::Low(1, (fd - FIRST) as usize)
    } else {
        // Segment `k` has the blocks from 4^k on.
        let segment = (fd / BLOCK).ilog2() / 2;
        let block = fd / BLOCK - (1 << (2 * segment));
        Place::High(segment as usize, block as usize, (fd % BLOCK) as usize)
    }
}

/// The first descriptor beyond the segment that `fd` is in.
fn segment_end(fd: u32) -> u32 {
    match locate(fd) {
        Place::Low(0, _) => FIRST,
        Place::Low(..) => LOW,
        Place::High(segment, ..) => BLOCK << (2 * (segment + 1)),
    }
}

fn low_len(segment: usize) -> usize {
    if segment == 0 { FIRST as usize } else { (LOW - FIRST) as usize }
}

fn high_len(segment: usize) -> usize {
    3 << (2 * segment)
}

impl<F> Slots<F> {
    pub fn new() -> Self {
        Self {
            used: AtomicU64::new(0),
            low: from_fn(|_| AtomicPtr::new(std::ptr::null_mut())),
            high: from_fn(|_| AtomicPtr::new(std::ptr::null_mut())),
        }
    }

    /// Whether no segment exists. Exact when nobody uses the table.
    pub fn is_empty(&self) -> bool {
        // Relaxed: the pointers are not followed.
        self.low.iter().all(|segment| segment.load(Relaxed).is_null())
            && self.high.iter().all(|segment| segment.load(Relaxed).is_null())
    }

    /// The slot of a descriptor below [`FDS_MAX`], if its segment exists.
    /// Wait-free.
    #[inline]
    pub fn get(&self, fd: u32) -> Option<&Slot<F>> {
        match locate(fd) {
            Place::Low(segment, slot) => item(&self.low[segment], slot),
            Place::High(segment, block, slot) => {
                Some(&item(&self.high[segment], block)?.slots[slot])
            }
        }
    }

    /// The word of the bitmap with the descriptor's bit, if its segment exists.
    /// Wait-free.
    pub fn word(&self, fd: u32) -> Option<&AtomicU64> {
        match locate(fd) {
            Place::Low(..) => Some(&self.used),
            Place::High(segment, block, _) => Some(&item(&self.high[segment], block)?.used),
        }
    }

    /// The slot and its word, with the segment made if need be. Lock-free but
    /// for the allocator; when two threads make a segment one of the two is
    /// dropped.
    pub fn ensure(&self, fd: u32) -> (&Slot<F>, &AtomicU64) {
        if self.get(fd).is_none() {
            match locate(fd) {
                Place::Low(segment, _) => {
                    make(&self.low[segment], low_len(segment), || Slot::new(Tagged::NULL));
                }
                Place::High(segment, ..) => {
                    make(&self.high[segment], high_len(segment), Block::new);
                }
            }
        }
        let exists = "its segment was just installed";
        (self.get(fd).expect(exists), self.word(fd).expect(exists))
    }

    /// The slots from `fd` on that lie side by side; none when its segment does not
    /// exist.
    fn run(&self, fd: u32) -> &[Slot<F>] {
        match locate(fd) {
            Place::Low(segment, slot) => item(&self.low[segment], slot).map_or(&[], |first| {
                // SAFETY: the segment's items from this one on.
                unsafe { std::slice::from_raw_parts(first, low_len(segment) - slot) }
            }),
            Place::High(segment, block, slot) => {
                item(&self.high[segment], block).map_or(&[], |block| &block.slots[slot..])
            }
        }
    }

    /// The slots of existing segments from `first` on, with their descriptors.
    pub fn iter(&self, first: u32) -> impl Iterator<Item = (u32, &Slot<F>)> {
        let mut next = first;
        std::iter::from_fn(move || {
            while next < FDS_MAX {
                let (at, run) = (next, self.run(next));
                if !run.is_empty() {
                    next += run.len() as u32;
                    return Some((at..).zip(run));
                }
                next = segment_end(next);
            }
            None
        })
        .flatten()
    }
}

/// An item of a segment, if the segment exists.
#[inline]
fn item<T>(segment: &AtomicPtr<T>, index: usize) -> Option<&T> {
    // Acquire [P30]: the items are initialised; pairs with Release in `make`.
    let base = segment.load(Acquire);
    if base.is_null() {
        return None;
    }
    // SAFETY: `index` is below the segment's length by `locate`.
    let item = unsafe { base.add(index) };
    // SAFETY: segments live as long as the table.
    Some(unsafe { &*item })
}

fn make<T>(segment: &AtomicPtr<T>, len: usize, item: impl Fn() -> T) {
    let items: Box<[T]> = std::iter::repeat_with(item).take(len).collect();
    let new: *mut T = Box::into_raw(items).cast();
    // Release [P30]: publishes the items; pairs with Acquire in `item`.
    // Relaxed on failure: another thread made it, and `item` loads it again.
    if segment.compare_exchange(std::ptr::null_mut(), new, Release, Relaxed).is_err() {
        // SAFETY: made above and published nowhere.
        unsafe { free(new, len) };
    }
}

/// # Safety
/// `base` is a segment of that length, and nobody else has it.
unsafe fn free<T>(base: *mut T, len: usize) {
    let items = std::ptr::slice_from_raw_parts_mut(base, len);
    // SAFETY: sole owner by this function's contract.
    drop(unsafe { Box::from_raw(items) });
}

impl<F> Drop for Slots<F> {
    fn drop(&mut self) {
        for (segment, cell) in self.low.iter().enumerate() {
            // Relaxed: `&mut self`, nobody else is left.
            let base = cell.load(Relaxed);
            if !base.is_null() {
                // SAFETY: installed by `make` with this length.
                unsafe { free(base, low_len(segment)) };
            }
        }
        for (segment, cell) in self.high.iter().enumerate() {
            // Relaxed: as above.
            let base = cell.load(Relaxed);
            if !base.is_null() {
                // SAFETY: installed by `make` with this length.
                unsafe { free(base, high_len(segment)) };
            }
        }
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn descriptors_tile_the_segments() {
        let mut expected = Place::Low(0, 0);
        for fd in 0..FDS_MAX {
            assert_eq!(locate(fd), expected, "descriptor {fd}");
            expected = match expected {
                Place::Low(s, i) if i + 1 < low_len(s) => Place::Low(s, i + 1),
                Place::Low(0, _) => Place::Low(1, 0),
                Place::Low(..) => Place::High(0, 0, 0),
                Place::High(s, b, 63) if b + 1 < high_len(s) => Place::High(s, b + 1, 0),
                Place::High(s, _, 63) => Place::High(s + 1, 0, 0),
                Place::High(s, b, i) => Place::High(s, b, i + 1),
            };
            let last = !matches!((expected, segment_end(fd)), (_, end) if end != fd + 1);
            assert_eq!(last, matches!(expected, Place::Low(_, 0) | Place::High(_, 0, 0)), "{fd}");
        }
        assert_eq!(expected, Place::High(HIGH, 0, 0));
    }

    #[test]
    fn only_existing_segments_are_walked() {
        let slots = Slots::<()>::new();
        assert_eq!(slots.iter(0).count(), 0);
        slots.ensure(70);
        slots.ensure(3);
        let seen: Vec<u32> = slots.iter(2).map(|(fd, _)| fd).collect();
        assert_eq!(seen, (2..16).chain(64..256).collect::<Vec<_>>());
    }
}
