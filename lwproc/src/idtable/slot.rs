//! What a slot has beside its process.
#![allow(unsafe_code)]

use super::segments::Fresh;
use crate::reclaim::Link;
#[cfg(any(test, lwproc_loom, lwproc_shuttle))]
use crate::reclaim::Tagged;
use crate::sync::AtomicU64;

/// One id: who else bears it, and its place in a free list.
#[derive(Debug)]
pub struct Slot<L, G = ()> {
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

// SAFETY: zero is null links and counters of zero; nobody owns what is linked.
unsafe impl<L, G> Fresh for Slot<L, G> {
    #[cfg(any(test, lwproc_loom, lwproc_shuttle))]
    fn fresh() -> Self {
        Self {
            lwp: Link::new(Tagged::NULL),
            pgrp: Link::new(Tagged::NULL),
            generation: AtomicU64::new(0),
            link: AtomicU64::new(0),
        }
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::super::segments::Segments;
    use super::*;
    use crate::sync::Relaxed;

    #[test]
    fn zeroed_is_fresh() {
        let segments = Segments::<Slot<(), ()>>::new();
        let (slot, fresh) = (segments.ensure(5), Slot::<(), ()>::fresh());
        assert!(slot.lwp.load(Relaxed) == fresh.lwp.load(Relaxed));
        assert!(slot.pgrp.load(Relaxed) == fresh.pgrp.load(Relaxed));
        assert_eq!(slot.generation.load(Relaxed), fresh.generation.load(Relaxed));
        assert_eq!(slot.link.load(Relaxed), fresh.link.load(Relaxed));
    }
}
