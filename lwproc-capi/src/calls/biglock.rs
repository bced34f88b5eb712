//! The kernel's big lock.
#![allow(unsafe_code)]

use libc::{c_int, c_uint};

use super::{store, until};
use crate::context;
use crate::mistake::errno;

/// Takes the kernel's big lock, between rump_schedule and rump_unschedule, once more if this
/// thread has it already (KERNEL_LOCK). It blocks the thread while another has it, and gives
/// a virtual CPU to others meanwhile.
///
/// A switch gives the lock up, and its depth stays with the old LWP, which takes it again
/// as deep when it is switched to. So does a call that blocks. rump_unschedule gives it up
/// for good. EINVAL: not scheduled. EOVERFLOW: taken too often.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_biglock() -> c_int {
    errno("lwproc_biglock", || context::inside(|cx| Ok(cx.k().big_lock().lock()?)))
}

/// As lwproc_biglock, until the deadline, a time of CLOCK_MONOTONIC; NULL: never. While another
/// thread has the lock, EINTR as of lwproc_sleep, and ETIMEDOUT. EINVAL: no time.
///
/// # Safety
/// `deadline` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_biglock_until(deadline: *const libc::timespec) -> c_int {
    errno("lwproc_biglock_until", || {
        // SAFETY: by contract.
        let deadline = unsafe { until(deadline)? };
        context::inside(|cx| Ok(cx.k_mut().until(deadline).big_lock()?))
    })
}

/// Gives the big lock up once (KERNEL_UNLOCK_ONE). EINVAL: not scheduled. EPERM: this
/// thread does not have it.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_bigunlock() -> c_int {
    errno("lwproc_bigunlock", || context::inside(|cx| Ok(cx.k().big_lock().unlock()?)))
}

/// How often this thread has taken the big lock. EINVAL: not scheduled.
///
/// # Safety
/// `depth` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_biglock_depth(depth: *mut c_uint) -> c_int {
    errno("lwproc_biglock_depth", || {
        let taken = context::inside(|cx| Ok(cx.k().big_lock().depth()))?;
        // SAFETY: by contract.
        unsafe { store(depth, taken) }
    })
}
