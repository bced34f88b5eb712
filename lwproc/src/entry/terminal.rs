//! A terminal, as the process that runs sees and changes it.

use super::Entered;
use crate::host::Host;
use crate::id::Pid;
use crate::object::terminal::{Terminal, TerminalError};
use crate::ops::kill;
use crate::ops::seat::Seat;
use crate::ops::terminals::{self, Act, Taking};
use crate::signal::Signo;
use crate::world::aftermath::Aftermath;
use std::fmt;

/// Whether output from the background stops (`TOSTOP`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tostop {
    /// It does not.
    Clear,
    /// It does.
    Set,
}

/// A terminal and the current process; init in an implicit context. See
/// [`Entered::terminal`].
pub struct AtTerminal<'e, H: Host = crate::ThreadHost> {
    k: &'e Entered<'e, H>,
    terminal: &'e Terminal,
}

impl<H: Host> Clone for AtTerminal<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<H: Host> Copy for AtTerminal<'_, H> {}

impl<H: Host> fmt::Debug for AtTerminal<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} and {:?}", self.terminal, self.k)
    }
}

impl<H: Host> Entered<'_, H> {
    /// What the current process does at a terminal.
    #[inline]
    pub fn terminal<'e>(&'e self, terminal: &'e Terminal) -> AtTerminal<'e, H> {
        AtTerminal { k: self, terminal }
    }
}

impl<'e, H: Host> AtTerminal<'e, H> {
    /// Makes it the controlling terminal of the current process's session, with the process's
    /// group in the foreground (`TIOCSCTTY`, or an open without `O_NOCTTY`). Members that the
    /// session has already do not get it; children that are forked from now on do, when their
    /// parents have it.
    ///
    /// Of two that acquire it at once one gets it. Lock-free but for the allocator; O(ids in
    /// use).
    ///
    /// # Errors
    /// [`TerminalError::NotLeader`], [`TerminalError::HasTerminal`] (also while another LWP
    /// is about to acquire one), [`TerminalError::InUse`] (EPERM);
    /// [`TerminalError::WrongKernel`] (EXDEV).
    #[doc(alias = "TIOCSCTTY")]
    pub fn acquire(self) -> Result<(), TerminalError> {
        self.take(Taking::IfFree)
    }

    /// The same, also of a terminal that another session has: that loses it, and nobody is
    /// told (`TIOCSCTTY` with 1, on Linux).
    ///
    /// # Errors
    /// As [`AtTerminal::acquire`]; [`TerminalError::InUse`] (EPERM) only where the current
    /// effective uid is not 0.
    pub fn steal(self) -> Result<(), TerminalError> {
        let taking = if self.k.cred().is_superuser() { Taking::Steal } else { Taking::IfFree };
        self.take(taking)
    }

    fn take(self, taking: Taking) -> Result<(), TerminalError> {
        let seat = &self.k.seat;
        terminals::acquire(seat.world(), self.k.proc(), self.terminal, taking, &seat.pin())
    }

    /// Gives it up (`TIOCNOTTY`). If the process leads the session, that loses it, and the
    /// group in the foreground gets SIGHUP, then SIGCONT, as from a
    /// [`kill`](crate::Signals::kill) by the process: it may not signal all. Else the process alone loses it,
    /// and children that it forks from now on have none. Lock-free but for the allocator and
    /// what the signals do.
    ///
    /// # Errors
    /// [`TerminalError::NotControlling`] (ENOTTY); [`TerminalError::LeaderKeeps`] (EINVAL) by
    /// [NetBSD's rules](crate::Difference::LeaderGivesUp).
    #[doc(alias = "TIOCNOTTY")]
    pub fn give_up(self) -> Result<(), TerminalError> {
        let (seat, k) = (&self.k.seat, self.k);
        let foreground = terminals::give_up(seat.world(), k.proc(), self.terminal, &seat.pin())?;
        if let Some(group) = foreground {
            for signo in [Signo::HUP, seat.world().rules.numbers.cont] {
                // Who may be signalled is.
                let _anybody = k.kill_group(group, signo);
            }
        }
        Ok(())
    }

    /// The group in the foreground (`tcgetpgrp`). One that has ended is named until another
    /// is put there, as on Linux; its number may have been issued again by then, to a group
    /// that is in the background. Wait-free.
    ///
    /// # Errors
    /// [`TerminalError::NotControlling`] (ENOTTY).
    #[doc(alias = "tcgetpgrp")]
    pub fn foreground(self) -> Result<Pid, TerminalError> {
        let seat = &self.k.seat;
        let control = terminals::look(seat.world(), self.k.proc(), self.terminal, &seat.pin());
        let pin = seat.pin();
        control.map(|control| {
            self.k.numbering().number_of(&seat.world().ids, control.foreground, &pin)
        })
    }

    /// Its session (`tcgetsid`). Wait-free.
    ///
    /// # Errors
    /// [`TerminalError::NotControlling`] (ENOTTY).
    #[doc(alias = "tcgetsid")]
    pub fn session(self) -> Result<Pid, TerminalError> {
        let seat = &self.k.seat;
        let control = terminals::look(seat.world(), self.k.proc(), self.terminal, &seat.pin());
        let pin = seat.pin();
        control
            .map(|control| self.k.numbering().number_of(&seat.world().ids, control.session, &pin))
    }

    /// Puts a group of the session in the foreground (`tcsetpgrp`), if the process
    /// [may change](AtTerminal::may_change) the terminal. That the group is in the session is
    /// looked at before; that the session has the terminal is part of the step. Lock-free but
    /// for the allocator; O(processes) where it is refused for a number that is no group's.
    ///
    /// # Errors
    /// In this order:
    /// * [`TerminalError::Signalled`] (EINTR), as of `may_change`; what is EIO there is
    ///   [`TerminalError::NotControlling`] (ENOTTY) here;
    /// * [`TerminalError::BadNumber`] (EINVAL);
    /// * [`TerminalError::NotControlling`] (ENOTTY);
    /// * [`TerminalError::NoSuchGroup`] (ESRCH), [`TerminalError::OtherSession`] (EPERM):
    ///   see [`Difference::ForegroundOfNoGroup`](crate::Difference::ForegroundOfNoGroup).
    #[doc(alias = "tcsetpgrp")]
    pub fn set_foreground(self, pgid: Pid) -> Result<(), TerminalError> {
        self.may_change().map_err(|why| match why {
            TerminalError::Background => TerminalError::NotControlling,
            other => other,
        })?;
        /// What no group has.
        const NONE: Pid = Pid(-1);
        let (seat, numbering) = (&self.k.seat, self.k.numbering());
        if pgid.0 < 0 {
            return Err(TerminalError::BadNumber);
        }
        let pgid = if pgid.0 > 0 { numbering.kernels(pgid).unwrap_or(NONE) } else { pgid };
        terminals::set_foreground(seat.world(), self.k.proc(), self.terminal, pgid, &seat.pin())
    }

    /// Whether the process may read now. In the background its group is sent SIGTTIN.
    /// Lock-free but for what the signal does; O(members of the group) in the background.
    ///
    /// The kernel knows what the LWP blocks, and what the process ignores where it
    /// [keeps that](crate::JobControl::Kernel); else the embedder asks first.
    ///
    /// # Errors
    /// [`TerminalError::Signalled`] (EINTR); [`TerminalError::Background`] (EIO) when SIGTTIN
    /// is blocked or ignored, or the group is orphaned.
    pub fn may_read(self) -> Result<(), TerminalError> {
        self.check(Act::Read)
    }

    /// Whether the process may write now: with [`Tostop::Clear`] it may. In the background
    /// its group is sent SIGTTOU, unless that is blocked or ignored. As
    /// [`AtTerminal::may_read`].
    ///
    /// # Errors
    /// [`TerminalError::Signalled`] (EINTR); [`TerminalError::Background`] (EIO) when the group
    /// is orphaned.
    pub fn may_write(self, tostop: Tostop) -> Result<(), TerminalError> {
        match tostop {
            Tostop::Clear => Ok(()),
            Tostop::Set => self.check(Act::Write),
        }
    }

    /// Whether the process may change the terminal now (`tcsetattr`, `tcflush` and their
    /// kin): as it may [write](AtTerminal::may_write) with [`Tostop::Set`].
    ///
    /// # Errors
    /// As there; from an orphaned group see [`Difference::ChangeByOrphans`](crate::Difference::ChangeByOrphans).
    pub fn may_change(self) -> Result<(), TerminalError> {
        self.check(Act::Change)
    }

    fn own_kernel(self) -> Result<&'e Seat<'e, H>, TerminalError> {
        let seat = &self.k.seat;
        let is_of = self.terminal.is_of(seat.world().serial);
        if is_of { Ok(seat) } else { Err(TerminalError::WrongKernel) }
    }

    fn check(self, act: Act) -> Result<(), TerminalError> {
        let (seat, k) = (&self.k.seat, self.k);
        terminals::check(seat.world(), k.proc(), k.node(), self.terminal, act, &seat.pin())
    }

    /// The line is gone (carrier lost, the master closed, `vhangup`): the session loses it, and
    /// its leader gets SIGHUP; by [Linux's rules](crate::Difference::HangUp) also SIGCONT, and the
    /// group in the foreground both when the leader ends. Whoever calls. Lock-free but for the
    /// allocator and what the signals do.
    ///
    /// # Errors
    /// [`TerminalError::WrongKernel`] (EXDEV).
    pub fn hang_up(self) -> Result<(), TerminalError> {
        let seat = self.own_kernel()?;
        Aftermath::collect(|aftermath| {
            terminals::hang_up(seat.world(), self.terminal, &seat.pin(), aftermath);
        });
        Ok(())
    }

    /// Sends to each process of the group in the foreground, as SIGINT for what is typed;
    /// nothing where that group has ended. Whoever calls. As
    /// [`PgrpRef::post`](crate::PgrpRef::post).
    ///
    /// # Errors
    /// [`TerminalError::WrongKernel`] (EXDEV).
    pub fn signal_foreground(self, signo: Signo) -> Result<(), TerminalError> {
        let seat = self.own_kernel()?;
        Aftermath::collect(|aftermath| {
            let (world, pin) = (seat.world(), seat.pin());
            if let Some(group) = terminals::foreground(world, self.terminal, &pin) {
                kill::send_to_group(world, group, signo, &pin, aftermath);
            }
        });
        Ok(())
    }
}
