//! The big lock.

use crate::runner::{Model, pair};
use loom::cell::UnsafeCell;
use lwproc::layers::{BigLock, Parker};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![pair("biglock_lock_against_lock", lock_against_lock)]
}

/// Two take it, wait if they must, and each sees what the other did.
fn lock_against_lock() {
    let w = Arc::new((BigLock::new(), UnsafeCell::new(0)));
    let run = |w: &(BigLock, UnsafeCell<u32>)| {
        w.0.lock(&Parker::new());
        w.1.with_mut(|p| unsafe { *p += 1 });
        w.0.unlock();
    };
    let o = w.clone();
    let t = loom::thread::spawn(move || run(&o));
    run(&w);
    t.join().unwrap();
    w.1.with(|p| assert_eq!(unsafe { *p }, 2));
}
