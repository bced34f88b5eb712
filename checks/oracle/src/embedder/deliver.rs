//! What becomes of a signal: the embedder's affair.

use super::Ours;
use crate::signals::{self, Effect};
use crate::step::Name;
use lwproc::{CoreDump, Entered, ExitStatus, SigSet, Signo};

/// What a process does about a signal, if not what it does by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Ignore,
    Catch,
}

/// What an actor's look for signals came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Delivered {
    Nothing,
    /// It caught one at least.
    Caught,
    /// It is no more.
    Ended,
}

/// Takes one signal of a set, pending or not.
pub(super) fn take(k: &Entered<'_>, signo: Signo) -> Option<Signo> {
    let mask = k.signals().set_blocked(SigSet::ALL.without(signo)).ok()?;
    let taken = k.signals().take();
    let _all_but_it = k.signals().set_blocked(mask);
    taken
}

/// The signals pending for the current LWP alone.
pub(super) fn own_pending(k: &Entered<'_>) -> SigSet {
    let guard = k.pin();
    let own = k.lid().and_then(|lid| guard.lwp(lid));
    own.map_or(SigSet::EMPTY, |own| own.pending())
}

/// Takes the first of a set: the LWP's own before its process's, and of each the lowest by
/// Linux's numbers.
pub(super) fn take_first(k: &Entered<'_>, set: SigSet) -> Option<Signo> {
    let lowest = |set: SigSet| {
        signals::SIGNALS.iter().map(|signal| signal.ours).find(|signo| set.contains(*signo))
    };
    let first = lowest(own_pending(k) & set).or_else(|| lowest(k.signals().pending() & set));
    first.and_then(|signo| take(k, signo))
}

impl Ours {
    /// What an actor does on its way back to its program: it takes all signals that it does
    /// not block.
    pub(super) fn deliver(&mut self, name: Name) -> Delivered {
        let mut delivered = Delivered::Nothing;
        loop {
            let next = self.run(name, |k| {
                if k.must_exit() {
                    return None;
                }
                Some(take_first(k, !k.signals().blocked()))
            });
            let Some(taken) = next else {
                // Others have said how.
                self.actor(name).lwp = None;
                return Delivered::Ended;
            };
            let Some(signal) = taken.and_then(signals::of_ours) else { return delivered };
            let process = self.process_of(name);
            match (process.actions.get(&signal.linux), signal.effect) {
                (Some(Action::Ignore), _) | (None, Effect::Nothing | Effect::Continues) => {}
                (Some(Action::Catch), _) => {
                    process.caught |= signals::bit(signal.linux);
                    delivered = Delivered::Caught;
                }
                // Nothing stops here yet: `known.rs`.
                (None, Effect::Ends | Effect::Stops) => {
                    let status = ExitStatus::signaled(signal.ours.number(), CoreDump::None);
                    self.end(name, status);
                    return Delivered::Ended;
                }
            }
        }
    }

    /// Ends the process of an actor.
    pub(super) fn end(&mut self, name: Name, status: ExitStatus) {
        self.run(name, |k| k.exit_group(status)).expect("an LWP that nobody holds");
    }

    /// Forgets a pending signal that the process ignores from now on, in all its threads.
    pub(super) fn discard(&mut self, name: Name, signo: Signo) {
        for thread in self.threads_of(name) {
            self.run(thread, |k| while take(k, signo).is_some() {});
        }
    }
}
