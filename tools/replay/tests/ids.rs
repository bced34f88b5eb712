//! Users, groups, process groups, sessions and limits: what agrees, and what is a lie.

mod common;

use common::{FORK, THREAD, agrees, lies_at};
use lwproc_replay::scene::Cause;

const EPERM: &str = "-1 EPERM (Operation not permitted)";

/// The lines of task 10.
fn task(calls: &[&str]) -> String {
    calls.iter().map(|call| format!("10 {call}\n")).collect()
}

#[test]
fn the_first_answer_is_learnt_and_the_rest_compared() {
    let run = agrees(&task(&["getuid() = 7", "getuid() = 7", "geteuid() = 7", "getgid() = 8"]));
    // The effective id is expected to be the real one.
    assert_eq!(run.first.unexplained.get(&Cause::OuterValue), Some(&2));
    assert_eq!(run.first.total().agreed, 2);
    lies_at(2, &task(&["getuid() = 7", "getuid() = 8"]));
    // One started set-user-ID.
    let run = agrees(&task(&["getuid() = 7", "geteuid() = 0", "getresuid([7], [0], [0]) = 0"]));
    assert_eq!(run.first.unexplained.get(&Cause::OuterValue), Some(&2));
    agrees(&task(&[
        "getgroups(9, [4, 24]) = 2",
        "getgroups(0, NULL) = 2",
        "getgroups(9, [24, 4]) = 2",
    ]));
    lies_at(2, &task(&["getgroups(9, [4, 24]) = 2", "getgroups(9, [4]) = 1"]));
    lies_at(2, &task(&["getgroups(0, NULL) = 3", "getgroups(0, NULL) = 2"]));
}

#[test]
fn a_child_is_who_its_parent_is() {
    let text = format!("10 getuid() = 7\n10 {FORK} 11\n11 getuid() = ");
    agrees(&format!("{text}7\n"));
    lies_at(3, &format!("{text}8\n"));
    // Learnt from a child as well.
    let text = format!("10 {FORK} 11\n11 getuid() = 7\n10 getuid() = ");
    agrees(&format!("{text}7\n"));
    lies_at(3, &format!("{text}8\n"));
}

#[test]
fn a_sibling_is_who_its_maker_is() {
    // 12 is a child of 10, which may not become what 11 is.
    let sibling = FORK.replace("SIGCHLD", "CLONE_PARENT|SIGCHLD");
    let text = format!(
        "10 getuid() = 0\n10 {FORK} 11\n10 setuid(7) = 0\n11 setgroups(2, [4, 24]) = 0\n\
         11 setresgid(5, 6, 8) = 0\n11 setresuid(0, 3, 9) = 0\n11 {sibling} 12\n"
    );
    agrees(&format!(
        "{text}12 getresuid([0], [3], [9]) = 0\n12 getresgid([5], [6], [8]) = 0\n\
         12 getgroups(9, [4, 24]) = 2\n12 setuid(9) = 0\n10 getuid() = 7\n"
    ));
    lies_at(8, &format!("{text}12 getuid() = 7\n"));
}

#[test]
fn ids_that_are_none() {
    let invalid = "-1 EINVAL (Invalid argument)";
    for call in ["setuid(-1)", "setgid(4294967295)", "setgroups(1, [-1])"] {
        agrees(&task(&["getuid() = 0", &format!("{call} = {invalid}")]));
        lies_at(2, &task(&["getuid() = 0", &format!("{call} = 0")]));
    }
    lies_at(2, &task(&["getuid() = 0", &format!("setuid(5) = {invalid}")]));
    // There it means: leave it.
    agrees(&task(&["getuid() = 7", "setreuid(-1, -1) = 0", "getuid() = 7"]));
}

#[test]
fn changes_have_their_effect() {
    let start = task(&["getuid() = 0", "setresgid(-1, 5, -1) = 0", "setuid(7) = 0"]);
    agrees(&format!("{start}10 getresuid([7], [7], [7]) = 0\n10 getresgid([0], [5], [0]) = 0\n"));
    lies_at(4, &format!("{start}10 getuid() = 0\n"));
    lies_at(4, &format!("{start}10 getegid() = 0\n"));
    // The child has what was changed, the parent keeps what was not.
    let forked = format!("10 getuid() = 0\n10 {FORK} 11\n11 setuid(7) = 0\n");
    agrees(&format!("{forked}10 getuid() = 0\n11 getuid() = 7\n"));
    lies_at(4, &format!("{forked}10 getuid() = 7\n"));
    lies_at(4, &format!("{forked}11 getuid() = 0\n"));
    // Of all threads.
    let threads = format!("10 getuid() = 0\n10 {THREAD} 11\n11 setuid(7) = 0\n");
    agrees(&format!("{threads}10 getuid() = 7\n"));
    lies_at(4, &format!("{threads}10 getuid() = 0\n"));
}

#[test]
fn changes_are_refused_by_the_rules() {
    let user = task(&["getuid() = 7", "getgid() = 7"]);
    agrees(&format!(
        "{user}10 setuid(0) = {EPERM}\n10 setgroups(1, [4]) = {EPERM}\n10 setuid(7) = 0\n"
    ));
    lies_at(3, &format!("{user}10 setuid(0) = 0\n"));
    lies_at(3, &format!("{user}10 setuid(7) = {EPERM}\n"));
    lies_at(3, &format!("{user}10 setgroups(1, [4]) = 0\n"));
    lies_at(2, &task(&["getuid() = 0", &format!("setuid(5) = {EPERM}")]));
}

#[test]
fn capabilities_excuse_what_they_may_have_decided() {
    let user = task(&["getuid() = 7", "getgid() = 7", "prctl(PR_SET_KEEPCAPS, 1) = 0"]);
    let run = agrees(&format!("{user}10 setgid(5) = 0\n10 getgid() = 5\n10 getuid() = 7\n"));
    assert_eq!(run.first.unexplained.get(&Cause::Capability), Some(&3));
    let forked = format!("{user}10 setgid(5) = 0\n10 {FORK} 11\n11 getgid() = 5\n");
    assert_eq!(agrees(&forked).first.unexplained.get(&Cause::Capability), Some(&3));
    // Not before, and not where no id was changed by one.
    let before = user.replace("10 prctl", "10 setgid(5) = 0\n10 prctl");
    lies_at(3, &before);
    lies_at(4, &format!("{user}10 getgid() = 5\n"));
}

#[test]
fn signals_are_refused_by_the_rules() {
    let start = format!("10 getuid() = 0\n10 {FORK} 11\n11 setuid(7) = 0\n");
    agrees(&format!(
        "{start}11 kill(10, SIGTERM) = {EPERM}\n10 kill(11, 0) = 0\n11 kill(11, 0) = 0\n"
    ));
    // SIGCONT may be sent within the session.
    agrees(&format!("{start}11 kill(10, SIGCONT) = 0\n"));
    lies_at(4, &format!("{start}11 kill(10, SIGTERM) = 0\n"));
    lies_at(4, &format!("{start}10 kill(11, SIGTERM) = {EPERM}\n"));
    agrees(&format!("{start}11 tgkill(10, 10, SIGTERM) = {EPERM}\n"));
    lies_at(4, &format!("{start}11 tgkill(10, 10, SIGTERM) = 0\n"));
    lies_at(4, &format!("{start}11 kill(10, SIGTERM) = -1 ESRCH (No such process)\n"));
    // One of a group is enough.
    agrees(&format!("{start}11 kill(0, SIGTERM) = 0\n"));
}

#[test]
fn a_question_beside_a_change() {
    for answer in [0, 7] {
        agrees(&format!(
            "10 getuid() = 0\n10 {THREAD} 20\n20 gettid() = 20\n10 setuid(7 <unfinished ...>\n\
             20 getuid() = {answer}\n10 <... setuid resumed>) = 0\n"
        ));
        agrees(&format!(
            "10 getuid() = 0\n10 {THREAD} 20\n20 getuid( <unfinished ...>\n10 setuid(7) = 0\n\
             20 <... getuid resumed>) = {answer}\n"
        ));
    }
}

const STACK: &str = "{rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}";
const LOWER: &str = "{rlim_cur=4096, rlim_max=65536}";

#[test]
fn limits_are_learnt_set_and_inherited() {
    let get = |limit| format!("prlimit64(0, RLIMIT_STACK, NULL, {limit}) = 0");
    let set = |limit| format!("prlimit64(0, RLIMIT_STACK, {limit}, NULL) = 0");
    let run = agrees(&task(&[&get(STACK), &get(STACK), &set(LOWER), &get(LOWER)]));
    assert_eq!(run.first.unexplained.get(&Cause::OuterValue), Some(&1));
    lies_at(2, &task(&[&get(STACK), &get(LOWER)]));
    lies_at(2, &task(&[&set(LOWER), &get(STACK)]));
    // Of another resource it says nothing.
    agrees(&task(&[&set(LOWER), "getrlimit(RLIMIT_CORE, {rlim_cur=0, rlim_max=0}) = 0"]));
    // The old value in the same call.
    let swap = format!("prlimit64(0, RLIMIT_STACK, {LOWER}, {STACK}) = 0");
    agrees(&task(&[&get(STACK), &swap, &get(LOWER)]));
    lies_at(3, &task(&[&get(STACK), &swap, &swap]));
    // A child has its parent's, and then its own.
    let forked = format!("10 {}\n10 {FORK} 11\n11 {}\n", get(STACK), set(LOWER));
    agrees(&format!("{forked}10 {}\n11 {}\n", get(STACK), get(LOWER)));
    lies_at(4, &format!("{forked}10 {}\n", get(LOWER)));
    lies_at(4, &format!("{forked}11 {}\n", get(STACK)));
    let inherited = format!("10 {}\n10 {FORK} 11\n11 ", set(LOWER));
    agrees(&format!("{inherited}{}\n", get(LOWER)));
    lies_at(3, &format!("{inherited}{}\n", get(STACK)));
}

#[test]
fn limits_of_another_process() {
    let text = format!("10 {FORK} 11\n10 prlimit64(11, RLIMIT_STACK, {LOWER}, NULL) = 0\n");
    let get = |limit| format!("prlimit64(0, RLIMIT_STACK, NULL, {limit}) = 0\n");
    agrees(&format!("{text}11 {}10 {}", get(LOWER), get(STACK)));
    lies_at(3, &format!("{text}11 {}", get(STACK)));
    agrees(&format!("{text}10 prlimit64(11, RLIMIT_STACK, NULL, {LOWER}) = 0\n11 getpid() = 11\n"));
    let gone = "10 prlimit64(11, RLIMIT_STACK, NULL, 0x7f) = -1 ESRCH (No such process)\n";
    lies_at(3, &format!("{text}{gone}11 getpid() = 11\n"));
    let reaped = format!(
        "{text}11 exit_group(0) = ?\n11 +++ exited with 0 +++\n10 wait4(-1, NULL, 0, NULL) = 11\n"
    );
    agrees(&format!("{reaped}{gone}"));
    lies_at(6, &format!("{reaped}10 prlimit64(11, RLIMIT_STACK, NULL, {LOWER}) = 0\n"));
}

#[test]
fn limits_are_refused_by_the_rules() {
    let set = |limit: &str, answer: &str| {
        format!("10 prlimit64(0, RLIMIT_STACK, {limit}, NULL) = {answer}\n")
    };
    let user = format!("10 getuid() = 7\n{}", set(LOWER, "0"));
    agrees(&format!("{user}{}", set(STACK, EPERM)));
    lies_at(3, &format!("{user}{}", set(STACK, "0")));
    lies_at(3, &format!("{user}{}", set(LOWER, EPERM)));
    let invalid = "-1 EINVAL (Invalid argument)";
    agrees(&set("{rlim_cur=9, rlim_max=8}", invalid));
    lies_at(1, &set("{rlim_cur=9, rlim_max=8}", "0"));
    lies_at(1, &set("{rlim_cur=9, rlim_max=9}", invalid));
    // User 0 may lack the capability; then nothing has changed.
    let root = format!("10 getuid() = 0\n{}{}", set(LOWER, "0"), set(STACK, EPERM));
    let run = agrees(&format!("{root}10 prlimit64(0, RLIMIT_STACK, NULL, {LOWER}) = 0\n"));
    assert_eq!(run.first.unexplained.get(&Cause::Capability), Some(&1));
}

#[test]
fn who_is_outside_is_not_asked() {
    let get = "prlimit64(99, RLIMIT_STACK, NULL, ";
    let run = agrees(&task(&[&format!("{get}{{rlim_cur=1, rlim_max=1}}) = 0")]));
    assert_eq!(run.first.unexplained.get(&Cause::OuterProcess), Some(&1));
    let gone = format!("{get}0x7f) = -1 ESRCH (No such process)");
    assert_eq!(agrees(&task(&[&gone])).first.total().agreed, 1);
}

#[test]
fn what_is_not_compared_has_a_cause() {
    let form = agrees(&task(&["setuid(5) = -1 EAGAIN (Resource temporarily unavailable)"]));
    assert_eq!(form.first.unexplained.get(&Cause::Form), Some(&1));
    let fs = agrees(&task(&["setfsuid(5) = 0", "setfsgid(-1) = 5"]));
    assert_eq!(fs.first.unexplained.get(&Cause::Form), Some(&2));
    let capset = "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=0}) = 0";
    let run = agrees(&task(&[capset, "prctl(PR_SET_NAME, \"a\") = 0"]));
    assert_eq!(run.first.unexplained.get(&Cause::Capability), Some(&1));
    assert_eq!(run.first.total().checked(), 0);
}

#[test]
fn more_groups_than_strace_shows() {
    let set = "setgroups(40, [4, 24, ...]) = 0";
    agrees(&task(&["getuid() = 0", set, "getgroups(0, NULL) = 40"]));
    lies_at(3, &task(&["getuid() = 0", set, "getgroups(0, NULL) = 39"]));
    let many = "setgroups(70000, [4, 24, ...]) = ";
    agrees(&task(&["getuid() = 0", &format!("{many}-1 EINVAL (Invalid argument)")]));
    lies_at(2, &task(&["getuid() = 0", &format!("{many}0")]));
}
