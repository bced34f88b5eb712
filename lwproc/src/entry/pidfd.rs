//! A process's handle as a pidfd: it signals and waits, and never comes to mean
//! another process.
//!
//! Each wait is a value that is waited for by blocking, or, with the feature `async`, as
//! a future (`futures/ends.rs`). Both sleep in the queue of the process in question,
//! which its handle keeps.
#![allow(unsafe_code)]

use super::Entered;
use super::drain::AloneError;
#[cfg(feature = "async")]
use super::nap::Nap;
use super::wait::{Reaped, Zombie};
use super::wait_for::ChildKind;
use crate::errno::errors;
use crate::error::WaitError;
use crate::family;
use crate::handles::proc::ProcHandle;
use crate::host::{Host, ThreadHost};
use crate::object::status::ExitStatus;
use crate::signal::KillError;
#[cfg(feature = "async")]
use crate::waitq::Waiting;
use crate::world::clock::Deadline;
use std::fmt;
use std::time::Duration;

errors! {
    /// Why nobody learned how a process has ended.
    ExitedError {
        /// The deadline has come, and it has not ended.
        TimedOut => ETIMEDOUT, "timed out";
    }
}

impl<H: Host> ProcHandle<H> {
    /// Sends the process a signal as `sender`, by the rules of [`Signals::kill`](crate::Signals::kill); 0 asks
    /// whether one could be sent (`pidfd_send_signal`). As lock-free as that.
    ///
    /// # Errors
    /// [`KillError::NoSuchProcess`] (ESRCH): it has been reaped, whoever has its number
    /// now. [`KillError::WrongKernel`] (EXDEV). As [`Signals::kill`](crate::Signals::kill).
    pub fn signal(&self, sender: &Entered<'_, H>, signo: i32) -> Result<(), KillError> {
        sender.kill_by_handle(self, signo)
    }

    /// How the process has ended; `None` until its end is over: its exit hooks have run,
    /// and it is a zombie or gone. Wait-free; writes nothing.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let node = self.node();
        if !node.word.load().is_dead() {
            return None;
        }
        let seat = self.anchor().seat();
        let dying = matches!(family::edge_of(node, &seat.pin()), Some((_, 0)));
        // Relaxed: read through the Acquire of the word [P5].
        (!dying).then(|| node.word.load().status())
    }

    /// Reaps the process, a child of the current one of `parent`, if it has ended;
    /// `None` until then. As [`Entered::try_wait`].
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD): it is no child of that process, or no longer.
    pub fn try_wait(&self, parent: &Entered<'_, H>) -> Result<Option<Reaped>, WaitError> {
        Ok(parent.claim_by_handle(self, ChildKind::Ordinary)?.map(Zombie::reap))
    }

    /// Waits for the process's end and reaps it, as its parent: the current process of
    /// who waits. Nothing happens until the value is waited for: see [`WaitProc`].
    pub fn wait(&self) -> WaitProc<H> {
        WaitProc {
            wait: Wait::new(self),
            kind: ChildKind::Ordinary,
            #[cfg(feature = "async")]
            nap: Nap::default(),
        }
    }

    /// Waits for the process's end, as anybody; it is reaped by its parent all the
    /// same, or has been. Nothing happens until the value is waited for: see [`Exited`].
    pub fn exited(&self) -> Exited<H> {
        Exited(Wait::new(self))
    }

    /// Waits until the process, which [drains](Entered::drain), has one LWP left, or
    /// has ended. Nothing happens until the value is waited for: see [`Drained`].
    pub fn drained(&self) -> Drained<H> {
        Drained(Wait::new(self))
    }

    /// What [`ProcHandle::drained`] waits for.
    pub(crate) fn drain_result(&self) -> Option<Result<(), AloneError>> {
        let word = self.node().word.load();
        match (word.nlwps(), word.is_draining()) {
            (0, _) | (1, true) => Some(Ok(())),
            (_, false) => Some(Err(AloneError::NotDraining)),
            _ => None,
        }
    }
}

/// A handle, and as a future its place in the process's queue.
pub(crate) struct Wait<H: Host> {
    pub(crate) proc: ProcHandle<H>,
    #[cfg(feature = "async")]
    pub(crate) waiting: Waiting,
}

impl<H: Host> Wait<H> {
    pub(crate) fn new(proc: &ProcHandle<H>) -> Self {
        Self {
            proc: proc.clone(),
            #[cfg(feature = "async")]
            waiting: Waiting::default(),
        }
    }

    /// Sleeps until `done` yields a value; `None` when the time is over.
    fn block<R>(
        &self,
        deadline: Deadline,
        done: impl Fn(&ProcHandle<H>) -> Option<R>,
    ) -> Option<R> {
        let proc = &self.proc;
        done(proc).or_else(|| {
            let (seat, waiters) = (proc.anchor().seat(), &proc.node().waiters);
            Entered::sleep_anyhow(&seat, waiters, deadline, || done(proc))
        })
    }
}

#[cfg(feature = "async")]
impl<H: Host> Wait<H> {
    /// In the queue of the current process.
    pub(crate) fn of_current(k: &Entered<'_, H>) -> Self {
        // SAFETY: the context runs as it, so it lives and is in the table.
        Self::new(&unsafe { ProcHandle::of_living(k.proc_ptr(), k.seat.anchor()) })
    }

    pub(crate) fn stop_waiting(&mut self) {
        let _ = self.proc.node().waiters.stop_waiting(&mut self.waiting);
    }
}

#[cfg(feature = "async")]
impl<H: Host> Drop for Wait<H> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

/// The end of a process: [`ProcHandle::exited`]. Waited for by [`Exited::block`], or,
/// with the feature `async`, as a future in any task, in a scope or not.
#[must_use = "it waits only when it is awaited or told to block"]
pub struct Exited<H: Host = ThreadHost>(pub(crate) Wait<H>);

impl<H: Host> Exited<H> {
    /// **Blocks** the thread until the process has ended; how it did. If the thread has
    /// entered, its virtual CPU and the big lock are others' meanwhile. Nothing
    /// interrupts it.
    pub fn block(self) -> ExitStatus {
        self.0.block(None, ProcHandle::exit_status).expect("no deadline")
    }

    /// As [`Exited::block`], until that time of [`Kernel::now`](crate::Kernel::now).
    ///
    /// # Errors
    /// [`ExitedError::TimedOut`] (ETIMEDOUT): it has not ended by then.
    pub fn block_until(self, deadline: Duration) -> Result<ExitStatus, ExitedError> {
        self.0.block(Some(deadline), ProcHandle::exit_status).ok_or(ExitedError::TimedOut)
    }
}

/// A process that is down to one LWP: [`ProcHandle::drained`]. Waited for by
/// [`Drained::block`], or, with the feature `async`, as a future in any task.
///
/// # Errors
/// [`AloneError::NotDraining`] (EINVAL): it does not drain, or no longer.
#[must_use = "it waits only when it is awaited or told to block"]
pub struct Drained<H: Host = ThreadHost>(pub(crate) Wait<H>);

impl<H: Host> Drained<H> {
    /// **Blocks** the thread, as [`Exited::block`] does.
    ///
    /// # Errors
    /// As said of [`Drained`].
    pub fn block(self) -> Result<(), AloneError> {
        self.0.block(None, ProcHandle::drain_result).expect("no deadline")
    }

    /// As [`Drained::block`], until that time of [`Kernel::now`](crate::Kernel::now).
    ///
    /// # Errors
    /// As said of [`Drained`]; [`AloneError::TimedOut`] (ETIMEDOUT).
    pub fn block_until(self, deadline: Duration) -> Result<(), AloneError> {
        let drained = self.0.block(Some(deadline), ProcHandle::drain_result);
        drained.unwrap_or(Err(AloneError::TimedOut))
    }
}

/// The end of a child, which is then reaped: [`ProcHandle::wait`]. Waited for by
/// [`WaitProc::block`], or, with the feature `async`, as a future.
///
/// As a future it must be polled in a scope, and it is that context's process that
/// waits, interrupted as [`interruptible`](crate::interruptible) says. Dropping it reaps
/// nothing.
///
/// # Errors
/// [`WaitError::Interrupted`] (EINTR): the child has not ended.
/// [`WaitError::NoChild`] (ECHILD): the process is no child of the one that waits, or
/// no longer, as when somebody else has reaped it. [`WaitError::NoContext`] (EINVAL): the
/// future is not in a scope, or inside the closure of [`current`].
///
/// [`current`]: crate::current
#[must_use = "it waits only when it is awaited or told to block"]
pub struct WaitProc<H: Host = ThreadHost> {
    pub(crate) wait: Wait<H>,
    pub(crate) kind: ChildKind,
    #[cfg(feature = "async")]
    pub(crate) nap: Nap,
}

impl<H: Host> WaitProc<H> {
    /// The same wait, which finds the process if it is a child of that kind; else it is none
    /// ([`WaitError::NoChild`]). Unless it is said: an ordinary one.
    pub fn kind(self, kind: ChildKind) -> Self {
        Self { kind, ..self }
    }

    /// Reaps the process if it has ended, as [`ProcHandle::try_wait`].
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD).
    pub fn now(self, parent: &Entered<'_, H>) -> Result<Option<Reaped>, WaitError> {
        Ok(parent.claim_by_handle(&self.wait.proc, self.kind)?.map(Zombie::reap))
    }

    /// **Blocks** the thread, as [`Entered::wait`] does, and is interrupted as that is.
    ///
    /// # Errors
    /// [`WaitError::NoChild`] (ECHILD); [`WaitError::Interrupted`] (EINTR).
    pub fn block(self, parent: &Entered<'_, H>) -> Result<Reaped, WaitError> {
        parent.wait_by_handle(&self.wait.proc, self.kind, None)
    }

    /// As [`WaitProc::block`], until that time of [`Kernel::now`](crate::Kernel::now).
    ///
    /// # Errors
    /// As [`WaitProc::block`]; [`WaitError::TimedOut`] (ETIMEDOUT).
    pub fn block_until(
        self,
        parent: &Entered<'_, H>,
        deadline: Duration,
    ) -> Result<Reaped, WaitError> {
        parent.wait_by_handle(&self.wait.proc, self.kind, Some(deadline))
    }
}

impl<H: Host> fmt::Debug for Exited<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exited({})", self.0.proc.pid())
    }
}

impl<H: Host> fmt::Debug for Drained<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Drained({})", self.0.proc.pid())
    }
}

impl<H: Host> fmt::Debug for WaitProc<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitProc({})", self.wait.proc.pid())
    }
}
