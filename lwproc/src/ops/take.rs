//! Taking signals.

use super::pending::{no_longer_of_many, noted, pending, queued, refresh};
use crate::host::Host;
use crate::object::node::{LwpNode, ProcNode};
use crate::signal::queue::{Taken, To};
use crate::signal::{SigSet, Signo};
use crate::sync::{AcqRel, Acquire, AtomicU64, Relaxed};
use crate::world::participant::Participant;

/// Takes a signal of those that are wanted: the LWP's own first. In an implicit context
/// (`None`) only the process's are taken.
pub(crate) fn take<H: Host>(
    lwp: Option<&LwpNode<H>>,
    proc: &ProcNode<H>,
    wanted: SigSet,
    me: &Participant<H>,
) -> Option<Taken<H::SigValue>> {
    let Some(lwp) = lwp else {
        return take_from_proc(proc, wanted, me);
    };
    // Before the sets are looked at: whoever sees the mark sees the signal.
    if lwp.word.load().has_pendsig() {
        lwp.word.clear_pendsig();
    }
    let own = take_from_lwp(lwp, proc, wanted, me);
    let taken = own.or_else(|| take_from_proc(proc, wanted, me));
    refresh(lwp, proc, me);
    taken
}

/// Takes the lowest-numbered signal of a process that is wanted. Lock-free.
fn take_from_proc<H: Host>(
    proc: &ProcNode<H>,
    wanted: SigSet,
    me: &Participant<H>,
) -> Option<Taken<H::SigValue>> {
    loop {
        let kinds = proc.jobs.load().kinds();
        let queued = queued(proc, None, me);
        let first = ((noted(proc) | queued) & wanted).first()?;
        if queued.contains(first) {
            match take_queued(proc, first, None, me) {
                None => continue,
                taken => return taken,
            }
        }
        if !kinds.contains(first) {
            // It may be another by now, or none.
            match take_from(&proc.pending, wanted - kinds - queued, Some(&proc.of_many)) {
                None => continue,
                taken => return taken.map(without_value),
            }
        }
        // The hint first: who posts sets it after the job word. Acquire [P51]: as in
        // `take_from`.
        proc.pending.fetch_and(!SigSet::from(first).bits(), Acquire);
        no_longer_of_many(proc, first.into());
        if proc.jobs.take(first) {
            return Some(without_value(first));
        }
    }
}

/// The same of what is for one LWP alone.
fn take_from_lwp<H: Host>(
    lwp: &LwpNode<H>,
    proc: &ProcNode<H>,
    wanted: SigSet,
    me: &Participant<H>,
) -> Option<Taken<H::SigValue>> {
    let to = Some(lwp.token().serial());
    loop {
        let queued = queued(proc, to, me);
        let first = ((pending(&lwp.pending) | queued) & wanted).first()?;
        let taken = match queued.contains(first) {
            true => take_queued(proc, first, to, me),
            false => take_from(&lwp.pending, wanted - queued, None).map(without_value),
        };
        if taken.is_some() {
            return taken;
        }
    }
}

fn take_queued<H: Host>(
    proc: &ProcNode<H>,
    signo: Signo,
    to: To,
    me: &Participant<H>,
) -> Option<Taken<H::SigValue>> {
    let value = proc.queue()?.take(signo, to, &me.pin())?;
    Some(Taken { signo, value })
}

fn without_value<V>(signo: Signo) -> Taken<V> {
    Taken { signo, value: None }
}

/// Takes the lowest-numbered of a set that is wanted, which is of no concern to
/// children from now on. Lock-free: another taker may be first, and then the next one is
/// tried.
fn take_from(set: &AtomicU64, wanted: SigSet, of_many: Option<&AtomicU64>) -> Option<Signo> {
    let mut seen = pending(set);
    loop {
        let signo = (seen & wanted).first()?;
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
