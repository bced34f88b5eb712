//! Descriptor tables: what is open where, who closes it and when.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// A host whose files count themselves and do something when they are closed.
#[derive(Clone, Default)]
struct Files {
    open: Arc<AtomicIsize>,
    /// Names of the closed ones, in order; and `CLEAR`, for each.
    closed: Arc<Mutex<Vec<u32>>>,
}

/// What a host call to clear is in the list of the closed ones, when `CLEARS`.
const CLEAR: u32 = u32::MAX;

thread_local! {
    static CLEARS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    static CURRENT: std::cell::Cell<Option<LwpToken>> = const { std::cell::Cell::new(None) };
}

type OnClose = Box<dyn FnOnce() + Send + Sync>;

struct File {
    name: u32,
    host: Files,
    on_close: Option<OnClose>,
}

impl Files {
    fn file(&self, name: u32) -> File {
        self.open.fetch_add(1, SeqCst);
        File { name, host: self.clone(), on_close: None }
    }

    fn file_with(&self, name: u32, on_close: impl FnOnce() + Send + Sync + 'static) -> File {
        let mut file = self.file(name);
        file.on_close = Some(Box::new(on_close));
        file
    }

    fn is_open(&self) -> isize {
        self.open.load(SeqCst)
    }

    fn take_closed(&self) -> Vec<u32> {
        std::mem::take(&mut self.closed.lock().unwrap())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.host.open.fetch_sub(1, SeqCst);
        self.host.closed.lock().unwrap().push(self.name);
        if let Some(on_close) = self.on_close.take() {
            on_close();
        }
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({})", self.name)
    }
}

impl Host for Files {
    type VmSpace = ();
    type File = File;
    type Emul = ();
    type Vfs = ();

    fn set(&self, lwp: LwpToken) {
        CURRENT.set(Some(lwp));
    }
    fn clear(&self, _: LwpToken) {
        CURRENT.set(None);
        if CLEARS.get() {
            self.closed.lock().unwrap().push(CLEAR);
        }
    }
    fn current(&self) -> Option<LwpToken> {
        CURRENT.get()
    }
}

fn kernel() -> (Files, Kernel<Files>) {
    let host = Files::default();
    (host.clone(), Kernel::builder().host(host).build().unwrap())
}

fn names(k: &Entered<'_, Files>) -> Vec<(i32, u32, OnExec)> {
    k.fds().iter().map(|(fd, flag)| (fd.0, k.fd_get(*fd).unwrap().name, *flag)).collect()
}

fn numbers(k: &Entered<'_, Files>) -> Vec<i32> {
    k.fds().iter().map(|(fd, _)| fd.0).collect()
}

use OnExec::{Close, Keep};

#[test]
fn the_lowest_free_descriptor_is_taken() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    for i in 0..300 {
        assert_eq!(k.fd_open(host.file(i), Keep).unwrap(), Fd(i as i32));
    }
    for fd in [299, 64, 255, 16, 63, 0] {
        k.fd_close(Fd(fd)).unwrap();
    }
    for fd in [0, 16, 63, 64, 255, 299, 300] {
        assert_eq!(k.fd_open(host.file(1000 + fd), Keep).unwrap(), Fd(fd as i32));
        assert_eq!(k.fd_get(Fd(fd as i32)).unwrap().name, 1000 + fd);
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
    k.fd_open(host.file(0), Keep).unwrap();
    for fd in [-1, i32::MIN, 1, 15, 16, 63, 64, 1 << 19, (1 << 20) - 1, 1 << 20, i32::MAX] {
        let fd = Fd(fd);
        assert_eq!(k.fd_get(fd).err(), Some(FdError::BadFd));
        assert_eq!(k.fd_close(fd), Err(FdError::BadFd));
        assert_eq!(k.fd_dup(fd), Err(FdError::BadFd));
        assert_eq!(k.fd_dup_from(fd, Fd(0), Keep), Err(FdError::BadFd));
        assert_eq!(k.fd_dup2(fd, Fd(3)), Err(FdError::BadFd));
        assert_eq!(k.fd_dup2(fd, fd), Err(FdError::BadFd));
        assert_eq!(k.fd_dup3(fd, Fd(3), Keep), Err(FdError::BadFd));
        assert_eq!(k.fd_on_exec(fd), Err(FdError::BadFd));
        assert_eq!(k.fd_set_on_exec(fd, Close), Err(FdError::BadFd));
    }
    for new in [-1, i32::MIN, 1 << 20, i32::MAX] {
        assert_eq!(k.fd_dup2(Fd(0), Fd(new)), Err(FdError::BadFd));
        assert_eq!(k.fd_dup3(Fd(0), Fd(new), Close), Err(FdError::BadFd));
        assert_eq!(k.fd_dup_from(Fd(0), Fd(new), Keep), Err(FdError::BadMinimum));
    }
    assert_eq!(k.fd_dup3(Fd(0), Fd(0), Keep), Err(FdError::SameFd));
    assert_eq!(k.fd_close_range(Fd(3), Fd(2), CloseRange::Close), Err(FdError::BadRange));
    assert_eq!(k.fd_close_range(Fd(-1), Fd(2), CloseRange::Close), Err(FdError::BadRange));
    assert_eq!(k.fd_close_range(Fd(0), Fd(-1), CloseRange::Close), Err(FdError::BadRange));
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
    let fd = k.fd_open(host.file(7), Close).unwrap();
    assert_eq!(k.fd_dup(fd), Ok(Fd(1)));
    assert_eq!(k.fd_dup_from(fd, Fd(5), Close), Ok(Fd(5)));
    assert_eq!(k.fd_dup_from(fd, Fd(5), Keep), Ok(Fd(6)));
    assert_eq!(k.fd_dup2(fd, Fd(70)), Ok(Fd(70)));
    assert_eq!(k.fd_dup3(fd, Fd(3), Close), Ok(Fd(3)));
    assert_eq!(k.fd_dup2(fd, fd), Ok(fd));
    let flags = [(0, Close), (1, Keep), (3, Close), (5, Close), (6, Keep), (70, Keep)];
    assert_eq!(k.fds(), flags.map(|(fd, flag)| (Fd(fd), flag)));
    assert!(k.fd_get(Fd(70)).unwrap().same_file(&k.fd_get(fd).unwrap()));
    for (fd, _) in &flags[1..] {
        k.fd_close(Fd(*fd)).unwrap();
        assert_eq!(host.is_open(), 1);
    }
    k.fd_close(fd).unwrap();
    assert_eq!(host.is_open(), 0, "the last reference closes, at once");
}

#[test]
fn dup2_closes_what_was_there() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    let (a, b) = (k.fd_open(host.file(1), Keep).unwrap(), k.fd_open(host.file(2), Close).unwrap());
    assert_eq!(k.fd_dup2(a, b), Ok(b));
    assert_eq!(host.take_closed(), [2]);
    assert_eq!(names(&k), [(0, 1, Keep), (1, 1, Keep)]);
    assert_eq!(k.fd_open(host.file(3), Keep).unwrap(), Fd(2));
}

#[test]
fn flags_can_be_changed() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    let fd = k.fd_open(host.file(1), Keep).unwrap();
    for flag in [Close, Close, Keep, Close] {
        k.fd_set_on_exec(fd, flag).unwrap();
        assert_eq!(k.fd_on_exec(fd), Ok(flag));
        assert_eq!(k.fd_get(fd).unwrap().name, 1);
    }
    k.fd_close(fd).unwrap();
    assert_eq!(host.take_closed(), [1]);
}

#[test]
fn a_reserved_descriptor_is_taken_and_not_open() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    k.fd_open(host.file(0), Keep).unwrap();
    let reservation = k.fd_reserve(Close).unwrap();
    let fd = reservation.fd();
    assert_eq!(fd, Fd(1));
    assert_eq!(k.fd_get(fd).err(), Some(FdError::BadFd));
    assert_eq!(k.fd_close(fd), Err(FdError::BadFd));
    assert_eq!(k.fd_set_on_exec(fd, Close), Err(FdError::BadFd));
    assert_eq!(k.fd_on_exec(fd), Err(FdError::BadFd));
    assert_eq!(k.fd_dup(fd), Err(FdError::BadFd));
    assert_eq!(k.fd_dup2(Fd(0), fd), Err(FdError::Busy));
    assert_eq!(k.fd_dup3(Fd(0), fd, Close), Err(FdError::Busy));
    assert_eq!(k.fd_dup(Fd(0)), Ok(Fd(2)));
    k.fd_close_range(Fd(1), Fd(1), CloseRange::Close).unwrap();
    k.fd_close_range(Fd(1), Fd(1), CloseRange::SetOnExec).unwrap();
    assert_eq!(numbers(&k), [0, 2]);
    assert_eq!(reservation.fill(host.file(9)), fd);
    assert_eq!(names(&k), [(0, 0, Keep), (1, 9, Close), (2, 0, Keep)]);
    let dropped = k.fd_reserve(Keep).unwrap();
    assert_eq!(dropped.fd(), Fd(3));
    drop(dropped);
    assert_eq!(k.fd_dup(Fd(0)), Ok(Fd(3)), "given back");
    std::mem::forget(k.fd_reserve(Keep).unwrap());
    assert_eq!(k.fd_dup(Fd(0)), Ok(Fd(5)), "a leaked one stays taken");
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
    let fd = k.fd_open(host.file(1), Keep).unwrap();
    assert_eq!(k.fd_dup_from(fd, Fd(MAX - 2), Keep), Ok(Fd(MAX - 2)));
    assert_eq!(k.fd_dup_from(fd, Fd(MAX - 2), Keep), Ok(Fd(MAX - 1)));
    assert_eq!(k.fd_dup_from(fd, Fd(MAX - 2), Keep), Err(FdError::TooMany));
    for at in 1..MAX - 2 {
        assert_eq!(k.fd_dup2(fd, Fd(at)), Ok(Fd(at)));
    }
    let handle = k.fd_get(fd).unwrap().handle();
    assert_eq!(k.fd_dup(fd), Err(FdError::TooMany));
    assert_eq!(k.fd_install(&handle, Keep), Err(FdError::TooMany));
    assert_eq!(k.fd_reserve(Keep).map(drop), Err(FdError::TooMany));
    let error = k.fd_open(host.file(2), Keep).unwrap_err();
    assert_eq!((error.error(), error.errno()), (FdError::TooMany, Errno::EMFILE));
    assert_eq!(host.is_open(), 2, "not closed");
    assert_eq!(error.into_file().name, 2);
    assert_eq!(host.take_closed(), [2]);
    let by_question_mark = || -> Result<Fd, FdError> { Ok(k.fd_open(host.file(3), Keep)?) };
    assert_eq!(by_question_mark(), Err(FdError::TooMany));
    assert_eq!(host.take_closed(), [3]);
    k.fd_close(Fd(77_777)).unwrap();
    assert_eq!(k.fd_open(host.file(4), Keep).unwrap(), Fd(77_777));
    drop(handle);
    k.fd_close_range(Fd(0), Fd(i32::MAX), CloseRange::Close).unwrap();
    assert_eq!((k.fds(), host.is_open()), (vec![], 0));
    assert_eq!(host.take_closed(), [4, 1]);
}

#[test]
fn ranges() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    for i in 0..80 {
        k.fd_open(host.file(i), Keep).unwrap();
    }
    k.fd_close_range(Fd(10), Fd(69), CloseRange::Close).unwrap();
    assert_eq!(host.take_closed(), (10..70).collect::<Vec<_>>(), "lowest first");
    k.fd_close_range(Fd(5), Fd(1000), CloseRange::SetOnExec).unwrap();
    assert_eq!(k.fd_on_exec(Fd(4)), Ok(Keep));
    assert_eq!(k.fd_on_exec(Fd(79)), Ok(Close));
    assert_eq!(k.fd_open(host.file(80), Keep).unwrap(), Fd(10));
    k.fd_close_on_exec();
    assert_eq!(numbers(&k), [0, 1, 2, 3, 4, 10]);
    k.fd_close_range(Fd(i32::MAX), Fd(i32::MAX), CloseRange::Close).unwrap();
}

#[test]
fn forks_share_copy_or_start_afresh() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let fd = k.fd_open(host.file(1), Close).unwrap();
    k.fd_open(host.file(2), Keep).unwrap();

    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    assert_eq!((names(&k).len(), k.fd_table_users()), (2, 2));
    k.fd_close(Fd(1)).unwrap();
    assert_eq!(k.fd_dup(fd), Ok(Fd(1)));
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!(names(&k), [(0, 1, Close), (1, 1, Keep)], "a close and a dup show in both");
    drop(child);
    assert_eq!((k.fd_table_users(), host.is_open()), (1, 1));

    let reserved = k.fd_reserve(Keep).unwrap();
    std::mem::forget(reserved);
    let parent = k.rfork(Rfork::Copy).unwrap().unwrap();
    assert_eq!(names(&k), [(0, 1, Close), (1, 1, Keep)]);
    assert_eq!(k.fd_open(host.file(5), Keep).unwrap(), Fd(2), "reserved in the parent only");
    assert_eq!(k.fd_close(Fd(0)), Ok(()));
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!(names(&k), [(0, 1, Close), (1, 1, Keep)], "not touched");
    drop(child);
    assert_eq!(host.take_closed(), [2, 5]);

    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert_eq!(k.fd_get(fd).err(), Some(FdError::BadFd), "the parent's descriptor");
    assert_eq!((k.fds(), k.fd_table_users()), (vec![], 1));
    k.releaselwp().unwrap();
    k.switch(parent).unwrap();
    assert_eq!(k.fd_get(fd).unwrap().name, 1);
    k.releaselwp().unwrap();
    drop(k);
    assert_eq!(host.take_closed(), [1]);
}

#[test]
fn a_new_lwp_uses_its_processs_table() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    k.fd_open(host.file(1), Keep).unwrap();
    let more: Vec<_> = (0..3).map(|_| kernel.alloclwp(Some(pid)).unwrap()).collect();
    assert_eq!(k.fd_table_users(), 4);
    let guard = kernel.pin();
    let proc = kernel.find(pid, &guard).unwrap();
    assert_eq!((proc.fd_count(), proc.fd_table_users()), (1, 4));
    assert!(proc.shares_fds_with(&proc));
    assert!(!proc.shares_fds_with(&kernel.find(Pid::INIT, &guard).unwrap()));
    k.releaselwp().unwrap();
    for (i, lwp) in more.into_iter().enumerate() {
        k.switch(lwp).unwrap();
        assert_eq!((names(&k).len(), k.fd_table_users()), (1, 3 - i));
        k.releaselwp().unwrap();
        assert_eq!(names(&k).len(), 1, "until it is switched away from");
    }
    assert_eq!(host.is_open(), 1);
    drop(k);
    assert_eq!(host.is_open(), 0);
    assert_eq!((proc.fd_count(), proc.fd_table_users()), (0, 0), "ended");
    assert!(!proc.shares_fds_with(&proc));
}

/// An exiting LWP's files are closed while it is still current (S488-S495).
#[test]
fn an_exiting_lwp_closes_in_its_own_context() {
    let (host, kernel) = kernel();
    CLEARS.set(true);
    for leaves in [true, false] {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let me = k.curlwp().unwrap().token();
        let look = move || assert_eq!(CURRENT.get(), Some(me), "its own context");
        k.fd_open(host.file_with(1, look), Keep).unwrap();
        k.releaselwp().unwrap();
        assert_eq!(host.take_closed(), []);
        if leaves {
            drop(k);
            assert_eq!(host.take_closed(), [1, CLEAR]);
        } else {
            k.rfork(Rfork::Fresh).unwrap();
            assert_eq!(host.take_closed(), [1, CLEAR]);
            k.unbind().map(drop).unwrap();
            assert_eq!(host.take_closed(), [CLEAR]);
        }
    }
    CLEARS.set(false);
}

#[test]
fn implicit_contexts_and_lwps_of_init_use_inits() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    let fd = k.fd_open(host.file(1), Keep).unwrap();
    assert_eq!(k.fd_table_users(), 1, "init's own LWP");
    std::thread::scope(|s| {
        s.spawn(|| assert_eq!(kernel.enter().unwrap().fd_get(fd).unwrap().name, 1));
    });
    k.lwphold().unwrap();
    assert_eq!((k.fd_table_users(), k.fd_get(fd).unwrap().name), (2, 1));
    let child = k.rfork(Rfork::Share).unwrap().unwrap();
    assert_eq!(k.fd_table_users(), 3);
    k.drain();
    k.fd_close_on_exec();
    assert_eq!((k.fd_table_users(), k.fds().len()), (1, 1), "a copy of its own");
    k.releaselwp().unwrap();
    k.switch(child).unwrap();
    k.drain();
    k.fd_close_on_exec();
    assert_eq!(k.fd_table_users(), 2, "init never replaces its table");
    k.reopen();
    k.lwprele().unwrap();
    drop(k);
    assert_eq!(host.is_open(), 1);
    let mut k = kernel.enter().unwrap();
    k.newlwp(Pid(0)).unwrap();
    assert_eq!((k.fds(), k.fd_table_users()), (vec![], 2), "proc0's");
    k.fd_open(host.file(2), Keep).unwrap();
    k.releaselwp().unwrap();
    drop(k);
    assert_eq!(host.is_open(), 2);
    drop(kernel);
    assert_eq!(host.take_closed(), [1, 2]);
}

/// One that others could join closes in the table that it shares.
#[test]
fn an_exec_without_a_drain_does_not_unshare() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.fd_open(host.file(1), Close).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    k.fd_close_on_exec();
    assert_eq!((k.fd_table_users(), host.take_closed()), (2, vec![1]));
    k.fd_open(host.file(2), Close).unwrap();
    let second = kernel.alloclwp(Some(k.pid())).unwrap();
    k.drain();
    k.fd_close_on_exec();
    assert_eq!((k.fd_table_users(), host.take_closed()), (3, vec![2]), "two LWPs");
    drop((parent, second));
}

/// An exec in a process that shares its table leaves the others' as it is.
#[test]
fn an_exec_unshares() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.fd_open(host.file(1), Close).unwrap();
    k.fd_open(host.file(2), Keep).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child_pid = k.pid();
    k.drain();
    k.fd_close_on_exec();
    k.reopen();
    assert_eq!((numbers(&k), k.fd_table_users()), (vec![1], 1));
    let second = kernel.alloclwp(Some(child_pid)).unwrap();
    assert_eq!(k.fd_table_users(), 2, "who joins gets the new table");
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!((numbers(&k), k.fd_table_users()), (vec![0, 1], 1));
    k.fd_close_on_exec();
    assert_eq!((numbers(&k), host.take_closed()), (vec![1], vec![1]));
    drop((child, second));
    assert_eq!((numbers(&k), host.is_open()), (vec![1], 1));
}

#[test]
fn handles_travel() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let fd = k.fd_open(host.file(1), Keep).unwrap();
    let handle = k.fd_get(fd).unwrap().handle();
    assert_eq!(handle, handle.clone());
    k.fd_close(fd).unwrap();
    assert_eq!((handle.name, host.is_open()), (1, 1));
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.rfork(Rfork::Fresh).unwrap();
            assert_eq!(k.fd_install(&handle, Close), Ok(Fd(0)));
            assert_eq!(names(&k), [(0, 1, Close)]);
            k.releaselwp().unwrap();
        });
    });
    assert_eq!(host.is_open(), 1);
    let (_, other) = self::kernel();
    assert_eq!(other.enter().unwrap().fd_install(&handle, Keep), Err(FdError::WrongKernel));
    k.releaselwp().unwrap();
    drop(k);
    drop(kernel);
    assert_eq!((handle.name, host.is_open()), (1, 1), "outlives the kernel");
    drop(handle);
    assert_eq!(host.is_open(), 0);
}

/// A file that has handles of files, one of them open in init, keeps no world.
#[test]
fn files_in_files() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    let inner = k.fd_open(host.file(1), Keep).unwrap();
    let handle = k.fd_get(inner).unwrap().handle();
    k.fd_open(host.file_with(2, move || drop(handle)), Keep).unwrap();
    k.fd_close(inner).unwrap();
    assert_eq!(host.is_open(), 2);
    drop(k);
    drop(kernel);
    assert_eq!((host.take_closed(), Arc::strong_count(&host.open)), (vec![2, 1], 1));
}

#[test]
fn references_outlive_descriptors() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    let fd = k.fd_open(host.file(1), Keep).unwrap();
    let file = k.fd_get(fd).unwrap();
    k.fd_close(fd).unwrap();
    assert_eq!(k.fd_open(host.file(2), Keep).unwrap(), fd);
    assert_eq!((file.name, k.fd_get(fd).unwrap().name), (1, 2));
    assert!(!file.same_file(&k.fd_get(fd).unwrap()));
    assert_eq!(host.take_closed(), []);
    drop(file);
    assert_eq!(host.take_closed(), [1]);
}

/// A closing file looks around: its descriptor is free, its process still is.
#[test]
fn a_closing_file_may_call_the_kernel() {
    let (host, kernel) = kernel();
    let kernel = Arc::new(kernel);
    let calls = Arc::new(AtomicUsize::new(0));
    let look = |pid: Pid, alive: bool| {
        let (kernel, calls) = (Arc::downgrade(&kernel), calls.clone());
        move || {
            let kernel: Arc<Kernel<Files>> = Weak::upgrade(&kernel).unwrap();
            let guard = kernel.pin();
            let proc = kernel.find(pid, &guard).unwrap();
            assert_eq!(proc.fd_count(), 0);
            assert_eq!(proc.nlwps() > 0, alive);
            drop(guard);
            kernel.flush();
            drop(kernel.alloclwp(None).unwrap());
            calls.fetch_add(1, SeqCst);
        }
    };
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    let fd = k.fd_open(host.file_with(1, look(pid, true)), Keep).unwrap();
    k.fd_close(fd).unwrap();
    let fd = k.fd_open(host.file_with(2, look(pid, true)), Keep).unwrap();
    let handle = k.fd_get(fd).unwrap().handle();
    k.fd_dup2(fd, Fd(9)).unwrap();
    k.fd_close_range(Fd(0), Fd(9), CloseRange::Close).unwrap();
    drop(handle);
    k.fd_open(host.file_with(3, look(pid, true)), Close).unwrap();
    k.fd_close_on_exec();
    // At the end: by an exiting LWP, by an owned one, by a thread's end.
    k.fd_open(host.file_with(4, look(pid, true)), Keep).unwrap();
    k.releaselwp().unwrap();
    drop(k);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    k.fd_open(host.file_with(5, look(pid, true)), Keep).unwrap();
    drop(k.unbind().unwrap());
    drop(k);
    let (kernel2, host2) = (kernel.clone(), host.clone());
    let mine = calls.clone();
    std::thread::spawn(move || {
        let mut k = kernel2.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let (weak, pid) = (Arc::downgrade(&kernel2), k.pid());
        let look = move || {
            let kernel: Arc<Kernel<Files>> = weak.upgrade().unwrap();
            let guard = kernel.pin();
            assert!(kernel.find(pid, &guard).is_some());
            drop(kernel.enter().unwrap());
            mine.fetch_add(1, SeqCst);
        };
        k.fd_open(host2.file_with(6, look), Keep).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!((host.is_open(), calls.load(SeqCst)), (0, 6));
    assert_eq!(kernel.counts().procs, 2);
}

/// R5: while the last LWP closes, nobody joins its process any more.
#[test]
fn a_process_that_closes_takes_no_lwps() {
    let (host, kernel) = kernel();
    let kernel = Arc::new(kernel);
    let asked = Arc::new(AtomicUsize::new(0));
    let ask = |pid: Pid| {
        let (kernel, asked) = (Arc::downgrade(&kernel), asked.clone());
        move || {
            let kernel: Arc<Kernel<Files>> = kernel.upgrade().unwrap();
            assert_eq!(kernel.alloclwp(Some(pid)).unwrap_err(), NewLwpError::NoSuchProcess);
            assert_eq!(kernel.find(pid, &kernel.pin()).unwrap().nlwps(), 1);
            asked.fetch_add(1, SeqCst);
        }
    };
    for leaves in [true, false] {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        k.fd_open(host.file_with(1, ask(k.pid())), Keep).unwrap();
        if leaves {
            k.releaselwp().unwrap();
        } else {
            k.unbind().map(drop).unwrap();
        }
    }
    assert_eq!((asked.load(SeqCst), host.is_open()), (2, 0));
    assert_eq!(kernel.counts().procs, 2);
}

fn caught(f: impl FnOnce()) -> u32 {
    let panic = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    *panic.downcast().unwrap()
}

/// A process whose file panics when closed ends all the same, with all its
/// files, and the first panic goes on.
#[test]
fn a_panicking_file_loses_nothing() {
    let (host, kernel) = kernel();
    let panics = |n: u32| host.file_with(n, move || std::panic::panic_any(n));
    let fill = |k: &Entered<'_, Files>| {
        for n in 1..=3 {
            k.fd_open(panics(n), Close).unwrap();
            k.fd_open(host.file(10), Close).unwrap();
        }
    };
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    fill(&k);
    assert_eq!(caught(|| k.fd_close(Fd(2)).unwrap()), 2);
    assert_eq!(numbers(&k), [0, 1, 3, 4, 5]);
    assert_eq!(caught(|| _ = k.fd_dup2(Fd(1), Fd(0))), 1);
    assert_eq!(names(&k)[0], (0, 10, Keep));
    let all = (Fd(0), Fd(99));
    assert_eq!(caught(|| k.fd_close_range(all.0, all.1, CloseRange::Close).unwrap()), 3);
    assert_eq!((numbers(&k), host.is_open()), (vec![], 0));
    fill(&k);
    assert_eq!(caught(|| k.fd_close_on_exec()), 1);
    assert_eq!((numbers(&k), host.is_open()), (vec![], 0));
    // Dropped as an owned LWP.
    fill(&k);
    let mut lwp = k.unbind().unwrap();
    assert_eq!(caught(|| drop(lwp.take())), 1);
    // Switched away from.
    k.rfork(Rfork::Fresh).unwrap();
    fill(&k);
    k.releaselwp().unwrap();
    let next = kernel.alloclwp(None).unwrap();
    let pid = next.pid();
    assert_eq!(caught(|| drop(k.switch(next))), 1);
    assert_eq!(k.pid(), pid, "switched all the same");
    // Left.
    fill(&k);
    k.releaselwp().unwrap();
    assert_eq!(caught(|| drop(k)), 1);
    assert_eq!(host.is_open(), 0);
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2));
    // With the kernel.
    fill(&kernel.enter().unwrap());
    let mut kernel = Some(kernel);
    assert_eq!(caught(|| drop(kernel.take().unwrap().shutdown())), 1);
    assert_eq!((host.is_open(), Arc::strong_count(&host.open)), (0, 1), "nothing is leaked");
}

/// The end of a process on other ways, and forks that fail.
#[test]
fn nothing_is_lost() {
    let host = Files::default();
    let kernel = Kernel::builder()
        .host(host.clone())
        .id_capacity(2)
        .wait_policy(WaitPolicy::Wait)
        .build()
        .unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.fd_open(host.file(1), Keep).unwrap();
    for how in [Rfork::Share, Rfork::Copy, Rfork::Fresh] {
        assert_eq!(k.rfork(how).unwrap_err(), ForkError::IdsExhausted);
        assert_eq!(k.newlwp(k.pid()).unwrap_err(), NewLwpError::IdsExhausted);
        assert_eq!(k.fd_table_users(), 1);
    }
    k.drain();
    assert_eq!(k.newlwp(k.pid()).unwrap_err(), NewLwpError::Draining);
    assert_eq!(k.fd_table_users(), 1);
    k.fd_close(Fd(0)).unwrap();
    assert_eq!(host.is_open(), 0, "no copy was left behind");
    k.fd_open(host.file(1), Keep).unwrap();
    drop(k.unbind().unwrap().unwrap().unclaim());
    drop(k);
    assert_eq!(kernel.shutdown().released.len(), 1);
    assert_eq!((host.is_open(), Arc::strong_count(&host.open)), (0, 1));
}

/// Unused tables have no segment; memory comes back.
#[test]
fn everything_retired_is_freed() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    for i in 0..200 {
        k.rfork(Rfork::Fresh).map(drop).unwrap();
        for n in 0..100 {
            k.fd_open(host.file(n), Keep).unwrap();
        }
        k.fd_close(Fd(i % 100)).unwrap();
        k.rfork(Rfork::Copy).map(drop).unwrap();
    }
    k.releaselwp().unwrap();
    drop(k);
    assert_eq!(host.is_open(), 0);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed);
}

mod sequences {
    //! Random operations against a plain map.
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Open(OnExec),
        Reserve(OnExec),
        Fill(u8),
        Unreserve,
        Close(i32),
        Dup(i32),
        DupFrom(i32, i32, OnExec),
        Dup2(i32, i32),
        Dup3(i32, i32, OnExec),
        SetOnExec(i32, OnExec),
        Range(i32, i32, CloseRange),
        Exec,
        Keep(i32),
        LetGo(u8),
        Install(u8, OnExec),
        Fork(Rfork),
    }

    fn op() -> impl Strategy<Value = Op> {
        let fd = || {
            prop_oneof![
                20 => 0..12i32,
                4 => prop_oneof![Just(15), Just(16), Just(63), Just(64), Just(255), Just(256)],
                2 => prop_oneof![5 => Just(-1), 5 => Just(1 << 20), 1 => Just(1024), 5 => Just(i32::MIN)],
            ]
        };
        let flag = || prop_oneof![Just(Keep), Just(Close)];
        let how = prop_oneof![Just(CloseRange::Close), Just(CloseRange::SetOnExec)];
        let fork = prop_oneof![Just(Rfork::Share), Just(Rfork::Copy), Just(Rfork::Fresh)];
        prop_oneof![
            12 => flag().prop_map(Op::Open),
            3 => flag().prop_map(Op::Reserve),
            2 => any::<u8>().prop_map(Op::Fill),
            2 => Just(Op::Unreserve),
            8 => fd().prop_map(Op::Close),
            4 => fd().prop_map(Op::Dup),
            4 => (fd(), fd(), flag()).prop_map(|(a, b, c)| Op::DupFrom(a, b, c)),
            6 => (fd(), fd()).prop_map(|(a, b)| Op::Dup2(a, b)),
            4 => (fd(), fd(), flag()).prop_map(|(a, b, c)| Op::Dup3(a, b, c)),
            4 => (fd(), flag()).prop_map(|(a, b)| Op::SetOnExec(a, b)),
            2 => (fd(), fd(), how).prop_map(|(a, b, c)| Op::Range(a, b, c)),
            1 => Just(Op::Exec),
            3 => fd().prop_map(Op::Keep),
            2 => any::<u8>().prop_map(Op::LetGo),
            3 => (any::<u8>(), flag()).prop_map(|(a, b)| Op::Install(a, b)),
            2 => fork.prop_map(Op::Fork),
        ]
    }

    const LIMIT: i32 = 1 << 20;

    /// `None` is reserved.
    type Table = BTreeMap<i32, Option<(u32, OnExec)>>;

    fn lowest(table: &Table, min: i32) -> i32 {
        (min..).find(|fd| !table.contains_key(fd)).unwrap()
    }

    fn get(table: &Table, fd: i32) -> Result<(u32, OnExec), FdError> {
        table.get(&fd).copied().flatten().ok_or(FdError::BadFd)
    }

    fn dup3(table: &mut Table, old: i32, new: i32, flag: OnExec) -> Result<Fd, FdError> {
        if !(0..LIMIT).contains(&new) {
            return Err(FdError::BadFd);
        }
        let (name, _) = get(table, old)?;
        if table.get(&new) == Some(&None) {
            return Err(FdError::Busy);
        }
        table.insert(new, Some((name, flag)));
        Ok(Fd(new))
    }

    fn run(ops: &[Op]) {
        let (host, kernel) = kernel();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let mut table = Table::new();
        // Those of the processes that forked, which share or not.
        let mut behind: Vec<(Lwp<Files>, Option<Table>)> = Vec::new();
        let (mut name, mut handles) = (0, Vec::new());
        for op in ops {
            match *op {
                Op::Open(flag) => {
                    name += 1;
                    let fd = k.fd_open(host.file(name), flag).unwrap();
                    assert_eq!(fd.0, lowest(&table, 0));
                    table.insert(fd.0, Some((name, flag)));
                }
                // A leaked one: it stays reserved.
                Op::Reserve(flag) => {
                    let reservation = k.fd_reserve(flag).unwrap();
                    let fd = reservation.fd();
                    std::mem::forget(reservation);
                    assert_eq!(fd.0, lowest(&table, 0));
                    table.insert(fd.0, None);
                }
                Op::Fill(flag) => {
                    let flag = if flag % 2 == 0 { Keep } else { Close };
                    name += 1;
                    let reservation = k.fd_reserve(flag).unwrap();
                    let fd = reservation.fd();
                    assert_eq!(k.fd_dup2(fd, fd), Err(FdError::BadFd));
                    assert_eq!(reservation.fill(host.file(name)), fd);
                    assert_eq!(fd.0, lowest(&table, 0));
                    table.insert(fd.0, Some((name, flag)));
                }
                Op::Unreserve => {
                    let fd = k.fd_reserve(Keep).unwrap().fd();
                    assert_eq!(fd.0, lowest(&table, 0));
                }
                Op::Close(fd) => {
                    let expected = get(&table, fd).map(|_| _ = table.remove(&fd));
                    assert_eq!(k.fd_close(Fd(fd)), expected);
                }
                Op::Dup(fd) => {
                    let expected = get(&table, fd).map(|(name, _)| {
                        let new = lowest(&table, 0);
                        table.insert(new, Some((name, Keep)));
                        Fd(new)
                    });
                    assert_eq!(k.fd_dup(Fd(fd)), expected);
                }
                Op::DupFrom(fd, min, flag) => {
                    let expected = get(&table, fd).and_then(|(name, _)| {
                        if !(0..LIMIT).contains(&min) {
                            return Err(FdError::BadMinimum);
                        }
                        let new = lowest(&table, min);
                        if new >= LIMIT {
                            return Err(FdError::TooMany);
                        }
                        table.insert(new, Some((name, flag)));
                        Ok(Fd(new))
                    });
                    assert_eq!(k.fd_dup_from(Fd(fd), Fd(min), flag), expected);
                }
                Op::Dup2(old, new) => {
                    let expected = match old == new {
                        true => get(&table, old).map(|_| Fd(new)),
                        false => dup3(&mut table, old, new, Keep),
                    };
                    assert_eq!(k.fd_dup2(Fd(old), Fd(new)), expected);
                }
                Op::Dup3(old, new, flag) => {
                    let expected = match old == new {
                        true => Err(FdError::SameFd),
                        false => dup3(&mut table, old, new, flag),
                    };
                    assert_eq!(k.fd_dup3(Fd(old), Fd(new), flag), expected);
                }
                Op::SetOnExec(fd, flag) => {
                    let expected = get(&table, fd).map(|(name, _)| {
                        table.insert(fd, Some((name, flag)));
                    });
                    assert_eq!(k.fd_set_on_exec(Fd(fd), flag), expected);
                }
                Op::Range(first, last, how) => {
                    let result = k.fd_close_range(Fd(first), Fd(last), how);
                    if first < 0 || first > last {
                        assert_eq!(result, Err(FdError::BadRange));
                        continue;
                    }
                    assert_eq!(result, Ok(()));
                    table.retain(|fd, entry| match entry {
                        Some((_, flag)) if (first..=last).contains(fd) => {
                            *flag = Close;
                            how == CloseRange::SetOnExec
                        }
                        _ => true,
                    });
                }
                Op::Exec => {
                    if k.fd_table_users() > 1 {
                        // It gets a copy, without what is reserved.
                        let left = behind.iter_mut().rev().find(|(_, table)| table.is_none());
                        left.unwrap().1 = Some(table.clone());
                        table.retain(|_, entry| entry.is_some());
                    }
                    k.drain();
                    k.fd_close_on_exec();
                    k.reopen();
                    table.retain(|_, entry| !matches!(entry, Some((_, Close))));
                }
                Op::Keep(fd) => match k.fd_get(Fd(fd)) {
                    Ok(file) => {
                        assert_eq!(Ok(file.name), get(&table, fd).map(|(name, _)| name));
                        handles.push(file.handle());
                    }
                    Err(error) => assert_eq!(Err(error), get(&table, fd)),
                },
                Op::LetGo(i) => {
                    if let Some(i) = usize::from(i).checked_rem(handles.len()) {
                        drop(handles.swap_remove(i));
                    }
                }
                Op::Install(i, flag) => {
                    if let Some(i) = usize::from(i).checked_rem(handles.len()) {
                        let fd = k.fd_install(&handles[i], flag).unwrap();
                        assert_eq!(fd.0, lowest(&table, 0));
                        table.insert(fd.0, Some((handles[i].name, flag)));
                    }
                }
                Op::Fork(how) => {
                    let parent = k.rfork(how).unwrap().unwrap();
                    let kept = match how {
                        Rfork::Share => None,
                        Rfork::Copy | Rfork::Fresh => Some(table.clone()),
                    };
                    behind.push((parent, kept));
                    if how != Rfork::Share {
                        table.retain(|_, entry| entry.is_some() && how == Rfork::Copy);
                    }
                }
            }
            check(&host, &k, &table, &behind, &handles);
        }
        // Back through those that forked: they have what they had.
        while let Some((parent, kept)) = behind.pop() {
            k.releaselwp().unwrap();
            k.switch(parent).unwrap();
            table = kept.unwrap_or(table);
            check(&host, &k, &table, &behind, &handles);
        }
        k.releaselwp().unwrap();
        drop((k, handles));
        assert_eq!(host.is_open(), 0);
        assert_eq!(kernel.counts().procs, 2);
        kernel.flush();
        let stats = kernel.reclaim_stats();
        assert_eq!(stats.retired, stats.freed);
    }

    fn check(
        host: &Files,
        k: &Entered<'_, Files>,
        table: &Table,
        behind: &[(Lwp<Files>, Option<Table>)],
        handles: &[FileHandle<Files>],
    ) {
        let expected: Vec<_> =
            table.iter().filter_map(|(fd, e)| e.map(|(name, flag)| (*fd, name, flag))).collect();
        assert_eq!(names(k), expected);
        let sharing = behind.iter().rev().take_while(|(_, kept)| kept.is_none()).count();
        assert_eq!(k.fd_table_users(), 1 + sharing);
        // Open are those that some table or handle has.
        let tables = behind.iter().filter_map(|(_, table)| table.as_ref()).chain([table]);
        let mut open: Vec<u32> = tables.flat_map(|t| t.values().flatten().map(|e| e.0)).collect();
        open.extend(handles.iter().map(|h| h.name));
        open.sort();
        open.dedup();
        assert_eq!(host.is_open(), open.len() as isize);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn match_a_map(ops in prop::collection::vec(op(), 0..120)) {
            run(&ops);
        }
    }
}

mod references {
    //! Table references are the LWPs that use the table: at each step of a random
    //! sequence, and at rest after storms.
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Fork(Rfork),
        Newlwp(u8),
        Drop(u8),
        Switch(u8),
        Exit,
        Exec,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => prop_oneof![Just(Rfork::Share), Just(Rfork::Copy), Just(Rfork::Fresh)]
                .prop_map(Op::Fork),
            3 => any::<u8>().prop_map(Op::Newlwp),
            4 => any::<u8>().prop_map(Op::Drop),
            2 => any::<u8>().prop_map(Op::Switch),
            1 => Just(Op::Exit),
            1 => Just(Op::Exec),
        ]
    }

    #[derive(Default)]
    struct Model {
        /// The table of each process, and its LWPs.
        procs: BTreeMap<Pid, (usize, BTreeSet<Lid>)>,
        tables: usize,
    }

    impl Model {
        fn born(&mut self, pid: Pid, lid: Lid, shares: Option<usize>) {
            self.tables += 1;
            let lwps = &mut self.procs.entry(pid).or_default();
            lwps.0 = shares.unwrap_or(self.tables);
            lwps.1.insert(lid);
        }

        fn gone(&mut self, pid: Pid, lid: Lid) {
            let lwps = &mut self.procs.get_mut(&pid).unwrap().1;
            assert!(lwps.remove(&lid));
            if lwps.is_empty() {
                self.procs.remove(&pid);
            }
        }

        fn users(&self, table: usize) -> usize {
            self.procs.values().filter(|p| p.0 == table).map(|p| p.1.len()).sum()
        }

        fn check(&self, kernel: &Kernel<Files>, host: &Files) {
            let guard = kernel.pin();
            for proc in kernel.procs(&guard) {
                let (table, lwps) = &self.procs[&proc.pid()];
                assert_eq!(proc.nlwps() as usize, lwps.len());
                assert_eq!(proc.fd_table_users(), self.users(*table));
                for (pid, (other, _)) in &self.procs {
                    let other_proc = kernel.find(*pid, &guard).unwrap();
                    assert_eq!(proc.shares_fds_with(&other_proc), table == other);
                }
            }
            let tables: BTreeSet<usize> = self.procs.values().map(|p| p.0).collect();
            // One file in each but proc0's and init's.
            assert_eq!(host.is_open(), tables.len() as isize - 2);
        }
    }

    fn run(ops: &[Op]) {
        let (host, kernel) = kernel();
        let mut k = kernel.enter().unwrap();
        let mut model = Model::default();
        model.born(Pid(0), Lid(0), None);
        model.born(Pid(1), Lid(1), None);
        let mut owned: Vec<Lwp<Files>> = Vec::new();
        k.rfork(Rfork::Fresh).unwrap();
        model.born(k.pid(), k.lid().unwrap(), None);
        k.fd_open(host.file(0), Keep).unwrap();
        for op in ops {
            match *op {
                Op::Fork(how) => {
                    let table = model.procs[&k.pid()].0;
                    owned.extend(k.rfork(how).unwrap());
                    let shares = (how == Rfork::Share).then_some(table);
                    model.born(k.pid(), k.lid().unwrap(), shares);
                    if how != Rfork::Share {
                        let _ = k.fd_close(Fd(0));
                        k.fd_open(host.file(0), Keep).unwrap();
                    }
                }
                Op::Newlwp(i) => {
                    let pids: Vec<Pid> = model.procs.keys().copied().collect();
                    let pid = pids[usize::from(i) % pids.len()];
                    let lwp = kernel.alloclwp(Some(pid)).unwrap();
                    model.procs.get_mut(&pid).unwrap().1.insert(lwp.lid());
                    owned.push(lwp);
                }
                Op::Drop(i) => {
                    if let Some(i) = usize::from(i).checked_rem(owned.len()) {
                        let lwp = owned.swap_remove(i);
                        model.gone(lwp.pid(), lwp.lid());
                    }
                }
                Op::Switch(i) => {
                    let own = |l: &Lwp<Files>| l.pid() > Pid::INIT;
                    if let Some(i) = usize::from(i).checked_rem(owned.len())
                        && own(&owned[i])
                    {
                        let next = owned.swap_remove(i);
                        owned.extend(k.switch(next).unwrap());
                    }
                }
                Op::Exit => {
                    let (pid, lid) = (k.pid(), k.lid().unwrap());
                    k.releaselwp().unwrap();
                    k.rfork(Rfork::Fresh).unwrap();
                    model.gone(pid, lid);
                    model.born(k.pid(), k.lid().unwrap(), None);
                    k.fd_open(host.file(0), Keep).unwrap();
                }
                Op::Exec => {
                    let (table, lwps) = model.procs[&k.pid()].clone();
                    let unshares = lwps.len() == 1 && model.users(table) > 1;
                    k.drain();
                    k.fd_close_on_exec();
                    k.reopen();
                    if unshares {
                        model.born(k.pid(), k.lid().unwrap(), None);
                        k.fd_close(Fd(0)).unwrap();
                        k.fd_open(host.file(0), Keep).unwrap();
                    }
                }
            }
            model.check(&kernel, &host);
        }
        k.releaselwp().unwrap();
        drop((k, owned));
        assert_eq!(host.is_open(), 0);
        kernel.flush();
        let stats = kernel.reclaim_stats();
        assert_eq!(stats.retired, stats.freed);
        assert!(kernel.shutdown().is_clean());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn are_the_lwps_that_use_it(ops in prop::collection::vec(op(), 0..100)) {
            run(&ops);
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % n
        }
    }

    const THREADS: usize = 4;

    /// Threads of one process do everything to one small table. At rest the
    /// files open are those that the table has, and the bitmap is right: all
    /// that is free is found again, lowest first.
    #[test]
    fn a_storm_in_one_table() {
        let (host, kernel) = kernel();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let pid = k.pid();
        for round in 0..20 {
            std::thread::scope(|s| {
                for me in 0..THREADS {
                    let (kernel, host) = (&kernel, &host);
                    s.spawn(move || {
                        let mut random = Random(
                            0x9e37_79b9_7f4a_7c15u64.wrapping_mul((round * 8 + me + 1) as u64),
                        );
                        let mut k = kernel.enter().unwrap();
                        k.newlwp(pid).unwrap();
                        for n in 0..1000 {
                            storm(&k, host, &mut random, n);
                        }
                        k.releaselwp().unwrap();
                    });
                }
            });
            assert_eq!(k.fd_table_users(), 1);
            let open = names(&k);
            let mut files: Vec<_> = open.iter().map(|(fd, ..)| *fd).collect();
            files.retain(|fd| {
                let same = |other: &i32| {
                    let (a, b) = (k.fd_get(Fd(*fd)).unwrap(), k.fd_get(Fd(*other)).unwrap());
                    a.same_file(&b)
                };
                open.iter().map(|(fd, ..)| *fd).find(same) == Some(*fd)
            });
            assert_eq!(host.is_open(), files.len() as isize, "open are those in the table");
            // Every free descriptor is found, lowest first.
            let taken: BTreeSet<i32> = open.iter().map(|(fd, ..)| *fd).collect();
            for free in (0..200).filter(|fd| !taken.contains(fd)) {
                assert_eq!(k.fd_open(host.file(0), Keep).unwrap(), Fd(free), "round {round}");
            }
            k.fd_close_range(Fd(0), Fd(i32::MAX), CloseRange::Close).unwrap();
            assert_eq!(host.is_open(), 0);
            for fd in 0..200 {
                assert_eq!(k.fd_open(host.file(0), Keep).unwrap(), Fd(fd));
            }
            k.fd_close_range(Fd(0), Fd(i32::MAX), CloseRange::Close).unwrap();
        }
    }

    fn storm(k: &Entered<'_, Files>, host: &Files, random: &mut Random, n: u32) {
        let fd = Fd(random.below(24) as i32);
        let other = Fd(random.below(24) as i32);
        match random.below(12) {
            0..=1 => _ = k.fd_open(host.file(n), Keep).unwrap(),
            2..=4 => _ = k.fd_close(fd),
            5 => _ = k.fd_dup2(fd, other),
            6 => _ = k.fd_dup(fd),
            7 => _ = k.fd_set_on_exec(fd, Close),
            8 => {
                if let Ok(file) = k.fd_get(fd) {
                    let _ = k.fd_close(fd);
                    assert!(file.host.is_open() > 0);
                }
            }
            9 => {
                let reserved = k.fd_reserve(Keep).unwrap();
                assert_eq!(k.fd_close(reserved.fd()), Err(FdError::BadFd));
                assert_eq!(k.fd_get(reserved.fd()).err(), Some(FdError::BadFd));
                if n.is_multiple_of(2) {
                    reserved.fill(host.file(n));
                }
            }
            10 => _ = k.fd_close_range(fd, other, CloseRange::Close),
            _ => _ = k.fds(),
        }
    }

    /// Processes with files are forked, joined and left by all threads at once;
    /// at rest each table has the users it should, and nothing else is open.
    #[test]
    fn a_storm_of_processes() {
        let (host, kernel) = kernel();
        let pids: [std::sync::atomic::AtomicI32; 8] = std::array::from_fn(|_| 1.into());
        std::thread::scope(|s| {
            for me in 0..THREADS {
                let (kernel, host, pids) = (&kernel, &host, &pids);
                s.spawn(move || {
                    let mut random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(me as u64 + 1));
                    let mut k = kernel.enter().unwrap();
                    let mut owned = Vec::new();
                    for n in 0..4000 {
                        let at = random.below(8);
                        match random.below(6) {
                            0 => {
                                let how =
                                    [Rfork::Share, Rfork::Copy, Rfork::Fresh][random.below(3)];
                                owned.extend(k.rfork(how).unwrap());
                                pids[at].store(k.pid().0, SeqCst);
                            }
                            1..=2 => {
                                if let Ok(old) = k.newlwp(Pid(pids[at].load(SeqCst))) {
                                    owned.extend(old);
                                    assert!(k.fd_table_users() >= 1);
                                }
                            }
                            3 => _ = k.releaselwp(),
                            4 => storm(&k, host, &mut random, n),
                            _ => {
                                let guard = kernel.pin();
                                let pid = Pid(pids[at].load(SeqCst));
                                if let Some(proc) = kernel.find(pid, &guard) {
                                    let _ = (proc.fd_count(), proc.fd_table_users());
                                }
                            }
                        }
                        while owned.len() > 6 {
                            let i = random.below(owned.len());
                            drop(owned.swap_remove(i));
                        }
                        if n % 16 == 0 {
                            drop(k);
                            k = kernel.enter().unwrap();
                        }
                    }
                    while let Some(lwp) = k.unbind().ok().flatten() {
                        drop(lwp);
                    }
                });
            }
        });
        let k = kernel.enter().unwrap();
        assert_eq!(k.fd_table_users(), 1);
        k.fd_close_range(Fd(0), Fd(i32::MAX), CloseRange::Close).unwrap();
        drop(k);
        // Threads of a scope may still be ending; the teardown takes the rest.
        assert_eq!(kernel.shutdown().survivors, []);
        assert_eq!(host.is_open(), 0);
    }
}
