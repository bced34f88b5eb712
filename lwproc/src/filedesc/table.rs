//! The table: what each descriptor is, and who uses it.
//!
//! # A slot
//!
//! | pointer | tag | the descriptor is |
//! |---|---|---|
//! | null | 0 | free |
//! | null | 2 | reserved: its owner alone changes it |
//! | file | 0 | open |
//! | file | 1 | open, and closed by an exec |
//!
//! # The bitmap
//! A bit says where a search need not look. Taking a free descriptor: set its
//! bit, then change the slot by a CAS; if the slot turns out taken, leave the
//! bit set and go on. Emptying: empty the slot, then clear the bit. Placing at
//! a given descriptor: change the slot, then set the bit; then look again, and
//! if the slot is empty clear the bit.
//!
//! So a clear bit may lie over a taken slot, and the search finds out by its
//! CAS. A set bit does not stay over an empty one: whoever sets a bit after
//! the slot was emptied sees it empty [P32], and whoever sets it before has it
//! cleared by the one that empties. While those calls last it may be so, and a
//! search passes the descriptor by.
#![allow(unsafe_code)]

use super::file::{FileHold, FileNode};
use super::slots::{BLOCK, FDS_MAX, Slot, Slots};
use super::{FdError, OnExec};
use crate::reclaim::{Pin, RefCount, Tagged};
use crate::sync::{Acquire, AtomicU64, Relaxed, Release};

/// With a file: an exec closes it.
pub const ON_EXEC: usize = 1;
/// With null: somebody has the descriptor and no file in it yet.
pub const RESERVED: usize = 2;

/// The bits of a word that are descriptors.
const ALL: u64 = u64::MAX >> (u64::BITS - BLOCK);

/// What a slot may have.
type Entry<F> = Tagged<FileNode<F>>;

fn reserved<F>() -> Entry<F> {
    Tagged::NULL.with_tag(RESERVED)
}

fn tag(on_exec: OnExec) -> usize {
    match on_exec {
        OnExec::Keep => 0,
        OnExec::Close => ON_EXEC,
    }
}

fn on_exec<F>(entry: Entry<F>) -> OnExec {
    if entry.tag() == ON_EXEC { OnExec::Close } else { OnExec::Keep }
}

fn bit(fd: u32) -> u64 {
    1 << (fd % BLOCK)
}

/// Clears the bit of a descriptor that was seen empty.
fn clear_bit(word: &AtomicU64, fd: u32) {
    // Release [P32]: the emptied slot; pairs with Acquire in `take_lowest` and
    // `place`.
    word.fetch_and(!bit(fd), Release);
}

/// A table of descriptors (`struct filedesc`).
pub struct FdTable<F> {
    /// One for each LWP that uses it.
    pub(super) users: RefCount,
    /// Keeps the memory: one for each process that points here, and each LWP that has it for
    /// its own.
    pub(super) refs: RefCount,
    slots: Slots<F>,
}

impl<F> FdTable<F> {
    /// An empty table, which has no segment; with one user, and one process.
    pub(super) fn new() -> Self {
        Self { users: RefCount::new(), refs: RefCount::new(), slots: Slots::new() }
    }

    /// Whether it never had anything open.
    pub(super) fn is_unused(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many LWPs use it. Wait-free.
    pub fn users(&self) -> usize {
        usize::try_from(self.users.load()).unwrap_or(usize::MAX)
    }

    /// Takes the lowest descriptor from `min` on that is free. Wait-free but
    /// for the allocator; O(descriptors passed by / 64).
    fn take_lowest(&self, entry: Entry<F>, min: u32, limit: u32) -> Option<u32> {
        let limit = limit.min(FDS_MAX);
        let mut at = min;
        while at < limit {
            // Relaxed: a hint; the CAS below decides.
            let used = self.slots.word(at).map_or(0, |word| word.load(Relaxed));
            let free = !used & ALL & (u64::MAX << (at % BLOCK));
            if free == 0 {
                at = (at | (BLOCK - 1)) + 1;
                continue;
            }
            let fd = (at & !(BLOCK - 1)) + free.trailing_zeros();
            if fd >= limit {
                break;
            }
            let (slot, word) = self.slots.ensure(fd);
            // Acquire [P32]: if the bit was cleared, the slot is seen as it was
            // left; pairs with Release in `clear_bit`.
            let was_free = word.fetch_or(bit(fd), Acquire) & bit(fd) == 0;
            // Relaxed: see above; if it is taken, it is left alone.
            let is_free = was_free && slot.load(Relaxed) == Tagged::NULL;
            // Release [P31]: the file; pairs with Acquire in `hold`. Relaxed on
            // failure: as above.
            if is_free && slot.compare_exchange(Tagged::NULL, entry, Release, Relaxed).is_ok() {
                return Some(fd);
            }
            at = fd + 1;
        }
        None
    }

    /// Opens a file at the lowest free descriptor in `min..limit`; gives the
    /// reference back when there is none.
    pub fn open(
        &self,
        file: FileHold<F>,
        flag: OnExec,
        min: u32,
        limit: u32,
    ) -> Result<u32, FileHold<F>> {
        let entry = file.into_entry().with_tag(tag(flag));
        // SAFETY: the reference that was put in came back.
        self.take_lowest(entry, min, limit).ok_or_else(|| unsafe { FileHold::out_of(entry) })
    }

    /// Reserves the lowest free descriptor below `limit`.
    pub fn reserve(&self, limit: u32) -> Option<u32> {
        self.take_lowest(reserved(), 0, limit)
    }

    /// Puts a file in a reserved descriptor. Wait-free.
    pub fn fill(&self, fd: u32, file: FileHold<F>, flag: OnExec) {
        let slot = self.slots.get(fd).expect("a reserved descriptor has a slot");
        // Release [P31]: the file; pairs with Acquire in `hold`.
        let before = slot.swap(file.into_entry().with_tag(tag(flag)), Release);
        debug_assert!(before == reserved(), "only the owner changes a reserved slot");
    }

    /// Gives a reserved descriptor back. Wait-free.
    pub fn unreserve(&self, fd: u32) {
        let (slot, word) = self.slots.ensure(fd);
        // Relaxed: nothing is published; who finds it free learns it from the bit.
        let before = slot.swap(Tagged::NULL, Relaxed);
        debug_assert!(before == reserved(), "only the owner changes a reserved slot");
        clear_bit(word, fd);
    }

    /// A reference to the file of a descriptor, and its flag. Lock-free; writes
    /// the file's count.
    pub fn hold(&self, fd: u32, pin: &Pin<'_>) -> Option<(FileHold<F>, OnExec)> {
        Self::hold_slot(self.slot(fd).ok()?, pin)
    }

    #[inline]
    fn hold_slot(slot: &Slot<F>, pin: &Pin<'_>) -> Option<(FileHold<F>, OnExec)> {
        loop {
            // Acquire [P31]: the file; pairs with Release where it is put in.
            let seen = slot.load(Acquire);
            if seen.is_null() {
                return None;
            }
            // SAFETY: loaded with Acquire under the pin.
            if let Some(file) = unsafe { FileHold::try_of(seen, pin) } {
                return Some((file, on_exec(seen)));
            }
            // Closed since, with its last reference: the slot has changed.
        }
    }

    #[inline]
    fn slot(&self, fd: u32) -> Result<&Slot<F>, FdError> {
        if fd >= FDS_MAX {
            return Err(FdError::BadFd);
        }
        self.slots.get(fd).ok_or(FdError::BadFd)
    }

    /// Puts a file at a given descriptor, below [`FDS_MAX`]; the reference that
    /// was there. Lock-free but for the allocator.
    pub fn place(
        &self,
        fd: u32,
        file: FileHold<F>,
        flag: OnExec,
        _pin: &Pin<'_>,
    ) -> Result<Option<FileHold<F>>, FileHold<F>> {
        let (slot, word) = self.slots.ensure(fd);
        let entry = file.into_entry().with_tag(tag(flag));
        // Acquire [P31]: the file there, which is given back; pairs with Release
        // where it was put in.
        let mut seen = slot.load(Acquire);
        loop {
            if seen == reserved() {
                // SAFETY: never put in.
                return Err(unsafe { FileHold::out_of(entry) });
            }
            // Release [P31]: the file; pairs with Acquire in `hold`. Acquire on
            // failure: as above. (The pin keeps the address seen from reuse.)
            match slot.compare_exchange(seen, entry, Release, Acquire) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if !seen.is_null() {
            // SAFETY: taken out by this thread.
            return Ok(Some(unsafe { FileHold::out_of(seen) }));
        }
        // Acquire [P32]: if it has been emptied since and its bit cleared, the
        // slot is seen empty; pairs with Release in `clear_bit`.
        word.fetch_or(bit(fd), Acquire);
        // Relaxed: see above.
        if slot.load(Relaxed) == Tagged::NULL {
            clear_bit(word, fd);
        }
        Ok(None)
    }

    /// Takes the file of a descriptor out. Lock-free.
    pub fn take(&self, fd: u32, pin: &Pin<'_>) -> Result<FileHold<F>, FdError> {
        self.slot(fd)?;
        self.take_if(fd, |_| true, pin).ok_or(FdError::BadFd)
    }

    fn take_if(
        &self,
        fd: u32,
        wanted: impl Fn(OnExec) -> bool,
        _pin: &Pin<'_>,
    ) -> Option<FileHold<F>> {
        let slot = self.slots.get(fd)?;
        // Acquire [P31]: the file, which is given back; pairs with Release where
        // it was put in.
        let mut seen = slot.load(Acquire);
        while !seen.is_null() && wanted(on_exec(seen)) {
            // Relaxed: nothing is published; who finds it free learns it from
            // the bit. Acquire [P31] on failure: as above. (The pin keeps the
            // address seen from reuse.)
            match slot.compare_exchange(seen, Tagged::NULL, Relaxed, Acquire) {
                Ok(_) => {
                    clear_bit(self.slots.word(fd).expect("it has a slot"), fd);
                    // SAFETY: taken out by this thread.
                    return Some(unsafe { FileHold::out_of(seen) });
                }
                Err(now) => seen = now,
            }
        }
        None
    }

    /// The flag of a descriptor. Wait-free; writes nothing.
    pub fn on_exec(&self, fd: u32) -> Result<OnExec, FdError> {
        // Relaxed: the file is not looked at.
        let seen = self.slot(fd)?.load(Relaxed);
        if seen.is_null() { Err(FdError::BadFd) } else { Ok(on_exec(seen)) }
    }

    /// Sets the flag of a descriptor. Lock-free.
    pub fn set_on_exec(&self, fd: u32, flag: OnExec) -> Result<(), FdError> {
        let slot = self.slot(fd)?;
        // Relaxed: the file is not looked at, and its publication is carried on
        // by the CAS (release sequence of the slot).
        let mut seen = slot.load(Relaxed);
        while !seen.is_null() {
            match slot.compare_exchange(seen, seen.with_tag(tag(flag)), Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
        Err(FdError::BadFd)
    }

    /// Sets the flags of a range.
    pub fn set_range_on_exec(&self, first: u32, last: u32) {
        for (fd, _) in self.slots.iter(first).take_while(|(fd, _)| *fd <= last) {
            // Not open: nothing to mark.
            let _ = self.set_on_exec(fd, OnExec::Close);
        }
    }

    /// Closes those descriptors of a range whose flag is wanted, one after the
    /// other, lowest first; `close` gets each file whose last reference that
    /// was. It is called with no pin of this call's held.
    pub fn close_range<'p>(
        &self,
        (first, last): (u32, u32),
        wanted: impl Fn(OnExec) -> bool,
        pin: impl Fn() -> Pin<'p>,
        mut close: impl FnMut(F),
    ) {
        for (fd, slot) in self.slots.iter(first).take_while(|(fd, _)| *fd <= last) {
            // Relaxed: only to spare the pin.
            if slot.load(Relaxed).is_null() {
                continue;
            }
            let pin = pin();
            let closed = self.take_if(fd, &wanted, &pin).and_then(|file| file.release(|| &pin));
            drop(pin);
            if let Some(file) = closed {
                close(file);
            }
        }
    }

    /// Closes every descriptor of a table that has no users, as `close_range` does.
    pub(super) fn close_all<'p>(&self, pin: impl Fn() -> Pin<'p>, mut close: impl FnMut(F)) {
        for (_, slot) in self.slots.iter(0) {
            // Relaxed: who put it in was a user, and has given its use back [P10].
            let left = slot.load(Relaxed);
            if left.is_null() {
                continue;
            }
            // Relaxed: nothing is published; without users nobody else changes it, or
            // looks for a free one, and who looks finds the file or none.
            slot.store(Tagged::NULL, Relaxed);
            // SAFETY: taken out by this thread.
            let file = unsafe { FileHold::out_of(left) };
            if let Some(file) = file.release(&pin) {
                close(file);
            }
        }
    }

    /// The open descriptors, ascending, each as it is when it is passed.
    pub fn iter(&self) -> impl Iterator<Item = (u32, OnExec)> {
        self.slots.iter(0).filter_map(|(fd, slot)| {
            // Relaxed: the file is not looked at.
            let seen = slot.load(Relaxed);
            (!seen.is_null()).then(|| (fd, on_exec(seen)))
        })
    }

    /// A new table with the same files and flags, each entry as it is when it
    /// is passed. What is reserved here is free there.
    pub(super) fn copied(&self, pin: &Pin<'_>) -> Self {
        let copy = Self::new();
        for (fd, slot) in self.slots.iter(0) {
            if let Some((file, flag)) = Self::hold_slot(slot, pin) {
                let (slot, word) = copy.slots.ensure(fd);
                // Relaxed: published with the table.
                slot.store(file.into_entry().with_tag(tag(flag)), Relaxed);
                // Relaxed: as above.
                word.store(word.load(Relaxed) | bit(fd), Relaxed);
            }
        }
        copy
    }
}

impl<F> Drop for FdTable<F> {
    /// Nobody uses it: it has files only at the end of a kernel.
    fn drop(&mut self) {
        if self.is_unused() {
            return;
        }
        for (_, slot) in self.slots.iter(0) {
            // Relaxed: nobody else is left.
            let left = slot.load(Relaxed);
            if !left.is_null() {
                // SAFETY: the slot goes now.
                let file = unsafe { FileHold::out_of(left) };
                // SAFETY: nobody else is left.
                drop(unsafe { file.release_alone() });
            }
        }
    }
}
