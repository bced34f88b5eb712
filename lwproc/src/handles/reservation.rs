//! A process that has its number, and is still to be made.
#![allow(unsafe_code)]

use super::proc::ProcHandle;
use crate::filedesc::link::TableUse;
use crate::host::{Host, ThreadHost};
use crate::id::{Identity, Pid};
use crate::object::node::ProcPtr;
use crate::object::proc_word::{AttachRefused, Counting};
use crate::ops::birth;
use crate::ops::death::{self, Leaving};
use crate::ops::forker::Forker;
use crate::ops::numbering::Numbering;
use crate::ops::owned::Lwp;
use crate::ops::place::Place;
use crate::ops::plan::{Plan, Planned, SpawnError};
use crate::ops::seat::Seat;
use crate::panics;
use crate::reclaim::{Managed, Pin};
use crate::world::aftermath::Aftermath;
use std::fmt;
use std::mem::ManuallyDrop;

/// The number of a child that is still to be made, its user's charge, and its places in the
/// kernel: [`Spawn::reserve`](crate::Spawn::reserve). Nobody finds the number. Dropping it gives
/// all back, and what the child was given is dropped.
///
/// Until then the parent does not end: who made this runs as it, or it counts as one LWP more,
/// as while [`ProcHandle::spawn`] starts a child. So it does not
/// [exec](crate::Entered::exec) either.
///
/// | of the parent, as it is | when |
/// |---|---|
/// | credentials, limits, the kernel's policies and default emulation | this is made |
/// | descriptors, group, session, name, dispositions, place in the file system | it is committed |
/// | signals sent to many, its end | it is committed: the child of one that exits is made, and killed with it by SIGKILL |
#[must_use = "dropping it gives the number back"]
pub struct ProcReservation<'a, H: Host = ThreadHost> {
    seat: Seat<'a, H>,
    /// All there, until it is committed or dropped.
    place: Option<Place<'a, H>>,
    parent: Option<Keeps<'a, H>>,
    plan: Option<Plan<H>>,
}

/// Whose child it will be.
pub(super) enum Parent<'a, H: Host> {
    /// One that lives as long as this, with its descriptors.
    Living(ProcPtr<H>, Forker<'a, H>),
    /// One that may have ended.
    Known(&'a ProcHandle<H>),
}

/// What keeps the parent.
enum Keeps<'a, H: Host> {
    /// It lives as long as this, with its descriptors.
    Living(ProcPtr<H>, Forker<'a, H>),
    Kept(Kept<'a, H>),
}

impl<'a, H: Host> Keeps<'a, H> {
    fn proc(&self) -> ProcPtr<H> {
        match self {
            Self::Living(ptr, _) => *ptr,
            Self::Kept(kept) => kept.proc.ptr(),
        }
    }

    /// The plan, of a child of this.
    fn plan<'p>(&'p self, plan: &'p mut Plan<H>) -> Planned<'p, H> {
        match self {
            Self::Living(_, forker) => Planned::new(plan, *forker, None),
            Self::Kept(kept) => {
                let forker = Forker { table: kept.files.borrow(), cred: None };
                Planned::new(plan, forker, Some(kept.proc.anchor()))
            }
        }
    }
}

/// A process that is kept from ending, as by one LWP more, which uses its descriptors.
struct Kept<'a, H: Host> {
    seat: Seat<'a, H>,
    proc: &'a ProcHandle<H>,
    files: ManuallyDrop<TableUse<H::File>>,
    /// Whether the process's LWPs were counted already. This one never has a place; if they
    /// are counted meanwhile, it is counted with them.
    counted: Counting,
}

impl<'a, H: Host> Kept<'a, H> {
    fn new(seat: Seat<'a, H>, proc: &'a ProcHandle<H>) -> Result<Self, SpawnError> {
        let node = proc.node();
        let (counted, attached) = match node.word.attach(None) {
            Err(AttachRefused::Counted) => (Counting::Counted, node.word.attach_counted(None)),
            attached => (Counting::Uncounted, attached),
        };
        attached.map_err(|why| match why {
            AttachRefused::Draining => SpawnError::Draining,
            _ => SpawnError::NoSuchProcess,
        })?;
        let pin = seat.pin();
        let Some(files) = node.resources.files.join(&pin) else {
            // Its last LWP has given its use back: it is at its end.
            Self::detach(&seat, proc, counted, &pin, Aftermath::none()).settle();
            return Err(SpawnError::NoSuchProcess);
        };
        drop(pin);
        Ok(Self { seat, proc, files: ManuallyDrop::new(files), counted })
    }

    fn detach(
        seat: &Seat<'_, H>,
        proc: &ProcHandle<H>,
        counted: Counting,
        pin: &Pin<'_>,
        aftermath: Aftermath<H>,
    ) -> Aftermath<H> {
        let (left, counts) = proc.node().word.detach();
        if (counted, counts) == (Counting::Uncounted, Counting::Counted) {
            seat.world().caps.lwps.give_back(1);
        }
        // SAFETY: taken off above.
        unsafe {
            let nobody = Leaving::NOBODY;
            death::taken_off(seat.world(), seat.me(), proc.ptr(), left, nobody, pin, aftermath)
        }
    }
}

impl<H: Host> Drop for Kept<'_, H> {
    fn drop(&mut self) {
        let mut aftermath = Aftermath::none();
        // SAFETY: once, here.
        let files = unsafe { ManuallyDrop::take(&mut self.files) };
        aftermath.close_files(self.seat.me(), files);
        // All LWPs may have gone meanwhile: then it ends here.
        Self::detach(&self.seat, self.proc, self.counted, &self.seat.pin(), aftermath).settle();
    }
}

impl<'a, H: Host> ProcReservation<'a, H> {
    pub(super) fn new(
        seat: Seat<'a, H>,
        parent: Parent<'a, H>,
        plan: Plan<H>,
    ) -> Result<Self, SpawnError> {
        let mut this = Self { seat, place: None, parent: None, plan: Some(plan) };
        let taken = panics::catch(|| this.take(parent));
        let mut aftermath = Aftermath::<H>::none();
        match taken {
            Ok(Ok(())) => Ok(this),
            Ok(Err(why)) => {
                this.give_back(&mut aftermath);
                aftermath.settle();
                Err(why)
            }
            Err(panic) => {
                this.give_back(&mut aftermath);
                panic.go_on()
            }
        }
    }

    fn take(&mut self, parent: Parent<'a, H>) -> Result<(), SpawnError> {
        let plan = self.plan.as_mut().expect("not committed yet");
        if let Some(why) = plan.refused {
            return Err(why);
        }
        let parent = self.parent.insert(match parent {
            Parent::Living(ptr, forker) => Keeps::Living(ptr, forker),
            Parent::Known(proc) => Keeps::Kept(Kept::new(self.seat.share(), proc)?),
        });
        let (seat, proc) = (&self.seat, parent.proc());
        self.place = Some(Place::reserve(seat, proc, &mut parent.plan(plan), &seat.pin())?);
        Ok(())
    }

    /// What is left, each whatever the others do.
    fn give_back(&mut self, aftermath: &mut Aftermath<H>) {
        drop(self.place.take());
        aftermath.run(|| drop(self.parent.take()));
        if let Some(plan) = self.plan.take() {
            plan.drop_all(aftermath);
        }
    }

    fn id(&self) -> Identity {
        self.place.as_ref().expect("not committed yet").id().0
    }

    /// The child's number: in the [pid namespace](crate::PidNamespace) of the process that
    /// makes it; the kernel's, if that is known by a handle.
    pub fn pid(&self) -> Pid {
        let place = self.place.as_ref().expect("not committed yet");
        let numbering = match &self.parent {
            // SAFETY: it lives as long as this.
            Some(Keeps::Living(ptr, _)) => Numbering::of(unsafe { Managed::deref_counted(*ptr) }),
            _ => Numbering::within(None),
        };
        let born = place.born(place.id());
        Pid(numbering.number(born.id, born.numbers).unwrap_or(0))
    }

    /// The child's number that is never issued again.
    pub fn identity(&self) -> Identity {
        self.id()
    }

    /// An address space that the child owns, as [`Spawn::vmspace`](crate::Spawn::vmspace):
    /// one that was made with its number. One that was given before is dropped.
    pub fn vmspace(mut self, vmspace: H::VmSpace) -> Self {
        let plan = self.plan.as_mut().expect("not committed yet");
        drop(plan.vmspace.replace(vmspace));
        self
    }

    /// Makes the child, as [`Spawn::start`](crate::Spawn::start). Lock-free but for the
    /// allocator and the host; O(descriptors) when they are copied.
    ///
    /// # Errors
    /// All has been given back then.
    /// * [`SpawnError::Files`]: [`FdError::BadFd`](crate::FdError::BadFd) (EBADF), as
    ///   [`Files::dup2`](crate::Files::dup2).
    /// * [`SpawnError::Group`]: as [`Spawn::start`](crate::Spawn::start).
    pub fn commit(mut self) -> Result<Lwp<H>, SpawnError> {
        let Self { seat, place, parent, plan } = &mut self;
        let (Some(place), Some(parent), Some(plan)) = (place.take(), parent, plan) else {
            unreachable!("not committed yet");
        };
        let planned = parent.plan(plan);
        let made = panics::catch(|| birth::commit(seat, parent.proc(), place, planned));
        let mut aftermath = Aftermath::<H>::none();
        self.give_back(&mut aftermath);
        match made {
            Ok(made) => {
                aftermath.settle();
                made
            }
            Err(panic) => panic.go_on(),
        }
    }

    /// Gives all back, as dropping it does. Lock-free but for the drop of what the child was
    /// given; of a process known by its handle that has no other LWP by now, as its end.
    pub fn cancel(self) {
        drop(self);
    }
}

impl<H: Host> Drop for ProcReservation<'_, H> {
    fn drop(&mut self) {
        Aftermath::<H>::collect(|aftermath| self.give_back(aftermath));
    }
}

impl<H: Host> fmt::Debug for ProcReservation<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcReservation({})", self.pid())
    }
}
