//! A scope that ends when its LWP must exit.
#![allow(unsafe_code)]

use super::scope::{Inside, Scope};
use crate::entry::drain::Told;
use crate::host::{Host, ThreadHost};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A [`Scope`] that ends by itself when its LWP must exit, or has gone inside:
/// [`Scope::or_exit`].
///
/// The future is dropped then, in the scope's context. The LWP goes when this is dropped,
/// as that of a scope.
#[must_use = "a future does nothing unless polled, and dropping this releases the LWP"]
pub struct OrExit<F, H: Host = ThreadHost>(Scope<F, H>);

impl<F: Future, H: Host> Scope<F, H> {
    /// The scope, as one that ends when its LWP must exit: for a guest that only awaits,
    /// and is to go with its process. Wait-free.
    ///
    /// ```
    /// # use lwproc::{ExitStatus, Kernel, Told};
    /// # use std::{future::pending, pin::pin, task::{Context, Poll, Waker}};
    /// let kernel = Kernel::new();
    /// let lwp = kernel.spawn().start()?;
    /// let other = kernel.new_lwp(lwp.pid())?;
    /// let mut guest = pin!(lwp.scope(pending::<()>()).or_exit());
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(guest.as_mut().poll(&mut cx).is_pending());
    ///
    /// let mut k = kernel.enter()?;
    /// k.switch(other)?;
    /// k.exit_group(ExitStatus::exited(3))?; // wakes the guest's task
    /// let told = guest.as_mut().poll(&mut cx);
    /// assert_eq!(told, Poll::Ready(Err(Told::Exiting(ExitStatus::exited(3)))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn or_exit(self) -> OrExit<F, H> {
        OrExit(self)
    }
}

impl<F, H: Host> OrExit<F, H> {
    /// The scope.
    pub fn scope(&self) -> &Scope<F, H> {
        &self.0
    }
}

fn end_if_told<F, R, H: Host>(inside: &mut Inside<'_, F, H>) -> Option<Result<R, Told>> {
    let told = inside.entered.told()?;
    inside.finish();
    Some(Err(told))
}

impl<F: Future, H: Host> Future for OrExit<F, H> {
    type Output = Result<F::Output, Told>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the scope is pinned with it, and not moved.
        let scope = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        scope.poll_in(cx.waker(), |inside| {
            // Before: it may have been told while it slept. Afterwards: by itself.
            end_if_told(inside)
                .or_else(|| match inside.poll(cx) {
                    Poll::Ready(output) => Some(Ok(output)),
                    Poll::Pending => end_if_told(inside),
                })
                .map_or(Poll::Pending, Poll::Ready)
        })
    }
}

impl<F, H: Host> fmt::Debug for OrExit<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrExit({:?})", self.0)
    }
}
