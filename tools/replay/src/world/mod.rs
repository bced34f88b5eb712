//! The traced tasks as LWPs of a kernel, driven from one host thread.
//!
//! This is the only module that creates, switches and releases LWPs.

mod birth;
mod bits;
mod descriptors;
mod inherit;
mod limit;
mod look;
mod needs;
mod signals;
mod table;

pub use descriptors::Answer;
pub use limit::FdLimit;
pub use needs::Need;
pub use table::{Descriptor, Known, Table, closed_by};

use crate::calls::wait::Status;
use crate::plan::{Plan, ProcId, TaskId};
use lwproc::{CoreDump, Cred, Entered, Errno, ExitStatus, Kernel, Lid, Lwp, Pid};
use std::collections::HashMap;
use std::fmt;

/// A number that no process bears: the kernel's ids grow from 1.
const NOBODY: Pid = Pid(i32::MAX);

/// The process that adopts orphans.
pub const INIT: Pid = Pid(1);

/// Why a task could not do what the log says it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The kernel refused an operation.
    Refused(&'static str, Errno),
    /// The task has ended, or was never born.
    NotAlive,
    /// Who should give birth is not alive.
    NoParent,
    /// A new process whose first LWP does not bear its number.
    FirstLwp,
    /// A new process whose parent is not the one that forked.
    WrongParent,
    /// The kernel gave out a number that a live task bears.
    NumberTwice,
    /// After an execve by a thread, its LWP does not bear the pid.
    NoTakeOver,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(operation, errno) => write!(f, "the kernel refuses {operation}: {errno}"),
            Self::NotAlive => f.write_str("the task is not alive"),
            Self::NoParent => f.write_str("the parent is not alive"),
            Self::FirstLwp => f.write_str("the first LWP does not bear the pid"),
            Self::WrongParent => f.write_str("the kernel says another parent"),
            Self::NumberTwice => f.write_str("the kernel gave a number out twice"),
            Self::NoTakeOver => f.write_str("the LWP does not bear the pid"),
        }
    }
}

/// What the kernel knows about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It has LWPs.
    Alive,
    /// It has none, and waits to be reaped.
    Zombie,
    /// The kernel does not know it (any more, or yet).
    Unknown,
}

/// Where a task stands.
#[derive(Debug)]
enum Stage {
    Unborn,
    /// Its LWP waits to be switched to.
    Parked(Lwp),
    /// Its LWP runs.
    Running,
    Gone,
}

#[derive(Debug)]
struct TaskState {
    stage: Stage,
    lid: Lid,
    pid: Pid,
}

#[derive(Debug, Default)]
struct ProcState {
    live: u32,
    children: Vec<ProcId>,
    /// Position in the parent's list.
    place: usize,
    /// Its descriptor table, in the world's list.
    table: usize,
    /// Whether it has become another program.
    execed: bool,
    /// Who it was when its last task went.
    last_cred: Option<Cred>,
    /// The group in which it ended as an orphan.
    orphan_in: Option<Pid>,
    /// Whether capabilities made its ids other than the kernel has them.
    other_ids: bool,
}

/// The tasks of a plan in a kernel.
pub struct World<'p, 'k> {
    plan: &'p Plan,
    kernel: &'k Kernel,
    cpu: Entered<'k>,
    tasks: Vec<TaskState>,
    procs: Vec<ProcState>,
    /// Descriptor tables as the log has told them.
    tables: Vec<Table>,
    /// Whose LWP runs; none in the implicit context, or when it is exiting.
    current: Option<TaskId>,
    /// The kernel's number of the group and of the session that the first task was started in.
    outer_group: Pid,
    /// A process outside the log that stays in them.
    keeper: Option<Lwp>,
    bearers: HashMap<i32, TaskId>,
    switches: u64,
}

impl fmt::Debug for World<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("current", &self.current).finish_non_exhaustive()
    }
}

fn refused(operation: &'static str) -> impl FnOnce(Errno) -> Trouble {
    move |errno| Trouble::Refused(operation, errno)
}

fn exit_status(status: Status) -> ExitStatus {
    match status {
        Status::Exited(code) => ExitStatus::exited(code),
        Status::Killed { signal, core_dumped: true } => {
            ExitStatus::signaled(signal, CoreDump::Dumped)
        }
        Status::Killed { signal, core_dumped: false } => {
            ExitStatus::signaled(signal, CoreDump::None)
        }
    }
}

impl<'p, 'k> World<'p, 'k> {
    /// A world without tasks, on this thread.
    ///
    /// # Errors
    /// When the thread cannot enter the kernel.
    pub fn new(plan: &'p Plan, kernel: &'k Kernel) -> Result<Self, lwproc::EnterError> {
        let unborn = || TaskState { stage: Stage::Unborn, lid: Lid(NOBODY.0), pid: NOBODY };
        Ok(Self {
            plan,
            kernel,
            cpu: kernel.enter()?,
            tasks: plan.tasks.iter().map(|_| unborn()).collect(),
            procs: plan.procs.iter().map(|_| ProcState::default()).collect(),
            // The first one is that of processes not born yet.
            tables: vec![Table::default()],
            current: None,
            outer_group: Pid::KERNEL,
            keeper: None,
            bearers: HashMap::new(),
            switches: 0,
        })
    }

    /// The context of the task that runs.
    pub fn cpu(&mut self) -> &mut Entered<'k> {
        &mut self.cpu
    }

    /// The kernel.
    pub fn kernel(&self) -> &'k Kernel {
        self.kernel
    }

    /// How often the context moved to another LWP.
    pub fn switches(&self) -> u64 {
        self.switches
    }

    /// Whether the task has an LWP.
    pub fn is_alive(&self, task: TaskId) -> bool {
        matches!(self.tasks[task.index()].stage, Stage::Parked(_) | Stage::Running)
    }

    /// Whether the task was born (and perhaps died).
    pub fn was_born(&self, task: TaskId) -> bool {
        !matches!(self.tasks[task.index()].stage, Stage::Unborn)
    }

    /// Moves the context to the task's LWP.
    ///
    /// # Errors
    /// [`Trouble::NotAlive`], or what the kernel says.
    pub fn run(&mut self, task: TaskId) -> Result<(), Trouble> {
        if self.current == Some(task) {
            return Ok(());
        }
        let state = &mut self.tasks[task.index()];
        let lwp = match std::mem::replace(&mut state.stage, Stage::Running) {
            Stage::Parked(lwp) => lwp,
            other => {
                state.stage = other;
                return Err(Trouble::NotAlive);
            }
        };
        let old = self.cpu.switch(lwp);
        let old = old.map_err(|error| refused("switch")(error.errno()))?;
        self.arrived(Some(task), old);
        Ok(())
    }

    /// Moves the context to some task of a process.
    ///
    /// # Errors
    /// [`Trouble::NotAlive`], or what the kernel says.
    pub fn run_in(&mut self, proc: ProcId) -> Result<(), Trouble> {
        match self.current {
            Some(task) if self.plan.proc_of(task) == proc => Ok(()),
            _ => self.run(self.runnable_in(proc).ok_or(Trouble::NotAlive)?),
        }
    }

    /// Books a switch: the LWP that ran is parked, if it still lives.
    pub(super) fn arrived(&mut self, task: Option<TaskId>, old: Option<Lwp>) {
        if let (Some(left), Some(lwp)) = (self.current, old) {
            self.tasks[left.index()].stage = Stage::Parked(lwp);
        }
        self.current = task;
        self.switches += 1;
    }

    /// Runs a new LWP of a process; what ran before comes back.
    fn become_new_lwp(&mut self, pid: Pid) -> Result<Option<Lwp>, Trouble> {
        let new = self.cpu.new_lwp(pid).map_err(|error| refused("new_lwp")(error.errno()))?;
        self.cpu.switch(new).map_err(|error| refused("switch")(error.errno()))
    }

    /// Moves the context to init.
    pub(super) fn run_init(&mut self) -> Result<(), Trouble> {
        let old = match self.cpu.unbind() {
            Ok(old) => old,
            // The LWP is exiting, and only a switch frees it: to an LWP of init, which is
            // released when the context moves on.
            Err(_) => self.become_new_lwp(INIT)?,
        };
        self.arrived(None, old);
        Ok(())
    }

    pub(super) fn runnable_in(&self, proc: ProcId) -> Option<TaskId> {
        self.plan.proc(proc).tasks.iter().copied().find(|task| self.is_alive(*task))
    }

    /// Ends a task. Its LWP is freed when the context next moves, which precedes every question.
    ///
    /// # Errors
    /// [`Trouble::NotAlive`], or what the kernel says.
    pub fn retire(&mut self, task: TaskId, status: Status) -> Result<(), Trouble> {
        self.run(task)?;
        let proc = self.plan.proc_of(task);
        if self.procs[proc.index()].live == 1 {
            let last = &mut self.procs[proc.index()];
            last.last_cred = Some(self.cpu.cred().clone());
            last.orphan_in = (self.cpu.ppid() == INIT).then(|| self.cpu.groups().pgid());
        }
        let ended = self.cpu.exit(exit_status(status));
        ended.map_err(|error| refused("exit")(error.errno()))?;
        self.tasks[task.index()].stage = Stage::Gone;
        self.current = None;
        let state = &mut self.procs[proc.index()];
        state.live = state.live.saturating_sub(1);
        if state.live == 0 {
            // Init has them now.
            state.children.clear();
            self.leave_table(proc);
        }
        Ok(())
    }

    /// The process that runs, with one LWP left, becomes another program.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn exec(&mut self, proc: ProcId, comm: &str) -> Result<(), Trouble> {
        self.own_table(proc);
        self.table_mut(proc).exec();
        self.cpu.drain();
        let done = self.cpu.exec(comm).map_err(|error| refused("exec")(error.errno()));
        if done.is_err() {
            self.cpu.reopen();
        }
        self.procs[proc.index()].execed = true;
        done
    }

    /// Forgets a child that its parent has reaped.
    pub fn reaped(&mut self, parent: ProcId, child: ProcId) {
        let place = self.procs[child.index()].place;
        let siblings = &mut self.procs[parent.index()].children;
        if siblings.get(place) == Some(&child) {
            siblings.swap_remove(place);
            if let Some(moved) = siblings.get(place).copied() {
                self.procs[moved.index()].place = place;
            }
        }
    }

    /// Releases every task that still lives; how many those were.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn release_all(&mut self) -> Result<u32, Trouble> {
        let mut released = 0;
        for index in 0..self.tasks.len() {
            let task = TaskId::at(index);
            if self.is_alive(task) {
                self.retire(task, Status::Exited(0))?;
                released += 1;
            }
        }
        if let Some(keeper) = self.keeper.take() {
            self.run_init()?;
            self.cpu.switch(keeper).map_err(|error| refused("switch")(error.errno()))?;
            let ended = self.cpu.exit(exit_status(Status::Exited(0)));
            ended.map_err(|error| refused("exit")(error.errno()))?;
        }
        Ok(released)
    }
}
