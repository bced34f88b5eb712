//! Whether the target of a signal exists, and may be sent one.

use super::{groups, name};
use crate::calls::kill::{Found, Kill, Target};
use crate::plan::{CallId, ProcId, TaskId, Who};
use crate::scene::{Cause, Pull, Scene, Verdict};
use lwproc::{Errno, KillTarget, Signo};

pub(super) fn verdict(scene: &mut Scene<'_, '_>, id: CallId, kill: &Kill<Who>) -> Verdict {
    let ours = ask(scene, kill);
    let agrees = ours == errno(kill.found);
    let verdict = Verdict::or_after(agrees, || match kill.found {
        Found::NotThere => vanish(scene, kill),
        Found::There | Found::NotPermitted => appear(scene, id, kill),
    });
    let by_ids = |errno| matches!(errno, None | Some(Errno::EPERM));
    match verdict {
        // Whether one may depends on the ids of both.
        Verdict::Disagrees
            if by_ids(ours) && by_ids(errno(kill.found)) && !has_same_ids(scene, id, kill) =>
        {
            Verdict::Unexplained(Cause::Capability)
        }
        verdict => verdict,
    }
}

fn errno(found: Found) -> Option<Errno> {
    match found {
        Found::There => None,
        Found::NotPermitted => Some(Errno::EPERM),
        Found::NotThere => Some(Errno::ESRCH),
    }
}

/// The task that is meant; `None` for a group.
fn target(kill: &Kill<Who>) -> Option<TaskId> {
    match kill.target {
        Target::Process(Who::Task(task))
        | Target::Thread(Who::Task(task))
        | Target::ThreadOf { thread: Who::Task(task), .. } => Some(task),
        _ => None,
    }
}

/// What the kernel answers, on the caller's LWP. Its model of signals is to ignore them, so that
/// to send one changes nothing; the ends of the log's tasks are replayed from their `+++` lines.
fn ask(scene: &mut Scene<'_, '_>, kill: &Kill<Who>) -> Option<Errno> {
    let target = match (kill.target, target(kill)) {
        (Target::Group(Some(leader)), _) => KillTarget::Pgrp(scene.world.number(leader)),
        (Target::Group(None), _) => KillTarget::OwnPgrp,
        (Target::ThreadOf { process, .. }, Some(task))
            if scene.world.number(process) != scene.world.pid(scene.plan.proc_of(task)) =>
        {
            return Some(Errno::ESRCH);
        }
        // The number of a process lasts until it is reaped, with or without an LWP that bears it.
        (_, Some(task)) if bears_pid(scene, task) => {
            KillTarget::Proc(scene.world.pid(scene.plan.proc_of(task)))
        }
        (_, Some(task)) => KillTarget::Lwp(scene.world.lid(task)),
        (_, None) => return Some(Errno::ESRCH),
    };
    let sent = scene.world.cpu().kill(target, number(kill.signal));
    sent.err().map(|error| error.errno())
}

/// Linux's number of SIGCONT.
const SIGCONT: u8 = 18;

/// The kernel's number of a signal of Linux. Only SIGCONT has rules of its own.
fn number(signal: u8) -> i32 {
    let ours = Signo::CONT.number();
    i32::from(match signal {
        SIGCONT => ours,
        other if other == ours => SIGCONT,
        other => other,
    })
}

fn bears_pid(scene: &Scene<'_, '_>, task: TaskId) -> bool {
    let leader = scene.plan.proc(scene.plan.proc_of(task)).leader;
    scene.plan.task(task).number == scene.plan.task(leader).number
}

fn has_same_ids(scene: &Scene<'_, '_>, id: CallId, kill: &Kill<Who>) -> bool {
    let same = |proc: ProcId| scene.world.has_same_ids(proc);
    same(scene.caller(id)) && target(kill).is_none_or(|task| same(scene.plan.proc_of(task)))
}

/// What brings the target to life.
fn appear(scene: &Scene<'_, '_>, id: CallId, kill: &Kill<Who>) -> Option<Vec<Pull>> {
    match kill.target {
        Target::Group(Some(Who::Task(leader))) => {
            let leader = scene.plan.proc_of(leader);
            groups::pull_leader(scene, id, leader).map(|pull| vec![pull])
        }
        _ => scene.pull_birth(target(kill)?),
    }
}

/// What makes the target go.
fn vanish(scene: &Scene<'_, '_>, kill: &Kill<Who>) -> Option<Vec<Pull>> {
    let task = target(kill)?;
    if bears_pid(scene, task) {
        scene.pull_reap(scene.plan.proc_of(task))
    } else {
        scene.is_dying(task).then(|| vec![Pull::Thread(task)])
    }
}

pub(super) fn describe(scene: &mut Scene<'_, '_>, kill: &Kill<Who>) -> String {
    let target = match kill.target {
        Target::Process(who) | Target::Thread(who) | Target::ThreadOf { thread: who, .. } => {
            name(scene, who).to_string()
        }
        Target::Group(Some(who)) => format!("group {}", name(scene, who)),
        Target::Group(None) => "its own group".to_owned(),
    };
    let says = |errno: Option<Errno>| errno.map_or_else(|| "there".to_owned(), |e| e.to_string());
    let ours = ask(scene, kill);
    format!("{target}: the log says {}, the kernel {}", says(errno(kill.found)), says(ours))
}
