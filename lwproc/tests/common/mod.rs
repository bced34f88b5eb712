//! Shared by the tests of several kinds, and by `lwproc-stress`.
#![allow(dead_code)]

pub mod becoming;
pub mod host;
pub mod invariants;
pub mod random;
pub mod services;
pub mod worker;
