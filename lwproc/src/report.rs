//! What a kernel says about itself.

use crate::id::{Lid, Pid};
use std::fmt;

/// Who was there when a kernel was torn down.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Teardown {
    /// LWPs that nobody owned, or that were bound to a thread: released.
    pub released: Vec<(Pid, Lid)>,
    /// Zombies that nobody had waited for: reaped.
    pub reaped: Vec<Pid>,
    /// LWPs that somebody still owns: they and their processes survive until
    /// dropped.
    pub survivors: Vec<(Pid, Lid)>,
}

impl Teardown {
    /// Whether nothing was left over.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Teardown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("nothing was left over");
        }
        let Self { released, reaped, survivors } = self;
        write!(
            f,
            "{} LWPs released, {} zombies reaped, {} owned LWPs survive",
            released.len(),
            reaped.len(),
            survivors.len()
        )?;
        survivors.iter().try_for_each(|(pid, lid)| write!(f, " {pid}:{lid}"))
    }
}

/// What lives in a kernel. Sums over the threads' own counters: exact when no
/// thread is making or ending anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Processes with LWPs; proc0 and init are two of them.
    pub procs: usize,
    /// LWPs; lwp0 and init's own are two of them.
    pub lwps: usize,
    /// Processes that wait to be reaped.
    pub zombies: usize,
    /// Ids in use; 0 and 1 are two of them.
    pub ids: usize,
}

/// What one user has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct UserCounts {
    /// Processes, zombies included.
    pub procs: usize,
    /// LWPs, not counting one for each process that lives.
    pub lwps: usize,
}

/// How reclamation stands. Approximate while threads work.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct ReclaimStats {
    /// Objects retired since the kernel was made.
    pub retired: u64,
    /// Those of them that have been freed.
    pub freed: u64,
    /// Threads known to the kernel at once, at most, so far.
    pub participants: usize,
    /// Those of them that no thread uses now.
    pub vacant: usize,
}
