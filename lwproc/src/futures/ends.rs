//! What is waited for of a process, as futures.

use crate::entry::drain::AloneError;
use crate::entry::innermost::current_of;
use crate::entry::pidfd::{Drained, Exited, Wait, WaitProc};
use crate::entry::wait::{Reaped, Zombie};
use crate::error::WaitError;
use crate::handles::proc::ProcHandle;
use crate::host::Host;
use crate::object::status::ExitStatus;
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

impl<H: Host> Future for WaitProc<H> {
    type Output = Result<Reaped, WaitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self(wait, nap) = &mut *self;
        let polled = current_of::<H, _>(|parent| {
            // The zombie is reaped when the future waits no more.
            let zombie = wait.poll(cx, |proc| parent.claim_by_handle(proc).transpose());
            if zombie.is_pending()
                && let Some(why) = nap.poll_in(parent, cx.waker())
            {
                wait.stop_waiting();
                return Poll::Ready(Err(why.into()));
            }
            zombie.map(|zombie| zombie.map(Zombie::reap))
        });
        if !matches!(polled, Ok(Poll::Pending)) {
            nap.end();
        }
        polled.unwrap_or(Poll::Ready(Err(WaitError::NoContext)))
    }
}
