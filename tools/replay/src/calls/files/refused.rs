//! Errors that are about descriptors: what was tried, and why it was refused.

use super::{Attempt, Files};
use super::{copy_to, fd, first, mark, minimum, range};
use crate::calls::kill::{Found, Kill, Target};
use crate::calls::{Call, Cause, Parsed};
use crate::parse::text;
use lwproc::Errno;

/// An error as the replay compares it; `None` for one that no call on descriptors has of its own.
fn errno(name: &[u8]) -> Option<Errno> {
    match name {
        b"EBADF" => Some(Errno::EBADF),
        b"EMFILE" => Some(Errno::EMFILE),
        b"EINVAL" => Some(Errno::EINVAL),
        b"EBUSY" => Some(Errno::EBUSY),
        _ => None,
    }
}

pub(super) fn parse(name: &[u8], args: &[u8], error: &[u8]) -> Parsed {
    if name == b"pidfd_open" && error == b"ESRCH" {
        return no_process(args);
    }
    let about = is_about_descriptors(name, args);
    let found = errno(error).and_then(|errno| {
        let (attempt, or) = match errno {
            _ if about => attempt(name, args)?,
            Errno::EBADF => bad(name, args)?,
            Errno::EMFILE => full(name, args)?,
            _ => return None,
        };
        Some(Files::Refused { attempt, errno, or })
    });
    match found {
        Some(files) => Parsed::Modelled(Call::Files(files)),
        None if about || matches!(error, b"EBADF" | b"EMFILE") => Parsed::Unexplained(Cause::Form),
        None => Parsed::NotModelled,
    }
}

/// The process that was to be opened is not there: as kill would find.
fn no_process(args: &[u8]) -> Parsed {
    match first(args).filter(|pid| *pid > 0) {
        Some(pid) => Parsed::Modelled(Call::Kill(Kill {
            target: Target::Process(pid),
            signal: 0,
            found: Found::NotThere,
        })),
        None => Parsed::Unexplained(Cause::Form),
    }
}

/// Whether every error of the call is about descriptors.
fn is_about_descriptors(name: &[u8], args: &[u8]) -> bool {
    match name {
        b"dup" | b"dup2" | b"dup3" | b"close" | b"close_range" => true,
        b"fcntl" | b"fcntl64" => {
            let what = text::args(args).nth(1);
            matches!(what, Some(b"F_DUPFD" | b"F_DUPFD_CLOEXEC" | b"F_GETFD" | b"F_SETFD"))
        }
        _ => false,
    }
}

/// What such a call tried.
fn attempt(name: &[u8], args: &[u8]) -> Option<(Attempt, Option<Cause>)> {
    let attempt = match name {
        b"dup" => Attempt::Copy { old: first(args)?, min: None },
        b"dup2" | b"dup3" => {
            let (old, new, by) = copy_to(name, args)?;
            Attempt::CopyTo { old, new, by }
        }
        b"close" => Attempt::Close(first(args)?),
        b"close_range" => {
            let (first, last, how, _own) = range(args)?;
            Attempt::Range(first, last, how)
        }
        _ => {
            let mut args = text::args(args);
            let (old, what, arg) = (fd(args.next()?)?, args.next()?, args.next());
            match what {
                b"F_GETFD" => Attempt::GetOnExec(old),
                b"F_SETFD" => Attempt::SetOnExec(old, mark(arg?)?),
                _ => Attempt::Copy { old, min: Some(minimum(arg?)?) },
            }
        }
    };
    Some((attempt, None))
}

/// EBADF of another call: which descriptor, and what else may be wrong with it.
fn bad(name: &[u8], args: &[u8]) -> Option<(Attempt, Option<Cause>)> {
    let surely = match name {
        b"open" | b"creat" | b"pidfd_open" | b"perf_event_open" | b"pipe" | b"pipe2"
        | b"socketpair" => return None,
        // The directory.
        b"openat" | b"openat2" | b"open_tree" | b"fspick" => true,
        b"fstat" | b"fstat64" => true,
        b"fcntl" | b"fcntl64" => text::args(args).nth(1)? == b"F_GETFL",
        _ => false,
    };
    Some((Attempt::Use(first(args)?), (!surely).then_some(Cause::WrongMode)))
}

/// EMFILE of a call that opens. Elsewhere it is about other things.
fn full(name: &[u8], args: &[u8]) -> Option<(Attempt, Option<Cause>)> {
    match name {
        b"inotify_init" | b"inotify_init1" | b"fanotify_init" => {
            Some((Attempt::Open(1), Some(Cause::OtherLimit)))
        }
        b"pipe" | b"pipe2" | b"socketpair" => Some((Attempt::Open(2), None)),
        b"signalfd" | b"signalfd4" if first(args)? >= 0 => None,
        b"ioctl" if text::args(args).nth(1)? != b"TIOCGPTPEER" => None,
        b"open"
        | b"openat"
        | b"openat2"
        | b"creat"
        | b"open_by_handle_at"
        | b"open_tree"
        | b"fsopen"
        | b"fsmount"
        | b"fspick"
        | b"socket"
        | b"accept"
        | b"accept4"
        | b"eventfd"
        | b"eventfd2"
        | b"epoll_create"
        | b"epoll_create1"
        | b"timerfd_create"
        | b"memfd_create"
        | b"memfd_secret"
        | b"signalfd"
        | b"signalfd4"
        | b"perf_event_open"
        | b"userfaultfd"
        | b"pidfd_open"
        | b"pidfd_getfd"
        | b"io_uring_setup"
        | b"mq_open"
        | b"landlock_create_ruleset"
        | b"ioctl" => Some((Attempt::Open(1), None)),
        _ => None,
    }
}
