//! Identity, birth and new image.

use super::name;
use crate::calls::process::{Exec, Fork, Identity, Which};
use crate::plan::{CallId, Origin, Who};
use crate::scene::{Scene, Verdict};
use crate::world::INIT;

/// What the kernel answers on the LWP that runs.
fn ours(scene: &mut Scene<'_, '_>, which: Which) -> i32 {
    let cpu = scene.world.cpu();
    match which {
        Which::Pid => cpu.pid().0,
        Which::Tid => cpu.lid().map_or(0, |lid| lid.0),
        Which::Ppid => cpu.ppid().0,
    }
}

pub(super) fn identity(scene: &mut Scene<'_, '_>, id: CallId, asked: &Identity<Who>) -> Verdict {
    let ours = ours(scene, asked.which);
    match asked.answer {
        Who::Task(_) => Verdict::of(scene.world.number(asked.answer).0 == ours),
        Who::Outside(number) if asked.which == Which::Ppid => outer_parent(scene, id, number, ours),
        Who::Outside(_) => Verdict::Disagrees,
    }
}

/// A parent outside the log: init after the parent's death, or the root's own parent.
fn outer_parent(scene: &Scene<'_, '_>, id: CallId, number: i32, ours: i32) -> Verdict {
    let parent = scene.plan.proc(scene.caller(id)).parent;
    let known = match (parent, scene.outer_parent) {
        // The root's parent may die too, unseen.
        _ if number == INIT.0 => true,
        (None, bound) => bound.is_none_or(|bound| bound == number),
        (Some(_), _) => false,
    };
    if !known {
        return Verdict::Disagrees;
    }
    Verdict::or_after(ours == INIT.0, || scene.pull_death(parent?))
}

/// The first number seen for the root's parent is remembered.
pub(super) fn learn(scene: &mut Scene<'_, '_>, id: CallId, asked: &Identity<Who>) {
    let is_root = scene.plan.proc(scene.caller(id)).parent.is_none();
    if let (Which::Ppid, Who::Outside(number), true) = (asked.which, asked.answer, is_root) {
        scene.outer_parent = Some(number);
    }
}

pub(super) fn describe(scene: &mut Scene<'_, '_>, asked: &Identity<Who>) -> String {
    let ours = ours(scene, asked.which);
    let ours = scene.world.describe(ours);
    format!("the log says {}, the kernel {ours}", name(scene, asked.answer))
}

pub(super) fn fork(scene: &Scene<'_, '_>, id: CallId, fork: &Fork<Who>) -> Verdict {
    let Who::Task(child) = fork.child else {
        return Verdict::Disagrees;
    };
    let origin = scene.plan.task(child).origin;
    Verdict::of(matches!(origin, Origin::Fork { call, .. } if call == id))
}

/// What is wrong with a fork; its child is born all the same.
pub(super) fn describe_fork(scene: &mut Scene<'_, '_>, id: CallId, fork: &Fork<Who>) -> String {
    if self::fork(scene, id, fork) != Verdict::Agrees {
        return format!("task {} comes from another fork", name(scene, fork.child));
    }
    let born = give_birth(scene, fork);
    let caller = scene.plan.call(id).task;
    let ran = scene.world.run(caller).map_err(|trouble| trouble.to_string());
    match (born.and(ran), &fork.pidfd) {
        (Ok(()), Some(files)) => super::files::follow(scene, id, files),
        (Err(trouble), _) => trouble,
        (Ok(()), None) => "no reason known".to_owned(),
    }
}

pub(super) fn give_birth(scene: &mut Scene<'_, '_>, fork: &Fork<Who>) -> Result<(), String> {
    match fork.child {
        Who::Task(child) => scene.birth(child).map_err(|trouble| trouble.to_string()),
        Who::Outside(_) => Ok(()),
    }
}

pub(super) fn exec(scene: &mut Scene<'_, '_>, id: CallId, exec: &Exec) -> Result<(), String> {
    let caller = scene.plan.call(id).task;
    let proc = scene.caller(id);
    for task in &scene.plan.proc(proc).tasks {
        if *task != caller && scene.world.is_alive(*task) {
            let status = scene.leaving_status(*task);
            scene.world.retire(*task, status).map_err(|trouble| trouble.to_string())?;
        }
    }
    scene.world.run(caller).map_err(|trouble| trouble.to_string())?;
    let lwps = scene.world.nlwps(proc);
    let done = scene.world.exec(proc, &exec.comm);
    let same = super::same_descriptors(scene, proc);
    if same.is_err() {
        scene.world.repair_table(proc).map_err(|trouble| trouble.to_string())?;
    }
    let cpu = scene.world.cpu();
    if lwps != 1 {
        return Err(format!("at the execve the kernel counts {lwps} LWPs"));
    }
    done.map_err(|trouble| trouble.to_string())?;
    same?;
    if cpu.lid().is_none_or(|lid| lid.0 != cpu.pid().0) {
        return Err("after the execve the LWP does not bear the pid".to_owned());
    }
    match cpu.process().comm().to_string() {
        comm if comm == exec.comm => Ok(()),
        comm => Err(format!("the comm is {comm}, not {}", exec.comm)),
    }
}
