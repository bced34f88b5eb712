//! What the current process is to the embedder: its name, its address space, its place in
//! the file system, its emulation, who traces it.
#![allow(unsafe_code)]

use super::Entered;
use super::alias::Aliases;
use super::view::view;
use crate::emul::{EmulError, NativeSysents};
use crate::handles::namespace::PidNamespace;
use crate::host::Host;
use crate::object::comm::Comm;
use crate::object::proc_word::Subreaper;
use crate::object::trace::TraceSink;
use crate::world::config::Part;
use std::sync::Arc;

view! {
    /// What the current process is to the embedder: its name, its address space, its
    /// place in the file system, what its system calls mean, who is told of its events.
    /// init's in an implicit context.
    ///
    /// ```
    /// use lwproc::{Kernel, Rfork};
    ///
    /// let kernel = Kernel::new();
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// k.process().set_comm("a name of at most 16 bytes");
    /// assert_eq!(k.process().comm().as_str(), "a name of at mos");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Process
}

impl<H: Host> Entered<'_, H> {
    /// What the current process is to the embedder.
    #[inline]
    pub fn process(&self) -> Process<'_, H> {
        Process(self)
    }
}

impl<'e, H: Host> Process<'e, H> {
    /// What it is a view of.
    #[cfg(feature = "async")]
    pub(crate) fn entered(self) -> &'e Entered<'e, H> {
        self.0
    }

    /// The command name. Wait-free.
    pub fn comm(self) -> Comm {
        self.0.proc().resources.comm(&self.0.seat.pin())
    }

    /// Renames it, cut to 16 bytes. Wait-free but for the allocator.
    pub fn set_comm(self, name: &str) {
        self.0.proc().resources.set_comm(Comm::new(name), &self.0.seat.pin());
    }

    /// The address space that it was made with, if it has one.
    pub fn vmspace(self) -> Option<&'e H::VmSpace> {
        // SAFETY: this context runs as an LWP of the process, or as init,
        // which never ends.
        unsafe { self.0.proc().resources.embedded() }.vmspace.as_ref()
    }

    /// Its place in the file system.
    pub fn vfs(self) -> &'e H::Vfs {
        // SAFETY: as in `vmspace`.
        &unsafe { self.0.proc().resources.embedded() }.vfs
    }

    /// What its system calls mean: its emulation. Wait-free.
    pub fn emul(self) -> &'e H::Emul {
        self.0.seat.world().emuls.get(self.0.proc().resources.emul.get())
    }

    /// Gives it the native emulation: the one that the kernel was made with. Its other
    /// LWPs see it too. Wait-free.
    ///
    /// # Errors
    /// [`EmulError::NotPermitted`] (EPERM): the kernel was not built with
    /// [`allow_native_emul`](crate::Builder::allow_native_emul).
    // Seed: `rump_lwproc_sysent_usenative` S579-S586, which panics where this refuses.
    #[doc(alias = "rump_pub_lwproc_sysent_usenative")]
    #[doc(alias = "sysent_usenative")]
    pub fn use_native_emul(self) -> Result<(), EmulError> {
        let world = self.0.seat.world();
        match world.native_sysents {
            NativeSysents::Refused => Err(EmulError::NotPermitted),
            NativeSysents::Allowed => {
                self.0.proc().resources.emul.set_native(&world.emuls);
                Ok(())
            }
        }
    }

    /// Who is told of its events; the one before comes back, and may still be told of
    /// what other LWPs do at the same time. Its children do not inherit it. It is dropped
    /// when the process ends, after the exit hooks.
    ///
    /// Lock-free but for the allocator.
    // Seed: `ktrace`; S158-S165, S243.
    pub fn set_trace(self, sink: Option<Arc<dyn TraceSink>>) -> Option<Arc<dyn TraceSink>> {
        self.0.proc().resources.trace.swap(sink, &self.0.seat.pin())
    }

    /// Whether it is a subreaper. Wait-free.
    #[doc(alias = "PR_GET_CHILD_SUBREAPER")]
    pub fn subreaper(self) -> Subreaper {
        match self.0.proc().word.load().is_subreaper() {
            true => Subreaper::Yes,
            false => Subreaper::No,
        }
    }

    /// Says whether the process is a subreaper: whether the orphans that descend from it
    /// become its children, and not those of one above it, or init's. What it was. Those that
    /// end as its children it is told of, and waits for, as for others; also of zombies that
    /// it inherits. A child is none by birth, and an exec changes nothing. (Linux.) Wait-free.
    #[doc(alias = "PR_SET_CHILD_SUBREAPER")]
    pub fn set_subreaper(self, new: Subreaper) -> Subreaper {
        // First: who sees the other sees this.
        self.0.seat.world().config.touch(Part::Subreapers);
        self.0.proc().word.set_subreaper(new)
    }

    /// The pid namespace by whose numbers it goes. Wait-free.
    pub fn namespace(self) -> PidNamespace {
        let inner = self.0.proc().numbers().map(|numbers| numbers.namespace().clone());
        PidNamespace::new(inner, self.0.seat.world().serial)
    }

    /// The numbers that it and its current LWP show.
    #[inline]
    pub fn alias(self) -> Aliases<'e, H> {
        Aliases::of(self.0)
    }
}
