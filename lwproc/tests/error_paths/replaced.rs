//! Hooks and emulations: what may be replaced while a kernel runs.

use crate::bench::{Kernel, *};
use lwproc::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A hook that counts its runs, and captures one value.
fn establish(kernel: &Kernel, runs: &Arc<AtomicUsize>) -> HookId {
    let (captured, runs) = (kernel.host().other(), runs.clone());
    kernel.exithook_establish(move |_| {
        let _ = &captured;
        runs.fetch_add(1, SeqCst);
    })
}

pub fn hook(forced: &mut Forced) {
    let (kernel, other) = (plain(), plain());
    let runs = Arc::new(AtomicUsize::new(0));
    let gone = establish(&kernel, &runs);
    let kept = establish(&kernel, &runs);
    let theirs = establish(&other, &runs);
    kernel.exithook_disestablish(gone).unwrap();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let there = Snapshot::of(&other, None);
    for _ in 0..2 {
        forced.refused(&kernel, &mut k, HookError::NoSuchHook, |_| {
            kernel.exithook_disestablish(gone)
        });
        forced.refused(&kernel, &mut k, HookError::WrongKernel, |_| {
            kernel.exithook_disestablish(theirs)
        });
    }
    Snapshot::of(&other, None).assert_eq(&there, "a refusal of the other kernel");
    leave(k);
    assert_eq!(runs.swap(0, SeqCst), 1, "the one that was kept");
    drop(other.alloclwp(None).unwrap());
    assert_eq!(runs.swap(0, SeqCst), 1, "the other kernel's");
    kernel.exithook_disestablish(kept).unwrap();
    forced.refused_outside(&kernel, HookError::NoSuchHook, || kernel.exithook_disestablish(kept));
    other.exithook_disestablish(theirs).unwrap();
    drop(kernel.alloclwp(None).unwrap());
    assert_eq!((runs.load(SeqCst), Arc::strong_count(&runs)), (0, 1));
    assert_empty(kernel);
    assert_empty(other);
}

pub fn emul(forced: &mut Forced) {
    let (kernel, other) = (plain(), plain());
    let (own, theirs) = (kernel.add_emul(7), other.add_emul(8));
    kernel.set_default_emul(own).unwrap();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    assert_eq!(*k.emul(), 7);
    let why = EmulError::WrongKernel;
    forced.refused(&kernel, &mut k, why, |_| kernel.set_default_emul(theirs));
    forced.refused(&kernel, &mut k, EmulError::NotPermitted, |k| k.sysent_usenative());
    let child = child(&mut k);
    assert_eq!(*kernel.find(child.pid(), &kernel.pin()).unwrap().emul(), 7);
    drop(child);
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    leave(k);
    assert_empty(kernel);
    assert_empty(other);
}
