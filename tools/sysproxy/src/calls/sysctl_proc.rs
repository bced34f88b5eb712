//! `kern.proc2`: listings of processes.
//!
//! Source: `sysctl_doeproc` of NetBSD's `sys/kern/kern_proc.c`.

use super::sysctl::Found;
use crate::Host;
use crate::layout::{KINFO_PROC2, Kinfo};
use lwproc::{Entered, Errno, Guard, LwpState, ProcRef, ProcState, SigSet};

/// What a size that is only asked for has more, for processes that come meanwhile
/// (`KERN_PROCSLOP`, here in the structures that are meant).
const SLOP: usize = 5 * KINFO_PROC2;

/// Which processes (`KERN_PROC_*`, `sys/sys/sysctl.h`). No process here has a terminal.
fn is_meant(op: i32, arg: i32, proc: &Kinfo) -> Option<bool> {
    const NODEV: i32 = -1;
    let id = arg.cast_unsigned();
    Some(match op {
        0 => true,
        1 => proc.pid == arg,
        2 => proc.pgid == arg,
        3 => proc.sid == arg,
        4 => arg == NODEV,
        5 => proc.uids.effective == id,
        6 => proc.uids.real == id,
        7 => proc.gids.effective == id,
        8 => proc.gids.real == id,
        _ => return None,
    })
}

/// A process as a listing has it; `None` when it has been reaped meanwhile.
pub(crate) fn kinfo(proc: &ProcRef<'_, Host>) -> Option<Kinfo> {
    const LSSLEEP: i8 = 3;
    const LSZOMB: i8 = 5;
    const LSONPROC: i8 = 7;
    let cred = proc.cred()?;
    // The one that was there first is the main one.
    let main = proc.lwps().last();
    let (stat, realstat) = match proc.state() {
        ProcState::Zombie => (LSZOMB, 5),
        ProcState::Dying => (LSZOMB, 3),
        _ if proc.lwps().all(|lwp| lwp.state() == LwpState::Sleeping) => (LSSLEEP, 2),
        _ => (LSONPROC, 2),
    };
    Some(Kinfo {
        pid: proc.pid().0,
        ppid: proc.ppid().0,
        pgid: proc.pgid()?.0,
        sid: proc.sid()?.0,
        uids: cred.users(),
        gids: cred.groups(),
        groups: cred.supplementary().to_vec(),
        pending: proc.pending(),
        blocked: main.map_or(SigSet::EMPTY, |lwp| lwp.blocked()),
        stat,
        realstat,
        nlwps: proc.nlwps().into(),
        comm: proc.comm().as_str().to_owned(),
        usage: proc.usage(),
    })
}

/// All processes, in the order of their numbers.
pub(crate) fn all(guard: &Guard<'_, Host>) -> Vec<Kinfo> {
    let mut all: Vec<_> = guard.procs().filter_map(|proc| kinfo(&proc)).collect();
    all.sort_by_key(|proc| proc.pid);
    all
}

/// The processes that are asked for, by operation, argument, size of an element and count.
/// `room`: what the client has; `None`: it asks how much it needs.
pub(super) fn list(
    k: &Entered<'_, Host>,
    [op, arg, size, count]: [i32; 4],
    room: Option<usize>,
) -> Result<Found, Errno> {
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    // An element may be of another release: shorter, or longer.
    if size > 4 * KINFO_PROC2 {
        return Err(Errno::EINVAL);
    }
    let guard = k.pin();
    let mut meant = Vec::new();
    for proc in all(&guard) {
        if is_meant(op, arg, &proc).ok_or(Errno::EINVAL)? {
            meant.push(proc);
        }
    }
    let needed = size * meant.len();
    let Some(room) = room else {
        return Ok(Found { bytes: Vec::new(), needed, told: needed + SLOP });
    };
    let fit = room.checked_div(size).unwrap_or(0).min(count);
    let mut bytes = Vec::new();
    for proc in meant.iter().take(fit) {
        let end = bytes.len() + size;
        bytes.extend_from_slice(&proc.to_bytes()[..size.min(KINFO_PROC2)]);
        bytes.resize(end, 0);
    }
    Ok(Found { told: bytes.len(), bytes, needed })
}
