//! Making: `newproc`, `makelwp`. Reserve the id, build, publish (R3).
#![allow(unsafe_code)]

use super::creds::{self, update_creds};
use super::death::{detach, refund};
use super::owned::Lwp;
use super::seat::Seat;
use super::{drain, emit, kill, post, regroup};
use crate::cred::uids::{OverLimit, UidInfo};
use crate::cred::{Cred, CredRef};
use crate::emul::EmulPtr;
use crate::error::{ForkError, NewLwpError};
use crate::family;
use crate::filedesc::Rfork;
use crate::filedesc::link::{Borrowed, NewTable};
use crate::host::Host;
use crate::id::{Identity, Pid};
use crate::idtable::{Exhausted, Reserved};
use crate::limits::Resource;
use crate::object::home::Anchor;
use crate::object::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::proc_word::AttachRefused;
use crate::object::resources::{Embedded, Resources};
use crate::object::table;
use crate::object::trace::TraceEvent;
use crate::panics::{self, Panic};
use crate::pgrp;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::signal::SigSet;
use crate::sync::{AcqRel, Arc, Relaxed, Release, fence};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::config::Enforcement;
use crate::world::participant::{Participant, Tally};
use std::sync::atomic::Ordering::SeqCst;

/// What a new process is made like. What a plain fork does not ask for costs it nothing.
pub(crate) trait Shape<H: Host> {
    /// Why it is not made.
    type Error: From<NewProcError>;

    /// Its credentials, from those of its parent.
    fn cred(&mut self, parents: CredRef, pin: &Pin<'_>) -> Result<CredRef, Self::Error>;

    /// Takes what may be refused. On an error nothing is taken.
    fn prepare(
        &mut self,
        seat: &Seat<'_, H>,
        parent: &ProcNode<H>,
        id: Identity,
        pin: &Pin<'_>,
    ) -> Result<(), Self::Error>;

    /// Gives what `prepare` took back.
    fn undo(&mut self, seat: &Seat<'_, H>, pin: &Pin<'_>);

    /// The address space that it owns.
    fn vmspace(&mut self) -> Option<H::VmSpace>;

    /// Its descriptors. From here on nothing is refused.
    fn files(&mut self, pin: &Pin<'_>) -> NewTable<H::File>;

    /// What keeps the world for its LWP.
    fn anchor(&self, seat: &Seat<'_, H>) -> Arc<Anchor<H>>;

    /// Gives it its place in a group.
    fn join(&mut self, parent: &ProcNode<H>, child: &ProcNode<H>, pin: &Pin<'_>);

    /// The rest, before it can be seen.
    fn dress(&mut self, child: &ProcNode<H>, lwp: &LwpNode<H>, pin: &Pin<'_>);
}

/// A child like its parent.
pub(crate) struct Like<'p, H: Host> {
    /// The parent's descriptors, and what the child does with them.
    pub(crate) table: Borrowed<'p, H::File>,
    pub(crate) how: Rfork,
    /// What its LWP blocks.
    pub(crate) blocked: SigSet,
    pub(crate) vmspace: Option<H::VmSpace>,
}

impl<H: Host> Shape<H> for Like<'_, H> {
    type Error = NewProcError;

    #[inline]
    fn cred(&mut self, parents: CredRef, _: &Pin<'_>) -> Result<CredRef, NewProcError> {
        Ok(parents)
    }

    #[inline]
    fn prepare(
        &mut self,
        _: &Seat<'_, H>,
        _: &ProcNode<H>,
        _: Identity,
        _: &Pin<'_>,
    ) -> Result<(), NewProcError> {
        Ok(())
    }

    fn undo(&mut self, _: &Seat<'_, H>, _: &Pin<'_>) {}

    #[inline]
    fn vmspace(&mut self) -> Option<H::VmSpace> {
        self.vmspace.take()
    }

    #[inline]
    fn files(&mut self, pin: &Pin<'_>) -> NewTable<H::File> {
        self.table.inherit(self.how, pin)
    }

    #[inline]
    fn anchor(&self, seat: &Seat<'_, H>) -> Arc<Anchor<H>> {
        seat.anchor()
    }

    #[inline]
    fn join(&mut self, parent: &ProcNode<H>, child: &ProcNode<H>, pin: &Pin<'_>) {
        pgrp::inherit(parent, child, pin);
    }

    #[inline]
    fn dress(&mut self, _: &ProcNode<H>, lwp: &LwpNode<H>, _: &Pin<'_>) {
        post::born_blocking(lwp, self.blocked);
    }
}

/// A new process of `parent` with its first LWP, published. Lock-free but for
/// the allocator and the host.
///
/// `parent` lives: the caller runs as one of its LWPs, or counts as one, or it never dies.
// Seed: `lwproc_newproc` S219-S300 and `makelwp(procmake)`, in one step: no
// process is ever seen without an LWP.
pub(crate) fn newproc<H: Host, S: Shape<H>>(
    seat: &Seat<'_, H>,
    parent: ProcPtr<H>,
    mut shape: S,
) -> Result<Lwp<H>, S::Error> {
    let (world, me) = (seat.world(), seat.me());
    let pin = me.pin();
    // SAFETY: the parent lives.
    let parent_node = unsafe { Managed::deref_counted(parent) };
    // First: with the configuration a hook that was removed may be dropped, which is
    // user code.
    let (emul, nproc) = world.at_birth();
    let begun = world.kills.now();
    let parents = parent_node.resources.cred.hold(&pin).expect("the parent lives");
    let limit = nproc_limit(nproc, parent_node, parents.get(), &pin);
    // One look at the credentials: who is charged is who the child is (R14).
    let cred = shape.cred(parents, &pin)?;
    let mut place = Place::of(world, me, parent_node, cred, &pin);
    let id = place.take(limit)?;
    shape.prepare(seat, parent_node, id.0, &pin)?;
    // SAFETY: the parent lives.
    let parents_vfs = &unsafe { parent_node.resources.embedded() }.vfs;
    let vfs = match host_begins(world, parents_vfs, emul, id) {
        Ok(vfs) => vfs,
        Err(panic) => {
            shape.undo(seat, &pin);
            drop(place);
            panic.go_on()
        }
    };
    // From here on nothing refuses it.
    let (cred, user) = place.fill();

    let snapshot = cred.share();
    user.add_lwps(me.lane, 1);
    let (files, link) = shape.files(&pin);
    let embedded = Embedded { vmspace: shape.vmspace(), vfs };
    let resources = Resources::fork(&parent_node.resources, cred, user, link, emul, embedded, &pin);
    let proc = Managed::new(ProcNode::new(world.home(), id.0, resources, world.ends.released));
    // SAFETY: made above; the LWP below keeps it alive.
    let node = unsafe { Managed::deref_counted(proc) };
    let lwp =
        LwpNode::new(proc, user, id.0.pid(), None, Some(shape.anchor(seat)), world.ends.fates);
    // SAFETY: made above.
    let lwp_node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: made above, owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_cred(Some(snapshot)) };
    // SAFETY: made above, owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_files(Some(files)) };
    // SAFETY: in no list; its count of one is the list's.
    unsafe { node.lwps.push(lwp) };

    shape.join(parent_node, node, &pin);
    shape.dress(node, lwp_node, &pin);
    // SAFETY: the parent lives; made above, under a reserved id.
    unsafe { family::beget(&world.ids, parent, proc, lwp) };
    me.tally.add(Tally { procs: 1, lwps: 1, ..Tally::default() });

    // SAFETY: made above, with the right to run it.
    let lwp = unsafe { Lwp::from_raw(lwp) };
    world.host.create(lwp.token());
    kill::catch_up(world, parent_node, node, lwp_node, begun, &pin);
    if emit::is_traced(world, parent_node) {
        emit::emit_birth(world, parent_node, node, &pin);
    }
    Ok(lwp)
}

/// What the host does for a process that is not yet visible; or the panic with which it
/// did not.
// S250-S253 and S288.
fn host_begins<H: Host>(
    world: &World<H>,
    parents_vfs: &H::Vfs,
    emul: EmulPtr<H>,
    id: Reserved,
) -> Result<H::Vfs, Panic> {
    let vfs = panics::catch(|| world.host.vfs_init(parents_vfs))?;
    let intern = || world.host.syscall_intern(world.emuls.get(emul), id.0.pid());
    match panics::catch(intern) {
        Ok(()) => Ok(vfs),
        Err(panic) => {
            let _ = panics::catch(|| world.host.vfs_release(vfs));
            Err(panic)
        }
    }
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
        cred: CredRef,
        pin: &'a Pin<'a>,
    ) -> Self {
        let user = world.uids.get_likely(parent.resources.user(), cred.get().users().real);
        Self { world, me, pin, cred: Some(cred), user, taken: Taken::Nothing }
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
            // A group that was founded for it may have others in it by now, who bear the id.
            regroup::drop_bearer(world, me, id.0);
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
// Seed: the look-up of `newlwp` S420-S426.
pub(crate) fn newlwp<H: Host>(seat: &Seat<'_, H>, pid: Pid) -> Result<Lwp<H>, NewLwpError> {
    let pin = seat.pin();
    let found = table::find(&seat.world().ids, pid, &pin);
    let (node, proc) = found.ok_or(NewLwpError::NoSuchProcess)?;
    makelwp(seat, proc, node, &pin, || seat.anchor())
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
    anchor: impl Fn() -> Arc<Anchor<H>>,
) -> Result<Lwp<H>, NewLwpError> {
    node.word.attach().map_err(|why| match why {
        AttachRefused::Dead => NewLwpError::NoSuchProcess,
        AttachRefused::Draining => NewLwpError::Draining,
    })?;
    let (world, me) = (seat.world(), seat.me());
    // Before the LWP is visible (R5). When the last LWP has given its use back
    // already, the process is at its end.
    let Some(files) = node.resources.files.join(pin) else {
        detach(world, me, proc, node, pin, None, Aftermath::none()).settle();
        return Err(NewLwpError::NoSuchProcess);
    };
    let user = node.resources.user();
    let lwp = match publish_lwp(seat, proc, node, user, anchor) {
        Ok(lwp) => lwp,
        Err(Exhausted) => {
            let mut aftermath = Aftermath::none();
            aftermath.close_files(me, files);
            detach(world, me, proc, node, pin, None, aftermath).settle();
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
    anchor: impl Fn() -> Arc<Anchor<H>>,
) -> Result<LwpPtr<H>, Exhausted> {
    let (world, me) = (seat.world(), seat.me());
    let pid = node.pid();
    let slot = world.ids.slot(pid.0).expect("a process has a slot");
    // Relaxed: a hint; the CAS decides.
    if slot.lwp.load(Relaxed).is_null() {
        let lwp = LwpNode::new(proc, user, pid, None, Some(anchor()), world.ends.fates);
        // AcqRel: Release [P4]: the LWP's fields; pairs with Acquire in
        // `lwp::find`. Acquire [P21]: the last bearer has exited. Relaxed on failure: another took the pid over; nothing is read.
        if slot.lwp.compare_exchange(Tagged::NULL, Tagged::new(lwp), AcqRel, Relaxed).is_ok() {
            return Ok(lwp);
        }
        // SAFETY: published nowhere.
        unsafe { Managed::free(lwp) };
    }
    let id = reserve(world, me)?;
    let lwp = LwpNode::new(proc, user, pid, Some(id), Some(anchor()), world.ends.fates);
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
