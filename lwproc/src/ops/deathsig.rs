//! The signal that an LWP asks for at the end of its parent (`PR_SET_PDEATHSIG`): of the LWP
//! that made its process, or has inherited that, as on Linux.
//!
//! Nothing is looked at in a kernel where nobody ever asked.

use super::post::Recipient;
use super::{creds, kill};
use crate::cred::Cred;
use crate::family::{self, Maker};
use crate::host::Host;
use crate::object::node::{LwpNode, ProcNode};
use crate::reclaim::Pin;
use crate::signal::Signo;
use crate::sync::{Relaxed, fence};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::config::Part;
use std::sync::atomic::Ordering::SeqCst;

impl<H: Host> LwpNode<H> {
    /// What its process is sent when its parent ends.
    pub(crate) fn death_signal(&self) -> Option<Signo> {
        // Relaxed: who ends the parent has a fence where it matters [P121].
        Signo::new(self.death_signal.load(Relaxed) as i32)
    }

    /// Says so; what it was. Owner only.
    pub(crate) fn set_death_signal(&self, signo: Option<Signo>) -> Option<Signo> {
        let before = self.death_signal();
        let number = signo.map_or(0, |signo| u32::from(signo.number()));
        // Relaxed: as above.
        self.death_signal.store(number, Relaxed);
        before
    }
}

/// Has an LWP's process sent that, or nothing; what it was. Owner only. Wait-free.
pub(crate) fn ask<H: Host>(
    world: &World<H>,
    lwp: &LwpNode<H>,
    signo: Option<Signo>,
) -> Option<Signo> {
    world.config.touch(Part::DeathSignals);
    let before = lwp.set_death_signal(signo);
    // SeqCst fence [P121]: pairs with that of `adopted`: who sees its old parent from now on is
    // seen to ask.
    fence(SeqCst);
    before
}

/// An LWP that is about to end, as the parent of children, if any of them may ask.
#[inline]
pub(crate) fn maker<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    lwp: &LwpNode<H>,
    pin: &Pin<'_>,
) -> Option<Maker> {
    let asked = world.config.is_touched(Part::DeathSignals);
    asked.then(|| Maker::of(proc, Some(lwp.serial()), pin))
}

/// An LWP has ended: its children are sent what they ask for. O(children).
#[cold]
pub(crate) fn maker_has_gone<H: Host>(
    world: &World<H>,
    (proc, cred): (&ProcNode<H>, Option<&Cred>),
    maker: Maker,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    for child in family::children(&world.ids, proc, pin) {
        if maker.has(child.kin(pin), proc, pin) {
            tell(world, (proc, cred), child.node, pin, aftermath);
        }
    }
}

/// Sends a child what its LWPs ask for, if its parent may: that had such rights at its end.
pub(crate) fn tell<H: Host>(
    world: &World<H>,
    (parent, from): (&ProcNode<H>, Option<&Cred>),
    child: &ProcNode<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    if !world.config.is_touched(Part::DeathSignals) {
        return;
    }
    for (lwp, _) in child.lwps.iter(pin) {
        let Some(signo) = lwp.death_signal() else { continue };
        let in_one_session = || kill::session_of(parent, pin) == kill::session_of(child, pin);
        let to = creds::of_lwp(world.rules, lwp, pin);
        let (Some(from), Some(to)) = (from, to) else { return };
        if kill::may_signal(world, &from.users(), to, Some(signo), in_one_session) {
            kill::send(world, &Recipient::Proc(child), signo, pin, aftermath);
        }
    }
}
