//! Replays logs of `strace -f` through an [`lwproc::Kernel`] and compares every answer.
//!
//! [`plan::Plan::open`] reads a log once; [`replay::replay`] runs it through a kernel any
//! number of times, one LWP per traced task, switching at every line.
//!
//! # What is compared
//!
//! Every answer of these families, errors included: who a task is and who its parent is; forks,
//! execves and ends; waits; descriptors (numbers given out, close-on-exec, what is open); user and
//! group ids; process groups and sessions; limits; and whether the target of a signal is there and
//! may be sent one. The kernel is asked each time. A `+++ killed` line ends the task as the log
//! says, and its parent's wait must tell that status.
//!
//! An answer that the log does not explain is neither agreed nor disagreed: it is counted by its
//! [cause](scene::Cause). The first task gets its ids, group, session, limits and descriptors
//! from outside the log: the first answer about each is taken for the truth, by all processes
//! that still have it, and every later one is compared with it. A number of a descriptor that no
//! answer has told about may turn out to be open, once. Capabilities are not modelled: from a
//! `capset` or a `PR_SET_KEEPCAPS` on, a change of ids may be granted against the rules.
//!
//! Not compared: calls that failed for other reasons (`openat` with ENOENT), processes that are
//! not in the log, threads that were made without CLONE_FILES, CLOSE_RANGE_UNSHARE.
//!
//! Rooms, bottom to top: `parse` (bytes to lines), `calls` (text to typed calls), `plan`
//! (lines to steps), `world` (tasks as
//! LWPs, and descriptor tables as the answers tell them), `scene` (what is in flight), `check` (answers
//! compared), `replay` (one pass), `copies` (many, in one kernel), `report` (what was found).

pub mod calls;
mod check;
pub mod copies;
pub mod parse;
pub mod plan;
pub mod replay;
pub mod report;
pub mod scene;
pub mod signals;
pub mod world;
