//! Sleepers waiting for an event: waking is lock-free, only sleeping blocks.
//!
//! A stack of sleepers. A waker takes the whole stack and wakes each; a
//! sleeper registers, looks again at what it waits for, and only then parks, or
//! is pending. A sleeper is a thread, by its parker, or with the feature `async` a
//! task, by its `std::task::Waker`.
//!
//! A sleeper that stops by itself says so in its state, and is counted. When as many have
//! left as stayed at the last sweep, and some more, the one that leaves sweeps: it takes
//! the stack, drops those that have left, and puts the others back, without waking them
//! (`stack.rs` says why none of them is missed). So leaving is O(1) amortised, and the
//! queue is as long as the most that slept since the last sweep or wake-up.
//!
//! The task's waker lies in the sleeper until somebody takes it out: who moves the
//! state away from WAITING, and nobody else. That is who wakes it, or the future
//! that stops waiting; so a waker is dropped by its future, or called. Calling it is
//! user code; a panic of it is swallowed, for it is no matter of who ends a process.
#![allow(unsafe_code)]

mod sleeper;
mod stack;
#[cfg(feature = "async")]
mod task;
#[cfg(feature = "async")]
mod waker;

#[cfg(feature = "async")]
pub use task::{Left, Waiting};

use crate::sync::{Acquire, AtomicPtr, AtomicU32, Ordering, Parker, Relaxed, Release, fence};
use sleeper::{LEFT, Sleeper, WAITING, WOKEN, Who};
use stack::{Chain, PutBack, Stack, Taken};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How many may have left a queue, beside as many as stayed at the last sweep, before it
/// is swept.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const SWEEP: i32 = 64;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const SWEEP: i32 = 0;

/// See the module.
pub struct WaitQueue {
    stack: Stack,
    /// Sleepers that left on their own since the stack was last taken, less those that
    /// were put back then; as i32.
    left: AtomicU32,
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitQueue")
    }
}

/// A thread's sleep in a queue: tells the wakers at its end that it does not count.
struct Leave<'s> {
    queue: &'s WaitQueue,
    sleeper: &'s Sleeper,
    /// What to do when a wake-up was not used.
    missed: Option<&'s dyn Fn()>,
}

impl Leave<'_> {
    /// It was woken, and has looked.
    fn woken(self) {
        std::mem::forget(self);
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // Relaxed: the fence in `missed`, which wakes another, is the Acquire [P57] of
        // what the waker of this one did; pairs with Release in `wake_some`.
        if self.sleeper.state.swap(LEFT, Relaxed) == WAITING {
            self.queue.one_has_left(self.sleeper);
        } else if let Some(missed) = self.missed {
            missed();
        }
    }
}

/// How a thread sleeps in a queue.
#[derive(Clone, Copy)]
pub struct Bed<'b> {
    parker: &'b Parker,
    /// How long it may park at a time; `None` of it, or said by it: until it is unparked.
    limit: Option<&'b dyn Fn() -> Option<Duration>>,
    /// For queues that wake one sleeper at a time: called when this one was woken and
    /// did not look.
    missed: Option<&'b dyn Fn()>,
}

impl fmt::Debug for Bed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bed")
    }
}

impl<'b> Bed<'b> {
    pub fn new(parker: &'b Parker) -> Self {
        Self { parker, limit: None, missed: None }
    }

    pub fn limit(self, limit: Option<&'b dyn Fn() -> Option<Duration>>) -> Self {
        Self { limit, ..self }
    }

    pub fn missed(self, missed: &'b dyn Fn()) -> Self {
        Self { missed: Some(missed), ..self }
    }

    fn park(&self) {
        match self.limit.and_then(|limit| limit()) {
            None => self.parker.park(),
            Some(limit) => self.parker.park_for(limit),
        }
    }
}

impl WaitQueue {
    pub fn new() -> Self {
        Self { stack: Stack::new(), left: AtomicU32::new(0) }
    }

    /// Sleeps until `done` yields a value. Blocks. `done` is called again
    /// after every wake-up, and must see what the waker did before
    /// [`WaitQueue::wake_all`].
    pub fn wait_until<R>(&self, parker: &Parker, done: impl FnMut() -> Option<R>) -> R {
        match self.wait_for(Bed::new(parker), done, || None::<Infallible>, || ()) {
            Ok(r) => r,
            Err(never) => match never {},
        }
    }

    /// As [`WaitQueue::wait_until`], until `stop` yields a value. `stop` is
    /// called before each parking: who makes it yield must unpark the parker
    /// afterwards, unless the time that it may park has a limit.
    ///
    /// What `aside` yields is kept while it sleeps, and dropped before `done` is called.
    pub fn wait_for<R, I, A>(
        &self,
        bed: Bed<'_>,
        mut done: impl FnMut() -> Option<R>,
        mut stop: impl FnMut() -> Option<I>,
        mut aside: impl FnMut() -> A,
    ) -> Result<R, I> {
        if let Some(r) = done() {
            return Ok(r);
        }
        loop {
            let sleeper = self.register(Who::Thread(bed.parker.unparker().clone()));
            let leave = Leave { queue: self, sleeper: &sleeper, missed: bed.missed };
            // SeqCst fence [P12]: either `done` sees what the waker did, or
            // the waker's fence comes later and it sees this sleeper. [P80]: the same
            // for `stop`, the time, and the deadline.
            fence(SeqCst);
            if let Some(r) = done() {
                return Ok(r);
            }
            let back = aside();
            // Acquire [P12]: what the waker did; pairs with the fence in `wake_all`.
            while sleeper.state.load(Acquire) != WOKEN {
                if let Some(why) = stop() {
                    // First: coming back may take its time.
                    drop(leave);
                    return Err(why);
                }
                bed.park();
            }
            drop(back);
            let result = done();
            leave.woken();
            if let Some(r) = result {
                return Ok(r);
            }
        }
    }

    fn register(&self, who: Who) -> Arc<Sleeper> {
        let sleeper = Arc::new(Sleeper {
            who,
            state: AtomicU32::new(WAITING),
            next: AtomicPtr::new(std::ptr::null_mut()),
        });
        let mut chain = Chain::new();
        chain.add(sleeper.clone());
        #[cfg(lwproc_loom)]
        self.stack.keep(sleeper.clone());
        self.stack.push(&chain);
        sleeper
    }

    /// Wakes every sleeper. Lock-free (a sleeper's thread is unparked, which
    /// takes two atomics and a system call; a task is woken in the manner of its
    /// executor).
    pub fn wake_all(&self) {
        Self::wake_all_of([self]);
    }

    /// Wakes every sleeper of several queues, for one event.
    pub fn wake_all_of<const N: usize>(queues: [&Self; N]) {
        // SeqCst fence [P12]: see `wait_for`.
        fence(SeqCst);
        for queue in queues {
            if !queue.stack.is_quiet() {
                queue.wake_taken();
            }
        }
    }

    /// Wakes every sleeper, behind a fence of the caller's.
    #[cold]
    fn wake_taken(&self) {
        let taken = self.stack.take();
        self.none_have_left(0);
        // The fence above is the Release [P12] of what the waker did; pairs with Acquire
        // in `wait_for` and `poll_for`.
        wake_each(taken, Relaxed);
    }

    /// Wakes up to `count` sleepers, those that registered first, and puts the
    /// others back. O(sleepers). One caller at a time: what others do meanwhile
    /// does not reach the sleepers in hand.
    pub(crate) fn wake_some(&self, count: u64) {
        // Oldest first.
        let mut taken: Vec<_> = self.stack.take().collect();
        let mut left = count;
        while left > 0
            && let Some(sleeper) = taken.pop()
        {
            // Release [P12], [P57]: what the wakers did; pairs with Acquire in
            // `wait_for`, and with the fence that follows a swap in `Leave`. Relaxed on failure: it has left, and does not count.
            let woken = sleeper.state.compare_exchange(WAITING, WOKEN, Release, Relaxed);
            if woken.is_ok() {
                sleeper.wake();
                left -= 1;
            }
        }
        let chain = staying(taken);
        self.none_have_left(chain.len());
        self.stack.push(&chain);
    }

    /// One has left by itself. O(1) amortised. Where it was alone, nothing is kept.
    fn one_has_left(&self, sleeper: &Sleeper) {
        // Relaxed: a count.
        if self.stack.seems_only(sleeper) || self.left.fetch_add(1, Relaxed).cast_signed() >= SWEEP
        {
            self.sweep();
        }
    }

    /// The stack has been taken, and so many are put back.
    fn none_have_left(&self, stay: u32) {
        // Relaxed: a count. One that leaves just now may be lost to it; the next sweep
        // finds it all the same.
        self.left.store(0_u32.wrapping_sub(stay), Relaxed);
    }

    /// Drops those that have left; the others sleep on. Lock-free.
    #[cold]
    fn sweep(&self) {
        let Some(taken) = self.stack.hold() else {
            return;
        };
        let chain = staying(taken);
        self.none_have_left(chain.len());
        if let PutBack::Missed(chain) = self.stack.put_back(chain) {
            // Release [P12]: what the waker did, seen in `put_back` [P90]; pairs with
            // Acquire in `wait_for` and `poll_for`.
            wake_each(chain.into_sleepers(), Release);
        }
    }
}

/// Those that have not left.
fn staying(taken: impl IntoIterator<Item = Arc<Sleeper>>) -> Chain {
    let mut chain = Chain::new();
    for sleeper in taken {
        // Relaxed: a hint; one that leaves later is dropped another time.
        if sleeper.state.load(Relaxed) == WAITING {
            chain.add(sleeper);
        }
    }
    chain
}

/// Wakes sleepers that have been taken out.
fn wake_each(taken: Taken, order: Ordering) {
    for sleeper in taken {
        // The caller's ordering. What moves the state decides who has the task's waker,
        // which was written before the sleeper was published.
        if sleeper.state.swap(WOKEN, order) == WAITING {
            sleeper.wake();
        }
    }
}
