//! What a process has beside its LWPs and family.
//!
//! The seam for the services: each has a place here, is taken from the
//! parent in [`Resources::fork`] before the child is visible, and given back
//! when the process ends, in the seed's order (`docs/DESIGN.md`, "Who holds
//! what").
#![allow(unsafe_code)]

use super::comm::Comm;
use crate::cred::uids::{Charge, UidInfo};
use crate::cred::{CredCell, CredRef};
use crate::emul::{EmulPtr, ProcEmul};
use crate::host::Host;
use crate::reclaim::shared::SharedCell;
use crate::reclaim::{Link, Managed, Pin, Tagged};
use crate::specific::proc::ProcSpecific;
use crate::sync::{Acquire, Relaxed, Release};
use crate::trace::TraceSink;
use std::cell::UnsafeCell;

/// See the module.
pub(crate) struct Resources<H: Host> {
    /// The name it was born with.
    born_as: Comm,
    /// The name since the last `set_comm`; null until then.
    renamed: Link<Comm>,
    /// Who it is (`p_cred`).
    pub(crate) cred: CredCell,
    /// The user that the process is charged to.
    pub(crate) charge: Charge,
    /// What its system calls mean (`p_emul`).
    pub(crate) emul: ProcEmul<H>,
    /// Who is told of its events (`p_tracep`).
    pub(crate) trace: SharedCell<dyn TraceSink>,
    pub(crate) specific: ProcSpecific,
    /// A remote address space: owned by the process, dropped at its end.
    vmspace: UnsafeCell<Option<H::VmSpace>>,
}

impl<H: Host> Resources<H> {
    /// The process has been charged to `charge`, the user of `cred`.
    pub(crate) fn new(
        comm: Comm,
        cred: CredRef,
        charge: &UidInfo,
        emul: EmulPtr<H>,
        vmspace: Option<H::VmSpace>,
    ) -> Self {
        Self {
            born_as: comm,
            renamed: Link::new(Tagged::NULL),
            cred: CredCell::new(cred),
            charge: Charge::new(charge),
            emul: ProcEmul::new(emul),
            trace: SharedCell::new(),
            specific: ProcSpecific::new(),
            vmspace: UnsafeCell::new(vmspace),
        }
    }

    /// A child's resources.
    pub(crate) fn fork(
        parent: &Self,
        cred: CredRef,
        charge: &UidInfo,
        emul: EmulPtr<H>,
        vmspace: Option<H::VmSpace>,
        pin: &Pin<'_>,
    ) -> Self {
        let comm = match parent.comm(pin) {
            unnamed if unnamed.as_str().is_empty() => Comm::new("rumproc"),
            named => named,
        };
        Self::new(comm, cred, charge, emul, vmspace)
    }

    /// The name. Wait-free.
    pub(crate) fn comm(&self, pin: &Pin<'_>) -> Comm {
        // Acquire [P14]: the name's bytes; pairs with Release in `set_comm`.
        // SAFETY: loaded with Acquire under the pin.
        unsafe { self.renamed.load(Acquire).as_ref(pin) }.copied().unwrap_or(self.born_as)
    }

    /// Replaces the name. Lock-free but for the allocator.
    pub(crate) fn set_comm(&self, comm: Comm, pin: &Pin<'_>) {
        // Release [P14]: the new name's bytes; pairs with Acquire in `comm`. Not
        // Acquire: the old one is retired and not looked at, and who made it
        // was pinned meanwhile.
        let new = Tagged::new(Managed::new(comm));
        let old = self.renamed.swap(new, Release);
        if !old.is_null() {
            // SAFETY: swapped out by this thread, so retired once.
            unsafe { pin.retire(old.ptr()) };
        }
    }

    /// The remote address space.
    ///
    /// # Safety
    /// The caller runs as an LWP of the process for `'a`.
    pub(crate) unsafe fn vmspace<'a>(&self) -> Option<&'a H::VmSpace> {
        // SAFETY: taken only after the last LWP has been detached.
        unsafe { &*self.vmspace.get() }.as_ref()
    }

    /// Takes the address space out.
    ///
    /// # Safety
    /// The caller ended the process.
    pub(crate) unsafe fn take_vmspace(&self) -> Option<H::VmSpace> {
        // SAFETY: no LWP is left that could look at it (P5).
        unsafe { &mut *self.vmspace.get() }.take()
    }
}

impl<H: Host> Drop for Resources<H> {
    fn drop(&mut self) {
        // Relaxed: the grace period is over, nobody else is left.
        let name = self.renamed.load(Relaxed);
        if !name.is_null() {
            // SAFETY: still linked, so it was never retired.
            unsafe { Managed::free(name.ptr()) };
        }
    }
}
