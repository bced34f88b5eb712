//! Making a process: `newproc`. Reserve the id, build, publish (R3).
#![allow(unsafe_code)]

use super::forker::Forker;
use super::owned::Lwp;
use super::seat::Seat;
use super::{death, emit, jobs, kill, namespace, pending, places, regroup};
use crate::cred::uids::{OverLimit, UidInfo};
use crate::cred::{Cred, CredRef};
use crate::emul::EmulPtr;
use crate::error::ForkError;
use crate::family;
use crate::filedesc::Rfork;
use crate::filedesc::link::NewTable;
use crate::host::Host;
use crate::idtable::{Exhausted, Reserved};
use crate::limits::Resource;
use crate::object::home::Anchor;
use crate::object::kills::Since;
use crate::object::kin::Kin;
use crate::object::namespace::{Born, Closed, Namespace, Numbers, TooDeep};
use crate::object::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::proc_word::Places;
use crate::object::resources::{Embedded, Resources};
use crate::panics::{self, Panic};
use crate::pgrp;
use crate::policy::{Difference, Rules};
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::signal::SigSet;
use crate::sync::Arc;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::caps::Full;
use crate::world::config::Enforcement;
use crate::world::participant::{Participant, Tally};

/// What a new process is made like. What a plain fork does not ask for costs it nothing.
pub(crate) trait Shape<H: Host> {
    /// Why it is not made.
    type Error: From<NewProcError>;

    /// Who forks.
    fn forker(&self) -> Forker<'_, H>;

    /// Its credentials, from those of its parent.
    fn cred(&mut self, parents: CredRef, pin: &Pin<'_>) -> Result<CredRef, Self::Error>;

    /// The largest number, exclusive, of the pid namespace whose init it is to be.
    fn namespace(&self) -> Option<u32>;

    /// Takes what may be refused. On an error nothing is taken.
    fn prepare(
        &mut self,
        seat: &Seat<'_, H>,
        parent: &ProcNode<H>,
        born: Born<'_>,
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

    /// Whose child it is.
    fn line(&self) -> Line;

    /// The rest, before it can be seen.
    fn dress(&mut self, parent: &ProcNode<H>, child: &ProcNode<H>, lwp: &LwpNode<H>, pin: &Pin<'_>);
}

/// Whose child a new process is.
#[derive(Clone, Copy)]
pub(crate) enum Line {
    /// That of the process that it is made from.
    Child(Kin),
    /// The parent's of that: it is its maker's sibling, and as that.
    Sibling,
}

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

/// What a process takes before it is built: its credentials, and by them a place in the
/// kernel, its user's charge, and an id. Dropped, it gives back what has been taken.
/// No pin is held for it: it may be kept.
pub(crate) struct Place<'w, H: Host> {
    world: &'w World<H>,
    me: &'w Participant<H>,
    cred: Option<CredRef>,
    user: &'w UidInfo,
    /// What its system calls will mean.
    emul: EmulPtr<H>,
    places: Places,
    taken: Taken,
    /// With [`Taken::Id`].
    numbers: Option<Arc<Numbers>>,
}

/// Each with those before it.
#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    /// The places, and the charge of the LWP.
    Room,
    Charge,
    Id(Reserved),
}

// All inlined, or what a fork takes would be written to memory, and read again.
impl<'w, H: Host> Place<'w, H> {
    /// The first step of a birth: all that may be refused by numbers. The parent lives.
    #[inline(always)]
    pub(crate) fn reserve<S: Shape<H>>(
        seat: &Seat<'w, H>,
        parent: ProcPtr<H>,
        shape: &mut S,
        pin: &Pin<'_>,
    ) -> Result<Self, S::Error> {
        let (world, me) = (seat.world(), seat.me());
        // SAFETY: the parent lives.
        let parent = unsafe { Managed::deref_counted(parent) };
        // First: with the configuration a hook that was removed may be dropped, which is
        // user code.
        let (emul, nproc) = world.at_birth();
        let parents = shape.forker().cred.unwrap_or(&parent.resources.cred);
        let parents = parents.hold(pin).expect("the parent lives");
        let limit = nproc_limit(nproc, world.rules, parent, parents.get(), pin);
        // One look at the credentials: who is charged is who the child is (R14).
        let cred = shape.cred(parents, pin)?;
        let real = cred.get().users().real;
        // SAFETY: a user of this kernel.
        let user = unsafe { world.uids.get_likely(parent.resources.user(), real) };
        let (places, taken) = (Places::NONE, Taken::Nothing);
        let mut place =
            Self { world, me, cred: Some(cred), user, emul, places, taken, numbers: None };
        place.take(world.config.places(), limit)?;
        place.number(parent, shape.namespace(), pin)?;
        Ok(place)
    }

    /// The number that has been taken.
    #[inline(always)]
    pub(crate) fn id(&self) -> Reserved {
        match self.taken {
            Taken::Id(id) => id,
            _ => unreachable!("a place that was refused is nobody's"),
        }
    }

    #[inline(always)]
    fn take(&mut self, places: Places, limit: Option<u64>) -> Result<(), NewProcError> {
        let Self { world, me, .. } = *self;
        if places != Places::NONE {
            places::take(world, places).map_err(|Full| NewProcError::KernelFull)?;
            self.places = places;
        }
        self.user.add_lwps(me.lane, 1);
        self.taken = Taken::Room;
        self.user.charge_proc(me.lane, limit).map_err(|OverLimit| NewProcError::Limit)?;
        self.taken = Taken::Charge;
        let id = reserve(world, me).map_err(|Exhausted| NewProcError::IdsExhausted)?;
        self.taken = Taken::Id(id);
        Ok(())
    }

    /// Numbers the process in its pid namespaces, if it is to be in any: its parent's, or
    /// as the init of a new one inside.
    #[inline(always)]
    fn number(
        &mut self,
        parent: &ProcNode<H>,
        new: Option<u32>,
        pin: &Pin<'_>,
    ) -> Result<(), NewProcError> {
        if parent.numbers().is_some() || new.is_some() {
            self.numbers = Some(self.enter(parent, new, pin)?);
        }
        Ok(())
    }

    #[cold]
    fn enter(
        &mut self,
        parent: &ProcNode<H>,
        new: Option<u32>,
        pin: &Pin<'_>,
    ) -> Result<Arc<Numbers>, NewProcError> {
        let around = parent.numbers().map(|numbers| numbers.namespace().clone());
        let namespace = match (new, around, self.taken) {
            (Some(max), around, Taken::Id(id)) => Namespace::new(around, max, id.0)?,
            (_, Some(around), _) => around,
            _ => return Err(NewProcError::IdsExhausted),
        };
        let numbers = Numbers::take(&namespace).ok_or(NewProcError::IdsExhausted)?;
        let Self { world, me, .. } = *self;
        for (entered, at) in namespace.outward().enumerate() {
            if at.life.enter() == Err(Closed) {
                numbers.give_back();
                let entered = namespace.outward().take(entered);
                Aftermath::collect(|aftermath| {
                    death::leave_namespaces(world, me, entered, pin, aftermath);
                });
                return Err(NewProcError::NamespaceEnded);
            }
        }
        Ok(numbers)
    }

    pub(crate) fn born(&self, id: Reserved) -> Born<'_> {
        Born { id: id.0, numbers: self.numbers.as_ref() }
    }

    /// The process has it all from now on.
    #[inline(always)]
    fn fill(mut self) -> (CredRef, &'w UidInfo, Option<Arc<Numbers>>) {
        let (cred, user) = (self.cred.take().expect("until it is filled"), self.user);
        let numbers = self.numbers.take();
        std::mem::forget(self);
        (cred, user, numbers)
    }
}

impl<H: Host> Drop for Place<'_, H> {
    #[inline(always)]
    fn drop(&mut self) {
        let Self { world, me, user, places, taken, .. } = *self;
        if let Some(cred) = self.cred.take() {
            give_back(world, me, user, places, (taken, self.numbers.take()), cred);
        }
    }
}

// By value: a reference would keep what a fork takes in memory.
#[cold]
fn give_back<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    user: &UidInfo,
    places: Places,
    (taken, numbers): (Taken, Option<Arc<Numbers>>),
    cred: CredRef,
) {
    if let Taken::Id(id) = taken {
        // A group that was founded for it may have others in it by now, who bear the id.
        regroup::drop_bearer(world, me, id.0, numbers.as_ref());
    }
    if let Some(numbers) = numbers {
        Aftermath::collect(|aftermath| {
            let all = numbers.namespace().outward();
            death::leave_namespaces(world, me, all, &me.pin(), aftermath);
        });
    }
    if let Taken::Charge | Taken::Id(_) = taken {
        user.count_procs(me.lane, -1);
    }
    if !matches!(taken, Taken::Nothing) {
        user.add_lwps(me.lane, -1);
        places::give_back(world, places);
    }
    cred.release(&me.pin());
}

/// Whether the limit of a user's processes is none to one with these credentials.
pub(crate) fn is_exempt(rules: Rules, cred: &Cred) -> bool {
    match rules.is_linux(Difference::LimitOfTheSuperuser) {
        true => cred.users().real == 0,
        false => cred.is_superuser(),
    }
}

/// The most processes that the user of a forking process may have; `None`: any
/// number. The superuser is not limited.
fn nproc_limit<H: Host>(
    nproc: Enforcement,
    rules: Rules,
    parent: &ProcNode<H>,
    cred: &Cred,
    pin: &Pin<'_>,
) -> Option<u64> {
    // Linux asks for either: the real uid 0, or the right of the effective one.
    if nproc == Enforcement::Ignored || cred.is_superuser() || is_exempt(rules, cred) {
        return None;
    }
    parent.resources.limits.get(pin).map(|limits| limits.get(Resource::Nproc).soft)
}

pub(super) fn reserve<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
) -> Result<Reserved, Exhausted> {
    let id = world.ids.reserve(&me.shard, world.participants.iter().map(|p| &p.shard))?;
    me.tally.add(Tally { ids: 1, ..Tally::default() });
    Ok(id)
}

/// Why no process was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NewProcError {
    IdsExhausted,
    Limit,
    KernelFull,
    NamespaceEnded,
    NamespaceDepth,
}

impl From<TooDeep> for NewProcError {
    fn from(TooDeep: TooDeep) -> Self {
        Self::NamespaceDepth
    }
}

impl From<NewProcError> for ForkError {
    fn from(why: NewProcError) -> Self {
        match why {
            NewProcError::IdsExhausted => Self::IdsExhausted,
            NewProcError::Limit => Self::Limit,
            NewProcError::KernelFull => Self::KernelFull,
            NewProcError::NamespaceEnded | NewProcError::NamespaceDepth => Self::NamespaceEnded,
        }
    }
}
