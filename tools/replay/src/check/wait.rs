//! Waiting: who is reaped, with what status, and who is not there.

use super::name;
use crate::calls::wait::{Outcome, Status, Target, Wait};
use crate::plan::{CallId, ProcId, TaskId, Who};
use crate::scene::{Pull, Scene, Verdict};
use crate::world::Life;
use lwproc::{ExitStatus, WaitTarget};

pub(super) fn is_question(wait: &Wait<Who>) -> bool {
    !matches!(wait.outcome, Outcome::Reaped(..))
}

pub(super) fn verdict(scene: &mut Scene<'_, '_>, id: CallId, wait: &Wait<Who>) -> Verdict {
    let caller = scene.caller(id);
    match wait.outcome {
        Outcome::Reaped(child, _) | Outcome::Seen(child, _) => reapable(scene, caller, wait, child),
        Outcome::Nothing => nothing(scene, caller, wait),
        Outcome::NoChild => no_child(scene, caller, wait),
    }
}

/// The children that a wait looks at, as the kernel sees them.
fn candidates(scene: &Scene<'_, '_>, caller: ProcId, wait: &Wait<Who>) -> Vec<ProcId> {
    match wait.target {
        Target::Pid(Who::Task(task)) => {
            let child = Some(scene.plan.proc_of(task));
            child.filter(|child| looks_at(scene, caller, wait, *child)).into_iter().collect()
        }
        Target::Pid(Who::Outside(_)) => Vec::new(),
        Target::Any | Target::Group(_) | Target::Set => {
            let children = scene.world.children(caller).iter().copied();
            children.filter(|child| looks_at(scene, caller, wait, *child)).collect()
        }
    }
}

/// Whether a process is a child of the caller to the kernel, and one that the wait means.
fn looks_at(scene: &Scene<'_, '_>, caller: ProcId, wait: &Wait<Who>, child: ProcId) -> bool {
    let meant = match wait.target {
        Target::Any | Target::Set => true,
        Target::Pid(who) => name(scene, who) == number(scene, child),
        Target::Group(group) => {
            let group = group.map_or_else(
                || scene.world.pgid(caller),
                |leader| Some(scene.world.number(leader)),
            );
            group.is_some() && scene.world.pgid(child) == group
        }
    };
    meant && scene.world.ppid(child) == Some(scene.world.pid(caller))
}

/// The number of a process in the log.
fn number(scene: &Scene<'_, '_>, proc: ProcId) -> i32 {
    scene.plan.task(scene.plan.proc(proc).leader).number
}

fn reapable(scene: &Scene<'_, '_>, caller: ProcId, wait: &Wait<Who>, child: Who) -> Verdict {
    let Who::Task(child) = child else {
        return Verdict::Disagrees;
    };
    let child = scene.plan.proc_of(child);
    if !looks_at(scene, caller, wait, child) {
        return Verdict::Disagrees;
    }
    Verdict::or_after(scene.world.life(child) == Life::Zombie, || scene.pull_death(child))
}

/// WNOHANG answered 0: there are children, and none is dead.
fn nothing(scene: &Scene<'_, '_>, caller: ProcId, wait: &Wait<Who>) -> Verdict {
    let children = candidates(scene, caller, wait);
    let mut pulls = Vec::new();
    if children.is_empty() {
        match births(scene, caller).next() {
            Some(child) => pulls.push(Pull::Birth(child)),
            None => return Verdict::Disagrees,
        }
    }
    for child in children {
        if scene.world.life(child) == Life::Zombie && scene.is_announced(child) {
            match scene.pull_reap(child) {
                Some(more) => pulls.extend(more),
                None => return Verdict::Disagrees,
            }
        }
    }
    if pulls.is_empty() { Verdict::Agrees } else { Verdict::After(pulls) }
}

/// Children that forks in flight of this process are making.
fn births(scene: &Scene<'_, '_>, caller: ProcId) -> impl Iterator<Item = TaskId> {
    let plan = scene.plan;
    let forks = scene.in_flight.iter().filter_map(|call| match &plan.call(*call).says {
        crate::plan::Says::Answer(crate::calls::Call::Fork(fork)) => Some(fork.child),
        _ => None,
    });
    forks.filter_map(move |child| match child {
        Who::Task(task) => {
            let parent = plan.proc(plan.proc_of(task)).parent;
            (parent == Some(caller) && scene.pull_birth(task).is_some()).then_some(task)
        }
        Who::Outside(_) => None,
    })
}

/// ECHILD: every child looked at has been reaped, or is being.
fn no_child(scene: &Scene<'_, '_>, caller: ProcId, wait: &Wait<Who>) -> Verdict {
    let mut pulls = Vec::new();
    for child in candidates(scene, caller, wait) {
        match scene.pull_reap(child) {
            Some(more) => pulls.extend(more),
            None => return Verdict::Disagrees,
        }
    }
    if pulls.is_empty() { Verdict::Agrees } else { Verdict::After(pulls) }
}

/// Asks the kernel itself, now that the answer is known to be within reach.
pub(super) fn act(scene: &mut Scene<'_, '_>, id: CallId, wait: &Wait<Who>) -> Result<(), String> {
    let caller = scene.caller(id);
    match wait.outcome {
        // Of several dead children, any may come first: ask for the log's.
        Outcome::Reaped(child, status) => {
            let zombie = WaitTarget::Pid(scene.world.number(child));
            match scene.world.cpu().try_wait(zombie) {
                Ok(Some(reaped)) => {
                    if let Who::Task(task) = child {
                        scene.world.reaped(caller, scene.plan.proc_of(task));
                    }
                    compare(status, reaped.status)
                }
                Ok(None) => Err("the kernel finds no dead child".to_owned()),
                Err(error) => Err(format!("the kernel says {}", error.errno())),
            }
        }
        Outcome::Seen(child, status) => {
            let zombie = WaitTarget::Pid(scene.world.number(child));
            match scene.world.cpu().try_wait(zombie.peek()) {
                Ok(Some(seen)) => compare(status, seen.status),
                Ok(None) => Err("the kernel finds no dead child".to_owned()),
                Err(error) => Err(format!("the kernel says {}", error.errno())),
            }
        }
        Outcome::Nothing | Outcome::NoChild => ask_for_none(scene, caller, wait),
    }
}

fn ask_for_none(scene: &mut Scene<'_, '_>, caller: ProcId, wait: &Wait<Who>) -> Result<(), String> {
    let dead = |child: &ProcId| scene.world.life(*child) == Life::Zombie;
    let target = match wait.target {
        Target::Pid(who) => WaitTarget::Pid(scene.world.number(who)),
        Target::Group(Some(leader)) => WaitTarget::Pgrp(scene.world.number(leader)),
        Target::Group(None) => WaitTarget::OwnPgrp,
        Target::Any | Target::Set => WaitTarget::Any,
    };
    // A zombie that strace has not shown to its parent yet counts as alive.
    let hidden = candidates(scene, caller, wait).iter().any(dead);
    let nothing = wait.outcome == Outcome::Nothing;
    match scene.world.cpu().try_wait(target.peek()) {
        Ok(None) if nothing => Ok(()),
        Ok(Some(_)) if nothing && hidden => Ok(()),
        Err(error) if !nothing && error.errno() == lwproc::Errno::ECHILD => Ok(()),
        Ok(None) => Err("the kernel has a child".to_owned()),
        Ok(Some(dead)) => Err(format!("the kernel has a dead child: {}", dead.status)),
        Err(error) => Err(format!("the kernel says {}", error.errno())),
    }
}

fn compare(log: Option<Status>, ours: ExitStatus) -> Result<(), String> {
    match log {
        Some(log) if !same(log, ours) => Err(format!("the log says {log}, the kernel {ours}")),
        _ => Ok(()),
    }
}

fn same(log: Status, ours: ExitStatus) -> bool {
    match log {
        Status::Exited(code) => ours.exit_code() == Some(code),
        Status::Killed { signal, core_dumped } => {
            ours.signal() == Some(signal) && ours.core_dumped() == core_dumped
        }
    }
}

pub(super) fn describe(scene: &Scene<'_, '_>, id: CallId, wait: &Wait<Who>) -> String {
    let log = match wait.outcome {
        Outcome::Reaped(child, _) | Outcome::Seen(child, _) => {
            format!("{} is a dead child", name(scene, child))
        }
        Outcome::Nothing => "there are children, none dead".to_owned(),
        Outcome::NoChild => "there is no child".to_owned(),
    };
    let caller = scene.caller(id);
    let ours: Vec<_> = candidates(scene, caller, wait)
        .into_iter()
        .map(|child| {
            let life = match scene.world.life(child) {
                Life::Zombie => "dead",
                Life::Alive | Life::Unknown => "alive",
            };
            format!("{} {life}", number(scene, child))
        })
        .collect();
    let ours = if ours.is_empty() { "no child".to_owned() } else { ours.join(", ") };
    format!("the log says {log}, the kernel has {ours}")
}
