//! Identity, birth, new image and end of a task.

use super::files::{self, Attempt, Files, Given};
use super::{Call, Parsed};
use crate::parse::{Answer, text};
use lwproc::{Errno, OnExec};

/// The syscalls of this family.
pub const NAMES: &[&str] = &[
    "getpid",
    "gettid",
    "getppid",
    "set_tid_address",
    "fork",
    "vfork",
    "clone",
    "clone3",
    "execve",
    "execveat",
    "exit",
    "exit_group",
];

/// Bytes of a command name that Linux keeps (TASK_COMM_LEN without the terminator).
const COMM_BYTES: usize = 15;

/// Which number was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The process.
    Pid,
    /// The thread.
    Tid,
    /// The parent process.
    Ppid,
}

/// getpid, gettid, getppid, set_tid_address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<N> {
    /// Which number was asked for.
    pub which: Which,
    /// The answer.
    pub answer: N,
}

/// What a fork makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Makes {
    /// A child process.
    Child,
    /// A thread of the same process (CLONE_THREAD).
    Thread,
    /// A child of the caller's parent (CLONE_PARENT).
    Sibling,
}

/// What a new task does with its maker's descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptors {
    /// It has a copy of the table.
    Copied,
    /// It uses the same table (CLONE_FILES).
    Shared,
}

/// fork, vfork, clone, clone3 that answered in the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork<N> {
    /// What was made.
    pub makes: Makes,
    /// What it does with the descriptors.
    pub descriptors: Descriptors,
    /// Number of the new task.
    pub child: N,
    /// The descriptor of the child that the caller gets (CLONE_PIDFD).
    pub pidfd: Option<Files>,
}

/// A successful execve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The new command name.
    pub comm: String,
}

/// exit and exit_group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Who goes.
    pub scope: Scope,
    /// The low eight bits of the argument.
    pub code: u8,
}

/// Who goes at an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The calling thread.
    Thread,
    /// Every thread of the process.
    Process,
}

impl<N> Identity<N> {
    pub(super) fn resolve<M>(self, find: &mut impl FnMut(N) -> M) -> Identity<M> {
        Identity { which: self.which, answer: find(self.answer) }
    }
}

impl<N> Fork<N> {
    pub(super) fn resolve<M>(self, find: &mut impl FnMut(N) -> M) -> Fork<M> {
        let Self { makes, descriptors, child, pidfd } = self;
        Fork { makes, descriptors, child: find(child), pidfd }
    }
}

/// What a fork with these arguments makes; its flags are printed at entry.
pub fn makes(args: &[u8]) -> Makes {
    if text::has_flag(args, b"CLONE_THREAD") {
        Makes::Thread
    } else if text::has_flag(args, b"CLONE_PARENT") {
        Makes::Sibling
    } else {
        Makes::Child
    }
}

/// What the new task does with the descriptors; vfork has no flags, and copies.
pub fn descriptors(args: &[u8]) -> Descriptors {
    if text::has_flag(args, b"CLONE_FILES") { Descriptors::Shared } else { Descriptors::Copied }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    match name {
        b"exit" => exit(Scope::Thread, args),
        b"exit_group" => exit(Scope::Process, args),
        _ => match answer {
            Answer::None => Parsed::Unanswered,
            // The table of the caller has no number for the child's descriptor.
            Answer::Error(b"EMFILE") if gives_pidfd(args) => {
                let refused =
                    Files::Refused { attempt: Attempt::Open(1), errno: Errno::EMFILE, or: None };
                Parsed::Modelled(Call::Files(refused))
            }
            Answer::Error(_) => Parsed::NotModelled,
            Answer::Value(value) => answered(name, args, value),
        },
    }
}

fn answered(name: &[u8], args: &[u8], value: i64) -> Parsed {
    let number = i32::try_from(value).ok();
    let identity = |which| number.map(|answer| Call::Identity(Identity { which, answer }));
    let call = match name {
        b"getpid" => identity(Which::Pid),
        b"gettid" | b"set_tid_address" => identity(Which::Tid),
        b"getppid" => identity(Which::Ppid),
        b"execve" => exec(args, 0, value),
        b"execveat" => exec(args, 1, value),
        _ => number.filter(|child| *child > 0).map(|child| {
            let (makes, descriptors) = (makes(args), descriptors(args));
            Call::Fork(Fork { makes, descriptors, child, pidfd: pidfd(name, args) })
        }),
    };
    call.map_or(Parsed::NotModelled, Parsed::Modelled)
}

fn gives_pidfd(args: &[u8]) -> bool {
    text::has_flag(args, b"CLONE_PIDFD")
}

/// The descriptor of the child: clone shows it as `parent_tid=[3]`, clone3 as `pidfd=[3]`.
fn pidfd(name: &[u8], args: &[u8]) -> Option<Files> {
    if !gives_pidfd(args) {
        return None;
    }
    let key: &[u8] = if name == b"clone3" { b"pidfd=[" } else { b"parent_tid=[" };
    let fd = text::field(args, key).and_then(|fd| text::number(fd.split(|b| *b == b'<').next()?));
    Some(match fd.filter(|fd| (0..files::FD_END).contains(fd)) {
        Some(fd) => Files::Open { fds: vec![fd], on_exec: OnExec::Close },
        None => Files::Unseen { used: None, given: Given::UpTo(1) },
    })
}

fn exec(args: &[u8], path: usize, value: i64) -> Option<Call<i32>> {
    let mut comm = text::basename(text::args(args).nth(path)?);
    while comm.len() > COMM_BYTES {
        comm.pop();
    }
    (value == 0).then_some(Call::Exec(Exec { comm }))
}

fn exit(scope: Scope, args: &[u8]) -> Parsed {
    match text::int(args.trim_ascii()) {
        // The kernel keeps eight bits of the code.
        Some(code) => Parsed::Modelled(Call::Exit(Exit { scope, code: (code & 0xff) as u8 })),
        None => Parsed::NotModelled,
    }
}
