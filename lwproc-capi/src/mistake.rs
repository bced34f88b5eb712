//! What a caller did wrong: an errno for the calls that return one, a message and
//! SIGABRT for those whose C original panics.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::c_int;
use lwproc::{Errno, Lid, Pid};

/// Why a call was refused.
#[derive(Debug)]
pub(crate) enum Mistake {
    /// The default kernel has not been made, and the thread uses no other.
    NotInitialised,
    /// The kernel is calling the embedder on this thread.
    InCallback,
    /// The thread is ending: its storage has been destroyed.
    Ending,
    /// An in-kernel call, and the thread is outside.
    NotScheduled,
    /// `rump_schedule`, and the thread is inside.
    AlreadyScheduled,
    /// The pointer is not from this library.
    NotAnLwp(usize),
    /// There is no such LWP in this kernel, or no more.
    LwpGone(Lid),
    /// A thread runs as the LWP.
    AlreadyRunning(Pid, Lid),
    /// `switch(NULL)` without an LWP, or with one that is exiting.
    NothingToPark,
    /// The pointer is not from this library, or the process has gone.
    NotAProc(usize),
    /// `rump_i_know_what_i_am_doing_with_sysents` is 0.
    NativeSysents,
    /// An argument makes no sense.
    Argument(&'static str),
    /// There are no more of what the table has room for.
    Full(&'static str),
    /// The kernel is in use.
    KernelInUse,
    /// The kernel said no.
    Refused(c_int, String),
}

impl Mistake {
    fn errno(&self) -> c_int {
        match self {
            Self::InCallback | Self::Ending | Self::AlreadyScheduled => libc::EDEADLK,
            Self::NotInitialised
            | Self::NotScheduled
            | Self::NotAnLwp(_)
            | Self::NotAProc(_)
            | Self::NothingToPark
            | Self::Argument(_) => libc::EINVAL,
            Self::LwpGone(_) => libc::ESRCH,
            Self::AlreadyRunning(..) | Self::KernelInUse => libc::EBUSY,
            Self::NativeSysents => libc::EPERM,
            Self::Full(_) => libc::EAGAIN,
            Self::Refused(errno, _) => *errno,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialised => f.write_str("no kernel: rump_init has not been called"),
            Self::InCallback => f.write_str("called from a callback of the kernel"),
            Self::Ending => f.write_str("called by an ending thread"),
            Self::NotScheduled => f.write_str("called outside rump_schedule"),
            Self::AlreadyScheduled => f.write_str("the thread is scheduled already"),
            Self::NotAnLwp(ptr) => write!(f, "{ptr:#x} is not an lwp"),
            Self::LwpGone(lid) => write!(f, "lwp {lid} has gone, or is of another kernel"),
            Self::AlreadyRunning(pid, lid) => write!(f, "lwp {pid}:{lid} already running"),
            Self::NothingToPark => f.write_str("switch to NULL without an lwp that lives on"),
            Self::NotAProc(ptr) => write!(f, "{ptr:#x} is not a process that lives"),
            Self::NativeSysents => f.write_str(
                "don't use sysent_usenative: rump_i_know_what_i_am_doing_with_sysents is 0",
            ),
            Self::Argument(why) => f.write_str(why),
            Self::Full(what) => write!(f, "too many {what}"),
            Self::KernelInUse => f.write_str("a thread uses the kernel"),
            Self::Refused(_, why) => f.write_str(why),
        }
    }
}

/// A mistake, and as which LWP the caller ran.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) mistake: Mistake,
    pub(crate) by: Option<(Pid, Option<Lid>)>,
}

impl<M: Into<Mistake>> From<M> for Refusal {
    fn from(mistake: M) -> Self {
        Self { mistake: mistake.into(), by: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mistake.fmt(f)?;
        match self.by {
            Some((pid, Some(lid))) => write!(f, " (by lwp {pid}:{lid})"),
            Some((pid, None)) => write!(f, " (by an implicit thread of process {pid})"),
            None => Ok(()),
        }
    }
}

macro_rules! refused {
    ($($error:ty),+) => { $(
        impl From<$error> for Mistake {
            fn from(why: $error) -> Self {
                Self::Refused(errno_of(why.errno()), why.to_string())
            }
        }
    )+ };
}

refused!(
    lwproc::AloneError,
    lwproc::BigLockError,
    lwproc::BuildError,
    lwproc::CredError,
    lwproc::DeathSignalError,
    lwproc::DispositionError,
    lwproc::EmulError,
    lwproc::EndError,
    lwproc::EnterError,
    lwproc::ExecError,
    lwproc::FdError,
    lwproc::ForkError,
    lwproc::GroupError,
    lwproc::HoldError,
    lwproc::HookError,
    lwproc::Interrupted,
    lwproc::KillError,
    lwproc::LimitError,
    lwproc::MaskError,
    lwproc::NewLwpError,
    lwproc::NumberingError,
    lwproc::QueueError,
    lwproc::ReleError,
    lwproc::ReleaseError,
    lwproc::SpawnError,
    lwproc::SpecificError,
    lwproc::TerminalError,
    lwproc::UnshareError,
    lwproc::WaitError
);

/// The system's number of an errno.
fn errno_of(errno: Errno) -> c_int {
    match errno {
        Errno::EACCES => libc::EACCES,
        Errno::EAGAIN => libc::EAGAIN,
        Errno::EBADF => libc::EBADF,
        Errno::EBUSY => libc::EBUSY,
        Errno::ECHILD => libc::ECHILD,
        Errno::EDEADLK => libc::EDEADLK,
        Errno::EINTR => libc::EINTR,
        Errno::EINVAL => libc::EINVAL,
        Errno::EIO => libc::EIO,
        Errno::EMFILE => libc::EMFILE,
        Errno::ENOENT => libc::ENOENT,
        Errno::ENOSYS => libc::ENOSYS,
        Errno::ENOTTY => libc::ENOTTY,
        Errno::EOPNOTSUPP => libc::EOPNOTSUPP,
        Errno::EOVERFLOW => libc::EOVERFLOW,
        Errno::EPERM => libc::EPERM,
        Errno::ESRCH => libc::ESRCH,
        Errno::ETIMEDOUT => libc::ETIMEDOUT,
        Errno::EXDEV => libc::EXDEV,
        _ => libc::EINVAL,
    }
}

/// Says what was wrong, and aborts.
fn give_up(function: &str, why: &dyn fmt::Display) -> ! {
    eprintln!("lwproc: {function}: {why}");
    std::process::abort()
}

/// No panic crosses into C: the process ends there.
fn contain<T>(function: &str, call: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result,
        // The hook has said why.
        Err(_) => give_up(function, &"panic"),
    }
}

/// Runs a call that answers with an errno, 0 for success.
pub(crate) fn errno(function: &str, call: impl FnOnce() -> Result<(), Refusal>) -> c_int {
    match contain(function, call) {
        Ok(()) => 0,
        Err(why) => why.mistake.errno(),
    }
}

/// Runs a call in which a mistake of the caller's is the end.
pub(crate) fn must<T>(function: &str, call: impl FnOnce() -> Result<T, Refusal>) -> T {
    contain(function, call).unwrap_or_else(|why| give_up(function, &why))
}
