//! What a kernel is told once and for all.

use crate::signal::Signo;
use crate::signal::numbers::Numbers;

/// What happens to a process whose last LWP has gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum WaitPolicy {
    /// It is gone at once; its exit status is forgotten, and waiting for it
    /// ends in `ECHILD`.
    // What the seed does.
    #[default]
    AutoReap,
    /// It stays as a zombie until its parent waits for it. init and proc0 reap
    /// theirs by themselves.
    Wait,
}

/// What follows when a process is sent SIGSTOP or SIGCONT, and their kin.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum JobControl {
    /// What the embedder makes of it: to the kernel they are signals as others, and it
    /// keeps no [dispositions](crate::Disposition).
    #[default]
    Embedder,
    /// The kernel stops and continues the process, and tells its parent.
    ///
    /// Where signals are [recorded](crate::SigModel::Record), SIGSTOP stops a process when it
    /// is sent, and so do SIGTSTP, SIGTTIN and SIGTTOU unless they are caught, ignored,
    /// blocked by all, or the group is orphaned. The LWPs stop at their next entry, at the
    /// end of a sleep, and when they [take](crate::Signals::take) signals, until the process
    /// is continued, ended or killed. SIGCONT continues when it is sent, and discards
    /// pending signals that stop; each of those discards a pending SIGCONT. The parent can
    /// [wait](crate::WaitEvents) for either, and has a SIGCHLD, if it has one
    /// [for the end](crate::Builder::sigchld).
    Kernel,
}

/// What a kernel takes from one system, where systems differ.
///
/// ```
/// use lwproc::{JobControl, Kernel, Rules, SigModel, Signo};
///
/// let kernel = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record).build()?;
/// let mut k = kernel.enter()?;
/// k.rfork(lwproc::Rfork::Fresh)?;
/// // 19 is SIGSTOP here, which cannot be blocked, and is SIGCONT on NetBSD.
/// k.signals().set_blocked(lwproc::SigSet::ALL)?;
/// assert!(!k.signals().blocked().contains(Signo::new(19).unwrap()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rules {
    pub(crate) numbers: Numbers,
    pub(crate) jobs: JobControl,
    /// The differences in which it is as Linux: a bit each.
    as_linux: u32,
}

/// A case in which Linux does otherwise than NetBSD and POSIX.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Difference {
    /// [`Signals::kill`](crate::Signals::kill) of all, where the sender may signal none of
    /// them. Linux: done. NetBSD: EPERM.
    KillOfNobody,
    /// A bad signal number for who is not there. Linux: ESRCH. NetBSD: EINVAL.
    BadSignalForNobody,
    /// [`Groups::setpgid`](crate::Groups::setpgid) of a negative number, to group 0. Linux:
    /// EINVAL. NetBSD: ESRCH.
    NegativeSetpgid,
    /// The same of a child that is a zombie. Linux: done, or refused as for a living one.
    /// NetBSD: ESRCH.
    SetpgidOfZombie,
    /// [`CredChange::SetEuid`](crate::CredChange::SetEuid) to the effective uid, which is
    /// neither real nor saved, and `SetEgid` in the same way. Linux: done. NetBSD: EPERM.
    SeteuidToEffective,
    /// A fork beyond the limit of a user's processes. Linux: done if the real uid or the
    /// effective one is 0. NetBSD: if the effective one is.
    LimitOfTheSuperuser,
    /// What [`Resource::Nproc`](crate::Resource::Nproc) limits. Linux: a user's processes and
    /// further LWPs, so no further LWP is made beyond it, either. NetBSD: processes.
    LimitOfLwps,
    /// SIGCHLD of a child that leaves no zombie, to a parent that
    /// [says so](crate::ChildFlags::NO_WAIT) and does not ignore it. Linux: sent. NetBSD: not,
    /// for such a child is init's. Where [job control](JobControl) is the kernel's.
    SignalWithoutZombie,
    /// SIGCHLD ignored, at an [`exec`](crate::Entered::exec). Linux: still. NetBSD: by default
    /// from then on. Where [job control](JobControl) is the kernel's.
    ExecOfIgnoredChildren,
    /// A signal that does nothing, for a process of several LWPs. Linux: kept if the first
    /// one blocks it. NetBSD: if all do. Where [job control](JobControl) is the kernel's.
    MaskOfTheFirst,
    /// An [exec](crate::Entered::exec) by a further LWP. Linux: it takes the process's number,
    /// and its own is free. NetBSD: it keeps its own.
    ExecOfFurtherLwp,
    /// The number of a further LWP where a process is meant. Linux: a
    /// [kill](crate::Signals::kill), [`pgid_of`](crate::Groups::pgid_of) and
    /// [`sid_of`](crate::Groups::sid_of) reach its process, [`setpgid`](crate::Groups::setpgid)
    /// is EINVAL. NetBSD: ESRCH.
    LwpForProcess,
    /// [`AtTerminal::give_up`](crate::AtTerminal::give_up) by the leader of the session.
    /// Linux: done, and the foreground group gets SIGHUP and SIGCONT. NetBSD: EINVAL.
    LeaderGivesUp,
    /// [`AtTerminal::set_foreground`](crate::AtTerminal::set_foreground) to what is no group
    /// of the session. Linux: done for the number of a process or LWP in it, ESRCH for
    /// nobody's, EPERM for others'. NetBSD: EPERM.
    ForegroundOfNoGroup,
    /// [`AtTerminal::may_change`](crate::AtTerminal::may_change) from an orphaned group.
    /// Linux: EIO, of `set_foreground` ENOTTY. NetBSD: done.
    ChangeByOrphans,
    /// [`AtTerminal::hang_up`](crate::AtTerminal::hang_up). Linux: the session's leader gets
    /// SIGHUP and SIGCONT, and when it ends the group that was in the foreground does.
    /// NetBSD: the leader gets SIGHUP.
    HangUp,
    /// Which LWP is told of a signal for its process, of several that do not block it, and
    /// whose sleep it interrupts. Linux: the first, whose number is the process's, else the
    /// oldest. NetBSD: the newest.
    Receiver,
    /// Whose the [credentials](crate::Creds) are. Linux: each LWP's own. One that an LWP makes,
    /// or forks, begins with its maker's. A signal for an LWP asks for its own; one for a
    /// process for those of the LWP that bears its number, also when that has ended; the
    /// process's user, who is charged for all, is that one's. NetBSD: the process's, and each
    /// LWP takes a change up at its next entry.
    OwnCredentials,
}

impl Difference {
    /// Those of today, and of tomorrow.
    const ALL: u32 = u32::MAX;

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl Rules {
    /// The rump kernel's: NetBSD's numbers, and signals that only the embedder acts on.
    pub const NETBSD: Self =
        Self { numbers: Numbers::NETBSD, jobs: JobControl::Embedder, as_linux: 0 };

    /// Linux's: its numbers, its job control, and each [`Difference`] as there.
    pub const LINUX: Self =
        Self { numbers: Numbers::LINUX, jobs: JobControl::Kernel, as_linux: Difference::ALL };

    /// The same with another job control.
    #[must_use]
    pub const fn job_control(self, jobs: JobControl) -> Self {
        Self { jobs, ..self }
    }

    /// The same, with one case as on Linux.
    #[must_use]
    pub const fn as_linux(self, case: Difference) -> Self {
        Self { as_linux: self.as_linux | case.bit(), ..self }
    }

    /// The same, with one case as on NetBSD.
    #[must_use]
    pub const fn as_netbsd(self, case: Difference) -> Self {
        Self { as_linux: self.as_linux & !case.bit(), ..self }
    }

    /// The name of a signal by these rules' numbers, where it has one.
    ///
    /// ```
    /// use lwproc::{Rules, Signo};
    ///
    /// let signo = Signo::new(17).unwrap();
    /// assert_eq!(Rules::LINUX.name(signo), Some("SIGCHLD"));
    /// assert_eq!(Rules::NETBSD.name(signo), Some("SIGSTOP"));
    /// ```
    pub fn name(self, signo: Signo) -> Option<&'static str> {
        self.numbers.name(signo)
    }

    /// Whether that case is as on Linux.
    #[inline]
    pub(crate) const fn is_linux(self, case: Difference) -> bool {
        self.as_linux & case.bit() != 0
    }
}

impl Default for Rules {
    /// [`Rules::NETBSD`].
    fn default() -> Self {
        Self::NETBSD
    }
}
