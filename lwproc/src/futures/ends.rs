//! What is waited for of a process, as futures.

use crate::entry::Entered;
use crate::entry::drain::AloneError;
use crate::entry::innermost::current_of;
use crate::entry::nap::Nap;
use crate::entry::pidfd::{Drained, Exited, Wait, WaitProc};
use crate::entry::process::Process;
use crate::entry::vfork::{VforkEnd, Vforked};
use crate::entry::wait::{Found, Reaped};
use crate::entry::wait_for::WaitFor;
use crate::error::WaitError;
use crate::handles::proc::ProcHandle;
use crate::host::{Host, ThreadHost};
use crate::object::status::ExitStatus;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<H: Host> Wait<H> {
    fn poll<R>(&mut self, cx: &Context<'_>, done: impl Fn(&ProcHandle<H>) -> Option<R>) -> Poll<R> {
        let Self { proc, waiting } = self;
        proc.node().waiters.poll_for(waiting, cx.waker(), || done(proc))
    }
}

impl<H: Host> Future for Exited<H> {
    type Output = ExitStatus;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ExitStatus> {
        self.0.poll(cx, ProcHandle::exit_status)
    }
}

impl<H: Host> Future for Drained<H> {
    type Output = Result<(), AloneError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx, ProcHandle::drain_result)
    }
}

impl<H: Host> Future for Vforked<H> {
    type Output = VforkEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<VforkEnd> {
        self.0.poll(cx, ProcHandle::vfork_end)
    }
}

impl<H: Host> Future for WaitProc<H> {
    type Output = Result<Reaped, WaitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { wait, kind, nap } = &mut *self;
        wait_in(wait, nap, cx, |parent, child| {
            Ok(parent.claim_by_handle(child, *kind)?.map(Found::Claimed))
        })
    }
}

/// A wait for a child as a future: [`Process::wait`]. It must be polled in a scope that
/// runs as the process that it was made for. It is interrupted as [`interruptible`] says.
/// Dropping it reaps nothing.
///
/// # Errors
/// As [`Entered::wait`]; [`WaitError::NoContext`] (EINVAL): it is polled elsewhere, or inside
/// the closure of [`current`](crate::current).
///
/// [`interruptible`]: crate::interruptible
#[must_use = "it waits only when it is awaited"]
pub struct WaitChild<H: Host = ThreadHost> {
    /// In the queue of the parent.
    wait: Wait<H>,
    what: WaitFor,
    nap: Nap,
}

impl<H: Host> Process<'_, H> {
    /// A wait for a child, any or one that is meant, which is then reaped or left: as
    /// [`Entered::wait`], but a future. A deadline is the executor's. Wait-free.
    ///
    /// ```
    /// use lwproc::{ExitStatus, Kernel, WaitError, WaitPolicy, WaitTarget, current};
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    ///
    /// async fn reap_all() -> usize {
    ///     let mut reaped = 0;
    ///     while let Ok(wait) = current(|k| k.process().wait(WaitTarget::Any)) {
    ///         match wait.await {
    ///             Ok(_) => reaped += 1,
    ///             Err(_) => break, // ECHILD, or interrupted
    ///         }
    ///     }
    ///     reaped
    /// }
    ///
    /// let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build()?;
    /// let parent = kernel.spawn().start()?;
    /// let child = parent.proc_handle().spawn().start()?;
    /// let mut scope = pin!(parent.scope(reap_all()));
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(scope.as_mut().poll(&mut cx).is_pending());
    /// child.exit(ExitStatus::exited(3));
    /// assert_eq!(scope.as_mut().poll(&mut cx), Poll::Ready(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(self, what: impl Into<WaitFor>) -> WaitChild<H> {
        let k = self.entered();
        let what = k.start_of_wait(what.into());
        WaitChild { wait: Wait::of_current(k), what, nap: Nap::default() }
    }
}

impl<H: Host> Future for WaitChild<H> {
    type Output = Result<Reaped, WaitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { wait, what, nap } = &mut *self;
        wait_in(wait, nap, cx, |k, parent| match std::ptr::eq(k.proc_ptr(), parent.ptr()) {
            true => k.find(*what),
            false => Err(WaitError::NoContext),
        })
    }
}

impl<H: Host> fmt::Debug for WaitChild<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitChild({:?} of {})", self.what, self.wait.proc.pid())
    }
}

/// A poll of a wait in the innermost context.
fn wait_in<H: Host>(
    wait: &mut Wait<H>,
    nap: &mut Nap,
    cx: &Context<'_>,
    find: impl for<'e> Fn(&'e Entered<'_, H>, &ProcHandle<H>) -> Result<Option<Found<'e, H>>, WaitError>,
) -> Poll<Result<Reaped, WaitError>> {
    let polled = current_of::<H, _>(|k| {
        // The zombie is reaped when the future waits no more.
        let found = wait.poll(cx, |proc| find(k, proc).transpose());
        if found.is_pending()
            && let Some(why) = nap.poll_in(k, cx.waker())
        {
            wait.stop_waiting();
            return Poll::Ready(Err(why.into()));
        }
        found.map(|found| found.map(Found::settle))
    });
    if !matches!(polled, Ok(Poll::Pending)) {
        nap.end();
    }
    polled.unwrap_or(Poll::Ready(Err(WaitError::NoContext)))
}
