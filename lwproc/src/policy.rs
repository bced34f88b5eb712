//! What a kernel is told once and for all.

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
}

impl Rules {
    /// The rump kernel's: NetBSD's numbers, and signals that only the embedder acts on.
    pub const NETBSD: Self = Self { numbers: Numbers::NETBSD, jobs: JobControl::Embedder };

    /// Linux's: its numbers, and its job control.
    pub const LINUX: Self = Self { numbers: Numbers::LINUX, jobs: JobControl::Kernel };

    /// The same with another job control.
    #[must_use]
    pub const fn job_control(self, jobs: JobControl) -> Self {
        Self { jobs, ..self }
    }
}

impl Default for Rules {
    /// [`Rules::NETBSD`].
    fn default() -> Self {
        Self::NETBSD
    }
}
