//! Every line of a log is counted exactly once, and so is every call.

use crate::parse::LineError;
use std::fmt;

/// How many problems are listed; the rest are only counted.
const LISTED: usize = 20;

/// What the lines of a log are.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// All lines.
    pub lines: u32,
    /// Calls on one line.
    pub whole: u32,
    /// Calls that begin.
    pub unfinished: u32,
    /// Calls that end.
    pub resumed: u32,
    /// Signals.
    pub signals: u32,
    /// Ends of tasks.
    pub farewells: u32,
    /// Messages of strace itself.
    pub notes: u32,
    /// Blank lines.
    pub blank: u32,
    /// Lines that are none of these.
    pub bad: u32,
    /// Calls, by name, in order of first appearance.
    pub names: Vec<NameCount>,
    /// What is wrong with the log: the first few.
    pub problems: Vec<Problem>,
    /// How many things are wrong in all (a bad line is one of them).
    pub problem_count: u32,
}

/// Calls of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameCount {
    /// The syscall.
    pub name: String,
    /// Calls begun.
    pub calls: u32,
    /// Calls that nothing is compared for.
    pub not_modelled: u32,
    /// Calls without an answer: interrupted, or the log ends first.
    pub unanswered: u32,
}

/// Something wrong with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// The line.
    pub line: u32,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The line cannot be read.
    Line(LineError),
    /// `<... NAME resumed>` without a call of that name in flight.
    ResumedWithoutStart,
    /// The call on this line is never resumed, and its task does not end in it.
    NeverResumed,
    /// Several tasks live and the line does not say whose it is.
    NoNumber,
    /// The task of this number appears, and no fork returned it.
    Stray(i32),
    /// The fork on this line returned a number that never writes a line.
    ChildNeverAppears(i32),
    /// An execve takes over from a thread that is not there.
    SupersededByStranger(i32),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.kind {
            ProblemKind::Line(error) => write!(f, "{error}"),
            ProblemKind::ResumedWithoutStart => f.write_str("resumes a call that is not in flight"),
            ProblemKind::NeverResumed => f.write_str("the call is never resumed"),
            ProblemKind::NoNumber => f.write_str("several tasks live, and the line names none"),
            ProblemKind::Stray(number) => write!(f, "no fork returned task {number}"),
            ProblemKind::ChildNeverAppears(number) => {
                write!(f, "task {number} was forked and never appears")
            }
            ProblemKind::SupersededByStranger(number) => {
                write!(f, "superseded by task {number}, which is not there")
            }
        }
    }
}

impl Census {
    pub(super) fn problem(&mut self, line: u32, kind: ProblemKind) {
        self.problem_count += 1;
        if self.problems.len() < LISTED {
            self.problems.push(Problem { line, kind });
        }
    }

    pub(super) fn bad_line(&mut self, line: u32, kind: ProblemKind) {
        self.bad += 1;
        self.problem(line, kind);
    }

    /// The lines by kind; they add up to [`Census::lines`].
    pub fn by_kind(&self) -> [(&'static str, u32); 8] {
        [
            ("whole calls", self.whole),
            ("calls begun", self.unfinished),
            ("calls resumed", self.resumed),
            ("signals", self.signals),
            ("ends", self.farewells),
            ("notes", self.notes),
            ("blank", self.blank),
            ("bad", self.bad),
        ]
    }
}
