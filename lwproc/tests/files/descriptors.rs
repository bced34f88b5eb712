//! Numbers, flags, ranges, and what is refused.

use super::*;

#[test]
fn the_lowest_free_descriptor_is_taken() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    for i in 0..300 {
        assert_eq!(k.files().open(host.file(i), Keep).unwrap(), Fd(i as i32));
    }
    for fd in [299, 64, 255, 16, 63, 0] {
        k.files().close(Fd(fd)).unwrap();
    }
    for fd in [0, 16, 63, 64, 255, 299, 300] {
        assert_eq!(k.files().open(host.file(1000 + fd), Keep).unwrap(), Fd(fd as i32));
        assert_eq!(k.files().get(Fd(fd as i32)).unwrap().name, 1000 + fd);
    }
    assert_eq!(host.take_closed(), [299, 64, 255, 16, 63, 0]);
    assert_eq!(host.is_open(), 301);
    drop(k);
    drop(kernel);
    assert_eq!(host.is_open(), 0, "init's are closed with the kernel");
}

#[test]
fn bad_descriptors() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    k.files().open(host.file(0), Keep).unwrap();
    for fd in [-1, i32::MIN, 1, 15, 16, 63, 64, 1 << 19, (1 << 20) - 1, 1 << 20, i32::MAX] {
        let fd = Fd(fd);
        assert_eq!(k.files().get(fd).err(), Some(FdError::BadFd));
        assert_eq!(k.files().close(fd), Err(FdError::BadFd));
        assert_eq!(k.files().dup(fd), Err(FdError::BadFd));
        assert_eq!(k.files().dup_from(fd, Fd(0), Keep), Err(FdError::BadFd));
        assert_eq!(k.files().dup2(fd, Fd(3)), Err(FdError::BadFd));
        assert_eq!(k.files().dup2(fd, fd), Err(FdError::BadFd));
        assert_eq!(k.files().dup3(fd, Fd(3), Keep), Err(FdError::BadFd));
        assert_eq!(k.files().on_exec(fd), Err(FdError::BadFd));
        assert_eq!(k.files().set_on_exec(fd, Close), Err(FdError::BadFd));
    }
    for new in [-1, i32::MIN, 1 << 20, i32::MAX] {
        assert_eq!(k.files().dup2(Fd(0), Fd(new)), Err(FdError::BadFd));
        assert_eq!(k.files().dup3(Fd(0), Fd(new), Close), Err(FdError::BadFd));
        assert_eq!(k.files().dup_from(Fd(0), Fd(new), Keep), Err(FdError::BadMinimum));
    }
    assert_eq!(k.files().dup3(Fd(0), Fd(0), Keep), Err(FdError::SameFd));
    assert_eq!(k.files().close_range(Fd(3), Fd(2), CloseRange::Close), Err(FdError::BadRange));
    assert_eq!(k.files().close_range(Fd(-1), Fd(2), CloseRange::Close), Err(FdError::BadRange));
    assert_eq!(k.files().close_range(Fd(0), Fd(-1), CloseRange::Close), Err(FdError::BadRange));
    assert_eq!((numbers(&k), host.is_open()), (vec![0], 1), "nothing has changed");
    let errnos = [
        (FdError::BadFd, Errno::EBADF),
        (FdError::TooMany, Errno::EMFILE),
        (FdError::BadMinimum, Errno::EINVAL),
        (FdError::SameFd, Errno::EINVAL),
        (FdError::BadRange, Errno::EINVAL),
        (FdError::Busy, Errno::EBUSY),
        (FdError::WrongKernel, Errno::EXDEV),
    ];
    assert!(errnos.iter().all(|(error, errno)| error.errno() == *errno));
}

#[test]
fn duplicates_share_the_file_and_not_the_flag() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    let fd = k.files().open(host.file(7), Close).unwrap();
    assert_eq!(k.files().dup(fd), Ok(Fd(1)));
    assert_eq!(k.files().dup_from(fd, Fd(5), Close), Ok(Fd(5)));
    assert_eq!(k.files().dup_from(fd, Fd(5), Keep), Ok(Fd(6)));
    assert_eq!(k.files().dup2(fd, Fd(70)), Ok(Fd(70)));
    assert_eq!(k.files().dup3(fd, Fd(3), Close), Ok(Fd(3)));
    assert_eq!(k.files().dup2(fd, fd), Ok(fd));
    let flags = [(0, Close), (1, Keep), (3, Close), (5, Close), (6, Keep), (70, Keep)];
    assert_eq!(k.files().list(), flags.map(|(fd, flag)| (Fd(fd), flag)));
    assert!(k.files().get(Fd(70)).unwrap().same_file(&k.files().get(fd).unwrap()));
    for (fd, _) in &flags[1..] {
        k.files().close(Fd(*fd)).unwrap();
        assert_eq!(host.is_open(), 1);
    }
    k.files().close(fd).unwrap();
    assert_eq!(host.is_open(), 0, "the last reference closes, at once");
}

#[test]
fn dup2_closes_what_was_there() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    let (a, b) =
        (k.files().open(host.file(1), Keep).unwrap(), k.files().open(host.file(2), Close).unwrap());
    assert_eq!(k.files().dup2(a, b), Ok(b));
    assert_eq!(host.take_closed(), [2]);
    assert_eq!(names(&k), [(0, 1, Keep), (1, 1, Keep)]);
    assert_eq!(k.files().open(host.file(3), Keep).unwrap(), Fd(2));
}

#[test]
fn flags_can_be_changed() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    let fd = k.files().open(host.file(1), Keep).unwrap();
    for flag in [Close, Close, Keep, Close] {
        k.files().set_on_exec(fd, flag).unwrap();
        assert_eq!(k.files().on_exec(fd), Ok(flag));
        assert_eq!(k.files().get(fd).unwrap().name, 1);
    }
    k.files().close(fd).unwrap();
    assert_eq!(host.take_closed(), [1]);
}

#[test]
fn a_reserved_descriptor_is_taken_and_not_open() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    k.files().open(host.file(0), Keep).unwrap();
    let reservation = k.files().reserve(Close).unwrap();
    let fd = reservation.fd();
    assert_eq!(fd, Fd(1));
    assert_eq!(k.files().get(fd).err(), Some(FdError::BadFd));
    assert_eq!(k.files().close(fd), Err(FdError::BadFd));
    assert_eq!(k.files().set_on_exec(fd, Close), Err(FdError::BadFd));
    assert_eq!(k.files().on_exec(fd), Err(FdError::BadFd));
    assert_eq!(k.files().dup(fd), Err(FdError::BadFd));
    assert_eq!(k.files().dup2(Fd(0), fd), Err(FdError::Busy));
    assert_eq!(k.files().dup3(Fd(0), fd, Close), Err(FdError::Busy));
    assert_eq!(k.files().dup(Fd(0)), Ok(Fd(2)));
    k.files().close_range(Fd(1), Fd(1), CloseRange::Close).unwrap();
    k.files().close_range(Fd(1), Fd(1), CloseRange::SetOnExec).unwrap();
    assert_eq!(numbers(&k), [0, 2]);
    assert_eq!(reservation.fill(host.file(9)), fd);
    assert_eq!(names(&k), [(0, 0, Keep), (1, 9, Close), (2, 0, Keep)]);
    let dropped = k.files().reserve(Keep).unwrap();
    assert_eq!(dropped.fd(), Fd(3));
    drop(dropped);
    assert_eq!(k.files().dup(Fd(0)), Ok(Fd(3)), "given back");
    std::mem::forget(k.files().reserve(Keep).unwrap());
    assert_eq!(k.files().dup(Fd(0)), Ok(Fd(5)), "a leaked one stays taken");
    drop(k);
    drop(kernel);
    assert_eq!(host.is_open(), 0);
}

/// The whole table: 2^20 descriptors, and not one more.
#[test]
fn a_full_table_gives_the_file_back() {
    const MAX: i32 = 1 << 20;
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let fd = k.files().open(host.file(1), Keep).unwrap();
    assert_eq!(k.files().dup_from(fd, Fd(MAX - 2), Keep), Ok(Fd(MAX - 2)));
    assert_eq!(k.files().dup_from(fd, Fd(MAX - 2), Keep), Ok(Fd(MAX - 1)));
    assert_eq!(k.files().dup_from(fd, Fd(MAX - 2), Keep), Err(FdError::TooMany));
    for at in 1..MAX - 2 {
        assert_eq!(k.files().dup2(fd, Fd(at)), Ok(Fd(at)));
    }
    let handle = k.files().get(fd).unwrap().handle();
    assert_eq!(k.files().dup(fd), Err(FdError::TooMany));
    assert_eq!(k.files().install(&handle, Keep), Err(FdError::TooMany));
    assert_eq!(k.files().reserve(Keep).map(drop), Err(FdError::TooMany));
    let error = k.files().open(host.file(2), Keep).unwrap_err();
    assert_eq!((error.error(), error.errno()), (FdError::TooMany, Errno::EMFILE));
    assert_eq!(host.is_open(), 2, "not closed");
    assert_eq!(error.into_file().name, 2);
    assert_eq!(host.take_closed(), [2]);
    let by_question_mark = || -> Result<Fd, FdError> { Ok(k.files().open(host.file(3), Keep)?) };
    assert_eq!(by_question_mark(), Err(FdError::TooMany));
    assert_eq!(host.take_closed(), [3]);
    k.files().close(Fd(77_777)).unwrap();
    assert_eq!(k.files().open(host.file(4), Keep).unwrap(), Fd(77_777));
    drop(handle);
    k.files().close_range(Fd(0), Fd(i32::MAX), CloseRange::Close).unwrap();
    assert_eq!((k.files().list(), host.is_open()), (vec![], 0));
    assert_eq!(host.take_closed(), [4, 1]);
}

#[test]
fn ranges() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    for i in 0..80 {
        k.files().open(host.file(i), Keep).unwrap();
    }
    k.files().close_range(Fd(10), Fd(69), CloseRange::Close).unwrap();
    assert_eq!(host.take_closed(), (10..70).collect::<Vec<_>>(), "lowest first");
    k.files().close_range(Fd(5), Fd(1000), CloseRange::SetOnExec).unwrap();
    assert_eq!(k.files().on_exec(Fd(4)), Ok(Keep));
    assert_eq!(k.files().on_exec(Fd(79)), Ok(Close));
    assert_eq!(k.files().open(host.file(80), Keep).unwrap(), Fd(10));
    k.files_mut().close_on_exec();
    assert_eq!(numbers(&k), [0, 1, 2, 3, 4, 10]);
    k.files().close_range(Fd(i32::MAX), Fd(i32::MAX), CloseRange::Close).unwrap();
}
