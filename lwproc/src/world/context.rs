//! What a thread runs as: its own context, or that of a scope.
//!
//! A thread has one context of its own in each kernel. A scope (feature `async`)
//! brings another for the time of a poll, which suspends the one before. Contexts
//! share nothing but what is the thread's: its virtual CPU and the big lock. So a
//! borrow out of a suspended one stays good, whatever the inner one does.
#![allow(unsafe_code)]

use super::participant::Participant;
use crate::cred::{CredCell, CredRef};
use crate::host::Host;
use crate::lwp::{LwpNode, LwpPtr};
use crate::reclaim::Managed;
use crate::sync::{AtomicPtr, Relaxed};
use std::cell::UnsafeCell;

/// See the module. The fields are the thread's, but for what is said of `bound`.
pub(crate) struct Context<H: Host> {
    /// The LWP it runs as; null when it is implicit. From a thread's own context, and
    /// from no other, the teardown may take it.
    bound: AtomicPtr<Managed<LwpNode<H>>>,
    /// init's credentials as this context saw them last, while it was implicit.
    init_cred: UnsafeCell<Option<CredRef>>,
}

impl<H: Host> Context<H> {
    /// An implicit context.
    pub(crate) fn new() -> Self {
        let bound = AtomicPtr::new(std::ptr::null_mut());
        Self { bound, init_cred: UnsafeCell::new(None) }
    }

    /// The LWP that the context runs as.
    #[inline]
    pub(crate) fn bound(&self) -> LwpPtr<H> {
        // Relaxed: written by this thread.
        self.bound.load(Relaxed)
    }

    #[inline]
    pub(crate) fn bind(&self, lwp: LwpPtr<H>) {
        // Relaxed: read by this thread, or after the teardown's synchronisation.
        self.bound.store(lwp, Relaxed);
    }

    /// Takes the bound LWP out: the thread's end and the teardown may both try.
    pub(crate) fn take_bound(&self) -> LwpPtr<H> {
        // Relaxed: the swap gives it to one of the two. The teardown has the
        // kernel to itself, so all that the thread did inside came before.
        self.bound.swap(std::ptr::null_mut(), Relaxed)
    }

    /// Refreshes the snapshot of init's credentials for an implicit context of that
    /// thread. Writes nothing shared while they stay the same.
    ///
    /// # Safety
    /// Nothing borrows the snapshot.
    pub(crate) unsafe fn refresh_init_cred(&self, me: &Participant<H>, cell: &CredCell) {
        // SAFETY: the owner's field, not borrowed.
        let snapshot = unsafe { &mut *self.init_cred.get() };
        if snapshot.as_ref().is_some_and(|old| cell.is(old)) {
            return;
        }
        let pin = me.pin();
        if let Some(old) = std::mem::replace(snapshot, cell.hold(&pin)) {
            old.release(&pin);
        }
    }

    /// The snapshot that [`Context::refresh_init_cred`] took.
    ///
    /// # Safety
    /// It is not refreshed for `'a`.
    pub(crate) unsafe fn init_cred<'a>(&self) -> Option<&'a CredRef> {
        // SAFETY: the owner's field.
        unsafe { &*self.init_cred.get() }.as_ref()
    }

    /// Takes the snapshot out, at the end of the context.
    ///
    /// # Safety
    /// Nothing borrows it.
    pub(crate) unsafe fn take_init_cred(&self) -> Option<CredRef> {
        // SAFETY: the owner's field, not borrowed.
        unsafe { &mut *self.init_cred.get() }.take()
    }
}
