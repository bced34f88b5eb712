//! Numbers in Linux's order: the next free one above the last that was given, and past the
//! end again from below.
//!
//! A bit for each number says that it is in use; one word has the number that is looked at
//! next, and the end. To reserve is to look for a clear bit from there on, to move the word
//! past it, and then to set the bit. Who moves the word has its place in the order, and the
//! bit decides whose the number is: it is lost only to a thread that came all the way round
//! meanwhile, or found no other number.
//!
//! One thread at a time gets exactly what Linux gives. Of several, each gets another number,
//! in the order in which they moved the word; a number that is released while one looks may
//! be passed over.
//!
//! Linux: `alloc_pid`, `idr_alloc_cyclic`.

use super::segments::Segments;
use crate::sync::{Acquire, AtomicU64, Relaxed, Release};
use crossbeam_utils::CachePadded;

/// Numbers below it are given in the first round only, as Linux keeps them for daemons.
pub const RESERVED: u32 = 300;

/// How many numbers a word of the bits has.
const WORD: u32 = u64::BITS;

/// See the module. Numbers begin with 1.
#[derive(Debug)]
pub struct Cyclic {
    order: CachePadded<AtomicU64>,
    /// A bit for each number in use. Segments are made as the numbers in them are given.
    taken: Segments<AtomicU64>,
}

/// What is given next.
///
/// | bits | meaning |
/// |---|---|
/// | 0..32 | the number that is looked at next |
/// | 32..64 | the end: each number is below it |
#[derive(Clone, Copy)]
struct Order {
    next: u32,
    end: u32,
}

impl Order {
    fn of(word: u64) -> Self {
        Self { next: word as u32, end: (word >> 32) as u32 }
    }
    fn word(self) -> u64 {
        u64::from(self.end) << 32 | u64::from(self.next)
    }
    fn gave(self, number: u32) -> Self {
        Self { next: number.saturating_add(1), ..self }
    }
    /// Where a round begins that is not the first.
    fn floor(self) -> u32 {
        // Where there is no number above them, they are not kept.
        if self.next > RESERVED && self.end > RESERVED { RESERVED } else { 1 }
    }
}

impl Cyclic {
    /// The largest end.
    pub const MAX: u32 = 1 << 31;

    /// The numbers from 1 up to below `max`, all free.
    pub fn new(max: u32) -> Self {
        let order = Order { next: 1, end: max.min(Self::MAX) };
        Self { order: CachePadded::new(AtomicU64::new(order.word())), taken: Segments::new() }
    }

    /// The next number, unless each one was seen in use. Lock-free, but for the allocator
    /// where the numbers grow into a new segment; O(numbers in use / 64).
    pub fn reserve(&self) -> Option<u32> {
        loop {
            // Relaxed: the bit decides, and publishes.
            let seen = self.order.load(Relaxed);
            let order = Order::of(seen);
            let (floor, next) = (order.floor(), order.next);
            let number = self
                .free_in(next.max(floor), order.end)
                .or_else(|| self.free_in(floor, order.end.min(next)))?;
            // Relaxed: as above.
            let moved =
                self.order.compare_exchange(seen, order.gave(number).word(), Relaxed, Relaxed);
            if moved.is_ok() && self.take(number) {
                return Some(number);
            }
        }
    }

    /// Sets the bit of a number; false when it is set already.
    fn take(&self, number: u32) -> bool {
        let bit = 1 << (number % WORD);
        // Acquire [P140]: what was under the number is gone; pairs with Release in `release`.
        self.taken.ensure(number / WORD).fetch_or(bit, Acquire) & bit == 0
    }

    /// Gives a number back. It is the caller's. Wait-free.
    pub fn release(&self, number: u32) {
        let bit = 1 << (number % WORD);
        // Release [P140]: what was under the number is gone; pairs with Acquire in `take`.
        let word = self.taken.ensure(number / WORD).fetch_and(!bit, Release);
        debug_assert_ne!(word & bit, 0, "a number was given back twice");
    }

    /// The lowest free number from `from` up to below `end`.
    fn free_in(&self, from: u32, end: u32) -> Option<u32> {
        let mut at = from;
        while at < end {
            let Some(words) = self.taken.rest(at / WORD) else {
                // None was ever given in this segment.
                return Some(at);
            };
            for word in words {
                // Relaxed: a hint; `take` decides.
                let free = !word.load(Relaxed) & u64::MAX << (at % WORD);
                let base = at - at % WORD;
                if free != 0 {
                    return Some(base + free.trailing_zeros()).filter(|found| *found < end);
                }
                at = base + WORD;
                if at >= end {
                    break;
                }
            }
        }
        None
    }

    /// The number that counts as given last: the next one is looked for above it.
    pub fn last(&self) -> u32 {
        // Relaxed: says nothing but itself.
        Order::of(self.order.load(Relaxed)).next - 1
    }

    /// Sets it (`ns_last_pid`). Lock-free.
    pub fn set_last(&self, last: u32) {
        self.change(|order| order.gave(last));
    }

    /// The end: each number is below it.
    pub fn max(&self) -> u32 {
        // Relaxed: says nothing but itself.
        Order::of(self.order.load(Relaxed)).end
    }

    /// Sets the end (`pid_max`). Whoever is reserving moves past the old one no more; what
    /// is in use stays. Lock-free.
    pub fn set_max(&self, max: u32) {
        self.change(|order| Order { end: max.min(Self::MAX), ..order });
    }

    fn change(&self, to: impl Fn(Order) -> Order) {
        let new = |word| Some(to(Order::of(word)).word());
        // Relaxed, twice: two numbers; nothing is published by them.
        self.order.fetch_update(Relaxed, Relaxed, new).expect("never refused");
    }
}

#[cfg(all(test, not(any(lwproc_loom, lwproc_shuttle))))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Linux's allocator, as it is written there.
    struct Linux {
        taken: BTreeSet<u32>,
        cursor: u32,
        pid_max: u32,
    }

    impl Linux {
        fn idr_alloc(&self, from: u32) -> Option<u32> {
            (from..self.pid_max).find(|number| !self.taken.contains(number))
        }

        fn alloc_pid(&mut self) -> Option<u32> {
            let pid_min = if self.cursor > 300 { 300 } else { 1 };
            let from = self.cursor.max(pid_min);
            let wrapped = |this: &Self| if from > pid_min { this.idr_alloc(pid_min) } else { None };
            let number = self.idr_alloc(from).or_else(|| wrapped(self))?;
            self.taken.insert(number);
            self.cursor = number + 1;
            Some(number)
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u32) -> u32 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) as u32 % bound
        }
    }

    #[test]
    fn one_thread_gets_what_linux_gives() {
        let mut wraps = 0;
        for seed in 0..40 {
            let mut random = Random(seed);
            let mut most = 301 + random.below(400);
            let cyclic = Cyclic::new(most);
            let mut linux = Linux { taken: BTreeSet::new(), cursor: 1, pid_max: most };
            for step in 0..4000 {
                match random.below(200) {
                    0 => {
                        let last = random.below(most);
                        cyclic.set_last(last);
                        linux.cursor = last + 1;
                    }
                    1 => {
                        most = 301 + random.below(400);
                        cyclic.set_max(most);
                        linux.pid_max = most;
                    }
                    // Full at times, and at times nearly empty.
                    n if n % 100 < 45 + 10 * (step / 500 % 2) => {
                        let before = linux.cursor;
                        let (ours, theirs) = (cyclic.reserve(), linux.alloc_pid());
                        assert_eq!(ours, theirs, "seed {seed}, step {step}");
                        wraps += u32::from(linux.cursor < before);
                    }
                    _ => {
                        let at = random.below(linux.taken.len().max(1) as u32) as usize;
                        if let Some(&number) = linux.taken.iter().nth(at) {
                            linux.taken.remove(&number);
                            cyclic.release(number);
                        }
                    }
                }
                assert_eq!((cyclic.last() + 1, cyclic.max()), (linux.cursor, linux.pid_max));
            }
        }
        assert!(wraps > 100, "{wraps}");
    }

    #[test]
    fn the_low_numbers_are_given_once() {
        let cyclic = Cyclic::new(310);
        assert!((1..310).all(|number| cyclic.reserve() == Some(number)));
        assert_eq!(cyclic.reserve(), None);
        for number in [5, 303, 299, 300] {
            cyclic.release(number);
        }
        assert_eq!([(); 3].map(|()| cyclic.reserve()), [Some(300), Some(303), None]);
        cyclic.set_last(0);
        assert_eq!([(); 3].map(|()| cyclic.reserve()), [Some(5), Some(299), None]);
    }

    #[test]
    fn a_few_numbers_are_given_again_from_one() {
        let cyclic = Cyclic::new(4);
        assert_eq!([(); 4].map(|()| cyclic.reserve()), [Some(1), Some(2), Some(3), None]);
        cyclic.release(1);
        cyclic.set_last(1000);
        assert_eq!([(); 2].map(|()| cyclic.reserve()), [Some(1), None]);
        assert_eq!([0, 1].map(|max| Cyclic::new(max).reserve()), [None, None]);
    }

    #[test]
    fn a_new_end_holds_at_once() {
        let cyclic = Cyclic::new(400);
        cyclic.set_last(398);
        assert_eq!([(); 2].map(|()| cyclic.reserve()), [Some(399), Some(300)]);
        cyclic.set_last(350);
        cyclic.set_max(351);
        assert_eq!(cyclic.reserve(), Some(301));
        cyclic.release(399);
        cyclic.set_max(u32::MAX);
        cyclic.set_last(u32::MAX);
        assert_eq!((cyclic.max(), cyclic.reserve()), (Cyclic::MAX, Some(302)));
        cyclic.set_last(Cyclic::MAX - 2);
        assert_eq!([(); 2].map(|()| cyclic.reserve()), [Some(Cyclic::MAX - 1), Some(303)]);
    }

    #[test]
    fn each_number_has_one_holder() {
        use std::sync::atomic::AtomicU32;
        // Fewer numbers than two threads at their most want.
        const NUMBERS: u32 = 12;
        let cyclic = Cyclic::new(NUMBERS + 1);
        let holders = [(); NUMBERS as usize + 1].map(|()| AtomicU32::new(0));
        let storm = |seed| {
            let (mut random, mut held) = (Random(seed), Vec::new());
            let release = |number: u32| {
                assert_eq!(holders[number as usize].fetch_sub(1, Relaxed), 1);
                cyclic.release(number);
            };
            for _ in 0..50_000 {
                if held.len() < 8 && random.below(2) == 0 {
                    let Some(number) = cyclic.reserve() else { continue };
                    assert_eq!(holders[number as usize].fetch_add(1, Relaxed), 0);
                    held.push(number);
                } else if !held.is_empty() {
                    release(held.swap_remove(random.below(held.len() as u32) as usize));
                }
            }
            held.into_iter().for_each(release);
        };
        std::thread::scope(|s| (1..4).for_each(|seed| drop(s.spawn(move || storm(seed)))));
        cyclic.set_last(0);
        assert!((1..=NUMBERS).all(|number| cyclic.reserve() == Some(number)));
    }
}
