//! Making a process: `newproc`. Reserve the id, build, publish (R3).
#![allow(unsafe_code)]

use super::forker::Forker;
use super::owned::Lwp;
use super::place::Place;
use super::seat::Seat;
use super::shape::{Line, NewProcError, Shape};
use super::{death, emit, jobs, kill, namespace, pending, places};
use crate::cred::CredRef;
use crate::emul::EmulPtr;
use crate::family;
use crate::filedesc::Rfork;
use crate::filedesc::link::NewTable;
use crate::host::Host;
use crate::idtable::Reserved;
use crate::object::home::Anchor;
use crate::object::kills::Since;
use crate::object::kin::Kin;
use crate::object::namespace::Born;
use crate::object::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::resources::{Embedded, Resources};
use crate::panics::{self, Panic};
use crate::pgrp;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::signal::SigSet;
use crate::sync::Arc;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::participant::Tally;

/// A child like its parent.
pub(crate) struct Like<'p, H: Host> {
    pub(crate) forker: Forker<'p, H>,
    /// What it does with its parent's descriptors.
    pub(crate) how: Rfork,
    /// What its LWP blocks.
    pub(crate) blocked: SigSet,
    pub(crate) vmspace: Option<H::VmSpace>,
    /// As in [`Kin`].
    pub(crate) maker: u32,
}

impl<H: Host> Shape<H> for Like<'_, H> {
    type Error = NewProcError;

    #[inline]
    fn forker(&self) -> Forker<'_, H> {
        self.forker
    }

    #[inline]
    fn cred(&mut self, parents: CredRef, _: &Pin<'_>) -> Result<CredRef, NewProcError> {
        Ok(parents)
    }

    #[inline]
    fn namespace(&self) -> Option<u32> {
        None
    }

    #[inline]
    fn prepare(
        &mut self,
        _: &Seat<'_, H>,
        _: &ProcNode<H>,
        _: Born<'_>,
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
        self.forker.table.inherit(self.how, pin)
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
    fn line(&self) -> Line {
        Line::Child(Kin { maker: self.maker, ..Kin::ORPHAN })
    }

    #[inline]
    fn dress(&mut self, _: &ProcNode<H>, _: &ProcNode<H>, lwp: &LwpNode<H>, _: &Pin<'_>) {
        pending::born_blocking(lwp, self.blocked);
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
    let pin = seat.pin();
    let begun = seat.world().kills.now();
    let place = Place::reserve(seat, parent, &mut shape, &pin)?;
    build(seat, parent, place, shape, begun, &pin)
}

/// The second step of [`newproc`], when the first was [`Place::reserve`]. The parent has
/// lived since.
pub(crate) fn commit<H: Host, S: Shape<H>>(
    seat: &Seat<'_, H>,
    parent: ProcPtr<H>,
    place: Place<'_, H>,
    shape: S,
) -> Result<Lwp<H>, S::Error> {
    let pin = seat.pin();
    // What was sent before was sent to the parent.
    let begun = seat.world().kills.now();
    build(seat, parent, place, shape, begun, &pin)
}

/// Builds a process in its place, and publishes it.
#[inline(always)]
fn build<H: Host, S: Shape<H>>(
    seat: &Seat<'_, H>,
    parent: ProcPtr<H>,
    place: Place<'_, H>,
    mut shape: S,
    begun: Since,
    pin: &Pin<'_>,
) -> Result<Lwp<H>, S::Error> {
    let (world, me) = (seat.world(), seat.me());
    // SAFETY: the parent lives.
    let parent_node = unsafe { Managed::deref_counted(parent) };
    let (id, emul, places) = (place.id(), place.emul, place.places);
    shape.prepare(seat, parent_node, place.born(id), pin)?;
    // SAFETY: the parent lives.
    let parents_vfs = &unsafe { parent_node.resources.embedded() }.vfs;
    let vfs = match host_begins(world, parents_vfs, emul, id) {
        Ok(vfs) => vfs,
        Err(panic) => {
            shape.undo(seat, pin);
            drop(place);
            panic.go_on()
        }
    };
    // From here on nothing refuses it.
    let (cred, user, numbers) = place.fill();

    let snapshot = cred.share();
    let (files, link) = shape.files(pin);
    let embedded = Embedded { vmspace: shape.vmspace(), vfs };
    let resources = Resources::fork(&parent_node.resources, cred, user, link, emul, embedded, pin);
    let (released, job_signals) = (world.ends.released, world.job_signals);
    let proc = ProcNode::new(world.home(), id.0, resources, released, places, job_signals);
    let proc = Managed::new(proc);
    // SAFETY: made above; the LWP below keeps it alive.
    let node = unsafe { Managed::deref_counted(proc) };
    if let Some(numbers) = numbers {
        numbers.assign(id.0);
        node.names.set_numbers(numbers);
    }
    let lwp = LwpNode::new(proc, user, id.0, Some(shape.anchor(seat)), world.ends.fates);
    // SAFETY: made above.
    let lwp_node = unsafe { Managed::deref_counted(lwp) };
    let _none = lwp_node.cred.replace(Some(snapshot));
    // SAFETY: made above, owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_files(Some(files)) };
    // SAFETY: in no list; its count of one is the list's.
    unsafe { node.lwps.push(lwp) };

    if let Some(signals) = parent_node.signals.get() {
        node.signals.get_or_init(|| signals.fork());
    }
    shape.join(parent_node, node, pin);
    shape.dress(parent_node, node, lwp_node, pin);
    match shape.line() {
        // SAFETY: the parent lives; made above, under a reserved id.
        Line::Child(kin) => unsafe { family::beget(&world.ids, parent, proc, lwp, kin) },
        // SAFETY: the same.
        Line::Sibling => unsafe { beget_sibling(seat, parent_node, proc, lwp, pin) },
    }
    me.tally.add(Tally { procs: 1, lwps: 1, ..Tally::default() });

    // SAFETY: made above, with the right to run it.
    let lwp = unsafe { Lwp::from_raw(lwp) };
    world.host.create(lwp.token());
    kill::catch_up(world, parent_node, node, lwp_node, begun, pin);
    // The fence of `catch_up` comes before it [P145].
    namespace::meet(world, node, pin);
    // The fence of `catch_up` comes before it [P100]: what is counted by now counts it, or
    // this does.
    if world.config.places() != places {
        places::enrol(world, node, world.config.places());
    }
    if emit::is_traced(world, parent_node) {
        emit::emit_birth(world, parent_node, node, pin);
    }
    Ok(lwp)
}

/// Publishes a new process as another child of the parent of `of`, which may be about to end.
/// Lock-free.
///
/// # Safety
/// `of` lives, and is neither proc0 nor init; else as [`family::beget`].
#[cold]
unsafe fn beget_sibling<H: Host>(
    seat: &Seat<'_, H>,
    of: &ProcNode<H>,
    child: ProcPtr<H>,
    first: LwpPtr<H>,
    pin: &Pin<'_>,
) {
    let (world, me) = (seat.world(), seat.me());
    let edge = loop {
        let (edge, _) = family::edge_of(of, pin).expect("who lives has a parent");
        // If it has been reaped, there is another by now [P10].
        if edge.parent(pin).refs.try_inc() {
            break edge;
        }
    };
    let parent = edge.parent(pin);
    // SAFETY: counted above; seen to below.
    unsafe { family::beget(&world.ids, edge.parent_ptr(), child, first, edge.kin()) };
    if !parent.word.outlives_listing() {
        // SAFETY: made by the caller, which has the LWP.
        let node = unsafe { Tagged::new(child).as_ref(pin) }.expect("not null");
        Aftermath::collect(|aftermath| {
            let leaves_none = |parent: &_| jobs::leaves_no_zombies(world, parent);
            death::orphanage(world, pin).hand_on(node, child, leaves_none, |adopted| {
                // SAFETY: adopted by this thread, under the pin.
                unsafe { death::adopted(world, me, None, adopted, pin, aftermath) };
            });
        });
    }
    if parent.refs.dec() == Dropped::Last {
        // SAFETY: unpublished by whoever reaped it; no child has it any more.
        unsafe { pin.retire(edge.parent_ptr()) };
    }
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
