//! The big lock (`KERNEL_LOCK`): one thread at a time, as often as it likes. For
//! embedders with code that cannot run beside itself; the library takes it nowhere.

use crate::sync::{Acquire, AtomicBool, Parker, Relaxed, Release};
use crate::waitq::{Bed, WaitQueue};

/// See the module. How often the holder has taken it is the holder's to count.
#[derive(Debug)]
pub struct BigLock {
    taken: AtomicBool,
    waiters: WaitQueue,
}

impl BigLock {
    pub fn new() -> Self {
        Self { taken: AtomicBool::new(false), waiters: WaitQueue::new() }
    }

    /// Takes the lock if it is free. Wait-free.
    pub fn try_lock(&self) -> bool {
        // Acquire [P23]: what the last holder did; pairs with Release in `unlock`.
        // Relaxed on failure: not taken.
        self.taken.compare_exchange(false, true, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock. **Blocks** while another thread holds it, on the calling
    /// thread's parker.
    pub fn lock(&self, parker: &Parker) {
        self.waiters.wait_until(parker, || self.try_lock().then_some(()));
    }

    /// As [`BigLock::lock`], in that bed, until `stop` yields a value.
    pub(crate) fn lock_unless<I>(
        &self,
        bed: Bed<'_>,
        stop: impl FnMut() -> Option<I>,
    ) -> Result<(), I> {
        self.waiters.wait_for(bed, || self.try_lock().then_some(()), stop, || ())
    }

    /// Gives it up, by the holder. Lock-free.
    pub fn unlock(&self) {
        // Release [P23]: what this holder did; pairs with Acquire in `try_lock`.
        self.taken.store(false, Release);
        self.waiters.wake_all();
    }
}
