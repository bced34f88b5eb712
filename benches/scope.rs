//! What a scope costs per poll: `cargo bench -p lwproc-benches --bench scope`.
//!
//! Beside it the same future polled bare, and in a span of `tracing`
//! (`Instrument`), which a subscriber takes no interest in, or takes. Only ratios within
//! one run mean anything.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use lwproc::{Kernel, current};
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tracing::Instrument;

/// A future that is never ready, and does next to nothing.
fn bare() -> impl Future<Output = ()> {
    let mut polls = 0_u64;
    poll_fn(move |_| {
        polls = black_box(polls + 1);
        Poll::<()>::Pending
    })
}

/// The same, and it asks who it is.
fn asking() -> impl Future<Output = ()> {
    poll_fn(|_| {
        black_box(current(|cx| cx.pid()).expect("in a scope"));
        Poll::<()>::Pending
    })
}

fn bench(c: &mut Criterion, name: &str, future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    c.bench_function(name, |b| b.iter(|| black_box(future.as_mut().poll(&mut cx))));
}

/// A subscriber that is interested in everything and keeps nothing.
struct Interested;

impl tracing::Subscriber for Interested {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

fn polls(c: &mut Criterion) {
    let kernel = Kernel::new();
    let lwp = || kernel.spawn().start().expect("ids");
    bench(c, "poll/bare", bare());
    bench(c, "poll/scope", lwp().scope(bare()));
    bench(c, "poll/scope_and_current", lwp().scope(asking()));
    bench(c, "poll/scope_in_scope", lwp().scope(lwp().scope(bare())));
    bench(c, "poll/instrument_disabled", bare().instrument(tracing::info_span!("task")));
    tracing::subscriber::with_default(Interested, || {
        bench(c, "poll/instrument", bare().instrument(tracing::info_span!("task")));
    });
}

criterion_group!(benches, polls);
criterion_main!(benches);
