//! What an LWP sleeps on, and who may end its sleep.
//!
//! An LWP that is about to sleep stores a pointer to the object it sleeps on and
//! sets SLEEPING in its word; then it looks at the marks in the same word. Who
//! interrupts it sets a mark, and sees in the same step whether it sleeps. The
//! word's order of changes decides: either the sleeper sees the mark and does not
//! sleep, or the interrupter sees SLEEPING and calls the object.
//!
//! The pointer is followed under a pin. A thread's own object, its parker, lives as
//! long as the world. An embedder's is lent: who calls it counts itself in, and the last
//! to give it back, the sleeper or a caller, drops it there and then. Only the memory
//! around it is retired: the object may keep the world, and garbage may stay as long as
//! that. So an object may be called after the sleep that it was for.
//!
//! A scope's LWP is asleep from the end of the first poll that was pending: between polls,
//! and in them, so that a poll need not say so each time. What it sleeps on is a queue of
//! tasks; the scope's own is in it whenever a poll begins. A mark that comes before that
//! is seen by whoever looks in that poll, and a later one wakes the task.
//!
//! To wake one LWP of a channel, a thread must take the whole stack of sleepers and put the
//! others back, and meanwhile a second waker would find nobody. So wake-ups are counted: the
//! thread that raises the count from zero serves all that are owed. A sleeper that leaves just
//! as it is woken wakes another.
#![allow(unsafe_code)]

use crate::id::Lid;
use crate::panics;
use crate::reclaim::RefCount;
use crate::reclaim::refcount::Dropped;
use crate::sync::{Acquire, AtomicU64, Relaxed, Release, Unparker, fence};
use crate::waitq::WaitQueue;
use std::cell::UnsafeCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// What an LWP sleeps on, as those see it that end its sleep (`syncobj_t`).
// Seed: `l_syncobj` S71.
pub trait SyncObject: Send + Sync {
    /// Ends the sleep of that LWP (`sobj_unsleep`). It may be called before the
    /// sleep has begun, and must then be remembered; more than once; and once the
    /// sleep is over, when it must do no harm.
    ///
    /// It is called by whoever posts a signal, drains the process or unsleeps the
    /// LWP, with a guard held: it must not block. When it panics, the others are
    /// woken all the same, and then the panic goes on to that caller.
    fn unsleep(&self, lwp: Lid);
}

/// What an LWP's pointer leads to.
pub(crate) enum SleepObject {
    /// The parker of the thread that the LWP sleeps on.
    Thread(Unparker),
    /// Those of a scope.
    #[cfg(feature = "async")]
    Tasks(Arc<WaitQueue>),
    /// The embedder's own.
    Other(Lent),
}

impl SleepObject {
    /// Wakes the task, if it is one.
    pub(crate) fn wake_task(&self) {
        #[cfg(feature = "async")]
        if let Self::Tasks(tasks) = self {
            tasks.wake_all();
        }
    }

    pub(crate) fn unsleep(&self, lwp: Lid) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            #[cfg(feature = "async")]
            Self::Tasks(tasks) => tasks.wake_all(),
            Self::Other(object) => {
                if let Some(object) = object.borrow() {
                    object.get().unsleep(lwp);
                }
            }
        }
    }
}

/// An embedder's object for one sleep.
pub(crate) struct Lent {
    /// The sleeper, and who is calling it.
    users: RefCount,
    /// Taken out by the last of them.
    object: UnsafeCell<Option<Arc<dyn SyncObject>>>,
}

// SAFETY: the object is `Send` and `Sync`; it is taken out by one thread, once, after all
// uses [P10].
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl Lent {
    pub(crate) fn new(object: Arc<dyn SyncObject>) -> Self {
        Self { users: RefCount::new(), object: UnsafeCell::new(Some(object)) }
    }

    /// For who found it under a pin: nothing when the sleep is over and nobody calls it.
    /// Lock-free.
    fn borrow(&self) -> Option<Borrowed<'_>> {
        self.users.try_inc().then_some(Borrowed(self))
    }

    /// The sleep is over: gives the sleeper's use back.
    ///
    /// # Safety
    /// Called once, by the sleeper.
    pub(crate) unsafe fn end(&self) {
        drop(Borrowed(self));
    }
}

/// A use of the object.
struct Borrowed<'l>(&'l Lent);

impl Borrowed<'_> {
    fn get(&self) -> &dyn SyncObject {
        // SAFETY: taken out only when no use is left.
        unsafe { &*self.0.object.get() }.as_deref().expect("until the last use")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if self.0.users.dec() == Dropped::Last {
            // SAFETY: no use is left, and none can be taken any more.
            let object = unsafe { &mut *self.0.object.get() }.take();
            // Perhaps in a thread that only interrupts, which must not unwind for it.
            let _ = panics::catch(|| drop(object));
        }
    }
}

/// What [`LwpRef::unsleep`](crate::LwpRef::unsleep) did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unslept {
    /// The LWP slept: it has been woken.
    Woken,
    /// It did not sleep; nothing was done.
    Awake,
}

/// A wake-up for everybody: more than all wake-ups for one.
const ALL: u64 = 1 << 32;

/// A queue of LWPs that sleep until something has happened: an embedder's
/// condition variable, without a lock. An LWP sleeps on it by
/// [`Entered::sleep_on`](crate::Entered::sleep_on). It belongs to no kernel, and
/// may be woken from any thread, inside a kernel or not.
///
/// ```
/// use lwproc::{Kernel, Rfork, WaitChannel};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let (kernel, channel, ready) = (Kernel::new(), WaitChannel::new(), AtomicBool::new(false));
/// let mut k = kernel.enter()?;
/// k.rfork(Rfork::Fresh)?;
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         ready.store(true, Ordering::Release);
///         channel.wake_one();
///     });
///     k.sleep_on(&channel, || ready.load(Ordering::Acquire).then_some(()))
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Progress
/// Waking never waits: lock-free but for the allocator and the unparking of threads,
/// and O(sleepers). A sleeper that stops by itself costs the others nothing. One waker at a time serves the queue: a call that finds another
/// under way leaves its wake-up to that one, and returns; so a waker whose thread is
/// stopped holds up the wake-ups of others, though not their callers. So does, of every
/// so many sleepers that stop by themselves, the one that sweeps those out of the queue.
pub struct WaitChannel {
    queue: WaitQueue,
    /// Wake-ups that are still to be made; who raises it from zero makes them.
    owed: AtomicU64,
}

impl WaitChannel {
    /// A channel on which nobody sleeps.
    pub fn new() -> Self {
        Self { queue: WaitQueue::new(), owed: AtomicU64::new(0) }
    }

    /// Wakes every LWP that sleeps on the channel. The event must come before.
    pub fn wake_all(&self) {
        self.wake(ALL);
    }

    /// Wakes one of the LWPs that sleep on the channel, if any do. The event must
    /// come before. A wake-up that meets an LWP which stops sleeping at the same
    /// moment is passed on: another may then be woken for nothing, but none is
    /// forgotten.
    pub fn wake_one(&self) {
        self.wake(1);
    }

    fn wake(&self, wakeups: u64) {
        // SeqCst fence [P12]: either a sleeper sees the event at its second look,
        // or it is in the queue for whoever serves this wake-up.
        fence(SeqCst);
        // Relaxed: the fence above is the Release [P58] of the event for who serves
        // it; pairs with Acquire below.
        if self.owed.fetch_add(wakeups, Relaxed) != 0 {
            return;
        }
        loop {
            // Acquire [P58]: whoever is owed a wake-up here is in the queue by
            // now, or has seen its event; and the queue is as the last server left it.
            let owed = self.owed.load(Acquire);
            self.queue.wake_some(if owed >= ALL { u64::MAX } else { owed });
            // Release [P58]: the sleepers that were put back are there for the next
            // server.
            if self.owed.fetch_sub(owed, Release) == owed {
                return;
            }
        }
    }

    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.queue
    }
}

impl Default for WaitChannel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitChannel")
    }
}
