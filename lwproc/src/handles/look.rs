//! What can be found under a guard.
#![allow(unsafe_code)]

use super::guard::Guard;
use super::lwp::LwpRef;
use super::pgrp::PgrpRef;
use super::proc::ProcRef;
use crate::host::Host;
use crate::id::{Lid, Pid};
use crate::object::node::LwpPtr;
use crate::object::table;
use crate::pgrp;
use crate::sync::Acquire;

impl<H: Host> Guard<'_, H> {
    /// The process with that pid, zombies included. Wait-free; writes nothing.
    #[doc(alias = "find")]
    #[doc(alias = "proc_find")]
    #[inline]
    pub fn proc(&self, pid: Pid) -> Option<ProcRef<'_, H>> {
        let (_, ptr) = table::find(&self.world().ids, pid, self.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { ProcRef::new(ptr, self) })
    }

    /// The LWP with that lid, whatever its process ([`LwpRef::pid`] says which).
    /// Wait-free; writes nothing.
    // Seed: `lwp_find` S79-S99, without the list walk and for any process.
    #[doc(alias = "find_lwp")]
    #[doc(alias = "lwp_find")]
    pub fn lwp(&self, lid: Lid) -> Option<LwpRef<'_, H>> {
        let (_, ptr) = table::find_lwp(&self.world().ids, lid, self.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { LwpRef::new(ptr, self) })
    }

    /// Every process, in slot order, zombies included. Weakly consistent: a
    /// process present throughout is seen exactly once, no identity twice. Wait-free
    /// per step; O(ids) for all.
    pub fn procs<'g>(&'g self) -> impl Iterator<Item = ProcRef<'g, H>> + use<'g, H> {
        let guard: &'g Guard<'g, H> = self;
        guard.world().ids.procs().filter_map(move |proc| {
            // Acquire [P3]: as in `table::find`.
            let found = proc.load(Acquire);
            // SAFETY: found published under the guard.
            (!found.is_null()).then(|| unsafe { ProcRef::new(found.ptr(), guard) })
        })
    }

    /// Every LWP, in slot order. Weakly consistent, as [`Guard::procs`]; one that takes its
    /// process's number meanwhile, by an [exec](crate::Entered::exec), may be seen twice, or not.
    pub fn lwps<'g>(&'g self) -> impl Iterator<Item = LwpRef<'g, H>> + use<'g, H> {
        let guard: &'g Guard<'g, H> = self;
        guard.world().ids.slots().filter_map(move |slot| {
            // Acquire [P4]: as in `table::find_lwp`.
            let found: LwpPtr<H> = slot.lwp.load(Acquire).ptr();
            // SAFETY: found published under the guard.
            (!found.is_null()).then(|| unsafe { LwpRef::new(found, guard) })
        })
    }

    /// The process group with that number. Wait-free; writes nothing.
    ///
    /// A group that a process is about to make may be found already. So may, for a
    /// moment after its last member has gone, a group that a process was about to join.
    #[doc(alias = "pgrp_find")]
    pub fn pgrp(&self, pgid: Pid) -> Option<PgrpRef<'_, H>> {
        let (_, found) = pgrp::find(&self.world().ids, pgid, self.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { PgrpRef::new(found, self) })
    }

    /// Every process group, in slot order. Weakly consistent, as [`Guard::procs`];
    /// see [`Guard::pgrp`] for the edges of a group's life.
    pub fn pgrps<'g>(&'g self) -> impl Iterator<Item = PgrpRef<'g, H>> + use<'g, H> {
        let guard: &'g Guard<'g, H> = self;
        let found = pgrp::all(&guard.world().ids, guard.pin());
        // SAFETY: found published under the guard.
        found.map(move |ptr| unsafe { PgrpRef::new(ptr, guard) })
    }

    /// The LWP that runs on a virtual CPU (`curcpu()->ci_curlwp`); `None` when none
    /// does, or an implicit context, or there is no such CPU. Wait-free.
    // Seed: S501.
    #[doc(alias = "cpu_curlwp")]
    pub fn cpu_lwp(&self, cpu: usize) -> Option<LwpRef<'_, H>> {
        let lwp: LwpPtr<H> = self.world().cpus.as_ref()?.curlwp(cpu)?.cast();
        // SAFETY: a CPU is told of its LWP's going before the LWP is retired, and
        // was not yet when the guard was taken.
        (!lwp.is_null()).then(|| unsafe { LwpRef::new(lwp, self) })
    }
}
