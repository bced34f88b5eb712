//! The sink for the `tracing` crate, against a subscriber of our own.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "lwproc" && *metadata.level() == Level::TRACE
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        unreachable!("no spans")
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0.trim().to_owned());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn events_come_at_trace_level_with_their_fields() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let kernel = Kernel::new();
        kernel.set_trace(Some(Arc::new(TracingSink)));
        let lwp = kernel.spawn().start().unwrap();
        let mut k = kernel.enter().unwrap();
        k.switch(lwp).unwrap();
        k.drain();
        k.exec("true").unwrap();
        k.exit(ExitStatus::exited(3)).unwrap();
        drop(k);
    });
    assert_eq!(
        *lines.0.lock().unwrap(),
        [
            "message=fork pid=2 parent=0",
            "message=lwp create pid=2 lid=2",
            "message=exec pid=2 comm=true",
            "message=lwp exit pid=2 lid=2",
            "message=exit pid=2 status=exited 3",
            "message=reap pid=2 status=exited 3",
        ]
    );
}

/// Of one process, to the end of its life; its child and the others are not told of.
#[test]
fn a_process_may_have_the_sink_for_itself() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
        let mut k = kernel.enter().unwrap();
        k.switch(kernel.spawn().start().unwrap()).unwrap();
        let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
        assert!(k.process().set_trace(Some(Arc::new(TracingSink))).is_none());
        drop(kernel.spawn().start().unwrap());
        let further = kernel.new_lwp(k.pid()).unwrap();
        drop(further);
        let traced = k.rfork(Rfork::Fresh).unwrap().unwrap();
        k.release().unwrap();
        k.switch(traced).unwrap();
        k.drain();
        k.exec("seen").unwrap();
        k.exit(ExitStatus::signaled(9, CoreDump::None)).unwrap();
        k.switch(parent).unwrap();
        k.wait(WaitTarget::Any).unwrap();
        k.release().unwrap();
    });
    assert_eq!(
        *lines.0.lock().unwrap(),
        [
            "message=lwp create pid=3 lid=5",
            "message=lwp exit pid=3 lid=5",
            "message=fork pid=6 parent=3",
            "message=exec pid=3 comm=seen",
            "message=lwp exit pid=3 lid=3",
            "message=exit pid=3 status=killed by 9",
        ]
    );
}
