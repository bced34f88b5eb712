//! A process at its end, as a user's exit hook looks at it.
#![allow(unsafe_code)]

use super::guard::Guard;
use super::proc::ProcRef;
use crate::host::{Host, ThreadHost};
use crate::object::home::Anchor;
use crate::object::node::ProcPtr;
use crate::object::resources::Embedded;
use crate::reclaim::Managed;
use crate::sync::Arc;
use crate::world::config::hooks::{ExitHook, ZombieHook};
use crate::world::participant::Participant;
use std::fmt;
use std::ops::Deref;

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

impl<H: Host, F: Fn(&Ending<'_, H>) + Send + Sync> ExitHook<H> for F {
    unsafe fn run(&self, me: &Participant<H>, anchor: Option<&Arc<Anchor<H>>>, proc: ProcPtr<H>) {
        let guard = Guard::in_death(me, anchor);
        // SAFETY: in the table.
        let node = unsafe { Managed::deref_counted(proc) };
        // SAFETY: it is taken out after this, by this thread.
        let embedded = unsafe { node.resources.embedded() };
        // SAFETY: by contract: it is taken out of the table and retired after this.
        self(&Ending { proc: unsafe { ProcRef::new(proc, &guard) }, embedded });
    }
}

impl<H, F> ZombieHook<H> for F
where
    H: Host,
    F: Fn(&ProcRef<'_, H>, &ProcRef<'_, H>) + Send + Sync,
{
    unsafe fn run(
        &self,
        me: &Participant<H>,
        anchor: Option<&Arc<Anchor<H>>>,
        child: ProcPtr<H>,
        parent: ProcPtr<H>,
    ) {
        let guard = Guard::in_death(me, anchor);
        // SAFETY: by contract: the caller's pin keeps both, and this one after it.
        let [child, parent] = [child, parent].map(|proc| unsafe { ProcRef::new(proc, &guard) });
        self(&child, &parent);
    }
}
