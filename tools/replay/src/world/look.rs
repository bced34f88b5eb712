//! What the kernel has, by the names of the log.

use super::{INIT, Life, NOBODY, World};
use crate::plan::{ProcId, TaskId, Who};
use lwproc::{Lid, Pid};

impl World<'_, '_> {
    /// The kernel's number of a task's LWP, kept after its end.
    pub fn lid(&self, task: TaskId) -> Lid {
        self.tasks[task.index()].lid
    }

    /// The kernel's number of a process, kept after its end.
    pub fn pid(&self, proc: ProcId) -> Pid {
        self.tasks[self.plan.proc(proc).leader.index()].pid
    }

    /// The kernel's number for whom the log names.
    pub fn number(&self, who: Who) -> Pid {
        match who {
            Who::Task(task) => Pid(self.lid(task).0),
            Who::Outside(1) => INIT,
            Who::Outside(negative @ ..=-1) => Pid(negative),
            Who::Outside(_) => NOBODY,
        }
    }

    /// The kernel's number of the group that the log names.
    pub fn group_number(&self, named: Who) -> Pid {
        match named {
            Who::Task(task) => self.pid(self.plan.proc_of(task)),
            Who::Outside(_) if self.plan.outer.pgrp == Some(named) => self.outer_group,
            Who::Outside(negative @ ..=-1) => Pid(negative),
            Who::Outside(_) => NOBODY,
        }
    }

    /// Whether a process has become another program.
    pub fn has_execed(&self, proc: ProcId) -> bool {
        self.procs[proc.index()].execed
    }

    /// Whether the kernel's ids of a process are those that the log implies.
    pub fn has_same_ids(&self, proc: ProcId) -> bool {
        !self.procs[proc.index()].other_ids
    }

    /// Capabilities made the ids of a process other than the kernel has them.
    pub fn has_other_ids(&mut self, proc: ProcId) {
        self.procs[proc.index()].other_ids = true;
    }

    /// The kernel's number of the group and of the session that the first task was started in.
    pub fn outer_group(&self) -> Pid {
        self.outer_group
    }

    /// The children of a process that live or wait to be reaped.
    pub fn children(&self, proc: ProcId) -> &[ProcId] {
        &self.procs[proc.index()].children
    }

    /// What the kernel knows about a process.
    pub fn life(&self, proc: ProcId) -> Life {
        let guard = self.kernel.pin();
        match guard.proc(self.pid(proc)) {
            Some(found) if found.nlwps() == 0 => Life::Zombie,
            Some(_) => Life::Alive,
            None => Life::Unknown,
        }
    }

    /// Whether the kernel knows a process of the number that the log names.
    pub fn exists(&self, who: Who) -> bool {
        let guard = self.kernel.pin();
        guard.proc(self.number(who)).is_some()
    }

    /// Whether a process has ended as an orphan. Who has adopted it reaps it at some time, which
    /// the log does not tell; the kernel's init does at once.
    pub fn ended_as_orphan(&self, proc: ProcId) -> bool {
        self.procs[proc.index()].orphan_in.is_some() && self.life(proc) == Life::Unknown
    }

    /// Whether one has in this group.
    pub fn has_lost_orphans(&self, group: Pid) -> bool {
        self.procs.iter().any(|proc| proc.orphan_in == Some(group))
    }

    /// The kernel's number of a process's parent.
    pub fn ppid(&self, proc: ProcId) -> Option<Pid> {
        let guard = self.kernel.pin();
        guard.proc(self.pid(proc)).map(|found| found.ppid())
    }

    /// The kernel's number of a process's group.
    pub fn pgid(&self, proc: ProcId) -> Option<Pid> {
        let guard = self.kernel.pin();
        guard.proc(self.pid(proc)).and_then(|found| found.pgid())
    }

    /// How many LWPs the kernel counts in a process.
    pub fn nlwps(&self, proc: ProcId) -> usize {
        let guard = self.kernel.pin();
        guard.proc(self.pid(proc)).map_or(0, |found| found.nlwps() as usize)
    }

    /// How the log calls a number of the kernel's, for messages.
    pub fn describe(&self, number: i32) -> String {
        match self.bearers.get(&number) {
            Some(task) => self.plan.task(*task).number.to_string(),
            None if number == INIT.0 => "init".to_owned(),
            None => format!("kernel number {number}"),
        }
    }
}
