//! What the kernel answers to a call, against what the log says; one module per family.

mod files;
mod groups;
mod ids;
mod kill;
mod limits;
mod process;
mod wait;

use crate::calls::Call;
use crate::plan::{CallId, ProcId, Says, TaskId, Who};
use crate::scene::{Pull, Scene, Settled, Verdict};

/// Whether the kernel would give the log's answer now. Changes nothing.
pub(crate) fn verdict(scene: &mut Scene<'_, '_>, id: CallId) -> Verdict {
    let plan = scene.plan;
    match &plan.call(id).says {
        Says::Answer(Call::Identity(identity)) => process::identity(scene, id, identity),
        Says::Answer(Call::Fork(fork)) => {
            match fork.pidfd.as_ref().map(|files| files::verdict(scene, id, files)) {
                None | Some(Verdict::Agrees) => process::fork(scene, id, fork),
                Some(verdict) => verdict,
            }
        }
        Says::Answer(Call::Wait(wait)) => wait::verdict(scene, id, wait),
        Says::Answer(Call::Kill(kill)) => kill::verdict(scene, id, kill),
        Says::Answer(Call::Files(files)) => files::verdict(scene, id, files),
        Says::Answer(Call::Ids(ids)) => ids::verdict(scene, id, ids),
        Says::Answer(Call::Groups(groups)) => groups::verdict(scene, id, groups),
        Says::Answer(Call::Limits(limits)) => limits::verdict(scene, id, limits),
        Says::Answer(Call::Exec(_) | Call::Exit(_)) | Says::NotModelled | Says::Nothing => {
            Verdict::Agrees
        }
        Says::Unexplained(cause) => Verdict::Unexplained(*cause),
    }
}

/// Does what the call does, on the caller's LWP.
///
/// # Errors
/// What the kernel answers instead, for people.
pub(crate) fn act(scene: &mut Scene<'_, '_>, id: CallId) -> Result<Settled, String> {
    let plan = scene.plan;
    let done = match &plan.call(id).says {
        Says::Answer(Call::Identity(identity)) => {
            process::learn(scene, id, identity);
            Ok(())
        }
        Says::Answer(Call::Fork(fork)) => {
            process::give_birth(scene, fork)?;
            return match &fork.pidfd {
                Some(files) => {
                    let caller = plan.call(id).task;
                    scene.world.run(caller).map_err(|trouble| trouble.to_string())?;
                    files::act(scene, id, files)
                }
                None => Ok(Settled::Agreed),
            };
        }
        Says::Answer(Call::Exec(exec)) => process::exec(scene, id, exec),
        Says::Answer(Call::Wait(wait)) => wait::act(scene, id, wait),
        Says::Answer(Call::Files(files)) => return files::act(scene, id, files),
        Says::Answer(Call::Ids(ids)) => return ids::act(scene, id, ids),
        Says::Answer(Call::Groups(groups)) => groups::act(scene, id, groups),
        Says::Answer(Call::Limits(limits)) => return limits::act(scene, id, limits),
        Says::Answer(Call::Kill(kill)) => kill::act(scene, id, kill),
        Says::Answer(Call::Exit(_)) | Says::NotModelled | Says::Nothing => Ok(()),
        Says::Unexplained(cause) => return Ok(Settled::Unexplained(*cause)),
    };
    done.map(|()| Settled::Agreed)
}

/// Calls in flight that must have taken effect before this one does.
pub(crate) fn overtaken_by(scene: &Scene<'_, '_>, id: CallId) -> Option<Vec<Pull>> {
    match &scene.plan.call(id).says {
        Says::Answer(call) if call.files().is_some() => {
            files::overtaken_by(scene, id, call.files()?)
        }
        Says::Answer(Call::Exec(_)) => {
            concerns(scene, scene.caller(id)).map(|call| vec![Pull::Call(call)])
        }
        _ => None,
    }
}

/// A call in flight, of another process, that changes this one, and cannot any more once it has
/// become another program or has ended.
pub(crate) fn concerns(scene: &Scene<'_, '_>, proc: ProcId) -> Option<CallId> {
    let changes = |call: &CallId| match &scene.plan.call(*call).says {
        _ if scene.caller(*call) == proc => false,
        Says::Answer(Call::Groups(groups)) => groups::moves_now(scene, *call, groups, proc),
        Says::Answer(Call::Limits(limits)) => limits::sets(scene, limits, proc),
        _ => false,
    };
    scene.in_flight.iter().copied().find(changes)
}

/// Signals in flight that are for a task, and their numbers.
pub(crate) fn signals_for(scene: &Scene<'_, '_>, task: TaskId) -> Vec<(CallId, i32)> {
    kill::in_flight_for(scene, task).collect()
}

/// Whether the kernel has the descriptors that the log's answers make.
///
/// # Errors
/// The first difference, for people.
pub(crate) fn same_descriptors(scene: &mut Scene<'_, '_>, proc: ProcId) -> Result<(), String> {
    files::same_tables(scene, proc)
}

/// What the log says and what the kernel says instead, for people. What the answer tells of the
/// descriptors is taken over, so that what follows can be compared.
pub(crate) fn describe(scene: &mut Scene<'_, '_>, id: CallId) -> String {
    let plan = scene.plan;
    match &plan.call(id).says {
        Says::Answer(Call::Identity(identity)) => process::describe(scene, identity),
        Says::Answer(Call::Fork(fork)) => process::describe_fork(scene, id, fork),
        Says::Answer(Call::Wait(wait)) => wait::describe(scene, id, wait),
        Says::Answer(Call::Kill(kill)) => kill::describe(scene, id, kill),
        Says::Answer(Call::Files(files)) => files::follow(scene, id, files),
        Says::Answer(Call::Ids(ids)) => ids::describe(scene, ids),
        Says::Answer(Call::Groups(groups)) => groups::describe(scene, id, groups),
        Says::Answer(Call::Limits(limits)) => limits::describe(scene, id, limits),
        _ => "no reason known".to_owned(),
    }
}

/// Whether the call changes nothing, so that it may be asked at any line of its window.
pub(crate) fn is_question(call: &Call<Who>) -> bool {
    match call {
        Call::Identity(_) => true,
        Call::Kill(kill) => kill.is_question(),
        Call::Wait(wait) => wait::is_question(wait),
        Call::Files(files) => files.is_question(),
        Call::Ids(ids) => ids.is_question(),
        Call::Groups(groups) => groups.is_question(),
        Call::Limits(limits) => limits.is_question(),
        Call::Fork(_) | Call::Exec(_) | Call::Exit(_) => false,
    }
}

/// What a call changes, or asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Who lives, and who is whose child, member and leader.
    Tasks,
    /// Descriptors.
    Descriptors,
    /// Users and groups.
    Ids,
    /// Limits.
    Limits,
}

pub(crate) fn subject(call: &Call<Who>) -> Subject {
    match call {
        Call::Files(_) => Subject::Descriptors,
        Call::Ids(_) => Subject::Ids,
        Call::Limits(_) => Subject::Limits,
        _ => Subject::Tasks,
    }
}

/// How the log calls someone.
fn name(scene: &Scene<'_, '_>, who: Who) -> i32 {
    match who {
        Who::Task(task) => scene.plan.task(task).number,
        Who::Outside(number) => number,
    }
}
