//! The right to run an LWP.
#![allow(unsafe_code)]

use super::death::{self, lost};
use crate::host::{Host, LwpToken, ThreadHost};
use crate::id::{Lid, Pid};
use crate::object::doomed::Doomed;
use crate::object::node::{LwpNode, LwpPtr};
use crate::object::proc_word::Lost;
use crate::object::status::{ExitStatus, Fates};
use crate::reclaim::Managed;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use std::fmt;
use std::mem::ManuallyDrop;

/// The right to run one LWP. Owned: there is at most one `Lwp` value for an
/// LWP, and none while the LWP is bound to a thread; so no LWP can run twice.
/// `Send`, not `Clone`.
///
/// Dropping it ends the LWP, held or not, and with the last LWP its process.
/// That runs host calls and the drop of a remote address space, and may block on
/// them; otherwise it is lock-free, and O(children) for the last LWP.
/// To keep the LWP without the right to run it, see [`Lwp::unclaim`].
///
/// A drop is not success. A process of which nobody has [said](Lwp::exit) how it ends
/// does so with [`Builder::released`](crate::Builder::released) when its last LWP is
/// [released](Lwp::release), with [`Builder::dropped`](crate::Builder::dropped) when that
/// is dropped, and with [`Builder::panicked`](crate::Builder::panicked) when any of its
/// LWPs was dropped by a panic.
///
/// An `Lwp` may outlive its [`Kernel`](crate::Kernel): the kernel's memory goes
/// with the last of them.
///
/// It cannot be used twice:
///
/// ```compile_fail,E0382
/// let kernel = lwproc::Kernel::new();
/// let mut k = kernel.enter().unwrap();
/// let lwp = kernel.spawn().start().unwrap();
/// k.switch(lwp).unwrap();
/// k.switch(lwp).unwrap(); // moved already
/// ```
///
/// The same with two LWPs:
///
/// ```
/// let kernel = lwproc::Kernel::new();
/// let mut k = kernel.enter().unwrap();
/// let (a, b) = (kernel.spawn().start().unwrap(), kernel.spawn().start().unwrap());
/// k.switch(a).unwrap();
/// k.switch(b).unwrap();
/// ```
// Seed: LP_RUNNING, S478-S515 (R6).
#[must_use = "dropping an Lwp releases the LWP"]
pub struct Lwp<H: Host = ThreadHost>(LwpPtr<H>);

// SAFETY: an owned LWP is used by one thread at a time, and all that it
// reaches is `Sync`.
unsafe impl<H: Host> Send for Lwp<H> {}
// SAFETY: `&Lwp` gives only reads of immutable fields and atomics.
unsafe impl<H: Host> Sync for Lwp<H> {}

impl<H: Host> Lwp<H> {
    /// # Safety
    /// The caller has the right to run the LWP and gives it to this value.
    pub(crate) unsafe fn from_raw(ptr: LwpPtr<H>) -> Self {
        Self(ptr)
    }

    pub(crate) fn into_raw(self) -> LwpPtr<H> {
        ManuallyDrop::new(self).0
    }

    pub(crate) fn as_ptr(&self) -> LwpPtr<H> {
        self.0
    }

    pub(crate) fn node(&self) -> &LwpNode<H> {
        // SAFETY: an owned LWP lives.
        unsafe { Managed::deref_counted(self.0) }
    }

    pub(crate) fn world(&self) -> *const World<H> {
        // SAFETY: an owned LWP's process lives.
        unsafe { self.node().proc_owned() }.home.address().cast()
    }

    /// The process's number.
    pub fn pid(&self) -> Pid {
        // SAFETY: an owned LWP's process lives.
        unsafe { self.node().proc_owned() }.pid()
    }

    /// The LWP's number.
    pub fn lid(&self) -> Lid {
        self.node().lid()
    }

    /// What the host knows this LWP by.
    pub fn token(&self) -> LwpToken {
        self.node().token()
    }
}

impl<H: Host> Lwp<H> {
    /// Ends the LWP in order, held or not, and with the last LWP its process. As the drop
    /// of it, but for what the process ends with.
    // Seed: `rump_lwproc_releaselwp` S529-S539, for an LWP that is not current.
    #[doc(alias = "releaselwp")]
    pub fn release(self) {
        // SAFETY: owned by `self`, which ends here.
        unsafe { end(self.into_raw(), |_| None) };
    }

    /// Records how the process ends, then [releases](Lwp::release) the LWP: as
    /// [`Entered::exit`](crate::Entered::exit).
    pub fn exit(self, status: ExitStatus) {
        // SAFETY: an owned LWP's process lives.
        let _said_already = unsafe { self.node().proc_owned() }.word.record(status);
        self.release();
    }

    /// What a drop of this LWP means, instead of
    /// [`Builder::dropped`](crate::Builder::dropped). Not inherited. Wait-free.
    pub fn on_drop(&self, status: ExitStatus) {
        self.node().set_fates(Fates { dropped: status, ..self.node().fates() });
    }

    /// What a panic of this LWP means, instead of
    /// [`Builder::panicked`](crate::Builder::panicked). Not inherited. Wait-free.
    pub fn on_panic(&self, status: ExitStatus) {
        self.node().set_fates(Fates { panicked: status, ..self.node().fates() });
    }

    /// Ends it as what panicked, now or before.
    #[cfg(feature = "async")]
    pub(crate) fn panicked(self) {
        // SAFETY: owned by `self`, which ends here.
        unsafe { end(self.into_raw(), |node| lost(node, true)) };
    }
}

impl<H: Host> Drop for Lwp<H> {
    // Inlined down to the call, which takes the pointer by value: so an `Lwp` that may be
    // dropped need not lie in memory.
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: owned by this value, which is never used again.
        unsafe { end(self.0, |node| lost(node, std::thread::panicking())) };
    }
}

/// Ends an owned LWP, which was released or lost.
///
/// # Safety
/// The caller owns the LWP and never uses it again.
#[inline(never)]
unsafe fn end<H: Host>(lwp: LwpPtr<H>, lost: impl Fn(&LwpNode<H>) -> Option<Lost>) {
    // SAFETY: by contract.
    unsafe { end_to(lwp, lost) }.settle();
}

/// The same, but for what is left to do then.
///
/// # Safety
/// As above.
#[inline(always)]
unsafe fn end_to<H: Host>(
    lwp: LwpPtr<H>,
    lost: impl Fn(&LwpNode<H>) -> Option<Lost>,
) -> Aftermath<H> {
    // SAFETY: an owned LWP lives.
    let node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: owned by the caller.
    let home = unsafe { node.proc_owned() }.home;
    // SAFETY: the LWP's anchor keeps the world until `settle`.
    let seat = unsafe { home.world() }.seat();
    // SAFETY: owned by the caller.
    unsafe { death::freelwp(seat.world(), seat.me(), lwp, lost(node)) }
}

/// Ends an LWP whose process was ended as a whole: that says how.
pub(crate) fn end_doomed<H: Host>(doomed: Doomed<H>) -> Aftermath<H> {
    // SAFETY: the right to run it is given up here.
    unsafe { end_to(doomed.into_raw(), |node| lost(node, false)) }
}

impl<H: Host> fmt::Debug for Lwp<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lwp({}:{} {:?})", self.pid(), self.lid(), self.node().word)
    }
}

impl<H: Host> PartialEq for Lwp<H> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
impl<H: Host> Eq for Lwp<H> {}
