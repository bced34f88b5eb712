//! The word of a queue: the newest sleeper, and in the tag whether a sweeper has others
//! in hand.
//!
//! | tag | meaning | set by |
//! |---|---|---|
//! | 0 | every sleeper is in the stack | `put_back` |
//! | HELD | a sweeper has some in hand, and no waker has come since | `hold` |
//! | MISSED | a sweeper has some in hand, and wakes them | `take` |
//!
//! So one thread sweeps at a time, a sleeper that is swept is never missed by a waker, and
//! nobody waits: whoever pushes or takes leaves the sweeper's tag in the word.
#![allow(unsafe_code)]

use super::sleeper::Sleeper;
use crate::sync::{AcqRel, Acquire, AtomicPtr, Relaxed, Release};
use std::ptr::null_mut;
use std::sync::Arc;

const HELD: usize = 1;
const MISSED: usize = 2;
const TAG: usize = 3;
const _: () = assert!(align_of::<Sleeper>() > TAG);

/// What the word says.
#[derive(Clone, Copy)]
struct Head(*mut Sleeper);

impl Head {
    fn new(newest: *mut Sleeper, tag: usize) -> Self {
        Self(newest.map_addr(|a| a | tag))
    }

    fn newest(self) -> *mut Sleeper {
        self.0.map_addr(|a| a & !TAG)
    }

    fn tag(self) -> usize {
        self.0.addr() & TAG
    }
}

/// What became of the sleepers in a sweeper's hand.
#[must_use]
pub(super) enum PutBack {
    /// They are in the stack again.
    Quietly,
    /// A waker came meanwhile: the sweeper has them still, and is to wake them.
    Missed(Chain),
}

/// See the module.
pub(super) struct Stack(AtomicPtr<Sleeper>, #[cfg(lwproc_loom)] Kept);

/// All sleepers that there were: whether an address comes again would be the allocator's
/// to say, and with it whether a CAS succeeds; a model repeats exactly.
#[cfg(lwproc_loom)]
type Kept = std::sync::Mutex<Vec<Arc<Sleeper>>>;

impl Stack {
    pub(super) fn new() -> Self {
        Self(
            AtomicPtr::new(null_mut()),
            #[cfg(lwproc_loom)]
            Kept::default(),
        )
    }

    #[cfg(lwproc_loom)]
    pub(super) fn keep(&self, sleeper: Arc<Sleeper>) {
        self.1.lock().unwrap().push(sleeper);
    }

    /// Whether a waker has nothing to do, behind a fence of its own. Wait-free.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        // Relaxed: the fence [P12] decides. Whoever takes or holds a sleeper changes this
        // same word, so a sleeper is seen in the stack, or in a hand, or has been woken.
        self.0.load(Relaxed).is_null()
    }

    /// Whether that one is likely to be all that there is. Wait-free.
    pub(super) fn seems_only(&self, sleeper: &Sleeper) -> bool {
        // Relaxed: a hint, which decides when to sweep, and nothing of the sweep.
        std::ptr::eq(self.0.load(Relaxed), sleeper) && sleeper.next.load(Relaxed).is_null()
    }

    /// Puts sleepers on the stack. Lock-free.
    pub(super) fn push(&self, chain: &Chain) {
        // Relaxed: nothing is read through it here.
        let mut head = Head(self.0.load(Relaxed));
        loop {
            let new = Head::new(chain.on(head), head.tag());
            // Release [P12]: publishes the sleepers; pairs with Acquire in `take`, `hold`.
            match self.0.compare_exchange(head.0, new.0, Release, Relaxed) {
                Ok(_) => return,
                Err(seen) => head = Head(seen),
            }
        }
    }

    /// Takes the stack, for a waker. A sweeper learns that it came. Lock-free.
    pub(super) fn take(&self) -> Taken {
        // Relaxed: the CAS decides.
        let mut head = Head(self.0.load(Relaxed));
        loop {
            let tag = if head.tag() == 0 { 0 } else { MISSED };
            // Acquire [P12]: the sleepers' fields; pairs with Release in `push`,
            // `put_back`. Release [P90]: the events, for a sweeper; pairs with Acquire in
            // `put_back`. So it is written even if nothing changes.
            match self.0.compare_exchange(head.0, Head::new(null_mut(), tag).0, AcqRel, Relaxed) {
                Ok(_) => return Taken(head.newest()),
                Err(seen) => head = Head(seen),
            }
        }
    }

    /// Takes the stack into a sweeper's hand, which owes [`Stack::put_back`]; `None` when
    /// it is in a hand already. Lock-free.
    pub(super) fn hold(&self) -> Option<Taken> {
        // Relaxed: the CAS decides.
        let mut head = Head(self.0.load(Relaxed));
        while head.tag() == 0 {
            // Acquire [P12]: as in `take`. Not Release: it publishes nothing.
            let held = Head::new(null_mut(), HELD);
            match self.0.compare_exchange(head.0, held.0, Acquire, Relaxed) {
                Ok(_) => return Some(Taken(head.newest())),
                Err(seen) => head = Head(seen),
            }
        }
        None
    }

    /// Ends a sweep: those in hand are as if they had been in the stack all the time.
    /// Lock-free.
    pub(super) fn put_back(&self, chain: Chain) -> PutBack {
        // Relaxed: the CAS decides.
        let mut head = Head(self.0.load(Relaxed));
        loop {
            debug_assert_ne!(head.tag(), 0, "one sweeper at a time");
            let quietly = head.tag() == HELD;
            let new = if quietly { chain.on(head) } else { head.newest() };
            // Release [P12]: publishes the sleepers; pairs with Acquire in `take`, `hold`.
            // Acquire [P90]: what a waker did that came meanwhile.
            match self.0.compare_exchange(head.0, new, AcqRel, Relaxed) {
                Ok(_) if quietly => return PutBack::Quietly,
                Ok(_) => return PutBack::Missed(chain),
                Err(seen) => head = Head(seen),
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Relaxed: nobody else is left.
        Taken(Head(self.0.load(Relaxed)).newest()).for_each(drop);
    }
}

/// Sleepers that have been taken out, newest first, with the queue's claim on them.
pub(super) struct Taken(*mut Sleeper);

impl Iterator for Taken {
    type Item = Arc<Sleeper>;

    fn next(&mut self) -> Option<Arc<Sleeper>> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: the queue's claim on it, taken over with the stack.
        let sleeper = unsafe { Arc::from_raw(self.0.cast_const()) };
        // Relaxed: read through the Acquire of the stack.
        self.0 = sleeper.next.load(Relaxed);
        Some(sleeper)
    }
}

/// Sleepers that are to be put on a stack, newest first, with the queue's claim on them.
#[must_use]
pub(super) struct Chain {
    first: *mut Sleeper,
    last: *mut Sleeper,
    len: u32,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self { first: null_mut(), last: null_mut(), len: 0 }
    }

    /// Adds one below the others.
    pub(super) fn add(&mut self, sleeper: Arc<Sleeper>) {
        // Relaxed, here and below: published by the push.
        sleeper.next.store(null_mut(), Relaxed);
        // The queue's claim on it.
        let sleeper = Arc::into_raw(sleeper).cast_mut();
        if self.last.is_null() {
            self.first = sleeper;
        } else {
            // SAFETY: added before, with the claim on it.
            unsafe { &*self.last }.next.store(sleeper, Relaxed);
        }
        self.last = sleeper;
        self.len += 1;
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Lays it on what is in the stack; the newest then.
    fn on(&self, head: Head) -> *mut Sleeper {
        if self.last.is_null() {
            return head.newest();
        }
        // SAFETY: added before, with the claim on it.
        unsafe { &*self.last }.next.store(head.newest(), Relaxed);
        self.first
    }

    /// Takes it apart.
    pub(super) fn into_sleepers(self) -> Taken {
        if !self.last.is_null() {
            // SAFETY: added before, with the claim on it.
            unsafe { &*self.last }.next.store(null_mut(), Relaxed);
        }
        Taken(self.first)
    }
}
