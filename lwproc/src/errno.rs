//! Symbolic error numbers.

use std::fmt;

/// Whose numbers an [`Errno`] is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Abi {
    /// Linux's `asm-generic/errno-base.h` and `asm-generic/errno.h`: the numbers of
    /// x86, ARM, RISC-V and most others. Alpha, MIPS, PA-RISC, PowerPC and SPARC have some
    /// numbers of their own, which are not here.
    Linux,
    /// NetBSD's `sys/errno.h`, on every machine.
    NetBsd,
}

/// Makes [`Errno`] and its numbers: name, Linux's, NetBSD's.
macro_rules! errnos {
    ($($name:ident = $linux:literal, $netbsd:literal;)+) => {
        /// The error number that a C caller of the operation would have got. Symbolic,
        /// because the values differ between systems: see [`Errno::number`].
        ///
        /// It has POSIX's list, which is more than this library answers by itself: an
        /// embedder's system calls answer the rest. Each error of the library turns into
        /// it by `?`.
        ///
        /// ```
        /// use lwproc::{Abi, Errno, Kernel, Rfork, WaitTarget};
        ///
        /// fn sys_wait(k: &mut lwproc::Entered<'_>) -> Result<i32, Errno> {
        ///     let reaped = k.try_wait(WaitTarget::Any)?;
        ///     Ok(reaped.map_or(0, |child| child.pid.0))
        /// }
        ///
        /// let kernel = Kernel::new();
        /// let mut k = kernel.enter()?;
        /// k.rfork(Rfork::Fresh)?;
        /// let no_child = sys_wait(&mut k).unwrap_err();
        /// assert_eq!((no_child, no_child.number(Abi::Linux)), (Errno::ECHILD, 10));
        /// assert_eq!(Errno::EAGAIN.number(Abi::Linux), 11);
        /// assert_eq!(Errno::EAGAIN.number(Abi::NetBsd), 35);
        /// assert_eq!(Errno::from_number(Abi::NetBsd, 11), Some(Errno::EDEADLK));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        #[allow(missing_docs)]
        pub enum Errno { $($name,)+ }

        impl Errno {
            /// All of them.
            pub const ALL: &'static [Errno] = &[$(Errno::$name,)+];

            /// The value that `errno` has for it on a system.
            pub const fn number(self, abi: Abi) -> i32 {
                match abi {
                    Abi::Linux => match self { $(Self::$name => $linux,)+ },
                    Abi::NetBsd => match self { $(Self::$name => $netbsd,)+ },
                }
            }
        }
    };
}

errnos! {
    E2BIG = 7, 7;
    EACCES = 13, 13;
    EADDRINUSE = 98, 48;
    EADDRNOTAVAIL = 99, 49;
    EAFNOSUPPORT = 97, 47;
    EAGAIN = 11, 35;
    EALREADY = 114, 37;
    EBADF = 9, 9;
    EBADMSG = 74, 88;
    EBUSY = 16, 16;
    ECANCELED = 125, 87;
    ECHILD = 10, 10;
    ECONNABORTED = 103, 53;
    ECONNREFUSED = 111, 61;
    ECONNRESET = 104, 54;
    EDEADLK = 35, 11;
    EDESTADDRREQ = 89, 39;
    EDOM = 33, 33;
    EDQUOT = 122, 69;
    EEXIST = 17, 17;
    EFAULT = 14, 14;
    EFBIG = 27, 27;
    EHOSTUNREACH = 113, 65;
    EIDRM = 43, 82;
    EILSEQ = 84, 85;
    EINPROGRESS = 115, 36;
    EINTR = 4, 4;
    EINVAL = 22, 22;
    EIO = 5, 5;
    EISCONN = 106, 56;
    EISDIR = 21, 21;
    ELOOP = 40, 62;
    EMFILE = 24, 24;
    EMLINK = 31, 31;
    EMSGSIZE = 90, 40;
    EMULTIHOP = 72, 94;
    ENAMETOOLONG = 36, 63;
    ENETDOWN = 100, 50;
    ENETRESET = 102, 52;
    ENETUNREACH = 101, 51;
    ENFILE = 23, 23;
    ENOBUFS = 105, 55;
    ENODATA = 61, 89;
    ENODEV = 19, 19;
    ENOENT = 2, 2;
    ENOEXEC = 8, 8;
    ENOLCK = 37, 77;
    ENOLINK = 67, 95;
    ENOMEM = 12, 12;
    ENOMSG = 42, 83;
    ENOPROTOOPT = 92, 42;
    ENOSPC = 28, 28;
    ENOSR = 63, 90;
    ENOSTR = 60, 91;
    ENOSYS = 38, 78;
    ENOTBLK = 15, 15;
    ENOTCONN = 107, 57;
    ENOTDIR = 20, 20;
    ENOTEMPTY = 39, 66;
    ENOTRECOVERABLE = 131, 98;
    ENOTSOCK = 88, 38;
    ENOTTY = 25, 25;
    ENXIO = 6, 6;
    EOPNOTSUPP = 95, 45;
    EOVERFLOW = 75, 84;
    EOWNERDEAD = 130, 97;
    EPERM = 1, 1;
    EPIPE = 32, 32;
    EPROTO = 71, 96;
    EPROTONOSUPPORT = 93, 43;
    EPROTOTYPE = 91, 41;
    ERANGE = 34, 34;
    EROFS = 30, 30;
    ESPIPE = 29, 29;
    ESRCH = 3, 3;
    ESTALE = 116, 70;
    ETIME = 62, 92;
    ETIMEDOUT = 110, 60;
    ETXTBSY = 26, 26;
    EUSERS = 87, 68;
    EXDEV = 18, 18;
    ENOTSUP = 95, 86;
}

impl Errno {
    /// `EWOULDBLOCK`, which has the number of `EAGAIN` on both systems.
    pub const EWOULDBLOCK: Self = Self::EAGAIN;

    /// The error of that number on a system; `None` for a number that means none of
    /// them. Linux has one number for `EOPNOTSUPP` and `ENOTSUP`: it is the first.
    pub fn from_number(abi: Abi, number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|errno| errno.number(abi) == number)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Errno {}

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

        impl From<$name> for $crate::Errno {
            fn from(why: $name) -> Self {
                why.errno()
            }
        }
    )+ };
}

pub(crate) use errors;
