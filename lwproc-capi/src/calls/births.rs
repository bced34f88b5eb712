//! Children that the caller does not become: a fork in two steps, and the parent of a vfork.
#![allow(unsafe_code)]

use std::ptr::null_mut;

use libc::{c_int, c_void, pid_t};
use lwproc::{Rfork, Signo, VforkEnd};

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

/// The child is a clone child: what its parent is sent when it ends is `exit_signal`, and only
/// waits with LWPROC_WCLONE or LWPROC_WALL find it, until it is another program.
pub const LWPROC_FORK_CLONE: c_int = 4;
/// The child is the current process's sibling (CLONE_PARENT).
pub const LWPROC_FORK_SIBLING: c_int = 8;

/// How a child is made. All zero is a child that shares the descriptors.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_fork_args {
    /// As of rump_pub_lwproc_rfork; LWPROC_FORK_CLONE, LWPROC_FORK_SIBLING.
    pub flags: c_int,
    /// With LWPROC_FORK_CLONE; 0: nothing. SIGCHLD makes an ordinary child of it.
    pub exit_signal: c_int,
    /// The second step; NULL: it is made.
    pub prepare: lwproc_fork_prepare,
    /// Passed to it.
    pub arg: *mut c_void,
}

/// The child of a vfork uses its parent's memory still.
pub const LWPROC_VFORK_RUNS: c_int = 0;
/// It has become another program (lwproc_execnotify).
pub const LWPROC_VFORK_EXECED: c_int = 1;
/// It has ended.
pub const LWPROC_VFORK_ENDED: c_int = 2;

/// Makes a child of the current process, and goes on as what it is: the child's LWP is parked,
/// to be switched to, and goes into `l`, and the child's number into `pid` unless that is
/// NULL. NULL for `how`: all zero.
///
/// All that may be refused is, and then `prepare(arg, ...)` is called once, unless it is NULL:
/// it knows the child's number, and may still give it back. What it puts into `vm` is freed by
/// the hypercall vmspace_free when the child ends.
///
/// EINVAL: flags that do not go together, or unknown ones; no such signal; a sibling of process
/// 0 or 1. EAGAIN: no id left, or a limit. What `prepare` says.
///
/// # Safety
/// `how` is NULL or may be read, and its `prepare` called with `arg`; `l` may be written; `pid` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_fork(
    how: *const lwproc_fork_args,
    l: *mut *mut lwp,
    pid: *mut pid_t,
) -> c_int {
    errno("lwproc_fork", || {
        wanted(l)?;
        // SAFETY: by contract.
        let how = unsafe { how.as_ref() }.copied().unwrap_or(DEFAULT);
        let signal = Signo::new(how.exit_signal);
        if how.exit_signal != 0 && signal.is_none() {
            return Err(Mistake::Argument("no such signal").into());
        }
        let (child, number) = context::public(|cx| {
            let files = how.flags & !(LWPROC_FORK_CLONE | LWPROC_FORK_SIBLING);
            let mut child = cx.k().spawn().files(Rfork::from_flags(files)?);
            if how.flags & LWPROC_FORK_CLONE != 0 {
                child = child.exit_signal(signal);
            }
            if how.flags & LWPROC_FORK_SIBLING != 0 {
                child = child.sibling();
            }
            let mut reserved = child.reserve()?;
            let (number, mut vm) = (reserved.pid(), null_mut());
            if let Some(prepare) = how.prepare {
                // SAFETY: the embedder's function and its arguments.
                let said = in_callback(|| unsafe { prepare(how.arg, number.0, &mut vm) });
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

const DEFAULT: lwproc_fork_args =
    lwproc_fork_args { flags: 0, exit_signal: 0, prepare: None, arg: null_mut() };

fn number(end: VforkEnd) -> c_int {
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
pub unsafe extern "C" fn lwproc_vfork_wait(handle: *const lwproc_handle, end: *mut c_int) -> c_int {
    errno("lwproc_vfork_wait", || {
        // SAFETY: by contract.
        let vforked = unsafe { proc(handle)? }.vforked();
        let ended = context::public(|cx| Ok(vforked.block(cx.k())?))?;
        // SAFETY: by contract.
        if end.is_null() { Ok(()) } else { unsafe { store(end, number(ended)) } }
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
        unsafe { store(end, ended.map_or(LWPROC_VFORK_RUNS, number)) }
    })
}
