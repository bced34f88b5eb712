//! Replays a plan: one pass over its steps, every answer compared.

mod ends;
mod outcome;
mod signals;

pub use outcome::{Disagreement, Outcome, Tally};

use crate::calls::Call;
use crate::calls::kill::Found;
use crate::check::{self, Subject};
use crate::plan::{Action, CallId, Plan, Says, Step, TaskId};
use crate::scene::{Adoption, Cause, Pull, Reason, Scene, Settled, Verdict};
use crate::signals::Signals;
use crate::world::{Trouble, World};
use lwproc::{EnterError, Kernel};

/// Most disagreements kept; the rest are only counted.
const LISTED: usize = 1000;

/// How often progress is told, in steps.
const PROGRESS_STEPS: usize = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Ahead,
    Begun,
    Settled,
}

struct Replay<'p, 'k> {
    scene: Scene<'p, 'k>,
    progress: Vec<Progress>,
    /// Questions in flight that did not agree yet.
    unsettled: Vec<CallId>,
    /// Tasks whose lines were reported as impossible already.
    reported: Vec<bool>,
    outcome: Outcome,
}

/// Replays a plan on this thread; `tick` is told the line now and then.
///
/// # Errors
/// When this thread has entered the kernel already.
pub fn replay(
    plan: &Plan,
    kernel: &Kernel,
    mut tick: impl FnMut(u32),
) -> Result<Outcome, EnterError> {
    let scene = Scene {
        plan,
        world: World::new(plan, kernel)?,
        now: 0,
        in_flight: Vec::new(),
        outer_parent: None,
        signals: Signals::new(plan.tasks.len(), plan.procs.len()),
    };
    let mut replay = Replay {
        scene,
        progress: vec![Progress::Ahead; plan.calls.len()],
        unsettled: Vec::new(),
        reported: vec![false; plan.tasks.len()],
        outcome: Outcome {
            calls: vec![Tally::default(); plan.census.names.len()],
            ..Outcome::default()
        },
    };
    for (index, step) in plan.steps.iter().enumerate() {
        replay.step(*step);
        if index % PROGRESS_STEPS == 0 {
            tick(step.line);
        }
    }
    Ok(replay.finish())
}

impl Replay<'_, '_> {
    fn step(&mut self, step: Step) {
        self.scene.now = step.line;
        match step.action {
            Action::Appear | Action::Supersede => self.birth(step.task),
            Action::Death => self.death(step.task),
            Action::Quiet => drop(self.arrive(step.task)),
            Action::Line => {
                if self.arrive(step.task) {
                    self.shows_life(step.task);
                }
            }
            Action::Signal(delivery) => {
                if self.arrive(step.task) {
                    self.delivered(step.task, delivery);
                }
            }
            Action::Begin(call) => {
                if self.arrive(step.task) {
                    self.begin(call);
                }
            }
            Action::End(call) => {
                if self.progress[call.index()] == Progress::Settled {
                    self.answered(call);
                } else if self.arrive(step.task) {
                    self.answered(call);
                    self.end(call);
                }
            }
            Action::Whole(call) => {
                if self.arrive(step.task) {
                    self.answered(call);
                    self.end(call);
                }
            }
        }
    }

    /// Switches to the task of a line; false when it cannot write one.
    fn arrive(&mut self, task: TaskId) -> bool {
        match self.scene.world.run(task) {
            Ok(()) => true,
            Err(trouble) => {
                // A task that was ended early may still have lines to write before its `+++`.
                let (now, planned) = (self.scene.now, self.scene.plan.task(task));
                let leaving = self.scene.world.was_born(task)
                    && planned.dying_from <= now
                    && planned.death.is_some_and(|death| now <= death.line);
                if !leaving {
                    self.break_off(task, "a line", trouble);
                }
                false
            }
        }
    }

    fn break_off(&mut self, task: TaskId, asked: &str, trouble: Trouble) {
        self.outcome.broken += 1;
        // One line of a dead task is news, the next thousand are not.
        if !std::mem::replace(&mut self.reported[task.index()], true) {
            self.disagree(task, asked, trouble.to_string());
        }
    }

    fn disagree(&mut self, task: TaskId, asked: &str, what: String) {
        if self.outcome.disagreements.len() < LISTED {
            self.outcome.disagreements.push(Disagreement {
                line: self.scene.now,
                task: self.scene.plan.task(task).number,
                asked: asked.to_owned(),
                what,
            });
        }
    }

    fn birth(&mut self, task: TaskId) {
        match self.scene.birth(task) {
            Ok(()) => self.effect(Subject::Tasks),
            Err(trouble) => self.break_off(task, "birth", trouble),
        }
    }

    fn begin(&mut self, call: CallId) {
        let Says::Answer(asked) = &self.scene.plan.call(call).says else {
            return;
        };
        self.progress[call.index()] = Progress::Begun;
        if !check::is_question(asked) {
            self.scene.in_flight.push(call);
        } else if !self.settle_if_agrees(call) {
            self.scene.in_flight.push(call);
            self.unsettled.push(call);
        }
    }

    fn end(&mut self, call: CallId) {
        let plan = self.scene.plan;
        let planned = plan.call(call);
        match planned.says {
            Says::Answer(_) => {}
            Says::Unexplained(cause) => return self.count(call, Ok(Settled::Unexplained(cause))),
            Says::NotModelled | Says::Nothing => return,
        }
        let cause = match check::verdict(&mut self.scene, call) {
            Verdict::After(pulls) => {
                let cause = self.pull_all(&pulls);
                if !self.arrive(planned.task) {
                    return;
                }
                cause
            }
            Verdict::Agrees | Verdict::Unexplained(_) | Verdict::Disagrees => None,
        };
        // What this call would make wrong came before it.
        while let Some(earlier) = check::overtaken_by(&self.scene, call) {
            self.pull_all(&earlier);
            if !self.arrive(planned.task) {
                return;
            }
        }
        self.settle_now(call, cause);
    }

    /// Applies effects early. Why the log does not show them, if it does not.
    fn pull_all(&mut self, pulls: &[Pull]) -> Option<Cause> {
        let (mut cause, mut reordered) = (None, false);
        for pull in pulls {
            match pull {
                Pull::Adopt(Adoption { reason: Reason::FirstSight, .. }) => {
                    cause = Some(Cause::OuterDescriptor);
                }
                Pull::Adopt(Adoption { reason: Reason::Unseen, .. }) => {
                    cause = Some(Cause::UnseenDescriptor);
                }
                _ => reordered = true,
            }
            self.pull(*pull);
        }
        self.outcome.reordered += u64::from(reordered);
        cause
    }

    /// Takes a question's answer when it agrees as things stand.
    fn settle_if_agrees(&mut self, call: CallId) -> bool {
        let agrees = check::verdict(&mut self.scene, call) == Verdict::Agrees;
        if agrees {
            self.settle_now(call, None);
        }
        agrees
    }

    /// Applies a call and counts its answer, for good.
    fn settle_now(&mut self, call: CallId, cause: Option<Cause>) {
        // A question may have been answered by what was applied for its sake.
        let before = std::mem::replace(&mut self.progress[call.index()], Progress::Settled);
        if before == Progress::Settled {
            return;
        }
        self.scene.in_flight.retain(|other| *other != call);
        self.unsettled.retain(|other| *other != call);
        let plan = self.scene.plan;
        let planned = plan.call(call);
        let Says::Answer(asked) = &planned.says else {
            return;
        };
        match asked {
            Call::Exit(_) => return,
            // Nothing is compared with it; what it may have sent is.
            Call::Kill(kill) if kill.found == Found::Unanswered => {
                let _sent = check::act(&mut self.scene, call);
                return self.effect(check::subject(asked));
            }
            _ => {}
        }
        let found = match check::verdict(&mut self.scene, call) {
            Verdict::Agrees => check::act(&mut self.scene, call),
            Verdict::Unexplained(cause) => Ok(Settled::Unexplained(cause)),
            Verdict::After(_) | Verdict::Disagrees => Err(check::describe(&mut self.scene, call)),
        };
        let first_sight = planned.first_sight.then_some(Cause::OuterValue);
        let found = found.map(|settled| match (settled, cause.or(first_sight)) {
            (Settled::Agreed, Some(cause)) => Settled::Unexplained(cause),
            (settled, _) => settled,
        });
        self.count(call, found);
        if !check::is_question(asked) {
            self.effect(check::subject(asked));
        }
    }

    fn count(&mut self, call: CallId, found: Result<Settled, String>) {
        let planned = self.scene.plan.call(call);
        let tally = &mut self.outcome.calls[planned.name.index()];
        if let Ok(Settled::Unexplained(cause)) = found {
            tally.unexplained += 1;
            *self.outcome.unexplained.entry(cause).or_default() += 1;
            return;
        }
        tally.add(&found);
        if let Err(what) = found {
            let asked = &self.scene.plan.census.names[planned.name.index()].name;
            self.disagree(planned.task, asked, what);
        }
    }

    /// Something changed: ask the open questions that it may concern again.
    fn effect(&mut self, subject: Subject) {
        let mut open = std::mem::take(&mut self.unsettled);
        let plan = self.scene.plan;
        open.retain(|call| {
            let planned = plan.call(*call);
            let concerns = match &planned.says {
                // Births, ends and new images change everything.
                Says::Answer(asked) => {
                    subject == Subject::Tasks || check::subject(asked) == subject
                }
                Says::Unexplained(_) | Says::NotModelled | Says::Nothing => false,
            };
            let settled = concerns
                && self.scene.world.run(planned.task).is_ok()
                && self.settle_if_agrees(*call);
            !settled
        });
        self.unsettled = open;
    }

    fn pull(&mut self, pull: Pull) {
        match pull {
            Pull::Birth(task) => self.birth(task),
            Pull::Thread(task) => self.retire(task),
            Pull::Process(proc) => self.retire_process(proc),
            Pull::Call(call) => {
                if self.arrive(self.scene.plan.call(call).task) {
                    self.settle_now(call, None);
                } else {
                    // Whoever called is gone, and the call with it.
                    self.scene.in_flight.retain(|other| *other != call);
                }
            }
            Pull::Adopt(Adoption { proc, fd, state, reason }) => {
                let world = &mut self.scene.world;
                let adopted = match reason {
                    Reason::Order | Reason::Unseen => world.adopt(proc, fd, state),
                    Reason::FirstSight => world.adopt_from_outside(proc, fd, state),
                };
                if let Err(trouble) = adopted {
                    let task = self.scene.plan.proc(proc).leader;
                    self.break_off(task, "a descriptor", trouble);
                }
            }
        }
    }

    fn finish(mut self) -> Outcome {
        self.scene.now = self.scene.plan.last_line();
        match self.scene.world.release_all() {
            Ok(alive) => self.outcome.alive_at_end = alive,
            Err(trouble) => self.break_off(TaskId::at(0), "release at the end", trouble),
        }
        self.outcome.switches = self.scene.world.switches();
        self.outcome
    }
}
