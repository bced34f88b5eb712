//! What the driver itself asks of the system.
#![allow(unsafe_code)]

use super::namespace::Unavailable;
use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A file in memory.
pub(super) fn memfd(name: &CStr) -> Result<OwnedFd, Unavailable> {
    // SAFETY: a string that ends with null.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd == -1 {
        return Err(Unavailable::last("a file in memory"));
    }
    // SAFETY: new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A program that everybody may run, open for reading alone: what can be written to is not
/// run.
pub(super) fn program(elf: &[u8]) -> Result<OwnedFd, Unavailable> {
    let failed = |why| Unavailable::new("the actor's image", why);
    let mut file = File::from(memfd(c"lwproc-oracle-actor")?);
    file.write_all(elf).map_err(failed)?;
    // SAFETY: a descriptor of ours.
    if unsafe { libc::fchmod(file.as_raw_fd(), 0o555) } == -1 {
        return Err(Unavailable::last("the actor's image"));
    }
    let again = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(failed)?;
    Ok(again.into())
}

/// The number that a task of a pid namespace has in ours; `None` before Linux 6.11.
pub(super) fn number_here(namespace: &File, pid: i32) -> Option<i32> {
    // `NS_GET_PID_FROM_PIDNS`.
    const REQUEST: libc::c_ulong = 0x8004_b706;
    // SAFETY: a number; no memory is meant.
    let number = unsafe { libc::ioctl(namespace.as_raw_fd(), REQUEST as _, pid) };
    (number > 0).then_some(number)
}

/// Whether a number is given to nobody, not even to a task that is about to give it back: who
/// looks for its bearer finds none, but only this asks for the number itself.
pub(super) fn is_free(number: i32, any: &impl AsRawFd) -> bool {
    // SAFETY: a number; no memory is meant.
    let owned = unsafe { libc::fcntl(any.as_raw_fd(), libc::F_SETOWN, number) };
    let why = std::io::Error::last_os_error().raw_os_error();
    owned == -1 && why == Some(libc::ESRCH)
}

/// The version of Linux: its first two numbers.
pub(super) fn version() -> [u32; 2] {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

/// A pseudo-terminal, master and slave: background output stops, and nothing waits for input.
pub(super) fn terminal() -> Result<[OwnedFd; 2], Unavailable> {
    let owned = |fd: i32| {
        if fd == -1 {
            return Err(Unavailable::last("a terminal"));
        }
        // SAFETY: new, and nobody else's.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    // SAFETY: no memory is meant.
    let master =
        owned(unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) })?;
    // SAFETY: a descriptor of ours.
    unsafe { libc::unlockpt(master.as_raw_fd()) };
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: a descriptor of ours; its argument is a number.
    let slave = owned(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    let mut how = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: room for what is written there.
    if unsafe { libc::tcgetattr(slave.as_raw_fd(), how.as_mut_ptr()) } == -1 {
        return Err(Unavailable::last("a terminal"));
    }
    // SAFETY: written above.
    let mut how = unsafe { how.assume_init() };
    how.c_lflag |= libc::TOSTOP;
    // SAFETY: as it was given, with a flag more.
    unsafe { libc::tcsetattr(slave.as_raw_fd(), libc::TCSANOW, &how) };
    Ok([master, slave])
}

/// The effective user and group of this process.
pub(super) fn own_ids() -> [u32; 2] {
    // SAFETY: no arguments, no failure.
    let user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    [user, unsafe { libc::getegid() }]
}

/// Takes the lock of the list of tasks: by a signal to a group that is not there, which
/// sends nothing.
pub(super) fn take_lock_of_tasks() {
    // SAFETY: no memory is meant.
    unsafe { libc::kill(-0x3fff_ffff, 0) };
}
