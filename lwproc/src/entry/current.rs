//! The current LWP.
#![allow(unsafe_code)]

use crate::host::{Host, LwpToken, ThreadHost};
use crate::id::{Lid, Pid};
use crate::object::comm::Comm;
use crate::object::node::{LwpNode, LwpPtr};
use crate::ops::numbering::Numbering;
use crate::ops::seat::Seat;
use crate::reclaim::Managed;
use std::fmt;
use std::marker::PhantomData;

/// The LWP that the thread runs as (`curlwp`). It stays current as long as
/// this borrow of [`Entered`](crate::Entered) lasts.
pub struct CurLwp<'e, H: Host = ThreadHost>(LwpPtr<H>, PhantomData<&'e ()>);

impl<H: Host> Clone for CurLwp<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<H: Host> Copy for CurLwp<'_, H> {}

impl<'e, H: Host> CurLwp<'e, H> {
    /// # Safety
    /// The LWP stays bound to this thread for `'e`.
    pub(super) unsafe fn new(lwp: LwpPtr<H>) -> Self {
        Self(lwp, PhantomData)
    }

    fn node(&self) -> &'e LwpNode<H> {
        // SAFETY: bound to this thread, so owned and alive.
        unsafe { Managed::deref_counted(self.0) }
    }

    fn seat(&self) -> Seat<'e, H> {
        // SAFETY: bound to this thread, so owned and alive.
        let home = unsafe { self.node().proc_owned() }.home;
        // SAFETY: the thread is in that kernel.
        unsafe { home.world() }.seat()
    }

    /// The process's number.
    pub fn pid(&self) -> Pid {
        // SAFETY: bound to this thread, so owned and alive.
        let proc = unsafe { self.node().proc_owned() };
        Numbering::of(proc).pid(proc)
    }

    /// The LWP's number.
    pub fn lid(&self) -> Lid {
        // SAFETY: as in `pid`.
        let proc = unsafe { self.node().proc_owned() };
        Numbering::of(proc).lid(self.node(), proc).unwrap_or(self.node().lid())
    }

    /// Its references: the base one and its holds.
    pub fn refcnt(&self) -> u32 {
        self.node().word.load().refcnt()
    }

    /// Its name (`l_name`), if it has one. Wait-free.
    #[doc(alias = "lwp_name")]
    pub fn name(&self) -> Option<Comm> {
        self.node().name.get(&self.seat().pin()).copied()
    }

    /// Names it, cut to 16 bytes. Wait-free but for the allocator.
    #[doc(alias = "set_lwp_name")]
    pub fn set_name(&self, name: &str) {
        self.node().name.set(Comm::new(name), &self.seat().pin());
    }

    /// What the host knows it by.
    pub fn token(&self) -> LwpToken {
        self.node().token()
    }
}

impl<H: Host> fmt::Debug for CurLwp<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CurLwp({}:{} {:?})", self.pid(), self.lid(), self.node().word)
    }
}
