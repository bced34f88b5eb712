//! Open files, and the two kinds that come with the crate: a null device and pipes.

use lwproc::{Errno, WaitChannel};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// `O_NONBLOCK`, NetBSD's `sys/sys/fcntl.h`.
pub const O_NONBLOCK: u32 = 0x4;
/// `O_APPEND`, as above.
pub const O_APPEND: u32 = 0x8;
/// `O_ASYNC`, as above.
pub const O_ASYNC: u32 = 0x40;
/// `O_NOSIGPIPE`, as above.
pub const O_NOSIGPIPE: u32 = 0x0100_0000;
/// What `F_SETFL` can change.
pub const SETTABLE: u32 = O_NONBLOCK | O_APPEND | O_ASYNC | O_NOSIGPIPE;

/// What may be done with an open file (`O_ACCMODE`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// `O_RDONLY`.
    Read = 0,
    /// `O_WRONLY`.
    Write = 1,
    /// `O_RDWR`.
    Both = 2,
}

/// What a file does. No call may block: what has nothing to give yet says so, and wakes its
/// channel when it has.
pub trait File: Send + Sync + 'static {
    /// Takes at most that many bytes out; none at the end. `None`: there may be some later.
    fn try_read(&self, most: usize) -> Option<Result<Vec<u8>, Errno>>;

    /// Puts bytes in: how many. `None`: there may be room later.
    fn try_write(&self, bytes: &[u8]) -> Option<Result<usize, Errno>>;

    /// Woken when there may be something to read. A file without is never waited for.
    fn readable(&self) -> Option<&WaitChannel> {
        None
    }

    /// Woken when there may be room.
    fn writable(&self) -> Option<&WaitChannel> {
        None
    }
}

/// An open file: what descriptors refer to, in all processes that have it.
pub struct OpenFile {
    file: Box<dyn File>,
    access: Access,
    /// Of [`SETTABLE`].
    flags: AtomicU32,
}

impl OpenFile {
    /// A file that is opened in that way, with those flags out of [`SETTABLE`].
    pub fn new(file: impl File, access: Access, flags: u32) -> Self {
        Self { file: Box::new(file), access, flags: AtomicU32::new(flags & SETTABLE) }
    }

    /// The file, for reading.
    ///
    /// # Errors
    /// EBADF.
    pub fn reader(&self) -> Result<&dyn File, Errno> {
        if self.access == Access::Write { Err(Errno::EBADF) } else { Ok(&*self.file) }
    }

    /// The file, for writing.
    ///
    /// # Errors
    /// EBADF.
    pub fn writer(&self) -> Result<&dyn File, Errno> {
        if self.access == Access::Read { Err(Errno::EBADF) } else { Ok(&*self.file) }
    }

    /// The access and the flags (`F_GETFL`).
    pub fn status(&self) -> u32 {
        self.access as u32 | self.flags()
    }

    /// The flags.
    pub fn flags(&self) -> u32 {
        // Relaxed: nothing is published by a flag.
        self.flags.load(Relaxed)
    }

    /// Replaces the flags of `mask`.
    pub fn set_flags(&self, mask: u32, flags: u32) {
        let mask = mask & SETTABLE;
        // Relaxed: as above.
        let _ = self.flags.fetch_update(Relaxed, Relaxed, |old| Some(old & !mask | flags & mask));
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({:?} {:#x})", self.access, self.flags())
    }
}

/// `/dev/null`.
#[derive(Clone, Copy, Debug)]
pub struct Null;

impl File for Null {
    fn try_read(&self, _most: usize) -> Option<Result<Vec<u8>, Errno>> {
        Some(Ok(Vec::new()))
    }

    fn try_write(&self, bytes: &[u8]) -> Option<Result<usize, Errno>> {
        Some(Ok(bytes.len()))
    }
}

/// `/dev/zero`.
#[derive(Clone, Copy, Debug)]
pub struct Zero;

impl File for Zero {
    fn try_read(&self, most: usize) -> Option<Result<Vec<u8>, Errno>> {
        Some(Ok(vec![0; most]))
    }

    fn try_write(&self, bytes: &[u8]) -> Option<Result<usize, Errno>> {
        Some(Ok(bytes.len()))
    }
}
