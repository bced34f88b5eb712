//! Parents and children.
//!
//! A process's own `edge` is the one authority on who its parent is; a
//! parent's `children` list holds edges as hints. An edge in the list counts
//! only while the child's `edge` is that very edge.
//!
//! * **birth**: the child's `edge` is set before the child is published, then
//!   the edge is pushed on the parent's list.
//! * **the parent ends** (`orphans.rs`): for each child a new edge is pushed on the foster parent's list,
//!   then one CAS turns the child's `edge` from the old to the new. At every
//!   moment the child is seen under exactly one parent. If the child left
//!   first, the new edge is dropped.
//! * **the child dies**: its edge is pushed on its parent's list of zombies, too, and then
//!   its stage says so. A parent that reaps by itself has no such list.
//! * **the child leaves**: it swaps its `edge` for null, and removes the edge
//!   it got from the lists that it is in: from `zombies` first, and when it is unlinked
//!   there, from `children`, which keeps the edge.
//!
//! The tag of `edge` is the stage of the child's end, so parent and stage
//! change together and an orphaned zombie is never missed:
//!
//! | tag | stage | from, by |
//! |---|---|---|
//! | 0 | alive | |
//! | 1 | zombie | 0, the last LWP; or 3 given back |
//! | 2 | going: who ended or adopted it reaps it | 0, the last LWP; 1, whoever adopts it |
//! | 3 | being reaped | 1, whoever won the CAS |
//!
//! An edge names its child by identity, resolved through the id table: the
//! list may hold an edge of a child that was adopted, reaped and freed, while
//! the table only ever yields what is published. It names its parent by
//! pointer: a child leaves a dying parent before the parent is retired, so
//! whoever loads the edge under a pin can still look at that parent.
#![allow(unsafe_code)]

use crate::host::Host;
use crate::id::Pid;
use crate::object::kin::Kin;
use crate::object::node::{Edge, LwpPtr, ProcNode, ProcPtr};
use crate::object::table::{self, Table};
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sync::{AcqRel, Acquire, Relaxed, Release};

/// Tag of a zombie's edge.
pub(crate) const ZOMBIE: usize = 1;
/// Tag while somebody reaps it.
pub(crate) const REAPING: usize = 3;
/// It has ended, and who ended or adopted it reaps it: no wait finds it.
pub(crate) const GOING: usize = 2;

/// Publishes a new process, with its first LWP, as a child of `parent`. Lock-free but for
/// the allocator.
///
/// # Safety
/// The parent lives, or the caller has counted a reference to it, and sees to the child if
/// it does not. The caller made both others, and nobody can see them yet; their id is reserved.
#[inline]
pub(crate) unsafe fn beget<H: Host>(
    ids: &Table<H>,
    parent: ProcPtr<H>,
    child: ProcPtr<H>,
    first: LwpPtr<H>,
    kin: Kin,
) {
    // SAFETY: the caller's.
    let node = unsafe { Managed::deref_counted(child) };
    let edge = Edge::new(parent, node.id, kin);
    // Relaxed: published with the child [P3].
    node.edge.store(Tagged::new(edge), Relaxed);
    // SAFETY: by contract.
    let parent = unsafe { Managed::deref_counted(parent) };
    // Relaxed: who finds the child [P3] finds it counted.
    parent.nchildren.fetch_add(1, Relaxed);
    table::publish(ids, node.id, child, first);
    // SAFETY: a live edge in no list; the list gets the only claim on it.
    unsafe { parent.children.push(edge) };
}

/// A child found under its parent.
pub(crate) struct Child<'g, H: Host> {
    pub(crate) node: &'g ProcNode<H>,
    pub(crate) ptr: ProcPtr<H>,
    /// The child's edge as it was seen.
    pub(crate) edge: Tagged<Edge<H>>,
}

impl<H: Host> Child<'_, H> {
    pub(crate) fn is_zombie(&self) -> bool {
        self.edge.tag() == ZOMBIE
    }

    /// What the edge says of the child, which is its parent's only while it is in a list of
    /// that.
    pub(crate) fn kin(&self, pin: &Pin<'_>) -> Kin {
        // SAFETY: loaded with Acquire under the pin.
        unsafe { self.edge.as_ref(pin) }.map_or(Kin::ORPHAN, Edge::kin)
    }

    /// Its parent has become another program.
    pub(crate) fn parent_execs(&self, pin: &Pin<'_>) {
        // SAFETY: loaded with Acquire under the pin.
        if let Some(edge) = unsafe { self.edge.as_ref(pin) } {
            edge.exit_signal.parent_execs();
        }
    }

    /// A zombie, or one that somebody is reaping.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.edge.tag(), ZOMBIE | REAPING)
    }

    /// Takes the right to reap a zombie. Lock-free.
    pub(crate) fn claim(&self) -> Option<()> {
        // Relaxed: the zombie was seen with Acquire [P13], and nobody adds to
        // it: a claim given back in between has changed nothing. Who sees the claim
        // acquires the end from `die` all the same: a CAS stands in its release sequence.
        self.node
            .edge
            .compare_exchange(self.edge, self.edge.with_tag(REAPING), Relaxed, Relaxed)
            .ok()
            .map(drop)
    }
}

/// Takes the right to reap a zombie whose parent reaps by itself. Lock-free.
pub(crate) fn claim_own<H: Host>(node: &ProcNode<H>) -> Option<()> {
    // Relaxed: the CAS decides.
    let edge = node.edge.load(Relaxed);
    // Relaxed: the exit status is not asked for, and `leave` acquires the edge
    // and the end before it [P9], [P13].
    let reaping = edge.with_tag(REAPING);
    node.edge.compare_exchange(edge.with_tag(ZOMBIE), reaping, Relaxed, Relaxed).ok().map(drop)
}

/// The children of `parent`, zombies included, newest first. Weakly consistent.
pub(crate) fn children<'g, H: Host>(
    ids: &'g Table<H>,
    parent: &'g ProcNode<H>,
    pin: &'g Pin<'_>,
) -> impl Iterator<Item = Child<'g, H>> {
    parent.children.iter(pin).filter_map(move |hint| child_of_hint(ids, hint, pin))
}

/// The child that an edge in a list of its parent's hints at.
fn child_of_hint<'g, H: Host>(
    ids: &'g Table<H>,
    (hint, hint_ptr): (&Edge<H>, *mut Managed<Edge<H>>),
    pin: &'g Pin<'_>,
) -> Option<Child<'g, H>> {
    let (node, ptr) = table::resolve(ids, hint.child, pin)?;
    // Acquire [P9], [P13]: the edge that counts, and what came before its
    // stage; pairs with Release in `orphans::turn`, `die`, `unclaim`.
    let edge = node.edge.load(Acquire);
    (edge.ptr() == hint_ptr).then_some(Child { node, ptr, edge })
}

/// The children of `parent` that have ended, the last one first, those that somebody is
/// reaping included. O(zombies), however many live. Weakly consistent.
pub(crate) fn ended_children<'g, H: Host>(
    ids: &'g Table<H>,
    parent: &'g ProcNode<H>,
    pin: &'g Pin<'_>,
) -> impl Iterator<Item = Child<'g, H>> {
    let in_list = parent.zombies.iter(pin).filter_map(move |hint| child_of_hint(ids, hint, pin));
    // One is in the list a moment before it is a zombie.
    in_list.filter(Child::has_ended)
}

/// Whether a process has children, zombies included. Wait-free. It may say so for a
/// moment, for init, when an orphan ends that is just being adopted: init's sleepers are
/// woken then.
pub(crate) fn has_children<H: Host>(parent: &ProcNode<H>) -> bool {
    // Relaxed: who made a child, or knows of one, counted it before; who takes one off
    // wakes the parent's sleepers afterwards [P12].
    parent.nchildren.load(Relaxed) > 0
}

/// The child of `parent` with that pid, zombies included. Wait-free.
pub(crate) fn child<'g, H: Host>(
    ids: &'g Table<H>,
    parent: ProcPtr<H>,
    pid: Pid,
    pin: &'g Pin<'_>,
) -> Option<Child<'g, H>> {
    let (node, ptr) = table::find(ids, pid, pin)?;
    as_child(node, ptr, parent, pin)
}

/// A process as a child of `parent`, if it is one. Wait-free.
pub(crate) fn as_child<'g, H: Host>(
    node: &'g ProcNode<H>,
    ptr: ProcPtr<H>,
    parent: ProcPtr<H>,
    pin: &'g Pin<'_>,
) -> Option<Child<'g, H>> {
    // Acquire [P9], [P13]: as in `children`.
    let edge = node.edge.load(Acquire);
    // SAFETY: loaded with Acquire under the pin; swung away before retired.
    let its_parent = unsafe { edge.as_ref(pin) }?.parent;
    std::ptr::eq(its_parent, parent).then_some(Child { node, ptr, edge })
}

/// The edge to the parent; `None` for proc0 and for a process that has been
/// reaped.
pub(crate) fn edge_of<'g, H: Host>(
    node: &ProcNode<H>,
    pin: &'g Pin<'_>,
) -> Option<(&'g Edge<H>, usize)> {
    // Acquire [P9]: the edge's fields; pairs with Release in `orphans::turn`.
    let edge = node.edge.load(Acquire);
    // SAFETY: loaded with Acquire under the pin; swung away before retired.
    Some((unsafe { edge.as_ref(pin) }?, edge.tag()))
}

/// What a process leaves that has ended.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    Zombie,
    /// Whoever ended it reaps it.
    Nothing,
}

/// Turns a process without LWPs into a zombie, unless its parent wants none; the edge to its
/// parent at that moment, which is told. A parent that hands the zombie on later sees what it is, and so does
/// whoever inherits it. Lock-free: once more only if it was adopted meanwhile.
pub(crate) fn die<'g, H: Host>(
    node: &ProcNode<H>,
    leaves_none: impl Fn(&Edge<H>, &ProcNode<H>) -> bool,
    pin: &'g Pin<'_>,
) -> (&'g Edge<H>, Left) {
    // Acquire [P9]: the edge's fields; pairs with Release in `orphans::turn`.
    let mut edge = node.edge.load(Acquire);
    loop {
        debug_assert_eq!(edge.tag(), 0, "a process dies once");
        // SAFETY: loaded with Acquire under the pin.
        let its = unsafe { edge.as_ref(pin) }.expect("a dying process has a parent");
        let parent = its.parent(pin);
        // First: a zombie is in the list, for who takes it off.
        if !parent.reaps_by_itself() {
            // Relaxed: a hint.
            parent.nzombies.fetch_add(1, Relaxed);
            // SAFETY: this edge is in no such list yet; `children` keeps it, and the pin
            // the parent, if that has ended.
            unsafe { parent.zombies.push(edge.ptr()) };
        }
        // Release [P13]: the status, and all the process's end, come before the stage;
        // pairs with Acquire in `children`, `zombies`, `leave`. Acquire [P9] on failure:
        // as above. (The edge before stays in the lists of a parent that has ended.)
        let (stage, left) =
            if leaves_none(its, parent) { (GOING, Left::Nothing) } else { (ZOMBIE, Left::Zombie) };
        match node.edge.compare_exchange(edge, edge.with_tag(stage), Release, Acquire) {
            Ok(_) => return (its, left),
            Err(adopted) => edge = adopted,
        }
    }
}

/// Gives the right to reap back: a zombie again. Wait-free.
pub(crate) fn unclaim<H: Host>(child: &ProcNode<H>) {
    // Relaxed: the holder of the claim is the only one that changes the edge
    // (its parent lives: an LWP of it holds the claim).
    let edge = child.edge.load(Relaxed);
    debug_assert_eq!(edge.tag(), REAPING);
    // Release [P13]: as in `die`.
    child.edge.store(edge.with_tag(ZOMBIE), Release);
}

/// Takes a process out of its family; the parent it had. Lock-free.
pub(crate) fn leave<'g, H: Host>(node: &ProcNode<H>, pin: &'g Pin<'_>) -> &'g ProcNode<H> {
    // Acquire [P9]: the edge's fields; pairs with Release in `orphans::turn`.
    // Acquire [P13]: the end of the process, before its id is given back;
    // pairs with Release in `die`. Release [P70]: the end of the process; pairs with
    // Acquire in `edge_of`, for whoever waits for that end by a handle. (That parent
    // cannot be freed under the list below: its end read this swap, so its retirement
    // cannot happen before the pin that the swap comes after.)
    let edge = node.edge.swap(Tagged::NULL, AcqRel);
    // SAFETY: loaded with Acquire under the pin.
    let parent = unsafe { edge.as_ref(pin) }.expect("a process leaves once").parent(pin);
    // Relaxed: the parent's sleepers are woken afterwards [P12].
    parent.nchildren.fetch_sub(1, Relaxed);
    if edge.tag() == 0 || parent.reaps_by_itself() {
        // SAFETY: the edge is in `children` alone, and its holder removes it once.
        unsafe { parent.forget_child(edge.ptr(), pin) };
    } else {
        // SAFETY: the edge is in that list, see `die`, and its holder removes it once.
        unsafe { parent.forget_zombie(edge.ptr(), pin) };
    }
    parent
}

impl<H: Host> ProcNode<H> {
    /// proc0 and init never end, and are among no many.
    #[inline]
    pub(crate) fn is_permanent(&self) -> bool {
        self.pid() <= Pid::INIT
    }

    /// proc0 reaps its children by itself, and so does init unless it waits.
    #[inline]
    pub(crate) fn reaps_by_itself(&self) -> bool {
        self.is_permanent() && !self.word.load().waits()
    }

    /// Takes an edge of this process off its zombies, and then off its children.
    ///
    /// # Safety
    /// As [`ProcNode::forget_child`], but it is in both.
    pub(crate) unsafe fn forget_zombie(&self, edge: *mut Managed<Edge<H>>, pin: &Pin<'_>) {
        // Relaxed: a hint.
        let living = self.nzombies.fetch_sub(1, Relaxed) - 1;
        // SAFETY: by contract.
        unsafe { self.zombies.remove(edge, living.try_into().unwrap_or(0), pin) };
    }
}

/// An LWP of a process, as the parent of children (`__WNOTHREAD`). Those whose maker has gone
/// are the oldest one's.
#[derive(Clone, Copy)]
pub(crate) struct Maker {
    serial: u32,
    is_oldest: bool,
}

impl Maker {
    /// The LWP of that serial, which lives; `None`: what nobody is counts as the oldest.
    /// O(LWPs).
    pub(crate) fn of<H: Host>(proc: &ProcNode<H>, serial: Option<u32>, pin: &Pin<'_>) -> Self {
        // The list has the newest first.
        let oldest = living(proc, pin).last();
        let serial = serial.or(oldest).unwrap_or(0);
        Self { serial, is_oldest: oldest.is_none_or(|oldest| oldest == serial) }
    }

    /// Whether a child is this LWP's. O(LWPs) for the oldest.
    pub(crate) fn has<H: Host>(self, child: Kin, proc: &ProcNode<H>, pin: &Pin<'_>) -> bool {
        child.maker == self.serial
            || (self.is_oldest && !living(proc, pin).any(|serial| serial == child.maker))
    }
}

fn living<'g, H: Host>(
    proc: &'g ProcNode<H>,
    pin: &'g Pin<'_>,
) -> impl Iterator<Item = u32> + use<'g, H> {
    let living = proc.lwps.iter(pin).filter(|(lwp, _)| !lwp.word.load().has_exited());
    living.map(|(lwp, _)| lwp.serial())
}
