//! What the kernel asks of the embedder: hypercalls.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::time::Duration;

use libc::{c_int, c_void, pid_t};
use lwproc::{Host, LwpToken, Pid, Signo};

use crate::embedded::{Emulation, Place, Shared, Value, VmSpace, in_callback, vmspace};
use crate::names::{LwpName, lwp};

/// What happens to an LWP.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum lwproc_lwp_op {
    /// It comes to be; before any other.
    LWPROC_LWP_CREATE,
    /// It is gone; once, and last.
    LWPROC_LWP_DESTROY,
    /// The calling thread now runs as it.
    LWPROC_LWP_SET,
    /// The calling thread no longer does.
    LWPROC_LWP_CLEAR,
}

/// The hypercalls. Each may be NULL. `arg` is that of the configuration.
///
/// They are callbacks, in any thread, also at a thread's end. They may not leave by longjmp or
/// an exception. The kernel holds no lock meanwhile.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct lwproc_hypercalls {
    /// An LWP is made, ends, starts to run on this thread or stops to.
    pub lwp_op: Option<unsafe extern "C" fn(arg: *mut c_void, op: lwproc_lwp_op, l: *mut lwp)>,
    /// A signal for a process, with the model LWPROC_SIGMODEL_RAISE.
    pub raise: Option<unsafe extern "C" fn(arg: *mut c_void, pid: pid_t, signo: c_int)>,
    /// A process is made, which has the default emulation: what lwproc_emul_add was given,
    /// NULL for the native one. It cannot be found by its number yet.
    pub syscall_intern:
        Option<unsafe extern "C" fn(arg: *mut c_void, emul: *mut c_void, pid: pid_t)>,
    /// The process that was forked with this address space has ended.
    pub vmspace_free: Option<unsafe extern "C" fn(arg: *mut c_void, vm: *mut vmspace)>,
    /// The place in the file system of a new process, from its parent's: of the embedder's
    /// type; NULL is none, which proc0 and process 1 have. Called before the process is
    /// made.
    pub vfs_init:
        Option<unsafe extern "C" fn(arg: *mut c_void, parent: *mut c_void) -> *mut c_void>,
    /// A place that vfs_init made is given back: the process has ended, or was not made
    /// after all.
    pub vfs_release: Option<unsafe extern "C" fn(arg: *mut c_void, vfs: *mut c_void)>,
    /// What time it is, for deadlines; it never goes back. NULL: what CLOCK_MONOTONIC says. A
    /// program that has a time of its own calls lwproc_tick when it has passed.
    pub now: Option<unsafe extern "C" fn(arg: *mut c_void, now: *mut libc::timespec)>,
    /// An LWP has taken its process's number, by lwproc_execnotify: what `old` was is `l` from
    /// now on, in the hypercalls too, and `old` has gone. In the thread that runs as it.
    pub lwp_renumber: Option<unsafe extern "C" fn(arg: *mut c_void, old: *mut lwp, l: *mut lwp)>,
}

std::thread_local! {
    /// The LWP that this thread was last set to run as, of all kernels.
    static CURRENT: Cell<Option<LwpToken>> = const { Cell::new(None) };
}

/// When a call that blocks is given up, by the host's time.
pub(crate) type Deadline = Duration;

pub(crate) const NEVER: Deadline = Duration::MAX;

/// What C names by a time; `None`: nothing. What was before the origin is the origin.
pub(crate) fn time(time: &libc::timespec) -> Option<Duration> {
    let nanos = u32::try_from(time.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    match u64::try_from(time.tv_sec) {
        Ok(secs) => Some(Duration::new(secs, nanos)),
        Err(_) => Some(Duration::ZERO),
    }
}

/// The host of a kernel that C made.
#[derive(Debug)]
pub(crate) struct CHost {
    calls: lwproc_hypercalls,
    arg: Shared,
}

impl CHost {
    pub(crate) fn new(calls: lwproc_hypercalls, arg: *mut c_void) -> Self {
        Self { calls, arg: Shared(arg) }
    }

    pub(crate) fn vmspace(&self, vm: *mut vmspace) -> VmSpace {
        VmSpace::new(vm, self.calls.vmspace_free, self.arg)
    }

    fn lwp_op(&self, op: lwproc_lwp_op, lwp: LwpToken) {
        if let Some(call) = self.calls.lwp_op {
            let lwp = LwpName::of(lwp).to_ptr();
            // SAFETY: the embedder's function and its argument.
            in_callback(|| unsafe { call(self.arg.0, op, lwp) });
        }
    }
}

impl Host for CHost {
    type VmSpace = VmSpace;
    type File = Value;
    type Emul = Emulation;
    type Vfs = Place;
    type SigValue = Shared;

    fn create(&self, lwp: LwpToken) {
        self.lwp_op(lwproc_lwp_op::LWPROC_LWP_CREATE, lwp);
    }

    fn destroy(&self, lwp: LwpToken) {
        self.lwp_op(lwproc_lwp_op::LWPROC_LWP_DESTROY, lwp);
    }

    fn set(&self, lwp: LwpToken) {
        CURRENT.set(Some(lwp));
        self.lwp_op(lwproc_lwp_op::LWPROC_LWP_SET, lwp);
    }

    fn clear(&self, lwp: LwpToken) {
        // Another kernel on this thread may have set its own since.
        if CURRENT.get() == Some(lwp) {
            CURRENT.set(None);
        }
        self.lwp_op(lwproc_lwp_op::LWPROC_LWP_CLEAR, lwp);
    }

    fn renumber(&self, old: LwpToken, new: LwpToken) {
        if CURRENT.get() == Some(old) {
            CURRENT.set(Some(new));
        }
        if let Some(call) = self.calls.lwp_renumber {
            let [old, new] = [old, new].map(|lwp| LwpName::of(lwp).to_ptr());
            // SAFETY: the embedder's function and its arguments.
            in_callback(|| unsafe { call(self.arg.0, old, new) });
        }
    }

    fn current(&self) -> Option<LwpToken> {
        CURRENT.get()
    }

    // The clock that C programs name; and the library's own is made when it is first asked,
    // which a fork may find half done.
    fn now(&self) -> Duration {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        match self.calls.now {
            // SAFETY: the embedder's function and its arguments.
            Some(call) => in_callback(|| unsafe { call(self.arg.0, &mut now) }),
            // SAFETY: it may be written. There is such a clock, so the call succeeds.
            None => drop(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) }),
        }
        time(&now).unwrap_or_default()
    }

    fn sleep_limit(&self, deadline: Duration) -> Option<Duration> {
        // Only the embedder knows when its time will have passed: `lwproc_tick`.
        self.calls.now.is_none().then(|| deadline.saturating_sub(self.now()))
    }

    fn vfs_init(&self, parent: &Place) -> Place {
        let Some(init) = self.calls.vfs_init else {
            return Place::default();
        };
        // SAFETY: the embedder's function and its arguments.
        let vfs = in_callback(|| unsafe { init(self.arg.0, parent.vfs()) });
        Place::new(vfs, self.calls.vfs_release, self.arg)
    }

    fn syscall_intern(&self, emul: &Emulation, pid: Pid) {
        if let Some(call) = self.calls.syscall_intern {
            // SAFETY: the embedder's function and its arguments.
            in_callback(|| unsafe { call(self.arg.0, emul.value.data.0, pid.0) });
        }
    }

    fn raise(&self, pid: Pid, signo: Signo) {
        if let Some(call) = self.calls.raise {
            let signo = c_int::from(signo.number());
            // SAFETY: the embedder's function and its argument.
            in_callback(|| unsafe { call(self.arg.0, pid.0, signo) });
        }
    }
}
