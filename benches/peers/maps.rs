//! The containers that a user would keep processes in, behind one trait. All
//! hash maps get the same fast hash of an integer.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};

/// One multiplication, and the high bits brought down.
#[derive(Default, Debug)]
pub struct IntHasher(u64);

impl Hasher for IntHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = (self.0 ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Hash = BuildHasherDefault<IntHasher>;

/// A concurrent map that gives out its keys.
pub trait Map<V: Send + Sync + 'static>: Default + Send + Sync {
    /// What a reader holds over several look-ups.
    type Guard<'m>
    where
        Self: 'm;

    /// Its name in the tables.
    const NAME: &'static str;
    /// Whether it can be walked while others change it.
    const WALKS: bool = true;

    /// Puts a value in, made from its key.
    fn insert(&self, make: impl FnOnce(u64) -> Arc<V>) -> u64;
    /// Takes it out.
    fn remove(&self, key: u64) -> Option<Arc<V>>;
    /// Looks at it where it is.
    fn read<R>(&self, key: u64, look: impl FnOnce(&V) -> R) -> Option<R>;
    /// Counts it.
    fn get(&self, key: u64) -> Option<Arc<V>>;
    /// What a reader holds; nothing, where each look-up locks.
    fn guard(&self) -> Self::Guard<'_>;
    /// Looks at it under what is held already.
    fn read_in<R>(
        &self,
        guard: &Self::Guard<'_>,
        key: u64,
        look: impl FnOnce(&V) -> R,
    ) -> Option<R>;
    /// Looks at all.
    fn each(&self, look: impl FnMut(&V));
}

macro_rules! no_guard {
    () => {
        type Guard<'m>
            = ()
        where
            Self: 'm;
        fn guard(&self) {}
        fn read_in<R>(&self, (): &(), key: u64, look: impl FnOnce(&V) -> R) -> Option<R> {
            self.read(key, look)
        }
    };
}

/// Keys for maps that do not make their own.
#[derive(Default, Debug)]
pub struct Keys(AtomicU64);

impl Keys {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}

/// One lock, one tree: how most kernels and runtimes in Rust keep processes.
#[derive(Debug)]
pub struct LockedTree<V>(Mutex<BTreeMap<u64, Arc<V>>>, Keys);

impl<V> Default for LockedTree<V> {
    fn default() -> Self {
        Self(Mutex::default(), Keys::default())
    }
}

impl<V: Send + Sync + 'static> Map<V> for LockedTree<V> {
    const NAME: &'static str = "Mutex<BTreeMap>";
    no_guard!();
    fn insert(&self, make: impl FnOnce(u64) -> Arc<V>) -> u64 {
        let key = self.1.next();
        let value = make(key);
        self.0.lock().expect("not poisoned").insert(key, value);
        key
    }
    fn remove(&self, key: u64) -> Option<Arc<V>> {
        self.0.lock().expect("not poisoned").remove(&key)
    }
    fn read<R>(&self, key: u64, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.lock().expect("not poisoned").get(&key).map(|value| look(value))
    }
    fn get(&self, key: u64) -> Option<Arc<V>> {
        self.0.lock().expect("not poisoned").get(&key).cloned()
    }
    fn each(&self, mut look: impl FnMut(&V)) {
        self.0.lock().expect("not poisoned").values().for_each(|value| look(value));
    }
}

/// One readers' lock, one hash map.
#[derive(Debug)]
pub struct LockedHash<V>(RwLock<HashMap<u64, Arc<V>, Hash>>, Keys);

impl<V> Default for LockedHash<V> {
    fn default() -> Self {
        Self(RwLock::default(), Keys::default())
    }
}

impl<V: Send + Sync + 'static> Map<V> for LockedHash<V> {
    const NAME: &'static str = "RwLock<HashMap>";
    no_guard!();
    fn insert(&self, make: impl FnOnce(u64) -> Arc<V>) -> u64 {
        let key = self.1.next();
        let value = make(key);
        self.0.write().expect("not poisoned").insert(key, value);
        key
    }
    fn remove(&self, key: u64) -> Option<Arc<V>> {
        self.0.write().expect("not poisoned").remove(&key)
    }
    fn read<R>(&self, key: u64, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.read().expect("not poisoned").get(&key).map(|value| look(value))
    }
    fn get(&self, key: u64) -> Option<Arc<V>> {
        self.0.read().expect("not poisoned").get(&key).cloned()
    }
    fn each(&self, mut look: impl FnMut(&V)) {
        self.0.read().expect("not poisoned").values().for_each(|value| look(value));
    }
}

/// dashmap.
#[derive(Debug)]
pub struct Dash<V>(dashmap::DashMap<u64, Arc<V>, Hash>, Keys);

impl<V> Default for Dash<V> {
    fn default() -> Self {
        Self(dashmap::DashMap::default(), Keys::default())
    }
}

impl<V: Send + Sync + 'static> Map<V> for Dash<V> {
    const NAME: &'static str = "dashmap";
    no_guard!();
    fn insert(&self, make: impl FnOnce(u64) -> Arc<V>) -> u64 {
        let key = self.1.next();
        self.0.insert(key, make(key));
        key
    }
    fn remove(&self, key: u64) -> Option<Arc<V>> {
        self.0.remove(&key).map(|(_, value)| value)
    }
    fn read<R>(&self, key: u64, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.get(&key).map(|value| look(&value))
    }
    fn get(&self, key: u64) -> Option<Arc<V>> {
        self.0.get(&key).map(|value| Arc::clone(&value))
    }
    fn each(&self, mut look: impl FnMut(&V)) {
        self.0.iter().for_each(|entry| look(&entry));
    }
}

/// papaya.
#[derive(Debug)]
pub struct Papaya<V>(papaya::HashMap<u64, Arc<V>, Hash>, Keys);

impl<V> Default for Papaya<V> {
    fn default() -> Self {
        Self(papaya::HashMap::default(), Keys::default())
    }
}

impl<V: Send + Sync + 'static> Map<V> for Papaya<V> {
    const NAME: &'static str = "papaya";
    type Guard<'m>
        = papaya::LocalGuard<'m>
    where
        Self: 'm;
    fn insert(&self, make: impl FnOnce(u64) -> Arc<V>) -> u64 {
        let key = self.1.next();
        self.0.pin().insert(key, make(key));
        key
    }
    fn remove(&self, key: u64) -> Option<Arc<V>> {
        self.0.pin().remove(&key).cloned()
    }
    fn read<R>(&self, key: u64, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.pin().get(&key).map(|value| look(value))
    }
    fn get(&self, key: u64) -> Option<Arc<V>> {
        self.0.pin().get(&key).cloned()
    }
    fn guard(&self) -> Self::Guard<'_> {
        self.0.guard()
    }
    fn read_in<R>(
        &self,
        guard: &Self::Guard<'_>,
        key: u64,
        look: impl FnOnce(&V) -> R,
    ) -> Option<R> {
        self.0.get(&key, guard).map(|value| look(value))
    }
    fn each(&self, mut look: impl FnMut(&V)) {
        self.0.pin().values().for_each(|value| look(value));
    }
}

/// scc.
#[derive(Debug)]
pub struct Scc<V>(scc::HashMap<u64, Arc<V>, Hash>, Keys);

impl<V> Default for Scc<V> {
    fn default() -> Self {
        Self(scc::HashMap::with_hasher(Hash::default()), Keys::default())
    }
}

impl<V: Send + Sync + 'static> Map<V> for Scc<V> {
    const NAME: &'static str = "scc";
    no_guard!();
    fn insert(&self, make: impl FnOnce(u64) -> Arc<V>) -> u64 {
        let key = self.1.next();
        let _new = self.0.insert_sync(key, make(key));
        key
    }
    fn remove(&self, key: u64) -> Option<Arc<V>> {
        self.0.remove_sync(&key).map(|(_, value)| value)
    }
    fn read<R>(&self, key: u64, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.read_sync(&key, |_, value| look(value))
    }
    fn get(&self, key: u64) -> Option<Arc<V>> {
        self.0.read_sync(&key, |_, value| Arc::clone(value))
    }
    fn each(&self, mut look: impl FnMut(&V)) {
        self.0.iter_sync(|_, value| {
            look(value);
            true
        });
    }
}

/// sharded-slab: keys are places.
#[derive(Debug)]
pub struct Slab<V>(sharded_slab::Slab<Arc<V>>);

impl<V> Default for Slab<V> {
    fn default() -> Self {
        Self(sharded_slab::Slab::new())
    }
}

fn place(key: u64) -> usize {
    usize::try_from(key).expect("a key of the slab's")
}

impl<V: Send + Sync + 'static> Map<V> for Slab<V> {
    const NAME: &'static str = "sharded-slab";
    // Only through `&mut`.
    const WALKS: bool = false;
    no_guard!();
    fn insert(&self, make: impl FnOnce(u64) -> Arc<V>) -> u64 {
        let entry = self.0.vacant_entry().expect("room");
        let key = entry.key() as u64;
        entry.insert(make(key));
        key
    }
    fn remove(&self, key: u64) -> Option<Arc<V>> {
        self.0.take(place(key))
    }
    fn read<R>(&self, key: u64, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.get(place(key)).map(|value| look(&value))
    }
    fn get(&self, key: u64) -> Option<Arc<V>> {
        self.0.get(place(key)).map(|value| Arc::clone(&value))
    }
    fn each(&self, _look: impl FnMut(&V)) {}
}

/// idr-ebr: keys are places, memory goes by epochs.
pub struct Idr<V: 'static>(idr_ebr::Idr<Arc<V>>);

impl<V> Default for Idr<V> {
    fn default() -> Self {
        Self(idr_ebr::Idr::new())
    }
}

fn idr_key(key: u64) -> idr_ebr::Key {
    idr_ebr::Key::try_from(key).expect("a key of the table's")
}

impl<V: Send + Sync + 'static> Map<V> for Idr<V> {
    const NAME: &'static str = "idr-ebr";
    type Guard<'m>
        = idr_ebr::EbrGuard
    where
        Self: 'm;
    fn insert(&self, make: impl FnOnce(u64) -> Arc<V>) -> u64 {
        let entry = self.0.vacant_entry().expect("room");
        let key = u64::from(entry.key());
        entry.insert(make(key));
        key
    }
    fn remove(&self, key: u64) -> Option<Arc<V>> {
        let value = self.get(key);
        self.0.remove(idr_key(key));
        value
    }
    fn read<R>(&self, key: u64, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.read_in(&idr_ebr::EbrGuard::new(), key, look)
    }
    fn get(&self, key: u64) -> Option<Arc<V>> {
        self.0.get(idr_key(key), &idr_ebr::EbrGuard::new()).map(|value| Arc::clone(&value))
    }
    fn guard(&self) -> Self::Guard<'_> {
        idr_ebr::EbrGuard::new()
    }
    fn read_in<R>(
        &self,
        guard: &Self::Guard<'_>,
        key: u64,
        look: impl FnOnce(&V) -> R,
    ) -> Option<R> {
        self.0.get(idr_key(key), guard).map(|value| look(&value))
    }
    fn each(&self, mut look: impl FnMut(&V)) {
        self.0.iter(&idr_ebr::EbrGuard::new()).for_each(|(_, value)| look(&value));
    }
}
