//! Resource limits.

use crate::calls::limits::{Granted, Limits};
use crate::plan::{CallId, ProcId, Says, Who};
use crate::scene::{Cause, Pull, Scene, Settled, Verdict};
use crate::world::Life;
use lwproc::{Errno, Limit};

/// Whose limits the call is about.
fn of(scene: &Scene<'_, '_>, id: CallId, limits: &Limits<Who>) -> ProcId {
    match limits.of {
        Some(Who::Task(task)) => scene.plan.proc_of(task),
        _ => scene.caller(id),
    }
}

pub(super) fn verdict(scene: &mut Scene<'_, '_>, id: CallId, limits: &Limits<Who>) -> Verdict {
    if let Some(outside @ Who::Outside(_)) = limits.of {
        return match limits.granted {
            Granted::NoSuchProcess => Verdict::of(!scene.world.exists(outside)),
            _ => Verdict::Unexplained(Cause::OuterProcess),
        };
    }
    let of = of(scene, id, limits);
    if limits.granted == Granted::NoSuchProcess {
        let gone = scene.world.life(of) == Life::Unknown;
        return Verdict::or_after(gone, || scene.pull_reap(of));
    }
    if scene.world.run_in(of).is_err() {
        return Verdict::Disagrees;
    }
    let ours = scene.world.cpu().resources().limit(limits.resource);
    let agrees = limits.old.is_none_or(|old| old == ours);
    Verdict::or_after(agrees, || pull_changes(scene, id, of, limits))
}

/// Whether the call sets a limit of this process.
pub(super) fn sets(scene: &Scene<'_, '_>, limits: &Limits<Who>, proc: ProcId) -> bool {
    let of = |who: Who| matches!(who, Who::Task(task) if scene.plan.proc_of(task) == proc);
    !limits.is_question() && limits.of.is_some_and(of)
}

/// Changes in flight of the same limit.
fn pull_changes(
    scene: &Scene<'_, '_>,
    id: CallId,
    proc: ProcId,
    limits: &Limits<Who>,
) -> Option<Vec<Pull>> {
    let changes = |call: &&CallId| match &scene.plan.call(**call).says {
        Says::Answer(crate::calls::Call::Limits(other)) => {
            **call != id
                && !other.is_question()
                && other.resource == limits.resource
                && of(scene, **call, other) == proc
        }
        _ => false,
    };
    let pulls: Vec<_> = scene.in_flight.iter().filter(changes).copied().map(Pull::Call).collect();
    (!pulls.is_empty()).then_some(pulls)
}

/// Asks the kernel for a change.
pub(super) fn act(
    scene: &mut Scene<'_, '_>,
    id: CallId,
    limits: &Limits<Who>,
) -> Result<Settled, String> {
    let new = match limits.new {
        Some(new) if limits.granted != Granted::NoSuchProcess => new,
        _ => return Ok(Settled::Agreed),
    };
    let of = of(scene, id, limits);
    scene.world.run_in(of).map_err(|trouble| trouble.to_string())?;
    let cpu = scene.world.cpu();
    let ours = cpu.resources().set_limit(limits.resource, new).map_err(|error| error.errno());
    match (limits.granted, ours) {
        (Granted::Yes, Ok(_))
        | (Granted::NotPermitted, Err(Errno::EPERM))
        | (Granted::Invalid, Err(Errno::EINVAL)) => Ok(Settled::Agreed),
        // User 0 without the capability (CAP_SYS_RESOURCE), or above what the system can.
        (Granted::NotPermitted, Ok(old)) if cpu.cred().is_superuser() => {
            let back = cpu.resources().set_limit(limits.resource, old);
            back.map_err(|error| error.to_string())?;
            Ok(Settled::Unexplained(Cause::Capability))
        }
        (granted, ours) => {
            let ours = ours.map_or_else(|errno| errno.to_string(), |_| "done".to_owned());
            Err(format!("the log says {}, the kernel {ours}", says(granted)))
        }
    }
}

fn says(granted: Granted) -> &'static str {
    match granted {
        Granted::Yes => "done",
        Granted::NotPermitted => "EPERM",
        Granted::Invalid => "EINVAL",
        Granted::NoSuchProcess => "ESRCH",
    }
}

pub(super) fn describe(scene: &mut Scene<'_, '_>, id: CallId, limits: &Limits<Who>) -> String {
    let of = of(scene, id, limits);
    if let Err(trouble) = scene.world.run_in(of) {
        return trouble.to_string();
    }
    let ours = scene.world.cpu().resources().limit(limits.resource);
    let log = limits.old.map_or_else(|| says(limits.granted).to_owned(), text);
    format!("{:?}: the log says {log}, the kernel {}", limits.resource, text(ours))
}

fn text(limit: Limit) -> String {
    let one = |value| match value {
        Limit::INFINITY => "none".to_owned(),
        value => value.to_string(),
    };
    format!("{} to {}", one(limit.soft), one(limit.hard))
}
