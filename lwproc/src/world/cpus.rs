//! Virtual CPUs: how many threads may be in a kernel at once.
//!
//! A thread in the kernel has a CPU to itself. It takes the one it had last if
//! that is free, which touches only that CPU's own line; else any other; else
//! it waits. A kernel built without CPUs has none of this.

use crate::sync::{Acquire, AtomicBool, AtomicPtr, Parker, Relaxed, Release};
use crate::waitq::{Bed, WaitQueue};
use crossbeam_utils::CachePadded;
use std::num::NonZeroUsize;

#[derive(Debug)]
struct Cpu {
    taken: AtomicBool,
    /// The LWP that runs on it (`ci_curlwp`); null for none, and for an implicit
    /// context.
    curlwp: AtomicPtr<()>,
}

/// See the module.
#[derive(Debug)]
pub struct Cpus {
    each: Box<[CachePadded<Cpu>]>,
    waiters: WaitQueue,
}

impl Cpus {
    /// The most CPUs: each has a cache line, made at once.
    pub const MAX: usize = 1 << 16;

    /// `count` CPUs, numbered from 0.
    pub fn new(count: NonZeroUsize) -> Self {
        let new = || Cpu { taken: AtomicBool::new(false), curlwp: AtomicPtr::default() };
        let each = (0..count.get()).map(|_| CachePadded::new(new())).collect();
        Self { each, waiters: WaitQueue::new() }
    }

    /// Takes a CPU, by preference the one given. **Blocks** while all are taken,
    /// on the calling thread's parker.
    pub fn acquire<'p>(&self, preferred: usize, parker: impl FnOnce() -> &'p Parker) -> usize {
        match self.try_acquire(preferred) {
            Some(cpu) => cpu,
            None => self.waiters.wait_until(parker(), || self.try_acquire(preferred)),
        }
    }

    /// As [`Cpus::acquire`], in that bed, until `stop` says that it is enough; `None` if
    /// even then none is free.
    pub(crate) fn acquire_unless(
        &self,
        preferred: usize,
        bed: Bed<'_>,
        stop: impl FnMut() -> Option<()>,
    ) -> Option<usize> {
        let acquired = self.waiters.wait_for(bed, || self.try_acquire(preferred), stop, || ());
        acquired.ok().or_else(|| self.try_acquire(preferred))
    }

    fn try_acquire(&self, preferred: usize) -> Option<usize> {
        let count = self.each.len();
        (0..count).map(|i| (preferred + i) % count).find(|cpu| {
            let taken = &self.each[*cpu].taken;
            // Relaxed: a hint that spares a busy CPU's line; the CAS decides.
            // Acquire [P16]: what the last thread on it did; pairs with
            // Release in `release`. Relaxed on failure: the next one is tried.
            !taken.load(Relaxed) && taken.compare_exchange(false, true, Acquire, Relaxed).is_ok()
        })
    }

    /// Says which LWP runs on a CPU: by the thread that has it. Wait-free.
    pub fn set_curlwp(&self, cpu: usize, lwp: *mut ()) {
        // Release [P24]: the LWP's fields, and before its end the null; pairs with
        // Acquire in `curlwp`.
        self.each[cpu].curlwp.store(lwp, Release);
    }

    /// The LWP that runs on a CPU; `None` for a CPU that does not exist. Wait-free.
    pub fn curlwp(&self, cpu: usize) -> Option<*mut ()> {
        // Acquire [P24]: pairs with Release in `set_curlwp`.
        Some(self.each.get(cpu)?.curlwp.load(Acquire))
    }

    /// Gives a CPU back. Lock-free.
    pub fn release(&self, cpu: usize) {
        // Release [P16]: what this thread did on it; pairs with Acquire in
        // `try_acquire`.
        self.each[cpu].taken.store(false, Release);
        self.waiters.wake_all();
    }
}
