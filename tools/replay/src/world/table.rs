//! A descriptor table as the answers in the log tell it.
//!
//! The kernel has the table itself and is compared with this one; this one says which order of
//! overlapping calls explains an answer, and what the log has not shown.

use super::bits::Bits;
use crate::calls::files::{Attempt, FD_END, Files, Given};
use lwproc::{Errno, OnExec};

/// A descriptor: closed, or open with its mark.
pub type Descriptor = Option<OnExec>;

/// How many changes are remembered for forks that overlap them.
const REMEMBERED: usize = 64;

/// How well the state of a number is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The log has told it.
    Told,
    /// Two orders of overlapping calls leave it different.
    ByOrder,
    /// A call may have given it without showing it.
    Unseen,
    /// Not seen yet: it is as the first task found it.
    NotSeen,
}

/// A number that a call changed.
#[derive(Debug, Clone, Copy)]
struct Change {
    line: u32,
    fd: i32,
    by: Picks,
}

/// Who picks the number that a call changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picks {
    /// The caller: the call may come before another one or after it.
    Caller,
    /// The kernel: the number was free.
    Kernel,
}

fn picks(call: &Files) -> Picks {
    match call {
        Files::Open { .. } | Files::Copy { .. } => Picks::Kernel,
        _ => Picks::Caller,
    }
}

/// The table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub(super) open: Bits,
    close_on_exec: Bits,
    /// Numbers whose state the log has told.
    told: Bits,
    /// All numbers from here on have been told.
    told_from: Option<i32>,
    by_order: Bits,
    /// Numbers that a call may have given without showing them.
    unseen: Bits,
    /// What changed, and when: a fork that overlaps may have copied either, and a call that
    /// overlaps may have come before.
    recent: Vec<Change>,
    /// Processes that use it.
    pub users: u32,
}

impl Table {
    /// The table of a first task: 0, 1 and 2 are open, until the log tells otherwise.
    pub fn first() -> Self {
        let mut table = Self { users: 1, ..Self::default() };
        (0..3).for_each(|fd| table.open.put(fd, true));
        table
    }

    /// The copy that a fork makes.
    pub fn copied(&self) -> Self {
        Self { recent: Vec::new(), users: 1, ..self.clone() }
    }

    /// The state of a number.
    pub fn get(&self, fd: i32) -> Descriptor {
        match (self.open.has(fd), self.close_on_exec.has(fd)) {
            (false, _) => None,
            (true, false) => Some(OnExec::Keep),
            (true, true) => Some(OnExec::Close),
        }
    }

    /// All that are open, in order.
    pub fn all(&self) -> impl Iterator<Item = (i32, OnExec)> {
        self.open.within(0, FD_END).filter_map(|fd| Some((fd, self.get(fd)?)))
    }

    /// How well the state of a number is known.
    pub fn known(&self, fd: i32) -> Known {
        if self.by_order.has(fd) {
            Known::ByOrder
        } else if self.unseen.has(fd) {
            Known::Unseen
        } else if self.told.has(fd) || self.told_from.is_some_and(|from| fd >= from) {
            Known::Told
        } else {
            Known::NotSeen
        }
    }

    /// The log has told the state of a number.
    pub fn set(&mut self, fd: i32, state: Descriptor) {
        self.open.put(fd, state.is_some());
        self.close_on_exec.put(fd, state == Some(OnExec::Close));
        self.tell(fd);
    }

    fn tell(&mut self, fd: i32) {
        self.told.put(fd, true);
        self.by_order.put(fd, false);
        if !self.unseen.is_empty() {
            self.unseen.put(fd, false);
        }
    }

    /// Two orders of overlapping calls leave this number different.
    pub fn doubt(&mut self, fd: i32) {
        self.by_order.put(fd, true);
    }

    /// The numbers that a call may have given without showing them.
    pub fn unseen(&self, given: Given) -> Vec<i32> {
        match given {
            Given::This(fd) if self.open.lowest_missing(0) == fd => vec![fd],
            Given::This(_) => Vec::new(),
            Given::UpTo(most) => {
                let mut from = 0;
                let next = std::iter::from_fn(|| {
                    let fd = self.open.lowest_missing(from);
                    from = fd + 1;
                    (fd < FD_END).then_some(fd)
                });
                next.take(most).collect()
            }
        }
    }

    /// The numbers that a call changes here.
    pub fn changes(&self, call: &Files) -> Vec<i32> {
        match call {
            Files::Open { fds, .. } => fds.clone(),
            Files::Copy { new: fd, .. }
            | Files::CopyTo { new: fd, .. }
            | Files::Close(fd)
            | Files::SetOnExec(fd, _) => vec![*fd],
            Files::CloseRange(first, last) | Files::MarkRange(first, last) => {
                self.open.within(*first, *last).collect()
            }
            Files::GetOnExec(..)
            | Files::Used(_)
            | Files::Unseen { .. }
            | Files::Part(_)
            | Files::Refused { .. } => Vec::new(),
        }
    }

    /// The table after a call that answered as the log says.
    pub fn apply(&mut self, call: &Files) {
        match call {
            Files::Open { fds, on_exec } => {
                let last = fds.iter().copied().max().unwrap_or(-1);
                (0..=last).for_each(|fd| self.tell(fd));
                fds.iter().for_each(|fd| self.set(*fd, Some(*on_exec)));
            }
            Files::Copy { old, min, new, on_exec } => {
                (min.unwrap_or(0)..*new).for_each(|fd| self.tell(fd));
                self.tell(*old);
                self.set(*new, Some(*on_exec));
            }
            Files::CopyTo { old, new, by, .. } => {
                self.tell(*old);
                if old != new {
                    self.set(*new, Some(by.on_exec()));
                }
            }
            Files::Close(fd) => self.set(*fd, None),
            Files::CloseRange(first, last) => {
                for fd in self.changes(call) {
                    self.set(fd, None);
                }
                if *last >= FD_END - 1 {
                    self.told_from = Some(self.told_from.map_or(*first, |from| from.min(*first)));
                } else {
                    (*first..=*last).for_each(|fd| self.tell(fd));
                }
            }
            Files::MarkRange(..) => {
                for fd in self.changes(call) {
                    self.close_on_exec.put(fd, true);
                }
            }
            Files::SetOnExec(fd, mark) | Files::GetOnExec(fd, mark) => {
                self.set(*fd, Some(*mark));
            }
            Files::Used(fd) => self.tell(*fd),
            Files::Unseen { used, given } => {
                used.iter().for_each(|fd| self.tell(*fd));
                for fd in self.unseen(*given) {
                    self.unseen.put(fd, true);
                }
            }
            Files::Part(_) => {}
            Files::Refused { attempt, errno: Errno::EBADF, .. } => {
                if let Some(fd) = closed_by(attempt) {
                    self.tell(fd);
                }
            }
            Files::Refused { .. } => {}
        }
    }

    /// An execve closes what is marked.
    pub fn exec(&mut self) {
        let marked: Vec<_> =
            self.close_on_exec.within(0, FD_END).filter(|fd| self.open.has(*fd)).collect();
        for fd in marked {
            self.open.put(fd, false);
            self.close_on_exec.put(fd, false);
        }
    }

    /// Notes what a call changed at a line, for calls that overlap.
    pub fn remember(&mut self, line: u32, call: &Files, changes: &[i32]) {
        if self.recent.len() + changes.len() > REMEMBERED {
            let surplus = (self.recent.len() + changes.len() - REMEMBERED).min(self.recent.len());
            self.recent.drain(..surplus);
        }
        let by = picks(call);
        self.recent.extend(changes.iter().map(|fd| Change { line, fd: *fd, by }));
    }

    /// What changed from a line on.
    pub fn changed_since(&self, line: u32) -> impl Iterator<Item = i32> {
        self.recent.iter().filter(move |change| change.line >= line).map(|change| change.fd)
    }

    /// Which of the numbers that a call changes another one changed between these lines, so that
    /// either may have been the last.
    pub fn contested(&self, call: &Files, changes: &[i32], from: u32, to: u32) -> Vec<i32> {
        if from >= to || picks(call) == Picks::Kernel {
            return Vec::new();
        }
        let between =
            |change: &&Change| (from..to).contains(&change.line) && change.by == Picks::Caller;
        let other = self.recent.iter().filter(between).map(|change| change.fd);
        other.filter(|fd| changes.contains(fd)).collect()
    }
}

/// The descriptor that an EBADF tells to be closed; that of a copy to a number may be about
/// either.
pub fn closed_by(attempt: &Attempt) -> Option<i32> {
    match *attempt {
        Attempt::Copy { old: fd, .. }
        | Attempt::Close(fd)
        | Attempt::SetOnExec(fd, _)
        | Attempt::GetOnExec(fd)
        | Attempt::Use(fd) => Some(fd),
        Attempt::Open(_) | Attempt::CopyTo { .. } | Attempt::Range(..) => None,
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
