//! Controlling terminals: who gets one, who loses it, who may use it.
//!
//! A terminal's own cell decides ([`Terminal`]). Around that step, in this order:
//!
//! * **acquire**: the leader claims its session's place, takes the terminal off the members
//!   that were there before (they have it not, as on Linux and NetBSD), and gets the terminal,
//!   or gives the place back;
//! * **lose**: who takes the terminal from a session, alone, empties the session's place then,
//!   and signals whom it is to.
//!
//! When the session's leader ends, it ends the place first. So of a hang-up and the leader's
//! end one tells the foreground group: the hang-up, if it finds the place ended.

use super::jobs;
use super::pending;
use super::post::Recipient;
use crate::host::Host;
use crate::id::{Identity, Pid};
use crate::object::group::{LED, ON_TERMINAL, Pgrp, Session};
use crate::object::node::{LwpNode, ProcNode};
use crate::object::table;
use crate::object::terminal::{Control, Holding, Terminal, TerminalError};
use crate::pgrp;
use crate::policy::Difference;
use crate::reclaim::Pin;
use crate::signal::{Disposition, SigModel, Signo};
use crate::sync::Relaxed;
use crate::sync::config_cell::ConfigCell;
use crate::world::World;
use crate::world::aftermath::Aftermath;

/// Whether a terminal may be taken from another session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taking {
    IfFree,
    Steal,
}

/// The group that a process is in, if that terminal is its controlling one.
fn group_at<'g, H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    terminal: &Terminal,
    pin: &'g Pin<'_>,
) -> Option<(&'g Pgrp, Control)> {
    let (seen, membership) = pgrp::membership_of(proc, pin)?;
    if seen.tag() & ON_TERMINAL == 0 {
        return None;
    }
    let group = membership.group(pin);
    let control = terminal.control().filter(|_| terminal.is_of(world.serial))?;
    (control.session == group.session(pin).id()).then_some((group, control))
}

/// The controlling terminal of a process. Wait-free.
pub(crate) fn terminal_of<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    pin: &Pin<'_>,
) -> Option<Terminal> {
    let group = pgrp::group_of(proc, pin)?;
    let held: &Holding = &group.session(pin).terminal.get()?.load();
    let Holding::Has(terminal) = held else { return None };
    group_at(world, proc, terminal, pin).map(|_| terminal.clone())
}

/// What a terminal of this kernel says to a process that has it.
pub(crate) fn look<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    terminal: &Terminal,
    pin: &Pin<'_>,
) -> Result<Control, TerminalError> {
    let its = group_at(world, proc, terminal, pin);
    its.map(|(_, control)| control).ok_or(TerminalError::NotControlling)
}

/// Makes it the controlling terminal of the session that a process leads. Lock-free but for
/// the allocator; O(ids in use).
// POSIX: 11.1.3. Linux: `tiocsctty`. NetBSD: `TIOCSCTTY` of `ttioctl`.
pub(crate) fn acquire<H: Host>(
    world: &World<H>,
    own: &ProcNode<H>,
    terminal: &Terminal,
    taking: Taking,
    pin: &Pin<'_>,
) -> Result<(), TerminalError> {
    if !terminal.is_of(world.serial) {
        return Err(TerminalError::WrongKernel);
    }
    let group = pgrp::group_of(own, pin).ok_or(TerminalError::NotLeader)?;
    let session = group.session(pin);
    if session.id() != own.id || session.is_permanent() {
        return Err(TerminalError::NotLeader);
    }
    if terminal.control().is_some_and(|control| control.session == session.id()) {
        return Ok(());
    }
    let place = session.terminal.get_or_init(|| ConfigCell::new(Holding::None(None)));
    let before = place.rcu(|now| match now {
        Holding::None(_) => Holding::Has(terminal.clone()),
        other => other.clone(),
    });
    if !matches!(*before, Holding::None(_)) {
        return Err(TerminalError::HasTerminal);
    }
    take_off_members(world, session, pin);
    // Relaxed: it says something beside the terminal's cell alone, which is changed below
    // [P60].
    own.membership.fetch_or_tag(ON_TERMINAL, Relaxed);
    let new = Control { session: session.id(), foreground: group.id() };
    match taking {
        Taking::IfFree => terminal.take(new).map_err(|_| {
            place.rcu(|_| (*before).clone());
            TerminalError::InUse
        }),
        Taking::Steal => {
            if let Some(other) = terminal.replace(Some(new)) {
                let _ended = empty_place(world, other.session, terminal, None, pin);
            }
            Ok(())
        }
    }
}

/// The members of a session have not the terminal that it is about to get. One that is being
/// forked may have it, as if it had been forked later.
fn take_off_members<H: Host>(world: &World<H>, session: &Session, pin: &Pin<'_>) {
    for proc in table::all(&world.ids, pin) {
        if pgrp::group_of(proc, pin).is_some_and(|its| std::ptr::eq(its.session(pin), session)) {
            // Relaxed: as in `acquire`.
            proc.membership.clear_tag(ON_TERMINAL, Relaxed);
        }
    }
}

/// What became of a session that has lost its terminal.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leader {
    /// Its leader may take another; and tells at its end whom it owes that.
    Lives,
    /// It has ended before.
    Ended,
}

/// Says in a session that it has not that terminal any more. It is found by its leader's
/// group, which the leader cannot leave.
fn empty_place<H: Host>(
    world: &World<H>,
    session: Identity,
    terminal: &Terminal,
    owed: Option<Identity>,
    pin: &Pin<'_>,
) -> Leader {
    let group = find(world, session, pin).map(|group| group.session(pin));
    let place = group.filter(|found| found.id() == session).and_then(|found| found.terminal.get());
    let before = place.map(|place| {
        place.rcu(|now| match now {
            Holding::Has(its) if its == terminal => Holding::None(owed),
            other => other.clone(),
        })
    });
    match before.as_deref() {
        None | Some(Holding::Ended) => Leader::Ended,
        Some(_) => Leader::Lives,
    }
}

/// Sends to the group of that identity, if it is there.
fn tell<H: Host>(
    world: &World<H>,
    group: Identity,
    signals: &[Signo],
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    for &signo in signals {
        if let Some(found) = find(world, group, pin) {
            jobs::send_to_group(world, found, signo, pin, aftermath);
        }
    }
}

/// Takes it off a process; if that leads the session, off the session, and the group that was
/// in the foreground is to be told.
// Linux: `no_tty`. NetBSD: `TIOCNOTTY` of `cttyioctl`.
pub(crate) fn give_up<H: Host>(
    world: &World<H>,
    own: &ProcNode<H>,
    terminal: &Terminal,
    pin: &Pin<'_>,
) -> Result<Option<Identity>, TerminalError> {
    let control = look(world, own, terminal, pin)?;
    if control.session != own.id {
        // Relaxed: as in `acquire`.
        own.membership.clear_tag(ON_TERMINAL, Relaxed);
        return Ok(None);
    }
    if !world.rules.is_linux(Difference::LeaderGivesUp) {
        return Err(TerminalError::LeaderKeeps);
    }
    let lost = terminal.change(own.id, |_| None).ok_or(TerminalError::NotControlling)?;
    let _lives = empty_place(world, own.id, terminal, None, pin);
    Ok(Some(lost.foreground))
}

/// A process is about to end. If it leads a session, that has no terminal from now on, and
/// the group in the foreground is told. One load for a process that has never led a group.
// POSIX: `_exit`. Linux: `disassociate_ctty`, of a pty. NetBSD: `exit1`.
#[inline]
pub(crate) fn leader_ends<H: Host>(
    world: &World<H>,
    node: &ProcNode<H>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    // Relaxed: the process's own LWPs have set it.
    if node.membership.load(Relaxed).tag() & LED == 0 {
        return;
    }
    let session = pgrp::group_of(node, pin).map(|group| group.session(pin));
    let Some(session) = session.filter(|session| session.id() == node.id) else { return };
    if let Some(place) = session.terminal.get() {
        match &*place.rcu(|_| Holding::Ended) {
            Holding::Has(terminal) => {
                if let Some(lost) = terminal.change(node.id, |_| None) {
                    tell(world, lost.foreground, &[Signo::HUP], pin, aftermath);
                }
            }
            Holding::None(Some(group)) => {
                tell(world, *group, &[Signo::HUP, world.rules.numbers.cont], pin, aftermath);
            }
            Holding::None(None) | Holding::Ended => {}
        }
    }
}

/// The line is gone. Lock-free but for the allocator, and what the signals do.
// Linux: `tty_vhangup`. NetBSD: `ttymodem`, and the last close.
pub(crate) fn hang_up<H: Host>(
    world: &World<H>,
    terminal: &Terminal,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let Some(lost) = terminal.replace(None) else { return };
    let signals = [Signo::HUP, world.rules.numbers.cont];
    let is_linux = world.rules.is_linux(Difference::HangUp);
    let signals = if is_linux { &signals[..] } else { &signals[..1] };
    let owed = is_linux.then_some(lost.foreground);
    match empty_place(world, lost.session, terminal, owed, pin) {
        Leader::Ended => tell(world, lost.foreground, signals, pin, aftermath),
        Leader::Lives => {
            let leader = table::find(&world.ids, lost.session.pid(), pin).map(|(leader, _)| leader);
            if let Some(leader) = leader.filter(|leader| leader.id == lost.session) {
                for &signo in signals {
                    jobs::send(world, &Recipient::Proc(leader), signo, pin, aftermath);
                }
            }
        }
    }
}

/// The group in the foreground, if it is there.
pub(crate) fn foreground<'g, H: Host>(
    world: &'g World<H>,
    terminal: &Terminal,
    pin: &'g Pin<'_>,
) -> Option<&'g Pgrp> {
    find(world, terminal.control()?.foreground, pin)
}

/// The group of that identity, if it is there.
fn find<'g, H: Host>(world: &'g World<H>, id: Identity, pin: &'g Pin<'_>) -> Option<&'g Pgrp> {
    let found = pgrp::find(&world.ids, id.pid(), pin).map(|(found, _)| found);
    found.filter(|found| found.id() == id)
}

/// Puts a group in the foreground. The caller has been let, by [`check`], and has refused
/// negative numbers.
// POSIX: tcsetpgrp. Linux: `tiocspgrp`. NetBSD: `TIOCSPGRP` of `ttioctl`.
pub(crate) fn set_foreground<H: Host>(
    world: &World<H>,
    own: &ProcNode<H>,
    terminal: &Terminal,
    pgid: Pid,
    pin: &Pin<'_>,
) -> Result<(), TerminalError> {
    let session = look(world, own, terminal, pin)?.session;
    let foreground = meant(world, session, pgid, pin)?;
    let done = terminal.change(session, |control| Some(Control { foreground, ..control }));
    done.map(|_| ()).ok_or(TerminalError::NotControlling)
}

/// What a number of the session names.
fn meant<H: Host>(
    world: &World<H>,
    session: Identity,
    pgid: Pid,
    pin: &Pin<'_>,
) -> Result<Identity, TerminalError> {
    let of_proc = |proc: &ProcNode<H>| pgrp::group_of(proc, pin).map(|its| its.session(pin).id());
    let takes_any = world.rules.is_linux(Difference::ForegroundOfNoGroup) && pgid.0 != 0;
    let group = pgrp::find(&world.ids, pgid, pin).filter(|_| pgid.0 != 0);
    let found = match group {
        Some((group, _)) => Some((group.id(), Some(group.session(pin).id()))),
        None if !takes_any => None,
        None => match table::find(&world.ids, pgid, pin) {
            Some((proc, _)) => Some((proc.id, of_proc(proc))),
            None => table::find_lwp(&world.ids, pgid.0.into(), pin).map(|(lwp, _)| {
                let proc = lwp.proc_pinned(pin);
                (lwp.id(), of_proc(proc))
            }),
        },
    };
    // Of a session whose leader has gone, and its group.
    let is_of_session = || {
        let mut sessions = table::all(&world.ids, pin).filter_map(of_proc);
        takes_any && sessions.any(|id| id.pid() == pgid)
    };
    match found {
        Some((id, Some(its))) if its == session => Ok(id),
        None if world.rules.is_linux(Difference::ForegroundOfNoGroup) && !is_of_session() => {
            Err(TerminalError::NoSuchGroup)
        }
        _ => Err(TerminalError::OtherSession),
    }
}

/// What is done to a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    Read,
    Write,
    Change,
}

/// Whether an LWP may do that now: in the foreground, or anywhere but at its controlling
/// terminal, yes.
// POSIX: 11.1.4. Linux: `__tty_check_change`. NetBSD: `isbackground` in `ttread`, `ttwrite`
// and `ttioctl`.
pub(crate) fn check<H: Host>(
    world: &World<H>,
    own: &ProcNode<H>,
    lwp: Option<&LwpNode<H>>,
    terminal: &Terminal,
    act: Act,
    pin: &Pin<'_>,
) -> Result<(), TerminalError> {
    let Some((group, control)) = group_at(world, own, terminal, pin) else { return Ok(()) };
    if control.foreground == group.id() {
        return Ok(());
    }
    let numbers = world.rules.numbers;
    let signo = if act == Act::Read { numbers.ttin } else { numbers.ttou };
    if is_useless(world, own, lwp, signo) {
        return if act == Act::Read { Err(TerminalError::Background) } else { Ok(()) };
    }
    if pgrp::is_orphaned(&world.ids, group, None, pin) {
        let is_done = act == Act::Change && !world.rules.is_linux(Difference::ChangeByOrphans);
        return if is_done { Ok(()) } else { Err(TerminalError::Background) };
    }
    Aftermath::collect(|aftermath| jobs::send_to_group(world, group, signo, pin, aftermath));
    Err(TerminalError::Signalled)
}

/// Whether the LWP blocks or ignores it, or nothing comes of any signal.
fn is_useless<H: Host>(
    world: &World<H>,
    own: &ProcNode<H>,
    lwp: Option<&LwpNode<H>>,
    signo: Signo,
) -> bool {
    let is_ignored = || jobs::kept(world) && own.disposition(signo) == Disposition::Ignore;
    world.signals == SigModel::Ignore
        || lwp.is_some_and(|lwp| pending::blocked(lwp).contains(signo))
        || is_ignored()
}
