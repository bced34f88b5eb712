//! The public calls of the rump kernel.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use libc::{c_int, pid_t};
use lwproc::{Lid, Pid};

use crate::context::{self, Context};
use crate::mistake::{Mistake, Refusal, errno, must};
use crate::names::lwp;
use crate::registry;

/// Not 0: processes may go over to the native system calls.
#[unsafe(no_mangle)]
pub static rump_i_know_what_i_am_doing_with_sysents: AtomicI32 = AtomicI32::new(0);

pub(super) fn usenative(cx: &mut Context) -> Result<(), Refusal> {
    // Relaxed: a setting, made before.
    if rump_i_know_what_i_am_doing_with_sysents.load(Relaxed) == 0 {
        return Err(Mistake::NativeSysents.into());
    }
    cx.k_mut().process().use_native_emul().map_err(|_| Mistake::NativeSysents.into())
}

/// Makes the default kernel, unless there is one. 0, or an errno.
#[unsafe(no_mangle)]
pub extern "C" fn rump_init() -> c_int {
    errno("rump_init", || Ok(registry::init(None)?))
}

/// Makes a child of the current process, and switches to its first LWP. `flags`: 0 shares
/// the descriptors, RUMP_RFFDG copies them, RUMP_RFCFDG starts with none. The LWP from before
/// is parked.
///
/// EINVAL: both flags, unknown ones, or no kernel. EAGAIN: no id left, or a limit.
#[unsafe(no_mangle)]
pub extern "C" fn rump_pub_lwproc_rfork(flags: c_int) -> c_int {
    errno("rump_pub_lwproc_rfork", || {
        context::public(|cx| Ok(cx.rfork(std::ptr::null_mut(), flags)?))
    })
}

/// Makes an LWP in the process with that pid, and switches to it. The LWP from before is
/// parked.
///
/// ESRCH: no such process. EBUSY: it takes no more LWPs. EAGAIN: no id left.
#[unsafe(no_mangle)]
pub extern "C" fn rump_pub_lwproc_newlwp(pid: pid_t) -> c_int {
    errno("rump_pub_lwproc_newlwp", || context::public(|cx| Ok(cx.newlwp(Pid(pid))?)))
}

/// Switches to an LWP that no thread runs as; the one from before is parked, or released if
/// it is exiting. NULL: parks the current LWP.
///
/// Aborts when a thread runs as it, this one included; when it has gone, or is none; and
/// for NULL when there is no current LWP that lives on.
#[unsafe(no_mangle)]
pub extern "C" fn rump_pub_lwproc_switch(l: *mut lwp) {
    must("rump_pub_lwproc_switch", || context::public(|cx| Ok(cx.switch(l)?)));
}

/// Releases the current LWP; with its last one the process ends.
///
/// Aborts when there is no current LWP, or it is held.
#[unsafe(no_mangle)]
pub extern "C" fn rump_pub_lwproc_releaselwp() {
    must("rump_pub_lwproc_releaselwp", || context::public(|cx| Ok(cx.releaselwp()?)));
}

/// The current LWP; NULL for an implicit thread.
#[unsafe(no_mangle)]
pub extern "C" fn rump_pub_lwproc_curlwp() -> *mut lwp {
    must("rump_pub_lwproc_curlwp", || context::public(|cx| Ok(cx.curlwp())))
}

/// Gives the current process the native system calls.
///
/// Aborts unless rump_i_know_what_i_am_doing_with_sysents is set.
#[unsafe(no_mangle)]
pub extern "C" fn rump_pub_lwproc_sysent_usenative() {
    must("rump_pub_lwproc_sysent_usenative", || context::public(usenative));
}

/// Makes the current process and LWP show other numbers. No table knows them: look-ups,
/// waiting and signals go by the real ones.
#[unsafe(no_mangle)]
pub extern "C" fn rump_pub_allbetsareoff_setid(pid: pid_t, lid: c_int) {
    must("rump_pub_allbetsareoff_setid", || {
        context::public(|cx| {
            cx.k_mut().process().alias().set(Pid(pid), Lid(lid));
            Ok(())
        })
    });
}
