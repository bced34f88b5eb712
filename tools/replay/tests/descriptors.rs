//! Descriptors: what agrees, what is a lie, and what overlapping calls leave open.

mod common;

use common::{FORK, THREAD, agrees, disagreements, load, replayed};
use lwproc_replay::scene::Cause;

const SHARING: &str = "clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|SIGCHLD) =";
const BAD: &str = "-1 EBADF (Bad file descriptor)";

/// Nothing from outside is left beyond 2.
const CLEAN: &str = "close_range(3, 4294967295, 0) = 0";

fn open(fd: i32) -> String {
    format!("openat(AT_FDCWD, \"a\", O_RDONLY) = {fd}\n")
}

fn open_cloexec(fd: i32) -> String {
    format!("openat(AT_FDCWD, \"a\", O_RDONLY|O_CLOEXEC) = {fd}\n")
}

/// The lines of one task.
fn task(number: i32, calls: &[&str]) -> String {
    calls.iter().map(|call| format!("{number} {}\n", call.trim_end())).collect()
}

#[track_caller]
fn lies_at(line: u32, text: &str) {
    let found = disagreements(text);
    assert_eq!(found, [line], "{text}");
}

#[test]
fn the_lowest_free_number() {
    let start = task(10, &[CLEAN, &open(3), &open(4), "pipe2([5, 6], 0) = 0", "close(4) = 0"]);
    agrees(&format!("{start}10 {}10 {}", open(4), open(7)));
    lies_at(6, &format!("{start}10 {}", open(3)));
    lies_at(6, &format!("{start}10 {}", open(7)));
    lies_at(6, &format!("{start}10 pipe2([4, 8], 0) = 0\n"));
    agrees(&format!(
        "{start}10 pipe2([4, 7], 0) = 0\n10 dup(4) = 8\n10 fcntl(4, F_DUPFD, 10) = 10\n"
    ));
    lies_at(6, &format!("{start}10 dup(3) = 5\n"));
    lies_at(6, &format!("{start}10 fcntl(3, F_DUPFD, 5) = 5\n"));
    lies_at(7, &format!("{start}10 fcntl(3, F_DUPFD, 10) = 10\n10 fcntl(3, F_DUPFD, 10) = 10\n"));
}

#[test]
fn one_lie_is_one_disagreement() {
    // What follows is compared with what the log went on with.
    lies_at(2, &task(10, &[&open(3), &open(3), &open(4), "close(4) = 0", "close(3) = 0"]));
    let closed = task(10, &[&open(3), "close(3) = 0", "close(3) = 0", &open(3)]);
    lies_at(3, &closed);
}

#[test]
fn closing() {
    agrees(&task(10, &[&open(3), "close(3) = 0", &format!("close(3) = {BAD}")]));
    lies_at(2, &task(10, &[&open(3), &format!("close(3) = {BAD}")]));
    lies_at(3, &task(10, &[&open(3), "close(3) = 0", "close(3) = 0"]));
    agrees(&task(10, &[&format!("close(-1) = {BAD}")]));
    let range = [&open(3), &open(4), &open(5), "close_range(4, 4294967295, 0) = 0"];
    agrees(&format!("{}10 {}", task(10, &range), open(4)));
    lies_at(5, &format!("{}10 {}", task(10, &range), open(3)));
    lies_at(5, &format!("{}10 close(5) = 0\n", task(10, &range)));
    // Nothing was inherited there either.
    lies_at(5, &format!("{}10 close(77) = 0\n", task(10, &range)));
}

#[test]
fn copies_to_a_number() {
    let start = task(10, &[CLEAN, &open_cloexec(3), "dup2(3, 7) = 7", "fcntl(7, F_GETFD) = 0"]);
    agrees(&format!("{start}10 {}", open(4)));
    lies_at(5, &format!("{start}10 dup2(4, 7) = 7\n"));
    lies_at(5, &format!("{start}10 close(7) = {BAD}\n"));
    agrees(&format!("{start}10 dup2(3, 3) = 3\n10 fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)\n"));
    agrees(&format!("{start}10 dup3(7, 3, O_CLOEXEC) = 3\n10 dup2(4, 9) = {BAD}\n"));
    lies_at(5, &format!("{start}10 dup2(3, 9) = {BAD}\n"));
}

#[test]
fn an_execve_closes_what_is_marked() {
    let start = task(10, &[&open_cloexec(3), &open(4), "execve(\"a\", [\"a\"], 0x7f) = 0"]);
    agrees(&format!("{start}10 {}10 close(4) = 0\n", open(3)));
    // As if the mark were ignored.
    lies_at(4, &format!("{start}10 {}", open(5)));
    lies_at(4, &format!("{start}10 close(3) = 0\n"));
    lies_at(4, &format!("{start}10 close(4) = {BAD}\n"));
    // One that fails closes nothing.
    let failed = start.replace("= 0\n10 ", "= -1 ENOENT (No such file or directory)\n10 ");
    let failed = failed.replace("0x7f) = 0", "0x7f) = -1 ENOENT (No such file or directory)");
    agrees(&format!("{failed}10 {}10 close(3) = 0\n", open(5)));
    lies_at(4, &format!("{failed}10 {}", open(3)));
}

#[test]
fn marks_change() {
    let marked = "fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)";
    let start = task(10, &[&open(3), "fcntl(3, F_SETFD, FD_CLOEXEC) = 0"]);
    agrees(&format!("{start}10 {marked}\n"));
    lies_at(3, &format!("{start}10 fcntl(3, F_GETFD) = 0\n"));
    agrees(&format!("{start}10 execve(\"a\", [\"a\"], 0x7f) = 0\n10 close(3) = {BAD}\n"));
    let range = task(10, &[&open(3), "close_range(3, 9, CLOSE_RANGE_CLOEXEC) = 0", marked]);
    agrees(&range);
    lies_at(2, &task(10, &[&open(3), &format!("fcntl(3, F_GETFD) = {BAD}")]));
    lies_at(3, &task(10, &[&open(3), "close(3) = 0", "fcntl(3, F_SETFD, 0) = 0"]));
}

#[test]
fn a_fork_copies() {
    let start = format!("10 {}10 {FORK} 11\n11 close(3) = 0\n", open(3));
    agrees(&format!("{start}10 {}11 {}", open(4), open(3)));
    // As if they shared the table.
    lies_at(4, &format!("{start}10 {}", open(3)));
    lies_at(4, &format!("{start}10 close(3) = {BAD}\n"));
    lies_at(4, &format!("{start}11 close(3) = 0\n"));
}

#[test]
fn threads_and_clone_files_share() {
    for shares in [THREAD, SHARING] {
        let start = format!("10 {}10 {shares} 11\n11 close(3) = 0\n", open(3));
        agrees(&format!("{start}10 {}11 {}", open(3), open(4)));
        // As if it had been copied.
        lies_at(4, &format!("{start}10 {}", open(4)));
        lies_at(4, &format!("{start}10 close(3) = 0\n"));
    }
}

#[test]
fn an_execve_parts_processes_that_share() {
    let start = format!(
        "10 {}10 {SHARING} 11\n11 execve(\"a\", [\"a\"], 0x7f) = 0\n11 close(3) = {BAD}\n",
        open_cloexec(3)
    );
    agrees(&format!("{start}11 {}10 {}10 close(3) = 0\n", open(3), open(4)));
    lies_at(5, &format!("{start}10 {}", open(3)));
}

#[test]
fn uses_tell_what_is_open() {
    agrees(&task(
        10,
        &[&open(3), "read(3, \"a\", 9) = 1", "close(3) = 0", &format!("fstat(3, 0x7f) = {BAD}")],
    ));
    lies_at(2, &task(10, &[&open(3), &format!("fstat(3, 0x7f) = {BAD}")]));
    lies_at(3, &task(10, &[&open(3), "close(3) = 0", "fstat(3, {st_size=1}) = 0"]));
    lies_at(3, &task(10, &[&open(3), "close(3) = 0", "write(3, \"a\", 1) = 1"]));
    // EBADF of a read may say that the descriptor is for writing.
    let run = replayed(&load(&task(10, &[&open(3), &format!("read(3, 0x7f, 9) = {BAD}")])));
    assert!(run.is_good());
    assert_eq!(run.first.unexplained.get(&Cause::WrongMode), Some(&1));
}

#[test]
fn descriptors_from_outside_are_counted_and_kept() {
    let run = agrees(&task(
        10,
        &[
            "close(9) = 0",
            &open(5),
            &open(6),
            "close(3) = 0",
            &open(3),
            &format!("close(9) = {BAD}"),
        ],
    ));
    // 9; and 3 and 4, below 5.
    assert_eq!(run.first.unexplained.get(&Cause::OuterDescriptor), Some(&2));
    assert_eq!(run.first.total().agreed, 4);
    // 0 may have been closed.
    let run = agrees(&task(10, &[&open(0), &open(3), "close(0) = 0"]));
    assert_eq!(run.first.unexplained.get(&Cause::OuterDescriptor), Some(&1));
    // Once it is known, it is known for all.
    let text = format!("10 {FORK} 11\n10 {FORK} 12\n11 close(9) = 0\n12 ");
    let run = agrees(&format!("{text}close(9) = 0\n"));
    assert_eq!(run.first.unexplained.get(&Cause::OuterDescriptor), Some(&1));
    lies_at(4, &format!("{text}close(9) = {BAD}\n"));
}

// Overlap: threads 10 and 20 share a table, in which 3 is open.

fn two_threads(tail: &str) -> String {
    format!("10 {CLEAN}\n10 {}10 {THREAD} 20\n20 gettid() = 20\n{tail}", open(3))
}

const OPENS: &str = "openat(AT_FDCWD, \"a\", O_RDONLY <unfinished ...>\n";

#[test]
fn two_opens_overlap() {
    let text = |first: i32, second: i32| {
        two_threads(&format!(
            "10 {OPENS}20 {OPENS}10 <... openat resumed>) = {first}\n20 <... openat resumed>) = {second}\n"
        ))
    };
    assert_eq!(agrees(&text(4, 5)).first.reordered, 0);
    assert_eq!(agrees(&text(5, 4)).first.reordered, 1);
    assert_eq!(disagreements(&text(4, 4)), [8]);
    assert_eq!(disagreements(&text(5, 6)), [7, 8]);
}

#[test]
fn an_open_beside_a_close() {
    let text = |fd: i32| {
        two_threads(&format!(
            "10 {OPENS}20 close(3 <unfinished ...>\n20 <... close resumed>) = 0\n10 <... openat resumed>) = {fd}\n"
        ))
    };
    // Before the close it is 4, after it 3.
    agrees(&text(3));
    agrees(&text(4));
    assert_eq!(disagreements(&text(5)), [8]);
    let text = |fd: i32| {
        two_threads(&format!(
            "20 close(3 <unfinished ...>\n10 {}20 <... close resumed>) = 0\n",
            open(fd)
        ))
    };
    assert_eq!(agrees(&text(3)).first.reordered, 1);
    assert_eq!(agrees(&text(4)).first.reordered, 0);
}

#[test]
fn a_chain_of_three() {
    // 3 is closed, opened again, and 4 opened: all in flight when the last one answers.
    let text = two_threads(&format!(
        "10 {THREAD} 30\n30 gettid() = 30\n10 close(3 <unfinished ...>\n20 {OPENS}30 {}\
         20 <... openat resumed>) = 3\n10 <... close resumed>) = 0\n",
        open(4)
    ));
    agrees(&text);
    let text = two_threads(&format!(
        "10 {THREAD} 30\n30 gettid() = 30\n10 {OPENS}20 {OPENS}30 {}\
         20 <... openat resumed>) = 4\n10 <... openat resumed>) = 5\n",
        open(6)
    ));
    assert_eq!(agrees(&text).first.reordered, 1);
}

/// Threads 10, 20 and 30; 3 to `last` are open.
fn three_threads(last: i32, tail: &str) -> String {
    let opened: String = (3..=last).map(|fd| format!("10 {}", open(fd))).collect();
    format!(
        "10 {CLEAN}\n{opened}10 {THREAD} 20\n20 gettid() = 20\n10 {THREAD} 30\n30 gettid() = 30\n{tail}"
    )
}

#[test]
fn opens_before_a_close_beside_them() {
    // 7 shows that 6 was given out, and 6 that 5 was not free yet.
    let ends = "20 <... openat resumed>) = 6\n30 <... openat resumed>) = 7\n";
    agrees(&three_threads(5, &format!("20 {OPENS}30 {OPENS}10 close(5) = 0\n{ends}")));
    let late = three_threads(5, &format!("10 close(5) = 0\n20 {OPENS}30 {OPENS}{ends}"));
    assert_eq!(disagreements(&late), [12, 13]);
}

#[test]
fn an_order_that_no_single_step_shows() {
    // The copy, then the close, then the pipe in its place.
    let text = three_threads(
        6,
        "10 close(5) = 0\n20 dup(6 <unfinished ...>\n30 close(3 <unfinished ...>\n10 pipe2([3, 7], 0) = 0\n\
         20 <... dup resumed>) = 5\n30 <... close resumed>) = 0\n",
    );
    assert_eq!(agrees(&text).first.reordered, 1);
    let other = text.replace("[3, 7]", "[3, 8]");
    assert_eq!(disagreements(&other).len(), 1);
}

#[test]
fn a_copy_before_its_source_is_closed() {
    let text =
        two_threads("10 dup2(3, 9 <unfinished ...>\n20 close(3) = 0\n10 <... dup2 resumed>) = 9\n");
    assert_eq!(agrees(&text).first.reordered, 1);
    let late = two_threads("20 close(3) = 0\n10 dup2(3, 9) = 9\n");
    assert_eq!(disagreements(&late), [6]);
}

#[test]
fn a_question_in_its_window() {
    for answer in ["0", "0x1 (flags FD_CLOEXEC)"] {
        agrees(&two_threads(&format!(
            "20 fcntl(3, F_GETFD <unfinished ...>\n10 fcntl(3, F_SETFD, FD_CLOEXEC) = 0\n\
             20 <... fcntl resumed>) = {answer}\n"
        )));
        agrees(&two_threads(&format!(
            "10 fcntl(3, F_SETFD, FD_CLOEXEC <unfinished ...>\n20 fcntl(3, F_GETFD) = {answer}\n\
             10 <... fcntl resumed>) = 0\n"
        )));
    }
    let after = two_threads("10 fcntl(3, F_SETFD, FD_CLOEXEC) = 0\n20 fcntl(3, F_GETFD) = 0\n");
    assert_eq!(disagreements(&after), [6]);
}

#[test]
fn a_fork_beside_an_open_copies_it_or_not() {
    for child in ["close(4) = 0".to_owned(), format!("close(4) = {BAD}")] {
        let text = two_threads(&format!(
            "10 vfork( <unfinished ...>\n20 {}11 {child}\n10 <... vfork resumed>) = 11\n",
            open(4)
        ));
        agrees(&text);
        let text = two_threads(&format!(
            "20 {OPENS}10 {FORK} 11\n20 <... openat resumed>) = 4\n11 {child}\n"
        ));
        agrees(&text);
    }
    // But once only: the child's first answer settles it.
    let text = two_threads(&format!(
        "20 {OPENS}10 {FORK} 11\n20 <... openat resumed>) = 4\n11 close(4) = {BAD}\n11 close(4) = 0\n"
    ));
    assert_eq!(disagreements(&text), [9]);
    // And what did not overlap is copied.
    let text = two_threads(&format!("20 {}10 {FORK} 11\n11 close(4) = {BAD}\n", open(4)));
    assert_eq!(disagreements(&text), [7]);
}

#[test]
fn two_calls_that_name_one_number() {
    // A copy to 9 and its close overlap: either was the last.
    let text = |tail: &str| {
        two_threads(&format!(
            "20 dup2(3, 9) = 9\n10 dup2(3, 9 <unfinished ...>\n20 close(9) = 0\n\
             10 <... dup2 resumed>) = 9\n{tail}"
        ))
    };
    agrees(&text("10 close(9) = 0\n"));
    agrees(&text(&format!("10 close(9) = {BAD}\n")));
    // The first answer settles it.
    assert_eq!(disagreements(&text(&format!("10 close(9) = {BAD}\n10 close(9) = 0\n"))), [10]);
    // Without an overlap there is one order, and the same where the close needs the copy.
    let after = two_threads(&format!(
        "20 dup2(3, 9) = 9\n20 close(9) = 0\n10 dup2(3, 9) = 9\n10 close(9) = {BAD}\n"
    ));
    assert_eq!(disagreements(&after), [8]);
    let needed = two_threads(
        "10 dup2(3, 9 <unfinished ...>\n20 close(9) = 0\n10 <... dup2 resumed>) = 9\n\
         10 close(9) = 0\n",
    );
    assert_eq!(disagreements(&needed), [8]);
}
