//! A process by handle, in the manner of a pidfd.
#![allow(unsafe_code)]

use libc::{c_int, pid_t, timespec};
use lwproc::{Pid, ProcHandle};

use super::process::{
    LWPROC_WALL, LWPROC_WCLONE, LWPROC_WNOHANG, exited, found, kind, store_found,
};
use super::{store, until, wanted};
use crate::context;
use crate::host::CHost;
use crate::mistake::{Mistake, Refusal, errno, must};
use crate::registry;

/// A process (pidfd), and never another that gets its number. It keeps no process alive, but
/// the kernel's memory. A real pointer: given back once, by lwproc_handle_close, in any
/// thread.
pub struct lwproc_handle {
    proc: ProcHandle<CHost>,
}

impl std::fmt::Debug for lwproc_handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.proc.fmt(f)
    }
}

/// # Safety
/// NULL, which is a mistake, or a handle that is not closed before the result goes.
pub(super) unsafe fn proc<'a>(
    handle: *const lwproc_handle,
) -> Result<&'a ProcHandle<CHost>, Refusal> {
    // SAFETY: by contract.
    let handle = unsafe { handle.as_ref() }.ok_or(Mistake::Argument("no handle"))?;
    Ok(&handle.proc)
}

/// A handle of the process with that pid, which may be a zombie (pidfd_open). ESRCH. Also in
/// a callback.
///
/// # Safety
/// `handle` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_handle_open(pid: pid_t, handle: *mut *mut lwproc_handle) -> c_int {
    errno("lwproc_handle_open", || {
        wanted(handle)?;
        let instance = registry::current()?;
        let guard = instance.kernel.pin();
        let found = guard.proc(Pid(pid)).and_then(|found| found.handle());
        let none = || Mistake::Refused(libc::ESRCH, "no such process".into());
        let opened = Box::new(lwproc_handle { proc: found.ok_or_else(none)? });
        // SAFETY: by contract.
        unsafe { store(handle, Box::into_raw(opened)) }
    })
}

/// Closes a handle. NULL: does nothing. Also in a callback.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_handle_close(handle: *mut lwproc_handle) {
    must("lwproc_handle_close", || {
        if !handle.is_null() {
            // SAFETY: by contract.
            drop(unsafe { Box::from_raw(handle) });
        }
        Ok(())
    });
}

/// The process's pid, which may be another's by now. Also in a callback.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_handle_pid(handle: *const lwproc_handle) -> pid_t {
    // SAFETY: by contract.
    unsafe { &*handle }.proc.pid().0
}

/// As lwproc_kill of the process (pidfd_send_signal). ESRCH: it has been reaped. EXDEV: it is
/// of another kernel.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_handle_signal(handle: *const lwproc_handle, signo: c_int) -> c_int {
    errno("lwproc_handle_signal", || {
        // SAFETY: by contract.
        let proc = unsafe { proc(handle)? };
        context::public(|cx| Ok(proc.signal(cx.k(), signo)?))
    })
}

/// Ends the process as a whole, for good, as lwproc_exit_group does in it: its parked LWPs at
/// once, those that other threads run as when they are switched away from. EPERM: process 0
/// or 1. ESRCH: it has ended, or was ended before.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_handle_end(handle: *const lwproc_handle, code: c_int) -> c_int {
    errno("lwproc_handle_end", || {
        // SAFETY: by contract.
        let proc = unsafe { proc(handle)? };
        context::public(|_| Ok(proc.end(exited(code))?))
    })
}

/// Whether the process has ended, 1 or 0 into `ended`, and how into `status`, in the
/// traditional encoding; it stays so when it has been reaped. `status` may be NULL. Also in a
/// callback.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed; `ended` may be written; `status`
/// is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_handle_status(
    handle: *const lwproc_handle,
    ended: *mut c_int,
    status: *mut c_int,
) -> c_int {
    errno("lwproc_handle_status", || {
        // SAFETY: by contract.
        let how = unsafe { proc(handle)? }.exit_status();
        // SAFETY: by contract.
        unsafe { store(ended, c_int::from(how.is_some()))? };
        match how {
            // SAFETY: by contract.
            Some(how) if !status.is_null() => unsafe { store(status, how.as_wait_status()) },
            _ => Ok(()),
        }
    })
}

/// Waits until the process has ended, anybody's child, and reaps nothing: how it did into
/// `status`, unless that is NULL. It blocks the thread until the deadline, a time of
/// CLOCK_MONOTONIC; NULL: never. ETIMEDOUT. EINTR. EINVAL: no time.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed; `status` is NULL or may be
/// written; `deadline` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_handle_exited(
    handle: *const lwproc_handle,
    status: *mut c_int,
    deadline: *const timespec,
) -> c_int {
    errno("lwproc_handle_exited", || {
        // SAFETY: by contract.
        let proc = unsafe { proc(handle)? };
        // SAFETY: by contract.
        let deadline = unsafe { until(deadline)? };
        let exited = |cx: &mut context::Context| Ok(cx.k_mut().until(deadline).exited(proc)?);
        let how = context::public_until(deadline, exited)?;
        // SAFETY: by contract.
        if status.is_null() { Ok(()) } else { unsafe { store(status, how.as_wait_status()) } }
    })
}

/// As lwproc_wait_until of the process, a child of the current one; the options are
/// LWPROC_WNOHANG, LWPROC_WCLONE, LWPROC_WALL. ECHILD: it is none, or has been reaped.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed; `pid` and `status` are NULL or may
/// be written; `deadline` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_handle_wait(
    handle: *const lwproc_handle,
    options: c_int,
    pid: *mut pid_t,
    status: *mut c_int,
    deadline: *const timespec,
) -> c_int {
    errno("lwproc_handle_wait", || {
        // SAFETY: by contract.
        let proc = unsafe { proc(handle)? };
        // SAFETY: by contract.
        let deadline = unsafe { until(deadline)? };
        if options & !(LWPROC_WNOHANG | LWPROC_WCLONE | LWPROC_WALL) != 0 {
            return Err(Mistake::Argument("unknown options").into());
        }
        let wait = proc.wait().kind(kind(options));
        let reaped = context::public_until(deadline, |cx| match options & LWPROC_WNOHANG {
            0 => Ok(Some(wait.block_until(cx.k(), deadline)?)),
            _ => Ok(wait.now(cx.k())?),
        })?;
        let child = reaped.map(found);
        // SAFETY: by contract.
        unsafe { store_found(child, pid, status) }
    })
}
