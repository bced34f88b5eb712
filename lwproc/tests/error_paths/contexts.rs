//! Entering, and what a context does with LWPs and the big lock.

use crate::bench::*;
use crate::{SwitchError, UnclaimError};
use lwproc::{
    BigLockError, ClaimError, EnterError, ExitStatus, HoldError, Pid, ReleError, ReleaseError,
    UnbindError, WaitTarget,
};
use std::num::NonZeroUsize;

/// A kernel of one virtual CPU: whatever takes a second one waits for ever.
fn one_cpu() -> Kernel {
    kernel(|builder| builder.virtual_cpus(NonZeroUsize::MIN))
}

pub fn enter(forced: &mut Forced) {
    let kernel = one_cpu();
    let mut k = kernel.enter().unwrap();
    k.kernel_lock().unwrap();
    forced.refused(&kernel, &mut k, EnterError::AlreadyEntered, |_| kernel.enter());
    start_as(&mut k, 5);
    forced.refused(&kernel, &mut k, EnterError::AlreadyEntered, |_| kernel.enter());
    leave(k);
    // CPU and lock are there, or this waits.
    kernel.enter().unwrap().kernel_lock().unwrap();
    assert_empty(kernel);
}

pub fn claim(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let (pid, lid) = (k.pid(), k.lid().unwrap());
    let owned = kernel.alloclwp(Some(pid)).unwrap();
    let gone = kernel.alloclwp(Some(pid)).unwrap();
    let find = |lid| kernel.find_lwp(lid, &kernel.pin()).unwrap().handle().unwrap();
    for lid in [lid, owned.lid()] {
        let (handle, why) = (find(lid), ClaimError::AlreadyRunning { pid, lid });
        forced.refused(&kernel, &mut k, why, |_| handle.claim());
        forced.refused(&kernel, &mut k, why, |_| {
            kernel.find_lwp(lid, &kernel.pin()).unwrap().claim()
        });
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
    k.kernel_lock().unwrap();
    k.releaselwp().unwrap();
    forced.refused(&kernel, &mut k, UnbindError::Exiting, |k| k.unbind());
    drop(k);
    assert_empty(kernel);
}

/// Each way to release is refused for the same reason.
fn releases(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>, why: ReleaseError) {
    forced.refused(kernel, k, why, |k| k.releaselwp());
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
    let parked = kernel.alloclwp(Some(k.pid())).unwrap().unclaim();
    for _ in 0..2 {
        k.lwphold().unwrap();
    }
    releases(forced, &kernel, &mut k, ReleaseError::Held { holds: 2 });
    for _ in 0..2 {
        k.lwprele().unwrap();
    }
    drop(parked.claim().unwrap());
    k.releaselwp().unwrap();
    releases(forced, &kernel, &mut k, ReleaseError::NotPertinent);
    k.switch(parent).unwrap();
    let reaped = k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert_eq!(reaped.status, ExitStatus::exited(0), "what was refused was not recorded");
    drop(parked);
    leave(k);
    assert_empty(kernel);
}

pub fn hold(forced: &mut Forced) {
    let kernel = kernel(|builder| builder.id_capacity(2));
    let last = kernel.alloclwp(None).unwrap();
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, HoldError::IdsExhausted, |k| k.lwphold());
    drop(last);
    k.drain();
    forced.refused(&kernel, &mut k, HoldError::Draining, |k| k.lwphold());
    k.reopen();
    start_as(&mut k, 5);
    // The count of 24 bits: the base reference, and as many holds.
    let mut holds = 0;
    while holds < (1 << 24) - 2 && k.lwphold().is_ok() {
        holds += 1;
    }
    forced.refused(&kernel, &mut k, HoldError::Overflow, |k| k.lwphold());
    assert_eq!(k.curlwp().unwrap().refcnt(), (1 << 24) - 1);
    for _ in 0..holds {
        k.lwprele().unwrap();
    }
    leave(k);
    assert_empty(kernel);
}

pub fn rele(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, ReleError::NotHeld, |k| k.lwprele());
    start_as(&mut k, 5);
    k.releaselwp().unwrap();
    forced.refused(&kernel, &mut k, ReleError::NotHeld, |k| k.lwprele());
    drop(k);
    assert_empty(kernel);
}

pub fn switch(forced: &mut Forced) {
    let (own, other) = (one_cpu(), plain());
    let mut foreign = other.alloclwp(None).unwrap();
    let mut k = own.enter().unwrap();
    for bound in [false, true] {
        if bound {
            start_as(&mut k, 5);
            k.lwphold().unwrap();
        }
        k.kernel_lock().unwrap();
        let before = (Snapshot::of(&own, Some(&k)), Snapshot::of(&other, None));
        for _ in 0..3 {
            let error: SwitchError = k.switch(foreign).unwrap_err();
            forced.saw(&error);
            foreign = error.into_lwp();
            Snapshot::of(&own, Some(&k)).assert_eq(&before.0, "a switch, here");
            Snapshot::of(&other, None).assert_eq(&before.1, "a switch, there");
        }
    }
    k.lwprele().unwrap();
    leave(k);
    drop(foreign);
    assert_empty(own);
    assert_empty(other);
}

pub fn unclaim(forced: &mut Forced) {
    let kernel = plain();
    let handle = kernel.alloclwp(None).unwrap().unclaim();
    let mut lwp = kernel.alloclwp(Some(Pid(handle.pid().0))).unwrap();
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

pub fn biglock(forced: &mut Forced) {
    let kernel = one_cpu();
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, BigLockError::NotHeld, |k| k.kernel_unlock());
    start_as(&mut k, 5);
    k.kernel_lock().unwrap();
    k.kernel_unlock().unwrap();
    forced.refused(&kernel, &mut k, BigLockError::NotHeld, |k| k.kernel_unlock());
    if cfg!(debug_assertions) {
        // 2^32 calls: two minutes, and two seconds in a release build.
        return forced.saw(&BigLockError::Overflow);
    }
    while k.kernel_lock().is_ok() {}
    forced.refused(&kernel, &mut k, BigLockError::Overflow, |k| k.kernel_lock());
    assert_eq!(k.kernel_lock_depth(), u32::MAX);
    leave(k);
    // CPU and lock are there, or this waits.
    kernel.enter().unwrap().kernel_lock().unwrap();
    assert_empty(kernel);
}
