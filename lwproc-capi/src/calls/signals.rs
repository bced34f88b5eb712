//! Signals.
#![allow(unsafe_code)]

use libc::{c_int, c_void, pid_t, uid_t};
use lwproc::{Disposition, KillTarget, Lid, Pid, QueueTarget, SigSet, Signo, Taken};

use super::{store, until, wanted};
use crate::context;
use crate::embedded::Shared;
use crate::mistake::{Mistake, Refusal, errno};
use crate::names::proc;
use crate::registry;

/// What the signal does by default: SIGTSTP, SIGTTIN and SIGTTOU stop the process.
pub const LWPROC_SIG_DEFAULT: c_int = 0;
/// It is dropped, unless it is blocked. Of SIGCHLD: children that end leave no zombies.
pub const LWPROC_SIG_IGNORE: c_int = 1;
/// An LWP takes it.
pub const LWPROC_SIG_CATCH: c_int = 2;

/// A signal that was taken.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_siginfo {
    /// Its number; 0: there was none.
    pub signo: c_int,
    /// 1: it was queued, with `value`; 0: it was sent otherwise.
    pub queued: c_int,
    /// What lwproc_sigqueue was given; else NULL.
    pub value: *mut c_void,
}

impl From<Option<Taken<Shared>>> for lwproc_siginfo {
    fn from(taken: Option<Taken<Shared>>) -> Self {
        let value = taken.and_then(|taken| taken.value);
        Self {
            signo: taken.map_or(0, |taken| taken.signo.number().into()),
            queued: value.is_some().into(),
            value: value.map_or(std::ptr::null_mut(), |value| value.0),
        }
    }
}

/// kill(2), as the current process. Signal 0 only asks. What a signal does is a matter of
/// the kernel's LWPROC_SIGMODEL_*. EINVAL, ESRCH, EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_kill(target: pid_t, signo: c_int) -> c_int {
    kill("lwproc_kill", KillTarget::from_raw(target), signo)
}

/// The same for one LWP, and no other of its process.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_lwp_kill(lid: c_int, signo: c_int) -> c_int {
    kill("lwproc_lwp_kill", KillTarget::Lwp(Lid(lid)), signo)
}

/// The same for the LWP with that number of the process with that pid (tgkill); with one's
/// own pid, _lwp_kill. ESRCH also when the LWP is another process's.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_tgkill(pid: pid_t, lid: c_int, signo: c_int) -> c_int {
    kill("lwproc_tgkill", KillTarget::LwpOf(Pid(pid), Lid(lid)), signo)
}

fn kill(function: &str, target: KillTarget, signo: c_int) -> c_int {
    errno(function, || context::public(|cx| Ok(cx.k().signals().kill(target, signo)?)))
}

/// lwproc_kill of each process of a session. As of all that name many, no child that one of
/// them is making escapes.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_kill_session(sid: pid_t, signo: c_int) -> c_int {
    kill("lwproc_kill_session", KillTarget::Session(Pid(sid)), signo)
}

/// lwproc_kill of a process and all that descend from it.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_kill_tree(pid: pid_t, signo: c_int) -> c_int {
    kill("lwproc_kill_tree", KillTarget::Tree(Pid(pid)), signo)
}

/// lwproc_kill of each process with that real uid.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_kill_user(uid: uid_t, signo: c_int) -> c_int {
    kill("lwproc_kill_user", KillTarget::User(uid), signo)
}

fn queue(function: &str, target: QueueTarget, signo: c_int, value: *mut c_void) -> c_int {
    errno(function, || {
        context::public(|cx| Ok(cx.k().signals().queue(target, signo, Shared(value))?))
    })
}

/// sigqueue(2): lwproc_kill of one process, with a value for who takes the signal. With
/// LWPROC_SIGMODEL_RECORD each signal from SIGRTMIN on (33 to 63; 32 to 64 by Linux's rules) is
/// kept that is sent, also by lwproc_kill; of any other number one is pending at a time. The
/// value is never looked through; of a signal that nobody takes it is forgotten.
///
/// As lwproc_kill; EAGAIN, from SIGRTMIN on: `max_queued_signals` are queued.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_sigqueue(pid: pid_t, signo: c_int, value: *mut c_void) -> c_int {
    queue("lwproc_sigqueue", QueueTarget::Proc(Pid(pid)), signo, value)
}

/// The same for one LWP, and no other of its process.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_lwp_sigqueue(lid: c_int, signo: c_int, value: *mut c_void) -> c_int {
    queue("lwproc_lwp_sigqueue", QueueTarget::Lwp(Lid(lid)), signo, value)
}

/// The same for the LWP with that number of the process with that pid (rt_tgsigqueueinfo).
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_tgsigqueue(
    pid: pid_t,
    lid: c_int,
    signo: c_int,
    value: *mut c_void,
) -> c_int {
    queue("lwproc_tgsigqueue", QueueTarget::LwpOf(Pid(pid), Lid(lid)), signo, value)
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
        wanted(signo)?;
        let taken = context::public(|cx| Ok(cx.k_mut().signals().take()))?;
        // SAFETY: by contract.
        unsafe { store(signo, taken.map_or(0, |signo| c_int::from(signo.number()))) }
    })
}

/// As lwproc_sigtake, with the value that was queued.
///
/// # Safety
/// `info` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sigtake_info(info: *mut lwproc_siginfo) -> c_int {
    errno("lwproc_sigtake_info", || {
        wanted(info)?;
        let taken = context::public(|cx| Ok(cx.k_mut().signals().take_info()))?;
        // SAFETY: by contract.
        unsafe { store(info, taken.into()) }
    })
}

/// Takes a pending signal of a set, blocked or not, whatever the process does with it.
///
/// # Safety
/// `info` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sigtake_of(set: u64, info: *mut lwproc_siginfo) -> c_int {
    errno("lwproc_sigtake_of", || {
        wanted(info)?;
        let set = SigSet::from_bits(set);
        let taken = context::public(|cx| Ok(cx.k_mut().signals().take_of(set)))?;
        // SAFETY: by contract.
        unsafe { store(info, taken.into()) }
    })
}

/// As lwproc_sigtake_of, and blocks the thread until there is one, or the deadline has come, a
/// time of CLOCK_MONOTONIC; NULL: never (sigtimedwait). Each LWP of the process should block
/// the set. ETIMEDOUT. EINTR: another signal is to be taken, or as of lwproc_sleep. EINVAL: no
/// time.
///
/// # Safety
/// `info` may be written; `deadline` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_sigwait(
    set: u64,
    info: *mut lwproc_siginfo,
    deadline: *const libc::timespec,
) -> c_int {
    errno("lwproc_sigwait", || {
        wanted(info)?;
        // SAFETY: by contract.
        let deadline = unsafe { until(deadline)? };
        let set = SigSet::from_bits(set);
        let taken =
            context::public_until(deadline, |cx| Ok(cx.k_mut().until(deadline).take_of(set)?))?;
        // SAFETY: by contract.
        unsafe { store(info, Some(taken).into()) }
    })
}

/// Discards what is pending of a set for the current LWP and its process, blocked or not.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_sigdiscard(set: u64) -> c_int {
    errno("lwproc_sigdiscard", || {
        context::public(|cx| {
            cx.k_mut().signals().discard(SigSet::from_bits(set));
            Ok(())
        })
    })
}

/// What the current process does with a signal: LWPROC_SIG_* into `disposition`. As
/// lwproc_setdisposition.
///
/// # Safety
/// `disposition` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getdisposition(signo: c_int, disposition: *mut c_int) -> c_int {
    errno("lwproc_getdisposition", || {
        let does = context::public(|cx| Ok(cx.k().signals().disposition(signo)?))?;
        // SAFETY: by contract.
        unsafe { store(disposition, number_of(does)) }
    })
}

/// Says what the current process does with a signal, LWPROC_SIG_*; what it did before into
/// `old`, unless that is NULL. What becomes ignored is discarded, be it pending. Children do
/// as their parent; lwproc_execnotify makes what is caught LWPROC_SIG_DEFAULT. EINVAL: no such
/// signal or disposition; SIGKILL, SIGSTOP. ENOSYS: without LWPROC_JOBS_KERNEL.
///
/// # Safety
/// `old` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_setdisposition(
    signo: c_int,
    disposition: c_int,
    old: *mut c_int,
) -> c_int {
    errno("lwproc_setdisposition", || {
        let new = disposition_of(disposition)?;
        let before = context::public(|cx| Ok(cx.k_mut().signals().set_disposition(signo, new)?))?;
        // SAFETY: by contract.
        if old.is_null() { Ok(()) } else { unsafe { store(old, number_of(before)) } }
    })
}

const fn number_of(disposition: Disposition) -> c_int {
    match disposition {
        Disposition::Default => LWPROC_SIG_DEFAULT,
        Disposition::Ignore => LWPROC_SIG_IGNORE,
        Disposition::Catch => LWPROC_SIG_CATCH,
    }
}

fn disposition_of(number: c_int) -> Result<Disposition, Refusal> {
    match number {
        LWPROC_SIG_DEFAULT => Ok(Disposition::Default),
        LWPROC_SIG_IGNORE => Ok(Disposition::Ignore),
        LWPROC_SIG_CATCH => Ok(Disposition::Catch),
        _ => Err(Mistake::Argument("no such disposition").into()),
    }
}
