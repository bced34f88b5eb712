//! What a thread runs as: its own context, or that of a scope.
//!
//! A thread has one context of its own in each kernel. A scope (feature `async`)
//! brings another for the time of a poll, which suspends the one before. One that is
//! lent to a callback is in another place meanwhile, which has its LWP. Contexts
//! share nothing but what is the thread's: its virtual CPU and the big lock. So a
//! borrow out of a suspended one stays good, whatever the inner one does.
//!
//! The thread has what its innermost context is entitled to: a CPU when that has been
//! entered, and the big lock when its depth is not zero. A suspended context changes its
//! own entitlement and nothing of the thread's; the thread follows when the contexts
//! inside it have ended.
//!
//! A scope holds an anchor and needs no `Kernel` value; the teardown never looks into it, so
//! one that is polled meanwhile is a survivor.
#![allow(unsafe_code)]

use crate::cred::{CredCell, CredRef};
use crate::host::Host;
use crate::id::{Lid, Pid};
use crate::object::home::Anchor;
use crate::object::lwp_word::LwpWord;
use crate::object::node::{LwpNode, LwpPtr, ProcPtr};
use crate::reclaim::{Managed, Pin};
use crate::sync::{Arc, AtomicPtr, Relaxed};
#[cfg(feature = "async")]
use crate::waitq::WaitQueue;
use std::cell::{Cell, UnsafeCell};

/// What a scope lends to its context: it outlives the kernel's value, and is a task.
pub(crate) struct Ground<H: Host> {
    /// What keeps the world.
    pub(crate) anchor: Arc<Anchor<H>>,
    /// The tasks that are woken when the scope's LWP is interrupted: the scope's own, and
    /// those of futures inside that have other wakers.
    #[cfg(feature = "async")]
    pub(crate) tasks: std::sync::Arc<WaitQueue>,
}

/// Where a thread's own context is, and what passing in or out has to look at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Outside; to enter, the thread needs no virtual CPU.
    Open,
    /// Outside; to enter, it looks at everything.
    Guarded,
    /// Entered; it is the innermost, and the thread has no virtual CPU.
    Light,
    /// Entered; to leave, it looks at everything.
    Laden,
    /// None: the context is a scope's, or lent, and is always entered.
    Inner,
}

/// See the module. The fields are the thread's, but for what is said of `bound`.
pub(crate) struct Context<H: Host> {
    /// The LWP it runs as; null when it is implicit. From a thread's own context, and
    /// from no other, the teardown may take it.
    bound: AtomicPtr<Managed<LwpNode<H>>>,
    /// init's credentials as this context saw them last, while it was implicit.
    init_cred: UnsafeCell<Option<CredRef>>,
    pub(crate) passage: Cell<Passage>,
    /// How often it has taken the big lock.
    pub(crate) biglocks: Cell<u32>,
    /// The host has not been told of the bound LWP: it panicked then.
    pub(crate) untold: Cell<bool>,
    /// Who a scope's context was, whose LWP has gone. It is *inert*: nobody gets it.
    pub(crate) inert: Cell<Option<(Pid, Lid)>>,
    /// A scope's; null in a thread's own context.
    ground: *const Ground<H>,
}

impl<H: Host> Context<H> {
    /// A thread's own, implicit.
    pub(crate) fn new() -> Self {
        Self {
            bound: AtomicPtr::new(std::ptr::null_mut()),
            init_cred: UnsafeCell::new(None),
            passage: Cell::new(Passage::Guarded),
            biglocks: Cell::new(0),
            untold: Cell::new(false),
            inert: Cell::new(None),
            ground: std::ptr::null(),
        }
    }

    /// A scope's, implicit, and entered.
    ///
    /// # Safety
    /// `ground` stays where it is as long as the context.
    #[cfg(feature = "async")]
    pub(crate) unsafe fn of_scope(ground: &Ground<H>) -> Self {
        Self { ground, passage: Cell::new(Passage::Inner), ..Self::new() }
    }

    /// One that stands for another one, which stays where it is as long as this, and has
    /// what that runs as.
    pub(crate) fn lent_by(other: &Self) -> Self {
        let lent = Self { ground: other.ground, passage: Cell::new(Passage::Inner), ..Self::new() };
        lent.take_over(other);
        lent
    }

    /// It has been entered, and not left.
    pub(crate) fn is_entered(&self) -> bool {
        !matches!(self.passage.get(), Passage::Open | Passage::Guarded)
    }

    /// Runs as what the other did, which is left without.
    pub(crate) fn take_over(&self, other: &Self) {
        self.bind(other.take_bound());
        self.biglocks.set(other.biglocks.get());
        self.untold.set(other.untold.get());
    }

    /// The scope's, also while its context is lent; `None` in a thread's own context.
    pub(crate) fn ground(&self) -> Option<&Ground<H>> {
        // SAFETY: by `of_scope`'s contract.
        unsafe { self.ground.as_ref() }
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

    /// Whether the snapshot that it runs on is that of its process, as far as it has
    /// been told. Wait-free; two loads.
    #[inline]
    pub(crate) fn has_current_creds(&self, init: &ProcPtr<H>) -> bool {
        self.is_current(init, |word| !word.has_crmod())
    }

    /// The same, and there is nothing else to be looked at when it is entered.
    #[inline]
    pub(crate) fn enters_quietly(&self, init: &ProcPtr<H>) -> bool {
        self.is_current(init, LwpWord::enters_quietly)
    }

    #[inline]
    fn is_current(&self, init: &ProcPtr<H>, of_lwp: impl FnOnce(LwpWord) -> bool) -> bool {
        let bound = self.bound();
        if !bound.is_null() {
            // SAFETY: bound to this thread, so owned by it.
            return of_lwp(unsafe { Managed::deref_counted(bound) }.word.load());
        }
        // SAFETY: init never dies.
        let init = unsafe { Managed::deref_counted(*init) };
        // SAFETY: the owner's field; not replaced meanwhile.
        unsafe { self.init_cred() }.is_some_and(|snapshot| init.resources.cred.is(snapshot))
    }

    /// Replaces the snapshot of init's credentials for an implicit context of that
    /// thread.
    ///
    /// # Safety
    /// Nothing borrows the snapshot.
    pub(crate) unsafe fn replace_init_cred(&self, cell: &CredCell, pin: &Pin<'_>) {
        // SAFETY: the owner's field, not borrowed.
        let snapshot = unsafe { &mut *self.init_cred.get() };
        if let Some(old) = std::mem::replace(snapshot, cell.hold(pin)) {
            old.release(pin);
        }
    }

    /// The snapshot that [`Context::replace_init_cred`] took.
    ///
    /// # Safety
    /// It is not replaced for `'a`.
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
