//! The second half of a vfork: the parent waits until the child uses its memory no more.
//!
//! The first half is a fork as any other. Nothing is noted of it: that a process has become
//! another program is in its membership, and that it has ended in its word; who waits sleeps
//! in the queue of the child, which both wake.

use super::Entered;
use super::pidfd::Wait;
use super::sleep::Interrupted;
use crate::handles::proc::ProcHandle;
use crate::host::{Host, ThreadHost};
use std::fmt;

/// Why the child of a vfork uses the memory of its parent no more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VforkEnd {
    /// It has become another program: an [exec](Entered::exec), by any of its LWPs.
    Execed,
    /// It has ended.
    Ended,
}

impl<H: Host> ProcHandle<H> {
    /// Whether the process has become another program since it was made
    /// ([`Entered::exec`]), or has ended; `None` until then. Wait-free; writes nothing.
    pub fn vfork_end(&self) -> Option<VforkEnd> {
        let node = self.node();
        if node.has_execed() {
            Some(VforkEnd::Execed)
        } else {
            node.word.load().is_dead().then_some(VforkEnd::Ended)
        }
    }

    /// Waits until the process execs or ends: what `vfork` does in the parent, when it has
    /// made the child. Nothing happens until the value is waited for: see [`Vforked`].
    ///
    /// ```
    /// use lwproc::{Kernel, VforkEnd};
    ///
    /// let kernel = Kernel::new();
    /// let k = kernel.enter_as(kernel.spawn().start()?)?;
    /// let child = k.spawn().start()?;
    /// let vforked = child.proc_handle().vforked();
    /// let seen = std::sync::Barrier::new(2);
    /// std::thread::scope(|s| {
    ///     s.spawn(|| {
    ///         let mut k = kernel.enter_as(child).unwrap();
    ///         k.drain();
    ///         k.exec("ls").unwrap();
    ///         seen.wait();
    ///     });
    ///     assert_eq!(vforked.block(&k), Ok(VforkEnd::Execed));
    ///     seen.wait();
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "vfork")]
    pub fn vforked(&self) -> Vforked<H> {
        Vforked(Wait::new(self))
    }
}

/// The return of a vfork in the parent: [`ProcHandle::vforked`]. Waited for by
/// [`Vforked::block`], or, with the feature `async`, as a future in any task; nothing
/// interrupts that.
// NetBSD: P_PPWAIT. Linux: `wait_for_vfork_done`.
#[must_use = "it waits only when it is awaited or told to block"]
pub struct Vforked<H: Host = ThreadHost>(pub(crate) Wait<H>);

impl<H: Host> Vforked<H> {
    /// **Blocks** the thread until the process has execed or ended; gives its virtual CPU and
    /// the big lock to others meanwhile. What the child did before is seen then. Signals pend,
    /// and a [stop](crate::JobControl::Kernel) of the current process takes effect afterwards.
    ///
    /// # Errors
    /// [`Interrupted::Exit`] (EINTR): the LWP is [to exit](Entered::must_exit), as after
    /// SIGKILL. [`Interrupted::Signal`]: a signal is pending that by default ends the process
    /// without a core, where the kernel [keeps](crate::JobControl::Kernel) what it does with
    /// them. [`Interrupted::Unslept`].
    // Linux: `TASK_KILLABLE`, and `complete_signal`.
    pub fn block(self, parent: &Entered<'_, H>) -> Result<VforkEnd, Interrupted> {
        parent.sleep_unless_fatal(&self.0.proc.node().waiters, || self.0.proc.vfork_end())
    }
}

impl<H: Host> fmt::Debug for Vforked<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vforked({})", self.0.proc.pid())
    }
}
