//! Emulations: what a process's system calls mean.
#![allow(unsafe_code)]

use libc::{c_int, c_uint, c_void};

use super::{store, wanted};
use crate::context;
use crate::embedded::lwproc_destructor;
use crate::mistake::{Mistake, errno};
use crate::registry;

/// Adds an emulation to this thread's kernel: what names it goes into `emul`. With the kernel
/// it goes, and `destructor(data)` is called. On an error `data` is the caller's as before.
/// EAGAIN: the kernel has 256. Also in a callback.
///
/// # Safety
/// `emul` may be written; `destructor` may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_emul_add(
    data: *mut c_void,
    destructor: lwproc_destructor,
    emul: *mut c_uint,
) -> c_int {
    errno("lwproc_emul_add", || {
        wanted(emul)?;
        let added = registry::current()?.add_emul(data, destructor)?;
        // SAFETY: by contract.
        unsafe { store(emul, added) }
    })
}

/// The emulation of processes made from now on; those that live keep theirs. 0: the native
/// one, which a kernel begins with. EINVAL: no such emulation. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_emul_setdefault(emul: c_uint) -> c_int {
    errno("lwproc_emul_setdefault", || {
        let instance = registry::current()?;
        let emul = instance.emul(emul).ok_or(Mistake::Argument("no such emulation"))?;
        Ok(instance.kernel.set_default_emul(emul)?)
    })
}

/// The emulation that the next process will have. Also in a callback.
///
/// # Safety
/// `emul` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_emul_default(emul: *mut c_uint) -> c_int {
    errno("lwproc_emul_default", || {
        let instance = registry::current()?;
        let number = instance.emul_number(instance.kernel.default_emul());
        // SAFETY: by contract.
        unsafe { store(emul, number) }
    })
}

/// The current process's emulation: what names it, and its data, NULL for the native one.
/// Either pointer may be NULL.
///
/// # Safety
/// `emul` and `data` are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_emul(emul: *mut c_uint, data: *mut *mut c_void) -> c_int {
    errno("lwproc_emul", || {
        let (number, value) = context::public(|cx| {
            let emul = cx.k().process().emul();
            Ok((emul.number, emul.value.data.0))
        })?;
        if !emul.is_null() {
            // SAFETY: by contract.
            unsafe { store(emul, number)? };
        }
        if !data.is_null() {
            // SAFETY: by contract.
            unsafe { store(data, value)? };
        }
        Ok(())
    })
}
