//! What the current process has: its names, limits, use, address space and place
//! in the file system.
#![allow(unsafe_code)]

use super::Entered;
use super::view::view;
use crate::host::Host;
use crate::limits::{Limit, LimitError, Limits, Privilege, Resource};
use crate::object::comm::Comm;
use crate::usage::{Profile, Usage};

impl<H: Host> Entered<'_, H> {
    /// The command name of the current process. Wait-free.
    pub fn comm(&self) -> Comm {
        self.proc().resources.comm(&self.seat.pin())
    }

    /// Renames the current process, cut to 16 bytes. Wait-free but for the
    /// allocator.
    pub fn set_comm(&mut self, name: &str) {
        self.proc().resources.set_comm(Comm::new(name), &self.seat.pin());
    }

    /// The name of the bound LWP (`l_name`), if it has one. Wait-free.
    pub fn lwp_name(&self) -> Option<Comm> {
        self.node()?.name.get(&self.seat.pin()).copied()
    }

    /// Names the bound LWP, cut to 16 bytes; nothing in an implicit context, which
    /// has none. Wait-free but for the allocator.
    pub fn set_lwp_name(&mut self, name: &str) {
        if let Some(node) = self.node() {
            node.name.set(Comm::new(name), &self.seat.pin());
        }
    }

    /// The address space the current process was forked with, if it has one.
    pub fn vmspace(&self) -> Option<&H::VmSpace> {
        // SAFETY: this context runs as an LWP of the process, or as init,
        // which never ends.
        unsafe { self.proc().resources.embedded() }.vmspace.as_ref()
    }

    /// The current process's place in the file system.
    pub fn vfs(&self) -> &H::Vfs {
        // SAFETY: as in `vmspace`.
        &unsafe { self.proc().resources.embedded() }.vfs
    }

    /// What the current process may use and has used.
    #[inline]
    pub fn resources(&self) -> Resources<'_, H> {
        Resources(self)
    }
}

view! {
    /// What the current process may use and has used: limits, use, profiling. init's in
    /// an implicit context.
    ///
    /// ```
    /// use lwproc::{Kernel, Limit, Resource, Rfork};
    ///
    /// let kernel = Kernel::new();
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// k.resources().set_limit(Resource::Nofile, Limit::both(64))?;
    /// assert_eq!(k.resources().limit(Resource::Nofile).soft, 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Resources
}

impl<H: Host> Resources<'_, H> {
    /// The current process's limits. Wait-free.
    pub fn limits(self) -> Limits {
        self.0.proc().resources.limits.get(&self.0.seat.pin()).expect("the process lives").clone()
    }

    /// One of the current process's limits. Wait-free; writes nothing shared.
    #[doc(alias = "rlimit")]
    #[doc(alias = "getrlimit")]
    pub fn limit(self, resource: Resource) -> Limit {
        self.0
            .proc()
            .resources
            .limits
            .get(&self.0.seat.pin())
            .expect("the process lives")
            .get(resource)
    }

    /// Changes one of the current process's limits, and no other process's (R11);
    /// the one before. Lock-free but for the allocator.
    ///
    /// # Errors
    /// [`LimitError::SoftAboveHard`] (EINVAL), [`LimitError::NotPermitted`] (EPERM):
    /// only the superuser raises a hard limit.
    #[doc(alias = "set_rlimit")]
    #[doc(alias = "setrlimit")]
    pub fn set_limit(self, resource: Resource, limit: Limit) -> Result<Limit, LimitError> {
        let by = match self.0.cred().is_superuser() {
            true => Privilege::Superuser,
            false => Privilege::Ordinary,
        };
        let pin = self.0.seat.pin();
        let mut before = limit;
        let new = self.0.proc().resources.limits.commit(&pin, |old| {
            before = old.get(resource);
            old.changed(resource, limit, by)
        })?;
        new.release(&pin);
        Ok(before)
    }

    /// Charges the current process with what it has used. A sum that
    /// comes to its end stays there. Lock-free; the first time, but for the allocator.
    pub fn add_usage(self, more: Usage) {
        self.0.proc().resources.stats_mut().add_own(more);
    }

    /// What the current process has used (`RUSAGE_SELF`). Wait-free.
    pub fn usage(self) -> Usage {
        self.0.proc().resources.stats().map_or(Usage::default(), |stats| stats.own())
    }

    /// What the children that the current process has waited for had used, and
    /// theirs (`RUSAGE_CHILDREN`). Wait-free.
    pub fn children_usage(self) -> Usage {
        self.0.proc().resources.stats().map_or(Usage::default(), |stats| stats.children())
    }

    /// How the current process is profiled. Wait-free.
    pub fn profile(self) -> Option<Profile> {
        self.0.proc().resources.stats()?.profile(&self.0.seat.pin())
    }

    /// Sets how the current process is profiled, and its children from their
    /// birth. Wait-free but for the allocator.
    pub fn set_profile(self, profile: Option<Profile>) {
        self.0.proc().resources.stats_mut().set_profile(profile, &self.0.seat.pin());
    }
}
