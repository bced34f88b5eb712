//! Whether the target of a signal exists, and may be sent one; and the signal itself.

use super::{groups, name};
use crate::calls::Call;
use crate::calls::kill::{Found, Kill, Target};
use crate::plan::{CallId, ProcId, Says, TaskId, Who};
use crate::scene::{Cause, Pull, Scene, Verdict};
use crate::signals::{SIGKILL, Way};
use crate::world::{INIT, Life};
use lwproc::{Errno, KillTarget, Lid, Signo};

/// Linux's number of SIGCONT.
const SIGCONT: i32 = 18;

pub(super) fn verdict(scene: &mut Scene<'_, '_>, id: CallId, kill: &Kill<Who>) -> Verdict {
    if kill.found == Found::Unanswered {
        return Verdict::Agrees;
    }
    let ours = send(scene, id, kill, question(kill));
    let log = errno(kill.found);
    let verdict = Verdict::or_after(ours == log, || match kill.found {
        Found::NotThere => vanish(scene, kill),
        Found::There | Found::NotPermitted => appear(scene, id, kill),
        Found::Invalid | Found::Unanswered => None,
    });
    let by_ids = |errno| matches!(errno, None | Some(Errno::EPERM));
    match verdict {
        // Whoever is outside the log may be there or not, and may be anyone.
        Verdict::Disagrees if kill.found != Found::Invalid && is_outside(kill) => {
            match (kill.found, kill.target) {
                // The group may have lost those that are not in the log.
                (Found::NotThere, Target::Group(_)) => Verdict::Unexplained(Cause::OuterProcess),
                (Found::NotThere, _) => Verdict::Disagrees,
                _ => Verdict::Unexplained(Cause::OuterProcess),
            }
        }
        Verdict::Disagrees if ours == Some(Errno::ESRCH) && may_wait_for_init(scene, kill) => {
            Verdict::Unexplained(Cause::OuterProcess)
        }
        // Whether one may depends on the ids of both.
        Verdict::Disagrees if by_ids(ours) && by_ids(log) && !has_same_ids(scene, id, kill) => {
            Verdict::Unexplained(Cause::Capability)
        }
        verdict => verdict,
    }
}

fn errno(found: Found) -> Option<Errno> {
    match found {
        Found::There | Found::Unanswered => None,
        Found::NotPermitted => Some(Errno::EPERM),
        Found::NotThere => Some(Errno::ESRCH),
        Found::Invalid => Some(Errno::EINVAL),
    }
}

/// The task that is meant; `None` for several.
fn target(kill: &Kill<Who>) -> Option<TaskId> {
    match kill.target {
        Target::Process(Who::Task(task))
        | Target::Thread(Who::Task(task))
        | Target::ThreadOf { thread: Who::Task(task), .. } => Some(task),
        _ => None,
    }
}

/// Whether whom the call is for is not all in the log.
fn is_outside(kill: &Kill<Who>) -> bool {
    let outside = |who: Who| matches!(who, Who::Outside(_));
    match kill.target {
        Target::Process(who) | Target::Thread(who) => outside(who),
        Target::ThreadOf { process, thread } => outside(process) || outside(thread),
        // The group that the first task was started in may have others in it.
        Target::Group(Some(who)) => outside(who),
        Target::Group(None) => false,
        Target::All => true,
    }
}

/// Whether whom the call is for has ended, and may not have been reaped by who adopted it.
fn may_wait_for_init(scene: &Scene<'_, '_>, kill: &Kill<Who>) -> bool {
    match (kill.target, target(kill)) {
        (Target::Group(Some(group)), _) => {
            scene.world.has_lost_orphans(scene.world.group_number(group))
        }
        (_, Some(task)) => scene.world.ended_as_orphan(scene.plan.proc_of(task)),
        _ => false,
    }
}

/// A signal that asks what this one would be answered, and changes nothing. SIGCONT has a rule of
/// its own, and Linux looks for the target before it looks at the number.
fn question(kill: &Kill<Who>) -> i32 {
    match kill.signal {
        SIGCONT => SIGCONT,
        signal if Signo::new(signal).is_none() && kill.found != Found::NotThere => signal,
        _ => 0,
    }
}

/// What the kernel answers, on the caller's LWP.
fn send(scene: &mut Scene<'_, '_>, id: CallId, kill: &Kill<Who>, signal: i32) -> Option<Errno> {
    if kill.target == Target::All {
        return send_to_all(scene, id, signal);
    }
    let to = match (kill.target, target(kill)) {
        (Target::Group(Some(leader)), _) => KillTarget::Pgrp(scene.world.group_number(leader)),
        (Target::Group(None), _) => KillTarget::OwnPgrp,
        (Target::ThreadOf { process, .. }, Some(task))
            if scene.world.number(process) != scene.world.pid(scene.plan.proc_of(task)) =>
        {
            return Some(Errno::ESRCH);
        }
        (Target::Thread(_) | Target::ThreadOf { .. }, Some(task)) if scene.world.is_alive(task) => {
            KillTarget::Lwp(scene.world.lid(task))
        }
        // The number of a process lasts until it is reaped, with or without an LWP that bears it.
        (_, Some(task)) if bears_pid(scene, task) => {
            KillTarget::Proc(scene.world.pid(scene.plan.proc_of(task)))
        }
        (_, Some(task)) => KillTarget::Lwp(scene.world.lid(task)),
        (Target::Thread(who) | Target::ThreadOf { thread: who, .. }, None) => {
            KillTarget::Lwp(Lid(scene.world.number(who).0))
        }
        (Target::Process(who), None) => KillTarget::Proc(scene.world.number(who)),
        (Target::All, None) => KillTarget::All,
    };
    // Init is the kernel's: it is asked, and gets none.
    let is_init = match to {
        KillTarget::Proc(pid) => pid == INIT,
        KillTarget::Lwp(lid) => lid.0 == INIT.0,
        _ => false,
    };
    scene.world.kill(to, if is_init { 0 } else { signal })
}

/// To every process of the log but the caller's: the kernel may have those of other copies.
fn send_to_all(scene: &mut Scene<'_, '_>, id: CallId, signal: i32) -> Option<Errno> {
    let caller = scene.caller(id);
    let mut found = Some(Errno::ESRCH);
    for index in 0..scene.plan.procs.len() {
        let proc = ProcId::at(index);
        if proc == caller || scene.world.life(proc) == Life::Unknown {
            continue;
        }
        let pid = scene.world.pid(proc);
        match scene.world.kill(KillTarget::Proc(pid), signal) {
            None => found = None,
            Some(Errno::EPERM) if found == Some(Errno::ESRCH) => found = Some(Errno::EPERM),
            Some(_) => {}
        }
    }
    // Whoever can signal one of them can signal all.
    if found.is_none() { scene.world.kill(KillTarget::All, 0) } else { found }
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

/// Whether a signal is for this task, or for its process.
fn is_for(scene: &Scene<'_, '_>, id: CallId, kill: &Kill<Who>, task: TaskId) -> bool {
    let proc = scene.plan.proc_of(task);
    let means = |who: Who| matches!(who, Who::Task(meant) if scene.plan.proc_of(meant) == proc);
    match kill.target {
        Target::Process(who) => means(who),
        Target::Thread(who) | Target::ThreadOf { thread: who, .. } => who == Who::Task(task),
        Target::Group(Some(leader)) => {
            scene.world.pgid(proc) == Some(scene.world.group_number(leader))
        }
        Target::Group(None) => scene.world.pgid(proc) == scene.world.pgid(scene.caller(id)),
        Target::All => proc != scene.caller(id),
    }
}

/// Signals in flight that are for this task.
pub(super) fn in_flight_for<'s>(
    scene: &'s Scene<'_, '_>,
    task: TaskId,
) -> impl Iterator<Item = (CallId, i32)> + 's {
    scene.in_flight.iter().copied().filter_map(move |id| match &scene.plan.call(id).says {
        Says::Answer(Call::Kill(kill)) if !kill.is_question() => {
            is_for(scene, id, kill, task).then_some((id, kill.signal))
        }
        _ => None,
    })
}

/// Sends the signal, and notes who got it.
pub(super) fn act(scene: &mut Scene<'_, '_>, id: CallId, kill: &Kill<Who>) -> Result<(), String> {
    let log = errno(kill.found);
    let signal = if kill.found == Found::NotThere { question(kill) } else { kill.signal };
    let ours = send(scene, id, kill, signal);
    if kill.found != Found::Unanswered && ours != log {
        return Err(differs(log, ours));
    }
    match u8::try_from(kill.signal) {
        Ok(signal) if ours.is_none() && signal > 0 => note(scene, id, kill, signal),
        _ => Ok(()),
    }
}

/// The kernel has the signal pending for every process that got it.
fn note(scene: &mut Scene<'_, '_>, id: CallId, kill: &Kill<Who>, signal: u8) -> Result<(), String> {
    let plan = scene.plan;
    let (caller, sender) = (plan.call(id).task, scene.caller(id));
    let number = |proc: ProcId| plan.task(plan.proc(proc).leader).number;
    // All but a returned call's own process may have been spared.
    let returned = kill.found == Found::There;
    let mut reached = false;
    let one = target(kill);
    let procs = match one {
        Some(task) => {
            let proc = plan.proc_of(task).index();
            proc..proc + 1
        }
        None => 0..plan.procs.len(),
    };
    for of in procs.map(ProcId::at) {
        let mut tasks =
            plan.proc(of).tasks.iter().copied().filter(|task| scene.world.is_alive(*task));
        let meant = tasks.find(|task| is_for(scene, id, kill, *task));
        let Some(task) = meant else {
            continue;
        };
        scene.world.run(task).map_err(|trouble| trouble.to_string())?;
        if !scene.world.pends(i32::from(signal)) {
            continue;
        }
        reached = true;
        scene.signals.sent(Way { from: number(sender), to: of, signal });
        // The first process of a system is not killed by its own.
        if signal == SIGKILL && number(of) != 1 && (returned || of == sender) {
            scene.signals.kill(of, plan.call(id).end.max(scene.now));
        }
    }
    scene.world.run(caller).map_err(|trouble| trouble.to_string())?;
    match one.filter(|task| scene.world.is_alive(*task)) {
        Some(_) if !reached => Err("the kernel has not kept the signal".to_owned()),
        _ => Ok(()),
    }
}

fn differs(log: Option<Errno>, ours: Option<Errno>) -> String {
    let says = |errno: Option<Errno>| errno.map_or_else(|| "there".to_owned(), |e| e.to_string());
    format!("the log says {}, the kernel {}", says(log), says(ours))
}

pub(super) fn describe(scene: &mut Scene<'_, '_>, id: CallId, kill: &Kill<Who>) -> String {
    let target = match kill.target {
        Target::Process(who) | Target::Thread(who) | Target::ThreadOf { thread: who, .. } => {
            name(scene, who).to_string()
        }
        Target::Group(Some(who)) => format!("group {}", name(scene, who)),
        Target::Group(None) => "its own group".to_owned(),
        Target::All => "all".to_owned(),
    };
    let ours = send(scene, id, kill, question(kill));
    format!("{target}: {}", differs(errno(kill.found), ours))
}
