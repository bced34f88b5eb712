//! Errors about descriptors: the kernel is asked for the call itself, and must refuse it alike.

mod common;

use common::{THREAD, agrees, disagreements};
use lwproc_replay::scene::Cause;

const BAD: &str = "-1 EBADF (Bad file descriptor)";
const FULL: &str = "-1 EMFILE (Too many open files)";
const INVALID: &str = "-1 EINVAL (Invalid argument)";
const BUSY: &str = "-1 EBUSY (Device or resource busy)";

/// Task 10, with 3 open, nothing else from outside, and this limit.
fn limited(soft: u32, calls: &[String]) -> String {
    let mut text = format!(
        "10 close_range(3, 4294967295, 0) = 0\n10 openat(AT_FDCWD, \"a\", O_RDONLY) = 3\n\
         10 prlimit64(0, RLIMIT_NOFILE, {{rlim_cur={soft}, rlim_max=4096}}, NULL) = 0\n"
    );
    calls.iter().for_each(|call| text.push_str(&format!("10 {call}\n")));
    text
}

/// The same without a limit that the log tells.
fn unlimited(calls: &[String]) -> String {
    limited(9, calls)
        .lines()
        .filter(|line| !line.contains("prlimit64"))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Whether the error agrees, and the same call with another end does not.
#[track_caller]
fn refuses(soft: u32, call: &str, error: &str) {
    let text = limited(soft, &[format!("{call} = {error}")]);
    let run = agrees(&text);
    assert!(run.first.unexplained.keys().all(|cause| *cause == Cause::OuterValue), "{text}");
}

#[track_caller]
fn lies(soft: u32, call: &str, error: &str) {
    let text = limited(soft, &[format!("{call} = {error}")]);
    assert_eq!(disagreements(&text), [4], "{text}");
}

#[test]
fn a_copy_beyond_the_limit() {
    for call in ["dup2(3, 20)", "dup3(3, 20, O_CLOEXEC)", "dup2(3, 2000)", "dup2(3, -1)"] {
        refuses(16, call, BAD);
    }
    lies(32, "dup2(3, 20)", BAD);
    lies(16, "dup2(3, 20)", "20");
    lies(16, "dup3(3, 2000, 0)", "2000");
    // It says nothing about the one that was to be copied.
    let go_on = ["dup2(3, 20)", "dup3(3, 20, 0)"].map(|call| format!("{call} = {BAD}"));
    let after = |end: &str| [&go_on[..], &[end.to_owned()]].concat();
    agrees(&limited(16, &after("dup2(3, 5) = 5")));
    agrees(&limited(16, &after("openat(AT_FDCWD, \"a\", O_RDONLY) = 4")));
    assert_eq!(disagreements(&limited(16, &after(&format!("close(3) = {BAD}")))), [6]);
    // Nor does a lie about it.
    let text = limited(32, &[format!("dup2(3, 20) = {BAD}"), "close(3) = 0".to_owned()]);
    assert_eq!(disagreements(&text), [4]);
}

#[test]
fn a_copy_of_what_is_closed() {
    refuses(16, "dup2(7, 5)", BAD);
    refuses(16, "dup3(7, 5, 0)", BAD);
    refuses(16, "dup2(7, 7)", BAD);
    refuses(16, "dup(7)", BAD);
    refuses(16, "fcntl(7, F_DUPFD_CLOEXEC, 3)", BAD);
    lies(16, "dup2(3, 5)", BAD);
    lies(16, "dup2(3, 3)", BAD);
    lies(16, "dup(3)", BAD);
    // The number of one gave the other's.
    lies(16, "dup2(3, 5)", "6");
}

#[test]
fn uses_of_what_is_closed() {
    for call in ["close(7)", "fcntl(7, F_GETFD)", "fcntl(7, F_SETFD, 0)", "fstat(7, 0x7f)"] {
        refuses(16, call, BAD);
    }
    refuses(16, "openat(7, \"a\", O_RDONLY)", BAD);
    for call in ["close(3)", "fcntl(3, F_GETFD)", "openat(3, \"a\", O_RDONLY)"] {
        lies(16, call, BAD);
    }
}

#[test]
fn numbers_that_make_no_sense() {
    for call in ["dup3(3, 3, 0)", "dup3(7, 7, O_CLOEXEC)", "fcntl(3, F_DUPFD, 16)"] {
        refuses(16, call, INVALID);
    }
    refuses(16, "fcntl(3, F_DUPFD, 18446744073709551615)", INVALID);
    refuses(16, "close_range(5, 3, 0)", INVALID);
    refuses(16, "close_range(4294967295, 3, CLOSE_RANGE_CLOEXEC)", INVALID);
    for call in ["dup3(3, 4, 0)", "fcntl(3, F_DUPFD, 15)", "close_range(3, 5, 0)", "dup2(3, 3)"] {
        lies(16, call, INVALID);
    }
    lies(16, "close_range(5, 3, 0)", "0");
    lies(16, "dup3(3, 3, 0)", "3");
    lies(16, "fcntl(3, F_DUPFD, 16)", "16");
    // EBADF comes first there.
    refuses(16, "fcntl(7, F_DUPFD, 16)", BAD);
    lies(16, "fcntl(7, F_DUPFD, 16)", INVALID);
}

const OPENERS: [&str; 12] = [
    "openat(AT_FDCWD, \"a\", O_RDONLY)",
    "openat2(AT_FDCWD, \"a\", {flags=O_RDONLY}, 24)",
    "dup(3)",
    "fcntl(3, F_DUPFD, 2)",
    "memfd_create(\"a\", 0)",
    "timerfd_create(CLOCK_MONOTONIC, 0)",
    "eventfd(0)",
    "epoll_create(9)",
    "pidfd_open(10, 0)",
    "signalfd4(-1, [INT], 8, 0)",
    "accept4(3, NULL, NULL, 0)",
    "clone(child_stack=NULL, flags=CLONE_PIDFD|SIGCHLD)",
];

#[test]
fn a_full_table() {
    for call in OPENERS {
        refuses(4, call, FULL);
        lies(5, call, FULL);
    }
    refuses(5, "pipe2(0x7f, 0)", FULL);
    refuses(4, "socketpair(AF_UNIX, SOCK_STREAM, 0, 0x7f)", FULL);
    lies(6, "pipe2(0x7f, 0)", FULL);
    lies(4, "dup2(3, 2)", FULL);
    lies(4, "openat(AT_FDCWD, \"a\", O_RDONLY)", "4");
    // A pipe that did not fit takes nothing.
    let open = "openat(AT_FDCWD, \"a\", O_RDONLY) = 4".to_owned();
    agrees(&limited(5, &[format!("pipe2(0x7f, 0) = {FULL}"), open]));
    // There may be more from outside than is known.
    let text = "10 openat(AT_FDCWD, \"a\", O_RDONLY) = 3\n\
         10 prlimit64(0, RLIMIT_NOFILE, {rlim_cur=5, rlim_max=9}, NULL) = 0\n";
    let run = agrees(&format!("{text}10 dup(3) = {FULL}\n10 close(4) = 0\n"));
    assert_eq!(run.first.unexplained.get(&Cause::OuterDescriptor), Some(&1));
}

#[test]
fn inotify_has_a_limit_of_its_own() {
    refuses(4, "inotify_init1(0)", FULL);
    let run = agrees(&limited(9, &[format!("inotify_init1(0) = {FULL}")]));
    assert_eq!(run.first.unexplained.get(&Cause::OtherLimit), Some(&1));
}

#[test]
fn a_limit_that_is_not_told() {
    for (call, error) in [("dup2(3, 2000)", BAD), ("fcntl(3, F_DUPFD, 2000)", INVALID)] {
        let run = agrees(&unlimited(&[format!("{call} = {error}"), "close(3) = 0".to_owned()]));
        assert_eq!(run.first.unexplained.get(&Cause::OuterLimit), Some(&1));
    }
    // None is as low as that.
    for (call, error) in
        [("dup2(3, 20)", BAD), ("fcntl(3, F_DUPFD, 20)", INVALID), ("dup(3)", FULL)]
    {
        assert_eq!(disagreements(&unlimited(&[format!("{call} = {error}")])), [3], "{call}");
    }
    // What is closed and beyond it is refused either way.
    let run = agrees(&unlimited(&[format!("dup2(7, 2000) = {BAD}")]));
    assert_eq!(run.first.total().agreed, 3);
}

#[test]
fn a_number_that_is_being_opened() {
    let threads = |tail: &str| limited(16, &[format!("{THREAD} 20")]) + tail;
    let opens = "20 openat(AT_FDCWD, \"a\", O_RDONLY <unfinished ...>\n";
    let end = "20 <... openat resumed>) = 4\n";
    for call in ["dup2(3, 4)", "dup3(3, 4, 0)"] {
        agrees(&threads(&format!("{opens}10 {call} = {BUSY}\n{end}")));
        assert_eq!(
            disagreements(&threads(&format!("20 gettid() = 20\n10 {call} = {BUSY}\n"))),
            [6]
        );
    }
    assert_eq!(disagreements(&threads(&format!("{opens}10 dup2(3, 5) = {BUSY}\n{end}"))), [6]);
    lies(16, "dup2(3, 5)", BUSY);
}

#[test]
fn forms_that_the_kernel_has_not() {
    for call in [
        format!("dup3(3, 5, O_NONBLOCK) = {INVALID}"),
        format!("close_range(3, 5, 0x80) = {INVALID}"),
        "dup2(3, 5) = -1 EINTR (Interrupted system call)".to_owned(),
        format!("pipe(0x7f) = {BAD}"),
    ] {
        let run = agrees(&limited(16, std::slice::from_ref(&call)));
        assert_eq!(run.first.unexplained.get(&Cause::Form), Some(&1), "{call}");
    }
    let high = agrees(&limited(16, &["openat(AT_FDCWD, \"a\", O_RDONLY) = 70000".to_owned()]));
    assert_eq!(high.first.unexplained.get(&Cause::HighDescriptor), Some(&1));
}
