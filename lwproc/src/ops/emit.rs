//! Telling the trace sinks what has happened.

use crate::host::Host;
use crate::id::Lid;
use crate::object::node::ProcNode;
use crate::object::trace::TraceEvent;
use crate::reclaim::Pin;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::config::Part;

/// Whether somebody wants the events of this process. Two loads.
#[inline]
pub(crate) fn is_traced<H: Host>(world: &World<H>, node: &ProcNode<H>) -> bool {
    world.config.is_touched(Part::Sink) || !node.resources.trace.is_empty()
}

/// Tells the process's sink, and the kernel's. A sink that is replaced meanwhile
/// may still be told.
#[inline]
pub(crate) fn emit<H: Host>(
    world: &World<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
    event: TraceEvent,
    aftermath: &mut Aftermath<H>,
) {
    if is_traced(world, node) {
        emit_traced(world, node, pin, event, aftermath);
    }
}

#[cold]
fn emit_traced<H: Host>(
    world: &World<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
    event: TraceEvent,
    aftermath: &mut Aftermath<H>,
) {
    // Inside, each: the share taken here may be the last.
    aftermath.run(|| {
        if let Some(sink) = node.resources.trace.get(pin) {
            sink.event(&event);
        }
    });
    emit_to_kernel(world, event, aftermath);
}

/// Tells the kernel's sink only.
pub(crate) fn emit_to_kernel<H: Host>(
    world: &World<H>,
    event: TraceEvent,
    aftermath: &mut Aftermath<H>,
) {
    aftermath.run(|| {
        if let Some(config) = world.config.load_if(Part::Sink)
            && let Some(sink) = &config.sink
        {
            sink.event(&event);
        }
    });
}

/// The events of a process that was made.
#[cold]
pub(crate) fn emit_birth<H: Host>(
    world: &World<H>,
    parent: &ProcNode<H>,
    child: &ProcNode<H>,
    pin: &Pin<'_>,
) {
    let (parent_pid, pid) = (parent.pid(), child.pid());
    Aftermath::collect(|aftermath| {
        let fork = TraceEvent::Fork { parent: parent_pid, child: pid };
        emit(world, parent, pin, fork, aftermath);
        let create = TraceEvent::LwpCreate { pid, lid: Lid(pid.0) };
        emit(world, child, pin, create, aftermath);
    });
}
