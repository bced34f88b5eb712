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

/// What the kernel has told the host.
#[derive(Default)]
struct Told {
    lwps: HashSet<LwpToken>,
    current: Option<LwpToken>,
}

#[derive(Clone, Default)]
pub struct Embedder {
    pub files: Living,
    told: Arc<Mutex<Told>>,
}

impl Embedder {
    /// The LWPs that have been created and not destroyed; that of each is current
    /// while it runs, and no other.
    pub fn lwps(&self) -> BTreeSet<Lid> {
        lock(&self.told).lwps.iter().map(|lwp| lwp.lid()).collect()
    }
}

impl Host for Embedder {
    type VmSpace = ();
    type File = Alive;
    type Emul = ();
    type Vfs = ();

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
