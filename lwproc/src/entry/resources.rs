//! What the current process may use and has used.

use super::Entered;
use super::view::view;
use crate::host::Host;
use crate::limits::{Limit, LimitError, Limits, Privilege, Resource};
use crate::usage::{Profile, Usage};

impl<H: Host> Entered<'_, H> {
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

    /// Changes one of the current process's limits, and no other process's;
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
