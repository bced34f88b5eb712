//! Signal numbers and sets.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not, Sub};

/// A signal number, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signo(u8);

/// Names with NetBSD's numbers. 1 to 6, 8, 9, 11, 13 to 15 and 21 to 28 but for 23
/// mean the same on Linux.
macro_rules! names {
    ($($name:ident = $number:literal),+ $(,)?) => {
        #[allow(missing_docs)]
        impl Signo {
            $( pub const $name: Self = Self($number); )+

            /// The name of the number on NetBSD.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $( $number => Some(concat!("SIG", stringify!($name))), )+
                    _ => None,
                }
            }
        }
    };
}

names! {
    HUP = 1, INT = 2, QUIT = 3, ILL = 4, TRAP = 5, ABRT = 6, EMT = 7, FPE = 8, KILL = 9,
    BUS = 10, SEGV = 11, SYS = 12, PIPE = 13, ALRM = 14, TERM = 15, URG = 16, STOP = 17,
    TSTP = 18, CONT = 19, CHLD = 20, TTIN = 21, TTOU = 22, IO = 23, XCPU = 24, XFSZ = 25,
    VTALRM = 26, PROF = 27, WINCH = 28, INFO = 29, USR1 = 30, USR2 = 31, PWR = 32,
}

/// Linux's names, from 1 on.
const LINUX_NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

impl Signo {
    /// The name of the number on Linux.
    pub(super) fn linux_name(self) -> Option<&'static str> {
        LINUX_NAMES.get(usize::from(self.0) - 1).copied()
    }

    /// The largest number.
    pub const MAX: u8 = 64;

    /// The signal of that number; `None` unless it is in 1..=64.
    pub const fn new(number: i32) -> Option<Self> {
        if number >= 1 && number <= Self::MAX as i32 { Some(Self(number as u8)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    const fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }
}

impl fmt::Debug for Signo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name, where the number means the same on NetBSD and Linux; else the number.
/// [`Rules::name`](crate::Rules::name) knows the others.
impl fmt::Display for Signo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name().filter(|name| self.linux_name() == Some(name)) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// A set of signals: bit n - 1 is signal n.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SigSet(u64);

impl SigSet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(u64::MAX);
    /// Those that no LWP can block: SIGKILL and SIGSTOP.
    pub const UNBLOCKABLE: Self = Self(Signo::KILL.bit() | Signo::STOP.bit());

    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// With one more signal.
    #[must_use]
    pub const fn with(self, signo: Signo) -> Self {
        Self(self.0 | signo.bit())
    }

    /// Without a signal.
    #[must_use]
    pub const fn without(self, signo: Signo) -> Self {
        Self(self.0 & !signo.bit())
    }

    /// Whether it has that signal.
    pub const fn contains(self, signo: Signo) -> bool {
        self.0 & signo.bit() != 0
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many it has.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The one with the lowest number.
    pub const fn first(self) -> Option<Signo> {
        if self.0 == 0 { None } else { Some(Signo(self.0.trailing_zeros() as u8 + 1)) }
    }

    /// Its signals, lowest number first.
    pub fn iter(self) -> impl Iterator<Item = Signo> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let first = rest.first()?;
            rest = rest.without(first);
            Some(first)
        })
    }
}

impl From<Signo> for SigSet {
    fn from(signo: Signo) -> Self {
        Self(signo.bit())
    }
}

impl FromIterator<Signo> for SigSet {
    fn from_iter<I: IntoIterator<Item = Signo>>(signals: I) -> Self {
        signals.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl BitOr for SigSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for SigSet {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for SigSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for SigSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Not for SigSet {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for SigSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_1_to_64() {
        for bad in [i32::MIN, -1, 0, 65, 256 + 9, i32::MAX] {
            assert_eq!(Signo::new(bad), None);
        }
        for good in 1..=64 {
            let signo = Signo::new(good).unwrap();
            assert_eq!(i32::from(signo.number()), good);
            assert_eq!(SigSet::from(signo).iter().collect::<Vec<_>>(), [signo]);
        }
        assert_eq!(
            (Signo::CHLD.to_string(), Signo(17).to_string().as_str()),
            ("signal 20".into(), "signal 17")
        );
        assert_eq!(
            (Signo::TERM.to_string(), Signo(40).to_string().as_str()),
            ("SIGTERM".into(), "signal 40")
        );
    }

    #[test]
    fn sets_are_sets() {
        let some: SigSet = [Signo::INT, Signo::HUP, Signo(64)].into_iter().collect();
        assert_eq!(some.iter().map(Signo::number).collect::<Vec<_>>(), [1, 2, 64]);
        assert_eq!((some.len(), some.first()), (3, Some(Signo::HUP)));
        assert!(some.contains(Signo::INT) && !some.without(Signo::INT).contains(Signo::INT));
        assert_eq!(some - SigSet::from(Signo::HUP), some.without(Signo::HUP));
        assert_eq!(some & !some, SigSet::EMPTY);
        assert_eq!(some | !some, SigSet::ALL);
        assert_eq!(format!("{some:?}"), "{SIGHUP, SIGINT, signal 64}");
        assert!(SigSet::EMPTY.first().is_none());
    }
}
