//! What the first task got from outside the log: its ids, group, session and limits.
//!
//! The first answer about each, by a process that has them unchanged, is taken for what the
//! first task was started with. It is counted apart: nothing confirms it.

use super::{Action, CallId, Origin, Plan, ProcId, Says, TaskId, Who};
use crate::calls::{
    Call, Cause,
    groups::{Groups, Which},
    ids::{self, Ids, Side},
    limits::{Granted, Limits},
};
use lwproc::{CredChange, Limit, Resource};

/// Ids of one side: real, effective, saved.
type ThreeIds = [Option<u32>; 3];

/// What the first task got from outside the log, as far as the log tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outer {
    users: ThreeIds,
    groups: ThreeIds,
    supplementary: Option<Vec<u32>>,
    /// Its limits, where the log tells them.
    pub limits: Vec<(Resource, Limit)>,
    /// Its process group.
    pub pgrp: Option<Who>,
    /// Its session.
    pub session: Option<Who>,
    /// Other groups outside the log that processes have joined.
    pub other_groups: Vec<Who>,
}

impl Outer {
    /// The changes of the superuser's ids that make them so; the users come last.
    pub fn changes(&self) -> Vec<CredChange> {
        let mut changes = Vec::new();
        if let Some(groups) = &self.supplementary {
            changes.push(CredChange::SetGroups(groups.as_slice().into()));
        }
        if let Some([real, effective, saved]) = whole(self.groups) {
            changes.push(CredChange::SetResgid(real, effective, saved));
        }
        if let Some([real, effective, saved]) = whole(self.users) {
            changes.push(CredChange::SetResuid(real, effective, saved));
        }
        changes
    }
}

/// Ids that the log does not tell are those it does: one starts with all three the same.
fn whole(ids: ThreeIds) -> Option<ThreeIds> {
    let any = ids.into_iter().flatten().next()?;
    let [real, effective, saved] = ids;
    let effective = effective.or(real).unwrap_or(any);
    Some([real.or(Some(effective)), Some(effective), saved.or(Some(effective))])
}

/// What a process has changed since the first task began: the outer value is not its own.
type Changed = u32;

const USERS: Changed = 1;
const GROUPS: Changed = 1 << 1;
const SUPPLEMENTARY: Changed = 1 << 2;
const PGRP: Changed = 1 << 3;
const SESSION: Changed = 1 << 4;

fn side(side: Side) -> Changed {
    match side {
        Side::Users => USERS,
        Side::Groups => GROUPS,
    }
}

fn limit(resource: Resource) -> Changed {
    let at = Resource::ALL.iter().position(|known| *known == resource);
    // More than fit a word would share the last bit: they would be learnt less often.
    1 << at.map_or(31, |at| (8 + at).min(31))
}

/// Goes over the log once more, and marks the calls it took the first sight from.
pub(super) fn learn(plan: &mut Plan) {
    let mut pass = Pass { changed: vec![None; plan.procs.len()], outer: Outer::default() };
    for index in 0..plan.steps.len() {
        let step = plan.steps[index];
        match step.action {
            Action::Appear | Action::Supersede => pass.born(plan, step.task),
            Action::Whole(call) | Action::End(call) => {
                let first_sight = pass.call(plan, call);
                plan.calls[call.index()].first_sight = first_sight;
            }
            Action::Begin(_) | Action::Line | Action::Quiet | Action::Signal(_) | Action::Death => {
            }
        }
    }
    plan.outer = pass.outer;
    forget_other_groups(plan);
}

/// Whether a process could join a group outside the log is not ours to say, unless it is the one
/// that the first task was started in.
fn forget_other_groups(plan: &mut Plan) {
    for call in &mut plan.calls {
        if let Says::Answer(Call::Groups(Groups::Join { group, answer: Ok(()), .. })) = &call.says
            && matches!(group, Some(Who::Outside(_)))
            && *group != plan.outer.pgrp
        {
            plan.outer.other_groups.extend(*group);
            call.says = Says::Unexplained(Cause::OuterProcess);
        }
    }
}

struct Pass {
    /// By process; `None` before its birth.
    changed: Vec<Option<Changed>>,
    outer: Outer,
}

impl Pass {
    fn born(&mut self, plan: &Plan, task: TaskId) {
        let maker = match plan.task(task).origin {
            Origin::Fork { parent, .. } => self.changed[plan.proc_of(parent).index()],
            _ => None,
        };
        self.changed[plan.proc_of(task).index()].get_or_insert(maker.unwrap_or(0));
    }

    fn changes(&mut self, proc: ProcId, what: Changed) {
        *self.changed[proc.index()].get_or_insert(0) |= what;
    }

    fn has_outer(&self, proc: ProcId, what: Changed) -> bool {
        self.changed[proc.index()].unwrap_or(0) & what == 0
    }

    /// Whether the answer is a first sight.
    fn call(&mut self, plan: &Plan, id: CallId) -> bool {
        let call = plan.call(id);
        let proc = plan.proc_of(call.task);
        let Says::Answer(says) = &call.says else {
            return false;
        };
        match says {
            Call::Fork(fork) => {
                if let Who::Task(child) = fork.child {
                    self.born(plan, child);
                }
                false
            }
            Call::Ids(ids) => self.ids(proc, ids),
            Call::Groups(groups) => self.group(plan, proc, groups),
            Call::Limits(limits) => self.limit(plan, proc, limits),
            _ => false,
        }
    }

    fn ids(&mut self, proc: ProcId, ids: &Ids) -> bool {
        match ids {
            Ids::One(which, part, id) if self.has_outer(proc, side(*which)) => {
                let ids = self.side(*which);
                see_id(ids, *part as usize, *id)
            }
            Ids::All(which, told) if self.has_outer(proc, side(*which)) => {
                let ids = self.side(*which);
                (0..3).map(|at| see_id(ids, at, told[at])).fold(false, |a, b| a | b)
            }
            Ids::Groups(told) if self.has_outer(proc, SUPPLEMENTARY) => {
                see(&mut self.outer.supplementary, told.clone())
            }
            // How many there are is known, and no more: that many different ones.
            Ids::GroupCount(count) if self.has_outer(proc, SUPPLEMENTARY) => {
                let some = (0..*count).filter_map(|id| u32::try_from(id).ok()).collect();
                see(&mut self.outer.supplementary, some)
            }
            Ids::Change(change, ids::Granted::Yes) => {
                let what = match change {
                    CredChange::SetGroups(_) => SUPPLEMENTARY,
                    CredChange::SetGid(_)
                    | CredChange::SetEgid(_)
                    | CredChange::SetRegid(..)
                    | CredChange::SetResgid(..) => GROUPS,
                    _ => USERS,
                };
                self.changes(proc, what);
                false
            }
            _ => false,
        }
    }

    fn side(&mut self, which: Side) -> &mut ThreeIds {
        match which {
            Side::Users => &mut self.outer.users,
            Side::Groups => &mut self.outer.groups,
        }
    }

    fn group(&mut self, plan: &Plan, proc: ProcId, groups: &Groups<Who>) -> bool {
        let proc_of = |who: Option<Who>| match who {
            Some(Who::Task(task)) => plan.proc_of(task),
            _ => proc,
        };
        match groups {
            // Nothing is known of the first task by one outside the log.
            Groups::Get { of: Some(Who::Outside(_)), .. }
            | Groups::Join { who: Some(Who::Outside(_)), .. } => false,
            Groups::Get { which, of, answer: Ok(answer) } => match which {
                Which::Pgrp if self.has_outer(proc_of(*of), PGRP) => {
                    see(&mut self.outer.pgrp, *answer)
                }
                Which::Session if self.has_outer(proc_of(*of), SESSION) => {
                    see(&mut self.outer.session, *answer)
                }
                _ => false,
            },
            Groups::Join { who, answer: Ok(()), .. } => {
                self.changes(proc_of(*who), PGRP);
                false
            }
            Groups::Lead { answer: Ok(_) } => {
                self.changes(proc, PGRP | SESSION);
                false
            }
            _ => false,
        }
    }

    fn limit(&mut self, plan: &Plan, proc: ProcId, limits: &Limits<Who>) -> bool {
        let of = match limits.of {
            Some(Who::Task(task)) => plan.proc_of(task),
            Some(Who::Outside(_)) => return false,
            None => proc,
        };
        let mut first = false;
        if let Some(old) = limits.old
            && self.has_outer(of, limit(limits.resource))
        {
            let known = &mut self.outer.limits;
            first = known.iter().all(|(resource, _)| *resource != limits.resource);
            if first {
                known.push((limits.resource, old));
            }
        }
        if limits.new.is_some() && limits.granted == Granted::Yes {
            self.changes(of, limit(limits.resource));
        }
        first
    }
}

/// As [`see`]. What is expected already, because one starts with all three the same, is no news.
fn see_id(ids: &mut ThreeIds, at: usize, id: u32) -> bool {
    let expected = ids.contains(&Some(id));
    see(&mut ids[at], id) && !expected
}

/// Whether this is the first sight.
fn see<T>(at: &mut Option<T>, value: T) -> bool {
    let first = at.is_none();
    at.get_or_insert(value);
    first
}
