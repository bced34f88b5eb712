//! Processes.
//!
//! ```text
//!   newproc        last LWP goes            parent waits
//!  ─────────▶ ACTIVE ─────────▶ (dying) ─┬─▶ ZOMBIE ─▶ REAPING ─▶ gone
//!                                        └─▶ gone          (WaitPolicy::AutoReap, or init's child)
//! ```
//!
//! Who may touch which field:
//! * `word`: anybody, by its transitions. Zero LWPs is death, once.
//! * `lwps`, `children`: anybody, by the list's rules; nodes are pushed only
//!   by threads that keep the process alive: running as one of its LWPs, or
//!   having attached one; and on the children of proc0 and init, which never
//!   end, by anybody.
//! * `edge`: the family rules in [`family`].
//! * `membership`: the rules of [`crate::pgrp`].
//! * `resources.embedded`: LWPs of the process; then the thread that ended it.
#![allow(unsafe_code)]

pub(crate) mod comm;
pub(crate) mod family;
pub(crate) mod resources;
pub(crate) mod status;
pub mod word;

use crate::host::Host;
use crate::id::{Alias, Identity, Pid};
use crate::list::List;
use crate::lwp::LwpNode;
use crate::pgrp::Membership;
use crate::reclaim::{Link, Managed, RefCount, Tagged};
use crate::sync::{AtomicIsize, AtomicU64};
use crate::waitq::WaitQueue;
use crate::world::World;
use family::Edge;
use resources::Resources;
use word::AtomicProcWord;

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
    pub(crate) word: AtomicProcWord,
    pub(crate) lwps: List<LwpNode<H>>,
    /// Hints: a child is this process's child if its own `edge` says so.
    pub(crate) children: List<Edge<H>>,
    /// How many edges point here; a hint for the list's sweeps.
    pub(crate) nchildren: AtomicIsize,
    /// The parent, and in the tag the stage of this process's end.
    pub(crate) edge: Link<Edge<H>>,
    /// The process group, and in the tag what [`crate::pgrp`] says.
    pub(crate) membership: Link<Membership>,
    /// Signals posted to the process, as `SigSet` bits.
    pub(crate) pending: AtomicU64,
    /// LWPs of this process that wait for a child, or to be alone.
    pub(crate) waiters: WaitQueue,
    /// What [`Aliases::set`](crate::Aliases::set)
    /// made of its pid.
    pub(crate) alias: Alias,
    pub(crate) resources: Resources<H>,
    /// The kernel it is of. Kept by each LWP's anchor, not by the process.
    pub(crate) world: *const World<H>,
}

// SAFETY: all fields are atomics or immutable, except `resources.embedded`,
// which only the thread that ended the process touches mutably, after every
// other LWP's detach happened before (P5).
unsafe impl<H: Host> Send for ProcNode<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for ProcNode<H> {}

impl<H: Host> ProcNode<H> {
    /// A process with one LWP still to be linked, and no parent.
    pub(crate) fn new(world: *const World<H>, id: Identity, resources: Resources<H>) -> Self {
        Self {
            refs: RefCount::new(),
            id,
            word: AtomicProcWord::new(),
            lwps: List::new(),
            children: List::new(),
            nchildren: AtomicIsize::new(0),
            edge: Link::new(Tagged::NULL),
            membership: Link::new(Tagged::NULL),
            pending: AtomicU64::new(0),
            waiters: WaitQueue::new(),
            alias: Alias::none(),
            resources,
            world,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.id.pid()
    }

    /// proc0 and init reap their children by themselves.
    pub(crate) fn reaps_by_itself(&self) -> bool {
        self.pid() <= Pid::INIT
    }
}
