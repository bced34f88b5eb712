//! Sleeping with a deadline: the time is the host's.
//!
//! A thread that sleeps with a deadline shows it in its participant, and then asks what
//! time it is. The host that makes time pass does that first, and then looks at the
//! participants. A fence stands between the two on each side, so one of the two sees the
//! other. The sleeper's is that of the queue, behind which it looks again.

use crate::host::Host;
use crate::sync::fence;
use crate::world::World;
use crate::world::clock::{Deadline, NEVER, nanos};
use crate::world::participant::Participant;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The deadline of one sleep, shown until this is dropped.
pub(crate) struct Timer<'t, H: Host> {
    world: &'t World<H>,
    me: &'t Participant<H>,
    deadline: Deadline,
    /// That of the sleep around this one.
    before: u64,
}

impl<'t, H: Host> Timer<'t, H> {
    pub(crate) fn start(world: &'t World<H>, me: &'t Participant<H>, deadline: Deadline) -> Self {
        let before = match deadline {
            None => NEVER,
            Some(deadline) => {
                // It is there when others look for it.
                let _ = me.parker();
                // The fence of `WaitQueue::wait_for` follows [P80].
                me.deadline.replace(nanos(deadline))
            }
        };
        Self { world, me, deadline, before }
    }

    /// Whether the time is over.
    pub(crate) fn is_due(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.world.host.now() >= deadline)
    }

    /// How long the thread may park before it asks again; `None`: until it is woken.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.deadline.and_then(|deadline| self.world.host.sleep_limit(deadline))
    }

    /// Whether there is a deadline.
    pub(crate) fn is_set(&self) -> bool {
        self.deadline.is_some()
    }
}

impl<H: Host> Drop for Timer<'_, H> {
    fn drop(&mut self) {
        if self.is_set() {
            self.me.deadline.replace(self.before);
            if self.before != NEVER {
                // SeqCst fence [P80]: for the sleep around this one, which may be past
                // that of its queue; pairs with that of `tick`.
                fence(SeqCst);
            }
        }
    }
}

impl<H: Host> World<H> {
    /// Wakes the threads whose deadline has come. Lock-free; O(threads).
    pub(crate) fn tick(&self) {
        // SeqCst fence [P80]: see the module; pairs with that of
        // `WaitQueue::wait_for`, and of the timer's drop.
        fence(SeqCst);
        let now = nanos(self.host.now());
        for p in self.participants.iter().filter(|p| p.deadline.is_due(now)) {
            p.wake();
        }
    }
}
