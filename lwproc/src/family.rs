//! Parents and children.
//!
//! A process's own `edge` is the one authority on who its parent is; a
//! parent's `children` list holds edges as hints. An edge in the list counts
//! only while the child's `edge` is that very edge.
//!
//! * **birth**: the child's `edge` is set before the child is published, then
//!   the edge is pushed on the parent's list.
//! * **the parent ends**: for each child a new edge is pushed on init's list,
//!   then one CAS turns the child's `edge` from the old to the new. At every
//!   moment the child is seen under exactly one parent. If the child left
//!   first, the new edge is dropped.
//! * **the child dies**: its edge is pushed on its parent's list of zombies, too, and then
//!   its stage says so. init and proc0, which reap by themselves, have no such list.
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
//! | 2 | ended, and leaves no zombie | 0, the last LWP |
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
use crate::object::node::{Edge, LwpPtr, ProcNode, ProcPtr};
use crate::object::table::{self, Table};
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sync::{AcqRel, Acquire, Relaxed, Release};

/// Tag of a zombie's edge.
pub(crate) const ZOMBIE: usize = 1;
/// Tag while somebody reaps it.
pub(crate) const REAPING: usize = 3;
/// It has ended, and who ended it reaps it: no wait finds it.
pub(crate) const GOING: usize = 2;

/// Publishes a new process, with its first LWP, as a child of `parent`. Lock-free but for
/// the allocator.
///
/// # Safety
/// The parent lives. The caller made both, and nobody can see them yet; their id is
/// reserved.
#[inline]
pub(crate) unsafe fn beget<H: Host>(
    ids: &Table<H>,
    parent: ProcPtr<H>,
    child: ProcPtr<H>,
    first: LwpPtr<H>,
) {
    // SAFETY: the caller's.
    let node = unsafe { Managed::deref_counted(child) };
    let edge = Edge::new(parent, node.id);
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
    // stage; pairs with Release in `orphan_children`, `die`, `unclaim`.
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
    // Acquire [P9]: the edge's fields; pairs with Release in `orphan_children`.
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
    leaves_none: impl Fn(&ProcNode<H>) -> bool,
    pin: &'g Pin<'_>,
) -> (&'g Edge<H>, Left) {
    // Acquire [P9]: the edge's fields; pairs with Release in `orphan_children`.
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
            if leaves_none(parent) { (GOING, Left::Nothing) } else { (ZOMBIE, Left::Zombie) };
        match node.edge.compare_exchange(edge, edge.with_tag(stage), Release, Acquire) {
            Ok(_) => return (its, left),
            Err(adopted) => edge = adopted,
        }
    }
}

/// Gives the right to reap back: a zombie again. Wait-free.
pub(crate) fn unclaim<H: Host>(child: &ProcNode<H>) {
    // Relaxed: the holder of the claim is the only one that changes the edge
    // (its parent is alive: it is waiting).
    let edge = child.edge.load(Relaxed);
    debug_assert_eq!(edge.tag(), REAPING);
    // Release [P13]: as in `die`.
    child.edge.store(edge.with_tag(ZOMBIE), Release);
}

/// Takes a process out of its family; the parent it had. Lock-free.
pub(crate) fn leave<'g, H: Host>(node: &ProcNode<H>, pin: &'g Pin<'_>) -> &'g ProcNode<H> {
    // Acquire [P9]: the edge's fields; pairs with Release in `orphan_children`.
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
        // Relaxed: a hint.
        let living = parent.nzombies.fetch_sub(1, Relaxed) - 1;
        // SAFETY: the edge is in that list, see `die`, and its holder removes it once.
        unsafe { parent.zombies.remove(edge.ptr(), living.try_into().unwrap_or(0), pin) };
    }
    parent
}

/// Hands every child of an ended process to init. `reap` is called for each
/// that turns out to be a zombie, with the right to reap it. Lock-free; O(own
/// children).
pub(crate) fn orphan_children<'g, H: Host>(
    ids: &'g Table<H>,
    ended: &'g ProcNode<H>,
    init: ProcPtr<H>,
    pin: &'g Pin<'_>,
    mut reap: impl FnMut(ProcPtr<H>),
) {
    // SAFETY: init outlives all processes but proc0.
    let foster = unsafe { Managed::deref_counted(init) };
    debug_assert!(foster.reaps_by_itself(), "or a zombie's new edge belongs in `zombies`");
    for child in children(ids, ended, pin) {
        let new = Edge::new(init, child.node.id);
        // Relaxed: see `has_children`.
        foster.nchildren.fetch_add(1, Relaxed);
        // SAFETY: a new edge in no list; the list gets the only claim on it.
        unsafe { foster.children.push(new) };
        let mut old = child.edge;
        loop {
            let adopted = Tagged::new(new).with_tag(old.tag());
            // Release [P9]: publishes the new edge; pairs with Acquire in
            // `edge_of`, `leave`, `die`, `children`. Not Acquire: of the
            // stage seen nothing is read but itself; who reaps acquires what
            // came before it in `leave` [P13].
            match child.node.edge.compare_exchange(old, adopted, Release, Relaxed) {
                Ok(_) => {
                    let seen = Child { edge: adopted, ..child };
                    if seen.is_zombie() && seen.claim().is_some() {
                        reap(seen.ptr);
                    }
                    break;
                }
                // It died meanwhile: same edge, another stage.
                Err(now) if now.ptr() == old.ptr() => old = now,
                // It left: the new edge is not needed.
                Err(_) => {
                    // Relaxed: the fence of `wake_all` comes after it [P12].
                    foster.nchildren.fetch_sub(1, Relaxed);
                    // SAFETY: pushed above, and never the child's edge.
                    unsafe { foster.forget_child(new, pin) };
                    foster.waiters.wake_all();
                    break;
                }
            }
        }
    }
}
