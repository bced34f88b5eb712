//! wait4, waitpid and waitid.

use super::{Call, Parsed};
use crate::parse::{Answer, text};
use std::fmt;

/// The syscalls of this family.
pub const NAMES: &[&str] = &["wait4", "waitpid", "waitid"];

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By exit, with this code.
    Exited(u8),
    /// By a signal.
    Killed {
        /// Number of the signal.
        signal: u8,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Killed { signal, core_dumped: false } => f.write_str(&text::signal_name(*signal)),
            Self::Killed { signal, core_dumped: true } => {
                write!(f, "{} (core)", text::signal_name(*signal))
            }
        }
    }
}

/// Which children a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<N> {
    /// Any child.
    Any,
    /// One child.
    Pid(N),
    /// The members of a process group; `None` for the caller's own.
    Group(Option<N>),
    /// A set this family cannot see into (a pidfd).
    Set,
}

/// What a wait answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<N> {
    /// A dead child, reaped; the status is unknown where the caller passed no buffer.
    Reaped(N, Option<Status>),
    /// A dead child, left as it is (WNOWAIT).
    Seen(N, Option<Status>),
    /// No child has changed (WNOHANG).
    Nothing,
    /// ECHILD.
    NoChild,
}

/// A wait with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait<N> {
    /// Which children.
    pub target: Target<N>,
    /// The answer.
    pub outcome: Outcome<N>,
}

impl<N> Wait<N> {
    pub(super) fn resolve<M>(self, find: &mut impl FnMut(N) -> M) -> Wait<M> {
        Wait {
            target: match self.target {
                Target::Any => Target::Any,
                Target::Pid(pid) => Target::Pid(find(pid)),
                Target::Group(group) => Target::Group(group.map(&mut *find)),
                Target::Set => Target::Set,
            },
            outcome: match self.outcome {
                Outcome::Reaped(child, status) => Outcome::Reaped(find(child), status),
                Outcome::Seen(child, status) => Outcome::Seen(find(child), status),
                Outcome::Nothing => Outcome::Nothing,
                Outcome::NoChild => Outcome::NoChild,
            },
        }
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let wait = match answer {
        Answer::None => return Parsed::Unanswered,
        // Interrupted by a signal: the call says nothing about its children.
        Answer::Error(b"EINTR") => return Parsed::Unanswered,
        _ if name == b"waitid" => waitid(args, answer),
        _ => wait4(args, answer),
    };
    match wait {
        // Whether a set is empty is not ours to say; a child it yields can be checked.
        Some(Wait { target: Target::Set, outcome: Outcome::Nothing | Outcome::NoChild }) | None => {
            Parsed::NotModelled
        }
        Some(wait) => Parsed::Modelled(Call::Wait(wait)),
    }
}

fn wait4(args: &[u8], answer: Answer<'_>) -> Option<Wait<i32>> {
    let mut args = text::args(args);
    let target = match text::number(args.next()?)? {
        -1 => Target::Any,
        0 => Target::Group(None),
        pid if pid > 0 => Target::Pid(pid),
        group => Target::Group(Some(group.checked_neg()?)),
    };
    let outcome = match answer {
        Answer::Error(b"ECHILD") => Outcome::NoChild,
        Answer::Value(0) => Outcome::Nothing,
        Answer::Value(pid) if pid > 0 => {
            let status = args.next()?;
            let status = if status == b"NULL" { None } else { Some(wait_status(status)?) };
            Outcome::Reaped(i32::try_from(pid).ok()?, status)
        }
        _ => return None,
    };
    Some(Wait { target, outcome })
}

/// `[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]` and its like; `None` for a child that lives.
fn wait_status(status: &[u8]) -> Option<Status> {
    if let Some(code) = text::field(status, b"WEXITSTATUS(s) == ") {
        return Some(Status::Exited(u8::try_from(text::int(code)?).ok()?));
    }
    let signal = text::signal(text::field(status, b"WTERMSIG(s) == ")?)?;
    Some(Status::Killed { signal, core_dumped: text::find(status, b"WCOREDUMP(s)").is_some() })
}

fn waitid(args: &[u8], answer: Answer<'_>) -> Option<Wait<i32>> {
    let mut args = text::args(args);
    let (kind, id, info, options) = (args.next()?, args.next()?, args.next()?, args.next()?);
    let target = match kind {
        b"P_ALL" => Target::Any,
        b"P_PID" => Target::Pid(text::number(id)?),
        b"P_PGID" => Target::Group(Some(text::number(id)?).filter(|group| *group != 0)),
        _ => Target::Set,
    };
    let outcome = match answer {
        Answer::Error(b"ECHILD") => Outcome::NoChild,
        Answer::Value(0) => {
            let child = text::field(info, b"si_pid=").and_then(text::number).filter(|pid| *pid > 0);
            let hangs = !text::has_flag(options, b"WNOHANG");
            let (child, status) = match (child, target) {
                (Some(child), _) => (child, Some(siginfo_status(info)?)),
                // Without a buffer, only a named target tells who it was.
                (None, Target::Pid(pid)) if hangs => (pid, None),
                (None, _) if hangs || info == b"NULL" => return None,
                (None, _) => {
                    return Some(Wait { target, outcome: Outcome::Nothing });
                }
            };
            if text::has_flag(options, b"WNOWAIT") {
                Outcome::Seen(child, status)
            } else {
                Outcome::Reaped(child, status)
            }
        }
        _ => return None,
    };
    Some(Wait { target, outcome })
}

fn siginfo_status(info: &[u8]) -> Option<Status> {
    let status = text::field(info, b"si_status=")?;
    let killed = |core_dumped| Some(Status::Killed { signal: text::signal(status)?, core_dumped });
    match text::field(info, b"si_code=")? {
        b"CLD_EXITED" => Some(Status::Exited((text::int(status)? & 0xff) as u8)),
        b"CLD_KILLED" => killed(false),
        b"CLD_DUMPED" => killed(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(name: &str, args: &str, answer: Answer<'_>) -> Option<Wait<i32>> {
        match parse(name.as_bytes(), args.as_bytes(), answer) {
            Parsed::Modelled(Call::Wait(wait)) => Some(wait),
            _ => None,
        }
    }

    #[test]
    fn statuses_of_wait4() {
        let of = |status| {
            wait("wait4", &format!("-1, [{{{status}}}], 0, NULL"), Answer::Value(7))
                .map(|w| w.outcome)
        };
        let reaped = |status| Some(Outcome::Reaped(7, Some(status)));
        assert_eq!(of("WIFEXITED(s) && WEXITSTATUS(s) == 3"), reaped(Status::Exited(3)));
        let killed = |core_dumped| reaped(Status::Killed { signal: 11, core_dumped });
        assert_eq!(of("WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV"), killed(false));
        assert_eq!(of("WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)"), killed(true));
        assert_eq!(of("WIFSTOPPED(s) && WSTOPSIG(s) == SIGTSTP"), None);
        assert_eq!(of("WIFCONTINUED(s)"), None);
    }

    #[test]
    fn outcomes_of_waitid() {
        let info = "{si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=9, si_uid=0, si_status=SIGTERM, si_utime=0}";
        let status = Some(Status::Killed { signal: 15, core_dumped: false });
        let of = |args: String, answer| wait("waitid", &args, answer).map(|w| w.outcome);
        let zero = Answer::Value(0);
        assert_eq!(
            of(format!("P_ALL, 0, {info}, WEXITED, NULL"), zero),
            Some(Outcome::Reaped(9, status))
        );
        assert_eq!(
            of(format!("P_PID, 9, {info}, WEXITED|WNOWAIT, NULL"), zero),
            Some(Outcome::Seen(9, status))
        );
        assert_eq!(of("P_ALL, 0, {}, WNOHANG|WEXITED, NULL".into(), zero), Some(Outcome::Nothing));
        assert_eq!(
            of("P_PID, 9, NULL, WEXITED, NULL".into(), zero),
            Some(Outcome::Reaped(9, None))
        );
        assert_eq!(of("P_ALL, 0, NULL, WEXITED, NULL".into(), zero), None);
        let echild = Answer::Error(b"ECHILD");
        assert_eq!(of("P_ALL, 0, 0x7f, WEXITED, NULL".into(), echild), Some(Outcome::NoChild));
        assert_eq!(of("P_PIDFD, 5, 0x7f, WEXITED, NULL".into(), echild), None);
        let group = |name, args: &str| wait(name, args, echild).map(|wait| wait.target);
        assert_eq!(group("waitid", "P_PGID, 5, 0x7f, WEXITED, NULL"), Some(Target::Group(Some(5))));
        assert_eq!(group("waitid", "P_PGID, 0, 0x7f, WEXITED, NULL"), Some(Target::Group(None)));
        assert_eq!(group("wait4", "-5, 0x7f, 0, NULL"), Some(Target::Group(Some(5))));
        assert_eq!(group("wait4", "0, 0x7f, 0, NULL"), Some(Target::Group(None)));
    }
}
