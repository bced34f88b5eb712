//! Who holds a table: an LWP its use, a process its memory.
#![allow(unsafe_code)]

use super::table::FdTable;
use crate::entry::Rfork;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Link, Managed, Pin, Tagged};
use crate::sync::{Acquire, Relaxed, Release};
use std::marker::PhantomData;

/// One LWP's use of a table (`l_fd`). Given back with [`TableUse::release`],
/// never dropped: the last closes files.
#[must_use = "a use is given back by `release`"]
pub struct TableUse<F>(*mut Managed<FdTable<F>>);

// SAFETY: counted, and all that it reaches is `Sync`.
unsafe impl<F: Send + Sync> Send for TableUse<F> {}

impl<F> TableUse<F> {
    /// A new, empty table.
    pub fn fresh() -> Self {
        Self(Managed::new(FdTable::new()))
    }

    pub fn borrow(&self) -> Borrowed<'_, F> {
        Borrowed(self.0, PhantomData)
    }

    /// Gives the use back. The last closes every descriptor; `close` gets each
    /// file whose last reference that was, with no pin of this call's held.
    pub fn release<'p>(self, pin: impl Fn() -> Pin<'p>, close: impl FnMut(F)) {
        let table = self.borrow().table();
        if table.users.dec() == Dropped::Last {
            table.close_range((0, u32::MAX), |_| true, &pin, close);
            // SAFETY: the users' claim, given up by the last.
            unsafe { FdTable::unref(self.0, &pin()) };
        }
    }
}

/// A table that somebody else's use keeps for `'a`.
pub struct Borrowed<'a, F>(*mut Managed<FdTable<F>>, PhantomData<&'a FdTable<F>>);

impl<F> Clone for Borrowed<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<F> Copy for Borrowed<'_, F> {}

impl<'a, F> Borrowed<'a, F> {
    pub fn table(self) -> &'a FdTable<F> {
        // SAFETY: the users' claim keeps it.
        unsafe { Managed::deref_counted(self.0) }
    }

    /// Another use of the same table. Wait-free.
    pub fn share(self) -> TableUse<F> {
        self.table().users.inc();
        TableUse(self.0)
    }

    /// A new table with the same files and flags. O(slots).
    pub fn copy(self, pin: &Pin<'_>) -> TableUse<F> {
        TableUse(Managed::new(self.table().copied(pin)))
    }

    /// The use of a new process's first LWP.
    pub fn inherit(self, how: Rfork, pin: &Pin<'_>) -> TableUse<F> {
        match how {
            Rfork::Share => self.share(),
            Rfork::Copy => self.copy(pin),
            Rfork::Fresh => TableUse::fresh(),
        }
    }
}

/// A process's pointer to its table (`p_fd`), which keeps the memory: so an LWP
/// that joins can look whether there is still a use to take.
pub struct TableLink<F>(Link<FdTable<F>>);

impl<F> TableLink<F> {
    /// For a new process whose first LWP has that use.
    pub fn new(table: &TableUse<F>) -> Self {
        table.borrow().table().refs.inc();
        Self(Link::new(Tagged::new(table.0)))
    }

    /// The table; `None` once the process has ended. Wait-free.
    pub fn get<'g>(&self, pin: &'g Pin<'_>) -> Option<&'g FdTable<F>> {
        // Acquire [P33]: a table that took the place of the first; pairs with
        // Release in `replace`. (The first was published with its process.)
        // SAFETY: loaded with Acquire under the pin.
        unsafe { self.0.load(Acquire).as_ref(pin) }
    }

    /// A use for an LWP that joins; `None` when the last has been given back,
    /// and everything closed: the process is at its end (R5). Lock-free.
    pub fn join(&self, pin: &Pin<'_>) -> Option<TableUse<F>> {
        // Acquire [P33]: as in `get`.
        let seen = self.0.load(Acquire);
        // SAFETY: loaded with Acquire under the pin.
        let table = unsafe { seen.as_ref(pin) }?;
        table.users.try_inc().then(|| TableUse(seen.ptr()))
    }

    /// The table of a process that never ends, nor replaces it.
    ///
    /// # Safety
    /// It is proc0's or init's.
    pub unsafe fn permanent(&self) -> Borrowed<'_, F> {
        // Relaxed: published with its process, and never changed.
        Borrowed(self.0.load(Relaxed).ptr(), PhantomData)
    }

    /// Whether both are the same table. Wait-free.
    pub fn is(&self, other: &Self) -> bool {
        // Relaxed: a comparison.
        let (a, b) = (self.0.load(Relaxed), other.0.load(Relaxed));
        !a.is_null() && a == b
    }

    /// Points to another table.
    pub fn replace(&self, table: &TableUse<F>, pin: &Pin<'_>) {
        table.borrow().table().refs.inc();
        // Release [P33]: the new table; pairs with Acquire in `get` and `join`.
        // Not Acquire: of the old one only the count is touched, and this
        // process's pointer was set before.
        let old = self.0.swap(Tagged::new(table.0), Release);
        // SAFETY: this pointer's claim.
        unsafe { FdTable::unref(old.ptr(), pin) };
    }

    /// The process has ended.
    pub fn clear(&self, pin: &Pin<'_>) {
        // Relaxed: no LWP is left (P5), and who still finds the table is covered
        // by its pin.
        let old = self.0.swap(Tagged::NULL, Relaxed);
        if !old.is_null() {
            // SAFETY: this pointer's claim.
            unsafe { FdTable::unref(old.ptr(), pin) };
        }
    }

    /// Frees the table of a process that never ends, with the kernel. Its use
    /// was never given back.
    ///
    /// # Safety
    /// It is proc0's or init's, and nobody else is left.
    pub unsafe fn free(&self) {
        // Relaxed: nobody else is left.
        let table = self.0.load(Relaxed).ptr();
        // SAFETY: by contract.
        unsafe { Managed::free(table) };
    }
}
