//! Ends in the pass over the lines: of tasks, of calls that never return, of the log.

use super::build::{Builder, OpenCall};
use super::census::ProblemKind;
use super::{Action, Death, Fate, Origin, TaskId};
use crate::calls::kill;
use crate::calls::wait::Status;
use crate::parse::Answer;

impl Builder {
    /// Another line of a task whose call never came back.
    pub(super) fn abandon(&mut self, task: TaskId) {
        if let Some(open) = self.open.remove(&task) {
            self.count(open.name).unanswered += 1;
            self.census.problem(open.line, ProblemKind::NeverResumed);
        }
    }

    pub(super) fn death(&mut self, line: u32, task: TaskId, status: Status) {
        self.census.farewells += 1;
        if let Some(open) = self.open.remove(&task) {
            let kills = kill::NAMES.contains(&self.census.names[open.name.index()].name.as_str());
            match open.modelled {
                // It shows all its arguments from the start: perhaps it has sent the signal.
                Some(OpenCall { call, family, args }) if kills => {
                    self.finish(call, line, family, &args, Answer::None);
                }
                _ => self.count(open.name).unanswered += 1,
            }
        }
        let gone = &mut self.tasks[task.index()];
        gone.death = Some(Death { line, fate: Fate::Ended(status) });
        let number = gone.number;
        self.live.remove(&number);
        self.step(line, task, Action::Death);
    }

    pub(super) fn superseded(&mut self, line: u32, leader: TaskId, by: i32) {
        let thread = match self.live.get(&by) {
            Some(thread) if *thread != leader => *thread,
            _ => {
                return self.census.bad_line(line, ProblemKind::SupersededByStranger(by));
            }
        };
        self.census.farewells += 1;
        if let Some(open) = self.open.remove(&leader) {
            self.count(open.name).unanswered += 1;
        }
        for task in [leader, thread] {
            let gone = &mut self.tasks[task.index()];
            gone.death = Some(Death { line, fate: Fate::Superseded });
            let number = gone.number;
            self.live.remove(&number);
        }
        let number = self.tasks[leader.index()].number;
        let task = self.birth(line, number, Origin::Exec { leader, thread });
        self.step(line, task, Action::Supersede);
        // The execve returns under the new number.
        if let Some(open) = self.open.remove(&thread) {
            if let Some(modelled) = &open.modelled {
                self.calls[modelled.call.index()].task = task;
            }
            self.open.insert(task, open);
        }
    }

    /// Calls still in flight when the log ends.
    pub fn end_of_log(&mut self) {
        let mut open: Vec<_> = self.open.drain().map(|(_, open)| open).collect();
        open.sort_by_key(|open| open.line);
        for open in open {
            self.count(open.name).unanswered += 1;
            self.census.problem(open.line, ProblemKind::NeverResumed);
        }
    }
}
