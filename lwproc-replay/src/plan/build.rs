//! The pass over the lines: who writes, which calls begin and end, who is born and dies.

use super::census::{Census, NameCount, ProblemKind};
use super::link;
use super::{Action, CallId, Death, Fate, NameId, Origin, Plan, ProcId, Step, Task, TaskId};
use crate::calls::{
    Call, Family, Parsed,
    process::{self, Descriptors, Fork, Identity, Makes, Which},
    wait::Status,
};
use crate::parse::{Answer, Line, LineError, LineReader, LoadError, RawLine, What};
use std::collections::{HashMap, HashSet};
use std::io::BufRead;

/// A call as read, its numbers not yet resolved.
#[derive(Debug)]
pub(super) struct RawCall {
    pub task: TaskId,
    pub name: NameId,
    pub start: u32,
    pub end: u32,
    pub parsed: Parsed,
    /// Set where the call may have made a task without telling its number.
    pub lost_fork: Option<(Makes, Descriptors)>,
}

/// A call in flight.
#[derive(Debug)]
struct Open {
    name: NameId,
    line: u32,
    modelled: Option<OpenCall>,
}

#[derive(Debug)]
struct OpenCall {
    call: CallId,
    family: Family,
    args: Vec<u8>,
}

/// What the pass collects.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub steps: Vec<Step>,
    pub calls: Vec<RawCall>,
    pub tasks: Vec<Task>,
    pub census: Census,
    names: HashMap<Vec<u8>, (NameId, Option<Family>)>,
    /// The task that bears a number now; 0 for a root whose number is not known yet.
    live: HashMap<i32, TaskId>,
    /// All lives of a number, in order.
    pub lives: HashMap<i32, Vec<TaskId>>,
    open: HashMap<TaskId, Open>,
    /// Whose line a message of strace broke.
    broken: Option<TaskId>,
    /// Numbers that strace announced as new.
    attached: HashSet<i32>,
}

/// Reads a whole log.
pub(super) fn read<R: BufRead>(mut reader: LineReader<R>) -> Result<Plan, LoadError> {
    let mut builder = Builder::default();
    let mut first_bad = None;
    while let Some(raw) = reader.next_line()? {
        let (line, parsed) = match &raw {
            RawLine::Text(line, text) => (*line, Line::parse(text)),
            RawLine::TooLong(line) => (*line, Err(LineError::TooLong)),
        };
        builder.census.lines = line;
        match parsed {
            Ok(parsed) => builder.line(line, parsed),
            Err(LineError::Blank) => builder.census.blank += 1,
            Err(reason) => {
                first_bad.get_or_insert((line, reason));
                builder.census.bad_line(line, ProblemKind::Line(reason));
            }
        }
    }
    match first_bad {
        _ if !builder.steps.is_empty() => Ok(link::link(builder)),
        Some((line, reason)) => Err(LoadError::NotALog { line, reason }),
        None => Err(LoadError::Empty),
    }
}

impl Builder {
    fn line(&mut self, line: u32, parsed: Line<'_>) {
        match parsed.what {
            What::Note => self.census.notes += 1,
            What::Attached(number) => {
                self.attached.insert(number);
                self.census.notes += 1;
            }
            What::Resumed { name: None, args, answer } => match self.broken.take() {
                Some(task) => self.resumed(line, task, None, args, answer),
                None => self.census.bad_line(line, ProblemKind::ResumedWithoutStart),
            },
            what => match self.writer(line, parsed.tid) {
                Some(task) => self.written(line, task, what),
                None => self.census.bad_line(line, ProblemKind::NoNumber),
            },
        }
    }

    /// A line that a task wrote.
    fn written(&mut self, line: u32, task: TaskId, what: What<'_>) {
        let farewell =
            matches!(what, What::Exited(_) | What::Killed { .. } | What::Superseded { .. });
        if !farewell {
            self.tasks[task.index()].dying_from = line;
        }
        match what {
            What::Call { name, args, answer } => self.whole(line, task, name, args, answer),
            What::Unfinished { name, args, attached } => {
                self.unfinished(line, task, name, args);
                self.broken = attached.map(|_| task);
                self.attached.extend(attached);
            }
            What::Resumed { name, args, answer } => self.resumed(line, task, name, args, answer),
            What::Signal => {
                self.census.signals += 1;
                self.step(line, task, Action::Line);
            }
            What::Exited(code) => self.death(line, task, Status::Exited(code)),
            What::Killed { signal, core_dumped } => {
                self.death(line, task, Status::Killed { signal, core_dumped });
            }
            What::Superseded { by } => self.superseded(line, task, by),
            What::Attached(_) | What::Note => self.census.notes += 1,
        }
    }

    fn step(&mut self, line: u32, task: TaskId, action: Action) {
        self.steps.push(Step { line, task, action });
    }

    /// Whose line it is; a number never seen is a new task.
    fn writer(&mut self, line: u32, tid: Option<i32>) -> Option<TaskId> {
        let Some(number) = tid else {
            return match self.live.len() {
                0 if self.tasks.is_empty() => Some(self.appear(line, 0)),
                1 => self.live.values().next().copied(),
                _ => None,
            };
        };
        if let Some(task) = self.live.get(&number) {
            return Some(*task);
        }
        if self.live.contains_key(&0) && !self.attached.contains(&number) {
            return self.name_root(number);
        }
        Some(self.appear(line, number))
    }

    fn appear(&mut self, line: u32, number: i32) -> TaskId {
        let origin = if self.tasks.is_empty() { Origin::Root } else { Origin::Stray };
        let task = self.birth(line, number, origin);
        self.step(line, task, Action::Appear);
        task
    }

    fn birth(&mut self, line: u32, number: i32, origin: Origin) -> TaskId {
        let task = TaskId::at(self.tasks.len());
        self.tasks.push(Task {
            number,
            proc: ProcId(0),
            origin,
            birth: line,
            dying_from: u32::MAX,
            death: None,
            exit_code: None,
        });
        self.live.insert(number, task);
        self.lives.entry(number).or_default().push(task);
        task
    }

    /// A log of a single task has no numbers: the first one seen is the root's.
    fn name_root(&mut self, number: i32) -> Option<TaskId> {
        let root = self.live.remove(&0)?;
        self.tasks[root.index()].number = number;
        self.live.insert(number, root);
        self.lives.entry(number).or_default().insert(0, root);
        Some(root)
    }

    fn name(&mut self, name: &[u8]) -> (NameId, Option<Family>) {
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let known = (NameId::at(self.census.names.len()), crate::calls::family(name));
        self.names.insert(name.to_owned(), known);
        let name = String::from_utf8_lossy(name).into_owned();
        self.census.names.push(NameCount { name, calls: 0, not_modelled: 0, unanswered: 0 });
        known
    }

    fn count(&mut self, name: NameId) -> &mut NameCount {
        &mut self.census.names[name.index()]
    }

    fn whole(&mut self, line: u32, task: TaskId, name: &[u8], args: &[u8], answer: Answer<'_>) {
        self.census.whole += 1;
        self.abandon(task);
        let (name, family) = self.name(name);
        self.count(name).calls += 1;
        let Some(family) = family else {
            self.count(name).not_modelled += 1;
            return self.step(line, task, Action::Line);
        };
        let call = self.begin(line, task, name, args);
        self.finish(call, line, family, args, answer);
        self.step(line, task, Action::Whole(call));
    }

    fn begin(&mut self, line: u32, task: TaskId, name: NameId, args: &[u8]) -> CallId {
        let text = &self.census.names[name.index()].name;
        let forks = matches!(text.as_str(), "fork" | "vfork" | "clone" | "clone3");
        let call = CallId::at(self.calls.len());
        self.calls.push(RawCall {
            task,
            name,
            start: line,
            end: u32::MAX,
            parsed: Parsed::Unanswered,
            lost_fork: forks.then(|| (process::makes(args), process::descriptors(args))),
        });
        call
    }

    fn unfinished(&mut self, line: u32, task: TaskId, name: &[u8], args: &[u8]) {
        self.census.unfinished += 1;
        self.abandon(task);
        let (name, family) = self.name(name);
        self.count(name).calls += 1;
        let modelled = family.map(|family| {
            let call = self.begin(line, task, name, args);
            self.step(line, task, Action::Begin(call));
            OpenCall { call, family, args: args.to_owned() }
        });
        if modelled.is_none() {
            self.step(line, task, Action::Line);
        }
        self.open.insert(task, Open { name, line, modelled });
    }

    fn resumed(
        &mut self,
        line: u32,
        task: TaskId,
        name: Option<&[u8]>,
        args: &[u8],
        answer: Answer<'_>,
    ) {
        let same = |open: &Open, census: &Census| match name {
            Some(name) => census.names[open.name.index()].name.as_bytes() == name,
            None => true,
        };
        let Some(open) = self.open.remove(&task) else {
            return self.census.bad_line(line, ProblemKind::ResumedWithoutStart);
        };
        if !same(&open, &self.census) {
            self.open.insert(task, open);
            return self.census.bad_line(line, ProblemKind::ResumedWithoutStart);
        }
        self.census.resumed += 1;
        match open.modelled {
            Some(mut modelled) => {
                modelled.args.extend_from_slice(args);
                self.finish(modelled.call, line, modelled.family, &modelled.args, answer);
                self.step(line, task, Action::End(modelled.call));
            }
            None => {
                self.count(open.name).not_modelled += 1;
                self.step(line, task, Action::Line);
            }
        }
    }

    /// A call is complete: read it, and note what the pass itself needs of it.
    fn finish(&mut self, id: CallId, line: u32, family: Family, args: &[u8], answer: Answer<'_>) {
        let name = self.census.names[self.calls[id.index()].name.index()].name.clone();
        let parsed = family(name.as_bytes(), args, answer);
        let call = &mut self.calls[id.index()];
        call.end = line;
        // Only a plain `?` leaves open whether there is a child.
        if answer != Answer::None {
            call.lost_fork = None;
        }
        let (task, name, start) = (call.task, call.name, call.start);
        match &parsed {
            // Counted when the calls are linked: only then all of them are known.
            Parsed::NotModelled => {}
            Parsed::Unanswered => self.count(name).unanswered += 1,
            Parsed::Modelled(Call::Fork(fork)) => {
                self.child(id, task, start, line, *fork);
            }
            Parsed::Modelled(Call::Identity(Identity {
                which: Which::Pid | Which::Tid,
                answer,
            })) if *answer > 0 && self.tasks[task.index()].number == 0 => {
                self.name_root(*answer);
            }
            Parsed::Modelled(Call::Exit(exit)) => {
                // It does not return; the `+++` line answers for it.
                self.census.names[name.index()].unanswered += 1;
                let task = &mut self.tasks[task.index()];
                task.dying_from = start;
                if exit.scope == process::Scope::Thread {
                    task.exit_code = Some(exit.code);
                }
            }
            Parsed::Modelled(_) => {}
        }
        self.calls[id.index()].parsed = parsed;
    }

    /// A fork returned `number`: tie it to the task that appeared, or let it be born now.
    fn child(&mut self, call: CallId, parent: TaskId, start: u32, end: u32, fork: Fork<i32>) {
        let Fork { makes, descriptors, child: number } = fork;
        let origin = Origin::Fork { call, parent, makes, descriptors };
        let latest = self.lives.get(&number).and_then(|lives| lives.last()).copied();
        match latest.map(|task| &mut self.tasks[task.index()]) {
            // It cannot be its own parent, whatever a damaged log says.
            Some(task)
                if task.origin == Origin::Stray && task.birth >= start && latest > Some(parent) =>
            {
                task.origin = origin;
            }
            // Alive already, from another fork: the replay will disagree.
            Some(_) if self.live.contains_key(&number) => {}
            _ => drop(self.birth(end, number, origin)),
        }
    }

    /// Another line of a task whose call never came back.
    fn abandon(&mut self, task: TaskId) {
        if let Some(open) = self.open.remove(&task) {
            self.count(open.name).unanswered += 1;
            self.census.problem(open.line, ProblemKind::NeverResumed);
        }
    }

    fn death(&mut self, line: u32, task: TaskId, status: Status) {
        self.census.farewells += 1;
        if let Some(open) = self.open.remove(&task) {
            self.count(open.name).unanswered += 1;
        }
        let gone = &mut self.tasks[task.index()];
        gone.death = Some(Death { line, fate: Fate::Ended(status) });
        let number = gone.number;
        self.live.remove(&number);
        self.step(line, task, Action::Death);
    }

    fn superseded(&mut self, line: u32, leader: TaskId, by: i32) {
        let thread = match self.live.get(&by) {
            Some(thread) if *thread != leader => *thread,
            _ => {
                return self.census.bad_line(line, ProblemKind::SupersededByStranger(by));
            }
        };
        self.census.farewells += 1;
        if let Some(open) = self.open.remove(&leader) {
            self.count(open.name).unanswered += 1;
        }
        for task in [leader, thread] {
            let gone = &mut self.tasks[task.index()];
            gone.death = Some(Death { line, fate: Fate::Superseded });
            let number = gone.number;
            self.live.remove(&number);
        }
        let number = self.tasks[leader.index()].number;
        let task = self.birth(line, number, Origin::Exec { leader, thread });
        self.step(line, task, Action::Supersede);
        // The execve returns under the new number.
        if let Some(open) = self.open.remove(&thread) {
            if let Some(modelled) = &open.modelled {
                self.calls[modelled.call.index()].task = task;
            }
            self.open.insert(task, open);
        }
    }

    /// Calls still in flight when the log ends.
    pub fn end_of_log(&mut self) {
        let mut open: Vec<_> = self.open.drain().map(|(_, open)| open).collect();
        open.sort_by_key(|open| open.line);
        for open in open {
            self.count(open.name).unanswered += 1;
            self.census.problem(open.line, ProblemKind::NeverResumed);
        }
    }
}
