//! The big lock in an entered thread.

use super::{Entered, Interrupted};
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

impl<H: Host> Entered<'_, H> {
    /// Takes the kernel's big lock, once more if this context holds it already.
    /// **Blocks** while another thread holds it, and gives the virtual CPU to
    /// others meanwhile.
    ///
    /// A switch gives the lock up and keeps its depth with the old LWP; whoever
    /// switches to that LWP later takes it again as deep. So does a context that
    /// sleeps in the kernel. Leaving gives it up for good, and so does a switch from
    /// an implicit context, which has no LWP to keep the depth.
    ///
    /// Nothing interrupts it; [`Until::kernel_lock`](crate::Until::kernel_lock) can be
    /// interrupted.
    ///
    /// # Errors
    /// [`BigLockError::Overflow`] (EOVERFLOW).
    ///
    /// Seed: `KERNEL_LOCK` S502.
    pub fn kernel_lock(&self) -> Result<(), BigLockError> {
        let depth = self.seat.me().biglocks.get().checked_add(1).ok_or(BigLockError::Overflow)?;
        if depth == 1 {
            self.seat.take_big_lock();
        }
        self.seat.me().biglocks.set(depth);
        Ok(())
    }

    /// As [`Entered::kernel_lock`], until that time, and interrupted as a sleep is.
    pub(super) fn kernel_lock_by(&mut self, deadline: Deadline) -> Result<(), BigLockError> {
        let depth = self.seat.me().biglocks.get().checked_add(1).ok_or(BigLockError::Overflow)?;
        if depth == 1 && !self.seat.world().big_lock.try_lock() {
            self.sleep_for_big_lock(deadline)?;
        }
        self.seat.me().biglocks.set(depth);
        Ok(())
    }

    /// Gives the big lock up once. Lock-free.
    ///
    /// # Errors
    /// [`BigLockError::NotHeld`] (EPERM).
    pub fn kernel_unlock(&self) -> Result<(), BigLockError> {
        match self.seat.me().biglocks.get() {
            0 => return Err(BigLockError::NotHeld),
            1 => self.seat.world().big_lock.unlock(),
            _ => {}
        }
        self.seat.me().biglocks.set(self.seat.me().biglocks.get() - 1);
        Ok(())
    }

    /// How often this context has taken the big lock. Wait-free.
    pub fn kernel_lock_depth(&self) -> u32 {
        self.seat.me().biglocks.get()
    }

    /// Gives the lock up, and leaves the depth with the bound LWP, if there is one: the
    /// context is about to switch.
    #[inline]
    pub(super) fn save_biglocks(&self) {
        if self.seat.me().biglocks.get() == 0 {
            return;
        }
        let depth = self.seat.kernel_unlock_all();
        if let (Some(node), 1..) = (self.node(), depth) {
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
                self.seat.kernel_lock_to(depth);
            }
        }
    }
}
