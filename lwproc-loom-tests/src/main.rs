//! The model suite: runs lwproc's own code under loom, in every interleaving
//! and with every reordering that the memory model allows.
//!
//! `loom-models [--list] [--short | --long] [--exact] [FILTER...]` runs the
//! models whose name contains every FILTER (with `--exact`: is FILTER), all of
//! them with the long ones bounded, or only the long ones unbounded; one line for each, and a
//! count at the end. Built without `--cfg lwproc_loom` it has no models and says
//! so.

#[cfg(lwproc_loom)]
mod creds;
#[cfg(lwproc_loom)]
mod drain;
#[cfg(lwproc_loom)]
mod edges;
#[cfg(lwproc_loom)]
mod files;
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
#[allow(unsafe_code, clippy::undocumented_unsafe_blocks)]
mod layers;
#[cfg(lwproc_loom)]
mod resources;
#[cfg(lwproc_loom)]
mod runner;
#[cfg(lwproc_loom)]
mod signals;
#[cfg(lwproc_loom)]
#[allow(unsafe_code, clippy::undocumented_unsafe_blocks)]
mod sleep;

use std::process::ExitCode;

#[cfg(lwproc_loom)]
fn main() -> ExitCode {
    let models: Vec<runner::Model> = [
        layers::models(),
        full::models(),
        edges::models(),
        creds::models(),
        files::models(),
        groups::models(),
        futures::models(),
        hooks::models(),
        resources::models(),
        signals::models(),
        drain::models(),
        sleep::models(),
    ]
    .concat();
    runner::run(&models)
}

#[cfg(not(lwproc_loom))]
fn main() -> ExitCode {
    eprintln!("built without --cfg lwproc_loom: there are no models; use ci/loom.sh");
    ExitCode::from(2)
}
