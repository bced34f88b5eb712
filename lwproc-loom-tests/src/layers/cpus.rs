//! Virtual CPUs.

use crate::runner::{Model, pair};
use loom::cell::UnsafeCell;
use lwproc::layers::{Cpus, Parker};
use std::num::NonZeroUsize;
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![pair("cpus_one_for_two", one_for_two), pair("cpus_two_for_two", two_for_two)]
}

struct World {
    cpus: Cpus,
    on: Vec<UnsafeCell<u32>>,
}

fn world(count: usize) -> Arc<World> {
    let cpus = Cpus::new(NonZeroUsize::new(count).unwrap());
    Arc::new(World { cpus, on: (0..count).map(|_| UnsafeCell::new(0)).collect() })
}

/// Takes a CPU, does something on it that only one thread may, gives it back.
fn run(w: &World, preferred: usize) {
    let parker = Parker::new();
    let cpu = w.cpus.acquire(preferred, || &parker);
    w.on[cpu].with_mut(|p| unsafe { *p += 1 });
    w.cpus.release(cpu);
}

/// The second waits, is woken, and sees what the first did on the CPU.
fn one_for_two() {
    let w = world(1);
    let o = w.clone();
    let t = loom::thread::spawn(move || run(&o, 0));
    run(&w, 0);
    t.join().unwrap();
    w.on[0].with(|p| assert_eq!(unsafe { *p }, 2));
}

/// Both prefer the same one.
fn two_for_two() {
    let w = world(2);
    let o = w.clone();
    let t = loom::thread::spawn(move || run(&o, 1));
    run(&w, 1);
    t.join().unwrap();
}
