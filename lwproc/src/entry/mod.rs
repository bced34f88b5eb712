//! The entered thread: running as an LWP, switching, forking, leaving.
#![allow(unsafe_code)]

pub(crate) mod acts;
pub(crate) mod alias;
pub(crate) mod biglock;
pub(crate) mod cred;
pub(crate) mod current;
pub(crate) mod drain;
pub(crate) mod files;
pub(crate) mod groups;
pub(crate) mod innermost;
mod lent;
#[cfg(feature = "async")]
pub(crate) mod nap;
pub(crate) mod opened;
mod passage;
pub(crate) mod pidfd;
pub(crate) mod process;
pub(crate) mod resources;
#[cfg(feature = "async")]
pub(crate) mod scoped;
pub(crate) mod signal;
pub(crate) mod sleep;
pub(crate) mod specific;
mod switch;
mod take;
pub(crate) mod terminal;
pub(crate) mod until;
pub(crate) mod vfork;
mod view;
pub(crate) mod wait;
pub(crate) mod wait_for;

use crate::error::{ForkError, HoldError, NewLwpError, ReleError, ReleaseError, UnbindError};
use crate::family;
use crate::filedesc::Rfork;
use crate::handles::guard::Guard;
use crate::handles::refused::SwitchError;
use crate::handles::spawn::Spawn;
use crate::host::{Host, ThreadHost};
use crate::id::{Lid, Pid};
use crate::object::lwp_word::{RefRefused, Released};
use crate::object::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::status::ExitStatus;
use crate::ops::birth::{self, Like};
use crate::ops::forker::Forker;
use crate::ops::newlwp::{self, Maker};
use crate::ops::numbering::Numbering;
use crate::ops::owned::Lwp;
use crate::ops::pending;
use crate::ops::seat::Seat;
use crate::reclaim::Managed;
use crate::world::Implicit;
use crate::world::context::Context;
use current::CurLwp;
use std::fmt;

/// A thread in the kernel. `!Send`; one at a time for a thread and a kernel.
///
/// It runs as an LWP, or in an *implicit context*: as init, with no LWP, so
/// [`Entered::curlwp`] is `None`; where guests are not trusted,
/// [forbid](crate::Builder::forbid_implicit_contexts) that. Dropping it leaves: an exiting LWP is freed,
/// any other stays bound to the thread and is there at its next entry.
///
/// It cannot be sent to another thread:
///
/// ```compile_fail,E0277
/// let kernel = lwproc::Kernel::new();
/// let entered = kernel.enter().unwrap();
/// std::thread::scope(|s| {
///     s.spawn(move || drop(entered));
/// });
/// ```
///
/// An [`Lwp`] can:
///
/// ```
/// let kernel = lwproc::Kernel::new();
/// let lwp = kernel.spawn().start().unwrap();
/// std::thread::scope(|s| {
///     s.spawn(move || drop(lwp));
/// });
/// ```
#[must_use = "dropping it leaves the kernel"]
pub struct Entered<'k, H: Host = ThreadHost> {
    seat: Seat<'k, H>,
    /// What it runs as.
    cx: &'k Context<H>,
}

impl<'k, H: Host> Entered<'k, H> {
    /// Takes a guard to look around under. It may outlive this entry.
    #[inline]
    pub fn pin(&self) -> Guard<'k, H> {
        Guard::new(self.share_seat())
    }

    /// The virtual CPU that this thread has; `None` in a kernel without.
    pub fn cpu(&self) -> Option<usize> {
        self.seat.me().cpu.get()
    }

    /// A further use of the seat.
    pub(crate) fn share_seat(&self) -> Seat<'k, H> {
        self.seat.share()
    }

    /// Whether another context of the thread runs, which was entered later. What is
    /// the thread's is not this one's then.
    #[inline]
    fn is_suspended(&self) -> bool {
        !std::ptr::eq(self.seat.me().innermost(), self.cx)
    }

    /// The bound LWP; null in the implicit context.
    #[inline]
    fn bound(&self) -> LwpPtr<H> {
        self.cx.bound()
    }

    #[inline]
    fn node(&self) -> Option<&LwpNode<H>> {
        let bound = self.bound();
        // SAFETY: bound to this thread, so owned by it.
        (!bound.is_null()).then(|| unsafe { Managed::deref_counted(bound) })
    }

    /// `curproc`: the current LWP's process; init in the implicit context.
    #[inline]
    pub(crate) fn proc_ptr(&self) -> ProcPtr<H> {
        self.node().map_or(self.seat.world().init, |node| node.proc)
    }

    #[inline]
    fn proc(&self) -> &ProcNode<H> {
        // SAFETY: the current LWP keeps it; init never dies.
        unsafe { Managed::deref_counted(self.proc_ptr()) }
    }

    /// The bound LWP, unless it is exiting.
    #[cfg(feature = "async")]
    pub(crate) fn living_node(&self) -> Option<&LwpNode<H>> {
        self.node().filter(|node| !node.word.load().is_exiting())
    }

    /// Who this was, if it is the context of a scope whose LWP has gone.
    #[inline]
    fn inert(&self) -> Option<(Pid, Lid)> {
        self.cx.inert.get()
    }

    /// Whether the context is implicit when it has no LWP. That of a scope never is, nor
    /// any in a kernel that forbids it.
    fn may_be_implicit(&self) -> bool {
        self.cx.ground().is_none() && self.seat.world().implicit == Implicit::Allowed
    }

    /// Whether the current LWP goes at the next switch, or when the context is left.
    #[inline]
    fn is_exiting(&self) -> bool {
        self.node().is_some_and(|node| node.word.load().is_exiting())
    }

    /// How the current process gives and gets numbers.
    #[inline]
    pub(crate) fn numbering(&self) -> Numbering<'_> {
        Numbering::of(self.proc())
    }

    /// The current process, by its number in its [pid namespace](crate::PidNamespace), as
    /// all numbers here; 1 in the implicit context. Wait-free.
    pub fn pid(&self) -> Pid {
        self.numbering().pid(self.proc())
    }

    /// The current process's parent: 1 for an orphan, 0 for proc0 and its
    /// children, and for one whose parent is outside of its pid namespace. Wait-free.
    pub fn ppid(&self) -> Pid {
        let pin = self.seat.pin();
        let edge = family::edge_of(self.proc(), &pin);
        edge.map_or(Pid::KERNEL, |(edge, _)| self.numbering().pid(edge.parent(&pin)))
    }

    /// The bound LWP's number, exiting or not; `None` in the implicit context.
    pub fn lid(&self) -> Option<Lid> {
        self.numbering().lid(self.node()?, self.proc())
    }

    /// The current LWP; `None` in the implicit context and when it is exiting.
    /// Wait-free; one load of the thread's own memory.
    // Seed: `rump_lwproc_curlwp` S567-S575.
    #[inline]
    #[doc(alias = "rump_pub_lwproc_curlwp")]
    pub fn curlwp(&self) -> Option<CurLwp<'_, H>> {
        let node = self.node()?;
        // SAFETY: only `&mut self` changes what is bound.
        (!node.word.load().is_exiting()).then(|| unsafe { CurLwp::new(self.bound()) })
    }

    /// A new LWP in the process with that pid. It is owned and bound to no thread;
    /// to run as it, [switch](Entered::switch) to it. In its own process the current LWP
    /// makes one that blocks the signals that it does (POSIX, `pthread_create`), and uses its
    /// descriptor table, be that [its own](crate::FilesMut::unshare).
    ///
    /// Lock-free but for the allocator and the host.
    ///
    /// # Errors
    /// [`NewLwpError::NoSuchProcess`] (ESRCH): no process has that pid; nor
    /// does one when it is only the lid of a further LWP.
    /// [`NewLwpError::Draining`] (EBUSY). [`NewLwpError::IdsExhausted`],
    /// [`NewLwpError::Limit`], [`NewLwpError::ProcessFull`], [`NewLwpError::KernelFull`]
    /// (EAGAIN): no id is left; the limit of a user's LWPs
    /// [is enforced](crate::LimitsPolicy); there are as many as
    /// [`Builder::max_lwps_per_proc`](crate::Builder::max_lwps_per_proc) or
    /// [`Builder::max_lwps`](crate::Builder::max_lwps) says. One that is refused, or begins
    /// or ends, may count while it does. On an error nothing has changed.
    // Seed: `rump_lwproc_newlwp` S413-S442 (R1, R2, R3, R9, R15), which switches.
    #[doc(alias = "rump_pub_lwproc_newlwp")]
    #[doc(alias = "newlwp")]
    pub fn new_lwp(&self, pid: Pid) -> Result<Lwp<H>, NewLwpError> {
        let node = self.node().filter(|_| pid == self.pid());
        let pid = self.numbering().kernels(pid).ok_or(NewLwpError::NoSuchProcess)?;
        let maker = match node {
            Some(node) => Maker {
                blocked: pending::blocked(node),
                // SAFETY: bound to this thread; replaced by `&mut self` only.
                files: unsafe { node.files() },
                cred: self.own_cred(),
            },
            None => Maker::NONE,
        };
        newlwp::newlwp(&self.seat, pid, &maker)
    }

    fn forker(&self) -> Forker<'_, H> {
        Forker { table: self.own_files(), cred: self.own_cred() }
    }

    /// A new child of the current process with its first LWP, and a switch to
    /// it. What was current before comes back, unless it was exiting.
    ///
    /// Lock-free but for the allocator and the host.
    ///
    /// # Errors
    /// [`ForkError::IdsExhausted`]; [`ForkError::Limit`], where the limit of a user's
    /// processes [is enforced](crate::LimitsPolicy); [`ForkError::KernelFull`], with
    /// [`Builder::max_procs`](crate::Builder::max_procs) or
    /// [`Builder::max_lwps`](crate::Builder::max_lwps): all EAGAIN.
    /// [`ForkError::NamespaceEnded`] (ENOMEM): the init of its pid namespace ends. On an error
    /// nothing has changed.
    ///
    // Seed: `rump_lwproc_rfork` S459-S464.
    #[doc(alias = "rump_pub_lwproc_rfork")]
    pub fn rfork(&mut self, files: Rfork) -> Result<Option<Lwp<H>>, ForkError> {
        let (forker, blocked) = (self.forker(), self.signals().blocked());
        let like = Like { forker, how: files, blocked, vmspace: None, maker: self.serial() };
        let new = birth::newproc(&self.seat, self.proc_ptr(), like)?;
        Ok(self.replace(new))
    }

    /// A new child of the current process, made by a builder: [`Spawn`]. The context
    /// goes on as what it is. The child shares the parent's descriptors, unless
    /// [`Spawn::files`] says otherwise, and blocks the signals that this LWP does.
    /// Wait-free; the rest is done by [`Spawn::start`].
    #[doc(alias = "rfork_vmspace")]
    #[doc(alias = "fork")]
    #[doc(alias = "posix_spawn")]
    pub fn spawn(&self) -> Spawn<'_, H> {
        let forker = self.forker();
        // SAFETY: the context runs as the process as long as it is borrowed, and init
        // never ends.
        unsafe { Spawn::of_living(self.share_seat(), self.proc_ptr(), forker, Rfork::Share) }
            .blocked(self.signals().blocked())
            .made_by(self.serial())
    }

    /// What the current LWP is as a maker of children; 0 in an implicit context.
    fn serial(&self) -> u32 {
        self.node().map_or(0, LwpNode::serial)
    }

    /// Switches to `new`. What was current before comes back, still owned,
    /// unless it was exiting, and then it is freed; or the context was implicit.
    ///
    /// Wait-free but for the host. Between two LWPs that live on there is no
    /// read-modify-write, unless a signal is pending or credentials have changed. Freeing
    /// an exiting one is as dropping an [`Lwp`]. To let others run the old one,
    /// [`unclaim`](Lwp::unclaim) it.
    ///
    /// # Errors
    /// [`SwitchError::WrongKernel`] (EXDEV) gives `new` back. That it is
    /// already running cannot happen: holding it is the right to run it.
    // Seed: `rump_lwproc_switch` S471-S523 (R6, R7).
    #[doc(alias = "rump_pub_lwproc_switch")]
    pub fn switch(&mut self, new: Lwp<H>) -> Result<Option<Lwp<H>>, SwitchError<H>> {
        if !std::ptr::eq(new.world(), self.seat.world()) {
            return Err(SwitchError::WrongKernel(new));
        }
        Ok(self.replace(new))
    }

    /// Takes the current LWP off the thread: the context is implicit from now
    /// on, and the LWP is the caller's. `None` when it was implicit already.
    ///
    /// # Errors
    /// [`UnbindError::Exiting`] (EINVAL). [`UnbindError::NeedsLwp`] (EBUSY): in a
    /// [scope](crate::Scope), and in a kernel that
    /// [forbids](crate::Builder::forbid_implicit_contexts) implicit contexts, where
    /// [`Kernel::leave`](crate::Kernel::leave) takes it.
    // Seed: `switch(NULL)` S482-S486 (R7), without the wait until the thread
    // leaves.
    pub fn unbind(&mut self) -> Result<Option<Lwp<H>>, UnbindError> {
        if self.is_exiting() {
            return Err(UnbindError::Exiting);
        }
        if !self.may_be_implicit() {
            return Err(UnbindError::NeedsLwp);
        }
        let old = self.detach_current();
        self.refresh_creds();
        Ok(old)
    }

    /// Marks the current LWP exiting: it is freed at the next switch, or when
    /// this is dropped. Until then the context still runs as its process.
    ///
    /// # Errors
    /// [`ReleaseError::NotPertinent`] (EINVAL): implicit, or exiting already.
    /// [`ReleaseError::Held`] (EBUSY): holds are left.
    // Seed: `rump_lwproc_releaselwp` S529-S539.
    #[doc(alias = "rump_pub_lwproc_releaselwp")]
    #[doc(alias = "releaselwp")]
    pub fn release(&mut self) -> Result<(), ReleaseError> {
        let node = self.node().ok_or(ReleaseError::NotPertinent)?;
        let word = node.word.load();
        if word.is_exiting() {
            return Err(ReleaseError::NotPertinent);
        }
        if word.refcnt() > 1 {
            return Err(ReleaseError::Held { holds: word.refcnt() - 1 });
        }
        match node.word.rele() {
            Ok(Released::Exiting) => Ok(()),
            // The owner's own count was one: nobody else changes it.
            Ok(Released::Held) | Err(_) => unreachable!("refcnt is the owner's"),
        }
    }

    /// Records how the process ends, then [releases](Entered::release) the
    /// current LWP. When several LWPs say so, the last one counts; none after an
    /// [`Entered::exit_group`].
    ///
    /// # Errors
    /// As [`Entered::release`]; the status is not recorded then.
    pub fn exit(&mut self, status: ExitStatus) -> Result<(), ReleaseError> {
        self.release()?;
        let _said_already = self.proc().word.record(status);
        Ok(())
    }

    /// Adds a hold to the current LWP; one that was exiting lives on. In the
    /// implicit context makes an LWP of init for this thread, which from then
    /// on is current.
    ///
    /// # Errors
    /// [`HoldError::IdsExhausted`], [`HoldError::Limit`], [`HoldError::KernelFull`] (EAGAIN):
    /// the implicit context needs an LWP of init, as by [`Entered::new_lwp`].
    /// [`HoldError::Draining`] (EBUSY): it needs an LWP, and init takes none.
    /// [`HoldError::Overflow`] (EOVERFLOW).
    // Seed: `rump__lwproc_lwphold` S548-S555.
    #[doc(alias = "rump_lwproc_lwphold")]
    #[doc(alias = "lwphold")]
    #[inline]
    pub fn hold(&mut self) -> Result<(), HoldError> {
        match self.node() {
            Some(node) => node.word.hold().map_err(|_: RefRefused| HoldError::Overflow),
            None => self.hold_implicit(),
        }
    }

    #[cold]
    fn hold_implicit(&mut self) -> Result<(), HoldError> {
        let lwp = newlwp::newlwp(&self.seat, Pid::INIT, &Maker::NONE).map_err(|why| match why {
            NewLwpError::Draining => HoldError::Draining,
            NewLwpError::Limit => HoldError::Limit,
            NewLwpError::KernelFull => HoldError::KernelFull,
            _ => HoldError::IdsExhausted,
        })?;
        self.attach_current(lwp);
        Ok(())
    }

    /// Drops a hold; with the last, the current LWP is exiting. Wait-free.
    ///
    /// # Errors
    /// [`ReleError::NotHeld`] (EINVAL).
    // Seed: `rump__lwproc_lwprele` S557-S565.
    #[doc(alias = "rump_lwproc_lwprele")]
    #[doc(alias = "lwprele")]
    pub fn unhold(&mut self) -> Result<(), ReleError> {
        let node = self.node().ok_or(ReleError::NotHeld)?;
        node.word.rele().map(drop).map_err(|_| ReleError::NotHeld)
    }
}

impl<H: Host> fmt::Debug for Entered<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node() {
            Some(node) => write!(f, "Entered({}:{} {:?})", self.pid(), node.lid(), node.word),
            None => f.write_str("Entered(implicit)"),
        }
    }
}
