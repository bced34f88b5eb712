//! How a kernel is configured.

use super::Kernel;
use crate::error::BuildError;
use crate::host::{Host, ThreadHost};
use crate::idtable::IdTable;
use crate::policy::WaitPolicy;
use crate::signal::SigModel;
use crate::world::World;
use crate::world::cpus::Cpus;
use std::num::NonZeroUsize;

/// Configures a [`Kernel`].
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Debug)]
pub struct Builder<H: Host = ThreadHost> {
    host: H,
    policy: WaitPolicy,
    signals: SigModel,
    id_capacity: usize,
    virtual_cpus: Option<NonZeroUsize>,
    proc_limit: Option<u64>,
}

impl Default for Builder {
    fn default() -> Self {
        let policy = WaitPolicy::default();
        Self {
            host: ThreadHost,
            policy,
            signals: SigModel::default(),
            id_capacity: (1 << 21) - 1,
            virtual_cpus: None,
            proc_limit: None,
        }
    }
}

impl<H: Host> Builder<H> {
    /// The hypercalls and the embedder's types. Default: [`ThreadHost`].
    pub fn host<G: Host>(self, host: G) -> Builder<G> {
        let Self { policy, signals, id_capacity, virtual_cpus, proc_limit, .. } = self;
        Builder { host, policy, signals, id_capacity, virtual_cpus, proc_limit }
    }

    /// Default: [`WaitPolicy::AutoReap`].
    pub fn wait_policy(self, policy: WaitPolicy) -> Self {
        Self { policy, ..self }
    }

    /// What a signal does. Default: [`SigModel::Ignore`].
    pub fn signal_model(self, signals: SigModel) -> Self {
        Self { signals, ..self }
    }

    /// The most ids in use at once, pids and lids together, init's included:
    /// 1 to 2^30 - 1. Address space for the table doubles as ids are used, and
    /// memory is taken as they are. Default: 2^21 - 1.
    pub fn id_capacity(self, id_capacity: usize) -> Self {
        Self { id_capacity, ..self }
    }

    /// How many threads may be in the kernel at once, at most 65,536; a further
    /// one waits in [`Kernel::enter`]. Guards, [`Kernel::alloclwp`] and dropping
    /// an LWP need none. Default: any number, and entering never waits.
    pub fn virtual_cpus(self, count: NonZeroUsize) -> Self {
        Self { virtual_cpus: Some(count), ..self }
    }

    /// The most processes that one user (by real uid) may have, zombies
    /// included (`RLIMIT_NPROC`); proc0 and init count for uid 0. Default: any
    /// number, as in the seed.
    pub fn proc_limit(self, limit: u64) -> Self {
        Self { proc_limit: Some(limit), ..self }
    }

    /// Makes the kernel, with proc0 and init.
    ///
    /// # Errors
    /// [`BuildError::IdCapacity`], [`BuildError::VirtualCpus`] (EINVAL).
    ///
    /// Seed: `rump_lwproc_init` S120-S125.
    pub fn build(self) -> Result<Kernel<H>, BuildError> {
        let Self { host, policy, signals, id_capacity, virtual_cpus, proc_limit } = self;
        if !(1..=IdTable::<(), ()>::MAX_CAPACITY).contains(&id_capacity) {
            return Err(BuildError::IdCapacity { capacity: id_capacity });
        }
        if let Some(count) = virtual_cpus
            && count.get() > Cpus::MAX
        {
            return Err(BuildError::VirtualCpus { count: count.get() });
        }
        Ok(Kernel {
            world: World::new(
                host,
                policy,
                signals,
                virtual_cpus.map(Cpus::new),
                proc_limit,
                id_capacity,
            ),
            torn_down: false,
        })
    }
}
