//! Futures that an interruption of their LWP ends.
#![allow(unsafe_code)]

use crate::entry::innermost;
use crate::entry::nap::Nap;
use crate::entry::sleep::Interrupted;
use crate::sleep::WaitChannel;
use crate::waitq::{Left, Waiting};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that is ready with an error when the LWP of the context that it is polled in
/// is interrupted: [`interruptible`].
#[must_use = "a future does nothing unless polled"]
pub struct Interruptible<F> {
    nap: Nap,
    /// Pinned when this is.
    future: F,
}

/// `future`, or [`Interrupted`] (EINTR) when it is pending and the LWP of the innermost
/// context, that of the [`Scope`](crate::Scope) that is being polled, has an unblocked
/// signal pending, is [to exit](crate::Entered::must_exit), or has been
/// [unslept](crate::LwpRef::unsleep). Its waker is called for that, too, whether it is the
/// scope's or one of a future around it.
///
/// It may be polled further after an interruption: `future` goes on. Where
/// [`Entered::lend`](crate::Entered::lend) lends a thread's context it looks at each poll,
/// and is not woken. Outside there is nobody to interrupt. An interruption by `unsleep`
/// is reported once, by whichever comes first: one of these, or a call that blocks.
/// Wait-free.
///
/// ```
/// # use lwproc::{ExitStatus, Interrupted, Kernel, ProcHandle, interruptible};
/// async fn sys_poll_pidfd(proc: &ProcHandle) -> Result<ExitStatus, Interrupted> {
///     interruptible(proc.exited()).await
/// }
/// ```
pub fn interruptible<F: Future>(future: F) -> Interruptible<F> {
    Interruptible { nap: Nap::default(), future }
}

impl<F: Future> Future for Interruptible<F> {
    type Output = Result<F::Output, Interrupted>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is not moved, and nothing else is pinned.
        let Self { nap, future } = unsafe { self.get_unchecked_mut() };
        // SAFETY: pinned with `self`.
        if let Poll::Ready(output) = unsafe { Pin::new_unchecked(future) }.poll(cx) {
            nap.end();
            return Poll::Ready(Ok(output));
        }
        innermost::nap(nap, cx.waker()).map_or(Poll::Pending, |why| Poll::Ready(Err(why)))
    }
}

impl<F: fmt::Debug> fmt::Debug for Interruptible<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interruptible({:?})", self.future)
    }
}

/// A sleep on a channel as a future: [`WaitChannel::wait_until`].
#[must_use = "a future does nothing unless polled"]
pub struct WaitUntil<'c, C> {
    channel: &'c WaitChannel,
    condition: C,
    waiting: Waiting,
    nap: Nap,
}

impl WaitChannel {
    /// Sleeps on the channel until `condition` yields a value, as
    /// [`Entered::sleep_on`](crate::Entered::sleep_on) does, as a future: it blocks no
    /// thread. The condition is called at each poll, with what the thread has then.
    /// Wait-free; a poll is lock-free but for the allocator.
    ///
    /// A wake-up for one that comes to a future which is then dropped, or has its value
    /// already, is passed on.
    ///
    /// ```
    /// # use lwproc::{Interrupted, WaitChannel};
    /// # use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    /// async fn ready(channel: Arc<(WaitChannel, AtomicBool)>) -> Result<(), Interrupted> {
    ///     let (channel, ready) = &*channel;
    ///     channel.wait_until(|| ready.load(Ordering::Acquire).then_some(())).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Interrupted`] (EINTR), as [`interruptible`] says.
    pub fn wait_until<R, C: FnMut() -> Option<R>>(&self, condition: C) -> WaitUntil<'_, C> {
        WaitUntil { channel: self, condition, waiting: Waiting::default(), nap: Nap::default() }
    }
}

impl<C> WaitUntil<'_, C> {
    fn stop_waiting(&mut self) {
        if self.channel.queue().stop_waiting(&mut self.waiting) == Left::Woken {
            self.channel.wake_one();
        }
    }
}

/// The condition is not pinned.
impl<C> Unpin for WaitUntil<'_, C> {}

impl<R, C: FnMut() -> Option<R>> Future for WaitUntil<'_, C> {
    type Output = Result<R, Interrupted>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Self { channel, condition, waiting, nap } = this;
        let missed = || channel.wake_one();
        let polled = channel.queue().poll_for_one(waiting, cx.waker(), condition, missed);
        if let Poll::Ready(result) = polled {
            nap.end();
            return Poll::Ready(Ok(result));
        }
        match innermost::nap(nap, cx.waker()) {
            Some(why) => {
                this.stop_waiting();
                Poll::Ready(Err(why))
            }
            None => Poll::Pending,
        }
    }
}

impl<C> Drop for WaitUntil<'_, C> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

impl<C> fmt::Debug for WaitUntil<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitUntil({:?})", self.channel)
    }
}
