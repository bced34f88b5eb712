//! Sleepers waiting for an event: waking is lock-free, only sleeping blocks.
//!
//! A stack of sleepers. A waker takes the whole stack and wakes each; a
//! sleeper registers, looks again at what it waits for, and only then parks, or
//! is pending. A sleeper is a thread, by its parker, or with the feature `async` a
//! task, by its `std::task::Waker`.
//!
//! The task's waker lies in the sleeper until somebody takes it out: who moves the
//! state away from WAITING, and nobody else. That is who wakes it, or the future
//! that stops waiting; so a waker is dropped by its future, or called. Calling it is
//! user code; a panic of it is swallowed, for it is no matter of who ends a process.
#![allow(unsafe_code)]

#[cfg(feature = "async")]
mod task;
#[cfg(feature = "async")]
mod waker;

#[cfg(feature = "async")]
pub use task::{Left, Waiting};

#[cfg(feature = "async")]
use crate::panics;
use crate::sync::{Acquire, AtomicPtr, AtomicU32, Parker, Relaxed, Release, Unparker, fence};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// In the stack, or on the way to a waker.
const WAITING: u32 = 0;
/// Taken out by a waker.
const WOKEN: u32 = 1;
/// No longer there: it sleeps no more, and must not use up a wake-up.
const LEFT: u32 = 2;

struct Sleeper {
    who: Who,
    state: AtomicU32,
    /// The sleeper below; read by whoever took the stack.
    next: AtomicPtr<Sleeper>,
}

/// Whom to wake.
enum Who {
    Thread(Unparker),
    /// Touched by who moved the state away from WAITING, and read by nobody else.
    #[cfg(feature = "async")]
    Task(waker::WakerCell),
}

impl Sleeper {
    /// Wakes it, by whoever moved it from WAITING to WOKEN.
    fn wake(&self) {
        match &self.who {
            Who::Thread(unparker) => unparker.unpark(),
            #[cfg(feature = "async")]
            Who::Task(waker) => {
                // SAFETY: by who moved the state.
                let waker = unsafe { waker.take() };
                let _ = panics::catch(|| waker.wake());
            }
        }
    }
}

/// See the module.
pub struct WaitQueue {
    head: AtomicPtr<Sleeper>,
    /// Tasks that left on their own since the last sweep, less those it woke; as i32.
    #[cfg(feature = "async")]
    left: AtomicU32,
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitQueue")
    }
}

/// Tells the wakers, when a sleeper stops sleeping, that it does not count.
struct Leave<'s> {
    sleeper: &'s Sleeper,
    /// It left on its own, though what it waits for may not have come.
    early: bool,
    /// What to do when a wake-up was not used, or may have been missed.
    missed: Option<&'s dyn Fn()>,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let Some(missed) = self.missed else {
            return;
        };
        // Relaxed: the fence in `missed`, which wakes others, is the Acquire [P57] of
        // what the waker of this one did; pairs with Release in `wake_some`.
        let before = self.sleeper.state.swap(LEFT, Relaxed);
        if self.early || before == WOKEN {
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
    /// did not look, and when it stopped.
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
        Self {
            head: AtomicPtr::new(std::ptr::null_mut()),
            #[cfg(feature = "async")]
            left: AtomicU32::new(0),
        }
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
    /// afterwards, unless the time that it may park has a limit. After a stop this
    /// sleeper is still in the queue, to the next wake-up.
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
            let mut leave = Leave { sleeper: &sleeper, early: true, missed: bed.missed };
            // SeqCst fence [P12]: either `done` sees what the waker did, or
            // the waker's fence comes later and it sees this sleeper. [P80]: the same
            // for `stop`, the time, and the deadline.
            fence(SeqCst);
            if let Some(r) = done() {
                leave.early = false;
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
            if let Some(r) = done() {
                leave.missed = None;
                return Ok(r);
            }
            leave.missed = None;
        }
    }

    fn register(&self, who: Who) -> Arc<Sleeper> {
        let sleeper = Arc::new(Sleeper {
            who,
            state: AtomicU32::new(WAITING),
            next: AtomicPtr::new(std::ptr::null_mut()),
        });
        // The queue's claim, given back by whoever takes the stack.
        let raw = Arc::into_raw(sleeper.clone()).cast_mut();
        // SAFETY: the queue's claim on it.
        unsafe { self.push(raw, raw) };
        sleeper
    }

    /// Puts a chain of sleepers on the stack.
    ///
    /// # Safety
    /// `first` leads to `last`, and the caller has the queue's claim on each.
    unsafe fn push(&self, first: *mut Sleeper, last: *mut Sleeper) {
        // SAFETY: claimed by contract.
        let last = unsafe { &(*last).next };
        // Relaxed: nothing is read through it here.
        let mut head = self.head.load(Relaxed);
        loop {
            // Relaxed: published by the CAS.
            last.store(head, Relaxed);
            // Release [P12]: publishes the sleepers; pairs with the swap in
            // `take`.
            match self.head.compare_exchange(head, first, Release, Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
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
            // Relaxed: the swap decides; a quick way out when nobody sleeps.
            if !queue.head.load(Relaxed).is_null() {
                queue.wake_taken();
            }
        }
    }

    /// Wakes every sleeper, behind a fence of the caller's. How many there were.
    #[cold]
    fn wake_taken(&self) -> u32 {
        let mut woken = 0;
        for sleeper in self.take() {
            // Relaxed: the fence above is the Release [P12] of what the waker did;
            // pairs with Acquire in `wait_for` and `poll_for`. What moves the state
            // decides who has the task's waker, which was written before the
            // sleeper was published.
            if sleeper.state.swap(WOKEN, Relaxed) == WAITING {
                sleeper.wake();
                woken += 1;
            }
        }
        woken
    }

    /// Wakes up to `count` sleepers, those that registered first, and puts the
    /// others back. O(sleepers). One caller at a time: what others do meanwhile
    /// does not reach the sleepers in hand.
    pub(crate) fn wake_some(&self, count: u64) {
        // Oldest first.
        let mut taken: Vec<_> = self.take().collect();
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
        // Relaxed: a hint; one that leaves later is dropped another time.
        taken.retain(|sleeper| sleeper.state.load(Relaxed) == WAITING);
        let taken: Vec<_> = taken.into_iter().map(|s| Arc::into_raw(s).cast_mut()).collect();
        for pair in taken.windows(2) {
            // SAFETY: claimed by this thread.
            let next = unsafe { &(*pair[0]).next };
            // Relaxed: published by the push.
            next.store(pair[1], Relaxed);
        }
        if let [first, .., last] | [first @ last] = taken[..] {
            // SAFETY: linked above, with the claims taken over from the stack.
            unsafe { self.push(first, last) };
        }
    }

    /// Takes the stack, newest first.
    fn take(&self) -> Taken {
        // Acquire [P12]: the sleepers' fields; pairs with Release in `push`.
        Taken(self.head.swap(std::ptr::null_mut(), Acquire))
    }
}

/// Sleepers that have been taken out, with the queue's claim on them.
struct Taken(*mut Sleeper);

impl Iterator for Taken {
    type Item = Arc<Sleeper>;

    fn next(&mut self) -> Option<Arc<Sleeper>> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: the queue's claim on it, taken over with the stack.
        let sleeper = unsafe { Arc::from_raw(self.0.cast_const()) };
        // Relaxed: read through the Acquire of the stack.
        self.0 = sleeper.next.load(Relaxed);
        Some(sleeper)
    }
}

impl Drop for WaitQueue {
    fn drop(&mut self) {
        // Relaxed: nobody else is left.
        Taken(self.head.load(Relaxed)).for_each(drop);
    }
}
