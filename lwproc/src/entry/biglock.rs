//! The big lock in an entered thread.

use super::Entered;
use super::sleep::Interrupted;
use super::view::view;
use crate::errno::errors;
use crate::host::Host;
use crate::sync::Relaxed;
use crate::world::clock::Deadline;

errors! {
    /// Why the big lock was not taken or given up.
    BigLockError {
        /// This context does not hold it.
        NotHeld => EPERM, "the big lock is not held here";
        /// It is held 2^32 - 1 times.
        Overflow => EOVERFLOW, "the big lock is held too often";
        /// Another context of this thread runs, which was entered later: the lock is its
        /// business. To wait for it would be to wait for oneself.
        Suspended => EDEADLK, "a suspended context";
        /// Another has it, and an unblocked signal is pending, the LWP is to exit, or
        /// somebody ended its sleep.
        Interrupted => EINTR, "interrupted";
        /// The deadline has come, and another has it.
        TimedOut => ETIMEDOUT, "timed out";
    }
}

impl From<Interrupted> for BigLockError {
    fn from(why: Interrupted) -> Self {
        match why {
            Interrupted::TimedOut => Self::TimedOut,
            _ => Self::Interrupted,
        }
    }
}

view! {
    /// The kernel's big lock, in this context. The library takes it nowhere: it is for
    /// embedders with code that cannot run beside itself.
    ///
    /// ```
    /// let kernel = lwproc::Kernel::new();
    /// let k = kernel.enter()?;
    /// k.big_lock().lock()?;
    /// k.big_lock().lock()?;
    /// assert_eq!(k.big_lock().depth(), 2);
    /// k.big_lock().unlock()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    BigLock
}

impl<H: Host> Entered<'_, H> {
    /// The big lock.
    #[inline]
    pub fn big_lock(&self) -> BigLock<'_, H> {
        BigLock(self)
    }

    /// As [`BigLock::lock`], until that time, and interrupted as a sleep is.
    pub(super) fn big_lock_by(&mut self, deadline: Deadline) -> Result<(), BigLockError> {
        let depth = self.one_deeper()?;
        if depth == 1 && !self.seat.world().big_lock.try_lock() {
            self.sleep_for_big_lock(deadline)?;
        }
        self.cx.biglocks.set(depth);
        Ok(())
    }

    /// What the depth is to be, when the lock is the thread's.
    fn one_deeper(&self) -> Result<u32, BigLockError> {
        if self.is_suspended() {
            return Err(BigLockError::Suspended);
        }
        self.cx.biglocks.get().checked_add(1).ok_or(BigLockError::Overflow)
    }

    /// Gives the lock up, and leaves the depth with the bound LWP, if there is one: the
    /// context is about to switch.
    #[inline]
    pub(super) fn save_biglocks(&self) {
        let depth = self.cx.biglocks.get();
        if depth == 0 {
            return;
        }
        if !self.is_suspended() {
            self.seat.put_big_lock_down();
        }
        self.cx.biglocks.set(0);
        if let Some(node) = self.node() {
            // Relaxed: the owner's.
            node.biglocks.store(depth, Relaxed);
        }
    }

    /// Takes the lock as deep as the bound LWP had it.
    #[inline]
    pub(super) fn restore_biglocks(&self) {
        if let Some(node) = self.node() {
            // Relaxed: the owner's.
            let depth = node.biglocks.load(Relaxed);
            if depth > 0 {
                node.biglocks.store(0, Relaxed);
                self.cx.biglocks.set(depth);
                if !self.is_suspended() {
                    self.seat.pick_big_lock_up();
                }
            }
        }
    }
}

impl<H: Host> BigLock<'_, H> {
    /// Takes the kernel's big lock, once more if this context holds it already.
    /// **Blocks** while another thread holds it, and gives the virtual CPU to
    /// others meanwhile.
    ///
    /// A switch gives the lock up and keeps its depth with the old LWP; whoever
    /// switches to that LWP later takes it again as deep. So does a context that
    /// sleeps in the kernel. Leaving gives it up for good, and so does a switch from
    /// an implicit context, which has no LWP to keep the depth.
    ///
    /// # Errors
    /// [`BigLockError::Overflow`] (EOVERFLOW); [`BigLockError::Suspended`] (EDEADLK): a
    /// scope is being polled inside this entry. It has the lock again after that.
    // Seed: `KERNEL_LOCK` S502.
    #[doc(alias = "kernel_lock")]
    #[doc(alias = "KERNEL_LOCK")]
    pub fn lock(self) -> Result<(), BigLockError> {
        let depth = self.0.one_deeper()?;
        if depth == 1 {
            self.0.seat.take_big_lock();
        }
        self.0.cx.biglocks.set(depth);
        Ok(())
    }

    /// Gives the big lock up once. Lock-free.
    ///
    /// # Errors
    /// [`BigLockError::NotHeld`] (EPERM); [`BigLockError::Suspended`] (EDEADLK).
    #[doc(alias = "kernel_unlock")]
    pub fn unlock(self) -> Result<(), BigLockError> {
        let depth = match self.0.cx.biglocks.get() {
            0 => return Err(BigLockError::NotHeld),
            _ if self.0.is_suspended() => return Err(BigLockError::Suspended),
            depth => depth - 1,
        };
        if depth == 0 {
            self.0.seat.world().big_lock.unlock();
        }
        self.0.cx.biglocks.set(depth);
        Ok(())
    }

    /// How often this context has taken the big lock, or while it is suspended, will
    /// have. Wait-free.
    #[doc(alias = "kernel_lock_depth")]
    pub fn depth(self) -> u32 {
        self.0.cx.biglocks.get()
    }
}
