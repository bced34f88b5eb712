//! The LWP word: who may run it, and what it is about to do.
//!
//! | bit | meaning | set by | cleared by |
//! |---|---|---|---|
//! | 0 RUNNING | somebody owns the right to run it (`LP_RUNNING`) | birth, `claim` | `unclaim`; never after EXITED |
//! | 1 EXITED | it is gone (`LSIDL` at the end of life) | `exit` | never |
//! | 2 WEXIT | it goes at the next leave or switch (`LW_WEXIT`) | `rele` to zero | `hold` |
//! | 3 CRMOD | the process's credentials have changed (`LPR_CRMOD`) | `mark_crmod`, anybody | `take_crmod` |
//! | 4 PENDSIG | an unblocked signal may be pending (`LW_PENDSIG`) | `mark`, anybody | `clear_pendsig` |
//! | 5 QEXIT | it is to exit: its process drains (`LW_WEXIT` by `lwpexit`) | `mark`, anybody | `clear_qexit` |
//! | 6 SLEEPING | what it sleeps on may be called | `sleep` | `wake` |
//! | 7 UNSLEPT | its sleep is to end | `unsleep`, anybody | `wake`, `clear_unslept` |
//! | 8 STOPPING | whether its process is stopped is to be looked at | `mark`, anybody | `clear_stopping` |
//! | 9..32 | `refcnt` (`l_refcnt`) | `hold` | `rele` |
//!
//! RUNNING and EXITED are absolute state; WEXIT is a statement of intent.
//! `refcnt` and WEXIT belong to the owner of RUNNING; every change is a
//! read-modify-write, so a bit set by another thread is never lost (R8). SLEEPING
//! is the owner's, and in the same word as the marks: who sets a mark learns in the
//! same step whether the LWP sleeps.
//!
//! | RUNNING | EXITED | state | `claim` |
//! |---|---|---|---|
//! | 0 | 0 | runnable (`LSRUN`) | taken |
//! | 1 | 0 | owned (`LSONPROC`) | `AlreadyRunning` |
//! | 1 | 1 | gone (`LSIDL`) | `Exiting` |
//! | 0 | 1 | impossible | |

use crate::sync::{AcqRel, Acquire, AtomicU32, Relaxed, Release};
use std::fmt;

const RUNNING: u32 = 1 << 0;
const EXITED: u32 = 1 << 1;
const WEXIT: u32 = 1 << 2;
const CRMOD: u32 = 1 << 3;
const PENDSIG: u32 = 1 << 4;
const QEXIT: u32 = 1 << 5;
const SLEEPING: u32 = 1 << 6;
const UNSLEPT: u32 = 1 << 7;
const STOPPING: u32 = 1 << 8;
const REF_ONE: u32 = 1 << 9;
const REF_MAX: u32 = u32::MAX / REF_ONE;

/// A decoded LWP word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LwpWord(u32);

/// Why the right to run an LWP was not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClaimRefused {
    /// Somebody else has it.
    AlreadyRunning,
    /// The LWP is gone.
    Exiting,
}

/// Why a hold was not added or dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefRefused {
    /// The count is full.
    Overflow,
    /// There is no hold to drop.
    Underflow,
}

/// What dropping a hold did.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Released {
    /// Holds remain: the LWP lives on.
    Held,
    /// That was the last: the LWP goes at the next leave or switch.
    Exiting,
}

/// What another thread tells an LWP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Look for signals.
    PendSig,
    /// Exit.
    QExit,
    /// Look whether the process is stopped.
    Stopping,
}

impl Mark {
    fn bit(self) -> u32 {
        match self {
            Self::PendSig => PENDSIG,
            Self::QExit => QEXIT,
            Self::Stopping => STOPPING,
        }
    }
}

/// What who sets a mark owes.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marked {
    /// The LWP is awake, and sees the mark before it sleeps.
    Awake,
    /// It sleeps, or is about to: call what it sleeps on.
    Sleeping,
    /// Nobody has the right to run it; who gets it sees the mark.
    Parked,
    /// It is gone.
    Gone,
}

impl LwpWord {
    #[inline]
    pub fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }
    #[inline]
    pub fn has_exited(self) -> bool {
        self.0 & EXITED != 0
    }
    #[inline]
    pub fn is_exiting(self) -> bool {
        self.0 & WEXIT != 0
    }
    #[inline]
    pub fn has_crmod(self) -> bool {
        self.0 & CRMOD != 0
    }
    #[inline]
    pub fn is_stopping(self) -> bool {
        self.0 & STOPPING != 0
    }
    /// Whether an entry has nothing to do but to enter.
    #[inline]
    pub fn enters_quietly(self) -> bool {
        self.0 & (CRMOD | STOPPING) == 0
    }
    /// Whether there may be a signal to take, or a stop.
    #[inline]
    pub fn has_signals(self) -> bool {
        self.0 & (PENDSIG | STOPPING) != 0
    }
    #[inline]
    pub fn has_pendsig(self) -> bool {
        self.0 & PENDSIG != 0
    }
    #[inline]
    pub fn has_qexit(self) -> bool {
        self.0 & QEXIT != 0
    }
    #[inline]
    pub fn has_unslept(self) -> bool {
        self.0 & UNSLEPT != 0
    }
    #[inline]
    pub fn is_asleep(self) -> bool {
        self.0 & SLEEPING != 0
    }
    /// Whether it has been told something that its owner may not have seen.
    #[cfg(feature = "async")]
    #[inline]
    pub fn has_marks(self) -> bool {
        self.0 & (PENDSIG | QEXIT | UNSLEPT) != 0
    }
    /// Whether a switch to or from it has nothing to do but to switch.
    #[inline]
    pub fn is_quiet(self) -> bool {
        self.0 & (WEXIT | CRMOD | PENDSIG) == 0
    }
    #[inline]
    pub fn refcnt(self) -> u32 {
        self.0 / REF_ONE
    }

    fn marked(self) -> Marked {
        match self.0 & (RUNNING | EXITED | SLEEPING) {
            RUNNING => Marked::Awake,
            bits if bits & EXITED != 0 => Marked::Gone,
            bits if bits & RUNNING == 0 => Marked::Parked,
            _ => Marked::Sleeping,
        }
    }

    fn held(self) -> Result<LwpWord, RefRefused> {
        if self.refcnt() == REF_MAX {
            return Err(RefRefused::Overflow);
        }
        Ok(LwpWord((self.0 & !WEXIT) + REF_ONE))
    }

    fn released(self) -> Result<LwpWord, RefRefused> {
        match self.refcnt() {
            0 => Err(RefRefused::Underflow),
            1 => Ok(LwpWord((self.0 - REF_ONE) | WEXIT)),
            _ => Ok(LwpWord(self.0 - REF_ONE)),
        }
    }
}

impl fmt::Debug for LwpWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refcnt={}", self.refcnt())?;
        let names = [
            (RUNNING, "RUNNING"),
            (EXITED, "EXITED"),
            (WEXIT, "WEXIT"),
            (CRMOD, "CRMOD"),
            (PENDSIG, "PENDSIG"),
            (QEXIT, "QEXIT"),
            (SLEEPING, "SLEEPING"),
            (UNSLEPT, "UNSLEPT"),
            (STOPPING, "STOPPING"),
        ];
        for (bit, name) in names {
            if self.0 & bit != 0 {
                write!(f, "|{name}")?;
            }
        }
        Ok(())
    }
}

/// The atomic word of one LWP.
pub struct AtomicLwpWord(AtomicU32);

impl AtomicLwpWord {
    /// A new LWP: owned by its maker, with its base reference.
    #[inline]
    pub fn new() -> Self {
        Self(AtomicU32::new(RUNNING | REF_ONE))
    }

    /// A snapshot. Exact for the owner.
    #[inline]
    pub fn load(&self) -> LwpWord {
        // Relaxed: the owner's own writes; for others a hint.
        LwpWord(self.0.load(Relaxed))
    }

    /// Takes the right to run the LWP. Wait-free.
    #[inline]
    pub fn claim(&self) -> Result<(), ClaimRefused> {
        // Acquire [P6]: what the last owner did; pairs with Release in `unclaim`.
        // Release [P28]: that the kernel is being torn down, when it is that who
        // claims, and in vain; pairs with Acquire in `unclaim`.
        let before = LwpWord(self.0.fetch_or(RUNNING, AcqRel));
        if before.has_exited() {
            Err(ClaimRefused::Exiting)
        } else if before.is_running() {
            Err(ClaimRefused::AlreadyRunning)
        } else {
            Ok(())
        }
    }

    /// Gives the right to run back. Owner only; the last thing it does. The word
    /// before. Wait-free.
    #[inline]
    pub fn unclaim(&self) -> LwpWord {
        // Release [P6]: what this owner did; pairs with Acquire in `claim`.
        // Acquire [P28]: that a teardown has tried to claim it before this; pairs
        // with Release in `claim`.
        // Acquire [P133]: the signals that it was told of; pairs with the fence in `post`.
        // A difference, since RUNNING is set: one exclusive add tells what was there.
        let before = LwpWord(self.0.fetch_sub(RUNNING, AcqRel));
        debug_assert!(before.is_running() && !before.has_exited());
        before
    }

    /// Marks the LWP gone; it keeps RUNNING for good, so nobody can claim a
    /// corpse (R7). Owner only. Wait-free.
    #[inline]
    pub fn exit(&self) {
        // Relaxed: the corpse is unpublished by its slot and list; a claimer
        // that sees this reads nothing of the LWP.
        let before = LwpWord(self.0.fetch_or(EXITED | WEXIT, Relaxed));
        debug_assert!(before.is_running() && !before.has_exited());
    }

    /// Tells the LWP that its snapshot of the credentials is old. Wait-free.
    #[inline]
    pub fn mark_crmod(&self) {
        // Release [P17]: the committed credentials come before the mark; pairs
        // with Acquire in `take_crmod`.
        self.0.fetch_or(CRMOD, Release);
    }

    /// Clears the mark, before the credentials are read: a mark set later
    /// stays. Owner only. Wait-free.
    #[inline]
    pub fn take_crmod(&self) {
        // Acquire [P17]: the credentials committed before the mark was set.
        self.0.fetch_and(!CRMOD, Acquire);
    }

    /// Sets a mark. Wait-free.
    #[inline]
    pub fn mark(&self, mark: Mark) -> Marked {
        // Acquire [P54]: what it sleeps on; pairs with Release in `sleep`. [P53]: the
        // gate was opened before the QEXIT cleared here was; pairs with the fence in
        // `drain::reopen`. Not Release: those who mark another have a fence between
        // what they did and this.
        LwpWord(self.0.fetch_or(mark.bit(), Acquire)).marked()
    }

    /// Clears PENDSIG, before the pending signals are looked at: one that is
    /// posted later sets it again. Owner only. Wait-free.
    #[inline]
    pub fn clear_pendsig(&self) {
        // Acquire [P50]: the signals posted before the mark; pairs with the fence in
        // `post`.
        self.0.fetch_and(!PENDSIG, Acquire);
    }

    /// Clears STOPPING, before the process's word is looked at: it is set again by whoever
    /// stops it later. Owner only. Wait-free.
    #[inline]
    pub fn clear_stopping(&self) {
        // Acquire [P111]: that the process is stopped, or no longer; pairs with the fence in
        // `jobs::tell_lwps`.
        self.0.fetch_and(!STOPPING, Acquire);
    }

    /// Clears QEXIT, once the gate is open again. Wait-free.
    #[inline]
    pub fn clear_qexit(&self) {
        // Acquire [P53]: the gate was closed before the mark that is cleared here
        // was set; pairs with the fence in `drain::tell`. See `drain::join`.
        self.0.fetch_and(!QEXIT, Acquire);
    }

    /// The LWP is about to sleep on what its pointer leads to; afterwards it looks
    /// at its marks. Owner only. Wait-free.
    #[inline]
    pub fn sleep(&self) {
        // Release [P54]: the pointer; pairs with Acquire in `mark`, `unsleep`.
        self.0.fetch_or(SLEEPING, Release);
    }

    /// It sleeps no more. Owner only. Wait-free.
    #[inline]
    pub fn wake(&self) {
        // Relaxed: who still sees SLEEPING finds the object, or none, under its pin.
        self.0.fetch_and(!(SLEEPING | UNSLEPT), Relaxed);
    }

    /// That its sleep was ended has been reported. Owner only. Wait-free.
    #[inline]
    pub fn clear_unslept(&self) {
        // Relaxed: nothing is published by it.
        self.0.fetch_and(!UNSLEPT, Relaxed);
    }

    /// Tells the LWP to end its sleep, if it sleeps. Lock-free.
    #[inline]
    pub fn unsleep(&self) -> Marked {
        let mut seen = self.load();
        while seen.marked() == Marked::Sleeping {
            // Acquire [P54]: what it sleeps on; pairs with Release in `sleep`. Relaxed
            // on failure: tried again.
            match self.0.compare_exchange(seen.0, seen.0 | UNSLEPT, Acquire, Relaxed) {
                Ok(_) => return Marked::Sleeping,
                Err(now) => seen = LwpWord(now),
            }
        }
        Marked::Awake
    }

    /// `lwphold`: one more reference, and no longer exiting. Owner only.
    #[inline]
    pub fn hold(&self) -> Result<(), RefRefused> {
        self.update(LwpWord::held).map(drop)
    }

    /// `lwprele`: one reference fewer; at zero, exiting. Owner only.
    #[inline]
    pub fn rele(&self) -> Result<Released, RefRefused> {
        let after = self.update(LwpWord::released)?;
        Ok(if after.is_exiting() { Released::Exiting } else { Released::Held })
    }

    #[inline]
    fn update(
        &self,
        change: impl Fn(LwpWord) -> Result<LwpWord, RefRefused>,
    ) -> Result<LwpWord, RefRefused> {
        let seen = self.load();
        let new = change(seen)?;
        // Only refcnt and WEXIT differ, and these are the owner's: what others set
        // meanwhile stays. Relaxed: nothing is published by them.
        self.0.fetch_xor(seen.0 ^ new.0, Relaxed);
        Ok(new)
    }
}

impl fmt::Debug for AtomicLwpWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn claim_follows_the_truth_table() {
        let table = [
            (0, Ok(())),
            (WEXIT, Ok(())),
            (RUNNING, Err(ClaimRefused::AlreadyRunning)),
            (RUNNING | WEXIT, Err(ClaimRefused::AlreadyRunning)),
            (RUNNING | WEXIT | EXITED, Err(ClaimRefused::Exiting)),
        ];
        for (bits, expected) in table {
            let word = AtomicLwpWord(AtomicU32::new(bits | REF_ONE));
            assert_eq!(word.claim(), expected, "{:?}", LwpWord(bits));
            assert!(word.load().is_running(), "a claim leaves RUNNING set");
        }
    }

    #[test]
    fn hold_revives_and_rele_dooms() {
        let word = AtomicLwpWord::new();
        assert_eq!(word.rele(), Ok(Released::Exiting));
        assert!(word.load().is_exiting());
        assert_eq!(word.rele(), Err(RefRefused::Underflow));
        assert_eq!(word.hold(), Ok(()));
        assert!(!word.load().is_exiting());
        assert_eq!(word.hold(), Ok(()));
        assert_eq!(word.rele(), Ok(Released::Held));
        assert_eq!(word.rele(), Ok(Released::Exiting));
    }

    #[test]
    fn holds_are_bounded() {
        let full = LwpWord(RUNNING | (REF_MAX * REF_ONE));
        assert_eq!(full.held(), Err(RefRefused::Overflow));
    }

    #[test]
    fn marks_tell_whether_it_sleeps_and_change_nothing_else() {
        let word = AtomicLwpWord::new();
        let born = word.load();
        for mark in [Mark::PendSig, Mark::QExit] {
            assert_eq!(word.mark(mark), Marked::Awake);
        }
        assert_eq!(word.unsleep(), Marked::Awake);
        assert!(!word.load().has_unslept(), "only a sleeper is unslept");
        word.sleep();
        for mark in [Mark::PendSig, Mark::QExit] {
            assert_eq!(word.mark(mark), Marked::Sleeping);
        }
        assert_eq!((word.unsleep(), word.unsleep()), (Marked::Sleeping, Marked::Sleeping));
        let now = word.load();
        assert!(now.has_pendsig() && now.has_qexit() && now.has_unslept());
        assert_eq!(format!("{now:?}"), "refcnt=1|RUNNING|PENDSIG|QEXIT|SLEEPING|UNSLEPT");
        word.wake();
        word.clear_pendsig();
        assert!(word.load().has_qexit() && !word.load().has_unslept());
        word.clear_qexit();
        assert_eq!(word.load(), born);
    }

    #[test]
    fn unclaim_drops_only_running() {
        let word = AtomicLwpWord(AtomicU32::new(RUNNING | (2 * REF_ONE)));
        word.unclaim();
        assert_eq!(word.load(), LwpWord(2 * REF_ONE));
        assert_eq!(format!("{:?}", word), "refcnt=2");
    }
}
