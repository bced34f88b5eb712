//! Who holds a table: an LWP its use, a process its memory.
//!
//! An LWP's use is mostly of the table that its process points to. So the
//! process's claim on the memory covers all its LWPs, and a use is only a count.
//!
//! The last use given back closes everything, before the LWP is taken off its process; a
//! thread that joins then is refused (ESRCH). proc0's and init's LWPs keep a use for good, and
//! the teardown closes what these two have open, since a file may hold a handle that keeps the
//! world. An exec unshares as NetBSD's `fd_closeexec` does.
//!
//! An LWP that has been given a table of its own, or was made by one that has, has a claim
//! itself, until an exec makes that table the process's. Its process may go on when the last
//! use of the process's table has been given back: an LWP that joins then gets an empty one of
//! its own.
#![allow(unsafe_code)]

use super::Rfork;
use super::table::FdTable;
use crate::reclaim::refcount::Dropped;
use crate::reclaim::{Link, Managed, Pin, Tagged};
use crate::sync::{Acquire, Relaxed, Release};
use std::marker::PhantomData;

/// Tag of a process's pointer: an LWP of it has, or had, a table of its own.
const APART: usize = 1;

/// Who has the claim on the memory that covers a use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Claim {
    OfProcess,
    Own,
}

/// One LWP's use of a table (`l_fd`). Given back with [`TableUse::release`],
/// never dropped: the last closes files.
#[must_use = "a use is given back by `release`"]
pub struct TableUse<F>(*mut Managed<FdTable<F>>, Claim);

// SAFETY: counted, and all that it reaches is `Sync`.
unsafe impl<F: Send + Sync> Send for TableUse<F> {}

impl<F> TableUse<F> {
    /// The use of a process's first LWP, and the pointer of the process.
    fn of_new(table: FdTable<F>) -> (Self, TableLink<F>) {
        let table = Managed::new(table);
        (Self(table, Claim::OfProcess), TableLink(Link::new(Tagged::new(table))))
    }

    /// The use of an LWP that has that table for itself.
    fn of_own(table: FdTable<F>) -> Self {
        Self(Managed::new(table), Claim::Own)
    }

    /// The same for an LWP that one makes which has a table of its own.
    pub fn share_own(&self) -> Option<Self> {
        (self.1 == Claim::Own).then(|| {
            let table = self.borrow().table();
            table.users.inc();
            table.refs.inc();
            Self(self.0, Claim::Own)
        })
    }

    /// Of a table of its own, which becomes the process's: the process's pointer to it.
    pub fn hand_claim_over(&mut self) -> Option<TableLink<F>> {
        (self.1 == Claim::Own).then(|| {
            self.1 = Claim::OfProcess;
            TableLink(Link::new(Tagged::new(self.0)))
        })
    }

    /// A new, empty table.
    pub fn fresh() -> (Self, TableLink<F>) {
        Self::of_new(FdTable::new())
    }

    pub fn borrow(&self) -> Borrowed<'_, F> {
        Borrowed(self.0, PhantomData)
    }

    /// Gives the use back. The last closes every descriptor; `close` gets each
    /// file whose last reference that was, with no pin of this call's held.
    pub fn release<'p>(self, pin: impl Fn() -> Pin<'p>, close: impl FnMut(F)) {
        let table = self.borrow().table();
        if table.users.dec() == Dropped::Last && !table.is_unused() {
            table.close_all(&pin, close);
        }
        if self.1 == Claim::Own {
            self.release_claim(pin);
        }
    }

    #[cold]
    fn release_claim<'p>(self, pin: impl Fn() -> Pin<'p>) {
        // SAFETY: this use's claim.
        if unsafe { TableLink::unref(Tagged::new(self.0)) } == Dropped::Last {
            // SAFETY: nobody points to it.
            unsafe { pin().retire(self.0) };
        }
    }
}

/// What a new process has: its first LWP's use of a table, and its pointer to it.
pub type NewTable<F> = (TableUse<F>, TableLink<F>);

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
        // SAFETY: the claim of the user's process keeps it.
        unsafe { Managed::deref_counted(self.0) }
    }

    /// Another use of the same table, by an LWP of the same process. Wait-free.
    pub fn share(self) -> TableUse<F> {
        self.table().users.inc();
        TableUse(self.0, Claim::OfProcess)
    }

    /// A new table with the same files and flags. O(slots).
    pub fn copy(self, pin: &Pin<'_>) -> NewTable<F> {
        TableUse::of_new(self.table().copied(pin))
    }

    /// The use of an LWP that gets a copy for itself. O(slots).
    pub fn copy_own(self, pin: &Pin<'_>) -> TableUse<F> {
        TableUse::of_own(self.table().copied(pin))
    }

    /// What a new process and its first LWP get.
    pub fn inherit(self, how: Rfork, pin: &Pin<'_>) -> NewTable<F> {
        match how {
            Rfork::Share => {
                self.table().refs.inc();
                (self.share(), TableLink(Link::new(Tagged::new(self.0))))
            }
            Rfork::Copy => self.copy(pin),
            Rfork::Fresh => TableUse::fresh(),
        }
    }
}

/// A process's pointer to its table (`p_fd`), and its claim on the memory: so an
/// LWP that joins can look whether there is still a use to take.
pub struct TableLink<F>(Link<FdTable<F>>);

impl<F> TableLink<F> {
    /// The table; `None` once the process has ended, unless it was never used.
    /// Wait-free.
    pub fn get<'g>(&self, pin: &'g Pin<'_>) -> Option<&'g FdTable<F>> {
        // Acquire [P33]: a table that took the place of the first; pairs with
        // Release in `replace`. (The first was published with its process.)
        // SAFETY: loaded with Acquire under the pin.
        unsafe { self.0.load(Acquire).as_ref(pin) }
    }

    /// A use for an LWP that joins, and has been attached to the process; `None` when the last has been given back,
    /// and everything closed: the process is at its end (R5); unless an LWP of it may go on
    /// with a table of its own. Lock-free.
    pub fn join(&self, pin: &Pin<'_>) -> Option<TableUse<F>> {
        // Relaxed: the first table was published with its process, and another one
        // came while the gate was closed [P20].
        let seen = self.0.load(Relaxed);
        // SAFETY: loaded under the pin, and its making happens before, see above.
        let table = unsafe { seen.as_ref(pin) }?;
        if table.users.try_inc() {
            return Some(TableUse(seen.ptr(), Claim::OfProcess));
        }
        // Relaxed: set before that LWP gave its use of this one back [P10].
        (self.0.load(Relaxed).tag() == APART).then(|| TableUse::of_own(FdTable::new()))
    }

    /// An LWP of the process is about to give its use back, and goes on with another table.
    pub fn part(&self) {
        // Relaxed: the use that is given back carries it [P10].
        self.0.fetch_or_tag(APART, Relaxed);
    }

    /// The table of a process that never ends, nor replaces it.
    ///
    /// # Safety
    /// It is proc0's or init's.
    pub unsafe fn permanent(&self) -> Borrowed<'_, F> {
        // Relaxed: published with its process, and never changed.
        Borrowed(self.0.load(Relaxed).ptr(), PhantomData)
    }

    /// Whether both are the same table, and it has users. Wait-free.
    pub fn is(&self, other: &Self, pin: &Pin<'_>) -> bool {
        let same = |a: &FdTable<F>| other.get(pin).is_some_and(|b| std::ptr::eq(a, b));
        self.get(pin).is_some_and(|table| table.users() > 0 && same(table))
    }

    /// Points to another table. No LWP may join meanwhile, and the only one there
    /// is gives its use of the old one back, which stays until this returns.
    ///
    /// # Safety
    /// The caller is the only LWP of the process, which is draining. It gives its
    /// use back before, and has that of the new one from then on.
    pub unsafe fn replace<'p>(&self, new: Self, pin: impl Fn() -> Pin<'p>) {
        // Relaxed: the new table's is the caller's, and nobody else changes this.
        let (old, new) = (self.0.load(Relaxed), new.0.swap(Tagged::NULL, Relaxed));
        // Release [P33]: the new table; pairs with Acquire in `get`.
        self.0.store(new, Release);
        // SAFETY: this pointer's claim, and it points elsewhere now.
        if unsafe { Self::unref(old) } == Dropped::Last {
            // SAFETY: no process points to it, hence no LWP uses it.
            unsafe { pin().retire(old.ptr()) };
        }
    }

    /// The process has ended. A table that was never used goes with the process's
    /// memory, any other now.
    pub fn clear<'p>(&self, pin: impl Fn() -> Pin<'p>) {
        // Relaxed: no LWP is left (P5), and only they change it.
        let old = self.0.load(Relaxed);
        // Relaxed: who still finds the table is covered by its pin.
        self.0.store(Tagged::NULL, Relaxed);
        // SAFETY: this pointer's claim, and it points nowhere now.
        if unsafe { Self::unref(old) } == Dropped::Shared {
            return;
        }
        // SAFETY: the last claim is this thread's.
        if unsafe { Managed::deref_counted(old.ptr()) }.is_unused() {
            // Relaxed: whoever finds it knows it already, by the process.
            self.0.store(old, Relaxed);
        } else {
            // SAFETY: no process points to it, hence no LWP uses it.
            unsafe { pin().retire(old.ptr()) };
        }
    }

    /// # Safety
    /// The claim is the caller's to drop.
    unsafe fn unref(table: Tagged<FdTable<F>>) -> Dropped {
        // SAFETY: the claim keeps it.
        unsafe { Managed::deref_counted(table.ptr()) }.refs.dec()
    }
}

impl<F> Drop for TableLink<F> {
    /// With the process's memory: nobody is left who could have found it.
    fn drop(&mut self) {
        // Relaxed: see above.
        let left = self.0.load(Relaxed);
        if !left.is_null() {
            // SAFETY: never used, and no other process has it; or proc0's or
            // init's, at the end of the kernel.
            unsafe { Managed::free(left.ptr()) };
        }
    }
}
