//! Defects of the C code that a model checker is not the tool for, or not the only
//! one (`../docs/PROOF.md`): R11, R12, R15, R18, R19. The others are models.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;
#[path = "common/heap.rs"]
mod heap;

use becoming::Become;
use lwproc::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// How limits are passed on: the parent's number after a child has set its own.
fn parents_limit_after_the_childs(
    parents: u64,
    inherit: impl Fn(&Rc<RefCell<u64>>) -> Rc<RefCell<u64>>,
) -> u64 {
    let parent = Rc::new(RefCell::new(parents));
    *inherit(&parent).borrow_mut() = 5;
    *parent.borrow()
}

/// C, once the parent's set is writable.
#[test]
#[should_panic(expected = "changed by the child")]
fn before_r11_limits_that_can_be_written_are_shared() {
    assert_eq!(parents_limit_after_the_childs(64, Rc::clone), 64, "changed by the child");
}

#[test]
fn r11_a_childs_limits_are_its_own() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    // So that the parent has a set of its own, which C would share.
    k.resources().set_limit(Resource::Nofile, Limit::both(64)).unwrap();
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    k.resources().set_limit(Resource::Nofile, Limit::both(5)).unwrap();
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!(k.resources().limit(Resource::Nofile), Limit::both(64));
    k.resources().set_limit(Resource::Nofile, Limit::both(7)).unwrap();
    k.switch(child).unwrap();
    assert_eq!(k.resources().limit(Resource::Nofile), Limit::both(5));
}

/// One snapshot for a child: what it has is a set that its parent had at some time,
/// also of two limits that are only ever set to the same number one after the other.
#[test]
fn r12_a_child_has_one_snapshot() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    std::thread::scope(|s| {
        let setter = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.become_new_lwp(pid).unwrap();
            for n in (0..1000).rev() {
                k.resources().set_limit(Resource::Cpu, Limit::both(n)).unwrap();
                k.resources().set_limit(Resource::Data, Limit::both(n)).unwrap();
            }
            k.release().unwrap();
        });
        while !setter.is_finished() {
            let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
            let limits = [Resource::Cpu, Resource::Data].map(|r| k.resources().limit(r).soft);
            let ahead = limits[1].checked_sub(limits[0]);
            assert!(matches!(ahead, Some(0 | 1)) || limits[1] == Limit::NONE.soft, "{limits:?}");
            k.release().unwrap();
            k.switch(parent).unwrap();
        }
    });
}

fn churn(kernel: &Kernel, pid: Pid, times: usize) {
    let mut k = kernel.enter().unwrap();
    for _ in 0..times {
        k.become_new_lwp(pid).unwrap();
        k.release().unwrap();
        drop(k);
        k = kernel.enter().unwrap();
    }
    drop(k);
    for _ in 0..8 {
        kernel.flush();
    }
}

/// C allocates an LWP, and then another.
#[test]
fn before_r15_each_success_leaks_one() {
    let before = heap::live();
    for _ in 0..100 {
        std::mem::forget(Box::new([0u8; 64]));
        drop(Box::new([0u8; 64]));
    }
    assert_eq!(heap::live() - before, 100, "the allocator sees it");
}

#[test]
fn r15_newlwp_leaks_nothing() {
    let kernel = Kernel::new();
    let first = kernel.spawn().start().unwrap();
    churn(&kernel, first.pid(), 1000);
    let before = heap::live();
    churn(&kernel, first.pid(), 10_000);
    // Garbage that waits for its epoch, not one for each.
    let more = heap::live() - before;
    assert!(more < 1000, "{more} blocks more after 10,000 LWPs");
}

/// The hooks come first, the id is free last.
#[test]
fn r18_hooks_run_while_the_process_can_be_found() {
    let kernel: Arc<Kernel> = Arc::new(Kernel::builder().id_capacity(3).build().unwrap());
    let seen = Arc::new(Mutex::new(vec![]));
    let (weak, log) = (Arc::downgrade(&kernel), seen.clone());
    let hook = kernel.add_exit_hook(move |proc| {
        let kernel = weak.upgrade().unwrap();
        let guard = kernel.pin();
        let found = guard.proc(proc.pid()).map(|p| p.identity());
        log.lock().unwrap().push((proc.pid(), found == Some(proc.identity()), proc.pgid()));
        // There is no other id: had this one been free, this would have taken it.
        let other = kernel.spawn().start();
        assert_eq!(other.err(), Some(SpawnError::IdsExhausted));
    });
    let fill = kernel.spawn().start().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    assert!(kernel.spawn().start().is_err(), "no id is left");
    drop(lwp);
    assert_eq!(*seen.lock().unwrap(), [(pid, true, Some(Pid(0)))]);
    kernel.remove_exit_hook(hook).unwrap();
    drop((kernel.spawn().start().unwrap(), fill));
}

/// There is no pointer to an LWP that is gone; a handle knows, and a number misses,
/// also when its slot has a new LWP. (That an owned `Lwp` cannot be used after it was
/// released is the compiler's: the compile-fail tests of `Lwp`. The C interface checks
/// numbers by generation.)
#[test]
fn r19_what_is_gone_is_not_switched_to() {
    let kernel: Arc<Kernel> = Arc::new(Kernel::builder().id_capacity(2).build().unwrap());
    let lwp = kernel.spawn().start().unwrap();
    let (lid, handle) = (lwp.lid(), lwp.unclaim());
    drop(handle.claim().unwrap());
    assert_eq!(handle.claim().unwrap_err(), ClaimError::Exiting);
    let again = kernel.spawn().start();
    let again = again.or_else(|_| {
        // The handle keeps the id's slot no longer than its memory.
        kernel.flush();
        kernel.spawn().start()
    });
    let guard = kernel.pin();
    assert!(guard.lwp(lid).is_none(), "a stale number misses");
    assert_eq!(handle.claim().unwrap_err(), ClaimError::Exiting);
    assert!(again.is_ok_and(|l| l.lid() != lid));
}
