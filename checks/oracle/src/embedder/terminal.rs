//! The terminal of a sequence.
//!
//! Background output stops, and a read finds nothing. What the kernel keeps is its session and
//! foreground group; that its line has been hung up is the embedder's.

use super::calls::{Asked, Called, Sleep, answer};
use super::{Entered, Kernel, Ours};
use crate::step::{Answer, Name};
use lwproc::{Errno, Pid, Terminal, TerminalError, Tostop};

/// The terminal.
#[derive(Debug)]
pub(super) struct Tty {
    state: Terminal,
    is_hung_up: bool,
}

impl Tty {
    pub(super) fn new(kernel: &Kernel) -> Self {
        Self { state: kernel.new_terminal(), is_hung_up: false }
    }
}

/// A use that the background is stopped for.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// `read(2)`.
    Read,
    /// `write(2)`.
    Write,
    /// `tcflush(3)`.
    Flush,
    /// `tcsetpgrp(3)`.
    SetForeground(Pid),
}

impl Act {
    fn of_hung_up(self) -> Result<i64, Errno> {
        match self {
            Self::Read => Ok(0),
            Self::Write | Self::Flush => Err(Errno::EIO),
            Self::SetForeground(_) => Err(Errno::ENOTTY),
        }
    }

    /// What it comes to; `None`: it is to be tried again.
    fn attempt(self, k: &Entered<'_>, tty: &Terminal) -> Option<Result<i64, Errno>> {
        let at = k.terminal(tty);
        let (done, value) = match self {
            Self::Read => (at.may_read(), Err(Errno::EAGAIN)),
            Self::Write => (at.may_write(Tostop::Set), Ok(1)),
            Self::Flush => (at.may_change(), Ok(0)),
            Self::SetForeground(pgid) => (at.set_foreground(pgid), Ok(0)),
        };
        match done {
            Err(TerminalError::Signalled) => None,
            Err(why) => Some(Err(why.errno())),
            Ok(()) => Some(value),
        }
    }
}

impl Ours {
    fn at_terminal(&mut self, name: Name, act: Act) -> Called {
        let state = self.tty.state.clone();
        let done = match self.tty.is_hung_up {
            true => Some(act.of_hung_up()),
            false => self.run(name, |k| act.attempt(k, &state)),
        };
        match done {
            Some(result) => answer(result, |value| value),
            None => Called::Sleeps(Sleep::Terminal(act)),
        }
    }

    /// An actor that was stopped in a use of the terminal, or caught a signal in it, goes on;
    /// what it has come to, if it has ended. `None`: it is in none.
    pub(super) fn try_again(&mut self, name: Name, interrupted: bool) -> Option<Option<Answer>> {
        let Some(Sleep::Terminal(act)) = self.actor(name).sleeps else { return None };
        let called = match interrupted {
            true => Called::Answer(Answer::error(Errno::EINTR)),
            false => self.at_terminal(name, act),
        };
        let (sleeps, answer) = match called {
            Called::Answer(answer) => (None, Some(answer)),
            Called::Sleeps(sleep) => (Some(sleep), None),
        };
        self.actor(name).sleeps = sleeps;
        Some(answer)
    }

    /// A call that is EIO when the line has been hung up.
    fn control<T>(
        &mut self,
        asked: &Asked<'_>,
        call: impl FnOnce(&Entered<'_>, &Terminal) -> Result<T, TerminalError>,
        value: impl FnOnce(T) -> i64,
    ) -> Called {
        if self.tty.is_hung_up {
            return Called::Answer(Answer::error(Errno::EIO));
        }
        let state = self.tty.state.clone();
        answer(self.run(asked.actor, |k| call(k, &state)), value)
    }
}

/// `read(2)`, which does not wait.
pub fn read(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    ours.at_terminal(asked.actor, Act::Read)
}

/// `write(2)` of a byte.
pub fn write(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    ours.at_terminal(asked.actor, Act::Write)
}

/// `tcflush(3)`.
pub fn flush(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    ours.at_terminal(asked.actor, Act::Flush)
}

/// `tcsetpgrp(3)`.
pub fn set_foreground(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    ours.at_terminal(asked.actor, Act::SetForeground(asked.pid(0)))
}

/// `tcgetpgrp(3)`.
pub fn foreground(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    ours.control(asked, |k, tty| k.terminal(tty).foreground(), |pgid| pgid.0.into())
}

/// `tcgetsid(3)`.
pub fn session(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    ours.control(asked, |k, tty| k.terminal(tty).session(), |sid| sid.0.into())
}

/// `TIOCSCTTY`.
pub fn acquire(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let steals = asked.int(0) == 1;
    let call = |k: &Entered<'_>, tty: &Terminal| {
        if steals { k.terminal(tty).steal() } else { k.terminal(tty).acquire() }
    };
    ours.control(asked, call, |()| 0)
}

/// `TIOCNOTTY`.
pub fn give_up(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    ours.control(asked, |k, tty| k.terminal(tty).give_up(), |()| 0)
}

/// `open(2)` of `/dev/tty`.
pub fn open(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let found = ours.run(asked.actor, |k| k.groups().controlling_terminal());
    answer(found.ok_or(Errno::ENXIO), |_tty| 0)
}

/// `vhangup(2)`.
pub fn hang_up(ours: &mut Ours, asked: &Asked<'_>) -> Called {
    let done = ours.run(asked.actor, |k| {
        if !k.cred().is_superuser() {
            return Err(Errno::EPERM);
        }
        let found = k.groups().controlling_terminal();
        if let Some(tty) = &found {
            k.terminal(tty).hang_up()?;
        }
        Ok(found.is_some())
    });
    ours.tty.is_hung_up |= done == Ok(true);
    answer(done, |_was_there| 0)
}
