//! Process groups and sessions, for the process that runs.

use super::Entered;
use super::view::view;
use crate::host::Host;
use crate::id::Pid;
use crate::object::group::Pgrp;
use crate::object::node::ProcNode;
use crate::object::terminal::Terminal;
use crate::ops::{regroup, terminals};
use crate::pgrp::{self, GroupError};
use crate::reclaim::Pin;

view! {
    /// Process groups and sessions, as the current process sees and changes them; init
    /// in an implicit context.
    ///
    /// ```
    /// use lwproc::{Kernel, Pid, Rfork};
    ///
    /// let kernel = Kernel::new();
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// assert_eq!(k.groups().setsid()?, k.pid());
    /// assert_eq!((k.groups().pgid(), k.groups().sid()), (k.pid(), k.pid()));
    /// assert_eq!(k.groups().pgid_of(Pid::INIT)?, Pid::KERNEL);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Groups
}

impl<H: Host> Entered<'_, H> {
    /// The process groups and sessions around the current process.
    #[inline]
    pub fn groups(&self) -> Groups<'_, H> {
        Groups(self)
    }
}

impl<'e, H: Host> Groups<'e, H> {
    /// The current process's group (`getpgrp`); 0 if it was led from outside of the process's
    /// pid namespace. Wait-free.
    #[doc(alias = "getpgrp")]
    pub fn pgid(self) -> Pid {
        self.0.numbering().pgid(self.own_group(&self.0.seat.pin()))
    }

    /// The current process's session; 0 as of a group. Wait-free.
    pub fn sid(self) -> Pid {
        let pin = self.0.seat.pin();
        self.0.numbering().sid(self.own_group(&pin).session(&pin))
    }

    fn own_group<'g>(self, pin: &'g Pin<'_>) -> &'g Pgrp {
        pgrp::group_of(self.0.proc(), pin).expect("a process that runs has a group")
    }

    /// The group of the process with that pid, zombies included; 0 is the
    /// current process. Wait-free.
    ///
    /// # Errors
    /// [`GroupError::NoSuchProcess`] (ESRCH).
    #[doc(alias = "getpgid")]
    pub fn pgid_of(self, pid: Pid) -> Result<Pid, GroupError> {
        let pin = self.0.seat.pin();
        let found = pgrp::group_of(self.find_or_own(pid, &pin)?, &pin);
        let pgid = |group| self.0.numbering().pgid(group);
        found.map(pgid).ok_or(GroupError::NoSuchProcess)
    }

    /// The session of the process with that pid, zombies included; 0 is the
    /// current process. Wait-free.
    ///
    /// # Errors
    /// [`GroupError::NoSuchProcess`] (ESRCH).
    #[doc(alias = "getsid")]
    pub fn sid_of(self, pid: Pid) -> Result<Pid, GroupError> {
        let pin = self.0.seat.pin();
        let found = pgrp::group_of(self.find_or_own(pid, &pin)?, &pin);
        let sid = |group: &Pgrp| self.0.numbering().sid(group.session(&pin));
        found.map(sid).ok_or(GroupError::NoSuchProcess)
    }

    /// The current process's controlling terminal: what opening `/dev/tty` opens. `None`: it
    /// has none (ENXIO). Wait-free but for a share of it.
    // POSIX: 11.1.3; Linux: `tty_open_current_tty`; NetBSD: `cttyopen`.
    #[doc(alias = "/dev/tty")]
    pub fn controlling_terminal(self) -> Option<Terminal> {
        let seat = &self.0.seat;
        terminals::terminal_of(seat.world(), self.0.proc(), &seat.pin())
    }

    fn find_or_own<'g>(self, pid: Pid, pin: &'g Pin<'_>) -> Result<&'g ProcNode<H>, GroupError>
    where
        'e: 'g,
    {
        if pid.0 == 0 {
            return Ok(self.0.proc());
        }
        let (world, numbering) = (self.0.seat.world(), self.0.numbering());
        let found = numbering.find(&world.ids, pid, pin).map(|(node, _)| node);
        let of_lwp = || world.process_of_lwp(numbering.kernels(pid)?, pin);
        found.or_else(of_lwp).ok_or(GroupError::NoSuchProcess)
    }

    /// Moves the current process, or a child of it, into a process group of its
    /// session: one that there is, or the one of its own pid, which is made if
    /// need be. `pid` 0 is the current process, `pgid` 0 the pid that is moved.
    /// Whoever waits for that child looks again.
    ///
    /// The checks of the process that is moved, and the move, are one step; that
    /// the caller is still in the session in which it was looked at is not part
    /// of it. Lock-free but for the allocator.
    ///
    /// # Errors
    /// Nothing has changed then.
    /// * [`GroupError::BadNumber`] (EINVAL): `pgid` is negative.
    /// * [`GroupError::NoSuchProcess`] (ESRCH): `pid` is neither the current
    ///   process nor a living child of it; a zombie is moved by
    ///   [Linux's rules](crate::Difference::SetpgidOfZombie) alone.
    /// * [`GroupError::NumberOfLwp`] (EINVAL), by
    ///   [those](crate::Difference::LwpForProcess), too: `pid` is that of a further LWP.
    /// * [`GroupError::HasExeced`] (EACCES): the child has run another program.
    /// * [`GroupError::SessionLeader`], [`GroupError::OtherSession`],
    ///   [`GroupError::NoSuchGroup`] (EPERM): the process leads a session; the
    ///   child or the group is in another session; there is no such group. A group
    ///   that [`setsid`](Groups::setsid) is about to make is there already, in
    ///   another session.
    pub fn setpgid(self, pid: Pid, pgid: Pid) -> Result<(), GroupError> {
        /// What no group has.
        const NONE: Pid = Pid(-1);
        let (seat, numbering) = (&self.0.seat, self.0.numbering());
        if pgid.0 < 0 {
            return Err(GroupError::BadNumber);
        }
        let pid = if pid.0 > 0 { numbering.kernels(pid) } else { Some(pid) };
        let pid = pid.ok_or(GroupError::NoSuchProcess)?;
        let pgid = if pgid.0 > 0 { numbering.kernels(pgid).unwrap_or(NONE) } else { pgid };
        regroup::setpgid(seat.world(), seat.me(), self.0.proc_ptr(), pid, pgid)
    }

    /// Makes the current process the leader of a new session and of a new
    /// process group in it; their number, which is its pid. Lock-free but for
    /// the allocator.
    ///
    /// # Errors
    /// [`GroupError::GroupExists`] (EPERM): a group of that number exists, with
    /// the process in it or without. A group that another thread is about to
    /// make for this process, or to move a process into, exists from then on; one
    /// whose last member is moved out, until that call returns.
    pub fn setsid(self) -> Result<Pid, GroupError> {
        let seat = &self.0.seat;
        regroup::setsid(seat.world(), seat.me(), self.0.proc_ptr())?;
        Ok(self.0.pid())
    }

    /// For the models.
    #[cfg(any(lwproc_loom, lwproc_shuttle))]
    pub fn mark_execed(self) {
        self.0.proc().mark_execed();
    }
}
