//! The examples lie beside this package's Cargo.toml, each a program of one file:
//! `cargo run -p lwproc-examples --example NAME`. `tests/every.rs` runs all of them.
//!
//! What is here is compiled and run by `cargo test --doc -p lwproc-examples`: the Rust
//! programs of the README.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[allow(missing_debug_implementations)]
pub struct Readme;
