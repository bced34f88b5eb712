//! kill, tkill, tgkill and sigqueue: whether the target exists and may be sent a signal, and the signal.

use super::{Call, Cause, Parsed};
use crate::parse::{Answer, text};

/// The syscalls of this family.
pub const NAMES: &[&str] = &["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"];

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
    /// Every process that there is.
    All,
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
    /// EINVAL.
    Invalid,
    /// The call has not returned: the signal may have been sent.
    Unanswered,
}

/// A signal sent, with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill<N> {
    /// Whom it was sent to.
    pub target: Target<N>,
    /// Its number; 0 only asks, and there may be none of that number.
    pub signal: i32,
    /// The answer.
    pub found: Found,
}

impl<N> Kill<N> {
    /// Whether the call changes nothing.
    pub fn is_question(&self) -> bool {
        self.signal == 0 || !matches!(self.found, Found::There | Found::Unanswered)
    }

    pub(super) fn resolve<M>(self, find: &mut impl FnMut(N) -> M) -> Kill<M> {
        let target = match self.target {
            Target::Process(process) => Target::Process(find(process)),
            Target::Thread(thread) => Target::Thread(find(thread)),
            Target::ThreadOf { process, thread } => {
                Target::ThreadOf { process: find(process), thread: find(thread) }
            }
            Target::Group(group) => Target::Group(group.map(find)),
            Target::All => Target::All,
        };
        Kill { target, signal: self.signal, found: self.found }
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let found = match answer {
        Answer::None => Found::Unanswered,
        Answer::Value(0) => Found::There,
        Answer::Error(b"EPERM") => Found::NotPermitted,
        Answer::Error(b"ESRCH") => Found::NotThere,
        Answer::Error(b"EINVAL") => Found::Invalid,
        _ => return Parsed::Unexplained(Cause::Form),
    };
    let at = if matches!(name, b"tgkill" | b"rt_tgsigqueueinfo") { 2 } else { 1 };
    match (target(name, args), text::args(args).nth(at).and_then(signal)) {
        (Some(target), Some(signal)) => {
            Parsed::Modelled(Call::Kill(Kill { target, signal, found }))
        }
        _ if found == Found::Unanswered => Parsed::Unanswered,
        _ => Parsed::Unexplained(Cause::Form),
    }
}

/// A name, or a number of a signal that there may be or not.
fn signal(text: &[u8]) -> Option<i32> {
    text::signal(text).map(i32::from).or_else(|| text::number(text))
}

/// `None` for numbers that mean nobody.
fn target(name: &[u8], args: &[u8]) -> Option<Target<i32>> {
    let mut numbers = text::args(args).map_while(text::number);
    let first = numbers.next()?;
    match (name, first) {
        (b"kill", 0) => Some(Target::Group(None)),
        (b"kill", -1) => Some(Target::All),
        // The least number has no opposite, and names no group.
        (b"kill", ..=-2) => Some(Target::Group(Some(first.wrapping_neg()))),
        (_, ..=0) => None,
        (b"kill" | b"rt_sigqueueinfo", _) => Some(Target::Process(first)),
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
        assert_eq!(of("kill", "-1, SIGTERM", zero), Some((Target::All, Found::There)));
        let least = Some((Target::Group(Some(i32::MIN)), Found::There));
        assert_eq!(of("kill", "-2147483648, SIGTERM", zero), least);
        assert_eq!(of("tkill", "7, 0", zero), Some((Target::Thread(7), Found::There)));
        assert_eq!(of("tkill", "0, 0", zero), None);
        let thread = Target::ThreadOf { process: 7, thread: 8 };
        assert_eq!(of("tgkill", "7, 8, SIGTERM", zero), Some((thread, Found::There)));
        let queued = of("rt_tgsigqueueinfo", "7, 8, SIGTERM, {si_signo=SIGTERM}", zero);
        assert_eq!(queued, Some((thread, Found::There)));
        let queued = of("rt_sigqueueinfo", "7, SIGTERM, {si_signo=SIGTERM}", zero);
        assert_eq!(queued, Some((Target::Process(7), Found::There)));
        let errors = [
            (&b"ESRCH"[..], Found::NotThere),
            (b"EPERM", Found::NotPermitted),
            (b"EINVAL", Found::Invalid),
        ];
        for (errno, found) in errors {
            assert_eq!(of("kill", "7, 0", Answer::Error(errno)), Some((Target::Process(7), found)));
        }
        assert_eq!(of("kill", "7, 9", Answer::None), Some((Target::Process(7), Found::Unanswered)));
        let form = Parsed::Unexplained(Cause::Form);
        assert_eq!(parse(b"kill", b"7, what", zero), form);
        assert_eq!(parse(b"kill", b"7, 9", Answer::Error(b"ENOSYS")), form);
        assert_eq!(parse(b"kill", b"7", Answer::None), Parsed::Unanswered);
        assert_eq!(of("kill", "7, what", zero), None);
        let signal = |args: &str| match parse(b"kill", args.as_bytes(), zero) {
            Parsed::Modelled(Call::Kill(kill)) => Some(kill.signal),
            _ => None,
        };
        assert_eq!(signal("7, SIGTERM"), Some(15));
        assert_eq!(signal("7, 0"), Some(0));
        assert_eq!(signal("7, 99"), Some(99));
        assert_eq!(signal("7, -1"), Some(-1));
    }
}
