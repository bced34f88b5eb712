//! The table of operations.

pub mod floor;
pub mod ops;
pub mod timing;
pub mod worlds;
