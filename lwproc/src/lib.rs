//! Processes and LWPs (lightweight processes) for library OSes, hypervisors, emulators
//! and language runtimes: make, find, switch, signal, end, wait; lock-free.
//!
//! ```
//! use lwproc::{ExitStatus, Kernel, WaitPolicy, WaitTarget};
//!
//! let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build()?;
//! let mut k = kernel.enter()?;
//! k.switch(kernel.spawn().name("sh").start()?)?; // this thread runs as a process
//!
//! let child = k.spawn().name("true").start()?; // another one, and the right to run it
//! let parent = k.switch(child)?.expect("the LWP that ran until now");
//! assert_eq!(k.ppid(), parent.pid());
//! k.exit(ExitStatus::exited(3))?; // it goes at the next switch
//! k.switch(parent)?;
//!
//! let reaped = k.wait(WaitTarget::Any)?;
//! assert_eq!(reaped.status.exit_code(), Some(3));
//! k.release()?;
//! drop(k); // leaves; with its last LWP a process ends
//! assert_eq!(kernel.counts().procs, 2); // proc0 and init
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | kernel | one world of processes: the value [`Kernel`]; any number may live at once |
//! | process | what has a number ([`Pid`]), a parent, a group, credentials, descriptors and an exit status; it lives as long as it has an LWP |
//! | LWP | a lightweight process, a thread of a process: what a host thread or a task runs *as*; its number is a [`Lid`] |
//! | to enter | to become a thread in the kernel: [`Kernel::enter`] gives an [`Entered`], and dropping that leaves |
//! | bound | the LWP that an entered thread runs as; it stays the thread's when the thread leaves |
//! | implicit context | an entered thread with no LWP bound: it acts as init, with init's credentials; a kernel can [forbid](Builder::forbid_implicit_contexts) it |
//! | owned | somebody has the right to run the LWP: an [`Lwp`] value, or the thread that it is bound to |
//! | parked | nobody has that right; whoever finds the LWP may [claim](LwpRef::claim) it |
//! | hold | a count on the current LWP that keeps [`Entered::release`] from ending it |
//! | guard | a section in which what is found stays readable: [`Guard`] |
//! | zombie | an ended process that its parent has not reaped |
//! | to reap | to take an ended child's status, and with it the last of the child |
//! | init, proc0 | processes 1 and 0, which never end: the foster parent of orphans, and the kernel itself |
//! | drain | to close a process to new LWPs and to tell those that it has to end |
//!
//! # Which type for what
//!
//! | to | take |
//! |---|---|
//! | act as a process: open files, signal others, fork, wait | [`Entered`] and its views [`Files`], [`Signals`], [`Groups`], [`Creds`], [`Resources`], [`Data`] |
//! | make a child without becoming it | [`Spawn`], from [`Entered::spawn`], [`Kernel::spawn`] or [`ProcHandle::spawn`] |
//! | run an LWP later, or on another thread | [`Lwp`]; park it with [`Lwp::unclaim`], and keep an [`LwpHandle`] |
//! | run an async task as an LWP | [`Lwp::scope`] (feature `async`) |
//! | look at processes, LWPs, groups | [`Guard`], and [`ProcRef`], [`LwpRef`], [`PgrpRef`] under it |
//! | keep hold of a process: wait for it, signal it, end it | [`ProcHandle`] |
//! | give a call that blocks a deadline | [`Until`]: [`Entered::until`], [`Entered::within`] |
//! | have a file without a descriptor, or the reverse | [`FileHandle`], [`FdReservation`] |
//! | keep data with a process or an LWP | [`ProcKey`], [`LwpKey`] |
//! | be told of ends, or of everything | [`Kernel::add_exit_hook`], [`TraceSink`] |
//! | supply files, address spaces, a clock, hypercalls | [`Host`] |
//! | hand an error to a guest | [`Errno`], which every error converts into |
//!
//! # Guides
//!
//! * [Spawning](guide::spawning)
//! * [Waiting, with a deadline, for any child](guide::waiting)
//! * [Ending a process from outside](guide::ending)
//! * [Signals](guide::signals)
//! * [Exec](guide::exec)
//! * [Descriptors](guide::descriptors)
//! * [Linux or NetBSD](guide::systems)
//! * [A host of one's own](guide::host)
//! * [Under an executor](guide::executors)
//!
//! # Features
//!
//! * `async`: [scopes](Lwp::scope) and futures; no executor comes with it.
//! * `tracing`: `TracingSink`, which hands a kernel's events to the crate `tracing`.

// The models see layers that are not part of the documented interface.
#![cfg_attr(any(lwproc_loom, lwproc_shuttle), allow(missing_docs, missing_debug_implementations))]
#![cfg_attr(
    any(lwproc_loom, lwproc_shuttle),
    allow(
        clippy::arc_with_non_send_sync,
        clippy::modulo_one,
        clippy::new_without_default,
        clippy::not_unsafe_ptr_arg_deref,
        clippy::unsafe_removed_from_name
    )
)]

#[cfg(any(lwproc_loom, lwproc_shuttle))]
#[doc(hidden)]
pub mod layers {
    //! The layers below the kernel, for the models that check each apart.
    pub use crate::cred::uids::{Charge, Lane, Most, OverLimit, UidInfo, Uids};
    pub use crate::filedesc::file::FileHold;
    pub use crate::filedesc::link::{Borrowed, TableLink, TableUse};
    pub use crate::filedesc::table::FdTable;
    pub use crate::idtable::cyclic::Cyclic;
    pub use crate::idtable::segments::Segments;
    pub use crate::idtable::surplus::Surplus;
    pub use crate::idtable::{Exhausted, IdTable, Reserved, Shard, Slot};
    pub use crate::list::{List, Node};
    pub use crate::object::{lwp_word, proc_word};
    pub use crate::reclaim::counted::{CountedCell, CountedRef};
    pub use crate::reclaim::mailbox::Mailbox;
    pub use crate::reclaim::refcount::Dropped;
    pub use crate::reclaim::{Collector, Link, Local, Managed, Pin, RefCount, Tagged};
    pub use crate::signal::queue;
    pub use crate::sync::{Parker, Unparker};
    pub use crate::waitq::{WaitQueue, Waiting};
    pub use crate::world::biglock::BigLock;
    pub use crate::world::caps::{Cap, Full};
    pub use crate::world::cpus::Cpus;
}

mod cred;
mod emul;
mod entry;
mod errno;
mod error;
mod family;
mod filedesc;
#[cfg(feature = "async")]
mod futures;
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
pub mod guide;
mod handles;
mod host;
mod id;
mod idtable;
mod kernel;
mod limits;
mod list;
mod object;
mod once_box;
mod ops;
mod orphans;
mod panics;
mod pgrp;
mod policy;
mod reclaim;
mod report;
mod signal;
mod sleep;
mod specific;
mod sync;
mod usage;
mod waitq;
mod world;

pub use cred::{Cred, CredChange, GROUPS_MAX, IdSet};
pub use emul::{EmulError, EmulId};
pub use entry::Entered;
pub use entry::acts::EndError;
pub use entry::alias::Aliases;
pub use entry::biglock::{BigLock, BigLockError};
pub use entry::cred::Creds;
pub use entry::current::CurLwp;
#[cfg(feature = "async")]
pub use entry::drain::Told;
pub use entry::drain::{AloneError, Drain, ExecError};
pub use entry::files::{Files, FilesMut, UnshareError};
pub use entry::groups::Groups;
pub use entry::innermost::{CurrentError, current, current_of};
pub use entry::opened::{FdReservation, FileHandle, FileRef};
pub use entry::pidfd::{Drained, Exited, ExitedError, WaitProc};
pub use entry::process::Process;
pub use entry::resources::Resources;
pub use entry::signal::{KillTarget, QueueTarget, Signals};
pub use entry::sleep::Interrupted;
pub use entry::specific::{Data, DataMut};
pub use entry::terminal::{AtTerminal, Tostop};
pub use entry::until::Until;
pub use entry::vfork::{VforkEnd, Vforked};
pub use entry::wait::{Reaped, Zombie};
pub use entry::wait_for::{ChildEvent, ChildKind, WaitEvents, WaitFor, WaitTarget};
pub use errno::{Abi, Errno};
pub use error::{
    BuildError, ClaimError, CredError, EnterError, ForkError, HoldError, NewLwpError, ReleError,
    ReleaseError, UnbindError, WaitError,
};
pub use filedesc::{CloseRange, Fd, FdError, OnExec, OpenError, Rfork};
#[cfg(feature = "async")]
pub use futures::{Interruptible, OrExit, Scope, WaitChild, WaitUntil, interruptible};
pub use handles::ending::Ending;
pub use handles::guard::Guard;
pub use handles::lwp::{LwpHandle, LwpRef, LwpState};
pub use handles::namespace::PidNamespace;
pub use handles::pgrp::PgrpRef;
pub use handles::proc::{ProcHandle, ProcRef, ProcState};
pub use handles::refused::{EnterAsError, SwitchError, UnclaimError};
pub use handles::reservation::ProcReservation;
pub use handles::spawn::Spawn;
pub use host::{Host, LwpToken, ThreadHost};
pub use id::{Identity, Lid, Numbering, Pid};
pub use kernel::Kernel;
pub use kernel::builder::Builder;
pub use kernel::numbers::NumberingError;
pub use limits::{Limit, LimitError, Limits, Resource};
pub use object::comm::Comm;
pub use object::proc_word::Subreaper;
pub use object::status::{CoreDump, ExitStatus};
pub use object::terminal::{Terminal, TerminalError};
#[cfg(feature = "tracing")]
pub use object::trace::TracingSink;
pub use object::trace::{TraceEvent, TraceSink};
pub use ops::owned::Lwp;
pub use ops::plan::{SpawnError, SpawnGroup};
pub use pgrp::GroupError;
pub use policy::{Difference, JobControl, Rules, WaitPolicy};
pub use report::{Counts, ReclaimStats, Teardown, UserCounts};
pub use signal::{
    ChildFlags, DeathSignalError, Disposition, DispositionError, KillError, MaskError, QueueError,
    SigModel, SigSet, Signo, Taken,
};
pub use sleep::{SyncObject, Unslept, WaitChannel};
pub use specific::{LwpKey, ProcKey, SpecificError};
pub use usage::{Profile, Usage};
pub use world::config::hooks::{HookError, HookId};
pub use world::config::{Enforcement, LimitsPolicy};
