//! Counted credentials, and the cell in which a process has its own.
#![allow(unsafe_code)]

use super::Cred;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Link, Managed, Pin, RefCount, Tagged};
use crate::sync::{AcqRel, Acquire, Relaxed};

/// Credentials with a count: one for each cell and each snapshot.
pub struct CredNode {
    refs: RefCount,
    cred: Cred,
}

/// One counted reference. Given back with [`CredRef::release`], never dropped:
/// giving back may retire, which needs a pin.
#[must_use = "a reference is given back by `release`"]
pub struct CredRef(*mut Managed<CredNode>);

impl CredRef {
    pub fn new(cred: Cred) -> Self {
        Self(Managed::new(CredNode { refs: RefCount::new(), cred }))
    }

    pub fn get(&self) -> &Cred {
        // SAFETY: counted by this reference.
        &unsafe { Managed::deref_counted(self.0) }.cred
    }

    pub fn share(&self) -> Self {
        // SAFETY: counted by this reference.
        unsafe { Managed::deref_counted(self.0) }.refs.inc();
        Self(self.0)
    }

    /// Gives the reference back. Wait-free.
    pub fn release(self, pin: &Pin<'_>) {
        // SAFETY: counted by this reference.
        if unsafe { Managed::deref_counted(self.0) }.refs.dec() == Dropped::Last {
            // SAFETY: no cell has it any more: each counts.
            unsafe { pin.retire(self.0) };
        }
    }

    /// Gives the reference back when nobody can be looking.
    ///
    /// # Safety
    /// No thread reads credentials of this kernel any more.
    pub unsafe fn release_alone(self) {
        // SAFETY: counted by this reference.
        if unsafe { Managed::deref_counted(self.0) }.refs.dec() == Dropped::Last {
            // SAFETY: by contract.
            unsafe { Managed::free(self.0) };
        }
    }
}

/// The credentials of a process (`p_cred`). Null once it has been reaped.
pub struct CredCell(Link<CredNode>);

impl CredCell {
    pub fn new(cred: CredRef) -> Self {
        Self(Link::new(Tagged::new(cred.0)))
    }

    /// The credentials now. Wait-free; writes nothing.
    pub fn get<'g>(&self, pin: &'g Pin<'_>) -> Option<&'g Cred> {
        // Acquire [P18]: the credentials' fields; pairs with AcqRel in `commit`.
        // SAFETY: loaded with Acquire under the pin.
        unsafe { self.0.load(Acquire).as_ref(pin) }.map(|node| &node.cred)
    }

    /// A counted reference to the credentials now. Lock-free.
    pub fn hold(&self, pin: &Pin<'_>) -> Option<CredRef> {
        loop {
            // Acquire [P18]: as in `get`.
            let seen = self.0.load(Acquire);
            // SAFETY: loaded with Acquire under the pin.
            let node = unsafe { seen.as_ref(pin) }?;
            if node.refs.try_inc() {
                return Some(CredRef(seen.ptr()));
            }
            // Replaced and given back since: the cell has another one by now.
        }
    }

    /// Whether `snapshot` is what the cell has. Wait-free; writes nothing.
    pub fn is(&self, snapshot: &CredRef) -> bool {
        // Relaxed: a comparison; the snapshot keeps its address from reuse.
        self.0.load(Relaxed) == Tagged::new(snapshot.0)
    }

    /// Makes a change and commits it; a share of the new credentials. Starts
    /// over when another thread commits first. Lock-free but for the allocator.
    pub fn commit<E>(
        &self,
        pin: &Pin<'_>,
        change: impl Fn(&Cred) -> Result<Cred, E>,
    ) -> Result<CredRef, E> {
        // Acquire [P18]: as in `get`.
        let mut seen = self.0.load(Acquire);
        loop {
            // SAFETY: loaded with Acquire under the pin.
            let old = unsafe { seen.as_ref(pin) }.expect("a process with LWPs has credentials");
            let new = CredRef::new(change(&old.cred)?);
            let cells = new.share();
            // AcqRel [P18]: Release: the new fields; Acquire: the old node is
            // given back here. Acquire on failure: the node seen is read next.
            match self.0.compare_exchange(seen, Tagged::new(cells.0), AcqRel, Acquire) {
                Ok(_) => {
                    // The cell's own reference.
                    CredRef(seen.ptr()).release(pin);
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

    /// Takes the cell's reference out: the process is gone.
    pub fn take(&self) -> Option<CredRef> {
        // AcqRel [P18]: Acquire: the node is given back by the caller.
        let old = self.0.swap(Tagged::NULL, AcqRel);
        (!old.is_null()).then(|| CredRef(old.ptr()))
    }
}
