//! Panics where the end of a process meets them: while the thread unwinds already, in what
//! a panic carries, and in an address space.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

#[derive(Clone, Default)]
struct Spaces;

/// An address space that panics when it is dropped.
struct Space;

impl Drop for Space {
    fn drop(&mut self) {
        panic!("the address space");
    }
}

impl Host for Spaces {
    type VmSpace = Space;
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
}

/// A panic that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the panic");
    }
}

/// An LWP, the last of its process, which has such an address space.
fn doomed(kernel: &Kernel<Spaces>) -> Lwp<Spaces> {
    let mut k = kernel.enter().unwrap();
    k.become_child_with(Space, Rfork::Share).unwrap();
    k.unbind().unwrap().unwrap()
}

fn assert_only_permanent<H: Host>(kernel: &Kernel<H>) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2));
}

fn message(panic: Box<dyn std::any::Any + Send>) -> &'static str {
    panic.downcast::<&'static str>().map_or("another", |text| *text)
}

#[test]
fn an_address_space_that_panics_reaches_who_ended_the_process() {
    let kernel = Kernel::builder().host(Spaces).build().unwrap();
    let lwp = doomed(&kernel);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(lwp))).unwrap_err();
    assert_eq!(message(panic), "the address space");
    assert_only_permanent(&kernel);
}

#[test]
fn the_first_panic_of_an_end_is_the_one_that_goes_on() {
    let kernel = Kernel::builder().host(Spaces).build().unwrap();
    kernel.add_exit_hook(|_| panic!("the hook"));
    let lwp = doomed(&kernel);
    let panic = catch_unwind(AssertUnwindSafe(|| drop(lwp))).unwrap_err();
    assert_eq!(message(panic), "the hook");
    assert_only_permanent(&kernel);
}

/// A second panic would abort the program.
#[test]
fn an_end_while_the_thread_unwinds_lets_no_panic_out() {
    let kernel = Kernel::builder().host(Spaces).build().unwrap();
    let lwp = doomed(&kernel);
    let unwinds = || {
        let _ends_with_the_frame = lwp;
        panic!("of the caller");
    };
    let panic = catch_unwind(AssertUnwindSafe(unwinds)).unwrap_err();
    assert_eq!(message(panic), "of the caller");
    assert_only_permanent(&kernel);
}

#[test]
fn what_a_second_panic_carries_does_not_stop_the_end() {
    let kernel = Kernel::new();
    // The last established runs first.
    kernel.add_exit_hook(|_| panic_any(Bomb));
    kernel.add_exit_hook(|_| panic!("the first"));
    let lwp = kernel.spawn().start().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(lwp))).unwrap_err();
    assert_eq!(message(panic), "the first");
    assert_only_permanent(&kernel);
}

/// The thread's storage is no place to unwind from: std would abort.
#[test]
fn nor_does_it_leave_the_end_of_a_thread() {
    let kernel = Kernel::new();
    kernel.add_exit_hook(|_| panic_any(Bomb));
    std::thread::scope(|s| {
        let bound = s.spawn(|| drop(kernel.enter().unwrap().rfork(Rfork::Share).unwrap()));
        bound.join().unwrap();
    });
    while kernel.counts().procs > 2 {
        std::thread::yield_now();
    }
    assert_only_permanent(&kernel);
}
