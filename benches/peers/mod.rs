//! What a user would pick instead.

pub mod lifecycle;
pub mod maps;
pub mod procs;
