//! Entering, and what a context does with LWPs and the big lock.

use crate::bench::*;
use crate::{EnterAsError, SwitchError, UnclaimError};
use lwproc::{
    BigLockError, ClaimError, CredChange, EndError, Enforcement, EnterError, ExitStatus, HoldError,
    KillTarget, Limit, LimitsPolicy, Pid, ProcHandle, ReleError, ReleaseError, Resource,
    UnbindError, WaitTarget,
};
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::time::Duration;

/// A kernel of one virtual CPU: whatever takes a second one waits for ever.
fn one_cpu() -> Kernel {
    kernel(|builder| builder.virtual_cpus(NonZeroUsize::MIN))
}

pub fn enter(forced: &mut Forced) {
    let kernel = one_cpu();
    let mut k = kernel.enter().unwrap();
    k.big_lock().lock().unwrap();
    forced.refused(&kernel, &mut k, EnterError::AlreadyEntered, |_| kernel.enter());
    start_as(&mut k, 5);
    forced.refused(&kernel, &mut k, EnterError::AlreadyEntered, |_| kernel.enter());
    leave(k);
    // Another thread has the one virtual CPU.
    let (taken, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|s| {
        let other = s.spawn(|| {
            let _other = kernel.enter().unwrap();
            taken.wait();
            done.wait();
        });
        taken.wait();
        let late = || kernel.enter_until(Duration::ZERO);
        forced.refused_outside(&kernel, EnterError::TimedOut, late);
        done.wait();
        other.join().unwrap();
    });
    // CPU and lock are there, or this waits.
    kernel.enter().unwrap().big_lock().lock().unwrap();
    assert_empty(kernel);
    let kernel = explicit();
    let late = || kernel.enter_until(Duration::MAX);
    forced.refused_outside(&kernel, EnterError::NoLwp, || kernel.enter());
    forced.refused_outside(&kernel, EnterError::NoLwp, late);
    // One CPU, and nobody has it.
    drop(lwproc::Kernel::leave(kernel.enter_as(kernel.spawn().start().unwrap()).unwrap()));
    forced.refused_outside(&kernel, EnterError::NoLwp, || kernel.enter());
    assert_empty(kernel);
}

/// A kernel of one virtual CPU that no thread enters without an LWP.
fn explicit() -> Kernel {
    kernel(|builder| builder.virtual_cpus(NonZeroUsize::MIN).forbid_implicit_contexts())
}

pub fn enter_as(forced: &mut Forced) {
    let (kernel, other) = (explicit(), plain());
    let mut refused = |kernel: &Kernel, lwp: Lwp| {
        let before = Snapshot::of(kernel, None);
        let mut lwp = Some(lwp);
        for _ in 0..3 {
            let error: EnterAsError = kernel.enter_as(lwp.take().unwrap()).unwrap_err();
            forced.saw(&error);
            lwp = Some(error.into_lwp());
            Snapshot::of(kernel, None).assert_eq(&before, "an entry");
        }
        lwp.unwrap()
    };
    let foreign = refused(&kernel, other.spawn().start().unwrap());
    let (first, second) = (kernel.spawn().start().unwrap(), kernel.spawn().start().unwrap());
    let k = kernel.enter_as(first).unwrap();
    let second = refused(&kernel, second);
    drop(k);
    // Outside, and bound.
    let second = refused(&kernel, second);
    drop(lwproc::Kernel::leave(kernel.enter().unwrap()).unwrap());
    drop((second, foreign));
    assert_empty(kernel);
    assert_empty(other);
}

pub fn claim(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let (pid, lid) = (k.pid(), k.lid().unwrap());
    let owned = kernel.new_lwp(pid).unwrap();
    let gone = kernel.new_lwp(pid).unwrap();
    let find = |lid| kernel.pin().lwp(lid).unwrap().handle().unwrap();
    for lid in [lid, owned.lid()] {
        let (handle, why) = (find(lid), ClaimError::AlreadyRunning { pid, lid });
        forced.refused(&kernel, &mut k, why, |_| handle.claim());
        forced.refused(&kernel, &mut k, why, |_| kernel.pin().lwp(lid).unwrap().claim());
    }
    let handle = find(gone.lid());
    drop(gone);
    forced.refused(&kernel, &mut k, ClaimError::Exiting, |_| handle.claim());
    drop((handle, owned));
    leave(k);
    assert_empty(kernel);
}

pub fn unbind(forced: &mut Forced) {
    let kernel = one_cpu();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.big_lock().lock().unwrap();
    k.release().unwrap();
    forced.refused(&kernel, &mut k, UnbindError::Exiting, |k| k.unbind());
    drop(k);
    assert_empty(kernel);
    let kernel = explicit();
    let mut k = kernel.enter_as(kernel.spawn().start().unwrap()).unwrap();
    forced.refused(&kernel, &mut k, UnbindError::NeedsLwp, |k| k.unbind());
    leave(k);
    assert_empty(kernel);
}

/// Each way to release is refused for the same reason.
fn releases(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>, why: ReleaseError) {
    forced.refused(kernel, k, why, |k| k.release());
    forced.refused(kernel, k, why, |k| k.exit(ExitStatus::exited(9)));
    // Neither drained, nor are parked LWPs released.
    forced.refused(kernel, k, why, |k| k.exit_group(ExitStatus::exited(9)));
}

pub fn release(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    releases(forced, &kernel, &mut k, ReleaseError::NotPertinent);
    start_as(&mut k, 5);
    let parent = k.rfork(lwproc::Rfork::Share).unwrap().unwrap();
    let parked = kernel.new_lwp(k.pid()).unwrap().unclaim();
    for _ in 0..2 {
        k.hold().unwrap();
    }
    releases(forced, &kernel, &mut k, ReleaseError::Held { holds: 2 });
    for _ in 0..2 {
        k.unhold().unwrap();
    }
    drop(parked.claim().unwrap());
    k.release().unwrap();
    releases(forced, &kernel, &mut k, ReleaseError::NotPertinent);
    k.switch(parent).unwrap();
    let reaped = k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert_eq!(reaped.status, ExitStatus::exited(0), "what was refused was not recorded");
    drop(parked);
    leave(k);
    assert_empty(kernel);
}

pub fn end(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let never = kernel.pin().proc(Pid::INIT).unwrap().handle().unwrap();
    let end = |proc: &ProcHandle<_>| proc.end(ExitStatus::exited(9));
    forced.refused(&kernel, &mut k, EndError::Permanent, |_| end(&never));
    let zombie = k.spawn().start().unwrap();
    let ended = zombie.proc_handle();
    zombie.release();
    forced.refused(&kernel, &mut k, EndError::Ended, |_| end(&ended));
    assert_eq!(k.try_wait(WaitTarget::Any).unwrap().unwrap().status, ExitStatus::exited(0));
    forced.refused(&kernel, &mut k, EndError::Ended, |_| end(&ended));
    drop((never, ended));
    leave(k);
    assert_empty(kernel);
}

pub fn hold(forced: &mut Forced) {
    let kernel = kernel(|builder| builder.id_capacity(2));
    let last = kernel.spawn().start().unwrap();
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, HoldError::IdsExhausted, |k| k.hold());
    drop(last);
    kernel.set_max_lwps(2);
    forced.refused(&kernel, &mut k, HoldError::KernelFull, |k| k.hold());
    kernel.set_max_lwps(u64::MAX);
    kernel.set_limits_policy(LimitsPolicy::default().with_nthr(Enforcement::Enforced));
    k.resources().set_limit(Resource::Nthr, Limit::both(0)).unwrap();
    k.creds().set(&CredChange::SetEuid(5)).unwrap();
    forced.refused(&kernel, &mut k, HoldError::Limit, |k| k.hold());
    k.creds().set(&CredChange::SetEuid(0)).unwrap();
    kernel.set_limits_policy(LimitsPolicy::default());
    k.drain();
    forced.refused(&kernel, &mut k, HoldError::Draining, |k| k.hold());
    k.reopen();
    start_as(&mut k, 5);
    // The count of 23 bits: the base reference, and as many holds.
    let mut holds = 0;
    while holds < (1 << 23) - 2 && k.hold().is_ok() {
        holds += 1;
    }
    forced.refused(&kernel, &mut k, HoldError::Overflow, |k| k.hold());
    assert_eq!(k.curlwp().unwrap().refcnt(), (1 << 23) - 1);
    for _ in 0..holds {
        k.unhold().unwrap();
    }
    leave(k);
    assert_empty(kernel);
}

pub fn rele(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, ReleError::NotHeld, |k| k.unhold());
    start_as(&mut k, 5);
    k.release().unwrap();
    forced.refused(&kernel, &mut k, ReleError::NotHeld, |k| k.unhold());
    drop(k);
    assert_empty(kernel);
}

pub fn switch(forced: &mut Forced) {
    let (own, other) = (one_cpu(), plain());
    let mut foreign = other.spawn().start().unwrap();
    let mut k = own.enter().unwrap();
    for bound in [false, true] {
        if bound {
            start_as(&mut k, 5);
            k.hold().unwrap();
        }
        k.big_lock().lock().unwrap();
        let before = (Snapshot::of(&own, Some(&k)), Snapshot::of(&other, None));
        for _ in 0..3 {
            let error: SwitchError = k.switch(foreign).unwrap_err();
            forced.saw(&error);
            foreign = error.into_lwp();
            Snapshot::of(&own, Some(&k)).assert_eq(&before.0, "a switch, here");
            Snapshot::of(&other, None).assert_eq(&before.1, "a switch, there");
        }
    }
    k.unhold().unwrap();
    leave(k);
    drop(foreign);
    assert_empty(own);
    assert_empty(other);
}

pub fn unclaim(forced: &mut Forced) {
    let kernel = plain();
    let handle = kernel.spawn().start().unwrap().unclaim();
    let mut lwp = kernel.new_lwp(Pid(handle.pid().0)).unwrap();
    let before = Snapshot::of(&kernel, None);
    for _ in 0..3 {
        let error: UnclaimError = handle.unclaim(lwp).unwrap_err();
        forced.saw(&error);
        lwp = error.into_lwp();
        Snapshot::of(&kernel, None).assert_eq(&before, "an unclaim of another LWP");
    }
    drop((lwp, handle.claim().unwrap()));
    drop(handle);
    assert_empty(kernel);
}

/// Another thread has the big lock.
fn biglock_of_another(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let (taken, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|s| {
        let other = s.spawn(|| {
            let other = kernel.enter().unwrap();
            other.big_lock().lock().unwrap();
            taken.wait();
            done.wait();
        });
        taken.wait();
        let why = BigLockError::TimedOut;
        forced.refused(&kernel, &mut k, why, |k| k.until(Duration::ZERO).big_lock());
        k.signals().kill(KillTarget::Proc(k.pid()), 15).unwrap();
        let why = BigLockError::Interrupted;
        forced.refused(&kernel, &mut k, why, |k| k.within(Duration::MAX).big_lock());
        done.wait();
        other.join().unwrap();
    });
    // Nobody waits for it who has gone.
    k.big_lock().lock().unwrap();
    leave(k);
    assert_empty(kernel);
}

pub fn biglock(forced: &mut Forced) {
    biglock_of_another(forced);
    #[cfg(feature = "async")]
    biglock_of_one_that_is_suspended(forced);
    #[cfg(not(feature = "async"))]
    forced.saw(&BigLockError::Suspended);
    let kernel = one_cpu();
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, BigLockError::NotHeld, |k| k.big_lock().unlock());
    start_as(&mut k, 5);
    k.big_lock().lock().unwrap();
    k.big_lock().unlock().unwrap();
    forced.refused(&kernel, &mut k, BigLockError::NotHeld, |k| k.big_lock().unlock());
    if cfg!(debug_assertions) {
        // 2^32 calls: two minutes, and two seconds in a release build.
        return forced.saw(&BigLockError::Overflow);
    }
    while k.big_lock().lock().is_ok() {}
    forced.refused(&kernel, &mut k, BigLockError::Overflow, |k| k.big_lock().lock());
    assert_eq!(k.big_lock().depth(), u32::MAX);
    leave(k);
    // CPU and lock are there, or this waits.
    kernel.enter().unwrap().big_lock().lock().unwrap();
    assert_empty(kernel);
}

/// A scope is polled inside.
#[cfg(feature = "async")]
fn biglock_of_one_that_is_suspended(forced: &mut Forced) {
    let kernel = one_cpu();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.big_lock().lock().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    {
        let (k, kernel, why) = (&mut k, &kernel, BigLockError::Suspended);
        let mut task = Box::pin(lwp.scope(async move {
            forced.refused(kernel, k, why, |k| k.big_lock().lock());
            forced.refused(kernel, k, why, |k| k.big_lock().unlock());
            forced.refused(kernel, k, why, |k| k.within(Duration::ZERO).big_lock());
        }));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(task.as_mut().poll(&mut cx).is_ready());
    }
    leave(k);
    assert_empty(kernel);
}
