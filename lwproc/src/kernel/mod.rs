//! A kernel: one instance of the process world, as a value.
#![allow(unsafe_code)]

pub(crate) mod builder;
mod caps;
mod config;
mod counting;
mod display;
pub(crate) mod numbers;
mod teardown;

use crate::entry::Entered;
use crate::error::{EnterError, NewLwpError};
use crate::filedesc::Rfork;
use crate::handles::guard::Guard;
use crate::handles::refused::EnterAsError;
use crate::handles::spawn::Spawn;
use crate::host::{Host, ThreadHost};
use crate::id::Pid;
use crate::ops::forker::Forker;
use crate::ops::newlwp::{self, Maker};
use crate::ops::owned::Lwp;
use crate::ops::seat::Seat;
use crate::sync::Arc;
use crate::world::World;
use std::time::Duration;

/// One instance of the process world: proc0, init, the id table, and all that
/// is made in it. Any number can live in one host process; nothing is shared
/// between them.
///
/// Dropping it tears it down: every LWP that nobody owns is released, zombies
/// are reaped, and [`Host::teardown`] is told who survives. An [`Lwp`] that
/// somebody still owns stays usable as a value, and its process ends when it is
/// dropped; the memory goes with the last of them.
///
/// # Progress
/// Operations are lock-free unless they say otherwise; the ones that allocate
/// are as blocking as the allocator, and those that call the [`Host`] as
/// blocking as the host.
pub struct Kernel<H: Host = ThreadHost> {
    world: Arc<World<H>>,
    /// The teardown is done.
    torn_down: bool,
}

impl<H: Host> Kernel<H> {
    pub(crate) fn seat(&self) -> Seat<'_, H> {
        self.world.seat()
    }

    /// Enters the kernel: as the LWP bound to this thread, or, with none, in an
    /// implicit context that runs as init and reads as no curlwp.
    ///
    /// Wait-free. It writes nothing that another thread reads, unless the credentials of
    /// the process have changed since the thread last looked: then it counts the new ones
    /// and clears a mark. The first entry of a thread allocates. In a kernel with
    /// [virtual CPUs](crate::Builder::virtual_cpus) it **blocks** while all are taken. A
    /// thread that uses several kernels in turn searches for its place in this one:
    /// O(log(kernels it uses)).
    ///
    /// # Errors
    /// [`EnterError::AlreadyEntered`] (EDEADLK): this thread is in this kernel.
    /// [`EnterError::NoLwp`] (ESRCH): it has no LWP, and the kernel
    /// [forbids](crate::Builder::forbid_implicit_contexts) implicit contexts.
    // Seed: `rump_schedule`; the implicit context without its global lwp0.
    #[doc(alias = "rump_schedule")]
    #[inline]
    pub fn enter(&self) -> Result<Entered<'_, H>, EnterError> {
        Entered::new(self.seat())
    }

    /// As [`Kernel::enter`], until that time of [`Kernel::now`]. In a kernel without
    /// virtual CPUs entering never waits, and this is the same.
    ///
    /// # Errors
    /// As [`Kernel::enter`]; [`EnterError::TimedOut`] (ETIMEDOUT): all virtual CPUs are
    /// taken.
    pub fn enter_until(&self, deadline: Duration) -> Result<Entered<'_, H>, EnterError> {
        Entered::new_by(self.seat(), deadline)
    }

    /// Enters the kernel as that LWP, which is bound to this thread from then on. As
    /// [`Kernel::enter`] and [`Entered::switch`], but it is never implicit between.
    ///
    /// ```
    /// # use lwproc::{Entered, Kernel};
    /// let kernel = Kernel::builder().forbid_implicit_contexts().build()?;
    /// let lwp = kernel.spawn().start()?;
    /// let k = kernel.enter_as(lwp)?;
    /// assert!(k.curlwp().is_some());
    /// let lwp = Kernel::leave(k).expect("it lives");
    /// assert!(kernel.enter().is_err());
    /// # drop(lwp);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Wait-free but for Host `set`; in a kernel with virtual CPUs it **blocks** while all
    /// are taken.
    ///
    /// # Errors
    /// Each gives `lwp` back. [`EnterAsError::WrongKernel`] (EXDEV),
    /// [`EnterAsError::AlreadyEntered`] (EDEADLK), [`EnterAsError::HasLwp`] (EBUSY).
    pub fn enter_as(&self, lwp: Lwp<H>) -> Result<Entered<'_, H>, EnterAsError<H>> {
        if !std::ptr::eq(lwp.world(), &*self.world) {
            return Err(EnterAsError::WrongKernel(lwp));
        }
        Entered::new_as(self.seat(), lwp)
    }

    /// Leaves, and takes the current LWP along: bound to the thread no more. `None` when
    /// it was exiting, and is gone now; for an implicit context; and for a value that
    /// [`current`](crate::current) gave, whose LWP is not its own. The big lock's depth
    /// goes with the LWP, as in a switch. Wait-free but for Host `clear`; an exiting LWP is
    /// freed as by a drop.
    pub fn leave(entered: Entered<'_, H>) -> Option<Lwp<H>> {
        entered.leave()
    }

    /// What time it is: [`Host::now`].
    pub fn now(&self) -> Duration {
        self.world.host.now()
    }

    /// Time has passed: wakes the threads that sleep with a deadline which has come by
    /// now. For hosts that own the time ([`Host::now`]); what made it pass must come
    /// before. Lock-free but for the unparking of threads; O(threads).
    pub fn tick(&self) {
        self.world.tick();
    }

    /// Takes a guard to look around under.
    #[inline]
    pub fn pin(&self) -> Guard<'_, H> {
        Guard::new(self.seat())
    }

    /// A new child of proc0, made by a builder: [`Spawn`]. It starts with no descriptor
    /// open, unless [`Spawn::files`] says otherwise. Wait-free; the rest is done by
    /// [`Spawn::start`].
    // Seed: `rump__lwproc_alloclwp` S400-S411 without a process.
    #[doc(alias = "rump_pub_lwproc_alloclwp")]
    #[doc(alias = "alloclwp")]
    #[inline]
    pub fn spawn(&self) -> Spawn<'_, H> {
        let forker = Forker { table: self.world.proc0_files(), cred: None };
        // SAFETY: proc0 never ends.
        unsafe { Spawn::of_living(self.seat(), self.world.proc0, forker, Rfork::Fresh) }
    }

    /// A new LWP in the process with that pid. It is owned, bound to no thread, and blocks nothing.
    /// For a process known by its handle there is [`ProcHandle::new_lwp`].
    ///
    /// Lock-free but for the allocator and [`Host::create`].
    ///
    /// # Errors
    /// [`NewLwpError::NoSuchProcess`] (ESRCH), [`NewLwpError::Draining`] (EBUSY); EAGAIN as
    /// [`Entered::new_lwp`].
    ///
    /// [`ProcHandle::new_lwp`]: crate::ProcHandle::new_lwp
    // Seed: `rump__lwproc_alloclwp` S400-S411 with a process.
    #[doc(alias = "rump_pub_lwproc_alloclwp")]
    #[doc(alias = "alloclwp")]
    pub fn new_lwp(&self, pid: Pid) -> Result<Lwp<H>, NewLwpError> {
        newlwp::newlwp(&self.seat(), pid, &Maker::NONE)
    }

    /// What the host has as the calling thread's current LWP.
    // Seed: `rump_lwproc_curlwp_hypercall` S127-S132.
    #[doc(alias = "rump_pub_lwproc_curlwp_hypercall")]
    #[doc(alias = "curlwp_hypercall")]
    #[inline]
    pub fn host_curlwp(&self) -> Option<crate::host::LwpToken> {
        self.world.host.current()
    }

    /// The host.
    pub fn host(&self) -> &H {
        &self.world.host
    }

    /// For the models.
    #[cfg(any(lwproc_loom, lwproc_shuttle))]
    pub fn reserve_seat(&self) -> crate::ops::seat::ReservedSeat {
        self.world.reserve_seat()
    }
}
