//! The model suite: runs lwproc's own code under loom, in every interleaving
//! and with every reordering that the memory model allows.
//!
//! `loom-models [--list] [--short | --deep | --long] [--jobs N [--limit SECS]]
//! [--exact] [FILTER...]` runs the models whose name contains every FILTER (with
//! `--exact`: is one of them): all; all but the deep ones, and the long ones
//! bounded; the pairs and triples; or only the long ones, unbounded. N at a time,
//! each in a process of its own, which is given up after SECS. One line for each,
//! and a count at the end. Built with `--cfg crossbeam_loom --cfg lwproc_real_epochs`
//! the library is on crossbeam-epoch itself, and there are the models of `epochs`
//! (`ci/loom.sh epoch`). Built without `--cfg lwproc_loom` it has no models and
//! says so.

// Loom's threads are all one: what goes from one to the other need not be `Send`.
#![allow(clippy::arc_with_non_send_sync)]

#[cfg(lwproc_loom)]
#[path = "../../lwproc/tests/common/becoming.rs"]
mod becoming;
#[cfg(lwproc_loom)]
mod before;
#[cfg(lwproc_loom)]
mod caps;
#[cfg(lwproc_loom)]
mod creds;
#[cfg(lwproc_loom)]
mod deadlines;
#[cfg(lwproc_loom)]
mod drain;
#[cfg(lwproc_loom)]
mod edges;
#[cfg(lwproc_real_epochs)]
#[allow(unsafe_code)]
mod epochs;
#[cfg(lwproc_loom)]
mod families;
#[cfg(lwproc_loom)]
mod files;
#[cfg(lwproc_loom)]
mod forks;
#[cfg(lwproc_loom)]
#[allow(unsafe_code, clippy::undocumented_unsafe_blocks)]
mod full;
#[cfg(lwproc_loom)]
mod futures;
#[cfg(lwproc_loom)]
mod groups;
#[cfg(lwproc_loom)]
mod hooks;
#[cfg(lwproc_loom)]
mod jobs;
#[cfg(lwproc_loom)]
#[allow(unsafe_code, clippy::undocumented_unsafe_blocks)]
mod layers;
#[cfg(lwproc_loom)]
mod matrix;
#[cfg(lwproc_loom)]
mod namespaces;
#[cfg(lwproc_loom)]
mod queues;
#[cfg(lwproc_loom)]
mod resources;
#[cfg(lwproc_loom)]
mod runner;
#[cfg(lwproc_loom)]
mod scene;
#[cfg(lwproc_loom)]
mod signals;
#[cfg(lwproc_loom)]
#[allow(unsafe_code, clippy::undocumented_unsafe_blocks)]
mod sleep;
#[cfg(lwproc_loom)]
mod spawns;
#[cfg(lwproc_loom)]
mod terminals;
#[cfg(lwproc_loom)]
#[allow(unsafe_code)]
mod triples;

use std::process::ExitCode;

#[cfg(lwproc_loom)]
fn main() -> ExitCode {
    let mut models: Vec<runner::Model> = [
        layers::models(),
        full::models(),
        edges::models(),
        caps::models(),
        creds::models(),
        files::models(),
        groups::models(),
        spawns::models(),
        terminals::models(),
        futures::models(),
        hooks::models(),
        jobs::models(),
        families::models(),
        namespaces::models(),
        resources::models(),
        signals::models(),
        queues::models(),
        drain::models(),
        forks::models(),
        sleep::models(),
        deadlines::models(),
        matrix::models(),
        triples::models(),
        before::models(),
    ]
    .concat();
    models.extend(before::after(&models));
    #[cfg(lwproc_real_epochs)]
    models.extend(epochs::models(&models));
    runner::run(&models)
}

#[cfg(not(lwproc_loom))]
fn main() -> ExitCode {
    eprintln!("built without --cfg lwproc_loom: there are no models; use ci/loom.sh");
    ExitCode::from(2)
}
