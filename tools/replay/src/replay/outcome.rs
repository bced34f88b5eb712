//! What a replay found.

use crate::scene::Cause;
use std::collections::BTreeMap;
use std::fmt;

/// Agreements and disagreements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers that agree.
    pub agreed: u64,
    /// Answers that the log does not explain: nothing is known against them, or for them.
    pub unexplained: u64,
    /// Answers that do not agree.
    pub disagreed: u64,
}

impl Tally {
    pub(super) fn add<T, E>(&mut self, found: &Result<T, E>) {
        match found {
            Ok(_) => self.agreed += 1,
            Err(_) => self.disagreed += 1,
        }
    }

    /// Those that agree, and those that do not.
    pub fn checked(self) -> u64 {
        self.agreed + self.disagreed
    }
}

/// An answer that the kernel does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The line of the answer.
    pub line: u32,
    /// Whose it is: the number in the log.
    pub task: i32,
    /// What was asked: a syscall, or `+++`.
    pub asked: String,
    /// The difference, for people.
    pub what: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: task {}: {}: {}", self.line, self.task, self.asked, self.what)
    }
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Answers of syscalls, by [`NameId`](crate::plan::NameId).
    pub calls: Vec<Tally>,
    /// `+++` lines: was the task alive, is the code the one it left with, was a leader last.
    pub ends: Tally,
    /// `---` lines with a sender: had it sent that signal.
    pub signals: Tally,
    /// Lines and births that could not be replayed.
    pub broken: u64,
    /// Answers that agreed only because an effect in flight was applied early.
    pub reordered: u64,
    /// Answers that the log does not explain, by cause.
    pub unexplained: BTreeMap<Cause, u64>,
    /// How often the context moved to another LWP.
    pub switches: u64,
    /// Tasks alive when the log ended.
    pub alive_at_end: u32,
    /// The first disagreements.
    pub disagreements: Vec<Disagreement>,
}

impl Outcome {
    /// All answers together.
    pub fn total(&self) -> Tally {
        let sum = |sum: Tally, next: &Tally| Tally {
            agreed: sum.agreed + next.agreed,
            unexplained: sum.unexplained + next.unexplained,
            disagreed: sum.disagreed + next.disagreed,
        };
        let calls = self.calls.iter().fold(sum(self.ends, &self.signals), sum);
        Tally { disagreed: calls.disagreed + self.broken, ..calls }
    }
}
