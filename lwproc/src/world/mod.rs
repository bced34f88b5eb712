//! The state of one kernel, below everything a user holds.
//!
//! A [`World`] lives as long as somebody may still touch it: the
//! [`Kernel`](crate::Kernel) value, every LWP, and every counted handle keep it.
//! They do so through [`Anchor`]s, of which each participant has one: making
//! an LWP counts up a line of the thread's own instead of one that all
//! threads share.
#![allow(unsafe_code)]

pub(crate) mod aftermath;
pub mod biglock;
pub mod caps;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod context;
pub mod cpus;
mod life;
pub(crate) mod participant;

use crate::cred::CredRef;
use crate::cred::uids::Uids;
use crate::emul::{EmulPtr, Emuls, NativeSysents};
use crate::filedesc::link::Borrowed;
use crate::host::{Host, LwpToken};
use crate::id::{Lid, Numbering, Pid};
use crate::limits::{Limits, LimitsRef};
use crate::object::home::{Anchor, Home};
use crate::object::kills::Kills;
use crate::object::node::{LwpNode, ProcNode, ProcPtr};
use crate::object::status::Ends;
use crate::object::table::{self, Table};
use crate::policy::{Difference, JobControl, Rules, WaitPolicy};
use crate::reclaim::{Collector, Managed, Pin};
use crate::signal::{SigModel, SigSet, Signo};
use crate::sync::{Arc, AtomicBool, AtomicU64, Weak};
use aftermath::EndDoomed;
use biglock::BigLock;
use caps::Caps;
use config::{Configuration, Enforcement, LimitsPolicy, Part};
use cpus::Cpus;
use participant::{Participant, Registry};
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;

impl<H: Host> Home<H> {
    fn of(world: *const World<H>) -> Self {
        Self::at(world.cast())
    }

    /// The world.
    ///
    /// # Safety
    /// It is alive for `'a`.
    #[inline]
    pub(crate) unsafe fn world<'a>(self) -> &'a World<H> {
        // SAFETY: made by `of`; by contract.
        unsafe { &*self.address().cast() }
    }
}

impl<H: Host> Anchor<H> {
    #[inline]
    pub(crate) fn world(&self) -> &World<H> {
        // SAFETY: kept by this share.
        unsafe { self.home.world() }
    }
}

impl<H: Host> Participant<H> {
    #[inline]
    pub(crate) fn world(&self) -> &World<H> {
        // SAFETY: participants are part of their world, which is not moved.
        unsafe { self.home.world() }
    }
}

/// Whether a thread without an LWP may enter, as init.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Implicit {
    Allowed,
    Forbidden,
}

/// What a kernel is built with, beside its host.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) wait_policy: WaitPolicy,
    pub(crate) signals: SigModel,
    pub(crate) numbering: Numbering,
    /// `None`: as many as the numbering has by itself.
    pub(crate) id_capacity: Option<usize>,
    pub(crate) virtual_cpus: Option<NonZeroUsize>,
    pub(crate) limits: Limits,
    pub(crate) limits_policy: LimitsPolicy,
    pub(crate) native_sysents: NativeSysents,
    pub(crate) implicit: Implicit,
    pub(crate) max_procs: Option<u64>,
    pub(crate) max_lwps: Option<u64>,
    pub(crate) max_lwps_per_proc: Option<u64>,
    pub(crate) ends: Ends,
    pub(crate) sigchld: bool,
    pub(crate) rules: Rules,
    pub(crate) init_waits: bool,
    pub(crate) max_queued: usize,
}

impl Settings {
    /// The signals by which the kernel stops and continues processes, if it does.
    fn job_signals(&self) -> SigSet {
        let numbers = self.rules.numbers;
        match (self.rules.jobs, self.signals) {
            (JobControl::Kernel, SigModel::Record) => numbers.stops().with(numbers.cont),
            _ => SigSet::EMPTY,
        }
    }

    pub(crate) fn id_capacity(&self) -> usize {
        let by_itself = match self.numbering {
            Numbering::Generations | Numbering::Dense => (1 << 21) - 1,
            Numbering::Cyclic => (1 << 15) - 1,
        };
        self.id_capacity.unwrap_or(by_itself)
    }

    fn child_signal(&self) -> Option<Signo> {
        let tells = self.sigchld || self.rules.jobs == JobControl::Kernel;
        tells.then_some(self.rules.numbers.chld)
    }
}

/// See the module.
pub(crate) struct World<H: Host> {
    /// Names this world among all that ever were in this host process.
    pub(crate) serial: u64,
    pub(crate) host: H,
    pub(crate) policy: WaitPolicy,
    pub(crate) signals: SigModel,
    pub(crate) rules: Rules,
    /// How many signals may be queued for a process.
    pub(crate) max_queued: usize,
    /// Those by which the kernel stops and continues processes.
    pub(crate) job_signals: SigSet,
    /// What a process ends with when nobody says how.
    pub(crate) ends: Ends,
    /// What a parent is sent of its children.
    pub(crate) child_signal: Option<Signo>,
    /// `None`: any number of threads may be in the kernel.
    pub(crate) cpus: Option<Cpus>,
    pub(crate) big_lock: BigLock,
    pub(crate) ids: Table<H>,
    /// What each user has.
    pub(crate) uids: Uids,
    /// The superuser's credentials, which proc0 and init start with.
    root: ManuallyDrop<CredRef>,
    /// The limits that they start with.
    limits: ManuallyDrop<LimitsRef>,
    /// How many processes and LWPs there may be.
    pub(crate) caps: Caps,
    /// What is being sent to many.
    pub(crate) kills: Kills,
    /// What may be replaced while the kernel runs.
    pub(crate) config: Configuration<H>,
    pub(crate) emuls: Emuls<H>,
    pub(crate) native_sysents: NativeSysents,
    pub(crate) implicit: Implicit,
    /// How what has been killed ends, which those that kill cannot import.
    pub(crate) end_doomed: EndDoomed<H>,
    /// The number of the next key of specific data.
    pub(crate) next_key: AtomicU64,
    /// Dropped before the participants, whose counters its garbage names.
    pub(crate) collector: ManuallyDrop<Collector>,
    pub(crate) participants: Registry<H>,
    /// Set before the teardown looks for parked LWPs.
    pub(crate) torn_down: AtomicBool,
    pub(crate) proc0: ProcPtr<H>,
    pub(crate) init: ProcPtr<H>,
    /// init's own LWP and lwp0, which nobody owns.
    tokens: [LwpToken; 2],
    this: Weak<World<H>>,
}

// SAFETY: the raw pointers are to proc0, init and emulations, which are `Sync` and
// live as long as the world. Of the participants, which have cells, each is used by one
// thread at a time: the one that took it over (P11), found through that thread's
// own storage; what others read of it is atomic.
unsafe impl<H: Host> Send for World<H> {}
// SAFETY: as above.
unsafe impl<H: Host> Sync for World<H> {}

impl<H: Host> World<H> {
    pub(crate) fn register(&self) -> &Participant<H> {
        self.participants.register(&self.collector)
    }

    /// The process of the further LWP with that number, where that means its process.
    pub(crate) fn process_of_lwp<'g>(
        &'g self,
        number: Pid,
        pin: &'g Pin<'_>,
    ) -> Option<&'g ProcNode<H>> {
        self.further_lwp(number, pin).map(|lwp| lwp.proc_pinned(pin))
    }

    /// The further LWP with that number, where that means its process.
    pub(crate) fn further_lwp<'g>(
        &'g self,
        number: Pid,
        pin: &'g Pin<'_>,
    ) -> Option<&'g LwpNode<H>> {
        if !self.rules.is_linux(Difference::LwpForProcess) {
            return None;
        }
        let (lwp, _) = table::find_lwp(&self.ids, Lid(number.0), pin)?;
        (lwp.id() != lwp.proc_pinned(pin).id).then_some(lwp)
    }

    pub(crate) fn downgrade(&self) -> Weak<Self> {
        self.this.clone()
    }

    /// Takes every participant's anchor away, so that the world goes with its
    /// last LWP and handle. For the teardown, which has the kernel to itself.
    pub(crate) fn take_anchors(&self) {
        for p in self.participants.iter() {
            // SAFETY: used by threads in the kernel only; there are none.
            drop(unsafe { &mut *p.anchor.get() }.take());
        }
    }

    /// init's descriptor table, which implicit contexts use.
    pub(crate) fn init_files(&self) -> Borrowed<'_, H::File> {
        // SAFETY: init never dies.
        let init = unsafe { Managed::deref_counted(self.init) };
        // SAFETY: init's.
        unsafe { init.resources.files.permanent() }
    }

    /// proc0's descriptor table.
    pub(crate) fn proc0_files(&self) -> Borrowed<'_, H::File> {
        // SAFETY: proc0 never dies.
        let proc0 = unsafe { Managed::deref_counted(self.proc0) };
        // SAFETY: proc0's.
        unsafe { proc0.resources.files.permanent() }
    }

    /// What the configuration says of a new process: its emulation, and whether its
    /// user's processes are limited.
    pub(crate) fn at_birth(&self) -> (EmulPtr<H>, Enforcement) {
        match self.config.load_if(Part::Birth) {
            None => (self.emuls.native(), Enforcement::Ignored),
            Some(config) => (config.default_emul, config.limits.nproc),
        }
    }

    /// A new anchor. The caller holds the world alive.
    pub(crate) fn new_anchor(&self) -> Arc<Anchor<H>> {
        let world = self.this.upgrade().expect("the caller holds the world alive");
        Arc::new(Anchor::new(self.home(), Box::new(world)))
    }

    /// What the objects of this kernel know it by.
    pub(crate) fn home(&self) -> Home<H> {
        Home::of(self)
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use crate::filedesc::table::FdTable;
    use crate::host::ThreadHost;
    use crate::object::node::{Edge, LwpNode, ProcNode};
    use crate::reclaim::Link;

    /// What a process with default resources takes, and a further LWP; the slots of
    /// their ids included.
    #[test]
    fn a_process_and_an_lwp_are_small() {
        let lwp = size_of::<LwpNode<ThreadHost>>();
        let slot = size_of::<Link<()>>() + size_of::<crate::idtable::Slot<(), ()>>();
        let table = size_of::<FdTable<()>>();
        let proc = size_of::<ProcNode<ThreadHost>>() + size_of::<Edge<ThreadHost>>() + table;
        assert!(lwp + slot <= 256, "a further LWP takes {} bytes", lwp + slot);
        assert!(proc + lwp + slot <= 768, "a process takes {} bytes", proc + lwp + slot);
        println!("lwp {lwp} slot {slot} table {table} process {}", proc + lwp + slot);
    }
}
