//! A future that runs as an LWP.
#![allow(unsafe_code)]

use crate::entry::innermost::within;
use crate::entry::scoped::Scoped;
use crate::host::{Host, ThreadHost};
use crate::object::home::Anchor;
use crate::ops::owned::Lwp;
use crate::panics;
use crate::sync::Arc;
use crate::world::context::Context as LwpContext;
use std::fmt;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that runs as an LWP: made by [`Lwp::scope`].
///
/// Each poll enters the kernel as the LWP, on whatever thread polls, and leaves it
/// again with the LWP taken off the thread. What the thread was before, in a kernel or
/// not, it is again afterwards. Inside, [`current`](crate::current) finds the context.
///
/// * **Switching.** What is current at the end of a poll is current at the start of the
///   next: after a [`switch`](crate::Entered::switch) or a
///   [`rfork`](crate::Entered::rfork) inside, the scope owns that LWP. When the LWP was
///   released or unbound inside, the scope goes on in an implicit context: as init.
/// * **Nesting.** A scope inside a scope, or on a thread that has entered by
///   [`Kernel::enter`](crate::Kernel::enter), suspends the context around it for the time
///   of a poll. It starts without the big lock, and the other has it again afterwards;
///   meanwhile the other's big lock is [`Suspended`](crate::BigLockError::Suspended). An
///   [`Entered`](crate::Entered) that is dropped inside ends that entry.
/// * **Panics.** A panic of the future leaves the kernel as at the end of any poll, and
///   goes on.
/// * **Dropping** it drops the future in its context, and then releases the LWP as
///   dropping an [`Lwp`] does. A scope that is ready and not yet dropped still owns
///   the LWP.
/// * **The kernel** may be dropped while scopes live, as with an [`Lwp`]: they go on and
///   are its survivors.
///
/// # Progress
/// Entering and leaving write nothing that another thread reads, but for virtual CPUs,
/// and are wait-free but for Host `set` and `clear`. With
/// [virtual CPUs](crate::Builder::virtual_cpus) a poll **blocks** while all are taken.
/// An LWP that is made inside shares the anchor of the LWP that the scope began with:
/// a count of the thread that made that.
#[must_use = "a future does nothing unless polled, and dropping this releases the LWP"]
pub struct Scope<F, H: Host = ThreadHost> {
    /// Between polls; before the anchor, which keeps the world.
    lwp: Option<Lwp<H>>,
    anchor: Arc<Anchor<H>>,
    /// Dropped once, in `drop`. Pinned when the scope is.
    future: ManuallyDrop<F>,
}

impl<H: Host> Lwp<H> {
    /// Runs a future as this LWP; see [`Scope`].
    ///
    /// ```
    /// # use lwproc::{Kernel, Rfork, current};
    /// # fn spawn(_: impl Future<Output = ()> + Send + 'static) {}
    /// let kernel = Kernel::new();
    /// let lwp = kernel.spawn().start()?;
    /// spawn(lwp.scope(async {
    ///     let pid = current(|cx| cx.pid());
    ///     // ... awaits, and moves between threads ...
    ///     assert_eq!(current(|cx| cx.pid()), pid);
    /// }));
    /// # Ok::<(), lwproc::SpawnError>(())
    /// ```
    ///
    /// Lock-free: it counts the LWP's anchor.
    pub fn scope<F: Future>(self, future: F) -> Scope<F, H> {
        // SAFETY: owned by `self`.
        let anchor = unsafe { self.node().anchor() }.expect("a user's LWP has an anchor");
        Scope { lwp: Some(self), anchor, future: ManuallyDrop::new(future) }
    }
}

impl<F, H: Host> Scope<F, H> {
    /// The LWP; `None` when it has gone inside.
    pub fn lwp(&self) -> Option<&Lwp<H>> {
        self.lwp.as_ref()
    }

    /// Calls `f` in the scope's context.
    fn enter<R>(&mut self, f: impl FnOnce(&mut ManuallyDrop<F>) -> R) -> R {
        let Self { lwp, anchor, future } = self;
        // SAFETY: borrowed from the scope until the context ends with this function.
        let cx = unsafe { LwpContext::of_scope(anchor) };
        let scoped = Scoped::enter(anchor.seat(), &cx, lwp);
        within(scoped.entered(), || f(future))
    }
}

impl<F: Future, H: Host> Future for Scope<F, H> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is not moved out, nor is anything else that is pinned.
        let this = unsafe { self.get_unchecked_mut() };
        this.enter(|future| {
            // SAFETY: pinned with `self`.
            unsafe { Pin::new_unchecked(&mut **future) }.poll(cx)
        })
    }
}

impl<F, H: Host> Drop for Scope<F, H> {
    fn drop(&mut self) {
        let mut dropped = false;
        let done = panics::catch(|| {
            self.enter(|future| {
                dropped = true;
                // SAFETY: dropped once, where it is.
                unsafe { ManuallyDrop::drop(future) };
            });
        });
        if !dropped {
            // The host has panicked on the way in.
            // SAFETY: dropped once, where it is.
            unsafe { ManuallyDrop::drop(&mut self.future) };
        }
        if let Err(panic) = done {
            panic.report();
        }
    }
}

impl<F, H: Host> fmt::Debug for Scope<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lwp {
            Some(lwp) => write!(f, "Scope({lwp:?})"),
            None => f.write_str("Scope(implicit)"),
        }
    }
}
