//! Kernels beside the default one, and what lives in one.
#![allow(unsafe_code)]

use libc::{c_int, uid_t};

use super::{store, wanted};
use crate::context;
use crate::embedded;
use crate::instance::{lwproc_config, lwproc_kernel};
use crate::mistake::{Mistake, Refusal, errno};
use crate::registry;

/// What lives in a kernel; exact when no other thread is making or ending anything.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_counts {
    /// Processes that have LWPs; proc0 and process 1 are two of them.
    pub procs: usize,
    /// LWPs; two of them are the kernel's own.
    pub lwps: usize,
    /// Processes that wait to be waited for.
    pub zombies: usize,
    /// Numbers in use; 0 and 1 are two of them.
    pub ids: usize,
}

/// What one user has; exact while no thread makes, ends or changes anything.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_user_counts {
    /// Processes, those that wait to be waited for included.
    pub procs: usize,
    /// LWPs, without the first of each process.
    pub lwps: usize,
}

/// What was left when a kernel was destroyed, and is gone now.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_leftover {
    /// LWPs: parked, or of other threads.
    pub lwps: usize,
    /// Processes that nobody had waited for.
    pub zombies: usize,
}

/// Where a thread stands: not in a kernel, and not called by one.
fn outside() -> Result<(), Refusal> {
    if embedded::is_in_callback() {
        Err(Mistake::InCallback.into())
    } else if context::is_scheduled() {
        Err(Mistake::AlreadyScheduled.into())
    } else {
        Ok(())
    }
}

/// As rump_init, with a configuration, which counts only if there is no default kernel
/// yet. NULL: the default. EINVAL. Of two that threads make at once one stays; the other's
/// LWPs come and go before the call returns.
///
/// # Safety
/// `config` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_init(config: *const lwproc_config) -> c_int {
    errno("lwproc_init", || {
        outside()?;
        // SAFETY: by contract.
        Ok(registry::init(unsafe { config.as_ref() })?)
    })
}

/// Makes a kernel beside the default one. It shares nothing with others. NULL for `config`:
/// the default. EINVAL. EAGAIN: there are 16,777,200.
///
/// # Safety
/// `config` is NULL or may be read; `kernel` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_kernel_create(
    config: *const lwproc_config,
    kernel: *mut *mut lwproc_kernel,
) -> c_int {
    errno("lwproc_kernel_create", || {
        outside()?;
        wanted(kernel)?;
        // SAFETY: by contract.
        let made = registry::create(unsafe { config.as_ref() })?;
        // SAFETY: by contract.
        unsafe { store(kernel, made) }
    })
}

/// Ends a kernel, and whatever is left in it; what that was goes into `leftover`, unless
/// that is NULL. A calling thread that uses it goes back to the default one.
///
/// EBUSY: another thread uses it, or it is the default one. EINVAL: no such kernel.
/// EDEADLK: the thread is scheduled.
///
/// # Safety
/// `leftover` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_kernel_destroy(
    kernel: *mut lwproc_kernel,
    leftover: *mut lwproc_leftover,
) -> c_int {
    errno("lwproc_kernel_destroy", || {
        outside()?;
        let report = registry::destroy(kernel)?;
        if leftover.is_null() {
            return Ok(());
        }
        let left = lwproc_leftover { lwps: report.released.len(), zombies: report.reaped.len() };
        // SAFETY: by contract.
        unsafe { store(leftover, left) }
    })
}

/// From now on this thread uses that kernel; NULL: the default one. It keeps an LWP in each,
/// until the thread ends. EINVAL: no such kernel. EDEADLK: the thread is scheduled.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_kernel_use(kernel: *mut lwproc_kernel) -> c_int {
    errno("lwproc_kernel_use", || {
        outside()?;
        Ok(registry::choose(kernel)?)
    })
}

/// The kernel that this thread uses; NULL: none. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_kernel_current() -> *mut lwproc_kernel {
    registry::current().map_or(std::ptr::null_mut(), |instance| instance.to_ptr())
}

/// Time has passed in this thread's kernel, whose hypercall `now` says so: what sleeps with a
/// deadline that has come wakes up. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_tick() -> c_int {
    errno("lwproc_tick", || {
        registry::current()?.kernel.tick();
        Ok(())
    })
}

/// Counts what lives in this thread's kernel. EINVAL: no kernel. Also in a callback.
///
/// # Safety
/// `counts` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_count(counts: *mut lwproc_counts) -> c_int {
    errno("lwproc_count", || {
        let counted = registry::current()?.kernel.counts();
        let lwproc::Counts { procs, lwps, zombies, ids, .. } = counted;
        // SAFETY: by contract.
        unsafe { store(counts, lwproc_counts { procs, lwps, zombies, ids }) }
    })
}

/// Counts what a user has in this thread's kernel, by real user id: as LWPROC_RLIMIT_NPROC
/// counts. EINVAL: no kernel. Also in a callback.
///
/// # Safety
/// `counts` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_count_user(uid: uid_t, counts: *mut lwproc_user_counts) -> c_int {
    errno("lwproc_count_user", || {
        let lwproc::UserCounts { procs, lwps, .. } = registry::current()?.kernel.user_counts(uid);
        // SAFETY: by contract.
        unsafe { store(counts, lwproc_user_counts { procs, lwps }) }
    })
}
