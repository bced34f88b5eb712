//! Errors in which the LWP comes back that an operation was given: nothing is lost.

use crate::errno::Errno;
use crate::host::{Host, ThreadHost};
use crate::ops::owned::Lwp;
use std::fmt;

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

        /// The LWP that was refused is dropped, and so released: `into_lwp` keeps it.
        impl<H: Host> From<$name<H>> for Errno {
            fn from(why: $name<H>) -> Self {
                why.errno()
            }
        }
    )*};
}

refusals! {
    /// Why a switch was refused.
    SwitchError {
        /// The LWP is of another kernel.
        WrongKernel => EXDEV, "is of another kernel";
    }

    /// Why a thread could not enter as an LWP.
    EnterAsError {
        /// The LWP is of another kernel.
        WrongKernel => EXDEV, "is of another kernel";
        /// The thread has entered this kernel already, and not left.
        AlreadyEntered => EDEADLK, "is refused: this thread has already entered";
        /// Another LWP is bound to the thread, since an entry before.
        HasLwp => EBUSY, "is refused: another is bound to this thread";
    }

    /// Why an LWP was not parked.
    UnclaimError {
        /// The handle is another LWP's.
        AnotherLwp => EINVAL, "is not that of the handle";
    }
}
