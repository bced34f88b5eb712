//! Who the current process is.
#![allow(unsafe_code)]

use std::sync::Arc;

use libc::{c_int, gid_t, pid_t, uid_t};
use lwproc::{Cred, CredChange, IdSet};

use super::{store, wanted};
use crate::context;
use crate::mistake::{Mistake, errno, must};

/// The current process's number; 1 for an implicit thread. Aborts before rump_init.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_getpid() -> pid_t {
    must("lwproc_getpid", || context::public(|cx| Ok(cx.k().process().alias().pid().0)))
}

/// The number of its parent. Aborts before rump_init.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_getppid() -> pid_t {
    must("lwproc_getppid", || context::public(|cx| Ok(cx.k().process().alias().ppid().0)))
}

/// The current LWP's number; 0 for an implicit thread. Aborts before rump_init.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_getlid() -> c_int {
    must("lwproc_getlid", || {
        context::public(|cx| Ok(cx.k().process().alias().lid().map_or(0, |lid| lid.0)))
    })
}

/// The real user id. Credentials are the same from entering to leaving, but for what the
/// thread itself changes. Aborts before rump_init.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_getuid() -> uid_t {
    must("lwproc_getuid", || context::public(|cx| Ok(cx.k().cred().users().real)))
}

/// The effective user id. Aborts before rump_init.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_geteuid() -> uid_t {
    must("lwproc_geteuid", || context::public(|cx| Ok(cx.k().cred().users().effective)))
}

/// The real group id. Aborts before rump_init.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_getgid() -> gid_t {
    must("lwproc_getgid", || context::public(|cx| Ok(cx.k().cred().groups().real)))
}

/// The effective group id. Aborts before rump_init.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_getegid() -> gid_t {
    must("lwproc_getegid", || context::public(|cx| Ok(cx.k().cred().groups().effective)))
}

/// Where three ids go; each is looked at before anything is written.
///
/// # Safety
/// Each of `out` is NULL, which is a mistake, or may be written.
unsafe fn store_ids(function: &str, out: [*mut u32; 3], look: fn(&Cred) -> IdSet) -> c_int {
    errno(function, || {
        out.into_iter().try_for_each(wanted)?;
        let ids = context::public(|cx| Ok(look(cx.k().cred())))?;
        for (out, id) in out.into_iter().zip([ids.real, ids.effective, ids.saved]) {
            // SAFETY: by contract.
            unsafe { store(out, id)? };
        }
        Ok(())
    })
}

/// getresuid(2): the real, the effective and the saved user id.
///
/// # Safety
/// `ruid`, `euid` and `suid` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getresuid(
    ruid: *mut uid_t,
    euid: *mut uid_t,
    suid: *mut uid_t,
) -> c_int {
    // SAFETY: by contract.
    unsafe { store_ids("lwproc_getresuid", [ruid, euid, suid], Cred::users) }
}

/// getresgid(2): the real, the effective and the saved group id.
///
/// # Safety
/// `rgid`, `egid` and `sgid` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getresgid(
    rgid: *mut gid_t,
    egid: *mut gid_t,
    sgid: *mut gid_t,
) -> c_int {
    // SAFETY: by contract.
    unsafe { store_ids("lwproc_getresgid", [rgid, egid, sgid], Cred::groups) }
}

fn set_cred(function: &str, change: &CredChange) -> c_int {
    errno(function, || context::public(|cx| Ok(cx.k_mut().creds().set(change)?)))
}

/// -1 leaves an id as it is.
fn optional(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

/// setuid(2) of the current process; its other LWPs see it at their next entry. EINVAL of
/// -1, EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setuid(uid: uid_t) -> c_int {
    set_cred("lwproc_setuid", &CredChange::SetUid(uid))
}

/// seteuid(2). EINVAL of -1, EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_seteuid(uid: uid_t) -> c_int {
    set_cred("lwproc_seteuid", &CredChange::SetEuid(uid))
}

/// setreuid(2); -1 leaves an id as it is. EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setreuid(ruid: uid_t, euid: uid_t) -> c_int {
    set_cred("lwproc_setreuid", &CredChange::SetReuid(optional(ruid), optional(euid)))
}

/// setresuid(2); -1 leaves an id as it is. EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setresuid(ruid: uid_t, euid: uid_t, suid: uid_t) -> c_int {
    let change = CredChange::SetResuid(optional(ruid), optional(euid), optional(suid));
    set_cred("lwproc_setresuid", &change)
}

/// setgid(2). EINVAL of -1, EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setgid(gid: gid_t) -> c_int {
    set_cred("lwproc_setgid", &CredChange::SetGid(gid))
}

/// setegid(2). EINVAL of -1, EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setegid(gid: gid_t) -> c_int {
    set_cred("lwproc_setegid", &CredChange::SetEgid(gid))
}

/// setregid(2); -1 leaves an id as it is. EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setregid(rgid: gid_t, egid: gid_t) -> c_int {
    set_cred("lwproc_setregid", &CredChange::SetRegid(optional(rgid), optional(egid)))
}

/// setresgid(2); -1 leaves an id as it is. EPERM.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setresgid(rgid: gid_t, egid: gid_t, sgid: gid_t) -> c_int {
    let change = CredChange::SetResgid(optional(rgid), optional(egid), optional(sgid));
    set_cred("lwproc_setresgid", &change)
}

/// setgroups(2). EPERM. EINVAL: more than 65,536.
///
/// # Safety
/// `groups` has `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_setgroups(count: usize, groups: *const gid_t) -> c_int {
    if count > lwproc::GROUPS_MAX || (groups.is_null() && count > 0) {
        return libc::EINVAL;
    }
    let groups: Arc<[u32]> = if count == 0 {
        Arc::new([])
    } else {
        // SAFETY: by contract.
        unsafe { std::slice::from_raw_parts(groups, count) }.into()
    };
    set_cred("lwproc_setgroups", &CredChange::SetGroups(groups))
}

/// The supplementary groups: their number into `count`, which says before how many `groups`
/// has room for. With room for 0 only the number is stored. EINVAL: not enough room.
///
/// # Safety
/// `count` may be written, and `groups` has room for as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getgroups(count: *mut usize, groups: *mut gid_t) -> c_int {
    errno("lwproc_getgroups", || {
        wanted(count)?;
        // SAFETY: by contract.
        let room = unsafe { count.read() };
        context::public(|cx| {
            let own = cx.k().cred().supplementary();
            if room > 0 && !own.is_empty() {
                wanted(groups)?;
                if room < own.len() {
                    return Err(Mistake::Argument("not enough room for the groups").into());
                }
                // SAFETY: by contract.
                unsafe { groups.copy_from_nonoverlapping(own.as_ptr(), own.len()) };
            }
            // SAFETY: by contract.
            unsafe { store(count, own.len()) }
        })
    })
}
