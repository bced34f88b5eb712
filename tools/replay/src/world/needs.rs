//! What must be so in a table for a call to answer as it did.

use super::table::Table;
use crate::calls::files::{Attempt, CopyBy, Files};
use lwproc::{Errno, OnExec};

/// What must be so for a call to answer as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The descriptor is open.
    Open(i32),
    /// It is not.
    Closed(i32),
    /// It is open with this mark.
    Marked(i32, OnExec),
    /// Nothing can make it so.
    Never,
}

impl Table {
    /// What is missing for the call's answer, first things first. No new number may be as high as
    /// `limit`.
    pub fn need(&self, call: &Files, limit: i32) -> Option<Need> {
        match call {
            Files::Open { fds, .. } => {
                let mut from = 0;
                for fd in fds {
                    if let need @ Some(_) = self.lowest(from, *fd) {
                        return need;
                    }
                    from = fd + 1;
                }
                None
            }
            Files::Copy { old, min, new, .. } => {
                self.needs_open(*old).or_else(|| self.lowest(min.unwrap_or(0), *new))
            }
            Files::CopyTo { old, new, gave, .. } if new == gave => self.needs_open(*old),
            Files::CopyTo { .. } => Some(Need::Never),
            Files::Close(fd) | Files::SetOnExec(fd, _) | Files::Used(fd) => self.needs_open(*fd),
            Files::CloseRange(first, last) | Files::MarkRange(first, last) => {
                (first > last).then_some(Need::Never)
            }
            Files::GetOnExec(fd, mark) => {
                (self.get(*fd) != Some(*mark)).then_some(Need::Marked(*fd, *mark))
            }
            Files::Unseen { used, .. } => used.and_then(|fd| self.needs_open(fd)),
            Files::Part(_) => None,
            Files::Refused { attempt, errno, .. } => match errno {
                Errno::EBADF => self.needs_bad(attempt, limit),
                Errno::EMFILE => self.needs_full(attempt, limit),
                Errno::EINVAL => self.needs_invalid(attempt, limit),
                Errno::EBUSY => self.needs_busy(attempt, limit),
                _ => Some(Need::Never),
            },
        }
    }

    fn needs_open(&self, fd: i32) -> Option<Need> {
        (!self.open.has(fd)).then_some(Need::Open(fd))
    }

    fn needs_closed(&self, fd: i32) -> Option<Need> {
        self.open.has(fd).then_some(Need::Closed(fd))
    }

    /// EBADF: the descriptor is not open. Of the target of a copy: it is beyond the limit.
    fn needs_bad(&self, attempt: &Attempt, limit: i32) -> Option<Need> {
        match *attempt {
            Attempt::CopyTo { old, new, by: CopyBy::Dup2 } if old == new => self.needs_closed(old),
            Attempt::CopyTo { old, new, .. } if old == new => Some(Need::Never),
            Attempt::CopyTo { new, .. } if !(0..limit).contains(&new) => None,
            Attempt::Copy { old: fd, .. }
            | Attempt::CopyTo { old: fd, .. }
            | Attempt::Close(fd)
            | Attempt::SetOnExec(fd, _)
            | Attempt::GetOnExec(fd)
            | Attempt::Use(fd) => self.needs_closed(fd),
            Attempt::Open(_) | Attempt::Range(..) => Some(Need::Never),
        }
    }

    /// EMFILE: there are fewer free numbers below the limit than wanted.
    fn needs_full(&self, attempt: &Attempt, limit: i32) -> Option<Need> {
        let (wanted, from) = match *attempt {
            Attempt::Open(wanted) => (wanted, 0),
            Attempt::Copy { old, min } => {
                let from = min.unwrap_or(0);
                if let need @ Some(_) = self.needs_open(old) {
                    return need;
                }
                match min {
                    Some(min) if !(0..limit).contains(&min) => return Some(Need::Never),
                    _ => (1, from),
                }
            }
            _ => return Some(Need::Never),
        };
        let (mut lowest, mut next) = (None, from);
        for _ in 0..wanted {
            next = self.open.lowest_missing(next);
            if next >= limit {
                return None;
            }
            lowest.get_or_insert(next);
            next += 1;
        }
        lowest.map(Need::Open)
    }

    /// EINVAL: numbers that make no sense.
    fn needs_invalid(&self, attempt: &Attempt, limit: i32) -> Option<Need> {
        match *attempt {
            Attempt::Copy { old, min: Some(min) } if !(0..limit).contains(&min) => {
                self.needs_open(old)
            }
            Attempt::CopyTo { old, new, by: CopyBy::Dup3(_) } if old == new => None,
            Attempt::Range(first, last, _) if first > last => None,
            _ => Some(Need::Never),
        }
    }

    /// EBUSY: an open under way has the number.
    fn needs_busy(&self, attempt: &Attempt, limit: i32) -> Option<Need> {
        match *attempt {
            Attempt::CopyTo { old, new, .. } if old != new && (0..limit).contains(&new) => {
                self.needs_open(old).or_else(|| self.needs_closed(new))
            }
            _ => Some(Need::Never),
        }
    }

    /// `fd` must be the lowest free number from `from` on.
    fn lowest(&self, from: i32, fd: i32) -> Option<Need> {
        match self.open.lowest_missing(from) {
            _ if fd < from => Some(Need::Never),
            lowest if lowest < fd => Some(Need::Open(lowest)),
            lowest if lowest > fd => Some(Need::Closed(fd)),
            _ => None,
        }
    }
}
