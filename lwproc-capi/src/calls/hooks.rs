//! Exit hooks.
#![allow(unsafe_code)]

use libc::{c_int, c_void, pid_t, uid_t};

use super::{store, wanted};
use crate::embedded::{Shared, in_callback};
use crate::mistake::{Mistake, errno};
use crate::registry;

/// A process at its end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_ending {
    /// Its number.
    pub pid: pid_t,
    /// Its parent's.
    pub ppid: pid_t,
    /// Its process group.
    pub pgid: pid_t,
    /// Its real user.
    pub uid: uid_t,
}

/// Called at the end of a process. A callback.
pub type lwproc_exithook =
    Option<unsafe extern "C" fn(arg: *mut c_void, ending: *const lwproc_ending)>;

/// Has `hook(arg, ...)` called at the end of each process of this thread's kernel, in the
/// thread that ends it, before anything of it is given back; the last established first.
/// What names the hook goes into `id`. EAGAIN: the kernel has 16,777,200. Also in a callback,
/// for ends that come later.
///
/// # Safety
/// `id` may be written; `hook` may be called with `arg` from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_exithook_establish(
    hook: lwproc_exithook,
    arg: *mut c_void,
    id: *mut u64,
) -> c_int {
    errno("lwproc_exithook_establish", || {
        wanted(id)?;
        let hook = hook.ok_or(Mistake::Argument("no hook"))?;
        let instance = registry::current()?;
        let arg = Shared(arg);
        let established = instance.kernel.add_exit_hook(move |proc| {
            let ending = lwproc_ending {
                pid: proc.pid().0,
                ppid: proc.ppid().0,
                pgid: proc.pgid().map_or(0, |pgid| pgid.0),
                uid: proc.cred().map_or(0, |cred| cred.users().real),
            };
            // All of it, and not the pointer in it, which could not be sent.
            let arg = &arg;
            // SAFETY: the embedder's function and its argument.
            in_callback(|| unsafe { hook(arg.0, &ending) });
        });
        let Some(number) = instance.add_hook(established) else {
            instance.kernel.remove_exit_hook(established)?;
            return Err(Mistake::Full("exit hooks").into());
        };
        // SAFETY: by contract.
        unsafe { store(id, number) }
    })
}

/// Takes an exit hook away; a call under way goes on. ENOENT: there is none. Also in a
/// callback, such as the hook itself.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_exithook_disestablish(id: u64) -> c_int {
    errno("lwproc_exithook_disestablish", || {
        let instance = registry::current()?;
        let none = || Mistake::Refused(libc::ENOENT, "no such exit hook".into());
        let hook = instance.take_hook(id).ok_or_else(none)?;
        Ok(instance.kernel.remove_exit_hook(hook)?)
    })
}
