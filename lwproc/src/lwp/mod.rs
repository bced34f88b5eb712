//! LWPs.
//!
//! An LWP is *owned* (RUNNING: some [`Lwp`] value exists, or it is bound to a
//! thread) or *parked* (nobody has the right to run it). The owner alone may
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

mod interrupt;
pub mod word;

use crate::cred::CredRef;
use crate::cred::uids::{Charge, UidInfo};
use crate::filedesc::link::TableUse;
use crate::host::{Host, LwpToken, next_serial};
use crate::id::{Alias, Lid, Pid};
use crate::idtable::Reserved;
use crate::list::Node;
use crate::proc::comm::Comm;
use crate::proc::family::Table;
use crate::proc::{ProcNode, ProcPtr};
use crate::reclaim::counted::PrivateCell;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Link, Managed, Pin, RefCount, Tagged};
use crate::sleep::SleepObject;
use crate::specific::lwp::LwpSpecific;
use crate::sync::{Acquire, Arc, AtomicU32, AtomicU64};
use crate::world::Anchor;
use std::cell::UnsafeCell;
use std::num::NonZeroU32;
use word::AtomicLwpWord;

/// An LWP object of a kernel.
pub(crate) type LwpPtr<H> = *mut Managed<LwpNode<H>>;

/// One LWP (`struct lwp`).
pub(crate) struct LwpNode<H: Host> {
    pub(crate) word: AtomicLwpWord,
    pub(crate) lid: Lid,
    /// Tells it from others with that number.
    serial: NonZeroU32,
    /// Keeps the memory: one for being in `p_lwps`, one for each handle.
    pub(crate) refs: RefCount,
    /// Its process; alive while the LWP is.
    pub(crate) proc: ProcPtr<H>,
    /// The id to give back; `None` when the lid is the process's own pid.
    pub(crate) reserved: Option<Reserved>,
    /// Keeps the kernel's memory; taken by the owner at the end. The two
    /// LWPs that are part of the kernel have none.
    anchor: UnsafeCell<Option<Arc<Anchor<H>>>>,
    /// The owner's snapshot of the process's credentials (`l_cred`). The two LWPs of
    /// the kernel have none.
    cred: UnsafeCell<Option<CredRef>>,
    /// The user that it is charged to: its process's, until it ends.
    pub(crate) charge: Charge,
    /// How deep it held the big lock when it was switched away (`l_biglocks`); the
    /// owner's.
    pub(crate) biglocks: AtomicU32,
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
    sleeps_on: Link<SleepObject>,
    /// Place in the process's `lwps`.
    next: Link<LwpNode<H>>,
}

// SAFETY: all fields are atomics or immutable, but for `anchor`, `cred`, `files`
// and `specific`, which are the owner's; `proc` is looked through only while the LWP lives or under a pin
// that saw it alive.
unsafe impl<H: Host> Send for LwpNode<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for LwpNode<H> {}

impl<H: Host> LwpNode<H> {
    /// An LWP of `proc` under the process's own number or under `reserved`, to be
    /// counted as `user`'s when it is published.
    pub(crate) fn new(
        proc: ProcPtr<H>,
        user: &UidInfo,
        pid: Pid,
        reserved: Option<Reserved>,
        anchor: Option<Arc<Anchor<H>>>,
    ) -> LwpPtr<H> {
        Managed::new(Self {
            word: AtomicLwpWord::new(),
            lid: reserved.map_or(Lid(pid.0), |id| id.0.lid()),
            serial: next_serial(),
            refs: RefCount::new(),
            proc,
            reserved,
            anchor: UnsafeCell::new(anchor),
            cred: UnsafeCell::new(None),
            charge: Charge::new(user),
            biglocks: AtomicU32::new(0),
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

    /// The snapshot of the credentials.
    ///
    /// # Safety
    /// The caller owns the LWP, and does not replace the snapshot for `'a`.
    pub(crate) unsafe fn cred<'a>(&self) -> Option<&'a CredRef> {
        // SAFETY: the owner's field.
        unsafe { &*self.cred.get() }.as_ref()
    }

    /// Replaces the snapshot; the one before.
    ///
    /// # Safety
    /// The caller owns the LWP, and nothing borrows the snapshot.
    pub(crate) unsafe fn replace_cred(&self, new: Option<CredRef>) -> Option<CredRef> {
        // SAFETY: the owner's field.
        std::mem::replace(unsafe { &mut *self.cred.get() }, new)
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

    /// What the host knows it by.
    pub(crate) fn token(&self) -> LwpToken {
        LwpToken::new(self.lid, self.serial)
    }
}

/// The live LWP with that lid. Wait-free.
pub(crate) fn find<'g, H: Host>(
    ids: &Table<H>,
    lid: Lid,
    pin: &'g Pin<'_>,
) -> Option<(&'g LwpNode<H>, LwpPtr<H>)> {
    // Acquire [P4]: the LWP's fields; pairs with Release where it is published.
    let found = ids.slot(lid.0)?.lwp.load(Acquire);
    // SAFETY: loaded with Acquire under the pin.
    let node = unsafe { found.as_ref(pin) }?;
    (node.lid == lid && !node.word.load().has_exited()).then_some((node, found.ptr()))
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
