//! The queue of sleepers.

use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicU32;
use lwproc::layers::{Parker, WaitQueue};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub fn models() -> Vec<Model> {
    vec![
        pair("waitq_wait_against_wake", wait_against_wake),
        pair("waitq_wait_against_wait_and_wake", wait_against_wait).threads(3).bounded(3),
    ]
}

/// A sleeper wakes, and at its first look sees what the waker did: at the
/// latest the third look, after the one before and the one after it
/// registered.
fn wait_against_wake() {
    let world = Arc::new((WaitQueue::new(), AtomicU32::new(0)));
    let other = world.clone();
    let t = loom::thread::spawn(move || {
        let mut looks = 0;
        other.0.wait_until(&Parker::new(), || {
            looks += 1;
            // Relaxed: whatever order there is, the queue gives it.
            (other.1.load(Relaxed) == 1).then_some(())
        });
        assert!(looks <= 3, "woken for nothing");
    });
    world.1.store(1, Relaxed);
    world.0.wake_all();
    t.join().unwrap();
}

/// Two sleepers register at once: the waker finds both.
fn wait_against_wait() {
    let world = Arc::new((WaitQueue::new(), AtomicU32::new(0)));
    let sleeper = || {
        let world = world.clone();
        loom::thread::spawn(move || {
            world.0.wait_until(&Parker::new(), || (world.1.load(Relaxed) == 1).then_some(()));
        })
    };
    let sleepers = [sleeper(), sleeper()];
    world.1.store(1, Relaxed);
    world.0.wake_all();
    for t in sleepers {
        t.join().unwrap();
    }
}
