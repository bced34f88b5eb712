//! The host of the threads' kernel: it counts what it has given, and what it was told.

use lwproc::*;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

/// What the host gives.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A file, or specific data, or what a hook captures.
    Value,
    Place,
    Space,
    Sink,
}

#[derive(Debug, Default)]
struct Numbers {
    /// How many are alive, by [`What`].
    alive: [AtomicIsize; 4],
    /// LWPs that were created and not destroyed.
    lwps: AtomicIsize,
    interned: AtomicIsize,
    ended: AtomicIsize,
    released: AtomicIsize,
}

/// A host that counts.
#[derive(Clone, Debug, Default)]
pub struct Counting(Arc<Numbers>);

/// Counted while it is alive.
#[derive(Debug)]
pub struct Counted(What, Counting);

/// A place in the file system; proc0 and init have none of the host's.
#[derive(Debug, Default)]
pub struct Place(Option<Counted>);

/// An emulation, by its number.
#[derive(Debug, Default)]
pub struct Emul(pub usize);

impl Counting {
    pub fn give(&self, what: What) -> Counted {
        self.0.alive[what as usize].fetch_add(1, Relaxed);
        Counted(what, self.clone())
    }

    pub fn new_one(&self) -> Counted {
        self.give(What::Value)
    }

    pub fn alive(&self, what: What) -> isize {
        self.0.alive[what as usize].load(Relaxed)
    }

    pub fn lwps(&self) -> isize {
        self.0.lwps.load(Relaxed)
    }

    /// The processes that were made, of which the host was told.
    pub fn interned(&self) -> isize {
        self.0.interned.load(Relaxed)
    }

    /// The processes whose end the permanent hook has seen, and the places that were
    /// given back.
    pub fn ended(&self) -> (isize, isize) {
        (self.0.ended.load(Relaxed), self.0.released.load(Relaxed))
    }

    /// The kernel is gone, and so is all that it had.
    pub fn expect_nothing_left(&self) {
        for what in [What::Value, What::Place, What::Space, What::Sink] {
            assert_eq!(self.alive(what), 0, "{what:?} left");
        }
        assert_eq!(self.lwps(), 0, "LWPs that were not destroyed");
    }

    /// A hook that looks at each process that ends: all that it had is still there.
    pub fn watch_ends(&self, kernel: &lwproc::Kernel<Self>) {
        let host = self.clone();
        kernel.add_exit_hook(move |proc| {
            assert_eq!(proc.nlwps(), 0);
            assert!(proc.vfs().0.is_some() && proc.pgid().is_some() && proc.sid().is_some());
            assert!(proc.cred().is_some() && proc.rlimit(Resource::Nofile).is_some());
            host.0.ended.fetch_add(1, Relaxed);
        });
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.0.alive[self.0 as usize].fetch_sub(1, Relaxed);
    }
}

impl Clone for Place {
    fn clone(&self) -> Self {
        panic!("the host makes places in `vfs_init`, and nobody else does");
    }
}

thread_local! {
    static CURRENT: Cell<Option<LwpToken>> = const { Cell::new(None) };
}

/// Whether a thread of the test is a thread of the machine: under shuttle all are one.
const OWN_STORAGE: bool = !cfg!(lwproc_shuttle);

impl Host for Counting {
    type VmSpace = Counted;
    type File = Counted;
    type Emul = Emul;
    type Vfs = Place;
    type SigValue = ();

    fn create(&self, _: LwpToken) {
        self.0.lwps.fetch_add(1, Relaxed);
    }

    fn destroy(&self, lwp: LwpToken) {
        assert!(!OWN_STORAGE || CURRENT.get() != Some(lwp), "destroyed while current");
        self.0.lwps.fetch_sub(1, Relaxed);
    }

    fn set(&self, lwp: LwpToken) {
        let old = CURRENT.replace(Some(lwp));
        assert!(!OWN_STORAGE || old.is_none(), "set over {old:?}");
    }

    fn clear(&self, lwp: LwpToken) {
        let old = CURRENT.take();
        assert!(!OWN_STORAGE || old == Some(lwp), "cleared: {lwp:?}, and {old:?} was set");
    }

    fn current(&self) -> Option<LwpToken> {
        CURRENT.get()
    }

    fn vfs_init(&self, _: &Place) -> Place {
        Place(Some(self.give(What::Place)))
    }

    fn vfs_release(&self, vfs: Place) {
        assert!(vfs.0.is_some(), "a place of a process that never ends");
        self.0.released.fetch_add(1, Relaxed);
    }

    fn syscall_intern(&self, _: &Emul, pid: Pid) {
        assert!(pid > Pid::INIT);
        self.0.interned.fetch_add(1, Relaxed);
    }
}
