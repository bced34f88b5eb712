//! Changing the credentials of a process, and the snapshots of its LWPs.
#![allow(unsafe_code)]

use super::World;
use crate::cred::CredChange;
use crate::cred::uids::{Charge, Lane};
use crate::error::CredError;
use crate::host::Host;
use crate::lwp::{LwpCred, LwpPtr};
use crate::proc::ProcNode;
use crate::reclaim::{Managed, Pin};
use crate::sync::fence;
use std::sync::atomic::Ordering::SeqCst;

/// Refreshes an LWP's snapshot of its process's credentials, and charges it to
/// their user. Lock-free.
///
/// Seed: `lwp_update_creds` S101-S118.
///
/// # Safety
/// The caller owns the LWP, and nothing borrows its snapshot.
pub(crate) unsafe fn update_creds<H: Host>(
    world: &World<H>,
    lwp: LwpPtr<H>,
    lane: Lane,
    pin: &Pin<'_>,
) {
    // SAFETY: owned.
    let node = unsafe { Managed::deref_counted(lwp) };
    // First: a mark that is set from now on stays for the next time.
    node.word.take_crmod();
    // SAFETY: owned.
    let resources = &unsafe { node.proc_owned() }.resources;
    let cred = resources.cred.hold(pin).expect("a process with LWPs has credentials");
    let user = world.uids.get_likely(resources.charge.get(), cred.get().users().real);
    user.add_lwps(lane, 1);
    let new = LwpCred { cred, charge: Charge::new(user) };
    // SAFETY: owned, and not borrowed.
    give_back(unsafe { node.replace_cred(Some(new)) }, lane, pin);
}

/// Gives an LWP's snapshot and its charge back.
pub(super) fn give_back(old: Option<LwpCred>, lane: Lane, pin: &Pin<'_>) {
    if let Some(LwpCred { cred, charge }) = old {
        charge.get().add_lwps(lane, -1);
        cred.release(pin);
    }
}

/// Changes the credentials of a process, and tells its LWPs. Lock-free but for
/// the allocator; O(LWPs).
pub(crate) fn setcred<H: Host>(
    world: &World<H>,
    node: &ProcNode<H>,
    change: &CredChange,
    lane: Lane,
    pin: &Pin<'_>,
) -> Result<(), CredError> {
    let new = node.resources.cred.commit(pin, |old| old.changed(change))?;
    new.release(pin);
    // Until the charge follows the credentials: another thread's change may
    // have come between the two, and then its charge is put right here.
    while let Some(cred) = node.resources.cred.get(pin) {
        let user = world.uids.get(cred.users().real);
        if std::ptr::eq(node.resources.charge.get(), user) {
            break;
        }
        user.charge_proc(lane, None).expect("no limit");
        node.resources.charge.swap(user).refund_proc(lane);
    }
    // SeqCst fence [P17]: see `makelwp`.
    fence(SeqCst);
    for (lwp, _) in node.lwps.iter(pin) {
        lwp.word.mark_crmod();
    }
    Ok(())
}
