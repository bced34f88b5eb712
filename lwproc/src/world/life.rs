//! How a world begins, and how it ends.
//!
//! It begins with what never ends: proc0 with lwp0, and init with an LWP of its own. It
//! ends when the last that keeps it has gone (the [`Kernel`](crate::Kernel) value, every
//! LWP, every counted handle), after the kernel's teardown has ended all that it could.
#![allow(unsafe_code)]

use super::aftermath::{Aftermath, EndDoomed};
use super::biglock::BigLock;
use super::caps::Caps;
use super::config::{Configuration, Part};
use super::cpus::Cpus;
use super::participant::{Registry, Tally};
use super::{Settings, World};
use crate::cred::uids::{Lane, Uids};
use crate::cred::{Cred, CredRef};
use crate::emul::Emuls;
use crate::family;
use crate::filedesc::link::TableUse;
use crate::host::{Host, LwpToken};
use crate::id::{Identity, Pid};
use crate::idtable::IdTable;
use crate::limits::LimitsRef;
use crate::object::comm::Comm;
use crate::object::group::Membership;
use crate::object::home::Home;
use crate::object::kills::Kills;
use crate::object::kin::Kin;
use crate::object::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::object::proc_word::Places;
use crate::object::resources::{Embedded, Resources};
use crate::object::status::Ends;
use crate::object::table;
use crate::pgrp;
use crate::reclaim::{Collector, Managed, Tagged};
use crate::signal::SigSet;
use crate::sync::{Arc, AtomicBool, AtomicU64, Relaxed, Weak};
use std::mem::ManuallyDrop;

impl<H: Host> World<H> {
    /// proc0 with lwp0, and init with an LWP of its own; both never die.
    pub(crate) fn new(host: H, settings: Settings, end_doomed: EndDoomed<H>) -> Arc<Self> {
        let emuls = Emuls::new();
        Arc::new_cyclic(|this: &Weak<Self>| {
            let collector = Collector::new();
            let participants = Registry::new(Home::of(this.as_ptr()));
            let ids = IdTable::new(settings.id_capacity(), settings.numbering);
            let uids = Uids::new();
            let (child_signal, job_signals) = (settings.child_signal(), settings.job_signals());
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
            let config = Configuration::new(emuls.native(), settings.limits_policy);
            let mosts = [settings.max_procs, settings.max_lwps, settings.max_lwps_per_proc];
            let caps = begin_caps(mosts, &config);
            let places = Places::PROCS.and(config.places());

            let zero = Identity(0);
            let (files, link) = TableUse::fresh();
            let resources0 = resources("system", root.share(), link);
            ids.make_zero();
            let group = pgrp::permanent(ids.slot(0).expect("just made"));
            let (proc0, lwp0, token0) =
                permanent(this, (zero, places), resources0, files, group, &host);
            table::publish(&ids, zero, proc0, lwp0);

            let one =
                ids.reserve(&first.shard, std::iter::empty()).expect("capacity is at least 1");
            debug_assert_eq!(one.0.pid(), Pid::INIT);
            let (files, link) = TableUse::fresh();
            let resources1 = resources("init", root.share(), link);
            let (init, init_lwp, init_token) =
                permanent(this, (one.0, places), resources1, files, group, &host);
            // SAFETY: made above, not yet shared.
            unsafe { family::beget(&ids, proc0, init, init_lwp, Kin::ORPHAN) };
            if settings.init_waits {
                // SAFETY: made above.
                unsafe { Managed::deref_counted(init) }.word.set_waits();
            }

            first.tally.add(Tally { procs: 2, lwps: 2, zombies: 0, ids: 2 });
            first.vacate();
            Self {
                serial: next_serial(),
                host,
                policy: settings.wait_policy,
                signals: settings.signals,
                ends: settings.ends,
                child_signal,
                job_signals,
                rules: settings.rules,
                max_queued: settings.max_queued,
                cpus: settings.virtual_cpus.map(Cpus::new),
                big_lock: BigLock::new(),
                kills: Kills::new(),
                config,
                emuls,
                native_sysents: settings.native_sysents,
                implicit: settings.implicit,
                end_doomed,
                next_key: AtomicU64::new(0),
                caps,
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
}

/// What may be, before anything is; proc0 and init come in any case.
fn begin_caps<H: Host>(mosts: [Option<u64>; 3], config: &Configuration<H>) -> Caps {
    for (most, part) in mosts.iter().zip([Part::ProcPlaces, Part::LwpPlaces, Part::NewLwp]) {
        if most.is_some() {
            config.touch(part);
        }
    }
    let caps = Caps::new(config.places());
    let [procs, lwps, lwps_of_one] = mosts.map(|most| most.unwrap_or(u64::MAX));
    caps.procs.set_most(procs);
    caps.lwps.set_most(lwps);
    caps.set_lwps_of_one(lwps_of_one);
    caps
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
    (id, places): (Identity, Places),
    resources: Resources<H>,
    files: TableUse<H::File>,
    group: Tagged<Membership>,
    host: &H,
) -> (ProcPtr<H>, LwpPtr<H>, LwpToken) {
    let proc = Managed::new(ProcNode::new(
        Home::of(world.as_ptr()),
        id,
        resources,
        Ends::default().released,
        places,
        SigSet::EMPTY,
    ));
    // SAFETY: made above.
    let node = unsafe { Managed::deref_counted(proc) };
    let lwp = LwpNode::new(proc, node.resources.user(), id, None, Ends::default().fates);
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
        unsafe { pgrp::free_all(&self.ids, self.proc0) };
        // SAFETY: no process is left that could have init as its parent.
        after.run(|| unsafe { Managed::free(self.init) });
        // SAFETY: the same for proc0.
        after.run(|| unsafe { Managed::free(self.proc0) });
        self.kills.clear();
        // SAFETY: dropped once, here; all garbage goes back to who retired it.
        unsafe { ManuallyDrop::drop(&mut self.collector) };
        self.participants.clear();
        after.settle();
    }
}
