//! Exit hooks: what runs when a process ends, before anything of it is given back.
#![allow(unsafe_code)]

use super::Part;
use crate::errno::errors;
use crate::handles::guard::Guard;
use crate::handles::proc::ProcRef;
use crate::host::{Host, ThreadHost};
use crate::object::node::ProcPtr;
use crate::object::resources::Embedded;
use crate::reclaim::Managed;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::participant::Participant;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

errors! {
    /// Why an exit hook was not taken away.
    HookError {
        /// It has been taken away already.
        NoSuchHook => ENOENT, "no such exit hook";
        /// The hook is of another kernel.
        WrongKernel => EXDEV, "the exit hook is of another kernel";
    }
}

/// Names an exit hook. Never used for another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HookId {
    kernel: u64,
    number: u64,
}

/// A process at its end, as its exit hooks see it: a [`ProcRef`], and what only its
/// own LWPs could see while there were any.
pub struct Ending<'g, H: Host = ThreadHost> {
    proc: ProcRef<'g, H>,
    embedded: &'g Embedded<H>,
}

impl<'g, H: Host> Ending<'g, H> {
    /// Its place in the file system.
    pub fn vfs(&self) -> &'g H::Vfs {
        &self.embedded.vfs
    }

    /// The address space it was forked with, if it has one.
    pub fn vmspace(&self) -> Option<&'g H::VmSpace> {
        self.embedded.vmspace.as_ref()
    }
}

impl<'g, H: Host> Deref for Ending<'g, H> {
    type Target = ProcRef<'g, H>;

    fn deref(&self) -> &ProcRef<'g, H> {
        &self.proc
    }
}

impl<H: Host> fmt::Debug for Ending<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ending({:?})", self.proc)
    }
}

type HookFn<H> = dyn Fn(&Ending<'_, H>) + Send + Sync;

/// An established hook.
pub(crate) struct Hook<H: Host> {
    number: u64,
    run: Arc<HookFn<H>>,
}

impl<H: Host> Clone for Hook<H> {
    fn clone(&self) -> Self {
        Self { number: self.number, run: self.run.clone() }
    }
}

// Seed: `exithook_establish`.
pub(crate) fn establish<H: Host>(world: &World<H>, run: Arc<HookFn<H>>) -> HookId {
    let mut number = 0;
    world.config.replace(Part::Hooks, |config| {
        number = config.next_hook;
        config.next_hook += 1;
        let new = Hook { number, run: run.clone() };
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
        let guard = Guard::in_death(me, anchor.as_ref());
        // SAFETY: in the table.
        let node = unsafe { Managed::deref_counted(proc) };
        // SAFETY: it is taken out after this, by this thread.
        let embedded = unsafe { node.resources.embedded() };
        // SAFETY: by contract: it is taken out of the table and retired after this.
        let ending = Ending { proc: unsafe { ProcRef::new(proc, &guard) }, embedded };
        for hook in config.hooks.iter().rev() {
            aftermath.run(|| (hook.run)(&ending));
        }
    }
    // May drop hooks that have been taken away.
    aftermath.run(|| drop(config));
}
