//! What few processes have of signals: made when one first says what it does with a signal,
//! or is sent one that is queued.

use super::dispositions::Dispositions;
use super::queue::Queue;

/// See the module.
pub(crate) struct SigState<V: Send + 'static> {
    pub(crate) dispositions: Dispositions,
    pub(crate) queue: Queue<V>,
}

impl<V: Send + 'static> SigState<V> {
    pub(crate) fn new() -> Self {
        Self { dispositions: Dispositions::new(), queue: Queue::new() }
    }

    /// A child's, which has no signals yet.
    pub(crate) fn fork(&self) -> Self {
        Self { dispositions: self.dispositions.clone(), queue: Queue::new() }
    }
}
