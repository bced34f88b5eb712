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
    /// Every process of a process group; `None` for the caller's own.
    Group(Option<N>),
}

/// Whether the target was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The call succeeded.
    There,
    /// EPERM: it is there, and the caller may not.
    NotPermitted,
    /// ESRCH.
    NotThere,
}

/// A signal sent, with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill<N> {
    /// Whom it was sent to.
    pub target: Target<N>,
    /// Its number; 0 only asks.
    pub signal: u8,
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
            Target::Group(group) => Target::Group(group.map(find)),
        };
        Kill { target, signal: self.signal, found: self.found }
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let found = match answer {
        Answer::None => return Parsed::Unanswered,
        Answer::Value(0) => Found::There,
        Answer::Error(b"EPERM") => Found::NotPermitted,
        Answer::Error(b"ESRCH") => Found::NotThere,
        _ => return Parsed::NotModelled,
    };
    match (target(name, args), text::args(args).last().and_then(text::signal)) {
        (Some(target), Some(signal)) => {
            Parsed::Modelled(Call::Kill(Kill { target, signal, found }))
        }
        _ => Parsed::NotModelled,
    }
}

/// `None` for a broadcast.
fn target(name: &[u8], args: &[u8]) -> Option<Target<i32>> {
    let mut numbers = text::args(args).map_while(text::number);
    let first = numbers.next()?;
    match (name, first) {
        (b"kill", 0) => Some(Target::Group(None)),
        (b"kill", ..=-2) => Some(Target::Group(Some(first.checked_neg()?))),
        (_, ..=0) => None,
        (b"kill", _) => Some(Target::Process(first)),
        (b"tkill", _) => Some(Target::Thread(first)),
        _ => {
            let thread = numbers.next().filter(|number| *number > 0)?;
            Some(Target::ThreadOf { process: first, thread })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, args: &str, answer: Answer<'_>) -> Option<(Target<i32>, Found)> {
        match parse(name.as_bytes(), args.as_bytes(), answer) {
            Parsed::Modelled(Call::Kill(Kill { target, found, .. })) => Some((target, found)),
            _ => None,
        }
    }

    #[test]
    fn targets_and_answers() {
        let zero = Answer::Value(0);
        assert_eq!(of("kill", "7, SIGTERM", zero), Some((Target::Process(7), Found::There)));
        assert_eq!(of("kill", "-7, SIGTERM", zero), Some((Target::Group(Some(7)), Found::There)));
        assert_eq!(of("kill", "0, SIGTERM", zero), Some((Target::Group(None), Found::There)));
        assert_eq!(of("kill", "-1, SIGTERM", zero), None);
        assert_eq!(of("kill", "-2147483648, SIGTERM", zero), None);
        assert_eq!(of("tkill", "7, 0", zero), Some((Target::Thread(7), Found::There)));
        assert_eq!(of("tkill", "0, 0", zero), None);
        let thread = Target::ThreadOf { process: 7, thread: 8 };
        assert_eq!(of("tgkill", "7, 8, SIGTERM", zero), Some((thread, Found::There)));
        let errors = [(&b"ESRCH"[..], Found::NotThere), (b"EPERM", Found::NotPermitted)];
        for (errno, found) in errors {
            assert_eq!(of("kill", "7, 0", Answer::Error(errno)), Some((Target::Process(7), found)));
        }
        assert_eq!(of("kill", "7, 99", Answer::Error(b"EINVAL")), None);
        assert_eq!(of("kill", "7, what", zero), None);
        let signal = |args: &str| match parse(b"kill", args.as_bytes(), zero) {
            Parsed::Modelled(Call::Kill(kill)) => Some(kill.signal),
            _ => None,
        };
        assert_eq!(signal("7, SIGTERM"), Some(15));
        assert_eq!(signal("7, 0"), Some(0));
    }
}
