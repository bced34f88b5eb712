//! What a replay found, for people and for machines.

mod human;
mod timeline;
mod tree;

pub use timeline::timeline;
pub use tree::{TreeNode, nodes};

use crate::copies::Run;
use crate::plan::Plan;
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything a replay found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the log.
    pub log: String,
    /// Whether nothing disagreed and the kernel ended empty.
    pub good: bool,
    /// Lines of the log.
    pub lines: u32,
    /// Lines by kind; they add up to `lines`.
    pub line_kinds: BTreeMap<&'static str, u32>,
    /// What is wrong with the log: the first few.
    pub problems: Vec<String>,
    /// How many things are wrong with the log.
    pub problem_count: u32,
    /// Traced tasks.
    pub tasks: usize,
    /// Processes among them.
    pub processes: usize,
    /// Further threads among them.
    pub threads: usize,
    /// Processes on the longest path from the root.
    pub deepest_tree: u32,
    /// Context switches of one copy.
    pub switches: u64,
    /// Answers compared in one copy.
    pub checked: u64,
    /// Those that agree.
    pub agreed: u64,
    /// Those that do not.
    pub disagreed: u64,
    /// Those that agree in an order of overlapping calls other than that of their last lines.
    pub reordered: u64,
    /// Those that the log does not explain: not among the checked.
    pub unexplained: u64,
    /// The same by cause.
    pub causes: BTreeMap<&'static str, u64>,
    /// Calls that nothing is compared for.
    pub not_modelled: u64,
    /// Calls without an answer.
    pub unanswered: u64,
    /// `+++` lines.
    pub ends: CallRow,
    /// `---` lines.
    pub signals: CallRow,
    /// Calls, by name.
    pub calls: Vec<CallRow>,
    /// The first disagreements.
    pub disagreements: Vec<Difference>,
    /// Tasks alive when the log ended, then released.
    pub alive_at_end: u32,
    /// Copies and threads.
    pub load: LoadRow,
    /// What was left in the kernel.
    pub left: LeftRow,
    /// The process tree, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<Vec<TreeNode>>,
}

/// Calls of one name.
#[derive(Debug, Serialize)]
pub struct CallRow {
    /// The syscall, or `+++`.
    pub name: String,
    /// Calls begun.
    pub calls: u64,
    /// Answers that agree.
    pub agreed: u64,
    /// Answers that do not.
    pub disagreed: u64,
    /// Answers that the log does not explain.
    pub unexplained: u64,
    /// Calls that nothing is compared for.
    pub not_modelled: u64,
    /// Calls without an answer.
    pub unanswered: u64,
}

/// One disagreement.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// The line of the answer.
    pub line: u32,
    /// Number of the task.
    pub task: i32,
    /// What was asked.
    pub asked: String,
    /// The difference.
    pub what: String,
}

/// Copies and threads.
#[derive(Debug, Serialize)]
pub struct LoadRow {
    /// Copies of the log.
    pub copies: u32,
    /// Host threads.
    pub threads: u32,
    /// Wall-clock seconds of the replay.
    pub seconds: f64,
    /// Log lines replayed per second.
    pub lines_per_second: f64,
    /// Context switches of the kernel per second.
    pub switches_per_second: f64,
    /// Disagreements in all copies.
    pub disagreed: u64,
    /// Copies that found anything else than the first.
    pub differing: u32,
    /// Context switches in all copies.
    pub switches: u64,
}

/// What was left in the kernel.
#[derive(Debug, Serialize)]
pub struct LeftRow {
    /// Whether it is empty.
    pub empty: bool,
    /// Processes, proc0 and init included.
    pub processes: usize,
    /// LWPs, those of proc0 and init included.
    pub lwps: usize,
    /// Zombies.
    pub zombies: usize,
    /// Ids not given back.
    pub leaked_ids: usize,
}

impl Report {
    /// Gathers a report.
    pub fn new(log: &str, plan: &Plan, run: &Run) -> Self {
        let total = run.first.total();
        let calls: Vec<_> = plan.census.names.iter().zip(&run.first.calls).map(call_row).collect();
        let sum = |of: fn(&CallRow) -> u64| calls.iter().map(of).sum();
        let processes = plan.procs.len();
        let threads = (0..processes)
            .map(|index| plan.threads_of(crate::plan::ProcId::at(index)).count())
            .sum::<usize>();
        let disagreements = run.first.disagreements.iter().map(|found| Difference {
            line: found.line,
            task: found.task,
            asked: found.asked.clone(),
            what: found.what.clone(),
        });
        Self {
            log: log.to_owned(),
            good: run.is_good(),
            lines: plan.census.lines,
            line_kinds: plan.census.by_kind().into_iter().collect(),
            problems: plan.census.problems.iter().map(ToString::to_string).collect(),
            problem_count: plan.census.problem_count,
            tasks: processes + threads,
            processes,
            threads,
            deepest_tree: plan.procs.iter().map(|proc| proc.depth + 1).max().unwrap_or(0),
            switches: run.first.switches,
            checked: total.checked(),
            agreed: total.agreed,
            disagreed: total.disagreed,
            reordered: run.first.reordered,
            unexplained: total.unexplained,
            causes: run.first.unexplained.iter().map(|(cause, n)| (cause.name(), *n)).collect(),
            not_modelled: sum(|row| row.not_modelled),
            unanswered: sum(|row| row.unanswered),
            ends: line_row("+++", plan.census.farewells, &run.first.ends),
            signals: line_row("---", plan.census.signals, &run.first.signals),
            calls,
            disagreements: disagreements.collect(),
            alive_at_end: run.first.alive_at_end,
            load: LoadRow {
                copies: run.load.copies.get(),
                threads: run.load.threads.get(),
                seconds: run.elapsed.as_secs_f64(),
                lines_per_second: run.lines_per_second(plan),
                switches_per_second: run.switches as f64 / run.elapsed.as_secs_f64().max(1e-9),
                disagreed: run.disagreed,
                differing: run.differing,
                switches: run.switches,
            },
            left: LeftRow {
                empty: run.is_empty(),
                processes: run.left.procs,
                lwps: run.left.lwps,
                zombies: run.left.zombies,
                leaked_ids: run.leaked_ids(),
            },
            tree: None,
        }
    }
}

fn call_row((count, tally): (&crate::plan::NameCount, &crate::replay::Tally)) -> CallRow {
    CallRow {
        name: count.name.clone(),
        calls: u64::from(count.calls),
        agreed: tally.agreed,
        disagreed: tally.disagreed,
        unexplained: tally.unexplained,
        not_modelled: u64::from(count.not_modelled),
        unanswered: u64::from(count.unanswered),
    }
}

fn line_row(name: &str, lines: u32, tally: &crate::replay::Tally) -> CallRow {
    CallRow {
        name: name.to_owned(),
        calls: u64::from(lines),
        agreed: tally.agreed,
        disagreed: tally.disagreed,
        unexplained: tally.unexplained,
        not_modelled: 0,
        unanswered: 0,
    }
}
