//! Who shares a table, who leaves it, and what outlives it.

use super::*;

#[test]
fn forks_share_copy_or_start_afresh() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let fd = k.files().open(host.file(1), Close).unwrap();
    k.files().open(host.file(2), Keep).unwrap();

    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    assert_eq!((names(&k).len(), k.files().table_users()), (2, 2));
    k.files().close(Fd(1)).unwrap();
    assert_eq!(k.files().dup(fd), Ok(Fd(1)));
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!(names(&k), [(0, 1, Close), (1, 1, Keep)], "a close and a dup show in both");
    drop(child);
    assert_eq!((k.files().table_users(), host.is_open()), (1, 1));

    let reserved = k.files().reserve(Keep).unwrap();
    std::mem::forget(reserved);
    let parent = k.rfork(Rfork::Copy).unwrap().unwrap();
    assert_eq!(names(&k), [(0, 1, Close), (1, 1, Keep)]);
    assert_eq!(k.files().open(host.file(5), Keep).unwrap(), Fd(2), "reserved in the parent only");
    assert_eq!(k.files().close(Fd(0)), Ok(()));
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!(names(&k), [(0, 1, Close), (1, 1, Keep)], "not touched");
    drop(child);
    assert_eq!(host.take_closed(), [2, 5]);

    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert_eq!(k.files().get(fd).err(), Some(FdError::BadFd), "the parent's descriptor");
    assert_eq!((k.files().list(), k.files().table_users()), (vec![], 1));
    k.release().unwrap();
    k.switch(parent).unwrap();
    assert_eq!(k.files().get(fd).unwrap().name, 1);
    k.release().unwrap();
    drop(k);
    assert_eq!(host.take_closed(), [1]);
}

#[test]
fn a_new_lwp_uses_its_processs_table() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    k.files().open(host.file(1), Keep).unwrap();
    let more: Vec<_> = (0..3).map(|_| kernel.new_lwp(pid).unwrap()).collect();
    assert_eq!(k.files().table_users(), 4);
    let guard = kernel.pin();
    let proc = guard.proc(pid).unwrap();
    assert_eq!((proc.fd_count(), proc.fd_table_users()), (1, 4));
    assert!(proc.shares_fds_with(&proc));
    assert!(!proc.shares_fds_with(&guard.proc(Pid::INIT).unwrap()));
    k.release().unwrap();
    for (i, lwp) in more.into_iter().enumerate() {
        k.switch(lwp).unwrap();
        assert_eq!((names(&k).len(), k.files().table_users()), (1, 3 - i));
        k.release().unwrap();
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
        k.files().open(host.file_with(1, look), Keep).unwrap();
        k.release().unwrap();
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
    let fd = k.files().open(host.file(1), Keep).unwrap();
    assert_eq!(k.files().table_users(), 1, "init's own LWP");
    std::thread::scope(|s| {
        s.spawn(|| assert_eq!(kernel.enter().unwrap().files().get(fd).unwrap().name, 1));
    });
    k.hold().unwrap();
    assert_eq!((k.files().table_users(), k.files().get(fd).unwrap().name), (2, 1));
    let child = k.rfork(Rfork::Share).unwrap().unwrap();
    assert_eq!(k.files().table_users(), 3);
    k.drain();
    k.files_mut().close_on_exec();
    assert_eq!((k.files().table_users(), k.files().list().len()), (1, 1), "a copy of its own");
    k.release().unwrap();
    k.switch(child).unwrap();
    k.drain();
    k.files_mut().close_on_exec();
    assert_eq!(k.files().table_users(), 2, "init never replaces its table");
    k.reopen();
    k.unhold().unwrap();
    drop(k);
    assert_eq!(host.is_open(), 1);
    let mut k = kernel.enter().unwrap();
    k.become_new_lwp(Pid(0)).unwrap();
    assert_eq!((k.files().list(), k.files().table_users()), (vec![], 2), "proc0's");
    k.files().open(host.file(2), Keep).unwrap();
    k.release().unwrap();
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
    k.files().open(host.file(1), Close).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    k.files_mut().close_on_exec();
    assert_eq!((k.files().table_users(), host.take_closed()), (2, vec![1]));
    k.files().open(host.file(2), Close).unwrap();
    let second = kernel.new_lwp(k.pid()).unwrap();
    k.drain();
    k.files_mut().close_on_exec();
    assert_eq!((k.files().table_users(), host.take_closed()), (3, vec![2]), "two LWPs");
    drop((parent, second));
}

/// An exec in a process that shares its table leaves the others' as it is.
#[test]
fn an_exec_unshares() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.files().open(host.file(1), Close).unwrap();
    k.files().open(host.file(2), Keep).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child_pid = k.pid();
    k.drain();
    k.files_mut().close_on_exec();
    k.reopen();
    assert_eq!((numbers(&k), k.files().table_users()), (vec![1], 1));
    let second = kernel.new_lwp(child_pid).unwrap();
    assert_eq!(k.files().table_users(), 2, "who joins gets the new table");
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!((numbers(&k), k.files().table_users()), (vec![0, 1], 1));
    k.files_mut().close_on_exec();
    assert_eq!((numbers(&k), host.take_closed()), (vec![1], vec![1]));
    drop((child, second));
    assert_eq!((numbers(&k), host.is_open()), (vec![1], 1));
}

#[test]
fn handles_travel() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let fd = k.files().open(host.file(1), Keep).unwrap();
    let handle = k.files().get(fd).unwrap().handle();
    assert_eq!(handle, handle.clone());
    k.files().close(fd).unwrap();
    assert_eq!((handle.name, host.is_open()), (1, 1));
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.rfork(Rfork::Fresh).unwrap();
            assert_eq!(k.files().install(&handle, Close), Ok(Fd(0)));
            assert_eq!(names(&k), [(0, 1, Close)]);
            k.release().unwrap();
        });
    });
    assert_eq!(host.is_open(), 1);
    let (_, other) = self::kernel();
    assert_eq!(other.enter().unwrap().files().install(&handle, Keep), Err(FdError::WrongKernel));
    k.release().unwrap();
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
    let inner = k.files().open(host.file(1), Keep).unwrap();
    let handle = k.files().get(inner).unwrap().handle();
    k.files().open(host.file_with(2, move || drop(handle)), Keep).unwrap();
    k.files().close(inner).unwrap();
    assert_eq!(host.is_open(), 2);
    drop(k);
    drop(kernel);
    assert_eq!((host.take_closed(), Arc::strong_count(&host.open)), (vec![2, 1], 1));
}

#[test]
fn references_outlive_descriptors() {
    let (host, kernel) = kernel();
    let k = kernel.enter().unwrap();
    let fd = k.files().open(host.file(1), Keep).unwrap();
    let file = k.files().get(fd).unwrap();
    k.files().close(fd).unwrap();
    assert_eq!(k.files().open(host.file(2), Keep).unwrap(), fd);
    assert_eq!((file.name, k.files().get(fd).unwrap().name), (1, 2));
    assert!(!file.same_file(&k.files().get(fd).unwrap()));
    assert_eq!(host.take_closed(), []);
    drop(file);
    assert_eq!(host.take_closed(), [1]);
}
