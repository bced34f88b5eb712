//! `Parker` for loom: crossbeam-utils' on loom's threads. (Shuttle runs `park.rs` itself.)
//!
//! Loom's `unpark` wakes a thread from whatever it waits for, so it is called only
//! for one that is parked here. (Loom switches threads only at its own operations, so
//! `parked` changes in one step with what stands beside it.)

use super::thread::{Thread, current, park};
use super::{AcqRel, Acquire, AtomicBool};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Inner {
    token: AtomicBool,
    /// The thread that is parked now.
    parked: Mutex<Option<Thread>>,
}

pub struct Parker(Unparker);

#[derive(Clone)]
pub struct Unparker(Arc<Inner>);

impl Parker {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let inner = Inner { token: AtomicBool::new(false), parked: Mutex::new(None) };
        Self(Unparker(Arc::new(inner)))
    }

    pub fn park(&self) {
        let inner = &self.0.0;
        while !inner.token.swap(false, Acquire) {
            *inner.parked.lock().unwrap() = Some(current());
            park();
            *inner.parked.lock().unwrap() = None;
        }
    }

    /// Loom knows no time: the models' hosts own theirs, and end such a sleep by ticks.
    pub fn park_for(&self, _limit: Duration) {
        self.park();
    }

    pub fn unparker(&self) -> &Unparker {
        &self.0
    }
}

impl Unparker {
    pub fn unpark(&self) {
        self.0.token.swap(true, AcqRel);
        let parked = self.0.parked.lock().unwrap().clone();
        if let Some(thread) = parked {
            thread.unpark();
        }
    }
}
