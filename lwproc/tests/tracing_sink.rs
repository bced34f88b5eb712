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
        let lwp = kernel.alloclwp(None).unwrap();
        let mut k = kernel.enter().unwrap();
        k.switch(lwp).unwrap();
        k.exit(ExitStatus::exited(3)).unwrap();
        drop(k);
    });
    assert_eq!(
        *lines.0.lock().unwrap(),
        [
            "message=fork pid=2 parent=0",
            "message=lwp create pid=2 lid=2",
            "message=lwp exit pid=2 lid=2",
            "message=exit pid=2 status=exited 3",
            "message=reap pid=2 status=exited 3",
        ]
    );
}
