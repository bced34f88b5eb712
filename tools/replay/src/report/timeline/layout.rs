//! Where everything goes.

use super::{BAR, GAP, LANE, TOP};
use crate::calls::{Call, wait::Outcome};
use crate::plan::{Plan, ProcId, Says, TaskId, Who};
use std::collections::HashMap;

/// Threads drawn below one process; further ones share the last lane.
const LANES: usize = 12;
/// Up to so many processes, each has a row of its own.
const ROOMY: usize = 40;
/// Bars that share a row keep this part of the picture between them.
const APART: u32 = 60;

/// Rows tried before another is opened.
const SEARCHED: usize = 64;

/// A process, with its further threads below it.
pub(super) struct Bar {
    pub proc: ProcId,
    pub y: f64,
    /// Lane of each further thread.
    pub lanes: Vec<(TaskId, usize)>,
}

/// A row: one process, or in a crowded picture siblings that follow each other.
pub(super) struct Row {
    pub procs: Vec<ProcId>,
    pub y: f64,
    pub height: f64,
}

/// Bars and rows from top to bottom.
pub(super) struct Layout {
    pub bars: Vec<Bar>,
    pub rows: Vec<Row>,
    pub bottom: f64,
    bar_of: Vec<usize>,
}

impl Layout {
    pub fn new(plan: &Plan) -> Self {
        let mut layout = Self {
            bars: Vec::new(),
            rows: Vec::new(),
            bottom: TOP,
            bar_of: vec![0; plan.procs.len()],
        };
        let mut has_children = vec![false; plan.procs.len()];
        for parent in plan.procs.iter().filter_map(|proc| proc.parent) {
            has_children[parent.index()] = true;
        }
        // Rows that a parent's childless children share, and the line from which each is free.
        let mut shared: HashMap<ProcId, Vec<(usize, u32)>> = HashMap::new();
        for id in plan.tree_walk() {
            let lanes = lanes(plan, id);
            let proc = plan.proc(id);
            let parent = proc.parent.filter(|_| {
                plan.procs.len() > ROOMY && lanes.is_empty() && !has_children[id.index()]
            });
            let Some(parent) = parent else {
                layout.new_row(id, lanes);
                continue;
            };
            let end = plan.ended(id).map_or(u32::MAX, |(line, _)| line);
            let free = end.saturating_add(plan.census.lines / APART);
            let birth = plan.task(proc.leader).birth;
            let rows = shared.entry(parent).or_default();
            // Searching them all would cost the square of a crowd that lives at once.
            match rows.iter_mut().take(SEARCHED).find(|(_, from)| *from < birth) {
                Some((row, from)) => {
                    *from = free;
                    layout.join_row(*row, id);
                }
                None => {
                    rows.push((layout.rows.len(), free));
                    layout.new_row(id, lanes);
                }
            }
        }
        layout
    }

    pub fn bar(&self, proc: ProcId) -> &Bar {
        &self.bars[self.bar_of[proc.index()]]
    }

    fn new_row(&mut self, proc: ProcId, lanes: Vec<(TaskId, usize)>) {
        let count = lanes.iter().map(|(_, lane)| lane + 1).max().unwrap_or(0);
        let (y, height) = (self.bottom, BAR + GAP + count as f64 * LANE);
        self.bottom += height;
        self.rows.push(Row { procs: vec![proc], y, height });
        self.new_bar(Bar { proc, y, lanes });
    }

    fn join_row(&mut self, row: usize, proc: ProcId) {
        let row = &mut self.rows[row];
        row.procs.push(proc);
        let y = row.y;
        self.new_bar(Bar { proc, y, lanes: Vec::new() });
    }

    fn new_bar(&mut self, bar: Bar) {
        self.bar_of[bar.proc.index()] = self.bars.len();
        self.bars.push(bar);
    }
}

/// Puts threads that do not overlap in the same lane.
fn lanes(plan: &Plan, proc: ProcId) -> Vec<(TaskId, usize)> {
    let mut free_from: Vec<u32> = Vec::new();
    let mut lanes = Vec::new();
    for task in plan.threads_of(proc) {
        let planned = plan.task(task);
        let last = planned.death.map_or(u32::MAX, |death| death.line);
        let free = free_from.iter().position(|line| *line < planned.birth);
        let lane = free.unwrap_or(free_from.len()).min(LANES - 1);
        match free_from.get_mut(lane) {
            Some(line) => *line = last.max(*line),
            None => free_from.push(last),
        }
        lanes.push((task, lane));
    }
    lanes
}

/// The line at which each process was reaped by a wait.
pub(super) fn reap_lines(plan: &Plan) -> HashMap<ProcId, u32> {
    let reaped = plan.calls.iter().filter_map(|call| match &call.says {
        Says::Answer(Call::Wait(wait)) => match wait.outcome {
            Outcome::Reaped(Who::Task(child), _) => Some((plan.proc_of(child), call.end)),
            _ => None,
        },
        _ => None,
    });
    reaped.collect()
}

/// About ten ticks, at 1, 2 or 5 times a power of ten.
pub(super) fn round_step(lines: u32) -> u32 {
    let mut step = 1;
    for factor in [2, 5, 10].into_iter().cycle() {
        let decade = match factor {
            2 => step,
            5 => step / 2,
            _ => step / 5,
        };
        if lines / step <= 10 || step > u32::MAX / 10 {
            break;
        }
        step = decade * factor;
    }
    step
}

#[cfg(test)]
mod tests {
    #[test]
    fn ticks_are_round() {
        let cases = [
            (1, 1),
            (10, 1),
            (11, 2),
            (25, 5),
            (100, 10),
            (900, 100),
            (2300, 500),
            (114_643, 20_000),
        ];
        for (lines, step) in cases {
            assert_eq!(super::round_step(lines), step, "{lines}");
        }
    }
    #[test]
    fn a_crowd_shares_rows() {
        let rows = |children: u32| {
            let mut log = String::new();
            for child in 11..11 + children {
                log += &format!("10 fork() = {child}\n{child} getpid() = {child}\n");
                log += &format!("{child} exit_group(0) = ?\n{child} +++ exited with 0 +++\n");
            }
            let plan = super::Plan::read(std::io::Cursor::new(log.into_bytes())).unwrap();
            super::Layout::new(&plan).rows.len()
        };
        assert_eq!(rows(20), 21);
        assert!(rows(200) < 20, "{}", rows(200));
    }
}
