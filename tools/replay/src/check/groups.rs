//! Process groups and sessions: who is in which, and what the kernel refuses.

use super::name;
use crate::calls::Call;
use crate::calls::groups::{Groups, Refusal, Which};
use crate::plan::{CallId, ProcId, Says, TaskId, Who};
use crate::scene::{Cause, Pull, Scene, Verdict};
use lwproc::{Errno, GroupError, Pid};

/// Whom a number means; the caller when it is 0.
fn proc_of(scene: &Scene<'_, '_>, id: CallId, who: Option<Who>) -> ProcId {
    match who {
        Some(Who::Task(task)) => scene.plan.proc_of(task),
        _ => scene.caller(id),
    }
}

/// The kernel's number of the group or session that the log names; `None` for one outside the log
/// that the first task was not started in.
fn number(scene: &Scene<'_, '_>, which: Which, named: Who) -> Option<Pid> {
    let outer = match which {
        Which::Pgrp => scene.plan.outer.pgrp,
        Which::Session => scene.plan.outer.session,
    };
    match named {
        Who::Task(task) => Some(scene.world.pid(scene.plan.proc_of(task))),
        Who::Outside(_) => (outer == Some(named)).then(|| scene.world.outer_group()),
    }
}

/// The kernel's number of whom a call is about.
fn pid_of(scene: &Scene<'_, '_>, id: CallId, who: Option<Who>) -> Pid {
    match who {
        Some(outside @ Who::Outside(_)) => scene.world.number(outside),
        who => scene.world.pid(proc_of(scene, id, who)),
    }
}

/// What the kernel says about a process, zombies included.
fn ours(scene: &mut Scene<'_, '_>, which: Which, pid: Pid) -> Result<Pid, GroupError> {
    match which {
        Which::Pgrp => scene.world.cpu().groups().pgid_of(pid),
        Which::Session => scene.world.cpu().groups().sid_of(pid),
    }
}

pub(super) fn verdict(scene: &mut Scene<'_, '_>, id: CallId, groups: &Groups<Who>) -> Verdict {
    match *groups {
        Groups::Get { of: Some(Who::Outside(_)), answer: Ok(_), .. } => {
            Verdict::Unexplained(Cause::OuterProcess)
        }
        Groups::Get { which, answer: Ok(answer), .. }
            if which == Which::Pgrp && scene.plan.outer.other_groups.contains(&answer) =>
        {
            Verdict::Unexplained(Cause::OuterProcess)
        }
        Groups::Get { which, of, answer: Ok(answer) } => {
            let (proc, pid) = (proc_of(scene, id, of), pid_of(scene, id, of));
            let named = number(scene, which, answer);
            let agrees = named.is_some() && ours(scene, which, pid).ok() == named;
            Verdict::or_after(agrees, || pull_move(scene, id, proc, which, named?))
        }
        Groups::Get { which, of, answer: Err(refusal) } => {
            let (proc, pid) = (proc_of(scene, id, of), pid_of(scene, id, of));
            let agrees =
                ours(scene, which, pid).is_err_and(|error| error.errno() == errno(refusal));
            Verdict::or_after(agrees, || scene.pull_reap(proc))
        }
        Groups::Join { who: Some(Who::Outside(_)), answer, .. } => match answer {
            // The kernel itself is asked when it is applied.
            Err(refusal) if refusal != Refusal::Access => Verdict::Agrees,
            // A child that nobody traced.
            _ => Verdict::Unexplained(Cause::OuterProcess),
        },
        // The kernel itself is asked when it is applied; here only for what must come before.
        Groups::Join { who, group, answer: Ok(()) } => {
            let pulls = before_join(scene, id, who, group);
            if pulls.is_empty() { Verdict::Agrees } else { Verdict::After(pulls) }
        }
        Groups::Join { who, answer: Err(Refusal::Access), .. } => {
            let proc = proc_of(scene, id, who);
            Verdict::or_after(scene.world.has_execed(proc), || pull_exec(scene, proc))
        }
        Groups::Join { answer: Err(_), .. } | Groups::Lead { .. } => Verdict::Agrees,
    }
}

/// The process must be born, and the group must be there.
fn before_join(
    scene: &Scene<'_, '_>,
    id: CallId,
    who: Option<Who>,
    group: Option<Who>,
) -> Vec<Pull> {
    let mut pulls = Vec::new();
    if let Some(Who::Task(task)) = who {
        pulls.extend(scene.pull_birth(task).into_iter().flatten());
    }
    if let Some(Who::Task(leader)) = group {
        let led = scene.plan.proc_of(leader);
        if led != proc_of(scene, id, who) && !exists(scene, led) {
            pulls.extend(pull_leader(scene, id, led));
        }
    }
    pulls
}

/// Whether the call moves this process, and could do it now.
pub(super) fn moves_now(
    scene: &Scene<'_, '_>,
    id: CallId,
    groups: &Groups<Who>,
    proc: ProcId,
) -> bool {
    match *groups {
        Groups::Join { who: Some(Who::Task(task)), group, answer: Ok(()) } => {
            scene.plan.proc_of(task) == proc
                && before_join(scene, id, Some(Who::Task(task)), group).is_empty()
        }
        _ => false,
    }
}

/// Whether the group that a process leads, or led, exists.
pub(super) fn exists(scene: &Scene<'_, '_>, leader: ProcId) -> bool {
    let guard = scene.world.kernel().pin();
    guard.pgrp(scene.world.pid(leader)).is_some()
}

/// Moves in flight, by others: the call, who is moved, and the group; `None` for one of its own.
fn moves<'s>(
    scene: &'s Scene<'_, '_>,
    id: CallId,
) -> impl Iterator<Item = (CallId, ProcId, Option<TaskId>, Which)> + 's {
    let in_flight = scene.in_flight.iter().copied().filter(move |call| *call != id);
    in_flight.filter_map(|call| match &scene.plan.call(call).says {
        Says::Answer(Call::Groups(Groups::Join { who, group, answer: Ok(()) })) => {
            let group = match group {
                Some(Who::Task(task)) => Some(*task),
                Some(Who::Outside(_)) => return None,
                None => None,
            };
            Some((call, proc_of(scene, call, *who), group, Which::Pgrp))
        }
        Says::Answer(Call::Groups(Groups::Lead { answer: Ok(_) })) => {
            Some((call, scene.caller(call), None, Which::Session))
        }
        _ => None,
    })
}

/// What makes the group of a process, if anything in flight does.
pub(super) fn pull_leader(scene: &Scene<'_, '_>, id: CallId, leader: ProcId) -> Option<Pull> {
    let mut moves = moves(scene, id);
    let leads = moves.find(|(_, proc, group, _)| {
        *proc == leader && group.is_none_or(|task| scene.plan.proc_of(task) == leader)
    });
    leads.map(|(call, ..)| Pull::Call(call))
}

/// What moves a process to this group or session, if anything in flight does.
fn pull_move(
    scene: &Scene<'_, '_>,
    id: CallId,
    proc: ProcId,
    which: Which,
    to: Pid,
) -> Option<Vec<Pull>> {
    let found = moves(scene, id).find(|(_, moved, group, changes)| {
        let leader = group.map_or(*moved, |task| scene.plan.proc_of(task));
        *moved == proc
            && scene.world.pid(leader) == to
            && (which == Which::Pgrp || *changes == Which::Session)
    });
    let (call, moved, group, _) = found?;
    let mut pulls = Vec::new();
    let leader = group.map_or(moved, |task| scene.plan.proc_of(task));
    if leader != moved && !exists(scene, leader) {
        pulls.push(pull_leader(scene, id, leader)?);
    }
    pulls.push(Pull::Call(call));
    Some(pulls)
}

/// What makes a process another program, if anything in flight does.
fn pull_exec(scene: &Scene<'_, '_>, proc: ProcId) -> Option<Vec<Pull>> {
    let execs = |call: &&CallId| {
        matches!(scene.plan.call(**call).says, Says::Answer(Call::Exec(_)))
            && scene.caller(**call) == proc
    };
    let call = scene.in_flight.iter().find(execs)?;
    Some(vec![Pull::Call(*call)])
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Access => Errno::EACCES,
        Refusal::Invalid => Errno::EINVAL,
        Refusal::NotPermitted => Errno::EPERM,
        Refusal::NoSuchProcess => Errno::ESRCH,
    }
}

/// Asks the kernel for a change.
pub(super) fn act(
    scene: &mut Scene<'_, '_>,
    id: CallId,
    groups: &Groups<Who>,
) -> Result<(), String> {
    match *groups {
        Groups::Get { .. } => Ok(()),
        Groups::Join { who, group, answer } => {
            let pid = pid_of(scene, id, who);
            // One outside the log that could not be joined: none of that number will do.
            let pgid = group.map_or(pid, |group| scene.world.group_number(group));
            let ours = scene.world.cpu().groups().setpgid(pid, pgid).map_err(|error| error.errno());
            if ours.err() == answer.err().map(errno) {
                return Ok(());
            }
            Err(differs(answer.map(|()| "done".to_owned()), ours.map(|()| "done".to_owned())))
        }
        Groups::Lead { answer } => {
            let ours = scene.world.cpu().groups().setsid().map_err(|error| error.errno());
            let agrees = match (answer, ours) {
                (Ok(session), Ok(ours)) => number(scene, Which::Session, session) == Some(ours),
                (Err(refusal), Err(ours)) => errno(refusal) == ours,
                _ => false,
            };
            if agrees {
                return Ok(());
            }
            let log = answer.map(|session| name(scene, session).to_string());
            Err(differs(log, ours.map(|ours| scene.world.describe(ours.0))))
        }
    }
}

fn differs(log: Result<String, Refusal>, ours: Result<String, Errno>) -> String {
    let log = log.unwrap_or_else(|refusal| errno(refusal).to_string());
    let ours = ours.unwrap_or_else(|errno| errno.to_string());
    format!("the log says {log}, the kernel {ours}")
}

pub(super) fn describe(scene: &mut Scene<'_, '_>, id: CallId, groups: &Groups<Who>) -> String {
    let Groups::Get { which, of, answer } = *groups else {
        return "no reason known".to_owned();
    };
    let pid = pid_of(scene, id, of);
    let ours = ours(scene, which, pid).map_err(|error| error.errno());
    let log = answer.map(|answer| name(scene, answer).to_string());
    let outer = scene.world.outer_group();
    let ours = ours.map(|ours| match ours {
        ours if ours == outer => "the one of the first task".to_owned(),
        ours => scene.world.describe(ours.0),
    });
    differs(log, ours)
}
