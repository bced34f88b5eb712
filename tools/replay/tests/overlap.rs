//! Calls that overlap took effect in some order: any that explains the answers is right, and an
//! answer that no order explains is not.

mod common;

use common::{FORK, agrees, disagreements};

const THREAD: &str =
    "clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0} => {parent_tid=[0]}, 88) =";

/// An orphan-to-be asks while its parent 10 is between `exit_group(` and `+++`.
fn dying_parent(answer: &str) -> String {
    format!(
        "9 {FORK} 10\n10 {FORK} 11\n11 getpid() = 11\n10 exit_group(0 <unfinished ...>\n\
         11 getppid() = {answer}\n10 <... exit_group resumed>) = ?\n10 +++ exited with 0 +++\n\
         9 wait4(-1, [{{WIFEXITED(s) && WEXITSTATUS(s) == 0}}], 0, NULL) = 10\n11 getppid() = 1\n"
    )
}

#[test]
fn a_dying_parent_is_a_parent_or_not() {
    assert_eq!(agrees(&dying_parent("10")).first.reordered, 0);
    assert_eq!(agrees(&dying_parent("1")).first.reordered, 1);
    assert_eq!(disagreements(&dying_parent("9")), [5]);
}

#[test]
fn once_an_orphan_always_an_orphan() {
    let text = dying_parent("1").replace("10 <... exit", "11 getppid() = 10\n10 <... exit");
    assert_eq!(disagreements(&text), [6]);
}

#[test]
fn a_live_parent_is_no_candidate() {
    // Before its exit call, the parent cannot have died.
    let text = dying_parent("10").replace("11 getpid() = 11", "11 getppid() = 1");
    assert_eq!(disagreements(&text), [3]);
}

#[test]
fn a_fatal_signal_opens_the_window() {
    for answer in ["1", "10"] {
        agrees(&format!(
            "9 {FORK} 10\n10 {FORK} 11\n10 --- SIGTERM {{si_signo=SIGTERM}} ---\n11 getppid() = {answer}\n\
             10 +++ killed by SIGTERM +++\n9 wait4(-1, [{{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}}], 0, NULL) = 10\n"
        ));
    }
}

#[test]
fn a_parent_with_a_live_thread_is_alive() {
    let text = format!(
        "10 {THREAD} 12\n12 gettid() = 12\n10 {FORK} 11\n10 exit(0) = ?\n11 getppid() = 1\n\
         12 gettid() = 12\n12 exit(0) = ?\n12 +++ exited with 0 +++\n10 +++ exited with 0 +++\n"
    );
    assert_eq!(disagreements(&text), [5]);
    agrees(&text.replace("getppid() = 1\n", "getppid() = 10\n"));
}

#[test]
fn a_question_may_precede_the_end_in_its_window() {
    let asked = |answer| {
        format!(
            "9 {FORK} 10\n10 {FORK} 11\n11 getppid( <unfinished ...>\n10 exit_group(0) = ?\n\
             10 +++ exited with 0 +++\n11 <... getppid resumed>) = {answer}\n"
        )
    };
    agrees(&asked("10"));
    agrees(&asked("1"));
    assert_eq!(disagreements(&asked("9")), [6]);
}

#[test]
fn a_question_between_two_ends_in_its_window() {
    // Neither at its begin nor at its end, but in between: 11 is dead, and not yet reaped.
    let text = format!(
        "10 {THREAD} 20\n20 gettid() = 20\n10 {FORK} 11\n20 waitid(P_PID, 11,  <unfinished ...>\n\
         11 exit_group(0) = ?\n11 +++ exited with 0 +++\n10 wait4(11, NULL, 0, NULL) = 11\n\
         20 <... waitid resumed>{{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11, si_status=0}}, WEXITED|WNOWAIT, NULL) = 0\n"
    );
    agrees(&text);
    // Not in its window at all.
    let late = text.replace("20 waitid(P_PID, 11,  <unfinished ...>\n", "");
    let late = late.replace("20 <... waitid resumed>", "20 waitid(P_PID, 11, ");
    assert_eq!(disagreements(&late), [7]);
}

/// Two threads wait for the only child; the log prints the loser's ECHILD first or last.
fn two_waiters(first: &str, second: &str) -> String {
    format!(
        "10 {THREAD} 20\n20 gettid() = 20\n10 {FORK} 11\n11 exit_group(0) = ?\n11 +++ exited with 0 +++\n\
         10 wait4(-1,  <unfinished ...>\n20 wait4(-1,  <unfinished ...>\n\
         10 <... wait4 resumed>{first}\n20 <... wait4 resumed>{second}\n"
    )
}

#[test]
fn two_threads_wait_for_one_child() {
    let reaped = "[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 11";
    let none = "0x7f, 0, NULL) = -1 ECHILD (No child processes)";
    assert_eq!(agrees(&two_waiters(reaped, none)).first.reordered, 0);
    assert_eq!(agrees(&two_waiters(none, reaped)).first.reordered, 1);
    assert_eq!(disagreements(&two_waiters(reaped, reaped)), [9]);
    assert_eq!(disagreements(&two_waiters(none, none)), [8, 9]);
}

#[test]
fn a_waiter_that_reaps_makes_the_target_vanish() {
    let text = |answer: &str| {
        format!(
            "10 {THREAD} 20\n20 gettid() = 20\n10 {FORK} 11\n11 exit_group(0) = ?\n11 +++ exited with 0 +++\n\
             10 wait4(-1,  <unfinished ...>\n20 kill(11, 0) = {answer}\n10 <... wait4 resumed>NULL, 0, NULL) = 11\n"
        )
    };
    agrees(&text("0"));
    agrees(&text("-1 ESRCH (No such process)"));
}

#[test]
fn a_dying_thread_is_there_or_not() {
    let text = |answer: &str| {
        format!(
            "10 {THREAD} 11\n11 exit(0 <unfinished ...>\n10 tgkill(10, 11, 0) = {answer}\n\
             11 <... exit resumed>) = ?\n11 +++ exited with 0 +++\n"
        )
    };
    agrees(&text("0"));
    assert_eq!(agrees(&text("-1 ESRCH (No such process)")).first.reordered, 1);
}

#[test]
fn a_fork_in_flight_has_a_child_or_not() {
    let text = |answer: &str| {
        format!(
            "10 {THREAD} 20\n20 gettid() = 20\n10 vfork( <unfinished ...>\n\
             20 wait4(-1, 0x7f, WNOHANG, NULL) = {answer}\n10 <... vfork resumed>) = 11\n11 getpid() = 11\n"
        )
    };
    agrees(&text("-1 ECHILD (No child processes)"));
    assert_eq!(agrees(&text("0")).first.reordered, 1);
}

#[test]
fn a_child_writes_before_its_fork_returns() {
    agrees(
        "10 vfork( <unfinished ...>\n11 getpid() = 11\n11 getppid() = 10\n11 execve(\"a\", [\"a\"], 0x7f) = 0\n\
         10 <... vfork resumed>) = 11\n11 exit_group(2) = ?\n11 +++ exited with 2 +++\n\
         10 wait4(11, [{WIFEXITED(s) && WEXITSTATUS(s) == 2}], 0, NULL) = 11\n",
    );
    // It may even be gone.
    agrees(
        "10 vfork( <unfinished ...>\n11 exit_group(2) = ?\n11 +++ exited with 2 +++\n\
         10 <... vfork resumed>) = 11\n10 wait4(11, [{WIFEXITED(s) && WEXITSTATUS(s) == 2}], 0, NULL) = 11\n",
    );
}

#[test]
fn a_number_lives_twice() {
    let life = format!(
        "10 {FORK} 11\n11 getpid() = 11\n11 exit_group(1) = ?\n11 +++ exited with 1 +++\n\
         10 wait4(-1, [{{WIFEXITED(s) && WEXITSTATUS(s) == 1}}], 0, NULL) = 11\n"
    );
    agrees(&format!("{life}{life}"));
}

#[test]
fn a_zombie_that_strace_has_not_shown_is_alive_to_its_parent() {
    // The orphan's answer says that 10 is dead; strace lets 9 know only after the `+++`.
    let text = dying_parent("1")
        .replace("10 <... exit", "9 wait4(10, 0x7f, WNOHANG, NULL) = 0\n10 <... exit");
    agrees(&text);
}
