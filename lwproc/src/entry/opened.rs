//! What a user holds of open files.
#![allow(unsafe_code)]

use super::Entered;
use crate::filedesc::file::FileHold;
use crate::filedesc::{Fd, OnExec, number};
use crate::host::{Host, ThreadHost};
use crate::object::home::Anchor;
use crate::sync::Arc;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// A counted reference to an open file, for as long as the context lasts that
/// got it; the descriptor may be closed meanwhile. Dropping the last reference
/// closes the file, there and then.
///
/// To take it along, see [`FileRef::handle`].
#[must_use = "the file is open at least while this is held"]
pub struct FileRef<'e, H: Host = ThreadHost> {
    pub(super) entered: &'e Entered<'e, H>,
    pub(super) hold: ManuallyDrop<FileHold<H::File>>,
}

impl<H: Host> FileRef<'_, H> {
    /// A handle of the same file. Lock-free.
    pub fn handle(&self) -> FileHandle<H> {
        let hold = ManuallyDrop::new(self.hold.share());
        FileHandle { hold, anchor: self.entered.seat.anchor() }
    }

    /// Whether both refer to one open file (`kcmp`'s `KCMP_FILE`).
    pub fn same_file(&self, other: &FileRef<'_, H>) -> bool {
        self.hold.is(&other.hold)
    }
}

impl<H: Host> Deref for FileRef<'_, H> {
    type Target = H::File;

    fn deref(&self) -> &H::File {
        self.hold.get()
    }
}

impl<H: Host> Drop for FileRef<'_, H> {
    fn drop(&mut self) {
        // SAFETY: once, here.
        let hold = unsafe { ManuallyDrop::take(&mut self.hold) };
        drop(self.entered.let_go(hold));
    }
}

impl<H: Host> fmt::Debug for FileRef<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileRef")
    }
}

/// A counted handle of an open file, to be kept or sent to another thread or
/// process (as by `SCM_RIGHTS`), and [installed](crate::Files::install) there.
/// Dropping the last reference closes the file, there and then.
///
/// It keeps the kernel's memory, also inside another file.
#[must_use = "the file is open at least while this is held"]
pub struct FileHandle<H: Host = ThreadHost> {
    pub(super) hold: ManuallyDrop<FileHold<H::File>>,
    pub(super) anchor: Arc<Anchor<H>>,
}

// SAFETY: counted, and all that it reaches is `Sync`.
unsafe impl<H: Host> Send for FileHandle<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for FileHandle<H> {}

impl<H: Host> Deref for FileHandle<H> {
    type Target = H::File;

    fn deref(&self) -> &H::File {
        self.hold.get()
    }
}

impl<H: Host> Clone for FileHandle<H> {
    fn clone(&self) -> Self {
        Self { hold: ManuallyDrop::new(self.hold.share()), anchor: self.anchor.clone() }
    }
}

impl<H: Host> Drop for FileHandle<H> {
    fn drop(&mut self) {
        // SAFETY: once, here.
        let hold = unsafe { ManuallyDrop::take(&mut self.hold) };
        let seat = self.anchor.world().seat();
        let closed = hold.release(|| seat.pin());
        drop(closed);
    }
}

impl<H: Host> PartialEq for FileHandle<H> {
    fn eq(&self, other: &Self) -> bool {
        self.hold.is(&other.hold)
    }
}
impl<H: Host> Eq for FileHandle<H> {}

impl<H: Host> fmt::Debug for FileHandle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileHandle")
    }
}

/// A descriptor that is taken and has no file in it yet: for an open that must
/// know its number, or that it will have one, first. Until it is filled, no
/// operation finds the descriptor open, and `dup2` onto it is
/// [`FdError::Busy`](crate::FdError::Busy). Dropping it gives the descriptor back.
#[must_use = "dropping it gives the descriptor back"]
pub struct FdReservation<'e, H: Host = ThreadHost> {
    pub(super) entered: &'e Entered<'e, H>,
    pub(super) fd: u32,
    pub(super) on_exec: OnExec,
}

impl<H: Host> FdReservation<'_, H> {
    /// The descriptor it will be.
    pub fn fd(&self) -> Fd {
        number(self.fd)
    }

    /// Opens the file there. Cannot fail. Lock-free but for the allocator.
    pub fn fill(self, file: H::File) -> Fd {
        let this = ManuallyDrop::new(self);
        this.entered.fd_table().fill(this.fd, FileHold::new(file), this.on_exec);
        this.fd()
    }
}

impl<H: Host> Drop for FdReservation<'_, H> {
    fn drop(&mut self) {
        self.entered.fd_table().unreserve(self.fd);
    }
}

impl<H: Host> fmt::Debug for FdReservation<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FdReservation({})", self.fd)
    }
}
