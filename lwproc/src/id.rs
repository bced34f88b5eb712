//! Process and LWP numbers.

use crate::sync::{AtomicU64, Relaxed};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub i32);

        impl From<i32> for $name {
            fn from(number: i32) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A process number: 0 for proc0, 1 for init, positive otherwise.
    ///
    /// Shares one space with [`Lid`]. Any `i32` may be *asked* for; one that
    /// no process bears is answered with `ESRCH`.
    Pid
}

number! {
    /// An LWP number, from the same space as [`Pid`]. The first LWP of a
    /// process has the process's number.
    Lid
}

impl Pid {
    /// proc0, the kernel itself.
    pub const KERNEL: Pid = Pid(0);
    /// init, the foster parent of orphans and the home of implicit contexts.
    pub const INIT: Pid = Pid(1);
}

/// Which number a new process or LWP gets.
///
/// | | the next number | after 6,000 forks, one at a time, the largest is | threads at once |
/// |---|---|---|---|
/// | [`Generations`](Self::Generations) | another, each time | 157,286,480 | share no cache line |
/// | [`Dense`](Self::Dense) | small, given again soon | 80 | share no cache line |
/// | [`Cyclic`](Self::Cyclic) | the next free one | 6,001 | one word for all |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Numbering {
    /// A place in the table, and how often it was used before: a number comes again only
    /// when that has gone round, and until then names nobody. Up to 2^31 - 1.
    #[default]
    Generations,
    /// A place in the table: at most the
    /// [capacity](crate::Builder::id_capacity), and not much larger than the most numbers
    /// in use at once. A thread gives a number again when 64 others were released on it.
    Dense,
    /// Linux's order: the next free number above the last one that was given, up to the
    /// capacity (Linux's `pid_max` less one), and then again from 300, or from 1 where the
    /// capacity is below. One thread at a time gets exactly Linux's numbers; of threads at
    /// once, each another.
    Cyclic,
}

/// A number that was issued once and never again: the slot's full generation
/// and its index. (Until a slot has been used again 2^33 times, where [`Numbering`] is not the
/// default.) The low 31 bits are the [`Pid`] or [`Lid`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity(pub(crate) u64);

impl Identity {
    /// The 64 bits.
    #[inline]
    pub fn get(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn number(self) -> i32 {
        // The mask makes the cast lossless.
        (self.0 & 0x7fff_ffff) as i32
    }

    #[inline]
    pub(crate) fn pid(self) -> Pid {
        Pid(self.number())
    }

    #[inline]
    pub(crate) fn lid(self) -> Lid {
        Lid(self.number())
    }
}

/// A number that somebody shows instead of the own one: no table knows it.
pub(crate) struct Alias(AtomicU64);

impl Alias {
    /// The bit that says there is one.
    const SET: u64 = 1 << 32;

    #[inline]
    pub(crate) fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<i32> {
        // Relaxed: a number; nothing is published by it.
        let word = self.0.load(Relaxed);
        // The low half is the number.
        (word & Self::SET != 0).then_some(word as u32 as i32)
    }

    pub(crate) fn set(&self, number: i32) {
        // Relaxed: as above.
        self.0.store(Self::SET | u64::from(number as u32), Relaxed);
    }
}
