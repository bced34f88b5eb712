//! How a kernel is configured.

use super::Kernel;
use crate::emul::NativeSysents;
use crate::error::BuildError;
use crate::host::{Host, ThreadHost};
use crate::idtable::IdTable;
use crate::policy::WaitPolicy;
use crate::world::World;
use crate::world::cpus::Cpus;
use std::num::NonZeroUsize;

/// Configures a [`Kernel`].
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Debug)]
pub struct Builder<H: Host = ThreadHost> {
    host: H,
    policy: WaitPolicy,
    id_capacity: usize,
    virtual_cpus: Option<NonZeroUsize>,
    proc_limit: Option<u64>,
    native_sysents: NativeSysents,
}

impl Default for Builder {
    fn default() -> Self {
        let policy = WaitPolicy::default();
        Self {
            host: ThreadHost,
            policy,
            id_capacity: (1 << 21) - 1,
            virtual_cpus: None,
            proc_limit: None,
            native_sysents: NativeSysents::Refused,
        }
    }
}

impl<H: Host> Builder<H> {
    /// The hypercalls and the embedder's types. Default: [`ThreadHost`].
    pub fn host<G: Host>(self, host: G) -> Builder<G> {
        let Self { policy, id_capacity, virtual_cpus, proc_limit, native_sysents, .. } = self;
        Builder { host, policy, id_capacity, virtual_cpus, proc_limit, native_sysents }
    }

    /// Default: [`WaitPolicy::AutoReap`].
    pub fn wait_policy(self, policy: WaitPolicy) -> Self {
        Self { policy, ..self }
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

    /// Lets processes go over to the native system calls:
    /// [`sysent_usenative`](crate::Entered::sysent_usenative).
    ///
    /// Seed: `rump_i_know_what_i_am_doing_with_sysents`, S577-S578.
    pub fn allow_native_sysents(self) -> Self {
        Self { native_sysents: NativeSysents::Allowed, ..self }
    }

    /// Makes the kernel, with proc0 and init.
    ///
    /// # Errors
    /// [`BuildError::IdCapacity`], [`BuildError::VirtualCpus`] (EINVAL).
    ///
    /// Seed: `rump_lwproc_init` S120-S125.
    pub fn build(self) -> Result<Kernel<H>, BuildError> {
        let Self { host, policy, id_capacity, virtual_cpus, proc_limit, native_sysents } = self;
        if !(1..=IdTable::<(), ()>::MAX_CAPACITY).contains(&id_capacity) {
            return Err(BuildError::IdCapacity { capacity: id_capacity });
        }
        if let Some(count) = virtual_cpus
            && count.get() > Cpus::MAX
        {
            return Err(BuildError::VirtualCpus { count: count.get() });
        }
        let cpus = virtual_cpus.map(Cpus::new);
        Ok(Kernel {
            world: World::new(host, policy, cpus, proc_limit, native_sysents, id_capacity),
            torn_down: false,
        })
    }
}
