//! The examples lie beside this package's Cargo.toml, each a program of one file:
//! `cargo run -p lwproc-examples --example NAME`. `tests/every.rs` runs all of them.
//!
//! What is here is compiled and run by `cargo test --doc -p lwproc-examples`: the Rust
//! programs of the READMEs.

/// Of the repository.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;

/// Of the library.
#[cfg(doctest)]
#[doc = include_str!("../../lwproc/README.md")]
#[derive(Debug)]
pub struct LibraryReadme;
