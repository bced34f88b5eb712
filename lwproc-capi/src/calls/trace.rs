//! Trace sinks: who is told of what happens to processes.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::sync::Arc;

use libc::{c_int, c_void, pid_t};
use lwproc::{Comm, TraceEvent, TraceSink};

use crate::context;
use crate::embedded::{Value, in_callback, lwproc_destructor};
use crate::mistake::errno;
use crate::registry;

/// What happened.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum lwproc_trace_kind {
    /// A process was made: `pid`, of `parent`. For the sink of the parent.
    LWPROC_TRACE_FORK,
    /// An LWP was made, the first of a process included: `pid`, `lid`.
    LWPROC_TRACE_LWP_CREATE,
    /// An LWP has gone: `pid`, `lid`.
    LWPROC_TRACE_LWP_EXIT,
    /// A process has become another program: `pid`, `comm`.
    LWPROC_TRACE_EXEC,
    /// A process ends: `pid`, `status`. The last for its sink.
    LWPROC_TRACE_EXIT,
    /// A process is out of the table: `pid`, `status`. Only for the kernel's sink.
    LWPROC_TRACE_REAP,
    /// An LWP has taken its process's number: `pid`, `lid`, `was`.
    LWPROC_TRACE_LWP_RENUMBER,
    /// A process has become a zombie, which its parent can wait for: `pid`, `parent`, `status`.
    /// Only for the kernel's sink.
    LWPROC_TRACE_ZOMBIE,
}

use lwproc_trace_kind::*;

/// Something that happened. What does not apply is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_trace_event {
    /// What.
    pub kind: lwproc_trace_kind,
    /// To which process.
    pub pid: pid_t,
    /// To which LWP.
    pub lid: c_int,
    /// Who forked, 0 for a process made by rump__lwproc_alloclwp; whose child the zombie is.
    pub parent: pid_t,
    /// How the process ended, in the traditional encoding.
    pub status: c_int,
    /// What the process is called now.
    pub comm: [c_char; 17],
    /// The number that the LWP had, which another may bear by now.
    pub was: c_int,
}

/// Takes events, in the thread that did what they tell, after it was done; from several
/// threads at once. A callback.
pub type lwproc_trace_sink =
    Option<unsafe extern "C" fn(arg: *mut c_void, event: *const lwproc_trace_event)>;

type Sink = unsafe extern "C" fn(*mut c_void, *const lwproc_trace_event);

/// A sink of the embedder's.
struct CSink {
    call: Sink,
    arg: Value,
}

impl TraceSink for CSink {
    fn event(&self, event: &TraceEvent) {
        let nothing = lwproc_trace_event {
            kind: LWPROC_TRACE_FORK,
            pid: 0,
            lid: 0,
            parent: 0,
            status: 0,
            comm: [0; Comm::MAX_LEN + 1],
            was: 0,
        };
        let event = match *event {
            TraceEvent::Fork { parent, child } => {
                lwproc_trace_event { parent: parent.0, pid: child.0, ..nothing }
            }
            TraceEvent::LwpCreate { pid, lid } => {
                let kind = LWPROC_TRACE_LWP_CREATE;
                lwproc_trace_event { kind, pid: pid.0, lid: lid.0, ..nothing }
            }
            TraceEvent::LwpExit { pid, lid } => {
                let kind = LWPROC_TRACE_LWP_EXIT;
                lwproc_trace_event { kind, pid: pid.0, lid: lid.0, ..nothing }
            }
            TraceEvent::Exec { pid, comm } => {
                let mut event = lwproc_trace_event { kind: LWPROC_TRACE_EXEC, ..nothing };
                event.pid = pid.0;
                for (place, byte) in event.comm.iter_mut().zip(comm.as_str().bytes()) {
                    *place = byte as c_char;
                }
                event
            }
            TraceEvent::Exit { pid, status } => {
                let (kind, status) = (LWPROC_TRACE_EXIT, status.as_wait_status());
                lwproc_trace_event { kind, pid: pid.0, status, ..nothing }
            }
            TraceEvent::Reap { pid, status } => {
                let (kind, status) = (LWPROC_TRACE_REAP, status.as_wait_status());
                lwproc_trace_event { kind, pid: pid.0, status, ..nothing }
            }
            TraceEvent::LwpRenumber { pid, lid, was } => {
                let kind = LWPROC_TRACE_LWP_RENUMBER;
                lwproc_trace_event { kind, pid: pid.0, lid: lid.0, was: was.0, ..nothing }
            }
            TraceEvent::Zombie { pid, ppid, status } => {
                let (kind, status) = (LWPROC_TRACE_ZOMBIE, status.as_wait_status());
                lwproc_trace_event { kind, pid: pid.0, parent: ppid.0, status, ..nothing }
            }
            // One that C has no name for yet.
            _ => return,
        };
        // SAFETY: the embedder's function and its arguments.
        in_callback(|| unsafe { (self.call)(self.arg.data.0, &event) });
    }
}

fn sink(
    sink: lwproc_trace_sink,
    arg: *mut c_void,
    destructor: lwproc_destructor,
) -> Option<Arc<dyn TraceSink>> {
    let call = sink?;
    Some(Arc::new(CSink { call, arg: Value::new(arg, destructor) }))
}

/// Has `sink(arg, ...)` told of the events of the current process; NULL for `sink`: nobody.
/// Children do not inherit it. `destructor(arg)` is called once, when the sink is used no
/// more: another was set, or the process has ended. On an error, and without a sink, `arg` is
/// the caller's as before.
///
/// # Safety
/// `sink` and `destructor` may be called with `arg` from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_settrace(
    sink: lwproc_trace_sink,
    arg: *mut c_void,
    destructor: lwproc_destructor,
) -> c_int {
    errno("lwproc_settrace", || {
        context::public(|cx| {
            drop(cx.k().process().set_trace(self::sink(sink, arg, destructor)));
            Ok(())
        })
    })
}

/// The same for the events of all processes of this thread's kernel, beside those sinks. Also
/// in a callback, such as the sink itself, which is destroyed when it is over.
///
/// # Safety
/// As lwproc_settrace.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_kernel_settrace(
    sink: lwproc_trace_sink,
    arg: *mut c_void,
    destructor: lwproc_destructor,
) -> c_int {
    errno("lwproc_kernel_settrace", || {
        let instance = registry::current()?;
        drop(instance.kernel.set_trace(self::sink(sink, arg, destructor)));
        Ok(())
    })
}
