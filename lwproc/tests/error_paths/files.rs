//! Descriptors that are not opened, moved or closed.

use crate::bench::{Kernel, *};
use lwproc::*;

/// A process that has three files open, of which 1 goes at an exec, and may have four
/// descriptors.
fn start(kernel: &Kernel, k: &mut K<'_>) {
    k.rfork(Rfork::Fresh).unwrap();
    for flag in [OnExec::Keep, OnExec::Close, OnExec::Keep] {
        k.files().open(kernel.host().file(), flag).unwrap();
    }
    k.resources().set_limit(Resource::Nofile, Limit::both(4)).unwrap();
}

pub fn unshare(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, UnshareError::Implicit, |k| k.files_mut().unshare());
    drop(k);
    assert_empty(kernel);
}

pub fn fd(forced: &mut Forced) {
    use FdError::*;
    let (kernel, other) = (plain(), plain());
    let mut k = kernel.enter().unwrap();
    start(&kernel, &mut k);
    for fd in [3, 4, -1, i32::MAX, i32::MIN].map(Fd) {
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().get(fd).map(drop));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().close(fd));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().dup(fd));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().dup_from(fd, Fd(0), OnExec::Keep));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().dup2(fd, fd));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().dup2(fd, Fd(0)));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().dup3(fd, Fd(0), OnExec::Close));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().on_exec(fd));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().set_on_exec(fd, OnExec::Close));
        forced.refused(&kernel, &mut k, SameFd, |k| k.files().dup3(fd, fd, OnExec::Keep));
    }
    // Where there is no place: at the limit, and beyond what there is.
    for new in [4, -1, i32::MAX].map(Fd) {
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().dup2(Fd(0), new));
        forced.refused(&kernel, &mut k, BadFd, |k| k.files().dup3(Fd(0), new, OnExec::Keep));
        forced
            .refused(&kernel, &mut k, BadMinimum, |k| k.files().dup_from(Fd(0), new, OnExec::Keep));
    }
    forced.refused(&kernel, &mut k, SameFd, |k| k.files().dup3(Fd(0), Fd(0), OnExec::Keep));
    for (first, last) in [(2, 1), (-1, 2), (i32::MIN, -1), (0, -1)] {
        for how in [CloseRange::Close, CloseRange::SetOnExec] {
            forced.refused(&kernel, &mut k, BadRange, |k| {
                k.files().close_range(Fd(first), Fd(last), how)
            });
        }
    }
    // 3 is taken, and not open.
    {
        let reserved = k.files().reserve(OnExec::Keep).unwrap();
        let before = Snapshot::of(&kernel, Some(&k));
        for _ in 0..3 {
            forced.note(k.files().dup2(Fd(0), Fd(3)), &Busy);
            forced.note(k.files().dup3(Fd(1), Fd(3), OnExec::Close), &Busy);
            forced.note(k.files().close(Fd(3)), &BadFd);
            forced.note(k.files().dup(Fd(0)), &TooMany);
            Snapshot::of(&kernel, Some(&k)).assert_eq(&before, "a reserved descriptor");
        }
        assert_eq!(reserved.fd(), Fd(3));
    }
    let foreign = {
        let mut k = other.enter().unwrap();
        start(&other, &mut k);
        let handle = k.files().get(Fd(0)).unwrap().handle();
        leave(k);
        handle
    };
    let there = Snapshot::of(&other, None);
    forced.refused(&kernel, &mut k, WrongKernel, |k| k.files().install(&foreign, OnExec::Keep));
    Snapshot::of(&other, None).assert_eq(&there, "a refusal of the other kernel");
    drop(foreign);
    full(forced, &kernel, &mut k);
    let gone = child(&mut k).proc_handle();
    forced.refused(&kernel, &mut k, NoSuchProcess, |_| gone.take_file(Fd(0)));
    let own = k.pin().proc(k.pid()).unwrap().handle().unwrap();
    forced.refused(&kernel, &mut k, BadFd, |_| own.take_file(Fd(4)));
    drop((gone, own));
    leave(k);
    assert_empty(kernel);
    assert_empty(other);
}

/// No descriptor is left.
fn full(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>) {
    let host = kernel.host();
    k.files().dup(Fd(0)).unwrap();
    let handle = k.files().get(Fd(1)).unwrap().handle();
    let why = FdError::TooMany;
    forced.refused(kernel, k, why, |k| {
        k.files().open(host.file(), OnExec::Keep).map_err(FdError::from)
    });
    forced.refused(kernel, k, why, |k| k.files().reserve(OnExec::Keep).map(drop));
    forced.refused(kernel, k, why, |k| k.files().dup(Fd(0)));
    forced.refused(kernel, k, why, |k| k.files().dup_from(Fd(0), Fd(3), OnExec::Close));
    forced.refused(kernel, k, why, |k| k.files().install(&handle, OnExec::Keep));
    // The file that was not opened is whole.
    let error = k.files().open(host.file(), OnExec::Keep).unwrap_err();
    assert_eq!((error.error(), error.errno()), (why, Errno::EMFILE));
    let file = error.into_file();
    k.files().close(Fd(3)).unwrap();
    assert_eq!(k.files().open(file, OnExec::Close).unwrap(), Fd(3));
    drop(handle);
}

/// As POSIX lists them: `fcntl` looks at its first argument first.
#[test]
fn f_dupfd_of_a_bad_descriptor_is_ebadf_whatever_the_minimum() {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start(&kernel, &mut k);
    for min in [-1, 4, i32::MAX, i32::MIN].map(Fd) {
        for flag in [OnExec::Keep, OnExec::Close] {
            assert_eq!(k.files().dup_from(Fd(3), min, flag), Err(FdError::BadFd), "{min}");
            assert_eq!(k.files().dup_from(Fd(0), min, flag), Err(FdError::BadMinimum), "{min}");
        }
    }
    leave(k);
    assert_empty(kernel);
}
