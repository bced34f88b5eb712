//! The descriptor tables of the kernel, and beside each what the log has told of it.
//!
//! Every call to the kernel about descriptors is made here.

use super::table::{Descriptor, Known, Table};
use super::{Trouble, World, refused};
use crate::calls::files::{Attempt, CopyBy};
use crate::plan::{ProcId, TaskId};
use lwproc::{CloseRange, Errno, Fd, FdError, OnExec};

/// What the kernel answers.
pub type Answer<T> = Result<T, Errno>;

fn errno<T>(answer: Result<T, FdError>) -> Answer<T> {
    answer.map_err(|error| error.errno())
}

fn number(answer: Answer<Fd>) -> Answer<i32> {
    answer.map(|fd| fd.0)
}

impl World<'_, '_> {
    /// What the log has told of the table of a process.
    pub fn table(&self, proc: ProcId) -> &Table {
        &self.tables[self.procs[proc.index()].table]
    }

    /// The same, to change.
    pub fn table_mut(&mut self, proc: ProcId) -> &mut Table {
        &mut self.tables[self.procs[proc.index()].table]
    }

    /// Whether two processes use one table.
    pub fn share_table(&self, one: ProcId, other: ProcId) -> bool {
        self.procs[one.index()].table == self.procs[other.index()].table
    }

    /// A descriptor at the lowest free number, in the process that runs.
    pub fn open(&mut self, mark: OnExec) -> Answer<i32> {
        number(self.cpu.files().open((), mark).map_err(|error| error.errno()))
    }

    /// Closes one.
    pub fn close(&mut self, fd: i32) -> Answer<()> {
        errno(self.cpu.files().close(Fd(fd)))
    }

    /// A copy at the lowest free number, from `min` on if there is one.
    pub fn copy(&mut self, old: i32, min: Option<i32>, mark: OnExec) -> Answer<i32> {
        number(errno(match min {
            None => self.cpu.files().dup(Fd(old)),
            Some(min) => self.cpu.files().dup_from(Fd(old), Fd(min), mark),
        }))
    }

    /// A copy at `new`.
    pub fn copy_to(&mut self, old: i32, new: i32, by: CopyBy) -> Answer<i32> {
        number(errno(match by {
            CopyBy::Dup2 => self.cpu.files().dup2(Fd(old), Fd(new)),
            CopyBy::Dup3(mark) => self.cpu.files().dup3(Fd(old), Fd(new), mark),
        }))
    }

    /// Looks up the file of one.
    pub fn use_one(&mut self, fd: i32) -> Answer<()> {
        errno(self.cpu.files().get(Fd(fd)).map(drop))
    }

    /// Makes a call that should fail.
    pub fn attempt(&mut self, attempt: &Attempt) -> Answer<()> {
        match *attempt {
            Attempt::Open(wanted) => self.open_many(wanted),
            Attempt::Copy { old, min } => self.copy(old, min, OnExec::Keep).map(drop),
            Attempt::CopyTo { old, new, by } => self.copy_to(old, new, by).map(drop),
            Attempt::Close(fd) => self.close(fd),
            Attempt::Range(first, last, how) => self.range(first, last, how),
            Attempt::SetOnExec(fd, mark) => self.set_mark(fd, mark),
            Attempt::GetOnExec(fd) => self.mark(fd).map(drop),
            Attempt::Use(fd) => self.use_one(fd),
        }
    }

    /// Opens one, while the others that are wanted are held.
    fn open_many(&mut self, wanted: usize) -> Answer<()> {
        let reserve = |_| errno(self.cpu.files().reserve(OnExec::Keep));
        let held: Answer<Vec<_>> = (1..wanted).map(reserve).collect();
        let _held = held?;
        self.cpu.files().open((), OnExec::Keep).map(drop).map_err(|error| error.errno())
    }

    /// Makes a call while an open under way has this number, if none has it for good.
    pub fn attempt_beside_open(&mut self, attempt: &Attempt, fd: i32) -> Answer<()> {
        let Attempt::CopyTo { old, new, by } = *attempt else {
            return self.attempt(attempt);
        };
        let mut held = Vec::new();
        while let Ok(next) = self.cpu.files().reserve(OnExec::Keep) {
            let at = next.fd().0;
            held.push(next);
            if at >= fd {
                break;
            }
        }
        errno(match by {
            CopyBy::Dup2 => self.cpu.files().dup2(Fd(old), Fd(new)),
            CopyBy::Dup3(mark) => self.cpu.files().dup3(Fd(old), Fd(new), mark),
        })
        .map(drop)
    }

    /// Closes or marks all from `first` to `last`.
    pub fn range(&mut self, first: i32, last: i32, how: CloseRange) -> Answer<()> {
        errno(self.cpu.files().close_range(Fd(first), Fd(last), how))
    }

    /// The mark of one.
    pub fn mark(&mut self, fd: i32) -> Answer<OnExec> {
        errno(self.cpu.files().on_exec(Fd(fd)))
    }

    /// Sets the mark of one.
    pub fn set_mark(&mut self, fd: i32, mark: OnExec) -> Answer<()> {
        errno(self.cpu.files().set_on_exec(Fd(fd), mark))
    }

    /// Makes one number of a process as the log has it, and tells its table so.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn adopt(&mut self, proc: ProcId, fd: i32, state: Descriptor) -> Result<(), Trouble> {
        self.run_in(proc)?;
        self.force(fd, state).map_err(refused("a descriptor"))?;
        self.table_mut(proc).set(fd, state);
        Ok(())
    }

    /// What one process shows to come from outside the log, all have that did not show otherwise.
    ///
    /// # Errors
    /// What the kernel says of that one process.
    pub fn adopt_from_outside(
        &mut self,
        proc: ProcId,
        fd: i32,
        state: Descriptor,
    ) -> Result<(), Trouble> {
        self.adopt(proc, fd, state)?;
        for index in 0..self.procs.len() {
            let other = ProcId::at(index);
            if self.procs[index].live > 0 && self.table(other).known(fd) == Known::NotSeen {
                // One whose limit has been lowered since cannot have it: it stays unseen there.
                let _ = self.adopt(other, fd, state);
            }
        }
        Ok(())
    }

    fn force(&mut self, fd: i32, state: Descriptor) -> Answer<()> {
        match (self.mark(fd), state) {
            (Err(_), None) => Ok(()),
            (Ok(_), None) => self.close(fd),
            (Ok(ours), Some(mark)) if ours == mark => Ok(()),
            (Ok(_), Some(mark)) => self.set_mark(fd, mark),
            (Err(_), Some(mark)) => {
                let new = self.open(mark)?;
                if new == fd {
                    return Ok(());
                }
                let copied = self.copy_to(new, fd, CopyBy::Dup2).map(drop);
                self.close(new)?;
                copied?;
                self.set_mark(fd, mark)
            }
        }
    }

    /// The first difference between the kernel's table and what the log has told, if any.
    pub fn table_difference(&mut self, proc: ProcId) -> Option<(i32, Descriptor, Descriptor)> {
        let ours = self.cpu.files().list();
        let mut ours = ours.into_iter().map(|(fd, mark)| (fd.0, mark)).peekable();
        let mut told = self.table(proc).all().peekable();
        loop {
            match (told.peek().copied(), ours.peek().copied()) {
                (None, None) => return None,
                (Some((fd, mark)), Some((our_fd, our_mark))) if fd == our_fd => {
                    if mark != our_mark {
                        return Some((fd, Some(mark), Some(our_mark)));
                    }
                    told.next();
                    ours.next();
                }
                (Some((fd, mark)), other) if other.is_none_or(|(our_fd, _)| fd < our_fd) => {
                    return Some((fd, Some(mark), None));
                }
                (_, Some((fd, mark))) => return Some((fd, None, Some(mark))),
                (Some((fd, mark)), None) => return Some((fd, Some(mark), None)),
            }
        }
    }

    /// Makes the kernel's table as the log has it, after an answer that disagreed.
    pub fn repair_table(&mut self, proc: ProcId) -> Result<(), Trouble> {
        while let Some((fd, told, _)) = self.table_difference(proc) {
            self.force(fd, told).map_err(refused("a descriptor"))?;
        }
        Ok(())
    }

    /// The table of a first task.
    pub(super) fn first_table(&mut self, task: TaskId) -> Result<(), Trouble> {
        self.new_table(task, Table::first());
        self.repair_table(self.plan.proc_of(task))
    }

    /// The copy of a table for a process whose first LWP runs: the kernel has copied it already,
    /// if the process was forked by one that had it.
    pub(super) fn copied_table(&mut self, from: ProcId, task: TaskId) {
        let copy = self.table(from).copied();
        self.new_table(task, copy);
    }

    /// Both processes use one table.
    pub(super) fn shared_table(&mut self, from: ProcId, task: TaskId) {
        let table = self.procs[from.index()].table;
        self.tables[table].users += 1;
        self.procs[self.plan.proc_of(task).index()].table = table;
    }

    fn new_table(&mut self, task: TaskId, table: Table) {
        self.tables.push(table);
        self.procs[self.plan.proc_of(task).index()].table = self.tables.len() - 1;
    }

    /// A process that shares its table has one of its own from now on.
    pub(super) fn own_table(&mut self, proc: ProcId) {
        if self.table(proc).users > 1 {
            let own = self.table(proc).copied();
            self.table_mut(proc).users -= 1;
            self.tables.push(own);
            self.procs[proc.index()].table = self.tables.len() - 1;
        }
    }

    /// The last task of a process has gone.
    pub(super) fn leave_table(&mut self, proc: ProcId) {
        let table = self.table_mut(proc);
        table.users = table.users.saturating_sub(1);
    }
}
