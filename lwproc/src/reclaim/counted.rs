//! Immutable counted values, and cells that hold the one of the moment: a change
//! makes a new value and commits it with one CAS; readers see the old or the new.
#![allow(unsafe_code)]

use super::refcount::Dropped;
use super::{Link, Managed, Pin, RefCount, Tagged};
use crate::sync::{AcqRel, Acquire, Relaxed, Release};

/// A value with a count: one for each cell and each reference.
pub struct Counted<T> {
    /// `None`: permanent, and nobody counts. What every process starts with is,
    /// so that forks on different threads write no line in common.
    refs: Option<RefCount>,
    value: T,
}

/// One counted reference. Given back with [`CountedRef::release`], never dropped:
/// giving back may retire, which needs a pin.
#[must_use = "a reference is given back by `release`"]
pub struct CountedRef<T>(*mut Managed<Counted<T>>);

impl<T> CountedRef<T> {
    pub fn new(value: T) -> Self {
        Self(Managed::new(Counted { refs: Some(RefCount::new()), value }))
    }

    /// A value that its maker keeps until [`CountedRef::free_permanent`]: sharing
    /// and releasing write nothing.
    pub fn permanent(value: T) -> Self {
        Self(Managed::new(Counted { refs: None, value }))
    }

    /// Frees a permanent value.
    ///
    /// # Safety
    /// It is the maker's reference, and all others have gone.
    pub unsafe fn free_permanent(self) {
        // SAFETY: by contract.
        unsafe { Managed::free(self.0) };
    }

    /// Drops one reference; whether the value is to go.
    fn drop_one(&self) -> bool {
        // SAFETY: counted by this reference.
        let node = unsafe { Managed::deref_counted(self.0) };
        node.refs.as_ref().is_some_and(|refs| refs.dec() == Dropped::Last)
    }

    pub fn get(&self) -> &T {
        // SAFETY: counted by this reference.
        &unsafe { Managed::deref_counted(self.0) }.value
    }

    pub fn share(&self) -> Self {
        // SAFETY: counted by this reference.
        if let Some(refs) = &unsafe { Managed::deref_counted(self.0) }.refs {
            refs.inc();
        }
        Self(self.0)
    }

    /// Gives the reference back. Wait-free.
    pub fn release(self, pin: &Pin<'_>) {
        if self.drop_one() {
            // SAFETY: no cell has it any more: each counts.
            unsafe { pin.retire(self.0) };
        }
    }

    /// Gives the reference back when nobody can be looking.
    ///
    /// # Safety
    /// No thread reads values of this kernel any more.
    pub unsafe fn release_alone(self) {
        if self.drop_one() {
            // SAFETY: by contract.
            unsafe { Managed::free(self.0) };
        }
    }
}

/// A cell with a counted value; empty once it has been taken out.
pub struct CountedCell<T>(Link<Counted<T>>);

impl<T> CountedCell<T> {
    pub fn new(value: CountedRef<T>) -> Self {
        Self(Link::new(Tagged::new(value.0)))
    }

    pub fn empty() -> Self {
        Self(Link::new(Tagged::NULL))
    }

    /// Puts another value in, whatever it is; the one before. Wait-free.
    #[must_use = "the value before is released by the caller"]
    pub fn replace(&self, new: Option<CountedRef<T>>) -> Option<CountedRef<T>> {
        let new = new.map_or(Tagged::NULL, |new| Tagged::new(new.0));
        // AcqRel [P18], [P165]: Release: the new value; pairs with Acquire in `get`.
        // Acquire: the old node is given back by the caller.
        let old = self.0.swap(new, AcqRel);
        (!old.is_null()).then(|| CountedRef(old.ptr()))
    }

    /// The value now. Wait-free; writes nothing.
    pub fn get<'g>(&self, pin: &'g Pin<'_>) -> Option<&'g T> {
        // Acquire [P18]: the value's fields; pairs with Release in `commit`; [P165]: in `replace`.
        // SAFETY: loaded with Acquire under the pin.
        unsafe { self.0.load(Acquire).as_ref(pin) }.map(|node| &node.value)
    }

    /// The same, without a pin.
    ///
    /// # Safety
    /// Nobody replaces the value for `'a`; whoever did so last hands over to the caller.
    pub unsafe fn get_unshared<'a>(&self) -> Option<&'a T> {
        // Relaxed: put in by this thread, or before it was handed over.
        let ptr = self.0.load(Relaxed).ptr();
        // SAFETY: the cell's own count keeps it.
        (!ptr.is_null()).then(|| &unsafe { Managed::deref_counted(ptr) }.value)
    }

    /// A counted reference to the value now. Lock-free.
    pub fn hold(&self, pin: &Pin<'_>) -> Option<CountedRef<T>> {
        loop {
            // Acquire [P18]: as in `get`.
            let seen = self.0.load(Acquire);
            // SAFETY: loaded with Acquire under the pin.
            let node = unsafe { seen.as_ref(pin) }?;
            if node.refs.as_ref().is_none_or(RefCount::try_inc) {
                return Some(CountedRef(seen.ptr()));
            }
            // Replaced and given back since: the cell has another one by now.
        }
    }

    /// Whether `snapshot` is what the cell has. Wait-free; writes nothing.
    pub fn is(&self, snapshot: &CountedRef<T>) -> bool {
        // Relaxed: a comparison; the snapshot keeps its address from reuse.
        self.0.load(Relaxed) == Tagged::new(snapshot.0)
    }

    /// Empties the cell when nobody can be looking.
    ///
    /// # Safety
    /// As [`CountedRef::release_alone`].
    pub unsafe fn clear_alone(&self) {
        // Relaxed: nobody else is left.
        let last = self.0.load(Relaxed);
        if !last.is_null() {
            // Relaxed: as above.
            self.0.store(Tagged::NULL, Relaxed);
            // SAFETY: by contract.
            unsafe { CountedRef(last.ptr()).release_alone() };
        }
    }

    /// Makes a change and commits it; a share of the new value. Starts
    /// over when another thread commits first. Lock-free but for the allocator.
    pub fn commit<E>(
        &self,
        pin: &Pin<'_>,
        mut change: impl FnMut(&T) -> Result<T, E>,
    ) -> Result<CountedRef<T>, E> {
        // Acquire [P18]: as in `get`.
        let mut seen = self.0.load(Acquire);
        loop {
            // SAFETY: loaded with Acquire under the pin.
            let old = unsafe { seen.as_ref(pin) }.expect("a process with LWPs has a value here");
            let new = CountedRef::new(change(&old.value)?);
            let cells = new.share();
            // Release [P18]: the new fields. Not Acquire: the old node, given back
            // here, was loaded with Acquire, and the pin keeps its address from
            // reuse. Acquire on failure: the node seen is read next.
            match self.0.compare_exchange(seen, Tagged::new(cells.0), Release, Acquire) {
                Ok(_) => {
                    // The cell's own reference.
                    CountedRef(seen.ptr()).release(pin);
                    return Ok(new);
                }
                Err(now) => {
                    // SAFETY: neither reference was ever seen by anybody.
                    unsafe { cells.release_alone() };
                    // SAFETY: as above.
                    unsafe { new.release_alone() };
                    seen = now;
                }
            }
        }
    }
}

/// A cell whose values no other cell has: they go with the cell.
pub struct PrivateCell<T>(CountedCell<T>);

impl<T> PrivateCell<T> {
    /// The value now. Wait-free; writes nothing.
    pub fn get<'g>(&self, pin: &'g Pin<'_>) -> Option<&'g T> {
        self.0.get(pin)
    }

    /// Puts another value in. Wait-free but for the allocator.
    pub fn set(&self, value: T, pin: &Pin<'_>) {
        self.exchange(Some(CountedRef::new(value)), pin);
    }

    /// Empties the cell. Wait-free.
    pub fn clear(&self, pin: &Pin<'_>) {
        self.exchange(None, pin);
    }

    fn exchange(&self, new: Option<CountedRef<T>>, pin: &Pin<'_>) {
        if let Some(old) = self.0.replace(new) {
            old.release(pin);
        }
    }
}

impl<T> Default for PrivateCell<T> {
    fn default() -> Self {
        Self(CountedCell::empty())
    }
}

impl<T> Drop for PrivateCell<T> {
    fn drop(&mut self) {
        // SAFETY: no other cell has the value, and the grace period of this
        // one's owner is over.
        unsafe { self.0.clear_alone() };
    }
}
