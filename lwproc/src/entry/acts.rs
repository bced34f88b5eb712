//! Acting on a process that one is not: by its handle, with nobody's rights but those that
//! its holder has.

use super::files::index;
use super::opened::FileHandle;
use crate::errno::errors;
use crate::error::NewLwpError;
use crate::filedesc::{Fd, FdError};
use crate::handles::proc::ProcHandle;
use crate::handles::spawn::Spawn;
use crate::host::Host;
use crate::id::Pid;
use crate::object::proc_word::Exiting;
use crate::object::status::ExitStatus;
use crate::ops::newlwp::{self, Maker};
use crate::ops::owned::Lwp;
use crate::ops::{drain, regroup};
use crate::pgrp::GroupError;
use crate::world::aftermath::Aftermath;
use std::mem::ManuallyDrop;

errors! {
    /// Why a process was not ended.
    EndError {
        /// proc0 and init do not end.
        Permanent => EPERM, "the process never ends";
        /// It has ended, or exits as a whole: how is said already.
        Ended => ESRCH, "the process has ended, or is exiting";
    }
}

/// # Acting on it
/// A handle is a right to its process: whoever holds it may make LWPs and children of it,
/// move it to another group, take its files, and end it. Who may hold one is the embedder's
/// to say.
impl<H: Host> ProcHandle<H> {
    /// A new child of the process, made by a builder: [`Spawn`]. It shares the parent's
    /// descriptors, unless [`Spawn::files`] says otherwise. The process cannot end while
    /// [`Spawn::start`] runs: it counts as one LWP more. Wait-free.
    pub fn spawn(&self) -> Spawn<'_, H> {
        Spawn::of_handle(self)
    }

    /// A new LWP in the process; never in another one that got the same pid later. It
    /// is owned, bound to no thread, and blocks nothing.
    ///
    /// Lock-free but for the allocator and [`Host::create`].
    ///
    /// # Errors
    /// [`NewLwpError::NoSuchProcess`] (ESRCH): it has ended.
    /// [`NewLwpError::Draining`] (EBUSY); EAGAIN as [`Entered::new_lwp`](crate::Entered::new_lwp).
    #[doc(alias = "alloclwp_in")]
    pub fn new_lwp(&self) -> Result<Lwp<H>, NewLwpError> {
        let seat = self.anchor().seat();
        let pin = seat.pin();
        newlwp::makelwp(&seat, self.ptr(), self.node(), &pin, &Maker::NONE, || {
            self.anchor().clone()
        })
    }

    /// Ends the process as a whole with that status, whoever runs as it: it takes no more
    /// LWPs, those that nobody owns are freed here, and the others are told
    /// ([`Entered::must_exit`](crate::Entered::must_exit)), and woken. Where nothing runs
    /// the process has ended when this returns; else when the last owner of an LWP of it
    /// has seen that, and lets it go.
    ///
    /// As dropping an [`Lwp`], for each parked one; O(LWPs). If the host panics in one of
    /// them, the others are freed all the same, and then the first panic goes on.
    ///
    /// # Errors
    /// Nothing has changed then. [`EndError::Permanent`] (EPERM): proc0 and init.
    /// [`EndError::Ended`] (ESRCH): it has ended, or somebody ended it as a whole before.
    pub fn end(&self, status: ExitStatus) -> Result<(), EndError> {
        if self.node().is_permanent() {
            return Err(EndError::Permanent);
        }
        let seat = self.anchor().seat();
        let mut aftermath = Aftermath::none();
        // The LWPs go when the pin has gone, which would keep what they were.
        let parked = drain::end(self.node(), status, &seat.pin(), &mut aftermath);
        let done = parked.map_err(|Exiting| EndError::Ended);
        let done = done.map(|all| aftermath.end(all, seat.world().end_doomed));
        drop(seat);
        aftermath.settle();
        done
    }

    /// Moves the process into a group, as its parent could by
    /// [`Groups::setpgid`](crate::Groups::setpgid). `pgid` 0 is its own number. Lock-free
    /// but for the allocator.
    ///
    /// # Errors
    /// Nothing has changed then.
    /// * [`GroupError::BadNumber`] (EINVAL): `pgid` is negative.
    /// * [`GroupError::NoSuchProcess`] (ESRCH): the process has ended.
    /// * [`GroupError::HasExeced`] (EACCES): it has run another program.
    /// * [`GroupError::SessionLeader`], [`GroupError::OtherSession`],
    ///   [`GroupError::NoSuchGroup`] (EPERM): it leads a session; it is not in its
    ///   parent's session, or the group is not; there is no such group.
    pub fn setpgid(&self, pgid: Pid) -> Result<(), GroupError> {
        let seat = self.anchor().seat();
        regroup::setpgid_of(seat.world(), seat.me(), self.node(), pgid)
    }

    /// A handle of the file that the process has at a descriptor (`pidfd_getfd`), to be
    /// [installed](crate::Files::install) elsewhere. Lock-free.
    ///
    /// # Errors
    /// [`FdError::NoSuchProcess`] (ESRCH): the process has ended.
    /// [`FdError::BadFd`] (EBADF): the descriptor is not open.
    #[doc(alias = "pidfd_getfd")]
    pub fn take_file(&self, fd: Fd) -> Result<FileHandle<H>, FdError> {
        if !self.is_alive() {
            return Err(FdError::NoSuchProcess);
        }
        let seat = self.anchor().seat();
        let pin = seat.pin();
        let table = self.node().resources.files.get(&pin).ok_or(FdError::NoSuchProcess)?;
        let (hold, _) = index(fd).and_then(|fd| table.hold(fd, &pin)).ok_or(FdError::BadFd)?;
        Ok(FileHandle { hold: ManuallyDrop::new(hold), anchor: self.anchor().clone() })
    }
}
