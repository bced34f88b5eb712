//! Waits for children that end in an error, and contexts that are not there.

use crate::bench::{Kernel, *};
use lwproc::*;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

pub fn wait(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.big_lock().lock().unwrap();
    let stranger = kernel.spawn().start().unwrap();
    let handle = kernel.pin().proc(stranger.pid()).unwrap().handle().unwrap();
    no_child(forced, &kernel, &mut k, WaitTarget::Any);
    let living = child(&mut k);
    let (own, none) = (Pid(k.pid().0), Pid(1000));
    for target in [WaitTarget::Pid(stranger.pid()), WaitTarget::Pid(own), WaitTarget::Pgrp(none)] {
        no_child(forced, &kernel, &mut k, target);
    }
    let why = WaitError::NoChild;
    forced.refused(&kernel, &mut k, why, |k| handle.try_wait(k));
    forced.refused(&kernel, &mut k, why, |k| handle.wait().block(k));
    // A child, and no time.
    let why = WaitError::TimedOut;
    forced.refused(&kernel, &mut k, why, |k| k.until(Duration::ZERO).wait(WaitTarget::Any));
    forced.refused(&kernel, &mut k, why, |k| k.within(Duration::ZERO).wait(WaitTarget::OwnPgrp));
    let claim = |k: &mut K<'_>| k.until(Duration::ZERO).claim_zombie(WaitTarget::Any).map(drop);
    forced.refused(&kernel, &mut k, why, claim);
    let child = kernel.pin().proc(living.pid()).unwrap().handle().unwrap();
    forced.refused(&kernel, &mut k, why, |k| child.wait().block_until(k, Duration::ZERO));
    // A child, and a signal.
    k.signals().kill(KillTarget::Proc(own), 15).unwrap();
    let why = WaitError::Interrupted;
    forced.refused(&kernel, &mut k, why, |k| k.wait(WaitTarget::Any));
    forced.refused(&kernel, &mut k, why, |k| k.wait(WaitTarget::OwnPgrp));
    forced.refused(&kernel, &mut k, why, |k| child.wait().block(k));
    no_context(forced, &kernel, &mut k, &child);
    drop(living);
    // Reaped, it is nobody's child.
    assert_eq!(k.wait(WaitTarget::Any).unwrap().pid, child.pid());
    forced.refused(&kernel, &mut k, WaitError::NoChild, |k| child.wait().block(k));
    drop((stranger, handle, child));
    leave(k);
    assert_empty(kernel);
}

pub fn exited(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.big_lock().lock().unwrap();
    let other = kernel.spawn().start().unwrap();
    let handle = other.proc_handle();
    let why = ExitedError::TimedOut;
    forced.refused(&kernel, &mut k, why, |_| handle.exited().block_until(Duration::ZERO));
    forced.refused_outside(&kernel, why, || handle.exited().block_until(Duration::ZERO));
    drop((other, handle));
    leave(k);
    assert_empty(kernel);
}

fn no_child(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>, target: WaitTarget) {
    let why = WaitError::NoChild;
    forced.refused(kernel, k, why, |k| k.try_wait(target));
    forced.refused(kernel, k, why, |k| k.claim_zombie(target).map(drop));
    forced.refused(kernel, k, why, |k| k.wait(target));
}

#[cfg(not(feature = "async"))]
fn no_context(forced: &mut Forced, _: &Kernel, _: &mut K<'_>, _: &ProcHandle<Counting>) {
    // There are no futures in this build.
    forced.saw(&WaitError::NoContext);
}

#[cfg(feature = "async")]
fn poll<T>(future: impl Future<Output = T>) -> std::task::Poll<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(future).poll(&mut cx)
}

#[cfg(feature = "async")]
fn ready<T>(future: impl Future<Output = T>) -> T {
    match poll(future) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

#[cfg(feature = "async")]
fn no_context(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>, child: &ProcHandle<Counting>) {
    // That the thread has entered is no scope.
    forced.refused(kernel, k, WaitError::NoContext, |_| ready(child.wait()));
}

fn here<R>(f: impl FnOnce(&mut K<'_>) -> R) -> Result<R, CurrentError> {
    current_of::<Counting, _>(f)
}

fn pid_here() -> Result<Pid, CurrentError> {
    here(|k| k.pid())
}

pub fn current(forced: &mut Forced) {
    let kernel = plain();
    forced.refused_outside(&kernel, CurrentError::NoContext, pid_here);
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    forced.refused(&kernel, &mut k, CurrentError::NoContext, |_| pid_here());
    let pid = k.pid();
    k.lend(|| current_inside(forced, &kernel, pid));
    forced.refused(&kernel, &mut k, CurrentError::NoContext, |_| pid_here());
    #[cfg(feature = "async")]
    {
        let lwp = k.unbind().unwrap().unwrap();
        ready(lwp.scope(async { current_inside(forced, &kernel, pid) }));
        current_inert(forced, &kernel, &mut k);
        forced.refused(&kernel, &mut k, CurrentError::NoContext, |_| pid_here());
    }
    #[cfg(not(feature = "async"))]
    forced.saw(&CurrentError::Inert { pid, lid: Lid(pid.0) });
    drop(k);
    assert_empty(kernel);
}

/// In a scope whose LWP has gone.
#[cfg(feature = "async")]
fn current_inert(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>) {
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    let mut polled = false;
    let mut task = Box::pin(lwp.scope(std::future::poll_fn(|_| {
        if !std::mem::replace(&mut polled, true) {
            here(|k| k.release()).unwrap().unwrap();
            return std::task::Poll::Pending;
        }
        forced.refused(kernel, k, CurrentError::Inert { pid, lid }, |_| pid_here());
        std::task::Poll::Ready(())
    })));
    assert!(poll(task.as_mut()).is_pending());
    ready(task.as_mut());
}

/// Where a context is lent, or in a scope.
fn current_inside(forced: &mut Forced, kernel: &Kernel, pid: Pid) {
    let inside = here(|k| forced.refused(kernel, k, CurrentError::Busy, |_| pid_here()));
    assert_eq!(inside, Ok(()));
    assert_eq!(pid_here(), Ok(pid), "and it was given back");
    // That of another host's kernel is not meant.
    assert_eq!(lwproc::current(|k| k.pid()), Err(CurrentError::NoContext));
}

/// Another thread, which has entered before, ends a wait by a signal once it sleeps.
#[track_caller]
fn interrupted_asleep<E: std::fmt::Debug>(
    kernel: &Kernel,
    k: &mut K<'_>,
    wait: impl Fn(&mut K<'_>) -> Result<(), E>,
) -> E {
    let (pid, lid) = (k.pid(), k.lid().unwrap());
    let interrupt = || {
        let deadline = Instant::now() + Duration::from_secs(20);
        let is_asleep = || {
            let guard = kernel.pin();
            format!("{:?}", guard.lwp(lid)).contains("SLEEPING")
        };
        while !is_asleep() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), 15).unwrap();
    };
    let once = |k: &mut K<'_>| {
        let error = std::thread::scope(|s| {
            let other = s.spawn(interrupt);
            let error = wait(k).unwrap_err();
            // Until its storage is gone, and with it its place in the kernel.
            other.join().unwrap();
            error
        });
        assert_eq!(k.signals().take().map(Signo::number), Some(15));
        error
    };
    // The first thread is known to the kernel from then on, and another has its place.
    once(k);
    let before = Snapshot::of(kernel, Some(k));
    let error = (0..3).map(|_| {
        let error = once(k);
        Snapshot::of(kernel, Some(k)).assert_eq(&before, "a wait that was interrupted");
        error
    });
    error.last().expect("three of them")
}

#[test]
fn a_wait_that_is_interrupted_asleep_leaves_nothing() {
    let kernel = kernel(|builder| {
        let builder = builder.wait_policy(WaitPolicy::Wait).signal_model(SigModel::Record);
        builder.virtual_cpus(NonZeroUsize::MIN)
    });
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    for _ in 0..2 {
        k.big_lock().lock().unwrap();
    }
    let living = child(&mut k);
    let handle = kernel.pin().proc(living.pid()).unwrap().handle().unwrap();
    let eintr = WaitError::Interrupted;
    let error = interrupted_asleep(&kernel, &mut k, |k| k.wait(WaitTarget::Any).map(drop));
    assert_eq!(error, eintr);
    let target = WaitTarget::Pid(handle.pid());
    let error = interrupted_asleep(&kernel, &mut k, |k| k.wait(target).map(drop));
    assert_eq!(error, eintr);
    let error = interrupted_asleep(&kernel, &mut k, |k| handle.wait().block(k).map(drop));
    assert_eq!(error, eintr);
    // The child is there still, and can be waited for.
    drop(living);
    assert_eq!(k.wait(WaitTarget::Any).unwrap().pid, handle.pid());
    drop(handle);
    let channel = WaitChannel::new();
    let slept = interrupted_asleep(&kernel, &mut k, |k| k.sleep_on(&channel, || None));
    assert_eq!(slept, Interrupted::Signal);
    let other = kernel.new_lwp(k.pid()).unwrap();
    k.drain();
    let alone = interrupted_asleep(&kernel, &mut k, |k| k.wait_alone());
    assert_eq!(alone, AloneError::Interrupted);
    drop(other);
    leave(k);
    assert_empty(kernel);
}
