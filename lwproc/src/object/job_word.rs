//! The job word: whether a process is stopped, which of the signals that stop and continue
//! are pending, and what its parent has not heard of. In one word, since a stop discards a
//! pending SIGCONT, and SIGCONT the pending stops.
//!
//! | bits | meaning | set by | cleared by |
//! |---|---|---|---|
//! | 0 STOPPED | its LWPs stop where they look | `stop` | `cont` |
//! | 1 TELLS_STOP | a wait can still take that it was stopped | `stop` | `take_notice`, `cont` |
//! | 2 TELLS_CONT | a wait can still take that it was continued | `cont` | `take_notice`, `stop` |
//! | 8..16 | the signal that stopped it last | `stop` | |
//! | 16..32 | the process's pending signals of those kinds, 17 to 32 | `stop`, `post`, `post_if_stopped`, `cont` | `take`, `discard`; SIGCONT `stop`, `post`; the others `cont` |
//! | 32..48 | how many SIGCONTs there have been, modulo 2^16: whether one came after a stop that is taken | `cont` | |
//! | 48..64 | which signals those are; none where the embedder sees to jobs | birth | |
//!
//! A process that exits as a whole, or has ended, is not stopped, whatever this says.

use crate::signal::{SigSet, Signo};
use crate::sync::{Acquire, AtomicU64, Relaxed, Release};
use std::fmt;

const STOPPED: u64 = 1 << 0;
const TELLS_STOP: u64 = 1 << 1;
const TELLS_CONT: u64 = 1 << 2;
const SIGNO_SHIFT: u32 = 8;
const SIGNO: u64 = 0xff << SIGNO_SHIFT;
/// As in a [`SigSet`].
const PENDING: u64 = 0xffff << 16;
const CONT_ONE: u64 = 1 << 32;
const CONTS: u64 = 0xffff << 32;
const KINDS_SHIFT: u32 = 32;

/// A decoded job word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JobWord(u64);

/// What became of a process that was sent a stop.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// It is stopped: its LWPs and its parent are to be told.
    Now,
    /// It was, and the signal is pending until SIGCONT discards it; or that has come already.
    Already,
}

/// Whether a process goes on that was stopped: its LWPs and its parent are to be told.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Continued {
    Now,
    WasNot,
}

/// What a wait can take of a child that has not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    Stopped(Signo),
    Continued,
}

impl JobWord {
    #[inline]
    pub fn is_stopped(self) -> bool {
        self.0 & STOPPED != 0
    }

    /// The signal that has stopped it, while it is stopped.
    pub fn stopped_by(self) -> Option<Signo> {
        let number = (self.0 & SIGNO) >> SIGNO_SHIFT;
        if self.is_stopped() { Signo::new(number as i32) } else { None }
    }

    /// What a wait can take, and none has.
    pub fn notice(self) -> Option<Notice> {
        if self.0 & TELLS_STOP != 0 {
            self.stopped_by().map(Notice::Stopped)
        } else {
            (self.0 & TELLS_CONT != 0).then_some(Notice::Continued)
        }
    }

    /// The signals that are pending here.
    pub fn pending(self) -> SigSet {
        SigSet::from_bits(self.0 & PENDING)
    }

    /// Those that are ever pending here, and nowhere else of the process's.
    pub fn kinds(self) -> SigSet {
        SigSet::from_bits(self.0 >> KINDS_SHIFT & PENDING)
    }

    fn with(self, signals: SigSet) -> Self {
        Self(self.0 | signals.bits() & PENDING)
    }

    fn without(self, signals: SigSet) -> Self {
        Self(self.0 & !(signals.bits() & PENDING))
    }

    fn stopped(self, signo: Signo) -> Self {
        if self.is_stopped() {
            return self.with(signo.into());
        }
        let rest = self.0 & !(TELLS_CONT | SIGNO);
        Self(rest | STOPPED | TELLS_STOP | u64::from(signo.number()) << SIGNO_SHIFT)
    }

    fn conts(self) -> u64 {
        self.0 & CONTS
    }

    fn continued(self) -> Self {
        let counted = self.0 & !CONTS | self.0.wrapping_add(CONT_ONE) & CONTS;
        match self.is_stopped() {
            true => Self(counted & !(STOPPED | TELLS_STOP) | TELLS_CONT),
            false => Self(counted),
        }
    }

    fn told(self, notice: Notice) -> Option<Self> {
        let bit = match notice {
            Notice::Stopped(_) => TELLS_STOP,
            Notice::Continued => TELLS_CONT,
        };
        (self.notice() == Some(notice)).then_some(Self(self.0 & !bit))
    }
}

impl fmt::Debug for JobWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stopped_by() {
            Some(signo) => write!(f, "stopped by signal {}", signo.number())?,
            None => f.write_str("not stopped")?,
        }
        if let Some(notice) = self.notice() {
            write!(f, ", tells {notice:?}")?;
        }
        Ok(())
    }
}

/// The atomic word of one process.
pub struct AtomicJobWord(AtomicU64);

impl AtomicJobWord {
    /// A process that is not stopped, where the kernel sees to those signals.
    pub fn new(kinds: SigSet) -> Self {
        debug_assert!((kinds & !SigSet::from_bits(PENDING)).is_empty());
        Self(AtomicU64::new(kinds.bits() << KINDS_SHIFT))
    }

    /// A snapshot. What it says may be past already.
    #[inline]
    pub fn load(&self) -> JobWord {
        // Acquire [P110]: what the sender of the signal did, for an LWP that goes on and for
        // who takes a notice; pairs with Release in `change`.
        JobWord(self.0.load(Acquire))
    }

    /// Stops the process by a signal that no LWP takes, and discards `cont`; unless it was
    /// pending at `since`, and SIGCONT has come after that. Lock-free.
    pub fn stop(&self, signo: Signo, cont: Signo, since: Option<JobWord>) -> Stopped {
        let before = self.change(|word| {
            let late = since.is_some_and(|since| since.conts() != word.conts());
            (!late).then(|| word.without(cont.into()).stopped(signo))
        });
        let was = before.is_none_or(JobWord::is_stopped);
        if was { Stopped::Already } else { Stopped::Now }
    }

    /// Makes a stop pending that an LWP takes, and discards `cont`. Lock-free.
    pub fn post(&self, signo: Signo, cont: Signo) {
        self.change(|word| Some(word.without(cont.into()).with(signo.into())));
    }

    /// Makes stops pending that nobody takes, if the process is stopped; whether it is.
    /// Lock-free.
    pub fn post_if_stopped(&self, stops: SigSet) -> bool {
        self.change(|word| word.is_stopped().then(|| word.with(stops))).is_some()
    }

    /// Continues the process, discards `stops`, and makes `pends` pending. Lock-free.
    pub fn cont(&self, stops: SigSet, pends: SigSet) -> Continued {
        let before = self.change(|word| Some(word.continued().without(stops).with(pends)));
        let was = before.is_some_and(JobWord::is_stopped);
        if was { Continued::Now } else { Continued::WasNot }
    }

    /// Takes a pending signal, so that no other LWP does; whether it was there. Lock-free.
    pub fn take(&self, signo: Signo) -> bool {
        let is_there = |word: JobWord| word.pending().contains(signo);
        self.change(|word| is_there(word).then(|| word.without(signo.into()))).is_some()
    }

    /// Discards pending signals. Lock-free.
    pub fn discard(&self, signals: SigSet) {
        self.change(|word| Some(word.without(signals)));
    }

    /// Takes a notice, so that no other wait does; whether it was still there. Lock-free.
    pub fn take_notice(&self, notice: Notice) -> bool {
        self.change(|word| word.told(notice)).is_some()
    }

    /// The word before, if it is changed.
    fn change(&self, change: impl Fn(JobWord) -> Option<JobWord>) -> Option<JobWord> {
        // Release [P110]: what the sender did; pairs with Acquire in `load`. Relaxed on
        // failure: tried again, or refused by what is in the word itself.
        let change = |word| change(JobWord(word)).map(|new| new.0);
        self.0.fetch_update(Release, Relaxed, change).ok().map(JobWord)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    const CONT: Signo = Signo::CONT;

    fn stops() -> SigSet {
        [Signo::STOP, Signo::TSTP].into_iter().collect()
    }

    fn word() -> AtomicJobWord {
        AtomicJobWord::new(stops().with(CONT))
    }

    #[test]
    fn stops_and_continuations_discard_each_other() {
        let word = word();
        assert_eq!(word.load().kinds(), stops().with(CONT));
        assert_eq!(word.cont(stops(), CONT.into()), Continued::WasNot);
        assert_eq!(word.load().pending(), CONT.into());
        word.post(Signo::TSTP, CONT);
        assert_eq!(word.load().pending(), Signo::TSTP.into());
        assert_eq!(word.stop(Signo::STOP, CONT, None), Stopped::Now);
        assert_eq!(word.stop(Signo::STOP, CONT, None), Stopped::Already);
        assert_eq!(word.load().pending(), stops());
        assert_eq!(word.cont(stops(), SigSet::EMPTY), Continued::Now);
        assert_eq!((word.load().pending(), word.load().is_stopped()), (SigSet::EMPTY, false));
        word.post(Signo::TSTP, CONT);
        assert!(!word.take(CONT) && word.take(Signo::TSTP) && !word.take(Signo::TSTP));
    }

    #[test]
    fn a_notice_is_taken_once_and_only_while_it_is_so() {
        let word = word();
        let (none, stopped) = (SigSet::EMPTY, Notice::Stopped(Signo::TSTP));
        assert_eq!((word.cont(none, none), word.load().notice()), (Continued::WasNot, None));
        assert_eq!(word.stop(Signo::TSTP, CONT, None), Stopped::Now);
        assert_eq!(word.load().stopped_by(), Some(Signo::TSTP));
        assert!(word.take_notice(stopped) && !word.take_notice(stopped));
        assert!(word.load().is_stopped());
        assert_eq!((word.cont(none, none), word.take_notice(stopped)), (Continued::Now, false));
        assert_eq!(word.stop(Signo::TSTP, CONT, None), Stopped::Now);
        assert!(!word.take_notice(Notice::Continued), "it is stopped again");
        assert_eq!(word.cont(none, none), Continued::Now);
        assert!(word.take_notice(Notice::Continued) && !word.take_notice(Notice::Continued));
    }
}
