//! Tasks as sleepers.
#![allow(unsafe_code)]

use super::WaitQueue;
use super::sleeper::{LEFT, Sleeper, WAITING, WOKEN, Who};
use super::waker::WakerCell;
use crate::sync::{Acquire, Relaxed, fence};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Poll, Waker};

/// A future's place in a queue. It must be given to [`WaitQueue::stop_waiting`] before it is
/// dropped; or else the waker stays in the queue until the next wake-up.
#[derive(Default)]
pub struct Waiting(Option<Registered>);

/// What a future was that waits no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// Not woken since it was polled last; or it did not wait.
    Asleep,
    /// Woken, and in a queue that wakes one at a time that wake-up was another's if the
    /// future had no use for it.
    Woken,
}

struct Registered {
    sleeper: Arc<Sleeper>,
    /// Which waker lies in it. No reference: it is compared only while the waker is
    /// there.
    waker: (*const (), usize),
}

// SAFETY: the addresses are only compared, and the sleeper's waker is `Send`.
unsafe impl Send for Waiting {}
// SAFETY: `&Waiting` gives nothing.
unsafe impl Sync for Waiting {}

/// What two wakers that wake the same task have in common.
fn address(waker: &Waker) -> (*const (), usize) {
    (waker.data(), std::ptr::from_ref(waker.vtable()).addr())
}

impl Waiting {
    /// Whether a waker has woken it since the last poll.
    fn is_woken(&self) -> bool {
        self.0.as_ref().is_some_and(|registered| {
            // Acquire [P12]: what the waker did; pairs with Release in `wake_some`.
            registered.sleeper.state.load(Acquire) == WOKEN
        })
    }

    /// Whether it is in the queue with that waker, not woken yet.
    fn is_for(&self, waker: &Waker) -> bool {
        self.0.as_ref().is_some_and(|registered| {
            // Relaxed: the owner's; whoever has moved it meanwhile calls that waker, and
            // there is another poll.
            registered.sleeper.state.load(Relaxed) == WAITING && registered.waker == address(waker)
        })
    }
}

impl WaitQueue {
    /// Ready when `done` yields a value; else `waker` is called at the next wake-up.
    /// `done` must see what the waker did before it woke the queue. Lock-free but for
    /// the allocator.
    pub fn poll_for<R>(
        &self,
        waiting: &mut Waiting,
        waker: &Waker,
        done: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        self.poll_for_one(waiting, waker, done, || ())
    }

    /// As [`WaitQueue::poll_for`], in a queue that wakes one sleeper at a time: `missed`
    /// is called when this one was woken and needed no wake-up.
    pub fn poll_for_one<R>(
        &self,
        waiting: &mut Waiting,
        waker: &Waker,
        mut done: impl FnMut() -> Option<R>,
        missed: impl FnOnce(),
    ) -> Poll<R> {
        let mut used = waiting.is_woken();
        let mut result = done();
        if result.is_none() && !waiting.is_for(waker) {
            // If it was woken meanwhile, the look below uses that.
            let _ = self.stop_waiting(waiting);
            used = false;
            let cell = WakerCell::new(waker.clone());
            let sleeper = self.register(Who::Task(cell));
            waiting.0 = Some(Registered { sleeper, waker: address(waker) });
            // SeqCst fence [P12]: either `done` sees what the waker did, or the
            // waker's fence comes later and it sees this sleeper.
            fence(SeqCst);
            result = done();
        }
        match result {
            Some(result) => {
                if self.stop_waiting(waiting) == Left::Woken && !used {
                    missed();
                }
                Poll::Ready(result)
            }
            None => Poll::Pending,
        }
    }

    /// The future waits no more. Its waker is dropped here, unless somebody is just
    /// calling it. Lock-free; O(1) amortised.
    pub fn stop_waiting(&self, waiting: &mut Waiting) -> Left {
        let Some(Registered { sleeper, .. }) = waiting.0.take() else {
            return Left::Asleep;
        };
        let Who::Task(waker) = &sleeper.who else { unreachable!("registered as a task") };
        // Relaxed: what the waker did is seen behind the fence in `poll_for`, by the
        // `done` that comes next.
        if sleeper.state.swap(LEFT, Relaxed) != WAITING {
            return Left::Woken;
        }
        // SAFETY: by who moved the state.
        let waker = unsafe { waker.take() };
        self.one_has_left(&sleeper);
        // Last: it is user code.
        drop(waker);
        Left::Asleep
    }
}
