//! The embedder's functions: each counts, and finds what it may not call.

use libc::{c_int, c_void, pid_t};
use lwproc_capi::calls::attempt::{lwproc_try_releaselwp, lwproc_try_schedule};
use lwproc_capi::calls::hooks::lwproc_ending;
use lwproc_capi::calls::instances::{lwproc_count, lwproc_counts, lwproc_kernel_use};
use lwproc_capi::calls::rump::rump_pub_lwproc_rfork;
use lwproc_capi::calls::trace::lwproc_trace_event;
use lwproc_capi::{lwp, lwproc_hypercalls, lwproc_lwp_op, vmspace};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// How many of a thing the library has.
#[derive(Default)]
pub struct Live(AtomicI64);

impl Live {
    pub fn add(&self, more: i64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub fn count(&self) -> i64 {
        self.0.load(Relaxed)
    }

    /// What a callback that takes one away is given.
    pub fn as_arg(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

/// What the library was given and has not given back.
#[derive(Default)]
pub struct Has {
    pub lwps: Live,
    pub places: Live,
    pub vmspaces: Live,
    pub files: Live,
    pub values: Live,
    pub emuls: Live,
    pub sinks: Live,
    pub sync_objects: Live,
}

impl Has {
    pub fn all(&self) -> [i64; 8] {
        let Self { lwps, places, vmspaces, files, values, emuls, sinks, sync_objects } = self;
        [lwps, places, vmspaces, files, values, emuls, sinks, sync_objects].map(Live::count)
    }
}

pub fn may_not_call() {
    assert_eq!(lwproc_try_releaselwp(), libc::EDEADLK);
    assert_eq!(lwproc_try_schedule(), libc::EDEADLK);
    assert_eq!(rump_pub_lwproc_rfork(0), libc::EDEADLK);
    assert_eq!(lwproc_kernel_use(null_mut()), libc::EDEADLK);
    // It may look: the thread's kernel has gone when it is the one that is destroyed, and is
    // not known any more when the thread ends.
    let mut counts = lwproc_counts { procs: 0, lwps: 0, zombies: 0, ids: 0 };
    let looked = unsafe { lwproc_count(&mut counts) };
    assert!([0, libc::EINVAL, libc::EDEADLK].contains(&looked), "{looked}");
}

pub unsafe extern "C" fn goes(live: *mut c_void) {
    may_not_call();
    unsafe { &*live.cast::<Live>() }.add(-1);
}

pub unsafe extern "C" fn ending(_: *mut c_void, ending: *const lwproc_ending) {
    may_not_call();
    assert!(unsafe { (*ending).pid } > 1);
}

pub unsafe extern "C" fn traced(live: *mut c_void, event: *const lwproc_trace_event) {
    may_not_call();
    assert!(unsafe { &*live.cast::<Live>() }.count() > 0);
    assert!(unsafe { (*event).pid } >= 0);
}

/// Holds at the second look, at the latest.
pub unsafe extern "C" fn condition(looks: *mut c_void) -> c_int {
    may_not_call();
    let looks = unsafe { &mut *looks.cast::<u8>() };
    *looks = looks.wrapping_sub(1);
    (*looks == 0).into()
}

pub unsafe extern "C" fn sleep(_: *mut c_void) {
    may_not_call();
}

pub unsafe extern "C" fn unsleep(_: *mut c_void, lid: c_int) {
    assert!(lid >= 0);
}

unsafe extern "C" fn lwp_op(has: *mut c_void, op: lwproc_lwp_op, l: *mut lwp) {
    may_not_call();
    assert!(!l.is_null());
    let lwps = &unsafe { &*has.cast::<Has>() }.lwps;
    match op {
        lwproc_lwp_op::LWPROC_LWP_CREATE => lwps.add(1),
        lwproc_lwp_op::LWPROC_LWP_DESTROY => lwps.add(-1),
        _ => assert!(lwps.count() > 0),
    }
}

unsafe extern "C" fn raise(_: *mut c_void, pid: pid_t, signo: c_int) {
    may_not_call();
    assert!(pid >= 0 && signo > 0);
}

unsafe extern "C" fn syscall_intern(_: *mut c_void, _: *mut c_void, pid: pid_t) {
    may_not_call();
    assert!(pid > 1);
}

unsafe extern "C" fn vmspace_free(has: *mut c_void, vm: *mut vmspace) {
    may_not_call();
    assert!(!vm.is_null());
    unsafe { &*has.cast::<Has>() }.vmspaces.add(-1);
}

unsafe extern "C" fn vfs_init(has: *mut c_void, parent: *mut c_void) -> *mut c_void {
    may_not_call();
    // Each third process has none.
    let depth = (parent.addr() + 1) % 3;
    unsafe { &*has.cast::<Has>() }.places.add((depth != 0).into());
    std::ptr::without_provenance_mut(depth)
}

unsafe extern "C" fn vfs_release(has: *mut c_void, vfs: *mut c_void) {
    may_not_call();
    assert!(!vfs.is_null());
    unsafe { &*has.cast::<Has>() }.places.add(-1);
}

unsafe extern "C" fn lwp_renumber(has: *mut c_void, old: *mut lwp, l: *mut lwp) {
    may_not_call();
    assert!(!old.is_null() && !l.is_null() && old != l);
    assert!(unsafe { &*has.cast::<Has>() }.lwps.count() > 0);
}

pub fn hypercalls() -> lwproc_hypercalls {
    lwproc_hypercalls {
        lwp_op: Some(lwp_op),
        raise: Some(raise),
        syscall_intern: Some(syscall_intern),
        vmspace_free: Some(vmspace_free),
        vfs_init: Some(vfs_init),
        vfs_release: Some(vfs_release),
        now: None,
        lwp_renumber: Some(lwp_renumber),
    }
}
