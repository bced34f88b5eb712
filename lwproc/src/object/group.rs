//! The objects of process groups and sessions. Their rules are in `pgrp.rs`.
#![allow(unsafe_code)]

use super::namespace::Numbers;
use super::terminal::Holding;
use crate::id::Identity;
use crate::list::{List, Node};
use crate::once_box::OnceBox;
use crate::reclaim::{Link, Managed, Pin, RefCount, Tagged};
use crate::sync::Arc;
use crate::sync::config_cell::ConfigCell;

/// Tag of a process's `membership`: it has run another program.
pub(crate) const EXECED: usize = 1;
/// Tag of a process's `membership`: a group of its id may have been made.
pub(crate) const LED: usize = 2;
/// Tag of a process's `membership`: the controlling terminal of its session, if that has
/// one, is its own, too.
pub(crate) const ON_TERMINAL: usize = 4;

pub(crate) type GroupPtr = *mut Managed<Pgrp>;
pub(crate) type SessionPtr = *mut Managed<Session>;

/// A session.
pub(crate) struct Session {
    pub(crate) id: Identity,
    /// Those of its id in pid namespaces.
    pub(crate) numbers: Option<Arc<Numbers>>,
    /// Its groups.
    pub(crate) groups: RefCount,
    /// Its controlling terminal, once it has had one.
    pub(crate) terminal: OnceBox<ConfigCell<Holding>>,
}

impl Session {
    pub(crate) fn new(id: Identity, numbers: Option<Arc<Numbers>>) -> SessionPtr {
        let (groups, terminal) = (RefCount::new(), OnceBox::new());
        Managed::new(Self { id, numbers, groups, terminal })
    }

    pub(crate) fn id(&self) -> Identity {
        self.id
    }

    pub(crate) fn is_permanent(&self) -> bool {
        self.id.0 == 0
    }

    /// Adds a group, unless the last one is gone.
    pub(crate) fn attach(&self) -> bool {
        self.is_permanent() || self.groups.try_inc()
    }
}

/// A session that the caller found through a group, or counts.
pub(crate) fn session_of<'g>(session: SessionPtr, pin: &'g Pin<'_>) -> &'g Session {
    // SAFETY: see `Pgrp::session`.
    unsafe { Tagged::new(session).as_ref(pin) }.expect("never null")
}

/// A process group (`struct pgrp`).
pub(crate) struct Pgrp {
    pub(crate) id: Identity,
    /// Those of its id in pid namespaces.
    pub(crate) numbers: Option<Arc<Numbers>>,
    pub(crate) session: SessionPtr,
    /// Members, and processes about to join.
    pub(crate) joined: RefCount,
    /// Hints, see the module.
    pub(crate) members: List<Membership>,
}

/// One "is in the group".
pub(crate) struct Membership {
    next: Link<Membership>,
    pub(crate) group: GroupPtr,
    pub(crate) member: Identity,
}

// SAFETY: atomics and immutable fields; the pointers are to objects that are
// `Sync`, and kept by the rules of this module.
unsafe impl Send for Pgrp {}
// SAFETY: as above.
unsafe impl Sync for Pgrp {}

impl Pgrp {
    pub(crate) fn new(
        id: Identity,
        numbers: Option<Arc<Numbers>>,
        session: SessionPtr,
    ) -> GroupPtr {
        let (joined, members) = (RefCount::new(), List::new());
        Managed::new(Self { id, numbers, session, joined, members })
    }

    pub(crate) fn id(&self) -> Identity {
        self.id
    }

    pub(crate) fn is_permanent(&self) -> bool {
        self.id.0 == 0
    }

    /// Whether it lives, or some process is about to join it.
    pub(crate) fn is_live(&self) -> bool {
        self.joined.load() != 0
    }

    /// Its session, for a reader that found it under `pin`.
    pub(crate) fn session<'g>(&self, pin: &'g Pin<'_>) -> &'g Session {
        // SAFETY: a session is retired after its last group has died; who
        // finds a group under a pin can still look at it.
        unsafe { Tagged::new(self.session).as_ref(pin) }.expect("a group has a session")
    }
}

impl Membership {
    pub(crate) fn new(group: GroupPtr, member: Identity) -> *mut Managed<Self> {
        Managed::new(Self { next: Link::new(Tagged::NULL), group, member })
    }

    /// The group, for a reader that loaded this from a process under `pin`.
    pub(crate) fn group<'g>(&self, pin: &'g Pin<'_>) -> &'g Pgrp {
        // SAFETY: a group is retired after the last process has been swung away
        // from it.
        unsafe { Tagged::new(self.group).as_ref(pin) }.expect("a membership has a group")
    }
}

impl Node for Membership {
    fn next(&self) -> &Link<Self> {
        &self.next
    }

    unsafe fn unlinked(this: *mut Managed<Self>, pin: &Pin<'_>) {
        // SAFETY: not the process's any more, and unlinked by this thread.
        unsafe { pin.retire(this) };
    }

    unsafe fn abandoned(this: *mut Managed<Self>) {
        // SAFETY: the group is past its grace period; so is whoever could have
        // found the membership in a process.
        unsafe { Managed::free(this) };
    }
}
