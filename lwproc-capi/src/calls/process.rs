//! Groups, ends, waiting, draining, exec.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

use libc::{c_int, pid_t};
use lwproc::{ChildKind, Comm, CoreDump, ExitStatus, Pid, Reaped, WaitEvents, WaitTarget};

use super::{store, until, wanted};
use crate::context::{self, Context};
use crate::host::{Deadline, NEVER};
use crate::mistake::{Mistake, Refusal, errno};

/// lwproc_wait: do not block.
pub const LWPROC_WNOHANG: c_int = 1;
/// lwproc_wait: reap nothing; the child is there for the next wait, and for other LWPs'.
pub const LWPROC_WNOWAIT: c_int = 2;
/// lwproc_wait: for a child that has ended.
pub const LWPROC_WEXITED: c_int = 4;
/// lwproc_wait: for one that has stopped, with LWPROC_JOBS_KERNEL; each time is found once.
pub const LWPROC_WSTOPPED: c_int = 8;
/// lwproc_wait: for one that was stopped and goes on, in the same way.
pub const LWPROC_WCONTINUED: c_int = 16;
/// lwproc_wait: for children that were made with LWPROC_FORK_CLONE (__WCLONE).
pub const LWPROC_WCLONE: c_int = 32;
/// lwproc_wait: for these and the others (__WALL).
pub const LWPROC_WALL: c_int = 64;
/// lwproc_wait: for children that the current LWP made; the oldest LWP also has those whose
/// maker has gone, and those that were inherited (__WNOTHREAD).
pub const LWPROC_WNOTHREAD: c_int = 128;

/// setpgid(2): 0 for `pid` is the current process, for `pgid` the pid. EINVAL, ESRCH,
/// EACCES, EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setpgid(pid: pid_t, pgid: pid_t) -> c_int {
    errno("lwproc_setpgid", || {
        context::public(|cx| Ok(cx.k().groups().setpgid(Pid(pid), Pid(pgid))?))
    })
}

/// The process group of a process; 0 is the current one. ESRCH.
///
/// # Safety
/// `pgid` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getpgid(pid: pid_t, pgid: *mut pid_t) -> c_int {
    errno("lwproc_getpgid", || {
        let found = context::public(|cx| Ok(cx.k().groups().pgid_of(Pid(pid))?))?;
        // SAFETY: by contract.
        unsafe { store(pgid, found.0) }
    })
}

/// setsid(2): a new session, whose number goes into `sid` unless that is NULL. EPERM.
///
/// # Safety
/// `sid` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_setsid(sid: *mut pid_t) -> c_int {
    errno("lwproc_setsid", || {
        let new = context::public(|cx| Ok(cx.k().groups().setsid()?))?;
        // SAFETY: by contract.
        if sid.is_null() { Ok(()) } else { unsafe { store(sid, new.0) } }
    })
}

/// The session of a process; 0 is the current one. ESRCH.
///
/// # Safety
/// `sid` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getsid(pid: pid_t, sid: *mut pid_t) -> c_int {
    errno("lwproc_getsid", || {
        let found = context::public(|cx| Ok(cx.k().groups().sid_of(Pid(pid))?))?;
        // SAFETY: by contract.
        unsafe { store(sid, found.0) }
    })
}

/// waitpid(2): `target` is a pid, -1 for any child, 0 for one of the own group, -N for one of
/// group N; `options` are LWPROC_WNOHANG, LWPROC_WNOWAIT, which children (LWPROC_WCLONE,
/// LWPROC_WALL, LWPROC_WNOTHREAD), and what it waits for, LWPROC_WEXITED if nothing is said. The child's pid goes into `pid`, 0 when none is found
/// yet, and how it ended, stopped or went on into `status`, in the traditional encoding;
/// either may be NULL. It blocks the thread. ECHILD, EINTR. Of use with LWPROC_WAIT.
///
/// # Safety
/// `pid` and `status` are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_wait(
    target: pid_t,
    options: c_int,
    pid: *mut pid_t,
    status: *mut c_int,
) -> c_int {
    errno("lwproc_wait", || {
        let child = wait(target, options, NEVER)?;
        // SAFETY: by contract.
        unsafe { store_found(child, pid, status) }
    })
}

/// As lwproc_wait, until the deadline, a time of CLOCK_MONOTONIC; NULL: never. ETIMEDOUT.
/// EINVAL: no time.
///
/// # Safety
/// As lwproc_wait; `deadline` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_wait_until(
    target: pid_t,
    options: c_int,
    pid: *mut pid_t,
    status: *mut c_int,
    deadline: *const libc::timespec,
) -> c_int {
    errno("lwproc_wait_until", || {
        // SAFETY: by contract.
        let child = wait(target, options, unsafe { until(deadline)? })?;
        // SAFETY: by contract.
        unsafe { store_found(child, pid, status) }
    })
}

/// A child that was found, and its status word.
pub(super) type Found = (Pid, c_int);

pub(super) fn found(child: Reaped) -> Found {
    (child.pid, child.as_wait_status())
}

/// Which kind of children is meant, by the options.
pub(super) fn kind(options: c_int) -> ChildKind {
    match (options & LWPROC_WALL, options & LWPROC_WCLONE) {
        (0, 0) => ChildKind::Ordinary,
        (0, _) => ChildKind::Clone,
        _ => ChildKind::Any,
    }
}

/// What is waited for, by the options.
fn events(options: c_int) -> WaitEvents {
    let named = [
        (LWPROC_WEXITED, WaitEvents::EXITED),
        (LWPROC_WSTOPPED, WaitEvents::STOPPED),
        (LWPROC_WCONTINUED, WaitEvents::CONTINUED),
    ];
    let said = named.into_iter().filter(|(option, _)| options & option != 0);
    said.map(|(_, event)| event).reduce(|a, b| a | b).unwrap_or(WaitEvents::EXITED)
}

fn wait(target: pid_t, options: c_int, deadline: Deadline) -> Result<Option<Found>, Refusal> {
    let target = WaitTarget::from_raw(target);
    if options & !(LWPROC_WNOTHREAD * 2 - 1) != 0 {
        return Err(Mistake::Argument("unknown options").into());
    }
    let mut what = target.events(events(options)).kind(kind(options));
    if options & LWPROC_WNOWAIT != 0 {
        what = what.peek();
    }
    if options & LWPROC_WNOTHREAD != 0 {
        what = what.of_this_lwp();
    }
    context::public_until(deadline, |cx| {
        if options & LWPROC_WNOHANG != 0 {
            Ok(cx.k().try_wait(what)?.map(found))
        } else {
            Ok(Some(found(cx.k_mut().until(deadline).wait(what)?)))
        }
    })
}

/// # Safety
/// `pid` and `status` are NULL or may be written.
pub(super) unsafe fn store_found(
    found: Option<Found>,
    pid: *mut pid_t,
    status: *mut c_int,
) -> Result<(), Refusal> {
    if !pid.is_null() {
        // SAFETY: by contract.
        unsafe { store(pid, found.map_or(0, |(pid, _)| pid.0))? };
    }
    if let (false, Some((_, word))) = (status.is_null(), found) {
        // SAFETY: by contract.
        unsafe { store(status, word)? };
    }
    Ok(())
}

/// Releases the current LWP as lwproc_try_releaselwp does, and says how the process ends: by
/// exit(code). EINVAL, EBUSY.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_exit(code: c_int) -> c_int {
    end("lwproc_exit", exited(code), Whom::Lwp)
}

/// The same by a signal, 1 to 126; `core` not 0: it dumped core. EINVAL, EBUSY.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_exit_signal(signo: c_int, core: c_int) -> c_int {
    let core = if core == 0 { CoreDump::None } else { CoreDump::Dumped };
    match u8::try_from(signo) {
        Ok(signo @ 1..=126) => {
            end("lwproc_exit_signal", ExitStatus::signaled(signo, core), Whom::Lwp)
        }
        _ => libc::EINVAL,
    }
}

/// Ends the whole process, for good: lwproc_drain, then its parked LWPs and the current one
/// are released. LWPs that other threads run as see lwproc_must_exit, and are released when
/// they are switched away from. The first one says how the process ends. In processes 0 and 1,
/// which do not end, it is lwproc_exit. EINVAL, EBUSY.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_exit_group(code: c_int) -> c_int {
    end("lwproc_exit_group", exited(code), Whom::Process)
}

/// Who ends.
enum Whom {
    Lwp,
    Process,
}

pub(super) fn exited(code: c_int) -> ExitStatus {
    // As exit(3): the low eight bits.
    ExitStatus::exited((code & 0xff) as u8)
}

fn end(function: &str, status: ExitStatus, whom: Whom) -> c_int {
    errno(function, || {
        context::public(|cx| {
            match whom {
                Whom::Lwp => cx.k_mut().exit(status)?,
                Whom::Process => cx.k_mut().exit_group(status)?,
            }
            cx.stays();
            Ok(())
        })
    })
}

/// Closes the current process to new LWPs, which fail with EBUSY, and tells the others it has
/// to exit: they see lwproc_must_exit. Does not wait for them (lwpexit).
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_drain() -> c_int {
    errno("lwproc_drain", || {
        context::public(|cx| {
            cx.k_mut().drain();
            Ok(())
        })
    })
}

/// Opens the current process again after lwproc_drain.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_reopen() -> c_int {
    errno("lwproc_reopen", || {
        context::public(|cx| {
            cx.k_mut().reopen();
            Ok(())
        })
    })
}

/// Whether the current LWP is to exit, 1 or 0 into `answer`.
///
/// # Safety
/// `answer` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_must_exit(answer: *mut c_int) -> c_int {
    errno("lwproc_must_exit", || {
        let must = context::public(|cx| Ok(cx.k().must_exit()))?;
        // SAFETY: by contract.
        unsafe { store(answer, c_int::from(must)) }
    })
}

/// Waits until the current process, which drains, has one LWP. It blocks the thread; parked
/// LWPs do not go by themselves. EINVAL: it does not drain. EINTR.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_wait_alone() -> c_int {
    errno("lwproc_wait_alone", || context::public(|cx| Ok(cx.k().wait_alone()?)))
}

/// As lwproc_wait_alone, until the deadline, a time of CLOCK_MONOTONIC; NULL: never. ETIMEDOUT.
/// EINVAL: no time.
///
/// # Safety
/// `deadline` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_wait_alone_until(deadline: *const libc::timespec) -> c_int {
    errno("lwproc_wait_alone_until", || {
        // SAFETY: by contract.
        let deadline = unsafe { until(deadline)? };
        context::public_until(deadline, |cx| Ok(cx.k_mut().until(deadline).wait_alone()?))
    })
}

/// The current process has become another program: closes what an exec closes, sets the
/// name, opens the process again. EBUSY: it does not drain, or has more than one LWP. EAGAIN:
/// with LWPROC_NPROC.
///
/// By Linux's rules an LWP that does not have its process's number takes it: the pointer that
/// names it is another one from then on, the one from before has gone, and the hypercall
/// lwp_renumber tells.
///
/// # Safety
/// `comm` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_execnotify(comm: *const c_char) -> c_int {
    errno("lwproc_execnotify", || {
        // SAFETY: by contract.
        let comm = unsafe { string(comm)? };
        context::public(|cx| Ok(cx.k_mut().exec(&comm)?))
    })
}

/// Names the current process; the name is cut to 16 bytes.
///
/// # Safety
/// `comm` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_setcomm(comm: *const c_char) -> c_int {
    errno("lwproc_setcomm", || {
        // SAFETY: by contract.
        let comm = unsafe { string(comm)? };
        context::public(|cx| {
            cx.k_mut().process().set_comm(&comm);
            Ok(())
        })
    })
}

/// The current process's name, cut to `size` - 1 bytes. EINVAL: `size` is 0.
///
/// # Safety
/// `comm` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getcomm(comm: *mut c_char, size: usize) -> c_int {
    errno("lwproc_getcomm", || {
        // SAFETY: by contract.
        unsafe { store_name(comm, size, |cx| Some(cx.k().process().comm())) }
    })
}

/// Names the current LWP; the name is cut to 16 bytes. EINVAL: an implicit thread has none.
///
/// # Safety
/// `name` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_lwp_setname(name: *const c_char) -> c_int {
    errno("lwproc_lwp_setname", || {
        // SAFETY: by contract.
        let name = unsafe { string(name)? };
        context::public(|cx| {
            let lwp = cx.k().curlwp();
            let lwp = lwp.ok_or(Mistake::Argument("there is no current lwp to name"))?;
            lwp.set_name(&name);
            Ok(())
        })
    })
}

/// The current LWP's name, cut to `size` - 1 bytes; empty when it was given none. EINVAL:
/// `size` is 0.
///
/// # Safety
/// `name` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_lwp_getname(name: *mut c_char, size: usize) -> c_int {
    errno("lwproc_lwp_getname", || {
        // SAFETY: by contract.
        unsafe { store_name(name, size, |cx| cx.k().curlwp().and_then(|lwp| lwp.name())) }
    })
}

/// A name, as a string.
///
/// # Safety
/// `place` is NULL, which is a mistake, or has room for `size` bytes.
unsafe fn store_name(
    place: *mut c_char,
    size: usize,
    name: impl FnOnce(&Context) -> Option<Comm>,
) -> Result<(), Refusal> {
    wanted(place)?;
    let room = size.checked_sub(1).ok_or(Mistake::Argument("no room for a name"))?;
    let name = context::public(|cx| Ok(name(cx)))?;
    let name = name.as_ref().map_or(&[][..], |name| name.as_str().as_bytes());
    let length = name.len().min(room);
    // SAFETY: by contract.
    unsafe { place.copy_from_nonoverlapping(name.as_ptr().cast(), length) };
    // SAFETY: by contract.
    let end = unsafe { place.add(length) };
    // SAFETY: by contract.
    unsafe { store(end, 0) }
}

/// # Safety
/// NULL, which is a mistake, or a string.
unsafe fn string(chars: *const c_char) -> Result<String, Refusal> {
    if chars.is_null() {
        return Err(Mistake::Argument("no name").into());
    }
    // SAFETY: by contract.
    Ok(unsafe { CStr::from_ptr(chars) }.to_string_lossy().into_owned())
}
