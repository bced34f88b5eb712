//! The verb `replay`: exit codes and outputs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn lwproc(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lwproc")).args(args).output().expect("the command runs")
}

/// A log of this repository.
fn own_log(name: &str) -> PathBuf {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../traces");
    traces.join(format!("{name}.strace.gz"))
}

/// A file of this test's own.
fn scratch(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a scratch file");
    path
}

fn replay(log: &Path, more: &[&str]) -> Output {
    let log = log.to_str().expect("a plain path");
    lwproc(&[&["replay", log], more].concat())
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn agreement_is_zero() {
    let output = replay(&own_log("spawn-wait"), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    for part in [
        "0 disagreed",
        "kernel empty",
        "0 ids leaked",
        "not modelled",
        "switches",
        "deepest tree",
        "wait4",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn disagreement_is_one_and_names_the_line() {
    let log = scratch("lie.strace", "10 getpid() = 10\n10 getpid() = 11\n");
    let output = replay(&log, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out(&output).contains("line 2: task 10: getpid: the log says 11, the kernel 10"),
        "{}",
        out(&output)
    );
}

#[test]
fn the_unexplained_are_counted_by_cause() {
    let log = scratch("outer.strace", "10 close(9) = 0\n10 getuid() = 7\n10 getuid() = 7\n");
    let text = out(&replay(&log, &[]));
    for part in [
        "unexplained 2 answers:",
        "1 descriptor from outside the log",
        "1 first sight of an id or limit from outside the log",
        "every answer agrees: 1 of 1",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let output = replay(&log, &["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["unexplained"], &report["checked"]), (&2.into(), &1.into()));
    let causes = report["causes"].as_object().expect("an object");
    assert_eq!(causes.values().filter_map(serde_json::Value::as_u64).sum::<u64>(), 2);
    assert_eq!(report["calls"][0]["unexplained"], 1);
}

#[test]
fn bad_input_is_two_and_says_why() {
    let missing = replay(Path::new("/no/such/log"), &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(err(&missing).contains("cannot open /no/such/log"), "{}", err(&missing));
    let empty = replay(&scratch("empty.strace", ""), &[]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(err(&empty).contains("the log is empty"));
    let prose = replay(&scratch("prose.strace", "It was a dark night.\n"), &[]);
    assert_eq!(prose.status.code(), Some(2));
    assert!(err(&prose).contains("line 1"), "{}", err(&prose));
    for usage in [
        &["replay"][..],
        &["replay", "x", "--copies", "0"],
        &["replay", "x", "--threads", "no"],
        &["dance"],
        &[],
    ] {
        assert_eq!(lwproc(usage).status.code(), Some(2), "{usage:?}");
    }
    let nowhere = replay(&own_log("orphans"), &["--timeline", "/no/such/folder/a.svg"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(err(&nowhere).contains("cannot write"));
}

#[test]
fn problems_with_the_log_are_shown() {
    let log = scratch("cut.strace", "10 getpid() = 10\n10 getpid()\n");
    let output = replay(&log, &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).contains("line 2: the call has no answer"), "{}", out(&output));
}

#[test]
fn json_is_for_machines() {
    let output = replay(&own_log("threads-exec"), &["--json", "--tree"]);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["good"], true);
    assert_eq!(report["disagreed"], 0);
    assert_eq!(report["left"]["empty"], true);
    assert_eq!(report["agreed"], report["checked"]);
    assert_eq!(
        report["tree"].as_array().map(Vec::len),
        report["processes"].as_u64().map(|n| n as usize)
    );
    let kinds = report["line_kinds"].as_object().expect("an object");
    let sum: u64 = kinds.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(Some(sum), report["lines"].as_u64());
    let lie = replay(&scratch("lie2.strace", "10 getpid() = 10\n10 gettid() = 11\n"), &["--json"]);
    assert_eq!(lie.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&lie.stdout).expect("JSON");
    assert_eq!(report["disagreements"][0]["line"], 2);
}

#[test]
fn the_tree_has_branches() {
    let log = scratch(
        "tree.strace",
        "10 execve(\"/bin/sh\", [\"sh\"], 0x7f) = 0\n10 fork() = 11\n11 execve(\"/bin/ls\", [\"ls\"], 0x7f) = 0\n\
         10 fork() = 12\n12 clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = 13\n13 fork() = 14\n\
         14 exit_group(2) = ?\n14 +++ exited with 2 +++\n11 +++ killed by SIGKILL +++\n",
    );
    let text = out(&replay(&log, &["--tree"]));
    let tree: Vec<_> = text.lines().take(4).collect();
    assert_eq!(
        tree,
        [
            "10 sh  [alive at the end]  lines 1..",
            "├─ 11 ls  [SIGKILL]  lines 2..9",
            "└─ 12 (sh)  +thread 13  [alive at the end]  lines 4..",
            "   └─ 14 (sh)  [exit 2]  lines 6..8",
        ]
    );
}

#[test]
fn the_timeline_is_a_picture() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("threads-exec.svg");
    let output =
        replay(&own_log("threads-exec"), &["--timeline", file.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(0));
    let svg = std::fs::read_to_string(file).expect("a picture");
    for part in [
        "<svg ",
        "</svg>",
        "prefers-color-scheme:dark",
        "class=\"fork\"",
        "class=\"exec\"",
        " thread\"",
        "killed by a signal",
        ">true<",
    ] {
        assert!(svg.contains(part), "{part}");
    }
    let (opened, closed) = (svg.matches("<g>").count(), svg.matches("</g>").count());
    assert_eq!(opened, closed);
}

#[test]
fn names_in_a_picture_are_escaped() {
    let log = scratch(
        "escape.strace",
        "10 execve(\"/bin/a<b&c\", [\"a\"], 0x7f) = 0\n10 getpid() = 10\n",
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("escape.svg");
    replay(&log, &["--timeline", file.to_str().expect("a plain path")]);
    let svg = std::fs::read_to_string(file).expect("a picture");
    assert!(svg.contains("a&lt;b&amp;c") && !svg.contains("a<b"));
}

#[test]
fn copies_share_a_kernel() {
    let output = replay(&own_log("thread-pool"), &["--copies", "8", "--threads", "2"]);
    assert_eq!(output.status.code(), Some(0));
    let text = out(&output);
    assert!(text.contains("8 over 2 threads: 0 disagreed, 0 found other than the first"), "{text}");
    assert!(text.contains("kernel empty"), "{text}");
}
