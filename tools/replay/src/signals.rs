//! Signals that the log's tasks sent and got, beside what the kernel has of them.

use crate::plan::{ProcId, TaskId};
use crate::scene::Settled;
use std::collections::HashMap;

/// Linux's number of SIGKILL.
pub const SIGKILL: u8 = 9;

/// Who sent a signal, whom to, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Way {
    /// The number of the sender's process.
    pub from: i32,
    /// The process it was for.
    pub to: ProcId,
    /// Its number.
    pub signal: u8,
}

/// What a process was sent of SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sigkill {
    /// None.
    Not,
    /// One, by a call that returned at this line: nothing may come from it afterwards.
    At(u32),
    /// One that it has outlived, and that was said.
    Outlived,
}

/// What is known of signals at a line.
#[derive(Debug)]
pub struct Signals {
    /// How often each was sent, less how often it came.
    owed: HashMap<Way, i64>,
    /// By process: what it was sent of SIGKILL.
    killed: Vec<Sigkill>,
    /// By task: the signal that was the last thing to happen to it, or 0.
    last: Vec<u8>,
    /// How processes that died by a signal came to.
    died: HashMap<ProcId, (u8, Settled)>,
    /// What was found of the ends of tasks.
    ends: HashMap<TaskId, Result<Settled, String>>,
}

impl Signals {
    /// Nothing yet, of so many tasks and processes.
    pub fn new(tasks: usize, procs: usize) -> Self {
        Self {
            owed: HashMap::new(),
            killed: vec![Sigkill::Not; procs],
            last: vec![0; tasks],
            died: HashMap::new(),
            ends: HashMap::new(),
        }
    }

    /// A signal was sent.
    pub fn sent(&mut self, way: Way) {
        *self.owed.entry(way).or_default() += 1;
    }

    /// It came; whether it had been sent more often than it came.
    pub fn came(&mut self, way: Way) -> bool {
        let owed = self.owed.entry(way).or_default();
        *owed -= 1;
        *owed >= 0
    }

    /// A process was sent SIGKILL by a call that returned at this line.
    pub fn kill(&mut self, proc: ProcId, line: u32) {
        let killed = &mut self.killed[proc.index()];
        if *killed == Sigkill::Not {
            *killed = Sigkill::At(line);
        }
    }

    /// The line from which nothing may come from a process, if it was sent SIGKILL.
    pub fn killed(&self, proc: ProcId) -> Option<u32> {
        match self.killed[proc.index()] {
            Sigkill::At(line) => Some(line),
            Sigkill::Not | Sigkill::Outlived => None,
        }
    }

    /// The process has shown that it lives: that is said once.
    pub fn forget_kill(&mut self, proc: ProcId) {
        self.killed[proc.index()] = Sigkill::Outlived;
    }

    /// A task got a signal.
    pub fn got(&mut self, task: TaskId, signal: u8) {
        self.last[task.index()] = signal;
    }

    /// It has survived it.
    pub fn survived(&mut self, task: TaskId) {
        self.last[task.index()] = 0;
    }

    /// Whether a signal was the last thing to happen to a task.
    pub fn was_last(&self, task: TaskId, signal: u8) -> bool {
        self.last[task.index()] == signal
    }

    /// How a process died of this signal, where one of its tasks has already.
    pub fn died(&self, proc: ProcId, signal: u8) -> Option<Settled> {
        self.died.get(&proc).filter(|(of, _)| *of == signal).map(|(_, settled)| *settled)
    }

    /// One of its tasks has.
    pub fn dies(&mut self, proc: ProcId, signal: u8, settled: Settled) {
        self.died.entry(proc).or_insert((signal, settled));
    }

    /// Notes what was found of a task's end, for its `+++` line.
    pub fn ends(&mut self, task: TaskId, found: Result<Settled, String>) {
        self.ends.insert(task, found);
    }

    /// Whether it has been looked at.
    pub fn has_end(&self, task: TaskId) -> bool {
        self.ends.contains_key(&task)
    }

    /// What was found.
    pub fn end(&mut self, task: TaskId) -> Option<Result<Settled, String>> {
        self.ends.remove(&task)
    }
}
