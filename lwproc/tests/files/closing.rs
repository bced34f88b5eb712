//! What closing runs, and what is left of it.

use super::*;

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
            let proc = guard.proc(pid).unwrap();
            assert_eq!(proc.fd_count(), 0);
            assert_eq!(proc.nlwps() > 0, alive);
            drop(guard);
            kernel.flush();
            drop(kernel.spawn().start().unwrap());
            calls.fetch_add(1, SeqCst);
        }
    };
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    let fd = k.files().open(host.file_with(1, look(pid, true)), Keep).unwrap();
    k.files().close(fd).unwrap();
    let fd = k.files().open(host.file_with(2, look(pid, true)), Keep).unwrap();
    let handle = k.files().get(fd).unwrap().handle();
    k.files().dup2(fd, Fd(9)).unwrap();
    k.files().close_range(Fd(0), Fd(9), CloseRange::Close).unwrap();
    drop(handle);
    k.files().open(host.file_with(3, look(pid, true)), Close).unwrap();
    k.files_mut().close_on_exec();
    // At the end: by an exiting LWP, by an owned one, by a thread's end.
    k.files().open(host.file_with(4, look(pid, true)), Keep).unwrap();
    k.release().unwrap();
    drop(k);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    k.files().open(host.file_with(5, look(pid, true)), Keep).unwrap();
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
            assert!(guard.proc(pid).is_some());
            drop(kernel.enter().unwrap());
            mine.fetch_add(1, SeqCst);
        };
        k.files().open(host2.file_with(6, look), Keep).unwrap();
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
            assert_eq!(kernel.new_lwp(pid).unwrap_err(), NewLwpError::NoSuchProcess);
            assert_eq!(kernel.pin().proc(pid).unwrap().nlwps(), 1);
            asked.fetch_add(1, SeqCst);
        }
    };
    for leaves in [true, false] {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        k.files().open(host.file_with(1, ask(k.pid())), Keep).unwrap();
        if leaves {
            k.release().unwrap();
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
            k.files().open(panics(n), Close).unwrap();
            k.files().open(host.file(10), Close).unwrap();
        }
    };
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    fill(&k);
    assert_eq!(caught(|| k.files().close(Fd(2)).unwrap()), 2);
    assert_eq!(numbers(&k), [0, 1, 3, 4, 5]);
    assert_eq!(caught(|| _ = k.files().dup2(Fd(1), Fd(0))), 1);
    assert_eq!(names(&k)[0], (0, 10, Keep));
    let all = (Fd(0), Fd(99));
    assert_eq!(caught(|| k.files().close_range(all.0, all.1, CloseRange::Close).unwrap()), 3);
    assert_eq!((numbers(&k), host.is_open()), (vec![], 0));
    fill(&k);
    assert_eq!(caught(|| k.files_mut().close_on_exec()), 1);
    assert_eq!((numbers(&k), host.is_open()), (vec![], 0));
    // Dropped as an owned LWP.
    fill(&k);
    let mut lwp = k.unbind().unwrap();
    assert_eq!(caught(|| drop(lwp.take())), 1);
    // Switched away from.
    k.rfork(Rfork::Fresh).unwrap();
    fill(&k);
    k.release().unwrap();
    let next = kernel.spawn().start().unwrap();
    let pid = next.pid();
    assert_eq!(caught(|| drop(k.switch(next))), 1);
    assert_eq!(k.pid(), pid, "switched all the same");
    // Left.
    fill(&k);
    k.release().unwrap();
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
    k.files().open(host.file(1), Keep).unwrap();
    for how in [Rfork::Share, Rfork::Copy, Rfork::Fresh] {
        assert_eq!(k.rfork(how).unwrap_err(), ForkError::IdsExhausted);
        assert_eq!(k.become_new_lwp(k.pid()).unwrap_err(), NewLwpError::IdsExhausted);
        assert_eq!(k.files().table_users(), 1);
    }
    k.drain();
    assert_eq!(k.become_new_lwp(k.pid()).unwrap_err(), NewLwpError::Draining);
    assert_eq!(k.files().table_users(), 1);
    k.files().close(Fd(0)).unwrap();
    assert_eq!(host.is_open(), 0, "no copy was left behind");
    k.files().open(host.file(1), Keep).unwrap();
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
            k.files().open(host.file(n), Keep).unwrap();
        }
        k.files().close(Fd(i % 100)).unwrap();
        k.rfork(Rfork::Copy).map(drop).unwrap();
    }
    k.release().unwrap();
    drop(k);
    assert_eq!(host.is_open(), 0);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed);
}
