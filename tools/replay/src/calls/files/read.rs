//! Calls on descriptors that succeeded.

use super::{Files, Given, MOST_IN_A_MESSAGE, Own};
use super::{copy_to, fd, first, mark, minimum, range};
use crate::parse::text;
use lwproc::OnExec;

/// O_CLOEXEC where strace prints a number.
const O_CLOEXEC: i64 = 0o2_000_000;

pub(super) fn answered(name: &[u8], args: &[u8], value: i64) -> Option<Files> {
    let value = i32::try_from(value).ok();
    match name {
        b"pipe" => pair(args, 0, OnExec::Keep),
        b"pipe2" => pair(args, 0, flag(args)),
        b"socketpair" => pair(args, 3, flag(args)),
        b"dup" => {
            Some(Files::Copy { old: first(args)?, min: None, new: value?, on_exec: OnExec::Keep })
        }
        b"dup2" | b"dup3" => {
            let (old, new, by) = copy_to(name, args)?;
            Some(Files::CopyTo { old, new, gave: value?, by })
        }
        b"fcntl" | b"fcntl64" => fcntl(args, value),
        b"close" => Some(Files::Close(first(args)?)),
        b"close_range" => match range(args)? {
            (first, last, how, Own::No) => Some(Files::range(first, last, how)),
            (first, last, how, Own::Yes) => Some(Files::Part(Some((first, last, how)))),
        },
        b"recvmsg" => received(args, 2),
        b"recvmmsg" => received(args, 3),
        b"ioctl" => ioctl(args, value),
        b"bpf" | b"seccomp" => Some(Files::Unseen { used: None, given: Given::This(value?) }),
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
        Some(Files::Copy { old, min: Some(minimum(min?)?), new: value?, on_exec })
    };
    match args.next()? {
        b"F_DUPFD" => copy(args.next(), OnExec::Keep),
        b"F_DUPFD_CLOEXEC" => copy(args.next(), OnExec::Close),
        b"F_SETFD" => Some(Files::SetOnExec(old, mark(args.next()?)?)),
        b"F_GETFD" => match value? & 1 {
            0 => Some(Files::GetOnExec(old, OnExec::Keep)),
            _ => Some(Files::GetOnExec(old, OnExec::Close)),
        },
        _ => Some(Files::Used(old)),
    }
}

fn ioctl(args: &[u8], value: Option<i32>) -> Option<Files> {
    let mut args = text::args(args);
    let used = fd(args.next()?)?;
    match (args.next()?, value) {
        (b"TIOCGPTPEER", Some(peer)) => {
            let flags = args.next()?;
            let closes = text::int(flags).is_some_and(|bits| bits & O_CLOEXEC != 0)
                || text::has_flag(flags, b"O_CLOEXEC");
            let on_exec = if closes { OnExec::Close } else { OnExec::Keep };
            Some(Files::Open { fds: vec![peer], on_exec })
        }
        (_, Some(given @ 1..)) => {
            Some(Files::Unseen { used: Some(used), given: Given::This(given) })
        }
        _ => Some(Files::Used(used)),
    }
}

/// Descriptors in the control data of messages; without, the socket was used.
fn received(args: &[u8], flags: usize) -> Option<Files> {
    let mut all = text::args(args);
    let socket = fd(all.next()?)?;
    let messages = all.next()?;
    let unseen = Files::Unseen { used: Some(socket), given: Given::UpTo(MOST_IN_A_MESSAGE) };
    let (mut fds, mut rest) = (Vec::new(), messages);
    while let Some(at) = text::find(rest, b"cmsg_type=SCM_RIGHTS") {
        rest = &rest[at + b"cmsg_type=SCM_RIGHTS".len()..];
        let data = text::find(rest, b"cmsg_data=").map(|at| &rest[at + b"cmsg_data=".len()..]);
        let end = data.and_then(|data| data.iter().position(|byte| *byte == b']'));
        match data.zip(end).and_then(|(data, end)| list(&data[..=end])) {
            Some(more) => fds.extend(more),
            // Cut short by strace.
            None => return Some(unseen),
        }
    }
    // Control data that strace did not read is printed as its address; a pidfd, as one knows it.
    let hidden = [&b"msg_control=0x"[..], b"cmsg_type=SCM_PIDFD", b"cmsg_type=0x4"];
    if hidden.iter().any(|hidden| text::find(messages, hidden).is_some()) {
        return Some(unseen);
    }
    if fds.is_empty() {
        return Some(Files::Used(socket));
    }
    let flags = text::args(args).nth(flags);
    let closes = flags.is_some_and(|flags| text::has_flag(flags, b"MSG_CMSG_CLOEXEC"));
    let on_exec = if closes { OnExec::Close } else { OnExec::Keep };
    Some(Files::Open { fds, on_exec })
}
