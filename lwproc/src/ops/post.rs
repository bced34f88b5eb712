//! Posting, marking, taking.
//!
//! The mark is set after the signal, by a read-modify-write; the owner clears it
//! before it looks at the pending sets. So a post that comes while an LWP is switched
//! in or out, or takes a signal, is seen in the sets or leaves its mark. Three cases
//! need more, for there the two threads do not meet in the LWP's word, and both have a
//! fence between what they write and what they read:
//!
//! * an LWP that has just been made: in the process's list when the poster looks, or
//!   it finds the signal when it is switched to;
//! * a mask that changes: the poster sees the new one, or the owner the signal.

use crate::host::Host;
use crate::object::lwp_word::Mark;
use crate::object::node::{LwpNode, ProcNode};
use crate::reclaim::Pin;
use crate::signal::{SigModel, SigSet, Signo};
use crate::sync::{AcqRel, Acquire, AtomicU64, Relaxed, Release, fence};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use std::sync::atomic::Ordering::SeqCst;

/// Who gets a signal.
pub(crate) enum Recipient<'p, H: Host> {
    /// A process: any of its LWPs.
    Proc(&'p ProcNode<H>),
    /// One LWP of that process.
    Lwp(&'p ProcNode<H>, &'p LwpNode<H>),
}

/// A signal for a process or an LWP, by the kernel's model, whoever may send one. What
/// has ended is there, and beyond reach. O(LWPs of the process); wait-free but for the
/// host and what sleeping LWPs sleep on.
pub(crate) fn post<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let (Recipient::Proc(proc) | Recipient::Lwp(proc, _)) = to;
    if proc.word.load().is_dead() {
        return;
    }
    match world.signals {
        SigModel::Ignore => {}
        SigModel::Raise => drop(aftermath.run(|| world.host.raise(proc.pid(), signo))),
        SigModel::Panic => drop(aftermath.run(|| world.host.unhandled_signal(proc.pid(), signo))),
        SigModel::Record => {
            let pending = match to {
                Recipient::Proc(proc) => &proc.pending,
                Recipient::Lwp(_, lwp) => &lwp.pending,
            };
            // Release [P51]: what the sender did before; pairs with Acquire in
            // `take_from`.
            pending.fetch_or(SigSet::from(signo).bits(), Release);
            // SeqCst fence [P52]: see the module; pairs with those of `makelwp` and
            // `set_blocked`.
            fence(SeqCst);
            let notify = |lwp: &LwpNode<H>, aftermath: &mut Aftermath<H>| {
                if !blocked(lwp).contains(signo) {
                    lwp.interrupt(Mark::PendSig, pin, aftermath);
                }
            };
            match to {
                Recipient::Proc(proc) => {
                    proc.lwps.iter(pin).for_each(|(lwp, _)| notify(lwp, aftermath));
                }
                Recipient::Lwp(_, lwp) => notify(lwp, aftermath),
            }
        }
    }
}

/// The mask of an LWP.
#[inline]
pub(crate) fn blocked<H: Host>(lwp: &LwpNode<H>) -> SigSet {
    // Relaxed: the owner's own; for a poster the fence decides [P52].
    SigSet::from_bits(lwp.blocked.load(Relaxed))
}

/// What is pending in one set.
#[inline]
pub(crate) fn pending(set: &AtomicU64) -> SigSet {
    // Relaxed: who needs a signal that was posted cleared its mark first [P50].
    SigSet::from_bits(set.load(Relaxed))
}

/// What is pending for a process: of what its job word has, the set has hints only.
#[inline]
pub(crate) fn of_proc<H: Host>(proc: &ProcNode<H>) -> SigSet {
    let seen = pending(&proc.pending);
    if seen.is_empty() {
        return seen;
    }
    let jobs = proc.jobs.load();
    (seen - jobs.kinds()) | jobs.pending()
}

/// Whether anything may be pending, blocked or not.
#[inline]
pub(crate) fn has_any<H: Host>(lwp: &LwpNode<H>, proc: &ProcNode<H>) -> bool {
    !(pending(&proc.pending) | pending(&lwp.pending)).is_empty()
}

/// What an LWP could take.
#[inline]
pub(crate) fn takeable<H: Host>(lwp: &LwpNode<H>, proc: &ProcNode<H>) -> SigSet {
    let all = of_proc(proc) | pending(&lwp.pending);
    if all.is_empty() { all } else { all - blocked(lwp) }
}

/// Makes the mark follow the sets and the mask; whether it is set. Owner only.
/// Wait-free; two loads, and one of the LWP's word, when nothing is pending.
#[inline]
pub(crate) fn refresh<H: Host>(lwp: &LwpNode<H>, proc: &ProcNode<H>) -> bool {
    if lwp.word.load().has_pendsig() {
        lwp.word.clear_pendsig();
    }
    let any = !takeable(lwp, proc).is_empty();
    if any {
        // The owner is awake: nobody is to be woken.
        let _awake = lwp.word.mark(Mark::PendSig);
    }
    any
}

/// The LWP is taken off its thread. Owner only. Wait-free; one load when the mark is
/// not set.
#[inline]
pub(crate) fn switch_out<H: Host>(lwp: &LwpNode<H>) {
    if lwp.word.load().has_pendsig() {
        lwp.word.clear_pendsig();
    }
}

/// Sets the mask of an LWP that nobody can see yet, and that blocks nothing: one without what
/// cannot be blocked.
#[inline]
pub(crate) fn born_blocking<H: Host>(lwp: &LwpNode<H>, mask: SigSet) {
    if !mask.is_empty() {
        // Relaxed: published with the LWP [P4].
        lwp.blocked.store(mask.bits(), Relaxed);
    }
}

/// Replaces an LWP's mask, by one without what cannot be blocked. Owner only. Wait-free.
pub(crate) fn set_blocked<H: Host>(lwp: &LwpNode<H>, proc: &ProcNode<H>, mask: SigSet) {
    // Relaxed: the fence below orders it.
    lwp.blocked.store(mask.bits(), Relaxed);
    // SeqCst fence [P52]: a poster sees this mask, or its signal is seen below.
    fence(SeqCst);
    refresh(lwp, proc);
}

/// Takes the lowest-numbered signal of a process that is not blocked. Lock-free.
fn take_from_proc<H: Host>(proc: &ProcNode<H>, blocked: SigSet) -> Option<Signo> {
    loop {
        let kinds = proc.jobs.load().kinds();
        let first = (of_proc(proc) - blocked).first()?;
        if !kinds.contains(first) {
            // It may be another by now, or none.
            match take_from(&proc.pending, blocked | kinds, Some(&proc.of_many)) {
                None => continue,
                taken => return taken,
            }
        }
        // The hint first: who posts sets it after the job word. Acquire [P51]: as in
        // `take_from`.
        proc.pending.fetch_and(!SigSet::from(first).bits(), Acquire);
        no_longer_of_many(proc, first.into());
        if proc.jobs.take(first) {
            return Some(first);
        }
    }
}

/// Takes the lowest-numbered of a set that is not blocked, which is of no concern to
/// children from now on. Lock-free: another taker may be first, and then the next one is
/// tried.
fn take_from(set: &AtomicU64, blocked: SigSet, of_many: Option<&AtomicU64>) -> Option<Signo> {
    let mut seen = pending(set);
    loop {
        let signo = (seen - blocked).first()?;
        let one = SigSet::from(signo);
        // Before: a poster sets it after the signal, so what is pending afterwards is
        // never without it. It stays of what is taken and sent again at the same moment.
        let was_of_many = of_many.filter(|set| pending(set).contains(signo));
        if let Some(of_many) = was_of_many.filter(|_| signo != Signo::KILL) {
            // Relaxed: the change below comes after it, and carries it.
            of_many.fetch_and(!one.bits(), Relaxed);
        }
        // AcqRel: Acquire [P51]: what the sender did before; pairs with Release in `post`.
        // Release: the change above comes before. Relaxed on failure: tried again.
        match set.compare_exchange(seen.bits(), (seen - one).bits(), AcqRel, Relaxed) {
            Ok(_) => return Some(signo),
            Err(now) => seen = SigSet::from_bits(now),
        }
        if let Some(of_many) = was_of_many {
            // Relaxed: as above.
            of_many.fetch_or(one.bits(), Relaxed);
        }
    }
}

/// Says that a signal of the process is its children's too, until it is taken. After the
/// post.
pub(crate) fn mark_of_many<H: Host>(proc: &ProcNode<H>, signo: Signo) {
    // Release [P88]: read by a fork of the process behind a fence.
    proc.of_many.fetch_or(SigSet::from(signo).bits(), Release);
}

/// Says the reverse of signals that have been discarded.
pub(crate) fn no_longer_of_many<H: Host>(proc: &ProcNode<H>, signals: SigSet) {
    if !(pending(&proc.of_many) & signals).is_empty() {
        // Relaxed: a fork that still finds them sends a stop that this may not undo; as one
        // that was a moment earlier.
        proc.of_many.fetch_and(!signals.bits(), Relaxed);
    }
}

/// What a child of the process is to have that blocks that: the signals that were sent to
/// many and wait for one to take them.
#[inline]
pub(crate) fn of_many<H: Host>(parent: &ProcNode<H>, blocked: SigSet) -> SigSet {
    let of_many = pending(&parent.of_many);
    if of_many.is_empty() {
        return of_many;
    }
    // One that has stopped the parent is not pending any more.
    let stopped = parent.jobs.load().stopped_by().map_or(SigSet::EMPTY, SigSet::from);
    of_many & ((of_proc(parent) - blocked).with(Signo::KILL) | stopped)
}

/// Takes a signal: the LWP's own first. In an implicit context (`None`) nothing is
/// blocked, and only the process's are taken.
pub(crate) fn take<H: Host>(lwp: Option<&LwpNode<H>>, proc: &ProcNode<H>) -> Option<Signo> {
    let Some(lwp) = lwp else {
        return take_from_proc(proc, SigSet::EMPTY);
    };
    // Before the sets are looked at: whoever sees the mark sees the signal.
    if lwp.word.load().has_pendsig() {
        lwp.word.clear_pendsig();
    }
    let blocked = blocked(lwp);
    let taken = take_from(&lwp.pending, blocked, None).or_else(|| take_from_proc(proc, blocked));
    refresh(lwp, proc);
    taken
}
