//! What is pending, and the mark that follows it.

use crate::host::Host;
use crate::object::lwp_word::Mark;
use crate::object::node::{LwpNode, ProcNode};
use crate::reclaim::Pin;
use crate::signal::queue::{Queue, Queued, To};
use crate::signal::{SigSet, Signo};
use crate::sync::{AtomicU64, Relaxed, Release};
use crate::world::aftermath::Aftermath;
use crate::world::participant::Participant;

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

/// What is pending for a process, but for what is queued: of what its job word has, the set
/// has hints only.
#[inline]
pub(super) fn noted<H: Host>(proc: &ProcNode<H>) -> SigSet {
    let seen = pending(&proc.pending);
    if seen.is_empty() {
        return seen;
    }
    let jobs = proc.jobs.load();
    (seen - jobs.kinds()) | jobs.pending()
}

/// What is queued for a process, or for one of its LWPs; under a pin where there is any.
#[inline]
pub(super) fn queued<H: Host>(proc: &ProcNode<H>, to: To, me: &Participant<H>) -> SigSet {
    proc.queue().map_or(SigSet::EMPTY, |queue| queue.set(to, &me.pin()))
}

/// What is pending for a process.
#[inline]
pub(crate) fn of_proc<H: Host>(proc: &ProcNode<H>, pin: &Pin<'_>) -> SigSet {
    noted(proc) | proc.queue().map_or(SigSet::EMPTY, |queue| queue.set(None, pin))
}

/// What is pending for one LWP of it alone.
#[inline]
pub(crate) fn of_lwp<H: Host>(lwp: &LwpNode<H>, proc: &ProcNode<H>, pin: &Pin<'_>) -> SigSet {
    let queued = |queue: &Queue<_>| queue.set(Some(lwp.token().serial()), pin);
    pending(&lwp.pending) | proc.queue().map_or(SigSet::EMPTY, queued)
}

/// Whether anything may be pending, blocked or not.
#[inline]
pub(crate) fn has_any<H: Host>(lwp: &LwpNode<H>, proc: &ProcNode<H>) -> bool {
    !(pending(&proc.pending) | pending(&lwp.pending)).is_empty() || proc.queue().is_some()
}

/// What an LWP could take.
#[inline]
pub(super) fn takeable<H: Host>(
    lwp: &LwpNode<H>,
    proc: &ProcNode<H>,
    me: &Participant<H>,
) -> SigSet {
    let all = noted(proc) | pending(&lwp.pending);
    let all = match proc.queue() {
        None => all,
        Some(queue) => all | queue.set(None, &me.pin()) | of_lwp(lwp, proc, &me.pin()),
    };
    if all.is_empty() { all } else { all - blocked(lwp) }
}

/// Makes the mark follow the sets and the mask; whether it is set. Owner only.
/// Lock-free; three loads, and one of the LWP's word, when nothing is pending; O(what is
/// queued).
#[inline]
pub(crate) fn refresh<H: Host>(lwp: &LwpNode<H>, proc: &ProcNode<H>, me: &Participant<H>) -> bool {
    if lwp.word.load().has_pendsig() {
        lwp.word.clear_pendsig();
    }
    let any = !takeable(lwp, proc, me).is_empty();
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
pub(crate) fn of_many<H: Host>(parent: &ProcNode<H>, blocked: SigSet, pin: &Pin<'_>) -> SigSet {
    let of_many = pending(&parent.of_many);
    if of_many.is_empty() {
        return of_many;
    }
    // One that has stopped the parent is not pending any more.
    let stopped = parent.jobs.load().stopped_by().map_or(SigSet::EMPTY, SigSet::from);
    let noted = of_many & ((noted(parent) - blocked).with(Signo::KILL) | stopped);
    // Of what is queued the set has hints.
    noted | parent.queue().map_or(SigSet::EMPTY, |queue| queue.of_many(pin) - blocked)
}

/// Discards queued signals; each value is dropped, whatever the others do.
pub(crate) fn discard_queued<H: Host>(
    proc: &ProcNode<H>,
    is_meant: impl Fn(&Queued<H::SigValue>) -> bool,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    for value in proc.queue().into_iter().flat_map(|queue| queue.discard(&is_meant, pin)) {
        aftermath.run(|| drop(value));
    }
}
