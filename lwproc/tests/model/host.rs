//! What the model's embedder has, and what the kernel tells it.

use lwproc::*;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// While a failed test unwinds, nothing more is looked at.
fn expect(holds: bool, what: &str) {
    assert!(holds || std::thread::panicking(), "{what}");
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of those that are alive.
#[derive(Clone, Default)]
pub struct Living(Arc<Mutex<BTreeSet<u32>>>);

impl Living {
    pub fn add(&self, name: u32) -> Alive {
        expect(lock(&self.0).insert(name), "a name used twice");
        Alive { name, among: self.clone() }
    }

    pub fn names(&self) -> BTreeSet<u32> {
        lock(&self.0).clone()
    }
}

/// Something that says whether it is alive: a file, for one.
pub struct Alive {
    pub name: u32,
    among: Living,
}

impl Drop for Alive {
    fn drop(&mut self) {
        expect(lock(&self.among.0).remove(&self.name), "dropped twice");
    }
}

/// A place in the file system. That of proc0 and init is no host's.
#[derive(Default)]
pub struct Place {
    own: Option<Alive>,
    /// The place it was made from.
    pub from: u32,
}

impl Place {
    pub fn name(&self) -> u32 {
        self.own.as_ref().map_or(0, |own| own.name)
    }
}

impl Clone for Place {
    fn clone(&self) -> Self {
        panic!("the host makes places in `vfs_init`, and nobody else does");
    }
}

/// An emulation; the native one is 0.
#[derive(Default)]
pub struct Emul(pub u32);

/// How a signal came to the host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Raised {
    ToHost,
    /// In a kernel that is built to take none. (This host does not mind.)
    Unhandled,
}

/// What the kernel has told the host.
#[derive(Default)]
struct Told {
    lwps: HashSet<LwpToken>,
    current: Option<LwpToken>,
    places: u32,
    released: Vec<u32>,
    interned: Vec<(u32, Pid)>,
    raised: Vec<(Raised, Pid, u8)>,
}

#[derive(Clone, Default)]
pub struct Embedder {
    pub files: Living,
    pub places: Living,
    pub spaces: Living,
    /// What exit hooks capture.
    pub hooks: Living,
    /// Trace sinks.
    pub sinks: Living,
    told: Arc<Mutex<Told>>,
}

impl Embedder {
    /// The LWPs that have been created and not destroyed; that of each is current
    /// while it runs, and no other.
    pub fn lwps(&self) -> BTreeSet<Lid> {
        lock(&self.told).lwps.iter().map(|lwp| lwp.lid()).collect()
    }

    /// The kernel is gone, and so is all that it had.
    pub fn expect_nothing_left(&self) {
        let Self { files, places, spaces, hooks, sinks, .. } = self;
        for (what, living) in [
            ("files", files),
            ("places", places),
            ("spaces", spaces),
            ("hooks", hooks),
            ("sinks", sinks),
        ] {
            assert_eq!(living.names(), BTreeSet::new(), "{what} that are left");
        }
        assert_eq!(self.lwps(), BTreeSet::new(), "LWPs that were not destroyed");
    }

    /// The places given back since the last look.
    pub fn take_released(&self) -> Vec<u32> {
        std::mem::take(&mut lock(&self.told).released)
    }

    /// The signals since the last look.
    pub fn take_raised(&self) -> Vec<(Raised, Pid, u8)> {
        std::mem::take(&mut lock(&self.told).raised)
    }

    /// The processes made since the last look, and the emulation of each.
    pub fn take_interned(&self) -> Vec<(u32, Pid)> {
        std::mem::take(&mut lock(&self.told).interned)
    }
}

impl Host for Embedder {
    type VmSpace = Alive;
    type File = Alive;
    type Emul = Emul;
    type Vfs = Place;
    type SigValue = ();

    fn vfs_init(&self, parent: &Place) -> Place {
        let mut told = lock(&self.told);
        told.places += 1;
        Place { own: Some(self.places.add(told.places)), from: parent.name() }
    }

    fn vfs_release(&self, vfs: Place) {
        lock(&self.told).released.push(vfs.name());
    }

    fn syscall_intern(&self, emul: &Emul, pid: Pid) {
        lock(&self.told).interned.push((emul.0, pid));
    }

    fn raise(&self, pid: Pid, signo: Signo) {
        lock(&self.told).raised.push((Raised::ToHost, pid, signo.number()));
    }

    fn unhandled_signal(&self, pid: Pid, signo: Signo) {
        lock(&self.told).raised.push((Raised::Unhandled, pid, signo.number()));
    }

    fn create(&self, lwp: LwpToken) {
        expect(lock(&self.told).lwps.insert(lwp), "created twice");
    }

    fn set(&self, lwp: LwpToken) {
        let mut told = lock(&self.told);
        expect(told.lwps.contains(&lwp), "set before it was created, or after its end");
        expect(told.current.is_none(), "set over another one");
        told.current = Some(lwp);
    }

    fn clear(&self, lwp: LwpToken) {
        expect(lock(&self.told).current.take() == Some(lwp), "cleared without being current");
    }

    fn destroy(&self, lwp: LwpToken) {
        let mut told = lock(&self.told);
        expect(told.current != Some(lwp), "destroyed while current");
        expect(told.lwps.remove(&lwp), "destroyed twice, or never created");
    }

    fn current(&self) -> Option<LwpToken> {
        lock(&self.told).current
    }
}
