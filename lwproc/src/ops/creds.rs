//! Changing the credentials of a process, and those of its LWPs: snapshots of the process's,
//! or by Linux's rules each LWP's own.
//!
//! Where they are its own, the LWP that bears the process's number *lends* the process its
//! credentials: only its owner changes them. They stay when it has ended, until another one
//! bears the number, or execs.
#![allow(unsafe_code)]

use crate::cred::uids::Lane;
use crate::cred::{Cred, CredRef};
use crate::host::Host;
use crate::object::node::{LwpNode, LwpPtr, ProcNode};
use crate::policy::{Difference, Rules};
use crate::reclaim::{Managed, Pin};
use crate::sync::fence;
use crate::world::World;
use std::sync::atomic::Ordering::SeqCst;

/// Refreshes an LWP's snapshot of its process's credentials. Lock-free.
// Seed: `lwp_update_creds` S101-S118.
///
/// # Safety
/// The caller owns the LWP, and nothing borrows its snapshot.
pub(crate) unsafe fn update_creds<H: Host>(lwp: LwpPtr<H>, pin: &Pin<'_>) {
    // SAFETY: owned.
    let node = unsafe { Managed::deref_counted(lwp) };
    // First: a mark that is set from now on stays for the next time.
    node.word.take_crmod();
    // SAFETY: owned.
    let cred = unsafe { node.proc_owned() }.resources.cred.hold(pin);
    let cred = cred.expect("a process with LWPs has credentials");
    put(node, cred, pin);
}

/// Gives an LWP credentials. Its owner does, while nothing borrows those that it has.
fn put<H: Host>(lwp: &LwpNode<H>, cred: CredRef, pin: &Pin<'_>) {
    if let Some(old) = lwp.cred.replace(Some(cred)) {
        old.release(pin);
    }
}

/// Whether each LWP has its own.
#[inline]
pub(crate) fn are_own(rules: Rules) -> bool {
    rules.is_linux(Difference::OwnCredentials)
}

/// Who an LWP is to others: its process where it has none of its own, or has ended.
pub(crate) fn of_lwp<'g, H: Host>(
    rules: Rules,
    lwp: &'g LwpNode<H>,
    pin: &'g Pin<'_>,
) -> Option<&'g Cred> {
    let own = if are_own(rules) { lwp.cred.get(pin) } else { None };
    own.or_else(|| lwp.proc_pinned(pin).resources.cred.get(pin))
}

/// Charges an LWP to its process's user, whoever that becomes meanwhile.
#[inline]
pub(super) fn move_charge<H: Host>(lwp: &LwpNode<H>, proc: &ProcNode<H>, lane: Lane) {
    lwp.charge.follow(|| proc.resources.charge.get(), |user, by| user.add_lwps(lane, by));
}

/// Changes the credentials of a process, and tells its LWPs; moves what its user is
/// charged. Lock-free but for the allocator; O(LWPs).
pub(crate) fn setcred<H: Host, E>(
    world: &World<H>,
    node: &ProcNode<H>,
    mut prepare: impl FnMut(&Cred) -> Result<Cred, E>,
    lane: Lane,
    pin: &Pin<'_>,
) -> Result<(), E> {
    let mut is_new_user = false;
    let new = node.resources.cred.commit(pin, |old| {
        let new = prepare(old)?;
        is_new_user = new.users().real != old.users().real;
        Ok(new)
    })?;
    if is_new_user {
        node.word.note_new_user();
    }
    new.release(pin);
    tell(world, node, lane, pin);
    Ok(())
}

/// Changes the credentials of one LWP alone, and what it lends. Lock-free but for the
/// allocator; O(LWPs) when the process has another user then.
///
/// # Safety
/// The caller owns the LWP, which has its own, and nothing borrows them.
pub(crate) unsafe fn set_own<H: Host, E>(
    world: &World<H>,
    lwp: &LwpNode<H>,
    mut prepare: impl FnMut(&Cred) -> Result<Cred, E>,
    lane: Lane,
    pin: &Pin<'_>,
) -> Result<(), E> {
    // SAFETY: owned.
    let old = unsafe { lwp.cred.get_unshared() }.expect("an LWP that runs has credentials");
    put(lwp, CredRef::new(prepare(old)?), pin);
    // SAFETY: owned.
    if lwp.id() == unsafe { lwp.proc_owned() }.id {
        // SAFETY: owned; it bears the number.
        unsafe { lend(world, lwp, lane, pin) };
    }
    Ok(())
}

/// An LWP lends its process its credentials, unless they are the same. As [`set_own`].
///
/// # Safety
/// The caller owns the LWP. It bears its process's number, or is the only one.
pub(crate) unsafe fn lend<H: Host>(world: &World<H>, lwp: &LwpNode<H>, lane: Lane, pin: &Pin<'_>) {
    // SAFETY: owned.
    let node = unsafe { lwp.proc_owned() };
    let (lent, own) = (&node.resources.cred, lwp.cred.hold(pin));
    let Some(own) = own else { return };
    if lent.is(&own) {
        return own.release(pin);
    }
    let real = own.get().users().real;
    if let Some(old) = lent.replace(Some(own)) {
        let is_new_user = old.get().users().real != real;
        old.release(pin);
        if is_new_user {
            node.word.note_new_user();
            tell(world, node, lane, pin);
        }
    }
}

/// Tells the LWPs of a process whose credentials have changed, and moves what its user is
/// charged.
fn tell<H: Host>(world: &World<H>, node: &ProcNode<H>, lane: Lane, pin: &Pin<'_>) {
    // SeqCst fence [P75]: either who moves the charge sees the new credentials, or the
    // charge that was moved is seen here. [P17]: see `makelwp`.
    fence(SeqCst);
    let user = || Some(world.uids.get(node.resources.cred.get(pin)?.users().real));
    node.resources.charge.follow(user, |user, by| user.count_procs(lane, by));
    for (lwp, _) in node.lwps.iter(pin) {
        if !are_own(world.rules) {
            lwp.word.mark_crmod();
        }
        move_charge(lwp, node, lane);
    }
}
