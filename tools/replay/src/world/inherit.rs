//! What a task gets from one that is not its parent to the kernel: from outside the log, from the
//! caller of a CLONE_PARENT, or from a parent that died in the fork.

use super::{Trouble, World, refused};
use crate::plan::{TaskId, Who};
use std::convert::Infallible;

impl World<'_, '_> {
    /// The first task, which runs, becomes who the log's answers say it was.
    pub(super) fn outer_world(&mut self, task: TaskId) -> Result<(), Trouble> {
        let plan = self.plan;
        // It may have led its session, or its group, from the start.
        let own = |who| matches!(who, Some(Who::Task(led)) if led == task);
        if own(plan.outer.session) {
            self.cpu.groups().setsid().map_err(|error| refused("setsid")(error.errno()))?;
        } else if own(plan.outer.pgrp) {
            let own = self.cpu.pid();
            self.cpu
                .groups()
                .setpgid(own, own)
                .map_err(|error| refused("setpgid")(error.errno()))?;
        }
        for (resource, limit) in &plan.outer.limits {
            let set = self.cpu.resources().set_limit(*resource, *limit);
            set.map_err(|error| refused("a limit")(error.errno()))?;
        }
        for change in plan.outer.changes() {
            self.cpu.creds().set(&change).map_err(|error| refused("ids")(error.errno()))?;
        }
        Ok(())
    }

    /// The task that runs gets what `from` has, or had at its end.
    pub(super) fn inherit(&mut self, from: TaskId, task: TaskId) -> Result<(), Trouble> {
        let (giver, proc) = (self.plan.proc_of(from), self.plan.proc_of(task));
        let cred = if self.is_alive(from) {
            self.run(from)?;
            let cred = self.cpu.cred().clone();
            self.run(task)?;
            Some(cred)
        } else {
            self.procs[giver.index()].last_cred.clone()
        };
        if let Some(cred) = cred {
            // No rule is asked: it is born so.
            let born = self.cpu.creds().commit(|_| Ok::<_, Infallible>(cred.clone()));
            born.unwrap_or_else(|never| match never {});
        }
        self.procs[proc.index()].other_ids = self.procs[giver.index()].other_ids;
        self.copied_table(giver, task);
        self.repair_table(proc)
    }
}
