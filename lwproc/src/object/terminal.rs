//! A terminal, as far as sessions have one.
//!
//! The terminal is the authority: its cell says in one step which session has it, and which
//! group is in the foreground. What the session says is how to get there from a process,
//! and holds only while the terminal says the same. Both name each other by identities, which
//! are never issued again, so a group or session that has ended is named, and never taken for
//! another.

use crate::errno::errors;
use crate::id::{Identity, Pid};
use crate::sync::config_cell::ConfigCell;
use std::fmt;
use std::sync::Arc;

errors! {
    /// Why a terminal was not used or changed.
    TerminalError {
        /// It is not the controlling terminal of the current process.
        NotControlling => ENOTTY, "not the controlling terminal";
        /// The current process leads no session.
        NotLeader => EPERM, "the process leads no session";
        /// The session has a terminal.
        HasTerminal => EPERM, "the session has a controlling terminal";
        /// The terminal is that of another session.
        InUse => EPERM, "the terminal is that of another session";
        /// By [NetBSD's rules](crate::Difference::LeaderGivesUp) a leader keeps it.
        LeaderKeeps => EINVAL, "the leader of a session keeps its terminal";
        /// The group's number is negative.
        BadNumber => EINVAL, "a process group has no negative number";
        /// The number is that of nobody in the session.
        OtherSession => EPERM, "in another session";
        /// Nobody has that number.
        NoSuchGroup => ESRCH, "no such process group";
        /// The caller is in the background, and its group has been sent a signal: the LWP is
        /// to look for signals and to try again, unless one was caught whose calls are not
        /// restarted.
        Signalled => EINTR, "in the background, and signalled";
        /// The caller is in the background, and a signal would be of no use: it is ignored or
        /// blocked, or nobody could continue the group.
        Background => EIO, "in the background";
        /// The terminal is of another kernel.
        WrongKernel => EXDEV, "the terminal is of another kernel";
    }
}

/// Whose controlling terminal one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Control {
    pub(crate) session: Identity,
    /// The group in the foreground, whether it lives or has ended.
    pub(crate) foreground: Identity,
}

/// What a session has.
#[derive(Clone)]
pub(crate) enum Holding {
    /// No terminal. The group of one that was hung up, which is to be told when the
    /// session's leader ends.
    None(Option<Identity>),
    /// That one, if it says so; or its leader is about to take it.
    Has(Terminal),
    /// None, for good: its leader has ended.
    Ended,
}

struct Node {
    /// The kernel's.
    kernel: u64,
    control: ConfigCell<Option<Control>>,
}

/// A terminal's session and foreground group: a small value that the embedder keeps with the
/// terminal. What there is to do with it is at
/// [`Entered::terminal`](crate::Entered::terminal).
///
/// A clone is the same terminal. It keeps nothing of the kernel.
///
/// ```
/// use lwproc::{Kernel, TerminalError};
///
/// let kernel = Kernel::new();
/// let tty = kernel.new_terminal();
/// let mut shell = kernel.enter()?;
/// shell.switch(kernel.spawn().start()?)?;
/// shell.groups().setsid()?;
/// assert_eq!(shell.terminal(&tty).foreground(), Err(TerminalError::NotControlling));
/// shell.terminal(&tty).acquire()?;
/// assert_eq!(shell.terminal(&tty).foreground(), Ok(shell.pid()));
/// assert_eq!(tty.session(), Some(shell.pid()));
///
/// let job = shell.spawn().start()?;
/// shell.groups().setpgid(job.pid(), job.pid())?;
/// shell.terminal(&tty).set_foreground(job.pid())?;
/// assert_eq!(tty.foreground(), Some(job.pid()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Terminal(Arc<Node>);

impl Terminal {
    pub(crate) fn new(kernel: u64) -> Self {
        Self(Arc::new(Node { kernel, control: ConfigCell::new(None) }))
    }

    /// The session whose controlling terminal it is; `None`: it is free. Wait-free.
    // What the master side of a pty may ask (`TIOCGSID`).
    pub fn session(&self) -> Option<Pid> {
        self.control().map(|control| control.session.pid())
    }

    /// The group in the foreground: the last that was put there, whether it still exists or
    /// not. `None` where there is no session. Wait-free.
    // What the master side of a pty may ask (`TIOCGPGRP`).
    pub fn foreground(&self) -> Option<Pid> {
        self.control().map(|control| control.foreground.pid())
    }

    pub(crate) fn is_of(&self, kernel: u64) -> bool {
        self.0.kernel == kernel
    }

    pub(crate) fn control(&self) -> Option<Control> {
        let control: &Option<Control> = &self.0.control.load();
        *control
    }

    /// Makes it what `change` says, if it is that session's still; what it was then. One
    /// step. Lock-free but for the allocator.
    pub(crate) fn change(
        &self,
        session: Identity,
        change: impl Fn(Control) -> Option<Control>,
    ) -> Option<Control> {
        let its = |control: &Option<Control>| control.filter(|control| control.session == session);
        let before = self.0.control.rcu(|now| its(now).map_or(*now, &change));
        its(&before)
    }

    /// Gives it to a session if it is free; to whom it belongs instead.
    pub(crate) fn take(&self, new: Control) -> Result<(), Control> {
        let before = self.0.control.rcu(|now| Some(now.unwrap_or(new)));
        before.map_or(Ok(()), Err)
    }

    /// Makes it somebody's or nobody's; whose it was.
    pub(crate) fn replace(&self, new: Option<Control>) -> Option<Control> {
        *self.0.control.rcu(|_| new)
    }
}

impl PartialEq for Terminal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Terminal {}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.control() {
            None => f.write_str("Terminal(free)"),
            Some(Control { session, foreground }) => {
                write!(f, "Terminal(of {}, foreground {})", session.pid(), foreground.pid())
            }
        }
    }
}
