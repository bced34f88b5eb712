//! The table of operations.

pub mod cpu;
pub mod floor;
pub mod full;
pub mod ops;
pub mod quick;
#[path = "../../lwproc/tests/common/random.rs"]
pub mod random;
pub mod timing;
pub mod worlds;
