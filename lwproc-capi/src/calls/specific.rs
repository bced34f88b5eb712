//! Data of the embedder's with each process and LWP.
#![allow(unsafe_code)]

use libc::{c_int, c_uint, c_void};

use super::{store, wanted};
use crate::context;
use crate::embedded::{Value, lwproc_destructor};
use crate::instance::{Instance, Key};
use crate::mistake::{Mistake, Refusal, errno};
use crate::registry;

/// A new key of data of processes, in this thread's kernel. When a process ends, and its
/// value is not NULL, `destructor(value)` is called, in the order in which the keys were
/// made. EAGAIN: the kernel has 256 keys. Also in a callback.
///
/// # Safety
/// `key` may be written; `destructor` may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_proc_key_create(
    destructor: lwproc_destructor,
    key: *mut c_uint,
) -> c_int {
    errno("lwproc_proc_key_create", || {
        // SAFETY: by contract.
        unsafe { create(key, |i| Key::Proc(i.kernel.proc_key(), destructor)) }
    })
}

/// The same for data of LWPs; the destructor is called when the LWP goes. Also in a callback.
///
/// # Safety
/// As lwproc_proc_key_create.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_lwp_key_create(
    destructor: lwproc_destructor,
    key: *mut c_uint,
) -> c_int {
    errno("lwproc_lwp_key_create", || {
        // SAFETY: by contract.
        unsafe { create(key, |i| Key::Lwp(i.kernel.lwp_key(), destructor)) }
    })
}

/// # Safety
/// `key` is NULL, which is a mistake, or may be written.
unsafe fn create(key: *mut c_uint, make: impl FnOnce(&Instance) -> Key) -> Result<(), Refusal> {
    wanted(key)?;
    let instance = registry::current()?;
    let number = instance.add_key(|| make(&instance))?;
    // SAFETY: by contract.
    unsafe { store(key, number) }
}

/// Sets the value of the current process, or the current LWP, under a key. The one from
/// before is not destroyed. EINVAL: no such key; data of an LWP, and an implicit thread.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setspecific(key: c_uint, value: *mut c_void) -> c_int {
    errno("lwproc_setspecific", || {
        context::public(|cx| {
            let instance = cx.instance.clone();
            // NULL is no value: nothing is destroyed.
            let new = |destructor| Value::new(value, destructor);
            match instance.key(key).ok_or(NO_KEY)? {
                Key::Proc(key, destructor) => {
                    let old = if value.is_null() {
                        cx.k().data().take_proc(*key)
                    } else {
                        cx.k().data().set_proc(*key, new(*destructor))?
                    };
                    old.inspect(|old| old.give_back());
                }
                Key::Lwp(key, destructor) => {
                    if cx.k().lid().is_none() {
                        return Err(Mistake::Argument("an implicit thread has no data").into());
                    }
                    let old = if value.is_null() {
                        cx.k_mut().data_mut().take_lwp(*key)
                    } else {
                        cx.k_mut().data_mut().set_lwp(*key, new(*destructor))?
                    };
                    old.inspect(Value::give_back);
                }
            }
            Ok(())
        })
    })
}

/// The value of the current process, or the current LWP, under a key; NULL when none was
/// set, and for an implicit thread's LWP. EINVAL: no such key.
///
/// # Safety
/// `value` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getspecific(key: c_uint, value: *mut *mut c_void) -> c_int {
    errno("lwproc_getspecific", || {
        let found = context::public(|cx| {
            Ok(match cx.instance.key(key).ok_or(NO_KEY)? {
                Key::Proc(key, _) => cx.k().data().proc(*key).map(|value| value.data.0),
                Key::Lwp(key, _) => cx.k().data().lwp(*key).map(|value| value.data.0),
            })
        })?;
        // SAFETY: by contract.
        unsafe { store(value, found.unwrap_or(std::ptr::null_mut())) }
    })
}

const NO_KEY: Mistake = Mistake::Argument("no such key");
