#!/usr/bin/env bash
# crossbeam-epoch 0.9.21: a deferred closure that owns a clone of its own `Collector` is never
# run, when it is the last that keeps it.
#
# The good guess that is wrong: when all handles and guards of a collector are gone, its
# garbage is freed, as it is in every other case. The queue of garbage belongs to the collector,
# and the closure in the queue keeps the collector: neither goes.
#
# Why it matters here: an embedder's value that keeps a handle of its kernel, retired in that
# kernel's own garbage, keeps the kernel for good. So lwproc may leave no value of a user's in
# its garbage that could keep the world.
# Not reported: no collector that is freed by its own garbage's end can do better.
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
crossbeam-epoch = "=0.9.21"
END
cat >src/main.rs <<'END'
use crossbeam_epoch::Collector;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

static FREED: AtomicBool = AtomicBool::new(false);

struct Garbage {
    _keeps: Option<Collector>,
}

impl Drop for Garbage {
    fn drop(&mut self) {
        FREED.store(true, SeqCst);
    }
}

fn is_freed(keeps_its_collector: bool) -> bool {
    FREED.store(false, SeqCst);
    let collector = Collector::new();
    let handle = collector.register();
    let garbage = Garbage { _keeps: keeps_its_collector.then(|| collector.clone()) };
    let guard = handle.pin();
    guard.defer(move || drop(garbage));
    guard.flush();
    drop(guard);
    drop(handle);
    drop(collector);
    FREED.load(SeqCst)
}

fn main() {
    println!("freed: {}; with a clone of the collector in it: {}", is_freed(false), is_freed(true));
}
END
cargo build --quiet --release
rustc --version
grep -A1 -E '^name = "(crossbeam-epoch)"' Cargo.lock | tr -d '\n'; echo
out=$(target/release/finding)
printf '%s\n' "$out"
[ "$out" = 'freed: true; with a clone of the collector in it: false' ] || { echo FAILED; exit 1; }
echo "OK: garbage that keeps its own collector stays for good"
