//! Replays logs of `strace -f` through an [`lwproc::Kernel`] and compares every answer.
//!
//! [`plan::Plan::open`] reads a log once; [`replay::replay`] runs it through a kernel any
//! number of times, one LWP per traced task, switching at every line.
//!
//! # What is compared
//!
//! Every answer of these families: who a task is and who its parent is; forks, execves and ends;
//! waits; descriptors (numbers given out, close-on-exec, what is open); user and group ids;
//! process groups and sessions; limits; signals. Errors too: the kernel gets the call itself, and
//! must refuse it with the same errno. What must be so for an error (a closed descriptor, a full
//! table) may be the doing of a call in flight, as for any answer.
//!
//! Signals are posted in the kernel, which records them. A `---` line with a sender must find the
//! signal that a kill of that sender has left pending, and takes it; a `+++ killed` line must
//! follow from a signal that came, or from a SIGKILL that pends; its parent's wait must tell that
//! status. A process that was sent SIGKILL answers no call any more, and ends by it, unless it was
//! ending already. The signals that the system itself makes (SIGCHLD, faults, timers) are sent by
//! nobody, and only explain deaths.
//!
//! # What is not
//!
//! An answer about ids, descriptors or credentials that the log does not explain is neither agreed
//! nor disagreed: it is counted by its [cause](scene::Cause), among the unexplained. The first task
//! gets its ids, group, session, limits and descriptors from outside the log: the first answer
//! about each is taken for the truth, by all processes that still have it, and every later one is
//! compared with it. A number of a descriptor that no answer has told about may turn out to be
//! open, once; so may one that a call may have given without showing it (control data that strace
//! cut short, an ioctl that answers the lowest free number). A limit of descriptors that the log
//! does not tell is taken to be 1,024 or more. Capabilities are not modelled: from a `capset` or a
//! `PR_SET_KEEPCAPS` on, a change of ids may be granted against the rules. Nobody knows who else
//! there is outside the log; but whoever is not found there (ESRCH) is not in the kernel either.
//! Somebody outside stays in the group that the first task was started in, and an orphan that has
//! ended may be reaped at any time.
//!
//! Each call takes effect in one step, a `close_range` too; of a race within one, an answer may
//! disagree.
//!
//! "Not modelled" are answers about something else: calls that fail because of a file (`openat`
//! with ENOENT, `read` with EAGAIN), forks and execves that fail, stopped and continued children,
//! waits for a set of children (P_PIDFD) that find none, `prctl` but for capabilities.
//!
//! Rooms, bottom to top: `parse` (bytes to lines), `calls` (text to typed calls), `plan`
//! (lines to steps), `world` (tasks as LWPs, and descriptor tables as the answers tell them),
//! `signals` (who sent what), `scene` (what is in flight), `check` (answers compared), `replay`
//! (one pass), `copies` (many, in one kernel), `report` (what was found), `command` (the verb
//! of the command line).

pub mod calls;
mod check;
pub mod command;
pub mod copies;
pub mod parse;
pub mod plan;
pub mod replay;
pub mod report;
pub mod scene;
pub mod signals;
pub mod world;
