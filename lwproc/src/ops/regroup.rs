//! Joining, founding and leaving groups.
//!
//! To change a process's group: look at its membership, check what is to be
//! checked, count the process into the new group, put a new membership on that
//! group's list, and turn the process from the membership that was looked at to
//! the new one with one CAS. If that fails, nothing has happened, the new
//! membership and the count are given back, and it starts over from the checks.
//! No membership is ever a process's twice but the one of group 0, to which
//! nobody comes back; so the CAS succeeds only if nothing has changed since the
//! checks.
//!
//! To found a group the id must be kept, beside its process, by the group. The
//! process that has led no group so far is first marked LED, in its
//! `membership`: so a process without that mark gives its id back at its end
//! without a look at the others. Then the group counts as a bearer of the id,
//! and is published in its slot by a CAS: two threads found one group.
#![allow(unsafe_code)]

use crate::family;
use crate::host::Host;
use crate::id::{Identity, Pid};
use crate::idtable::Reserved;
use crate::object::group::{
    EXECED, GroupPtr, LED, Membership, ON_TERMINAL, Pgrp, Session, SessionPtr, session_of,
};
use crate::object::namespace::{Born, Numbers};
use crate::object::node::{ProcNode, ProcPtr};
use crate::pgrp::{GroupError, find, membership_of};
use crate::policy::Difference;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sync::{AcqRel, Acquire, Arc, Relaxed, Release};
use crate::world::World;
use crate::world::participant::{Participant, Tally};

/// What an attempt needs.
struct Change<'a, H: Host> {
    world: &'a World<H>,
    me: &'a Participant<H>,
    pin: &'a Pin<'a>,
}

/// What is founded for a new process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Founding {
    /// A group, in its parent's session.
    Group,
    /// A session, with a group in it.
    Session,
}

/// Founds a group for a new process of that id, which nobody can see yet; the membership
/// that it is to have. Lock-free but for the allocator.
///
/// The group can be found from now on, and others of its session may join it.
pub(crate) fn found_for<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    parent: &ProcNode<H>,
    born: Born<'_>,
    what: Founding,
    pin: &Pin<'_>,
) -> Result<Tagged<Membership>, GroupError> {
    let change = Change { world, me, pin };
    let Born { id, numbers } = born;
    let slot = world.ids.slot(id.number()).expect("a reserved id has a slot");
    let group = settle(|| {
        let session = match what {
            Founding::Group => {
                let (_, membership) = membership_of(parent, pin).expect("the parent lives");
                let session = membership.group(pin).session;
                if !session_of(session, pin).attach() {
                    // Its last group has died: the parent has moved.
                    return Err(Stop::Again);
                }
                session
            }
            Founding::Session if !world.ids.hold(id) => {
                return Err(GroupError::NoSuchProcess.into());
            }
            // Its one group is the one made below.
            Founding::Session => Session::new(id, numbers.cloned()),
        };
        // Relaxed: nothing is read through it: no group that lives bears a new id. The CAS
        // decides.
        let found = slot.pgrp.load(Relaxed);
        change.found(born, found, session)
    })?;
    Ok(membership_for(group, id, parent, LED))
}

/// Counts a new process of that id, which nobody can see yet, into a group of its parent's
/// session; the membership that it is to have. Lock-free but for the allocator.
pub(crate) fn join_for<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    parent: &ProcNode<H>,
    id: Identity,
    pgid: Pid,
    pin: &Pin<'_>,
) -> Result<Tagged<Membership>, GroupError> {
    match pgid.0 {
        ..0 => return Err(GroupError::BadNumber),
        // Nobody comes to group 0.
        0 => return Err(GroupError::NoSuchGroup),
        _ => {}
    }
    let change = Change { world, me, pin };
    let (_, membership) = membership_of(parent, pin).expect("the parent lives");
    let group = change.join_other(pgid, membership.group(pin).session)?;
    Ok(membership_for(group, id, parent, 0))
}

/// A membership of a new process, which has been counted into the group.
fn membership_for<H: Host>(
    group: GroupPtr,
    id: Identity,
    parent: &ProcNode<H>,
    tag: usize,
) -> Tagged<Membership> {
    let new = Membership::new(group, id);
    // SAFETY: counted in.
    let members = &unsafe { Managed::deref_counted(group) }.members;
    // SAFETY: a new membership; the list gets the only claim on it.
    unsafe { members.push(new) };
    // Relaxed: as with a fork, its parent may come to the terminal a moment later.
    let inherited = parent.membership.load(Relaxed).tag() & ON_TERMINAL;
    Tagged::new(new).with_tag(tag | inherited)
}

/// Gives the membership of a process back that was not made after all.
pub(crate) fn part_unborn<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    membership: Tagged<Membership>,
    pin: &Pin<'_>,
) {
    Change { world, me, pin }.part(membership.ptr());
}

/// Takes an ended process out of its group. Whether others may bear its id.
/// Lock-free.
// Seed: the end of `proc_free`, S183-S184.
pub(crate) fn leave<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
) -> Bearers {
    // AcqRel: Acquire [P41]: the membership's fields; pairs with Release in `swing`.
    // Release [P95]: its children have another parent; pairs with Acquire in
    // `membership_of`, where who looks for a child's session finds none.
    let old = node.membership.swap(Tagged::NULL, AcqRel);
    Change { world, me, pin }.part(old.ptr());
    if old.tag() & LED == 0 { Bearers::One } else { Bearers::Several }
}

/// Who bears the id of a process that is being reaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bearers {
    /// The process alone.
    One,
    /// Perhaps its group and its session.
    Several,
}

/// Takes a bearer off an id; the last one gives its numbers back. Lock-free.
pub(crate) fn drop_bearer<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    id: Identity,
    numbers: Option<&Arc<Numbers>>,
) {
    if world.ids.unhold(&me.shard, Reserved(id)) {
        me.tally.add(Tally { ids: -1, ..Tally::default() });
        if let Some(numbers) = numbers {
            numbers.give_back();
        }
    }
}

/// Why an attempt to change a group did not.
enum Stop {
    /// It may not be changed so.
    Refused(GroupError),
    /// Another thread changed something: to be tried again from the checks.
    Again,
}

impl From<GroupError> for Stop {
    fn from(why: GroupError) -> Self {
        Self::Refused(why)
    }
}

/// Tries until nobody comes between.
fn settle<R>(mut attempt: impl FnMut() -> Result<R, Stop>) -> Result<R, GroupError> {
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(Stop::Refused(why)) => return Err(why),
            Err(Stop::Again) => {}
        }
    }
}

/// Moves the caller, or a child of it, to a group; none has a negative number, which the
/// caller refuses. Lock-free but for the allocator.
pub(crate) fn setpgid<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    caller: ProcPtr<H>,
    pid: Pid,
    pgid: Pid,
) -> Result<(), GroupError> {
    let pin = &me.pin();
    // SAFETY: the caller runs as one of its LWPs.
    let own = unsafe { Managed::deref_counted(caller) };
    let target = if pid.0 == 0 || pid == own.pid() {
        own
    } else {
        if pid.0 < 0 && pgid.0 == 0 && world.rules.is_linux(Difference::NegativeSetpgid) {
            return Err(GroupError::BadNumber);
        }
        let moves_zombies = world.rules.is_linux(Difference::SetpgidOfZombie);
        let child = family::child(&world.ids, caller, pid, pin);
        let meant = child.filter(|child| moves_zombies || !child.node.word.load().is_dead());
        meant
            .ok_or_else(|| match world.process_of_lwp(pid, pin) {
                Some(_) => GroupError::NumberOfLwp,
                None => GroupError::NoSuchProcess,
            })?
            .node
    };
    let by = if std::ptr::eq(target, own) { Mover::Itself } else { Mover::Parent(own) };
    let pgid = if pgid.0 == 0 { target.pid() } else { pgid };
    settle(|| Change { world, me, pin }.join(&by, target, pgid))
}

/// Moves a process to a group, as its parent. Lock-free but for the allocator.
pub(crate) fn setpgid_of<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    target: &ProcNode<H>,
    pgid: Pid,
) -> Result<(), GroupError> {
    if pgid.0 < 0 {
        return Err(GroupError::BadNumber);
    }
    if target.word.load().is_dead() {
        return Err(GroupError::NoSuchProcess);
    }
    if target.id.0 == 0 {
        // proc0 has no parent, and leads session 0.
        return Err(GroupError::SessionLeader);
    }
    let pin = &me.pin();
    let pgid = if pgid.0 == 0 { target.pid() } else { pgid };
    settle(|| Change { world, me, pin }.join(&Mover::AnyParent, target, pgid))
}

/// Makes the caller the leader of a new session, and of a new group in it.
/// Lock-free but for the allocator.
pub(crate) fn setsid<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    caller: ProcPtr<H>,
) -> Result<(), GroupError> {
    let pin = &me.pin();
    // SAFETY: the caller runs as one of its LWPs.
    let own = unsafe { Managed::deref_counted(caller) };
    settle(|| Change { world, me, pin }.found_session(own))
}

/// Marks a process that may get a group of its own.
fn mark_led<H: Host>(
    node: &ProcNode<H>,
    seen: Tagged<Membership>,
) -> Result<Tagged<Membership>, Stop> {
    let led = seen.with_tag(seen.tag() | LED);
    // Relaxed: the mark is in the word that `leave` takes; and it goes on with
    // what was published there.
    if led == seen || node.membership.compare_exchange(seen, led, Relaxed, Relaxed).is_ok() {
        Ok(led)
    } else {
        Err(Stop::Again)
    }
}

/// Who moves a process to a group.
enum Mover<'a, H: Host> {
    Itself,
    /// Its parent, which runs.
    Parent(&'a ProcNode<H>),
    /// Whatever its parent is.
    AnyParent,
}

impl<H: Host> Change<'_, H> {
    /// The session of the one that moves a child.
    fn session_of_mover(
        &self,
        by: &Mover<'_, H>,
        target: &ProcNode<H>,
    ) -> Result<SessionPtr, Stop> {
        let parent = match by {
            Mover::Parent(parent) => parent,
            // None: the target has been reaped.
            _ => {
                let edge = family::edge_of(target, self.pin);
                edge.ok_or(GroupError::NoSuchProcess)?.0.parent(self.pin)
            }
        };
        // A parent that has been reaped left the target to another one before [P95].
        let (_, membership) = membership_of(parent, self.pin).ok_or(Stop::Again)?;
        Ok(membership.group(self.pin).session)
    }

    /// Tries to move `target` to the group `pgid`.
    fn join(&self, by: &Mover<'_, H>, target: &ProcNode<H>, pgid: Pid) -> Result<(), Stop> {
        let seen = membership_of(target, self.pin);
        let (seen, from) = seen.ok_or(GroupError::NoSuchProcess)?;
        let old = from.group(self.pin);
        if !matches!(by, Mover::Itself) {
            if self.session_of_mover(by, target)? != old.session {
                return Err(GroupError::OtherSession.into());
            }
            if seen.tag() & EXECED != 0 {
                return Err(GroupError::HasExeced.into());
            }
        }
        if old.session(self.pin).id() == target.id {
            return Err(GroupError::SessionLeader.into());
        }
        if old.id.pid() == pgid {
            return Ok(());
        }
        let (seen, group) = if pgid == target.pid() {
            self.join_own(target, seen, old.session)?
        } else {
            (seen, self.join_other(pgid, old.session)?)
        };
        self.swing(target, seen, group)
    }

    /// Tries to make a session with one group, for the process that calls.
    fn found_session(&self, own: &ProcNode<H>) -> Result<(), Stop> {
        let (seen, from) = membership_of(own, self.pin).expect("the caller lives");
        if from.group(self.pin).id == own.id {
            return Err(GroupError::GroupExists.into());
        }
        let slot = self.world.ids.slot(own.pid().0).expect("a process has a slot");
        // Acquire [P42]: as in `find`.
        let found = slot.pgrp.load(Acquire);
        // SAFETY: loaded with Acquire under the pin; unpublished before retired.
        if unsafe { found.as_ref(self.pin) }.is_some_and(Pgrp::is_live) {
            return Err(GroupError::GroupExists.into());
        }
        let seen = mark_led(own, seen)?;
        if !self.world.ids.hold(own.id) {
            return Err(GroupError::NoSuchProcess.into());
        }
        // Its one group is the one made here.
        let session = Session::new(own.id, own.numbers().cloned());
        let group = self.found(own.known_as(), found, session)?;
        self.swing(own, seen, group)
    }

    /// Counts a process into the group of its own id, which is made if need be.
    fn join_own(
        &self,
        node: &ProcNode<H>,
        seen: Tagged<Membership>,
        session: SessionPtr,
    ) -> Result<(Tagged<Membership>, GroupPtr), Stop> {
        let seen = mark_led(node, seen)?;
        let slot = self.world.ids.slot(node.pid().0).expect("a process has a slot");
        // Acquire [P42]: as in `find`.
        let found = slot.pgrp.load(Acquire);
        // SAFETY: loaded with Acquire under the pin; unpublished before retired.
        if let Some(group) = unsafe { found.as_ref(self.pin) }
            && group.is_live()
        {
            if group.id != node.id {
                // The process is gone, and its id borne by another.
                return Err(GroupError::NoSuchProcess.into());
            }
            if group.session != session {
                // It is making a session at this moment.
                return Err(GroupError::OtherSession.into());
            }
            if group.joined.try_inc() {
                return Ok((seen, found.ptr()));
            }
        }
        if !session_of(session, self.pin).attach() {
            return Err(Stop::Again);
        }
        Ok((seen, self.found(node.known_as(), found, session)?))
    }

    /// Counts a process into a group of the session.
    fn join_other(&self, pgid: Pid, session: SessionPtr) -> Result<GroupPtr, GroupError> {
        let (group, ptr) = find(&self.world.ids, pgid, self.pin).ok_or(GroupError::NoSuchGroup)?;
        if group.session != session {
            return Err(GroupError::OtherSession);
        }
        if group.joined.try_inc() { Ok(ptr) } else { Err(GroupError::NoSuchGroup) }
    }

    /// Makes a group with a count of one, in the place of what was found in its
    /// slot: nothing, or a dead one. The session's count for it is given back
    /// when that fails.
    fn found(
        &self,
        born: Born<'_>,
        found: Tagged<Pgrp>,
        session: SessionPtr,
    ) -> Result<GroupPtr, Stop> {
        let Born { id, numbers } = born;
        if !self.world.ids.hold(id) {
            self.detach_session(session);
            return Err(GroupError::NoSuchProcess.into());
        }
        let slot = self.world.ids.slot(id.number()).expect("a process had a slot");
        let group = Pgrp::new(id, numbers.cloned(), session);
        // Release [P42]: the group's fields; pairs with Acquire in `find`. A
        // dead group is ended by who brought it to zero, wherever it is.
        // Relaxed on failure: tried again from the checks.
        if slot.pgrp.compare_exchange(found, Tagged::new(group), Release, Relaxed).is_ok() {
            return Ok(group);
        }
        // SAFETY: published nowhere.
        unsafe { Managed::free(group) };
        drop_bearer(self.world, self.me, id, numbers);
        self.detach_session(session);
        Err(Stop::Again)
    }

    /// Turns a process from the membership that was seen to a new one in
    /// `group`, into which it has been counted; that count is given back when
    /// something has changed since.
    fn swing(
        &self,
        node: &ProcNode<H>,
        seen: Tagged<Membership>,
        group: GroupPtr,
    ) -> Result<(), Stop> {
        let new = Membership::new(group, node.id);
        // SAFETY: counted in.
        let members = &unsafe { Managed::deref_counted(group) }.members;
        // SAFETY: a new membership; the list gets the only claim on it.
        unsafe { members.push(new) };
        let now = Tagged::new(new).with_tag(seen.tag());
        // Release [P41]: the new membership's fields, and its group's; pairs with
        // Acquire in `membership_of`. Not Acquire: what was seen was loaded with
        // it. Relaxed on failure: it starts over with a load.
        if node.membership.compare_exchange(seen, now, Release, Relaxed).is_err() {
            self.part(new);
            return Err(Stop::Again);
        }
        self.part(seen.ptr());
        // Whoever waits for a child of that group may have none any more.
        if let Some((edge, _)) = family::edge_of(node, self.pin) {
            edge.parent(self.pin).waiters.wake_all();
        }
        Ok(())
    }

    /// Ends a membership that is no process's: takes it off its group's list,
    /// and a count off the group.
    fn part(&self, membership: *mut Managed<Membership>) {
        // SAFETY: in its list until it is removed below, once, here.
        let group = unsafe { Managed::deref_counted(membership) }.group;
        // SAFETY: the membership's count keeps it.
        let node = unsafe { Managed::deref_counted(group) };
        if node.is_permanent() {
            return;
        }
        let living = node.joined.load() as usize - 1;
        // SAFETY: in that list since it was made.
        unsafe { node.members.remove(membership, living, self.pin) };
        if node.joined.dec() == Dropped::Last {
            self.end(group, node);
        }
    }

    /// Ends a group whose count this thread brought to zero.
    fn end(&self, group: GroupPtr, node: &Pgrp) {
        let (id, session) = (node.id, node.session);
        let slot = self.world.ids.slot(id.number()).expect("a group has a slot");
        // Relaxed: nothing is published; and if the slot has a new group
        // already, who reads that cannot read this one any more.
        let _ = slot.pgrp.compare_exchange(Tagged::new(group), Tagged::NULL, Relaxed, Relaxed);
        // SAFETY: no process has it and no slot, and zero is reached once.
        unsafe { self.pin.retire(group) };
        self.detach_session(session);
        drop_bearer(self.world, self.me, id, node.numbers.as_ref());
    }

    /// Takes a group off its session, and ends that with the last.
    fn detach_session(&self, session: SessionPtr) {
        let node = session_of(session, self.pin);
        if !node.is_permanent() && node.groups.dec() == Dropped::Last {
            let id = node.id;
            // SAFETY: no group has it any more, and zero is reached once.
            unsafe { self.pin.retire(session) };
            drop_bearer(self.world, self.me, id, node.numbers.as_ref());
        }
    }
}
