//! Descriptors: new ones, copies, closing, close-on-exec, and calls that only use one.

mod names;
mod read;
mod refused;
#[cfg(test)]
mod tests;

pub use names::NAMES;

use super::{Call, Cause, Parsed};
use crate::parse::{Answer, text};
use lwproc::{CloseRange, Errno, OnExec};

/// Numbers from here on are not replayed.
pub const FD_END: i32 = 1 << 16;

/// How many descriptors one message can carry (SCM_MAX_FD).
const MOST_IN_A_MESSAGE: usize = 253;

/// The call that copies to a given number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyBy {
    /// dup2: a number to itself is no error, and changes nothing.
    Dup2,
    /// dup3, with what an execve does with the copy.
    Dup3(OnExec),
}

impl CopyBy {
    /// What an execve does with the copy.
    pub fn on_exec(self) -> OnExec {
        match self {
            Self::Dup2 => OnExec::Keep,
            Self::Dup3(on_exec) => on_exec,
        }
    }
}

/// What a call gave that its line does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// This number, if it was a descriptor.
    This(i32),
    /// So many at the most.
    UpTo(usize),
}

/// A call that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// To open so many.
    Open(usize),
    /// dup, which has no `min`; F_DUPFD, F_DUPFD_CLOEXEC.
    Copy {
        /// The one to be copied.
        old: i32,
        /// The lowest number wanted.
        min: Option<i32>,
    },
    /// dup2, dup3.
    CopyTo {
        /// The one to be copied.
        old: i32,
        /// The number wanted.
        new: i32,
        /// Which of them.
        by: CopyBy,
    },
    /// close.
    Close(i32),
    /// close_range.
    Range(i32, i32, CloseRange),
    /// F_SETFD.
    SetOnExec(i32, OnExec),
    /// F_GETFD.
    GetOnExec(i32),
    /// A call that uses a descriptor.
    Use(i32),
}

/// A call on descriptors, with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// New descriptors, each at the lowest free number.
    Open {
        /// Their numbers, in order.
        fds: Vec<i32>,
        /// What an execve does with them.
        on_exec: OnExec,
    },
    /// dup, which has no `min`; F_DUPFD, F_DUPFD_CLOEXEC: a copy at the lowest free number from
    /// `min` on.
    Copy {
        /// The one copied.
        old: i32,
        /// The lowest number wanted.
        min: Option<i32>,
        /// The copy.
        new: i32,
        /// What an execve does with the copy.
        on_exec: OnExec,
    },
    /// dup2, dup3: a copy at a given number, closing what was there.
    CopyTo {
        /// The one copied.
        old: i32,
        /// The number wanted.
        new: i32,
        /// The number that the call gave.
        gave: i32,
        /// Which of them.
        by: CopyBy,
    },
    /// close of a descriptor that was open.
    Close(i32),
    /// close_range without CLOSE_RANGE_CLOEXEC.
    CloseRange(i32, i32),
    /// close_range with CLOSE_RANGE_CLOEXEC.
    MarkRange(i32, i32),
    /// F_SETFD.
    SetOnExec(i32, OnExec),
    /// F_GETFD.
    GetOnExec(i32, OnExec),
    /// A call that could only succeed on an open descriptor.
    Used(i32),
    /// A call that may have given descriptors without showing them.
    Unseen {
        /// The descriptor that it used.
        used: Option<i32>,
        /// What it may have given.
        given: Given,
    },
    /// The caller gets a table of its own (unshare, CLOSE_RANGE_UNSHARE), and does this to a
    /// range of it. Linking a plan leaves none: one that is alone has such a table already.
    Part(Option<(i32, i32, CloseRange)>),
    /// An error. It changes nothing.
    Refused {
        /// What was tried.
        attempt: Attempt,
        /// The error.
        errno: Errno,
        /// What else may have caused it where the kernel says otherwise.
        or: Option<Cause>,
    },
}

impl Files {
    /// Whether the call changes nothing.
    pub fn is_question(&self) -> bool {
        matches!(self, Self::GetOnExec(..) | Self::Used(_) | Self::Refused { .. })
    }

    /// Closes or marks a range.
    pub fn range(first: i32, last: i32, how: CloseRange) -> Self {
        match how {
            CloseRange::Close => Self::CloseRange(first, last),
            CloseRange::SetOnExec => Self::MarkRange(first, last),
        }
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let files = match answer {
        Answer::None => return Parsed::Unanswered,
        // Whatever else a close says, the descriptor is gone.
        Answer::Error(b"EINTR" | b"EIO" | b"ENOSPC" | b"EDQUOT") if name == b"close" => {
            first(args).map(Files::Close)
        }
        Answer::Error(errno) => return refused::parse(name, args, errno),
        Answer::Value(_) if name == b"unshare" => match text::has_flag(args, b"CLONE_FILES") {
            true => Some(Files::Part(None)),
            false => return Parsed::NotModelled,
        },
        Answer::Value(0) if matches!(name, b"bpf" | b"seccomp") => return Parsed::NotModelled,
        Answer::Value(value) => read::answered(name, args, value),
    };
    match files {
        Some(files) if in_reach(&files) => Parsed::Modelled(Call::Files(files)),
        Some(_) => Parsed::Unexplained(Cause::HighDescriptor),
        None => Parsed::Unexplained(Cause::Form),
    }
}

/// A descriptor; with strace's `-y`, what it refers to follows the number.
fn fd(text: &[u8]) -> Option<i32> {
    text::number(text.split(|byte| *byte == b'<').next()?)
}

fn first(args: &[u8]) -> Option<i32> {
    fd(text::args(args).next()?)
}

/// The two numbers and the flags of dup2 and dup3; `None` for flags that are none of dup3's.
fn copy_to(name: &[u8], args: &[u8]) -> Option<(i32, i32, CopyBy)> {
    let mut args = text::args(args);
    let (old, new) = (fd(args.next()?)?, fd(args.next()?)?);
    let by = match (name, args.next()) {
        (b"dup2", _) => CopyBy::Dup2,
        (_, Some(b"0")) => CopyBy::Dup3(OnExec::Keep),
        (_, Some(b"O_CLOEXEC")) => CopyBy::Dup3(OnExec::Close),
        _ => return None,
    };
    Some((old, new, by))
}

/// The lowest number of a F_DUPFD; one above all numbers is as good as the last.
fn minimum(text: &[u8]) -> Option<i32> {
    match text::int(text) {
        Some(number) => Some(number.try_into().unwrap_or(i32::MAX)),
        None => text.iter().all(u8::is_ascii_digit).then_some(i32::MAX),
    }
}

/// The mark that F_SETFD sets: its other bits mean nothing.
fn mark(text: &[u8]) -> Option<OnExec> {
    let bits = text::int(text.split(|byte| b" |".contains(byte)).next()?);
    let close = match bits {
        Some(bits) => bits & 1 != 0,
        None => text::has_flag(text, b"FD_CLOEXEC"),
    };
    Some(if close { OnExec::Close } else { OnExec::Keep })
}

/// First, last, what is done, and whether in a table of the caller's own; `None` for flags that
/// are none.
fn range(args: &[u8]) -> Option<(i32, i32, CloseRange, Own)> {
    let mut args = text::args(args);
    let mut number = || {
        let number = u32::try_from(text::int(args.next()?)?).ok()?;
        // ~0U, the end of all numbers, is a common last one.
        Some(i32::try_from(number).unwrap_or(i32::MAX))
    };
    let (first, last) = (number()?, number()?);
    let (mut how, mut own) = (CloseRange::Close, Own::No);
    for flag in args.next()?.split(|byte| *byte == b'|') {
        match flag {
            b"0" => {}
            b"CLOSE_RANGE_CLOEXEC" => how = CloseRange::SetOnExec,
            b"CLOSE_RANGE_UNSHARE" => own = Own::Yes,
            _ => return None,
        }
    }
    Some((first, last, how, own))
}

/// Whether a close_range has CLOSE_RANGE_UNSHARE.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Yes,
    No,
}

/// Whether every number can be in a table of ours.
fn in_reach(files: &Files) -> bool {
    let fits = |fd: &i32| (0..FD_END).contains(fd);
    match files {
        Files::Open { fds, .. } => fds.iter().all(fits),
        Files::Copy { old, new, .. } | Files::CopyTo { old, new, .. } => fits(old) && fits(new),
        Files::Close(fd) | Files::SetOnExec(fd, _) | Files::GetOnExec(fd, _) | Files::Used(fd) => {
            fits(fd)
        }
        // What is out of reach is not open.
        Files::CloseRange(..)
        | Files::MarkRange(..)
        | Files::Part(_)
        | Files::Unseen { .. }
        | Files::Refused { .. } => true,
    }
}
