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
use crate::host::Host;
use crate::reclaim::Pin;
use crate::reclaim::counted::{CountedCell, CountedRef};
use std::cell::UnsafeCell;

/// See the module.
pub(crate) struct Resources<H: Host> {
    /// The name it was born with.
    born_as: Comm,
    /// The name since the last `set_comm`; empty until then.
    renamed: CountedCell<Comm>,
    /// Who it is (`p_cred`).
    pub(crate) cred: CredCell,
    /// The user that the process is charged to.
    pub(crate) charge: Charge,
    /// A remote address space: owned by the process, dropped at its end.
    vmspace: UnsafeCell<Option<H::VmSpace>>,
}

impl<H: Host> Resources<H> {
    /// The process has been charged to `charge`, the user of `cred`.
    pub(crate) fn new(
        comm: Comm,
        cred: CredRef,
        charge: &UidInfo,
        vmspace: Option<H::VmSpace>,
    ) -> Self {
        Self {
            born_as: comm,
            renamed: CountedCell::empty(),
            cred: CredCell::new(cred),
            charge: Charge::new(charge),
            vmspace: UnsafeCell::new(vmspace),
        }
    }

    /// A child's resources.
    pub(crate) fn fork(
        parent: &Self,
        cred: CredRef,
        charge: &UidInfo,
        vmspace: Option<H::VmSpace>,
        pin: &Pin<'_>,
    ) -> Self {
        let comm = match parent.comm(pin) {
            unnamed if unnamed.as_str().is_empty() => Comm::new("rumproc"),
            named => named,
        };
        Self::new(comm, cred, charge, vmspace)
    }

    /// The name. Wait-free.
    pub(crate) fn comm(&self, pin: &Pin<'_>) -> Comm {
        self.renamed.get(pin).copied().unwrap_or(self.born_as)
    }

    /// Replaces the name. Lock-free but for the allocator.
    pub(crate) fn set_comm(&self, comm: Comm, pin: &Pin<'_>) {
        if let Some(old) = self.renamed.replace(Some(CountedRef::new(comm))) {
            old.release(pin);
        }
    }

    /// Gives back what is shared with other processes, at the end of the world.
    ///
    /// # Safety
    /// Nobody else is left.
    pub(crate) unsafe fn release_alone(&self) {
        // SAFETY: by contract.
        unsafe { self.cred.clear_alone() };
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
        // SAFETY: the name is this process's own, whose grace period is over.
        unsafe { self.renamed.clear_alone() };
    }
}
