//! Sending a signal, to one or to many, and what one does that nobody takes: SIGKILL.

use super::drain;
use super::jobs;
use super::numbering::Numbering;
use super::pending;
use super::post::{self, Load, QueueFull, Recipient};
use crate::cred::{Cred, IdSet};
use crate::family;
use crate::host::Host;
use crate::id::{Identity, Pid};
use crate::object::group::Pgrp;
use crate::object::kills::{Kill, Sender, Since, Whom};
use crate::object::node::{LwpNode, ProcNode};
use crate::object::status::{CoreDump, ExitStatus};
use crate::pgrp;
use crate::reclaim::Pin;
use crate::signal::{SigModel, Signo};
use crate::world::World;
use crate::world::aftermath::Aftermath;

/// As [`post::post`]; a SIGKILL that is recorded ends the process, unless it is proc0 or
/// init. As lock-free as ending LWPs is; O(LWPs of the process).
pub(crate) fn send_with<H: Host>(
    world: &World<H>,
    to: &Recipient<'_, H>,
    signo: Signo,
    load: Load<H::SigValue>,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) -> Result<(), QueueFull> {
    let (Recipient::Proc(proc) | Recipient::Lwp(proc, _)) = to;
    let kills = signo == Signo::KILL && world.signals == SigModel::Record;
    if !kills || proc.is_permanent() {
        return jobs::send_with(world, to, signo, load, pin, aftermath);
    }
    // First: an LWP that the signal wakes finds that its process has ended, and how.
    let killed = ExitStatus::signaled(Signo::KILL.number(), CoreDump::None);
    let parked = drain::end(proc, killed, pin, aftermath).unwrap_or_default();
    let posted = post::post(world, to, signo, load, pin, aftermath);
    pending::mark_of_many(proc, signo);
    aftermath.end(parked, world.end_doomed);
    posted
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

/// Whether a signal that may be sent reaches a process: SIGKILL and SIGSTOP do not reach the
/// init of the sender's pid namespace, nor of one around that. (What else it does not catch
/// does nothing, whoever sends it: `jobs.rs`.)
// Linux: SIGNAL_UNKILLABLE, `sig_task_ignored`.
#[inline]
pub(crate) fn reaches<H: Host>(
    world: &World<H>,
    sender: &ProcNode<H>,
    proc: &ProcNode<H>,
    signo: Signo,
) -> bool {
    proc.leads().is_none_or(|namespace| {
        !world.rules.numbers.untouchable().contains(signo)
            || !Numbering::within(Some(namespace)).sees(sender)
    })
}

/// Sends to one of many, while the whole is [noted](crate::object::kills).
pub(crate) fn send_to_one_of_many<H: Host>(
    world: &World<H>,
    proc: &ProcNode<H>,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    if signo == Signo::KILL {
        return send(world, &Recipient::Proc(proc), signo, pin, aftermath);
    }
    jobs::send_to_one_of_many(world, proc, signo, pin, aftermath);
}

/// Sends to each member of a group, whoever may; no fork of theirs escapes.
pub(crate) fn send_to_group<H: Host>(
    world: &World<H>,
    group: &Pgrp,
    signo: Signo,
    pin: &Pin<'_>,
    aftermath: &mut Aftermath<H>,
) {
    let _under_way = jobs::note(world, signo, Whom::Group(group.id()), || None, pin);
    for (proc, _) in pgrp::members(&world.ids, group, pin) {
        send_to_one_of_many(world, proc, signo, pin, aftermath);
    }
}

/// A fork that has published its child sends it what is being sent to many, and what its
/// parent was sent so and has not taken. Three loads when there is nothing.
#[inline]
pub(crate) fn catch_up<H: Host>(
    world: &World<H>,
    parent: &ProcNode<H>,
    child: &ProcNode<H>,
    lwp: &LwpNode<H>,
    begun: Since,
    pin: &Pin<'_>,
) {
    // In this order: what is no longer under way is seen in the parent.
    let missed = world.kills.may_be_missed(begun);
    if missed || !pending::of_many(parent, pending::blocked(lwp), pin).is_empty() {
        catch_up_with(world, parent, child, lwp, begun, pin);
    }
}

#[cold]
fn catch_up_with<H: Host>(
    world: &World<H>,
    parent: &ProcNode<H>,
    child: &ProcNode<H>,
    lwp: &LwpNode<H>,
    begun: Since,
    pin: &Pin<'_>,
) {
    Aftermath::collect(|aftermath| {
        world.kills.for_each_missed(begun, pin, |kill| {
            if concerns(world, kill, child, pin) {
                send_to_one_of_many(world, child, kill.signo, pin, aftermath);
            }
        });
        for signo in pending::of_many(parent, pending::blocked(lwp), pin).iter() {
            send_to_one_of_many(world, child, signo, pin, aftermath);
        }
    });
}

/// Whether a child that has just been made is one of those that are meant. (If its parent
/// is, the parent shows that it has the signal, or has it later than the child was made.)
fn concerns<H: Host>(world: &World<H>, kill: &Kill, child: &ProcNode<H>, pin: &Pin<'_>) -> bool {
    let is_seen = |sender: Sender| {
        let within = |namespace| {
            let mut around = child.numbers().into_iter().flat_map(|its| its.namespace().outward());
            around.any(|at| at.init == namespace)
        };
        sender.namespace.is_none_or(within)
    };
    let is_meant = match kill.whom {
        // A group has members outside, too.
        Whom::Group(_) => true,
        _ => kill.sender.is_none_or(is_seen),
    } && match kill.whom {
        Whom::All => kill.sender.is_none_or(|sender| sender.id != child.id),
        Whom::Group(id) => pgrp::group_of(child, pin).is_some_and(|group| group.id() == id),
        Whom::Session(sid) => session_of(child, pin).is_some_and(|id| id.pid() == sid),
        Whom::User(uid) => real_user_of(child, pin) == Some(uid),
        Whom::Tree(root) => descends_from(child, root, pin),
    };
    is_meant && may_have(world, kill, child, pin)
}

fn may_have<H: Host>(world: &World<H>, kill: &Kill, child: &ProcNode<H>, pin: &Pin<'_>) -> bool {
    let (Some(sender), Some(cred)) = (&kill.sender, child.resources.cred.get(pin)) else {
        return true;
    };
    let in_one_session = || sender.session.is_some() && sender.session == session_of(child, pin);
    may_signal(world, &sender.users, cred, Some(kill.signo), in_one_session)
}

/// The rule of POSIX, for another process than one's own.
pub(crate) fn may_signal<H: Host>(
    world: &World<H>,
    from: &IdSet,
    target: &Cred,
    signo: Option<Signo>,
    in_one_session: impl FnOnce() -> bool,
) -> bool {
    let to = target.users();
    from.effective == 0
        || [from.real, from.effective].iter().any(|id| [to.real, to.saved].contains(id))
        || (signo == Some(world.rules.numbers.cont) && in_one_session())
}

/// The session of a process.
pub(crate) fn session_of<H: Host>(proc: &ProcNode<H>, pin: &Pin<'_>) -> Option<Identity> {
    pgrp::group_of(proc, pin).map(|group| group.session(pin).id())
}

/// Its real user.
pub(crate) fn real_user_of<H: Host>(proc: &ProcNode<H>, pin: &Pin<'_>) -> Option<u32> {
    proc.resources.cred.get(pin).map(|cred| cred.users().real)
}

fn descends_from<'g, H: Host>(proc: &'g ProcNode<H>, root: Identity, pin: &'g Pin<'_>) -> bool {
    let parent =
        |proc: &&'g ProcNode<H>| family::edge_of(proc, pin).map(|(edge, _)| edge.parent(pin));
    std::iter::successors(Some(proc), parent).any(|proc| proc.id == root)
}

/// The processes of a tree, each before its parent: one that is ended hands its children
/// over, which have been told then.
pub(crate) fn tree<'g, H: Host>(
    world: &'g World<H>,
    root: &'g ProcNode<H>,
    pin: &'g Pin<'_>,
) -> Vec<&'g ProcNode<H>> {
    let mut all = vec![root];
    let mut looked_at = 0;
    while let Some(proc) = all.get(looked_at).copied() {
        all.extend(family::children(&world.ids, proc, pin).map(|child| child.node));
        looked_at += 1;
    }
    all.reverse();
    all
}

/// Who sends, for the note.
pub(crate) fn sender<H: Host>(proc: &ProcNode<H>, cred: &Cred, pin: &Pin<'_>) -> Sender {
    let (users, session) = (cred.users(), session_of(proc, pin));
    Sender { id: proc.id, namespace: Numbering::of(proc).namespace(), users, session }
}

/// proc0 and init are not among many.
pub(crate) fn is_ordinary<H: Host>(proc: &ProcNode<H>) -> bool {
    proc.pid() > Pid::INIT
}
