//! System calls: what the server asks of a table of them, and NetBSD's.

mod files;
mod ids;
mod process;
mod sysctl;
mod sysctl_proc;

pub(crate) use sysctl_proc::all as all_processes;

use crate::Host;
use crate::frame;
use crate::wire::Memory;
use lwproc::{Entered, Errno};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

/// What a call gives back: two registers.
pub type Values = [i64; 2];

/// What is left of a call when its future is ready: it runs as the process's main LWP.
pub type Then = Box<dyn FnOnce(&mut Entered<'_, Host>) -> Result<Values, Errno> + Send>;

/// How a future of a call ends.
pub enum Done {
    /// The call has been carried out.
    Values(Values),
    /// This is left: for what belongs to the process's main LWP, as its signal mask.
    Then(Then),
}

impl Done {
    /// What is left of a call.
    pub fn then(
        then: impl FnOnce(&mut Entered<'_, Host>) -> Result<Values, Errno> + Send + 'static,
    ) -> Self {
        Self::Then(Box::new(then))
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(values) => write!(f, "Values({values:?})"),
            Self::Then(_) => f.write_str("Then"),
        }
    }
}

/// A call that sleeps.
pub type Later = Pin<Box<dyn Future<Output = Result<Done, Errno>> + Send>>;

/// What a table makes of a call.
pub enum Answer {
    /// It has been carried out.
    Now(Result<Values, Errno>),
    /// It sleeps, or needs the client's memory: the server runs it as an LWP of its own
    /// ([`lwproc::current_of`] finds it). That blocks all signals: the process's main LWP
    /// takes them, and unsleeps it.
    Later(Later),
    /// It is to be answered, and then the server ends.
    Shutdown,
    /// There is no such call: ENOSYS. The server counts it.
    Unknown,
}

impl Answer {
    /// A call that sleeps.
    pub fn later(call: impl Future<Output = Result<Done, Errno>> + Send + 'static) -> Self {
        Self::Later(Box::pin(call))
    }
}

impl<E: Into<Errno>> From<Result<Values, E>> for Answer {
    fn from(result: Result<Values, E>) -> Self {
        Self::Now(result.map_err(Into::into))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => write!(f, "Now({result:?})"),
            Self::Later(_) => f.write_str("Later"),
            Self::Shutdown => f.write_str("Shutdown"),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

/// The client has sent fewer arguments than the call has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// A system call as it came.
#[derive(Debug)]
pub struct Call<'a> {
    number: u32,
    arguments: &'a [u8],
    memory: &'a Memory,
}

impl<'a> Call<'a> {
    pub(crate) fn new(number: u32, arguments: &'a [u8], memory: &'a Memory) -> Self {
        Self { number, arguments, memory }
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The memory of the client that calls.
    pub fn memory(&self) -> &'a Memory {
        self.memory
    }

    /// An argument of 8 bytes: an address or a length. Arguments are counted from 0, and
    /// each has 8 bytes.
    ///
    /// # Errors
    /// [`Malformed`]: there are fewer.
    pub fn long(&self, n: usize) -> Result<u64, Malformed> {
        n.checked_mul(8).and_then(|at| frame::u64_at(self.arguments, at)).ok_or(Malformed)
    }

    /// An argument of 4 bytes, which lie where a C structure has them.
    ///
    /// # Errors
    /// As [`Call::long`].
    pub fn int(&self, n: usize) -> Result<i32, Malformed> {
        let at = n.checked_mul(8).ok_or(Malformed)?;
        frame::u32_at(self.arguments, at).map(u32::cast_signed).ok_or(Malformed)
    }

    /// An argument that is a length, or a count.
    ///
    /// # Errors
    /// As [`Call::long`].
    pub fn len(&self, n: usize) -> Result<usize, Malformed> {
        Ok(usize::try_from(self.long(n)?).unwrap_or(usize::MAX))
    }
}

/// A table of system calls.
///
/// An embedder that has more than [`NetBsd`] looks for its own, and asks that for the rest:
///
/// ```
/// use lwproc::Entered;
/// use lwproc_sysproxy::{Answer, Call, Calls, Host, Malformed, NetBsd};
///
/// struct Mine(NetBsd);
///
/// impl Calls for Mine {
///     fn call(&self, k: &mut Entered<'_, Host>, call: &Call<'_>) -> Result<Answer, Malformed> {
///         match call.number() {
///             600 => Ok(Answer::Now(Ok([i64::from(call.int(0)?) * 2, 0]))),
///             _ => self.0.call(k, call),
///         }
///     }
/// }
/// ```
pub trait Calls: Send + Sync + 'static {
    /// Carries a call out, or says how it is done. `k` runs as the main LWP of the process
    /// that calls, in the task of its connection: this must not block. A process that
    /// [exits](Entered::exit_group) here is answered, and its connection ended.
    ///
    /// # Errors
    /// [`Malformed`]: the client is answered error 7.
    fn call(&self, k: &mut Entered<'_, Host>, call: &Call<'_>) -> Result<Answer, Malformed>;
}

/// NetBSD's calls, numbers and structures, as far as the library can answer them.
///
/// Source of the numbers and arguments: NetBSD's `sys/kern/syscalls.master`.
#[derive(Debug)]
pub struct NetBsd {
    hostname: Arc<Mutex<String>>,
    /// Its count is that of all pipes, and one more.
    pipes: Arc<()>,
}

impl NetBsd {
    /// The table, of a machine of that name (`kern.hostname`).
    pub fn new(hostname: &str) -> Self {
        Self { hostname: Arc::new(Mutex::new(hostname.to_owned())), pipes: Arc::default() }
    }
}

impl Default for NetBsd {
    fn default() -> Self {
        Self::new("lwproc")
    }
}

/// Makes the numbers, under their names, and the table.
macro_rules! table {
    ($($name:ident = $number:literal => $body:expr;)+) => {
        /// The numbers of the calls that [`NetBsd`] has (`SYS_*`).
        #[allow(missing_docs)]
        pub mod number {
            $(pub const $name: u32 = $number;)+
        }

        impl Calls for NetBsd {
            fn call(&self, k: &mut Entered<'_, Host>, call: &Call<'_>) -> Result<Answer, Malformed> {
                type Body = fn(&NetBsd, &mut Entered<'_, Host>, &Call<'_>) -> Result<Answer, Malformed>;
                match call.number() {
                    $($number => { let body: Body = $body; body(self, k, call) })+
                    _ => Ok(Answer::Unknown),
                }
            }
        }
    };
}

table! {
    EXIT = 1 => |_, k, c| process::exit(k, c);
    READ = 3 => |_, k, c| files::read(k, c);
    WRITE = 4 => |_, k, c| files::write(k, c);
    OPEN = 5 => |_, _, c| files::open(c);
    CLOSE = 6 => |_, k, c| files::close(k, c);
    GETPID = 20 => |_, k, _| Ok(ids::pair(k.pid().0, k.ppid().0));
    SETUID = 23 => |_, k, c| ids::setuid(k, c);
    GETUID = 24 => |_, k, _| Ok(ids::of(k.cred().users(), |ids| (ids.real, ids.effective)));
    GETEUID = 25 => |_, k, _| Ok(ids::of(k.cred().users(), |ids| (ids.effective, 0)));
    KILL = 37 => |_, k, c| process::kill(k, c);
    GETPPID = 39 => |_, k, _| Ok(ids::pair(k.ppid().0, 0));
    DUP = 41 => |_, k, c| files::dup(k, c);
    PIPE = 42 => |calls, k, _| Ok(files::pipe(calls, k));
    GETEGID = 43 => |_, k, _| Ok(ids::of(k.cred().groups(), |ids| (ids.effective, 0)));
    GETGID = 47 => |_, k, _| Ok(ids::of(k.cred().groups(), |ids| (ids.real, ids.effective)));
    GETGROUPS = 79 => |_, k, c| ids::getgroups(k, c);
    SETGROUPS = 80 => |_, _, c| ids::setgroups(c);
    GETPGRP = 81 => |_, k, _| Ok(ids::pair(k.groups().pgid().0, 0));
    SETPGID = 82 => |_, k, c| ids::setpgid(k, c);
    DUP2 = 90 => |_, k, c| files::dup2(k, c);
    FCNTL = 92 => |_, k, c| files::fcntl(k, c);
    SETREUID = 126 => |_, k, c| ids::setreuid(k, c);
    SETREGID = 127 => |_, k, c| ids::setregid(k, c);
    SETSID = 147 => |_, k, _| Ok(k.groups().setsid().map(|sid| [sid.0.into(), 0]).into());
    SETGID = 181 => |_, k, c| ids::setgid(k, c);
    SETEGID = 182 => |_, k, c| ids::setegid(k, c);
    SETEUID = 183 => |_, k, c| ids::seteuid(k, c);
    GETRLIMIT = 194 => |_, k, c| process::getrlimit(k, c);
    SETRLIMIT = 195 => |_, _, c| process::setrlimit(c);
    SYSCTL = 202 => |calls, _, c| sysctl::sysctl(calls, c);
    GETPGID = 207 => |_, k, c| ids::getpgid(k, c);
    REBOOT = 208 => |_, k, _| Ok(process::reboot(k));
    GETSID = 286 => |_, k, c| ids::getsid(k, c);
    SIGPENDING = 292 => |_, k, c| process::sigpending(k, c);
    SIGPROCMASK = 293 => |_, k, c| process::sigprocmask(k, c);
    ISSETUGID = 305 => |_, _, _| Ok(ids::pair(0, 0));
    GETRUSAGE = 445 => |_, k, c| process::getrusage(k, c);
    WAIT4 = 449 => |_, k, c| process::wait4(k, c);
    PIPE2 = 453 => |calls, k, c| files::pipe2(calls, k, c);
    DUP3 = 454 => |_, k, c| files::dup3(k, c);
}
