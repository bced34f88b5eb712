//! What follows when a process has become another program.

use crate::cred::Cred;
use crate::family;
use crate::host::Host;
use crate::object::node::{LwpNode, ProcNode};
use crate::policy::Difference;
use crate::reclaim::Pin;
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
    if let Some(dispositions) = proc.dispositions.get() {
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
