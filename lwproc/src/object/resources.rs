//! What a process has beside its LWPs and family.
//!
//! The seam for the services: each has a place here, is taken from the
//! parent in [`Resources::fork`] before the child is visible, and given back
//! when the process ends, in the seed's order (`docs/DESIGN.md`, "Who holds
//! what").
#![allow(unsafe_code)]

use super::comm::Comm;
use super::trace::TraceSink;
use crate::cred::uids::{Charge, UidInfo};
use crate::cred::{CredCell, CredRef};
use crate::emul::{EmulPtr, ProcEmul};
use crate::filedesc::link::TableLink;
use crate::host::Host;
use crate::limits::{LimitsCell, LimitsRef};
use crate::once_box::OnceBox;
use crate::reclaim::Pin;
use crate::reclaim::counted::PrivateCell;
use crate::reclaim::shared::SharedCell;
use crate::specific::proc::ProcSpecific;
use crate::usage::{Stats, Usage};
use std::cell::UnsafeCell;

/// What the embedder's own types say about a process.
pub(crate) struct Embedded<H: Host> {
    /// A remote address space: owned by the process, dropped at its end.
    pub(crate) vmspace: Option<H::VmSpace>,
    /// Its place in the file system.
    pub(crate) vfs: H::Vfs,
}

/// See the module.
pub(crate) struct Resources<H: Host> {
    /// The name it was born with.
    born_as: Comm,
    /// The name since the last `set_comm`; empty until then.
    renamed: PrivateCell<Comm>,
    /// Who it is (`p_cred`).
    pub(crate) cred: CredCell,
    /// The user that the process is charged to.
    pub(crate) charge: Charge,
    /// Its descriptor table (`p_fd`), which its LWPs use.
    pub(crate) files: TableLink<H::File>,
    /// What it may use (`p_limit`).
    pub(crate) limits: LimitsCell,
    /// What it has used (`p_stats`).
    stats: OnceBox<Stats>,
    /// Taken by the thread that ends the process.
    embedded: UnsafeCell<Option<Embedded<H>>>,
    /// What its system calls mean (`p_emul`).
    pub(crate) emul: ProcEmul<H>,
    /// Who is told of its events (`p_tracep`).
    pub(crate) trace: SharedCell<dyn TraceSink>,
    pub(crate) specific: ProcSpecific,
}

impl<H: Host> Resources<H> {
    /// The process has been charged to `charge`, the user of `cred`.
    pub(crate) fn new(
        comm: Comm,
        cred: CredRef,
        charge: &UidInfo,
        files: TableLink<H::File>,
        limits: LimitsRef,
        emul: EmulPtr<H>,
        embedded: Embedded<H>,
    ) -> Self {
        Self {
            born_as: comm,
            renamed: PrivateCell::default(),
            cred: CredCell::new(cred),
            charge: Charge::new(charge),
            files,
            limits: LimitsCell::new(limits),
            stats: OnceBox::new(),
            embedded: UnsafeCell::new(Some(embedded)),
            emul: ProcEmul::new(emul),
            trace: SharedCell::new(),
            specific: ProcSpecific::new(),
        }
    }

    /// A child's resources. The parent lives.
    pub(crate) fn fork(
        parent: &Self,
        cred: CredRef,
        charge: &UidInfo,
        files: TableLink<H::File>,
        emul: EmulPtr<H>,
        embedded: Embedded<H>,
        pin: &Pin<'_>,
    ) -> Self {
        let comm = match parent.comm(pin) {
            unnamed if unnamed.is_empty() => Comm::new("rumproc"),
            named => named,
        };
        // One look: what is counted is what the child has (R12).
        let limits = parent.limits.hold(pin).expect("the parent lives");
        let child = Self::new(comm, cred, charge, files, limits, emul, embedded);
        if let Some(stats) = parent.stats.get().and_then(|stats| stats.fork(pin)) {
            child.stats.get_or_init(|| stats);
        }
        child
    }

    /// The user that the process is charged to.
    #[inline]
    pub(crate) fn user(&self) -> &UidInfo {
        self.charge.get().expect("a process is charged for as long as it is")
    }

    /// The name. Wait-free.
    pub(crate) fn comm(&self, pin: &Pin<'_>) -> Comm {
        self.renamed.get(pin).copied().unwrap_or(self.born_as)
    }

    /// Replaces the name. Wait-free but for the allocator.
    pub(crate) fn set_comm(&self, comm: Comm, pin: &Pin<'_>) {
        self.renamed.set(comm, pin);
    }

    /// What has been used, if anything was ever reported.
    pub(crate) fn stats(&self) -> Option<&Stats> {
        self.stats.get()
    }

    /// The same, made now if need be. Wait-free but for the allocator.
    pub(crate) fn stats_mut(&self) -> &Stats {
        self.stats.get_or_init(Stats::default)
    }

    /// What a parent that waits for this process is charged with: its own use
    /// and that of the children it waited for.
    pub(crate) fn usage_at_end(&self) -> Usage {
        self.stats.get().map_or(Usage::default(), |stats| stats.own() + stats.children())
    }

    /// Gives back what is shared with other processes, at the end of the world.
    ///
    /// # Safety
    /// Nobody else is left.
    pub(crate) unsafe fn release_alone(&self) {
        // SAFETY: by contract.
        unsafe { self.cred.clear_alone() };
        // SAFETY: by contract.
        unsafe { self.limits.clear_alone() };
    }

    /// What the embedder's types say.
    ///
    /// # Safety
    /// An LWP of the process lives for `'a`.
    pub(crate) unsafe fn embedded<'a>(&self) -> &'a Embedded<H> {
        // SAFETY: taken only after the last LWP has been detached.
        unsafe { &*self.embedded.get() }.as_ref().expect("taken at the end only")
    }

    /// Takes it out.
    ///
    /// # Safety
    /// The caller ended the process.
    pub(crate) unsafe fn take_embedded(&self) -> Option<Embedded<H>> {
        // SAFETY: no LWP is left that could look at it (P5).
        unsafe { &mut *self.embedded.get() }.take()
    }
}
