//! A process table on each of the maps, doing the job of lwproc's as far as the
//! table of operations goes: processes with LWPs, a parent and children. Left
//! out, to the peers' advantage: a table of LWP numbers, credentials, groups,
//! limits, the reuse of numbers, hooks.

use super::maps::Map;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// A file, and a table of them.
pub type Files = BTreeMap<i32, Arc<u64>>;

/// An LWP.
#[derive(Debug)]
pub struct Lwp {
    /// Its number.
    pub lid: u64,
    /// Its process.
    pub proc: Arc<Proc>,
}

/// A process.
#[derive(Debug)]
pub struct Proc {
    /// Its number.
    pub pid: u64,
    /// Its parent's.
    pub ppid: AtomicU64,
    /// How many LWPs it has.
    pub nlwps: AtomicU32,
    /// Further LWPs.
    pub lwps: Mutex<BTreeMap<u64, Arc<Lwp>>>,
    /// Its children's numbers.
    pub children: Mutex<BTreeSet<u64>>,
    /// Its descriptors.
    pub files: Mutex<Files>,
}

impl Proc {
    fn new(pid: u64, ppid: u64, files: Files) -> Arc<Self> {
        Arc::new(Self {
            pid,
            ppid: AtomicU64::new(ppid),
            nlwps: AtomicU32::new(1),
            lwps: Mutex::default(),
            children: Mutex::default(),
            files: Mutex::new(files),
        })
    }
}

/// A process table.
#[derive(Debug)]
pub struct Table<M> {
    map: M,
    init: u64,
    next_lid: AtomicU64,
}

impl<M: Map<Proc>> Default for Table<M> {
    fn default() -> Self {
        let map = M::default();
        let init = map.insert(|pid| Proc::new(pid, 0, Files::new()));
        Self { map, init, next_lid: AtomicU64::new(1 << 32) }
    }
}

impl<M: Map<Proc>> Table<M> {
    /// The map.
    pub fn map(&self) -> &M {
        &self.map
    }

    /// The process that orphans go to.
    pub fn init(&self) -> u64 {
        self.init
    }

    /// Makes a child of `parent`.
    pub fn fork(&self, parent: u64) -> u64 {
        self.fork_with(parent, Files::new())
    }

    /// Makes a child with these descriptors.
    pub fn fork_with(&self, parent: u64, files: Files) -> u64 {
        let pid = self.map.insert(|pid| Proc::new(pid, parent, files));
        self.map.read(parent, |parent| parent.children.lock().expect("not poisoned").insert(pid));
        pid
    }

    /// Ends a process: its children go to init, and it leaves its parent.
    pub fn exit(&self, pid: u64) {
        let Some(proc) = self.map.remove(pid) else {
            return;
        };
        let orphans = std::mem::take(&mut *proc.children.lock().expect("not poisoned"));
        for orphan in orphans {
            self.map.read(orphan, |child| child.ppid.store(self.init, Relaxed));
            self.map.read(self.init, |init| {
                init.children.lock().expect("not poisoned").insert(orphan);
            });
        }
        self.map.read(proc.ppid.load(Relaxed), |parent| {
            parent.children.lock().expect("not poisoned").remove(&pid);
        });
    }

    /// A further LWP of a process.
    pub fn newlwp(&self, pid: u64) -> Option<Arc<Lwp>> {
        let proc = self.map.get(pid)?;
        let lid = self.next_lid.fetch_add(1, Relaxed);
        let lwp = Arc::new(Lwp { lid, proc });
        lwp.proc.lwps.lock().expect("not poisoned").insert(lid, lwp.clone());
        lwp.proc.nlwps.fetch_add(1, Relaxed);
        Some(lwp)
    }

    /// Releases it.
    pub fn release(&self, lwp: Arc<Lwp>) {
        lwp.proc.lwps.lock().expect("not poisoned").remove(&lwp.lid);
        lwp.proc.nlwps.fetch_sub(1, Relaxed);
    }
}
