//! A short run of each program, and that it finds what it is there to find.
#![cfg(all(target_os = "linux", not(lwproc_loom)))]

use std::process::{Command, Output};

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output().expect("it runs");
    println!("{}{}", output.stdout.escape_ascii(), output.stderr.escape_ascii());
    output
}

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: ci/test.sh runs it in release")]
fn frozen() {
    assert!(run(env!("CARGO_BIN_EXE_frozen"), &["300", "1"]).status.success());
}

/// A lock in an operation, and a thread frozen in it: the others are found stuck.
#[test]
#[ignore = "waits 20 s and longer for a thread that never comes; by hand"]
fn frozen_finds_a_lock() {
    let output = run(env!("CARGO_BIN_EXE_frozen"), &["2000", "1", "with-a-lock"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"blocked after "));
}

#[test]
fn growth() {
    assert!(run(env!("CARGO_BIN_EXE_growth"), &["200000"]).status.success());
}

/// What is kept on purpose is seen to grow.
#[test]
fn growth_finds_a_leak() {
    let output = run(env!("CARGO_BIN_EXE_growth"), &["200000", "with-a-leak"]);
    assert_eq!(output.status.code(), Some(1));
}
