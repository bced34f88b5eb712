//! How many processes and LWPs a kernel may have: the counts. `ops/places.rs` has the rules.

use crate::object::proc_word::Places;
use crate::sync::{AtomicU32, AtomicU64, Relaxed};
use crossbeam_utils::CachePadded;

/// Nothing more is to be made (EAGAIN).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// How many there are and may be, in one word: a most that has been set holds for whoever
/// comes after. On a cache line of its own.
///
/// | bits | meaning |
/// |---|---|
/// | 0..32 | the places that are taken |
/// | 32..64 | the most; all ones: any number |
#[derive(Debug)]
pub struct Cap(CachePadded<AtomicU64>);

const MOST: u32 = 32;

impl Cap {
    /// With places taken, and any number to come.
    pub fn new(taken: u32) -> Self {
        Self(CachePadded::new(AtomicU64::new(u64::from(u32::MAX) << MOST | u64::from(taken))))
    }

    /// The most; `u64::MAX`: any number.
    pub fn most(&self) -> u64 {
        // Relaxed: says nothing but itself.
        unbounded(self.0.load(Relaxed) >> MOST)
    }

    /// Sets the most. Lock-free.
    pub fn set_most(&self, most: u64) {
        let most = most.min(u64::from(u32::MAX)) << MOST;
        let new = |word: u64| Some(most | word & u64::from(u32::MAX));
        // Relaxed, twice: a most and a count; nothing is published by them.
        self.0.fetch_update(Relaxed, Relaxed, new).expect("never refused");
    }

    /// Takes a place. Lock-free.
    pub fn take(&self) -> Result<(), Full> {
        let more = |word: u64| ((word & u64::from(u32::MAX)) < word >> MOST).then_some(word + 1);
        // Relaxed, twice: as in `set_most`.
        self.0.fetch_update(Relaxed, Relaxed, more).map(drop).map_err(|_full| Full)
    }

    /// Takes places for what is there already, however many. Wait-free.
    pub fn take_anyway(&self, places: u32) {
        // Relaxed: a count; published by the word that then says so [P101].
        self.0.fetch_add(places.into(), Relaxed);
    }

    /// Gives places back. Wait-free.
    pub fn give_back(&self, places: u32) {
        // Relaxed: a count. They were taken before: by this thread, or [P101].
        let before = self.0.fetch_sub(places.into(), Relaxed);
        debug_assert!(before as u32 >= places, "a place was given back twice");
    }
}

/// As the largest `u32` stands for any number.
pub(crate) fn unbounded(most: u64) -> u64 {
    if most == u64::from(u32::MAX) { u64::MAX } else { most }
}

/// The mosts of a kernel.
pub(crate) struct Caps {
    pub(crate) procs: Cap,
    pub(crate) lwps: Cap,
    /// The most LWPs of a process; the largest: any number.
    lwps_of_one: AtomicU32,
}

impl Caps {
    /// proc0 and init have their places already, and their LWPs, if LWPs are counted.
    pub(super) fn new(counted: Places) -> Self {
        let lwps = if counted.has(Places::LWPS) { 2 } else { 0 };
        Self { procs: Cap::new(2), lwps: Cap::new(lwps), lwps_of_one: AtomicU32::new(u32::MAX) }
    }

    pub(crate) fn set_lwps_of_one(&self, most: u64) {
        // Relaxed: says nothing but itself.
        self.lwps_of_one.store(most.try_into().unwrap_or(u32::MAX), Relaxed);
    }

    /// The most LWPs of a process.
    pub(crate) fn lwps_of_one(&self) -> u32 {
        // Relaxed: as in `set_lwps_of_one`.
        self.lwps_of_one.load(Relaxed)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_most_holds_from_when_it_is_set() {
        let cap = Cap::new(2);
        assert_eq!((cap.most(), cap.take()), (u64::MAX, Ok(())));
        cap.set_most(2);
        assert_eq!((cap.most(), cap.take()), (2, Err(Full)));
        cap.give_back(1);
        assert_eq!(cap.take(), Err(Full));
        cap.give_back(1);
        assert_eq!((cap.take(), cap.take()), (Ok(()), Err(Full)));
        cap.take_anyway(3);
        cap.set_most(u64::MAX - 1);
        assert_eq!((cap.most(), cap.take()), (u64::MAX, Ok(())));
    }
}
