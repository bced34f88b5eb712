//! Helpers shared by the tests.
#![allow(dead_code, missing_docs)]

use lwproc_replay::copies::{Load, Run, run};
use lwproc_replay::plan::Plan;
use lwproc_replay::scene::Cause;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The beginnings of lines: a fork, and a thread's making.
pub const FORK: &str =
    "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f) =";
pub const THREAD: &str =
    "clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD, exit_signal=0} => {parent_tid=[0]}, 88) =";

pub fn load(text: &str) -> Plan {
    Plan::read(Cursor::new(text.as_bytes().to_vec())).expect("a log")
}

pub fn replayed(plan: &Plan) -> Run {
    run(plan, Load::default(), &|_| ()).expect("a run")
}

/// The lines of an answer that disagrees, in order.
pub fn disagreements(text: &str) -> Vec<u32> {
    let run = replayed(&load(text));
    assert!(run.is_empty(), "the kernel is not empty: {:?}", run.left);
    run.first.disagreements.iter().map(|found| found.line).collect()
}

#[track_caller]
pub fn agrees(text: &str) -> Run {
    let plan = load(text);
    let run = replayed(&plan);
    assert!(run.is_good(), "{:#?}\n{:?}", run.first.disagreements, run.left);
    assert_eq!(plan.census.problem_count, 0, "{:?}", plan.census.problems);
    run
}

/// The one answer that disagrees is on that line.
#[track_caller]
pub fn lies_at(line: u32, text: &str) {
    assert_eq!(disagreements(text), [line], "{text}");
}

/// How many answers were unexplained for that cause.
pub fn count(run: &Run, cause: Cause) -> u64 {
    run.first.unexplained.get(&cause).copied().unwrap_or(0)
}

fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut logs: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    logs.retain(|path| path.to_string_lossy().ends_with(".strace.gz"));
    logs.sort();
    logs
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The logs of this repository.
pub fn own_logs() -> Vec<PathBuf> {
    logs_in(&workspace().join("traces"))
}

/// Larger logs beside the repository, when they are there.
pub fn shared_logs() -> Vec<PathBuf> {
    logs_in(&workspace().join("../shared/traces"))
}

pub fn own_log(name: &str) -> PathBuf {
    workspace().join("traces").join(format!("{name}.strace.gz"))
}
