//! Descriptors over files of the embedder's.
#![allow(unsafe_code)]

use libc::{c_int, c_void};
use lwproc::{CloseRange, Fd, FileHandle, OnExec};

use super::{store, wanted};
use crate::context;
use crate::embedded::{Value, lwproc_destructor};
use crate::host::CHost;
use crate::mistake::{Mistake, Refusal, errno, must};

/// The descriptor is closed by an exec.
pub const LWPROC_CLOEXEC: c_int = 1;

/// A reference to an open file, which keeps it open, and the kernel's memory. A real pointer:
/// given back once, by lwproc_file_put, in any thread.
pub struct lwproc_file {
    handle: FileHandle<CHost>,
}

impl std::fmt::Debug for lwproc_file {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handle.fmt(f)
    }
}

fn on_exec(flags: c_int) -> Result<OnExec, Refusal> {
    match flags {
        0 => Ok(OnExec::Keep),
        LWPROC_CLOEXEC => Ok(OnExec::Close),
        _ => Err(Mistake::Argument("unknown flags").into()),
    }
}

/// Opens a file at the lowest free descriptor. `close(data)` is called once, when the last
/// descriptor and reference are gone: a callback, which may destroy the channels of the file.
/// On an error the file is the caller's as before. EMFILE.
///
/// # Safety
/// `fd` may be written; `close` may be called with `data` from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_open(
    data: *mut c_void,
    close: lwproc_destructor,
    flags: c_int,
    fd: *mut c_int,
) -> c_int {
    errno("lwproc_open", || {
        wanted(fd)?;
        let on_exec = on_exec(flags)?;
        context::public(|cx| {
            let opened = cx.k().files().open(Value::new(data, close), on_exec).map_err(|why| {
                let error = why.error();
                why.into_file().give_back();
                error
            })?;
            // SAFETY: by contract.
            unsafe { store(fd, opened.0) }
        })
    })
}

/// A reference to the file of a descriptor. EBADF.
///
/// # Safety
/// `file` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_get(fd: c_int, file: *mut *mut lwproc_file) -> c_int {
    errno("lwproc_get", || {
        wanted(file)?;
        context::public(|cx| {
            let handle = cx.k().files().get(Fd(fd))?.handle();
            let got = Box::new(lwproc_file { handle });
            // SAFETY: by contract.
            unsafe { store(file, Box::into_raw(got)) }
        })
    })
}

/// What lwproc_open was given. Also in a callback.
///
/// # Safety
/// `file` is from lwproc_get, and was not given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_file_data(file: *const lwproc_file) -> *mut c_void {
    // SAFETY: by contract.
    unsafe { &*file }.handle.data.0
}

/// Gives a reference back; with the last one the file is closed. NULL: does nothing. Also in
/// a callback.
///
/// # Safety
/// `file` is from lwproc_get, and was not given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_file_put(file: *mut lwproc_file) {
    must("lwproc_file_put", || {
        if !file.is_null() {
            // SAFETY: by contract.
            drop(unsafe { Box::from_raw(file) });
        }
        Ok(())
    });
}

/// Opens the file once more, at the lowest free descriptor of the current process: one that
/// got it from another. EMFILE. EXDEV: it is of another kernel.
///
/// # Safety
/// `file` is from lwproc_get, and was not given back; `fd` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_install(
    file: *const lwproc_file,
    flags: c_int,
    fd: *mut c_int,
) -> c_int {
    errno("lwproc_install", || {
        wanted(fd)?;
        let on_exec = on_exec(flags)?;
        // SAFETY: by contract.
        let file = unsafe { file.as_ref() }.ok_or(Mistake::Argument("no file"))?;
        context::public(|cx| {
            let opened = cx.k().files().install(&file.handle, on_exec)?;
            // SAFETY: by contract.
            unsafe { store(fd, opened.0) }
        })
    })
}

/// Closes a descriptor. EBADF.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_close(fd: c_int) -> c_int {
    errno("lwproc_close", || context::public(|cx| Ok(cx.k().files().close(Fd(fd))?)))
}

/// dup(2): the lowest free descriptor into `newfd`. EBADF, EMFILE.
///
/// # Safety
/// `newfd` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_dup(fd: c_int, newfd: *mut c_int) -> c_int {
    errno("lwproc_dup", || {
        wanted(newfd)?;
        let new = context::public(|cx| Ok(cx.k().files().dup(Fd(fd))?))?;
        // SAFETY: by contract.
        unsafe { store(newfd, new.0) }
    })
}

/// F_DUPFD, F_DUPFD_CLOEXEC: the lowest free descriptor from `min` on. EBADF, EMFILE.
/// EINVAL: bad minimum or flags.
///
/// # Safety
/// `newfd` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_dup_from(
    fd: c_int,
    min: c_int,
    flags: c_int,
    newfd: *mut c_int,
) -> c_int {
    errno("lwproc_dup_from", || {
        wanted(newfd)?;
        let on_exec = on_exec(flags)?;
        let new = context::public(|cx| Ok(cx.k().files().dup_from(Fd(fd), Fd(min), on_exec)?))?;
        // SAFETY: by contract.
        unsafe { store(newfd, new.0) }
    })
}

/// dup2(2). EBADF.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_dup2(fd: c_int, newfd: c_int) -> c_int {
    errno("lwproc_dup2", || {
        context::public(|cx| Ok(cx.k().files().dup2(Fd(fd), Fd(newfd)).map(drop)?))
    })
}

/// dup3(2). EBADF. EINVAL: both are the same, or bad flags.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_dup3(fd: c_int, newfd: c_int, flags: c_int) -> c_int {
    errno("lwproc_dup3", || {
        let on_exec = on_exec(flags)?;
        context::public(|cx| Ok(cx.k().files().dup3(Fd(fd), Fd(newfd), on_exec).map(drop)?))
    })
}

/// Whether an exec closes it: LWPROC_CLOEXEC or 0 into `flags`. EBADF.
///
/// # Safety
/// `flags` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getcloexec(fd: c_int, flags: *mut c_int) -> c_int {
    errno("lwproc_getcloexec", || {
        let on_exec = context::public(|cx| Ok(cx.k().files().on_exec(Fd(fd))?))?;
        let value = if on_exec == OnExec::Close { LWPROC_CLOEXEC } else { 0 };
        // SAFETY: by contract.
        unsafe { store(flags, value) }
    })
}

/// Says whether an exec closes it: LWPROC_CLOEXEC or 0. EBADF.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_setcloexec(fd: c_int, flags: c_int) -> c_int {
    errno("lwproc_setcloexec", || {
        let on_exec = on_exec(flags)?;
        context::public(|cx| Ok(cx.k().files().set_on_exec(Fd(fd), on_exec)?))
    })
}

/// Gives the current LWP a table of descriptors of its own, with what it has open (unshare of
/// CLONE_FILES), unless nobody else uses the one it has. LWPs that it makes in its process
/// share it; lwproc_execnotify makes it the process's. EINVAL: an implicit thread has no LWP.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_unshare_files() -> c_int {
    errno("lwproc_unshare_files", || context::public(|cx| Ok(cx.k_mut().files_mut().unshare()?)))
}

/// close_range(2): closes the descriptors from `first` to `last`, or marks them
/// (LWPROC_CLOEXEC). EINVAL.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_close_range(first: c_int, last: c_int, flags: c_int) -> c_int {
    errno("lwproc_close_range", || {
        let how = match on_exec(flags)? {
            OnExec::Keep => CloseRange::Close,
            OnExec::Close => CloseRange::SetOnExec,
        };
        context::public(|cx| Ok(cx.k().files().close_range(Fd(first), Fd(last), how)?))
    })
}
