//! What is noted of a child for its parent.

use crate::signal::Signo;
use crate::sync::{AtomicU32, Relaxed};

/// Who has made a child, and how its parent is told of its end.
#[derive(Clone, Copy)]
pub(crate) struct Kin {
    /// The serial of the LWP of the parent that made it; 0: none that
    /// lives.
    pub(crate) maker: u32,
    pub(crate) exit_signal: ExitSignal,
}

impl Kin {
    /// A child that was adopted, or that nobody of the parent's made.
    pub(crate) const ORPHAN: Self = Self { maker: 0, exit_signal: ExitSignal::ORDINARY };
}

/// A child with a signal of its own, or none: a *clone child*.
const CLONE: u32 = 1 << 7;
const NUMBER: u32 = CLONE - 1;
/// The number of a clone child whose parent has become another program.
const AS_ORDINARY: u32 = NUMBER;

/// A child's exit signal: 0 of an ordinary child, which is told of by the kernel's; else CLONE,
/// and the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ExitSignal(u32);

impl ExitSignal {
    /// The kernel's.
    pub(crate) const ORDINARY: Self = Self(0);

    /// The child's own, or none.
    pub(crate) fn of_clone(signo: Option<Signo>) -> Self {
        Self(CLONE | signo.map_or(0, |signo| u32::from(signo.number())))
    }

    pub(crate) fn is_clone(self) -> bool {
        self.0 & CLONE != 0
    }

    /// Whether the parent is told as of an ordinary child: also of a clone child, if the
    /// parent has become another program since.
    pub(crate) fn tells_as_ordinary(self) -> bool {
        !self.is_clone() || self.0 & NUMBER == AS_ORDINARY
    }

    /// What the parent is sent, where ordinary children have that.
    pub(crate) fn signo(self, ordinary: Option<Signo>) -> Option<Signo> {
        match self.tells_as_ordinary() {
            true => ordinary,
            false => Signo::new((self.0 & NUMBER) as i32),
        }
    }
}

/// That of one child, until its parent changes.
pub(crate) struct AtomicExitSignal(AtomicU32);

impl AtomicExitSignal {
    pub(crate) fn new(signal: ExitSignal) -> Self {
        Self(AtomicU32::new(signal.0))
    }

    #[inline]
    pub(crate) fn load(&self) -> ExitSignal {
        // Relaxed: says nothing but itself. Who ends the child has seen its exec [P5].
        ExitSignal(self.0.load(Relaxed))
    }

    /// The child has become another program. Wait-free.
    pub(crate) fn child_execs(&self) {
        // Relaxed: as in `load`. A swap: of the parent's change and this one, one is the later.
        let _before = self.0.swap(ExitSignal::ORDINARY.0, Relaxed);
    }

    /// The parent has. Wait-free.
    pub(crate) fn parent_execs(&self) {
        let seen = self.load();
        if seen.is_clone() {
            // Relaxed: as in `load`. In vain only when the child has become an ordinary one.
            let new = CLONE | AS_ORDINARY;
            let _ordinary = self.0.compare_exchange(seen.0, new, Relaxed, Relaxed);
        }
    }
}
