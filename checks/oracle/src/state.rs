//! What is compared: the state of every actor, field by field.

use crate::ids;
use crate::signals;
use crate::step::Name;
use std::collections::BTreeMap;

/// Ids: real, effective, saved.
pub type Ids = [u32; 3];

/// Where an actor is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stage {
    /// Its number is nobody's, or another one's.
    #[default]
    Gone,
    /// It runs, or would.
    Living,
    /// It has been stopped.
    Stopped,
    /// It has ended, and has not been waited for.
    Zombie,
}

impl Stage {
    /// Whether it has not ended.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Living | Self::Stopped)
    }
}

/// One actor, on either side. Signals have Linux's numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Task {
    /// Its number.
    pub pid: i32,
    /// Its process's number: its own, unless it is a further thread.
    pub process: i32,
    /// Where it is in its life.
    pub stage: Stage,
    /// Its parent.
    pub ppid: i32,
    /// Its group.
    pub pgid: i32,
    /// Its session.
    pub sid: i32,
    /// The group in the foreground of its terminal, if it has one.
    pub foreground: Option<i32>,
    /// Its user ids.
    pub users: Ids,
    /// Its group ids.
    pub groups: Ids,
    /// The signals pending for the process.
    pub pending: u64,
    /// Those pending for the thread alone.
    pub own_pending: u64,
    /// Those that it blocks.
    pub blocked: u64,
    /// Those that its process has caught so far, however often, in whichever thread.
    pub caught: u64,
    /// The call that it is in, and that has not returned.
    pub call: Option<&'static str>,
}

/// All actors of a sequence, those that are gone included.
pub type State = BTreeMap<Name, Task>;

/// One field that is compared.
#[derive(Debug)]
pub struct Field {
    /// What it is called in a report.
    pub name: &'static str,
    /// In which stages of life both sides know it.
    of: fn(Stage) -> bool,
    show: fn(&Task) -> String,
}

impl Field {
    /// Its value in a task, if it has it.
    pub fn value(&self, task: &Task) -> Option<String> {
        (self.of)(task.stage).then(|| (self.show)(task))
    }
}

fn in_table(stage: Stage) -> bool {
    stage != Stage::Gone
}

fn show_ids(ids: Ids) -> String {
    ids.map(ids::show).join("/")
}

/// A field more is a line more.
pub const FIELDS: &[Field] = &[
    Field { name: "stage", of: |_| true, show: |t| format!("{:?}", t.stage) },
    Field { name: "process", of: in_table, show: |t| t.process.to_string() },
    Field { name: "ppid", of: in_table, show: |t| t.ppid.to_string() },
    Field { name: "pgid", of: in_table, show: |t| t.pgid.to_string() },
    Field { name: "sid", of: in_table, show: |t| t.sid.to_string() },
    Field { name: "foreground", of: Stage::is_alive, show: |t| format!("{:?}", t.foreground) },
    Field { name: "uids", of: in_table, show: |t| show_ids(t.users) },
    Field { name: "gids", of: in_table, show: |t| show_ids(t.groups) },
    Field { name: "pending", of: Stage::is_alive, show: |t| signals::show(t.pending) },
    Field { name: "own pending", of: Stage::is_alive, show: |t| signals::show(t.own_pending) },
    Field { name: "blocked", of: Stage::is_alive, show: |t| signals::show(t.blocked) },
    Field { name: "caught", of: Stage::is_alive, show: |t| signals::show(t.caught) },
    Field { name: "in call", of: Stage::is_alive, show: |t| t.call.is_some().to_string() },
];
