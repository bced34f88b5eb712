//! After the last line: tie tasks to forks, tasks to processes, numbers to tasks.

use super::build::{Builder, RawCall};
use super::census::ProblemKind;
use super::outer::{self, Outer};
use super::tables::Tables;
use super::{CallId, Origin, Plan, PlannedCall, Proc, ProcId, Says, Task, TaskId, Who};
use crate::calls::{
    Call, Cause, Parsed,
    ids::Ids,
    process::{Descriptors, Makes, Scope},
    wait::{Outcome, Target, Wait},
};
use std::collections::HashMap;

/// Turns what the pass collected into a plan.
pub(super) fn link(mut builder: Builder) -> Plan {
    builder.end_of_log();
    adopt_strays(&mut builder);
    let procs = assign_processes(&mut builder.tasks);
    report_silent_children(&mut builder);
    for task in &mut builder.tasks {
        if task.death.is_none() {
            task.dying_from = u32::MAX;
        }
    }
    let Builder { steps, calls, tasks, census, lives, deliveries, other_signals, .. } = builder;
    let tables = Tables::new(&calls, &tasks);
    let mut procs = procs;
    for task in other_signals {
        procs[tasks[task.index()].proc.index()].has_other_signals = true;
    }
    let calls_read = Vec::with_capacity(calls.len());
    let outer = Outer::default();
    let deliveries = deliveries.into_iter().map(|raw| raw.resolve(&lives)).collect();
    let mut plan = Plan { steps, calls: calls_read, tasks, procs, deliveries, census, outer };
    for call in calls {
        note_capabilities(&mut plan, &call);
        let call = resolve(call, &plan.tasks, &lives, &tables);
        if call.says == Says::NotModelled {
            plan.census.names[call.name.index()].not_modelled += 1;
        }
        note_in_process(&mut plan, &call);
        plan.calls.push(call);
    }
    outer::learn(&mut plan);
    plan
}

/// A fork whose caller was killed in it returned no number; its child appears all the same.
fn adopt_strays(builder: &mut Builder) {
    for index in 1..builder.tasks.len() {
        let task = &builder.tasks[index];
        if task.origin != Origin::Stray {
            continue;
        }
        let (birth, number) = (task.birth, task.number);
        let lost = |call: &RawCall| {
            call.lost_fork.is_some()
                && call.parsed == Parsed::Unanswered
                && (call.start..=call.end).contains(&birth)
                && call.task.index() < index
        };
        let mut candidates = builder.calls.iter().enumerate().filter(|(_, call)| lost(call));
        match (candidates.next(), candidates.next()) {
            (Some((at, call)), None) => {
                let (call_id, parent) = (CallId::at(at), call.task);
                let (makes, descriptors) =
                    call.lost_fork.unwrap_or((Makes::Child, Descriptors::Copied));
                builder.tasks[index].origin =
                    Origin::Fork { call: call_id, parent, makes, descriptors };
                builder.calls[at].lost_fork = None;
            }
            _ => builder.census.problem(birth, ProblemKind::Stray(number)),
        }
    }
}

/// Parents come before their children in the list of tasks.
fn assign_processes(tasks: &mut [Task]) -> Vec<Proc> {
    let mut procs: Vec<Proc> = Vec::new();
    for index in 0..tasks.len() {
        let id = TaskId::at(index);
        let proc_of = |task: TaskId| tasks[task.index()].proc;
        let joins = match tasks[index].origin {
            Origin::Root | Origin::Stray => Err(None),
            Origin::Exec { leader, .. } => Ok(proc_of(leader)),
            Origin::Fork { parent, makes, .. } => match makes {
                Makes::Thread => Ok(proc_of(parent)),
                Makes::Child => Err(Some(proc_of(parent))),
                Makes::Sibling => Err(procs[proc_of(parent).index()].parent),
            },
        };
        tasks[index].proc = match joins {
            Ok(proc) => {
                procs[proc.index()].tasks.push(id);
                if matches!(tasks[index].origin, Origin::Exec { .. }) {
                    procs[proc.index()].bearer = id;
                }
                proc
            }
            Err(parent) => {
                let depth = parent.map_or(0, |parent: ProcId| procs[parent.index()].depth + 1);
                procs.push(Proc {
                    parent,
                    leader: id,
                    bearer: id,
                    tasks: vec![id],
                    images: Vec::new(),
                    group_exit: None,
                    capable_from: None,
                    has_other_signals: false,
                    depth,
                });
                ProcId::at(procs.len() - 1)
            }
        };
    }
    procs
}

fn report_silent_children(builder: &mut Builder) {
    let mut writes = vec![false; builder.tasks.len()];
    for step in &builder.steps {
        writes[step.task.index()] = true;
    }
    for (task, _) in builder.tasks.iter().zip(writes).filter(|(_, writes)| !writes) {
        let kind = ProblemKind::ChildNeverAppears(task.number);
        builder.census.problem(task.birth, kind);
    }
}

fn resolve(
    call: RawCall,
    tasks: &[Task],
    lives: &HashMap<i32, Vec<TaskId>>,
    tables: &Tables,
) -> PlannedCall {
    // The newest life of the number that had begun when the call ended.
    let mut find = |number: i32| {
        let lives = lives.get(&number).map_or(&[][..], Vec::as_slice);
        let born = |task: &&TaskId| tasks[task.index()].birth <= call.end;
        lives.iter().rfind(born).map_or(Who::Outside(number), |task| Who::Task(*task))
    };
    let says = match call.parsed {
        Parsed::Modelled(typed) => match typed.resolve(&mut find) {
            Call::Wait(wait) => match without_outer_group(wait) {
                Some(wait) => Says::Answer(Call::Wait(wait)),
                None => Says::Unexplained(Cause::OuterProcess),
            },
            Call::Ids(Ids::Capabilities) => Says::Unexplained(Cause::Capability),
            typed => tables.own(call.task, call.start, typed),
        },
        Parsed::Unexplained(cause) => Says::Unexplained(cause),
        Parsed::NotModelled => Says::NotModelled,
        Parsed::Unanswered => Says::Nothing,
    };
    let RawCall { task, name, start, end, .. } = call;
    PlannedCall { task, name, start, end, says, first_sight: false }
}

/// Of a group outside the log only a child that it yields can be checked.
fn without_outer_group(wait: Wait<Who>) -> Option<Wait<Who>> {
    match wait {
        Wait { target: Target::Group(Some(Who::Outside(_))), outcome } => match outcome {
            Outcome::Reaped(..) | Outcome::Seen(..) => Some(Wait { target: Target::Set, outcome }),
            Outcome::Nothing | Outcome::NoChild => None,
        },
        wait => Some(wait),
    }
}

fn note_capabilities(plan: &mut Plan, call: &RawCall) {
    if let Parsed::Modelled(Call::Ids(Ids::Capabilities)) = call.parsed {
        let proc = plan.proc_of(call.task);
        plan.procs[proc.index()].capable_from.get_or_insert(call.start);
    }
}

fn note_in_process(plan: &mut Plan, call: &PlannedCall) {
    let proc = plan.proc_of(call.task);
    let proc = &mut plan.procs[proc.index()];
    match &call.says {
        Says::Answer(Call::Exec(exec)) => proc.images.push((call.end, exec.comm.clone())),
        Says::Answer(Call::Exit(exit)) if exit.scope == Scope::Process => {
            proc.group_exit.get_or_insert(exit.code);
        }
        _ => {}
    }
}
