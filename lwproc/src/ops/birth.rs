//! Making: `newproc`, `makelwp`. Reserve the id, build, publish (R3).
#![allow(unsafe_code)]

use super::creds::{self, update_creds};
use super::death::{detach, refund, release_id};
use super::owned::Lwp;
use super::seat::Seat;
use super::{drain, emit};
use crate::cred::uids::{OverLimit, UidInfo};
use crate::cred::{Cred, CredRef};
use crate::emul::EmulPtr;
use crate::error::{ForkError, NewLwpError};
use crate::family;
use crate::filedesc::Rfork;
use crate::filedesc::link::Borrowed;
use crate::host::Host;
use crate::id::Pid;
use crate::idtable::{Exhausted, Reserved};
use crate::limits::Resource;
use crate::object::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::proc_word::AttachRefused;
use crate::object::resources::{Embedded, Resources};
use crate::object::table;
use crate::object::trace::TraceEvent;
use crate::panics;
use crate::pgrp;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::signal::SigSet;
use crate::sync::{AcqRel, Relaxed, Release, fence};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::config::Enforcement;
use crate::world::participant::{Participant, Tally};
use std::sync::atomic::Ordering::SeqCst;

/// What a new process and its first LWP are given by who makes them.
pub(crate) struct Given<'a, H: Host> {
    /// The descriptors of the one that makes it, and what becomes of them.
    pub(crate) files: Borrowed<'a, H::File>,
    pub(crate) how: Rfork,
    /// The mask of the first LWP.
    pub(crate) blocked: SigSet,
    pub(crate) vmspace: Option<H::VmSpace>,
}

/// A new process of `parent` with its first LWP, published. Lock-free but for
/// the allocator and the host.
///
/// `parent` lives: the caller runs as one of its LWPs, or it never dies.
///
/// Seed: `lwproc_newproc` S219-S300 and `makelwp(procmake)`, in one step: no
/// process is ever seen without an LWP.
pub(crate) fn newproc<H: Host>(
    seat: &Seat<'_, H>,
    parent: ProcPtr<H>,
    given: Given<'_, H>,
) -> Result<Lwp<H>, NewProcError> {
    let (world, me) = (seat.world(), seat.me());
    let pin = me.pin();
    // SAFETY: the parent lives.
    let parent_node = unsafe { Managed::deref_counted(parent) };
    // First: with the configuration a hook that was removed may be dropped, which is
    // user code.
    let (emul, nproc) = world.at_birth();
    let mut place = Place::of(world, me, parent_node, &pin);
    let id = place.take(nproc_limit(nproc, parent_node, place.cred(), &pin))?;
    // SAFETY: the parent lives.
    let parents_vfs = &unsafe { parent_node.resources.embedded() }.vfs;
    let vfs = host_begins(world, parents_vfs, emul, id);
    // From here on nothing refuses it.
    let (cred, user) = place.fill();

    let snapshot = cred.share();
    user.add_lwps(me.lane, 1);
    let (files, link) = given.files.inherit(given.how, &pin);
    let embedded = Embedded { vmspace: given.vmspace, vfs };
    let resources = Resources::fork(&parent_node.resources, cred, user, link, emul, embedded, &pin);
    let proc = Managed::new(ProcNode::new(world.home(), id.0, resources));
    // SAFETY: made above; the LWP below keeps it alive.
    let node = unsafe { Managed::deref_counted(proc) };
    let lwp = LwpNode::new(proc, user, id.0.pid(), None, Some(seat.anchor()));
    // SAFETY: made above.
    let lwp_node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: made above, owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_cred(Some(snapshot)) };
    // SAFETY: made above, owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_files(Some(files)) };
    // Relaxed: published with the LWP [P4].
    lwp_node.blocked.store(given.blocked.bits(), Relaxed);
    // SAFETY: in no list; its count of one is the list's.
    unsafe { node.lwps.push(lwp) };

    pgrp::inherit(parent_node, node, &pin);
    // SAFETY: the parent lives; made above, under a reserved id.
    unsafe { family::beget(&world.ids, parent, proc, lwp) };
    me.tally.add(Tally { procs: 1, lwps: 1, ..Tally::default() });

    // SAFETY: made above, with the right to run it.
    let lwp = unsafe { Lwp::from_raw(lwp) };
    world.host.create(lwp.token());
    if emit::is_traced(world, parent_node) {
        emit::emit_birth(world, parent_node, node, &pin);
    }
    Ok(lwp)
}

/// What the host does for a process that is not yet visible. When it panics, it has not
/// begun.
// S250-S253 and S288.
fn host_begins<H: Host>(
    world: &World<H>,
    parents_vfs: &H::Vfs,
    emul: EmulPtr<H>,
    id: Reserved,
) -> H::Vfs {
    let vfs = world.host.vfs_init(parents_vfs);
    let intern = || world.host.syscall_intern(world.emuls.get(emul), id.0.pid());
    if let Err(panic) = panics::catch(intern) {
        let _ = panics::catch(|| world.host.vfs_release(vfs));
        panic.go_on();
    }
    vfs
}

/// What a process takes before it is built: its credentials, and by them a place in the
/// kernel, its user's charge, and an id. Dropped, it gives back what has been taken.
struct Place<'a, H: Host> {
    world: &'a World<H>,
    me: &'a Participant<H>,
    pin: &'a Pin<'a>,
    cred: Option<CredRef>,
    user: &'a UidInfo,
    taken: Taken,
}

/// Each with those before it.
#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    Room,
    Charge,
    Id(Reserved),
}

// All inlined, or what a fork takes would be written to memory, and read again.
impl<'a, H: Host> Place<'a, H> {
    #[inline(always)]
    fn of(
        world: &'a World<H>,
        me: &'a Participant<H>,
        parent: &'a ProcNode<H>,
        pin: &'a Pin<'a>,
    ) -> Self {
        // One look at the credentials: who is charged is who the child is (R14).
        let cred = parent.resources.cred.hold(pin).expect("the parent lives");
        let user = world.uids.get_likely(parent.resources.user(), cred.get().users().real);
        Self { world, me, pin, cred: Some(cred), user, taken: Taken::Nothing }
    }

    #[inline(always)]
    fn cred(&self) -> &Cred {
        self.cred.as_ref().expect("until it is filled").get()
    }

    #[inline(always)]
    fn take(&mut self, limit: Option<u64>) -> Result<Reserved, NewProcError> {
        let Self { world, me, .. } = *self;
        world.reserve_place().map_err(|OverLimit| NewProcError::KernelFull)?;
        self.taken = Taken::Room;
        self.user.charge_proc(me.lane, limit).map_err(|OverLimit| NewProcError::Limit)?;
        self.taken = Taken::Charge;
        let id = reserve(world, me).map_err(|Exhausted| NewProcError::IdsExhausted)?;
        self.taken = Taken::Id(id);
        Ok(id)
    }

    /// The process has it all from now on.
    #[inline(always)]
    fn fill(mut self) -> (CredRef, &'a UidInfo) {
        let (cred, user) = (self.cred.take().expect("until it is filled"), self.user);
        std::mem::forget(self);
        (cred, user)
    }
}

impl<H: Host> Drop for Place<'_, H> {
    #[inline(always)]
    fn drop(&mut self) {
        let Self { world, me, pin, user, taken, .. } = *self;
        if let Some(cred) = self.cred.take() {
            give_back(world, me, pin, user, taken, cred);
        }
    }
}

#[cold]
fn give_back<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    pin: &Pin<'_>,
    user: &UidInfo,
    taken: Taken,
    cred: CredRef,
) {
    match taken {
        Taken::Nothing => {}
        Taken::Room => world.refund_place(),
        Taken::Charge => refund(world, me, user),
        Taken::Id(id) => {
            release_id(world, me, id);
            refund(world, me, user);
        }
    }
    cred.release(pin);
}

/// The most processes that the user of a forking process may have; `None`: any
/// number. The superuser is not limited.
fn nproc_limit<H: Host>(
    nproc: Enforcement,
    parent: &ProcNode<H>,
    cred: &Cred,
    pin: &Pin<'_>,
) -> Option<u64> {
    if nproc == Enforcement::Ignored || cred.is_superuser() {
        return None;
    }
    parent.resources.limits.get(pin).map(|limits| limits.get(Resource::Nproc).soft)
}

fn reserve<H: Host>(world: &World<H>, me: &Participant<H>) -> Result<Reserved, Exhausted> {
    let id = world.ids.reserve(&me.shard, world.participants.iter().map(|p| &p.shard))?;
    me.tally.add(Tally { ids: 1, ..Tally::default() });
    Ok(id)
}

/// A new LWP in the process with that pid.
///
/// Seed: the look-up of `newlwp` S420-S426.
pub(crate) fn newlwp<H: Host>(seat: &Seat<'_, H>, pid: Pid) -> Result<Lwp<H>, NewLwpError> {
    let pin = seat.pin();
    let found = table::find(&seat.world().ids, pid, &pin);
    let (node, proc) = found.ok_or(NewLwpError::NoSuchProcess)?;
    makelwp(seat, proc, node, &pin)
}

/// A new LWP of a published process. Lock-free but for the allocator and the
/// host.
///
/// Seed: `lwproc_makelwp` S346-S398 after the look-up of `newlwp` S413-S442,
/// whose "XXX what holds proc?" is the attach here (R1, R2, R9).
pub(crate) fn makelwp<H: Host>(
    seat: &Seat<'_, H>,
    proc: ProcPtr<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
) -> Result<Lwp<H>, NewLwpError> {
    node.word.attach().map_err(|why| match why {
        AttachRefused::Dead => NewLwpError::NoSuchProcess,
        AttachRefused::Draining => NewLwpError::Draining,
    })?;
    let (world, me) = (seat.world(), seat.me());
    // Before the LWP is visible (R5). When the last LWP has given its use back
    // already, the process is at its end.
    let Some(files) = node.resources.files.join(pin) else {
        detach(world, me, proc, node, pin, Aftermath::none()).settle();
        return Err(NewLwpError::NoSuchProcess);
    };
    let user = node.resources.user();
    let lwp = match publish_lwp(seat, proc, node, user) {
        Ok(lwp) => lwp,
        Err(Exhausted) => {
            let mut aftermath = Aftermath::none();
            aftermath.close_files(me, files);
            detach(world, me, proc, node, pin, aftermath).settle();
            return Err(NewLwpError::IdsExhausted);
        }
    };
    user.add_lwps(me.lane, 1);
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
    // SAFETY: attached and made above: owned by this thread, nothing borrowed.
    unsafe { update_creds(lwp, pin) };
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

/// Makes an LWP of an attached process under the pid when that is free (the
/// first-LWP rule), else under an id of its own.
fn publish_lwp<H: Host>(
    seat: &Seat<'_, H>,
    proc: ProcPtr<H>,
    node: &ProcNode<H>,
    user: &UidInfo,
) -> Result<LwpPtr<H>, Exhausted> {
    let (world, me) = (seat.world(), seat.me());
    let pid = node.pid();
    let slot = world.ids.slot(pid.0).expect("a process has a slot");
    // Relaxed: a hint; the CAS decides.
    if slot.lwp.load(Relaxed).is_null() {
        let lwp = LwpNode::new(proc, user, pid, None, Some(seat.anchor()));
        // AcqRel: Release [P4]: the LWP's fields; pairs with Acquire in
        // `find_lwp`. Acquire [P21]: the last bearer has exited. Relaxed on failure: another took the pid over; nothing is read.
        if slot.lwp.compare_exchange(Tagged::NULL, Tagged::new(lwp), AcqRel, Relaxed).is_ok() {
            return Ok(lwp);
        }
        // SAFETY: published nowhere.
        unsafe { Managed::free(lwp) };
    }
    let id = reserve(world, me)?;
    let lwp = LwpNode::new(proc, user, pid, Some(id), Some(seat.anchor()));
    let slot = world.ids.slot(id.0.number()).expect("a reserved id has a slot");
    // Release [P4]: as above.
    slot.lwp.store(Tagged::new(lwp), Release);
    Ok(lwp)
}

/// Why no process was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NewProcError {
    IdsExhausted,
    Limit,
    KernelFull,
}

impl From<NewProcError> for ForkError {
    fn from(why: NewProcError) -> Self {
        match why {
            NewProcError::IdsExhausted => Self::IdsExhausted,
            NewProcError::Limit => Self::Limit,
            NewProcError::KernelFull => Self::KernelFull,
        }
    }
}

impl From<NewProcError> for NewLwpError {
    fn from(why: NewProcError) -> Self {
        match why {
            NewProcError::IdsExhausted => Self::IdsExhausted,
            NewProcError::Limit => Self::Limit,
            NewProcError::KernelFull => Self::KernelFull,
        }
    }
}
