//! The embedder's values: data, address spaces, places, emulations; and calling its functions.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use libc::{c_uint, c_void};

std::thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
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

/// An address space of the embedder's. Opaque, and never looked through.
#[derive(Debug)]
pub struct vmspace {
    _private: (),
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
    pub(crate) vm: *mut vmspace,
    free: Option<unsafe extern "C" fn(*mut c_void, *mut vmspace)>,
    arg: Shared,
}

impl VmSpace {
    pub(crate) fn new(
        vm: *mut vmspace,
        free: Option<unsafe extern "C" fn(*mut c_void, *mut vmspace)>,
        arg: Shared,
    ) -> Self {
        Self { vm, free, arg }
    }
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

/// A process's place in the file system. proc0 and init have none of the embedder's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Option<Arc<Made>>);

/// A place that the embedder made, and who releases it.
#[derive(Debug)]
struct Made {
    vfs: Shared,
    release: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    arg: Shared,
}

impl Place {
    /// NULL for `vfs` is none, and is not released.
    pub(crate) fn new(
        vfs: *mut c_void,
        release: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
        arg: Shared,
    ) -> Self {
        let made = || Arc::new(Made { vfs: Shared(vfs), release, arg });
        Self((!vfs.is_null()).then(made))
    }

    /// NULL: none.
    pub(crate) fn vfs(&self) -> *mut c_void {
        self.0.as_ref().map_or(std::ptr::null_mut(), |made| made.vfs.0)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the embedder's function and its arguments.
            in_callback(|| unsafe { release(self.arg.0, self.vfs.0) });
        }
    }
}

/// An emulation. The native one is number 0, without data.
#[derive(Debug)]
pub(crate) struct Emulation {
    pub(crate) number: c_uint,
    pub(crate) value: Value,
}

impl Default for Emulation {
    fn default() -> Self {
        Self { number: 0, value: Value::new(std::ptr::null_mut(), None) }
    }
}
