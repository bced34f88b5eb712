//! Pid namespaces, as a user looks at them.
#![allow(unsafe_code)]

use super::guard::Guard;
use super::lwp::LwpRef;
use super::pgrp::PgrpRef;
use super::proc::ProcRef;
use crate::host::Host;
use crate::id::{Lid, Pid};
use crate::object::namespace::Namespace;
use crate::object::table;
use crate::ops::numbering::Numbering;
use crate::sync::Arc;
use std::fmt;

/// A pid namespace: a set of processes, each with a number that is the namespace's own. The
/// outermost one is the kernel's, and has all; the others are made by
/// [`Spawn::new_namespace`](crate::Spawn::new_namespace), and nest. `Clone`; keeps nothing
/// alive but itself.
///
/// A process and its LWPs have a number in the namespace in which the process was born, and
/// in each one around that. By the first it gives and gets numbers: what is not in its
/// namespace it does not find (ESRCH, ECHILD). A parent, a group, a session of outside is 0 to it.
/// [`Guard`]s and handles have the kernel's numbers; here they are translated.
///
/// Numbers go upwards from 1, and past the largest on from 300. One that is in use as a
/// group's or session's is not given out.
///
/// Number 1 is the namespace's **init**. Its children, and the orphans of the namespace, are
/// its own to wait for. SIGKILL and SIGSTOP from inside do not reach it; where the kernel
/// knows what it [does with signals](crate::Disposition), no other that it leaves at the
/// default does anything to it. When it ends, all that are in the namespace are ended as by SIGKILL,
/// forks are refused (ENOMEM), and it is a zombie when the others are gone. To the namespace
/// around it is a process as others.
///
/// ```
/// use lwproc::{Kernel, Pid};
///
/// let kernel = Kernel::new();
/// let mut k = kernel.enter()?;
/// k.switch(kernel.spawn().new_namespace(32768).start()?)?;
/// assert_eq!((k.pid(), k.ppid()), (Pid(1), Pid(0)));
/// let child = k.spawn().start()?;
/// let (own, guard) = (k.process().namespace(), k.pin());
/// assert_eq!(own.proc(&guard, Pid(2)).unwrap().pid(), child.pid());
/// assert_eq!(own.procs(&guard).count(), 2);
/// assert_eq!(own.outer().unwrap().procs(&guard).count(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Linux: pid_namespaces(7).
#[derive(Clone)]
pub struct PidNamespace {
    /// `None`: the kernel's own.
    inner: Option<Arc<Namespace>>,
    /// The kernel's serial.
    kernel: u64,
}

impl PidNamespace {
    pub(crate) fn new(inner: Option<Arc<Namespace>>, kernel: u64) -> Self {
        Self { inner, kernel }
    }

    /// How to number what a guard finds, if it is of the same kernel.
    fn numbering<H: Host>(&self, guard: &Guard<'_, H>) -> Option<Numbering<'_>> {
        let is_its = guard.world().serial == self.kernel;
        is_its.then(|| Numbering::within(self.inner.as_deref()))
    }

    /// How deep it is: 0 for the kernel's own, at most 32. Wait-free.
    pub fn level(&self) -> u32 {
        self.inner.as_ref().map_or(0, |inner| inner.level())
    }

    /// The one around it; `None` of the kernel's own. Wait-free.
    pub fn outer(&self) -> Option<Self> {
        let outer = self.inner.as_ref()?.outer().cloned();
        Some(Self { inner: outer, ..*self })
    }

    /// The number that a process has here; `None`: it is outside. Wait-free.
    pub fn pid_of<H: Host>(&self, proc: &ProcRef<'_, H>) -> Option<Pid> {
        let node = proc.node();
        self.numbering(proc.guard())?.number(node.id, node.numbers()).map(Pid)
    }

    /// The number that an LWP has here; `None`: it is outside. Wait-free.
    pub fn lid_of<H: Host>(&self, lwp: &LwpRef<'_, H>) -> Option<Lid> {
        let proc = lwp.node().proc_pinned(lwp.guard().pin());
        self.numbering(lwp.guard())?.lid(lwp.node(), proc)
    }

    /// The number that a group has here; `None`: it was led from outside. Wait-free.
    pub fn pgid_of<H: Host>(&self, group: &PgrpRef<'_, H>) -> Option<Pid> {
        let node = group.node();
        self.numbering(group.guard())?.number(node.id, node.numbers.as_ref()).map(Pid)
    }

    /// The process with that number here, zombies included. Wait-free; writes nothing.
    pub fn proc<'g, H: Host>(&self, guard: &'g Guard<'g, H>, pid: Pid) -> Option<ProcRef<'g, H>> {
        let (_, found) = self.numbering(guard)?.find(&guard.world().ids, pid, guard.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { ProcRef::new(found, guard) })
    }

    /// The LWP with that number here. Wait-free; writes nothing.
    pub fn lwp<'g, H: Host>(&self, guard: &'g Guard<'g, H>, lid: Lid) -> Option<LwpRef<'g, H>> {
        let (_, found) = self.numbering(guard)?.find_lwp(&guard.world().ids, lid, guard.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { LwpRef::new(found, guard) })
    }

    /// The process group with that number here, as [`Guard::pgrp`]. Wait-free; writes nothing.
    pub fn pgrp<'g, H: Host>(&self, guard: &'g Guard<'g, H>, pgid: Pid) -> Option<PgrpRef<'g, H>> {
        let (_, found) =
            self.numbering(guard)?.find_group(&guard.world().ids, pgid, guard.pin())?;
        // SAFETY: found published under the guard.
        Some(unsafe { PgrpRef::new(found, guard) })
    }

    /// Each process in it, by the number, zombies and those of namespaces inside included.
    /// Weakly consistent: one that is there throughout is seen once. Wait-free per step;
    /// O(numbers).
    pub fn procs<'g, H: Host>(
        &'g self,
        guard: &'g Guard<'g, H>,
    ) -> impl Iterator<Item = ProcRef<'g, H>> + use<'g, H> {
        let inner = self.numbering(guard).map(|_| self.inner.as_deref());
        let all = matches!(inner, Some(None)).then(|| guard.procs());
        let ids = inner.flatten().map(Namespace::ids).into_iter().flatten();
        let found = ids.filter_map(move |id| {
            let (_, found) = table::resolve(&guard.world().ids, id, guard.pin())?;
            // SAFETY: found published under the guard.
            Some(unsafe { ProcRef::new(found, guard) })
        });
        all.into_iter().flatten().chain(found)
    }

    /// The number that counts as given last, above which the next one is looked for
    /// (`ns_last_pid`); `None` of the kernel's own. Wait-free.
    pub fn last(&self) -> Option<Pid> {
        // No number is above 2^31 - 1, or it counts as that.
        Some(Pid(self.inner.as_ref()?.free.last().try_into().unwrap_or(i32::MAX)))
    }

    /// Sets it; nothing happens to the kernel's own, and for a negative number. Lock-free.
    pub fn set_last(&self, last: Pid) {
        if let (Some(inner), Ok(last)) = (&self.inner, last.0.try_into()) {
            inner.free.set_last(last);
        }
    }

    /// Numbers are below this (`pid_max`); `None` of the kernel's own. Wait-free.
    pub fn max(&self) -> Option<u32> {
        Some(self.inner.as_ref()?.free.max())
    }

    /// Sets it; what is in use stays. Nothing happens to the kernel's own. Lock-free.
    pub fn set_max(&self, max: u32) {
        if let Some(inner) = &self.inner {
            inner.free.set_max(max);
        }
    }
}

impl<H: Host> ProcRef<'_, H> {
    /// The innermost pid namespace that it is in. Wait-free.
    pub fn namespace(&self) -> PidNamespace {
        let inner = self.node().numbers().map(|numbers| numbers.namespace().clone());
        PidNamespace::new(inner, self.guard().world().serial)
    }
}

impl PartialEq for PidNamespace {
    fn eq(&self, other: &Self) -> bool {
        let inner = |of: &Self| of.inner.as_ref().map(|inner| &raw const **inner);
        (self.kernel, inner(self)) == (other.kernel, inner(other))
    }
}
impl Eq for PidNamespace {}

impl fmt::Debug for PidNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            None => f.write_str("PidNamespace(of the kernel)"),
            Some(inner) => {
                write!(f, "PidNamespace(level {} of {})", inner.level(), inner.init.pid())
            }
        }
    }
}
