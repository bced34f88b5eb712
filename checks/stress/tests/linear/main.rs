//! Linearizability: short random histories of the public operations, on real threads,
//! each checked by `stateright`'s tester against a sequential specification. What the
//! documentation does not promise the specifications do not ask; where it promises a
//! condition over the whole call, that is checked beside. `lwproc-shuttle-tests` runs the
//! same histories under schedules of its own.
//!
//! `LWPROC_ROUNDS=100` runs a hundred times as many rounds.
#![cfg(all(target_os = "linux", not(lwproc_loom)))]
#![allow(missing_docs)]

mod creds;
mod drains;
mod fds;
mod groups;
mod history;
mod ids;
mod kills;
mod lwps;
mod queued;
mod signals;
mod threads;
mod waits;

use lwproc_stress::common::worker::Random;
use threads::record;

fn run(name: &str, round: fn(u64) -> usize) {
    let overlaps: usize = (0..threads::rounds(40)).map(round).sum();
    println!("{name}: {overlaps} overlapping pairs of calls");
}

#[test]
fn creds() {
    run("creds", creds::round);
}

#[test]
fn drains() {
    run("drains", drains::round);
}

#[test]
fn fds() {
    run("fds", fds::round);
}

#[test]
fn groups() {
    run("groups", groups::round);
}

#[test]
fn ids() {
    run("ids", ids::round);
}

#[test]
fn kills() {
    run("kills", kills::round);
}

#[test]
fn lwps() {
    run("lwps", lwps::round);
}

#[test]
fn queued() {
    run("queued", queued::round);
}

#[test]
fn signals() {
    run("signals", signals::round);
}

#[test]
fn waits() {
    run("waits", waits::round);
}
