//! Hooks and emulations: what may be replaced while a kernel runs.

use crate::bench::{Kernel, *};
use lwproc::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A hook that counts its runs, and captures one value.
fn establish(kernel: &Kernel, runs: &Arc<AtomicUsize>) -> HookId {
    let (captured, runs) = (kernel.host().other(), runs.clone());
    kernel.add_exit_hook(move |_| {
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
    kernel.remove_exit_hook(gone).unwrap();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let there = Snapshot::of(&other, None);
    for _ in 0..2 {
        forced.refused(&kernel, &mut k, HookError::NoSuchHook, |_| kernel.remove_exit_hook(gone));
        forced
            .refused(&kernel, &mut k, HookError::WrongKernel, |_| kernel.remove_exit_hook(theirs));
    }
    Snapshot::of(&other, None).assert_eq(&there, "a refusal of the other kernel");
    leave(k);
    assert_eq!(runs.swap(0, SeqCst), 1, "the one that was kept");
    drop(other.spawn().start().unwrap());
    assert_eq!(runs.swap(0, SeqCst), 1, "the other kernel's");
    kernel.remove_exit_hook(kept).unwrap();
    forced.refused_outside(&kernel, HookError::NoSuchHook, || kernel.remove_exit_hook(kept));
    other.remove_exit_hook(theirs).unwrap();
    drop(kernel.spawn().start().unwrap());
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
    assert_eq!(*k.process().emul(), 7);
    let why = EmulError::WrongKernel;
    forced.refused(&kernel, &mut k, why, |_| kernel.set_default_emul(theirs));
    forced.refused(&kernel, &mut k, EmulError::NotPermitted, |k| k.process().use_native_emul());
    let child = child(&mut k);
    assert_eq!(*kernel.pin().proc(child.pid()).unwrap().emul(), 7);
    drop(child);
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    leave(k);
    assert_empty(kernel);
    assert_empty(other);
}
