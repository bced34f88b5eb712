//! Signals that are being sent to many, so that no fork escapes one.
//!
//! Whoever sends to many first notes it here, then walks; a fork first publishes the
//! child, then looks here. There is a fence between the two on each side, so the walk
//! finds the child or the fork finds the note, and sends to the child itself. A fork looks
//! at two things:
//!
//! * what is **under way**: the list;
//! * what is over but was begun since the fork began: from the newest note back to the one
//!   that was the newest then. A note is retired when it is neither under way nor the
//!   newest; a fork that needs it has had its pin since before.
//!
//! What was over before the fork began has reached the parent, which shows what it has not
//! taken yet in `ProcNode::of_many`.
#![allow(unsafe_code)]

use crate::cred::IdSet;
use crate::id::{Identity, Pid};
use crate::list::{List, Node};
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Link, Managed, Pin, RefCount, Tagged};
use crate::signal::Signo;
use crate::sync::{Acquire, Relaxed, Release, fence};
use std::sync::atomic::Ordering::SeqCst;

/// Whom one is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whom {
    Group(Identity),
    Session(Pid),
    Tree(Identity),
    User(u32),
    All,
}

/// Who sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) id: Identity,
    /// Its pid namespace, by the id of that one's init.
    pub(crate) namespace: Option<Identity>,
    pub(crate) users: IdSet,
    pub(crate) session: Option<Identity>,
}

/// One note.
pub(crate) struct Kill {
    next: Link<Kill>,
    /// The newest before this; set before this is published.
    older: Link<Kill>,
    /// One for being under way, one for being the newest.
    refs: RefCount,
    pub(crate) signo: Signo,
    pub(crate) whom: Whom,
    /// `None`: the kernel's own side, which may send to everybody.
    pub(crate) sender: Option<Sender>,
}

// SAFETY: immutable once published, but for links and counts, which are atomic.
unsafe impl Send for Kill {}
// SAFETY: as above.
unsafe impl Sync for Kill {}

impl Node for Kill {
    fn next(&self) -> &Link<Self> {
        &self.next
    }

    unsafe fn unlinked(this: *mut Managed<Self>, pin: &Pin<'_>) {
        // SAFETY: the list's claim.
        unsafe { drop_ref(this, pin) };
    }

    unsafe fn abandoned(this: *mut Managed<Self>) {
        // SAFETY: the list's claim still holds it.
        if unsafe { Managed::deref_counted(this) }.refs.dec() == Dropped::Last {
            // SAFETY: nobody is left.
            unsafe { Managed::free(this) };
        }
    }
}

/// # Safety
/// The caller has one of its claims, and gives it up.
unsafe fn drop_ref(kill: *mut Managed<Kill>, pin: &Pin<'_>) {
    // SAFETY: claimed.
    if unsafe { Managed::deref_counted(kill) }.refs.dec() == Dropped::Last {
        // SAFETY: neither in the list nor the newest; older notes are not followed beyond
        // the one that was the newest when a fork took its pin.
        unsafe { pin.retire(kill) };
    }
}

/// See the module.
pub(crate) struct Kills {
    under_way: List<Kill>,
    newest: Link<Kill>,
}

/// What a fork saw when it began.
#[derive(Clone, Copy)]
pub(crate) struct Since(Tagged<Kill>);

impl Kills {
    pub(crate) fn new() -> Self {
        Self { under_way: List::new(), newest: Link::new(Tagged::NULL) }
    }

    /// A fork begins. Wait-free.
    #[inline]
    pub(crate) fn now(&self) -> Since {
        // Relaxed: it is compared only. No older one is seen than was the newest at the
        // pin, since the retirement of one before it is [P0].
        Since(self.newest.load(Relaxed))
    }

    /// Notes one, before its walk. Lock-free but for the allocator.
    pub(crate) fn begin<'k>(
        &'k self,
        signo: Signo,
        whom: Whom,
        sender: Option<Sender>,
        pin: &'k Pin<'k>,
    ) -> UnderWay<'k> {
        // Acquire [P87]: the note that this one follows, whose count is dropped below; the
        // pin keeps it.
        let mut seen = self.newest.load(Acquire);
        let refs = RefCount::new();
        refs.inc();
        let next = Link::new(Tagged::NULL);
        let older = Link::new(seen);
        let kill = Managed::new(Kill { next, older, refs, signo, whom, sender });
        // Release [P87]: the note; pairs with Acquire here and in `for_each_missed`. Acquire on
        // failure: as above.
        while let Err(now) = self.newest.compare_exchange(seen, Tagged::new(kill), Release, Acquire)
        {
            seen = now;
            // SAFETY: made above. Relaxed: published by the CAS.
            unsafe { Managed::deref_counted(kill) }.older.store(now, Relaxed);
        }
        if !seen.is_null() {
            // SAFETY: it was the newest until now.
            unsafe { drop_ref(seen.ptr(), pin) };
        }
        // SAFETY: made above, in no list; one of its claims is the list's.
        unsafe { self.under_way.push(kill) };
        // SeqCst fence [P86]: see the module; pairs with that of `missed`.
        fence(SeqCst);
        UnderWay { kills: self, kill, pin }
    }

    /// A fork that has published its child: whether it may have to send to it.
    #[inline]
    pub(crate) fn may_be_missed(&self, since: Since) -> bool {
        // SeqCst fence [P86]: see the module. The child is published by read-modify-writes.
        crate::sync::fence_after_update();
        // Relaxed: the fence orders it.
        let missed = !self.under_way.is_empty() || self.newest.load(Relaxed) != since.0;
        // Acquire fence [P88]: who is not under way any more has reached the parent; pairs
        // with the Release fence of `UnderWay::drop`.
        fence(Acquire);
        missed
    }

    /// Frees the newest note, at the end of the world.
    pub(crate) fn clear(&mut self) {
        // Relaxed, twice: nobody else is left.
        let newest = self.newest.load(Relaxed).ptr();
        self.newest.store(Tagged::NULL, Relaxed);
        if !newest.is_null() {
            // SAFETY: it is the newest, and no more; nobody is left.
            unsafe { <Kill as Node>::abandoned(newest) };
        }
    }

    /// Calls `f` with what it may have to send, some twice; and then what is no longer
    /// under way is seen in the parent. Under the pin from before `now`.
    pub(crate) fn for_each_missed(&self, since: Since, pin: &Pin<'_>, f: impl FnMut(&Kill)) {
        // Acquire [P87]: the notes; pairs with Release in `begin`.
        let mut at = self.newest.load(Acquire);
        let begun = std::iter::from_fn(move || {
            if at == since.0 {
                return None;
            }
            // SAFETY: the newest, or one that was since `since`: retired after the pin.
            let kill = unsafe { at.as_ref(pin) }?;
            // Relaxed: set before the note was published [P87].
            at = kill.older.load(Relaxed);
            Some(kill)
        });
        // The oldest first: of a stop and a SIGCONT the later one counts.
        let mut begun: Vec<_> = begun.collect();
        begun.reverse();
        self.under_way.iter(pin).map(|(kill, _)| kill).chain(begun).for_each(f);
        // Acquire fence [P88]: as in `may_be_missed`, of those that ended since.
        fence(Acquire);
    }
}

/// One that is under way, to the end of its scope.
pub(crate) struct UnderWay<'k> {
    kills: &'k Kills,
    kill: *mut Managed<Kill>,
    pin: &'k Pin<'k>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let list = &self.kills.under_way;
        // Release fence [P88]: what was sent; pairs with that of `may_be_missed`.
        fence(Release);
        // SAFETY: pushed by `begin`, removed once, here; the pin is from before.
        unsafe { list.remove(self.kill, 0, self.pin) };
        if !list.is_empty() && list.iter(self.pin).next().is_none() {
            // What died behind another is not left to the forks.
            list.sweep(self.pin);
        }
    }
}
