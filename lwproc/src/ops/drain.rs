//! Closing a process to new LWPs, and telling those it has to go.
//!
//! The gate is closed first (R10): an attach that comes later is refused. One that
//! came before is in the list when it is walked, or finds the gate closed when it
//! looks, behind a fence on each side, and marks itself.
#![allow(unsafe_code)]

use super::death::release_id;
use super::owned::Lwp;
use super::seat::Seat;
use crate::host::{Host, LwpToken};
use crate::idtable::Reserved;
use crate::object::lwp_word::Mark;
use crate::object::node::{LwpNode, LwpPtr, ProcNode};
use crate::object::proc_word::Exiting;
use crate::object::status::ExitStatus;
use crate::object::table;
use crate::reclaim::{Managed, Pin};
use crate::sync::fence;
use crate::world::aftermath::Aftermath;
use std::sync::atomic::Ordering::SeqCst;

/// Tells the LWPs, but `own`, of a process whose gate has just been closed to exit.
/// Lock-free but for what sleeping LWPs sleep on; O(LWPs).
pub(crate) fn tell<H: Host>(
    proc: &ProcNode<H>,
    own: LwpPtr<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // SeqCst fence [P56]: pairs with that of `makelwp`; see the module.
    fence(SeqCst);
    for (lwp, ptr) in proc.lwps.iter(pin) {
        if !std::ptr::eq(ptr, own) {
            lwp.interrupt(Mark::QExit, pin, aftermath);
        }
    }
}

/// Opens the process, unless it exits as a whole, and takes back what its LWPs were
/// told. Lock-free but for what sleeping LWPs sleep on; O(LWPs).
pub(crate) fn reopen<H: Host>(proc: &ProcNode<H>, pin: &Pin<'_>, aftermath: &mut Aftermath<H>) {
    if proc.word.open() == Err(Exiting) {
        return;
    }
    // SeqCst fence [P56]: as in `tell`: an LWP that is being made is in the list
    // below, or sees the gate open.
    fence(SeqCst);
    for (lwp, _) in proc.lwps.iter(pin) {
        lwp.word.clear_qexit();
    }
    // An exit of the whole process whose mark was taken back above is seen [P53]; a
    // later one marks again.
    if proc.word.load().is_exiting() {
        return tell(proc, std::ptr::null_mut(), pin, aftermath);
    }
    // Somebody may wait to be alone, in vain from now on.
    proc.waiters.wake_all();
}

/// Ends a process as a whole: tells its LWPs, and claims those that nobody owns, for the
/// caller to drop. Lock-free but for the allocator and what sleeping LWPs sleep on;
/// O(LWPs).
pub(crate) fn end<H: Host>(
    proc: &ProcNode<H>,
    status: ExitStatus,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) -> Result<Vec<Lwp<H>>, Exiting> {
    proc.word.exit_whole(status)?;
    tell(proc, std::ptr::null_mut(), pin, aftermath);
    // Last: an LWP that its owner parks from now on is told, and goes by that.
    Ok(claim_parked(proc, pin))
}

/// Claims the LWPs of a process that nobody owns. Lock-free but for the allocator;
/// O(LWPs).
pub(crate) fn claim_parked<H: Host>(proc: &ProcNode<H>, pin: &Pin<'_>) -> Vec<Lwp<H>> {
    let claimed = proc.lwps.iter(pin).filter(|(lwp, _)| lwp.word.claim().is_ok());
    // SAFETY: the claim has just been won.
    claimed.map(|(_, ptr)| unsafe { Lwp::from_raw(ptr) }).collect()
}

/// Drops LWPs that have been claimed, each whatever the others do.
pub(crate) fn let_go<H: Host>(claimed: Vec<Lwp<H>>, aftermath: &mut Aftermath<H>) {
    for lwp in claimed {
        aftermath.run(|| drop(lwp));
    }
}

/// Gives an LWP the number of its process, and its own back; what the host knew it by, if that
/// was another. Lock-free.
///
/// # Safety
/// The caller owns it. It is the only LWP of its process, which drains.
// Linux: `de_thread`.
pub(crate) unsafe fn take_pid<H: Host>(seat: &Seat<'_, H>, lwp: LwpPtr<H>) -> Option<LwpToken> {
    // SAFETY: owned.
    let node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: owned.
    let pid = unsafe { node.proc_owned() }.id;
    if node.id() == pid {
        return None;
    }
    let was = node.token();
    // SAFETY: by contract. Whoever had the number has been detached [P5].
    let own = unsafe { table::move_lwp(&seat.world().ids, pid, lwp) };
    // Last (R18).
    release_id(seat.world(), seat.me(), Reserved(own));
    Some(was)
}

/// A new LWP, in the list since before the caller's fence, looks whether it came to a
/// process that drains. Lock-free: once more only if the gate has changed meanwhile.
#[inline]
pub(crate) fn join<H: Host>(proc: &ProcNode<H>, lwp: &LwpNode<H>) {
    while proc.word.load().is_draining() {
        // It is not running yet: nobody is to be woken.
        let _awake = lwp.word.mark(Mark::QExit);
        // The mark may have come after the clearing of `reopen`: it then read that
        // (Acquire [P53]), and the gate is seen open here.
        if proc.word.load().is_draining() {
            return;
        }
        lwp.word.clear_qexit();
    }
}
