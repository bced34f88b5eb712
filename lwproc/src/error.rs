//! One small error type per operation. Each has an [`Errno`].

use crate::errno::{Errno, errors};
use crate::handles::owned::Lwp;
use crate::host::{Host, ThreadHost};
use crate::id::{Lid, Pid};
use std::fmt;

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
    }

    /// Why no LWP was made.
    NewLwpError {
        /// No process has that number, or it has ended.
        NoSuchProcess => ESRCH, "no such process";
        /// The process takes no more LWPs (`PS_RUMP_LWPEXIT`).
        Draining => EBUSY, "the process is draining";
        /// Every id is in use.
        IdsExhausted => EAGAIN, "every id is in use";
        /// The new process's user has as many as it may.
        Limit => EAGAIN, "the user has as many processes as it may";
        /// The kernel has as many processes as it may.
        KernelFull => EAGAIN, "the kernel has as many processes as it may";
        /// The handle is of another kernel.
        WrongKernel => EXDEV, "the process is of another kernel";
    }

    /// Why no process was made.
    ForkError {
        /// Every id is in use.
        IdsExhausted => EAGAIN, "every id is in use";
        /// The user has as many processes as it may.
        Limit => EAGAIN, "the user has as many processes as it may";
        /// The kernel has as many processes as it may.
        KernelFull => EAGAIN, "the kernel has as many processes as it may";
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
        /// A future that waits was not polled in a [scope], or its context was in use.
        ///
        /// [scope]: crate::ProcHandle::wait
        NoContext => EINVAL, "not in a scope";
    }
}

/// Errors in which the LWP comes back that an operation was given: nothing is lost.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident => $errno:ident, $text:literal;)*
    })*) => {$(
        $(#[$doc])*
        #[non_exhaustive]
        pub enum $name<H: Host = ThreadHost> {
            $($(#[$variant_doc])* $variant(Lwp<H>),)*
        }

        impl<H: Host> $name<H> {
            /// The error number a C caller would have got.
            pub fn errno(&self) -> Errno {
                match self {
                    $(Self::$variant(_) => Errno::$errno,)*
                }
            }

            /// The LWP that was refused.
            pub fn into_lwp(self) -> Lwp<H> {
                match self {
                    $(Self::$variant(lwp))|* => lwp,
                }
            }
        }

        impl<H: Host> fmt::Debug for $name<H> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(lwp) => {
                        f.debug_tuple(stringify!($variant)).field(lwp).finish()
                    })*
                }
            }
        }

        impl<H: Host> fmt::Display for $name<H> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(lwp) => {
                        write!(f, "lwp {}:{} {}", lwp.pid(), lwp.lid(), $text)
                    })*
                }
            }
        }

        impl<H: Host> std::error::Error for $name<H> {}
    )*};
}

refusals! {
    /// Why a switch was refused.
    SwitchError {
        /// The LWP is of another kernel.
        WrongKernel => EXDEV, "is of another kernel";
    }

    /// Why an LWP was not parked.
    UnclaimError {
        /// The handle is another LWP's.
        AnotherLwp => EINVAL, "is not that of the handle";
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn errors_name_their_errno() {
        let e = ClaimError::AlreadyRunning { pid: Pid(3), lid: Lid(5) };
        assert_eq!(e.to_string(), "lwp 3:5 is already running");
        assert_eq!(e.errno().to_string(), "EBUSY");
        assert_eq!(NewLwpError::NoSuchProcess.errno(), Errno::ESRCH);
        assert_eq!(ForkError::BadFlags { flags: 3 }.to_string(), "bad rfork flags 0x3");
    }
}
