//! Finding process groups.
#![allow(unsafe_code)]

use super::Kernel;
use crate::handles::guard::Guard;
use crate::handles::pgrp::PgrpRef;
use crate::host::Host;
use crate::id::Pid;
use crate::pgrp;

impl<H: Host> Kernel<H> {
    /// The process group with that number. Wait-free; writes nothing.
    ///
    /// A group that a process is about to make may be found already, and one
    /// that a process was about to join for a moment after its last member.
    pub fn pgrp<'g>(&self, pgid: Pid, guard: &'g Guard<'_, H>) -> Option<PgrpRef<'g, H>> {
        if !self.owns(guard) {
            return None;
        }
        let (_, found) = pgrp::find(&guard.world().ids, pgid, guard.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { PgrpRef::new(found, guard) })
    }

    /// Every process group, in slot order. Weakly consistent, as
    /// [`Kernel::procs`]; see [`Kernel::pgrp`] for the edges of a group's life.
    pub fn pgrps<'g>(
        &self,
        guard: &'g Guard<'_, H>,
    ) -> impl Iterator<Item = PgrpRef<'g, H>> + use<'g, H> {
        let found = self.owns(guard).then(|| pgrp::all(&guard.world().ids, guard.pin()));
        // SAFETY: found published under the guard.
        found.into_iter().flatten().map(move |ptr| unsafe { PgrpRef::new(ptr, guard) })
    }
}
