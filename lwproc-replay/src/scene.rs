//! The world at a line of the log, and the calls in flight there.
//!
//! Calls that overlap took effect in some order that the log does not tell. By default an
//! effect is applied at the last line of its window. When an answer needs an effect that is
//! still in its window, the check names it as a [`Pull`], and it is applied early. A question
//! without an effect is asked when its call begins, again after every effect, and at its end.

use crate::calls::{
    Call,
    wait::{Outcome, Status},
};
use crate::plan::{CallId, Death, Fate, Origin, Plan, ProcId, Says, TaskId, Who};
use crate::world::{Life, World};

/// An effect to apply before its last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// A fork in flight has made its child.
    Birth(TaskId),
    /// A dying thread is gone.
    Thread(TaskId),
    /// All tasks of a dying process are gone.
    Process(ProcId),
    /// A wait in flight has reaped its child.
    Reap(CallId),
}

/// What a check finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel gives the log's answer.
    Agrees,
    /// It does once these effects are applied.
    After(Vec<Pull>),
    /// It does not, in any order.
    Disagrees,
}

impl Verdict {
    /// `Agrees` or `Disagrees`.
    pub fn of(agrees: bool) -> Self {
        if agrees { Self::Agrees } else { Self::Disagrees }
    }

    /// Agrees, agrees after the pull if there is one, or disagrees.
    pub fn or_after(agrees: bool, pulls: impl FnOnce() -> Option<Vec<Pull>>) -> Self {
        match agrees {
            true => Self::Agrees,
            false => pulls().map_or(Self::Disagrees, Self::After),
        }
    }
}

/// The world at a line.
#[derive(Debug)]
pub struct Scene<'p, 'k> {
    /// The log.
    pub plan: &'p Plan,
    /// The kernel's side.
    pub world: World<'p, 'k>,
    /// The line.
    pub now: u32,
    /// Calls with an answer that have begun, not ended and not been applied.
    pub in_flight: Vec<CallId>,
    /// Number of the root's parent, once the log has told it.
    pub outer_parent: Option<i32>,
}

impl<'p, 'k> Scene<'p, 'k> {
    /// The process that makes a call.
    pub fn caller(&self, call: CallId) -> ProcId {
        self.plan.proc_of(self.plan.call(call).task)
    }

    /// Whether the task lives and may already be ending.
    pub fn is_dying(&self, task: TaskId) -> bool {
        let planned = self.plan.task(task);
        let ends = matches!(planned.death, Some(Death { fate: Fate::Ended(_), .. }));
        ends && planned.dying_from <= self.now && self.world.is_alive(task)
    }

    /// Whether the log has told the parent of this process's end: strace shows a zombie to its
    /// parent only after it has printed the `+++` line.
    pub fn is_announced(&self, proc: ProcId) -> bool {
        self.plan.ended(proc).is_none_or(|(line, _)| line <= self.now)
    }

    /// What makes the process a zombie, if anything in flight does; empty if it is one.
    pub fn pull_death(&self, proc: ProcId) -> Option<Vec<Pull>> {
        match self.world.life(proc) {
            Life::Zombie => Some(Vec::new()),
            Life::Unknown => None,
            Life::Alive => {
                let mut live =
                    self.plan.proc(proc).tasks.iter().filter(|t| self.world.is_alive(**t));
                live.all(|task| self.is_dying(*task)).then(|| vec![Pull::Process(proc)])
            }
        }
    }

    /// What makes a live or dead process vanish, if anything in flight does.
    pub fn pull_reap(&self, proc: ProcId) -> Option<Vec<Pull>> {
        let reaps = |call: &CallId| match self.plan.call(*call).says {
            Says::Answer(Call::Wait(wait)) => match wait.outcome {
                Outcome::Reaped(Who::Task(child), _) => self.plan.proc_of(child) == proc,
                _ => false,
            },
            _ => false,
        };
        let call = self.in_flight.iter().copied().find(reaps)?;
        let mut pulls = self.pull_death(proc)?;
        pulls.push(Pull::Reap(call));
        Some(pulls)
    }

    /// What brings a task to life, if anything in flight does.
    pub fn pull_birth(&self, task: TaskId) -> Option<Vec<Pull>> {
        match self.plan.task(task).origin {
            Origin::Fork { call, .. } if !self.world.was_born(task) => {
                self.in_flight.contains(&call).then(|| vec![Pull::Birth(task)])
            }
            _ => None,
        }
    }

    /// The status with which a task leaves: the code of the exit call where there is one, so
    /// that the `+++` line and the parent's wait are compared with it.
    pub fn leaving_status(&self, task: TaskId) -> Status {
        let planned = self.plan.task(task);
        let fate = match planned.death {
            Some(Death { fate: Fate::Ended(status), .. }) => status,
            _ => Status::Exited(0),
        };
        match (fate, self.plan.proc(planned.proc).group_exit.or(planned.exit_code)) {
            (Status::Exited(_), Some(code)) => Status::Exited(code),
            (fate, _) => fate,
        }
    }
}
