//! A kernel, and each peer, with as many live processes as a row asks for.

use crate::peers::maps::{Dash, Idr, LockedHash, LockedTree, Map, Papaya, Scc, Slab};
use crate::peers::procs::{Proc, Table};
use crate::table::floor::ProcBytes;
use crate::table::random::Random;
use lwproc::{Kernel, Lwp, Pid};
use std::sync::atomic::AtomicU64;

/// Whether the threads of a batch work on objects of their own or on the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// Each has its own.
    Own,
    /// All have the same.
    Shared,
}

impl Sharing {
    /// For the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Shared => "shared",
        }
    }
}

fn shuffled<T>(mut items: Vec<T>) -> Vec<T> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    random.shuffle(&mut items);
    items
}

/// One key after the other, in a random order that is the same for all. Threads
/// with even and with odd numbers go through halves of their own, or all stay with
/// one key.
pub struct Cursor<'w, K> {
    keys: &'w [K],
    at: usize,
    first: usize,
    step: usize,
}

impl<'w, K: Copy> Cursor<'w, K> {
    fn new(keys: &'w [K], thread: usize, sharing: Sharing) -> Self {
        let (first, step) = match sharing {
            Sharing::Own => (thread % 2 % keys.len(), 2),
            Sharing::Shared => (0, 0),
        };
        Self { keys, at: first, first, step }
    }

    /// The next one.
    #[inline]
    pub fn next(&mut self) -> K {
        self.at += self.step;
        if self.at >= self.keys.len() {
            self.at = self.first;
        }
        self.keys[self.at]
    }
}

/// A kernel with live processes.
pub struct Ours {
    /// The kernel.
    pub kernel: Kernel,
    /// A process that threads share.
    pub common: Lwp,
    /// For threads that are to share nothing.
    kernels: [Kernel; 8],
    pids: Vec<Pid>,
    _lwps: Vec<Lwp>,
}

impl Ours {
    fn new(live: usize) -> Self {
        let kernel = Kernel::new();
        let lwps: Vec<Lwp> = (0..live).map(|_| kernel.spawn().start().expect("ids")).collect();
        let pids = shuffled(lwps.iter().map(Lwp::pid).collect());
        let common = kernel.spawn().start().expect("ids");
        let kernels = std::array::from_fn(|_| Kernel::new());
        Self { kernel, common, kernels, pids, _lwps: lwps }
    }

    /// A thread's own kernel.
    pub fn alone(&self, thread: usize) -> &Kernel {
        &self.kernels[thread % self.kernels.len()]
    }

    /// The pids of live processes.
    pub fn cursor(&self, thread: usize, sharing: Sharing) -> Cursor<'_, Pid> {
        Cursor::new(&self.pids, thread, sharing)
    }
}

/// A peer with live processes.
pub struct Filled<M> {
    /// The table.
    pub table: Table<M>,
    /// A process that threads share.
    pub common: u64,
    keys: Vec<u64>,
}

impl<M: Map<Proc>> Filled<M> {
    fn new(live: usize) -> Self {
        let table = Table::<M>::default();
        let keys = shuffled((0..live).map(|_| table.fork(table.init())).collect());
        let common = table.fork(table.init());
        Self { table, common, keys }
    }

    /// The keys of live processes.
    pub fn cursor(&self, thread: usize, sharing: Sharing) -> Cursor<'_, u64> {
        Cursor::new(&self.keys, thread, sharing)
    }
}

/// As many objects of a process's size, in an array.
pub struct Arena {
    /// The objects; each an allocation, as processes are.
    #[expect(clippy::vec_box, reason = "the pointers are what is measured")]
    pub objects: Vec<Box<(AtomicU64, ProcBytes)>>,
    keys: Vec<usize>,
}

impl Arena {
    fn new(live: usize) -> Self {
        let objects = (0..live).map(|_| Box::default()).collect();
        Self { objects, keys: shuffled((0..live).collect()) }
    }

    /// Indices of objects.
    pub fn cursor(&self, thread: usize, sharing: Sharing) -> Cursor<'_, usize> {
        Cursor::new(&self.keys, thread, sharing)
    }
}

/// All of them.
pub struct Worlds {
    /// Live processes in each.
    pub live: usize,
    /// lwproc.
    pub ours: Ours,
    /// The floor's.
    pub arena: Arena,
    /// The peers.
    pub tree: Filled<LockedTree<Proc>>,
    /// See [`Worlds::tree`].
    pub hash: Filled<LockedHash<Proc>>,
    /// See [`Worlds::tree`].
    pub dash: Filled<Dash<Proc>>,
    /// See [`Worlds::tree`].
    pub papaya: Filled<Papaya<Proc>>,
    /// See [`Worlds::tree`].
    pub scc: Filled<Scc<Proc>>,
    /// See [`Worlds::tree`].
    pub slab: Filled<Slab<Proc>>,
    /// See [`Worlds::tree`].
    pub idr: Filled<Idr<Proc>>,
}

impl Worlds {
    /// Each with `live` processes.
    pub fn new(live: usize) -> Self {
        Self {
            live,
            ours: Ours::new(live),
            arena: Arena::new(live),
            tree: Filled::new(live),
            hash: Filled::new(live),
            dash: Filled::new(live),
            papaya: Filled::new(live),
            scc: Filled::new(live),
            slab: Filled::new(live),
            idr: Filled::new(live),
        }
    }
}
