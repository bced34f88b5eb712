//! A kernel: one instance of the process world, as a value.
#![allow(unsafe_code)]

pub(crate) mod builder;
mod config;
mod counting;
mod display;
mod groups;
mod teardown;

use crate::entry::Entered;
use crate::error::{EnterError, NewLwpError};
use crate::filedesc::Rfork;
use crate::handles::guard::Guard;
use crate::handles::lwp::LwpRef;
use crate::handles::proc::{ProcHandle, ProcRef};
use crate::host::{Host, ThreadHost};
use crate::id::{Lid, Pid};
use crate::object::node::LwpPtr;
use crate::object::table;
use crate::ops::birth::{self, Given};
use crate::ops::owned::Lwp;
use crate::ops::seat::Seat;
use crate::signal::SigSet;
use crate::sync::{Acquire, Arc};
use crate::world::World;

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
    /// Wait-free, and writes nothing that another thread reads; but the first
    /// entry of a thread allocates, and in a kernel with
    /// [virtual CPUs](crate::Builder::virtual_cpus) it **blocks** while all are taken.
    ///
    /// # Errors
    /// [`EnterError::AlreadyEntered`] (EDEADLK): this thread is in this kernel.
    ///
    /// Seed: `rump_schedule`; the implicit context without its global lwp0.
    #[inline]
    pub fn enter(&self) -> Result<Entered<'_, H>, EnterError> {
        Entered::new(self.seat())
    }

    /// Takes a guard to look around under.
    #[inline]
    pub fn pin(&self) -> Guard<'_, H> {
        Guard::new(self.seat())
    }

    /// The process with that pid, zombies included. Wait-free; writes nothing.
    #[inline]
    pub fn find<'g>(&self, pid: Pid, guard: &'g Guard<'_, H>) -> Option<ProcRef<'g, H>> {
        if !self.owns(guard) {
            return None;
        }
        let (_, ptr) = table::find(&self.world.ids, pid, guard.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { ProcRef::new(ptr, guard) })
    }

    /// The LWP with that lid. Wait-free; writes nothing.
    ///
    /// Seed: `lwp_find` S79-S99, without the list walk and for any process;
    /// compare [`LwpRef::pid`] to find the LWP of one.
    pub fn find_lwp<'g>(&self, lid: Lid, guard: &'g Guard<'_, H>) -> Option<LwpRef<'g, H>> {
        if !self.owns(guard) {
            return None;
        }
        let (_, ptr) = table::find_lwp(&self.world.ids, lid, guard.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { LwpRef::new(ptr, guard) })
    }

    /// Every process, in slot order, zombies included. Weakly consistent: a
    /// process present throughout is seen exactly once, no identity twice.
    pub fn procs<'g>(&'g self, guard: &'g Guard<'_, H>) -> impl Iterator<Item = ProcRef<'g, H>> {
        let procs = self.owns(guard).then(|| self.world.ids.procs()).into_iter().flatten();
        procs.filter_map(move |proc| {
            // Acquire [P3]: as in `find`.
            let found = proc.load(Acquire);
            // SAFETY: found published under the guard.
            (!found.is_null()).then(|| unsafe { ProcRef::new(found.ptr(), guard) })
        })
    }

    /// Every LWP, in slot order. Weakly consistent, as [`Kernel::procs`].
    pub fn lwps<'g>(&'g self, guard: &'g Guard<'_, H>) -> impl Iterator<Item = LwpRef<'g, H>> {
        let slots = self.owns(guard).then(|| self.world.ids.slots()).into_iter().flatten();
        slots.filter_map(move |slot| {
            // Acquire [P4]: as in `find_lwp`.
            let found: LwpPtr<H> = slot.lwp.load(Acquire).ptr();
            // SAFETY: found published under the guard.
            (!found.is_null()).then(|| unsafe { LwpRef::new(found, guard) })
        })
    }

    /// A new LWP in the process with that pid, or in a new process (a child of
    /// proc0) when there is none given. It is owned, and bound to no thread.
    ///
    /// Lock-free but for the allocator and [`Host::create`].
    ///
    /// # Errors
    /// [`NewLwpError::NoSuchProcess`] (ESRCH), [`NewLwpError::Draining`]
    /// (EBUSY), [`NewLwpError::IdsExhausted`] (EAGAIN); for a new process also
    /// [`NewLwpError::Limit`] and [`NewLwpError::KernelFull`] (EAGAIN), as
    /// [`Entered::rfork`].
    ///
    /// Seed: `rump__lwproc_alloclwp` S400-S411.
    pub fn alloclwp(&self, pid: Option<Pid>) -> Result<Lwp<H>, NewLwpError> {
        let seat = self.seat();
        match pid {
            Some(pid) => birth::newlwp(&seat, pid),
            None => {
                let given = Given {
                    files: self.world.init_files(),
                    how: Rfork::Fresh,
                    blocked: SigSet::EMPTY,
                    vmspace: None,
                };
                Ok(birth::newproc(&seat, self.world.proc0, given)?)
            }
        }
    }

    /// As [`Kernel::alloclwp`], for a process known by its handle: never one
    /// that got the same pid later.
    ///
    /// # Errors
    /// As [`Kernel::alloclwp`]; [`NewLwpError::WrongKernel`] (EXDEV).
    pub fn alloclwp_in(&self, proc: &ProcHandle<H>) -> Result<Lwp<H>, NewLwpError> {
        if !std::ptr::eq(proc.anchor().world(), &*self.world) {
            return Err(NewLwpError::WrongKernel);
        }
        let seat = self.seat();
        let pin = seat.pin();
        birth::makelwp(&seat, proc.ptr(), proc.node(), &pin)
    }

    /// What the host has as the calling thread's current LWP.
    ///
    /// Seed: `rump_lwproc_curlwp_hypercall` S127-S132.
    #[inline]
    pub fn curlwp_hypercall(&self) -> Option<crate::host::LwpToken> {
        self.world.host.current()
    }

    /// The LWP that runs on a virtual CPU (`curcpu()->ci_curlwp`); `None` when none
    /// does, or an implicit context, or there is no such CPU. Wait-free.
    ///
    /// Seed: S501.
    pub fn cpu_curlwp<'g>(&self, cpu: usize, guard: &'g Guard<'_, H>) -> Option<LwpRef<'g, H>> {
        let cpus = self.world.cpus.as_ref().filter(|_| self.owns(guard))?;
        let lwp: LwpPtr<H> = cpus.curlwp(cpu)?.cast();
        // SAFETY: a CPU is told of its LWP's going before the LWP is retired, and
        // was not yet when the guard was taken.
        (!lwp.is_null()).then(|| unsafe { LwpRef::new(lwp, guard) })
    }

    /// The host.
    pub fn host(&self) -> &H {
        &self.world.host
    }

    /// The most ids that can be in use at once, not counting 0.
    pub fn id_capacity(&self) -> usize {
        self.world.ids.capacity()
    }

    /// For the models.
    #[cfg(any(lwproc_loom, lwproc_shuttle))]
    pub fn reserve_seat(&self) -> crate::ops::seat::ReservedSeat {
        self.world.reserve_seat()
    }

    fn owns(&self, guard: &Guard<'_, H>) -> bool {
        std::ptr::eq(guard.world(), &*self.world)
    }
}
