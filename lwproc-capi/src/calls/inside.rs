//! What in-kernel callers use: between `rump_schedule` and `rump_unschedule`.
#![allow(unsafe_code)]

use libc::{c_int, pid_t};
use lwproc::{Lid, Pid};

use super::rump::usenative;
use crate::context::{self, Context};
use crate::embedded::vmspace;
use crate::instance::Instance;
use crate::mistake::{Mistake, Refusal, errno, must};
use crate::names::{LwpName, lwp, proc};
use crate::registry;

/// Enters the kernel: as this thread's LWP, or as an implicit thread of process 1. With
/// virtual CPUs it waits for one.
///
/// Aborts before rump_init, and when the thread is scheduled already.
#[unsafe(no_mangle)]
pub extern "C" fn rump_schedule() {
    must("rump_schedule", context::schedule);
}

/// Leaves the kernel. An exiting LWP is released, one that was switched to NULL is parked,
/// any other stays this thread's.
///
/// Aborts when the thread is not scheduled.
#[unsafe(no_mangle)]
pub extern "C" fn rump_unschedule() {
    must("rump_unschedule", context::unschedule);
}

/// As rump_pub_lwproc_rfork. All rump_lwproc_* and rump__lwproc_* functions abort outside
/// rump_schedule.
#[unsafe(no_mangle)]
pub extern "C" fn rump_lwproc_rfork(flags: c_int) -> c_int {
    inside_errno("rump_lwproc_rfork", |cx| Ok(cx.rfork(std::ptr::null_mut(), flags)?))
}

/// As rump_lwproc_rfork, with an address space that is freed by the hypercall vmspace_free
/// when the process ends, or the call fails otherwise than by EINVAL. NULL: the local one.
#[unsafe(no_mangle)]
pub extern "C" fn rump_lwproc_rfork_vmspace(vm: *mut vmspace, flags: c_int) -> c_int {
    inside_errno("rump_lwproc_rfork_vmspace", |cx| Ok(cx.rfork(vm, flags)?))
}

/// As rump_pub_lwproc_newlwp.
#[unsafe(no_mangle)]
pub extern "C" fn rump_lwproc_newlwp(pid: pid_t) -> c_int {
    inside_errno("rump_lwproc_newlwp", |cx| Ok(cx.newlwp(Pid(pid))?))
}

/// As rump_pub_lwproc_switch. With NULL the LWP is current until rump_unschedule parks it.
#[unsafe(no_mangle)]
pub extern "C" fn rump_lwproc_switch(l: *mut lwp) {
    inside_must("rump_lwproc_switch", |cx| Ok(cx.switch(l)?));
}

/// Marks the current LWP exiting: it is released by the next switch, or by rump_unschedule.
///
/// Aborts as rump_pub_lwproc_releaselwp.
#[unsafe(no_mangle)]
pub extern "C" fn rump_lwproc_releaselwp() {
    inside_must("rump_lwproc_releaselwp", |cx| Ok(cx.releaselwp()?));
}

/// The current LWP; NULL for an implicit thread, and when it is exiting.
#[unsafe(no_mangle)]
pub extern "C" fn rump_lwproc_curlwp() -> *mut lwp {
    inside_must("rump_lwproc_curlwp", |cx| Ok(cx.curlwp()))
}

/// The LWP that this thread was last set to run as, exiting or not, in a call or not; NULL:
/// none. With LWPs of several kernels bound to the thread, the last one. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn rump_lwproc_curlwp_hypercall() -> *mut lwp {
    find("rump_lwproc_curlwp_hypercall", |instance| {
        let token = instance.kernel.host_curlwp();
        Ok(token.map_or(std::ptr::null_mut(), |token| LwpName::of(token).to_ptr()))
    })
}

/// As rump_pub_lwproc_sysent_usenative.
#[unsafe(no_mangle)]
pub extern "C" fn rump_lwproc_sysent_usenative() {
    inside_must("rump_lwproc_sysent_usenative", usenative);
}

/// As rump_pub_allbetsareoff_setid.
#[unsafe(no_mangle)]
pub extern "C" fn rump_allbetsareoff_setid(pid: pid_t, lid: c_int) {
    inside_must("rump_allbetsareoff_setid", |cx| {
        cx.k_mut().process().alias().set(Pid(pid), Lid(lid));
        Ok(())
    });
}

/// A new LWP of a process, or of a new process when `p` is NULL: parked, to be switched to.
///
/// NULL: the process takes no more LWPs, or no id is left. Aborts when the process has gone,
/// or is none.
#[unsafe(no_mangle)]
pub extern "C" fn rump__lwproc_alloclwp(p: *mut proc) -> *mut lwp {
    inside_must("rump__lwproc_alloclwp", |cx| match alloclwp(cx, p) {
        Err(Mistake::Refused(..)) => Ok(std::ptr::null_mut()),
        other => Ok(other?),
    })
}

pub(super) fn alloclwp(cx: &Context, p: *mut proc) -> Result<*mut lwp, Mistake> {
    let kernel = &cx.instance.kernel;
    let new = if p.is_null() { kernel.spawn().start()? } else { cx.instance.proc(p)?.new_lwp()? };
    let name = LwpName::of(new.token());
    drop(new.unclaim());
    Ok(name.to_ptr())
}

/// Holds the current LWP; one that was exiting lives on, and an implicit thread becomes an
/// LWP of process 1.
#[unsafe(no_mangle)]
pub extern "C" fn rump__lwproc_lwphold() {
    inside_must("rump__lwproc_lwphold", |cx| Ok(cx.k_mut().hold()?));
}

/// Drops a hold of the current LWP; with the last it is exiting.
///
/// Aborts when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn rump__lwproc_lwprele() {
    inside_must("rump__lwproc_lwprele", |cx| Ok(cx.k_mut().unhold()?));
}

/// The live LWP of a process with that number; NULL: none. No lock is needed. Also in a
/// callback.
///
/// Aborts when `p` has gone, or is none.
#[unsafe(no_mangle)]
pub extern "C" fn lwp_find(p: *mut proc, id: c_int) -> *mut lwp {
    find("lwp_find", |instance| {
        let pid = instance.with_proc(p, |p| p.pid())?;
        let guard = instance.kernel.pin();
        let found = guard.lwp(Lid(id)).filter(|l| l.pid() == pid);
        Ok(found.map_or(std::ptr::null_mut(), |l| LwpName::of(l.token()).to_ptr()))
    })
}

/// The process with that pid, zombies included; NULL: none. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_proc_find(pid: pid_t) -> *mut proc {
    find("lwproc_proc_find", |instance| Ok(instance.proc_ptr(Pid(pid))))
}

/// A look-up in this thread's kernel. A thread that is ending has none, and finds nothing.
fn find<T>(function: &str, look: impl FnOnce(&Instance) -> Result<*mut T, Mistake>) -> *mut T {
    must(function, || match registry::current() {
        Ok(instance) => Ok(look(&instance)?),
        Err(Mistake::Ending) => Ok(std::ptr::null_mut()),
        Err(why) => Err(why.into()),
    })
}

/// The current process; process 1 for an implicit thread.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_curproc() -> *mut proc {
    must("lwproc_curproc", || context::public(|cx| Ok(cx.instance.proc_ptr(cx.k().pid()))))
}

fn inside_must<T>(function: &str, call: impl FnOnce(&mut Context) -> Result<T, Refusal>) -> T {
    must(function, || context::inside(call))
}

/// An in-kernel call that answers with an errno; to be outside is no answer.
fn inside_errno(function: &str, call: impl FnOnce(&mut Context) -> Result<(), Refusal>) -> c_int {
    if !context::is_scheduled() {
        must::<()>(function, || Err(Mistake::NotScheduled.into()));
    }
    errno(function, || context::inside(call))
}
