//! Process-specific data: read and replaced by all LWPs of a process at once.
//!
//! A list with an entry for each key that was ever set in the process: entries are
//! pushed at the head and stay until the process's memory goes.
#![allow(unsafe_code)]

use crate::reclaim::Pin;
use crate::reclaim::shared::SharedCell;
use crate::sync::{Acquire, AtomicPtr, Relaxed, Release};
use std::any::Any;
use std::sync::Arc;

pub(crate) type Value = Arc<dyn Any + Send + Sync>;

struct Entry {
    key: u64,
    value: SharedCell<dyn Any + Send + Sync>,
    next: *mut Entry,
}

/// The data of one process.
pub(crate) struct ProcSpecific(AtomicPtr<Entry>);

/// The entries from `head` on, newest first.
fn entries<'a>(head: *mut Entry) -> impl Iterator<Item = &'a Entry> {
    let mut at: *const Entry = head;
    std::iter::from_fn(move || {
        // SAFETY: entries live as long as the process's memory.
        let entry = unsafe { at.as_ref() }?;
        at = entry.next;
        Some(entry)
    })
}

impl ProcSpecific {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    fn iter(&self) -> impl Iterator<Item = &Entry> {
        // Acquire [P62]: the entries; pairs with Release in `set`.
        entries(self.0.load(Acquire))
    }

    /// Whether no key was ever set.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: a hint; the ending thread comes after every set.
        self.0.load(Relaxed).is_null()
    }

    /// A share of the value. Lock-free; O(keys set in the process).
    pub(crate) fn get(&self, key: u64, pin: &Pin<'_>) -> Option<Value> {
        self.iter().find(|entry| entry.key == key)?.value.get(pin)
    }

    /// Replaces the value; the one before. Lock-free but for the allocator;
    /// O(keys set in the process).
    pub(crate) fn set(&self, key: u64, value: Value, pin: &Pin<'_>) -> Option<Value> {
        let find = |head| entries(head).find(|entry| entry.key == key);
        // Acquire [P62]: as in `iter`.
        let mut head = self.0.load(Acquire);
        if let Some(entry) = find(head) {
            return entry.value.swap(Some(value), pin);
        }
        let new = Entry { key, value: SharedCell::with(value), next: head };
        let new = Box::into_raw(Box::new(new));
        loop {
            // Release [P62]: the entry and its first value. Acquire on failure:
            // the entries that came first are searched.
            match self.0.compare_exchange(head, new, Release, Acquire) {
                Ok(_) => return None,
                Err(now) => {
                    head = now;
                    if let Some(entry) = find(head) {
                        // SAFETY: never published.
                        let mut new = unsafe { Box::from_raw(new) };
                        return entry.value.swap(new.value.take(), pin);
                    }
                    // SAFETY: not yet published.
                    unsafe { (*new).next = head };
                }
            }
        }
    }

    /// Takes the value out. Lock-free; O(keys set in the process).
    pub(crate) fn take(&self, key: u64, pin: &Pin<'_>) -> Option<Value> {
        self.iter().find(|entry| entry.key == key)?.value.swap(None, pin)
    }

    /// Takes all values out, by ascending keys. The process has ended, or its
    /// kernel: none is set any more.
    pub(crate) fn take_all(&self, pin: &Pin<'_>) -> impl Iterator<Item = Value> {
        let mut all: Vec<&Entry> = self.iter().collect();
        all.sort_unstable_by_key(|entry| entry.key);
        all.into_iter().filter_map(|entry| entry.value.swap(None, pin))
    }
}

impl Drop for ProcSpecific {
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            self.free();
        }
    }
}

impl ProcSpecific {
    #[cold]
    fn free(&mut self) {
        // Relaxed: the grace period is over, nobody else is left.
        let mut at = self.0.load(Relaxed);
        while !at.is_null() {
            // SAFETY: from `set`, freed once, here.
            let entry = unsafe { Box::from_raw(at) };
            at = entry.next;
        }
    }
}
