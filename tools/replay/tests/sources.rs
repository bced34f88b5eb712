//! Where descriptors come from besides the calls that open them, and what shows none.

mod common;

use common::{FORK, THREAD, agrees, count, lies_at};
use lwproc_replay::scene::Cause;

/// Task 10 with nothing from outside beyond 3, and what follows.
fn start(tail: &str) -> String {
    format!("10 close_range(3, 4294967295, 0) = 0\n10 {}{tail}", open(3))
}

fn open(fd: i32) -> String {
    format!("openat(AT_FDCWD, \"a\", O_RDONLY) = {fd}\n")
}

#[test]
fn a_child_of_which_its_parent_has_a_descriptor() {
    let clone = |fd| {
        format!("10 clone(child_stack=NULL, flags=CLONE_PIDFD|SIGCHLD, parent_tid=[{fd}]) = 11\n")
    };
    let clone3 = |fd| {
        format!(
            "10 clone3({{flags=CLONE_PIDFD, pidfd=0x7f, exit_signal=SIGCHLD}} => \
             {{pidfd=[{fd}]}}, 88) = 11\n"
        )
    };
    let marked = "10 fcntl(4, F_GETFD) = 0x1 (flags FD_CLOEXEC)\n";
    for fork in [clone(4), clone3(4)] {
        // The child has none.
        agrees(&start(&format!("{fork}{marked}10 {}11 {}10 close(4) = 0\n", open(5), open(4))));
        lies_at(4, &start(&format!("{fork}10 {}11 getpid() = 11\n", open(4))));
        lies_at(4, &start(&format!("{fork}11 close(4) = 0\n")));
    }
    // The child shows before the fork has returned.
    let early = clone(4).replace("10 clone(child_stack=NULL, flags=CLONE_PIDFD|SIGCHLD, ", "");
    agrees(&start(&format!(
        "10 clone(child_stack=NULL, flags=CLONE_PIDFD|SIGCHLD <unfinished ...>\n11 {}\
         10 <... clone resumed>, {early}10 {}",
        open(4),
        open(5)
    )));
    for fork in [clone(5), clone3(3)] {
        lies_at(3, &start(&format!("{fork}11 getpid() = 11\n")));
    }
    // One that the line does not show.
    let hidden = clone(4).replace("[4]", "0x7f");
    let run = agrees(&start(&format!("{hidden}10 {}11 getpid() = 11\n", open(5))));
    assert_eq!(count(&run, Cause::UnseenDescriptor), 2);
}

#[test]
fn received_over_a_socket() {
    let control = |data: &str| {
        format!("[{{cmsg_len=24, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data={data}}}]")
    };
    let one = |control: &str| {
        format!(
            "10 recvmsg(0, {{msg_name=NULL, msg_control={control}, msg_controllen=24, \
             msg_flags=0}}, MSG_CMSG_CLOEXEC) = 1\n"
        )
    };
    let many = |control: &str| {
        format!(
            "10 recvmmsg(0, [{{msg_hdr={{msg_name=NULL, msg_control={control}, \
             msg_controllen=24, msg_flags=0}}, msg_len=1}}], 1, MSG_CMSG_CLOEXEC, NULL) = 1\n"
        )
    };
    let receivers: [&dyn Fn(&str) -> String; 2] = [&one, &many];
    for receive in receivers {
        let shown = receive(&control("[4, 5]"));
        let marked = "10 fcntl(5, F_GETFD) = 0x1 (flags FD_CLOEXEC)\n";
        agrees(&start(&format!("{shown}{marked}10 {}", open(6))));
        lies_at(4, &start(&format!("{shown}10 {}", open(5))));
        lies_at(3, &start(&receive(&control("[5]"))));
        // What strace does not show may be, once.
        for hidden in [receive(&control("[4, ...]")), receive("0x7ffe")] {
            let run = agrees(&start(&format!("{hidden}10 {}10 {}", open(5), open(6))));
            assert_eq!(count(&run, Cause::UnseenDescriptor), 2);
            let run = agrees(&start(&format!("{hidden}10 {}10 {}", open(4), open(5))));
            assert_eq!(count(&run, Cause::UnseenDescriptor), 1);
            lies_at(5, &start(&format!("{hidden}10 {}10 {}", open(4), open(4))));
        }
    }
}

#[test]
fn made_by_an_ioctl() {
    let peer = "10 ioctl(3, TIOCGPTPEER, 0x102) = 4\n";
    agrees(&start(&format!("{peer}10 fcntl(4, F_GETFD) = 0\n10 {}", open(5))));
    lies_at(4, &start(&format!("{peer}10 {}", open(4))));
    lies_at(3, &start("10 ioctl(3, TIOCGPTPEER, 0x102) = 5\n"));
    // One that may have made what it answers, or not.
    let other = "10 ioctl(3, NS_GET_PARENT) = 4\n";
    for (fd, unexplained) in [(5, 2), (4, 1)] {
        let run = agrees(&start(&format!("{other}10 {}", open(fd))));
        assert_eq!(count(&run, Cause::UnseenDescriptor), unexplained);
    }
    lies_at(4, &start(&format!("{other}10 {}", open(6))));
    // A number that is no descriptor.
    let run = agrees(&start("10 ioctl(3, FIOQSIZE, 0x7f) = 77\n"));
    assert_eq!(count(&run, Cause::UnseenDescriptor), 0);
    lies_at(4, &start("10 close(3) = 0\n10 ioctl(3, NS_GET_PARENT) = 4\n"));
}

#[test]
fn marks_have_one_bit() {
    let set = |bits: &str| start(&format!("10 fcntl(3, F_SETFD, {bits}) = 0\n"));
    let (marked, plain) = ("fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)", "fcntl(3, F_GETFD) = 0");
    agrees(&format!("{}10 {marked}\n", set("FD_CLOEXEC|0x2")));
    lies_at(4, &format!("{}10 {plain}\n", set("FD_CLOEXEC|0x2")));
    agrees(&format!("{}10 {plain}\n", set("0x2 /* FD_??? */")));
    lies_at(4, &format!("{}10 {marked}\n", set("0x2 /* FD_??? */")));
}

#[test]
fn a_table_of_its_own_that_it_has_already() {
    let range = "10 close_range(3, 4294967295, CLOSE_RANGE_UNSHARE) = 0\n";
    agrees(&start(&format!("{range}10 {}", open(3))));
    lies_at(4, &start(&format!("{range}10 {}", open(4))));
    let run = agrees(&start(&format!("10 unshare(CLONE_FILES) = 0\n10 {}", open(4))));
    assert_eq!(count(&run, Cause::OwnTable), 0);
}

#[test]
fn a_thread_with_a_table_of_its_own() {
    let thread = THREAD.replace("|CLONE_FILES", "");
    let text = format!("10 {thread} 11\n11 {}11 {}10 {}", open(4), open(7), open(4));
    assert_eq!(count(&agrees(&start(&text)), Cause::OwnTable), 2);
    // It had none at first; nor have its children the table that the others have.
    let parts =
        ["11 unshare(CLONE_FILES) = 0\n", "11 close_range(3, 9, CLOSE_RANGE_UNSHARE) = 0\n"];
    for part in parts {
        let text = format!(
            "10 {THREAD} 11\n11 {}{part}11 {}10 {}11 {FORK} 12\n12 {}",
            open(4),
            open(3),
            open(5),
            open(7)
        );
        assert_eq!(count(&agrees(&start(&text)), Cause::OwnTable), 3);
        let before = format!("10 {THREAD} 11\n11 {}{part}", open(5));
        lies_at(4, &start(&before));
    }
}
