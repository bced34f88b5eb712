//! Which signal has which number, where the kernel itself must know.

use super::set::{SigSet, Signo};

/// The numbers of the signals that mean something to the kernel: NetBSD's and Linux's
/// differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Numbers {
    pub(crate) stop: Signo,
    pub(crate) cont: Signo,
    pub(crate) chld: Signo,
    pub(crate) ttin: Signo,
    pub(crate) ttou: Signo,
    /// TSTP, TTIN and TTOU: they stop unless they are caught.
    by_terminal: SigSet,
    /// What does nothing when nobody has said what it does.
    by_default_nothing: SigSet,
    /// What ends the process with a core then.
    by_default_core: SigSet,
    /// Those of which each that is sent is kept: SIGRTMIN and SIGRTMAX.
    kept_each: [u8; 2],
}

const fn signo(number: i32) -> Signo {
    Signo::new(number).expect("in 1..=64")
}

const fn set<const N: usize>(numbers: [i32; N]) -> SigSet {
    let (mut set, mut at) = (SigSet::EMPTY, 0);
    while at < N {
        set = set.with(signo(numbers[at]));
        at += 1;
    }
    set
}

impl Numbers {
    /// The name of a number, where it has one.
    pub(crate) fn name(self, signo: Signo) -> Option<&'static str> {
        if self == Self::LINUX { signo.linux_name() } else { signo.name() }
    }

    pub(crate) const NETBSD: Self = Self {
        stop: Signo::STOP,
        cont: Signo::CONT,
        chld: Signo::CHLD,
        ttin: signo(21),
        ttou: signo(22),
        by_terminal: set([18, 21, 22]),
        // URG, CONT, CHLD, IO, WINCH, INFO, PWR.
        by_default_nothing: set([16, 19, 20, 23, 28, 29, 32]),
        // QUIT, ILL, TRAP, ABRT, EMT, FPE, BUS, SEGV, SYS.
        by_default_core: set([3, 4, 5, 6, 7, 8, 10, 11, 12]),
        kept_each: [33, 63],
    };

    pub(crate) const LINUX: Self = Self {
        stop: signo(19),
        cont: signo(18),
        chld: signo(17),
        ttin: signo(21),
        ttou: signo(22),
        by_terminal: set([20, 21, 22]),
        // CHLD, CONT, URG, WINCH.
        by_default_nothing: set([17, 18, 23, 28]),
        // QUIT, ILL, TRAP, ABRT, BUS, FPE, SEGV, XCPU, XFSZ, SYS.
        by_default_core: set([3, 4, 5, 6, 7, 8, 11, 24, 25, 31]),
        // The kernel's; a C library keeps the first two for itself.
        kept_each: [32, 64],
    };

    /// Those that no LWP blocks, and no process catches or ignores: KILL and STOP.
    pub(crate) const fn untouchable(self) -> SigSet {
        SigSet::EMPTY.with(Signo::KILL).with(self.stop)
    }

    /// All that stop.
    pub(crate) const fn stops(self) -> SigSet {
        self.by_terminal.with(self.stop)
    }

    /// Whether it stops, and a group that nobody controls is exempt.
    pub(crate) const fn is_by_terminal(self, signo: Signo) -> bool {
        self.by_terminal.contains(signo)
    }

    /// Whether it ends the process at once when nobody has said what it does.
    pub(crate) const fn is_fatal(self, signo: Signo) -> bool {
        !self.stops().contains(signo)
            && !self.does_nothing(signo)
            && !self.by_default_core.contains(signo)
    }

    /// Whether each is kept that is sent, be others pending.
    #[inline]
    pub(crate) const fn keeps_each(self, signo: Signo) -> bool {
        let [first, last] = self.kept_each;
        signo.number() >= first && signo.number() <= last
    }

    pub(crate) const fn does_nothing(self, signo: Signo) -> bool {
        self.by_default_nothing.contains(signo)
    }
}
