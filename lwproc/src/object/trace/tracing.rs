//! Events for the `tracing` crate.

use super::{TraceEvent, TraceSink};
use ::tracing::trace;

/// A sink that passes each event on to the `tracing` crate: at level `TRACE`, with
/// the target `lwproc`, and fields `pid`, `lid`, `parent`, `status` where they
/// apply. For [`Kernel::set_trace`](crate::Kernel::set_trace) or
/// [`Process::set_trace`](crate::Process::set_trace). Feature `tracing`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TracingSink;

impl TraceSink for TracingSink {
    fn event(&self, event: &TraceEvent) {
        match *event {
            TraceEvent::Fork { parent, child } => {
                trace!(target: "lwproc", pid = child.0, parent = parent.0, "fork");
            }
            TraceEvent::LwpCreate { pid, lid } => {
                trace!(target: "lwproc", pid = pid.0, lid = lid.0, "lwp create");
            }
            TraceEvent::LwpExit { pid, lid } => {
                trace!(target: "lwproc", pid = pid.0, lid = lid.0, "lwp exit");
            }
            TraceEvent::LwpRenumber { pid, lid, was } => {
                trace!(target: "lwproc", pid = pid.0, lid = lid.0, was = was.0, "lwp renumber");
            }
            TraceEvent::Exec { pid, comm } => {
                trace!(target: "lwproc", pid = pid.0, %comm, "exec");
            }
            TraceEvent::Exit { pid, status } => {
                trace!(target: "lwproc", pid = pid.0, %status, "exit");
            }
            TraceEvent::Zombie { pid, ppid, status } => {
                trace!(target: "lwproc", pid = pid.0, parent = ppid.0, %status, "zombie");
            }
            TraceEvent::Reap { pid, status } => {
                trace!(target: "lwproc", pid = pid.0, %status, "reap");
            }
        }
    }
}
