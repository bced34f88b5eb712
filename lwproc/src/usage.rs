//! What a process has used (`pstats`, `rusage`): its own, and that of the
//! children it has waited for. The embedder measures; the library keeps and adds.

use crate::reclaim::Pin;
use crate::reclaim::counted::PrivateCell;
use crate::sync::{AtomicU64, Relaxed};
use std::ops::Add;
use std::time::Duration;

/// An amount of use (`struct rusage`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(missing_docs)]
pub struct Usage {
    /// In steps of a nanosecond.
    pub user: Duration,
    /// In steps of a nanosecond.
    pub system: Duration,
    /// In KiB. The sum of two is the larger.
    pub max_rss: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub block_inputs: u64,
    pub block_outputs: u64,
    pub messages_sent: u64,
    pub messages_received: u64,
    pub signals: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
}

const COUNT: usize = 12;
const MAX_RSS: usize = 2;

impl Usage {
    fn to_array(self) -> [u64; COUNT] {
        let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        [
            nanos(self.user),
            nanos(self.system),
            self.max_rss,
            self.minor_faults,
            self.major_faults,
            self.block_inputs,
            self.block_outputs,
            self.messages_sent,
            self.messages_received,
            self.signals,
            self.voluntary_switches,
            self.involuntary_switches,
        ]
    }

    fn from_array(a: [u64; COUNT]) -> Self {
        Self {
            user: Duration::from_nanos(a[0]),
            system: Duration::from_nanos(a[1]),
            max_rss: a[MAX_RSS],
            minor_faults: a[3],
            major_faults: a[4],
            block_inputs: a[5],
            block_outputs: a[6],
            messages_sent: a[7],
            messages_received: a[8],
            signals: a[9],
            voluntary_switches: a[10],
            involuntary_switches: a[11],
        }
    }
}

impl Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        let (a, b) = (self.to_array(), other.to_array());
        Self::from_array(std::array::from_fn(|i| match i {
            MAX_RSS => a[i].max(b[i]),
            _ => a[i].saturating_add(b[i]),
        }))
    }
}

/// How a process is profiled (`profil`): copied to its children.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub struct Profile {
    /// Where the samples go, in the process's address space.
    pub base: usize,
    /// In bytes.
    pub size: usize,
    /// Of the first sampled program counter.
    pub offset: usize,
    /// From program counter to sample, in 1/65536.
    pub scale: u32,
}

/// A sum that any thread may add to.
#[derive(Default)]
struct AtomicUsage([AtomicU64; COUNT]);

impl AtomicUsage {
    fn add(&self, more: Usage) {
        for (i, (cell, by)) in self.0.iter().zip(more.to_array()).enumerate() {
            // Relaxed: sums; who ends the process and who reads them afterwards
            // are ordered by that end [P5], [P13].
            match i {
                _ if by == 0 => 0,
                MAX_RSS => cell.fetch_max(by, Relaxed),
                _ => cell
                    .fetch_update(Relaxed, Relaxed, |sum| Some(sum.saturating_add(by)))
                    .unwrap_or_else(|sum| sum),
            };
        }
    }

    fn load(&self) -> Usage {
        // Relaxed: as above.
        Usage::from_array(std::array::from_fn(|i| self.0[i].load(Relaxed)))
    }
}

/// What a process has used. Made at the first use that is reported.
#[derive(Default)]
pub(crate) struct Stats {
    own: AtomicUsage,
    children: AtomicUsage,
    profile: PrivateCell<Profile>,
}

impl Stats {
    /// A child's: nothing used, profiled alike.
    // Seed: `pstatscopy` S247.
    pub(crate) fn fork(&self, pin: &Pin<'_>) -> Option<Stats> {
        let profile = *self.profile.get(pin)?;
        let stats = Stats::default();
        stats.profile.set(profile, pin);
        Some(stats)
    }

    pub(crate) fn add_own(&self, more: Usage) {
        self.own.add(more);
    }

    pub(crate) fn add_children(&self, more: Usage) {
        self.children.add(more);
    }

    pub(crate) fn own(&self) -> Usage {
        self.own.load()
    }

    pub(crate) fn children(&self) -> Usage {
        self.children.load()
    }

    pub(crate) fn profile(&self, pin: &Pin<'_>) -> Option<Profile> {
        self.profile.get(pin).copied()
    }

    pub(crate) fn set_profile(&self, profile: Option<Profile>, pin: &Pin<'_>) {
        match profile {
            Some(profile) => self.profile.set(profile, pin),
            None => self.profile.clear(pin),
        }
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn sums_add_and_the_resident_set_is_the_larger() {
        let some = |n: u64| Usage::from_array(std::array::from_fn(|i| n * (i as u64 + 1)));
        assert_eq!(Usage::from_array(some(7).to_array()), some(7));
        let mut expected = some(3);
        expected.max_rss = some(2).max_rss;
        assert_eq!(some(1) + some(2), expected);
        let sum = AtomicUsage::default();
        sum.add(some(1));
        sum.add(some(2));
        assert_eq!(sum.load(), expected);
        let most = Usage { user: Duration::MAX, ..Usage::default() };
        assert_eq!((most + most).user, Duration::from_nanos(u64::MAX));
    }
}
