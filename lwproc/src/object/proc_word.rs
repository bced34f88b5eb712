//! The process word: how many LWPs live, whether more may come, and how it ends.
//!
//! | bits | meaning | set by | cleared by |
//! |---|---|---|---|
//! | 0..32 | `nlwps`, live LWPs | `attach` | `detach` |
//! | 32 | DRAINING (`PS_RUMP_LWPEXIT`): no new LWPs | `close`, `exit_whole` | `open` |
//! | 33 | EXITING: as a whole; status and gate stay as they are | `exit_whole` | |
//! | 34 | SAID: how it ends has been said, or was a panic | `record`, `exit_whole`, `abandon` | |
//! | 48..64 | the exit status, so far | birth, `record`, `exit_whole`; until SAID `abandon` | |
//!
//! `nlwps == 0` *is* dead, for good: `attach` refuses it, so whoever brings it
//! to zero is the only one that ever does (R1, R2, R4), and the drain gate is
//! in the same word as the count it guards (R9). So is the status: of several LWPs
//! that say how the process ends, the first that says it for all of them wins.

use super::status::ExitStatus;
use crate::sync::{AcqRel, Acquire, AtomicU64, Relaxed, Release};
use std::fmt;
use std::sync::atomic::Ordering;

const ONE: u64 = 1;
const NLWPS_MASK: u64 = 0xffff_ffff;
const DRAINING: u64 = 1 << 32;
const EXITING: u64 = 1 << 33;
const SAID: u64 = 1 << 34;
const STATUS_SHIFT: u32 = 48;
const STATUS_MASK: u64 = 0xffff << STATUS_SHIFT;

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

/// The process exits as a whole, or has ended: how is said already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exiting;

/// How an LWP goes that nobody has released, and what that makes its process end with
/// unless it has been said how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// If it is the last one.
    Dropped(ExitStatus),
    /// Whoever comes after it.
    Panicked(ExitStatus),
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

    #[inline]
    pub fn is_exiting(self) -> bool {
        self.0 & EXITING != 0
    }
    /// How it ends, so far.
    #[inline]
    pub fn status(self) -> ExitStatus {
        ExitStatus::from_bits((self.0 >> STATUS_SHIFT) as u16)
    }

    fn with_status(self, status: ExitStatus) -> ProcWord {
        ProcWord(self.0 & !STATUS_MASK | u64::from(status.bits()) << STATUS_SHIFT)
    }

    /// What a detach from this word owes.
    fn leaves(self) -> Detached {
        debug_assert!(!self.is_dead(), "an LWP was detached twice");
        match self.nlwps() {
            1 => Detached::Last,
            2 if self.is_draining() => Detached::Alone,
            _ => Detached::Remains,
        }
    }

    fn said(self, status: ExitStatus) -> ProcWord {
        ProcWord(self.with_status(status).0 | SAID)
    }

    /// Without an LWP that was lost.
    fn without(self, lost: Lost) -> ProcWord {
        let ends = match lost {
            _ if self.0 & SAID != 0 => self,
            Lost::Panicked(status) => self.said(status),
            Lost::Dropped(status) if self.nlwps() == 1 => self.with_status(status),
            Lost::Dropped(_) => self,
        };
        ProcWord(ends.0 - ONE)
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
        if self.is_exiting() {
            f.write_str("|EXITING")?;
        }
        if self.status() != ExitStatus::default() {
            write!(f, "|{}", self.status())?;
        }
        Ok(())
    }
}

/// The atomic word of one process.
pub struct AtomicProcWord(AtomicU64);

impl AtomicProcWord {
    /// A process with its first LWP, which ends so when nobody says how.
    #[inline]
    pub fn new(released: ExitStatus) -> Self {
        Self(AtomicU64::new(ProcWord(ONE).with_status(released).0))
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
            // with Release in `open`. Not Release: an LWP that has just
            // come has done nothing, and its detach is in the word's release
            // sequence. Relaxed on failure: tried again.
            match self.0.compare_exchange(seen.0, new.0, Acquire, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = ProcWord(now),
            }
        }
    }

    /// Closes the gate: from now on `newlwp` is refused (EBUSY). The word before.
    /// Wait-free.
    #[inline]
    pub fn close(&self) -> ProcWord {
        // Relaxed: the count it closes is in the same word; what the LWPs did that
        // have gone since is seen by `load`.
        ProcWord(self.0.fetch_or(DRAINING, Relaxed))
    }

    /// Opens the gate for new LWPs again. Lock-free.
    pub fn open(&self) -> Result<(), Exiting> {
        // Release [P20]: what was done while it was closed; pairs with Acquire in
        // `attach`.
        self.change(Release, |word| Some(ProcWord(word.0 & !DRAINING))).map(drop)
    }

    /// Says how the process ends. Lock-free.
    pub fn record(&self, status: ExitStatus) -> Result<(), Exiting> {
        // Relaxed: published by the LWP's detach [P5].
        self.change(Relaxed, |word| Some(word.said(status))).map(drop)
    }

    /// Says how the process ends, for all its LWPs and for good, and closes the gate.
    /// Refused once it has ended. Lock-free.
    pub fn exit_whole(&self, status: ExitStatus) -> Result<(), Exiting> {
        let ends = |word: ProcWord| {
            (!word.is_dead()).then(|| ProcWord(word.said(status).0 | EXITING | DRAINING))
        };
        // Relaxed: as in `close`.
        self.change(Relaxed, ends).map(drop)
    }

    /// Changes the word, unless the process exits as a whole.
    fn change(
        &self,
        order: Ordering,
        change: impl Fn(ProcWord) -> Option<ProcWord>,
    ) -> Result<ProcWord, Exiting> {
        let change = |word| {
            let seen = ProcWord(word);
            if seen.is_exiting() { None } else { change(seen).map(|new| new.0) }
        };
        // Relaxed on failure: tried again, or refused by what is in the word itself.
        self.0.fetch_update(order, Relaxed, change).map(ProcWord).map_err(|_| Exiting)
    }

    /// Takes an LWP off. Wait-free.
    #[inline]
    pub fn detach(&self) -> Detached {
        // AcqRel [P5]: Release: all that this LWP did to the process comes
        // before its end, for `load` and for the last detach; Acquire: the
        // last one sees all that the others did.
        ProcWord(self.0.fetch_sub(ONE, AcqRel)).leaves()
    }

    /// Takes an LWP off that was lost. Lock-free.
    #[inline]
    pub fn abandon(&self, lost: Lost) -> Detached {
        let left = |word| Some(ProcWord(word).without(lost).0);
        // AcqRel [P5]: as in `detach`. Relaxed on failure: tried again.
        let before = self.0.fetch_update(AcqRel, Relaxed, left).expect("never refused");
        ProcWord(before).leaves()
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
        let word = AtomicProcWord::new(ExitStatus::default());
        word.attach().unwrap();
        assert_eq!(word.detach(), Detached::Remains);
        assert_eq!(word.detach(), Detached::Last);
        assert_eq!(word.attach(), Err(AttachRefused::Dead));
    }

    #[test]
    fn the_last_but_one_of_a_draining_process_leaves_one_alone() {
        let word = AtomicProcWord(AtomicU64::new(3));
        let _open = word.close();
        assert_eq!(word.detach(), Detached::Remains);
        assert_eq!(word.detach(), Detached::Alone);
        assert_eq!(word.detach(), Detached::Last);
        assert!(word.load().is_dead());
    }

    #[test]
    fn what_is_said_for_the_whole_process_stays() {
        let (word, seven) = (AtomicProcWord::new(ExitStatus::default()), ExitStatus::exited(7));
        assert_eq!(word.record(ExitStatus::exited(1)), Ok(()));
        assert_eq!(word.record(ExitStatus::exited(2)), Ok(()));
        assert_eq!(word.load().status(), ExitStatus::exited(2));
        assert_eq!(word.exit_whole(seven), Ok(()));
        assert!(word.load().is_draining() && word.load().is_exiting());
        assert_eq!(word.exit_whole(ExitStatus::exited(9)), Err(Exiting));
        assert_eq!((word.record(ExitStatus::exited(9)), word.open()), (Err(Exiting), Err(Exiting)));
        assert_eq!((word.load().nlwps(), word.load().status()), (1, seven));
        assert_eq!(word.abandon(Lost::Panicked(ExitStatus::exited(9))), Detached::Last);
        assert_eq!(word.load().status(), seven);
    }

    #[test]
    fn a_drop_counts_of_the_last_and_a_panic_of_any_and_both_less_than_a_word() {
        let [one, two, three] = [1, 2, 3].map(ExitStatus::exited);
        let end = |lost: &[Option<Lost>], said: Option<ExitStatus>| {
            let word = AtomicProcWord::new(one);
            lost[1..].iter().for_each(|_| word.attach().unwrap());
            said.into_iter().for_each(|status| word.record(status).unwrap());
            for lwp in lost {
                let _left = lwp.map_or_else(|| word.detach(), |lost| word.abandon(lost));
            }
            assert!(word.load().is_dead());
            word.load().status()
        };
        let (dropped, panicked) = (Some(Lost::Dropped(two)), Some(Lost::Panicked(three)));
        assert_eq!(end(&[None], None), one);
        assert_eq!(end(&[dropped], None), two);
        assert_eq!(end(&[dropped, None], None), one);
        assert_eq!(end(&[None, dropped], None), two);
        assert_eq!(end(&[panicked, None], None), three);
        assert_eq!(end(&[panicked, dropped], None), three);
        assert_eq!(end(&[dropped, panicked], None), three);
        assert_eq!(end(&[panicked, dropped], Some(one)), one);
    }

    #[test]
    fn what_has_ended_is_not_ended_again() {
        let word = AtomicProcWord::new(ExitStatus::default());
        assert_eq!(word.detach(), Detached::Last);
        assert_eq!(word.exit_whole(ExitStatus::exited(9)), Err(Exiting));
        assert_eq!(word.load().status(), ExitStatus::default());
    }

    #[test]
    fn the_gate_opens_again() {
        let word = AtomicProcWord::new(ExitStatus::default());
        assert!(!word.close().is_draining() && word.close().is_draining());
        assert_eq!(word.attach(), Err(AttachRefused::Draining));
        assert_eq!((word.open(), word.attach()), (Ok(()), Ok(())));
    }

    #[test]
    fn debug_decodes() {
        let word = ProcWord(3 | DRAINING);
        assert_eq!(format!("{word:?}"), "nlwps=3|DRAINING");
        let word = ProcWord(word.0 | EXITING).with_status(ExitStatus::exited(7));
        assert_eq!(format!("{word:?}"), "nlwps=3|DRAINING|EXITING|exited 7");
    }
}
