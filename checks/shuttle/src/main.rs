//! Long schedules: lwproc's own code under shuttle, with more threads and longer
//! sequences of operations than loom can explore. Each test runs under many schedules
//! drawn at random: of the random scheduler, and of PCT with some depth (the number of
//! preemptions that a defect needs). Shuttle models sequential consistency only.
//!
//! `shuttle-tests [--list] [--long] [--jobs N] [--seed N] [FILTER...]` runs the tests
//! whose line contains every FILTER, and prints a line for each:
//! `shuttle NAME threads=6 scheduler=pct3 schedules=300 steps=3021994 secs=8.1 ok`.
//! One that fails prints its seed, and writes its schedule to a file:
//! `shuttle-tests --replay FILE NAME` runs that again.
//! Built without `--cfg lwproc_shuttle` it has no tests and says so.

#[cfg(lwproc_shuttle)]
mod blocking;
#[cfg(lwproc_shuttle)]
#[path = "../../../lwproc/tests/common/mod.rs"]
#[allow(missing_docs, missing_debug_implementations)]
mod common;
#[cfg(lwproc_shuttle)]
mod linear;
#[cfg(lwproc_shuttle)]
mod runner;
#[cfg(lwproc_shuttle)]
mod storm;

use std::process::ExitCode;

#[cfg(lwproc_shuttle)]
fn main() -> ExitCode {
    runner::run(&[storm::tests(), blocking::tests(), linear::tests()].concat())
}

#[cfg(not(lwproc_shuttle))]
fn main() -> ExitCode {
    eprintln!("built without --cfg lwproc_shuttle: there are no tests; use ci/shuttle.sh");
    ExitCode::from(2)
}
