//! Changing the credentials of a process, and the snapshots of its LWPs.
#![allow(unsafe_code)]

use crate::cred::Cred;
use crate::cred::uids::Lane;
use crate::host::Host;
use crate::object::node::{LwpNode, LwpPtr, ProcNode};
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
    // SAFETY: owned, and not borrowed.
    if let Some(old) = unsafe { node.replace_cred(Some(cred)) } {
        old.release(pin);
    }
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
    // SeqCst fence [P75]: either who moves the charge sees the new credentials, or the
    // charge that was moved is seen here. [P17]: see `makelwp`.
    fence(SeqCst);
    let user = || Some(world.uids.get(node.resources.cred.get(pin)?.users().real));
    node.resources.charge.follow(user, |user, by| user.count_procs(lane, by));
    for (lwp, _) in node.lwps.iter(pin) {
        lwp.word.mark_crmod();
        move_charge(lwp, node, lane);
    }
    Ok(())
}
