//! Signals that tasks got: the `---` lines.

use super::TaskId;
use std::collections::HashMap;

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A process of the log, by its number, with kill or its like.
    Process(i32),
    /// A process outside the log.
    Outside,
    /// The system: a child's end, a fault, a timer, a key.
    System,
}

/// A signal that a task got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Its number on Linux.
    pub signal: u8,
    /// Who sent it.
    pub from: Sender,
}

/// The same as read.
#[derive(Debug)]
pub(super) struct RawDelivery {
    pub signal: u8,
    /// The number of the process that sent it.
    pub from: Option<i32>,
}

impl RawDelivery {
    pub(super) fn resolve(self, lives: &HashMap<i32, Vec<TaskId>>) -> Delivery {
        let from = match self.from {
            Some(number) if lives.contains_key(&number) => Sender::Process(number),
            Some(_) => Sender::Outside,
            None => Sender::System,
        };
        Delivery { signal: self.signal, from }
    }
}
