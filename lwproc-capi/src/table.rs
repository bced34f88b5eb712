//! Values by number, which threads share and one takes away, without a lock: a thread that
//! is not there any more, since the host process has forked, stops no other.
//!
//! A place has one word:
//!
//! ```text
//! 63 ............. 28   27 26   25 ....... 0
//!    generation         state   users
//! ```
//!
//! | from | to | by |
//! |---|---|---|
//! | free | busy | `reserve` |
//! | busy | free | the drop of what `reserve` returned |
//! | busy | live, no users | `fill` |
//! | live | live, one user more or less | `share`, the drop of what it returned |
//! | live, no users | busy | `take` |
//! | busy | free, the next generation | `take`, once it has the value |
//!
//! A thread owns the value of a place that it has made busy. The places are never freed
//! before the table: there are as many as there were values at once, and perhaps as many
//! again.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

const USERS: u64 = (1 << 26) - 1;
const STATE: u64 = 0b11 << 26;
const FREE: u64 = 0;
const BUSY: u64 = 0b01 << 26;
const LIVE: u64 = 0b10 << 26;
const GENERATION: u32 = 28;

/// How many places there are in the first segment; each has twice as many as the one before.
const FIRST: usize = 16;
const SEGMENTS: usize = 20;
/// Bits of a place's index; a number has the generation above them.
const INDEX: u32 = 24;

/// What a place's word says.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    /// No number is 0.
    const NEW: Self = Self(1 << GENERATION | FREE);

    fn is_free(self) -> bool {
        self.0 & STATE == FREE
    }

    /// Whether the value of that number is there.
    fn has(self, number: u64) -> bool {
        self.0 & STATE == LIVE && self.0 >> GENERATION == number >> INDEX
    }

    fn users(self) -> u64 {
        self.0 & USERS
    }

    /// The same place with no users.
    fn turned(self, state: u64) -> Self {
        Self(self.0 & !(STATE | USERS) | state)
    }

    /// The place without the value of that generation. The last one is followed by the
    /// first, after 2^36 values of one place.
    fn emptied(self) -> Self {
        match (self.0 >> GENERATION).wrapping_add(1) << GENERATION {
            0 => Self::NEW,
            next => Self(next | FREE),
        }
    }

    fn number(self, index: usize) -> u64 {
        self.0 >> GENERATION << INDEX | index as u64
    }
}

struct Place<T> {
    word: AtomicU64,
    value: UnsafeCell<Option<T>>,
}

impl<T> Place<T> {
    fn load(&self) -> Word {
        // Relaxed: what follows from it is a compare-exchange.
        Word(self.word.load(Relaxed))
    }
}

/// See the module.
pub(crate) struct Table<T> {
    segments: [AtomicPtr<Place<T>>; SEGMENTS],
}

// SAFETY: it owns its values, gives out `&T`, and any thread may take one away.
unsafe impl<T: Send + Sync> Sync for Table<T> {}
// SAFETY: it owns its values.
unsafe impl<T: Send> Send for Table<T> {}

/// A place for a value that is being made.
pub(crate) struct Reserved<'t, T> {
    place: &'t Place<T>,
    word: Word,
    number: u64,
}

/// A value that nobody takes away meanwhile.
pub(crate) struct Share<'t, T>(&'t Place<T>);

/// Why a value was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotTaken {
    /// There is none of that number, or no more.
    Gone,
    /// It is shared.
    Shared,
}

fn len(segment: usize) -> usize {
    FIRST << segment
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { segments: [const { AtomicPtr::new(null_mut()) }; SEGMENTS] }
    }

    /// The places of a segment, once there are any.
    fn places(&self, segment: usize) -> Option<&[Place<T>]> {
        // Acquire: the places; pairs with Release in `grow`.
        let first = self.segments.get(segment)?.load(Acquire);
        // SAFETY: made by `grow` with that many places, freed with the table.
        (!first.is_null()).then(|| unsafe { std::slice::from_raw_parts(first, len(segment)) })
    }

    fn grow(&self, segment: usize) -> &[Place<T>] {
        let new = || Place { word: AtomicU64::new(Word::NEW.0), value: UnsafeCell::new(None) };
        let places: Box<[Place<T>]> = std::iter::repeat_with(new).take(len(segment)).collect();
        let first = Box::into_raw(places).cast::<Place<T>>();
        // Release: the places; pairs with Acquire in `places`. Relaxed on failure: `places`
        // reads it.
        let grown = self.segments[segment].compare_exchange(null_mut(), first, Release, Relaxed);
        if grown.is_err() {
            // SAFETY: never published.
            drop(unsafe { segment_of(first, segment) });
        }
        self.places(segment).expect("grown")
    }

    fn place(&self, number: u64) -> Option<&Place<T>> {
        // At most 24 bits.
        let at = (number & ((1 << INDEX) - 1)) as usize + FIRST;
        let segment = (at / FIRST).ilog2() as usize;
        self.places(segment)?.get(at - len(segment))
    }

    /// A place for a new value; `None`: there are 2^24. Lock-free but for the allocator;
    /// O(values).
    pub(crate) fn reserve(&self) -> Option<Reserved<'_, T>> {
        let mut index = 0;
        for segment in 0..SEGMENTS {
            for place in self.places(segment).unwrap_or_else(|| self.grow(segment)) {
                let word = place.load();
                if word.is_free() {
                    let busy = word.turned(BUSY);
                    // Acquire: the last value is out; pairs with Release in `take`.
                    // Relaxed on failure: another place is tried.
                    if place.word.compare_exchange(word.0, busy.0, Acquire, Relaxed).is_ok() {
                        return Some(Reserved { place, word: busy, number: word.number(index) });
                    }
                }
                index += 1;
            }
        }
        None
    }

    /// A share of the value of that number. Lock-free.
    pub(crate) fn share(&self, number: u64) -> Option<Share<'_, T>> {
        let place = self.place(number)?;
        let mut word = place.load();
        while word.has(number) && word.users() < USERS {
            // Acquire: the value; pairs with Release in `fill`, with other shares between.
            // Relaxed on failure: it is tried again.
            let shared = place.word.compare_exchange_weak(word.0, word.0 + 1, Acquire, Relaxed);
            match shared {
                Ok(_) => return Some(Share(place)),
                Err(now) => word = Word(now),
            }
        }
        None
    }

    /// Takes a value away that nobody shares. From then on there is none of that number.
    /// Lock-free.
    pub(crate) fn take(&self, number: u64) -> Result<T, NotTaken> {
        let place = self.place(number).ok_or(NotTaken::Gone)?;
        let word = place.load();
        if !word.has(number) {
            return Err(NotTaken::Gone);
        }
        let unused = word.turned(LIVE);
        let busy = word.turned(BUSY);
        // Acquire: what was done with the value; pairs with Release in the drop of each share,
        // and in `fill`. Relaxed on failure: nothing is read.
        if let Err(now) = place.word.compare_exchange(unused.0, busy.0, Acquire, Relaxed) {
            let is_shared = Word(now).has(number);
            return Err(if is_shared { NotTaken::Shared } else { NotTaken::Gone });
        }
        // SAFETY: it was live, and is this thread's now.
        let value = unsafe { &mut *place.value.get() }.take().expect("live");
        // Release: the value is out; pairs with Acquire in `reserve`.
        place.word.store(busy.emptied().0, Release);
        Ok(value)
    }
}

/// # Safety
/// `first` is from `grow`, of that segment, and is not used any more.
unsafe fn segment_of<T>(first: *mut Place<T>, segment: usize) -> Box<[Place<T>]> {
    // SAFETY: by contract.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(first, len(segment))) }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        for (segment, first) in self.segments.iter_mut().enumerate() {
            let first = *first.get_mut();
            if !first.is_null() {
                // SAFETY: nobody else is left.
                drop(unsafe { segment_of(first, segment) });
            }
        }
    }
}

impl<T> Reserved<'_, T> {
    /// What the value will be found by; not 0.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The value is there from now on; its number.
    pub(crate) fn fill(self, value: T) -> u64 {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: the place is this thread's, and empty.
        unsafe { *this.place.value.get() = Some(value) };
        // Release: the value; pairs with Acquire in `share` and `take`.
        this.place.word.store(this.word.turned(LIVE).0, Release);
        this.number
    }
}

impl<T> Drop for Reserved<'_, T> {
    fn drop(&mut self) {
        // Relaxed: nothing was done here.
        self.place.word.store(self.word.turned(FREE).0, Relaxed);
    }
}

impl<T> Deref for Share<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: live while it is shared.
        unsafe { &*self.0.value.get() }.as_ref().expect("live")
    }
}

impl<T> Drop for Share<'_, T> {
    fn drop(&mut self) {
        // Release: what was done with the value; pairs with Acquire in `take`.
        self.0.word.fetch_sub(1, Release);
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

impl<T: fmt::Debug> fmt::Debug for Share<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn add<T>(table: &Table<T>, value: T) -> u64 {
        table.reserve().expect("room").fill(value)
    }

    #[test]
    fn a_number_is_of_one_value() {
        let table = Table::new();
        let numbers: Vec<u64> = (0..100).map(|n| add(&table, Box::new(n))).collect();
        for (n, number) in numbers.iter().enumerate() {
            assert_eq!(**table.share(*number).expect("there"), n);
        }
        let share = table.share(numbers[7]);
        assert_eq!(table.take(numbers[7]), Err(NotTaken::Shared));
        drop(share);
        assert_eq!(table.take(numbers[7]), Ok(Box::new(7)));
        assert_eq!(table.take(numbers[7]), Err(NotTaken::Gone));
        // Given back unfilled, it is the next one's.
        let reserved = table.reserve().expect("room").number();
        let again = add(&table, Box::new(107));
        assert_eq!(reserved, again);
        assert_ne!(again, numbers[7]);
        assert!(table.share(numbers[7]).is_none());
        assert_eq!(**table.share(again).expect("there"), 107);
        for invented in [0, 1, u64::MAX, 9 << INDEX, 1 << 60 | again] {
            assert!(table.share(invented).is_none(), "{invented:#x}");
            assert_eq!(table.take(invented), Err(NotTaken::Gone));
        }
        // The others go with the table.
    }

    #[test]
    fn the_last_generation_is_followed_by_the_first() {
        let word = Word(u64::MAX).turned(BUSY).emptied();
        assert!(word == Word::NEW && word.is_free() && word.number(0) != 0);
        assert_eq!(Word::NEW.turned(BUSY).emptied().number(3), 2 << INDEX | 3);
    }

    #[test]
    fn of_threads_that_take_one_has_it_and_shares_see_it_whole() {
        let (table, taken) = (Table::<String>::new(), AtomicUsize::new(0));
        const ROUNDS: usize = 2_000;
        let numbers: Vec<AtomicU64> = (0..ROUNDS).map(|_| AtomicU64::new(0)).collect();
        let work = || {
            for number in &numbers {
                let number = number.load(Relaxed);
                if let Some(share) = table.share(number) {
                    assert_eq!(share.len(), 3);
                }
                match table.take(number) {
                    Ok(value) => {
                        assert_eq!(value, "abc");
                        taken.fetch_add(1, Relaxed);
                    }
                    Err(NotTaken::Shared | NotTaken::Gone) => {}
                }
            }
        };
        let fill = || {
            for number in &numbers {
                number.store(add(&table, String::from("abc")), Relaxed);
            }
        };
        std::thread::scope(|s| {
            s.spawn(fill);
            s.spawn(work);
            s.spawn(work);
        });
        work();
        assert_eq!(taken.into_inner(), ROUNDS);
    }
}
