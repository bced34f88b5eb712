//! Looking at a process.
#![allow(unsafe_code)]

use super::guard::Guard;
use super::lwp::LwpRef;
use crate::cred::Cred;
use crate::family;
use crate::host::{Host, ThreadHost};
use crate::id::{Identity, Pid};
use crate::limits::{Limit, Resource};
use crate::object::comm::Comm;
use crate::object::home::Anchor;
use crate::object::node::{ProcNode, ProcPtr};
use crate::object::terminal::Terminal;
use crate::ops::owned::Lwp;
use crate::ops::pending;
use crate::ops::post::Recipient;
use crate::ops::{kill, terminals};
use crate::pgrp;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Managed, Tagged};
use crate::signal::{SigSet, Signo};
use crate::specific::ProcKey;
use crate::sync::Arc;
use crate::usage::Usage;
use crate::world::aftermath::Aftermath;
use std::fmt;
use std::sync::Arc as StdArc;

/// Where a process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ProcState {
    /// It has LWPs (`SACTIVE`).
    Active,
    /// It has LWPs and takes no more (`PS_RUMP_LWPEXIT`).
    Draining,
    /// It has LWPs, which stop where they look (`SSTOP`); it may drain too.
    Stopped,
    /// Its last LWP is gone, and it is being taken apart (`SDEAD`).
    Dying,
    /// It waits to be reaped (`SZOMB`).
    Zombie,
    /// It is out of the table.
    Gone,
}

/// A process seen under a guard. `Copy`.
///
/// The guard delays the reclamation of everything retired meanwhile in this
/// kernel, and nothing in other kernels.
pub struct ProcRef<'g, H: Host = ThreadHost> {
    ptr: ProcPtr<H>,
    guard: &'g Guard<'g, H>,
}

impl<H: Host> Clone for ProcRef<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<H: Host> Copy for ProcRef<'_, H> {}

impl<'g, H: Host> ProcRef<'g, H> {
    /// # Safety
    /// `ptr` was found published under `guard`, or is kept alive otherwise.
    pub(crate) unsafe fn new(ptr: ProcPtr<H>, guard: &'g Guard<'g, H>) -> Self {
        Self { ptr, guard }
    }

    pub(super) fn guard(&self) -> &'g Guard<'g, H> {
        self.guard
    }

    pub(super) fn node(&self) -> &'g ProcNode<H> {
        // SAFETY: found published under the guard, by `new`'s contract.
        unsafe { Tagged::new(self.ptr).as_ref(self.guard.pin()) }.expect("never null")
    }

    /// The process's number.
    pub fn pid(&self) -> Pid {
        self.node().pid()
    }

    /// The number that is never issued again.
    pub fn identity(&self) -> Identity {
        self.node().id
    }

    /// The parent's number: 1 for an orphan; 0 for children of proc0, for proc0
    /// itself, and for a process that has been reaped. Wait-free.
    pub fn ppid(&self) -> Pid {
        let pin = self.guard.pin();
        family::edge_of(self.node(), self.guard.pin())
            .map_or(Pid::KERNEL, |(edge, _)| edge.ppid(pin))
    }

    /// The parent, which lives; `None` of proc0, and of a process that has been reaped.
    /// Wait-free; another one when the parent ends meanwhile.
    pub fn parent(&self) -> Option<ProcRef<'g, H>> {
        let (edge, _) = family::edge_of(self.node(), self.guard.pin())?;
        // SAFETY: it outlives the guard, which has seen the edge to it.
        Some(unsafe { ProcRef::new(edge.parent_ptr(), self.guard) })
    }

    /// Its process group; `None` once it has been reaped. Wait-free.
    pub fn pgid(&self) -> Option<Pid> {
        pgrp::group_of(self.node(), self.guard.pin()).map(|group| group.id().pid())
    }

    /// Its session; `None` once it has been reaped. Wait-free.
    pub fn sid(&self) -> Option<Pid> {
        let pin = self.guard.pin();
        pgrp::group_of(self.node(), pin).map(|group| group.session(pin).id().pid())
    }

    /// Its controlling terminal, if it has one. Wait-free but for a share of it.
    pub fn controlling_terminal(&self) -> Option<Terminal> {
        terminals::terminal_of(self.guard.world(), self.node(), self.guard.pin())
    }

    /// Posts a signal, whoever may send one ([`Signals::kill`](crate::Signals::kill) asks
    /// that): what the kernel itself tells a process (`psignal`), as SIGALRM. (For SIGCHLD
    /// there is [`Builder::sigchld`](crate::Builder::sigchld).) Nothing happens to one that has ended; SIGKILL does what it does
    /// by `kill`. As lock-free as that.
    pub fn post(&self, signo: Signo) {
        let to = Recipient::Proc(self.node());
        let (world, pin) = (self.guard.world(), self.guard.pin());
        Aftermath::collect(|aftermath| kill::send(world, &to, signo, pin, aftermath));
    }

    /// How many LWPs live in it.
    pub fn nlwps(&self) -> u32 {
        self.node().word.load().nlwps()
    }

    /// Where it is in its life; may be past already. Wait-free.
    pub fn state(&self) -> ProcState {
        let word = self.node().word.load();
        if !word.is_dead() {
            return match self.node().is_stopped() {
                true => ProcState::Stopped,
                false if word.is_draining() => ProcState::Draining,
                false => ProcState::Active,
            };
        }
        match family::edge_of(self.node(), self.guard.pin()) {
            None => ProcState::Gone,
            Some((_, 0 | family::GOING)) => ProcState::Dying,
            Some(_) => ProcState::Zombie,
        }
    }

    /// The command name. Wait-free.
    pub fn comm(&self) -> Comm {
        self.node().resources.comm(self.guard.pin())
    }

    /// Its credentials now; `None` once it has been reaped. Wait-free; writes
    /// nothing.
    pub fn cred(&self) -> Option<&'g Cred> {
        self.node().resources.cred.get(self.guard.pin())
    }

    /// One of its limits now; `None` once it has ended. Wait-free; writes nothing.
    pub fn rlimit(&self, resource: Resource) -> Option<Limit> {
        self.node().resources.limits.get(self.guard.pin()).map(|limits| limits.get(resource))
    }

    /// What it has used so far. Wait-free; writes nothing.
    pub fn usage(&self) -> Usage {
        self.node().resources.stats().map_or(Usage::default(), |stats| stats.own())
    }

    /// How many descriptors its table has open; 0 once it has ended. Each is
    /// counted as it is when it is passed. Wait-free; O(slots of the table).
    pub fn fd_count(&self) -> usize {
        self.node().resources.files.get(self.guard.pin()).map_or(0, |table| table.iter().count())
    }

    /// How many LWPs use its descriptor table, those of other processes that
    /// share it included; 0 once it has ended. Wait-free.
    pub fn fd_table_users(&self) -> usize {
        self.node().resources.files.get(self.guard.pin()).map_or(0, |table| table.users())
    }

    /// Whether both live and share one descriptor table (`kcmp`'s `KCMP_FILES`).
    /// Wait-free.
    pub fn shares_fds_with(&self, other: &ProcRef<'_, H>) -> bool {
        self.node().resources.files.is(&other.node().resources.files, self.guard.pin())
    }

    /// Its data under that key; `None` when there is none, when the process has
    /// ended, and for a key of another kernel. Lock-free.
    pub fn specific<T: Send + Sync + 'static>(&self, key: ProcKey<T>) -> Option<StdArc<T>> {
        let number = key.of_kernel(self.guard.world().serial).ok()?;
        let value = self.node().resources.specific.get(number, self.guard.pin())?;
        // A key has one type.
        value.downcast().ok()
    }

    /// What its system calls mean. Wait-free.
    pub fn emul(&self) -> &'g H::Emul {
        self.guard.world().emuls.get(self.node().resources.emul.get())
    }

    /// The signals posted to the process and not yet taken; not those posted to one
    /// of its LWPs. Wait-free; O(what is queued).
    pub fn pending(&self) -> SigSet {
        pending::of_proc(self.node(), self.guard.pin())
    }

    /// Its LWPs, newest first. Weakly consistent: an LWP present throughout
    /// is seen exactly once, none twice.
    pub fn lwps(&self) -> impl Iterator<Item = LwpRef<'g, H>> + use<'g, H> {
        let guard = self.guard;
        // One that has exited but is still linked may have lost its lid to a
        // new LWP already.
        let living =
            self.node().lwps.iter(guard.pin()).filter(|(l, _)| !l.word.load().has_exited());
        // SAFETY: found linked under the guard.
        living.map(move |(_, ptr)| unsafe { LwpRef::new(ptr, guard) })
    }

    /// Its children, zombies included, newest first. Weakly consistent, as
    /// [`ProcRef::lwps`].
    pub fn children(&self) -> impl Iterator<Item = ProcRef<'g, H>> + use<'g, H> {
        let guard = self.guard;
        family::children(&guard.world().ids, self.node(), guard.pin())
            // SAFETY: resolved through the table under the guard.
            .map(move |child| unsafe { ProcRef::new(child.ptr, guard) })
    }

    /// A counted handle; `None` when the process has been reaped. Lock-free.
    pub fn handle(&self) -> Option<ProcHandle<H>> {
        self.node()
            .refs
            .try_inc()
            .then(|| ProcHandle { ptr: self.ptr, anchor: self.guard.anchor() })
    }
}

impl<H: Host> fmt::Debug for ProcRef<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "ProcRef({} {} {state:?} {:?})", self.pid(), self.comm(), self.node().word)
    }
}

/// A counted handle of a process: keeps its memory, not its life. `Send`,
/// `Clone`; never comes to mean another process that gets the same pid.
pub struct ProcHandle<H: Host = ThreadHost> {
    ptr: ProcPtr<H>,
    anchor: Arc<Anchor<H>>,
}

// SAFETY: counted, and all that it reaches is `Sync`.
unsafe impl<H: Host> Send for ProcHandle<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for ProcHandle<H> {}

impl<H: Host> ProcHandle<H> {
    /// # Safety
    /// The process is in the table, and stays there meanwhile.
    pub(crate) unsafe fn of_living(ptr: ProcPtr<H>, anchor: Arc<Anchor<H>>) -> Self {
        // SAFETY: the table's claim holds it.
        unsafe { Managed::deref_counted(ptr) }.refs.inc();
        Self { ptr, anchor }
    }

    pub(crate) fn node(&self) -> &ProcNode<H> {
        // SAFETY: counted by this handle.
        unsafe { Managed::deref_counted(self.ptr) }
    }

    pub(crate) fn ptr(&self) -> ProcPtr<H> {
        self.ptr
    }

    pub(crate) fn anchor(&self) -> &Arc<Anchor<H>> {
        &self.anchor
    }

    /// The process's number.
    pub fn pid(&self) -> Pid {
        self.node().pid()
    }

    /// The number that is never issued again.
    pub fn identity(&self) -> Identity {
        self.node().id
    }

    /// How many LWPs live in it; 0 once it has ended.
    pub fn nlwps(&self) -> u32 {
        self.node().word.load().nlwps()
    }

    /// Whether it has LWPs. May be past already.
    pub fn is_alive(&self) -> bool {
        !self.node().word.load().is_dead()
    }
}

impl<H: Host> Lwp<H> {
    /// A handle of its process. Wait-free.
    pub fn proc_handle(&self) -> ProcHandle<H> {
        // SAFETY: owned by `self`.
        let anchor = unsafe { self.node().anchor() }.expect("a user's LWP has an anchor");
        // SAFETY: an owned LWP's process lives, and is in the table.
        unsafe { ProcHandle::of_living(self.node().proc, anchor) }
    }
}

impl<H: Host> Clone for ProcHandle<H> {
    fn clone(&self) -> Self {
        self.node().refs.inc();
        Self { ptr: self.ptr, anchor: self.anchor.clone() }
    }
}

impl<H: Host> Drop for ProcHandle<H> {
    fn drop(&mut self) {
        if self.node().refs.dec() == Dropped::Last {
            let seat = self.anchor.world().seat();
            // SAFETY: the table's claim is gone too, so it is unpublished.
            unsafe { seat.pin().retire(self.ptr) };
        }
    }
}

impl<H: Host> PartialEq for ProcHandle<H> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.ptr, other.ptr)
    }
}
impl<H: Host> Eq for ProcHandle<H> {}

impl<H: Host> fmt::Debug for ProcHandle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcHandle({} {:?})", self.pid(), self.node().word)
    }
}
