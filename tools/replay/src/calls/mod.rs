//! What a call asked and what the log says it answered, typed; one module per family.
//!
//! To add a family: a module with `NAMES`, a type over the number `N`, `parse` and `resolve`;
//! a variant of [`Call`]; a line in `FAMILIES`; and a module of the same name in `check`.

mod cause;
pub mod files;
pub mod groups;
pub mod ids;
pub mod kill;
pub mod limits;
pub mod process;
pub mod wait;

pub use cause::Cause;

use crate::parse::Answer;

/// A modelled call. `N` is a process number: as the log wrote it, or resolved to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call<N> {
    /// Who am I, who is my parent.
    Identity(process::Identity<N>),
    /// A new process or thread.
    Fork(process::Fork<N>),
    /// A new image: the other threads go, the caller bears the pid.
    Exec(process::Exec),
    /// The end of a thread or of its process. Its answer is the `+++` line.
    Exit(process::Exit),
    /// Waiting for a child.
    Wait(wait::Wait<N>),
    /// A signal sent: does the target exist?
    Kill(kill::Kill<N>),
    /// Descriptors.
    Files(files::Files),
    /// Users and groups.
    Ids(ids::Ids),
    /// Process groups and sessions.
    Groups(groups::Groups<N>),
    /// Resource limits.
    Limits(limits::Limits<N>),
}

impl<N> Call<N> {
    /// What the call does to descriptors, if anything.
    pub fn files(&self) -> Option<&files::Files> {
        match self {
            Self::Files(files) => Some(files),
            Self::Fork(fork) => fork.pidfd.as_ref(),
            _ => None,
        }
    }

    /// The same call with every number replaced.
    pub fn resolve<M>(self, find: &mut impl FnMut(N) -> M) -> Call<M> {
        match self {
            Self::Identity(identity) => Call::Identity(identity.resolve(find)),
            Self::Fork(fork) => Call::Fork(fork.resolve(find)),
            Self::Exec(exec) => Call::Exec(exec),
            Self::Exit(exit) => Call::Exit(exit),
            Self::Wait(wait) => Call::Wait(wait.resolve(find)),
            Self::Kill(kill) => Call::Kill(kill.resolve(find)),
            Self::Files(files) => Call::Files(files),
            Self::Ids(ids) => Call::Ids(ids),
            Self::Groups(groups) => Call::Groups(groups.resolve(find)),
            Self::Limits(limits) => Call::Limits(limits.resolve(find)),
        }
    }
}

/// What a family makes of the text of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A question and its answer, to be compared.
    Modelled(Call<i32>),
    /// An answer about ids, descriptors or credentials that cannot be compared.
    Unexplained(Cause),
    /// An answer about something else.
    NotModelled,
    /// The call was interrupted: there is nothing to compare.
    Unanswered,
}

/// Reader of one family: name, arguments, answer.
pub type Family = fn(&[u8], &[u8], Answer<'_>) -> Parsed;

const FAMILIES: &[(&[&str], Family)] = &[
    (process::NAMES, process::parse),
    (wait::NAMES, wait::parse),
    (kill::NAMES, kill::parse),
    (files::NAMES, files::parse),
    (ids::NAMES, ids::parse),
    (groups::NAMES, groups::parse),
    (limits::NAMES, limits::parse),
];

/// The family that covers a syscall, if one does.
pub fn family(name: &[u8]) -> Option<Family> {
    let covers = |names: &[&str]| names.iter().any(|known| known.as_bytes() == name);
    FAMILIES.iter().find(|(names, _)| covers(names)).map(|(_, family)| *family)
}
