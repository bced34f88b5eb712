//! What a wait is for.

use crate::id::Pid;
use crate::object::kin::ExitSignal;
use crate::signal::Signo;
use std::fmt;
use std::ops::BitOr;

/// Which children are waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum WaitTarget {
    /// Any child.
    Any,
    /// The child with that pid.
    Pid(Pid),
    /// Any child in that process group.
    Pgrp(Pid),
    /// Any child in the process group that the current process is in when it
    /// starts to wait.
    OwnPgrp,
}

impl WaitTarget {
    /// What the number given to `waitpid(2)` means: a child; 0 the own group; -1 any; below
    /// that a group.
    pub fn from_raw(number: i32) -> Self {
        match number {
            1.. => Self::Pid(Pid(number)),
            0 => Self::OwnPgrp,
            -1 => Self::Any,
            // The least number has no opposite, and names no group.
            group => Self::Pgrp(Pid(group.wrapping_neg())),
        }
    }
}

impl WaitTarget {
    /// A wait for the same children that reaps nothing (`WNOWAIT` of POSIX). Wait-free.
    pub fn peek(self) -> WaitFor {
        WaitFor::from(self).peek()
    }

    /// A wait for the same children that finds what is said, and nothing else. Wait-free.
    pub fn events(self, events: WaitEvents) -> WaitFor {
        WaitFor { events, ..self.into() }
    }

    /// A wait for those of them that are of that kind. Wait-free.
    pub fn kind(self, kind: ChildKind) -> WaitFor {
        WaitFor::from(self).kind(kind)
    }

    /// A wait for those of them that are the current LWP's. Wait-free.
    pub fn of_this_lwp(self) -> WaitFor {
        WaitFor::from(self).of_this_lwp()
    }
}

/// Which kind of children a wait is for, by their [exit signal](crate::Spawn::exit_signal).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ChildKind {
    /// Those that are told of by the kernel's SIGCHLD.
    #[default]
    Ordinary,
    /// Those with a signal of their own, or none (`__WCLONE`; NetBSD: `WALTSIG`).
    Clone,
    /// Both (`__WALL`; NetBSD: `WALLSIG`).
    Any,
}

impl ChildKind {
    pub(super) fn has(self, signal: ExitSignal) -> bool {
        match self {
            Self::Ordinary => !signal.is_clone(),
            Self::Clone => signal.is_clone(),
            Self::Any => true,
        }
    }
}

/// What a wait finds of a child: a set.
///
/// ```
/// # use lwproc::*;
/// # let kernel = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record)
/// #     .wait_policy(WaitPolicy::Wait).build()?;
/// # let mut k = kernel.enter()?;
/// # k.switch(kernel.spawn().start()?)?;
/// # k.signals().set_disposition(17, Disposition::Ignore)?;
/// let child = k.spawn().start()?;
/// let both = WaitTarget::Any.events(WaitEvents::STOPPED | WaitEvents::CONTINUED);
/// k.signals().kill(KillTarget::Proc(child.pid()), 19)?; // SIGSTOP on Linux
/// assert_eq!(k.wait(both)?.event, ChildEvent::Stopped(Signo::new(19).unwrap()));
/// assert_eq!(k.try_wait(both)?, None, "each is found once");
/// k.signals().kill(KillTarget::Proc(child.pid()), 18)?; // SIGCONT
/// assert_eq!(k.wait(both)?.event, ChildEvent::Continued);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaitEvents(u8);

impl WaitEvents {
    /// It has ended (`WEXITED`).
    pub const EXITED: Self = Self(1);
    /// It is stopped (`WSTOPPED`, `WUNTRACED`).
    pub const STOPPED: Self = Self(2);
    /// It has been continued (`WCONTINUED`).
    pub const CONTINUED: Self = Self(4);

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for WaitEvents {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for WaitEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [(Self::EXITED, "EXITED"), (Self::STOPPED, "STOPPED"), (Self::CONTINUED, "CONTINUED")];
        let has = names.iter().filter(|(event, _)| self.has(*event)).map(|(_, name)| name);
        f.debug_set().entries(has).finish()
    }
}

/// What a wait has found of a child.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChildEvent {
    /// It has ended, with [`Reaped::status`](crate::Reaped::status).
    Ended,
    /// That signal has stopped it.
    Stopped(Signo),
    /// It was stopped, and goes on.
    Continued,
}

/// What a wait is for: which children, and whether it reaps the one that it finds. A
/// [`WaitTarget`] by itself is a wait that reaps.
///
/// A wait that [peeks](WaitTarget::peek) leaves the child as it is, also for the waits of
/// other LWPs, whose zombie it may be a moment later. It finds a child that another is just
/// reaping, or has [claimed](crate::Entered::claim_zombie), too.
///
/// ```
/// # use lwproc::{ExitStatus, Kernel, WaitPolicy, WaitTarget};
/// # let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build()?;
/// # let mut k = kernel.enter()?;
/// # k.switch(kernel.spawn().start()?)?;
/// k.spawn().start()?.exit(ExitStatus::exited(3));
/// let seen = k.wait(WaitTarget::Any.peek())?;
/// let reaped = k.wait(WaitTarget::Pid(seen.pid))?;
/// assert_eq!(seen, reaped);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaitFor {
    pub(super) target: WaitTarget,
    pub(super) events: WaitEvents,
    pub(super) then: Then,
    pub(super) kind: ChildKind,
    pub(super) whose: Whose,
}

impl WaitFor {
    /// The same wait, which takes nothing: the child is found by the next wait again.
    pub fn peek(self) -> Self {
        Self { then: Then::Keep, ..self }
    }

    /// The same wait, for children of that kind. Unless it is said: the ordinary ones.
    pub fn kind(self, kind: ChildKind) -> Self {
        Self { kind, ..self }
    }

    /// The same wait, for children that the current LWP has made, and no other of its process
    /// (`__WNOTHREAD`). The oldest LWP also has those whose maker has gone, and those that
    /// the process has inherited; an implicit context counts as that. O(LWPs) more for each
    /// child.
    pub fn of_this_lwp(self) -> Self {
        Self { whose: Whose::ThisLwp, ..self }
    }
}

/// Whose children of the process are meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Whose {
    Process,
    ThisLwp,
}

/// What becomes of the child that was found.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Then {
    Reap,
    Keep,
}

impl From<WaitTarget> for WaitFor {
    fn from(target: WaitTarget) -> Self {
        let (events, then, kind) = (WaitEvents::EXITED, Then::Reap, ChildKind::Ordinary);
        Self { target, events, then, kind, whose: Whose::Process }
    }
}

impl fmt::Debug for WaitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peek = if self.then == Then::Keep { ".peek()" } else { "" };
        write!(f, "{:?}", self.target)?;
        if self.events != WaitEvents::EXITED {
            write!(f, ".events({:?})", self.events)?;
        }
        if self.kind != ChildKind::Ordinary {
            write!(f, ".kind({:?})", self.kind)?;
        }
        let whose = if self.whose == Whose::ThisLwp { ".of_this_lwp()" } else { "" };
        write!(f, "{whose}{peek}")
    }
}
