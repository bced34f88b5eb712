//! Symbolic error numbers.

use std::fmt;

/// The error number that a C caller of the operation would have got. Symbolic,
/// because the values differ between systems (`EAGAIN` is 35 on NetBSD, 11 on
/// Linux).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Errno {
    EAGAIN,
    EBUSY,
    ECHILD,
    EDEADLK,
    EINVAL,
    EOVERFLOW,
    EPERM,
    ESRCH,
    EXDEV,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
