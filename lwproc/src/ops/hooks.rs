//! Establishing hooks, and running them.
#![allow(unsafe_code)]

use crate::host::Host;
use crate::object::home::Anchor;
use crate::object::node::ProcPtr;
use crate::sync::Arc as ModelArc;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::config::Part;
use crate::world::config::hooks::{Call, Hook, HookError, HookId};
use crate::world::participant::Participant;

fn part_of<H: Host>(call: &Call<H>) -> Part {
    match call {
        Call::Exit(_) => Part::ExitHooks,
        Call::Zombie(_) => Part::ZombieHooks,
    }
}

// Seed: `exithook_establish`.
pub(crate) fn establish<H: Host>(world: &World<H>, call: Call<H>) -> HookId {
    let mut number = 0;
    world.config.replace(part_of(&call), |config| {
        number = config.next_hook;
        config.next_hook += 1;
        let new = Hook { number, call: call.clone() };
        config.hooks = config.hooks.iter().cloned().chain([new]).collect();
    });
    HookId { kernel: world.serial, number }
}

// Seed: `exithook_disestablish`.
pub(crate) fn disestablish<H: Host>(world: &World<H>, id: HookId) -> Result<(), HookError> {
    if id.kernel != world.serial {
        return Err(HookError::WrongKernel);
    }
    let old = world.config.replace(Part::ExitHooks, |config| {
        config.hooks = config.hooks.iter().filter(|h| h.number != id.number).cloned().collect();
    });
    // The replacement that counted was made from `old`.
    let was_there = old.hooks.iter().any(|hook| hook.number == id.number);
    if was_there { Ok(()) } else { Err(HookError::NoSuchHook) }
}

/// Runs the exit hooks, the last established first. Each is run whatever the others do.
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
    if world.config.is_touched(Part::ExitHooks) {
        run_all(world, aftermath, |call, anchor| {
            if let Call::Exit(hook) = call {
                // SAFETY: by contract.
                unsafe { hook.run(me, anchor, proc) };
            }
        });
    }
}

/// Runs the zombie hooks in the same way.
///
/// # Safety
/// Child and parent were in the table under a pin of `me`, which the caller has.
pub(crate) unsafe fn run_for_zombie<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    child: ProcPtr<H>,
    parent: ProcPtr<H>,
    aftermath: &mut Aftermath<H>,
) {
    if world.config.is_touched(Part::ZombieHooks) {
        run_all(world, aftermath, |call, anchor| {
            if let Call::Zombie(hook) = call {
                // SAFETY: by contract.
                unsafe { hook.run(me, anchor, child, parent) };
            }
        });
    }
}

#[cold]
fn run_all<H: Host>(
    world: &World<H>,
    aftermath: &mut Aftermath<H>,
    run: impl Fn(&Call<H>, Option<&ModelArc<Anchor<H>>>),
) {
    let config = world.config.load();
    if !config.hooks.is_empty() {
        let anchor = aftermath.anchor();
        for established in config.hooks.iter().rev() {
            aftermath.run(|| run(&established.call, anchor.as_ref()));
        }
    }
    // May drop hooks that have been taken away.
    aftermath.run(|| drop(config));
}
