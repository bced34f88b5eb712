//! The world at a line of the log, and the calls in flight there.
//!
//! Calls that overlap took effect in some order that the log does not tell. By default an
//! effect is applied at the last line of its window. When an answer needs an effect that is
//! still in its window, the check names it as a [`Pull`], and it is applied early. A question
//! without an effect is asked when its call begins, again after every effect, and at its end.
//! Where the default order would make a call in flight wrong that is right now, that call is
//! applied first: the copy of a descriptor before its source is closed, a parent's setpgid before
//! the child's execve. A fork may have copied the descriptors before or after a call that overlaps
//! it; the first answer about such a number tells.

pub use crate::calls::Cause;

use crate::calls::{
    Call,
    files::Files,
    process::Makes,
    wait::{Outcome, Status},
};
use crate::plan::{CallId, Death, Fate, Origin, Plan, ProcId, Says, TaskId, Who};
use crate::signals::Signals;
use crate::world::{Descriptor, Life, Trouble, World};

/// An effect to apply before its last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// A fork in flight has made its child.
    Birth(TaskId),
    /// A dying thread is gone.
    Thread(TaskId),
    /// All tasks of a dying process are gone.
    Process(ProcId),
    /// A call in flight has had its effect.
    Call(CallId),
    /// A descriptor is what the log implies, whatever was thought of it.
    Adopt(Adoption),
}

/// What the log implies of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adoption {
    /// A process with the table.
    pub proc: ProcId,
    /// The number.
    pub fd: i32,
    /// What it is.
    pub state: Descriptor,
    /// Why that was not known.
    pub reason: Reason,
}

/// Why the state of a descriptor was not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Two orders of overlapping calls leave it different.
    Order,
    /// It comes from outside the log, and is seen for the first time.
    FirstSight,
    /// A call may have given it whose line does not show it.
    Unseen,
}

/// What a check finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel gives the log's answer.
    Agrees,
    /// It does once these effects are applied.
    After(Vec<Pull>),
    /// Whether it does cannot be told.
    Unexplained(Cause),
    /// It does not, in any order.
    Disagrees,
}

/// How an answer was settled that did not disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The kernel gives it.
    Agreed,
    /// Whether it does cannot be told.
    Unexplained(Cause),
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
    /// Signals sent and got.
    pub signals: Signals,
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
        pulls.push(Pull::Call(call));
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

    /// Brings a task to life. What overlapping calls did to the descriptors of the one that forked
    /// may have been copied or not.
    ///
    /// # Errors
    /// As [`World::birth`].
    pub fn birth(&mut self, task: TaskId) -> Result<(), Trouble> {
        let before = self.world.was_born(task);
        self.world.birth(task)?;
        match self.plan.task(task).origin {
            Origin::Fork { call, parent, makes: Makes::Child | Makes::Sibling, .. } if !before => {
                self.doubt_copies(call, parent, task);
            }
            _ => {}
        }
        Ok(())
    }

    fn doubt_copies(&mut self, fork: CallId, parent: TaskId, child: TaskId) {
        let (of, child) = (self.plan.proc_of(parent), self.plan.proc_of(child));
        if self.world.share_table(of, child) {
            return;
        }
        let table = self.world.table(of);
        let mut doubts: Vec<i32> = table.changed_since(self.plan.call(fork).start).collect();
        for (_, files) in self.files_in_flight(of).filter(|(call, _)| *call != fork) {
            doubts.extend(table.changes(files));
        }
        for fd in doubts {
            self.world.table_mut(child).doubt(fd);
        }
    }

    /// Calls in flight that will change the table of a process.
    pub fn files_in_flight(&self, proc: ProcId) -> impl Iterator<Item = (CallId, &'p Files)> {
        let plan = self.plan;
        self.in_flight.iter().filter_map(move |id| match &plan.call(*id).says {
            Says::Answer(call) => {
                let files = call.files().filter(|files| !files.is_question())?;
                self.world.share_table(proc, self.caller(*id)).then_some((*id, files))
            }
            _ => None,
        })
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
