//! Posting, and who is told.
//!
//! The mark is set after the signal, by a read-modify-write; the owner clears it
//! before it looks at the pending sets. So a post that comes while an LWP is switched
//! in or out, or takes a signal, is seen in the sets or leaves its mark. What is kept one by
//! one, or has a value, is not in the sets but in the process's queue (`signal/queue.rs`).
//!
//! A signal of a process marks one LWP, which is woken if it sleeps. An LWP that takes
//! something else keeps its mark; one that blocks the signal or ends tells another.
//!
//! Three cases need more, for there the two threads do not meet in the LWP's word, and both have a
//! fence between what they write and what they read:
//!
//! * an LWP that has just been made: in the process's list when the poster looks, or
//!   it finds the signal when it is switched to;
//! * a mask that changes: the poster sees the new one, or the owner the signal;
//! * an LWP that ends: the poster sees it in its word, or it the signal.

use super::pending::{
    blocked, discard_queued, no_longer_of_many, noted, of_proc, pending, queued, refresh,
};
use crate::host::Host;
use crate::object::lwp_word::{Mark, Marked};
use crate::object::node::{LwpNode, ProcNode};
use crate::policy::Difference;
use crate::reclaim::Pin;
use crate::signal::queue::{Keep, NotKept, Queued, SentTo, To};
use crate::signal::state::SigState;
use crate::signal::{SigModel, SigSet, Signo};
use crate::sync::{Relaxed, Release, fence, fence_after_update};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::participant::Participant;
use std::sync::atomic::Ordering::SeqCst;

/// Who gets a signal.
pub(crate) enum Recipient<'p, H: Host> {
    /// A process: any of its LWPs.
    Proc(&'p ProcNode<H>),
    /// One LWP of that process.
    Lwp(&'p ProcNode<H>, &'p LwpNode<H>),
}

/// What is sent with a signal.
#[derive(Debug)]
pub(crate) enum Load<V> {
    Nothing,
    /// Nothing; it is sent to many.
    OfMany,
    Value(V),
}

/// As many are queued for the process as may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct QueueFull;

/// A signal for a process or an LWP, by the kernel's model, whoever may send one. What
/// has ended is there, and beyond reach. O(LWPs of the process), and of what is queued, O(that);
/// lock-free but for the host and what sleeping LWPs sleep on.
pub(crate) fn post<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    load: Load<H::SigValue>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) -> Result<(), QueueFull> {
    let (Recipient::Proc(proc) | Recipient::Lwp(proc, _)) = to;
    let is_dead = proc.word.load().is_dead();
    if is_dead || world.signals != SigModel::Record {
        aftermath.run(|| drop(load));
        match world.signals {
            SigModel::Raise if !is_dead => {
                aftermath.run(|| world.host.raise(proc.pid(), signo));
            }
            SigModel::Panic if !is_dead => {
                aftermath.run(|| world.host.unhandled_signal(proc.pid(), signo));
            }
            _ => {}
        }
        return Ok(());
    }
    let recorded = record(world, to, signo, load, pin, aftermath)?;
    // SeqCst fence [P52]: see the module; pairs with those of `makelwp` and `set_blocked`.
    // [P132]: and with that of who ends, which finds what was queued, or is seen to have ended.
    fence(SeqCst);
    if recorded == Recorded::Queued && has_ended(to) {
        let serial = serial_of(to);
        discard_queued(proc, |queued| queued.to == serial, pin, aftermath);
        return Ok(());
    }
    match to {
        Recipient::Proc(proc) => tell_one(world, proc, signo, pin, aftermath),
        Recipient::Lwp(_, lwp) if !blocked(lwp).contains(signo) => {
            lwp.interrupt(Mark::PendSig, pin, aftermath);
        }
        // For those that wait for one.
        Recipient::Lwp(proc, _) => proc.waiters.wake_all(),
    }
    Ok(())
}

/// How a signal was noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Recorded {
    InSet,
    Queued,
}

/// Notes a signal: in a set, or in the queue what is kept one by one or has a value.
fn record<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    load: Load<H::SigValue>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) -> Result<Recorded, QueueFull> {
    let (proc, set) = match to {
        Recipient::Proc(proc) => (proc, &proc.pending),
        Recipient::Lwp(proc, lwp) => (proc, &lwp.pending),
    };
    let keep = if world.rules.numbers.keeps_each(signo) { Keep::Each } else { Keep::First };
    // What the kernel itself acts on comes without.
    let is_acted_on = signo == Signo::KILL || world.job_signals.contains(signo);
    let (sent_to, value) = match load {
        Load::Nothing => (SentTo::One, None),
        Load::OfMany => (SentTo::Many, None),
        Load::Value(value) if is_acted_on => {
            aftermath.run(|| drop(value));
            (SentTo::One, None)
        }
        Load::Value(value) => (SentTo::One, Some(value)),
    };
    let is_first = || keep == Keep::Each || !pending(set).contains(signo);
    if (keep == Keep::Each || value.is_some()) && is_first() {
        let (had_value, most) = (value.is_some(), world.max_queued);
        let queue = &proc.signals.get_or_init(SigState::new).queue;
        match queue.push((signo, serial_of(to), value), sent_to, (keep, most), pin) {
            Ok(()) => return Ok(Recorded::Queued),
            Err(NotKept::Merged(value)) => {
                aftermath.run(|| drop(value));
                return Ok(Recorded::InSet);
            }
            Err(NotKept::Full(value)) => {
                aftermath.run(|| drop(value));
                if keep == Keep::Each && had_value {
                    return Err(QueueFull);
                }
            }
        }
    } else {
        aftermath.run(|| drop(value));
        let queue = proc.queue().filter(|_| keep == Keep::First);
        if queue.is_some_and(|queue| queue.merges(signo, serial_of(to), pin)) {
            return Ok(Recorded::InSet);
        }
    }
    // Release [P51]: what the sender did before; pairs with Acquire in `take_from`.
    set.fetch_or(SigSet::from(signo).bits(), Release);
    Ok(Recorded::InSet)
}

fn serial_of<H: Host>(to: &Recipient<'_, H>) -> To {
    match to {
        Recipient::Proc(_) => None,
        Recipient::Lwp(_, lwp) => Some(lwp.token().serial()),
    }
}

fn has_ended<H: Host>(to: &Recipient<'_, H>) -> bool {
    match to {
        Recipient::Proc(proc) => proc.word.load().is_dead(),
        Recipient::Lwp(_, lwp) => lwp.word.load().has_exited(),
    }
}

/// Tells one LWP of a signal of its process: who takes it, or, when it blocks it or ends
/// instead, tells another. When all block it, those that wait for one look.
fn tell_one<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    while let Some(lwp) = receiver(world, proc, signo, pin) {
        match lwp.tell(pin, aftermath) {
            Marked::Awake | Marked::Sleeping => return,
            Marked::Parked | Marked::Gone => {}
        }
    }
    proc.waiters.wake_all();
}

/// The LWP that is told of a signal of its process, by the [rules](Difference::Receiver): one
/// that does not block it, and that somebody has the right to run, and is not to exit.
fn receiver<'g, H: Host>(
    world: &World<H>,
    proc: &'g ProcNode<H>,
    signo: Signo,
    pin: &'g Pin<'_>,
) -> Option<&'g LwpNode<H>> {
    let may = |lwp: &&LwpNode<H>| {
        let word = lwp.word.load();
        let stays = !word.has_exited() && !word.has_qexit();
        word.is_running() && stays && !blocked(lwp).contains(signo)
    };
    // Newest first.
    let mut all = proc.lwps.iter(pin).map(|(lwp, _)| lwp).filter(may);
    if !world.rules.is_linux(Difference::Receiver) {
        return all.next();
    }
    let is_first = |lwp: &LwpNode<H>| lwp.id() == proc.id;
    all.reduce(|so_far, lwp| if is_first(so_far) { so_far } else { lwp })
}

/// Tells others of signals of the process that an LWP, which may have been told of them,
/// takes no more. After a fence.
pub(crate) fn leave_to_others<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    signals: SigSet,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    for signo in (of_proc(proc, pin) & signals).iter() {
        tell_one(world, proc, signo, pin, aftermath);
    }
}

/// What an LWP leaves that has ended, if it leaves any: what is queued for it is discarded,
/// and others are told of what is the process's. Two loads when there is nothing.
#[inline]
pub(crate) fn ended<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    lwp: &LwpNode<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // SeqCst fence [P132]: who posts sees that it has ended, or what it posted is seen here.
    // It was said by a read-modify-write.
    fence_after_update();
    if !pending(&proc.pending).is_empty() || proc.queue().is_some() {
        ended_with(world, proc, lwp, pin, aftermath);
    }
}

#[cold]
fn ended_with<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    lwp: &LwpNode<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let serial = Some(lwp.token().serial());
    discard_queued(proc, |queued| queued.to == serial, pin, aftermath);
    leave_to_others(world, proc, SigSet::ALL, pin, aftermath);
}

/// Discards what is queued for a process that has ended.
#[inline]
pub(crate) fn proc_ended<H: Host>(proc: &ProcNode<H>, pin: &Pin<'_>, aftermath: &mut Aftermath<H>) {
    // SeqCst fence [P132]: as in `ended`.
    fence_after_update();
    discard_queued(proc, |_| true, pin, aftermath);
}

/// Discards pending signals of a process, and of one of its LWPs. Owner only.
pub(crate) fn discard<H: Host>(
    lwp: Option<&LwpNode<H>>,
    proc: &ProcNode<H>,
    signals: SigSet,
    me: &Participant<H>,
    aftermath: &mut Aftermath<H>,
) {
    // Relaxed, twice: nobody takes what is discarded.
    proc.pending.fetch_and(!signals.bits(), Relaxed);
    proc.jobs.discard(signals);
    no_longer_of_many(proc, signals);
    if let Some(lwp) = lwp {
        lwp.pending.fetch_and(!signals.bits(), Relaxed);
    }
    let serial = lwp.map(|lwp| lwp.token().serial());
    let is_meant = |queued: &Queued<_>| {
        signals.contains(queued.signo) && (queued.to.is_none() || queued.to == serial)
    };
    discard_queued(proc, is_meant, &me.pin(), aftermath);
    if let Some(lwp) = lwp {
        refresh(lwp, proc, me);
    }
}

/// Replaces an LWP's mask, by one without what cannot be blocked. What it may have been told
/// of, and blocks now, another is told of. Owner only. Wait-free, but for what that one
/// sleeps on.
pub(crate) fn set_blocked<H: Host>(
    lwp: &LwpNode<H>,
    proc: &ProcNode<H>,
    mask: SigSet,
    me: &Participant<H>,
    aftermath: &mut Aftermath<H>,
) {
    let new = mask - blocked(lwp);
    // Relaxed: the fence below orders it.
    lwp.blocked.store(mask.bits(), Relaxed);
    // SeqCst fence [P52]: a poster sees this mask, or its signal is seen below.
    fence(SeqCst);
    refresh(lwp, proc, me);
    if !((noted(proc) | queued(proc, None, me)) & new).is_empty() {
        leave_to_others(me.world(), proc, new, &me.pin(), aftermath);
    }
}
