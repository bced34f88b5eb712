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
use std::time::Duration;
#[cfg(not(lwproc_shuttle))]
use std::time::Instant;

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

/// What came of one sleep of the thread.
enum Slept {
    /// It may have been woken: there is a token, or it sleeps again.
    Perhaps,
    /// The time is over.
    #[cfg_attr(lwproc_shuttle, allow(dead_code))]
    Enough,
}

impl Parker {
    pub fn new() -> Self {
        let (token, sleeper) = (AtomicBool::new(false), AtomicPtr::new(null_mut()));
        Self(Unparker(Arc::new(Inner { token, sleeper })))
    }

    /// Sleeps until there is a token, and takes it. **Blocks**.
    pub fn park(&self) {
        self.park_by(|| {
            thread::park();
            Slept::Perhaps
        });
    }

    /// As [`Parker::park`], but no longer than `limit`, by the threads' own time.
    /// **Blocks**.
    #[cfg(not(lwproc_shuttle))]
    pub fn park_for(&self, limit: Duration) {
        // None: later than time can tell.
        let end = Instant::now().checked_add(limit);
        self.park_by(|| match end.map(|end| end.saturating_duration_since(Instant::now())) {
            None => {
                thread::park();
                Slept::Perhaps
            }
            Some(Duration::ZERO) => Slept::Enough,
            Some(left) => {
                thread::park_timeout(left);
                Slept::Perhaps
            }
        });
    }

    /// Shuttle knows no time: its tests end such a sleep themselves.
    #[cfg(lwproc_shuttle)]
    pub fn park_for(&self, _limit: Duration) {
        self.park();
    }

    /// Sleeps by `sleep` until there is a token, or it is enough.
    fn park_by(&self, sleep: impl Fn() -> Slept) {
        let inner = &self.0.0;
        let mut slept = false;
        loop {
            drop(inner.show(Box::into_raw(Box::new(thread::current()))));
            // SeqCst [P72]: as in `show`; and what the waker did before.
            if inner.token.swap(false, SeqCst) {
                break;
            }
            match sleep() {
                Slept::Perhaps => slept = true,
                Slept::Enough => break,
            }
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

    /// Each time anew, though every sleep leaves the thread a token of its own.
    #[cfg(not(lwproc_shuttle))]
    #[test]
    fn a_limited_sleep_lasts_as_long_as_its_limit() {
        let (parker, limit) = (Parker::new(), Duration::from_millis(5));
        for _ in 0..3 {
            let begin = Instant::now();
            parker.park_for(limit);
            assert!(begin.elapsed() >= limit);
        }
        parker.unparker().unpark();
        parker.park_for(Duration::MAX);
        parker.park_for(Duration::ZERO);
        parker.unparker().unpark();
        parker.park();
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
