//! How many processes and LWPs there may be.
#![allow(unsafe_code)]

use crate::mistake::errno;
use crate::registry;
use libc::c_int;

/// Sets the most processes of this thread's kernel, as `max_procs`, zombies, proc0 and init
/// included; UINT64_MAX: any number. What is there stays; while it is as many or more, what
/// would make a process fails with EAGAIN. EINVAL: no kernel. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_set_max_procs(max: u64) -> c_int {
    errno("lwproc_set_max_procs", || {
        registry::current()?.kernel.set_max_procs(max);
        Ok(())
    })
}

/// Sets the most LWPs of this thread's kernel, those of proc0 and init included, in the same
/// way: what would make an LWP, or a process, fails with EAGAIN. As lwproc_set_max_procs.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_set_max_lwps(max: u64) -> c_int {
    errno("lwproc_set_max_lwps", || {
        registry::current()?.kernel.set_max_lwps(max);
        Ok(())
    })
}

/// Sets the most LWPs of each process but proc0 and init, in the same way; a process has its
/// first one in any case. As lwproc_set_max_procs.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_set_max_lwps_per_proc(max: u64) -> c_int {
    errno("lwproc_set_max_lwps_per_proc", || {
        registry::current()?.kernel.set_max_lwps_per_proc(max);
        Ok(())
    })
}
