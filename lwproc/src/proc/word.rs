//! The process word: how many LWPs live, and whether more may come.
//!
//! | bits | meaning | set by | cleared by |
//! |---|---|---|---|
//! | 0..32 | `nlwps`, live LWPs | `attach` | `detach` |
//! | 32 | DRAINING (`PS_RUMP_LWPEXIT`): no new LWPs | `set_gate` | `set_gate` |
//!
//! `nlwps == 0` *is* dead, for good: `attach` refuses it, so whoever brings it
//! to zero is the only one that ever does (R1, R2, R4), and the drain gate is
//! in the same word as the count it guards (R9).

use crate::sync::{AcqRel, Acquire, AtomicU64, Relaxed, Release};
use std::fmt;

const ONE: u64 = 1;
const NLWPS_MASK: u64 = 0xffff_ffff;
const DRAINING: u64 = 1 << 32;

/// A decoded process word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ProcWord(u64);

/// Why an LWP cannot join a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttachRefused {
    /// No LWP lives: the process is dead (ESRCH).
    Dead,
    /// The process is draining (EBUSY).
    Draining,
}

/// Whether new LWPs may join.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// They may.
    Open,
    /// `newlwp` is refused (EBUSY).
    Closed,
}

/// What the thread that took an LWP off a process owes.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detached {
    /// Other LWPs live.
    Remains,
    /// One other LWP lives, and the process drains: somebody may wait to be alone.
    Alone,
    /// It was the last: this thread, and no other, ends the process.
    Last,
}

impl ProcWord {
    #[inline]
    pub fn nlwps(self) -> u32 {
        (self.0 & NLWPS_MASK) as u32
    }
    #[inline]
    pub fn is_dead(self) -> bool {
        self.nlwps() == 0
    }
    #[inline]
    pub fn is_draining(self) -> bool {
        self.0 & DRAINING != 0
    }

    fn attached(self) -> Result<ProcWord, AttachRefused> {
        if self.is_dead() {
            Err(AttachRefused::Dead)
        } else if self.is_draining() {
            Err(AttachRefused::Draining)
        } else {
            Ok(ProcWord(self.0 + ONE))
        }
    }
}

impl fmt::Debug for ProcWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nlwps={}", self.nlwps())?;
        if self.is_draining() {
            f.write_str("|DRAINING")?;
        }
        Ok(())
    }
}

/// The atomic word of one process.
pub struct AtomicProcWord(AtomicU64);

impl AtomicProcWord {
    /// A process with its first LWP.
    #[inline]
    pub fn new() -> Self {
        Self(AtomicU64::new(ONE))
    }

    /// A snapshot. What it says may be past already.
    #[inline]
    pub fn load(&self) -> ProcWord {
        // Acquire [P5]: whoever sees a process dead sees what its last LWP
        // did; pairs with Release in `detach`.
        ProcWord(self.0.load(Acquire))
    }

    /// Adds an LWP; from then on the process lives until that LWP is
    /// detached. Lock-free.
    #[inline]
    pub fn attach(&self) -> Result<(), AttachRefused> {
        // Relaxed: the CAS below decides.
        let mut seen = ProcWord(self.0.load(Relaxed));
        loop {
            let new = seen.attached()?;
            // Acquire [P20]: what was done while the gate was closed; pairs
            // with Release in `set_gate`. Not Release: an LWP that has just
            // come has done nothing, and its detach is in the word's release
            // sequence. Relaxed on failure: tried again.
            match self.0.compare_exchange(seen.0, new.0, Acquire, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = ProcWord(now),
            }
        }
    }

    /// Closes or opens the gate for new LWPs. Wait-free.
    #[inline]
    pub fn set_gate(&self, gate: Gate) {
        match gate {
            // Relaxed: the count it closes is in the same word; what the LWPs
            // did that have gone since is seen by `load`.
            Gate::Closed => self.0.fetch_or(DRAINING, Relaxed),
            // Release [P20]: what was done while it was closed; pairs with
            // Acquire in `attach`.
            Gate::Open => self.0.fetch_and(!DRAINING, Release),
        };
    }

    /// Takes an LWP off. Wait-free.
    #[inline]
    pub fn detach(&self) -> Detached {
        // AcqRel [P5]: Release: all that this LWP did to the process comes
        // before its end, for `load` and for the last detach; Acquire: the
        // last one sees all that the others did.
        let before = ProcWord(self.0.fetch_sub(ONE, AcqRel));
        debug_assert!(!before.is_dead(), "an LWP was detached twice");
        match before.nlwps() {
            1 => Detached::Last,
            2 if before.is_draining() => Detached::Alone,
            _ => Detached::Remains,
        }
    }
}

impl fmt::Debug for AtomicProcWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn attach_follows_the_truth_table() {
        let table = [
            (0, Err(AttachRefused::Dead)),
            (DRAINING, Err(AttachRefused::Dead)),
            (1, Ok(2)),
            (7, Ok(8)),
            (1 | DRAINING, Err(AttachRefused::Draining)),
            (7 | DRAINING, Err(AttachRefused::Draining)),
        ];
        for (word, expected) in table {
            assert_eq!(ProcWord(word).attached().map(|w| w.0), expected, "{:?}", ProcWord(word));
        }
    }

    #[test]
    fn only_the_last_detach_ends_the_process() {
        let word = AtomicProcWord::new();
        word.attach().unwrap();
        assert_eq!(word.detach(), Detached::Remains);
        assert_eq!(word.detach(), Detached::Last);
        assert_eq!(word.attach(), Err(AttachRefused::Dead));
    }

    #[test]
    fn the_last_but_one_of_a_draining_process_leaves_one_alone() {
        let word = AtomicProcWord(AtomicU64::new(3));
        word.set_gate(Gate::Closed);
        assert_eq!(word.detach(), Detached::Remains);
        assert_eq!(word.detach(), Detached::Alone);
        assert_eq!(word.detach(), Detached::Last);
        assert!(word.load().is_dead());
    }

    #[test]
    fn debug_decodes() {
        assert_eq!(format!("{:?}", ProcWord(3 | DRAINING)), "nlwps=3|DRAINING");
    }
}
