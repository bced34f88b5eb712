//! Emulations (`struct emul`): what a process's system calls mean.
//!
//! The kernel owns them and frees none before it goes, so a process has its
//! emulation by pointer.
#![allow(unsafe_code)]

use crate::errno::errors;
use crate::host::Host;
use crate::sync::{AtomicPtr, Relaxed};
use std::fmt;

errors! {
    /// Why an emulation was not set.
    EmulError {
        /// The emulation is of another kernel.
        WrongKernel => EXDEV, "the emulation is of another kernel";
        /// The kernel was not built with
        /// [`allow_native_emul`](crate::Builder::allow_native_emul).
        NotPermitted => EPERM, "native system calls are not allowed";
    }
}

/// Whether a process may go over to the native system calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NativeSysents {
    Refused,
    Allowed,
}

/// Names an emulation of one kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EmulId {
    kernel: u64,
    /// Of an [`Emulation`] of that kernel's.
    address: *const (),
}

// SAFETY: a name; looked through only by the kernel that made it, whose
// emulations are `Sync`.
unsafe impl Send for EmulId {}
// SAFETY: as above.
unsafe impl Sync for EmulId {}

impl fmt::Debug for EmulId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmulId({}:{:#x})", self.kernel, self.address.addr())
    }
}

/// One emulation of a kernel.
struct Emulation<H: Host> {
    value: H::Emul,
    /// The one that was added before.
    next: *mut Emulation<H>,
}

/// An emulation, for use with the kernel whose list it is in.
pub(crate) struct EmulPtr<H: Host>(*mut Emulation<H>);

impl<H: Host> Clone for EmulPtr<H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<H: Host> Copy for EmulPtr<H> {}

/// A process's emulation (`p_emul`).
pub(crate) struct ProcEmul<H: Host>(AtomicPtr<Emulation<H>>);

impl<H: Host> ProcEmul<H> {
    pub(crate) fn new(emul: EmulPtr<H>) -> Self {
        Self(AtomicPtr::new(emul.0))
    }

    /// Wait-free.
    pub(crate) fn get(&self) -> EmulPtr<H> {
        // Relaxed: it came with the process, or is the native one, which came
        // with the kernel.
        EmulPtr(self.0.load(Relaxed))
    }

    /// Makes it the native one of `emuls`. Wait-free.
    pub(crate) fn set_native(&self, emuls: &Emuls<H>) {
        // Relaxed: as in `get`.
        self.0.store(emuls.native, Relaxed);
    }
}

/// All emulations of a kernel. The first is the native one.
pub(crate) struct Emuls<H: Host> {
    native: *mut Emulation<H>,
    last: AtomicPtr<Emulation<H>>,
}

// SAFETY: emulations are `Send` and `Sync` by `Host`, and never change.
unsafe impl<H: Host> Send for Emuls<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for Emuls<H> {}

impl<H: Host> Emuls<H> {
    pub(crate) fn new() -> Self {
        let value = H::Emul::default();
        let native = Box::into_raw(Box::new(Emulation { value, next: std::ptr::null_mut() }));
        Self { native, last: AtomicPtr::new(native) }
    }

    pub(crate) fn native(&self) -> EmulPtr<H> {
        EmulPtr(self.native)
    }

    /// Lock-free but for the allocator.
    pub(crate) fn add(&self, value: H::Emul) -> EmulPtr<H> {
        // Relaxed, here and below: the list is walked only when the kernel goes.
        let mut last = self.last.load(Relaxed);
        let new = Box::into_raw(Box::new(Emulation { value, next: last }));
        loop {
            match self.last.compare_exchange(last, new, Relaxed, Relaxed) {
                Ok(_) => return EmulPtr(new),
                Err(now) => {
                    last = now;
                    // SAFETY: not yet in the list: this thread's own.
                    unsafe { (*new).next = last };
                }
            }
        }
    }

    /// The emulation behind a pointer that is of this list.
    pub(crate) fn get(&self, emul: EmulPtr<H>) -> &H::Emul {
        // SAFETY: made by `new` or `add`, and freed with `self`.
        &unsafe { &*emul.0 }.value
    }

    pub(crate) fn id(kernel: u64, emul: EmulPtr<H>) -> EmulId {
        EmulId { kernel, address: emul.0.cast_const().cast() }
    }

    /// The emulation that an id names, if it is of the kernel with that serial,
    /// to which this list belongs.
    pub(crate) fn resolve(kernel: u64, id: EmulId) -> Result<EmulPtr<H>, EmulError> {
        match id.kernel == kernel {
            true => Ok(EmulPtr(id.address.cast_mut().cast())),
            false => Err(EmulError::WrongKernel),
        }
    }
}

impl<H: Host> Drop for Emuls<H> {
    fn drop(&mut self) {
        // Relaxed: nobody else is left.
        let mut at = self.last.load(Relaxed);
        // Together at the end: when one panics the others are dropped too.
        let mut all = Vec::new();
        while !at.is_null() {
            // SAFETY: made by `new` or `add`, freed once, here.
            let emulation = unsafe { Box::from_raw(at) };
            at = emulation.next;
            all.push(emulation);
        }
    }
}
