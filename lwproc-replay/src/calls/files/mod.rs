//! Descriptors: new ones, copies, closing, close-on-exec, and calls that only use one.

mod names;

pub use names::NAMES;

use super::{Call, Parsed};
use crate::parse::{Answer, text};
use lwproc::OnExec;

/// Numbers from here on are not replayed.
pub const FD_END: i32 = 1 << 16;

/// What an EBADF tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The descriptor is not open.
    Surely,
    /// It is not open, or it is open in a mode that the call cannot use.
    OrWrongMode,
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
    /// dup, F_DUPFD, F_DUPFD_CLOEXEC: a copy at the lowest free number from `min` on.
    Copy {
        /// The one copied.
        old: i32,
        /// The lowest number wanted.
        min: i32,
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
        /// What an execve does with the copy. dup2 of a number to itself changes nothing.
        on_exec: OnExec,
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
    /// EBADF, from whatever call.
    NotOpen(i32, Closed),
    /// EMFILE: there are fewer free numbers than that.
    Full(usize),
}

impl Files {
    /// Whether the call changes nothing.
    pub fn is_question(&self) -> bool {
        matches!(self, Self::GetOnExec(..) | Self::Used(_) | Self::NotOpen(..) | Self::Full(_))
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let files = match answer {
        Answer::None => return Parsed::Unanswered,
        Answer::Error(b"EBADF") => not_open(name, args),
        Answer::Error(b"EMFILE") => full(name),
        // Whatever else a close says, the descriptor is gone.
        Answer::Error(b"EINTR" | b"EIO" | b"ENOSPC" | b"EDQUOT") if name == b"close" => {
            first(args).map(Files::Close)
        }
        Answer::Error(_) => None,
        Answer::Value(value) => answered(name, args, value),
    };
    files.filter(in_reach).map_or(Parsed::NotModelled, |files| Parsed::Modelled(Call::Files(files)))
}

/// A descriptor; with strace's `-y`, what it refers to follows the number.
fn fd(text: &[u8]) -> Option<i32> {
    text::number(text.split(|byte| *byte == b'<').next()?)
}

fn first(args: &[u8]) -> Option<i32> {
    fd(text::args(args).next()?)
}

/// Whether every number can be in a table of ours.
fn in_reach(files: &Files) -> bool {
    let fits = |fd: &i32| (0..FD_END).contains(fd);
    match files {
        Files::Open { fds, .. } => fds.iter().all(fits),
        Files::Copy { old, min, new, .. } => [old, min, new].into_iter().all(fits),
        Files::CopyTo { old, new, .. } => fits(old) && fits(new),
        Files::CloseRange(first, last) | Files::MarkRange(first, last) => {
            fits(first) && first <= last
        }
        Files::Close(fd) | Files::SetOnExec(fd, _) | Files::GetOnExec(fd, _) | Files::Used(fd) => {
            fits(fd)
        }
        // What is out of reach is not open.
        Files::NotOpen(..) | Files::Full(_) => true,
    }
}

fn not_open(name: &[u8], args: &[u8]) -> Option<Files> {
    let closed = match name {
        // Their EBADF may be that of a directory, or of a target out of range.
        b"open" | b"openat" | b"openat2" | b"creat" | b"open_tree" | b"open_by_handle_at" => {
            return None;
        }
        b"pidfd_open" | b"perf_event_open" | b"pipe" | b"pipe2" | b"socketpair" => return None,
        b"dup2" | b"dup3" => {
            let mut fds = text::args(args).map_while(fd);
            let old = fds.next()?;
            let new = fds.next()?;
            return (0..1024).contains(&new).then_some(Files::NotOpen(old, Closed::Surely));
        }
        b"close" | b"dup" | b"fstat" | b"fstat64" => Closed::Surely,
        b"fcntl" | b"fcntl64" => match text::args(args).nth(1)? {
            b"F_DUPFD" | b"F_DUPFD_CLOEXEC" | b"F_GETFD" | b"F_SETFD" | b"F_GETFL" => {
                Closed::Surely
            }
            _ => Closed::OrWrongMode,
        },
        _ => Closed::OrWrongMode,
    };
    Some(Files::NotOpen(first(args)?, closed))
}

/// Elsewhere EMFILE is about other things, or about part of the table.
fn full(name: &[u8]) -> Option<Files> {
    match name {
        b"open" | b"openat" | b"creat" | b"socket" | b"accept" | b"accept4" | b"dup"
        | b"eventfd2" | b"epoll_create1" => Some(Files::Full(1)),
        b"pipe" | b"pipe2" | b"socketpair" => Some(Files::Full(2)),
        _ => None,
    }
}

fn answered(name: &[u8], args: &[u8], value: i64) -> Option<Files> {
    let value = i32::try_from(value).ok();
    match name {
        b"pipe" => pair(args, 0, OnExec::Keep),
        b"pipe2" => pair(args, 0, flag(args)),
        b"socketpair" => pair(args, 3, flag(args)),
        b"dup" => {
            Some(Files::Copy { old: first(args)?, min: 0, new: value?, on_exec: OnExec::Keep })
        }
        b"dup2" | b"dup3" => {
            let mut fds = text::args(args).map_while(fd);
            let (old, new) = (fds.next()?, fds.next()?);
            let on_exec = if name == b"dup3" { flag(args) } else { OnExec::Keep };
            (value == Some(new)).then_some(Files::CopyTo { old, new, on_exec })
        }
        b"fcntl" | b"fcntl64" => fcntl(args, value),
        b"close" => Some(Files::Close(first(args)?)),
        b"close_range" => close_range(args),
        b"recvmsg" => received(args),
        // With a descriptor, they change it and return it.
        b"signalfd" | b"signalfd4" if first(args)? >= 0 => Some(Files::Used(first(args)?)),
        b"open" | b"openat" | b"openat2" | b"creat" | b"open_by_handle_at" | b"open_tree"
        | b"fsopen" | b"fsmount" | b"fspick" | b"socket" | b"accept" | b"accept4" | b"eventfd"
        | b"eventfd2" | b"epoll_create" | b"epoll_create1" | b"timerfd_create"
        | b"memfd_create" | b"memfd_secret" | b"inotify_init" | b"inotify_init1" | b"signalfd"
        | b"signalfd4" | b"perf_event_open" | b"fanotify_init" | b"userfaultfd" => {
            Some(Files::Open { fds: vec![value?], on_exec: flag(args) })
        }
        b"pidfd_open"
        | b"pidfd_getfd"
        | b"io_uring_setup"
        | b"mq_open"
        | b"landlock_create_ruleset" => {
            Some(Files::Open { fds: vec![value?], on_exec: OnExec::Close })
        }
        _ => Some(Files::Used(first(args)?)),
    }
}

/// `..._CLOEXEC` among the flags; a string may hold anything.
fn flag(args: &[u8]) -> OnExec {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let has =
        |text: &[u8]| text.split(|byte| !is_word(byte)).any(|word| word.ends_with(b"_CLOEXEC"));
    let mut flags = text::args(args).filter(|arg| !arg.starts_with(b"\""));
    if flags.any(has) { OnExec::Close } else { OnExec::Keep }
}

/// `[3, 4]`.
fn list(text: &[u8]) -> Option<Vec<i32>> {
    let inner = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
    text::args(inner).map(fd).collect()
}

fn pair(args: &[u8], at: usize, on_exec: OnExec) -> Option<Files> {
    let fds = list(text::args(args).nth(at)?)?;
    (fds.len() == 2).then_some(Files::Open { fds, on_exec })
}

fn fcntl(args: &[u8], value: Option<i32>) -> Option<Files> {
    let mut args = text::args(args);
    let old = fd(args.next()?)?;
    let copy = |min: Option<&[u8]>, on_exec| {
        Some(Files::Copy { old, min: text::number(min?)?, new: value?, on_exec })
    };
    match args.next()? {
        b"F_DUPFD" => copy(args.next(), OnExec::Keep),
        b"F_DUPFD_CLOEXEC" => copy(args.next(), OnExec::Close),
        b"F_SETFD" => match args.next()? {
            b"0" => Some(Files::SetOnExec(old, OnExec::Keep)),
            b"FD_CLOEXEC" => Some(Files::SetOnExec(old, OnExec::Close)),
            _ => None,
        },
        b"F_GETFD" => match value? {
            0 => Some(Files::GetOnExec(old, OnExec::Keep)),
            1 => Some(Files::GetOnExec(old, OnExec::Close)),
            _ => None,
        },
        _ => Some(Files::Used(old)),
    }
}

fn close_range(args: &[u8]) -> Option<Files> {
    let mut args = text::args(args);
    let mut number = || text::int(args.next()?);
    let (first, last) = (number()?, number()?);
    let first = i32::try_from(first).ok()?;
    // ~0U, the end of all numbers, is a common last one.
    let last = i32::try_from(last).unwrap_or(i32::MAX);
    match args.next()? {
        b"0" => Some(Files::CloseRange(first, last)),
        b"CLOSE_RANGE_CLOEXEC" => Some(Files::MarkRange(first, last)),
        // CLOSE_RANGE_UNSHARE gives the caller a table of its own.
        _ => None,
    }
}

/// Descriptors in the control data; without, the socket was used.
fn received(args: &[u8]) -> Option<Files> {
    let mut args = text::args(args);
    let socket = fd(args.next()?)?;
    let message = args.next()?;
    let Some(at) = text::find(message, b"cmsg_type=SCM_RIGHTS") else {
        return Some(Files::Used(socket));
    };
    let data = &message[at..];
    let data = &data[text::find(data, b"cmsg_data=")? + b"cmsg_data=".len()..];
    let end = data.iter().position(|byte| *byte == b']')?;
    let on_exec = match args.next() {
        Some(flags) if text::has_flag(flags, b"MSG_CMSG_CLOEXEC") => OnExec::Close,
        _ => OnExec::Keep,
    };
    Some(Files::Open { fds: list(&data[..=end])?, on_exec })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(call: &str) -> Option<Files> {
        let line = crate::parse::Line::parse(call.as_bytes()).expect("a line");
        let crate::parse::What::Call { name, args, answer } = line.what else {
            panic!("{call}: no call");
        };
        match parse(name, args, answer) {
            Parsed::Modelled(Call::Files(files)) => Some(files),
            _ => None,
        }
    }

    fn open(fds: &[i32], on_exec: OnExec) -> Option<Files> {
        Some(Files::Open { fds: fds.to_vec(), on_exec })
    }

    #[test]
    fn every_family_is_read() {
        let is_known = |name: &&str| super::super::family(name.as_bytes()).is_some();
        assert!(NAMES.iter().all(is_known));
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len(), "a name twice");
    }

    #[test]
    fn new_descriptors() {
        use OnExec::{Close, Keep};
        assert_eq!(of("openat(AT_FDCWD, \"a\", O_RDONLY|O_CLOEXEC) = 3"), open(&[3], Close));
        assert_eq!(of("openat(AT_FDCWD, \"O_CLOEXEC\", O_RDONLY) = 3"), open(&[3], Keep));
        assert_eq!(of("openat(AT_FDCWD, \"a\", O_RDONLY) = 3</etc/pass wd>"), open(&[3], Keep));
        assert_eq!(of("creat(\"a\", 0644) = 3"), open(&[3], Keep));
        assert_eq!(of("pipe([3, 4]) = 0"), open(&[3, 4], Keep));
        assert_eq!(of("pipe2([3, 4], O_CLOEXEC) = 0"), open(&[3, 4], Close));
        assert_eq!(of("pipe2([3<pipe:[1]>, 4<pipe:[1]>], 0) = 0"), open(&[3, 4], Keep));
        assert_eq!(
            of("socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, [5, 6]) = 0"),
            open(&[5, 6], Close)
        );
        assert_eq!(of("accept4(3, NULL, NULL, SOCK_CLOEXEC) = 5"), open(&[5], Close));
        assert_eq!(of("eventfd2(0, EFD_CLOEXEC|EFD_NONBLOCK) = 4"), open(&[4], Close));
        assert_eq!(of("epoll_create(8) = 4"), open(&[4], Keep));
        assert_eq!(of("pidfd_open(77, 0) = 4"), open(&[4], Close));
        assert_eq!(of("signalfd4(-1, [INT], 8, SFD_CLOEXEC) = 4"), open(&[4], Close));
        assert_eq!(of("signalfd4(4, [INT], 8, SFD_CLOEXEC) = 4"), Some(Files::Used(4)));
        assert_eq!(of("openat(AT_FDCWD, \"a\", O_RDONLY) = -1 ENOENT (No such file)"), None);
        assert_eq!(of("openat(AT_FDCWD, \"a\", O_RDONLY) = 65536"), None);
    }

    #[test]
    fn received_descriptors() {
        let message = |flags| {
            of(&format!(
                "recvmsg(3, {{msg_name=NULL, msg_control=[{{cmsg_len=24, cmsg_level=SOL_SOCKET, \
                 cmsg_type=SCM_RIGHTS, cmsg_data=[6, 7]}}], msg_flags=0}}, {flags}) = 1"
            ))
        };
        assert_eq!(message("0"), open(&[6, 7], OnExec::Keep));
        assert_eq!(message("MSG_CMSG_CLOEXEC"), open(&[6, 7], OnExec::Close));
        assert_eq!(of("recvmsg(3, {msg_name=NULL, msg_flags=0}, 0) = 1"), Some(Files::Used(3)));
    }

    #[test]
    fn copies() {
        let copy = |old, min, new, on_exec| Some(Files::Copy { old, min, new, on_exec });
        assert_eq!(of("dup(3) = 4"), copy(3, 0, 4, OnExec::Keep));
        assert_eq!(of("fcntl(3, F_DUPFD, 10) = 11"), copy(3, 10, 11, OnExec::Keep));
        assert_eq!(of("fcntl(3, F_DUPFD_CLOEXEC, 10) = 11"), copy(3, 10, 11, OnExec::Close));
        let copy_to = |old, new, on_exec| Some(Files::CopyTo { old, new, on_exec });
        assert_eq!(of("dup2(3, 1) = 1"), copy_to(3, 1, OnExec::Keep));
        assert_eq!(of("dup3(3, 1, O_CLOEXEC) = 1"), copy_to(3, 1, OnExec::Close));
        assert_eq!(of("dup2(3, 1) = 2"), None);
    }

    #[test]
    fn marks() {
        assert_eq!(
            of("fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)"),
            Some(Files::GetOnExec(3, OnExec::Close))
        );
        assert_eq!(of("fcntl(3, F_GETFD) = 0"), Some(Files::GetOnExec(3, OnExec::Keep)));
        assert_eq!(
            of("fcntl(3, F_SETFD, FD_CLOEXEC) = 0"),
            Some(Files::SetOnExec(3, OnExec::Close))
        );
        assert_eq!(of("fcntl(3, F_SETFD, 0) = 0"), Some(Files::SetOnExec(3, OnExec::Keep)));
        assert_eq!(
            of("fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)"),
            Some(Files::Used(3))
        );
    }

    #[test]
    fn closing() {
        assert_eq!(of("close(3) = 0"), Some(Files::Close(3)));
        assert_eq!(of("close(3) = -1 EINTR (Interrupted system call)"), Some(Files::Close(3)));
        assert_eq!(of("close_range(3, 4294967295, 0) = 0"), Some(Files::CloseRange(3, i32::MAX)));
        assert_eq!(of("close_range(3, 0xffffffff, 0) = 0"), Some(Files::CloseRange(3, i32::MAX)));
        assert_eq!(of("close_range(3, 9, CLOSE_RANGE_CLOEXEC) = 0"), Some(Files::MarkRange(3, 9)));
        assert_eq!(of("close_range(3, 9, CLOSE_RANGE_UNSHARE) = 0"), None);
        assert_eq!(of("close_range(9, 3, 0) = 0"), None);
    }

    #[test]
    fn what_a_bad_descriptor_tells() {
        let bad = |call: &str| of(&format!("{call} = -1 EBADF (Bad file descriptor)"));
        assert_eq!(bad("close(3)"), Some(Files::NotOpen(3, Closed::Surely)));
        assert_eq!(bad("close(-1)"), Some(Files::NotOpen(-1, Closed::Surely)));
        assert_eq!(bad("fstat(3, 0x7f)"), Some(Files::NotOpen(3, Closed::Surely)));
        assert_eq!(bad("fcntl(3, F_GETFD)"), Some(Files::NotOpen(3, Closed::Surely)));
        assert_eq!(bad("fcntl(3, F_SETLK, {})"), Some(Files::NotOpen(3, Closed::OrWrongMode)));
        assert_eq!(bad("read(3, 0x7f, 9)"), Some(Files::NotOpen(3, Closed::OrWrongMode)));
        assert_eq!(bad("dup2(3, 1)"), Some(Files::NotOpen(3, Closed::Surely)));
        assert_eq!(bad("dup2(3, 5000000)"), None);
        assert_eq!(bad("openat(3, \"a\", O_RDONLY)"), None);
        let full = |call: &str| of(&format!("{call} = -1 EMFILE (Too many open files)"));
        assert_eq!(full("dup(3)"), Some(Files::Full(1)));
        assert_eq!(full("pipe2(0x7f, 0)"), Some(Files::Full(2)));
        assert_eq!(full("inotify_init1(0)"), None);
        assert_eq!(of("read(3, \"a\", 9) = 1"), Some(Files::Used(3)));
        assert_eq!(of("write(3, \"a\", 1) = -1 EPIPE (Broken pipe)"), None);
    }
}
