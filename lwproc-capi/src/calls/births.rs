//! Children that the caller does not become: a fork in two steps, and the parent of a vfork.
#![allow(unsafe_code)]

use std::ptr::null_mut;

use libc::{c_int, c_void, pid_t};
use lwproc::{Rfork, VforkEnd};

use super::handles::{lwproc_handle, proc};
use super::{store, wanted};
use crate::context;
use crate::embedded::{in_callback, vmspace};
use crate::mistake::{Mistake, errno};
use crate::names::{LwpName, lwp};

/// Says whether a child is made, whose number is `pid`: 0; or an errno, and it is not. Its
/// address space may be put into `vm`, with 0. A callback: the number is taken, and nobody
/// finds it yet.
pub type lwproc_fork_prepare =
    Option<unsafe extern "C" fn(arg: *mut c_void, pid: pid_t, vm: *mut *mut vmspace) -> c_int>;

/// The child of a vfork uses its parent's memory still.
pub const LWPROC_VFORK_RUNS: c_int = 0;
/// It has become another program (lwproc_execnotify).
pub const LWPROC_VFORK_EXECED: c_int = 1;
/// It has ended.
pub const LWPROC_VFORK_ENDED: c_int = 2;

/// Makes a child of the current process, and goes on as what it is: the child's LWP is parked,
/// to be switched to, and goes into `l`, and the child's number into `pid` unless that is
/// NULL. `flags` as of rump_pub_lwproc_rfork.
///
/// All that may be refused is, and then `prepare(arg, ...)` is called once, unless it is NULL:
/// it knows the child's number, and may still give it back. What it puts into `vm` is freed by
/// the hypercall vmspace_free when the child ends.
///
/// EINVAL: both flags, or unknown ones. EAGAIN: no id left, or a limit. What `prepare` says.
///
/// # Safety
/// `prepare` may be called with `arg`; `l` may be written; `pid` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_fork(
    flags: c_int,
    prepare: lwproc_fork_prepare,
    arg: *mut c_void,
    l: *mut *mut lwp,
    pid: *mut pid_t,
) -> c_int {
    errno("lwproc_fork", || {
        wanted(l)?;
        let (child, number) = context::public(|cx| {
            let files = Rfork::from_flags(flags).map_err(Mistake::from)?;
            let mut reserved = cx.k().spawn().files(files).reserve()?;
            let (number, mut vm) = (reserved.pid(), null_mut());
            if let Some(prepare) = prepare {
                // SAFETY: the embedder's function and its arguments.
                let said = in_callback(|| unsafe { prepare(arg, number.0, &mut vm) });
                if said != 0 {
                    return Err(Mistake::Refused(said, "not made after all".into()).into());
                }
            }
            if !vm.is_null() {
                reserved = reserved.vmspace(cx.instance.kernel.host().vmspace(vm));
            }
            let child = reserved.commit()?;
            let name = LwpName::of(child.token());
            drop(child.unclaim());
            Ok((name.to_ptr(), number))
        })?;
        // SAFETY: by contract.
        unsafe { store(l, child)? };
        // SAFETY: by contract.
        if pid.is_null() { Ok(()) } else { unsafe { store(pid, number.0) } }
    })
}

fn how(end: VforkEnd) -> c_int {
    match end {
        VforkEnd::Execed => LWPROC_VFORK_EXECED,
        VforkEnd::Ended => LWPROC_VFORK_ENDED,
    }
}

/// Waits until a process execs or ends, as the parent of a vfork does, which has made the
/// child: LWPROC_VFORK_* into `end`, unless that is NULL. It blocks the thread. Signals pend;
/// EINTR: one that ends the process, or the LWP is to exit, or was unslept.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed; `end` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_vfork_wait(
    handle: *const lwproc_handle,
    end: *mut c_int,
) -> c_int {
    errno("lwproc_vfork_wait", || {
        // SAFETY: by contract.
        let vforked = unsafe { proc(handle)? }.vforked();
        let ended = context::public(|cx| Ok(vforked.block(cx.k())?))?;
        // SAFETY: by contract.
        if end.is_null() { Ok(()) } else { unsafe { store(end, how(ended)) } }
    })
}

/// Whether it has: LWPROC_VFORK_* into `end`. Also in a callback.
///
/// # Safety
/// `handle` is from lwproc_handle_open, and was not closed; `end` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_vfork_end(handle: *const lwproc_handle, end: *mut c_int) -> c_int {
    errno("lwproc_vfork_end", || {
        // SAFETY: by contract.
        let ended = unsafe { proc(handle)? }.vfork_end();
        // SAFETY: by contract.
        unsafe { store(end, ended.map_or(LWPROC_VFORK_RUNS, how)) }
    })
}
