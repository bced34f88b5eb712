//! Trace sinks (`ktrace`): who is told of what happens to processes.
//!
//! A process may have a sink, for its own events, and the kernel one, for all.
//! Without any an event costs two loads.

#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "tracing")]
pub use self::tracing::TracingSink;

use crate::config::Part;
use crate::host::Host;
use crate::id::{Lid, Pid};
use crate::proc::ProcNode;
use crate::proc::comm::Comm;
use crate::proc::status::ExitStatus;
use crate::reclaim::Pin;
use crate::world::World;
use crate::world::aftermath::Aftermath;

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A process was made. For the sink of the parent.
    Fork {
        /// Who forked; 0 for a process made by [`Kernel::spawn`](crate::Kernel::spawn).
        parent: Pid,
        /// The new process.
        child: Pid,
    },
    /// An LWP was made, the first of a process included.
    LwpCreate {
        /// Its process.
        pid: Pid,
        /// Its number.
        lid: Lid,
    },
    /// An LWP has gone.
    LwpExit {
        /// Its process.
        pid: Pid,
        /// Its number, which another may bear by now.
        lid: Lid,
    },
    /// A process has become another program (`execnotify`).
    Exec {
        /// The process.
        pid: Pid,
        /// What it is called now.
        comm: Comm,
    },
    /// A process ends: its exit hooks have run. The last event for its sink.
    Exit {
        /// The process.
        pid: Pid,
        /// How it ends.
        status: ExitStatus,
    },
    /// A process is out of the table. Only the kernel's sink is told.
    Reap {
        /// Its number, which another may bear by now.
        pid: Pid,
        /// How it ended.
        status: ExitStatus,
    },
}

/// Takes events.
///
/// `event` is called in the thread that did it, when it is done, with a guard held
/// and without a lock; concurrently for events that are. What it does to the
/// kernel may make events. A panic reaches who did what the event tells, when that
/// is done.
pub trait TraceSink: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: &TraceEvent);
}

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
