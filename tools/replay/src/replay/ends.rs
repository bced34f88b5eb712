//! Ends of tasks, and what their `+++` lines say.

use super::Replay;
use crate::check::{self, Subject};
use crate::plan::{Death, Fate, ProcId, TaskId};
use crate::scene::{Pull, Settled};
use crate::world::Trouble;

impl Replay<'_, '_> {
    /// The task that bears the pid leaves last: its status is the process's.
    pub(super) fn retire_process(&mut self, proc: ProcId) {
        let last = self.scene.plan.proc(proc).bearer;
        for task in &self.scene.plan.proc(proc).tasks {
            if *task != last && self.scene.world.is_alive(*task) {
                self.retire(*task);
            }
        }
        if self.scene.world.is_alive(last) {
            self.retire(last);
        }
    }

    pub(super) fn retire(&mut self, task: TaskId) {
        let proc = self.scene.plan.proc_of(task);
        if self.scene.world.nlwps(proc) == 1 {
            // What changed the process came before its end.
            while let Some(earlier) = check::concerns(&self.scene, proc) {
                self.pull_all(&[Pull::Call(earlier)]);
            }
        }
        self.look_at_end(task);
        let status = self.scene.leaving_status(task);
        match self.scene.world.retire(task, status) {
            Ok(()) => self.effect(Subject::Tasks),
            Err(trouble) => self.break_off(task, "exit", trouble),
        }
    }

    /// A `+++` line.
    pub(super) fn death(&mut self, task: TaskId) {
        if self.scene.world.is_alive(task) {
            self.look_at_end(task);
        }
        let by_signal = self.scene.signals.end(task).unwrap_or(Ok(Settled::Agreed));
        match self.farewell(task).and(by_signal) {
            Ok(Settled::Unexplained(cause)) => {
                self.outcome.ends.unexplained += 1;
                *self.outcome.unexplained.entry(cause).or_default() += 1;
            }
            found => {
                self.outcome.ends.add(&found);
                if let Err(what) = found {
                    self.disagree(task, "+++", what);
                }
            }
        }
        if self.scene.world.is_alive(task) {
            self.retire(task);
        }
    }

    fn farewell(&mut self, task: TaskId) -> Result<(), String> {
        let plan = self.scene.plan;
        if !self.scene.world.was_born(task) {
            return Err(Trouble::NotAlive.to_string());
        }
        if self.scene.world.is_alive(task) {
            // Who left before is freed when the context moves here.
            self.scene.world.run(task).map_err(|trouble| trouble.to_string())?;
        }
        let left_with = self.scene.leaving_status(task);
        match plan.task(task).death {
            Some(Death { fate: Fate::Ended(status), .. }) if status != left_with => {
                return Err(format!("the log says {status}, the task left with {left_with}"));
            }
            _ => {}
        }
        let proc = plan.proc_of(task);
        let lwps = self.scene.world.nlwps(proc);
        if task == plan.proc(proc).bearer && self.scene.world.is_alive(task) && lwps != 1 {
            return Err(format!("the process ends while the kernel counts {lwps} LWPs"));
        }
        if task == plan.proc(proc).bearer && self.scene.world.is_alive(task) {
            check::same_descriptors(&mut self.scene, proc)?;
        }
        Ok(())
    }
}
