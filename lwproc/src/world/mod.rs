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
pub(crate) mod birth;
pub(crate) mod clock;
pub(crate) mod context;
pub mod cpus;
pub(crate) mod creds;
pub(crate) mod death;
pub(crate) mod drain;
mod oncpu;
pub(crate) mod participant;
pub mod seat;

use crate::config::{Configuration, LimitsPolicy};
use crate::cred::Cred;
use crate::cred::CredRef;
use crate::cred::uids::{Lane, OverLimit, Uids};
use crate::emul::{Emuls, NativeSysents};
use crate::filedesc::link::{Borrowed, TableUse};
use crate::host::{Host, LwpToken};
use crate::id::{Identity, Pid};
use crate::idtable::IdTable;
use crate::limits::{Limits, LimitsRef};
use crate::lwp::{LwpNode, LwpPtr};
use crate::pgrp::{Membership, change};
use crate::policy::WaitPolicy;
use crate::proc::comm::Comm;
use crate::proc::resources::{Embedded, Resources};
use crate::proc::{ProcNode, ProcPtr, family};
use crate::reclaim::{Collector, Managed, Tagged};
use crate::signal::SigModel;
use crate::sync::{Arc, AtomicBool, AtomicU64, Relaxed, Release, Weak};
use aftermath::Aftermath;
use biglock::BigLock;
use cpus::Cpus;
use crossbeam_utils::CachePadded;
use participant::{Participant, Registry, Tally};
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;

/// One participant's share in keeping a world.
pub(crate) struct Anchor<H: Host>(Arc<World<H>>);

impl<H: Host> Anchor<H> {
    pub(crate) fn world(&self) -> &World<H> {
        &self.0
    }
}

/// What a kernel is built with, beside its host.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) wait_policy: WaitPolicy,
    pub(crate) signals: SigModel,
    pub(crate) id_capacity: usize,
    pub(crate) virtual_cpus: Option<NonZeroUsize>,
    pub(crate) limits: Limits,
    pub(crate) limits_policy: LimitsPolicy,
    pub(crate) native_sysents: NativeSysents,
    pub(crate) max_procs: Option<u64>,
}

/// The processes of a kernel that has a most.
#[derive(Debug)]
pub(crate) struct ProcCap {
    max: u64,
    count: CachePadded<AtomicU64>,
}

impl ProcCap {
    fn new(max: u64, count: u64) -> Self {
        Self { max, count: CachePadded::new(AtomicU64::new(count)) }
    }

    /// Takes a place, before the process is built. Lock-free.
    pub(crate) fn reserve(&self) -> Result<(), OverLimit> {
        let more = |count| (count < self.max).then_some(count + 1);
        // Relaxed, twice: a count; nothing is published by it.
        self.count.fetch_update(Relaxed, Relaxed, more).map(drop).map_err(|_full| OverLimit)
    }

    /// Gives a place back. Wait-free.
    pub(crate) fn refund(&self) {
        // Relaxed: a count.
        self.count.fetch_sub(1, Relaxed);
    }
}

/// See the module.
pub(crate) struct World<H: Host> {
    /// Names this world among all that ever were in this host process.
    pub(crate) serial: u64,
    pub(crate) host: H,
    pub(crate) policy: WaitPolicy,
    pub(crate) signals: SigModel,
    /// `None`: any number of threads may be in the kernel.
    pub(crate) cpus: Option<Cpus>,
    pub(crate) big_lock: BigLock,
    pub(crate) ids: family::Table<H>,
    /// What each user has.
    pub(crate) uids: Uids,
    /// The superuser's credentials, which proc0 and init start with.
    root: ManuallyDrop<CredRef>,
    /// The limits that they start with.
    limits: ManuallyDrop<LimitsRef>,
    /// The most processes; `None`: any number, and they are not counted here.
    pub(crate) proc_cap: Option<ProcCap>,
    /// What may be replaced while the kernel runs.
    pub(crate) config: Configuration<H>,
    pub(crate) emuls: Emuls<H>,
    pub(crate) native_sysents: NativeSysents,
    /// The number of the next key of specific data.
    pub(crate) next_key: AtomicU64,
    /// Dropped before the participants, whose counters its garbage names.
    collector: ManuallyDrop<Collector>,
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
    /// proc0 with lwp0, and init with an LWP of its own; both never die.
    pub(crate) fn new(host: H, settings: Settings) -> Arc<Self> {
        let emuls = Emuls::new();
        Arc::new_cyclic(|this: &Weak<Self>| {
            let collector = Collector::new();
            let participants = Registry::new(this.as_ptr());
            let ids = IdTable::new(settings.id_capacity);
            let uids = Uids::new();
            let limits = LimitsRef::permanent(settings.limits);
            let root = CredRef::permanent(Cred::superuser());
            let resources = |comm, cred, files| {
                let charge = uids.get(0);
                charge.count_procs(Lane::of(0), 1);
                charge.add_lwps(Lane::of(0), 1);
                let embedded = Embedded { vmspace: None, vfs: H::Vfs::default() };
                let (limits, emul) = (limits.share(), emuls.native());
                Resources::new(Comm::new(comm), cred, charge, files, limits, emul, embedded)
            };
            let first = participants.register(&collector);

            let zero = Identity(0);
            let (files, link) = TableUse::fresh();
            let resources0 = resources("system", root.share(), link);
            ids.make_zero();
            let group = change::permanent(ids.slot(0).expect("just made"));
            let (proc0, lwp0, token0) = permanent(this, zero, resources0, files, group, &host);
            publish(&ids, zero, proc0, lwp0);

            let one =
                ids.reserve(&first.shard, std::iter::empty()).expect("capacity is at least 1");
            debug_assert_eq!(one.0.pid(), Pid::INIT);
            let (files, link) = TableUse::fresh();
            let resources1 = resources("init", root.share(), link);
            let (init, init_lwp, init_token) =
                permanent(this, one.0, resources1, files, group, &host);
            // SAFETY: made above, not yet shared.
            let init_node = unsafe { Managed::deref_counted(init) };
            let edge = family::beget(proc0, init_node);
            publish(&ids, one.0, init, init_lwp);
            // SAFETY: made above, not yet shared.
            let proc0_node = unsafe { Managed::deref_counted(proc0) };
            // SAFETY: from `beget`, once.
            unsafe { family::announce(proc0_node, edge) };

            first.tally.add(Tally { procs: 2, lwps: 2, zombies: 0, ids: 2 });
            first.vacate();
            Self {
                serial: next_serial(),
                host,
                policy: settings.wait_policy,
                signals: settings.signals,
                cpus: settings.virtual_cpus.map(Cpus::new),
                big_lock: BigLock::new(),
                config: Configuration::new(emuls.native(), settings.limits_policy),
                emuls,
                native_sysents: settings.native_sysents,
                next_key: AtomicU64::new(0),
                proc_cap: settings.max_procs.map(|max| ProcCap::new(max, 2)),
                ids,
                uids,
                root: ManuallyDrop::new(root),
                limits: ManuallyDrop::new(limits),
                collector: ManuallyDrop::new(collector),
                participants,
                torn_down: AtomicBool::new(false),
                proc0,
                init,
                tokens: [init_token, token0],
                this: this.clone(),
            }
        })
    }

    pub(crate) fn register(&self) -> &Participant<H> {
        self.participants.register(&self.collector)
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

    /// A new anchor. The caller holds the world alive.
    pub(crate) fn new_anchor(&self) -> Arc<Anchor<H>> {
        Arc::new(Anchor(self.this.upgrade().expect("the caller holds the world alive")))
    }
}

fn next_serial() -> u64 {
    use std::sync::atomic::AtomicU64;
    // The one global: it names worlds, and no world waits for another on it.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only uniqueness is wanted.
    NEXT.fetch_add(1, Relaxed)
}

/// A process that never dies, with an LWP that nobody owns.
fn permanent<H: Host>(
    world: &Weak<World<H>>,
    id: Identity,
    resources: Resources<H>,
    files: TableUse<H::File>,
    group: Tagged<Membership>,
    host: &H,
) -> (ProcPtr<H>, LwpPtr<H>, LwpToken) {
    let proc = Managed::new(ProcNode::new(world.as_ptr(), id, resources));
    // SAFETY: made above.
    let node = unsafe { Managed::deref_counted(proc) };
    let lwp = LwpNode::new(proc, node.resources.user(), id.pid(), None, None);
    // SAFETY: made above.
    let lwp_node = unsafe { Managed::deref_counted(lwp) };
    // SAFETY: made above, owned by this thread; there was none.
    let _none = unsafe { lwp_node.replace_files(Some(files)) };
    // Relaxed: published with the process [P3].
    node.membership.store(group, Relaxed);
    // SAFETY: in no list; its count of one is the list's.
    unsafe { node.lwps.push(lwp) };
    host.create(lwp_node.token());
    (proc, lwp, lwp_node.token())
}

/// Stores a process and its first LWP in the slot of their id, which is reserved.
pub(crate) fn publish<H: Host>(
    ids: &family::Table<H>,
    id: Identity,
    proc: ProcPtr<H>,
    lwp: LwpPtr<H>,
) {
    let slot = ids.slot(id.number()).expect("a reserved id has a slot");
    // Release [P4]: the LWP's fields; pairs with Acquire in `find_lwp`.
    slot.lwp.store(Tagged::new(lwp), Release);
    let link = ids.proc(id.number()).expect("a reserved id has a slot");
    // Release [P3]: the process's fields; pairs with Acquire in `resolve`.
    link.store(Tagged::new(proc), Release);
}

impl<H: Host> Drop for World<H> {
    fn drop(&mut self) {
        // Host calls and drops may panic: the first panic goes on when all is freed.
        let mut after = Aftermath::<H>::none();
        self.tokens.into_iter().for_each(|lwp| _ = after.run(|| self.host.destroy(lwp)));
        self.participants.unregister_all();
        let gone = |proc: ProcPtr<H>| {
            // SAFETY: in the table, hence not freed.
            let node = unsafe { Managed::deref_counted(proc) };
            // SAFETY: nobody else is left.
            unsafe { node.resources.release_alone() };
        };
        for p in self.participants.iter() {
            p.free_sleep_object();
            // SAFETY: nobody else is left.
            if let Some(cred) = unsafe { p.own.take_init_cred() } {
                // SAFETY: nobody else is left.
                unsafe { cred.release_alone() };
            }
        }
        gone(self.init);
        gone(self.proc0);
        for link in self.ids.procs().skip(2) {
            // Relaxed: nobody else is left.
            let leaked = link.load(Relaxed).ptr();
            if !leaked.is_null() {
                gone(leaked);
                // SAFETY: a zombie whose `Zombie` claim was leaked: nobody is
                // left to reap it, and it has no LWPs.
                unsafe { Managed::free(leaked) };
            }
        }
        // SAFETY: taken once, here.
        let root = unsafe { ManuallyDrop::take(&mut self.root) };
        // SAFETY: nobody else is left.
        unsafe { root.free_permanent() };
        // SAFETY: taken once, here.
        let limits = unsafe { ManuallyDrop::take(&mut self.limits) };
        // SAFETY: nobody else is left.
        unsafe { limits.free_permanent() };
        // SAFETY: nobody else is left.
        unsafe { change::free_all(self) };
        // SAFETY: no process is left that could have init as its parent.
        after.run(|| unsafe { Managed::free(self.init) });
        // SAFETY: the same for proc0.
        after.run(|| unsafe { Managed::free(self.proc0) });
        // SAFETY: dropped once, here; all garbage goes back to who retired it.
        unsafe { ManuallyDrop::drop(&mut self.collector) };
        self.participants.clear();
        after.settle();
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use crate::filedesc::table::FdTable;
    use crate::host::ThreadHost;
    use crate::lwp::LwpNode;
    use crate::proc::ProcNode;
    use crate::proc::family::Edge;
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
