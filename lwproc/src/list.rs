//! Intrusive lock-free list: insert at the head, remove anywhere, iterate
//! without writing (Harris's marking, Michael's reclamation).
//!
//! A node is removed by *marking* its own `next` link; from then on it is not
//! an item. The marked node is unlinked at once when it is at the head.
//! Otherwise it is only counted, and when the dead outnumber the living one
//! sweep unlinks them all: removal costs O(1) amortised in any order, and the
//! garbage still linked is at most `max(SWEEP_MIN, living)`, and what died while
//! the last sweep was under way.
//!
//! Iteration is weakly consistent: an item present throughout is seen exactly
//! once, none is seen twice. (Insertion is at the head only, so an iterator
//! moves strictly away from new nodes; a marked node's link is frozen, and
//! leads forward to nodes that were behind it when it was marked.)
//!
//! Orderings. Every node that a walk can reach was pushed at the head before
//! the head that the walk started from, and the head is changed by
//! read-modify-writes only, so one Acquire load of it [P7] sees all those
//! pushes: links further on need no Acquire to be followed, and unlinking
//! needs no Release. A mark [P8] is released to the sweep that retires the
//! node.
#![allow(unsafe_code)]

use crate::reclaim::{Link, Managed, Pin, Tagged};
use crate::sync::{Acquire, AtomicUsize, Relaxed, Release, fence};
use std::marker::PhantomData;

const MARKED: usize = 1;
/// A sweep is due when this many are dead, however few live.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const SWEEP_MIN: usize = 32;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const SWEEP_MIN: usize = 1;

/// An object that can be in one list; or in one of each kind `K`.
pub trait Node<K = ()>: Sized + 'static {
    /// The link to the next node of the list.
    fn next(&self) -> &Link<Self>;

    /// The node has just been unlinked, by the caller: drop the list's claim.
    ///
    /// # Safety
    /// Called once, by whoever unlinked `this`.
    unsafe fn unlinked(this: *mut Managed<Self>, pin: &Pin<'_>);

    /// The list itself goes, and `this` was still linked: drop the list's
    /// claim; nobody can reach it through the list any more.
    ///
    /// # Safety
    /// Called once, after the grace period of the list's owner.
    unsafe fn abandoned(this: *mut Managed<Self>);
}

/// See the module.
#[derive(Debug)]
#[repr(C)]
pub struct List<T: Node<K>, K = ()> {
    head: Link<T>,
    /// Marked, and not at the head then; since the last sweep began.
    dead: AtomicUsize,
    kind: PhantomData<fn() -> K>,
}

impl<T: Node<K>, K> List<T, K> {
    pub fn new() -> Self {
        Self { head: Link::new(Tagged::NULL), dead: AtomicUsize::new(0), kind: PhantomData }
    }

    /// Inserts at the head. Lock-free.
    ///
    /// # Safety
    /// `node` is alive, in no list, and the list receives a claim on it that
    /// [`Node::unlinked`] gives back.
    pub unsafe fn push(&self, node: *mut Managed<T>) {
        // SAFETY: alive by contract.
        let next = unsafe { Managed::deref_counted(node) }.next();
        // Relaxed: the node below is not looked at here, and its publication
        // is carried on by the CAS (release sequence of `head`).
        let mut head = self.head.load(Relaxed);
        loop {
            // Relaxed: published by the CAS.
            next.store(head, Relaxed);
            // Release [P7]: publishes the node; pairs with the Acquire loads
            // of `iter` and `sweep`.
            match self.head.compare_exchange(head, Tagged::new(node), Release, Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Inserts at the head, unless an item `is_there` already: whether it was inserted. No item
    /// is pushed between that look and the insertion. Lock-free; O(length).
    ///
    /// # Safety
    /// As for [`List::push`], if it is inserted; else the caller still owns it.
    pub unsafe fn push_unless(
        &self,
        node: *mut Managed<T>,
        is_there: impl Fn(&T) -> bool,
        pin: &Pin<'_>,
    ) -> bool {
        // SAFETY: alive by contract.
        let next = unsafe { Managed::deref_counted(node) }.next();
        loop {
            // Acquire [P7]: the nodes below, as in `iter`.
            let head = self.head.load(Acquire);
            let mut items = Iter { at: head, pin, kind: PhantomData::<fn() -> K> };
            if items.any(|(item, _)| is_there(item)) {
                return false;
            }
            // Relaxed: published by the CAS.
            next.store(head, Relaxed);
            // Release [P7]: as in `push`. The pin keeps the address of the head from coming
            // again, so nothing has been pushed since. Relaxed on failure: looked at anew.
            if self.head.compare_exchange(head, Tagged::new(node), Release, Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// Removes a node: on return no iteration that starts sees it. Lock-free;
    /// O(1) amortised. `living` is about how many unmarked nodes are left.
    ///
    /// # Safety
    /// `node` is in this list, `pin` was taken while it was, and it is
    /// removed once.
    pub unsafe fn remove(&self, node: *mut Managed<T>, living: usize, pin: &Pin<'_>) {
        // SAFETY: the list's claim and the pin keep it.
        let link = unsafe { Managed::deref_counted(node) }.next();
        // Release [P8]: the caller has made the node unreachable by any other
        // way; pairs with Acquire in `sweep`. Not Acquire: `next` is passed on,
        // not looked at.
        let next = link.fetch_or_tag(MARKED, Release);
        debug_assert_ne!(next.tag(), MARKED, "removed twice");

        // Relaxed: see the module. On failure too: nothing was learnt but that
        // it is not at the head.
        if self.head.compare_exchange(Tagged::new(node), next, Relaxed, Relaxed).is_ok() {
            // SAFETY: this thread unlinked it.
            unsafe { T::unlinked(node, pin) };
        } else {
            // Relaxed: a tally; the marks are what counts.
            self.dead.fetch_add(1, Relaxed);
        }
        // Whoever finds too many dead takes the tally, and with it the sweep;
        // the others go on. Relaxed: a tally.
        let limit = SWEEP_MIN.max(living);
        if self.dead.load(Relaxed) >= limit && self.dead.swap(0, Relaxed) >= limit {
            self.sweep(pin);
        }
    }

    /// Unlinks the marked nodes. Lock-free; O(length).
    pub(crate) fn sweep(&self, pin: &Pin<'_>) {
        let mut prev = &self.head;
        // Acquire [P7]: pairs with Release in `push`.
        let mut cur = prev.load(Acquire);
        // SAFETY: linked, from a head loaded with Acquire under the pin.
        while let Some(node) = unsafe { cur.as_ref(pin) } {
            // Acquire [P8]: what came before the mark, if there is one; pairs
            // with Release in `remove`.
            let next = node.next().load(Acquire);
            if next.tag() != MARKED {
                prev = node.next();
                cur = next;
                continue;
            }
            let next = next.with_tag(0);
            // Relaxed: see the module. Acquire [P7] on failure: at the head, the
            // node seen instead may be new, and is walked next.
            match prev.compare_exchange(cur, next, Relaxed, Acquire) {
                Ok(_) => {
                    // SAFETY: this thread unlinked it.
                    unsafe { T::unlinked(cur.ptr(), pin) };
                    cur = next;
                }
                // `prev` itself was marked: its own unlinking starts over.
                Err(seen) if seen.tag() == MARKED => {
                    prev = &self.head;
                    // Acquire [P7]: as at the start.
                    cur = prev.load(Acquire);
                }
                // A push at the head, or another sweep was here first.
                Err(seen) => cur = seen,
            }
        }
    }

    /// Whether nothing is linked, be it dead.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: who needs more has a fence.
        self.head.load(Relaxed).is_null()
    }

    /// The items, newest first. Wait-free per step; see the module for what
    /// is seen.
    pub fn iter<'g>(&'g self, pin: &'g Pin<'_>) -> Iter<'g, T, K> {
        // Acquire [P7]: pairs with Release in `push`.
        Iter { at: self.head.load(Acquire), pin, kind: PhantomData }
    }

    /// What `look` makes of the items, at a moment at which those that it has not seen were not
    /// there. Lock-free: once more when one came or went at the head meanwhile.
    pub fn settled<'g, R>(&'g self, pin: &'g Pin<'_>, look: impl Fn(Iter<'g, T, K>) -> R) -> R {
        loop {
            // Acquire [P7]: as in `iter`.
            let head = self.head.load(Acquire);
            let seen = look(Iter { at: head, pin, kind: PhantomData });
            // Acquire fence [P134]: what was pushed before an item went that was not seen, or
            // was seen to be gone; pairs with Release in `remove` and of whoever made it go.
            fence(Acquire);
            // Relaxed: the fence orders it. The pin keeps the address from coming again.
            if self.head.load(Relaxed) == head {
                return seen;
            }
        }
    }
}

impl<T: Node<K>, K> Drop for List<T, K> {
    fn drop(&mut self) {
        // Relaxed: nobody else is left.
        let mut at = self.head.load(Relaxed).ptr();
        while !at.is_null() {
            // SAFETY: linked, so the list's claim still holds it.
            let next = unsafe { Managed::deref_counted(at) }.next().load(Relaxed).ptr();
            // SAFETY: once for each linked node; the owner's grace period is over.
            unsafe { T::abandoned(at) };
            at = next;
        }
    }
}

/// See [`List::iter`].
pub struct Iter<'g, T: Node<K>, K = ()> {
    at: Tagged<T>,
    pin: &'g Pin<'g>,
    kind: PhantomData<fn() -> K>,
}

impl<'g, T: Node<K>, K> Iterator for Iter<'g, T, K> {
    type Item = (&'g T, *mut Managed<T>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let this = self.at.ptr();
            // SAFETY: linked, from a head loaded with Acquire under the pin.
            let node = unsafe { self.at.as_ref(self.pin) }?;
            // Relaxed: see the module; of a marked node nothing is read.
            let next = node.next().load(Relaxed);
            self.at = next.with_tag(0);
            if next.tag() != MARKED {
                return Some((node, this));
            }
        }
    }
}
