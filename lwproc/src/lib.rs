//! Processes and LWPs (lightweight processes) for library OSes, hypervisors,
//! emulators and language runtimes: create, attach, switch, hold, release,
//! free, wait; lock-free.
//!
//! ```
//! use lwproc::{ExitStatus, Kernel, Rfork, WaitPolicy, WaitTarget};
//!
//! let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build()?;
//! let mut k = kernel.enter()?; // implicit: runs as init
//! assert!(k.curlwp().is_none());
//!
//! k.rfork(Rfork::Fresh)?; // a process, and a switch to its first LWP
//! let parent = k.rfork(Rfork::Copy)?.expect("the LWP that forked");
//! let child = k.pid();
//! assert_eq!(k.ppid(), parent.pid());
//!
//! k.exit(ExitStatus::exited(3))?; // goes at the next switch
//! k.switch(parent)?;
//! let reaped = k.try_wait(WaitTarget::Any)?.expect("a zombie");
//! assert_eq!((reaped.pid, reaped.status.exit_code()), (child, Some(3)));
//!
//! k.releaselwp()?;
//! drop(k); // leaves; with its last LWP the process ends
//! assert_eq!(kernel.counts().procs, 2); // proc0 and init
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
    pub use crate::cred::uids::{Charge, Lane, OverLimit, UidInfo, Uids};
    pub use crate::filedesc::file::FileHold;
    pub use crate::filedesc::link::{Borrowed, TableLink, TableUse};
    pub use crate::filedesc::table::FdTable;
    pub use crate::idtable::segments::Segments;
    pub use crate::idtable::surplus::Surplus;
    pub use crate::idtable::{Exhausted, IdTable, Reserved, Shard, Slot};
    pub use crate::list::{List, Node};
    pub use crate::lwp::word as lwp_word;
    pub use crate::proc::word as proc_word;
    pub use crate::reclaim::counted::{CountedCell, CountedRef};
    pub use crate::reclaim::mailbox::Mailbox;
    pub use crate::reclaim::refcount::Dropped;
    pub use crate::reclaim::{Collector, Link, Local, Managed, Pin, RefCount, Tagged};
    pub use crate::sync::{Parker, Unparker};
    pub use crate::waitq::{WaitQueue, Waiting};
    pub use crate::world::biglock::BigLock;
    pub use crate::world::cpus::Cpus;
}

mod config;
mod cred;
mod emul;
mod entry;
mod errno;
mod error;
mod filedesc;
#[cfg(feature = "async")]
mod futures;
mod handles;
mod host;
mod id;
mod idtable;
mod kernel;
mod limits;
mod list;
mod lwp;
mod once_box;
mod panics;
mod pgrp;
mod policy;
mod proc;
mod reclaim;
mod report;
mod signal;
mod sleep;
mod specific;
mod sync;
mod trace;
mod usage;
mod waitq;
mod world;

pub use config::hooks::{Ending, HookError, HookId};
pub use config::{Enforcement, LimitsPolicy};
pub use cred::{Cred, CredChange, GROUPS_MAX, IdSet};
pub use emul::{EmulError, EmulId};
pub use entry::{
    AloneError, BigLockError, CurLwp, Drain, Entered, ExecError, FdReservation, FileHandle,
    FileRef, Interrupted, KillTarget, Reaped, Rfork, WaitTarget, Zombie,
};
pub use errno::Errno;
pub use error::{
    BuildError, ClaimError, CredError, EnterError, ForkError, HoldError, NewLwpError, ReleError,
    ReleaseError, SwitchError, UnbindError, UnclaimError, WaitError,
};
pub use filedesc::{CloseRange, Fd, FdError, OnExec, OpenError};
#[cfg(feature = "async")]
pub use futures::{CurrentError, Scope, current, current_of};
pub use handles::guard::Guard;
pub use handles::lwp::{LwpHandle, LwpRef, LwpState};
pub use handles::owned::Lwp;
pub use handles::pgrp::PgrpRef;
pub use handles::pidfd::{Drained, Exited, WaitProc};
pub use handles::proc::{ProcHandle, ProcRef, ProcState};
pub use host::{Host, LwpToken, ThreadHost};
pub use id::{Identity, Lid, Pid};
pub use kernel::{Builder, Kernel};
pub use limits::{Limit, LimitError, Limits, Resource};
pub use pgrp::GroupError;
pub use policy::WaitPolicy;
pub use proc::comm::Comm;
pub use proc::status::{CoreDump, ExitStatus};
pub use report::{Counts, ReclaimStats, Teardown, UserCounts};
pub use signal::{KillError, MaskError, SigModel, SigSet, Signo};
pub use sleep::{SyncObject, Unslept, WaitChannel};
pub use specific::{LwpKey, ProcKey, SpecificError};
#[cfg(feature = "tracing")]
pub use trace::TracingSink;
pub use trace::{TraceEvent, TraceSink};
pub use usage::{Profile, Usage};
