//! Whether the target of a signal exists.

use super::{groups, name};
use crate::calls::kill::{Found, Kill, Target};
use crate::plan::{CallId, TaskId, Who};
use crate::scene::{Pull, Scene, Verdict};
use crate::world::Life;

pub(super) fn verdict(scene: &Scene<'_, '_>, id: CallId, kill: &Kill<Who>) -> Verdict {
    match kill.target {
        Target::Group(Some(Who::Task(leader))) => {
            let leader = scene.plan.proc_of(leader);
            let there = kill.found != Found::NotThere;
            return Verdict::or_after(groups::exists(scene, leader) == there, || {
                there.then(|| groups::pull_leader(scene, id, leader).map(|pull| vec![pull]))?
            });
        }
        // The caller is in its own.
        Target::Group(_) => return Verdict::of(kill.found != Found::NotThere),
        _ => {}
    }
    let (Some(task), exists) = (target(kill), exists(scene, kill)) else {
        return Verdict::Disagrees;
    };
    match kill.found {
        Found::There | Found::NotPermitted => Verdict::or_after(exists, || scene.pull_birth(task)),
        Found::NotThere => Verdict::or_after(!exists, || vanish(scene, task)),
    }
}

fn target(kill: &Kill<Who>) -> Option<TaskId> {
    match kill.target {
        Target::Process(who) | Target::Thread(who) | Target::ThreadOf { thread: who, .. } => {
            match who {
                Who::Task(task) => Some(task),
                Who::Outside(_) => None,
            }
        }
        Target::Group(_) => None,
    }
}

/// The number of a process exists until it is reaped; that of another thread until it ends.
fn exists(scene: &Scene<'_, '_>, kill: &Kill<Who>) -> bool {
    let Some(task) = target(kill) else {
        return false;
    };
    let proc = scene.plan.proc_of(task);
    let belongs = match kill.target {
        Target::ThreadOf { process, .. } => scene.world.number(process) == scene.world.pid(proc),
        Target::Process(_) | Target::Thread(_) | Target::Group(_) => true,
    };
    belongs
        && if bears_pid(scene, task) {
            scene.world.life(proc) != Life::Unknown
        } else {
            let guard = scene.world.kernel().pin();
            scene.world.kernel().find_lwp(scene.world.lid(task), &guard).is_some()
        }
}

fn bears_pid(scene: &Scene<'_, '_>, task: TaskId) -> bool {
    let leader = scene.plan.proc(scene.plan.proc_of(task)).leader;
    scene.plan.task(task).number == scene.plan.task(leader).number
}

fn vanish(scene: &Scene<'_, '_>, task: TaskId) -> Option<Vec<Pull>> {
    if bears_pid(scene, task) {
        scene.pull_reap(scene.plan.proc_of(task))
    } else {
        scene.is_dying(task).then(|| vec![Pull::Thread(task)])
    }
}

pub(super) fn describe(scene: &Scene<'_, '_>, kill: &Kill<Who>) -> String {
    let says = |exists| if exists { "exists" } else { "does not exist" };
    if let Target::Group(group) = kill.target {
        let leader = group.map_or(0, |group| name(scene, group));
        let log = says(kill.found != Found::NotThere);
        return format!("the log says that group {leader} {log}, the kernel otherwise");
    }
    let target = target(kill).map_or(0, |task| name(scene, Who::Task(task)));
    let log = says(kill.found != Found::NotThere);
    format!("the log says that {target} {log}, the kernel that it {}", says(exists(scene, kill)))
}
