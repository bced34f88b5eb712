//! Making an LWP: `newlwp`, `makelwp`. Attach it, reserve its id, build, publish (R3).
#![allow(unsafe_code)]

use super::creds::{self, update_creds};
use super::death::{Leaving, detach, release_id};
use super::owned::Lwp;
use super::place::{is_exempt, most_procs, reserve};
use super::seat::Seat;
use super::{drain, emit, jobs, pending};
use crate::cred::CredCell;
use crate::cred::uids::{Most, OverLimit, UidInfo};
use crate::error::NewLwpError;
use crate::filedesc::link::TableUse;
use crate::host::Host;
use crate::id::Pid;
use crate::idtable::Exhausted;
use crate::limits::Resource;
use crate::object::home::Anchor;
use crate::object::namespace::Numbers;
use crate::object::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::proc_word::AttachRefused;
use crate::object::table;
use crate::object::trace::TraceEvent;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::signal::SigSet;
use crate::sync::{AcqRel, Arc, Relaxed, Release, fence};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::caps::Full;
use crate::world::config::{Enforcement, LimitsPolicy, Part};
use crate::world::participant::Tally;
use std::sync::atomic::Ordering::SeqCst;

/// What an LWP has from the one of its process that makes it.
pub(crate) struct Maker<'m, H: Host> {
    /// What it blocks.
    pub(crate) blocked: SigSet,
    /// Its use of its descriptor table, which may be its own.
    pub(crate) files: Option<&'m TableUse<H::File>>,
    /// Its credentials, where they are its own.
    pub(crate) cred: Option<&'m CredCell>,
}

impl<H: Host> Maker<'_, H> {
    /// Somebody else makes it.
    pub(crate) const NONE: Self = Self { blocked: SigSet::EMPTY, files: None, cred: None };
}

/// A new LWP in the process with that pid.
// Seed: the look-up of `newlwp` S420-S426.
#[inline]
pub(crate) fn newlwp<H: Host>(
    seat: &Seat<'_, H>,
    pid: Pid,
    maker: &Maker<'_, H>,
) -> Result<Lwp<H>, NewLwpError> {
    let pin = seat.pin();
    let found = table::find(&seat.world().ids, pid, &pin);
    let (node, proc) = found.ok_or(NewLwpError::NoSuchProcess)?;
    makelwp(seat, proc, node, &pin, maker, || seat.anchor())
}

/// A new LWP of a published process. Lock-free but for the allocator and the
/// host. `anchor` takes a share in what keeps the world for it.
// Seed: `lwproc_makelwp` S346-S398 after the look-up of `newlwp` S413-S442,
// whose "XXX what holds proc?" is the attach here (R1, R2, R9).
pub(crate) fn makelwp<H: Host>(
    seat: &Seat<'_, H>,
    proc: ProcPtr<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
    maker: &Maker<'_, H>,
    anchor: impl Fn() -> Arc<Anchor<H>>,
) -> Result<Lwp<H>, NewLwpError> {
    let (world, me) = (seat.world(), seat.me());
    let cred = maker.cred.unwrap_or(&node.resources.cred);
    let most = LwpMost::of(world, node, cred, pin);
    attach(world, node, most.of_process)?;
    // Before the LWP is visible (R5). When the last LWP has given its use back
    // already, the process is at its end.
    let own = maker.files.and_then(TableUse::share_own);
    let Some(files) = own.or_else(|| node.resources.files.join(pin)) else {
        detach(world, me, proc, node, pin, Leaving::NOBODY, Aftermath::none()).settle();
        return Err(NewLwpError::NoSuchProcess);
    };
    let user = node.resources.user();
    let made = match user.charge_lwp(me.lane, most.of_user) {
        Ok(()) => publish_lwp(seat, proc, node, (user, maker.blocked, cred), pin, anchor)
            .map_err(|Exhausted| (NewLwpError::IdsExhausted, Leaving::charged_to(user))),
        Err(OverLimit) => Err((NewLwpError::Limit, Leaving::NOBODY)),
    };
    let lwp = match made {
        Ok(lwp) => lwp,
        Err((why, leaving)) => {
            let mut aftermath = Aftermath::none();
            aftermath.close_files(me, files);
            detach(world, me, proc, node, pin, leaving, aftermath).settle();
            return Err(why);
        }
    };
    // SAFETY: made above.
    let lwp_node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: attached and made above: owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_files(Some(files)) };
    // SAFETY: in no list; its count of one is the list's.
    unsafe { node.lwps.push(lwp) };
    // SeqCst fence [P17]: either `setcred` sees this LWP in the list and marks
    // it and moves its charge, or what is read here is new. [P52], [P56]: the same
    // for a signal that is posted, and for the gate that is closed.
    fence(SeqCst);
    drain::join(node, lwp_node);
    jobs::join(node, lwp_node);
    if !creds::are_own(world.rules) {
        // SAFETY: attached and made above: owned by this thread, nothing borrowed.
        unsafe { update_creds(lwp, pin) };
    } else if lwp_node.id() == node.id {
        // SAFETY: as above; the process's number was free.
        unsafe { creds::lend(world, lwp_node, me.lane, pin) };
    }
    creds::move_charge(lwp_node, node, me.lane);
    me.tally.add(Tally { lwps: 1, ..Tally::default() });

    // SAFETY: made above, with the right to run it.
    let lwp = unsafe { Lwp::from_raw(lwp) };
    world.host.create(lwp.token());
    if emit::is_traced(world, node) {
        let event = TraceEvent::LwpCreate { pid: node.pid(), lid: lwp.lid() };
        Aftermath::collect(|aftermath| emit::emit(world, node, pin, event, aftermath));
    }
    Ok(lwp)
}

/// How many LWPs there may be where one is made; `None`: any number.
struct LwpMost {
    of_process: Option<u32>,
    of_user: [Option<Most>; 2],
}

impl LwpMost {
    #[inline]
    fn of<H: Host>(world: &World<H>, node: &ProcNode<H>, cred: &CredCell, pin: &Pin<'_>) -> Self {
        if !world.config.is_touched(Part::NewLwp) {
            return Self { of_process: None, of_user: [None; 2] };
        }
        Self::look(world, node, cred, pin)
    }

    #[cold]
    fn look<H: Host>(world: &World<H>, node: &ProcNode<H>, cred: &CredCell, pin: &Pin<'_>) -> Self {
        let of_process = (!node.is_permanent()).then(|| world.caps.lwps_of_one());
        let mut of_user = [None; 2];
        let cred = cred.get(pin).filter(|cred| !cred.is_superuser());
        if let (Some(cred), Some(limits)) = (cred, node.resources.limits.get(pin)) {
            let LimitsPolicy { nproc, nthr } = world.config.load().limits;
            let soft = |of| limits.get(of).soft;
            let is_counted = nproc == Enforcement::Enforced && !is_exempt(world.rules, cred);
            // Where that counts processes alone, no LWP is beyond it.
            let tasks = is_counted.then(|| most_procs(world.rules, soft(Resource::Nproc)));
            of_user = [
                (nthr == Enforcement::Enforced).then(|| Most::Lwps(soft(Resource::Nthr))),
                tasks.filter(|most| matches!(most, Most::Tasks(_))),
            ];
        }
        Self { of_process, of_user }
    }
}

/// Attaches an LWP, which takes a place in the kernel where LWPs are counted.
#[inline]
fn attach<H: Host>(
    world: &World<H>,
    node: &ProcNode<H>,
    most: Option<u32>,
) -> Result<(), NewLwpError> {
    node.word.attach(most).or_else(|why| match why {
        AttachRefused::Counted => attach_counted(world, node, most),
        why => Err(why.into()),
    })
}

#[cold]
fn attach_counted<H: Host>(
    world: &World<H>,
    node: &ProcNode<H>,
    most: Option<u32>,
) -> Result<(), NewLwpError> {
    world.caps.lwps.take().map_err(|Full| NewLwpError::KernelFull)?;
    node.word.attach_counted(most).map_err(|why| {
        world.caps.lwps.give_back(1);
        why.into()
    })
}

impl From<AttachRefused> for NewLwpError {
    fn from(why: AttachRefused) -> Self {
        match why {
            AttachRefused::Dead => Self::NoSuchProcess,
            AttachRefused::Draining => Self::Draining,
            AttachRefused::Full => Self::ProcessFull,
            AttachRefused::Counted => unreachable!("the LWP has its place"),
        }
    }
}

/// Makes an LWP of an attached process under the pid when that is free (the
/// first-LWP rule), else under an id of its own.
fn publish_lwp<H: Host>(
    seat: &Seat<'_, H>,
    proc: ProcPtr<H>,
    node: &ProcNode<H>,
    (user, blocked, cred): (&UidInfo, SigSet, &CredCell),
    pin: &Pin<'_>,
    anchor: impl Fn() -> Arc<Anchor<H>>,
) -> Result<LwpPtr<H>, Exhausted> {
    let (world, me) = (seat.world(), seat.me());
    let make = |id| {
        let lwp = LwpNode::new(proc, user, id, Some(anchor()), world.ends.fates);
        // SAFETY: made above.
        let lwp_node = unsafe { Managed::deref_counted(lwp) };
        pending::born_blocking(lwp_node, blocked);
        if creds::are_own(world.rules) {
            // Who finds it may ask for them.
            let _none = lwp_node.cred.replace(cred.hold(pin));
        }
        lwp
    };
    let slot = world.ids.slot(node.pid().0).expect("a process has a slot");
    // Relaxed: a hint; the CAS decides.
    if slot.lwp.load(Relaxed).is_null() {
        let lwp = make(node.id);
        // AcqRel: Release [P4]: the LWP's fields; pairs with Acquire in
        // `lwp::find`. Acquire [P21]: the last bearer has exited. Relaxed on failure: another took the pid over; nothing is read.
        if slot.lwp.compare_exchange(Tagged::NULL, Tagged::new(lwp), AcqRel, Relaxed).is_ok() {
            return Ok(lwp);
        }
        // SAFETY: made above.
        let cred = &unsafe { Managed::deref_counted(lwp) }.cred;
        // SAFETY: nobody has seen the cell.
        unsafe { cred.clear_alone() };
        // SAFETY: published nowhere.
        unsafe { Managed::free(lwp) };
    }
    let id = reserve(world, me)?;
    let numbers = match node.numbers() {
        None => None,
        Some(of_proc) => Some(Numbers::take(of_proc.namespace()).ok_or_else(|| {
            release_id(world, me, id, None);
            Exhausted
        })?),
    };
    let lwp = make(id.0);
    if let Some(numbers) = numbers {
        numbers.assign(id.0);
        // SAFETY: made above.
        unsafe { Managed::deref_counted(lwp) }.names.set_numbers(numbers);
    }
    let slot = world.ids.slot(id.0.number()).expect("a reserved id has a slot");
    // Release [P4]: as above.
    slot.lwp.store(Tagged::new(lwp), Release);
    Ok(lwp)
}
