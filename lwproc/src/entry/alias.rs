//! Numbers that a process and an LWP show instead of their own.

use super::Entered;
use super::view::view;
use crate::family;
use crate::host::Host;
use crate::id::{Lid, Pid};
use crate::object::node::ProcNode;

view! {
    /// The numbers that the current process and LWP show, which may be others than
    /// their own: for an embedder whose guests believe in numbers of another system. No
    /// table knows them: look-ups, waiting and signals go by the real ones.
    ///
    /// ```
    /// use lwproc::{Kernel, Lid, Pid, Rfork};
    ///
    /// let kernel = Kernel::new();
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// let real = k.pid();
    /// k.process().alias().set(Pid(4711), Lid(4712));
    /// assert_eq!((k.process().alias().pid(), k.process().alias().lid()), (Pid(4711), Some(Lid(4712))));
    /// assert_eq!(k.pid(), real);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Aliases
}

impl<'e, H: Host> Aliases<'e, H> {
    pub(super) fn of(entered: &'e Entered<'_, H>) -> Self {
        Self(entered)
    }

    /// Makes the current process and LWP show other numbers. An implicit context has no
    /// LWP that could, and renames init for all of them. They last as long as process
    /// and LWP. Wait-free.
    // Seed: `rump_allbetsareoff_setid`, which changed the numbers themselves.
    #[doc(alias = "rump_allbetsareoff_setid")]
    #[doc(alias = "allbetsareoff_setid")]
    pub fn set(self, pid: Pid, lid: Lid) {
        self.0.proc().names.set_alias(pid.0);
        if let Some(node) = self.0.node() {
            node.names.set_alias(lid.0);
        }
    }

    /// What `getpid` answers: the current process's number, or its alias.
    /// Wait-free.
    #[doc(alias = "shown_pid")]
    pub fn pid(self) -> Pid {
        self.0.proc().names.alias().map_or_else(|| self.0.pid(), Pid)
    }

    /// What `getppid` answers: the parent's number, or its alias. Wait-free.
    #[doc(alias = "shown_ppid")]
    pub fn ppid(self) -> Pid {
        let pin = self.0.seat.pin();
        let parent = family::edge_of(self.0.proc(), &pin).map(|(edge, _)| edge.parent(&pin));
        let shown = |parent: &ProcNode<H>| {
            parent.names.alias().map_or_else(|| self.0.numbering().pid(parent), Pid)
        };
        parent.map_or(Pid::KERNEL, shown)
    }

    /// What `_lwp_self` answers: the bound LWP's number, or its alias. Wait-free.
    #[doc(alias = "shown_lid")]
    pub fn lid(self) -> Option<Lid> {
        self.0.node()?.names.alias().map(Lid).or_else(|| self.0.lid())
    }
}
