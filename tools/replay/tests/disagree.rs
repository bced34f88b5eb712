//! The checker can fail: each of these logs tells one lie, and the line of the lie is named.

mod common;

use common::{FORK, agrees, disagreements};

const THREAD: &str =
    "clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0} => {parent_tid=[0]}, 88) =";

/// A parent 10 whose child 11 exits with 3, and an ending of the caller's choice.
fn family(tail: &str) -> String {
    format!(
        "10 getpid() = 10\n10 {FORK} 11\n11 getpid() = 11\n11 exit_group(3) = ?\n\
         11 +++ exited with 3 +++\n{tail}"
    )
}

#[track_caller]
fn lies_at(line: u32, text: &str) {
    let found = disagreements(text);
    assert_eq!(found.first(), Some(&line), "{found:?}\n{text}");
}

#[test]
fn the_truth_agrees() {
    agrees(&family(
        "10 wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 11\n\
         10 wait4(-1, 0x7f, WNOHANG, NULL) = -1 ECHILD (No child processes)\n\
         10 kill(11, 0) = -1 ESRCH (No such process)\n\
         10 exit_group(0) = ?\n10 +++ exited with 0 +++\n",
    ));
}

#[test]
fn wrong_numbers() {
    lies_at(2, "10 gettid() = 10\n10 getpid() = 11\n");
    lies_at(2, "10 getpid() = 10\n10 gettid() = 12\n");
    lies_at(3, &format!("10 getpid() = 10\n10 {THREAD} 11\n11 getpid() = 11\n"));
    lies_at(3, &format!("10 getpid() = 10\n10 {THREAD} 11\n11 gettid() = 10\n"));
    lies_at(3, &format!("10 getpid() = 10\n10 {FORK} 11\n11 getpid() = 10\n"));
}

#[test]
fn wrong_parents() {
    // The parent lives, so it is not init; nor a stranger; nor the child itself.
    for parent in ["1", "99", "11"] {
        lies_at(3, &format!("10 getpid() = 10\n10 {FORK} 11\n11 getppid() = {parent}\n"));
    }
    // The root's parent is bound at the first answer.
    lies_at(3, "10 getppid() = 5\n10 getppid() = 5\n10 getppid() = 6\n");
    // Dead and reaped, it is a parent no more.
    let orphan = format!(
        "9 {FORK} 10\n10 {FORK} 11\n10 exit_group(0) = ?\n10 +++ exited with 0 +++\n\
         9 wait4(-1, NULL, 0, NULL) = 10\n11 getppid() = "
    );
    agrees(&format!("{orphan}1\n"));
    lies_at(6, &format!("{orphan}10\n"));
    lies_at(6, &format!("{orphan}9\n"));
}

#[test]
fn wrong_waits() {
    let exited = |code| {
        format!("10 wait4(-1, [{{WIFEXITED(s) && WEXITSTATUS(s) == {code}}}], 0, NULL) = 11\n")
    };
    agrees(&family(&exited(3)));
    lies_at(6, &family(&exited(4)));
    lies_at(
        6,
        &family("10 wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}], 0, NULL) = 11\n"),
    );
    lies_at(6, &family("10 wait4(-1, 0x7f, WNOHANG, NULL) = -1 ECHILD (No child processes)\n"));
    lies_at(6, &family("10 wait4(11, 0x7f, 0, NULL) = -1 ECHILD (No child processes)\n"));
    // It is dead: WNOHANG must say so.
    lies_at(6, &family("10 wait4(-1, 0x7f, WNOHANG, NULL) = 0\n"));
    lies_at(6, &family("10 wait4(-1, NULL, 0, NULL) = 12\n"));
    // Once only.
    lies_at(7, &family(&format!("{}{}", exited(3), exited(3))));
    // No child at all, and one that lives.
    lies_at(2, "10 getpid() = 10\n10 wait4(-1, 0x7f, WNOHANG, NULL) = 0\n");
    lies_at(2, &format!("10 {FORK} 11\n10 wait4(-1, NULL, 0, NULL) = 11\n11 getpid() = 11\n"));
    let info = |status| {
        format!(
            "10 waitid(P_PID, 11, {{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11, si_status={status}}}, WEXITED, NULL) = 0\n"
        )
    };
    agrees(&family(&info(3)));
    lies_at(6, &family(&info(2)));
}

#[test]
fn wrong_looks_at_a_zombie() {
    let look = |status| {
        format!(
            "10 waitid(P_ALL, 0, {{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11, si_status={status}}}, \
             WEXITED|WNOWAIT, NULL) = 0\n"
        )
    };
    // Looking leaves it as it is: it can be looked at again, and reaped.
    agrees(&family(&format!("{0}{0}10 wait4(-1, NULL, 0, NULL) = 11\n", look(3))));
    lies_at(6, &family(&look(4)));
    lies_at(7, &family(&format!("10 wait4(-1, NULL, 0, NULL) = 11\n{}", look(3))));
    lies_at(2, &format!("10 {FORK} 11\n{}11 getpid() = 11\n", look(3)));
}

#[test]
fn a_grandchild_is_no_child() {
    let text = format!(
        "10 {FORK} 11\n11 {FORK} 12\n12 exit_group(0) = ?\n12 +++ exited with 0 +++\n\
         10 wait4(12, NULL, 0, NULL) = 12\n11 getpid() = 11\n"
    );
    lies_at(5, &text);
}

#[test]
fn wrong_ends() {
    // The code is not the one it left with.
    lies_at(2, "10 exit_group(3) = ?\n10 +++ exited with 4 +++\n");
    // A leader's end comes after those of its threads.
    lies_at(
        4,
        &format!(
            "10 {THREAD} 11\n11 gettid() = 11\n10 exit(0) = ?\n10 +++ exited with 0 +++\n11 gettid() = 11\n"
        ),
    );
    // The dead write no lines. (A fork may reuse the number; none does.)
    let text = format!(
        "10 {FORK} 11\n10 getpid() = 10\n11 exit_group(0) = ?\n11 +++ exited with 0 +++\n11 getpid() = 11\n"
    );
    let plan = common::load(&text);
    assert_eq!(plan.census.problems.len(), 1, "{:?}", plan.census.problems);
    assert_eq!(plan.census.problems[0].line, 5);
}

#[test]
fn wrong_targets() {
    // A zombie exists until it is reaped.
    agrees(&family("10 kill(11, SIGTERM) = 0\n"));
    lies_at(6, &family("10 kill(11, SIGTERM) = -1 ESRCH (No such process)\n"));
    lies_at(7, &family("10 wait4(-1, NULL, 0, NULL) = 11\n10 kill(11, 0) = 0\n"));
    let thread = format!("10 {THREAD} 11\n11 exit(0) = ?\n11 +++ exited with 0 +++\n");
    agrees(&format!("{thread}10 tgkill(10, 11, SIGUSR1) = -1 ESRCH (No such process)\n"));
    lies_at(4, &format!("{thread}10 tgkill(10, 11, SIGUSR1) = 0\n"));
    lies_at(2, &format!("10 {FORK} 11\n10 tgkill(10, 11, SIGUSR1) = 0\n11 getpid() = 11\n"));
}

#[test]
fn wrong_forks() {
    // A number that is alive already.
    lies_at(3, &format!("10 {FORK} 11\n11 getpid() = 11\n10 {FORK} 11\n"));
}

#[test]
fn wrong_execs() {
    // The thread that called execve bears the pid afterwards, whatever its number was.
    let text = format!(
        "10 {THREAD} 11\n11 execve(\"a\", [\"a\"], 0x7f /* 1 vars */ <unfinished ...>\n\
         10 +++ superseded by execve in pid 11 +++\n10 <... execve resumed>) = 0\n10 gettid() = "
    );
    agrees(&format!("{text}10\n"));
    lies_at(5, &format!("{text}11\n"));
    // A thread cannot exec without taking the pid over.
    lies_at(2, &format!("10 {THREAD} 11\n11 execve(\"a\", [\"a\"], 0x7f /* 1 vars */) = 0\n"));
}
