//! Logs of real programs: every answer agrees, every line is accounted for, nothing is left.

mod common;

use common::{own_logs, replayed, shared_logs};
use lwproc_replay::copies::{Load, run};
use lwproc_replay::plan::Plan;
use std::num::NonZeroU32;
use std::path::Path;

/// Calls of which every answer is compared.
const ALWAYS_COMPARED: [&str; 30] = [
    "getpid",
    "gettid",
    "getppid",
    "set_tid_address",
    "clone",
    "clone3",
    "vfork",
    "kill",
    "tgkill",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "pipe2",
    "socket",
    "socketpair",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "setresuid",
    "setresgid",
    "setgroups",
    "getpgrp",
    "setsid",
];

fn check(path: &Path) {
    let plan = Plan::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let census = &plan.census;
    let name = path.display();
    assert_eq!(census.problem_count, 0, "{name}: {:?}", census.problems);
    let kinds: u32 = census.by_kind().iter().map(|(_, count)| count).sum();
    assert_eq!(kinds, census.lines, "{name}: lines by kind");
    let run = replayed(&plan);
    assert!(run.is_good(), "{name}: {:#?} {:?}", run.first.disagreements, run.left);
    assert!(run.first.total().agreed > 50, "{name}: hardly anything was compared");
    for (count, tally) in census.names.iter().zip(&run.first.calls) {
        let accounted = tally.checked()
            + tally.unexplained
            + u64::from(count.not_modelled)
            + u64::from(count.unanswered);
        assert_eq!(accounted, u64::from(count.calls), "{name}: {}", count.name);
        if ALWAYS_COMPARED.contains(&count.name.as_str()) {
            assert_eq!(count.not_modelled, 0, "{name}: {}", count.name);
        }
    }
    let total = run.first.total();
    let by_cause: u64 = run.first.unexplained.values().sum();
    assert_eq!(total.unexplained, by_cause, "{name}: unexplained by cause");
    let answers = total.checked() + total.unexplained;
    assert!(total.unexplained * 100 <= answers, "{name}: {:?}", run.first.unexplained);
    assert_eq!(
        run.first.ends.checked() + superseded(&plan),
        u64::from(census.farewells),
        "{name}: ends"
    );
}

fn superseded(plan: &Plan) -> u64 {
    let by_exec =
        |step: &&lwproc_replay::plan::Step| step.action == lwproc_replay::plan::Action::Supersede;
    plan.steps.iter().filter(by_exec).count() as u64
}

#[test]
fn own_logs_agree() {
    let logs = own_logs();
    assert!(logs.len() >= 4, "only {} logs in traces/", logs.len());
    logs.iter().for_each(|path| check(path));
}

#[test]
fn shared_logs_agree() {
    let logs = shared_logs();
    if logs.is_empty() {
        println!("skipped: no logs in ../shared/traces");
    }
    logs.iter().for_each(|path| check(path));
}

#[test]
fn eight_copies_over_two_threads_end_empty() {
    let load =
        Load { copies: NonZeroU32::new(8).expect("8"), threads: NonZeroU32::new(2).expect("2") };
    for path in own_logs().iter().chain(&shared_logs()) {
        let plan = Plan::open(path).expect("a log");
        let run = run(&plan, load, &|_| ()).expect("a run");
        assert!(run.is_good(), "{}: {} differ, {:?}", path.display(), run.differing, run.left);
        assert_eq!(run.disagreed, 0);
    }
}

#[test]
fn the_logs_show_what_they_were_recorded_for() {
    let text = |name: &str| {
        let mut reader =
            lwproc_replay::parse::LineReader::open(&common::own_log(name)).expect("a log");
        let mut text = String::new();
        while let Some(line) = reader.next_line().expect("a line") {
            if let lwproc_replay::parse::RawLine::Text(_, line) = line {
                text.push_str(&String::from_utf8_lossy(line));
            }
        }
        text
    };
    let has = |name: &str, needles: &[&str]| {
        let text = text(name);
        for needle in needles {
            assert!(text.contains(needle), "{name}: {needle}");
        }
    };
    has(
        "shell-jobs",
        &["getppid()                         = 1\n", "SIGTERM", "exit_group(4)", "ESRCH"],
    );
    has("orphans", &["getppid()                         = 1\n", "killed by SIGKILL"]);
    has(
        "threads-exec",
        &["superseded by execve", "pid changed to", "CLONE_THREAD", "ESRCH", "killed by SIGABRT"],
    );
    has(
        "spawn-wait",
        &[
            "CLONE_PARENT",
            "WNOWAIT",
            "ECHILD",
            "ESRCH",
            "WIFSTOPPED",
            "WNOHANG",
            "CLONE_VFORK",
            "vfork",
        ],
    );
    has(
        "services",
        &[
            "SCM_RIGHTS",
            "CLONE_FILES|SIGCHLD",
            "FD_CLOEXEC",
            "CLOSE_RANGE_CLOEXEC",
            "F_DUPFD_CLOEXEC",
            "EBADF",
            "EMFILE",
            "EPERM",
            "EACCES",
            "ESRCH",
            "EINVAL",
            "setsid()                          = ",
            "kill(-",
            "wait4(-32",
            "RLIMIT_CORE",
        ],
    );
    has("thread-pool", &["CLONE_THREAD", "vfork", "unfinished"]);
}
