//! Sleepers waiting for an event: waking is lock-free, only sleeping blocks.
//!
//! A stack of sleepers. A waker takes the whole stack and unparks each; a
//! sleeper registers, looks again at what it waits for, and only then parks.
#![allow(unsafe_code)]

use crate::sync::{
    Acquire, AtomicBool, AtomicPtr, Relaxed, Release, Thread, current_thread, fence, park,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

struct Sleeper {
    thread: Thread,
    woken: AtomicBool,
    /// The sleeper below; read by whoever took the stack.
    next: AtomicPtr<Sleeper>,
}

/// See the module.
#[derive(Debug)]
pub struct WaitQueue(AtomicPtr<Sleeper>);

impl WaitQueue {
    pub fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Sleeps until `done` yields a value. Blocks. `done` is called again
    /// after every wake-up, and must see what the waker did before
    /// [`WaitQueue::wake_all`].
    pub fn wait_until<R>(&self, mut done: impl FnMut() -> Option<R>) -> R {
        if let Some(r) = done() {
            return r;
        }
        loop {
            let sleeper = self.register();
            // SeqCst fence [P12]: either `done` sees what the waker did, or
            // the waker's fence comes later and it sees this sleeper.
            fence(SeqCst);
            if let Some(r) = done() {
                return r;
            }
            // Acquire [P12]: what the waker did; pairs with the fence in `wake_all`.
            while !sleeper.woken.load(Acquire) {
                park();
            }
            if let Some(r) = done() {
                return r;
            }
        }
    }

    fn register(&self) -> Arc<Sleeper> {
        // Relaxed: nothing is read through it here.
        let mut head = self.0.load(Relaxed);
        let sleeper = Arc::new(Sleeper {
            thread: current_thread(),
            woken: AtomicBool::new(false),
            next: AtomicPtr::new(head),
        });
        // The queue's claim, given back by whoever takes the stack.
        let raw = Arc::into_raw(sleeper.clone()).cast_mut();
        loop {
            // Release [P12]: publishes the sleeper; pairs with the swap in
            // `wake_all`.
            match self.0.compare_exchange(head, raw, Release, Relaxed) {
                Ok(_) => return sleeper,
                Err(seen) => {
                    head = seen;
                    // Relaxed: published by the CAS.
                    sleeper.next.store(head, Relaxed);
                }
            }
        }
    }

    /// Wakes every sleeper. Lock-free (a sleeper's thread is unparked, which
    /// the standard library does with one atomic and a system call).
    pub fn wake_all(&self) {
        // SeqCst fence [P12]: see `wait_until`.
        fence(SeqCst);
        // Relaxed: the swap decides; a quick way out when nobody sleeps.
        if self.0.load(Relaxed).is_null() {
            return;
        }
        // Acquire [P12]: the sleepers' fields; pairs with Release in `register`.
        let mut at = self.0.swap(std::ptr::null_mut(), Acquire);
        while !at.is_null() {
            // SAFETY: the queue's claim on it, taken over with the stack.
            let sleeper = unsafe { Arc::from_raw(at.cast_const()) };
            // Relaxed: read through the Acquire of the stack.
            at = sleeper.next.load(Relaxed);
            // Relaxed: the fence above is the Release [P12] of what the waker did;
            // pairs with Acquire in `wait_until`.
            sleeper.woken.store(true, Relaxed);
            sleeper.thread.unpark();
        }
    }
}

impl Drop for WaitQueue {
    fn drop(&mut self) {
        // Relaxed: nobody else is left.
        let mut at = self.0.load(Relaxed);
        while !at.is_null() {
            // SAFETY: the queue's claim on it.
            let sleeper = unsafe { Arc::from_raw(at.cast_const()) };
            // Relaxed: read through the Acquire of the stack.
            at = sleeper.next.load(Relaxed);
        }
    }
}
