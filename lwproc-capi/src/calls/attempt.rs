//! Twins of the calls that abort: these return an errno, and then nothing has changed.
#![allow(unsafe_code)]

use libc::{c_int, pid_t};
use lwproc::{Lid, Pid};

use super::inside::alloclwp;
use super::rump::usenative;
use super::{store, until, wanted};
use crate::context;
use crate::mistake::errno;
use crate::names::{lwp, proc};

/// As rump_schedule. EINVAL: no kernel. EDEADLK: scheduled already, or in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_try_schedule() -> c_int {
    errno("lwproc_try_schedule", context::schedule)
}

/// As lwproc_try_schedule; ETIMEDOUT: all virtual CPUs are taken, or the process is stopped,
/// and the deadline, a time of CLOCK_MONOTONIC, has come. NULL: never. EINVAL: no time.
///
/// # Safety
/// `deadline` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_schedule_until(deadline: *const libc::timespec) -> c_int {
    errno("lwproc_schedule_until", || {
        // SAFETY: by contract.
        context::schedule_until(unsafe { until(deadline)? })
    })
}

/// As rump_unschedule. EINVAL: not scheduled.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_try_unschedule() -> c_int {
    errno("lwproc_try_unschedule", context::unschedule)
}

/// As rump_pub_lwproc_switch, also between rump_schedule and rump_unschedule.
///
/// EBUSY: a thread runs as it. ESRCH: it has gone, or is of another kernel. EINVAL: it is
/// none; NULL, and there is no current LWP that lives on; no kernel.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_try_switch(l: *mut lwp) -> c_int {
    errno("lwproc_try_switch", || context::public(|cx| Ok(cx.switch(l)?)))
}

/// As rump_pub_lwproc_releaselwp, also between rump_schedule and rump_unschedule.
///
/// EINVAL: no current LWP, or it is exiting; no kernel. EBUSY: it is held.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_try_releaselwp() -> c_int {
    errno("lwproc_try_releaselwp", || context::public(|cx| Ok(cx.releaselwp()?)))
}

/// As rump_pub_lwproc_curlwp. EINVAL: no kernel.
///
/// # Safety
/// `l` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_try_curlwp(l: *mut *mut lwp) -> c_int {
    errno("lwproc_try_curlwp", || {
        let curlwp = context::public(|cx| Ok(cx.curlwp()))?;
        // SAFETY: by contract.
        unsafe { store(l, curlwp) }
    })
}

/// As rump_pub_lwproc_sysent_usenative. EPERM: not allowed.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_try_sysent_usenative() -> c_int {
    errno("lwproc_try_sysent_usenative", || context::public(usenative))
}

/// As rump_pub_allbetsareoff_setid. EINVAL: no kernel.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_try_allbetsareoff_setid(pid: pid_t, lid: c_int) -> c_int {
    errno("lwproc_try_allbetsareoff_setid", || {
        context::public(|cx| {
            cx.k_mut().process().alias().set(Pid(pid), Lid(lid));
            Ok(())
        })
    })
}

/// As rump__lwproc_alloclwp, from anywhere.
///
/// EINVAL: no such process. ESRCH: it has ended. EBUSY: it takes no more LWPs. EAGAIN: no
/// id left.
///
/// # Safety
/// `l` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_try_alloclwp(p: *mut proc, l: *mut *mut lwp) -> c_int {
    errno("lwproc_try_alloclwp", || {
        wanted(l)?;
        let new = context::public(|cx| Ok(alloclwp(cx, p)?))?;
        // SAFETY: by contract.
        unsafe { store(l, new) }
    })
}

/// As rump__lwproc_lwphold, from anywhere. EAGAIN: no id left. EBUSY: process 1 takes no
/// more LWPs. EOVERFLOW: too many holds.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_try_lwphold() -> c_int {
    errno("lwproc_try_lwphold", || context::public(|cx| Ok(cx.k_mut().hold()?)))
}

/// As rump__lwproc_lwprele, from anywhere. EINVAL: not held.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_try_lwprele() -> c_int {
    errno("lwproc_try_lwprele", || context::public(|cx| Ok(cx.k_mut().unhold()?)))
}
