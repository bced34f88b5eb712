//! Making and freeing: `newproc`, `makelwp`, `freelwp`, `proc_free`.
//!
//! Making: reserve the id, build, publish (R3). Freeing: unpublish, end,
//! release the id last (R18).
#![allow(unsafe_code)]

use super::participant::{Participant, Tally};
use super::seat::Seat;
use super::{Anchor, World, drain};
use crate::config::{Enforcement, Part, hooks};
use crate::cred::uids::{Charge, OverLimit, UidInfo};
use crate::cred::{Cred, CredChange};
use crate::emul::EmulPtr;
use crate::entry::Rfork;
use crate::error::CredError;
use crate::error::NewLwpError;
use crate::filedesc::link::{Borrowed, TableUse};
use crate::handles::owned::Lwp;
use crate::host::Host;
use crate::id::{Lid, Pid};
use crate::idtable::{Exhausted, Reserved};
use crate::limits::Resource;
use crate::lwp::{LwpCred, LwpNode, LwpPtr};
use crate::pgrp::change::{self, Bearers};
use crate::policy::WaitPolicy;
use crate::proc::resources::{Embedded, Resources};
use crate::proc::status::ExitStatus;
use crate::proc::word::{AttachRefused, Detached};
use crate::proc::{ProcNode, ProcPtr, family};
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sync::Arc;
use crate::sync::{AcqRel, Relaxed, Release, fence};
use crate::trace::{self, TraceEvent};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::SeqCst;

fn reserve<H: Host>(world: &World<H>, me: &Participant<H>) -> Result<Reserved, Exhausted> {
    let id = world.ids.reserve(&me.shard, world.participants.iter().map(|p| &p.shard))?;
    me.tally.add(Tally { ids: 1, ..Tally::default() });
    Ok(id)
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
    (files, how): (Borrowed<'_, H::File>, Rfork),
    vmspace: Option<H::VmSpace>,
) -> Result<Lwp<H>, NewProcError> {
    let (world, me) = (seat.world(), seat.me());
    let pin = me.pin();
    // SAFETY: the parent lives.
    let parent_node = unsafe { Managed::deref_counted(parent) };
    // User code first: whatever becomes of it, nothing has happened yet.
    // SAFETY: the parent lives.
    let vfs = world.host.vfs_init(&unsafe { parent_node.resources.embedded() }.vfs);
    let embedded = Embedded { vmspace, vfs };
    // One look at the credentials: who is charged is who the child is (R14).
    let cred = parent_node.resources.cred.hold(&pin).expect("the parent lives");
    let user = world.uids.get(cred.get().users().real);
    let (emul, nproc) = birth_config(world);
    let limit = nproc_limit(nproc, parent_node, cred.get(), &pin);
    let id = match charge_and_reserve(world, me, user, limit) {
        Ok(id) => id,
        Err(why) => {
            cred.release(&pin);
            return Err(why);
        }
    };
    // As in the seed before the process is visible, S250-S253; and before anything
    // but these three is taken.
    let intern = || world.host.syscall_intern(world.emuls.get(emul), id.0.pid());
    if let Err(panic) = catch_unwind(AssertUnwindSafe(intern)) {
        world.ids.release(&me.shard, id);
        me.tally.add(Tally { ids: -1, ..Tally::default() });
        refund(world, user);
        cred.release(&pin);
        resume_unwind(panic);
    }
    let snapshot = LwpCred { cred: cred.share(), charge: Charge::new(user) };
    user.add_lwps(1);
    let (files, link) = files.inherit(how, &pin);
    let resources = Resources::fork(&parent_node.resources, cred, user, link, emul, embedded, &pin);
    let proc = Managed::new(ProcNode::new(world, id.0, resources));
    // SAFETY: made above; the LWP below keeps it alive.
    let node = unsafe { Managed::deref_counted(proc) };
    let lwp = LwpNode::new(proc, id.0.pid(), None, Some(seat.anchor()));
    // SAFETY: made above.
    let lwp_node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: made above, owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_cred(Some(snapshot)) };
    // SAFETY: made above, owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_files(Some(files)) };
    // SAFETY: in no list; its count of one is the list's.
    unsafe { node.lwps.push(lwp) };
    let edge = family::beget(parent, node);
    change::inherit(parent_node, node, &pin);

    let slot = world.ids.slot(id.0.number()).expect("a reserved id has a slot");
    super::publish(slot, proc, lwp);
    // SAFETY: from `beget`, once; the parent lives.
    unsafe { family::announce(parent_node, edge) };
    me.tally.add(Tally { procs: 1, lwps: 1, ..Tally::default() });

    // SAFETY: made above, with the right to run it.
    let lwp = unsafe { Lwp::from_raw(lwp) };
    world.host.create(lwp.token());
    if trace::is_traced(world, parent_node) {
        trace_birth(world, parent_node, node, &pin);
    }
    Ok(lwp)
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

/// Takes a process's place in the kernel, its user's charge, and its id: all, or
/// nothing.
fn charge_and_reserve<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    user: &UidInfo,
    limit: Option<u64>,
) -> Result<Reserved, NewProcError> {
    if let Some(cap) = &world.proc_cap {
        cap.reserve().map_err(|OverLimit| NewProcError::KernelFull)?;
    }
    if user.charge_proc(limit).is_err() {
        refund_place(world);
        return Err(NewProcError::Limit);
    }
    reserve(world, me).map_err(|Exhausted| {
        refund(world, user);
        NewProcError::IdsExhausted
    })
}

/// Gives a process's charge and its place in the kernel back.
fn refund<H: Host>(world: &World<H>, user: &UidInfo) {
    user.refund_proc();
    refund_place(world);
}

fn refund_place<H: Host>(world: &World<H>) {
    if let Some(cap) = &world.proc_cap {
        cap.refund();
    }
}

/// What the configuration says of a new process: its emulation, and whether its
/// user's processes are limited.
fn birth_config<H: Host>(world: &World<H>) -> (EmulPtr<H>, Enforcement) {
    match world.config.load_if(Part::Birth) {
        None => (world.emuls.native(), Enforcement::Ignored),
        Some(config) => (config.default_emul, config.limits.nproc),
    }
}

/// The events of a process that was made.
#[cold]
fn trace_birth<H: Host>(
    world: &World<H>,
    parent: &ProcNode<H>,
    child: &ProcNode<H>,
    pin: &Pin<'_>,
) {
    let (parent_pid, pid) = (parent.pid(), child.pid());
    Aftermath::collect(|aftermath| {
        let fork = TraceEvent::Fork { parent: parent_pid, child: pid };
        trace::emit(world, parent, pin, fork, aftermath);
        let create = TraceEvent::LwpCreate { pid, lid: Lid(pid.0) };
        trace::emit(world, child, pin, create, aftermath);
    });
}

/// A new LWP in the process with that pid.
///
/// Seed: the look-up of `newlwp` S420-S426.
pub(crate) fn newlwp<H: Host>(seat: &Seat<'_, H>, pid: Pid) -> Result<Lwp<H>, NewLwpError> {
    let pin = seat.pin();
    let found = family::find(&seat.world().ids, pid, &pin);
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
    let lwp = match publish_lwp(seat, proc, node) {
        Ok(lwp) => lwp,
        Err(Exhausted) => {
            let mut aftermath = Aftermath::none();
            aftermath.close_files(me, files);
            detach(world, me, proc, node, pin, aftermath).settle();
            return Err(NewLwpError::IdsExhausted);
        }
    };
    // SAFETY: made above.
    let lwp_node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: attached and made above: owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_files(Some(files)) };
    // SAFETY: in no list; its count of one is the list's.
    unsafe { node.lwps.push(lwp) };
    // SeqCst fence [P17]: either `setcred` sees this LWP in the list and marks
    // it, or the credentials read here are the new ones. [P52], [P56]: the same for
    // a signal that is posted, and for the gate that is closed.
    fence(SeqCst);
    // SAFETY: made above, owned by this thread.
    drain::join(node, unsafe { Managed::deref_counted(lwp) });
    // SAFETY: attached and made above: owned by this thread, nothing borrowed.
    unsafe { update_creds(world, lwp, pin) };
    me.tally.add(Tally { lwps: 1, ..Tally::default() });

    // SAFETY: made above, with the right to run it.
    let lwp = unsafe { Lwp::from_raw(lwp) };
    world.host.create(lwp.token());
    if trace::is_traced(world, node) {
        let event = TraceEvent::LwpCreate { pid: node.pid(), lid: lwp.lid() };
        Aftermath::collect(|aftermath| trace::emit(world, node, pin, event, aftermath));
    }
    Ok(lwp)
}

/// Makes an LWP of an attached process under the pid when that is free (the
/// first-LWP rule), else under an id of its own.
fn publish_lwp<H: Host>(
    seat: &Seat<'_, H>,
    proc: ProcPtr<H>,
    node: &ProcNode<H>,
) -> Result<LwpPtr<H>, Exhausted> {
    let (world, me) = (seat.world(), seat.me());
    let pid = node.pid();
    let slot = world.ids.slot(pid.0).expect("a process has a slot");
    // Relaxed: a hint; the CAS decides.
    if slot.lwp.load(Relaxed).is_null() {
        let lwp = LwpNode::new(proc, pid, None, Some(seat.anchor()));
        // AcqRel: Release [P4]: the LWP's fields; pairs with Acquire in
        // `find_lwp`. Acquire [P21]: the last bearer has exited. Relaxed on failure: another took the pid over; nothing is read.
        if slot.lwp.compare_exchange(Tagged::NULL, Tagged::new(lwp), AcqRel, Relaxed).is_ok() {
            return Ok(lwp);
        }
        // SAFETY: published nowhere.
        unsafe { Managed::free(lwp) };
    }
    let id = reserve(world, me)?;
    let lwp = LwpNode::new(proc, pid, Some(id), Some(seat.anchor()));
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

/// Refreshes an LWP's snapshot of its process's credentials, and charges it to
/// their user. Lock-free.
///
/// Seed: `lwp_update_creds` S101-S118.
///
/// # Safety
/// The caller owns the LWP, and nothing borrows its snapshot.
pub(crate) unsafe fn update_creds<H: Host>(world: &World<H>, lwp: LwpPtr<H>, pin: &Pin<'_>) {
    // SAFETY: owned.
    let node = unsafe { Managed::deref_counted(lwp) };
    // First: a mark that is set from now on stays for the next time.
    node.word.take_crmod();
    // SAFETY: owned.
    let cell = &unsafe { node.proc_owned() }.resources.cred;
    let cred = cell.hold(pin).expect("a process with LWPs has credentials");
    let user = world.uids.get(cred.get().users().real);
    user.add_lwps(1);
    let new = LwpCred { cred, charge: Charge::new(user) };
    // SAFETY: owned, and not borrowed.
    give_back(unsafe { node.replace_cred(Some(new)) }, pin);
}

/// Gives an LWP's snapshot and its charge back.
fn give_back(old: Option<LwpCred>, pin: &Pin<'_>) {
    if let Some(LwpCred { cred, charge }) = old {
        charge.get().add_lwps(-1);
        cred.release(pin);
    }
}

/// Changes the credentials of a process, and tells its LWPs. Lock-free but for
/// the allocator; O(LWPs).
pub(crate) fn setcred<H: Host>(
    world: &World<H>,
    node: &ProcNode<H>,
    change: &CredChange,
    pin: &Pin<'_>,
) -> Result<(), CredError> {
    let new = node.resources.cred.commit(pin, |old| old.changed(change))?;
    new.release(pin);
    // Until the charge follows the credentials: another thread's change may
    // have come between the two, and then its charge is put right here.
    while let Some(cred) = node.resources.cred.get(pin) {
        let user = world.uids.get(cred.users().real);
        if std::ptr::eq(node.resources.charge.get(), user) {
            break;
        }
        user.charge_proc(None).expect("no limit");
        node.resources.charge.swap(user).refund_proc();
    }
    // SeqCst fence [P17]: see `makelwp`.
    fence(SeqCst);
    for (lwp, _) in node.lwps.iter(pin) {
        lwp.word.mark_crmod();
    }
    Ok(())
}

/// What is left to do once no part of the world is in use any more: user code
/// that may panic, and the LWP's share in the world, which may be the last.
#[must_use = "settle it when the seat has been given back"]
pub(crate) struct Aftermath<H: Host> {
    panic: Option<Box<dyn Any + Send>>,
    vmspace: Option<H::VmSpace>,
    /// Last: the others are dropped while the world stands.
    anchor: Option<Arc<Anchor<H>>>,
}

impl<H: Host> Aftermath<H> {
    pub(crate) fn none() -> Self {
        Self { panic: None, vmspace: None, anchor: None }
    }

    /// For user code that runs while nothing is ended: the first panic goes on when
    /// all of it has run.
    pub(crate) fn collect(run: impl FnOnce(&mut Self)) {
        let mut aftermath = Self::none();
        run(&mut aftermath);
        aftermath.settle();
    }

    /// A share in what keeps the world.
    pub(crate) fn anchor(&self) -> Option<Arc<Anchor<H>>> {
        self.anchor.clone()
    }

    /// Runs user code now; if it panics, that goes on in `settle`. The first
    /// panic counts.
    pub(crate) fn run<R>(&mut self, user_code: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(user_code)) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.panic.get_or_insert(panic);
                None
            }
        }
    }

    /// Gives a use of a descriptor table back; the last closes its files now, and
    /// a panic of one does not keep the others from being closed.
    pub(crate) fn close_files(&mut self, me: &Participant<H>, files: TableUse<H::File>) {
        files.release(|| me.pin(), |file| _ = self.run(|| drop(file)));
    }

    /// Takes another's panic over; its own, if it has one, counts.
    pub(crate) fn then(&mut self, mut later: Self) {
        if let Some(panic) = later.panic.take() {
            self.panic.get_or_insert(panic);
        }
    }

    /// Runs it. The caller uses nothing of the world any more, unless it holds
    /// the world alive by other means.
    pub(crate) fn settle(self) {
        let Self { panic, vmspace, anchor } = self;
        // Declared before what may panic: dropped after it on unwinding too.
        let _anchor = anchor;
        drop(vmspace);
        if let Some(panic) = panic
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// Releases an owned LWP.
///
/// # Safety
/// The caller owns the LWP and never uses it again.
pub(crate) unsafe fn release<H: Host>(lwp: LwpPtr<H>) {
    // SAFETY: an owned LWP lives.
    let node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: owned by the caller.
    let world = unsafe { node.proc_owned() }.world;
    // SAFETY: the LWP's anchor keeps the world until `settle`.
    let seat = unsafe { &*world }.seat();
    // SAFETY: owned by the caller.
    let aftermath = unsafe { freelwp(seat.world(), seat.me(), lwp) };
    drop(seat);
    aftermath.settle();
}

/// Frees an owned LWP. Lock-free but for the allocator and the host; with the
/// process's last LWP, O(its children).
///
/// Seed: `lwproc_freelwp` S302-S342.
///
/// # Safety
/// The caller owns the LWP and never uses it again.
pub(crate) unsafe fn freelwp<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    lwp: LwpPtr<H>,
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
    let (token, lid, reserved, proc) = (LwpNode::token(lwp), node.lid, node.reserved, node.proc);
    // SAFETY: owned.
    let proc_node = unsafe { node.proc_owned() };
    // SAFETY: owned, and ended here.
    aftermath.anchor = unsafe { node.take_anchor() };
    // SAFETY: owned, and not borrowed: nobody runs as it.
    give_back(unsafe { node.replace_cred(None) }, &pin);
    // SAFETY: owned.
    let has_specific = unsafe { node.specific() }.is_some();
    let specific = if has_specific {
        // SAFETY: owned, and not borrowed: nobody runs as it.
        unsafe { node.specific_mut() }.take()
    } else {
        None
    };

    node.word.exit();
    let slot = world.ids.slot(lid.0).expect("a live LWP has a slot");
    // Release [P21]: whoever takes the lid over, and whoever then sees the new
    // bearer in `lwps`, sees that this one has exited. (A reader that still finds
    // it is covered by its pin.)
    slot.lwp.store(Tagged::NULL, Release);
    let living = proc_node.word.load().nlwps() as usize;
    // SAFETY: linked since it was made, removed once, here. From now on `node`
    // may be retired.
    unsafe { proc_node.lwps.remove(lwp, living, &pin) };

    if let Some(specific) = specific {
        drop_specific(specific.into_values(), &mut aftermath);
    }
    aftermath.run(|| world.host.destroy(token));
    let event = TraceEvent::LwpExit { pid: proc_node.pid(), lid };
    trace::emit(world, proc_node, &pin, event, &mut aftermath);
    let ids = match reserved {
        Some(id) => {
            world.ids.release(&me.shard, id);
            -1
        }
        None => 0,
    };
    me.tally.add(Tally { lwps: -1, ids, ..Tally::default() });
    detach(world, me, proc, proc_node, &pin, aftermath)
}

/// Drops specific data, each value whatever the others do.
#[cold]
fn drop_specific<T, H: Host>(values: impl Iterator<Item = T>, aftermath: &mut Aftermath<H>) {
    for value in values {
        aftermath.run(|| drop(value));
    }
}

/// Takes an LWP off its process, and ends the process with the last.
fn detach<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
    mut aftermath: Aftermath<H>,
) -> Aftermath<H> {
    match node.word.detach() {
        Detached::Remains => {}
        // The process cannot be freed under this pin.
        Detached::Alone => node.waiters.wake_all(),
        // SAFETY: no LWP is left.
        Detached::Last => unsafe { proc_free(world, me, proc, node, pin, &mut aftermath) },
    }
    aftermath
}

/// Ends a process whose last LWP has gone. Lock-free; O(own children). The
/// address space is the aftermath's to drop.
///
/// Seed: `lwproc_proc_free` S150-S210.
///
/// # Safety
/// The caller took the last LWP off.
unsafe fn proc_free<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // The services' end, in the seed's order but for the hooks: while they run the
    // pid, the family and the name still stand (R18).
    node.resources.files.clear(|| me.pin());
    // SAFETY: in the table; ended here.
    unsafe { hooks::run(world, me, proc, aftermath) };
    // Relaxed: every LWP's detach came before [P5].
    let status = ExitStatus::from_bits(node.status.load(Relaxed));
    trace::emit(world, node, pin, TraceEvent::Exit { pid: node.pid(), status }, aftermath);
    if !node.resources.trace.is_empty() {
        aftermath.run(|| drop(node.resources.trace.swap(None, pin)));
    }
    // SAFETY: the right to reap each was won.
    let reap_orphan = |orphan| unsafe { reap_zombie(world, me, orphan, pin, aftermath) };
    family::orphan_children(&world.ids, node, world.init, pin, reap_orphan);
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

    match world.policy {
        // SAFETY: with this policy nobody else reaps.
        WaitPolicy::AutoReap => unsafe { reap(world, me, proc, pin, aftermath) },
        WaitPolicy::Wait => {
            me.tally.add(Tally { procs: -1, zombies: 1, ..Tally::default() });
            node.resources.charge.get().add_zombies(1);
            let parent = family::die(node, pin);
            if !parent.reaps_by_itself() {
                parent.waiters.wake_all();
            } else if family::claim_own(node).is_some() {
                // SAFETY: the right to reap was won.
                unsafe { reap_zombie(world, me, proc, pin, aftermath) };
            }
        }
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
    // SAFETY: in the table until reaped below.
    unsafe { Managed::deref_counted(proc) }.resources.charge.get().add_zombies(-1);
    // SAFETY: by contract.
    unsafe { reap(world, me, proc, pin, aftermath) };
}

/// Takes an ended process out of family and table, and its id back.
///
/// # Safety
/// The caller alone has the right to.
unsafe fn reap<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    proc: ProcPtr<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // SAFETY: the table's claim still holds it.
    let node = unsafe { Managed::deref_counted(proc) };
    let id = node.id;
    let bearers = change::leave(world, me, node, pin);
    // Relaxed: as in `proc_free`, or seen with the zombie's edge [P13].
    let status = ExitStatus::from_bits(node.status.load(Relaxed));
    refund(world, node.resources.charge.get());
    if let Some(cred) = node.resources.cred.replace(None) {
        cred.release(pin);
    }
    let parent = family::leave(node, pin);
    let slot = world.ids.slot(id.number()).expect("a process has a slot");
    // Release [P15]: whoever no longer finds the process finds its children
    // with init; pairs with Acquire in `find`. (A reader that still finds it
    // is covered by its pin.)
    slot.proc.store(Tagged::NULL, Release);
    if node.refs.dec() == Dropped::Last {
        // SAFETY: unpublished above, and no handle is left.
        unsafe { pin.retire(proc) };
    }
    me.tally.add(Tally { procs: -1, ..Tally::default() });
    match bearers {
        Bearers::One => {
            world.ids.release(&me.shard, Reserved(id));
            me.tally.add(Tally { ids: -1, ..Tally::default() });
        }
        Bearers::Several => change::release_id(world, me, id),
    }
    // A thread may wait for the last of its children to be gone.
    parent.waiters.wake_all();
    if world.config.is_touched(Part::Sink) {
        trace::emit_to_kernel(world, TraceEvent::Reap { pid: id.pid(), status }, aftermath);
    }
}
