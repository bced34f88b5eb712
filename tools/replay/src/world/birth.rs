//! How a task comes to be an LWP: as its origin in the log says.

use super::{Stage, TaskState, Trouble, World, refused};
use crate::calls::process::{Descriptors, Makes};
use crate::calls::wait::Status;
use crate::plan::{Origin, TaskId};
use lwproc::{Lid, Rfork};

impl World<'_, '_> {
    /// Brings a task to life, as its origin says.
    ///
    /// # Errors
    /// When the kernel refuses, or gives numbers that do not fit.
    pub fn birth(&mut self, task: TaskId) -> Result<(), Trouble> {
        if self.was_born(task) {
            return Ok(());
        }
        match self.plan.task(task).origin {
            Origin::Root => {
                self.fork_from_outside(task)?;
                self.first_table(task)?;
                self.outer_world(task)
            }
            Origin::Stray => {
                self.fork_from_init(task)?;
                self.first_table(task)?;
                self.outer_world(task)
            }
            Origin::Fork { parent, makes: Makes::Thread, .. } => self.thread(parent, task),
            Origin::Fork { parent, makes: Makes::Child, descriptors, .. } => {
                if self.is_alive(parent) {
                    self.fork_from(parent, task, descriptors)
                } else {
                    // Its parent died in the fork: init has adopted it.
                    self.fork_from_init(task)?;
                    self.inherit(parent, task)
                }
            }
            Origin::Fork { parent, makes: Makes::Sibling, .. } => {
                let grandparent = self.plan.proc(self.plan.proc_of(parent)).parent;
                match grandparent.and_then(|proc| self.runnable_in(proc)) {
                    Some(runs) => self.fork_from(runs, task, Descriptors::Copied)?,
                    None => self.fork_from_init(task)?,
                }
                self.inherit(parent, task)
            }
            Origin::Exec { leader, thread } => self.take_over(leader, thread, task),
        }
    }

    /// A child of the process of `parent`, which is alive; the context is the child's afterwards.
    fn fork_from(
        &mut self,
        parent: TaskId,
        child: TaskId,
        descriptors: Descriptors,
    ) -> Result<(), Trouble> {
        self.run(parent)?;
        let (of, born) = (self.plan.proc_of(parent), self.plan.proc_of(child));
        let share = match descriptors {
            Descriptors::Copied => Rfork::Copy,
            Descriptors::Shared => Rfork::Share,
        };
        self.fork_here(share, child)?;
        match descriptors {
            Descriptors::Copied => self.copied_table(of, child),
            Descriptors::Shared => self.shared_table(of, child),
        }
        self.procs[born.index()].other_ids = self.procs[of.index()].other_ids;
        let siblings = &mut self.procs[of.index()].children;
        siblings.push(born);
        self.procs[born.index()].place = siblings.len() - 1;
        if self.cpu.ppid() == self.pid(of) { Ok(()) } else { Err(Trouble::WrongParent) }
    }

    fn fork_from_init(&mut self, child: TaskId) -> Result<(), Trouble> {
        self.run_init()?;
        self.fork_here(Rfork::Fresh, child)
    }

    /// The first task: its parent made the session and the group that it was started in, and is
    /// gone. Another child keeps them: they outlast the first task's stay.
    fn fork_from_outside(&mut self, child: TaskId) -> Result<(), Trouble> {
        self.run_init()?;
        self.cpu.rfork(Rfork::Fresh).map_err(|error| refused("rfork")(error.errno()))?;
        let led = self.cpu.groups().setsid().map_err(|error| refused("setsid")(error.errno()))?;
        self.outer_group = led;
        let forked = self.cpu.rfork(Rfork::Fresh);
        let parent = forked.map_err(|error| refused("rfork")(error.errno()))?;
        let parent = parent.ok_or(Trouble::NoParent)?;
        let keeper = self.cpu.switch(parent).map_err(|error| refused("switch")(error.errno()))?;
        self.keeper = keeper;
        // The parent's LWP is nobody's, and released.
        self.fork_here(Rfork::Fresh, child)
    }

    /// `rfork` from the LWP that runs; the context is the child's afterwards.
    fn fork_here(&mut self, share: Rfork, child: TaskId) -> Result<(), Trouble> {
        let old = self.cpu.rfork(share).map_err(|error| refused("rfork")(error.errno()))?;
        self.arrived(Some(child), old);
        let lid = self.born(child)?;
        if lid.0 == self.cpu.pid().0 { Ok(()) } else { Err(Trouble::FirstLwp) }
    }

    fn thread(&mut self, parent: TaskId, task: TaskId) -> Result<(), Trouble> {
        let proc = self.plan.proc_of(parent);
        let runs = if self.is_alive(parent) { Some(parent) } else { self.runnable_in(proc) };
        self.run(runs.ok_or(Trouble::NoParent)?)?;
        let old = self.become_new_lwp(self.pid(proc))?;
        self.arrived(Some(task), old);
        self.born(task).map(drop)
    }

    /// The context runs a new LWP: book it under its task.
    fn born(&mut self, task: TaskId) -> Result<Lid, Trouble> {
        let pid = self.cpu.pid();
        let lid = self.cpu.lid().ok_or(Trouble::NotAlive)?;
        self.tasks[task.index()] = TaskState { stage: Stage::Running, lid, pid };
        self.procs[self.plan.proc_of(task).index()].live += 1;
        let before = self.bearers.insert(lid.0, task);
        if before.is_some_and(|before| self.is_alive(before)) {
            return Err(Trouble::NumberTwice);
        }
        Ok(lid)
    }

    /// A thread's execve: the leader goes, and a new LWP bears the pid instead of the thread's.
    fn take_over(&mut self, leader: TaskId, thread: TaskId, task: TaskId) -> Result<(), Trouble> {
        if self.is_alive(leader) {
            self.retire(leader, Status::Exited(0))?;
        }
        self.run(thread)?;
        self.thread(thread, task)?;
        self.retire(thread, Status::Exited(0))?;
        self.run(task)?;
        if self.lid(task).0 == self.cpu.pid().0 { Ok(()) } else { Err(Trouble::NoTakeOver) }
    }
}
