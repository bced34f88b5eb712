//! A cell with a value that is read often and replaced now and then.
//!
//! `load` gives the value now, alive as long as what it returns; `rcu` makes a
//! new one from it and commits that, starting over when another thread commits
//! first. arc-swap does it. In the models a twin on the checker's types promises
//! the same and no more: what was there before `rcu` returned is seen by whoever
//! comes after it; a load at the same time may see the value before, but none that
//! has been dropped. The checkers do not see arc-swap itself.

#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
mod imp {
    use arc_swap::{ArcSwap, Guard};
    use std::sync::Arc;

    /// What [`ConfigCell::load`] returns: a reference to the value.
    pub(crate) type Loaded<T> = Guard<Arc<T>>;

    /// See the module.
    pub(crate) struct ConfigCell<T>(ArcSwap<T>);

    impl<T> ConfigCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(ArcSwap::from_pointee(value))
        }

        /// The value now. Wait-free but for the first load of a thread; dropping
        /// it may drop the value, if it has been replaced.
        pub(crate) fn load(&self) -> Loaded<T> {
            self.0.load()
        }

        /// Replaces the value; the one before. Lock-free but for the allocator.
        pub(crate) fn rcu(&self, mut change: impl FnMut(&T) -> T) -> Arc<T> {
            self.0.rcu(|old| change(old))
        }
    }
}

#[cfg(any(lwproc_loom, lwproc_shuttle))]
mod imp {
    use crate::sync::{AcqRel, Acquire, AtomicUsize};
    use std::sync::{Arc, Mutex, PoisonError, Weak};

    pub(crate) type Loaded<T> = Arc<T>;

    /// The cell is the number of a version; the versions are kept weakly, but
    /// for the one in the cell. (The checker switches threads at its own operations
    /// only, so each step on `versions` belongs to the one before it.)
    pub(crate) struct ConfigCell<T> {
        at: AtomicUsize,
        versions: Mutex<(Vec<Weak<T>>, Arc<T>)>,
    }

    impl<T> ConfigCell<T> {
        pub(crate) fn new(value: T) -> Self {
            let value = Arc::new(value);
            let versions = (vec![Arc::downgrade(&value)], value);
            Self { at: AtomicUsize::new(0), versions: Mutex::new(versions) }
        }

        fn version(&self, at: usize) -> Option<Arc<T>> {
            self.versions.lock().unwrap_or_else(PoisonError::into_inner).0[at].upgrade()
        }

        fn load_at(&self) -> (usize, Arc<T>) {
            // Acquire [P60]: what came before the value was committed.
            let seen = self.at.load(Acquire);
            if let Some(value) = self.version(seen) {
                return (seen, value);
            }
            // An old version that is gone; a read-modify-write sees the last one.
            let now = self.at.fetch_add(0, AcqRel);
            (now, self.version(now).expect("the cell keeps its own"))
        }

        pub(crate) fn load(&self) -> Loaded<T> {
            self.load_at().1
        }

        pub(crate) fn rcu(&self, mut change: impl FnMut(&T) -> T) -> Arc<T> {
            loop {
                let (seen, old) = self.load_at();
                let new = Arc::new(change(&old));
                let at = {
                    let mut all = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
                    all.0.push(Arc::downgrade(&new));
                    all.0.len() - 1
                };
                // AcqRel [P60]: Release: what came before; Acquire: the value before.
                if self.at.compare_exchange(seen, at, AcqRel, Acquire).is_ok() {
                    let mut all = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
                    return std::mem::replace(&mut all.1, new);
                }
            }
        }
    }
}

pub(crate) use imp::{ConfigCell, Loaded};
