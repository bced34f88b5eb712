//! The ends of processes as futures.
#![allow(missing_docs)]

use lwproc::*;
use lwproc_async_tests::{Wakes, assert_empty, poll, poll_for};
use std::sync::Arc;
use std::task::{Poll, Waker};

fn kernel() -> Kernel {
    Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap()
}

fn handle_of(kernel: &Kernel, pid: Pid) -> ProcHandle {
    let guard = kernel.pin();
    guard.proc(pid).unwrap().handle().unwrap()
}

fn waker() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes::default());
    (wakes.clone(), wakes.into())
}

#[test]
fn exited_wakes_once_and_keeps_no_waker() {
    let kernel = Kernel::new();
    let lwp = kernel.spawn().start().unwrap();
    let proc = handle_of(&kernel, lwp.pid());
    let [(a, waker_a), (b, waker_b)] = [waker(), waker()];
    let mut exited = proc.exited();
    assert!(poll_for(&mut exited, &waker_a).is_pending());
    assert!(poll_for(&mut exited, &waker_a).is_pending());
    // Now another task's.
    assert!(poll_for(&mut exited, &waker_b).is_pending());
    drop(waker_a);
    assert_eq!(Arc::strong_count(&a), 1);
    drop(lwp);
    assert_eq!((a.count(), b.count()), (0, 1));
    assert_eq!(
        poll_for(&mut exited, &waker_b),
        Poll::Ready(ExitStatus::signaled(9, CoreDump::None))
    );
    drop(waker_b);
    assert_eq!(Arc::strong_count(&b), 1);
    assert_eq!(poll(&mut proc.exited()), Poll::Ready(ExitStatus::signaled(9, CoreDump::None)));
    assert_empty(&kernel);
}

/// Futures that come and go leave nothing in the queue, though nobody wakes it; and wake
/// nobody. (`growth` of `checks/stress` counts the bytes.)
#[test]
fn waits_that_are_dropped_do_not_pile_up() {
    let kernel = Kernel::new();
    let lwp = kernel.spawn().start().unwrap();
    let proc = handle_of(&kernel, lwp.pid());
    let (stays, waker_stays) = waker();
    let (wakes, waker) = waker();
    let mut exited: Vec<_> = (0..10).map(|_| proc.exited()).collect();
    exited.iter_mut().for_each(|e| assert!(poll_for(e, &waker_stays).is_pending()));
    for _ in 0..10_000 {
        assert!(poll_for(&mut proc.exited(), &waker).is_pending());
        assert_eq!(Arc::strong_count(&wakes), 2);
    }
    assert_eq!((wakes.count(), stays.count()), (0, 0));
    drop(lwp);
    assert_eq!(stays.count(), 10);
    exited.iter_mut().for_each(|e| assert!(poll_for(e, &waker_stays).is_ready()));
}

#[test]
fn wait_is_the_parents_in_a_scope() {
    let kernel = kernel();
    let (_, waker) = waker();
    let mut task = Box::pin(kernel.spawn().start().unwrap().scope(async {
        let parent = current(|cx| cx.rfork(Rfork::Share)).unwrap().unwrap().unwrap();
        let child = handle_of(&kernel, current(|cx| cx.pid()).unwrap());
        // As the child: it is nobody's parent.
        assert_eq!(child.wait().await, Err(WaitError::NoChild));
        let lwp = current(|cx| cx.switch(parent)).unwrap().unwrap().unwrap();
        let mut exited = Box::pin(lwp.scope(async {
            current(|cx| cx.exit(ExitStatus::exited(6))).unwrap().unwrap();
        }));
        let mut wait = child.wait();
        assert!(poll_for(&mut wait, &waker).is_pending());
        // Its context is in use.
        let busy = current(|_| poll_for(&mut child.wait(), &waker)).unwrap();
        assert_eq!(busy, Poll::Ready(Err(WaitError::NoContext)));
        assert!(poll(&mut exited).is_ready());
        let mut late = child.wait();
        let reaped = wait.await.unwrap();
        assert_eq!((reaped.pid, reaped.status), (child.pid(), ExitStatus::exited(6)));
        assert_eq!(poll(&mut late), Poll::Ready(Err(WaitError::NoChild)));
        child
    }));
    let Poll::Ready(child) = poll(&mut task) else { panic!("ready") };
    // Outside.
    assert_eq!(poll(&mut child.wait()), Poll::Ready(Err(WaitError::NoContext)));
    assert_eq!(WaitError::NoContext.errno(), Errno::EINVAL);
    drop(task);
    assert_empty(&kernel);
}

/// Who else reaps the child wakes who waits for it.
#[test]
fn one_of_two_that_wait_reaps() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = handle_of(&kernel, k.pid());
    let lwp = k.switch(parent).unwrap().unwrap();
    let second = kernel.new_lwp(k.pid()).unwrap();
    let (wakes, waker) = waker();
    let mut task = Box::pin(second.scope(child.wait()));
    assert!(poll_for(&mut task, &waker).is_pending());
    let zombie = {
        drop(lwp);
        assert_eq!(wakes.count(), 1);
        k.claim_zombie(WaitTarget::Any).unwrap().unwrap()
    };
    assert!(poll_for(&mut task, &waker).is_pending());
    drop(zombie);
    assert_eq!(wakes.count(), 2);
    let zombie = k.claim_zombie(WaitTarget::Any).unwrap().unwrap();
    assert!(poll_for(&mut task, &waker).is_pending());
    zombie.reap();
    assert_eq!(wakes.count(), 3);
    assert_eq!(poll_for(&mut task, &waker), Poll::Ready(Err(WaitError::NoChild)));
    drop(task);
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

/// A future that peeks is woken by the zombie, and leaves it; a claim does not hide it.
#[test]
fn a_peek_reaps_nothing() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let child = k.spawn().start().unwrap();
    let (pid, second) = (child.pid(), kernel.new_lwp(k.pid()).unwrap());
    let peek = async || current(|k| k.process().wait(WaitTarget::Any.peek())).unwrap().await;
    let (wakes, waker) = waker();
    let mut task = Box::pin(second.scope(async { (peek().await, peek().await) }));
    assert!(poll_for(&mut task, &waker).is_pending());
    child.exit(ExitStatus::exited(3));
    assert_eq!(wakes.count(), 1);
    let zombie = k.claim_zombie(WaitTarget::Any).unwrap().unwrap();
    let Poll::Ready((Ok(first), second)) = poll_for(&mut task, &waker) else { panic!("pending") };
    assert_eq!((first.pid, first.status.exit_code(), second), (pid, Some(3), Ok(first)));
    assert_eq!(zombie.reap(), first);
    drop(task);
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

/// By a signal, and from outside; the child is found by the next wait.
#[test]
fn a_wait_for_any_child_is_interrupted() {
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait);
    let kernel = builder.signal_model(SigModel::Record).build().unwrap();
    let k = kernel.enter_as(kernel.spawn().start().unwrap()).unwrap();
    let (child, own) = (k.spawn().start().unwrap(), k.pid());
    let (child_pid, lwp) = (child.pid(), Kernel::leave(k).unwrap());
    let lid = lwp.lid();
    let wait = async || current(|k| k.process().wait(WaitTarget::Any)).unwrap().await;
    let (wakes, waker) = waker();
    let mut task = Box::pin(lwp.scope(async {
        let by_signal = wait().await.unwrap_err();
        let taken = current(|k| k.signals().take()).unwrap();
        (by_signal.errno(), taken, wait().await.unwrap_err().errno(), wait().await.unwrap())
    }));
    assert!(poll_for(&mut task, &waker).is_pending());
    kernel.enter().unwrap().signals().kill(KillTarget::Proc(own), 15).unwrap();
    let woken = wakes.count();
    assert_ne!(woken, 0);
    assert!(poll_for(&mut task, &waker).is_pending());
    assert_eq!(kernel.pin().lwp(lid).unwrap().unsleep(), Unslept::Woken);
    assert!(wakes.count() > woken);
    assert!(poll_for(&mut task, &waker).is_pending());
    child.exit(ExitStatus::exited(3));
    let Poll::Ready((by_signal, taken, by_unsleep, found)) = poll_for(&mut task, &waker) else {
        panic!("pending")
    };
    assert_eq!((by_signal, taken, by_unsleep), (Errno::EINTR, Some(Signo::TERM), Errno::EINTR));
    assert_eq!((found.pid, found.status), (child_pid, ExitStatus::exited(3)));
    drop(task);
    assert_empty(&kernel);
}

#[test]
fn drained_wakes_when_one_is_left_or_it_is_reopened() {
    let kernel = Kernel::new();
    let lwp = kernel.spawn().start().unwrap();
    let proc = handle_of(&kernel, lwp.pid());
    let other = proc.new_lwp().unwrap();
    let third = proc.new_lwp().unwrap();
    let mut drained = proc.drained();
    assert_eq!(poll(&mut drained), Poll::Ready(Err(AloneError::NotDraining)));
    let mut k = kernel.enter().unwrap();
    k.switch(lwp).unwrap();
    let (wakes, waker) = waker();
    k.drain();
    assert!(poll_for(&mut drained, &waker).is_pending());
    k.reopen();
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll_for(&mut drained, &waker), Poll::Ready(Err(AloneError::NotDraining)));
    k.drain();
    assert!(poll_for(&mut drained, &waker).is_pending());
    drop(other);
    assert_eq!((wakes.count(), poll_for(&mut drained, &waker)), (1, Poll::Pending));
    drop(third);
    assert_eq!((wakes.count(), poll_for(&mut drained, &waker)), (2, Poll::Ready(Ok(()))));
    k.release().unwrap();
}

/// A waker that panics keeps nobody else from being woken, and no process from ending.
#[test]
fn a_waker_that_panics_is_its_own_affair() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    let kernel = Kernel::new();
    let lwp = kernel.spawn().start().unwrap();
    let proc = handle_of(&kernel, lwp.pid());
    let (wakes, waker) = waker();
    let [mut a, mut b, mut c] = [(); 3].map(|()| proc.exited());
    assert!(poll_for(&mut a, &waker).is_pending());
    assert!(poll_for(&mut b, &Arc::new(Panics).into()).is_pending());
    assert!(poll_for(&mut c, &waker).is_pending());
    drop(lwp);
    assert_eq!(wakes.count(), 2);
    assert_empty(&kernel);
}
