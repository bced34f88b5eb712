//! The C ABI of lwproc. `include/lwproc.h` is made from this crate by cbindgen, and is its
//! documentation for C programs.
//!
//! From the bottom up:
//!
//! | room | what it does |
//! |---|---|
//! | `names` | what `struct lwp *` and `struct proc *` are: numbers, never looked through |
//! | `mistake` | what a caller did wrong: an errno, or a message and SIGABRT |
//! | `embedded` | the embedder's values: files, data, address spaces, places, emulations |
//! | `table` | values by number, without a lock |
//! | `host` | what the kernel asks of the embedder: hypercalls |
//! | `rules` | whose rules a kernel goes by |
//! | `instance` | a kernel, and what belongs to it |
//! | `registry` | the kernels there are, and which one a thread uses |
//! | `context` | a thread in a kernel: in a public call, or between schedule and unschedule |
//! | `calls` | the exported functions, by family |
//!
//! # Pointers
//! A `struct lwp *` holds the LWP's number and its serial, in a range in which no object
//! can be. So there is no table: the kernel's own is asked for the number, and the
//! serial tells whether the LWP is the one that was meant. One that has gone, or never
//! was, or is of another kernel, is not found.
//!
//! # Who may run an LWP
//! An LWP that is not bound to a thread is parked: `switch` claims it, and so two
//! threads that switch to one LWP cannot both succeed (R6).

// The names are C's.
#![allow(non_camel_case_types)]
#![cfg(target_pointer_width = "64")]

pub mod calls;
mod context;
mod embedded;
mod host;
mod instance;
mod mistake;
mod names;
mod registry;
pub mod rules;
mod table;

pub use embedded::{lwproc_destructor, vmspace};
pub use host::{lwproc_hypercalls, lwproc_lwp_op};
pub use instance::{lwproc_config, lwproc_kernel};
pub use names::{lwp, proc};
