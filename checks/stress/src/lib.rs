//! What the long-running checks share. Each check is a program in `src/bin`, with
//! a short run of it in `tests`.
//!
//! | program | what it checks |
//! |---|---|
//! | `frozen` | every lock-free operation completes while other threads stand still at any instruction |
//! | `growth` | memory does not grow, whatever another kernel holds back |
//!
//! `tests/linear` checks linearizability.
#![cfg(all(target_os = "linux", not(lwproc_loom)))]

pub mod alloc;
pub mod freeze;

#[allow(missing_docs, missing_debug_implementations)]
#[path = "../../../lwproc/tests/common/mod.rs"]
pub mod common;
