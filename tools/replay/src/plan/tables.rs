//! Threads that have a descriptor table of their own: the kernel's LWPs of one process share one.

use super::build::RawCall;
use super::{Origin, Says, Task, TaskId, Who};
use crate::calls::{
    Call, Cause, Parsed,
    files::Files,
    process::{Descriptors, Makes},
};
use std::collections::HashMap;

/// Who has a table that the kernel has not.
#[derive(Debug)]
pub(super) struct Tables {
    /// Tasks that begin with one.
    from_birth: Vec<bool>,
    /// Tasks that got one later, and the line.
    since: HashMap<TaskId, u32>,
}

impl Tables {
    pub(super) fn new(calls: &[RawCall], tasks: &[Task]) -> Self {
        let mut since = HashMap::new();
        for call in calls {
            let parts = matches!(&call.parsed, Parsed::Modelled(Call::Files(Files::Part(_))));
            if parts && !is_alone(tasks, call) {
                since.entry(call.task).or_insert(call.start);
            }
        }
        let mut tables = Self { from_birth: vec![false; tasks.len()], since };
        // Parents come first in the list.
        for (index, task) in tasks.iter().enumerate() {
            tables.from_birth[index] = match task.origin {
                // A thread made without CLONE_FILES.
                Origin::Fork { makes: Makes::Thread, descriptors: Descriptors::Copied, .. } => true,
                Origin::Fork { parent: from, .. } | Origin::Exec { thread: from, .. } => {
                    tables.has_own(from, task.birth)
                }
                Origin::Root | Origin::Stray => false,
            };
        }
        tables
    }

    fn has_own(&self, task: TaskId, line: u32) -> bool {
        self.from_birth[task.index()] || self.since.get(&task).is_some_and(|since| *since <= line)
    }

    /// What a call says, if it is about such a table; and what is left of one that would give the
    /// caller a table of its own when it has one.
    pub(super) fn own(&self, task: TaskId, line: u32, call: Call<Who>) -> Says {
        match call {
            Call::Files(_) if self.has_own(task, line) => Says::Unexplained(Cause::OwnTable),
            Call::Files(Files::Part(None)) => Says::NotModelled,
            Call::Files(Files::Part(Some((first, last, how)))) => {
                Says::Answer(Call::Files(Files::range(first, last, how)))
            }
            Call::Fork(mut fork) if self.has_own(task, line) => {
                fork.pidfd = None;
                Says::Answer(Call::Fork(fork))
            }
            call => Says::Answer(call),
        }
    }
}

/// Whether nobody else uses the caller's table while the call lasts.
fn is_alone(tasks: &[Task], call: &RawCall) -> bool {
    let proc = tasks[call.task.index()].proc;
    let lives = |task: &Task| {
        task.birth <= call.end && task.death.is_none_or(|death| death.line >= call.start)
    };
    let shares = |(index, task): (usize, &Task)| match task.origin {
        _ if TaskId::at(index) == call.task => {
            matches!(
                task.origin,
                Origin::Fork {
                    makes: Makes::Child | Makes::Sibling,
                    descriptors: Descriptors::Shared,
                    ..
                }
            )
        }
        _ if task.proc == proc => lives(task),
        Origin::Fork { parent, descriptors: Descriptors::Shared, .. } => {
            tasks[parent.index()].proc == proc
        }
        _ => false,
    };
    !tasks.iter().enumerate().any(shares)
}
