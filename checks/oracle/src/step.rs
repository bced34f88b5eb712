//! Steps of a sequence, and their text: an actor, a verb, what is said to it.
//!
//! ```text
//! p1 fork p2
//! p2 setpgid p2 0
//! p1 kill -p2 TERM
//! p1 wait -1 hang reap
//! ```
//!
//! Actors are named by their fork, so a step means the same when others are left out. `p2`
//! is its number, `-p2` the group of that number.

use crate::ids;
use crate::signals;
use crate::verbs::{self, Makes, Verb};
use std::fmt;
use std::str::FromStr;

/// An actor's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name(pub u16);

impl Name {
    /// Whom a sequence begins with: a child of init.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// One argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arg {
    /// As it is.
    Number(i64),
    /// The number of an actor; for a verb that makes one, its name.
    Actor(Name),
    /// The negative number of an actor: the group that it leads, or led.
    Group(Name),
    /// A signal, with Linux's number.
    Signal(u8),
    /// A set of signals, with Linux's numbers.
    Set(u64),
    /// A user or group of [`ids`].
    Id(u8),
    /// A word that says how.
    Word(&'static str),
}

/// Words, and what they mean to the verb that has them.
const WORDS: &[(&str, i64)] = &[
    ("hang", 0),
    ("nohang", 1),
    ("reap", 0),
    ("look", 1),
    ("block", 0),
    ("unblock", 1),
    ("setmask", 2),
    ("default", 0),
    ("ignore", 1),
    ("catch", 2),
    ("free", 0),
    ("steal", 1),
    ("ended", 0),
    ("stopped", 1),
    ("continued", 2),
    ("any", 3),
    ("clone", 4),
    ("all", 5),
    ("own", 6),
    ("nowait", 3),
    ("nostop", 4),
    ("default-nowait", 5),
];

impl Arg {
    /// Its value, by the numbers that actors have on one side; `None` when one is meant that
    /// was never made.
    pub fn value(self, pid_of: impl Fn(Name) -> Option<i32>) -> Option<i64> {
        Some(match self {
            Self::Number(number) => number,
            Self::Actor(name) => pid_of(name)?.into(),
            Self::Group(name) => -i64::from(pid_of(name)?),
            Self::Signal(number) => number.into(),
            Self::Set(set) => set as i64,
            Self::Id(name) => ids::of(name).into(),
            Self::Word(word) => WORDS.iter().find(|(known, _)| *known == word)?.1,
        })
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Actor(name) => write!(f, "{name}"),
            Self::Group(name) => write!(f, "-{name}"),
            Self::Signal(number) => match signals::of_linux((*number).into()) {
                Some(signal) => f.write_str(signal.name),
                None => write!(f, "{number}"),
            },
            Self::Set(set) => f.write_str(&signals::show(*set)),
            Self::Id(name) => write!(f, "u{name}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// A line that is no step.
#[derive(Debug)]
pub struct BadStep(String);

impl fmt::Display for BadStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a step: {}", self.0)
    }
}

impl std::error::Error for BadStep {}

impl FromStr for Name {
    type Err = BadStep;

    fn from_str(text: &str) -> Result<Self, BadStep> {
        let number = text.strip_prefix('p').and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| BadStep(text.into()))
    }
}

fn signal_named(name: &str) -> Option<u8> {
    signals::SIGNALS.iter().find(|signal| signal.name == name).map(|signal| signal.linux)
}

impl FromStr for Arg {
    type Err = BadStep;

    fn from_str(text: &str) -> Result<Self, BadStep> {
        let bad = || BadStep(text.into());
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        if let Some(signals) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let names = signals.split(',').filter(|name| !name.is_empty());
            let mut set = names.map(|name| signal_named(name).map(signals::bit));
            let set = set.try_fold(0, |all, one| one.map(|one| all | one));
            return set.map(Self::Set).ok_or_else(bad);
        }
        if let Ok(name) = text.parse() {
            return Ok(Self::Actor(name));
        }
        if let Some(Ok(name @ 1..=ids::COUNT)) = text.strip_prefix('u').map(str::parse) {
            return Ok(Self::Id(name));
        }
        if let Some(name) = text.strip_prefix('-') {
            return name.parse().map(Self::Group);
        }
        if let Some((word, _)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(Self::Word(word));
        }
        signal_named(text).map(Self::Signal).ok_or_else(bad)
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who does it.
    pub actor: Name,
    /// What.
    pub verb: &'static Verb,
    /// With what.
    pub args: Vec<Arg>,
}

impl Step {
    /// Whom it makes, if it makes somebody.
    pub fn makes(&self) -> Option<Name> {
        match (self.verb.makes, self.args.first()) {
            (Makes::Process | Makes::Init | Makes::Thread, Some(Arg::Actor(name))) => Some(*name),
            _ => None,
        }
    }

    /// The values of its arguments on one side; `None` when it cannot be done there.
    pub fn values(&self, pid_of: impl Fn(Name) -> Option<i32>) -> Option<Vec<i64>> {
        let made = self.makes();
        let pid_of = |name| if made == Some(name) { Some(0) } else { pid_of(name) };
        self.args.iter().map(|arg| arg.value(pid_of)).collect()
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.actor, self.verb.name)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

impl FromStr for Step {
    type Err = BadStep;

    fn from_str(line: &str) -> Result<Self, BadStep> {
        let bad = || BadStep(line.into());
        let mut words = line.split_whitespace();
        let actor = words.next().ok_or_else(bad)?.parse()?;
        let verb = words.next().and_then(verbs::named).ok_or_else(bad)?;
        let args = words.map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if args.len() != verb.args {
            return Err(bad());
        }
        Ok(Self { actor, verb, args })
    }
}

/// Reads a sequence: a step a line; `#` begins a comment.
///
/// # Errors
/// The first line that is no step.
pub fn read(text: &str) -> Result<Vec<Step>, BadStep> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    lines.filter(|line| !line.is_empty()).map(str::parse).collect()
}

/// What an actor got from its call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The value, or the error with Linux's number.
    pub result: Result<i64, i32>,
    /// What else it was told.
    pub out: String,
}

impl Answer {
    /// A value, and nothing else.
    pub fn value(value: i64) -> Self {
        Self { result: Ok(value), out: String::new() }
    }

    /// An error.
    pub fn error(errno: lwproc::Errno) -> Self {
        Self { result: Err(errno.number(lwproc::Abi::Linux)), out: String::new() }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.result {
            Ok(value) => write!(f, "{value}")?,
            Err(errno) => match lwproc::Errno::from_number(lwproc::Abi::Linux, errno) {
                Some(errno) => write!(f, "{errno}")?,
                None => write!(f, "errno {errno}")?,
            },
        }
        if self.out.is_empty() { Ok(()) } else { write!(f, " {}", self.out) }
    }
}

/// What came of a step for one actor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its call has returned.
    Answered(Answer),
    /// Its call goes on.
    Blocks,
    /// It has ended in it.
    Ended,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(answer) => write!(f, "{answer}"),
            Self::Blocks => f.write_str("blocks"),
            Self::Ended => f.write_str("ends"),
        }
    }
}
