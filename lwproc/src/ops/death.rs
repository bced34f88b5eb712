//! Freeing: `freelwp`, `proc_free`, adoption, the reaping. Unpublish, end, release the id
//! last (R18).
#![allow(unsafe_code)]

use super::jobs;
use super::namespace;
use super::post::{self, Recipient};
use super::regroup::{self, Bearers};
use super::{creds, deathsig, emit, hooks, kill, places, terminals};
use crate::cred::Cred;
use crate::cred::uids::UidInfo;
use crate::family::{self, Left};
use crate::host::Host;
use crate::idtable::Reserved;
use crate::object::group::Pgrp;
use crate::object::namespace::{EndOfInit, Namespace, Numbers};
use crate::object::node::{Edge, LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::proc_word::{Counting, Detached, Lost};
use crate::object::resources::Embedded;
use crate::object::table;
use crate::object::trace::TraceEvent;
use crate::orphans::{Adopted, Fosters, Found, Orphanage};
use crate::policy::WaitPolicy;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sync::{Arc, Release, fence_after_update};
use crate::waitq::WaitQueue;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::config::Part;
use crate::world::participant::{Participant, Tally};

/// Frees an owned LWP, which was released or lost. Lock-free but for the allocator and
/// the host; with the process's last LWP, O(its children).
// Seed: `lwproc_freelwp` S302-S342.
///
/// # Safety
/// The caller owns the LWP and never uses it again.
pub(crate) unsafe fn freelwp<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    lwp: LwpPtr<H>,
    lost: Option<Lost>,
) -> Aftermath<H> {
    // SAFETY: owned.
    let node = unsafe { Managed::deref_counted(lwp) };
    let mut aftermath = Aftermath::none();
    // An exiting LWP has given it back before the switch away from it.
    // SAFETY: owned, and not borrowed: nobody runs as it.
    if let Some(files) = unsafe { node.replace_files(None) } {
        aftermath.close_files(me, files);
    }
    let pin = me.pin();
    let (token, id, proc) = (node.token(), node.id(), node.proc);
    // SAFETY: owned.
    let has_own = id != unsafe { node.proc_owned() }.id;
    let numbers = node.names.numbers().filter(|_| has_own).cloned();
    // SAFETY: owned.
    let proc_node = unsafe { node.proc_owned() };
    // SAFETY: owned, and ended here.
    aftermath.anchor = unsafe { node.take_anchor() };
    let user = node.charge.give_back();
    // SAFETY: owned.
    let has_specific = unsafe { node.specific() }.is_some();
    let specific = if has_specific {
        // SAFETY: owned, and not borrowed: nobody runs as it.
        unsafe { node.specific_mut() }.take()
    } else {
        None
    };

    let maker = deathsig::maker(world, proc_node, node, &pin);
    let makers_cred = maker.as_ref().and_then(|_| creds::of_lwp(world.rules, node, &pin));
    if let Some(cred) = node.cred.replace(None) {
        cred.release(&pin);
    }
    node.word.exit();
    let slot = world.ids.slot(id.number()).expect("a live LWP has a slot");
    // Release [P21]: whoever takes the lid over, and whoever then sees the new
    // bearer in `lwps`, sees that this one has exited. (A reader that still finds
    // it is covered by its pin.)
    slot.lwp.store(Tagged::NULL, Release);
    let living = proc_node.word.load().nlwps() as usize;
    // SAFETY: linked since it was made, removed once, here. From now on `node`
    // may be retired.
    unsafe { proc_node.lwps.remove(lwp, living, &pin) };
    // The pin keeps it, from before the removal.
    post::ended(world, proc_node, node, &pin, &mut aftermath);

    if let Some(specific) = specific {
        drop_specific(specific.into_values(), &mut aftermath);
    }
    aftermath.run(|| world.host.destroy(token));
    let event = TraceEvent::LwpExit { pid: proc_node.pid(), lid: id.lid() };
    emit::emit(world, proc_node, &pin, event, &mut aftermath);
    if id != proc_node.id {
        release_id(world, me, Reserved(id), numbers.as_ref());
    }
    me.tally.add(Tally { lwps: -1, ..Tally::default() });
    let leaving = Leaving { lost, user, cred: makers_cred };
    let mut aftermath = detach(world, me, proc, proc_node, &pin, leaving, aftermath);
    if let Some(maker) = maker {
        // Of a process that has ended nobody is the child any more.
        deathsig::maker_has_gone(world, (proc_node, makers_cred), maker, &pin, &mut aftermath);
    }
    aftermath
}

/// How an LWP is lost that goes as it is; `None` when it has been released before.
pub(crate) fn lost<H: Host>(node: &LwpNode<H>, panicked: bool) -> Option<Lost> {
    let fates = node.fates();
    let lost = if panicked { Lost::Panicked(fates.panicked) } else { Lost::Dropped(fates.dropped) };
    (!node.word.load().is_exiting()).then_some(lost)
}

/// Drops specific data, each value whatever the others do.
#[cold]
fn drop_specific<T, H: Host>(values: impl Iterator<Item = T>, aftermath: &mut Aftermath<H>) {
    for value in values {
        aftermath.run(|| drop(value));
    }
}

/// What is taken off a process.
#[derive(Clone, Copy)]
pub(crate) struct Leaving<'u> {
    /// How it was lost, if it was.
    lost: Option<Lost>,
    /// Whom it is charged to still.
    user: Option<&'u UidInfo>,
    /// Who it was, where any may ask for a signal at its end.
    cred: Option<&'u Cred>,
}

impl<'u> Leaving<'u> {
    /// What was only counted as an LWP.
    pub(crate) const NOBODY: Self = Self { lost: None, user: None, cred: None };

    /// An LWP that was not made.
    pub(crate) fn charged_to(user: &'u UidInfo) -> Self {
        Self { user: Some(user), ..Self::NOBODY }
    }
}

/// Takes an LWP off its process, and ends the process with the last.
pub(crate) fn detach<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
    leaving: Leaving<'_>,
    aftermath: Aftermath<H>,
) -> Aftermath<H> {
    let (left, counted) = match leaving.lost {
        None => node.word.detach(),
        Some(lost) => node.word.abandon(lost),
    };
    if counted == Counting::Counted {
        world.caps.lwps.give_back(1);
    }
    // SAFETY: taken off above.
    unsafe { taken_off(world, me, proc, left, leaving, pin, aftermath) }
}

/// What follows when an LWP has been taken off its process, whose end it may be.
///
/// # Safety
/// The caller did so, under that pin.
pub(crate) unsafe fn taken_off<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    left: Detached,
    leaving: Leaving<'_>,
    pin: &Pin<'_>,
    mut aftermath: Aftermath<H>,
) -> Aftermath<H> {
    if left == Detached::Last {
        // SAFETY: no LWP is left.
        unsafe { proc_free(world, me, proc, leaving, pin, &mut aftermath) };
        return aftermath;
    }
    if let Some(user) = leaving.user {
        user.add_lwps(me.lane, -1);
    }
    if left == Detached::Alone {
        // SAFETY: the process cannot be freed under this pin.
        unsafe { Managed::deref_counted(proc) }.waiters.wake_all();
    }
    aftermath
}

/// Ends a process whose last LWP has gone. Lock-free; O(own children). The
/// address space is the aftermath's to drop.
// Seed: `lwproc_proc_free` S150-S210.
///
/// # Safety
/// The caller took the last LWP off.
unsafe fn proc_free<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    Leaving { user, cred, .. }: Leaving<'_>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // SAFETY: in the table until it is reaped, and not freed under this pin.
    let node = unsafe { Managed::deref_counted(proc) };
    post::proc_ended(node, pin, aftermath);
    // The services' end, in the seed's order but for the hooks: while they run the
    // pid, the family and the name still stand (R18).
    node.resources.files.clear(|| me.pin());
    // SAFETY: in the table; ended here.
    unsafe { hooks::run(world, me, proc, aftermath) };
    let status = node.word.load().status();
    emit::emit(world, node, pin, TraceEvent::Exit { pid: node.pid(), status }, aftermath);
    if !node.resources.trace.is_empty() {
        aftermath.run(|| drop(node.resources.trace.swap(None, pin)));
    }
    terminals::leader_ends(world, node, pin, aftermath);
    let leads = node.leads();
    let mut left: Vec<&Pgrp> = Vec::new();
    match leads {
        // Its children end, as its own.
        Some(namespace) => {
            for zombie in namespace::close(world, node, namespace, pin, aftermath) {
                // SAFETY: the right to reap it was won.
                unsafe { reap_zombie(world, me, zombie.ptr, pin, aftermath) };
            }
        }
        None => {
            let leaves_none = |parent: &_| jobs::leaves_no_zombies(world, parent);
            orphanage(world, pin).hand_all_on(node, leaves_none, |child| {
                let group = jobs::group_left(world, node, child.node, pin);
                let is_new = |group: &&Pgrp| !left.iter().any(|other| std::ptr::eq(*other, *group));
                let group = group.filter(is_new);
                left.extend(group);
                // SAFETY: adopted by this thread, under the pin.
                unsafe { adopted(world, me, Some((node, cred)), child, pin, aftermath) };
            });
        }
    }
    if jobs::kept(world) {
        jobs::leaves_groups(world, node, &left, pin, aftermath);
    }
    // SAFETY: the last LWP is gone.
    if let Some(Embedded { vmspace, vfs }) = unsafe { node.resources.take_embedded() } {
        aftermath.run(|| world.host.vfs_release(vfs));
        aftermath.vmspace = vmspace;
    }
    if let Some(limits) = node.resources.limits.replace(None) {
        limits.release(pin);
    }
    // Here and not when it is reaped: a destructor is user code, and the end is
    // this thread's.
    if !node.resources.specific.is_empty() {
        drop_specific(node.resources.specific.take_all(pin), aftermath);
    }
    let mut user = user;
    if let Some(namespace) = leads {
        if let Some(user) = user.take() {
            user.add_lwps(me.lane, -1);
        }
        if namespace.life.wait() == EndOfInit::Elsewhere {
            return;
        }
    }
    // SAFETY: the right to is the caller's, or was taken back above.
    unsafe { become_zombie(world, me, proc, user, pin, aftermath) };
}

/// What a process does last that has ended, whoever carries it on: it becomes a zombie, or
/// is gone. `user`: whom its last LWP is charged to still.
///
/// # Safety
/// The caller alone has the right to, and the process's end is over but for this.
unsafe fn become_zombie<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    user: Option<&UidInfo>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // SAFETY: in the table until it is reaped, and not freed under this pin.
    let node = unsafe { Managed::deref_counted(proc) };
    match world.policy {
        // SAFETY: with this policy nobody else reaps.
        WaitPolicy::AutoReap => unsafe { reap(world, me, proc, Ended::Now(user), pin, aftermath) },
        WaitPolicy::Wait => {
            me.tally.add(Tally { procs: -1, zombies: 1, ..Tally::default() });
            node.resources.user().add_zombies(me.lane, 1);
            if let Some(user) = user {
                user.add_lwps(me.lane, -1);
            }
            let leaves_none = |edge: &Edge<H>, parent: &_| {
                edge.kin().exit_signal.tells_as_ordinary() && jobs::leaves_no_zombies(world, parent)
            };
            let (edge, left) = family::die(node, leaves_none, pin);
            let parent = edge.parent(pin);
            let reaps = || parent.reaps_by_itself() || namespace::ends_meanwhile(parent);
            let takes = || reaps() && family::claim_own(node).is_some();
            if left == Left::Nothing {
                // SAFETY: the right to reap was won.
                unsafe { reap_untold(world, me, proc, parent, pin, aftermath) };
            } else if takes() {
                // SAFETY: the right to reap was won.
                unsafe { reap_zombie(world, me, proc, pin, aftermath) };
            } else {
                WaitQueue::wake_all_of([&parent.waiters, &node.waiters]);
                // SAFETY: as above; the edge was loaded under the pin.
                unsafe { tell_of_zombie(world, me, proc, edge, pin, aftermath) };
            }
        }
    }
}

/// Where orphans go.
pub(crate) fn orphanage<'g, H: Host>(world: &'g World<H>, pin: &'g Pin<'g>) -> Orphanage<'g, H> {
    let fosters = match world.config.is_touched(Part::Subreapers) {
        true => Fosters::Subreapers,
        false => Fosters::Init,
    };
    Orphanage { ids: &world.ids, init: world.init, fosters, pin }
}

/// What follows when this thread has given a child another parent: the child is sent what it
/// asked for at the end of the one before, if that asked, and the new parent told of a zombie.
///
/// # Safety
/// It has, under the pin, which is of `me`.
pub(crate) unsafe fn adopted<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    before: Option<(&ProcNode<H>, Option<&Cred>)>,
    child: Adopted<'_, H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    if let Some((before, its_last)) = before {
        // SeqCst fence [P121]: who asks now sees the new parent, or is seen below. After a
        // read-modify-write.
        fence_after_update();
        let from = (before, its_last.or_else(|| before.resources.cred.get(pin)));
        deathsig::tell(world, from, child.node, pin, aftermath);
    }
    let parent = child.edge.parent(pin);
    match child.found {
        Found::AsItWas => {}
        // SAFETY: the right to reap it came with it.
        Found::ToBeReaped => unsafe {
            reap_untold(world, me, child.ptr, parent, pin, aftermath);
        },
        Found::Zombie if namespace::ends_meanwhile(parent) => {
            if family::claim_own(child.node).is_some() {
                // SAFETY: the right to reap was won.
                unsafe { reap_zombie(world, me, child.ptr, pin, aftermath) };
            }
        }
        Found::Zombie => {
            WaitQueue::wake_all_of([&parent.waiters, &child.node.waiters]);
            // SAFETY: by contract.
            unsafe { tell_of_zombie(world, me, child.ptr, child.edge, pin, aftermath) };
        }
    }
}

/// Reaps what leaves no zombie, and tells a parent that minds nonetheless.
///
/// # Safety
/// The caller alone has the right to reap it.
unsafe fn reap_untold<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    parent: &ProcNode<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // SAFETY: by contract.
    unsafe { reap_zombie(world, me, proc, pin, aftermath) };
    if let Some(signo) = world.child_signal.filter(|_| jobs::is_told_without_zombie(world, parent))
    {
        jobs::send(world, &Recipient::Proc(parent), signo, pin, aftermath);
    }
}

/// Tells of a zombie that can be waited for, by the parent of that edge.
///
/// # Safety
/// Both were in the table under the pin, which is of `me`.
unsafe fn tell_of_zombie<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    edge: &Edge<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let (parent, signal) = (edge.parent(pin), edge.kin().exit_signal);
    let is_minded = || !signal.tells_as_ordinary() || jobs::minds(world, parent);
    if let Some(signo) = signal.signo(world.child_signal).filter(|_| is_minded()) {
        kill::send(world, &Recipient::Proc(parent), signo, pin, aftermath);
    }
    // SAFETY: by contract.
    unsafe { hooks::run_for_zombie(world, me, proc, edge.parent_ptr(), aftermath) };
    if world.config.is_touched(Part::Sink) {
        // SAFETY: by contract.
        let status = unsafe { Managed::deref_counted(proc) }.word.load().status();
        let event = TraceEvent::Zombie { pid: edge.child.pid(), ppid: edge.ppid(pin), status };
        emit::emit_to_kernel(world, event, aftermath);
    }
}

/// Reaps a claimed zombie.
///
/// # Safety
/// The caller won the right to reap it.
pub(crate) unsafe fn reap_zombie<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    me.tally.add(Tally { procs: 1, zombies: -1, ..Tally::default() });
    // SAFETY: by contract.
    unsafe { reap(world, me, proc, Ended::Zombie, pin, aftermath) };
}

/// What a process that is reaped was.
enum Ended<'u> {
    /// One whose last LWP has just gone, charged to that user still.
    Now(Option<&'u UidInfo>),
    Zombie,
}

/// Gives an id back that nobody bears any more.
pub(super) fn release_id<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    id: Reserved,
    numbers: Option<&Arc<Numbers>>,
) {
    world.ids.release(&me.shard, id);
    me.tally.add(Tally { ids: -1, ..Tally::default() });
    if let Some(numbers) = numbers {
        numbers.give_back();
    }
}

/// Takes an ended process out of family and table, and its id back.
///
/// # Safety
/// The caller alone has the right to.
unsafe fn reap<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    ended: Ended<'_>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // SAFETY: the table's claim still holds it.
    let node = unsafe { Managed::deref_counted(proc) };
    let id = node.id;
    let bearers = regroup::leave(world, me, node, pin);
    let status = node.word.load().status();
    node.resources.user().count_procs(me.lane, -1);
    match ended {
        Ended::Now(Some(user)) => user.add_lwps(me.lane, -1),
        Ended::Now(None) => {}
        Ended::Zombie => node.resources.user().add_zombies(me.lane, -1),
    }
    if let Some(cred) = node.resources.cred.replace(None) {
        cred.release(pin);
    }
    let parent = family::leave(node, pin);
    // SeqCst fence [P100]: what is counted from now on does not count it, or it is seen here
    // that processes are counted. It left by a read-modify-write.
    fence_after_update();
    if world.config.is_touched(Part::ProcPlaces) {
        places::leave(world, node);
    }
    let published = world.ids.proc(id.number()).expect("a process has a slot");
    // Release [P15]: whoever no longer finds the process finds its children
    // with init; pairs with Acquire in `find`. (A reader that still finds it
    // is covered by its pin.)
    published.store(Tagged::NULL, Release);
    if node.refs.dec() == Dropped::Last {
        // SAFETY: unpublished above, and no handle is left.
        unsafe { pin.retire(proc) };
    }
    me.tally.add(Tally { procs: -1, ..Tally::default() });
    match bearers {
        Bearers::One => release_id(world, me, Reserved(id), node.numbers()),
        Bearers::Several => regroup::drop_bearer(world, me, id, node.numbers()),
    }
    // A thread may wait for the last of its children to be gone; or somebody for this
    // one, which a pin still protects.
    WaitQueue::wake_all_of([&parent.waiters, &node.waiters]);
    if world.config.is_touched(Part::Sink) {
        emit::emit_to_kernel(world, TraceEvent::Reap { pid: id.pid(), status }, aftermath);
    }
    if let Some(numbers) = node.numbers() {
        leave_namespaces(world, me, numbers.namespace().outward(), pin, aftermath);
    }
}

/// A process has left its pid namespaces, or was not made. Where it was the last beside an
/// init that has ended, that goes on.
#[cold]
pub(super) fn leave_namespaces<'n, H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    all: impl Iterator<Item = &'n Namespace>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    for namespace in all {
        if namespace.life.leave() == EndOfInit::Here {
            let init = table::resolve(&world.ids, namespace.init, pin);
            let (_, init) = init.expect("it is in the table until it is reaped");
            // SAFETY: it has ended, and who takes the last other one out carries it on.
            unsafe { become_zombie(world, me, init, None, pin, aftermath) };
        }
    }
}
