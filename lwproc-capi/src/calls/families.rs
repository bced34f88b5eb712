//! Parents and children, as Linux has them: subreapers, signals at a parent's end, what a
//! process says of its children.
#![allow(unsafe_code)]

use libc::c_int;
use lwproc::{ChildFlags, Signo, Subreaper};

use super::store;
use crate::context;
use crate::mistake::{Mistake, errno};

/// Children that end from now on leave no zombies (SA_NOCLDWAIT).
pub const LWPROC_CHILD_NOWAIT: c_int = 1;
/// Children that stop or go on are told of to waits only (SA_NOCLDSTOP).
pub const LWPROC_CHILD_NOSTOP: c_int = 2;

/// Says whether the current process is a subreaper (PR_SET_CHILD_SUBREAPER), not 0: whether
/// the orphans that descend from it become its children, and not those of one above it.
/// Children are none by birth.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setsubreaper(is_one: c_int) -> c_int {
    let new = if is_one == 0 { Subreaper::No } else { Subreaper::Yes };
    errno("lwproc_setsubreaper", || {
        context::public(|cx| {
            let _before = cx.k().process().set_subreaper(new);
            Ok(())
        })
    })
}

/// Whether it is one, 1 or 0 into `is_one`.
///
/// # Safety
/// `is_one` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getsubreaper(is_one: *mut c_int) -> c_int {
    errno("lwproc_getsubreaper", || {
        let is = context::public(|cx| Ok(cx.k().process().subreaper()))?;
        // SAFETY: by contract.
        unsafe { store(is_one, c_int::from(is == Subreaper::Yes)) }
    })
}

/// Has the current process sent a signal when its parent ends, which is the LWP that made it
/// (PR_SET_PDEATHSIG), as the current LWP asks; 0: none. EINVAL: no such signal; an implicit
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setdeathsig(signo: c_int) -> c_int {
    errno("lwproc_setdeathsig", || {
        let new = match (signo, Signo::new(signo)) {
            (0, _) => None,
            (_, Some(signo)) => Some(signo),
            _ => return Err(Mistake::Argument("no such signal").into()),
        };
        context::public(|cx| {
            let _before = cx.k().signals().set_death_signal(new)?;
            Ok(())
        })
    })
}

/// Which one the current LWP has asked for; 0: none.
///
/// # Safety
/// `signo` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getdeathsig(signo: *mut c_int) -> c_int {
    errno("lwproc_getdeathsig", || {
        let asked = context::public(|cx| Ok(cx.k().signals().death_signal()))?;
        // SAFETY: by contract.
        unsafe { store(signo, asked.map_or(0, |signo| signo.number().into())) }
    })
}

/// Says LWPROC_CHILD_* of the current process's children: both, one or 0. EINVAL: unknown
/// flags. ENOSYS: without LWPROC_JOBS_KERNEL.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setchildflags(flags: c_int) -> c_int {
    errno("lwproc_setchildflags", || {
        if flags & !(LWPROC_CHILD_NOWAIT | LWPROC_CHILD_NOSTOP) != 0 {
            return Err(Mistake::Argument("unknown flags").into());
        }
        let said = NAMED.into_iter().filter(|(flag, _)| flags & flag != 0);
        let new = said.fold(ChildFlags::NONE, |all, (_, one)| all | one);
        context::public(|cx| {
            let _before = cx.k().signals().set_child_flags(new)?;
            Ok(())
        })
    })
}

/// What it says of them.
///
/// # Safety
/// `flags` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getchildflags(flags: *mut c_int) -> c_int {
    errno("lwproc_getchildflags", || {
        let said = context::public(|cx| Ok(cx.k().signals().child_flags()))?;
        let named = NAMED.into_iter().filter(|(_, one)| said.has(*one));
        // SAFETY: by contract.
        unsafe { store(flags, named.fold(0, |all, (flag, _)| all | flag)) }
    })
}

const NAMED: [(c_int, ChildFlags); 2] =
    [(LWPROC_CHILD_NOWAIT, ChildFlags::NO_WAIT), (LWPROC_CHILD_NOSTOP, ChildFlags::NO_STOP)];
