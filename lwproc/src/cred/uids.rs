//! What each user has: processes and LWPs (`chgproccnt`, `chglwpcnt`).
//!
//! A process is charged to its real uid from fork to reap, an LWP from its
//! making to its end; both move when the credentials change, the LWP when it
//! refreshes its snapshot. So the counts are exact once every LWP has entered
//! again after a change.
#![allow(unsafe_code)]

use crate::sync::{AcqRel, Acquire, AtomicI64, AtomicPtr, Relaxed, Release, fence};
use crossbeam_utils::CachePadded;
use std::sync::atomic::Ordering::SeqCst;

/// Chains of users by the low bits of their uid.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const BUCKETS: usize = 64;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const BUCKETS: usize = 1;

/// How many parts each count has. Threads that make and end at once each change a
/// part of their own, and so no cache line in common; who asks adds the parts up.
#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
const LANES: usize = 16;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
const LANES: usize = 2;

/// Which part of the counts a thread changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane(usize);

impl Lane {
    /// The lane of the `n`th thread.
    pub fn of(n: usize) -> Self {
        Self(n % LANES)
    }
}

/// A part of a user's counts.
#[derive(Default)]
struct Counts {
    /// Processes, zombies included.
    procs: AtomicI64,
    /// Zombies among them.
    zombies: AtomicI64,
    /// LWPs, the first of each process included.
    lwps: AtomicI64,
}

/// One user's counts.
pub struct UidInfo {
    uid: u32,
    counts: [CachePadded<Counts>; LANES],
    next: *mut UidInfo,
}

impl UidInfo {
    fn here(&self, lane: Lane) -> &Counts {
        &self.counts[lane.0]
    }

    fn sum(&self, part: impl Fn(&Counts) -> &AtomicI64) -> i64 {
        // Relaxed: counts; exact while nobody changes them, or behind the fence
        // of `charge_proc`.
        self.counts.iter().map(|counts| part(counts).load(Relaxed)).sum()
    }

    /// Charges a process, unless the user would have more than `limit`: never more,
    /// and of several that come to the limit at once perhaps none gets the last
    /// place. Wait-free.
    #[inline]
    pub fn charge_proc(&self, lane: Lane, limit: Option<u64>) -> Result<(), OverLimit> {
        // Relaxed: a count; nothing is published by it.
        self.here(lane).procs.fetch_add(1, Relaxed);
        let Some(limit) = limit else { return Ok(()) };
        // SeqCst fence [P25]: of two that charge in different lanes at once, one
        // sees the other's charge.
        fence(SeqCst);
        if u64::try_from(self.sum(|counts| &counts.procs)).unwrap_or(0) > limit {
            self.refund_proc(lane);
            return Err(OverLimit);
        }
        Ok(())
    }

    #[inline]
    pub fn refund_proc(&self, lane: Lane) {
        // Relaxed: a count.
        self.here(lane).procs.fetch_sub(1, Relaxed);
    }

    pub fn add_zombies(&self, lane: Lane, by: i64) {
        // Relaxed: a count.
        self.here(lane).zombies.fetch_add(by, Relaxed);
    }

    #[inline]
    pub fn add_lwps(&self, lane: Lane, by: i64) {
        // Relaxed: a count.
        self.here(lane).lwps.fetch_add(by, Relaxed);
    }

    /// Processes (zombies included), and LWPs not counting the first of each.
    pub fn counts(&self) -> (i64, i64) {
        let (procs, zombies) = (self.sum(|c| &c.procs), self.sum(|c| &c.zombies));
        (procs, self.sum(|c| &c.lwps) - (procs - zombies))
    }
}

/// The user has as many processes as it may (EAGAIN).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverLimit;

/// All users that ever had a process: entries stay until the kernel goes.
pub struct Uids([AtomicPtr<UidInfo>; BUCKETS]);

impl Uids {
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())))
    }

    /// The user's counts, if it ever had a process. Wait-free.
    pub fn find(&self, uid: u32) -> Option<&UidInfo> {
        // Acquire [P19]: the entry; pairs with AcqRel in `get`.
        Self::search(self.0[uid as usize % BUCKETS].load(Acquire), uid)
    }

    fn search<'a>(mut at: *mut UidInfo, uid: u32) -> Option<&'a UidInfo> {
        // SAFETY: entries live as long as the table.
        while let Some(info) = unsafe { at.as_ref() } {
            if info.uid == uid {
                return Some(info);
            }
            at = info.next;
        }
        None
    }

    /// As [`Uids::get`], when it is likely to be this one.
    #[inline]
    pub fn get_likely<'a>(&'a self, likely: &'a UidInfo, uid: u32) -> &'a UidInfo {
        if likely.uid == uid { likely } else { self.get(uid) }
    }

    /// The user's counts, made if need be: two threads get the same. Lock-free
    /// but for the allocator.
    pub fn get(&self, uid: u32) -> &UidInfo {
        let bucket = &self.0[uid as usize % BUCKETS];
        // Acquire [P19]: as in `find`.
        let mut head = bucket.load(Acquire);
        if let Some(info) = Self::search(head, uid) {
            return info;
        }
        let new = Box::into_raw(Box::new(UidInfo { uid, counts: Default::default(), next: head }));
        loop {
            // Release [P19]: the entry, and those behind it, which were seen by Acquire.
            // Acquire on failure: the entries that came first are searched.
            match bucket.compare_exchange(head, new, Release, Acquire) {
                // SAFETY: entries live as long as the table.
                Ok(_) => return unsafe { &*new },
                Err(now) => {
                    head = now;
                    if let Some(info) = Self::search(head, uid) {
                        // SAFETY: never published.
                        drop(unsafe { Box::from_raw(new) });
                        return info;
                    }
                    // SAFETY: not yet published.
                    unsafe { (*new).next = head };
                }
            }
        }
    }
}

impl Drop for Uids {
    fn drop(&mut self) {
        for bucket in &self.0 {
            // Relaxed: nobody else is left.
            let mut at = bucket.load(Relaxed);
            while !at.is_null() {
                // SAFETY: made by `get`, freed once, here.
                let info = unsafe { Box::from_raw(at) };
                at = info.next;
            }
        }
    }
}

/// A user that something is charged to: an entry of [`Uids`].
pub struct Charge(AtomicPtr<UidInfo>);

impl Charge {
    pub fn new(info: &UidInfo) -> Self {
        Self(AtomicPtr::new(std::ptr::from_ref(info).cast_mut()))
    }

    pub fn get(&self) -> &UidInfo {
        // Acquire [P19]: the entry; pairs with AcqRel in `swap`.
        let info = self.0.load(Acquire);
        // SAFETY: an entry, which lives as long as the kernel.
        unsafe { &*info }
    }

    /// Charges another user; the one before.
    pub fn swap(&self, info: &UidInfo) -> &UidInfo {
        // AcqRel [P19]: the entries.
        let before = self.0.swap(std::ptr::from_ref(info).cast_mut(), AcqRel);
        // SAFETY: as in `get`.
        unsafe { &*before }
    }
}
