//! What each form of a call is read as.

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

/// Why a call is not compared.
fn cause(call: &str) -> Option<Cause> {
    let line = crate::parse::Line::parse(call.as_bytes()).expect("a line");
    let crate::parse::What::Call { name, args, answer } = line.what else {
        panic!("{call}: no call");
    };
    match parse(name, args, answer) {
        Parsed::Unexplained(cause) => Some(cause),
        _ => None,
    }
}

#[test]
fn every_family_is_read() {
    let is_known = |name: &&str| crate::calls::family(name.as_bytes()).is_some();
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
    assert_eq!(of("dup(3) = 4"), copy(3, None, 4, OnExec::Keep));
    assert_eq!(of("fcntl(3, F_DUPFD, 10) = 11"), copy(3, Some(10), 11, OnExec::Keep));
    assert_eq!(of("fcntl(3, F_DUPFD_CLOEXEC, 10) = 11"), copy(3, Some(10), 11, OnExec::Close));
    let copy_to = |old, new, gave, by| Some(Files::CopyTo { old, new, gave, by });
    assert_eq!(of("dup2(3, 1) = 1"), copy_to(3, 1, 1, CopyBy::Dup2));
    assert_eq!(of("dup3(3, 1, O_CLOEXEC) = 1"), copy_to(3, 1, 1, CopyBy::Dup3(OnExec::Close)));
    assert_eq!(of("dup3(3, 1, 0) = 1"), copy_to(3, 1, 1, CopyBy::Dup3(OnExec::Keep)));
    // A lie, to be found out.
    assert_eq!(of("dup2(3, 1) = 2"), copy_to(3, 1, 2, CopyBy::Dup2));
}

#[test]
fn marks() {
    assert_eq!(
        of("fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)"),
        Some(Files::GetOnExec(3, OnExec::Close))
    );
    assert_eq!(of("fcntl(3, F_GETFD) = 0"), Some(Files::GetOnExec(3, OnExec::Keep)));
    assert_eq!(of("fcntl(3, F_SETFD, FD_CLOEXEC) = 0"), Some(Files::SetOnExec(3, OnExec::Close)));
    assert_eq!(of("fcntl(3, F_SETFD, 0) = 0"), Some(Files::SetOnExec(3, OnExec::Keep)));
    let set = |text: &str| of(&format!("fcntl(3, F_SETFD, {text}) = 0"));
    assert_eq!(set("0x2 /* FD_??? */"), Some(Files::SetOnExec(3, OnExec::Keep)));
    assert_eq!(set("FD_CLOEXEC|0x2"), Some(Files::SetOnExec(3, OnExec::Close)));
    assert_eq!(of("fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)"), Some(Files::Used(3)));
}

#[test]
fn closing() {
    assert_eq!(of("close(3) = 0"), Some(Files::Close(3)));
    assert_eq!(of("close(3) = -1 EINTR (Interrupted system call)"), Some(Files::Close(3)));
    assert_eq!(of("close_range(3, 4294967295, 0) = 0"), Some(Files::CloseRange(3, i32::MAX)));
    assert_eq!(of("close_range(3, 0xffffffff, 0) = 0"), Some(Files::CloseRange(3, i32::MAX)));
    assert_eq!(of("close_range(3, 9, CLOSE_RANGE_CLOEXEC) = 0"), Some(Files::MarkRange(3, 9)));
    let own = |how| Some(Files::Part(Some((3, 9, how))));
    assert_eq!(of("close_range(3, 9, CLOSE_RANGE_UNSHARE) = 0"), own(CloseRange::Close));
    let both = "close_range(3, 9, CLOSE_RANGE_UNSHARE|CLOSE_RANGE_CLOEXEC) = 0";
    assert_eq!(of(both), own(CloseRange::SetOnExec));
    assert_eq!(cause("close_range(3, 9, 0x8) = 0"), Some(Cause::Form));
    assert_eq!(of("unshare(CLONE_FILES) = 0"), Some(Files::Part(None)));
    assert_eq!(of("unshare(CLONE_NEWNS) = 0"), None);
}

fn refused(attempt: Attempt, errno: Errno) -> Option<Files> {
    Some(Files::Refused { attempt, errno, or: None })
}

#[test]
fn what_a_bad_descriptor_tells() {
    let bad = |call: &str| of(&format!("{call} = -1 EBADF (Bad file descriptor)"));
    let surely = |attempt| refused(attempt, Errno::EBADF);
    let or = Some(Cause::WrongMode);
    let perhaps = |fd| Some(Files::Refused { attempt: Attempt::Use(fd), errno: Errno::EBADF, or });
    assert_eq!(bad("close(3)"), surely(Attempt::Close(3)));
    assert_eq!(bad("close(-1)"), surely(Attempt::Close(-1)));
    assert_eq!(bad("fstat(3, 0x7f)"), surely(Attempt::Use(3)));
    assert_eq!(bad("fcntl(3, F_GETFD)"), surely(Attempt::GetOnExec(3)));
    assert_eq!(bad("fcntl(3, F_SETLK, {})"), perhaps(3));
    assert_eq!(bad("read(3, 0x7f, 9)"), perhaps(3));
    let to = |new, by| surely(Attempt::CopyTo { old: 3, new, by });
    assert_eq!(bad("dup2(3, 1)"), to(1, CopyBy::Dup2));
    assert_eq!(bad("dup2(3, 5000000)"), to(5_000_000, CopyBy::Dup2));
    assert_eq!(bad("dup3(3, -1, 0)"), to(-1, CopyBy::Dup3(OnExec::Keep)));
    assert_eq!(bad("openat(3, \"a\", O_RDONLY)"), surely(Attempt::Use(3)));
    assert_eq!(cause("pipe(0x7f) = -1 EBADF (Bad file descriptor)"), Some(Cause::Form));
    assert_eq!(of("read(3, \"a\", 9) = 1"), Some(Files::Used(3)));
    assert_eq!(of("write(3, \"a\", 1) = -1 EPIPE (Broken pipe)"), None);
    assert_eq!(cause("write(3, \"a\", 1) = -1 EPIPE (Broken pipe)"), None);
}

#[test]
fn what_a_full_table_tells() {
    let full = |call: &str| of(&format!("{call} = -1 EMFILE (Too many open files)"));
    let one = refused(Attempt::Open(1), Errno::EMFILE);
    for call in [
        "openat(AT_FDCWD, \"a\", O_RDONLY)",
        "openat2(AT_FDCWD, \"a\", {flags=O_RDONLY}, 24)",
        "memfd_create(\"a\", 0)",
        "timerfd_create(CLOCK_MONOTONIC, 0)",
        "pidfd_open(7, 0)",
        "signalfd4(-1, [INT], 8, 0)",
        "eventfd(0)",
        "epoll_create(8)",
        "ioctl(3, TIOCGPTPEER, 0x102)",
    ] {
        assert_eq!(full(call), one, "{call}");
    }
    assert_eq!(full("pipe2(0x7f, 0)"), refused(Attempt::Open(2), Errno::EMFILE));
    let copy = |min| refused(Attempt::Copy { old: 3, min }, Errno::EMFILE);
    assert_eq!(full("dup(3)"), copy(None));
    assert_eq!(full("fcntl(3, F_DUPFD, 9)"), copy(Some(9)));
    let or = Some(Cause::OtherLimit);
    let inotify = Files::Refused { attempt: Attempt::Open(1), errno: Errno::EMFILE, or };
    assert_eq!(full("inotify_init1(0)"), Some(inotify));
}

#[test]
fn other_errors() {
    let invalid = |call: &str| of(&format!("{call} = -1 EINVAL (Invalid argument)"));
    let refused = |attempt| refused(attempt, Errno::EINVAL);
    let to = |by| refused(Attempt::CopyTo { old: 3, new: 3, by });
    assert_eq!(invalid("dup3(3, 3, O_CLOEXEC)"), to(CopyBy::Dup3(OnExec::Close)));
    assert_eq!(cause("dup3(3, 4, O_NONBLOCK) = -1 EINVAL (Invalid)"), Some(Cause::Form));
    let copy = |min| refused(Attempt::Copy { old: 3, min: Some(min) });
    assert_eq!(invalid("fcntl(3, F_DUPFD, 99)"), copy(99));
    assert_eq!(invalid("fcntl(3, F_DUPFD, 18446744073709551615)"), copy(i32::MAX));
    let range = |first, last| refused(Attempt::Range(first, last, CloseRange::Close));
    assert_eq!(invalid("close_range(5, 3, 0)"), range(5, 3));
    assert_eq!(invalid("close_range(4294967295, 3, 0)"), range(i32::MAX, 3));
    let busy = of("dup2(3, 4) = -1 EBUSY (Device or resource busy)");
    let attempt = Attempt::CopyTo { old: 3, new: 4, by: CopyBy::Dup2 };
    assert_eq!(busy, Some(Files::Refused { attempt, errno: Errno::EBUSY, or: None }));
    assert_eq!(cause("dup2(3, 4) = -1 EINTR (Interrupted)"), Some(Cause::Form));
    // Those of a file are not ours.
    assert_eq!(invalid("read(3, 0x7f, 9)"), None);
    assert_eq!(cause("read(3, 0x7f, 9) = -1 EINVAL (Invalid)"), None);
}

#[test]
fn a_process_that_is_not_there() {
    let parsed = parse(b"pidfd_open", b"7, 0", Answer::Error(b"ESRCH"));
    let Parsed::Modelled(Call::Kill(kill)) = parsed else {
        panic!("{parsed:?}");
    };
    assert_eq!((kill.target, kill.signal), (super::super::kill::Target::Process(7), 0));
}

#[test]
fn what_a_line_does_not_show() {
    let unseen = |used, given| Some(Files::Unseen { used, given });
    assert_eq!(of("ioctl(3, TIOCGPTPEER, 0x102) = 4"), open(&[4], OnExec::Keep));
    assert_eq!(of("ioctl(3, TIOCGPTPEER, 0x80102) = 4"), open(&[4], OnExec::Close));
    assert_eq!(of("ioctl(3, NS_GET_PARENT) = 4"), unseen(Some(3), Given::This(4)));
    assert_eq!(of("ioctl(3, TCGETS, {}) = 0"), Some(Files::Used(3)));
    assert_eq!(of("bpf(BPF_MAP_CREATE, {}, 72) = 4"), unseen(None, Given::This(4)));
    let control = |text: &str| {
        of(&format!(
            "recvmmsg(4, [{{msg_hdr={{msg_control={text}, msg_controllen=24, msg_flags=0}}, \
             msg_len=1}}], 1, MSG_CMSG_CLOEXEC, NULL) = 1"
        ))
    };
    let one = |data| {
        format!("{{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data={data}}}")
    };
    assert_eq!(control(&format!("[{}]", one("[5]"))), open(&[5], OnExec::Close));
    let two = format!("[{}, {}]", one("[5]"), one("[6, 7]"));
    assert_eq!(control(&two), open(&[5, 6, 7], OnExec::Close));
    let hidden = unseen(Some(4), Given::UpTo(MOST_IN_A_MESSAGE));
    assert_eq!(control(&format!("[{}]", one("[5, ...]"))), hidden);
    assert_eq!(control("0x7ffe"), hidden);
}
