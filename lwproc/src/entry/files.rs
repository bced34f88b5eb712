//! The descriptors of the entered thread.
#![allow(unsafe_code)]

use super::Entered;
use super::opened::{FdReservation, FileHandle, FileRef};
use super::view::{view, view_mut};
use crate::errno::errors;
use crate::filedesc::file::FileHold;
use crate::filedesc::link::{Borrowed, TableUse};
use crate::filedesc::slots::FDS_MAX;
use crate::filedesc::table::FdTable;
use crate::filedesc::{CloseRange, Fd, FdError, OnExec, OpenError, number};
use crate::host::Host;
use crate::limits::Resource;
use crate::world::aftermath::Aftermath;
use std::mem::ManuallyDrop;

errors! {
    /// Why an LWP got no descriptor table of its own.
    UnshareError {
        /// An implicit context has no LWP.
        Implicit => EINVAL, "an implicit context has no lwp";
    }
}

/// The slot's number; `None` for one that no table has.
#[inline]
pub(super) fn index(fd: Fd) -> Option<u32> {
    u32::try_from(fd.0).ok().filter(|fd| *fd < FDS_MAX)
}

view! {
    /// Descriptors. They are those of the current process, or of init in an implicit
    /// context; a table may be shared by several processes
    /// ([`Rfork::Share`](crate::Rfork::Share)).
    ///
    /// # Consistency
    /// Each operation on one descriptor takes effect at one moment. A new
    /// descriptor is the lowest that is free; while others open and close in the
    /// same table, each lower one was seen taken, or in the hands of a call that was
    /// still under way, at some moment of the call. Whoever looks a file up while it
    /// is being closed gets the file or EBADF, never a closed file.
    ///
    /// # Closing
    /// A file is closed, that is dropped, by whoever drops the last reference: a
    /// descriptor, a [`FileRef`] or a [`FileHandle`]. It is dropped with no lock and
    /// no guard held, when the descriptor is free already; it may look around in the
    /// kernel. If it panics, the descriptor is closed all the same, and the panic goes
    /// on; where several are closed, each is, and the first panic goes on at the end.
    ///
    /// ```
    /// use lwproc::{Fd, Kernel, OnExec, ThreadHost};
    ///
    /// let kernel = Kernel::builder().host(ThreadHost::<&str>::new()).build()?;
    /// let k = kernel.enter()?;
    /// let log = k.files().open("log", OnExec::Keep)?;
    /// k.files().dup2(log, Fd(2))?;
    /// let file = k.files().get(Fd(2))?; // as long as the borrow of `k`
    /// k.files().close(log)?;
    /// assert_eq!((*file, k.files().list()), ("log", vec![(Fd(2), OnExec::Keep)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Files
}

view_mut! {
    /// Descriptors, for an operation that replaces the table: nothing borrows
    /// what [`Files`] has given out of it.
    FilesMut
}

impl<'k, H: Host> Entered<'k, H> {
    /// The descriptors of the current process.
    #[inline]
    pub fn files(&self) -> Files<'_, H> {
        Files(self)
    }

    /// The same, for what replaces the table: it must not be replaced under a
    /// [`FileRef`] or an [`FdReservation`], which give back to the table of their
    /// context.
    #[inline]
    pub fn files_mut(&mut self) -> FilesMut<'_, 'k, H> {
        FilesMut(self)
    }
}

impl<H: Host> Entered<'_, H> {
    /// The table of this context.
    pub(crate) fn own_files(&self) -> Borrowed<'_, H::File> {
        match self.node() {
            // SAFETY: bound to this thread; replaced by `&mut self` only.
            Some(node) => unsafe { node.files() }
                .expect("an LWP has its use until it is switched away from")
                .borrow(),
            None => self.seat.world().init_files(),
        }
    }

    pub(super) fn fd_table(&self) -> &FdTable<H::File> {
        self.own_files().table()
    }

    /// Gives the use of an LWP that is about to be left for good back, in its
    /// own context: it is still current. A panic of a file goes on in `settle`.
    // Seed: S488-S491.
    #[inline]
    pub(super) fn leave_files(&self) -> Option<Aftermath<H>> {
        let node = self.node().filter(|node| node.word.load().is_exiting())?;
        // SAFETY: bound to this thread; whoever calls this borrows it mutably, so
        // nothing borrows the use.
        let files = unsafe { node.replace_files(None) }?;
        let mut aftermath = Aftermath::none();
        aftermath.close_files(self.seat.me(), files);
        Some(aftermath)
    }

    /// No new descriptor of the current process is as high as this.
    fn nofile(&self) -> u32 {
        let limit = self.resources().limit(Resource::Nofile).soft;
        u32::try_from(limit).map_or(FDS_MAX, |limit| limit.min(FDS_MAX))
    }

    /// Drops a reference; with the last comes the file, to be closed by
    /// dropping it.
    pub(super) fn let_go(&self, hold: FileHold<H::File>) -> Option<H::File> {
        hold.release(|| self.seat.pin())
    }

    #[inline]
    fn hold_file(&self, fd: Fd) -> Result<FileHold<H::File>, FdError> {
        self.hold_if_open(fd).ok_or(FdError::BadFd)
    }

    /// Its answer fits registers, and that of [`Self::hold_file`] does not.
    fn hold_if_open(&self, fd: Fd) -> Option<FileHold<H::File>> {
        Some(self.fd_table().hold(index(fd)?, &self.seat.pin())?.0)
    }

    /// Opens a reference's file at the lowest descriptor from `min` on.
    fn open_held(&self, hold: FileHold<H::File>, on_exec: OnExec, min: u32) -> Result<Fd, FdError> {
        match self.fd_table().open(hold, on_exec, min, self.nofile()) {
            Ok(fd) => Ok(number(fd)),
            Err(hold) => {
                drop(self.let_go(hold));
                Err(FdError::TooMany)
            }
        }
    }

    fn close_where(&self, range: (u32, u32), wanted: impl Fn(OnExec) -> bool) -> Aftermath<H> {
        let mut aftermath = Aftermath::none();
        let close = |file| _ = aftermath.run(|| drop(file));
        self.fd_table().close_range(range, wanted, || self.seat.pin(), close);
        aftermath
    }

    /// See [`FilesMut::close_on_exec`]; a panic of a file goes on in `settle`.
    pub(crate) fn close_on_exec(&mut self) -> Aftermath<H> {
        let mut aftermath = self.unshare_files();
        let closed = self.close_where((0, u32::MAX), |flag| flag == OnExec::Close);
        aftermath.then(closed);
        aftermath
    }

    /// Gives the current LWP, the only one of a process that is draining, a table
    /// that no other process shares.
    fn unshare_files(&mut self) -> Aftermath<H> {
        let mut aftermath = Aftermath::none();
        let Some(node) = self.node() else {
            return aftermath;
        };
        let (proc, word) = (self.proc(), self.proc().word.load());
        let alone = word.is_draining() && word.nlwps() == 1 && !proc.is_permanent();
        if !alone {
            return aftermath;
        }
        // SAFETY: bound to this thread; borrowed mutably, so nothing borrows the use.
        let own = unsafe { node.files_mut() }.as_mut().and_then(TableUse::hand_claim_over);
        if let Some(own) = own {
            // SAFETY: as below; nobody uses the old one in this process.
            unsafe { proc.resources.files.replace(own, || self.seat.pin()) };
        }
        let files = self.own_files();
        if files.table().users() == 1 {
            return aftermath;
        }
        let (copy, link) = files.copy(&self.seat.pin());
        // SAFETY: bound to this thread; borrowed mutably, so nothing borrows the
        // use.
        if let Some(old) = unsafe { node.replace_files(Some(copy)) } {
            aftermath.close_files(self.seat.me(), old);
        }
        // SAFETY: alone, and nobody joins while it drains: only its LWPs could
        // reopen it.
        unsafe { proc.resources.files.replace(link, || self.seat.pin()) };
        aftermath
    }
}

impl<'e, H: Host> Files<'e, H> {
    /// Opens a file: it gets the lowest free descriptor.
    ///
    /// Wait-free but for the allocator; O(open descriptors / 64).
    ///
    /// # Errors
    /// [`FdError::TooMany`] (EMFILE). The error has the file in it.
    #[doc(alias = "fd_open")]
    pub fn open(self, file: H::File, on_exec: OnExec) -> Result<Fd, OpenError<H::File>> {
        let hold = FileHold::new(file);
        match self.0.fd_table().open(hold, on_exec, 0, self.0.nofile()) {
            Ok(fd) => Ok(number(fd)),
            Err(hold) => {
                let file = self.0.let_go(hold).expect("the only reference");
                Err(OpenError::new(FdError::TooMany, file))
            }
        }
    }

    /// Takes the lowest free descriptor, and puts no file in it yet.
    ///
    /// Wait-free but for the allocator; O(open descriptors / 64).
    ///
    /// # Errors
    /// [`FdError::TooMany`] (EMFILE).
    #[doc(alias = "fd_reserve")]
    pub fn reserve(self, on_exec: OnExec) -> Result<FdReservation<'e, H>, FdError> {
        let fd = self.0.fd_table().reserve(self.0.nofile()).ok_or(FdError::TooMany)?;
        Ok(FdReservation { entered: self.0, fd, on_exec })
    }

    /// Opens a file that is open elsewhere, at the lowest free descriptor.
    ///
    /// Wait-free but for the allocator; O(open descriptors / 64).
    ///
    /// # Errors
    /// [`FdError::TooMany`] (EMFILE), [`FdError::WrongKernel`] (EXDEV).
    #[doc(alias = "fd_install")]
    pub fn install(self, file: &FileHandle<H>, on_exec: OnExec) -> Result<Fd, FdError> {
        if !std::ptr::eq(file.anchor.world(), self.0.seat.world()) {
            return Err(FdError::WrongKernel);
        }
        self.0.open_held(file.hold.share(), on_exec, 0)
    }

    /// The file of a descriptor. Lock-free; writes the file's count and nothing
    /// else.
    ///
    /// # Errors
    /// [`FdError::BadFd`] (EBADF).
    #[doc(alias = "fd_get")]
    #[inline]
    pub fn get(self, fd: Fd) -> Result<FileRef<'e, H>, FdError> {
        Ok(FileRef { entered: self.0, hold: ManuallyDrop::new(self.0.hold_file(fd)?) })
    }

    /// Closes a descriptor; with the file's last reference the file, before
    /// this returns. Lock-free.
    ///
    /// # Errors
    /// [`FdError::BadFd`] (EBADF).
    #[doc(alias = "fd_close")]
    pub fn close(self, fd: Fd) -> Result<(), FdError> {
        let fd = index(fd).ok_or(FdError::BadFd)?;
        let closed = {
            let pin = self.0.seat.pin();
            self.0.fd_table().take(fd, &pin)?.release(|| &pin)
        };
        drop(closed);
        Ok(())
    }

    /// Opens a descriptor's file once more, at the lowest free descriptor, which
    /// an exec keeps.
    ///
    /// Lock-free but for the allocator; O(open descriptors / 64).
    ///
    /// # Errors
    /// [`FdError::BadFd`] (EBADF), [`FdError::TooMany`] (EMFILE).
    #[doc(alias = "fd_dup")]
    pub fn dup(self, fd: Fd) -> Result<Fd, FdError> {
        self.0.open_held(self.0.hold_file(fd)?, OnExec::Keep, 0)
    }

    /// As [`Files::dup`], at the lowest free descriptor that is not below
    /// `min` (`F_DUPFD`, `F_DUPFD_CLOEXEC`).
    ///
    /// # Errors
    /// [`FdError::BadFd`] (EBADF); [`FdError::BadMinimum`] (EINVAL): `min` is
    /// negative, or not below the limit; [`FdError::TooMany`] (EMFILE).
    #[doc(alias = "fd_dup_from")]
    pub fn dup_from(self, fd: Fd, min: Fd, on_exec: OnExec) -> Result<Fd, FdError> {
        let hold = self.0.hold_file(fd)?;
        match index(min).filter(|min| *min < self.0.nofile()) {
            Some(min) => self.0.open_held(hold, on_exec, min),
            None => {
                drop(self.0.let_go(hold));
                Err(FdError::BadMinimum)
            }
        }
    }

    /// Makes `new` refer to the file of `old`, and closes what it was before, in
    /// one step; an exec keeps it. When both are the same and open, nothing
    /// changes.
    ///
    /// Lock-free but for the allocator.
    ///
    /// # Errors
    /// [`FdError::BadFd`] (EBADF): `old` is not open, or `new` is negative or not
    /// below the limit. [`FdError::Busy`] (EBUSY): `new` is reserved. Nothing has
    /// changed then.
    #[doc(alias = "fd_dup2")]
    pub fn dup2(self, old: Fd, new: Fd) -> Result<Fd, FdError> {
        if old == new {
            self.on_exec(old)?;
            return Ok(new);
        }
        self.dup3(old, new, OnExec::Keep)
    }

    /// As [`Files::dup2`], with the flag that `new` gets.
    ///
    /// # Errors
    /// As [`Files::dup2`]; [`FdError::SameFd`] (EINVAL): both are the same.
    #[doc(alias = "fd_dup3")]
    pub fn dup3(self, old: Fd, new: Fd, on_exec: OnExec) -> Result<Fd, FdError> {
        if old == new {
            return Err(FdError::SameFd);
        }
        let at = index(new).filter(|new| *new < self.0.nofile()).ok_or(FdError::BadFd)?;
        let hold = self.0.hold_file(old)?;
        let (let_go, result) = {
            let pin = self.0.seat.pin();
            match self.0.fd_table().place(at, hold, on_exec, &pin) {
                Ok(before) => (before.and_then(|before| before.release(|| &pin)), Ok(new)),
                Err(hold) => (hold.release(|| &pin), Err(FdError::Busy)),
            }
        };
        drop(let_go);
        result
    }

    /// What an exec does with a descriptor (`F_GETFD`). Wait-free; writes
    /// nothing.
    ///
    /// # Errors
    /// [`FdError::BadFd`] (EBADF).
    #[doc(alias = "fd_on_exec")]
    pub fn on_exec(self, fd: Fd) -> Result<OnExec, FdError> {
        self.0.fd_table().on_exec(index(fd).ok_or(FdError::BadFd)?)
    }

    /// Sets what an exec does with a descriptor (`F_SETFD`). Lock-free.
    ///
    /// # Errors
    /// [`FdError::BadFd`] (EBADF).
    #[doc(alias = "fd_set_on_exec")]
    pub fn set_on_exec(self, fd: Fd, on_exec: OnExec) -> Result<(), FdError> {
        self.0.fd_table().set_on_exec(index(fd).ok_or(FdError::BadFd)?, on_exec)
    }

    /// Closes the open descriptors from `first` to `last`, or marks them; there
    /// need be none, and `last` may be beyond the limit. Descriptors are taken
    /// one by one, lowest first, and reserved ones are left alone. Lock-free;
    /// O(slots that the table has in the range).
    ///
    /// # Errors
    /// [`FdError::BadRange`] (EINVAL): `first` is negative, or above `last`.
    #[doc(alias = "fd_close_range")]
    pub fn close_range(self, first: Fd, last: Fd, how: CloseRange) -> Result<(), FdError> {
        let (Ok(first), Ok(last)) = (u32::try_from(first.0), u32::try_from(last.0)) else {
            return Err(FdError::BadRange);
        };
        if first > last {
            return Err(FdError::BadRange);
        }
        match how {
            CloseRange::Close => self.0.close_where((first, last), |_| true).settle(),
            CloseRange::SetOnExec => self.0.fd_table().set_range_on_exec(first, last),
        }
        Ok(())
    }

    /// The open descriptors, ascending, and what an exec does with each. Each is
    /// as it was at some moment of the call. Wait-free; O(slots of the table).
    #[doc(alias = "fds")]
    pub fn list(self) -> Vec<(Fd, OnExec)> {
        self.0.fd_table().iter().map(|(fd, on_exec)| (number(fd), on_exec)).collect()
    }

    /// How many LWPs use the table of this context, in all processes that share
    /// it. Wait-free.
    #[doc(alias = "fd_table_users")]
    pub fn table_users(self) -> usize {
        self.0.fd_table().users()
    }
}

impl<H: Host> FilesMut<'_, '_, H> {
    /// Gives the current LWP a descriptor table of its own, with what it has open, unless it
    /// uses one that nobody else does: other LWPs of its process do not see what it opens and
    /// closes from now on. An LWP that it makes in its process shares it; a child has it, or a
    /// copy; an [exec](Entered::exec) by it makes it the process's. What looks at a process by
    /// a handle sees the table of the others. (`unshare` of `CLONE_FILES`.) Lock-free but for
    /// the allocator; O(slots of the table).
    ///
    /// An LWP that others make when all that shared the process's table have gone has an
    /// empty one.
    ///
    /// # Errors
    /// [`UnshareError::Implicit`] (EINVAL).
    // Linux: `unshare_files`.
    pub fn unshare(self) -> Result<(), UnshareError> {
        let k = &*self.0;
        let (Some(node), files) = (k.node(), k.own_files()) else {
            return Err(UnshareError::Implicit);
        };
        if files.table().users() == 1 {
            return Ok(());
        }
        let copy = files.copy_own(&k.seat.pin());
        k.proc().resources.files.part();
        // SAFETY: bound to this thread; borrowed mutably, so nothing borrows the use.
        let old = unsafe { node.replace_files(Some(copy)) }.expect("seen above");
        Aftermath::<H>::collect(|aftermath| aftermath.close_files(k.seat.me(), old));
        Ok(())
    }

    /// Closes what an exec closes. When other processes share the table, a process
    /// that is [draining](Entered::drain) and has one LWP gets a copy of its own
    /// first, so that theirs stay as they are; one that others could still join
    /// closes them in the table that is shared. Lock-free but for the allocator;
    /// O(slots of the table).
    ///
    /// For an exec that the embedder makes, after it has drained the process.
    #[doc(alias = "fd_close_on_exec")]
    pub fn close_on_exec(self) {
        self.0.close_on_exec().settle();
    }
}
