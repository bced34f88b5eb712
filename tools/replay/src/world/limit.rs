//! The limit of descriptors of the process that runs.

use super::World;
use lwproc::{Limit, Resource};

/// The least limit that a system starts its processes with, as far as one that the log does not
/// tell goes.
const USUAL: i32 = 1024;

/// The limit of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FdLimit {
    /// The kernel's.
    pub ours: i32,
    /// The lowest that it may have been, where the log does not tell it.
    pub least: i32,
}

impl FdLimit {
    /// None.
    pub const NONE: Self = Self { ours: i32::MAX, least: i32::MAX };
}

impl World<'_, '_> {
    /// The limit of the process that runs.
    pub fn fd_limit(&self) -> FdLimit {
        let soft = self.cpu.resources().limit(Resource::Nofile).soft;
        let ours = i32::try_from(soft).unwrap_or(i32::MAX);
        // No system lets a process be without one: it is the kernel's from the start.
        let least = if soft == Limit::INFINITY { USUAL } else { ours };
        FdLimit { ours, least }
    }
}
