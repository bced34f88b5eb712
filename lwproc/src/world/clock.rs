//! Deadlines, and what a participant shows of its own.

use crate::sync::{Acquire, AtomicU64, Relaxed, Release};
use std::time::Duration;

/// When a sleep is to end; `None`: never.
pub(crate) type Deadline = Option<Duration>;

/// As a participant shows it.
pub(crate) const NEVER: u64 = u64::MAX;

/// Times that are too far away are all the same; none of them is [`NEVER`].
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER).min(NEVER - 1)
}

/// The deadline that a participant's thread sleeps with now. Written by that thread.
pub(crate) struct Shown(AtomicU64);

impl Shown {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(NEVER))
    }

    /// The one before.
    pub(crate) fn replace(&self, deadline: u64) -> u64 {
        // Relaxed: the owner's own.
        let before = self.0.load(Relaxed);
        // Release [P80]: the thread's parker; pairs with Acquire in `is_due`.
        self.0.store(deadline, Release);
        before
    }

    pub(crate) fn is_due(&self, now: u64) -> bool {
        // Acquire [P80]: the thread's parker; pairs with Release in `replace`.
        self.0.load(Acquire) <= now
    }
}
