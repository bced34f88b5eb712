//! What the tests share: polling by hand, and small helpers.

use lwproc::{Host, Kernel};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that counts how often it is used.
#[derive(Debug, Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    /// How often, so far.
    pub fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polls once, for nobody.
pub fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_for(future, Waker::noop())
}

/// Polls once, for that waker.
pub fn poll_for<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Pending once, woken at once.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What a kernel without users has: processes, LWPs, zombies, ids.
pub fn assert_empty<H: Host>(kernel: &Kernel<H>) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}
