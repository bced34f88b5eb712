//! The end of a pid namespace: its init ends, and with it all that is in there.
//!
//! init first closes the namespace, then ends whom it finds; a fork first publishes the
//! child, then looks whether the namespace is closed. There is a fence between the two on
//! each side: so init finds the child, or the fork finds it closed, and ends the child
//! itself. In the same way a child of init's that becomes a zombie, or is handed to init as
//! one, is found by init or finds that nobody will wait for it.
//!
//! init itself stays what it is, ended and not yet a zombie, until it is alone: whoever takes
//! the last other process out of the namespace goes on with it
//! ([`Life`](crate::object::namespace::Life), `ops/death.rs`).
// Linux: `zap_pid_ns_processes`, `disable_pid_allocation`.

use super::drain;
use super::pending;
use super::post::{self, Load, Recipient};
use crate::family::{self, Child};
use crate::host::Host;
use crate::object::namespace::Namespace;
use crate::object::node::ProcNode;
use crate::object::status::{CoreDump, ExitStatus};
use crate::object::table;
use crate::reclaim::Pin;
use crate::signal::{SigModel, Signo};
use crate::sync::{fence, fence_after_update};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use std::sync::atomic::Ordering::SeqCst;

/// The init of a namespace ends: closes it, and ends the others in it, and in those inside;
/// its zombies, with the right to reap each. Lock-free but for the allocator and what
/// sleeping LWPs sleep on; O(numbers of the namespace).
pub(super) fn close<'g, H: Host>(
    world: &'g World<H>,
    init: &'g ProcNode<H>,
    namespace: &Namespace,
    pin: &'g Pin<'_>,
    aftermath: &mut Aftermath<H>,
) -> Vec<Child<'g, H>> {
    namespace.life.close();
    // SeqCst fence [P145]: pairs with that of `ends_meanwhile`, and of `kill::catch_up` before
    // `meet`.
    fence(SeqCst);
    for id in namespace.ids() {
        if let Some((proc, _)) = table::resolve(&world.ids, id, pin)
            && !std::ptr::eq(proc, init)
        {
            end(world, proc, pin, aftermath);
        }
    }
    let zombies = family::children(&world.ids, init, pin);
    zombies.filter(|child| child.is_zombie() && child.claim().is_some()).collect()
}

/// A fork has published its child, before a SeqCst fence: which does not escape the end of its
/// namespaces. One branch, when it is in none.
#[inline]
pub(super) fn meet<H: Host>(world: &World<H>, child: &ProcNode<H>, pin: &Pin<'_>) {
    if let Some(numbers) = child.numbers()
        && numbers.namespace().outward().any(|at| at.life.is_closed())
    {
        Aftermath::collect(|aftermath| end(world, child, pin, aftermath));
    }
}

/// Ends a process as SIGKILL does, whatever comes of signals.
fn end<H: Host>(world: &World<H>, proc: &ProcNode<H>, pin: &Pin<'_>, aftermath: &mut Aftermath<H>) {
    let killed = ExitStatus::signaled(Signo::KILL.number(), CoreDump::None);
    let parked = drain::end(proc, killed, pin, aftermath).unwrap_or_default();
    if world.signals == SigModel::Record {
        let to = Recipient::Proc(proc);
        // Only a value is refused.
        let _sent = post::post(world, &to, Signo::KILL, Load::Nothing, pin, aftermath);
        pending::mark_of_many(proc, Signo::KILL);
    }
    aftermath.end(parked, world.end_doomed);
}

/// Whether who has just got a zombie waits for no child any more, since it is the init of a
/// namespace and ends.
#[inline]
pub(crate) fn ends_meanwhile<H: Host>(parent: &ProcNode<H>) -> bool {
    parent.leads().is_some_and(|namespace| {
        // SeqCst fence [P145]: see the module. The zombie is one by a read-modify-write.
        fence_after_update();
        namespace.life.is_closed()
    })
}
