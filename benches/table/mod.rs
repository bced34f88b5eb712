//! The table of operations.

pub mod cpu;
pub mod floor;
pub mod full;
pub mod ops;
pub mod quick;
pub mod timing;
pub mod worlds;
