//! Terminals, as far as sessions have one.
#![allow(unsafe_code)]

use libc::{c_int, pid_t};
use lwproc::{Pid, Signo, Terminal, TerminalError, Tostop};

use super::{store, wanted};
use crate::context::{self, Context};
use crate::mistake::{Mistake, Refusal, errno, must};
use crate::registry;

/// A terminal: which session has it, and which group is in the foreground. It keeps nothing of
/// the kernel. A real pointer: given back once, by lwproc_terminal_destroy, in any thread.
pub struct lwproc_terminal {
    terminal: Terminal,
}

impl std::fmt::Debug for lwproc_terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.terminal.fmt(f)
    }
}

/// # Safety
/// NULL, which is a mistake, or a terminal that is not destroyed before the result goes.
unsafe fn terminal<'a>(terminal: *const lwproc_terminal) -> Result<&'a Terminal, Refusal> {
    // SAFETY: by contract.
    let terminal = unsafe { terminal.as_ref() }.ok_or(Mistake::Argument("no terminal"))?;
    Ok(&terminal.terminal)
}

/// What the current process does at a terminal.
///
/// # Safety
/// As `terminal`.
unsafe fn at(
    function: &str,
    t: *const lwproc_terminal,
    act: impl FnOnce(&Context, &Terminal) -> Result<(), TerminalError>,
) -> c_int {
    errno(function, || {
        // SAFETY: by contract.
        let terminal = unsafe { terminal(t)? };
        context::public(|cx| Ok(act(cx, terminal)?))
    })
}

/// A terminal of this thread's kernel that no session has. Also in a callback.
///
/// # Safety
/// `t` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_create(t: *mut *mut lwproc_terminal) -> c_int {
    errno("lwproc_terminal_create", || {
        wanted(t)?;
        let terminal = registry::current()?.kernel.new_terminal();
        // SAFETY: by contract.
        unsafe { store(t, Box::into_raw(Box::new(lwproc_terminal { terminal }))) }
    })
}

/// Gives a terminal back; to be hung up before, if a session may have it. NULL: does nothing.
/// Also in a callback.
///
/// # Safety
/// `t` is from lwproc_terminal_create, and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_destroy(t: *mut lwproc_terminal) {
    must("lwproc_terminal_destroy", || {
        if !t.is_null() {
            // SAFETY: by contract.
            drop(unsafe { Box::from_raw(t) });
        }
        Ok(())
    });
}

/// Makes it the controlling terminal of the current process's session, with the process's
/// group in the foreground (TIOCSCTTY). EPERM: the process leads no session, the session has
/// a terminal, or the terminal another session. EXDEV: it is of another kernel.
///
/// # Safety
/// `t` is from lwproc_terminal_create, and was not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_acquire(t: *const lwproc_terminal) -> c_int {
    // SAFETY: by contract.
    unsafe { at("lwproc_terminal_acquire", t, |cx, t| cx.k().terminal(t).acquire()) }
}

/// As lwproc_terminal_acquire; the superuser takes it from another session, too, which nobody
/// is told of (TIOCSCTTY with 1).
///
/// # Safety
/// As lwproc_terminal_acquire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_steal(t: *const lwproc_terminal) -> c_int {
    // SAFETY: by contract.
    unsafe { at("lwproc_terminal_steal", t, |cx, t| cx.k().terminal(t).steal()) }
}

/// Gives it up (TIOCNOTTY). If the process leads the session, that loses it, and the group in
/// the foreground gets SIGHUP, then SIGCONT. Else the process alone loses it. ENOTTY: it is
/// not its controlling terminal. EINVAL: a leader, by NetBSD's rules.
///
/// # Safety
/// As lwproc_terminal_acquire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_give_up(t: *const lwproc_terminal) -> c_int {
    // SAFETY: by contract.
    unsafe { at("lwproc_terminal_give_up", t, |cx, t| cx.k().terminal(t).give_up()) }
}

/// Whether it is the controlling terminal of the current process, 1 or 0 into `answer`: what
/// /dev/tty opens.
///
/// # Safety
/// As lwproc_terminal_acquire; `answer` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_controls(
    t: *const lwproc_terminal,
    answer: *mut c_int,
) -> c_int {
    errno("lwproc_terminal_controls", || {
        // SAFETY: by contract.
        let terminal = unsafe { terminal(t)? };
        let own = context::public(|cx| Ok(cx.k().groups().controlling_terminal()))?;
        // SAFETY: by contract.
        unsafe { store(answer, c_int::from(own.as_ref() == Some(terminal))) }
    })
}

/// The group in the foreground, which may have ended (tcgetpgrp). ENOTTY.
///
/// # Safety
/// As lwproc_terminal_acquire; `pgid` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_foreground(
    t: *const lwproc_terminal,
    pgid: *mut pid_t,
) -> c_int {
    errno("lwproc_terminal_foreground", || {
        // SAFETY: by contract.
        let terminal = unsafe { terminal(t)? };
        let found = context::public(|cx| Ok(cx.k().terminal(terminal).foreground()?))?;
        // SAFETY: by contract.
        unsafe { store(pgid, found.0) }
    })
}

/// Its session (tcgetsid). ENOTTY.
///
/// # Safety
/// As lwproc_terminal_acquire; `sid` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_session(
    t: *const lwproc_terminal,
    sid: *mut pid_t,
) -> c_int {
    errno("lwproc_terminal_session", || {
        // SAFETY: by contract.
        let terminal = unsafe { terminal(t)? };
        let found = context::public(|cx| Ok(cx.k().terminal(terminal).session()?))?;
        // SAFETY: by contract.
        unsafe { store(sid, found.0) }
    })
}

/// Its session and the group in the foreground, whoever asks (what the master of a
/// pseudo-terminal may); both 0 when no session has it. Either pointer may be NULL. Also in a
/// callback.
///
/// # Safety
/// As lwproc_terminal_acquire; `sid` and `pgid` are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_look(
    t: *const lwproc_terminal,
    sid: *mut pid_t,
    pgid: *mut pid_t,
) -> c_int {
    errno("lwproc_terminal_look", || {
        // SAFETY: by contract.
        let terminal = unsafe { terminal(t)? };
        for (place, found) in [(sid, terminal.session()), (pgid, terminal.foreground())] {
            if !place.is_null() {
                // SAFETY: by contract.
                unsafe { store(place, found.map_or(0, |pid| pid.0))? };
            }
        }
        Ok(())
    })
}

/// Puts a group of the session in the foreground (tcsetpgrp), if lwproc_terminal_may_change
/// allows it. EINTR, as there. ENOTTY, also for EIO there. EINVAL, ESRCH, EPERM.
///
/// # Safety
/// As lwproc_terminal_acquire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_setforeground(
    t: *const lwproc_terminal,
    pgid: pid_t,
) -> c_int {
    let set = |cx: &Context, t: &Terminal| cx.k().terminal(t).set_foreground(Pid(pgid));
    // SAFETY: by contract.
    unsafe { at("lwproc_terminal_setforeground", t, set) }
}

/// Whether the process may read now. In the background its group is sent SIGTTIN: EINTR, and
/// the LWP is to look for signals and to try again. EIO: that is blocked or ignored, or the
/// group is orphaned.
///
/// # Safety
/// As lwproc_terminal_acquire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_may_read(t: *const lwproc_terminal) -> c_int {
    // SAFETY: by contract.
    unsafe { at("lwproc_terminal_may_read", t, |cx, t| cx.k().terminal(t).may_read()) }
}

/// Whether the process may write now: `tostop` 0, it may. In the background its group is sent
/// SIGTTOU, unless that is blocked or ignored: EINTR. EIO: the group is orphaned.
///
/// # Safety
/// As lwproc_terminal_acquire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_may_write(
    t: *const lwproc_terminal,
    tostop: c_int,
) -> c_int {
    let tostop = if tostop == 0 { Tostop::Clear } else { Tostop::Set };
    let write = |cx: &Context, t: &Terminal| cx.k().terminal(t).may_write(tostop);
    // SAFETY: by contract.
    unsafe { at("lwproc_terminal_may_write", t, write) }
}

/// Whether the process may change the terminal now (tcsetattr and its kin), as it may write
/// with `tostop`.
///
/// # Safety
/// As lwproc_terminal_acquire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_may_change(t: *const lwproc_terminal) -> c_int {
    // SAFETY: by contract.
    unsafe { at("lwproc_terminal_may_change", t, |cx, t| cx.k().terminal(t).may_change()) }
}

/// The line is gone: the session loses the terminal, and its leader gets SIGHUP. Whoever
/// calls. EXDEV.
///
/// # Safety
/// As lwproc_terminal_acquire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_hang_up(t: *const lwproc_terminal) -> c_int {
    // SAFETY: by contract.
    unsafe { at("lwproc_terminal_hang_up", t, |cx, t| cx.k().terminal(t).hang_up()) }
}

/// Sends a signal to the group in the foreground, as SIGINT for what is typed; nothing when it
/// has ended. Whoever calls. EINVAL: no such signal. EXDEV.
///
/// # Safety
/// As lwproc_terminal_acquire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_terminal_signal(t: *const lwproc_terminal, signo: c_int) -> c_int {
    errno("lwproc_terminal_signal", || {
        // SAFETY: by contract.
        let terminal = unsafe { terminal(t)? };
        let signo = Signo::new(signo).ok_or(Mistake::Argument("no such signal"))?;
        context::public(|cx| Ok(cx.k().terminal(terminal).signal_foreground(signo)?))
    })
}
