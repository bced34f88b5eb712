//! Signals.
#![allow(unsafe_code)]

use libc::c_int;
use lwproc::{KillTarget, Lid, Pid, SigSet, Signo};

use super::store;
use crate::context;
use crate::mistake::{Mistake, errno};
use crate::names::proc;
use crate::registry;

/// kill(2), as the current process. Signal 0 only asks. What a signal does is a matter of
/// the kernel's LWPROC_SIGMODEL_*. EINVAL, ESRCH, EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_kill(target: libc::pid_t, signo: c_int) -> c_int {
    let target = KillTarget::from_raw(target);
    errno("lwproc_kill", || context::public(|cx| Ok(cx.k().signals().kill(target, signo)?)))
}

/// The same for one LWP, and no other of its process.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_lwp_kill(lid: c_int, signo: c_int) -> c_int {
    let target = KillTarget::Lwp(Lid(lid));
    errno("lwproc_lwp_kill", || context::public(|cx| Ok(cx.k().signals().kill(target, signo)?)))
}

/// The same for the LWP with that number of the process with that pid (tgkill); with one's
/// own pid, _lwp_kill. ESRCH also when the LWP is another process's.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_tgkill(pid: libc::pid_t, lid: c_int, signo: c_int) -> c_int {
    let target = KillTarget::LwpOf(Pid(pid), Lid(lid));
    errno("lwproc_tgkill", || context::public(|cx| Ok(cx.k().signals().kill(target, signo)?)))
}

/// Posts a signal to a process, whoever may send one: what the kernel itself tells it
/// (psignal), such as an exit hook. Nothing happens to one that has ended. EINVAL: no such
/// signal, or no such process. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_psignal(p: *mut proc, signo: c_int) -> c_int {
    errno("lwproc_psignal", || {
        let signo = Signo::new(signo).ok_or(Mistake::Argument("no such signal"))?;
        Ok(registry::current()?.with_proc(p, |p| p.post(signo))?)
    })
}

/// The signals pending for the current LWP: bit N - 1 for signal N.
///
/// # Safety
/// `set` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sigpending(set: *mut u64) -> c_int {
    errno("lwproc_sigpending", || {
        let pending = context::public(|cx| Ok(cx.k().signals().pending()))?;
        // SAFETY: by contract.
        unsafe { store(set, pending.bits()) }
    })
}

/// Replaces what the current LWP blocks; the mask from before into `old`, unless that is
/// NULL. EINVAL: an implicit thread has none.
///
/// # Safety
/// `old` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sigmask(set: u64, old: *mut u64) -> c_int {
    errno("lwproc_sigmask", || {
        let before =
            context::public(|cx| Ok(cx.k_mut().signals().set_blocked(SigSet::from_bits(set))?))?;
        // SAFETY: by contract.
        if old.is_null() { Ok(()) } else { unsafe { store(old, before.bits()) } }
    })
}

/// Takes a pending signal that is not blocked; 0 when there is none.
///
/// # Safety
/// `signo` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sigtake(signo: *mut c_int) -> c_int {
    errno("lwproc_sigtake", || {
        super::wanted(signo)?;
        let taken = context::public(|cx| Ok(cx.k_mut().signals().take()))?;
        // SAFETY: by contract.
        unsafe { store(signo, taken.map_or(0, |signo| c_int::from(signo.number()))) }
    })
}
