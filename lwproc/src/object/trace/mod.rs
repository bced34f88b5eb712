//! Trace sinks (`ktrace`): who is told of what happens to processes.
//!
//! A process may have a sink, for its own events, and the kernel one, for all.
//! Without any an event costs two loads.

#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "tracing")]
pub use self::tracing::TracingSink;

use super::comm::Comm;
use super::status::ExitStatus;
use crate::id::{Lid, Pid};

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
    /// An LWP has taken its process's number: an exec by a further LWP, where that is
    /// [the rule](crate::Difference::ExecOfFurtherLwp).
    LwpRenumber {
        /// Its process.
        pid: Pid,
        /// Its number.
        lid: Lid,
        /// The one that it had, which another may bear by now.
        was: Lid,
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
    /// A process that has ended can be waited for by its parent; not one that is reaped by
    /// itself. Only the kernel's sink is told, and perhaps when it is reaped already.
    Zombie {
        /// The process.
        pid: Pid,
        /// Its parent.
        ppid: Pid,
        /// How it ended.
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
