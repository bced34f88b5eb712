//! The macro benchmark: what the processes of a recorded log did, in many copies
//! at once, in one kernel; and the same on a locked process table.
//!
//! Of the log only the process part is replayed, as a list of events that both
//! get: births of processes and threads, ends, waits that reaped, and a switch
//! where the next line is another task's. Left out, on both sides: descriptors,
//! ids, groups, limits, signals, and all comparing of answers. The third figure
//! is that of the whole replay, `lwproc replay`, with all of that in it.

use crate::table::cpu::stay_on;
use crate::table::timing::median;
use lwproc::{Kernel, Lwp, Pid, Rfork, WaitPolicy, WaitTarget};
use lwproc_replay::calls::Call;
use lwproc_replay::calls::process::Makes;
use lwproc_replay::calls::wait::Outcome;
use lwproc_replay::copies::{Load, run as replay_all};
use lwproc_replay::plan::{Action, CallId, Origin, Plan, Says, TaskId, Who};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

/// Copies of the log.
const COPIES: u32 = 256;
/// Runs of each; the median counts.
const ROUNDS: usize = 3;

/// What happens, by the tasks' places in the log.
#[derive(Clone, Copy)]
enum Event {
    /// The next events are this task's.
    Run(usize),
    /// The running task makes a process with one task.
    Fork(usize),
    /// The running task makes a further one in its process.
    Thread(usize),
    /// The running task ends.
    Exit,
    /// The running task reaps the process that began with that task.
    Reap(usize),
}

/// The events of a log, in the making.
struct Script<'p> {
    plan: &'p Plan,
    events: Vec<Event>,
    born: Vec<bool>,
    alive: Vec<bool>,
    current: Option<usize>,
}

impl<'p> Script<'p> {
    fn of(plan: &'p Plan) -> Vec<Event> {
        let tasks = plan.tasks.len();
        let (born, alive) = (vec![false; tasks], vec![false; tasks]);
        let mut script = Self { plan, events: Vec::new(), born, alive, current: None };
        for step in &plan.steps {
            let task = step.task.index();
            match step.action {
                Action::Appear | Action::Supersede => script.birth(task),
                Action::Death => script.exit(task),
                Action::Line | Action::Quiet | Action::Signal(_) | Action::Begin(_) => {
                    script.run(task)
                }
                Action::Whole(call) | Action::End(call) => {
                    script.run(task);
                    script.call(call, task);
                }
            }
        }
        for task in 0..tasks {
            script.exit(task);
        }
        script.events
    }

    fn run(&mut self, task: usize) {
        if self.alive[task] && self.current != Some(task) {
            self.events.push(Event::Run(task));
            self.current = Some(task);
        }
    }

    fn birth(&mut self, task: usize) {
        if std::mem::replace(&mut self.born[task], true) {
            return;
        }
        self.alive[task] = true;
        match self.plan.tasks[task].origin {
            Origin::Fork { parent, makes, .. } if self.alive[parent.index()] => {
                self.run(parent.index());
                match makes {
                    Makes::Thread => self.events.push(Event::Thread(task)),
                    _ => {
                        self.events.push(Event::Fork(task));
                        self.current = Some(task);
                    }
                }
            }
            // The thread that called execve goes, and a task with the leader's number
            // comes.
            Origin::Exec { thread, .. } if self.alive[thread.index()] => {
                self.run(thread.index());
                self.events.push(Event::Thread(task));
                self.exit(thread.index());
            }
            // A child of init's: where the log does not show who made it.
            _ => {
                self.events.push(Event::Fork(task));
                self.current = Some(task);
            }
        }
    }

    fn exit(&mut self, task: usize) {
        if self.alive[task] {
            self.run(task);
            self.events.push(Event::Exit);
            self.alive[task] = false;
            self.current = None;
        }
    }

    fn call(&mut self, call: CallId, task: usize) {
        let made = |(index, task): (usize, &lwproc_replay::plan::Task)| {
            matches!(task.origin, Origin::Fork { call: by, .. } if by == call).then_some(index)
        };
        match &self.plan.calls[call.index()].says {
            Says::Answer(Call::Fork(_)) => {
                let children: Vec<usize> =
                    self.plan.tasks.iter().enumerate().filter_map(made).collect();
                children.into_iter().for_each(|child| self.birth(child));
                self.run(task);
            }
            Says::Answer(Call::Wait(wait)) => {
                if let Outcome::Reaped(Who::Task(child), _) = wait.outcome {
                    let leader: TaskId =
                        self.plan.procs[self.plan.tasks[child.index()].proc.index()].leader;
                    if self.alive[task] {
                        self.events.push(Event::Reap(leader.index()));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Who can play a script.
trait Stage: Sync {
    /// Plays it once; how many events were not possible.
    fn play(&self, script: &[Event], tasks: usize) -> u64;
}

impl Stage for Kernel {
    fn play(&self, script: &[Event], tasks: usize) -> u64 {
        let mut failed = 0;
        let mut k = self.enter().expect("not entered");
        let mut parked: Vec<Option<Lwp>> = (0..tasks).map(|_| None).collect();
        let mut pids = vec![Pid(0); tasks];
        let mut current = None;
        for event in script {
            match *event {
                Event::Run(task) => match parked[task].take() {
                    Some(lwp) => {
                        let old = k.switch(lwp).expect("the same kernel");
                        if let (Some(before), Some(old)) = (current, old) {
                            parked[before] = Some(old);
                        }
                        current = Some(task);
                    }
                    None => failed += 1,
                },
                Event::Fork(task) => {
                    let old = k.rfork(Rfork::Fresh).expect("ids");
                    if let (Some(before), Some(old)) = (current, old) {
                        parked[before] = Some(old);
                    }
                    pids[task] = k.pid();
                    current = Some(task);
                }
                Event::Thread(task) => match self.new_lwp(k.pid()) {
                    Ok(lwp) => parked[task] = Some(lwp),
                    Err(_) => failed += 1,
                },
                Event::Exit => {
                    failed += u64::from(k.release().is_err());
                    current = None;
                }
                Event::Reap(leader) => {
                    let reaped = k.try_wait(WaitTarget::Pid(pids[leader]));
                    failed += u64::from(!matches!(reaped, Ok(Some(_))));
                }
            }
        }
        failed
    }
}

/// A process of the locked table.
struct LockedProc {
    ppid: i32,
    children: BTreeSet<i32>,
    lwps: BTreeSet<i32>,
}

/// An LWP of the locked table.
struct LockedLwp {
    pid: i32,
    running: bool,
}

#[derive(Default)]
struct Tables {
    procs: BTreeMap<i32, LockedProc>,
    lwps: BTreeMap<i32, LockedLwp>,
    last: i32,
}

/// A process table as most kernels and runtimes in Rust have it: one lock, and maps
/// from numbers.
#[derive(Default)]
struct LockedKernel(Mutex<Tables>);

const INIT: i32 = 0;

impl LockedKernel {
    fn new() -> Self {
        let init = LockedProc { ppid: 0, children: BTreeSet::new(), lwps: BTreeSet::from([0]) };
        let procs = BTreeMap::from([(INIT, init)]);
        Self(Mutex::new(Tables { procs, ..Tables::default() }))
    }

    fn with<R>(&self, work: impl FnOnce(&mut Tables) -> R) -> R {
        work(&mut self.0.lock().expect("not poisoned"))
    }
}

impl Tables {
    fn fork(&mut self, ppid: i32) -> i32 {
        self.last += 1;
        let pid = self.last;
        let (children, lwps) = (BTreeSet::new(), BTreeSet::from([pid]));
        self.procs.insert(pid, LockedProc { ppid, children, lwps });
        self.lwps.insert(pid, LockedLwp { pid, running: false });
        if let Some(parent) = self.procs.get_mut(&ppid) {
            parent.children.insert(pid);
        }
        pid
    }

    fn newlwp(&mut self, pid: i32) -> Option<i32> {
        self.last += 1;
        let lid = self.last;
        self.procs.get_mut(&pid)?.lwps.insert(lid);
        self.lwps.insert(lid, LockedLwp { pid, running: false });
        Some(lid)
    }

    fn switch(&mut self, old: Option<i32>, new: i32) -> bool {
        if let Some(old) = old.and_then(|old| self.lwps.get_mut(&old)) {
            old.running = false;
        }
        self.lwps.get_mut(&new).is_some_and(|new| !std::mem::replace(&mut new.running, true))
    }

    /// Ends an LWP; with the last its process is a zombie, its children are init's,
    /// and init reaps its own.
    fn exit(&mut self, lid: i32) -> bool {
        let Some(LockedLwp { pid, .. }) = self.lwps.remove(&lid) else {
            return false;
        };
        let Some(proc) = self.procs.get_mut(&pid) else {
            return false;
        };
        proc.lwps.remove(&lid);
        if !proc.lwps.is_empty() {
            return true;
        }
        let (ppid, orphans) = (proc.ppid, std::mem::take(&mut proc.children));
        for orphan in orphans {
            let Some(child) = self.procs.get_mut(&orphan) else { continue };
            child.ppid = INIT;
            if child.lwps.is_empty() {
                self.procs.remove(&orphan);
            } else if let Some(init) = self.procs.get_mut(&INIT) {
                init.children.insert(orphan);
            }
        }
        if ppid == INIT {
            self.reap(INIT, pid);
        }
        true
    }

    fn reap(&mut self, ppid: i32, pid: i32) -> bool {
        let zombie = |proc: &LockedProc| proc.ppid == ppid && proc.lwps.is_empty();
        if !self.procs.get(&pid).is_some_and(zombie) {
            return false;
        }
        self.procs.remove(&pid);
        self.procs.get_mut(&ppid).is_some_and(|parent| parent.children.remove(&pid))
    }

    fn pid_of(&self, lid: Option<i32>) -> i32 {
        lid.and_then(|lid| self.lwps.get(&lid)).map_or(INIT, |lwp| lwp.pid)
    }
}

impl Stage for LockedKernel {
    fn play(&self, script: &[Event], tasks: usize) -> u64 {
        let mut failed = 0;
        let (mut lids, mut pids) = (vec![0; tasks], vec![0; tasks]);
        let mut current: Option<i32> = None;
        for event in script {
            match *event {
                Event::Run(task) => {
                    let new = lids[task];
                    failed += u64::from(!self.with(|tables| tables.switch(current, new)));
                    current = Some(new);
                }
                Event::Fork(task) => {
                    let new = self.with(|tables| {
                        let new = tables.fork(tables.pid_of(current));
                        tables.switch(current, new);
                        new
                    });
                    (lids[task], pids[task], current) = (new, new, Some(new));
                }
                Event::Thread(task) => {
                    let made = self.with(|tables| tables.newlwp(tables.pid_of(current)));
                    failed += u64::from(made.is_none());
                    lids[task] = made.unwrap_or(0);
                }
                Event::Exit => {
                    let ended = current.take();
                    let done = self.with(|tables| ended.is_some_and(|lid| tables.exit(lid)));
                    failed += u64::from(!done);
                }
                Event::Reap(leader) => {
                    let pid = pids[leader];
                    let done = self.with(|tables| tables.reap(tables.pid_of(current), pid));
                    failed += u64::from(!done);
                }
            }
        }
        failed
    }
}

/// Plays the copies on so many threads; events a second, and how many failed.
fn perform(stage: &impl Stage, script: &[Event], tasks: usize, threads: usize) -> (f64, u64) {
    let next = AtomicU32::new(0);
    let work = |number| {
        stay_on(number);
        let mut failed = 0;
        // Relaxed: tickets.
        while next.fetch_add(1, Relaxed) < COPIES {
            failed += stage.play(script, tasks);
        }
        failed
    };
    let begin = Instant::now();
    let failed = thread::scope(|scope| {
        let work = &work;
        let all: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        all.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    let events = script.len() as f64 * f64::from(COPIES);
    (events / begin.elapsed().as_secs_f64(), failed)
}

/// Replays one log, and prints operations a second.
pub fn run(log: &str) -> Result<(), Box<dyn Error>> {
    let plan = Plan::open(Path::new(log))?;
    let (script, tasks) = (Script::of(&plan), plan.tasks.len());
    let name = Path::new(log).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kinds = |wanted: fn(&Event) -> bool| script.iter().filter(|event| wanted(event)).count();
    println!(
        "{name}: {} events: {} switches, {} forks, {} threads, {} exits, {} reaped; {COPIES} copies",
        script.len(),
        kinds(|event| matches!(event, Event::Run(_))),
        kinds(|event| matches!(event, Event::Fork(_))),
        kinds(|event| matches!(event, Event::Thread(_))),
        kinds(|event| matches!(event, Event::Exit)),
        kinds(|event| matches!(event, Event::Reap(_))),
    );
    let mut one = [f64::NAN; 2];
    for threads in [1, 2] {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build()?;
            let ours = perform(&kernel, &script, tasks, threads);
            let left = kernel.counts();
            let locked = LockedKernel::new();
            let peer = perform(&locked, &script, tasks, threads);
            let left_locked = locked.with(|tables| tables.procs.len());
            if (ours.1, peer.1, left.procs, left_locked) != (0, 0, 2, 1) {
                println!("  failed {} and {}, left {left:?} and {left_locked}", ours.1, peer.1);
            }
            rates[0].push(ours.0);
            rates[1].push(peer.0);
        }
        let rates = rates.map(median);
        if threads == 1 {
            one = rates;
        }
        println!(
            "  {threads} threads: lwproc {:.2} M events/s ({:.2} x one thread), Mutex<BTreeMap> {:.2} ({:.2} x); lwproc {:.2} x faster",
            rates[0] / 1e6,
            rates[0] / one[0],
            rates[1] / 1e6,
            rates[1] / one[1],
            rates[0] / rates[1],
        );
        let count = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let load = Load { copies: count(COPIES), threads: count(threads as u32) };
        let whole = replay_all(&plan, load, &|_| ())?;
        println!(
            "  {threads} threads: the whole replay, answers compared: {:.2} M lines/s{}",
            whole.lines_per_second(&plan) / 1e6,
            if whole.is_good() { "" } else { " (not all agreed)" },
        );
    }
    Ok(())
}
