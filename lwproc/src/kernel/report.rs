//! Numbers about a kernel.

use super::Kernel;
use crate::host::Host;

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

impl<H: Host> Kernel<H> {
    /// Counts what lives. Wait-free; O(threads).
    ///
    /// Seed: `nprocs`.
    pub fn counts(&self) -> Counts {
        let sum = self.world.participants.tally();
        // A sum read while threads work may be off, even below zero.
        let count = |n: i64| usize::try_from(n).unwrap_or(0);
        Counts {
            procs: count(sum.procs),
            lwps: count(sum.lwps),
            zombies: count(sum.zombies),
            ids: count(sum.ids),
        }
    }

    /// How reclamation stands. Wait-free; O(threads).
    pub fn reclaim_stats(&self) -> ReclaimStats {
        self.world.participants.iter().fold(ReclaimStats::default(), |sum, p| {
            let (retired, freed) = p.retired_freed();
            ReclaimStats {
                retired: sum.retired + retired,
                freed: sum.freed + freed,
                participants: sum.participants + 1,
                vacant: sum.vacant + usize::from(p.is_vacant()),
            }
        })
    }

    /// Frees what can be freed of this thread's garbage and of garbage that
    /// was passed on. What other threads retired last stays with them until
    /// they do the same or end.
    pub fn flush(&self) {
        let seat = self.seat();
        // An epoch ends when all pins have moved past it: three rounds free
        // what was retired before the first, when nobody else is pinned.
        for _ in 0..4 {
            seat.pin().flush();
        }
    }
}
