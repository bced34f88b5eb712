//! Logs of real programs: every answer agrees, every line is accounted for, nothing is left.

mod common;

use common::{own_logs, replayed, shared_logs};
use lwproc_replay::calls::wait::Status;
use lwproc_replay::copies::{Load, run};
use lwproc_replay::plan::{Death, Fate, Plan};
use lwproc_replay::replay::Tally;
use std::num::NonZeroU32;
use std::path::Path;

/// Calls of which every answer is compared.
const ALWAYS_COMPARED: [&str; 47] = [
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
    "setpgid",
    "getpgid",
    "getsid",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "tkill",
    "accept4",
    "eventfd2",
    "epoll_create1",
    "timerfd_create",
    "memfd_create",
    "inotify_init1",
    "pidfd_open",
    "recvmsg",
    "recvmmsg",
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
    let ends = &run.first.ends;
    assert_eq!(
        ends.checked() + ends.unexplained + superseded(&plan),
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
fn signals_are_tied_to_senders_and_deaths() {
    // `---` lines with a sender, and `+++ killed` lines.
    for (log, sent, killed) in [("spawn-wait", 12, 12), ("services", 2, 4), ("shell-jobs", 1, 1)] {
        let plan = Plan::open(&common::own_log(log)).expect("a log");
        let run = replayed(&plan);
        let found = |tally: Tally| (tally.agreed, tally.unexplained);
        assert_eq!(found(run.first.signals), (sent, 0), "{log}");
        let died = |death: &Death| matches!(death.fate, Fate::Ended(Status::Killed { .. }));
        let deaths = plan.tasks.iter().filter_map(|task| task.death.as_ref());
        assert_eq!(deaths.filter(|death| died(death)).count(), killed, "{log}");
        assert_eq!(run.first.ends.unexplained, 0, "{log}");
    }
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
