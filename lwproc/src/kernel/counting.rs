//! Counting what is in a kernel.

use super::Kernel;
use crate::handles::proc::ProcRef;
use crate::host::Host;
use crate::report::{Counts, ReclaimStats, UserCounts};

impl<H: Host> Kernel<H> {
    /// Counts what lives. Wait-free; O(threads).
    // Seed: `nprocs`.
    #[doc(alias = "nprocs")]
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

    /// What a user has, by real uid: as charged. Exact while no thread makes, ends or
    /// changes anything. Wait-free.
    // Seed: `chgproccnt`, `chglwpcnt`.
    pub fn user_counts(&self, uid: u32) -> UserCounts {
        let (procs, lwps) = self.world.uids.find(uid).map_or((0, 0), |user| user.counts());
        let count = |n: i64| usize::try_from(n).unwrap_or(0);
        UserCounts { procs: count(procs), lwps: count(lwps) }
    }

    /// What a user has, by a look at every process. O(ids).
    pub fn user_counts_by_scan(&self, uid: u32) -> UserCounts {
        let guard = self.pin();
        let own = |p: &ProcRef<'_, H>| p.cred().is_some_and(|cred| cred.users().real == uid);
        guard.procs().filter(own).fold(UserCounts::default(), |sum, proc| UserCounts {
            procs: sum.procs + 1,
            lwps: sum.lwps + proc.nlwps().saturating_sub(1) as usize,
        })
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
        // An epoch ends when all pins have moved past it: when nobody else is
        // pinned, four rounds are enough for what was retired before the first.
        for _ in 0..4 {
            seat.pin().flush();
        }
        self.world.participants.free_mail();
    }
}
