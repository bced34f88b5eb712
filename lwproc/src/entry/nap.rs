//! How a future learns that the LWP of the context that it is polled in is interrupted.

use super::Entered;
use super::sleep::Interrupted;
use crate::host::Host;
use crate::waitq::{WaitQueue, Waiting};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A future's place among the tasks of the scope that it was polled in last: its own waker
/// is called when the scope's LWP is interrupted.
#[derive(Default)]
pub(crate) struct Nap {
    tasks: Option<Arc<WaitQueue>>,
    waiting: Waiting,
}

impl Nap {
    /// Why the LWP of that context is interrupted; `None`: `waker` is called when it is.
    pub(crate) fn poll_in<H: Host>(
        &mut self,
        entered: &Entered<'_, H>,
        waker: &Waker,
    ) -> Option<Interrupted> {
        let Some(ground) = entered.cx.ground() else {
            // A thread's, which sleeps in its own way.
            return entered.interrupted();
        };
        if !self.tasks.as_ref().is_some_and(|tasks| Arc::ptr_eq(tasks, &ground.tasks)) {
            self.end();
            self.tasks = Some(ground.tasks.clone());
        }
        let look = || entered.interrupted();
        match ground.tasks.poll_for(&mut self.waiting, waker, look) {
            Poll::Ready(why) => Some(why),
            Poll::Pending => None,
        }
    }

    /// It is to be woken no more.
    pub(crate) fn end(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            let _ = tasks.stop_waiting(&mut self.waiting);
        }
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        self.end();
    }
}
