//! Process groups and sessions: what agrees, what is a lie, and what overlaps.

mod common;

use common::{FORK, THREAD, agrees, disagreements, lies_at};
use lwproc_replay::scene::Cause;

const EPERM: &str = "-1 EPERM (Operation not permitted)";
const ESRCH: &str = "-1 ESRCH (No such process)";

/// 10 with a child 11, and an ending of the caller's choice from line 2 on.
fn family(tail: &str) -> String {
    format!("10 {FORK} 11\n{tail}")
}

#[test]
fn the_first_group_is_learnt() {
    let run = agrees(&family(
        "10 getpgrp() = 5\n11 getpgid(0) = 5\n10 getpgid(11) = 5\n10 getsid(0) = 4\n11 getsid(0) = 4\n",
    ));
    assert_eq!(run.first.unexplained.get(&Cause::OuterValue), Some(&2));
    lies_at(3, &family("10 getpgrp() = 5\n11 getpgrp() = 6\n"));
    lies_at(3, &family("10 getpgrp() = 5\n11 getpgrp() = 11\n"));
    lies_at(3, &family("10 getsid(0) = 5\n11 getsid(0) = 6\n"));
    // The first task may lead its own, from the start.
    agrees(&family(
        "10 getpgrp() = 10\n11 getpgrp() = 10\n10 setpgid(11, 11) = 0\n10 setpgid(11, 10) = 0\n",
    ));
    agrees(&family(&format!(
        "10 getsid(0) = 10\n10 getpgrp() = 10\n10 setsid() = {EPERM}\n11 getsid(0) = 10\n"
    )));
}

#[test]
fn groups_are_made_and_joined() {
    let text = family("10 setpgid(11, 11) = 0\n");
    agrees(&format!(
        "{text}11 getpgrp() = 11\n10 getpgid(11) = 11\n10 setpgid(0, 11) = 0\n10 getpgrp() = 11\n"
    ));
    lies_at(3, &format!("{text}11 getpgrp() = 10\n"));
    lies_at(3, &format!("{text}10 getpgrp() = 11\n"));
    // Back to the one outside.
    let text =
        family("10 getpgrp() = 5\n11 setpgid(0, 0) = 0\n11 setpgid(0, 5) = 0\n11 getpgrp() = ");
    agrees(&format!("{text}5\n"));
    lies_at(5, &format!("{text}11\n"));
    // A child starts in its parent's.
    let text = format!("10 setpgid(0, 0) = 0\n10 {FORK} 11\n11 getpgrp() = ");
    agrees(&format!("{text}10\n"));
    lies_at(3, &format!("{text}11\n"));
}

#[test]
fn joining_is_refused_by_the_rules() {
    let grand = format!("10 {FORK} 11\n11 {FORK} 12\n12 getpid() = 12\n");
    agrees(&format!("{grand}10 setpgid(12, 12) = {ESRCH}\n"));
    lies_at(4, &format!("{grand}10 setpgid(12, 12) = 0\n"));
    // No group of that number, and one in another session.
    agrees(&family(&format!("10 setpgid(0, 11) = {EPERM}\n11 getpid() = 11\n")));
    lies_at(2, &family("10 setpgid(0, 11) = 0\n"));
    let other = family("11 setsid() = 11\n");
    agrees(&format!("{other}10 setpgid(0, 11) = {EPERM}\n10 setpgid(11, 11) = {EPERM}\n"));
    lies_at(3, &format!("{other}10 setpgid(0, 11) = 0\n"));
    agrees(&format!("{other}11 setpgid(0, 0) = {EPERM}\n"));
    agrees(&format!("{other}10 setpgid(0, -5) = -1 EINVAL (Invalid argument)\n"));
}

#[test]
fn a_child_that_runs_another_program_is_left_alone() {
    let text = family("11 execve(\"a\", [\"a\"], 0x7f) = 0\n");
    let refused = "-1 EACCES (Permission denied)";
    agrees(&format!("{text}10 setpgid(11, 11) = {refused}\n11 setpgid(0, 0) = 0\n"));
    lies_at(3, &format!("{text}10 setpgid(11, 11) = 0\n"));
    lies_at(2, &family(&format!("10 setpgid(11, 11) = {refused}\n11 getpid() = 11\n")));
    let failed = text.replace("= 0\n", "= -1 ENOENT (No such file or directory)\n");
    agrees(&format!("{failed}10 setpgid(11, 11) = 0\n"));
}

#[test]
fn sessions() {
    let text = family("11 setsid() = 11\n");
    agrees(&format!(
        "{text}11 getsid(0) = 11\n11 getpgrp() = 11\n10 getsid(11) = 11\n11 setsid() = {EPERM}\n"
    ));
    lies_at(3, &format!("{text}11 getsid(0) = 10\n"));
    lies_at(3, &format!("{text}11 setsid() = 11\n"));
    lies_at(2, &family("11 setsid() = 10\n"));
    lies_at(2, &family(&format!("11 setsid() = {EPERM}\n")));
    // A leader of a group makes none.
    agrees(&family(&format!("11 setpgid(0, 0) = 0\n11 setsid() = {EPERM}\n")));
    let known = family("10 getsid(0) = 5\n11 setsid() = 11\n10 getsid(0) = ");
    agrees(&format!("{known}5\n"));
    lies_at(4, &format!("{known}11\n"));
}

#[test]
fn the_gone_have_no_group() {
    let dead = family("11 exit_group(0) = ?\n11 +++ exited with 0 +++\n");
    let reaped = format!("{dead}10 wait4(-1, NULL, 0, NULL) = 11\n");
    agrees(&format!("10 getpgrp() = 5\n{dead}10 getpgid(11) = 5\n"));
    agrees(&format!("{reaped}10 getpgid(11) = {ESRCH}\n10 getsid(11) = {ESRCH}\n"));
    lies_at(4, &format!("{dead}10 getpgid(11) = {ESRCH}\n"));
    lies_at(6, &format!("10 getpgrp() = 5\n{reaped}10 getpgid(11) = 5\n"));
    // Nobody of that number is in the log: then there is none, or it is outside.
    for call in ["getpgid(99)", "getsid(99)", "setpgid(99, 0)", "setpgid(1, 9)", "kill(99, 0)"] {
        assert_eq!(agrees(&format!("10 {call} = {ESRCH}\n")).first.total().agreed, 1, "{call}");
        let there = agrees(&format!("10 {call} = 0\n"));
        assert_eq!(there.first.unexplained.get(&Cause::OuterProcess), Some(&1), "{call}");
    }
    lies_at(1, &format!("10 getpgid(1) = {ESRCH}\n"));
    lies_at(1, "10 setpgid(99, 0) = -1 EINVAL (Invalid argument)\n");
}

#[test]
fn signals_to_groups() {
    let text = family("11 setpgid(0, 0) = 0\n");
    agrees(&format!("{text}10 kill(-11, SIGTERM) = 0\n10 kill(0, 0) = 0\n"));
    lies_at(3, &format!("{text}10 kill(-11, SIGTERM) = {ESRCH}\n"));
    lies_at(2, &family("10 kill(-11, SIGTERM) = 0\n"));
    agrees(&family(&format!("10 kill(-11, SIGTERM) = {ESRCH}\n11 getpid() = 11\n")));
    // It lasts as long as a member that has not been waited for.
    let dead = format!("{text}11 exit_group(0) = ?\n11 +++ exited with 0 +++\n");
    agrees(&format!("{dead}10 kill(-11, 0) = 0\n"));
    let reaped = format!("{dead}10 wait4(-1, NULL, 0, NULL) = 11\n");
    agrees(&format!("{reaped}10 kill(-11, 0) = {ESRCH}\n"));
    lies_at(6, &format!("{reaped}10 kill(-11, 0) = 0\n"));
}

#[test]
fn waiting_for_groups() {
    let start = format!(
        "10 {FORK} 11\n10 {FORK} 12\n12 setpgid(0, 0) = 0\n11 exit_group(0) = ?\n11 +++ exited with 0 +++\n"
    );
    let none = "0x7f, WNOHANG, NULL) = 0";
    agrees(&format!("{start}10 wait4(-12, {none}\n10 wait4(0, NULL, 0, NULL) = 11\n"));
    lies_at(6, &format!("{start}10 wait4(0, {none}\n"));
    lies_at(6, &format!("{start}10 wait4(-12, NULL, 0, NULL) = 11\n"));
    let gone = "0x7f, 0, NULL) = -1 ECHILD (No child processes)";
    agrees(&format!("{start}10 wait4(0, NULL, 0, NULL) = 11\n10 wait4(0, {gone}\n"));
    lies_at(6, &format!("{start}10 wait4(-12, {gone}\n"));
    agrees(&format!(
        "{start}10 waitid(P_PGID, 11, 0x7f, WEXITED, NULL) = -1 ECHILD (No child processes)\n"
    ));
}

#[test]
fn a_group_that_is_being_made() {
    // A shell's pipeline: both the shell and the child move the child.
    let start = format!("10 {FORK} 11\n10 {FORK} 12\n11 setpgid(11, 11 <unfinished ...>\n");
    let end = "11 <... setpgid resumed>) = 0\n12 getpid() = 12\n";
    let run = agrees(&format!("{start}12 setpgid(12, 11) = 0\n{end}"));
    assert_eq!(run.first.reordered, 1);
    agrees(&format!("{start}10 getpgid(11) = 11\n{end}"));
    agrees(&format!("10 getpgrp() = 5\n{start}10 getpgid(11) = 5\n{end}"));
    agrees(&format!("{start}10 kill(-11, 0) = 0\n{end}"));
    let late =
        format!("10 {FORK} 11\n10 {FORK} 12\n12 setpgid(12, 11) = 0\n11 setpgid(11, 11) = 0\n");
    assert_eq!(disagreements(&late), [3]);
    // Both in flight, and the child's answer needs both.
    let both = format!(
        "{start}12 setpgid(0, 11 <unfinished ...>\n10 getpgid(12) = 11\n12 <... setpgid resumed>) = 0\n{end}"
    );
    assert_eq!(agrees(&both).first.reordered, 1);
    // A session in flight.
    agrees(&family(
        "11 setsid( <unfinished ...>\n10 getsid(11) = 11\n11 <... setsid resumed>) = 11\n",
    ));
}

#[test]
fn a_move_beside_an_execve_or_an_end() {
    let exec = "11 execve(\"a\", [\"a\"], 0x7f";
    let refused = "-1 EACCES (Permission denied)";
    for answer in ["0", refused] {
        // The execve ends first, or last.
        agrees(&family(&format!(
            "10 setpgid(11, 11 <unfinished ...>\n{exec}) = 0\n10 <... setpgid resumed>) = {answer}\n"
        )));
        agrees(&family(&format!(
            "{exec} <unfinished ...>\n10 setpgid(11, 11) = {answer}\n11 <... execve resumed>) = 0\n"
        )));
    }
    let late = family(&format!("{exec}) = 0\n10 setpgid(11, 11) = 0\n"));
    assert_eq!(disagreements(&late), [3]);
    // The child is gone when the answer comes.
    let gone = family(
        "10 setpgid(11, 11 <unfinished ...>\n11 exit_group(0) = ?\n11 +++ exited with 0 +++\n\
         10 <... setpgid resumed>) = 0\n10 getpgid(11) = 11\n",
    );
    agrees(&gone);
}

#[test]
fn a_thread_moves_its_process() {
    let text =
        format!("10 {THREAD} 20\n20 setpgid(0, 0) = 0\n10 getpgrp() = 10\n20 getpgid(20) = 10\n");
    agrees(&text);
}

#[test]
fn the_first_group_outlasts_its_member() {
    // Whoever started the first task is in it.
    let text = "10 getpgrp() = 5\n10 setpgid(0, 0) = 0\n";
    agrees(&format!("{text}10 setpgid(0, 5) = 0\n10 getpgrp() = 5\n10 kill(-5, 0) = 0\n"));
    let run = agrees(&format!("{text}10 kill(-5, 0) = {ESRCH}\n"));
    assert_eq!(run.first.unexplained.get(&Cause::OuterProcess), Some(&1));
    lies_at(3, &format!("{text}10 setpgid(0, 5) = {EPERM}\n"));
}

#[test]
fn another_group_outside() {
    // That it could be joined is for the log to say; what follows from it as well.
    let text = family("10 getpgrp() = 5\n10 setpgid(0, 6) = 0\n");
    let run = agrees(&format!("{text}10 getpgrp() = 6\n11 getpgrp() = 5\n"));
    assert_eq!(run.first.unexplained.get(&Cause::OuterProcess), Some(&2));
    lies_at(4, &format!("{text}10 getpgrp() = 7\n"));
}
