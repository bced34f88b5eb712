//! What becomes of a signal: the embedder's affair.

use super::calls::Sleep;
use super::{Entered, Ours};
use crate::signals::{self, Effect};
use crate::step::Name;
use lwproc::{CoreDump, Disposition, ExitStatus, Pid, ProcState, SigSet, Signo};

/// The signals that end a process with a core, by Linux's numbers: those of a sleeper in a
/// vfork wait.
const CORES: [i32; 10] = [3, 4, 5, 6, 7, 8, 11, 24, 25, 31];

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
    let namespace = k.process().namespace();
    let own = k.lid().and_then(|lid| namespace.lwp(&guard, lid));
    own.map_or(SigSet::EMPTY, |own| own.pending())
}

/// The first of a set that is pending: the LWP's own before its process's, and of each the
/// lowest by Linux's numbers.
fn first(k: &Entered<'_>, set: SigSet) -> Option<Signo> {
    let lowest = |set: SigSet| {
        signals::SIGNALS.iter().map(|signal| signal.ours).find(|signo| set.contains(*signo))
    };
    lowest(own_pending(k) & set).or_else(|| lowest(k.signals().pending() & set))
}

/// What there is to do about signals.
enum Next {
    /// It must exit.
    Exit,
    Nothing,
    /// Something has been done.
    Again,
    Taken(Signo, Disposition),
}

/// The kernel drops what does nothing, and stops whom a signal stops; a thread that took that
/// would sleep until the process goes on, so it is sent anew.
fn next(k: &Entered<'_>) -> Next {
    if k.must_exit() {
        return Next::Exit;
    }
    let Some(signo) = first(k, !k.signals().blocked()) else { return Next::Nothing };
    let does = k.signals().disposition(signo.number().into()).unwrap_or(Disposition::Default);
    let effect = signals::of_ours(signo).map(|signal| signal.effect);
    // Nothing stops the init of a namespace: it takes that, and nothing comes of it.
    let stops = effect == Some(Effect::Stops) && k.pid() != Pid::INIT;
    if does == Disposition::Default && stops {
        let is_own = own_pending(k).contains(signo);
        let _taken = k.signals().take_of(signo.into());
        let (guard, namespace) = (k.pin(), k.process().namespace());
        match is_own {
            true => {
                namespace.lwp(&guard, k.lid().expect("an actor")).expect("it lives").post(signo)
            }
            false => namespace.proc(&guard, k.pid()).expect("it lives").post(signo),
        }
        return Next::Again;
    }
    match take(k, signo) {
        Some(signo) => Next::Taken(signo, does),
        None => Next::Again,
    }
}

/// The same for who waits in a vfork: only what ends it at once does anything.
fn next_fatal(k: &Entered<'_>) -> Next {
    if k.must_exit() {
        return Next::Exit;
    }
    let fatal = fatal_in_vfork(k).and_then(|signo| take(k, signo));
    fatal.map_or(Next::Nothing, |signo| Next::Taken(signo, Disposition::Default))
}

/// The signal that ends who waits in a vfork, if there is one.
fn fatal_in_vfork(k: &Entered<'_>) -> Option<Signo> {
    let is_fatal = |signo: &Signo| {
        let signal = signals::of_ours(*signo);
        let ends = signal.is_some_and(|signal| {
            signal.effect == Effect::Ends && !CORES.contains(&signal.linux.into())
        });
        let by_default = || k.signals().disposition(signo.number().into());
        ends && k.pid() != Pid::INIT && by_default() == Ok(Disposition::Default)
    };
    let pending = k.signals().pending() - k.signals().blocked();
    // Each other one has an LWP's attention, and Linux wakes that no more.
    let others = pending.iter().filter(|signo| !is_fatal(signo)).count();
    let (guard, namespace) = (k.pin(), k.process().namespace());
    let lwps = namespace.proc(&guard, k.pid()).map_or(0, |proc| proc.lwps().count());
    pending.iter().find(is_fatal).filter(|_| others < lwps)
}

impl Ours {
    /// Whether the process of an actor is stopped, so that none of its LWPs is to be entered as.
    pub(super) fn is_stopped(&mut self, name: Name) -> bool {
        let pid = self.process_of(name).handle.pid();
        let guard = self.kernel.pin();
        guard.proc(pid).is_some_and(|proc| proc.state() == ProcState::Stopped)
    }

    /// What an actor does on its way back to its program: it takes all signals that it does
    /// not block.
    pub(super) fn deliver(&mut self, name: Name) -> Delivered {
        let mut delivered = Delivered::Nothing;
        loop {
            if self.is_stopped(name) {
                return delivered;
            }
            let in_vfork = matches!(self.actor(name).sleeps, Some(Sleep::Vfork(_)));
            let next = if in_vfork { next_fatal } else { next };
            let fate = self.process_of(name).fate;
            let (signo, does) = match self.run(name, |k| match fate {
                Some(signo) if !k.must_exit() => Next::Taken(signo, Disposition::Default),
                _ => next(k),
            }) {
                Next::Exit => {
                    // Others have said how.
                    self.actor(name).lwp = None;
                    return Delivered::Ended;
                }
                Next::Nothing => return delivered,
                Next::Again => continue,
                Next::Taken(signo, does) => (signo, does),
            };
            let Some(signal) = signals::of_ours(signo) else { continue };
            if does == Disposition::Catch {
                self.process_of(name).caught |= signals::bit(signal.linux);
                delivered = Delivered::Caught;
            } else {
                self.end(name, ExitStatus::signaled(signal.ours.number(), CoreDump::None));
                return Delivered::Ended;
            }
        }
    }

    /// Notes who is to end by a signal that has just been sent: Linux does so at once, and
    /// the end of one may send others to the rest.
    pub(super) fn note_fates(&mut self, linux: i32) {
        let Some(signo) = Signo::new(signals::to_ours(linux)) else { return };
        let ends = signals::of_ours(signo).is_some_and(|signal| signal.effect == Effect::Ends);
        let names: Vec<Name> = self.actors.keys().copied().collect();
        for name in names.into_iter().filter(|_| ends && !CORES.contains(&linux)) {
            if !self.is_alive(name) || self.is_stopped(name) {
                continue;
            }
            let in_vfork = matches!(self.actor(name).sleeps, Some(Sleep::Vfork(_)));
            let is_meant = self.run(name, |k| {
                let pending = k.signals().pending() - k.signals().blocked();
                let does = k.signals().disposition(signo.number().into());
                let wakes = !in_vfork || fatal_in_vfork(k).is_some();
                let ends = k.pid() != Pid::INIT && does == Ok(Disposition::Default);
                pending.contains(signo) && ends && wakes
            });
            if is_meant {
                self.process_of(name).fate = Some(signo);
            }
        }
    }

    /// Ends the process of an actor.
    pub(super) fn end(&mut self, name: Name, status: ExitStatus) {
        self.run(name, |k| k.exit_group(status)).expect("an LWP that nobody holds");
    }
}
