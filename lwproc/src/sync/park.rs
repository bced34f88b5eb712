//! Sleeping and waking of threads, on the standard library's parking.
//!
//! Not crossbeam-utils' `Parker`: its `unpark` takes a lock that the sleeper holds on its
//! way to sleep and back, so a sleeper that is stopped there would stop who wakes it. Here
//! a sleeper shows its thread's handle, and whoever takes that wakes the thread.
//!
//! The standard library's token of the thread may be the embedder's, too. So this has a
//! token of its own, and gives the thread's back when it may have used it up: the
//! embedder sees no more than a `park` that returns without reason, as is documented of it.
#![allow(unsafe_code)]

use super::thread::{self, Thread};
use super::{AtomicBool, AtomicPtr};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

struct Inner {
    token: AtomicBool,
    /// The thread that sleeps, or is about to: boxed, and whoever swaps it out has it.
    sleeper: AtomicPtr<Thread>,
}

impl Inner {
    /// Shows another sleeper, or none; the one before.
    fn show(&self, sleeper: *mut Thread) -> Option<Box<Thread>> {
        // SeqCst [P72]: of a sleeper that shows itself and then asks for the token, and a
        // waker that sets the token and then asks for the sleeper, one sees the other.
        let before = self.sleeper.swap(sleeper, SeqCst);
        // SAFETY: from `Box::into_raw` in `park`, and swapped out once.
        (!before.is_null()).then(|| unsafe { Box::from_raw(before) })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.show(null_mut()));
    }
}

/// Puts the thread that uses it to sleep; one thread at a time.
pub struct Parker(Unparker);

/// Wakes who sleeps by a [`Parker`].
#[derive(Clone)]
pub struct Unparker(Arc<Inner>);

impl Parker {
    pub fn new() -> Self {
        let (token, sleeper) = (AtomicBool::new(false), AtomicPtr::new(null_mut()));
        Self(Unparker(Arc::new(Inner { token, sleeper })))
    }

    /// Sleeps until there is a token, and takes it. **Blocks**.
    pub fn park(&self) {
        let inner = &self.0.0;
        let mut slept = false;
        loop {
            drop(inner.show(Box::into_raw(Box::new(thread::current()))));
            // SeqCst [P72]: as in `show`; and what the waker did before.
            if inner.token.swap(false, SeqCst) {
                break;
            }
            thread::park();
            slept = true;
        }
        drop(inner.show(null_mut()));
        if slept {
            thread::current().unpark();
        }
    }

    pub fn unparker(&self) -> &Unparker {
        &self.0
    }
}

impl Unparker {
    /// Leaves a token, and wakes the sleeper if there is one. Lock-free, where the standard
    /// library's `unpark` is: on Linux it is one atomic and a system call.
    pub fn unpark(&self) {
        // SeqCst [P72]: see `show`; what this thread did before.
        self.0.token.swap(true, SeqCst);
        if let Some(sleeper) = self.0.show(null_mut()) {
            sleeper.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_arrives() {
        let (ping, pong) = (Parker::new(), Parker::new());
        let (to_ping, to_pong) = (ping.unparker().clone(), pong.unparker().clone());
        thread::scope(|s| {
            s.spawn(move || {
                for _ in 0..20_000 {
                    pong.park();
                    to_ping.unpark();
                }
            });
            for _ in 0..20_000 {
                to_pong.unpark();
                ping.park();
            }
        });
    }

    #[test]
    fn a_token_of_the_embedder_is_not_used_up() {
        let parker = Parker::new();
        thread::current().unpark();
        let waker = parker.unparker().clone();
        // Not a scope: its end parks, and may use up the token itself.
        let waking = thread::spawn(move || waker.unpark());
        parker.park();
        waking.join().expect("it only wakes");
        // It would sleep for ever.
        thread::park();
    }
}
