//! Data of other subsystems, kept with a process or an LWP under a typed key.
//!
//! A key is made for one kernel and one type, and is never deleted. So a value
//! found under it has its type, and a key of another kernel is known as such.

pub(crate) mod lwp;
pub(crate) mod proc;

use crate::errno::errors;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

errors! {
    /// Why data was not set.
    SpecificError {
        /// The key is of another kernel.
        WrongKernel => EXDEV, "the key is of another kernel";
        /// The context is implicit: it has no LWP.
        NoLwp => EINVAL, "the context has no lwp";
    }
}

/// What both kinds of keys are.
struct Key<T> {
    kernel: u64,
    number: u64,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    fn of_kernel(&self, kernel: u64) -> Result<u64, SpecificError> {
        if self.kernel == kernel { Ok(self.number) } else { Err(SpecificError::WrongKernel) }
    }
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<T>(Key<T>);

        impl<T> $name<T> {
            pub(crate) fn new(kernel: u64, number: u64) -> Self {
                Self(Key { kernel, number, value: PhantomData })
            }

            /// Its number in the kernel with that serial.
            pub(crate) fn of_kernel(self, kernel: u64) -> Result<u64, SpecificError> {
                self.0.of_kernel(kernel)
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<T> Copy for $name<T> {}

        impl<T> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                (self.0.kernel, self.0.number) == (other.0.kernel, other.0.number)
            }
        }
        impl<T> Eq for $name<T> {}

        impl<T> Hash for $name<T> {
            fn hash<S: Hasher>(&self, state: &mut S) {
                (self.0.kernel, self.0.number).hash(state);
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}:{})", stringify!($name), self.0.kernel, self.0.number)
            }
        }
    };
}

key! {
    /// Names data of type `T` in each process of one kernel. From
    /// [`Kernel::proc_key`](crate::Kernel::proc_key). `Copy`, never deleted.
    ProcKey
}

key! {
    /// Names data of type `T` in each LWP of one kernel. From
    /// [`Kernel::lwp_key`](crate::Kernel::lwp_key). `Copy`, never deleted.
    LwpKey
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
