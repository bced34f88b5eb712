//! Looking at an LWP without the right to run it.
#![allow(unsafe_code)]

use super::guard::Guard;
use super::refused::UnclaimError;
use crate::cred::Cred;
use crate::error::ClaimError;
use crate::host::{Host, LwpToken, ThreadHost};
use crate::id::{Lid, Pid};
use crate::object::comm::Comm;
use crate::object::home::Anchor;
use crate::object::lwp_word::ClaimRefused;
use crate::object::node::{LwpNode, LwpPtr};
use crate::object::table;
use crate::ops::creds;
use crate::ops::kill;
use crate::ops::owned::Lwp;
use crate::ops::pending;
use crate::ops::post::{self, Recipient};
use crate::reclaim::Managed;
use crate::reclaim::refcount::Dropped;
use crate::signal::{SigSet, Signo};
use crate::sleep::Unslept;
use crate::sync::{Arc, Relaxed};
use crate::world::aftermath::Aftermath;
use std::fmt;

/// Where an LWP is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LwpState {
    /// Alive, and nobody owns the right to run it: anybody may
    /// [claim](LwpRef::claim) it.
    #[doc(alias = "LSRUN")]
    Parked,
    /// Somebody owns the right to run it, or it is bound to a thread.
    #[doc(alias = "LSONPROC")]
    Owned,
    /// Owned, and asleep in the kernel; that of a scope from the end of its first pending
    /// poll on, also while it is polled again.
    #[doc(alias = "LSSLEEP")]
    Sleeping,
    /// Gone.
    #[doc(alias = "LSIDL")]
    Gone,
}

fn state_of<H: Host>(node: &LwpNode<H>) -> LwpState {
    let word = node.word.load();
    if word.has_exited() {
        LwpState::Gone
    } else if !word.is_running() {
        LwpState::Parked
    } else if word.is_asleep() {
        LwpState::Sleeping
    } else {
        LwpState::Owned
    }
}

fn claim_error<H: Host>(node: &LwpNode<H>, pid: Pid, why: ClaimRefused) -> ClaimError {
    match why {
        ClaimRefused::AlreadyRunning => ClaimError::AlreadyRunning { pid, lid: node.lid() },
        ClaimRefused::Exiting => ClaimError::Exiting,
    }
}

/// An LWP seen under a guard. Cannot run it. `Copy`.
///
/// The guard delays the reclamation of everything retired meanwhile in this
/// kernel, and nothing in other kernels.
pub struct LwpRef<'g, H: Host = ThreadHost> {
    ptr: LwpPtr<H>,
    guard: &'g Guard<'g, H>,
}

impl<H: Host> Clone for LwpRef<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<H: Host> Copy for LwpRef<'_, H> {}

impl<'g, H: Host> LwpRef<'g, H> {
    /// # Safety
    /// `ptr` was found published under `guard`, or is owned by the caller.
    pub(crate) unsafe fn new(ptr: LwpPtr<H>, guard: &'g Guard<'g, H>) -> Self {
        Self { ptr, guard }
    }

    fn node(&self) -> &'g LwpNode<H> {
        // SAFETY: found published under the guard, by `new`'s contract.
        unsafe { crate::reclaim::Tagged::new(self.ptr).as_ref(self.guard.pin()) }
            .expect("never null")
    }

    /// The process's number.
    pub fn pid(&self) -> Pid {
        self.node().proc_pinned(self.guard.pin()).pid()
    }

    /// The LWP's number.
    pub fn lid(&self) -> Lid {
        self.node().lid()
    }

    /// What the host knows it by. Wait-free.
    pub fn token(&self) -> LwpToken {
        self.node().token()
    }

    /// Where it is in its life; may be past already.
    pub fn state(&self) -> LwpState {
        state_of(self.node())
    }

    /// Its name, if it has been given one. Wait-free.
    pub fn name(&self) -> Option<Comm> {
        self.node().name.get(self.guard.pin()).copied()
    }

    /// Its credentials: its process's, or by [Linux's rules](crate::Difference::OwnCredentials)
    /// its own. `None` once its process has been reaped. Wait-free; writes nothing.
    pub fn cred(&self) -> Option<&'g Cred> {
        let guard = self.guard;
        creds::of_lwp(guard.world().rules, self.node(), guard.pin())
    }

    /// Takes the right to run the LWP. Wait-free.
    ///
    /// # Errors
    /// [`ClaimError::AlreadyRunning`] (EBUSY): somebody has it.
    /// [`ClaimError::Exiting`] (ESRCH): the LWP is gone.
    // Seed: the LP_RUNNING test of S478, made one step with its setting (R6).
    pub fn claim(&self) -> Result<Lwp<H>, ClaimError> {
        let node = self.node();
        node.word.claim().map_err(|why| claim_error(node, self.pid(), why))?;
        // SAFETY: the claim has just been won.
        Ok(unsafe { Lwp::from_raw(self.ptr) })
    }

    /// Ends its sleep, if it sleeps: [`Entered::sleep_on`](crate::Entered::sleep_on)
    /// returns [`Interrupted::Unslept`](crate::Interrupted::Unslept), a
    /// [wait](crate::Entered::wait) for children or [to be
    /// alone](crate::Entered::wait_alone) is interrupted, and what it
    /// [sleeps with](crate::Entered::sleep_with) is called. A sleep whose condition
    /// comes at the same moment ends with that. The task of a scope is woken, and the next
    /// future in it that is interruptible, or call that blocks, is interrupted.
    /// Lock-free but for the [`SyncObject`](crate::SyncObject).
    // Seed: `lwp_unsleep` S65-S73, without the lock; a thread that is about to sleep
    // counts as asleep.
    #[doc(alias = "lwp_unsleep")]
    pub fn unsleep(&self) -> Unslept {
        let mut aftermath = Aftermath::none();
        let done = self.node().unsleep(self.guard.pin(), &mut aftermath);
        aftermath.settle();
        done
    }

    /// Posts a signal to this LWP alone, as [`ProcRef::post`](crate::ProcRef::post) does
    /// to a process.
    pub fn post(&self, signo: Signo) {
        let (world, pin) = (self.guard.world(), self.guard.pin());
        let to = Recipient::Lwp(self.node().proc_pinned(pin), self.node());
        Aftermath::collect(|aftermath| kill::send(world, &to, signo, pin, aftermath));
    }

    /// The signals posted to this LWP alone and not yet taken; not those of its process
    /// ([`ProcRef::pending`](crate::ProcRef::pending)). Wait-free; O(what is queued).
    pub fn pending(&self) -> SigSet {
        let pin = self.guard.pin();
        pending::of_lwp(self.node(), self.node().proc_pinned(pin), pin)
    }

    /// The signals that it blocks now. Wait-free.
    pub fn blocked(&self) -> SigSet {
        pending::blocked(self.node())
    }

    /// A counted handle; `None` when the LWP's memory is already on its way
    /// out. Lock-free.
    pub fn handle(&self) -> Option<LwpHandle<H>> {
        let pid = self.pid();
        self.node().refs.try_inc().then(|| LwpHandle {
            ptr: self.ptr,
            pid,
            anchor: self.guard.anchor(),
        })
    }
}

impl<H: Host> fmt::Debug for LwpRef<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LwpRef({}:{} {:?})", self.pid(), self.lid(), self.node().word)
    }
}

/// A counted handle of an LWP: keeps its memory, not its life. `Send`,
/// `Clone`; never comes to mean another LWP.
pub struct LwpHandle<H: Host = ThreadHost> {
    ptr: LwpPtr<H>,
    pid: Pid,
    anchor: Arc<Anchor<H>>,
}

// SAFETY: counted, and all that it reaches is `Sync`.
unsafe impl<H: Host> Send for LwpHandle<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for LwpHandle<H> {}

impl<H: Host> LwpHandle<H> {
    pub(crate) fn of_owned(lwp: &Lwp<H>) -> Self {
        let node = lwp.node();
        node.refs.inc();
        // SAFETY: owned by `lwp`.
        let anchor = unsafe { node.anchor() }.expect("a user's LWP has an anchor");
        Self { ptr: lwp.as_ptr(), pid: lwp.pid(), anchor }
    }

    /// Gives the right to run the LWP back.
    ///
    /// # Safety
    /// The caller has the right, and gives it up.
    unsafe fn park(&self) {
        // SAFETY: the caller has the right to run it.
        let may_be_told = pending::has_any(self.node(), unsafe { self.node().proc_owned() });
        let before = self.node().word.unclaim();
        if before.has_qexit() {
            self.told_to_exit();
        }
        if may_be_told || before.has_pendsig() {
            self.told_of_signals();
        }
        // The teardown may have missed an LWP that was parked only now.
        // Relaxed: the word carries it [P28].
        if self.anchor.world().torn_down.load(Relaxed) {
            // Whoever else has claimed it releases it.
            drop(self.claim());
        }
    }

    /// An LWP that is parked may have been told of signals of its process: another is. (Who
    /// tells it later sees it parked, in the same word.)
    #[cold]
    fn told_of_signals(&self) {
        let seat = self.anchor.world().seat();
        let pin = seat.pin();
        // When it is gone, its end has told others.
        let found = table::find_lwp(&seat.world().ids, self.lid(), &pin);
        if let Some((node, _)) = found.filter(|(_, found)| *found == self.ptr) {
            let (proc, signals) = (node.proc_pinned(&pin), !pending::blocked(node));
            Aftermath::collect(|aftermath| {
                post::leave_to_others(seat.world(), proc, signals, &pin, aftermath);
            });
        }
    }

    /// An LWP of a process that exits as a whole is released when it is parked: who
    /// ended the process may have looked for parked ones before.
    #[cold]
    fn told_to_exit(&self) {
        // Whoever else has claimed it is told as well, and parks it by this way.
        while let Ok(lwp) = self.claim() {
            let seat = self.anchor.world().seat();
            let pin = seat.pin();
            // SAFETY: owned.
            let proc = unsafe { lwp.node().proc_owned() };
            if !proc.word.load().is_exiting() {
                let _ = lwp.into_raw();
                self.node().word.unclaim();
                // The pin keeps the process's memory. Its end as a whole may have come
                // since; a claim of who ended it that failed on this one was before the
                // unclaim, and is seen with it [P28].
                if !proc.word.load().is_exiting() {
                    return;
                }
            }
            drop(pin);
        }
    }

    pub(crate) fn node(&self) -> &LwpNode<H> {
        // SAFETY: counted by this handle.
        unsafe { Managed::deref_counted(self.ptr) }
    }

    /// The process's number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The LWP's number.
    pub fn lid(&self) -> Lid {
        self.node().lid()
    }

    /// What the host knows it by. Wait-free.
    pub fn token(&self) -> LwpToken {
        self.node().token()
    }

    /// Where it is in its life; may be past already.
    pub fn state(&self) -> LwpState {
        state_of(self.node())
    }

    /// As [`LwpRef::claim`].
    ///
    /// # Errors
    /// As [`LwpRef::claim`].
    pub fn claim(&self) -> Result<Lwp<H>, ClaimError> {
        let node = self.node();
        node.word.claim().map_err(|why| claim_error(node, self.pid, why))?;
        // SAFETY: the claim has just been won.
        Ok(unsafe { Lwp::from_raw(self.ptr) })
    }

    /// Parks the LWP that this is a handle of: as [`Lwp::unclaim`], and makes no other
    /// handle. With [`claim`](LwpHandle::claim) that is two read-modify-writes in all.
    ///
    /// # Errors
    /// [`UnclaimError::AnotherLwp`] (EINVAL) gives `lwp` back.
    pub fn unclaim(&self, lwp: Lwp<H>) -> Result<(), UnclaimError<H>> {
        if !std::ptr::eq(self.ptr, lwp.as_ptr()) {
            return Err(UnclaimError::AnotherLwp(lwp));
        }
        let _ = lwp.into_raw();
        // SAFETY: it came with `lwp`.
        unsafe { self.park() };
        Ok(())
    }
}

impl<H: Host> Clone for LwpHandle<H> {
    fn clone(&self) -> Self {
        self.node().refs.inc();
        Self { ptr: self.ptr, pid: self.pid, anchor: self.anchor.clone() }
    }
}

impl<H: Host> Drop for LwpHandle<H> {
    fn drop(&mut self) {
        if self.node().refs.dec() == Dropped::Last {
            let seat = self.anchor.world().seat();
            // SAFETY: the list's claim is gone too, so it is out of slot and list.
            unsafe { seat.pin().retire(self.ptr) };
        }
    }
}

impl<H: Host> PartialEq for LwpHandle<H> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.ptr, other.ptr)
    }
}
impl<H: Host> Eq for LwpHandle<H> {}

impl<H: Host> fmt::Debug for LwpHandle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LwpHandle({}:{} {:?})", self.pid, self.lid(), self.node().word)
    }
}

impl<H: Host> Lwp<H> {
    /// Parks the LWP: gives the right to run it back, so that anybody can
    /// [claim](crate::LwpRef::claim) it. Wait-free. With a handle at hand,
    /// [`LwpHandle::unclaim`] is faster.
    ///
    /// When its [`Kernel`](crate::Kernel) has gone, nobody can run it any more, and
    /// it is released instead, as by a drop.
    // Seed: the LP_RUNNING half of `switch(NULL)`, S482-S486, after the
    // thread has left it (R7).
    pub fn unclaim(self) -> LwpHandle<H> {
        let handle = LwpHandle::of_owned(&self);
        let _ = self.into_raw();
        // SAFETY: it came with `self`.
        unsafe { handle.park() };
        handle
    }
}
