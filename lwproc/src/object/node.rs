//! The objects of a kernel that readers look at: processes, LWPs, and the edges of
//! the family. They name each other, so they stand together; the rules by which they
//! change are above, in the rooms named here.
//!
//! A process:
//!
//! ```text
//!   newproc        last LWP goes            parent waits
//!  ─────────▶ ACTIVE ─────────▶ (dying) ─┬─▶ ZOMBIE ─▶ REAPING ─▶ gone
//!                                        └─▶ gone          (WaitPolicy::AutoReap, or init's child)
//! ```
//!
//! Who may touch which of its fields:
//! * `word`: anybody, by its transitions. Zero LWPs is death, once.
//! * `lwps`, `children`: anybody, by the list's rules; nodes are pushed only
//!   by threads that keep the process alive: running as one of its LWPs, or
//!   having attached one; and on the children of proc0 and init, which never
//!   end, by anybody.
//! * `edge`: the family rules (`family.rs`).
//! * `membership`: the rules of groups (`pgrp.rs`).
//! * `resources.embedded`: LWPs of the process; then the thread that ended it.
//!
//! An LWP is *owned* (RUNNING: some [`Lwp`](crate::Lwp) value exists, or it is bound to
//! a thread) or *parked* (nobody has the right to run it). The owner alone may
//! switch to it, park it, or end it.
//!
//! ```text
//!  makelwp          unclaim
//!  ───────▶ OWNED ───────────▶ PARKED
//!             │   ◀───────────
//!             │ drop   claim
//!             ▼
//!            gone
//! ```
#![allow(unsafe_code)]

use super::comm::Comm;
use super::group::Membership;
use super::home::{Anchor, Home};
use super::job_word::AtomicJobWord;
use super::kin::{AtomicExitSignal, Kin};
use super::lwp_word::AtomicLwpWord;
use super::proc_word::{AtomicProcWord, Places};
use super::resources::Resources;
use super::status::{ExitStatus, Fates};
use crate::cred::CredCell;
use crate::cred::uids::{Charge, UidInfo};
use crate::filedesc::link::TableUse;
use crate::host::{Host, LwpToken, next_serial};
use crate::id::{Alias, Identity, Lid, Pid};
use crate::list::{List, Node};
use crate::once_box::OnceBox;
use crate::reclaim::counted::PrivateCell;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Link, Managed, Pin, RefCount, Tagged};
use crate::signal::SigSet;
use crate::signal::state::SigState;
use crate::sleep::SleepObject;
use crate::specific::lwp::LwpSpecific;
use crate::sync::{Acquire, Arc, AtomicIsize, AtomicU32, AtomicU64, Relaxed, Release};
use crate::waitq::WaitQueue;
use std::cell::UnsafeCell;
use std::num::NonZeroU32;

/// A process object of a kernel.
pub(crate) type ProcPtr<H> = *mut Managed<ProcNode<H>>;

/// One process (`struct proc`). Laid out as written here: who looks it up reads the id,
/// and counts a reference; who makes or ends an LWP writes the word and the head of the
/// list. Each two are in one cache line, and mostly all four.
#[repr(C, align(16))]
pub(crate) struct ProcNode<H: Host> {
    /// Keeps the memory: one for being in the table, one for each handle.
    pub(crate) refs: RefCount,
    pub(crate) id: Identity,
    /// The parent, and in the tag the stage of this process's end.
    pub(crate) edge: Link<Edge<H>>,
    pub(crate) word: AtomicProcWord,
    pub(crate) lwps: List<LwpNode<H>>,
    /// Those of the edges in `children` whose child has ended: hints as these. Dropped
    /// before `children`, which has them.
    pub(crate) zombies: List<Edge<H>, Dead>,
    /// How many there are; for the list's sweeps.
    pub(crate) nzombies: AtomicIsize,
    /// Hints: a child is this process's child if its own `edge` says so.
    pub(crate) children: List<Edge<H>>,
    /// How many edges point here, or are just being made to.
    pub(crate) nchildren: AtomicIsize,
    /// The process group, and in the tag what the rules of groups say.
    pub(crate) membership: Link<Membership>,
    /// Signals posted to the process, as `SigSet` bits.
    pub(crate) pending: AtomicU64,
    /// Of these, those that were sent to many: a child that is forked before they are taken
    /// gets them too. And SIGKILL, for good.
    pub(crate) of_many: AtomicU64,
    /// Whether it is stopped.
    pub(crate) jobs: AtomicJobWord,
    /// What few processes have of signals.
    pub(crate) signals: OnceBox<SigState<H::SigValue>>,
    /// LWPs of this process that wait for a child, or to be alone.
    pub(crate) waiters: WaitQueue,
    /// What [`Entered::allbetsareoff_setid`](crate::Entered::allbetsareoff_setid)
    /// made of its pid.
    pub(crate) alias: Alias,
    pub(crate) resources: Resources<H>,
    /// The kernel it is of. Kept by each LWP's anchor, not by the process.
    pub(crate) home: Home<H>,
}

// SAFETY: all fields are atomics or immutable, except `resources.embedded`,
// which only the thread that ended the process touches mutably, after every
// other LWP's detach happened before (P5).
unsafe impl<H: Host> Send for ProcNode<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for ProcNode<H> {}

impl<H: Host> ProcNode<H> {
    /// A process with one LWP still to be linked, and no parent.
    pub(crate) fn new(
        home: Home<H>,
        id: Identity,
        resources: Resources<H>,
        released: ExitStatus,
        counted: Places,
        job_signals: SigSet,
    ) -> Self {
        Self {
            refs: RefCount::new(),
            id,
            word: AtomicProcWord::new(released, counted),
            lwps: List::new(),
            zombies: List::new(),
            nzombies: AtomicIsize::new(0),
            children: List::new(),
            nchildren: AtomicIsize::new(0),
            edge: Link::new(Tagged::NULL),
            membership: Link::new(Tagged::NULL),
            pending: AtomicU64::new(0),
            of_many: AtomicU64::new(0),
            jobs: AtomicJobWord::new(job_signals),
            signals: OnceBox::new(),
            waiters: WaitQueue::new(),
            alias: Alias::none(),
            resources,
            home,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.id.pid()
    }

    /// Takes an edge of this process off its children.
    ///
    /// # Safety
    /// No child has it any more, it is in `children` and not in `zombies`, and this is
    /// called once; `pin` has been held since before.
    pub(crate) unsafe fn forget_child(&self, edge: *mut Managed<Edge<H>>, pin: &Pin<'_>) {
        // Relaxed: a hint here.
        let living = self.nchildren.load(Relaxed).try_into().unwrap_or(0);
        // SAFETY: by contract.
        unsafe { self.children.remove(edge, living, pin) };
    }
}

/// The kind of list that has a parent's zombies.
#[derive(Debug)]
pub(crate) struct Dead;

/// One "is a child of". It is in the parent's `zombies` only while it is in `children`.
pub(crate) struct Edge<H: Host> {
    next_child: Link<Edge<H>>,
    next_zombie: Link<Edge<H>>,
    pub(crate) parent: ProcPtr<H>,
    pub(crate) child: Identity,
    /// As in [`Kin`].
    maker: u32,
    pub(crate) exit_signal: AtomicExitSignal,
}

impl<H: Host> Edge<H> {
    pub(crate) fn new(parent: ProcPtr<H>, child: Identity, kin: Kin) -> *mut Managed<Self> {
        let (next_child, next_zombie) = (Link::new(Tagged::NULL), Link::new(Tagged::NULL));
        let (maker, exit_signal) = (kin.maker, AtomicExitSignal::new(kin.exit_signal));
        Managed::new(Self { next_child, next_zombie, parent, child, maker, exit_signal })
    }

    /// As it is now.
    pub(crate) fn kin(&self) -> Kin {
        Kin { maker: self.maker, exit_signal: self.exit_signal.load() }
    }

    /// The parent's number, as [`Edge::parent`].
    pub(crate) fn ppid(&self, pin: &Pin<'_>) -> Pid {
        self.parent(pin).pid()
    }

    /// The parent, to be looked at by a reader that loaded this edge from the child, under
    /// the same pin.
    pub(crate) fn parent_ptr(&self) -> ProcPtr<H> {
        self.parent
    }

    /// The parent, for a reader that loaded this edge from the child under `pin`.
    pub(crate) fn parent<'g>(&self, pin: &'g Pin<'_>) -> &'g ProcNode<H> {
        // SAFETY: see the module: the parent is retired only after the child's
        // edge has been swung away from it.
        unsafe { Tagged::new(self.parent).as_ref(pin) }.expect("an edge has a parent")
    }
}

impl<H: Host> Node for Edge<H> {
    fn next(&self) -> &Link<Self> {
        &self.next_child
    }

    unsafe fn unlinked(this: *mut Managed<Self>, pin: &Pin<'_>) {
        // SAFETY: not the child's edge any more, and unlinked by this thread.
        unsafe { pin.retire(this) };
    }

    unsafe fn abandoned(this: *mut Managed<Self>) {
        // SAFETY: the list's owner is past its grace period; so is whoever
        // could have found the edge in a child.
        unsafe { Managed::free(this) };
    }
}

impl<H: Host> Node<Dead> for Edge<H> {
    fn next(&self) -> &Link<Self> {
        &self.next_zombie
    }

    /// Only now it leaves the other list: until then that keeps it.
    unsafe fn unlinked(this: *mut Managed<Self>, pin: &Pin<'_>) {
        // SAFETY: still in the parent's `children`.
        let edge = unsafe { Managed::deref_counted(this) };
        // SAFETY: by contract.
        unsafe { edge.parent(pin).forget_child(this, pin) };
    }

    /// `children` frees it.
    unsafe fn abandoned(_: *mut Managed<Self>) {}
}

/// An LWP object of a kernel.
pub(crate) type LwpPtr<H> = *mut Managed<LwpNode<H>>;

/// One LWP (`struct lwp`).
pub(crate) struct LwpNode<H: Host> {
    pub(crate) word: AtomicLwpWord,
    /// The id that it bears: its process's, or one of its own, which it gives back.
    id: AtomicU64,
    /// Tells it from others with that number.
    serial: NonZeroU32,
    /// Keeps the memory: one for being in `p_lwps`, one for each handle.
    pub(crate) refs: RefCount,
    /// Its process; alive while the LWP is.
    pub(crate) proc: ProcPtr<H>,
    /// Keeps the kernel's memory; taken by the owner at the end. The two
    /// LWPs that are part of the kernel have none.
    anchor: UnsafeCell<Option<Arc<Anchor<H>>>>,
    /// Its credentials (`l_cred`), replaced by the owner: a snapshot of the process's, or by
    /// [Linux's rules](crate::Difference::OwnCredentials) its own. The two LWPs of the kernel
    /// have none.
    pub(crate) cred: CredCell,
    /// The user that it is charged to: its process's, until it ends.
    pub(crate) charge: Charge,
    /// How deep it held the big lock when it was switched away (`l_biglocks`); the
    /// owner's.
    pub(crate) biglocks: AtomicU32,
    /// What its process ends with if it goes unreleased, as `Fates` bits; the owner's.
    fates: AtomicU32,
    /// What its process is sent when its parent ends; 0: nothing. The owner's.
    pub(crate) death_signal: AtomicU32,
    /// What [`Aliases::set`](crate::Aliases::set)
    /// made of its lid.
    pub(crate) alias: Alias,
    /// Its name (`l_name`), if it has been given one.
    pub(crate) name: PrivateCell<Comm>,
    /// The owner's use of the process's descriptor table (`l_fd`), until it is
    /// given back at the end.
    files: UnsafeCell<Option<TableUse<H::File>>>,
    /// The owner's LWP-specific data; made when it is first set.
    specific: UnsafeCell<Option<Box<LwpSpecific>>>,
    /// Signals posted to this LWP alone, as `SigSet` bits.
    pub(crate) pending: AtomicU64,
    /// Signals that it blocks. Written by the owner.
    pub(crate) blocked: AtomicU64,
    /// What it sleeps on, while SLEEPING is set.
    pub(crate) sleeps_on: Link<SleepObject>,
    /// Place in the process's `lwps`.
    next: Link<LwpNode<H>>,
}

// SAFETY: all fields are atomics or immutable, but for `anchor`, `files` and
// `specific`, which are the owner's; `proc` is looked through only while the LWP lives or under a pin
// that saw it alive.
unsafe impl<H: Host> Send for LwpNode<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for LwpNode<H> {}

impl<H: Host> LwpNode<H> {
    /// An LWP of `proc` under the process's own id or one that has been reserved, to be
    /// counted as `user`'s when it is published.
    pub(crate) fn new(
        proc: ProcPtr<H>,
        user: &UidInfo,
        id: Identity,
        anchor: Option<Arc<Anchor<H>>>,
        fates: Fates,
    ) -> LwpPtr<H> {
        Managed::new(Self {
            word: AtomicLwpWord::new(),
            id: AtomicU64::new(id.get()),
            serial: next_serial(),
            refs: RefCount::new(),
            proc,
            anchor: UnsafeCell::new(anchor),
            cred: CredCell::empty(),
            charge: Charge::new(user),
            biglocks: AtomicU32::new(0),
            fates: AtomicU32::new(fates.bits()),
            death_signal: AtomicU32::new(0),
            alias: Alias::none(),
            name: PrivateCell::default(),
            files: UnsafeCell::new(None),
            specific: UnsafeCell::new(None),
            pending: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            sleeps_on: Link::new(Tagged::NULL),
            next: Link::new(Tagged::NULL),
        })
    }

    /// The id that it bears.
    #[inline]
    pub(crate) fn id(&self) -> Identity {
        // Acquire [P150]: whoever sees that it has another one finds it by that; pairs with
        // Release in `bear`.
        Identity(self.id.load(Acquire))
    }

    /// Its number.
    #[inline]
    pub(crate) fn lid(&self) -> Lid {
        self.id().lid()
    }

    /// Bears another id, under which it is published already. Owner only.
    pub(crate) fn bear(&self, id: Identity) {
        // Release [P150]: it is in that id's slot; pairs with Acquire in `id`.
        self.id.store(id.get(), Release);
    }

    /// The process.
    ///
    /// # Safety
    /// The caller owns the LWP, which therefore lives, for `'a`.
    pub(crate) unsafe fn proc_owned<'a>(&self) -> &'a ProcNode<H> {
        // SAFETY: a live LWP's process has not ended.
        unsafe { Managed::deref_counted(self.proc) }
    }

    /// The process, for a reader that found this LWP published under `pin`.
    pub(crate) fn proc_pinned<'g>(&self, pin: &'g Pin<'_>) -> &'g ProcNode<H> {
        // SAFETY: the process is retired after its last LWP was unpublished,
        // which this pin did not see.
        unsafe { Tagged::new(self.proc).as_ref(pin) }.expect("an LWP has a process")
    }

    /// A share of what keeps the kernel's memory.
    ///
    /// # Safety
    /// The caller owns the LWP.
    pub(crate) unsafe fn anchor(&self) -> Option<Arc<Anchor<H>>> {
        // SAFETY: the owner's field.
        unsafe { &*self.anchor.get() }.clone()
    }

    /// Takes the LWP's share of what keeps the kernel's memory.
    ///
    /// # Safety
    /// The caller owns the LWP and ends it.
    pub(crate) unsafe fn take_anchor(&self) -> Option<Arc<Anchor<H>>> {
        // SAFETY: the owner's field.
        unsafe { &mut *self.anchor.get() }.take()
    }

    /// The use of the descriptor table.
    ///
    /// # Safety
    /// The caller owns the LWP, and does not replace the use for `'a`.
    pub(crate) unsafe fn files<'a>(&self) -> Option<&'a TableUse<H::File>> {
        // SAFETY: the owner's field.
        unsafe { &*self.files.get() }.as_ref()
    }

    /// Replaces the use of the descriptor table; the one before.
    ///
    /// # Safety
    /// The caller owns the LWP, and nothing borrows the use.
    pub(crate) unsafe fn replace_files(
        &self,
        new: Option<TableUse<H::File>>,
    ) -> Option<TableUse<H::File>> {
        // SAFETY: the owner's field.
        std::mem::replace(unsafe { &mut *self.files.get() }, new)
    }

    /// The use of the descriptor table, to be changed.
    ///
    /// # Safety
    /// The caller owns the LWP, and nothing borrows the use for `'a`.
    pub(crate) unsafe fn files_mut<'a>(&self) -> &'a mut Option<TableUse<H::File>> {
        // SAFETY: the owner's field.
        unsafe { &mut *self.files.get() }
    }

    /// The LWP-specific data.
    ///
    /// # Safety
    /// The caller owns the LWP, and does not change the data for `'a`.
    pub(crate) unsafe fn specific<'a>(&self) -> Option<&'a LwpSpecific> {
        // SAFETY: the owner's field.
        unsafe { &*self.specific.get() }.as_deref()
    }

    /// The LWP-specific data, to be changed.
    ///
    /// # Safety
    /// The caller owns the LWP, and nothing borrows the data for `'a`.
    pub(crate) unsafe fn specific_mut<'a>(&self) -> &'a mut Option<Box<LwpSpecific>> {
        // SAFETY: the owner's field.
        unsafe { &mut *self.specific.get() }
    }

    /// What its process ends with if it goes unreleased. Owner only.
    pub(crate) fn fates(&self) -> Fates {
        // Relaxed: the owner's.
        Fates::from_bits(self.fates.load(Relaxed))
    }

    /// Says so. Owner only.
    pub(crate) fn set_fates(&self, fates: Fates) {
        // Relaxed: the owner's.
        self.fates.store(fates.bits(), Relaxed);
    }

    /// Tells it from others of its process, past and to come.
    #[inline]
    pub(crate) fn serial(&self) -> u32 {
        self.serial.get()
    }

    /// What the host knows it by.
    pub(crate) fn token(&self) -> LwpToken {
        LwpToken::new(self.lid(), self.serial)
    }
}

impl<H: Host> Node for LwpNode<H> {
    fn next(&self) -> &Link<Self> {
        &self.next
    }

    unsafe fn unlinked(this: LwpPtr<H>, pin: &Pin<'_>) {
        // SAFETY: the list's claim still holds it.
        if unsafe { Managed::deref_counted(this) }.refs.dec() == Dropped::Last {
            // SAFETY: out of the slot and the list, and no handle is left.
            unsafe { pin.retire(this) };
        }
    }

    unsafe fn abandoned(this: LwpPtr<H>) {
        // SAFETY: the list's claim still holds it.
        if unsafe { Managed::deref_counted(this) }.refs.dec() == Dropped::Last {
            // SAFETY: its process is past its grace period, and with it
            // everybody that could have found this LWP.
            unsafe { Managed::free(this) };
        }
    }
}
