//! The part of the model that is about who is told of what happens: exit hooks and
//! trace sinks, which come and go.

use super::creds::CredModel;
use super::data::{self, Data, Value};
use super::host::{Alive, Embedder, Place};
use super::places::PlaceModel;
use super::state::{Model, ProcModel};
use super::{Driver, pick};
use lwproc::*;
use std::mem::{discriminant, take};
use std::sync::{Arc, Mutex};

/// An operation on hooks or sinks.
#[derive(Clone, Copy, Debug)]
pub enum WatchOp {
    Establish,
    /// Any of those that there ever were.
    Disestablish(u8),
    /// A sink of the current process's, or none from now on.
    ProcSink(Sink),
    KernelSink(Sink),
}

#[derive(Clone, Copy, Debug)]
pub enum Sink {
    New,
    None,
}

impl WatchOp {
    pub fn from_bytes(code: u8, a: u8) -> Self {
        let sink = if a.is_multiple_of(3) { Sink::None } else { Sink::New };
        match code % 8 {
            0 => Self::Establish,
            1 => Self::Disestablish(a),
            2..=5 => Self::ProcSink(sink),
            _ => Self::KernelSink(sink),
        }
    }
}

/// What a hook or a sink was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    End { hook: u32, pid: Pid, had: Box<Had> },
    Event { sink: u32, event: TraceEvent },
}

/// What a process still has at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Had {
    /// Its parent, group and session.
    family: [Option<Pid>; 3],
    comm: String,
    cred: CredModel,
    nofile: Option<Limit>,
    data: Data,
    place: PlaceModel,
    emul: u32,
    nlwps: u32,
}

impl Had {
    fn seen(proc: &Ending<'_, Embedder>, keys: [ProcKey<Value>; 3]) -> Self {
        let place: &Place = proc.vfs();
        let space = proc.vmspace().map(|space| space.name);
        Self {
            family: [Some(proc.ppid()), proc.pgid(), proc.sid()],
            comm: proc.comm().to_string(),
            cred: CredModel::of(proc.cred().expect("not reaped")),
            nofile: proc.rlimit(Resource::Nofile),
            data: data::of_proc(proc, keys),
            place: PlaceModel { own: place.name(), from: place.from, space },
            emul: proc.emul().0,
            nlwps: proc.nlwps(),
        }
    }

    fn expected(proc: &ProcModel) -> Self {
        Self {
            family: [proc.ppid, proc.pgid, proc.sid].map(Some),
            comm: proc.comm.clone(),
            cred: proc.cred.clone(),
            nofile: Some(proc.limits[Resource::Nofile as usize]),
            data: proc.data.clone(),
            place: proc.place.clone(),
            emul: proc.emul,
            nlwps: 0,
        }
    }
}

/// A sink that writes into the log.
struct Logging {
    own: Alive,
    log: Log,
}

impl TraceSink for Logging {
    fn event(&self, event: &TraceEvent) {
        let seen = Seen::Event { sink: self.own.name, event: *event };
        self.log.lock().unwrap().push(seen);
    }
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// The hooks that there ever were, by their numbers, and what all were told since the
/// last check.
#[derive(Default)]
pub struct Watchers {
    hooks: Vec<HookId>,
    log: Log,
}

/// What the model knows of them.
#[derive(Default)]
pub struct WatchModel {
    /// In the order in which they were established.
    hooks: Vec<u32>,
    kernel_sink: Option<u32>,
    /// The last name of a sink.
    sinks: u32,
    seen: Vec<Seen>,
}

impl Model {
    /// The kernel's sink only is told.
    pub fn tell_kernel(&mut self, event: TraceEvent) {
        let sink = self.watch.kernel_sink;
        self.watch.seen.extend(sink.map(|sink| Seen::Event { sink, event }));
    }

    /// The sink of that process is told, and the kernel's.
    pub fn tell(&mut self, pid: Pid, event: TraceEvent) {
        let sink = self.procs[&pid].sink;
        self.watch.seen.extend(sink.map(|sink| Seen::Event { sink, event }));
        self.tell_kernel(event);
    }

    /// A process ends: the hooks run, the last established first; then its sink hears
    /// of it for the last time.
    pub fn tell_end(&mut self, pid: Pid) {
        let had = Box::new(Had::expected(&self.procs[&pid]));
        let hooks = self.watch.hooks.iter().rev();
        self.watch.seen.extend(hooks.map(|hook| Seen::End { hook: *hook, pid, had: had.clone() }));
        self.tell(pid, TraceEvent::Exit { pid, status: self.procs[&pid].status });
        self.procs.get_mut(&pid).unwrap().sink = None;
    }
}

/// LWPs of one process that go together do so in any order, and so do orphaned zombies.
fn in_order(mut seen: Vec<Seen>) -> Vec<Seen> {
    let any_order = |a: &Seen, b: &Seen| match (a, b) {
        (Seen::Event { event: a, .. }, Seen::Event { event: b, .. }) => {
            matches!(a, TraceEvent::LwpExit { .. } | TraceEvent::Reap { .. })
                && discriminant(a) == discriminant(b)
        }
        _ => false,
    };
    let runs = seen.chunk_by_mut(any_order);
    runs.for_each(|run| run.sort_by_cached_key(|seen| format!("{seen:?}")));
    seen
}

impl Driver<'_> {
    pub fn watch_step(&mut self, op: WatchOp) {
        let watch = &mut self.model.watch;
        match op {
            WatchOp::Establish => {
                let (hook, log) = (self.watchers.hooks.len() as u32, self.watchers.log.clone());
                let (own, keys) = (self.kernel.host().hooks.add(hook), self.keys.proc);
                let id = self.kernel.add_exit_hook(move |proc| {
                    // All of it, and not only its number.
                    let own: &Alive = &own;
                    let (hook, had) = (own.name, Box::new(Had::seen(proc, keys)));
                    log.lock().unwrap().push(Seen::End { hook, pid: proc.pid(), had });
                });
                self.watchers.hooks.push(id);
                watch.hooks.push(hook);
            }
            WatchOp::Disestablish(i) => {
                let Some(hook) = pick(0..self.watchers.hooks.len(), i) else { return };
                let got = self.kernel.remove_exit_hook(self.watchers.hooks[hook]);
                let before = watch.hooks.len();
                watch.hooks.retain(|known| *known != hook as u32);
                let was_there = watch.hooks.len() < before;
                assert_eq!(got, if was_there { Ok(()) } else { Err(HookError::NoSuchHook) });
            }
            WatchOp::ProcSink(sink) => {
                let sink = self.sink(sink);
                let old = self.k.as_ref().unwrap().process().set_trace(sink.1);
                let pid = self.model.curproc();
                let known = &mut self.model.procs.get_mut(&pid).unwrap().sink;
                assert_eq!(old.is_some(), known.is_some());
                *known = sink.0;
            }
            WatchOp::KernelSink(sink) => {
                let sink = self.sink(sink);
                let old = self.kernel.set_trace(sink.1);
                let known = &mut self.model.watch.kernel_sink;
                assert_eq!(old.is_some(), known.is_some());
                *known = sink.0;
            }
        }
    }

    fn sink(&mut self, sink: Sink) -> (Option<u32>, Option<Arc<dyn TraceSink>>) {
        match sink {
            Sink::None => (None, None),
            Sink::New => {
                self.model.watch.sinks += 1;
                let name = self.model.watch.sinks;
                let own = self.kernel.host().sinks.add(name);
                (Some(name), Some(Arc::new(Logging { own, log: self.watchers.log.clone() })))
            }
        }
    }

    /// What all were told since the last check, and who is left.
    pub fn check_watchers(&mut self) {
        let seen = take(&mut *self.watchers.log.lock().unwrap());
        assert_eq!(in_order(seen), in_order(take(&mut self.model.watch.seen)));
        let (model, host) = (&self.model, self.kernel.host());
        let hooks = model.watch.hooks.iter().copied().collect();
        assert_eq!(host.hooks.names(), hooks, "a hook that was taken away is dropped");
        let sinks = model.procs.values().filter_map(|p| p.sink).chain(model.watch.kernel_sink);
        assert_eq!(host.sinks.names(), sinks.collect(), "dropped at the end of the process");
    }
}
