//! A pid namespace for one sequence: its init, and /proc as seen in it.
//!
//! In a namespace of its own each sequence has the same numbers, a signal to all reaches
//! nobody else, and with init all end. A process in between leads a session, so that group
//! and session 0, init's, have no member outside: it is gone before the sequence begins.
#![allow(unsafe_code)]

use super::memory::{IMAGE_FD, LAST_FD, MEMORY_FD, Memory, TERMINAL_FD};
use super::system;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

/// The hard limit of a user's processes. (Who may raise one is a matter of more than ids.)
pub const MOST_PROCESSES: u64 = 1_000;

/// The end of a sequence's numbers, where each namespace has its own (Linux 6.14): a little
/// above those that are given in the first round only.
const PID_MAX: &[u8] = b"312";

/// init's slot.
pub(super) const INIT: usize = 1;

/// The words of the first slot.
const PID: usize = 0;
const STAGE: usize = 1;
const ERROR: usize = 2;
const MOST: usize = 3;

/// Why there can be no sequence here.
#[derive(Debug)]
pub struct Unavailable {
    what: &'static str,
    why: io::Error,
}

impl Unavailable {
    pub(super) fn new(what: &'static str, why: io::Error) -> Self {
        Self { what, why }
    }

    pub(super) fn last(what: &'static str) -> Self {
        Self::new(what, io::Error::last_os_error())
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for Unavailable {}

/// Whose rights a sequence begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rights {
    /// The superuser's: all ids can be had.
    Superuser,
    /// A user's, who is the only one in a user namespace: ids cannot change.
    OneUser,
}

impl Rights {
    /// What this process can offer.
    pub fn here() -> Self {
        if system::own_ids()[0] == 0 { Self::Superuser } else { Self::OneUser }
    }
}

/// A running namespace; with this value all in it end.
#[derive(Debug)]
pub(super) struct Namespace {
    init: libc::pid_t,
    /// Its `/proc`.
    pub(super) proc: File,
    /// Itself.
    pub(super) own: File,
    /// Its `pid_max`.
    pub(super) pid_max: usize,
    /// The other end of its terminal.
    _master: OwnedFd,
}

/// What init does before it is an actor. Each step may fail.
const STAGES: [&str; 7] = [
    "a pid namespace",
    "the ids of a user namespace",
    "mounts of its own",
    "/proc in a pid namespace",
    "the actor's descriptors",
    "the actor's exec",
    "the numbers of a pid namespace",
];

/// What is prepared before the fork, after which nothing allocates.
struct Plan<'a> {
    memory: &'a Memory,
    image: RawFd,
    terminal: RawFd,
    flags: i32,
    /// Whether namespaces have a `pid_max` of their own.
    has_own_most: bool,
    maps: Option<[Vec<u8>; 2]>,
}

impl Namespace {
    pub(super) fn new(memory: &Memory, image: RawFd, rights: Rights) -> Result<Self, Unavailable> {
        for slot in [0, INIT] {
            memory.clear(slot);
        }
        memory.ask_to_start(INIT);
        let [master, terminal] = system::terminal()?;
        let plan = Plan {
            memory,
            image,
            has_own_most: system::version() >= [6, 14],
            terminal: terminal.as_raw_fd(),
            flags: libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_PARENT | libc::SIGCHLD,
            maps: None,
        };
        let plan = match rights {
            Rights::Superuser => plan,
            Rights::OneUser => {
                let maps = system::own_ids().map(|id| format!("0 {id} 1").into_bytes());
                Plan { flags: plan.flags | libc::CLONE_NEWUSER, maps: Some(maps), ..plan }
            }
        };
        // SAFETY: the child makes system calls alone.
        let between = unsafe { libc::fork() };
        match between {
            -1 => return Err(Unavailable::last("a fork")),
            0 => plan.between(),
            _ => {}
        }
        reap(between);
        let init = memory.shared(PID).load(Acquire) as libc::pid_t;
        if init <= 0 {
            return Err(plan.failure());
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while !memory.is_idle(INIT) {
            memory.wait(INIT);
            if has_ended(init) {
                return Err(plan.failure());
            }
            if Instant::now() > deadline {
                end(init);
                return Err(Unavailable::new("init", io::ErrorKind::TimedOut.into()));
            }
        }
        let open = |name| File::open(Path::new("/proc").join(init.to_string()).join(name));
        match (open("root/proc"), open("ns/pid")) {
            (Ok(proc), Ok(own)) => {
                let pid_max = memory.shared(MOST).load(Acquire) as usize;
                Ok(Self { init, proc, own, pid_max, _master: master })
            }
            (Err(why), _) | (_, Err(why)) => {
                end(init);
                Err(Unavailable::new("/proc of a pid namespace", why))
            }
        }
    }
}

impl Plan<'_> {
    fn failure(&self) -> Unavailable {
        let [stage, errno] = [STAGE, ERROR].map(|word| self.memory.shared(word).load(Acquire));
        let what = STAGES.get(stage as usize).copied().unwrap_or("init");
        Unavailable::new(what, io::Error::from_raw_os_error(errno as i32))
    }

    /// Says what went wrong, and ends.
    fn fail(&self, stage: usize) -> ! {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        self.memory.shared(ERROR).store(errno as u64, Release);
        self.memory.shared(STAGE).store(stage as u64, Release);
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(1) }
    }

    /// The process between driver and init, which is the driver's child.
    fn between(&self) -> ! {
        // SAFETY: no arguments.
        unsafe { libc::setsid() };
        // SAFETY: as a fork: no memory is shared, and no stack given.
        let init = unsafe { libc::syscall(libc::SYS_clone, self.flags, 0, 0, 0, 0) };
        match init {
            0 => self.init(),
            1.. => self.memory.shared(PID).store(init as u64, Release),
            _ => self.fail(0),
        }
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(0) }
    }

    fn check(&self, stage: usize, result: i32) {
        if result == -1 {
            self.fail(stage);
        }
    }

    fn init(&self) -> ! {
        // SAFETY: it is to end with the driver.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if let Some([uids, gids]) = &self.maps {
            self.write(c"/proc/self/setgroups", b"deny");
            self.write(c"/proc/self/uid_map", uids);
            self.write(c"/proc/self/gid_map", gids);
        } else {
            // SAFETY: an empty list.
            self.check(1, unsafe { libc::setgroups(0, null()) });
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        // SAFETY: constant strings; nothing else is read.
        let made = unsafe { libc::mount(null(), c"/".as_ptr(), null(), private, null()) };
        self.check(2, made);
        let [name, at] = [c"proc", c"/proc"];
        // SAFETY: constant strings.
        let made = unsafe { libc::mount(name.as_ptr(), at.as_ptr(), name.as_ptr(), 0, null()) };
        self.check(3, made);
        self.ordinary_signals();
        // No cores; and no more processes than the system lets anybody have.
        for (what, most) in [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_NPROC, MOST_PROCESSES)] {
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            // SAFETY: a limit that is there.
            unsafe { libc::setrlimit(what, &limit) };
        }
        let last = self.numbers();
        let fds = [
            (self.memory.fd(), MEMORY_FD),
            (self.image, IMAGE_FD),
            (last, LAST_FD),
            (self.terminal, TERMINAL_FD),
        ];
        for (from, to) in fds {
            // SAFETY: a descriptor of ours; what was `to` in this process is nobody's.
            self.check(4, unsafe { libc::dup2(from, to) });
        }
        let (below, above) = ([0, IMAGE_FD as u32 - 1], [TERMINAL_FD as u32 + 1, u32::MAX]);
        for [first, last] in [below, above] {
            // SAFETY: nothing of this process needs them.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        let name = [INIT as u8, 0];
        let argv = [name.as_ptr(), null()];
        let envp = [null::<u8>()];
        let how = libc::AT_EMPTY_PATH;
        let (argv, envp, path) = (argv.as_ptr(), envp.as_ptr(), c"".as_ptr());
        // SAFETY: all ends with null, and is there.
        unsafe { libc::syscall(libc::SYS_execveat, IMAGE_FD, path, argv, envp, how) };
        self.fail(5)
    }

    /// Blocks nothing, and leaves every signal to the system, but for SIGCHLD: init's
    /// children leave no zombies.
    fn ordinary_signals(&self) {
        for signo in 1..=64 {
            let what = if signo == libc::SIGCHLD { libc::SIG_IGN } else { libc::SIG_DFL };
            // Handler, flags, restorer, mask. By itself, for the C library refuses its own two,
            // which a program that it spawns ignores.
            let action = [what as u64, 0, 0, 0];
            // SAFETY: no handler; an action as the system has it.
            unsafe {
                libc::syscall(libc::SYS_rt_sigaction, signo, &action, null_mut::<u64>(), 8);
            }
        }
        let none = 0_u64;
        // SAFETY: a set of eight bytes.
        unsafe {
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &none, null_mut::<u64>(), 8)
        };
    }

    fn open(&self, stage: usize, path: &std::ffi::CStr, how: i32) -> RawFd {
        // SAFETY: a path that ends with null.
        let file = unsafe { libc::open(path.as_ptr(), how) };
        self.check(stage, file);
        file
    }

    /// Sets the end of the numbers if it is the namespace's own, and says what it is; the
    /// descriptor by which the last one can be set.
    fn numbers(&self) -> RawFd {
        let how = if self.has_own_most { libc::O_RDWR } else { libc::O_RDONLY };
        let file = self.open(6, c"/proc/sys/kernel/pid_max", how);
        if self.has_own_most {
            // Where there are many processors the system wants more: then it has more.
            // SAFETY: bytes that are there.
            unsafe { libc::pwrite(file, PID_MAX.as_ptr().cast(), PID_MAX.len(), 0) };
        }
        let mut text = [0_u8; 16];
        // SAFETY: room that is there.
        let len = unsafe { libc::pread(file, text.as_mut_ptr().cast(), text.len(), 0) };
        self.check(6, len as i32);
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
        let most = digits.fold(0, |most, digit| most * 10 + u64::from(digit - b'0'));
        self.memory.shared(MOST).store(most, Release);
        self.open(6, c"/proc/sys/kernel/ns_last_pid", libc::O_WRONLY)
    }

    fn write(&self, path: &std::ffi::CStr, what: &[u8]) {
        let file = self.open(1, path, libc::O_WRONLY);
        // SAFETY: bytes that are there.
        let written = unsafe { libc::write(file, what.as_ptr().cast(), what.len()) };
        self.check(1, written as i32);
        // SAFETY: opened here.
        unsafe { libc::close(file) };
    }
}

fn reap(child: libc::pid_t) {
    // SAFETY: a child of ours that nobody else waits for.
    while unsafe { libc::waitpid(child, null_mut(), 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

fn has_ended(child: libc::pid_t) -> bool {
    // SAFETY: as above.
    unsafe { libc::waitpid(child, null_mut(), libc::WNOHANG) == child }
}

/// Ends init, and with it all others of its namespace.
fn end(init: libc::pid_t) {
    // SAFETY: a child that has not been waited for.
    unsafe { libc::kill(init, libc::SIGKILL) };
    reap(init);
}

impl Drop for Namespace {
    fn drop(&mut self) {
        end(self.init);
    }
}
