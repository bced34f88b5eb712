//! Sending a signal, and what one does that nobody takes: SIGKILL.

use super::drain;
use super::post::{self, Recipient};
use crate::host::Host;
use crate::object::status::{CoreDump, ExitStatus};
use crate::reclaim::Pin;
use crate::signal::{SigModel, Signo};
use crate::world::World;
use crate::world::aftermath::Aftermath;

/// As [`post::post`]; a SIGKILL that is recorded ends the process, unless it is proc0 or
/// init. As lock-free as ending LWPs is; O(LWPs of the process).
pub(crate) fn send<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    post::post(world, to, signo, pin, aftermath);
    let (Recipient::Proc(proc) | Recipient::Lwp(proc, _)) = to;
    if signo != Signo::KILL || world.signals != SigModel::Record || proc.reaps_by_itself() {
        return;
    }
    let killed = ExitStatus::signaled(Signo::KILL.number(), CoreDump::None);
    if let Ok(parked) = drain::end(proc, killed, pin, aftermath) {
        parked.into_iter().for_each(|lwp| _ = aftermath.run(|| drop(lwp)));
    }
}
