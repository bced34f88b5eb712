//! Linearizability: short random histories of the public operations, on real threads,
//! each checked by `stateright`'s tester against a sequential specification. What the
//! documentation does not promise the specifications do not ask; where it promises a
//! condition over the whole call, that is checked beside.
//!
//! `LWPROC_ROUNDS=100` runs a hundred times as many rounds.
#![cfg(all(target_os = "linux", not(lwproc_loom)))]
#![allow(missing_docs)]

mod fds;
mod groups;
mod history;
mod ids;
mod lwps;
mod signals;
mod waits;
