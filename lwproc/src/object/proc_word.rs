//! The process word: how many LWPs live, whether more may come, and how it ends.
//!
//! | bits | meaning | set by | cleared by |
//! |---|---|---|---|
//! | 0..32 | `nlwps`, live LWPs | `attach` | `detach` |
//! | 32 | DRAINING (`PS_RUMP_LWPEXIT`): no new LWPs | `close`, `exit_whole` | `open` |
//! | 33 | EXITING: as a whole; status and gate stay as they are | `exit_whole` | |
//! | 34 | SAID: how it ends has been said, or was a panic | `record`, `exit_whole`, `abandon` | |
//! | 35 | NEW_USER: its real user has changed since it last became another program | `note_new_user` | `forget_new_user` |
//! | 36 | PLACED: a most of processes counts it, or has counted it and does not any more | birth, `place` | |
//! | 37 | COUNTED: a most of LWPs counts its LWPs | birth, `count` | |
//! | 38 | SUBREAPER: orphans that descend from it are its children | `set_subreaper` | `set_subreaper` |
//! | 39 | WAITS: init, and its children wait to be reaped | birth | |
//! | 48..64 | the exit status, so far | birth, `record`, `exit_whole`; until SAID `abandon` | |
//!
//! `nlwps == 0` *is* dead, for good: `attach` refuses it, so whoever brings it
//! to zero is the only one that ever does (R1, R2, R4), and the drain gate is
//! in the same word as the count it guards (R9). So is the status: of several LWPs
//! that say how the process ends, the first that says it for all of them wins. And whether
//! the LWPs are counted for the kernel: who attaches or detaches one sees in the same step
//! whether a place goes with it (`world/caps.rs`).

use super::status::ExitStatus;
use crate::sync::{AcqRel, Acquire, AtomicU64, Relaxed, Release};
use std::fmt;
use std::sync::atomic::Ordering;

const ONE: u64 = 1;
const NLWPS_MASK: u64 = 0xffff_ffff;
const DRAINING: u64 = 1 << 32;
const EXITING: u64 = 1 << 33;
const SAID: u64 = 1 << 34;
const NEW_USER: u64 = 1 << 35;
const PLACED: u64 = 1 << 36;
const COUNTED: u64 = 1 << 37;
const SUBREAPER: u64 = 1 << 38;
const WAITS: u64 = 1 << 39;
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
    /// Its LWPs are counted: the new one needs a place, and `attach_counted`.
    Counted,
    /// It has as many LWPs as it may (EAGAIN).
    Full,
}

/// Whether a place in the kernel goes with each LWP of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counting {
    Counted,
    Uncounted,
}

/// What a kernel counts, as bits of a process word: PLACED, COUNTED.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places(u64);

impl Places {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Its processes.
    pub const PROCS: Self = Self(PLACED);
    /// Its LWPs.
    pub const LWPS: Self = Self(COUNTED);

    /// From bits 4 and 5.
    #[inline]
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(u64::from(bits) << 32 & (PLACED | COUNTED))
    }

    /// These and those.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Whether it has some of those.
    #[inline]
    pub fn has(self, some: Self) -> bool {
        self.0 & some.0 != 0
    }
}

/// Whether the orphans that descend from a process become its children.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Subreaper {
    /// They do (`PR_SET_CHILD_SUBREAPER`).
    Yes,
    /// They become those of one above it.
    #[default]
    No,
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
    /// Whether its real user has changed since it last became another program.
    #[inline]
    pub fn has_new_user(self) -> bool {
        self.0 & NEW_USER != 0
    }
    /// Whether orphans that descend from it are its children.
    #[inline]
    pub fn is_subreaper(self) -> bool {
        self.0 & SUBREAPER != 0
    }
    /// Whether it is an init whose children wait to be reaped.
    #[inline]
    pub fn waits(self) -> bool {
        self.0 & WAITS != 0
    }
    /// What of it is counted.
    #[inline]
    pub fn places(self) -> Places {
        Places(self.0 & (PLACED | COUNTED))
    }

    fn counting(self) -> Counting {
        if self.0 & COUNTED != 0 { Counting::Counted } else { Counting::Uncounted }
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

    /// With an LWP more, whose place has been taken if it needs one, unless it has as many
    /// as `most`.
    #[inline]
    fn attached(self, most: Option<u32>, place: Counting) -> Result<ProcWord, AttachRefused> {
        if self.is_dead() {
            return Err(AttachRefused::Dead);
        }
        if self.0 & (DRAINING | COUNTED) != 0 {
            if self.is_draining() {
                return Err(AttachRefused::Draining);
            }
            if place == Counting::Uncounted {
                return Err(AttachRefused::Counted);
            }
        }
        match most {
            Some(most) if self.nlwps() >= most => Err(AttachRefused::Full),
            _ => Ok(ProcWord(self.0 + ONE)),
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
        if self.has_new_user() {
            f.write_str("|NEW_USER")?;
        }
        if self.places().has(Places::PROCS) {
            f.write_str("|PLACED")?;
        }
        if self.places().has(Places::LWPS) {
            f.write_str("|COUNTED")?;
        }
        if self.is_subreaper() {
            f.write_str("|SUBREAPER")?;
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
    /// A process with its first LWP, which ends so when nobody says how. What of it is
    /// counted has its place.
    #[inline]
    pub fn new(released: ExitStatus, counted: Places) -> Self {
        Self(AtomicU64::new(ProcWord(ONE | counted.0).with_status(released).0))
    }

    /// A snapshot. What it says may be past already.
    #[inline]
    pub fn load(&self) -> ProcWord {
        // Acquire [P5]: whoever sees a process dead sees what its last LWP
        // did; pairs with Release in `detach`.
        ProcWord(self.0.load(Acquire))
    }

    /// Adds an LWP to at most as many less one; from then on the process lives until that
    /// LWP is detached. Refused where the LWP needs a place. Lock-free.
    #[inline]
    pub fn attach(&self, most: Option<u32>) -> Result<(), AttachRefused> {
        self.attach_with(most, Counting::Uncounted)
    }

    /// As [`AtomicProcWord::attach`], an LWP that has its place. Lock-free.
    pub fn attach_counted(&self, most: Option<u32>) -> Result<(), AttachRefused> {
        self.attach_with(most, Counting::Counted)
    }

    #[inline]
    fn attach_with(&self, most: Option<u32>, place: Counting) -> Result<(), AttachRefused> {
        // Relaxed: the CAS below decides.
        let mut seen = ProcWord(self.0.load(Relaxed));
        loop {
            let new = seen.attached(most, place)?;
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

    /// Takes an LWP off; and whether its place is to be given back. Wait-free.
    #[inline]
    pub fn detach(&self) -> (Detached, Counting) {
        // AcqRel [P5]: Release: all that this LWP did to the process comes
        // before its end, for `load` and for the last detach; Acquire: the
        // last one sees all that the others did. Acquire [P101]: its place was taken;
        // pairs with Release in `count`. Acquire [P120]: the children that others have listed;
        // pairs with Release in `outlives_listing`.
        let before = ProcWord(self.0.fetch_sub(ONE, AcqRel));
        (before.leaves(), before.counting())
    }

    /// As [`AtomicProcWord::detach`], an LWP that was lost. Lock-free.
    #[inline]
    pub fn abandon(&self, lost: Lost) -> (Detached, Counting) {
        let left = |word| Some(ProcWord(word).without(lost).0);
        // AcqRel [P5], [P101], [P120]: as in `detach`. Relaxed on failure: tried again.
        let before = self.0.fetch_update(AcqRel, Relaxed, left).expect("never refused");
        (ProcWord(before).leaves(), ProcWord(before).counting())
    }

    /// Decides about the process's own place: what was counted before. Whoever finds no
    /// place is the only one that gives it one, or keeps it from ever having one. Wait-free.
    pub fn place(&self) -> Places {
        // AcqRel [P101]: Release: the place that goes with the process was taken; Acquire:
        // the same, for whoever gives it back.
        ProcWord(self.0.fetch_or(PLACED, AcqRel)).places()
    }

    /// Has the LWPs counted from now on, if they are not: `take` their places first,
    /// `give_back` in vain. Lock-free.
    pub fn count(&self, take: impl Fn(u32), give_back: impl Fn(u32)) {
        // Acquire [P101]: the places that another has taken; pairs with Release below.
        let mut seen = ProcWord(self.0.load(Acquire));
        while seen.counting() == Counting::Uncounted {
            take(seen.nlwps());
            // Release [P101]: the places; pairs with Acquire in `detach`, and above. Acquire
            // on failure: as above.
            match self.0.compare_exchange(seen.0, seen.0 | COUNTED, Release, Acquire) {
                Ok(_) => return,
                Err(now) => {
                    give_back(seen.nlwps());
                    seen = ProcWord(now);
                }
            }
        }
    }

    /// Says whether orphans that descend from it are its children; whether they were.
    /// Wait-free.
    pub fn set_subreaper(&self, new: Subreaper) -> Subreaper {
        // Relaxed: says nothing but itself.
        let before = match new {
            Subreaper::Yes => self.0.fetch_or(SUBREAPER, Relaxed),
            Subreaper::No => self.0.fetch_and(!SUBREAPER, Relaxed),
        };
        if ProcWord(before).is_subreaper() { Subreaper::Yes } else { Subreaper::No }
    }

    /// Whether the process lives, for who has just listed a child of it: if it does, who
    /// ends it finds that child. Wait-free.
    pub fn outlives_listing(&self) -> bool {
        // Release [P120]: what was listed; pairs with Acquire of the last `detach`. A change,
        // though it changes nothing: it comes before that, or sees it.
        !ProcWord(self.0.fetch_or(0, Release)).is_dead()
    }

    /// Has an init's children wait to be reaped. Before others see it.
    pub fn set_waits(&self) {
        // Relaxed: published with the kernel.
        self.0.fetch_or(WAITS, Relaxed);
    }

    /// Notes that the real user has changed. Wait-free.
    pub fn note_new_user(&self) {
        // Relaxed: says nothing but itself.
        self.0.fetch_or(NEW_USER, Relaxed);
    }

    /// The process has become another program. Wait-free.
    pub fn forget_new_user(&self) {
        // Relaxed: as in `note_new_user`.
        self.0.fetch_and(!NEW_USER, Relaxed);
    }
}

impl fmt::Debug for AtomicProcWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests;
