//! The judge: the same random sequences of operations on real processes of the Linux
//! underneath and on a kernel of `lwproc`, each answer and the state after it compared.
//!
//! See `README.md` for how it works and how to add an operation.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

pub mod compare;
pub mod embedder;
pub mod generate;
pub mod ids;
pub mod known;
pub mod linux;
pub mod numbers;
pub mod random;
pub mod shrink;
pub mod signals;
pub mod state;
pub mod step;
pub mod theme;
pub mod verbs;
