//! Signals: which there are, sets of them, and what a kernel does with one.
//!
//! Only the model [`SigModel::Record`] keeps signals. A recorded signal is a bit in
//! the pending set of its process, or of one LWP; an LWP blocks those in its mask.
//! PENDSIG in an LWP's word says that there may be something to take: who posts sets
//! it, after the signal and behind a fence, on each LWP that does not block the
//! signal; the owner clears it, and looks once more afterwards (`ops/post.rs`).

pub(crate) mod dispositions;
pub(crate) mod numbers;
pub mod queue;
mod set;
pub(crate) mod state;

pub use queue::Taken;
pub use set::{SigSet, Signo};

use crate::errno::errors;
use std::fmt;
use std::ops::BitOr;

/// What becomes of a signal that is sent (`RUMP_SIGMODEL_*`).
///
/// ```
/// use lwproc::{Kernel, KillTarget, Rfork, SigModel, Signo};
///
/// let kernel = Kernel::builder().signal_model(SigModel::Record).build()?;
/// let mut k = kernel.enter()?;
/// k.rfork(Rfork::Fresh)?;
/// k.signals().kill(KillTarget::Proc(k.pid()), 15)?;
/// assert!(k.signals().has_pending());
/// assert_eq!(k.signals().take(), Some(Signo::TERM));
/// assert!(!k.signals().has_pending());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SigModel {
    /// It is passed to the host: [`Host::raise`](crate::Host::raise).
    Raise,
    /// Nothing.
    #[default]
    Ignore,
    /// It is a defect of the embedder:
    /// [`Host::unhandled_signal`](crate::Host::unhandled_signal), which panics.
    Panic,
    /// It is kept until an LWP takes it; sleeping LWPs are interrupted. What a signal
    /// does is the embedder's affair, unless the [rules](crate::Rules) say that
    /// [the kernel stops processes](crate::JobControl::Kernel).
    Record,
}

/// What a process does with a signal, as far as the kernel must know it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Disposition {
    /// What the signal does by default. SIGTSTP, SIGTTIN and SIGTTOU stop the process.
    #[default]
    Default,
    /// It is dropped, unless it is blocked. Of SIGCHLD: children that end from then on leave
    /// no zombies, as with [`WaitPolicy::AutoReap`](crate::WaitPolicy::AutoReap).
    Ignore,
    /// An LWP takes it.
    Catch,
}

/// What a process says of its children beside the [`Disposition`] of SIGCHLD: a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChildFlags(u32);

impl ChildFlags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Those that end from then on leave no zombies (`SA_NOCLDWAIT`). SIGCHLD is sent all the
    /// same, by Linux's rules: [`Difference::SignalWithoutZombie`](crate::Difference).
    pub const NO_WAIT: Self = Self(1);
    /// Those that stop or go on are told of to waits only (`SA_NOCLDSTOP`).
    pub const NO_STOP: Self = Self(2);

    /// Whether it has all of those.
    pub const fn has(self, those: Self) -> bool {
        self.0 & those.0 == those.0
    }
}

impl BitOr for ChildFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for ChildFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::NO_WAIT, "NO_WAIT"), (Self::NO_STOP, "NO_STOP")];
        let has = names.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| name);
        f.debug_set().entries(has).finish()
    }
}

errors! {
    /// Why a signal was sent to nobody.
    KillError {
        /// The number is not in 0..=64.
        BadSignal { signo: i32 } => EINVAL, "bad signal {signo}";
        /// No process or LWP is meant by the target.
        NoSuchProcess => ESRCH, "no such process";
        /// The sender may not signal any that is meant.
        NotPermitted => EPERM, "operation not permitted";
        /// The handle is of a process of another kernel.
        WrongKernel => EXDEV, "the process is of another kernel";
    }

    /// Why a signal was not queued.
    QueueError {
        /// The number is not in 0..=64.
        BadSignal { signo: i32 } => EINVAL, "bad signal {signo}";
        /// No process or LWP is meant by the target.
        NoSuchProcess => ESRCH, "no such process";
        /// The sender may not signal it.
        NotPermitted => EPERM, "operation not permitted";
        /// As many are queued for the process as [may be](crate::Builder::max_queued_signals).
        Full => EAGAIN, "too many signals are queued";
    }

    /// Why a disposition was not set.
    DispositionError {
        /// The number is not in 1..=64, or SIGKILL's or SIGSTOP's.
        BadSignal { signo: i32 } => EINVAL, "bad signal {signo}";
        /// The kernel was built with rules by which dispositions are the embedder's affair.
        NotKept => ENOSYS, "the kernel keeps no dispositions";
    }

    /// Why a signal at the parent's end was not asked for.
    DeathSignalError {
        /// The context is implicit: it has no LWP to keep one.
        Implicit => EINVAL, "an implicit context has no parent to end";
    }

    /// Why a mask of signals was not set.
    MaskError {
        /// The context is implicit: it has no LWP to keep a mask.
        Implicit => EINVAL, "an implicit context has no signal mask";
    }
}

impl From<KillError> for QueueError {
    fn from(why: KillError) -> Self {
        match why {
            KillError::BadSignal { signo } => Self::BadSignal { signo },
            KillError::NoSuchProcess => Self::NoSuchProcess,
            KillError::NotPermitted => Self::NotPermitted,
            // Of handles only.
            KillError::WrongKernel => Self::NoSuchProcess,
        }
    }
}
