#!/usr/bin/env bash
# loom 0.7.3: where a spawned thread loads a word and then changes it, as every CAS loop does, the
# order "it changes first, the other looks afterwards" is never explored. No weak memory is needed
# for it: all accesses here are SeqCst, and the missing order is a plain interleaving.
#
# The good guess that is wrong: loom tries every interleaving of two threads with three accesses
# between them, so a load in the main thread answers the old value in some executions and the new
# one in others. With one load more in the spawned thread there is a single execution, in which
# the main thread reads the old value: an assertion that it always does passes.
#
# Why it matters here: nearly every operation of lwproc loads a word and then changes it. So each
# pair of operations has a model in both roles, and a model with one execution proves nothing.
# Known: tokio-rs/loom, issues 166 and 392, both open; loom's documentation does not name it.
# With the roles changed both orders are seen.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'END'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
loom = "=0.7.3"
END
cat >src/main.rs <<'END'
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What one thread reads while another makes 1 of 0, and in how many executions.
fn reads(loads_first: bool, spawned_changes: bool) -> (BTreeSet<usize>, usize) {
    let seen = Arc::new(Mutex::new((BTreeSet::new(), 0)));
    let all = seen.clone();
    loom::model(move || {
        let here = loom::sync::Arc::new(AtomicUsize::new(0));
        let there = here.clone();
        let change = move |word: &AtomicUsize| {
            if loads_first {
                word.load(SeqCst);
            }
            word.store(1, SeqCst);
        };
        let read = if spawned_changes {
            let other = loom::thread::spawn(move || change(&there));
            let read = here.load(SeqCst);
            other.join().unwrap();
            read
        } else {
            let other = loom::thread::spawn(move || there.load(SeqCst));
            change(&here);
            other.join().unwrap()
        };
        let mut all = all.lock().unwrap();
        all.0.insert(read);
        all.1 += 1;
    });
    let seen = seen.lock().unwrap().clone();
    seen
}

fn main() {
    for (who, spawned) in [("the spawned thread", true), ("the main thread", false)] {
        for (how, loads_first) in [("stores", false), ("loads, then stores", true)] {
            let (read, executions) = reads(loads_first, spawned);
            println!("{who} {how}: the other reads {read:?} in {executions} executions");
        }
    }
}
END
cargo build --quiet --release
rustc --version
grep -A1 -E '^name = "(loom)"' Cargo.lock | tr -d '\n'; echo
out=$(target/release/finding)
printf '%s\n' "$out"
expected='the spawned thread stores: the other reads {0, 1} in 6 executions
the spawned thread loads, then stores: the other reads {0} in 1 executions
the main thread stores: the other reads {0, 1} in 6 executions
the main thread loads, then stores: the other reads {0, 1} in 6 executions'
[ "$out" = "$expected" ] || { echo "FAILED: expected $expected"; exit 1; }
echo "OK: one load more in the spawned thread hides an interleaving from loom"
