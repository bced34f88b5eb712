//! Descriptors: which numbers are given out, which are open, what an execve closes.

use crate::calls::files::{Attempt, Files};
use crate::plan::{CallId, ProcId};
use crate::scene::{Adoption, Cause, Pull, Reason, Scene, Settled, Verdict};
use crate::world::{Answer, Descriptor, FdLimit, Known, Need, Table, closed_by};
use lwproc::{CloseRange, Errno, OnExec};
use std::collections::VecDeque;

/// How many effects are applied early for one answer, at most.
const MOST_PULLS: usize = 256;

/// How many calls in flight are tried in every order, at most.
const MOST_TRIED: usize = 8;

pub(super) fn verdict(scene: &mut Scene<'_, '_>, id: CallId, files: &Files) -> Verdict {
    let proc = scene.caller(id);
    let (table, limit) = (scene.world.table(proc), limit_for(scene, files));
    let possible = table.need(files, limit.ours).is_none();
    if let Some(new) = beside_open(files) {
        return Verdict::of(possible && opens_now(scene, id, new));
    }
    if possible {
        return Verdict::Agrees;
    }
    if let Some((pulls, _)) = explain(scene, proc, table, files, &[id]) {
        return Verdict::After(pulls);
    }
    // What a limit decides that the log does not tell says nothing about the descriptors.
    if limit.least < limit.ours && table.need(files, limit.least).is_none() {
        return Verdict::Unexplained(Cause::OuterLimit);
    }
    let mut search = Search::new(scene, proc, table, &[id], Adopts::WhatIsOpen);
    match files {
        _ if search.satisfy(files) => Verdict::After(search.pulls),
        Files::Refused { or: Some(cause), .. } => Verdict::Unexplained(*cause),
        _ => Verdict::Disagrees,
    }
}

/// The limit that decides an error; nothing else asks for one.
fn limit_for(scene: &Scene<'_, '_>, files: &Files) -> FdLimit {
    match files {
        Files::Refused { .. } => scene.world.fd_limit(),
        _ => FdLimit::NONE,
    }
}

/// The number that another call must be opening meanwhile: EBUSY.
fn beside_open(files: &Files) -> Option<i32> {
    match files {
        Files::Refused { attempt: Attempt::CopyTo { new, .. }, errno: Errno::EBUSY, .. } => {
            Some(*new)
        }
        _ => None,
    }
}

/// Whether a call in flight opens this number.
fn opens_now(scene: &Scene<'_, '_>, id: CallId, fd: i32) -> bool {
    let mut others = scene.files_in_flight(scene.caller(id)).filter(|(other, _)| *other != id);
    others.any(|(_, files)| match files {
        Files::Open { fds, .. } => fds.contains(&fd),
        Files::Copy { new, .. } => *new == fd,
        _ => false,
    })
}

/// Effects in flight, but for those of some calls, after which a call answers as it did; and the
/// table then.
fn explain(
    scene: &Scene<'_, '_>,
    proc: ProcId,
    table: &Table,
    files: &Files,
    but: &[CallId],
) -> Option<(Vec<Pull>, Table)> {
    // What the answer needs, and what that needs, is found at once nearly always.
    let mut search = Search::new(scene, proc, table, but, Adopts::Nothing);
    if search.satisfy(files) {
        return Some((search.pulls, search.table));
    }
    any_order(scene, proc, table, files, but)
}

/// Tries every order of the calls in flight, shortest first, when they are few.
fn any_order(
    scene: &Scene<'_, '_>,
    proc: ProcId,
    table: &Table,
    files: &Files,
    but: &[CallId],
) -> Option<(Vec<Pull>, Table)> {
    let limit = limit_for(scene, files).ours;
    let in_flight = scene.files_in_flight(proc).filter(|(call, _)| !but.contains(call));
    let in_flight: Vec<_> = in_flight.take(MOST_TRIED + 1).collect();
    if in_flight.len() > MOST_TRIED {
        return None;
    }
    // The same calls in another order leave the same table, or one that is no better.
    let mut seen = vec![false; 1 << in_flight.len()];
    let mut tries = VecDeque::from([(0_usize, Vec::new(), table.clone())]);
    while let Some((applied, pulls, table)) = tries.pop_front() {
        if table.need(files, limit).is_none() {
            return Some((pulls, table));
        }
        for (at, (call, other)) in in_flight.iter().enumerate() {
            let with = applied | 1 << at;
            if seen[with] || table.need(other, limit).is_some() {
                continue;
            }
            seen[with] = true;
            let (mut table, mut pulls) = (table.clone(), pulls.clone());
            table.apply(other);
            pulls.push(Pull::Call(*call));
            tries.push_back((with, pulls, table));
        }
    }
    None
}

/// Looks for effects after which a call answers as it did.
struct Search<'s, 'p, 'k> {
    scene: &'s Scene<'p, 'k>,
    proc: ProcId,
    /// No new number is as high.
    limit: i32,
    /// The table after the effects found.
    table: Table,
    /// Calls that are not to be looked at again.
    tried: Vec<CallId>,
    pulls: Vec<Pull>,
    adopts: Adopts,
}

/// Whether a search may take what the log leaves open to be as a call needs it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Adopts {
    WhatIsOpen,
    Nothing,
}

impl<'s, 'p, 'k> Search<'s, 'p, 'k> {
    fn new(
        scene: &'s Scene<'p, 'k>,
        proc: ProcId,
        table: &Table,
        but: &[CallId],
        adopts: Adopts,
    ) -> Self {
        let limit = scene.world.fd_limit().ours;
        let (table, tried) = (table.clone(), but.to_vec());
        Self { scene, proc, limit, table, tried, pulls: Vec::new(), adopts }
    }

    fn satisfy(&mut self, files: &Files) -> bool {
        while let Some(need) = self.table.need(files, self.limit) {
            if self.pulls.len() >= MOST_PULLS || !(self.pull_call(need) || self.adopt(need)) {
                return false;
            }
        }
        true
    }

    /// A call in flight that makes it so, and can itself have answered as it did.
    fn pull_call(&mut self, need: Need) -> bool {
        let in_flight: Vec<_> = self.scene.files_in_flight(self.proc).collect();
        for (call, files) in in_flight {
            if self.tried.contains(&call) || !makes(files, need) {
                continue;
            }
            self.tried.push(call);
            let (table, pulls) = (self.table.clone(), self.pulls.len());
            if self.satisfy(files) {
                self.table.apply(files);
                self.pulls.push(Pull::Call(call));
                return true;
            }
            self.table = table;
            self.pulls.truncate(pulls);
        }
        false
    }

    /// What overlapping calls leave open, and what came from outside, is as the answer says.
    fn adopt(&mut self, need: Need) -> bool {
        let (fd, state): (i32, Descriptor) = match need {
            Need::Open(fd) => (fd, Some(OnExec::Keep)),
            Need::Closed(fd) => (fd, None),
            Need::Marked(fd, mark) => (fd, Some(mark)),
            Need::Never => return false,
        };
        if self.adopts == Adopts::Nothing {
            return false;
        }
        let reason = match self.table.known(fd) {
            Known::ByOrder => Reason::Order,
            Known::NotSeen => Reason::FirstSight,
            Known::Unseen => Reason::Unseen,
            Known::Told => return false,
        };
        self.table.set(fd, state);
        self.pulls.push(Pull::Adopt(Adoption { proc: self.proc, fd, state, reason }));
        true
    }
}

/// Whether the call has this effect.
fn makes(files: &Files, need: Need) -> bool {
    match (files, need) {
        (Files::Open { fds, .. }, Need::Open(fd)) => fds.contains(&fd),
        (Files::Copy { new, .. } | Files::CopyTo { new, .. }, Need::Open(fd)) => *new == fd,
        (Files::Close(closed), Need::Closed(fd)) => *closed == fd,
        (Files::CloseRange(first, last), Need::Closed(fd)) => (*first..=*last).contains(&fd),
        (Files::SetOnExec(of, set), Need::Marked(fd, mark)) => (*of, *set) == (fd, mark),
        (Files::CopyTo { new, by, .. }, Need::Marked(fd, mark)) => {
            (*new, by.on_exec()) == (fd, mark)
        }
        (Files::MarkRange(first, last), Need::Marked(fd, mark)) => {
            mark == OnExec::Close && (*first..=*last).contains(&fd)
        }
        _ => false,
    }
}

/// Calls in flight that must have come before this one: they can answer as they did now, could not
/// any more after this call, and leave this call's own answer right.
pub(super) fn overtaken_by(scene: &Scene<'_, '_>, id: CallId, files: &Files) -> Option<Vec<Pull>> {
    let proc = scene.caller(id);
    // Nearly always there is none.
    scene.files_in_flight(proc).find(|(other, _)| *other != id)?;
    let table = scene.world.table(proc);
    let mut after = table.clone();
    after.apply(files);
    scene.files_in_flight(proc).filter(|(other, _)| *other != id).find_map(|(other, in_flight)| {
        let but = [id, other];
        if explain(scene, proc, &after, in_flight, &but).is_some() {
            return None;
        }
        let (mut pulls, mut before) = explain(scene, proc, table, in_flight, &but)?;
        before.apply(in_flight);
        pulls.push(Pull::Call(other));
        let limit = limit_for(scene, files).ours;
        before.need(files, limit).is_none().then_some(pulls)
    })
}

/// Asks the kernel, and books the answer.
pub(super) fn act(scene: &mut Scene<'_, '_>, id: CallId, files: &Files) -> Result<Settled, String> {
    let proc = scene.caller(id);
    let found = ask(scene, files);
    let changes = scene.world.table(proc).changes(files);
    let (start, line) = (scene.plan.call(id).start, scene.now);
    let table = scene.world.table_mut(proc);
    let unseen = match files {
        Files::Unseen { given, .. } => !table.unseen(*given).is_empty(),
        _ => false,
    };
    let contested = table.contested(files, &changes, start, line);
    table.remember(line, files, &changes);
    table.apply(files);
    contested.into_iter().for_each(|fd| table.doubt(fd));
    if found.is_err() {
        scene.world.repair_table(proc).map_err(|trouble| trouble.to_string())?;
    }
    found.map(|()| match unseen {
        true => Settled::Unexplained(Cause::UnseenDescriptor),
        false => Settled::Agreed,
    })
}

fn ask(scene: &mut Scene<'_, '_>, files: &Files) -> Result<(), String> {
    let world = &mut scene.world;
    match files {
        Files::Open { fds, on_exec } => {
            fds.iter().try_for_each(|fd| same_number(*fd, world.open(*on_exec)))
        }
        Files::Copy { old, min, new, on_exec } => {
            same_number(*new, world.copy(*old, *min, *on_exec))
        }
        Files::CopyTo { old, new, gave, by } => same_number(*gave, world.copy_to(*old, *new, *by)),
        Files::Close(fd) => done(world.close(*fd)),
        Files::CloseRange(first, last) => done(world.range(*first, *last, CloseRange::Close)),
        Files::MarkRange(first, last) => done(world.range(*first, *last, CloseRange::SetOnExec)),
        Files::SetOnExec(fd, mark) => done(world.set_mark(*fd, *mark)),
        Files::GetOnExec(fd, mark) => match world.mark(*fd) {
            Ok(ours) if ours == *mark => Ok(()),
            ours => {
                Err(format!("the log says {}, the kernel {}", state(Some(*mark)), answer(ours)))
            }
        },
        Files::Used(fd) => done(world.use_one(*fd)),
        Files::Unseen { used, .. } => used.map_or(Ok(()), |fd| done(world.use_one(fd))),
        Files::Part(_) => Ok(()),
        Files::Refused { attempt, errno, .. } => {
            let ours = match beside_open(files) {
                Some(new) => world.attempt_beside_open(attempt, new),
                None => world.attempt(attempt),
            };
            match ours {
                Err(ours) if ours == *errno => Ok(()),
                ours => {
                    let ours = ours.map_or_else(|errno| errno.to_string(), |()| "done".to_owned());
                    Err(format!("the log says {errno}, the kernel {ours}"))
                }
            }
        }
    }
}

fn same_number(log: i32, ours: Answer<i32>) -> Result<(), String> {
    match ours {
        Ok(ours) if ours == log => Ok(()),
        Ok(ours) => Err(format!("the log says {log}, the kernel {ours}")),
        Err(errno) => Err(format!("the log says {log}, the kernel {errno}")),
    }
}

fn done(ours: Answer<()>) -> Result<(), String> {
    ours.map_err(|errno| format!("the log says that it is done, the kernel {errno}"))
}

fn answer(ours: Answer<OnExec>) -> String {
    ours.map_or_else(|errno| errno.to_string(), |mark| state(Some(mark)).to_owned())
}

fn state(descriptor: Descriptor) -> &'static str {
    match descriptor {
        None => "closed",
        Some(OnExec::Keep) => "open",
        Some(OnExec::Close) => "open, closed by an execve",
    }
}

/// An answer that no order explains: says why, and goes on as the log has it.
pub(super) fn follow(scene: &mut Scene<'_, '_>, id: CallId, files: &Files) -> String {
    let proc = scene.caller(id);
    let limit = scene.world.fd_limit().ours;
    let why = match scene.world.table(proc).need(files, limit) {
        _ if beside_open(files).is_some() => "no call opens that number meanwhile".to_owned(),
        Some(Need::Open(fd)) => format!("descriptor {fd} must be open, and is closed"),
        Some(Need::Closed(fd)) => format!("descriptor {fd} must be closed, and is open"),
        Some(Need::Marked(fd, mark)) => {
            let ours = state(scene.world.table(proc).get(fd));
            format!("descriptor {fd} must be {}, and is {ours}", state(Some(mark)))
        }
        Some(Need::Never) | None => "no table gives these numbers".to_owned(),
    };
    let table = scene.world.table_mut(proc);
    table.apply(files);
    match files {
        Files::Used(fd) if table.get(*fd).is_none() => table.set(*fd, Some(OnExec::Keep)),
        Files::Refused { attempt, errno: Errno::EBADF, .. } => {
            if let Some(fd) = closed_by(attempt) {
                table.set(fd, None);
            }
        }
        _ => {}
    }
    match scene.world.repair_table(proc) {
        Ok(()) => why,
        Err(trouble) => format!("{why}; {trouble}"),
    }
}

/// The table of the kernel is the one that the log's answers make.
pub(super) fn same_tables(scene: &mut Scene<'_, '_>, proc: ProcId) -> Result<(), String> {
    match scene.world.table_difference(proc) {
        None => Ok(()),
        Some((fd, log, ours)) => Err(format!(
            "by the log descriptor {fd} is {}, in the kernel it is {}",
            state(log),
            state(ours)
        )),
    }
}
