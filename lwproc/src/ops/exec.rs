//! What follows when a process has become another program.
#![allow(unsafe_code)]

use super::death::release_id;
use super::seat::Seat;
use crate::cred::Cred;
use crate::family;
use crate::host::{Host, LwpToken};
use crate::idtable::Reserved;
use crate::object::node::{LwpNode, LwpPtr, ProcNode};
use crate::object::table;
use crate::policy::Difference;
use crate::reclaim::{Managed, Pin};
use crate::signal::Disposition;
use crate::world::World;
use crate::world::config::Part;

/// Forgets what another program has no part in: what is caught, what was said of children,
/// exit signals, and a signal at the parent's end where the ids are not all the user's own.
/// The caller is its only LWP. Lock-free; O(children) where there are clone children.
pub(crate) fn forget<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    lwp: Option<&LwpNode<H>>,
    cred: &Cred,
    pin: &Pin<'_>,
) {
    if let Some(dispositions) = proc.signals.get().map(|signals| &signals.dispositions) {
        dispositions.exec();
        let chld = world.rules.numbers.chld;
        if dispositions.of(chld) == Disposition::Ignore
            && !world.rules.is_linux(Difference::ExecOfIgnoredChildren)
        {
            dispositions.set(chld, Disposition::Default);
        }
    }
    if world.config.is_touched(Part::CloneChildren) {
        if let Some((edge, _)) = family::edge_of(proc, pin) {
            edge.exit_signal.child_execs();
        }
        for child in family::children(&world.ids, proc, pin) {
            child.parent_execs(pin);
        }
    }
    if let Some(lwp) = lwp.filter(|_| world.config.is_touched(Part::DeathSignals)) {
        let is_own = [cred.users(), cred.groups()].iter().all(|ids| ids.effective == ids.real);
        if !is_own {
            lwp.set_death_signal(None);
        }
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
    release_id(seat.world(), seat.me(), Reserved(own), node.names.numbers());
    Some(was)
}
