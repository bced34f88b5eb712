//! `Parker` for the models: crossbeam-utils' on loom's threads.
//!
//! Loom's own `unpark` hands the waker's view over and is one step with what
//! comes before it; the token is std's, so it adds no step of its own.

use loom::thread::{Thread, current, park};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

struct Inner {
    token: AtomicBool,
    /// Who parked last, or made it: a parker may pass to another thread.
    thread: Mutex<Thread>,
}

pub struct Parker(Unparker);

#[derive(Clone)]
pub struct Unparker(Arc<Inner>);

impl Parker {
    pub fn new() -> Self {
        let inner = Inner { token: AtomicBool::new(false), thread: Mutex::new(current()) };
        Self(Unparker(Arc::new(inner)))
    }

    pub fn park(&self) {
        let inner = &self.0.0;
        *inner.thread.lock().unwrap() = current();
        while !inner.token.swap(false, SeqCst) {
            park();
        }
    }

    pub fn unparker(&self) -> &Unparker {
        &self.0
    }
}

impl Unparker {
    pub fn unpark(&self) {
        self.0.token.store(true, SeqCst);
        let thread = self.0.thread.lock().unwrap().clone();
        thread.unpark();
    }
}
