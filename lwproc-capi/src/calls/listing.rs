//! Which processes and LWPs there are.
#![allow(unsafe_code)]

use libc::{c_int, pid_t};
use lwproc::ProcState;

use super::{store, wanted};
use crate::mistake::{Mistake, Refusal, errno};
use crate::names::proc;
use crate::registry;

/// The pids of all processes of this thread's kernel, zombies included: as many as there is
/// `room` for into `pids`, and how many there are into `count`, which may be more. A process
/// that is there throughout is listed once. Also in a callback.
///
/// # Safety
/// `pids` has room for as many, and may be NULL when that is 0; `count` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_list_procs(
    pids: *mut pid_t,
    room: usize,
    count: *mut usize,
) -> c_int {
    errno("lwproc_list_procs", || {
        let instance = registry::current()?;
        let guard = instance.kernel.pin();
        // SAFETY: by contract.
        unsafe { fill(guard.procs().map(|proc| proc.pid().0), pids, room, count) }
    })
}

/// The numbers of the LWPs of a process, as lwproc_list_procs; none once it has ended. EINVAL:
/// no such process. Also in a callback.
///
/// # Safety
/// `lids` has room for as many, and may be NULL when that is 0; `count` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_list_lwps(
    p: *mut proc,
    lids: *mut c_int,
    room: usize,
    count: *mut usize,
) -> c_int {
    errno("lwproc_list_lwps", || {
        let list = |p: lwproc::ProcRef<'_, _>| {
            // SAFETY: by contract.
            unsafe { fill(p.lwps().map(|l| l.lid().0), lids, room, count) }
        };
        registry::current()?.with_proc(p, list)?
    })
}

/// How many LWPs live in a process; 0 once it has ended. EINVAL: no such process. Also in a
/// callback.
///
/// # Safety
/// `count` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_count_lwps(p: *mut proc, count: *mut usize) -> c_int {
    errno("lwproc_count_lwps", || {
        let lwps = registry::current()?.with_proc(p, |p| p.nlwps())?;
        // SAFETY: by contract.
        unsafe { store(count, lwps as usize) }
    })
}

/// It has LWPs.
pub const LWPROC_STATE_ACTIVE: c_int = 0;
/// It has LWPs and takes no more (lwproc_drain).
pub const LWPROC_STATE_DRAINING: c_int = 1;
/// It has LWPs, which stop where they look; it may drain too.
pub const LWPROC_STATE_STOPPED: c_int = 2;
/// Its last LWP has gone, and it is being taken apart.
pub const LWPROC_STATE_DYING: c_int = 3;
/// It waits to be reaped.
pub const LWPROC_STATE_ZOMBIE: c_int = 4;

/// Where a process is in its life, LWPROC_STATE_* into `state`; it may be further by now.
/// EINVAL: no such process. Also in a callback.
///
/// # Safety
/// `state` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_state(p: *mut proc, state: *mut c_int) -> c_int {
    errno("lwproc_state", || {
        let now = match registry::current()?.with_proc(p, |p| p.state())? {
            ProcState::Active => LWPROC_STATE_ACTIVE,
            ProcState::Draining => LWPROC_STATE_DRAINING,
            ProcState::Stopped => LWPROC_STATE_STOPPED,
            ProcState::Zombie => LWPROC_STATE_ZOMBIE,
            // Also while it is reaped.
            _ => LWPROC_STATE_DYING,
        };
        // SAFETY: by contract.
        unsafe { store(state, now) }
    })
}

/// # Safety
/// `place` is NULL, which is a mistake unless `room` is 0, or has room for as many; `count` is
/// NULL, which is a mistake, or may be written.
unsafe fn fill(
    all: impl Iterator<Item = i32>,
    place: *mut i32,
    room: usize,
    count: *mut usize,
) -> Result<(), Refusal> {
    wanted(count)?;
    if place.is_null() && room > 0 {
        return Err(Mistake::Argument("nowhere to put the list").into());
    }
    let mut found = 0;
    for number in all {
        if found < room {
            // SAFETY: by contract.
            let to = unsafe { place.add(found) };
            // SAFETY: by contract.
            unsafe { to.write(number) };
        }
        found += 1;
    }
    // SAFETY: by contract.
    unsafe { store(count, found) }
}
