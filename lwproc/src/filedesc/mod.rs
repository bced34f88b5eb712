//! Descriptor tables (`struct filedesc`): what a process has open.
//!
//! ```text
//!   LWP ──use──▶ FdTable ──▶ segments of slots ──reference──▶ FileNode (F)
//!   process ──memory──▶ │                                        ▲
//!                       └─ bitmap: where a search looks first    └─ FileRef, FileHandle
//! ```
//!
//! * A **file** ([`file`]) is the embedder's value and a count: one for each
//!   descriptor and each reference. Whoever drops the last closes it, there and
//!   then; only the memory waits for a grace period.
//! * A **table** ([`table`]) is used by LWPs and counts them: whoever gives the
//!   last use back closes what is open, in its own context. A process points to
//!   its table, which keeps the memory and no use.
//! * **The slot is the authority** on a descriptor. The bitmap only says where
//!   a search looks first ([`table`] has the protocol).
//!
//! A copy of a table is not a snapshot: each entry is as it was when it was passed. One thread
//! always gets the lowest free descriptor; while others work on the table, each lower one was
//! seen taken, or in the hands of a call under way.
#![allow(unsafe_code)]

pub mod file;
pub mod link;
pub mod slots;
pub mod table;

use crate::errno::errors;
use crate::error::ForkError;
use std::fmt;

/// A file descriptor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fd(pub i32);

/// The descriptor of a slot.
pub(crate) fn number(slot: u32) -> Fd {
    Fd(i32::try_from(slot).expect("below 2^20"))
}

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an exec does with a descriptor (`FD_CLOEXEC`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnExec {
    /// It stays open.
    Keep,
    /// It is closed.
    Close,
}

/// What [`close_range`](crate::Files::close_range) does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseRange {
    /// Closes the descriptors.
    Close,
    /// Marks them to be closed by an exec (`CLOSE_RANGE_CLOEXEC`).
    SetOnExec,
}

/// What a new process does with its parent's descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rfork {
    /// Shares them.
    Share,
    /// Copies them (`RUMP_RFFDG`): each descriptor as it is at one moment, not all at
    /// the same one. Where other LWPs of the parent move a file to and fro meanwhile, it
    /// may be in no copy, or in two places of one.
    Copy,
    /// Starts with none (`RUMP_RFCFDG`).
    Fresh,
}

impl Rfork {
    /// From the C flags: 0, `RUMP_RFFDG` = 1, `RUMP_RFCFDG` = 2.
    ///
    /// # Errors
    /// [`ForkError::BadFlags`] (EINVAL): both, or unknown bits.
    pub fn from_flags(flags: i32) -> Result<Self, ForkError> {
        match flags {
            0 => Ok(Self::Share),
            1 => Ok(Self::Copy),
            2 => Ok(Self::Fresh),
            _ => Err(ForkError::BadFlags { flags }),
        }
    }
}

errors! {
    /// Why an operation on descriptors was refused.
    FdError {
        /// The descriptor is not open, or out of range.
        BadFd => EBADF, "bad file descriptor";
        /// Every descriptor that the process may have is taken.
        TooMany => EMFILE, "too many open files";
        /// The least descriptor asked for is negative or beyond the limit.
        BadMinimum => EINVAL, "the least descriptor asked for is out of range";
        /// `dup3` of a descriptor onto itself.
        SameFd => EINVAL, "the descriptors are the same";
        /// A range that is empty or starts below zero.
        BadRange => EINVAL, "bad range of descriptors";
        /// The descriptor is reserved by an open that is under way.
        Busy => EBUSY, "the descriptor is reserved";
        /// The process whose descriptor it is has ended.
        NoSuchProcess => ESRCH, "no such process";
        /// The file is of another kernel.
        WrongKernel => EXDEV, "the file is of another kernel";
    }
}

/// Why a file was not opened. The file comes back in it: nothing is lost, and
/// nothing closed. Turns into the [`FdError`] by `?`, and drops the file then.
pub struct OpenError<F> {
    error: FdError,
    file: F,
}

impl<F> OpenError<F> {
    pub(crate) fn new(error: FdError, file: F) -> Self {
        Self { error, file }
    }

    /// Why.
    pub fn error(&self) -> FdError {
        self.error
    }

    /// The error number a C caller would have got.
    pub fn errno(&self) -> crate::errno::Errno {
        self.error.errno()
    }

    /// The file that was to be opened.
    pub fn into_file(self) -> F {
        self.file
    }
}

impl<F> From<OpenError<F>> for FdError {
    fn from(error: OpenError<F>) -> Self {
        error.error
    }
}

/// The file is dropped, and so closed: [`into_file`](OpenError::into_file) keeps it.
impl<F> From<OpenError<F>> for crate::Errno {
    fn from(error: OpenError<F>) -> Self {
        error.errno()
    }
}

impl<F> fmt::Debug for OpenError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenError").field(&self.error).finish()
    }
}

impl<F> fmt::Display for OpenError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<F> std::error::Error for OpenError<F> {}
