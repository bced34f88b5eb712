//! Signals that come, what comes after one that kills, and deaths by signals.

use super::Replay;
use crate::calls::Call;
use crate::calls::kill::{self, Found};
use crate::calls::process::Scope;
use crate::calls::wait::Status;
use crate::check;
use crate::plan::{CallId, Death, DeliveryId, Fate, Says, Sender, TaskId};
use crate::scene::{Cause, Pull, Settled};
use crate::signals::{SIGKILL, Way};

/// Signals that the system may kill with before anybody is told: SIGILL, SIGTRAP, SIGBUS, SIGFPE,
/// SIGKILL, SIGSEGV, SIGXCPU, SIGSYS.
const FORCED: [u8; 8] = [4, 5, 7, 8, SIGKILL, 11, 24, 31];

/// Signals that the system sends a process in its own name: SIGPIPE and SIGXFSZ.
const IN_ITS_OWN_NAME: [u8; 2] = [13, 25];

impl Replay<'_, '_> {
    /// The call on this line has an answer, or none.
    pub(super) fn answered(&mut self, call: CallId) {
        let planned = self.scene.plan.call(call);
        let silent = match &planned.says {
            Says::Nothing | Says::Answer(Call::Exit(_)) => true,
            Says::Answer(Call::Kill(kill)) => kill.found == Found::Unanswered,
            _ => false,
        };
        if !silent {
            self.shows_life(planned.task);
        }
    }

    /// The task goes on: no signal was its end, and none that always kills has come.
    pub(super) fn shows_life(&mut self, task: TaskId) {
        self.scene.signals.survived(task);
        let proc = self.scene.plan.proc_of(task);
        if self.scene.signals.killed(proc).is_some_and(|line| self.scene.now > line) {
            self.scene.signals.forget_kill(proc);
            self.outcome.signals.disagreed += 1;
            self.disagree(task, "---", "it goes on after SIGKILL".to_owned());
        }
    }

    /// A `---` line: the sender has sent it, and the kernel gives it.
    pub(super) fn delivered(&mut self, task: TaskId, delivery: DeliveryId) {
        self.shows_life(task);
        let plan = self.scene.plan;
        let delivery = *plan.delivery(delivery);
        let found = match delivery.from {
            Sender::System => None,
            Sender::Outside => Some(Ok(Settled::Unexplained(Cause::OuterProcess))),
            Sender::Process(from) => self.came(task, from, delivery.signal),
        };
        self.scene.signals.got(task, delivery.signal);
        match found {
            None => {}
            Some(Ok(Settled::Unexplained(cause))) => {
                self.outcome.signals.unexplained += 1;
                *self.outcome.unexplained.entry(cause).or_default() += 1;
            }
            Some(found) => {
                self.outcome.signals.add(&found);
                if let Err(what) = found {
                    self.disagree(task, "---", what);
                }
            }
        }
    }

    /// What a signal says that has a process of the log for its sender; nothing, if the system
    /// made it.
    fn came(&mut self, task: TaskId, from: i32, signal: u8) -> Option<Result<Settled, String>> {
        self.pull_signal(task, signal, Some(from));
        let plan = self.scene.plan;
        let way = Way { from, to: plan.proc_of(task), signal };
        let owed = self.scene.signals.came(way);
        let own = plan.task(plan.proc(way.to).leader).number == from;
        if !owed && own && IN_ITS_OWN_NAME.contains(&signal) {
            return None;
        }
        Some(match (owed, self.scene.world.pends(i32::from(signal))) {
            (true, true) => match self.scene.world.take_signal(i32::from(signal)) {
                true => Ok(Settled::Agreed),
                false => Err("the kernel gives another signal".to_owned()),
            },
            (true, false) => Ok(Settled::Unexplained(Cause::MergedSignal)),
            // If one pends, it is another sender's.
            (false, _) => self.unsent(task, from),
        })
    }

    /// A signal that no call of its sender explains.
    fn unsent(&self, task: TaskId, from: i32) -> Result<Settled, String> {
        let plan = self.scene.plan;
        let mut names = plan.census.names.iter();
        let logged = names.any(|name| kill::NAMES.contains(&name.name.as_str()));
        let mut senders = plan.procs.iter().filter(|proc| plan.task(proc.leader).number == from);
        let otherwise = plan.proc(plan.proc_of(task)).has_other_signals
            || senders.any(|proc| proc.has_other_signals);
        if logged && !otherwise {
            Err(format!("{from} has not sent it"))
        } else {
            Ok(Settled::Unexplained(Cause::OuterSignal))
        }
    }

    /// Sends what is in flight, until this signal pends; the context is the task's afterwards.
    fn pull_signal(&mut self, task: TaskId, signal: u8, from: Option<i32>) {
        for (call, number) in check::signals_for(&self.scene, task) {
            let plan = self.scene.plan;
            let sender = plan.task(plan.proc(self.scene.caller(call)).leader).number;
            if self.scene.world.pends(i32::from(signal)) {
                break;
            }
            if number == i32::from(signal) && from.is_none_or(|from| from == sender) {
                self.pull_all(&[Pull::Call(call)]);
                if !self.arrive(task) {
                    return;
                }
            }
        }
    }

    /// Signals in flight for a task that is about to end, and its own: they found it alive.
    fn settle_signals(&mut self, task: TaskId) {
        let plan = self.scene.plan;
        let own = |call: &CallId| {
            plan.call(*call).task == task
                && matches!(&plan.call(*call).says, Says::Answer(Call::Kill(kill)) if !kill.is_question())
        };
        let own: Vec<_> = self.scene.in_flight.iter().copied().filter(own).collect();
        let for_it = check::signals_for(&self.scene, task).into_iter().map(|(call, _)| call);
        for call in for_it.chain(own).collect::<Vec<_>>() {
            if self.arrive(plan.call(call).task) {
                self.settle_if_agrees(call);
            }
        }
    }

    /// What explains the end that the log shows of a task that still lives.
    pub(super) fn look_at_end(&mut self, task: TaskId) {
        let planned = self.scene.plan.task(task);
        let Some(Death { fate: Fate::Ended(status), .. }) = planned.death else {
            return;
        };
        if self.scene.signals.has_end(task) {
            return;
        }
        self.settle_signals(task);
        if self.scene.world.run(task).is_err() {
            return;
        }
        let found = match status {
            Status::Exited(_) => self.exits(task),
            Status::Killed { signal, .. } => self.dies(task, signal),
        };
        self.scene.signals.ends(task, found);
    }

    /// Whether SIGKILL should have kept it from an end of its own: none had begun then.
    fn exits(&mut self, task: TaskId) -> Result<Settled, String> {
        let plan = self.scene.plan;
        let proc = plan.proc_of(task);
        let Some(killed) = self.scene.signals.killed(proc) else {
            return Ok(Settled::Agreed);
        };
        let begun = |other: &TaskId| {
            plan.task(*other).exits.is_some_and(|(line, scope)| {
                line <= killed && (*other == task || scope == Scope::Process)
            })
        };
        if plan.proc(proc).tasks.iter().any(begun) {
            return Ok(Settled::Agreed);
        }
        self.scene.signals.forget_kill(proc);
        Err("it ends otherwise after SIGKILL".to_owned())
    }

    fn dies(&mut self, task: TaskId, signal: u8) -> Result<Settled, String> {
        let plan = self.scene.plan;
        let proc = plan.proc_of(task);
        if let Some(settled) = self.scene.signals.died(proc, signal) {
            return Ok(settled);
        }
        self.pull_signal(task, signal, None);
        let told = plan.proc(proc).tasks.iter().any(|t| self.scene.signals.was_last(*t, signal));
        let settled = if told {
            Settled::Agreed
        } else if signal != SIGKILL && self.scene.signals.killed(proc).is_some() {
            return Err("it ends otherwise after SIGKILL".to_owned());
        } else if self.scene.world.pends(i32::from(signal)) {
            match self.scene.world.take_signal(i32::from(signal)) {
                true => Settled::Agreed,
                false => return Err("the kernel gives another signal".to_owned()),
            }
        } else if FORCED.contains(&signal) || plan.census.signals == 0 {
            Settled::Unexplained(Cause::OuterSignal)
        } else {
            return Err("no such signal has come".to_owned());
        };
        self.scene.signals.dies(proc, signal, settled);
        Ok(settled)
    }
}
