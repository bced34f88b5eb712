//! The right to run an LWP.
#![allow(unsafe_code)]

use super::death;
use crate::host::{Host, LwpToken, ThreadHost};
use crate::id::{Lid, Pid};
use crate::object::node::{LwpNode, LwpPtr};
use crate::reclaim::Managed;
use crate::world::World;
use std::fmt;
use std::mem::ManuallyDrop;

/// The right to run one LWP. Owned: there is at most one `Lwp` value for an
/// LWP, and none while the LWP is bound to a thread; so no LWP can run twice.
/// `Send`, not `Clone`.
///
/// Dropping it releases the LWP, held or not, and with the last LWP its process.
/// That runs host calls and the drop of a remote address space, and may block on
/// them; otherwise it is lock-free, and O(children) for the last LWP.
/// To keep the LWP without the right to run it, see [`Lwp::unclaim`].
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
        self.node().lid
    }

    /// What the host knows this LWP by.
    pub fn token(&self) -> LwpToken {
        self.node().token()
    }
}

impl<H: Host> Drop for Lwp<H> {
    // Inlined down to the call, which takes the pointer by value: so an `Lwp` that may be
    // dropped need not lie in memory.
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: owned by this value, which is never used again.
        unsafe { release(self.0) };
    }
}

/// Releases an owned LWP.
///
/// # Safety
/// The caller owns the LWP and never uses it again.
#[inline(never)]
unsafe fn release<H: Host>(lwp: LwpPtr<H>) {
    // SAFETY: an owned LWP lives.
    let node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: owned by the caller.
    let home = unsafe { node.proc_owned() }.home;
    // SAFETY: the LWP's anchor keeps the world until `settle`.
    let seat = unsafe { home.world() }.seat();
    // SAFETY: owned by the caller.
    let aftermath = unsafe { death::freelwp(seat.world(), seat.me(), lwp) };
    drop(seat);
    aftermath.settle();
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
