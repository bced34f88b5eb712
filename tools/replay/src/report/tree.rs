//! The process tree of a log.

use crate::plan::{Plan, ProcId};
use serde::Serialize;
use std::fmt;

/// Levels drawn: a chain of ten thousand forks must not cost the square of that.
const LEVELS: usize = 40;

/// A process in the tree.
#[derive(Debug, Serialize)]
pub struct TreeNode {
    /// Its number in the log.
    pub pid: i32,
    /// The number of its parent, when it is in the log.
    pub parent: Option<i32>,
    /// Distance from the root.
    pub depth: u32,
    /// Command names over its execs; one in brackets is its parent's, where it made no exec.
    pub comms: Vec<String>,
    /// Numbers of its further threads.
    pub threads: Vec<i32>,
    /// How it ended; none when it was alive at the end of the log.
    pub status: Option<String>,
    /// Its first line.
    pub first_line: u32,
    /// The line of its end.
    pub last_line: Option<u32>,
    /// Lead-in of the drawn tree.
    #[serde(skip)]
    branch: String,
}

/// The tree, parents before children.
pub fn nodes(plan: &Plan) -> Vec<TreeNode> {
    let walk = plan.tree_walk();
    let branches = branches(plan, &walk);
    let comms = plan.first_comms();
    let node = |(id, branch): (ProcId, String)| node(plan, id, comms[id.index()], branch);
    walk.into_iter().zip(branches).map(node).collect()
}

fn node(plan: &Plan, id: ProcId, inherited: Option<&str>, branch: String) -> TreeNode {
    let proc = plan.proc(id);
    let leader = plan.task(proc.leader);
    let number = |id: ProcId| plan.task(plan.proc(id).leader).number;
    let ended = plan.ended(id);
    let mut comms: Vec<String> = proc.images.iter().map(|(_, comm)| comm.clone()).collect();
    if comms.is_empty() {
        comms.extend(inherited.map(|comm| format!("({comm})")));
    }
    TreeNode {
        pid: leader.number,
        parent: proc.parent.map(number),
        depth: proc.depth,
        comms,
        threads: plan.threads_of(id).map(|task| plan.task(task).number).collect(),
        status: ended.map(|(_, status)| status.to_string()),
        first_line: leader.birth,
        last_line: ended.map(|(line, _)| line),
        branch,
    }
}

/// The lines that tie each process to its parent and to its later siblings.
fn branches(plan: &Plan, walk: &[ProcId]) -> Vec<String> {
    // Whether a sibling follows below, at each depth; filled from the bottom up.
    let mut follows: Vec<bool> = Vec::new();
    let mut branches: Vec<String> = Vec::with_capacity(walk.len());
    for id in walk.iter().rev() {
        let depth = plan.proc(*id).depth as usize;
        follows.resize(depth + 1, false);
        let mut branch = String::new();
        if depth > LEVELS {
            branch = format!("({} levels up) ", depth - LEVELS);
        }
        let drawn = follows.iter().enumerate().skip(depth.saturating_sub(LEVELS) + 1);
        for (level, follows) in drawn {
            branch.push_str(match (level == depth, *follows) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            });
        }
        follows[depth] = true;
        branches.push(branch);
    }
    branches.reverse();
    branches
}

impl fmt::Display for TreeNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comms = if self.comms.is_empty() { "?".to_owned() } else { self.comms.join(" → ") };
        write!(f, "{}{} {comms}", self.branch, self.pid)?;
        match self.threads.as_slice() {
            [] => {}
            [one] => write!(f, "  +thread {one}")?,
            [first, .., last] => write!(f, "  +{} threads {first}..{last}", self.threads.len())?,
        }
        match (&self.status, self.last_line) {
            (Some(status), Some(line)) => {
                write!(f, "  [{status}]  lines {}..{line}", self.first_line)
            }
            _ => write!(f, "  [alive at the end]  lines {}..", self.first_line),
        }
    }
}
