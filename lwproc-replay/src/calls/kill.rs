//! kill, tkill and tgkill: whether the target exists.

use super::{Call, Parsed};
use crate::parse::{Answer, text};

/// The syscalls of this family.
pub const NAMES: &[&str] = &["kill", "tkill", "tgkill"];

/// Whom the signal was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<N> {
    /// A process.
    Process(N),
    /// A thread, whatever its process.
    Thread(N),
    /// A thread of a given process.
    ThreadOf {
        /// The process.
        process: N,
        /// The thread.
        thread: N,
    },
}

/// Whether the target was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The call succeeded.
    There,
    /// ESRCH.
    NotThere,
}

/// A signal sent, with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill<N> {
    /// Whom it was sent to.
    pub target: Target<N>,
    /// The answer.
    pub found: Found,
}

impl<N> Kill<N> {
    pub(super) fn resolve<M>(self, find: &mut impl FnMut(N) -> M) -> Kill<M> {
        let target = match self.target {
            Target::Process(process) => Target::Process(find(process)),
            Target::Thread(thread) => Target::Thread(find(thread)),
            Target::ThreadOf { process, thread } => {
                Target::ThreadOf { process: find(process), thread: find(thread) }
            }
        };
        Kill { target, found: self.found }
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let found = match answer {
        Answer::None => return Parsed::Unanswered,
        Answer::Value(0) => Found::There,
        Answer::Error(b"ESRCH") => Found::NotThere,
        _ => return Parsed::NotModelled,
    };
    match target(name, args) {
        Some(target) => Parsed::Modelled(Call::Kill(Kill { target, found })),
        None => Parsed::NotModelled,
    }
}

/// `None` for process groups and broadcasts.
fn target(name: &[u8], args: &[u8]) -> Option<Target<i32>> {
    let mut numbers = text::args(args).map_while(text::number);
    let first = numbers.next().filter(|number| *number > 0)?;
    match name {
        b"kill" => Some(Target::Process(first)),
        b"tkill" => Some(Target::Thread(first)),
        _ => {
            let thread = numbers.next().filter(|number| *number > 0)?;
            Some(Target::ThreadOf { process: first, thread })
        }
    }
}
