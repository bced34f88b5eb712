//! Job control: what stops a process, and what continues it.
//!
//! Who sends a stop or SIGCONT changes the process's job word, in one step: of two that come
//! at once one is the later, and what it discards it discards. What follows says so: to the
//! LWPs by a mark, to the parent by its queue and a signal. The process's pending signals of
//! these kinds are in the job word, too, and a bit of `pending` is a hint to look there.
//! Those that were sent to one LWP are in that LWP's set, and are discarded there a moment
//! later.

use super::pending;
use super::post::{self, Load, QueueFull, Recipient};
use crate::family;
use crate::host::Host;
use crate::object::group::Pgrp;
use crate::object::job_word::{Continued, JobWord, Stopped};
use crate::object::kills::{Sender, UnderWay, Whom};
use crate::object::lwp_word::Mark;
use crate::object::node::{LwpNode, ProcNode};
use crate::pgrp;
use crate::policy::Difference;
use crate::reclaim::Pin;
use crate::signal::{ChildFlags, Disposition, SigModel, SigSet, Signo};
use crate::sync::{Relaxed, fence};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::participant::Participant;
use std::sync::atomic::Ordering::SeqCst;

/// Whether the kernel stops and continues processes.
#[inline]
pub(crate) fn kept<H: Host>(world: &World<H>) -> bool {
    !world.job_signals.is_empty()
}

/// What a signal does to a process, by its disposition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effect {
    /// What its LWP makes of it.
    Taken,
    Stops,
    Nothing,
}

fn effect<H: Host>(world: &World<H>, proc: &ProcNode<H>, signo: Signo) -> Effect {
    let by_default = proc.disposition(signo) == Disposition::Default;
    let untouchable = world.rules.numbers.untouchable();
    match by_default && proc.leads().is_some() && !untouchable.contains(signo) {
        // The init of a pid namespace.
        true => Effect::Nothing,
        false => effect_of_any(world, proc, signo),
    }
}

/// The same, be it an init or not.
fn effect_of_any<H: Host>(world: &World<H>, proc: &ProcNode<H>, signo: Signo) -> Effect {
    let numbers = world.rules.numbers;
    match proc.disposition(signo) {
        Disposition::Catch => Effect::Taken,
        Disposition::Ignore => Effect::Nothing,
        Disposition::Default if numbers.stops().contains(signo) => Effect::Stops,
        Disposition::Default if numbers.does_nothing(signo) => Effect::Nothing,
        Disposition::Default => Effect::Taken,
    }
}

/// Whether a signal is pending that the LWP could take, and that ends its process at once.
pub(crate) fn has_fatal<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    lwp: &LwpNode<H>,
    proc: &ProcNode<H>,
) -> bool {
    let is_fatal = |signo| {
        // The init of a pid namespace has none.
        proc.disposition(signo) == Disposition::Default
            && world.rules.numbers.is_fatal(signo)
            && effect(world, proc, signo) == Effect::Taken
    };
    kept(world) && pending::takeable(lwp, proc, me).iter().any(is_fatal)
}

/// What is left to do with a signal that has been sent.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// To post it.
    Post,
    Nothing,
}

/// What a signal does when it is sent, in a kernel that [keeps](kept) jobs. Lock-free but for
/// what sleeping tasks do, and the host; O(LWPs of the process), of a group that may be
/// orphaned O(members).
pub(crate) fn sent<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) -> Left {
    let (Recipient::Proc(proc) | Recipient::Lwp(proc, _)) = to;
    let word = proc.word.load();
    if proc.is_permanent() || word.is_exiting() || word.is_dead() {
        return Left::Post;
    }
    if let Recipient::Lwp(_, lwp) = to
        && lwp.word.load().has_exited()
    {
        return Left::Nothing;
    }
    let numbers = world.rules.numbers;
    let is_blocked = is_blocked(world, to, signo, pin);
    let effect = effect(world, proc, signo);
    let stops = effect == Effect::Stops && !is_blocked;
    let is_kept = match effect {
        _ if is_blocked => true,
        Effect::Taken => true,
        Effect::Stops => false,
        Effect::Nothing => first_blocks(world, to, signo, pin),
    };
    let pends = if is_kept { SigSet::from(signo) } else { SigSet::EMPTY };
    if signo == numbers.cont {
        let of_proc = if let Recipient::Proc(_) = to { pends } else { SigSet::EMPTY };
        let continued = proc.jobs.cont(numbers.stops(), of_proc);
        discard_of_lwps(proc, numbers.stops(), pin);
        pending::no_longer_of_many(proc, numbers.stops());
        if continued == Continued::Now {
            wake_stopped(proc, pin);
            tell_parent(world, proc, pin, aftermath);
        }
    } else if numbers.stops().contains(signo) {
        if stops {
            // Also where the group is exempt.
            proc.jobs.discard(numbers.cont.into());
            let of_proc = if let Recipient::Proc(_) = to { signo.into() } else { SigSet::EMPTY };
            // Until SIGCONT discards it, be the group orphaned: nobody decides before.
            match proc.jobs.post_if_stopped(of_proc) {
                // Relaxed: a hint of what nobody takes.
                true => drop(proc.pending.fetch_or(of_proc.bits(), Relaxed)),
                false => stop(world, proc, signo, None, pin, aftermath),
            }
        } else if let (Recipient::Proc(_), true) = (to, is_kept) {
            proc.jobs.post(signo, numbers.cont);
        } else {
            proc.jobs.discard(numbers.cont.into());
            pending::no_longer_of_many(proc, signo.into());
        }
        discard_of_lwps(proc, numbers.cont.into(), pin);
    }
    // As a hint, and of an LWP itself.
    if is_kept { Left::Post } else { Left::Nothing }
}

/// A signal by these rules where the kernel keeps them, but for what SIGKILL does.
pub(crate) fn send_with<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    load: Load<H::SigValue>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) -> Result<(), QueueFull> {
    let left = if kept(world) { sent(world, to, signo, pin, aftermath) } else { Left::Post };
    if left == Left::Post {
        return post::post(world, to, signo, load, pin, aftermath);
    }
    aftermath.run(|| drop(load));
    Ok(())
}

/// The same with nothing.
pub(crate) fn send<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // Only a value is refused.
    let _sent = send_with(world, to, signo, Load::Nothing, pin, aftermath);
}

/// Notes that many are sent to, to the end of what this answers; nothing where nothing comes
/// of signals.
pub(crate) fn note<'k, H: Host>(
    world: &'k World<H>,
    signo: Signo,
    whom: Whom,
    sender: impl FnOnce() -> Option<Sender>,
    pin: &'k Pin<'k>,
) -> Option<UnderWay<'k>> {
    (world.signals != SigModel::Ignore).then(|| world.kills.begin(signo, whom, sender(), pin))
}

/// Sends to one of many what is not SIGKILL, while the whole is [noted](crate::object::kills).
pub(crate) fn send_to_one_of_many<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let to = Recipient::Proc(proc);
    if kept(world) && world.rules.numbers.stops().contains(signo) {
        // First: the next SIGCONT takes it back.
        pending::mark_of_many(proc, signo);
        return send(world, &to, signo, pin, aftermath);
    }
    let _sent = send_with(world, &to, signo, Load::OfMany, pin, aftermath);
    if world.signals == SigModel::Record {
        pending::mark_of_many(proc, signo);
    }
}

/// Sends to each member of a group what is not SIGKILL; no fork of theirs escapes.
pub(crate) fn send_to_group<H: Host>(
    world: &World<H>,
    group: &Pgrp,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let _under_way = note(world, signo, Whom::Group(group.id()), || None, pin);
    for (proc, _) in pgrp::members(&world.ids, group, pin) {
        send_to_one_of_many(world, proc, signo, pin, aftermath);
    }
}

/// What a signal does that an LWP has just taken: which was blocked when it was sent.
pub(crate) fn taken<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    signo: Signo,
    since: JobWord,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) -> Left {
    match effect(world, proc, signo) {
        Effect::Taken => return Left::Post,
        Effect::Stops => stop(world, proc, signo, Some(since), pin, aftermath),
        Effect::Nothing => {}
    }
    Left::Nothing
}

/// A process does something new with a signal: what it ignores is discarded, blocked or not;
/// not what does nothing to the init of a pid namespace, and something to others.
pub(crate) fn disposed<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    if effect_of_any(world, proc, signo) == Effect::Nothing {
        // Relaxed: as in `discard_of_lwps`.
        proc.pending.fetch_and(!SigSet::from(signo).bits(), Relaxed);
        proc.jobs.discard(signo.into());
        discard_of_lwps(proc, signo.into(), pin);
        pending::discard_queued(proc, |queued| queued.signo == signo, pin, aftermath);
    }
}

/// Whether the first LWP of a process blocks it, where that is what counts.
fn first_blocks<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    pin: &Pin<'_>,
) -> bool {
    let Recipient::Proc(proc) = to else {
        return false;
    };
    let is_first = |lwp: &LwpNode<H>| lwp.id() == proc.id;
    let blocks = |lwp: &LwpNode<H>| is_first(lwp) && pending::blocked(lwp).contains(signo);
    world.rules.is_linux(Difference::MaskOfTheFirst)
        && proc.lwps.iter(pin).any(|(lwp, _)| blocks(lwp))
}

/// Whether all that could take it block it.
fn is_blocked<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    pin: &Pin<'_>,
) -> bool {
    if world.rules.numbers.untouchable().contains(signo) {
        // Even when the process has no LWP in its list for a moment.
        return false;
    }
    let blocks = |lwp: &LwpNode<H>| pending::blocked(lwp).contains(signo);
    match to {
        Recipient::Proc(proc) => proc.lwps.iter(pin).all(|(lwp, _)| blocks(lwp)),
        Recipient::Lwp(_, lwp) => blocks(lwp),
    }
}

/// Takes signals out of the sets of the LWPs.
fn discard_of_lwps<H: Host>(proc: &ProcNode<H>, signals: SigSet, pin: &Pin<'_>) {
    for (lwp, _) in proc.lwps.iter(pin) {
        // A look first: LWPs that nobody stops are not written to.
        if !(pending::pending(&lwp.pending) & signals).is_empty() {
            // Relaxed: nobody takes what is discarded.
            lwp.pending.fetch_and(!signals.bits(), Relaxed);
        }
    }
}

/// Stops a process by a signal that its LWPs do not take, unless it is exempt.
fn stop<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    signo: Signo,
    since: Option<JobWord>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let numbers = world.rules.numbers;
    let is_exempt = || {
        let group = pgrp::group_of(proc, pin);
        group.is_none_or(|group| pgrp::is_orphaned(&world.ids, group, None, pin))
    };
    if proc.is_permanent()
        || proc.word.load().is_exiting()
        || (numbers.is_by_terminal(signo) && is_exempt())
    {
        return;
    }
    if proc.jobs.stop(signo, numbers.cont, since) == Stopped::Now {
        tell_lwps(proc, pin);
        tell_parent(world, proc, pin, aftermath);
        // The fence of `tell_lwps` [P114]: who has just left the group orphaned sees it
        // stopped, or is seen dead here. Nobody else in the group is to be told for this one.
        if numbers.is_by_terminal(signo) && is_exempt() {
            for signo in [Signo::HUP, numbers.cont] {
                send(world, &Recipient::Proc(proc), signo, pin, aftermath);
            }
        }
    }
}

/// The process is stopped: its LWPs are to look.
fn tell_lwps<H: Host>(proc: &ProcNode<H>, pin: &Pin<'_>) {
    // SeqCst fence [P111]: pairs with Acquire in `clear_stopping`; and with that of `makelwp`:
    // an LWP that is being made is in the list below, or sees the word.
    fence(SeqCst);
    for (lwp, _) in proc.lwps.iter(pin) {
        // One that sleeps looks when it wakes.
        let _asleep = lwp.word.mark(Mark::Stopping);
    }
}

/// The process goes on: threads that are stopped, and tasks that were not polled.
fn wake_stopped<H: Host>(proc: &ProcNode<H>, pin: &Pin<'_>) {
    // Its fence [P12] is that of the tasks, too.
    proc.waiters.wake_all();
    proc.lwps.iter(pin).for_each(|(lwp, _)| lwp.wake_task(pin));
}

/// A new LWP, in the list since before the caller's fence, looks whether its process is
/// stopped.
#[inline]
pub(crate) fn join<H: Host>(proc: &ProcNode<H>, lwp: &LwpNode<H>) {
    if proc.is_stopped() {
        let _awake = lwp.word.mark(Mark::Stopping);
    }
}

/// A notice is in the process's word.
fn tell_parent<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let Some((edge, _)) = family::edge_of(proc, pin) else {
        return;
    };
    let parent = edge.parent(pin);
    parent.waiters.wake_all();
    let tells = || {
        let ignores = parent.disposition(world.rules.numbers.chld) == Disposition::Ignore;
        !ignores && !of_children(parent).has(ChildFlags::NO_STOP)
    };
    if let Some(signo) = world.child_signal.filter(|_| tells() && minds(world, parent)) {
        send(world, &Recipient::Proc(parent), signo, pin, aftermath);
    }
}

fn of_children<H: Host>(parent: &ProcNode<H>) -> ChildFlags {
    parent.signals.get().map_or(ChildFlags::NONE, |signals| signals.dispositions.of_children())
}

/// Whether a process is to be sent SIGCHLD at all: to proc0 and init nothing is sent that does
/// nothing.
pub(crate) fn minds<H: Host>(world: &World<H>, parent: &ProcNode<H>) -> bool {
    let takes = || effect(world, parent, world.rules.numbers.chld) == Effect::Taken;
    !parent.is_permanent() || (!parent.reaps_by_itself() && (!kept(world) || takes()))
}

/// Whether the ordinary children of a process are gone when they end: it ignores SIGCHLD, or
/// says so.
pub(crate) fn leaves_no_zombies<H: Host>(world: &World<H>, parent: &ProcNode<H>) -> bool {
    let ignores = || parent.disposition(world.rules.numbers.chld) == Disposition::Ignore;
    kept(world) && (ignores() || of_children(parent).has(ChildFlags::NO_WAIT))
}

/// Whether it is sent SIGCHLD for one of those.
pub(crate) fn is_told_without_zombie<H: Host>(world: &World<H>, parent: &ProcNode<H>) -> bool {
    parent.disposition(world.rules.numbers.chld) != Disposition::Ignore
        && world.rules.is_linux(Difference::SignalWithoutZombie)
        && minds(world, parent)
}

/// The group of a child that had a tie to that parent, and is another's child now.
pub(crate) fn group_left<'g, H: Host>(
    world: &World<H>,
    parent: &ProcNode<H>,
    child: &ProcNode<H>,
    pin: &'g Pin<'_>,
) -> Option<&'g Pgrp> {
    let group = if kept(world) { pgrp::group_of(child, pin) } else { None };
    group.filter(|group| pgrp::is_tie(parent, group, pin))
}

/// A process has ended, and its children have other parents: the groups that nobody controls
/// any more, and that have a stopped member, are told: its own, and those that it has left.
/// O(members) of these.
// POSIX: `_exit`, consequences of process termination.
pub(crate) fn leaves_groups<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    left: &[&Pgrp],
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let Some(own) = pgrp::group_of(proc, pin) else {
        return;
    };
    let parent = family::edge_of(proc, pin).map(|(edge, _)| edge.parent(pin));
    if parent.is_some_and(|parent| pgrp::is_tie(parent, own, pin)) {
        tell_if_orphaned(world, own, proc, pin, aftermath);
    }
    for group in left {
        tell_if_orphaned(world, group, proc, pin, aftermath);
    }
}

fn tell_if_orphaned<H: Host>(
    world: &World<H>,
    group: &Pgrp,
    gone: &ProcNode<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let members = || pgrp::members(&world.ids, group, pin).map(|(member, _)| member);
    // SeqCst fence [P114]: pairs with that of `tell_lwps`.
    fence(SeqCst);
    let has_stopped = members().any(|member| member.is_stopped());
    if has_stopped && pgrp::is_orphaned(&world.ids, group, Some(gone), pin) {
        for signo in [Signo::HUP, world.rules.numbers.cont] {
            for member in
                members().filter(|member| !std::ptr::eq(*member, gone) && !member.is_permanent())
            {
                send(world, &Recipient::Proc(member), signo, pin, aftermath);
            }
        }
    }
}
