//! One small error type per operation. Each has an [`Errno`].

use crate::errno::errors;
use crate::id::{Lid, Pid};

errors! {
    /// Why a kernel could not be built.
    BuildError {
        /// The id capacity is 0 or above 2^30 - 1.
        IdCapacity { capacity: usize } => EINVAL, "id capacity {capacity} is not in 1..=1073741823";
        /// More than 65,536 virtual CPUs.
        VirtualCpus { count: usize } => EINVAL, "{count} virtual CPUs are more than 65536";
    }

    /// Why a thread could not enter.
    EnterError {
        /// The thread has entered this kernel already, and not left.
        AlreadyEntered => EDEADLK, "this thread has already entered this kernel";
        /// The deadline has come, and all virtual CPUs are taken.
        TimedOut => ETIMEDOUT, "timed out";
        /// No LWP is bound to the thread, and the kernel forbids implicit contexts.
        NoLwp => ESRCH, "this thread has no lwp";
    }

    /// Why no LWP was made.
    NewLwpError {
        /// No process has that number, or it has ended.
        NoSuchProcess => ESRCH, "no such process";
        /// The process takes no more LWPs (`PS_RUMP_LWPEXIT`).
        Draining => EBUSY, "the process is draining";
        /// Every id is in use.
        IdsExhausted => EAGAIN, "every id is in use";
        /// The user has as many LWPs as it may.
        Limit => EAGAIN, "the user has as many LWPs as it may";
        /// The process has as many LWPs as it may.
        ProcessFull => EAGAIN, "the process has as many LWPs as it may";
        /// The kernel has as many LWPs as it may.
        KernelFull => EAGAIN, "the kernel has as many LWPs as it may";
    }

    /// Why no process was made.
    ForkError {
        /// Every id is in use.
        IdsExhausted => EAGAIN, "every id is in use";
        /// The user has as many processes as it may.
        Limit => EAGAIN, "the user has as many processes as it may";
        /// The kernel has as many processes, or LWPs, as it may.
        KernelFull => EAGAIN, "the kernel has as many processes or LWPs as it may";
        /// The init of the pid namespace has ended, or is ending.
        NamespaceEnded => ENOMEM, "the init of the pid namespace has ended";
        /// The flags are not one of `RUMP_RFFDG`, `RUMP_RFCFDG`, or none.
        BadFlags { flags: i32 } => EINVAL, "bad rfork flags {flags:#x}";
    }

    /// Why the right to run an LWP was not given.
    ClaimError {
        /// Somebody has it.
        AlreadyRunning { pid: Pid, lid: Lid } => EBUSY, "lwp {pid}:{lid} is already running";
        /// The LWP is gone.
        Exiting => ESRCH, "the lwp is gone";
    }

    /// Why the current LWP could not be unbound.
    UnbindError {
        /// It is exiting: only a switch or leaving can follow.
        Exiting => EINVAL, "the current lwp is exiting";
        /// Without it the context would be implicit, and must not be.
        NeedsLwp => EBUSY, "the context must have an lwp";
    }

    /// Why the current LWP was not released.
    ReleaseError {
        /// The context is implicit, or the LWP is exiting already
        /// ("releasing non-pertinent lwp").
        NotPertinent => EINVAL, "releasing non-pertinent lwp";
        /// It has holds beside its base reference.
        Held { holds: u32 } => EBUSY, "the lwp is held {holds} times";
    }

    /// Why a hold was not added.
    HoldError {
        /// The implicit context needs an LWP of init, and every id is in use.
        IdsExhausted => EAGAIN, "every id is in use";
        /// The same, and init's user has as many LWPs as it may.
        Limit => EAGAIN, "init's user has as many LWPs as it may";
        /// The same, and the kernel has as many LWPs as it may.
        KernelFull => EAGAIN, "the kernel has as many LWPs as it may";
        /// The implicit context needs an LWP of init, and init is draining.
        Draining => EBUSY, "init is draining";
        /// The count of references, 24 bits, is full.
        Overflow => EOVERFLOW, "too many holds";
    }

    /// Why a hold was not dropped.
    ReleError {
        /// There is none: the context is implicit, or the count is zero.
        NotHeld => EINVAL, "the lwp is not held";
    }

    /// Why credentials were not changed.
    CredError {
        /// Neither privileged, nor to an id it has.
        NotPermitted => EPERM, "operation not permitted";
        /// -1, which is no id.
        InvalidId => EINVAL, "not an id";
        /// More than 65,536 supplementary groups.
        TooManyGroups => EINVAL, "too many groups";
    }

    /// Why there is nothing to wait for.
    WaitError {
        /// No child matches.
        NoChild => ECHILD, "no child to wait for";
        /// The wait was interrupted: an unblocked signal is pending, the LWP is to
        /// exit, or somebody ended its sleep.
        Interrupted => EINTR, "interrupted";
        /// The deadline has come, and no child has ended.
        TimedOut => ETIMEDOUT, "timed out";
        /// A future that waits was not polled in a [scope] or a [loan], or its context
        /// was in use.
        ///
        /// [scope]: crate::ProcHandle::wait
        /// [loan]: crate::Entered::lend
        NoContext => EINVAL, "not in a scope";
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;
    use crate::errno::Errno;

    #[test]
    fn errors_name_their_errno() {
        let e = ClaimError::AlreadyRunning { pid: Pid(3), lid: Lid(5) };
        assert_eq!(e.to_string(), "lwp 3:5 is already running");
        assert_eq!(e.errno().to_string(), "EBUSY");
        assert_eq!(NewLwpError::NoSuchProcess.errno(), Errno::ESRCH);
        assert_eq!(ForkError::BadFlags { flags: 3 }.to_string(), "bad rfork flags 0x3");
    }
}
