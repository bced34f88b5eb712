//! Blocking calls with a deadline.

use super::Entered;
use super::biglock::BigLockError;
use super::drain::AloneError;
use super::sleep::Interrupted;
use super::wait::{Reaped, Zombie};
use super::wait_for::{ChildKind, WaitFor};
use crate::error::WaitError;
use crate::handles::proc::ProcHandle;
use crate::host::{Host, ThreadHost};
use crate::object::status::ExitStatus;
use crate::signal::{SigSet, Taken};
use crate::sleep::WaitChannel;
use crate::world::clock::Deadline;
use std::fmt;
use std::time::Duration;

impl<'k, H: Host> Entered<'k, H> {
    /// The blocking calls, to be given up at that time of
    /// [`Kernel::now`](crate::Kernel::now). [`Duration::MAX`] is never.
    ///
    /// ```
    /// # use lwproc::{Kernel, Rfork, WaitError, WaitTarget};
    /// # use std::time::Duration;
    /// let kernel = Kernel::new();
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// let parent = k.rfork(Rfork::Fresh)?.expect("the LWP that forked");
    /// let child = k.switch(parent)?;
    /// let in_time = k.until(kernel.now() + Duration::from_millis(1)).wait(WaitTarget::Any);
    /// assert_eq!(in_time, Err(WaitError::TimedOut));
    /// # drop(child);
    /// # k.release()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until(&mut self, deadline: Duration) -> Until<'_, 'k, H> {
        let deadline = (deadline != Duration::MAX).then_some(deadline);
        Until { entered: self, deadline }
    }

    /// As [`Entered::until`], so long after now.
    pub fn within(&mut self, limit: Duration) -> Until<'_, 'k, H> {
        let deadline = self.seat.world().host.now().saturating_add(limit);
        self.until(deadline)
    }
}

/// The blocking calls of an entered thread with a deadline: [`Entered::until`]. Each but
/// [`claim_zombie`](Until::claim_zombie) may be called more than once; the deadline stays.
///
/// Each looks at what it waits for before it sleeps, and once more when the time is over:
/// with a deadline that has passed it is a look that does not sleep. The time is the
/// [host's](Host::now). What a sleeper gives to others, its virtual CPU and the big
/// lock, it has again when the call returns, and that may come after the deadline.
///
/// Each can also be ended from outside: by a signal that is not blocked, by a drain or an
/// exit of the process, and by [`unsleep`](crate::LwpRef::unsleep); but in an implicit
/// context, which is nobody's LWP.
#[must_use = "it does nothing until one of its calls is made"]
pub struct Until<'e, 'k, H: Host = ThreadHost> {
    entered: &'e mut Entered<'k, H>,
    deadline: Deadline,
}

impl<'e, H: Host> Until<'e, '_, H> {
    /// As [`Entered::wait`].
    ///
    /// # Errors
    /// As that; [`WaitError::TimedOut`] (ETIMEDOUT).
    pub fn wait(&mut self, what: impl Into<WaitFor>) -> Result<Reaped, WaitError> {
        self.entered.wait_by(what.into(), self.deadline)
    }

    /// As [`Entered::wait`], and reaps nothing yet: dropping the [`Zombie`] leaves the child to
    /// the next wait. As [`Entered::claim_zombie`].
    ///
    /// # Errors
    /// As [`Until::wait`].
    pub fn claim_zombie(self, what: impl Into<WaitFor>) -> Result<Zombie<'e, H>, WaitError> {
        let entered: &'e Entered<'e, H> = self.entered;
        entered.claim_zombie_by(what.into(), self.deadline)
    }

    /// As [`Entered::wait`], for one child that is known by its handle.
    ///
    /// # Errors
    /// As that; [`WaitError::TimedOut`] (ETIMEDOUT).
    pub fn wait_for(&mut self, child: &ProcHandle<H>) -> Result<Reaped, WaitError> {
        self.entered.wait_by_handle(child, ChildKind::Ordinary, self.deadline)
    }

    /// Waits until a process has ended, anybody's child, and reaps nothing; how it did.
    /// **Blocks**.
    ///
    /// # Errors
    /// [`Interrupted`] (EINTR); [`Interrupted::TimedOut`] (ETIMEDOUT).
    pub fn exited(&mut self, proc: &ProcHandle<H>) -> Result<ExitStatus, Interrupted> {
        self.entered.watch(proc, self.deadline, ProcHandle::exit_status)
    }

    /// Waits until a process that drains has one LWP left, or has ended: as
    /// [`ProcHandle::drained`]. **Blocks**.
    ///
    /// # Errors
    /// [`AloneError::NotDraining`] (EINVAL), [`AloneError::Interrupted`] (EINTR),
    /// [`AloneError::TimedOut`] (ETIMEDOUT).
    pub fn drained(&mut self, proc: &ProcHandle<H>) -> Result<(), AloneError> {
        self.entered.watch(proc, self.deadline, ProcHandle::drain_result)?
    }

    /// As [`Entered::wait_alone`].
    ///
    /// # Errors
    /// As that; [`AloneError::TimedOut`] (ETIMEDOUT).
    pub fn wait_alone(&mut self) -> Result<(), AloneError> {
        self.entered.wait_alone_by(self.deadline)
    }

    /// As [`Entered::sleep_on`].
    ///
    /// # Errors
    /// As that; [`Interrupted::TimedOut`] (ETIMEDOUT).
    pub fn sleep_on<R>(
        &mut self,
        channel: &WaitChannel,
        condition: impl FnMut() -> Option<R>,
    ) -> Result<R, Interrupted> {
        self.entered.sleep_on_by(channel, self.deadline, condition)
    }

    /// As [`Signals::wait_for`](crate::Signals::wait_for).
    ///
    /// # Errors
    /// As that; [`Interrupted::TimedOut`] (ETIMEDOUT).
    pub fn take_of(&mut self, set: SigSet) -> Result<Taken<H::SigValue>, Interrupted> {
        self.entered.take_of_by(set, self.deadline)
    }

    /// As [`BigLock::lock`](crate::BigLock::lock); and unlike that it is interrupted as a sleep is,
    /// while another has the lock.
    ///
    /// # Errors
    /// As that; [`BigLockError::Interrupted`] (EINTR), [`BigLockError::TimedOut`]
    /// (ETIMEDOUT).
    pub fn big_lock(&mut self) -> Result<(), BigLockError> {
        self.entered.big_lock_by(self.deadline)
    }
}

impl<H: Host> fmt::Debug for Until<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.deadline {
            Some(deadline) => write!(f, "Until({deadline:?}, {:?})", self.entered),
            None => write!(f, "Until(never, {:?})", self.entered),
        }
    }
}
