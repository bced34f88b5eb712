//! What the kernel answers to a call, against what the log says; one module per family.

mod kill;
mod process;
mod wait;

use crate::calls::Call;
use crate::plan::{CallId, Says, Who};
use crate::scene::{Scene, Verdict};

/// Whether the kernel would give the log's answer now. Changes nothing.
pub(crate) fn verdict(scene: &mut Scene<'_, '_>, id: CallId) -> Verdict {
    let plan = scene.plan;
    match &plan.call(id).says {
        Says::Answer(Call::Identity(identity)) => process::identity(scene, id, identity),
        Says::Answer(Call::Fork(fork)) => process::fork(scene, id, fork),
        Says::Answer(Call::Wait(wait)) => wait::verdict(scene, id, wait),
        Says::Answer(Call::Kill(kill)) => kill::verdict(scene, kill),
        Says::Answer(Call::Exec(_) | Call::Exit(_)) | Says::NotModelled | Says::Nothing => {
            Verdict::Agrees
        }
    }
}

/// Does what the call does, on the caller's LWP.
///
/// # Errors
/// What the kernel answers instead, for people.
pub(crate) fn act(scene: &mut Scene<'_, '_>, id: CallId) -> Result<(), String> {
    let plan = scene.plan;
    match &plan.call(id).says {
        Says::Answer(Call::Identity(identity)) => {
            process::learn(scene, id, identity);
            Ok(())
        }
        Says::Answer(Call::Fork(fork)) => process::give_birth(scene, fork),
        Says::Answer(Call::Exec(exec)) => process::exec(scene, id, exec),
        Says::Answer(Call::Wait(wait)) => wait::act(scene, id, wait),
        Says::Answer(Call::Kill(_) | Call::Exit(_)) | Says::NotModelled | Says::Nothing => Ok(()),
    }
}

/// What the log says and what the kernel says instead, for people.
pub(crate) fn describe(scene: &mut Scene<'_, '_>, id: CallId) -> String {
    let plan = scene.plan;
    match &plan.call(id).says {
        Says::Answer(Call::Identity(identity)) => process::describe(scene, identity),
        Says::Answer(Call::Fork(fork)) => {
            format!("task {} comes from another fork", name(scene, fork.child))
        }
        Says::Answer(Call::Wait(wait)) => wait::describe(scene, id, wait),
        Says::Answer(Call::Kill(kill)) => kill::describe(scene, kill),
        _ => "no reason known".to_owned(),
    }
}

/// Whether the call changes nothing, so that it may be asked at any line of its window.
pub(crate) fn is_question(call: &Call<Who>) -> bool {
    match call {
        Call::Identity(_) | Call::Kill(_) => true,
        Call::Wait(wait) => wait::is_question(wait),
        Call::Fork(_) | Call::Exec(_) | Call::Exit(_) => false,
    }
}

/// How the log calls someone.
fn name(scene: &Scene<'_, '_>, who: Who) -> i32 {
    match who {
        Who::Task(task) => scene.plan.task(task).number,
        Who::Outside(number) => number,
    }
}
