//! How a kernel is configured.

use super::Kernel;
use crate::error::BuildError;
use crate::host::{Host, ThreadHost};
use crate::idtable::IdTable;
use crate::world::World;
use crate::world::cpus::Cpus;
use std::num::NonZeroUsize;

/// What happens to a process whose last LWP has gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum WaitPolicy {
    /// It is gone at once; its exit status is forgotten, and waiting for it
    /// ends in `ECHILD`. What the seed does.
    #[default]
    AutoReap,
    /// It stays as a zombie until its parent waits for it. init and proc0 reap
    /// theirs by themselves.
    Wait,
}

/// Configures a [`Kernel`].
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Debug)]
pub struct Builder<H: Host = ThreadHost> {
    host: H,
    policy: WaitPolicy,
    id_capacity: usize,
    virtual_cpus: Option<NonZeroUsize>,
}

impl Default for Builder {
    fn default() -> Self {
        let policy = WaitPolicy::default();
        Self { host: ThreadHost, policy, id_capacity: (1 << 21) - 1, virtual_cpus: None }
    }
}

impl<H: Host> Builder<H> {
    /// The hypercalls and the embedder's types. Default: [`ThreadHost`].
    pub fn host<G: Host>(self, host: G) -> Builder<G> {
        let Self { policy, id_capacity, virtual_cpus, .. } = self;
        Builder { host, policy, id_capacity, virtual_cpus }
    }

    /// Default: [`WaitPolicy::AutoReap`].
    pub fn wait_policy(self, policy: WaitPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The most ids in use at once, pids and lids together, init's included:
    /// 1 to 2^30 - 1. Memory is taken as ids are used. Default: 2^21 - 1.
    pub fn id_capacity(self, id_capacity: usize) -> Self {
        Self { id_capacity, ..self }
    }

    /// How many threads may be in the kernel at once, at most 65,536; a further
    /// one waits in [`Kernel::enter`]. Default: any number, and entering never
    /// waits.
    pub fn virtual_cpus(self, count: NonZeroUsize) -> Self {
        Self { virtual_cpus: Some(count), ..self }
    }

    /// Makes the kernel, with proc0 and init.
    ///
    /// # Errors
    /// [`BuildError::IdCapacity`], [`BuildError::VirtualCpus`] (EINVAL).
    ///
    /// Seed: `rump_lwproc_init` S120-S125.
    pub fn build(self) -> Result<Kernel<H>, BuildError> {
        let Self { host, policy, id_capacity, virtual_cpus } = self;
        if !(1..=IdTable::<(), ()>::MAX_CAPACITY).contains(&id_capacity) {
            return Err(BuildError::IdCapacity { capacity: id_capacity });
        }
        if let Some(count) = virtual_cpus
            && count.get() > Cpus::MAX
        {
            return Err(BuildError::VirtualCpus { count: count.get() });
        }
        Ok(Kernel {
            world: World::new(host, policy, virtual_cpus.map(Cpus::new), id_capacity),
            torn_down: false,
        })
    }
}
