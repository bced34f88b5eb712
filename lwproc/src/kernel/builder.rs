//! How a kernel is configured.

use super::Kernel;
use crate::emul::NativeSysents;
use crate::error::BuildError;
use crate::host::{Host, ThreadHost};
use crate::id::Numbering;
use crate::idtable::IdTable;
use crate::limits::Limits;
use crate::object::status::{Ends, ExitStatus};
use crate::ops::owned;
use crate::policy::{Rules, WaitPolicy};
use crate::signal::SigModel;
use crate::world::config::LimitsPolicy;
use crate::world::cpus::Cpus;
use crate::world::{Implicit, Settings, World};
use std::num::NonZeroUsize;

/// Configures a [`Kernel`].
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Debug)]
pub struct Builder<H: Host = ThreadHost> {
    host: H,
    settings: Settings,
}

impl Kernel {
    /// A kernel with the defaults: [`ThreadHost`], 2^21 - 1 ids,
    /// [`WaitPolicy::AutoReap`](crate::WaitPolicy::AutoReap).
    pub fn new() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }

    /// Starts a configuration.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Builder {
    fn default() -> Self {
        let settings = Settings {
            wait_policy: WaitPolicy::default(),
            signals: SigModel::default(),
            numbering: Numbering::default(),
            id_capacity: None,
            virtual_cpus: None,
            limits: Limits::unlimited(),
            limits_policy: LimitsPolicy::default(),
            native_sysents: NativeSysents::Refused,
            implicit: Implicit::Allowed,
            max_procs: None,
            max_lwps: None,
            max_lwps_per_proc: None,
            ends: Ends::default(),
            sigchld: false,
            rules: Rules::default(),
            init_waits: false,
            max_queued: 1024,
        };
        Self { host: ThreadHost::new(), settings }
    }
}

impl<H: Host> Builder<H> {
    /// The hypercalls and the embedder's types. Default: [`ThreadHost`].
    pub fn host<G: Host>(self, host: G) -> Builder<G> {
        Builder { host, settings: self.settings }
    }

    /// Default: [`WaitPolicy::AutoReap`].
    pub fn wait_policy(mut self, policy: WaitPolicy) -> Self {
        self.settings.wait_policy = policy;
        self
    }

    /// What a signal does. Default: [`SigModel::Ignore`]: a `kill` is allowed or refused, and
    /// nothing comes of it. A guest with signals wants [`SigModel::Record`].
    pub fn signal_model(mut self, signals: SigModel) -> Self {
        self.settings.signals = signals;
        self
    }

    /// Whose rules hold where systems differ. Default: [`Rules::NETBSD`].
    pub fn rules(mut self, rules: Rules) -> Self {
        self.settings.rules = rules;
        self
    }

    /// Which numbers processes and LWPs get. Default: [`Numbering::Generations`].
    pub fn numbering(mut self, numbering: Numbering) -> Self {
        self.settings.numbering = numbering;
        self
    }

    /// The most ids in use at once, pids and lids together, init's included:
    /// 1 to 2^30 - 1; and the largest number, but for [`Numbering::Generations`]. Address
    /// space for the table doubles as ids are used, and memory is taken as they are.
    /// Default: 2^21 - 1; 32,767 for [`Numbering::Cyclic`], as on Linux.
    pub fn id_capacity(mut self, id_capacity: usize) -> Self {
        self.settings.id_capacity = Some(id_capacity);
        self
    }

    /// How many threads may be in the kernel at once, at most 65,536; a further
    /// one waits in [`Kernel::enter`]. Guards, [`Kernel::spawn`] and dropping
    /// an LWP need none. Default: any number, and entering never waits.
    pub fn virtual_cpus(mut self, count: NonZeroUsize) -> Self {
        self.settings.virtual_cpus = Some(count);
        self
    }

    /// The limits that proc0 and init start with, and all others inherit.
    /// Default: none on anything.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Which limits hold, to begin with: see
    /// [`Kernel::set_limits_policy`]. Default: none.
    pub fn limits_policy(mut self, policy: LimitsPolicy) -> Self {
        self.settings.limits_policy = policy;
        self
    }

    /// The most processes of the kernel (`maxproc`), zombies, proc0 and init
    /// included. They are counted on one cache line then. Default: any number; and
    /// [`Kernel::set_max_procs`].
    pub fn max_procs(mut self, max: u64) -> Self {
        self.settings.max_procs = Some(max);
        self
    }

    /// The most LWPs of the kernel, those of proc0 and init included: each has one from the
    /// beginning, and init one more for each implicit context that is
    /// [held](crate::Entered::hold). They are counted on one cache line then. Default: any
    /// number; and [`Kernel::set_max_lwps`].
    pub fn max_lwps(mut self, max: u64) -> Self {
        self.settings.max_lwps = Some(max);
        self
    }

    /// The most LWPs of a process, with its first one, which it always has. proc0 and init,
    /// whose LWPs are the kernel's own, may have more. A process counts as one LWP more while
    /// it [spawns by a handle](crate::ProcHandle::spawn). Default: any number; and
    /// [`Kernel::set_max_lwps_per_proc`].
    pub fn max_lwps_per_proc(mut self, max: u64) -> Self {
        self.settings.max_lwps_per_proc = Some(max);
        self
    }

    /// Has the kernel itself post SIGCHLD to the parent of each process that has become a
    /// zombie, as POSIX: when the parent can wait for it, and not before. Not to init and
    /// proc0, which reap by themselves. Signals have no dispositions here, so a parent that
    /// neither blocks nor takes it is interrupted by it. Default: it posts nothing.
    pub fn sigchld(mut self) -> Self {
        self.settings.sigchld = true;
        self
    }

    /// init is run by the embedder, and waits: its children, orphans included, become zombies
    /// that [waits](crate::Entered::wait) as init find, in an implicit context or by its LWPs;
    /// it is told of them as others are of theirs. The teardown reaps what is left. Default:
    /// init reaps by itself, and its waits find nothing. Of no effect with
    /// [`WaitPolicy::AutoReap`](crate::WaitPolicy::AutoReap).
    pub fn init_waits(mut self) -> Self {
        self.settings.init_waits = true;
        self
    }

    /// The most signals that are queued for a process and its LWPs at once: see
    /// [`Signals::queue`](crate::Signals::queue). A take looks at all of them. Default: 1,024.
    pub fn max_queued_signals(mut self, max: usize) -> Self {
        self.settings.max_queued = max;
        self
    }

    /// What a process ends with when its last LWP is
    /// [released](crate::Entered::release), and nobody has
    /// [said](crate::Entered::exit) how it ends. Default: `exited 0`.
    pub fn released(mut self, status: ExitStatus) -> Self {
        self.settings.ends.released = status;
        self
    }

    /// The same when its last LWP goes unreleased: an [`Lwp`](crate::Lwp) is dropped, a
    /// thread ends as what is bound to it, a scope is dropped before it is ready, the
    /// kernel is torn down. Default: killed by SIGKILL, for others have ended it.
    /// [`Lwp::on_drop`](crate::Lwp::on_drop) says it of one LWP.
    pub fn dropped(mut self, status: ExitStatus) -> Self {
        self.settings.ends.fates.dropped = status;
        self
    }

    /// The same when any of its LWPs goes because a thread panics, or the future of a
    /// scope. Default: killed by SIGABRT, as by `abort`.
    /// [`Lwp::on_panic`](crate::Lwp::on_panic) says it of one LWP.
    pub fn panicked(mut self, status: ExitStatus) -> Self {
        self.settings.ends.fates.panicked = status;
        self
    }

    /// Threads enter as an LWP or not at all: no context is init with the rights of the
    /// superuser for want of an LWP. [`Kernel::enter`] is refused to a thread that has
    /// none ([`EnterError::NoLwp`](crate::EnterError::NoLwp)), also when the one it had was
    /// released; [`Kernel::enter_as`] brings one, and [`Kernel::leave`] takes it along. For
    /// kernels whose LWPs run guests that are not trusted. Default: allowed, as in the
    /// rump kernel, whose callers count on it.
    pub fn forbid_implicit_contexts(mut self) -> Self {
        self.settings.implicit = Implicit::Forbidden;
        self
    }

    /// Lets processes go over to the native system calls:
    /// [`use_native_emul`](crate::Process::use_native_emul).
    // Seed: `rump_i_know_what_i_am_doing_with_sysents`, S577-S578.
    #[doc(alias = "rump_i_know_what_i_am_doing_with_sysents")]
    #[doc(alias = "allow_native_sysents")]
    pub fn allow_native_emul(mut self) -> Self {
        self.settings.native_sysents = NativeSysents::Allowed;
        self
    }

    /// Makes the kernel, with proc0 and init.
    ///
    /// # Errors
    /// [`BuildError::IdCapacity`], [`BuildError::VirtualCpus`] (EINVAL).
    // Seed: `rump_lwproc_init` S120-S125.
    #[doc(alias = "rump_lwproc_init")]
    pub fn build(self) -> Result<Kernel<H>, BuildError> {
        let Self { host, settings } = self;
        let capacity = settings.id_capacity();
        if !(1..=IdTable::<(), ()>::MAX_CAPACITY).contains(&capacity) {
            return Err(BuildError::IdCapacity { capacity });
        }
        if let Some(count) = settings.virtual_cpus
            && count.get() > Cpus::MAX
        {
            return Err(BuildError::VirtualCpus { count: count.get() });
        }
        Ok(Kernel { world: World::new(host, settings, owned::end_doomed), torn_down: false })
    }
}
