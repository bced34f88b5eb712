//! Replays logs of `strace -f` through an [`lwproc::Kernel`] and compares every answer.
//!
//! [`plan::Plan::open`] reads a log once; [`replay::replay`] runs it through a kernel any
//! number of times, one LWP per traced task, switching at every line.
//!
//! Rooms, bottom to top: `parse` (bytes to lines), `calls` (text to typed calls), `plan`
//! (lines to steps), `world` (tasks as LWPs), `scene` (what is in flight), `check` (answers
//! compared), `replay` (one pass), `copies` (many, in one kernel), `report` (what was found).

pub mod calls;
mod check;
pub mod copies;
pub mod parse;
pub mod plan;
pub mod replay;
pub mod report;
pub mod scene;
pub mod world;
