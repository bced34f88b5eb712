//! Signals that are kept one by one, with what their senders gave.
//!
//! A process has one list, of its own and its LWPs'; the newest is the head. Who takes looks
//! for the oldest that it may have, and claims it: what is older was claimed before, and
//! nothing is inserted behind it, so of one number they go in the order of sending. Then it
//! takes it out of the list. What was claimed is pending no more; the value is the claimer's,
//! so that its drop, which is user code, is never left to those who free the memory.
//!
//! The length is raised before an item is inserted, and lowered after it was claimed: it is
//! never zero while one is pending.
#![allow(unsafe_code)]

use super::set::{SigSet, Signo};
use crate::list::{List, Node};
use crate::reclaim::{Link, Managed, Pin, Tagged};
use crate::sync::{AcqRel, AtomicBool, AtomicUsize, Relaxed, Release};
use std::cell::UnsafeCell;
use std::num::NonZeroU32;

/// A signal that was taken, with what came with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Taken<V = ()> {
    /// Its number.
    pub signo: Signo,
    /// What [`Signals::queue`](crate::Signals::queue) sent with it; `None` for one that was
    /// sent otherwise.
    pub value: Option<V>,
}

/// Whom a signal is for: an LWP by its serial, or any of the process.
pub type To = Option<NonZeroU32>;

/// Of how many sends one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SentTo {
    One,
    /// A group and the like: a child that is made before it is taken gets it too.
    Many,
}

/// How many of one number are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    Each,
    /// The first, until it is taken.
    First,
}

/// Why one was not kept; the value comes back.
#[derive(PartialEq, Eq, Debug)]
pub enum NotKept<V> {
    Full(Option<V>),
    /// Another of the number is pending.
    Merged(Option<V>),
}

/// One signal.
pub struct Queued<V> {
    next: Link<Queued<V>>,
    pub signo: Signo,
    pub to: To,
    sent_to: SentTo,
    /// Whether it is pending no more.
    claimed: AtomicBool,
    /// Read by who inserts it in vain, or claims it.
    value: UnsafeCell<Option<V>>,
}

// SAFETY: the value goes to whoever claims it, once; the rest is immutable or atomic.
unsafe impl<V: Send> Send for Queued<V> {}
// SAFETY: as above.
unsafe impl<V: Send> Sync for Queued<V> {}

impl<V: Send + 'static> Node for Queued<V> {
    fn next(&self) -> &Link<Self> {
        &self.next
    }

    unsafe fn unlinked(this: *mut Managed<Self>, pin: &Pin<'_>) {
        // SAFETY: found by the list only, and unlinked by this thread.
        unsafe { pin.retire(this) };
    }

    unsafe fn abandoned(this: *mut Managed<Self>) {
        // SAFETY: the list's owner is past its grace period.
        unsafe { Managed::free(this) };
    }
}

impl<V> Queued<V> {
    /// Whether it is pending, with one more that it stands for.
    fn merges(&self) -> bool {
        // Release [P131]: what that sender did; pairs with Acquire in `claim`. A
        // read-modify-write: it is claimed after this, or was before.
        !self.claimed.fetch_or(false, Release)
    }

    /// # Safety
    /// The caller claimed it, or made it and has not inserted it.
    unsafe fn take_value(&self) -> Option<V> {
        // SAFETY: by contract nobody else touches it.
        unsafe { &mut *self.value.get() }.take()
    }
}

/// See the module.
pub struct Queue<V: Send + 'static> {
    list: List<Queued<V>>,
    len: AtomicUsize,
}

impl<V: Send + 'static> Queue<V> {
    pub fn new() -> Self {
        Self { list: List::new(), len: AtomicUsize::new(0) }
    }

    /// Whether nothing is pending. Wait-free.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Relaxed: see the module; who needs one that was sent has its mark [P50].
        self.len.load(Relaxed) == 0
    }

    /// Keeps a signal. Lock-free but for the allocator; O(1), or O(length) to keep the first.
    pub fn push(
        &self,
        (signo, to, value): (Signo, To, Option<V>),
        sent_to: SentTo,
        (keep, most): (Keep, usize),
        pin: &Pin<'_>,
    ) -> Result<(), NotKept<V>> {
        // Relaxed: a count, which publishes nothing.
        let room = |len: usize| (len < most).then(|| len + 1);
        if self.len.fetch_update(Relaxed, Relaxed, room).is_err() {
            return Err(NotKept::Full(value));
        }
        let (next, claimed) = (Link::new(Tagged::NULL), AtomicBool::new(false));
        let value = UnsafeCell::new(value);
        let new = Managed::new(Queued { next, signo, to, sent_to, claimed, value });
        if keep == Keep::Each {
            // SAFETY: made above.
            unsafe { self.list.push(new) };
            return Ok(());
        }
        let is_there = |old: &Queued<V>| (old.signo, old.to) == (signo, to) && old.merges();
        // SAFETY: made above.
        if unsafe { self.list.push_unless(new, is_there, pin) } {
            return Ok(());
        }
        // Relaxed: as above.
        self.len.fetch_sub(1, Relaxed);
        // SAFETY: made above.
        let mine = unsafe { Managed::deref_counted(new) };
        // SAFETY: not inserted.
        let value = unsafe { mine.take_value() };
        // SAFETY: as above.
        unsafe { Managed::free(new) };
        Err(NotKept::Merged(value))
    }

    /// Whether one of that number is pending for `to`, and stands for one more.
    pub fn merges(&self, signo: Signo, to: To, pin: &Pin<'_>) -> bool {
        self.pending(pin).any(|(one, _)| (one.signo, one.to) == (signo, to) && one.merges())
    }

    fn pending<'g>(
        &'g self,
        pin: &'g Pin<'_>,
    ) -> impl Iterator<Item = (&'g Queued<V>, *mut Managed<Queued<V>>)> {
        // Relaxed: a claim decides.
        self.list.iter(pin).filter(|(one, _)| !one.claimed.load(Relaxed))
    }

    /// The numbers of those that are pending for `to`: one that is not here was not pending at
    /// some moment of the call. Lock-free: once more when one came or went meanwhile; O(length).
    pub fn set(&self, to: To, pin: &Pin<'_>) -> SigSet {
        // Relaxed: as in `pending`, and [P134].
        let is_meant = |one: &Queued<V>| one.to == to && !one.claimed.load(Relaxed);
        self.list.settled(pin, |all| {
            all.filter(|(one, _)| is_meant(one)).map(|(one, _)| one.signo).collect()
        })
    }

    /// Of those for the process, the numbers of those that were sent to many.
    pub fn of_many(&self, pin: &Pin<'_>) -> SigSet {
        let of_many =
            self.pending(pin).filter(|(one, _)| one.to.is_none() && one.sent_to == SentTo::Many);
        of_many.map(|(one, _)| one.signo).collect()
    }

    /// Takes the oldest of a number; what came with it. Lock-free: another may have claimed
    /// it first. O(length).
    pub fn take(&self, signo: Signo, to: To, pin: &Pin<'_>) -> Option<Option<V>> {
        loop {
            let mut all = self.pending(pin).filter(|(one, _)| (one.signo, one.to) == (signo, to));
            let (mut oldest, mut at) = all.next()?;
            for (one, ptr) in all {
                (oldest, at) = (one, ptr);
            }
            if let Some(value) = self.claim(oldest, at, pin) {
                return Some(value);
            }
        }
    }

    /// Takes all that are meant; what came with them. Lock-free but for the allocator.
    pub fn discard(&self, is_meant: impl Fn(&Queued<V>) -> bool, pin: &Pin<'_>) -> Vec<V> {
        let meant = self.pending(pin).filter(|(one, _)| is_meant(one));
        meant.filter_map(|(one, at)| self.claim(one, at, pin).flatten()).collect()
    }

    /// Makes one the caller's, if it is nobody's.
    fn claim(
        &self,
        one: &Queued<V>,
        at: *mut Managed<Queued<V>>,
        pin: &Pin<'_>,
    ) -> Option<Option<V>> {
        // Acquire [P131]: what the senders did that it stands for; pairs with Release in
        // `merges`. (What its own did came with it [P7].) Release [P134]: what came before it
        // went; pairs with the fence in `settled`.
        if one.claimed.swap(true, AcqRel) {
            return None;
        }
        // SAFETY: claimed by this thread.
        let value = unsafe { one.take_value() };
        // Relaxed: a count.
        let left = self.len.fetch_sub(1, Relaxed) - 1;
        // SAFETY: found in the list under the pin; removed once, by its claimer.
        unsafe { self.list.remove(at, left, pin) };
        if left == 0 {
            // What died behind others is not left to the end of the process.
            self.list.sweep(pin);
        }
        Some(value)
    }
}
