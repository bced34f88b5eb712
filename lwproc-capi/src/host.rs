//! What the embedder supplies.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use libc::{c_int, c_void, pid_t};
use lwproc::{Host, LwpToken, Pid, Signo};

use crate::names::{LwpName, lwp};

/// An address space of the embedder's. Opaque, and never looked through.
#[derive(Debug)]
pub struct vmspace {
    _private: (),
}

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
/// They may be called in any thread, also at a thread's end. They may not call this
/// library (EDEADLK, or an abort), and may not leave by longjmp or an exception. The kernel
/// holds no lock meanwhile.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct lwproc_hypercalls {
    /// An LWP is made, ends, starts to run on this thread or stops to.
    pub lwp_op: Option<unsafe extern "C" fn(arg: *mut c_void, op: lwproc_lwp_op, l: *mut lwp)>,
    /// A signal for a process, with the model LWPROC_SIGMODEL_RAISE.
    pub raise: Option<unsafe extern "C" fn(arg: *mut c_void, pid: pid_t, signo: c_int)>,
    /// A process is made; it cannot be found by its number yet.
    pub syscall_intern: Option<unsafe extern "C" fn(arg: *mut c_void, pid: pid_t)>,
    /// The process that was forked with this address space has ended.
    pub vmspace_free: Option<unsafe extern "C" fn(arg: *mut c_void, vm: *mut vmspace)>,
}

/// A pointer of the embedder's, which it lets other threads have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared(pub(crate) *mut c_void);

// SAFETY: the library only passes it back; the header says from which threads.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// Runs when a value of the embedder's goes.
pub type lwproc_destructor = Option<unsafe extern "C" fn(data: *mut c_void)>;

/// A value of the embedder's: an open file, or specific data.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) data: Shared,
    destructor: lwproc_destructor,
    /// The embedder has it back.
    given_back: AtomicBool,
}

impl Value {
    pub(crate) fn new(data: *mut c_void, destructor: lwproc_destructor) -> Self {
        Self { data: Shared(data), destructor, given_back: AtomicBool::new(false) }
    }

    /// From now on it is not destroyed.
    pub(crate) fn give_back(&self) {
        // Relaxed: whoever drops the value has synchronised with all who share it.
        self.given_back.store(true, Relaxed);
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let (Some(destructor), false) = (self.destructor, *self.given_back.get_mut()) {
            // SAFETY: the embedder's function and its argument.
            in_callback(|| unsafe { destructor(self.data.0) });
        }
    }
}

/// An address space, and who frees it.
#[derive(Debug)]
pub(crate) struct VmSpace {
    vm: *mut vmspace,
    free: Option<unsafe extern "C" fn(*mut c_void, *mut vmspace)>,
    arg: Shared,
}

// SAFETY: the library only passes the pointer back.
unsafe impl Send for VmSpace {}
// SAFETY: as above.
unsafe impl Sync for VmSpace {}

impl Drop for VmSpace {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // SAFETY: the embedder's function and its arguments.
            in_callback(|| unsafe { free(self.arg.0, self.vm) });
        }
    }
}

std::thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The LWP that this thread was last set to run as, of all kernels.
    static CURRENT: Cell<Option<LwpToken>> = const { Cell::new(None) };
}

/// Runs a function of the embedder's.
pub(crate) fn in_callback<R>(call: impl FnOnce() -> R) -> R {
    DEPTH.set(DEPTH.get() + 1);
    let result = call();
    DEPTH.set(DEPTH.get() - 1);
    result
}

/// Whether this thread is in a function of the embedder's that the kernel called.
pub(crate) fn is_in_callback() -> bool {
    DEPTH.get() > 0
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
        VmSpace { vm, free: self.calls.vmspace_free, arg: self.arg }
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
    type Emul = ();
    type Vfs = ();

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

    fn current(&self) -> Option<LwpToken> {
        CURRENT.get()
    }

    fn syscall_intern(&self, (): &(), pid: Pid) {
        if let Some(call) = self.calls.syscall_intern {
            // SAFETY: the embedder's function and its argument.
            in_callback(|| unsafe { call(self.arg.0, pid.0) });
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
