//! A log made ready for replaying: parsed once, replayed any number of times.
//!
//! A [`Plan`] has one [`Step`] per line (and one per birth that the log shows before the fork
//! returns). Steps, calls, tasks and processes refer to each other by index, so that a replay
//! touches no text and hashes nothing.

mod build;
mod census;
mod ends;
mod link;
mod outer;
mod signals;
mod tables;

pub use census::{Census, NameCount, Problem, ProblemKind};
pub use outer::Outer;
pub use signals::{Delivery, Sender};

use crate::calls::{
    Call, Cause,
    process::{Descriptors, Makes, Scope},
    wait::Status,
};
use crate::parse::LoadError;
use std::io::BufRead;
use std::path::Path;

macro_rules! index {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) u32);

        impl $name {
            // A log has at most `MOST_LINES` lines, and no line makes more than two of these.
            pub(crate) fn at(index: usize) -> Self {
                Self(u32::try_from(index).expect("indices are bounded by MOST_LINES"))
            }

            /// Position in the plan's list.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index! {
    /// A traced task: one life of a number.
    TaskId
    /// A process.
    ProcId
    /// A modelled call.
    CallId
    /// The name of a syscall.
    NameId
    /// A `---` line.
    DeliveryId
}

/// A log, parsed and linked.
#[derive(Debug)]
pub struct Plan {
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Every call that a family covers.
    pub calls: Vec<PlannedCall>,
    /// Every task.
    pub tasks: Vec<Task>,
    /// Every process.
    pub procs: Vec<Proc>,
    /// Every signal that a task got.
    pub deliveries: Vec<Delivery>,
    /// Lines and calls counted.
    pub census: Census,
    /// What the first task got from outside the log.
    pub outer: Outer,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Line of the log.
    pub line: u32,
    /// Who does it.
    pub task: TaskId,
    /// What.
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The task's first line: it exists from here on, though its fork has not returned.
    Appear,
    /// A call that has answered, with nothing to compare.
    Line,
    /// A line without an answer.
    Quiet,
    /// `--- SIGNAME ---`.
    Signal(DeliveryId),
    /// A call on one line.
    Whole(CallId),
    /// A call begins.
    Begin(CallId),
    /// The call ends.
    End(CallId),
    /// `+++ exited` or `+++ killed`.
    Death,
    /// `+++ superseded by execve`: the task takes the leader's number over.
    Supersede,
}

/// A task, or the number of one that the log never shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A traced task.
    Task(TaskId),
    /// A number outside the log.
    Outside(i32),
}

/// A call that a family covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCall {
    /// The caller (after a thread's execve: the task that bears the pid).
    pub task: TaskId,
    /// Its syscall.
    pub name: NameId,
    /// Its first line.
    pub start: u32,
    /// Its last line.
    pub end: u32,
    /// What it asked and was told.
    pub says: Says,
    /// Whether its answer was taken as what the first task got from outside the log.
    pub first_sight: bool,
}

/// What a call asked and was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// A question with its answer.
    Answer(Call<Who>),
    /// An answer about ids, descriptors or credentials that cannot be compared.
    Unexplained(Cause),
    /// An answer about something else.
    NotModelled,
    /// Interrupted, or the log ends first.
    Nothing,
}

/// One life of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The number in the log; 0 where a log of a single task never tells it.
    pub number: i32,
    /// Its process.
    pub proc: ProcId,
    /// Where it comes from.
    pub origin: Origin,
    /// The line from which it exists.
    pub birth: u32,
    /// The line from which it may be dying: its last own line, or its exit call.
    pub dying_from: u32,
    /// Its end, if the log shows it.
    pub death: Option<Death>,
    /// Argument of its own `exit`.
    pub exit_code: Option<u8>,
    /// The line of its first exit call, and who goes by it.
    pub exits: Option<(u32, Scope)>,
}

/// Where a task comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The first task of the log.
    Root,
    /// A fork by another task.
    Fork {
        /// The call.
        call: CallId,
        /// Who called.
        parent: TaskId,
        /// What was made.
        makes: Makes,
        /// What it does with the descriptors.
        descriptors: Descriptors,
    },
    /// A thread's execve: the same thread under its process's number.
    Exec {
        /// Who bore the number before.
        leader: TaskId,
        /// The thread that called execve.
        thread: TaskId,
    },
    /// No fork in the log returned this number.
    Stray,
}

/// The end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// The `+++` line.
    pub line: u32,
    /// What it says.
    pub fate: Fate,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// By exit or a signal.
    Ended(Status),
    /// An execve of another thread, or its own under another number.
    Superseded,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proc {
    /// Who made it; `None` for the root and for strays.
    pub parent: Option<ProcId>,
    /// Its first task.
    pub leader: TaskId,
    /// The task that bears its number at the end: another one after a thread's execve.
    pub bearer: TaskId,
    /// All its tasks, in order of birth.
    pub tasks: Vec<TaskId>,
    /// Its images: the line of the execve and the comm.
    pub images: Vec<(u32, String)>,
    /// Argument of the first `exit_group`.
    pub group_exit: Option<u8>,
    /// The line from which what it may do no longer follows from its ids.
    pub capable_from: Option<u32>,
    /// Whether it sends or gets signals that no kill shows.
    pub has_other_signals: bool,
    /// Distance from the root.
    pub depth: u32,
}

impl Plan {
    /// Loads a log, gzip or plain.
    ///
    /// # Errors
    /// [`LoadError`] when the file cannot be read or holds no log. Single bad lines are counted.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        build::read(crate::parse::LineReader::open(path)?)
    }

    /// Loads a log from a stream, gzip or plain.
    ///
    /// # Errors
    /// As [`Plan::open`].
    pub fn read(source: impl BufRead + 'static) -> Result<Self, LoadError> {
        build::read(crate::parse::LineReader::detect(source)?)
    }

    pub(crate) fn task(&self, id: TaskId) -> &Task {
        &self.tasks[id.index()]
    }

    pub(crate) fn proc(&self, id: ProcId) -> &Proc {
        &self.procs[id.index()]
    }

    pub(crate) fn call(&self, id: CallId) -> &PlannedCall {
        &self.calls[id.index()]
    }

    pub(crate) fn delivery(&self, id: DeliveryId) -> &Delivery {
        &self.deliveries[id.index()]
    }

    pub(crate) fn proc_of(&self, id: TaskId) -> ProcId {
        self.task(id).proc
    }

    /// Whether what the process may do at this line follows from its ids.
    pub(crate) fn is_plain(&self, id: ProcId, line: u32) -> bool {
        let mut next = Some(id);
        while let Some(proc) = next.map(|id| self.proc(id)) {
            if proc.capable_from.is_some_and(|from| from <= line) {
                return false;
            }
            next = proc.parent;
        }
        true
    }

    /// How the process ended, if the log shows it.
    pub fn ended(&self, id: ProcId) -> Option<(u32, Status)> {
        match self.task(self.proc(id).bearer).death {
            Some(Death { line, fate: Fate::Ended(status) }) => Some((line, status)),
            _ => None,
        }
    }

    /// The comm each process starts with: the one its parent had at the fork.
    pub fn first_comms(&self) -> Vec<Option<&str>> {
        let mut comms: Vec<Option<&str>> = Vec::with_capacity(self.procs.len());
        for proc in &self.procs {
            let birth = self.task(proc.leader).birth;
            // Parents come first in the list.
            comms.push(proc.parent.and_then(|parent| {
                let images = &self.proc(parent).images;
                let image = images.iter().rfind(|(line, _)| *line <= birth);
                image.map(|(_, comm)| comm.as_str()).or(comms[parent.index()])
            }));
        }
        comms
    }

    /// Processes as a tree walk: every parent before its children, children by birth.
    pub fn tree_walk(&self) -> Vec<ProcId> {
        let mut children = vec![Vec::new(); self.procs.len()];
        let mut stack = Vec::new();
        for index in (0..self.procs.len()).rev() {
            let id = ProcId::at(index);
            match self.proc(id).parent {
                Some(parent) => children[parent.index()].push(id),
                None => stack.push(id),
            }
        }
        let mut walk = Vec::with_capacity(self.procs.len());
        while let Some(id) = stack.pop() {
            walk.push(id);
            stack.append(&mut children[id.index()]);
        }
        walk
    }

    /// Tasks made by `CLONE_THREAD`.
    pub fn threads_of(&self, id: ProcId) -> impl Iterator<Item = TaskId> {
        let is_thread = |task: &TaskId| {
            matches!(self.task(*task).origin, Origin::Fork { makes: Makes::Thread, .. })
        };
        self.proc(id).tasks.iter().copied().filter(is_thread)
    }

    /// Line number of the last step.
    pub fn last_line(&self) -> u32 {
        self.census.lines
    }
}
