//! Making a process without becoming it.
#![allow(unsafe_code)]

use super::proc::ProcHandle;
use super::reservation::{Parent, ProcReservation};
use crate::cred::{Cred, CredChange};
use crate::filedesc::{Fd, Rfork};
use crate::host::{Host, ThreadHost};
use crate::object::comm::Comm;
use crate::object::kin::ExitSignal;
use crate::object::node::{ProcNode, ProcPtr};
use crate::ops::birth::{self, Like};
use crate::ops::forker::Forker;
use crate::ops::numbering::Numbering;
use crate::ops::owned::Lwp;
use crate::ops::plan::{FdStep, Plan, SpawnError, SpawnGroup, SpawnSession};
use crate::ops::seat::Seat;
use crate::ops::shape::Line;
use crate::pgrp::GroupError;
use crate::reclaim::Managed;
use crate::signal::{SigSet, Signo};
use crate::specific::ProcKey;
use crate::world::config::Part;
use std::fmt;
use std::sync::Arc;

/// A process that is to be made: a builder. What it does not say, the child has from
/// its parent, as in a fork; nobody becomes the child.
///
/// ```
/// use lwproc::{Fd, Kernel, OnExec, Rfork, SpawnGroup, ThreadHost, WaitPolicy, WaitTarget};
///
/// let kernel = Kernel::builder().host(ThreadHost::<&str>::new());
/// let kernel = kernel.wait_policy(WaitPolicy::Wait).build()?;
/// let mut k = kernel.enter()?;
/// k.rfork(Rfork::Fresh)?;
/// let out = k.files().open("pipe", OnExec::Keep)?;
/// let child = k
///     .spawn()
///     .files(Rfork::Fresh) // none, but for:
///     .fd(out, Fd(1))
///     .fd(out, Fd(2))
///     .group(SpawnGroup::New)
///     .name("make")
///     .start()?;
/// let handle = child.proc_handle();
/// assert_eq!(k.pid(), k.pin().proc(handle.pid()).unwrap().ppid());
///
/// // Some thread runs it; here it ends at once.
/// drop(child);
/// assert_eq!(k.wait(WaitTarget::Any)?.pid, handle.pid());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Who may
/// Whoever has the parent's right: the thread that runs as it, the holder of its handle,
/// the owner of the kernel. What a member of the parent may not do, its child cannot be
/// made with: [`Spawn::change_cred`] and [`Spawn::group`] go by the rules of
/// [`Creds::set`](crate::Creds::set) and [`Groups::setpgid`](crate::Groups::setpgid).
#[doc(alias = "posix_spawn")]
#[must_use = "nothing is made until `start`"]
pub struct Spawn<'a, H: Host = ThreadHost> {
    seat: Seat<'a, H>,
    parent: Parent<'a, H>,
    files: Rfork,
    blocked: SigSet,
    vmspace: Option<H::VmSpace>,
    /// As in [`Kin`].
    maker: u32,
    /// What else there is to say: made when it is first said.
    more: Option<Box<Plan<H>>>,
}

impl<'a, H: Host> Spawn<'a, H> {
    /// # Safety
    /// The process lives as long as this.
    #[inline]
    pub(crate) unsafe fn of_living(
        seat: Seat<'a, H>,
        parent: ProcPtr<H>,
        forker: Forker<'a, H>,
        files: Rfork,
    ) -> Self {
        Self::new(seat, Parent::Living(parent, forker), files)
    }

    pub(crate) fn of_handle(parent: &'a ProcHandle<H>) -> Self {
        Self::new(parent.anchor().seat(), Parent::Known(parent), Rfork::Share)
    }

    #[inline]
    fn new(seat: Seat<'a, H>, parent: Parent<'a, H>, files: Rfork) -> Self {
        Self { seat, parent, files, blocked: SigSet::EMPTY, vmspace: None, maker: 0, more: None }
    }

    /// By that LWP of the parent's.
    #[inline]
    pub(crate) fn made_by(mut self, serial: u32) -> Self {
        self.maker = serial;
        self
    }

    fn plan(&mut self) -> &mut Plan<H> {
        self.more.get_or_insert_default()
    }

    /// What the parent is sent when the child ends, or nothing, in the place of the kernel's
    /// SIGCHLD: the child is a *clone child*, unless that is SIGCHLD. Only waits for
    /// [such children](crate::WaitFor::kind) find it, and it becomes a zombie whatever the
    /// parent makes of SIGCHLD. An exec or another parent makes it an ordinary child; after an
    /// exec of the parent SIGCHLD is sent. (`CSIGNAL` of `clone(2)`; `exit_signal` of Linux,
    /// `p_exitsig` of NetBSD.)
    pub fn exit_signal(mut self, signo: Option<Signo>) -> Self {
        let world = self.seat.world();
        let exit_signal = match signo {
            Some(signo) if signo == world.rules.numbers.chld => ExitSignal::ORDINARY,
            own => {
                world.config.touch(Part::CloneChildren);
                ExitSignal::of_clone(own)
            }
        };
        if let Line::Child(kin) = &mut self.plan().line {
            kin.exit_signal = exit_signal;
        }
        self
    }

    /// The child is its maker's sibling: a child of the parent of that, made by the same LWP
    /// and with the same [exit signal](Spawn::exit_signal) as its maker (`CLONE_PARENT`). All
    /// else it has from its maker.
    pub fn sibling(mut self) -> Self {
        self.plan().line = Line::Sibling;
        self
    }

    /// What the child does with its parent's descriptors. Default: it shares them; a
    /// child of proc0, which [`Kernel::spawn`](crate::Kernel::spawn) makes, has none.
    pub fn files(mut self, files: Rfork) -> Self {
        self.files = files;
        self
    }

    /// Makes the child's descriptor `to` refer to the file of `from`, and closes what it
    /// was; an exec keeps it. (`posix_spawn_file_actions_adddup2`.) Steps are taken in
    /// the order in which they are given, on top of [`Spawn::files`]: `from` is what the
    /// child has there by then. With [`Rfork::Fresh`] the child has nothing that could be
    /// meant, and `from` is the parent's, whatever the steps before made of the child's.
    ///
    /// The child of any step has a table of its own: one that it would share is copied.
    pub fn fd(mut self, from: Fd, to: Fd) -> Self {
        self.plan().steps.push(FdStep::Dup { from, to });
        self
    }

    /// Closes the child's descriptor, if it is open. A step as [`Spawn::fd`].
    /// (`posix_spawn_file_actions_addclose`.)
    pub fn close(mut self, fd: Fd) -> Self {
        self.plan().steps.push(FdStep::Close(fd));
        self
    }

    /// Gives the child credentials, whatever they are: what the embedder decides, as
    /// [`Creds::commit`](crate::Creds::commit). Its real user is charged with the child.
    pub fn cred(mut self, cred: Cred) -> Self {
        self.plan().cred = Some(cred);
        self
    }

    /// Changes the child's credentials, by the rules: those of its parent, or of
    /// [`Spawn::cred`]. Several changes are made in their order.
    pub fn change_cred(mut self, change: &CredChange) -> Self {
        self.plan().changes.push(change.clone());
        self
    }

    /// The child's process group. (`posix_spawnattr_setpgroup`.)
    pub fn group(mut self, group: SpawnGroup) -> Self {
        self.plan().group = match group {
            SpawnGroup::Join(pgid) if pgid.0 > 0 => match self.numbering().kernels(pgid) {
                Some(pgid) => SpawnGroup::Join(pgid),
                None => {
                    self.plan().refused = Some(SpawnError::Group(GroupError::NoSuchGroup));
                    group
                }
            },
            group => group,
        };
        self
    }

    /// Whose numbers are given: those of the process that makes the child; of one that is
    /// known by a handle, the kernel's.
    fn numbering(&self) -> Numbering<'_> {
        match self.parent {
            // SAFETY: it lives as long as this.
            Parent::Living(parent, _) => Numbering::of(unsafe { Managed::deref_counted(parent) }),
            Parent::Known(_) => Numbering::within(None),
        }
    }

    /// The child is the init of a new [pid namespace](crate::PidNamespace), inside of its
    /// parent's: its number 1. Each number there is below `max`; of a `max` of 1 or 0 there
    /// is none. (`CLONE_NEWPID`.)
    pub fn new_namespace(mut self, max: u32) -> Self {
        self.plan().namespace = Some(max);
        self
    }

    /// The child leads a new session, and a new group in it. (`POSIX_SPAWN_SETSID`.)
    pub fn session(mut self) -> Self {
        self.plan().session = SpawnSession::New;
        self
    }

    /// The signals that the child's LWP blocks. Default: those that the LWP blocks which
    /// makes it; none, for a child of proc0 or of a process known by its handle.
    /// (`posix_spawnattr_setsigmask`.)
    pub fn blocked(mut self, mask: SigSet) -> Self {
        self.blocked = mask - self.seat.world().rules.numbers.untouchable();
        self
    }

    /// The child's command name, cut to 16 bytes.
    pub fn name(mut self, name: &str) -> Self {
        self.plan().name = Some(Comm::new(name));
        self
    }

    /// An address space that the child owns, and drops when it ends.
    #[doc(alias = "rfork_vmspace")]
    pub fn vmspace(mut self, vmspace: H::VmSpace) -> Self {
        self.vmspace = Some(vmspace);
        self
    }

    /// Data of the child's, under a key: see [`Data::set_proc`](crate::Data::set_proc).
    /// Under one key the last counts.
    pub fn data<T: Send + Sync + 'static>(mut self, key: ProcKey<T>, value: T) -> Self {
        match key.of_kernel(self.seat.world().serial) {
            Ok(number) => self.plan().data.push((number, Arc::new(value))),
            Err(_) => self.plan().refused = Some(SpawnError::WrongKernel),
        }
        self
    }

    /// Makes the process, with its first LWP: owned, and bound to no thread. A handle of
    /// the process is [`Lwp::proc_handle`]. It is whole when it can first be seen.
    ///
    /// Lock-free but for the allocator and the host; O(descriptors) when they are copied.
    ///
    /// # Errors
    /// Nothing is made then, and what was given is dropped.
    /// * [`SpawnError::NoSuchProcess`] (ESRCH), [`SpawnError::Draining`] (EBUSY): the
    ///   parent, known by its handle, has ended, or [drains](crate::Entered::drain).
    /// * [`SpawnError::IdsExhausted`], [`SpawnError::Limit`], [`SpawnError::KernelFull`]
    ///   (EAGAIN), as [`Entered::rfork`](crate::Entered::rfork). The limit is the parent's
    ///   one, of the child's user; a parent that is the superuser has none.
    /// * [`SpawnError::Files`]: [`FdError::BadFd`](crate::FdError::BadFd) (EBADF), as
    ///   [`Files::dup2`](crate::Files::dup2).
    /// * [`SpawnError::Cred`]: as [`Creds::set`](crate::Creds::set).
    /// * [`SpawnError::Group`]: as [`Groups::setpgid`](crate::Groups::setpgid) of the
    ///   child; [`GroupError::SessionLeader`](crate::GroupError::SessionLeader) (EPERM): it
    ///   leads a session, and cannot join a group.
    /// * [`SpawnError::NoSiblings`] (EINVAL): [`Spawn::sibling`] of proc0 or init, or of a pid
    ///   namespace's init.
    /// * [`SpawnError::IdsExhausted`] (EAGAIN): a pid namespace has no number left.
    ///   [`SpawnError::NamespaceEnded`] (ENOMEM): its init ends.
    ///   [`SpawnError::NamespaceDepth`] (ENOSPC): a new one would be nested deeper than 32.
    /// * [`SpawnError::WrongKernel`] (EXDEV): a key of [`Spawn::data`] is of another kernel.
    // Inlined, so that a plan of which nothing is said is not written to memory.
    #[inline]
    pub fn start(self) -> Result<Lwp<H>, SpawnError> {
        match (&self.parent, &self.more) {
            (&Parent::Living(parent, forker), None) => {
                let Self { seat, files: how, blocked, vmspace, maker, .. } = self;
                Ok(birth::newproc(&seat, parent, Like { forker, how, blocked, vmspace, maker })?)
            }
            _ => self.reserve()?.commit(),
        }
    }

    /// The first half of [`Spawn::start`]: takes all that may be refused because there is
    /// too much of it, the child's number included; [`ProcReservation::commit`] is the
    /// second. For an embedder that must know the number first, as to write it into the
    /// child's memory.
    ///
    /// ```
    /// # let kernel = lwproc::Kernel::new();
    /// let k = kernel.enter_as(kernel.spawn().start()?)?;
    /// let reserved = k.spawn().name("sh").reserve()?;
    /// let pid = reserved.pid();
    /// assert!(kernel.pin().proc(pid).is_none(), "nobody finds it");
    /// let child = reserved.commit()?;
    /// assert_eq!(child.pid(), pid);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Lock-free but for the allocator.
    ///
    /// # Errors
    /// As [`Spawn::start`], but for [`SpawnError::Files`] and [`SpawnError::Group`]. Nothing is
    /// taken then.
    #[inline(never)]
    pub fn reserve(self) -> Result<ProcReservation<'a, H>, SpawnError> {
        let Self { seat, parent, files, blocked, vmspace, maker, more } = self;
        let mut plan =
            Plan { files, blocked, vmspace, ..more.map(|more| *more).unwrap_or_default() };
        match &mut plan.line {
            Line::Child(kin) => kin.maker = maker,
            Line::Sibling if parent.is_init() => plan.refused = Some(SpawnError::NoSiblings),
            Line::Sibling => {}
        }
        ProcReservation::new(seat, parent, plan)
    }
}

impl<H: Host> Parent<'_, H> {
    fn node(&self) -> &ProcNode<H> {
        match self {
            // SAFETY: it lives as long as this.
            Self::Living(ptr, _) => unsafe { Managed::deref_counted(*ptr) },
            Self::Known(proc) => proc.node(),
        }
    }

    fn is_init(&self) -> bool {
        self.node().is_permanent() || self.node().leads().is_some()
    }
}

impl<H: Host> fmt::Debug for Spawn<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spawn(child of {})", self.parent.node().pid())
    }
}
