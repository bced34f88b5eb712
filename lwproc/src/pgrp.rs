//! Process groups and sessions.
//!
//! A process's `membership` is the one authority on which group it is in; a
//! group's `members` list holds memberships as hints. A membership in the list
//! counts only while the process's `membership` is that very one (as with
//! parents, in [`crate::family`]). What sets them is in [`crate::ops::regroup`].
//!
//! * **A group** lives while its count is not zero: one for each member, and one
//!   for each process that is about to join. Zero is death, once: a join is
//!   refused by it, and whoever brings it there ends the group.
//! * **A session** lives while it has groups. It has no list, and is found
//!   through its groups only.
//! * **The id** of either is the pid of the process that made it. Group and
//!   session each bear it, as the process does; the last of the three releases
//!   it (`IdTable::unhold`).
//! * **Group 0 and session 0**, proc0's, are permanent: never counted, and the
//!   group has no list. All processes in it have one membership in common, so
//!   that a fork, or an exit, of a process that stays there writes nothing that
//!   threads share. Nobody comes back to it: 0 cannot be named.
//!
//! The tag of `membership` says more of the process; it changes in the same
//! step as the group, or refuses it:
//!
//! | bit | meaning | set by |
//! |---|---|---|
//! | 0 | EXECED: it has run another program, and its parent moves it no more | `mark_execed` |
//! | 1 | LED: a group of its id may have been made, so others may bear the id | who is about to make one |
//! | 2 | ON_TERMINAL: its session's terminal is its own, too (`ops/terminals.rs`) | birth, as its parent's; `acquire` |
//!
//! Null: the process has been reaped.
//!
//! A joiner first raises the group's count, then moves; so a group may be there for a moment
//! with nobody in it, and `setsid` may be refused for it.
#![allow(unsafe_code)]

use crate::errno::errors;
use crate::family;
use crate::host::Host;
use crate::id::{Identity, Pid};
use crate::idtable::Slot;
use crate::object::group::{EXECED, GroupPtr, Membership, ON_TERMINAL, Pgrp, Session};
use crate::object::node::{ProcNode, ProcPtr};
use crate::object::table::{self, Table};
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sync::{Acquire, Relaxed, Release};

errors! {
    /// Why a process did not change its group or session.
    GroupError {
        /// The group's number is negative.
        BadNumber => EINVAL, "a process group has no negative number";
        /// It is neither the caller nor a living child of it.
        NoSuchProcess => ESRCH, "no such process";
        /// The number is that of a further LWP.
        NumberOfLwp => EINVAL, "that is the number of an lwp, and of no process";
        /// The child has run another program.
        HasExeced => EACCES, "the child has run another program";
        /// It leads a session.
        SessionLeader => EPERM, "the process leads a session";
        /// The child, or the group, is in another session.
        OtherSession => EPERM, "in another session";
        /// No group has that number.
        NoSuchGroup => EPERM, "no such process group";
        /// There is a group of the caller's pid: its own, or one it has left.
        GroupExists => EPERM, "there is a process group of that number";
    }
}

/// Where a process is, as seen; `None` once it has been reaped. Wait-free.
pub(crate) fn membership_of<'g, H: Host>(
    node: &ProcNode<H>,
    pin: &'g Pin<'_>,
) -> Option<(Tagged<Membership>, &'g Membership)> {
    // Acquire [P41]: the membership's and the group's fields; pairs with Release
    // in `regroup::swing`.
    let seen = node.membership.load(Acquire);
    // SAFETY: loaded with Acquire under the pin; swung away before retired.
    Some((seen, unsafe { seen.as_ref(pin) }?))
}

/// The group of a process; `None` once it has been reaped. Wait-free.
pub(crate) fn group_of<'g, H: Host>(node: &ProcNode<H>, pin: &'g Pin<'_>) -> Option<&'g Pgrp> {
    membership_of(node, pin).map(|(_, membership)| membership.group(pin))
}

/// The living group with that number. Wait-free.
pub(crate) fn find<'g, H: Host>(
    ids: &'g Table<H>,
    pgid: Pid,
    pin: &'g Pin<'_>,
) -> Option<(&'g Pgrp, GroupPtr)> {
    // Acquire [P42]: the group's fields; pairs with Release in `regroup::found`.
    let found = ids.slot(pgid.0)?.pgrp.load(Acquire);
    // SAFETY: loaded with Acquire under the pin; unpublished before retired.
    let group = unsafe { found.as_ref(pin) }?;
    (group.id().pid() == pgid && group.is_live()).then_some((group, found.ptr()))
}

/// The living group of that id. Wait-free.
pub(crate) fn resolve<'g, H: Host>(
    ids: &'g Table<H>,
    id: Identity,
    pin: &'g Pin<'_>,
) -> Option<(&'g Pgrp, GroupPtr)> {
    find(ids, id.pid(), pin).filter(|(group, _)| group.id == id)
}

/// Every living group, in slot order. Weakly consistent.
pub(crate) fn all<'g, H: Host>(
    ids: &'g Table<H>,
    pin: &'g Pin<'_>,
) -> impl Iterator<Item = GroupPtr> + 'g {
    ids.slots().filter_map(move |slot| {
        // Acquire [P42]: as in `find`.
        let found = slot.pgrp.load(Acquire);
        // SAFETY: loaded with Acquire under the pin; unpublished before retired.
        unsafe { found.as_ref(pin) }?.is_live().then_some(found.ptr())
    })
}

/// The members of a group, zombies included. Weakly consistent: a process that
/// is in the group throughout is seen exactly once, none twice.
pub(crate) fn members<'g, H: Host>(
    ids: &'g Table<H>,
    group: &'g Pgrp,
    pin: &'g Pin<'_>,
) -> impl Iterator<Item = (&'g ProcNode<H>, ProcPtr<H>)> {
    let listed = group.members.iter(pin).filter_map(move |(hint, hint_ptr)| {
        let (node, ptr) = table::resolve(ids, hint.member, pin)?;
        // Relaxed: a comparison. The hint is under the pin, so its address has
        // not been reused.
        (node.membership.load(Relaxed).ptr() == hint_ptr).then_some((node, ptr))
    });
    let procs = group.is_permanent().then(|| ids.procs()).into_iter().flatten();
    let scanned = procs.filter_map(move |proc| {
        // Acquire [P3]: as in `table::find`.
        let found = proc.load(Acquire);
        // SAFETY: loaded with Acquire under the pin; unpublished before retired.
        let node = unsafe { found.as_ref(pin) }?;
        let its = group_of(node, pin)?;
        std::ptr::eq(its, group).then_some((node, found.ptr()))
    });
    listed.chain(scanned)
}

/// The parent that counts for a process's group: where that has ended, who takes the child in.
fn living_parent<'g, H: Host>(node: &ProcNode<H>, pin: &'g Pin<'_>) -> Option<&'g ProcNode<H>> {
    let parent = family::edge_of(node, pin)?.0.parent(pin);
    let takes_in = |parent: &&ProcNode<H>| {
        let word = parent.word.load();
        parent.is_permanent() || (word.is_subreaper() && !word.is_dead())
    };
    let up = |at: &&'g ProcNode<H>| family::edge_of(at, pin).map(|(edge, _)| edge.parent(pin));
    match parent.word.load().is_dead() {
        false => Some(parent),
        true => std::iter::successors(Some(parent), up).find(takes_in),
    }
}

/// Whether no living member has a parent in another group of the same session.
pub(crate) fn is_orphaned<H: Host>(
    ids: &Table<H>,
    group: &Pgrp,
    gone: Option<&ProcNode<H>>,
    pin: &Pin<'_>,
) -> bool {
    let is_gone = |node: &ProcNode<H>| gone.is_some_and(|gone| std::ptr::eq(node, gone));
    let ties = |node: &ProcNode<H>| Some(is_tie(living_parent(node, pin)?, group, pin));
    !members(ids, group, pin)
        .any(|(node, _)| !node.word.load().is_dead() && !is_gone(node) && ties(node) == Some(true))
}

/// Whether that parent keeps a group from being orphaned.
pub(crate) fn is_tie<H: Host>(parent: &ProcNode<H>, group: &Pgrp, pin: &Pin<'_>) -> bool {
    group_of(parent, pin)
        .is_some_and(|its| !std::ptr::eq(its, group) && its.session == group.session)
}

impl<H: Host> ProcNode<H> {
    /// Says that the process has run another program: from then on its parent
    /// cannot change its group. Not inherited. Wait-free.
    pub(crate) fn mark_execed(&self) {
        // Release [P151]: what it did before, for who waits for this; pairs with Acquire in
        // `has_execed`.
        self.membership.fetch_or_tag(EXECED, Release);
    }

    /// Whether it has; no longer once it has been reaped. Wait-free.
    pub(crate) fn has_execed(&self) -> bool {
        // Acquire [P151]: what it did before; pairs with Release in `mark_execed`.
        self.membership.load(Acquire).tag() & EXECED != 0
    }
}

/// Puts group 0 in its slot; the one membership of it.
pub(crate) fn permanent<L>(slot: &Slot<L, Pgrp>) -> Tagged<Membership> {
    let id = Identity(0);
    let session = Session::new(id, None);
    let group = Pgrp::new(id, None, session);
    // Relaxed: the kernel is not shared yet.
    slot.pgrp.store(Tagged::new(group), Relaxed);
    Tagged::new(Membership::new(group, id))
}

/// Gives a new process, which nobody can see yet, its parent's group.
/// Lock-free but for the allocator.
///
/// It is listed before it is published, so whoever finds it finds it there.
// Seed: `newproc` S233, S296-S297, in one step (R13).
pub(crate) fn inherit<H: Host>(parent: &ProcNode<H>, child: &ProcNode<H>, pin: &Pin<'_>) {
    loop {
        let (seen, membership) = membership_of(parent, pin).expect("the parent lives");
        let group = membership.group(pin);
        if group.is_permanent() {
            // Relaxed: published with the child [P3].
            return child.membership.store(Tagged::new(seen.ptr()), Relaxed);
        }
        // If it has died, the parent has moved [P10].
        if group.joined.try_inc() {
            let new = Membership::new(membership.group, child.id);
            let inherited = Tagged::new(new).with_tag(seen.tag() & ON_TERMINAL);
            // Relaxed: published with the child [P3].
            child.membership.store(inherited, Relaxed);
            // SAFETY: a new membership; the group is counted.
            return unsafe { group.members.push(new) };
        }
    }
}

/// Frees what is left at the end of the world: group 0, and the groups of
/// processes that never end, or were leaked.
///
/// # Safety
/// Nobody else is left, and no process is looked at by its group any more.
pub(crate) unsafe fn free_all<H: Host>(ids: &Table<H>, proc0: ProcPtr<H>) {
    // Relaxed: nobody else is left; below too.
    let left = ids.slots().map(|slot| slot.pgrp.load(Relaxed).ptr());
    for group in left.skip(1).filter(|group| !group.is_null()) {
        // SAFETY: in its slot, so not retired.
        let session = unsafe { Managed::deref_counted(group) }.session;
        // SAFETY: counted by the group, or permanent.
        let node = unsafe { Managed::deref_counted(session) };
        if !node.is_permanent() && node.groups.dec() == Dropped::Last {
            // SAFETY: its last group goes here.
            unsafe { Managed::free(session) };
        }
        // SAFETY: nobody is left; its list frees the memberships of its members.
        unsafe { Managed::free(group) };
    }
    // SAFETY: proc0 is never freed before this.
    let permanent = unsafe { Managed::deref_counted(proc0) }.membership.load(Relaxed).ptr();
    // SAFETY: proc0 cannot leave it, and nobody frees it but this.
    let group = unsafe { Managed::deref_counted(permanent) }.group;
    // SAFETY: the same for its group.
    let session = unsafe { Managed::deref_counted(group) }.session;
    // SAFETY: in no list; nobody is left to look.
    unsafe { Managed::free(permanent) };
    // SAFETY: as above.
    unsafe { Managed::free(group) };
    // SAFETY: as above; all other groups are gone.
    unsafe { Managed::free(session) };
}
