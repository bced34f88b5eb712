//! Process groups and sessions.

use super::{Call, Cause, Parsed};
use crate::parse::{Answer, text};

/// The syscalls of this family.
pub const NAMES: &[&str] = &["getpgrp", "getpgid", "setpgid", "getsid", "setsid"];

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The process group.
    Pgrp,
    /// The session.
    Session,
}

/// Why the system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// EACCES: the child has made an execve.
    Access,
    /// EINVAL.
    Invalid,
    /// EPERM.
    NotPermitted,
    /// ESRCH.
    NoSuchProcess,
}

impl Refusal {
    fn of(errno: &[u8]) -> Option<Self> {
        match errno {
            b"EACCES" => Some(Self::Access),
            b"EINVAL" => Some(Self::Invalid),
            b"EPERM" => Some(Self::NotPermitted),
            b"ESRCH" => Some(Self::NoSuchProcess),
            _ => None,
        }
    }
}

/// A call of this family, with its answer. Where a number may be 0 for the caller, it is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups<N> {
    /// getpgrp, getpgid, getsid.
    Get {
        /// What was asked for.
        which: Which,
        /// Whose.
        of: Option<N>,
        /// The answer.
        answer: Result<N, Refusal>,
    },
    /// setpgid.
    Join {
        /// Who joins; `None` for the caller.
        who: Option<N>,
        /// The group; `None` for one of its own.
        group: Option<N>,
        /// The answer.
        answer: Result<(), Refusal>,
    },
    /// setsid.
    Lead {
        /// The answer: the session.
        answer: Result<N, Refusal>,
    },
}

impl<N> Groups<N> {
    /// Whether the call changes nothing.
    pub fn is_question(&self) -> bool {
        // Whether the kernel refuses a change shows only when it is asked for it.
        matches!(self, Self::Get { .. })
    }

    pub(super) fn resolve<M>(self, find: &mut impl FnMut(N) -> M) -> Groups<M> {
        match self {
            Self::Get { which, of, answer } => {
                Groups::Get { which, of: of.map(&mut *find), answer: answer.map(find) }
            }
            Self::Join { who, group, answer } => {
                Groups::Join { who: who.map(&mut *find), group: group.map(find), answer }
            }
            Self::Lead { answer } => Groups::Lead { answer: answer.map(find) },
        }
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let answer = match answer {
        Answer::None => return Parsed::Unanswered,
        Answer::Value(value) => i32::try_from(value).ok().map(Ok),
        Answer::Error(errno) => Refusal::of(errno).map(Err),
    };
    match answer.and_then(|answer| groups(name, args, answer)) {
        Some(groups) => Parsed::Modelled(Call::Groups(groups)),
        None => Parsed::Unexplained(Cause::Form),
    }
}

fn groups(name: &[u8], args: &[u8], answer: Result<i32, Refusal>) -> Option<Groups<i32>> {
    let mut numbers = text::args(args).map_while(text::number);
    // A negative number is nobody's: leave it to the error.
    let mut number = || Some(Some(numbers.next()?).filter(|number| *number != 0));
    let some_id = |answer: Result<i32, Refusal>| match answer {
        Ok(id) => (id >= 0).then_some(Ok(id)),
        Err(refusal) => Some(Err(refusal)),
    };
    match name {
        b"getpgrp" => Some(Groups::Get { which: Which::Pgrp, of: None, answer: some_id(answer)? }),
        b"getpgid" => {
            Some(Groups::Get { which: Which::Pgrp, of: number()?, answer: some_id(answer)? })
        }
        b"getsid" => {
            Some(Groups::Get { which: Which::Session, of: number()?, answer: some_id(answer)? })
        }
        b"setpgid" => {
            let (who, group) = (number()?, number()?);
            let answer = answer.map(drop);
            // Zero, or nothing that setpgid answers.
            Some(Groups::Join { who, group, answer })
        }
        _ => Some(Groups::Lead { answer: some_id(answer)? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, args: &str, answer: Answer<'_>) -> Option<Groups<i32>> {
        match parse(name.as_bytes(), args.as_bytes(), answer) {
            Parsed::Modelled(Call::Groups(groups)) => Some(groups),
            _ => None,
        }
    }

    #[test]
    fn questions() {
        let get = |which, of, answer| Some(Groups::Get { which, of, answer });
        let seven = Answer::Value(7);
        assert_eq!(of("getpgrp", "", seven), get(Which::Pgrp, None, Ok(7)));
        assert_eq!(of("getpgid", "0", seven), get(Which::Pgrp, None, Ok(7)));
        assert_eq!(of("getpgid", "9", seven), get(Which::Pgrp, Some(9), Ok(7)));
        assert_eq!(of("getsid", "9", seven), get(Which::Session, Some(9), Ok(7)));
        let gone = Answer::Error(b"ESRCH");
        assert_eq!(
            of("getsid", "9", gone),
            get(Which::Session, Some(9), Err(Refusal::NoSuchProcess))
        );
        assert_eq!(of("getsid", "9", Answer::None), None);
        assert_eq!(of("getsid", "x", seven), None);
    }

    #[test]
    fn changes() {
        let join = |who, group, answer| Some(Groups::Join { who, group, answer });
        let zero = Answer::Value(0);
        assert_eq!(of("setpgid", "0, 0", zero), join(None, None, Ok(())));
        assert_eq!(of("setpgid", "9, 7", zero), join(Some(9), Some(7), Ok(())));
        let refused = Err(Refusal::Access);
        assert_eq!(
            of("setpgid", "9, 7", Answer::Error(b"EACCES")),
            join(Some(9), Some(7), refused)
        );
        assert_eq!(of("setsid", "", Answer::Value(9)), Some(Groups::Lead { answer: Ok(9) }));
        let refused = Err(Refusal::NotPermitted);
        assert_eq!(
            of("setsid", "", Answer::Error(b"EPERM")),
            Some(Groups::Lead { answer: refused })
        );
    }

    #[test]
    fn only_questions_may_be_asked_twice() {
        let is_question = |name, answer| of(name, "9, 9", answer).map(|call| call.is_question());
        assert_eq!(is_question("setpgid", Answer::Value(0)), Some(false));
        assert_eq!(is_question("setpgid", Answer::Error(b"EPERM")), Some(false));
        assert_eq!(is_question("setsid", Answer::Value(9)), Some(false));
        assert_eq!(is_question("getpgrp", Answer::Value(9)), Some(true));
    }
}
