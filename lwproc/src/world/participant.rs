//! What each thread has in a world, and the registry of all of them.
//!
//! A participant is used by one thread at a time. It stays when the thread
//! goes, and the next thread takes it over: there are never more than the
//! most threads at once, and there is no limit.
//!
//! One whose thread leaked a guard or an entry is not taken over. Participants are freed with
//! the world only, because garbage names their mailboxes. While a thread's storage is being
//! destroyed, each use of a kernel has a temporary one.
#![allow(unsafe_code)]

use super::clock::Shown;
use super::context::{Context, Passage};
use crate::cred::uids::Lane;
use crate::host::Host;
use crate::idtable::Shard;
use crate::object::home::{Anchor, Home};
use crate::object::node::LwpPtr;
use crate::reclaim::{Collector, Local, Managed, Pin};
use crate::sleep::SleepObject;
use crate::sync::{
    Acquire, Arc, AtomicBool, AtomicI64, AtomicPtr, AtomicUsize, Parker, Relaxed, Release,
};
use std::cell::{Cell, OnceCell, UnsafeCell};

/// See the module. Fields without a note are the owning thread's. On cache lines of its
/// own: what a thread writes at each entry is no other thread's business.
#[repr(align(128))]
pub(crate) struct Participant<H: Host> {
    /// The world that it is part of.
    pub(super) home: Home<H>,
    /// No thread owns it.
    vacant: AtomicBool,
    /// Next in the registry; set before it is published.
    next: *mut Participant<H>,
    local: UnsafeCell<Local>,
    /// The thread, until its storage goes, and guards, entries and operations that
    /// use it now. 64 bits: leaked guards cannot make it wrap.
    in_use: Cell<u64>,
    /// The LWP as which it left the kernel last because it panicked. Never looked at.
    pub(crate) unwound: Cell<LwpPtr<H>>,
    /// The virtual CPU it has; `None` in a kernel without, outside, and asleep.
    pub(crate) cpu: Cell<Option<usize>>,
    /// The virtual CPU it was on last.
    pub(crate) last_cpu: Cell<usize>,
    /// The part of the users' counts that the thread changes.
    pub(crate) lane: Lane,
    /// The thread's own context.
    pub(crate) own: Context<H>,
    /// The context of the innermost scope; null: its own.
    pub(crate) innermost: Cell<*const Context<H>>,
    /// Free ids. Others steal from it when ids run out.
    pub(crate) shard: Shard,
    /// Read by everybody.
    pub(crate) tally: AtomicTally,
    /// Made at the first sleep. Others read it once they have seen a deadline.
    parking: OnceCell<Parking>,
    /// What the thread's sleep ends by, at the latest.
    pub(crate) deadline: Shown,
    /// Made at first use, taken by the teardown.
    pub(crate) anchor: UnsafeCell<Option<Arc<Anchor<H>>>>,
}

/// How a thread sleeps.
struct Parking {
    parker: Parker,
    /// What an LWP that sleeps on it points to: the other end of `parker`. Freed
    /// with the world.
    object: *mut Managed<SleepObject>,
}

impl<H: Host> Participant<H> {
    fn parking(&self) -> &Parking {
        self.parking.get_or_init(|| {
            let parker = Parker::new();
            let object = Managed::new(SleepObject::Thread(parker.unparker().clone()));
            Parking { parker, object }
        })
    }

    /// What the thread sleeps by.
    pub(crate) fn parker(&self) -> &Parker {
        &self.parking().parker
    }

    /// Wakes the thread, which shows a deadline, or has shown one that was seen.
    pub(crate) fn wake(&self) {
        if let Some(parking) = self.parking.get() {
            parking.parker.unparker().unpark();
        }
    }

    /// What an LWP that sleeps by [`Participant::parker`] points to.
    pub(crate) fn sleep_object(&self) -> *mut Managed<SleepObject> {
        self.parking().object
    }

    /// Frees [`Participant::sleep_object`], once, at the end of the world.
    pub(super) fn free_sleep_object(&self) {
        if let Some(parking) = self.parking.get() {
            // SAFETY: nobody else is left.
            unsafe { Managed::free(parking.object) };
        }
    }

    /// One more use.
    #[inline]
    pub(crate) fn hold(&self) {
        self.in_use.set(self.in_use.get() + 1);
    }

    /// One use less; whether any is left. When none is, it is to be vacated.
    #[inline]
    #[must_use]
    pub(crate) fn let_go(&self) -> bool {
        self.in_use.set(self.in_use.get() - 1);
        self.in_use.get() != 0
    }

    #[inline]
    pub(crate) fn pin(&self) -> Pin<'_> {
        // SAFETY: changed only by `unregister_all`, when nobody is left.
        unsafe { &*self.local.get() }.pin()
    }

    /// The context that the thread runs in now.
    pub(crate) fn innermost(&self) -> &Context<H> {
        let innermost = self.innermost.get();
        // SAFETY: a scope's context stands until it has put the one before back.
        unsafe { innermost.as_ref() }.unwrap_or(&self.own)
    }

    /// The passage of its own context when that is entered, and the innermost.
    pub(crate) fn inside(&self) -> Passage {
        if self.world().cpus.is_none() { Passage::Light } else { Passage::Laden }
    }

    /// Runs in `inner` from now on; what it ran in comes back, for
    /// [`resume`](Self::resume).
    pub(crate) fn suspend(&self, inner: *const Context<H>) -> *const Context<H> {
        let own = if self.own.is_entered() { Passage::Laden } else { Passage::Guarded };
        self.own.passage.set(own);
        self.innermost.replace(inner)
    }

    /// Runs in what it ran in before.
    pub(crate) fn resume(&self, outer: *const Context<H>) {
        self.innermost.set(outer);
        if outer.is_null() && self.own.is_entered() {
            self.own.passage.set(self.inside());
        }
    }

    /// Whether the thread runs in its own context, and has no virtual CPU and not the
    /// big lock.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.own.passage.get() == Passage::Light && self.own.biglocks.get() == 0
    }

    fn take_over(&self) -> bool {
        // Acquire [P11]: what the last owner left; pairs with Release in `vacate`.
        // Relaxed on failure: another one is tried.
        self.vacant.load(Relaxed)
            && self.vacant.compare_exchange(true, false, Acquire, Relaxed).is_ok()
    }

    /// Leaves it to the next thread.
    pub(crate) fn vacate(&self) {
        // Release [P11]: pairs with Acquire in `take_over`.
        self.vacant.store(true, Release);
    }

    pub(crate) fn retired_freed(&self) -> (u64, u64) {
        // SAFETY: as in `pin`; the counters may be read by anybody.
        unsafe { &*self.local.get() }.retired_freed()
    }

    pub(crate) fn is_vacant(&self) -> bool {
        // Relaxed: statistics.
        self.vacant.load(Relaxed)
    }
}

/// All participants of a world: an append-only stack.
pub(crate) struct Registry<H: Host> {
    home: Home<H>,
    top: AtomicPtr<Participant<H>>,
    /// How many were added.
    added: AtomicUsize,
}

impl<H: Host> Registry<H> {
    pub(crate) fn new(home: Home<H>) -> Self {
        Self { home, top: AtomicPtr::new(std::ptr::null_mut()), added: AtomicUsize::new(0) }
    }

    /// Takes a vacant participant over, or adds one. Lock-free but for the
    /// allocator.
    pub(crate) fn register(&self, collector: &Collector) -> &Participant<H> {
        if let Some(vacant) = self.iter().find(|p| p.take_over()) {
            return vacant;
        }
        self.add(collector)
    }

    /// Adds a participant, owned by the calling thread.
    pub(crate) fn add(&self, collector: &Collector) -> &Participant<H> {
        let new = Box::into_raw(Box::new(Participant {
            home: self.home,
            vacant: AtomicBool::new(false),
            next: std::ptr::null_mut(),
            local: UnsafeCell::new(collector.register()),
            in_use: Cell::new(0),
            unwound: Cell::new(std::ptr::null_mut()),
            cpu: Cell::new(None),
            last_cpu: Cell::new(0),
            // Relaxed: any number will do.
            lane: Lane::of(self.added.fetch_add(1, Relaxed)),
            own: Context::new(),
            innermost: Cell::new(std::ptr::null()),
            shard: Shard::new(),
            tally: AtomicTally::default(),
            parking: OnceCell::new(),
            deadline: Shown::new(),
            anchor: UnsafeCell::new(None),
        }));
        // Relaxed: nothing is read through it here; the CAS carries on the
        // publication of the others.
        let mut head = self.top.load(Relaxed);
        loop {
            // SAFETY: not yet shared.
            unsafe { (*new).next = head };
            // Release [P11]: publishes it; pairs with Acquire in `iter`.
            match self.top.compare_exchange(head, new, Release, Relaxed) {
                // SAFETY: freed with the registry only.
                Ok(_) => return unsafe { &*new },
                Err(seen) => head = seen,
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Participant<H>> {
        // Acquire [P11]: pairs with Release in `add`.
        let mut at: *const Participant<H> = self.top.load(Acquire);
        std::iter::from_fn(move || {
            // SAFETY: freed with the registry only.
            let p = unsafe { at.as_ref() }?;
            at = p.next;
            Some(p)
        })
    }

    pub(crate) fn tally(&self) -> Tally {
        self.iter().fold(Tally::default(), |sum, p| sum + p.tally.load())
    }

    /// Frees what threads have left to each other, and not fetched yet.
    pub(crate) fn free_mail(&self) {
        for p in self.iter() {
            // SAFETY: changed only at the end; the mail is for everybody.
            unsafe { &*p.local.get() }.free_mail();
        }
    }

    /// Frees all participants, and what they retired. The collector is gone.
    pub(super) fn clear(&mut self) {
        // Relaxed, here and below: nobody else is left.
        let mut at = self.top.load(Relaxed);
        self.top.store(std::ptr::null_mut(), Relaxed);
        while !at.is_null() {
            // SAFETY: from `add`, and taken off above: freed once.
            let p = unsafe { Box::from_raw(at) };
            at = p.next;
        }
    }

    /// Every participant leaves its collector. Nobody uses them any more.
    pub(super) fn unregister_all(&mut self) {
        for p in self.iter() {
            // SAFETY: `&mut self`: no thread uses the world any more.
            let local = unsafe { &mut *p.local.get() };
            // SAFETY: once, at the end; pins borrow the world.
            unsafe { local.unregister() };
        }
    }
}

impl<H: Host> Drop for Registry<H> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Counts of live things, as the sum over all participants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) procs: i64,
    pub(crate) lwps: i64,
    pub(crate) zombies: i64,
    pub(crate) ids: i64,
}

impl std::ops::Add for Tally {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self {
            procs: self.procs + o.procs,
            lwps: self.lwps + o.lwps,
            zombies: self.zombies + o.zombies,
            ids: self.ids + o.ids,
        }
    }
}

/// One participant's part of the [`Tally`]: what this thread made less what it
/// ended. Written by the owner only, so without read-modify-writes.
#[derive(Default)]
pub(crate) struct AtomicTally {
    procs: AtomicI64,
    lwps: AtomicI64,
    zombies: AtomicI64,
    ids: AtomicI64,
}

impl AtomicTally {
    #[inline]
    pub(crate) fn add(&self, change: Tally) {
        let cells = [
            (&self.procs, change.procs),
            (&self.lwps, change.lwps),
            (&self.zombies, change.zombies),
            (&self.ids, change.ids),
        ];
        for (cell, by) in cells {
            if by != 0 {
                // Relaxed: counts, exact when their threads are at rest.
                cell.store(cell.load(Relaxed) + by, Relaxed);
            }
        }
    }

    fn load(&self) -> Tally {
        // Relaxed: as above.
        Tally {
            procs: self.procs.load(Relaxed),
            lwps: self.lwps.load(Relaxed),
            zombies: self.zombies.load(Relaxed),
            ids: self.ids.load(Relaxed),
        }
    }
}
