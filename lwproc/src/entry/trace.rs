//! Tracing the current process.

use super::Entered;
use crate::host::Host;
use crate::object::trace::TraceSink;
use std::sync::Arc;

impl<H: Host> Entered<'_, H> {
    /// Who is told of the events of the current process (of init, in an implicit
    /// context); the one before comes back, and may still be told of what other LWPs
    /// do at the same time. Its children do not inherit it. It is dropped when the
    /// process ends, after the exit hooks.
    ///
    /// Lock-free but for the allocator.
    // Seed: `ktrace`; S158-S165, S243.
    pub fn set_trace(&self, sink: Option<Arc<dyn TraceSink>>) -> Option<Arc<dyn TraceSink>> {
        self.proc().resources.trace.swap(sink, &self.seat.pin())
    }
}
