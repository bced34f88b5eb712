//! The pass over the lines: who writes, which calls begin and end, who is born and dies.

use super::census::{Census, NameCount, ProblemKind};
use super::link;
use super::signals::RawDelivery;
use super::{Action, CallId, DeliveryId, NameId, Origin, Plan, ProcId, Step, Task, TaskId};
use crate::calls::{
    Call, Family, Parsed,
    kill::Found,
    process::{self, Descriptors, Fork, Identity, Makes, Which},
    wait::Status,
};
use crate::parse::{Answer, Line, LineError, LineReader, LoadError, RawLine, What, text};
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
pub(super) struct Open {
    pub name: NameId,
    pub line: u32,
    pub modelled: Option<OpenCall>,
}

#[derive(Debug)]
pub(super) struct OpenCall {
    pub call: CallId,
    pub family: Family,
    pub args: Vec<u8>,
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
    pub(super) live: HashMap<i32, TaskId>,
    /// All lives of a number, in order.
    pub lives: HashMap<i32, Vec<TaskId>>,
    pub(super) open: HashMap<TaskId, Open>,
    /// Whose line a message of strace broke.
    broken: Option<TaskId>,
    /// Numbers that strace announced as new.
    attached: HashSet<i32>,
    pub deliveries: Vec<RawDelivery>,
    /// Tasks that send or get signals that no kill shows.
    pub other_signals: Vec<TaskId>,
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
            What::Signal { signal, from } => {
                self.census.signals += 1;
                let delivery = DeliveryId::at(self.deliveries.len());
                self.deliveries.push(RawDelivery { signal, from });
                self.step(line, task, Action::Signal(delivery));
            }
            What::Stopped => {
                self.census.signals += 1;
                self.step(line, task, Action::Quiet);
            }
            What::Exited(code) => self.death(line, task, Status::Exited(code)),
            What::Killed { signal, core_dumped } => {
                self.death(line, task, Status::Killed { signal, core_dumped });
            }
            What::Superseded { by } => self.superseded(line, task, by),
            What::Attached(_) | What::Note => self.census.notes += 1,
        }
    }

    pub(super) fn step(&mut self, line: u32, task: TaskId, action: Action) {
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

    pub(super) fn birth(&mut self, line: u32, number: i32, origin: Origin) -> TaskId {
        let task = TaskId::at(self.tasks.len());
        self.tasks.push(Task {
            number,
            proc: ProcId(0),
            origin,
            birth: line,
            dying_from: u32::MAX,
            death: None,
            exit_code: None,
            exits: None,
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

    pub(super) fn count(&mut self, name: NameId) -> &mut NameCount {
        &mut self.census.names[name.index()]
    }

    /// Notes calls by which signals come that no kill shows: a process that sends by its pidfds
    /// may be the sender; one that is told of its parent's end gets a signal from it.
    fn note_other_signals(&mut self, task: TaskId, name: NameId, args: &[u8]) {
        let name = self.census.names[name.index()].name.as_str();
        let death = name == "prctl" && text::has_flag(args, b"PR_SET_PDEATHSIG");
        if death || name == "pidfd_send_signal" {
            self.other_signals.push(task);
        }
    }

    fn whole(&mut self, line: u32, task: TaskId, name: &[u8], args: &[u8], answer: Answer<'_>) {
        self.census.whole += 1;
        self.abandon(task);
        let (name, family) = self.name(name);
        self.count(name).calls += 1;
        self.note_other_signals(task, name, args);
        let Some(family) = family else {
            self.count(name).not_modelled += 1;
            return self.step(line, task, line_of(answer));
        };
        let call = self.begin(line, task, name, args);
        self.finish(call, line, family, args, answer);
        self.step(line, task, Action::Whole(call));
    }

    fn begin(&mut self, line: u32, task: TaskId, name: NameId, args: &[u8]) -> CallId {
        let text = &self.census.names[name.index()].name;
        let exits = match text.as_str() {
            "exit" => Some((line, process::Scope::Thread)),
            "exit_group" => Some((line, process::Scope::Process)),
            _ => None,
        };
        let known = &mut self.tasks[task.index()].exits;
        *known = known.or(exits);
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
        self.note_other_signals(task, name, args);
        let modelled = family.map(|family| {
            let call = self.begin(line, task, name, args);
            self.step(line, task, Action::Begin(call));
            OpenCall { call, family, args: args.to_owned() }
        });
        if modelled.is_none() {
            self.step(line, task, Action::Quiet);
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
                self.step(line, task, line_of(answer));
            }
        }
    }

    /// A call is complete: read it, and note what the pass itself needs of it.
    pub(super) fn finish(
        &mut self,
        id: CallId,
        line: u32,
        family: Family,
        args: &[u8],
        answer: Answer<'_>,
    ) {
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
            Parsed::NotModelled | Parsed::Unexplained(_) => {}
            Parsed::Unanswered => self.count(name).unanswered += 1,
            Parsed::Modelled(Call::Fork(fork)) => {
                self.child(id, task, start, line, fork);
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
            // Nothing is compared with it.
            Parsed::Modelled(Call::Kill(kill)) if kill.found == Found::Unanswered => {
                self.count(name).unanswered += 1;
            }
            Parsed::Modelled(_) => {}
        }
        self.calls[id.index()].parsed = parsed;
    }

    /// A fork returned `number`: tie it to the task that appeared, or let it be born now.
    fn child(&mut self, call: CallId, parent: TaskId, start: u32, end: u32, fork: &Fork<i32>) {
        let Fork { makes, descriptors, child: number, .. } = *fork;
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
}

/// The step of a line that no family covers.
fn line_of(answer: Answer<'_>) -> Action {
    if answer == Answer::None { Action::Quiet } else { Action::Line }
}
