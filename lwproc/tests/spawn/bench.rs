//! A host that counts what is alive, and all that can be seen of a kernel.

use lwproc::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::SeqCst};

#[derive(Debug, Default)]
struct State {
    alive: AtomicIsize,
    places: AtomicIsize,
    /// Which hypercall of a new process panics next.
    place_panics: AtomicBool,
    intern_panics: AtomicBool,
}

/// A host whose files, address spaces and data are counted.
#[derive(Clone, Debug, Default)]
pub struct Counting(Arc<State>);

/// Counted while it is alive.
#[derive(Debug)]
pub struct Counted(Counting);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.alive.fetch_sub(1, SeqCst);
    }
}

impl Counting {
    pub fn value(&self) -> Counted {
        self.0.alive.fetch_add(1, SeqCst);
        Counted(self.clone())
    }

    pub fn alive(&self) -> isize {
        self.0.alive.load(SeqCst)
    }

    pub fn places(&self) -> isize {
        self.0.places.load(SeqCst)
    }

    pub fn panic_at_the_next_place(&self) {
        self.0.place_panics.store(true, SeqCst);
    }

    pub fn panic_at_the_next_intern(&self) {
        self.0.intern_panics.store(true, SeqCst);
    }
}

/// proc0 and init have places that the host does not know.
#[derive(Clone, Debug, Default)]
pub struct Place;

impl Host for Counting {
    type VmSpace = Counted;
    type File = Counted;
    type Emul = ();
    type Vfs = Place;
    type SigValue = ();

    fn vfs_init(&self, _: &Place) -> Place {
        assert!(!self.0.place_panics.swap(false, SeqCst), "told to panic");
        self.0.places.fetch_add(1, SeqCst);
        Place
    }

    fn vfs_release(&self, _: Place) {
        self.0.places.fetch_sub(1, SeqCst);
    }

    fn syscall_intern(&self, (): &(), _: Pid) {
        assert!(!self.0.intern_panics.swap(false, SeqCst), "told to panic");
    }
}

pub struct Bench {
    pub kernel: Kernel<Counting>,
    pub host: Counting,
}

/// All that a refused spawn could have left.
pub type Seen = (Counts, Vec<UserCounts>, Vec<(Pid, usize)>, isize, isize);

impl Bench {
    pub fn new() -> Self {
        let (kernel, host) = kernel();
        Self { kernel, host }
    }

    pub fn seen(&self) -> Seen {
        let guard = self.kernel.pin();
        let users = (0..10).map(|uid| self.kernel.user_counts(uid)).collect();
        let groups = guard.pgrps().map(|group| (group.id(), group.members().count())).collect();
        (self.kernel.counts(), users, groups, self.host.alive(), self.host.places())
    }
}

pub fn kernel() -> (Kernel<Counting>, Counting) {
    let host = Counting::default();
    let builder = Kernel::builder().wait_policy(WaitPolicy::AutoReap);
    let builder = builder.signal_model(SigModel::Record);
    (builder.host(host.clone()).build().unwrap(), host)
}
