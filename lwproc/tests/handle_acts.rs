//! Acting on a process by its handle: `ProcHandle::{spawn, new_lwp, setpgid, take_file}`.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

type Shared = ThreadHost<Arc<&'static str>>;

fn kernel() -> Kernel<Shared> {
    Kernel::builder().host(Shared::new()).wait_policy(WaitPolicy::Wait).build().unwrap()
}

#[test]
fn a_process_is_forked_by_its_handle() {
    let kernel = kernel();
    let parent = kernel.spawn().name("parent").session().start().unwrap();
    let handle = parent.proc_handle();
    let file = Arc::new("file");
    let mut k = kernel.enter().unwrap();
    k.switch(parent).unwrap();
    k.files().open(file.clone(), OnExec::Keep).unwrap();
    k.signals().set_blocked(SigSet::ALL).unwrap();
    let parent = k.unbind().unwrap().unwrap();

    let child = handle.spawn().start().unwrap();
    let other = handle.spawn().files(Rfork::Fresh).fd(Fd(0), Fd(4)).start().unwrap();
    let guard = kernel.pin();
    let seen = guard.proc(child.pid()).unwrap();
    assert_eq!((seen.ppid(), seen.sid()), (handle.pid(), Some(handle.pid())));
    assert_eq!(seen.comm().as_str(), "parent");
    assert!(seen.shares_fds_with(&guard.proc(handle.pid()).unwrap()));
    assert_eq!(guard.proc(handle.pid()).unwrap().nlwps(), 1, "nothing is left of the fork");
    assert_eq!(guard.proc(handle.pid()).unwrap().fd_table_users(), 2);
    assert_eq!(Arc::strong_count(&file), 2);
    drop(guard);
    let back = k.switch(other).unwrap();
    assert!(back.is_none());
    assert_eq!(k.files().list(), [(Fd(4), OnExec::Keep)]);
    assert_eq!(k.signals().blocked(), SigSet::EMPTY, "who forks by a handle is no LWP of it");
    drop((k.unbind().unwrap(), child));

    // It waits for them as for any child.
    k.switch(parent).unwrap();
    assert!(k.try_wait(WaitTarget::Any).unwrap().is_some());
    assert!(k.try_wait(WaitTarget::Any).unwrap().is_some());
    assert_eq!(k.try_wait(WaitTarget::Any), Err(WaitError::NoChild));
}

#[test]
fn a_process_that_has_ended_is_refused() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let child = k.spawn().start().unwrap();
    let handle = child.proc_handle();
    drop(child);
    let refused = |zombie: bool| {
        assert!(handle.exit_status().is_some());
        assert_eq!(handle.spawn().start().unwrap_err(), SpawnError::NoSuchProcess, "{zombie}");
        assert_eq!(handle.new_lwp().unwrap_err(), NewLwpError::NoSuchProcess);
        assert_eq!(handle.setpgid(Pid(0)), Err(GroupError::NoSuchProcess));
        assert_eq!(handle.take_file(Fd(0)).unwrap_err(), FdError::NoSuchProcess);
    };
    // One that never had a descriptor is refused as well.
    let fresh = kernel.spawn().start().unwrap().proc_handle();
    assert_eq!(fresh.take_file(Fd(0)).unwrap_err(), FdError::NoSuchProcess);
    let before = kernel.counts();
    refused(true);
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    // Another process may bear the number now, but never by this handle.
    let others: Vec<_> = (0..300).map(|_| kernel.spawn().start().unwrap()).collect();
    refused(false);
    drop(others);
    assert_eq!(kernel.counts().procs, before.procs);
}

#[test]
fn a_process_that_drains_takes_neither_lwp_nor_fork_from_outside() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let handle = k.pin().proc(k.pid()).unwrap().handle().unwrap();
    assert_eq!(k.drain(), Drain::Begun);
    assert_eq!(handle.spawn().start().unwrap_err(), SpawnError::Draining);
    assert_eq!(handle.new_lwp().unwrap_err(), NewLwpError::Draining);
    assert_eq!(handle.nlwps(), 1);
    drop(k.spawn().start().unwrap()); // its own LWP may
    k.reopen();
    let (child, lwp) = (handle.spawn().start().unwrap(), handle.new_lwp().unwrap());
    assert_eq!((lwp.pid(), handle.nlwps()), (k.pid(), 2));
    assert_ne!(child.pid(), k.pid());
}

#[test]
fn a_group_is_set_as_the_parent_could() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let session = k.groups().setsid().unwrap();
    let child = k.spawn().start().unwrap();
    let stranger = k.spawn().session().start().unwrap();
    let (handle, other) = (child.proc_handle(), stranger.proc_handle());
    let own = k.pin().proc(k.pid()).unwrap().handle().unwrap();

    assert_eq!(handle.setpgid(Pid(-1)), Err(GroupError::BadNumber));
    assert_eq!(handle.setpgid(Pid(77)), Err(GroupError::NoSuchGroup));
    assert_eq!(handle.setpgid(other.pid()), Err(GroupError::OtherSession), "the group is");
    assert_eq!(other.setpgid(session), Err(GroupError::OtherSession), "the process is");
    assert_eq!(own.setpgid(Pid(0)), Err(GroupError::OtherSession), "its parent's is init's");
    assert_eq!(handle.setpgid(Pid(0)), Ok(()));
    assert_eq!(k.groups().pgid_of(handle.pid()), Ok(handle.pid()));
    assert_eq!(handle.setpgid(handle.pid()), Ok(()), "it is there");
    assert_eq!(handle.setpgid(session), Ok(()));
    assert!(k.pin().pgrp(handle.pid()).is_none());

    let back = k.switch(child).unwrap().unwrap();
    k.drain();
    k.exec("program").unwrap();
    assert_eq!(handle.setpgid(Pid(0)), Err(GroupError::HasExeced));
    let child = k.switch(back).unwrap().unwrap();
    // An orphan's parent is init, in session 0.
    let orphan = {
        let middle = k.spawn().start().unwrap();
        let handle = middle.proc_handle();
        let orphan = handle.spawn().start().unwrap();
        drop(middle);
        orphan
    };
    assert_eq!(orphan.proc_handle().setpgid(Pid(0)), Err(GroupError::OtherSession));
    for permanent in [Pid::KERNEL, Pid::INIT] {
        let handle = k.pin().proc(permanent).unwrap().handle().unwrap();
        let expected =
            if permanent == Pid::KERNEL { Err(GroupError::SessionLeader) } else { Ok(()) };
        assert_eq!(handle.setpgid(Pid(0)), expected);
    }
    drop(child);
}

#[test]
fn files_are_taken_by_handle() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let file = Arc::new("file");
    let fd = k.files().open(file.clone(), OnExec::Keep).unwrap();
    let handle = k.pin().proc(k.pid()).unwrap().handle().unwrap();
    for bad in [Fd(1), Fd(-1), Fd(i32::MIN), Fd(i32::MAX), Fd(1 << 20)] {
        assert_eq!(handle.take_file(bad).unwrap_err(), FdError::BadFd);
    }
    let reserved = k.files().reserve(OnExec::Keep).unwrap();
    assert_eq!(handle.take_file(reserved.fd()).unwrap_err(), FdError::BadFd);
    drop(reserved);
    let taken = handle.take_file(fd).unwrap();
    assert!(Arc::ptr_eq(&taken, &file));
    k.files().close(fd).unwrap();
    assert_eq!(Arc::strong_count(&file), 2, "the handle keeps it");
    assert_eq!(k.files().install(&taken, OnExec::Keep), Ok(fd));
    drop(taken);
    k.files().close(fd).unwrap();
    assert_eq!(Arc::strong_count(&file), 1);
    // proc0 never had any.
    let proc0 = k.pin().proc(Pid::KERNEL).unwrap().handle().unwrap();
    assert_eq!(proc0.take_file(Fd(0)).unwrap_err(), FdError::BadFd);
}

/// A host that is dropped with its kernel's memory.
#[derive(Clone)]
struct Kept(Arc<()>);
impl Host for Kept {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
}

#[test]
fn a_handle_acts_when_its_kernel_has_gone() {
    let host = Kept(Arc::default());
    let kernel = Kernel::builder().host(host.clone()).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let handle = lwp.proc_handle();
    assert_eq!(kernel.shutdown().survivors.len(), 1);
    let child = handle.spawn().name("late").start().unwrap();
    let second = handle.new_lwp().unwrap();
    assert_eq!(handle.setpgid(Pid(0)), Ok(()));
    let file = child.proc_handle().take_file(Fd(0));
    assert_eq!(file.unwrap_err(), FdError::BadFd);
    assert_eq!((handle.nlwps(), child.proc_handle().nlwps()), (2, 1));
    drop((lwp, second));
    assert_eq!(handle.spawn().start().unwrap_err(), SpawnError::NoSuchProcess);
    assert!(child.proc_handle().is_alive());
    drop((child, handle));
    assert_eq!(Arc::strong_count(&host.0), 1, "nothing keeps its memory");
}

#[test]
fn a_handle_of_an_lwp_says_where_it_is() {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let handle = lwp.unclaim();
    let seen = || (handle.state(), kernel.pin().lwp(handle.lid()).map(|lwp| lwp.state()));
    let state = |state| (state, Some(state));
    assert_eq!(seen(), state(LwpState::Parked));
    let lwp = handle.claim().unwrap();
    assert_eq!(seen(), state(LwpState::Owned));
    let (channel, go) = (WaitChannel::new(), AtomicBool::new(false));
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            assert_eq!(seen(), state(LwpState::Owned), "bound");
            let go = || go.load(SeqCst).then_some(());
            assert_eq!(k.sleep_on(&channel, go), Ok(()));
            assert_eq!(seen(), state(LwpState::Owned), "awake again");
            k.release().unwrap();
        });
        while seen() != state(LwpState::Sleeping) {
            std::thread::yield_now();
        }
        go.store(true, SeqCst);
        channel.wake_all();
    });
    assert_eq!(seen(), (LwpState::Gone, None));
}

#[test]
fn the_current_lwp_has_a_name_of_its_own() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert!(k.curlwp().is_none());
    k.rfork(Rfork::Fresh).unwrap();
    assert_eq!(k.curlwp().unwrap().name(), None);
    k.curlwp().unwrap().set_name("a name of more than sixteen");
    let expected = Some(Comm::new("a name of more t"));
    assert_eq!(k.curlwp().unwrap().name(), expected);
    let guard = k.pin();
    assert_eq!(guard.lwp(k.lid().unwrap()).unwrap().name(), expected);
    let lid = k.lid().unwrap();
    k.release().unwrap();
    drop(k);
    assert!(guard.lwp(lid).is_none(), "a guard may outlive the entry");
}

/// LWPs come and go, the last may go at any time, and others fork it meanwhile: each fork
/// is whole or refused, and nothing is left.
#[test]
fn forks_race_with_the_end_of_the_parent() {
    for _ in 0..200 {
        let kernel = Kernel::builder().host(Shared::new()).build().unwrap();
        let before = kernel.counts();
        let file = Arc::new("file");
        let parent = kernel.spawn().start().unwrap();
        let handle = parent.proc_handle();
        let mut k = kernel.enter().unwrap();
        k.switch(parent).unwrap();
        k.files().open(file.clone(), OnExec::Keep).unwrap();
        let gone = AtomicBool::new(false);
        let children = std::thread::scope(|s| {
            let forks = [0, 1].map(|_| {
                s.spawn(|| {
                    let mut children = Vec::new();
                    loop {
                        match handle.spawn().files(Rfork::Copy).start() {
                            Ok(child) => children.push(child),
                            Err(SpawnError::NoSuchProcess) => return children,
                            Err(why) => panic!("{why}"),
                        }
                        // Files go with the last LWP, the process when no fork keeps it.
                        let taken = handle.take_file(Fd(0)).is_ok();
                        assert!(taken || gone.load(SeqCst));
                        if children.len() > 20 {
                            children.clear();
                        }
                    }
                })
            });
            gone.store(true, SeqCst);
            k.release().unwrap();
            drop(k);
            forks.map(|fork| fork.join().unwrap())
        });
        let any = children.iter().any(|some| !some.is_empty());
        assert_eq!(Arc::strong_count(&file), 1 + usize::from(any), "copies are of one file");
        let guard = kernel.pin();
        for child in children.iter().flatten() {
            let seen = guard.proc(child.pid()).unwrap();
            assert_eq!((seen.ppid(), seen.fd_count()), (Pid::INIT, 1));
        }
        drop(guard);
        drop(children);
        assert!(!handle.is_alive());
        assert_eq!((kernel.counts(), Arc::strong_count(&file)), (before, 1));
    }
}
