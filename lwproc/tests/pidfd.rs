//! A process's handle signals and waits, and never means another process.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

fn kernel() -> Kernel {
    Kernel::builder().wait_policy(WaitPolicy::Wait).signal_model(SigModel::Record).build().unwrap()
}

fn handle_of(kernel: &Kernel, pid: Pid) -> ProcHandle {
    let guard = kernel.pin();
    guard.proc(pid).unwrap().handle().unwrap()
}

/// Forks: the parent again, with the child's handle and its LWP.
fn fork(kernel: &Kernel, k: &mut Entered<'_>) -> (ProcHandle, Lwp) {
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = handle_of(kernel, k.pid());
    let lwp = k.switch(parent).unwrap().unwrap();
    (child, lwp)
}

fn exit_as(kernel: &Kernel, lwp: Lwp, status: ExitStatus) {
    let mut k = kernel.enter().unwrap();
    k.switch(lwp).unwrap();
    k.exit(status).unwrap();
}

#[test]
fn a_handle_never_signals_who_got_the_number_later() {
    let kernel = Kernel::builder()
        .wait_policy(WaitPolicy::Wait)
        .signal_model(SigModel::Record)
        // A slot has two numbers then.
        .id_capacity(1_073_741_823)
        .build()
        .unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let (old, lwp) = fork(&kernel, &mut k);
    let pid = old.pid();
    old.signal(&k, 15).unwrap();
    assert!(kernel.pin().proc(pid).unwrap().pending().contains(Signo::TERM));
    assert_eq!(old.signal(&k, 65), Err(KillError::BadSignal { signo: 65 }));
    lwp.release();
    // A zombie is there, and beyond reach.
    assert_eq!((old.signal(&k, 9), old.exit_status()), (Ok(()), Some(ExitStatus::exited(0))));
    assert!(old.try_wait(&k).unwrap().is_some());
    assert_eq!(old.signal(&k, 0), Err(KillError::NoSuchProcess));
    // The number comes back, with another identity.
    let mut later = Vec::new();
    for _ in 0..5000 {
        let (new, lwp) = fork(&kernel, &mut k);
        let same = new.pid() == pid;
        if same {
            assert_ne!(new, old);
            assert_eq!(old.signal(&k, 9), Err(KillError::NoSuchProcess));
            assert_eq!(old.try_wait(&k), Err(WaitError::NoChild));
            assert_eq!(old.wait().block(&k), Err(WaitError::NoChild));
            assert_eq!(old.exited().block(), ExitStatus::exited(0));
            assert!(kernel.pin().proc(pid).unwrap().pending().is_empty());
            later.push(new.identity());
        }
        drop(lwp);
        new.try_wait(&k).unwrap().unwrap();
        if same {
            break;
        }
    }
    assert_eq!(later.len(), 1, "the number came back");
    k.release().unwrap();
    drop(k);
    assert_eq!(kernel.counts().procs, 2);
}

#[test]
fn a_signal_by_handle_keeps_the_rules() {
    let (kernel, other) = (kernel(), kernel());
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let (child, lwp) = fork(&kernel, &mut k);
    k.creds().set(&CredChange::SetUid(7)).unwrap();
    assert_eq!(child.signal(&k, 15), Err(KillError::NotPermitted));
    let o = other.enter().unwrap();
    assert_eq!(child.signal(&o, 15), Err(KillError::WrongKernel));
    assert_eq!(KillError::WrongKernel.errno(), Errno::EXDEV);
    assert_eq!(child.try_wait(&o), Err(WaitError::NoChild));
    drop(lwp);
    assert!(child.try_wait(&k).unwrap().is_some());
    k.release().unwrap();
}

#[test]
fn exited_blocks_until_the_end_is_over() {
    for policy in [WaitPolicy::Wait, WaitPolicy::AutoReap] {
        let kernel = Kernel::builder().wait_policy(policy).build().unwrap();
        let hooks = Arc::new(AtomicU32::new(0));
        let ran = hooks.clone();
        kernel.add_exit_hook(move |_| {
            std::thread::sleep(Duration::from_millis(20));
            ran.store(1, Relaxed);
        });
        let lwp = kernel.spawn().start().unwrap();
        let child = handle_of(&kernel, lwp.pid());
        assert_eq!(child.exit_status(), None);
        std::thread::scope(|s| {
            let waiter = s.spawn(|| {
                let status = child.exited().block();
                assert_eq!(hooks.load(Relaxed), 1);
                status
            });
            std::thread::sleep(Duration::from_millis(20));
            exit_as(&kernel, lwp, ExitStatus::exited(4));
            assert_eq!(waiter.join().unwrap(), ExitStatus::exited(4));
        });
        assert_eq!(child.exited().block(), ExitStatus::exited(4));
    }
}

#[test]
fn a_thread_that_blocks_gives_its_cpu_and_the_big_lock_away() {
    let kernel = Kernel::builder()
        .wait_policy(WaitPolicy::Wait)
        .virtual_cpus(std::num::NonZero::new(1).unwrap())
        .build()
        .unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let (a, lwp_a) = fork(&kernel, &mut k);
    let (b, lwp_b) = fork(&kernel, &mut k);
    let kernel = &kernel;
    let end = |lwp, code| {
        move || {
            let mut e = kernel.enter().unwrap();
            e.big_lock().lock().unwrap();
            e.switch(lwp).unwrap();
            e.exit(ExitStatus::exited(code)).unwrap();
        }
    };
    k.big_lock().lock().unwrap();
    std::thread::scope(|s| {
        s.spawn(end(lwp_a, 1));
        assert_eq!(a.exited().block(), ExitStatus::exited(1));
        assert_eq!((k.cpu(), k.big_lock().depth()), (Some(0), 1));
        s.spawn(end(lwp_b, 2));
        let reaped = b.wait().block(&k).unwrap();
        assert_eq!((reaped.pid, reaped.status), (b.pid(), ExitStatus::exited(2)));
        assert_eq!((k.cpu(), k.big_lock().depth()), (Some(0), 1));
        assert_eq!(b.wait().block(&k), Err(WaitError::NoChild));
        a.try_wait(&k).unwrap().unwrap();
        k.release().unwrap();
        drop(k);
    });
    assert_eq!(kernel.counts().procs, 2);
}

#[test]
fn a_wait_by_handle_is_the_parents_and_interrupted() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let (child, lwp) = fork(&kernel, &mut k);
    // Not its parent.
    let stranger = kernel.spawn().start().unwrap();
    let own = k.switch(stranger).unwrap().unwrap();
    assert_eq!(child.wait().block(&k), Err(WaitError::NoChild));
    k.release().unwrap();
    k.switch(own).unwrap();
    k.signals().kill(KillTarget::Proc(k.pid()), 15).unwrap();
    assert_eq!(child.wait().block(&k), Err(WaitError::Interrupted));
    assert_eq!(k.signals().take(), Some(Signo::TERM));
    // A claim that is given back wakes who waits by handle.
    drop(lwp);
    let zombie = k.claim_zombie(WaitTarget::Any).unwrap().unwrap();
    assert_eq!(child.try_wait(&k), Ok(None));
    drop(zombie);
    assert!(child.wait().block(&k).is_ok());
    k.release().unwrap();
}

#[test]
fn drained_is_one_lwp_or_none_left() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let proc = handle_of(&kernel, lwp.pid());
    let others = [(), ()].map(|()| proc.new_lwp().unwrap());
    assert_eq!(proc.drained().block(), Err(AloneError::NotDraining));
    let mut k = kernel.enter().unwrap();
    k.switch(lwp).unwrap();
    k.drain();
    std::thread::scope(|s| {
        let waiters = [(), ()].map(|()| s.spawn(|| proc.drained().block()));
        for lwp in others {
            std::thread::sleep(Duration::from_millis(5));
            drop(lwp);
        }
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Ok(()));
        }
    });
    k.reopen();
    assert_eq!(proc.drained().block(), Err(AloneError::NotDraining));
    k.release().unwrap();
    drop(k);
    assert_eq!(proc.drained().block(), Ok(()));
}
