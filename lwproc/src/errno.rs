//! Symbolic error numbers.

use std::fmt;

/// The error number that a C caller of the operation would have got. Symbolic,
/// because the values differ between systems (`EAGAIN` is 35 on NetBSD, 11 on
/// Linux).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Errno {
    EACCES,
    EAGAIN,
    EBADF,
    EBUSY,
    ECHILD,
    EDEADLK,
    EINTR,
    EINVAL,
    EMFILE,
    ENOENT,
    EOVERFLOW,
    EPERM,
    ESRCH,
    ETIMEDOUT,
    EXDEV,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Makes error enums: each variant with its errno and its text.
macro_rules! errors {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $( $(#[$vdoc:meta])* $variant:ident $({ $($field:ident : $ty:ty),+ })? => $errno:ident, $text:literal; )+
        }
    )+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$vdoc])* $variant $({ $(#[allow(missing_docs)] $field: $ty),+ })? , )+
        }

        impl $name {
            /// The error number a C caller would have got.
            pub fn errno(&self) -> $crate::Errno {
                match self {
                    $( Self::$variant $({ $($field: _),+ })? => $crate::Errno::$errno, )+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $( Self::$variant $({ $($field),+ })? => write!(f, $text $( $(, $field = $field)+ )?), )+
                }
            }
        }

        impl std::error::Error for $name {}
    )+ };
}

pub(crate) use errors;
