//! Establishing exit hooks, and running them.
#![allow(unsafe_code)]

use crate::host::Host;
use crate::object::node::ProcPtr;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::config::Part;
use crate::world::config::hooks::{ExitHook, Hook, HookError, HookId};
use crate::world::participant::Participant;
use std::sync::Arc;

// Seed: `exithook_establish`.
pub(crate) fn establish<H: Host>(world: &World<H>, hook: Arc<dyn ExitHook<H>>) -> HookId {
    let mut number = 0;
    world.config.replace(Part::Hooks, |config| {
        number = config.next_hook;
        config.next_hook += 1;
        let new = Hook { number, hook: hook.clone() };
        config.hooks = config.hooks.iter().cloned().chain([new]).collect();
    });
    HookId { kernel: world.serial, number }
}

// Seed: `exithook_disestablish`.
pub(crate) fn disestablish<H: Host>(world: &World<H>, id: HookId) -> Result<(), HookError> {
    if id.kernel != world.serial {
        return Err(HookError::WrongKernel);
    }
    let old = world.config.replace(Part::Hooks, |config| {
        config.hooks = config.hooks.iter().filter(|h| h.number != id.number).cloned().collect();
    });
    // The replacement that counted was made from `old`.
    let was_there = old.hooks.iter().any(|hook| hook.number == id.number);
    if was_there { Ok(()) } else { Err(HookError::NoSuchHook) }
}

/// Runs the hooks, the last established first. Each is run whatever the others do.
// Seed: `doexithooks`, S189 (R18).
///
/// # Safety
/// `proc` is in the table, and is ended by the caller.
#[inline]
pub(crate) unsafe fn run<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    aftermath: &mut Aftermath<H>,
) {
    if world.config.is_touched(Part::Hooks) {
        // SAFETY: by contract.
        unsafe { run_all(world, me, proc, aftermath) };
    }
}

/// # Safety
/// As [`run`].
#[cold]
unsafe fn run_all<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    aftermath: &mut Aftermath<H>,
) {
    let config = world.config.load();
    if !config.hooks.is_empty() {
        let anchor = aftermath.anchor();
        for established in config.hooks.iter().rev() {
            // SAFETY: by contract.
            let run = || unsafe { established.hook.run(me, anchor.as_ref(), proc) };
            aftermath.run(run);
        }
    }
    // May drop hooks that have been taken away.
    aftermath.run(|| drop(config));
}
