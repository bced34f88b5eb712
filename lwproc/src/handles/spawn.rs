//! Making a process without becoming it.
#![allow(unsafe_code)]

use super::owned::Lwp;
use crate::entry::{Entered, Rfork};
use crate::errno::errors;
use crate::host::{Host, ThreadHost};
use crate::proc::ProcPtr;
use crate::world::birth;
use crate::world::seat::Seat;
use std::fmt;

errors! {
    /// Why no process was made.
    SpawnError {
        /// The parent has ended.
        NoSuchProcess => ESRCH, "no such process";
        /// The parent takes no more LWPs, and is not the current process.
        Draining => EBUSY, "the process is draining";
        /// Every id is in use.
        IdsExhausted => EAGAIN, "every id is in use";
        /// The user has as many processes as it may.
        Limit => EAGAIN, "the user has as many processes as it may";
        /// The kernel has as many processes as it may.
        KernelFull => EAGAIN, "the kernel has as many processes as it may";
    }
}

/// A new process, before it is made.
#[must_use = "nothing is made until `start`"]
pub struct Spawn<'a, H: Host = ThreadHost> {
    seat: Seat<'a, H>,
    parent: ProcPtr<H>,
    current: Option<&'a Entered<'a, H>>,
    files: Rfork,
    vmspace: Option<H::VmSpace>,
}

impl<'a, H: Host> Spawn<'a, H> {
    pub(crate) fn of_init(seat: Seat<'a, H>) -> Self {
        let parent = seat.world().init;
        Self { seat, parent, current: None, files: Rfork::Fresh, vmspace: None }
    }

    pub(crate) fn of_current(entered: &'a Entered<'_, H>) -> Self {
        let entered: &'a Entered<'a, H> = entered;
        Self {
            seat: entered.share_seat(),
            parent: entered.proc_ptr(),
            current: Some(entered),
            files: Rfork::Share,
            vmspace: None,
        }
    }

    /// What the child does with its parent's descriptors. Default: an LWP's child shares
    /// them, and a child of init that a [`Kernel`](crate::Kernel) makes has none.
    pub fn files(mut self, files: Rfork) -> Self {
        self.files = files;
        self
    }

    /// An address space that the child owns, and drops when it ends.
    pub fn vmspace(mut self, vmspace: H::VmSpace) -> Self {
        self.vmspace = Some(vmspace);
        self
    }

    /// Makes the process, with its first LWP, which is owned and bound to no thread.
    /// Lock-free but for the allocator and the host.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing is made then, and what was given is dropped.
    pub fn start(self) -> Result<Lwp<H>, SpawnError> {
        let Self { seat, parent, current, files, vmspace } = self;
        let table = current.map_or_else(|| seat.world().init_files(), Entered::own_files);
        let lwp = birth::newproc(&seat, parent, (table, files), vmspace)?;
        if let Some(current) = current {
            current.hand_mask_down(&lwp);
        }
        Ok(lwp)
    }
}

impl<H: Host> fmt::Debug for Spawn<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn").field("files", &self.files).finish_non_exhaustive()
    }
}
