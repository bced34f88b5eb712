//! What a thread has while it runs in the kernel, whatever it runs as: a virtual CPU,
//! and the big lock. It is the innermost context's: `world/context.rs`.

use super::seat::Seat;
use crate::host::Host;
use crate::object::node::LwpPtr;
use crate::ops::timer::Timer;
use crate::waitq::Bed;
use std::ptr::null_mut;
use std::time::Duration;

impl<H: Host> Seat<'_, H> {
    /// Takes a virtual CPU, in a kernel that has some. Blocks while all are taken.
    #[cold]
    pub(crate) fn acquire_cpu(&self) {
        if let Some(cpus) = &self.world().cpus {
            let me = self.me();
            self.has_cpu(cpus.acquire(me.last_cpu.get(), || me.parker()));
        }
    }

    /// As [`Seat::acquire_cpu`], until that time; whether it has one then, or needs none.
    #[cold]
    #[must_use]
    pub(crate) fn acquire_cpu_by(&self, deadline: Duration) -> bool {
        let Some(cpus) = &self.world().cpus else {
            return true;
        };
        let me = self.me();
        let timer = Timer::start(self.world(), self.me(), Some(deadline));
        let limit = || timer.limit();
        let bed = Bed::new(me.parker()).limit(Some(&limit));
        let stop = || timer.is_due().then_some(());
        let acquired = cpus.acquire_unless(me.last_cpu.get(), bed, stop);
        acquired.inspect(|cpu| self.has_cpu(*cpu)).is_some()
    }

    fn has_cpu(&self, cpu: usize) {
        let me = self.me();
        me.last_cpu.set(cpu);
        me.cpu.set(Some(cpu));
        self.tell_cpu(me.innermost().bound());
    }

    /// Gives the virtual CPU back.
    pub(crate) fn release_cpu(&self) {
        self.tell_cpu(null_mut());
        if let (Some(cpu), Some(cpus)) = (self.me().cpu.take(), &self.world().cpus) {
            cpus.release(cpu);
        }
    }

    /// Tells the virtual CPU, if there is one, which LWP runs on it.
    #[inline]
    pub(crate) fn tell_cpu(&self, lwp: LwpPtr<H>) {
        if let Some(cpu) = self.me().cpu.get()
            && let Some(cpus) = &self.world().cpus
        {
            cpus.set_curlwp(cpu, lwp.cast());
        }
    }

    /// Takes the big lock for the first time. Blocks while another thread has it.
    pub(crate) fn take_big_lock(&self) {
        let lock = &self.world().big_lock;
        if !lock.try_lock() {
            // Who holds the lock may need the CPU to get on.
            self.release_cpu();
            lock.lock(self.me().parker());
            self.acquire_cpu();
        }
    }

    /// Gives the big lock up however often it is held: the depth.
    // Seed: `KERNEL_UNLOCK_ALL` S493.
    pub(crate) fn kernel_unlock_all(&self) -> u32 {
        self.put_big_lock_down();
        self.me().innermost().biglocks.replace(0)
    }

    /// Takes the big lock as deep as it was.
    pub(crate) fn kernel_lock_to(&self, depth: u32) {
        self.me().innermost().biglocks.set(depth);
        self.pick_big_lock_up();
    }

    /// The innermost context is about to be suspended.
    pub(crate) fn put_big_lock_down(&self) {
        if self.me().innermost().biglocks.get() > 0 {
            self.world().big_lock.unlock();
        }
    }

    /// The innermost context goes on, which the thread has not followed yet.
    pub(crate) fn pick_big_lock_up(&self) {
        if self.me().innermost().biglocks.get() > 0 {
            self.take_big_lock();
        }
    }
}
