//! What each user has: processes and LWPs (`chgproccnt`, `chglwpcnt`).
//!
//! A process is charged to its real uid from fork to reap, an LWP to its process's
//! user from its making to its end. Who changes the credentials moves both. Each may have
//! a limit. That of LWPs may be exceeded by one for each process that comes to the user by
//! a change of credentials at the same time, or is only kept alive while it spawns.
//!
//! Refunds are counted apart and added up first: a sum that others disturb is too high, and is
//! taken again. A user's LWPs are those of its processes less one for each that lives,
//! whichever LWP has gone, as NetBSD counts.
#![allow(unsafe_code)]

use crate::sync::{Acquire, AtomicI64, AtomicPtr, Relaxed, Release, fence};
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
    /// Processes that were ever charged here, and that were refunded here: the one may
    /// be charged in one lane and refunded in another.
    charged: AtomicI64,
    refunded: AtomicI64,
    /// The same of zombies, which are charged.
    zombies_in: AtomicI64,
    zombies_out: AtomicI64,
    /// The same of LWPs, the first of each process included.
    lwps_in: AtomicI64,
    lwps_out: AtomicI64,
}

/// All counts only go up. A sum is of what raises it, less what lowers it; that is added up
/// first, so the sum is never too low, if whoever changes several changes first what raises
/// it: an LWP comes before its process, and goes after it.
struct Sum {
    raises: &'static [fn(&Counts) -> &AtomicI64],
    lowers: &'static [fn(&Counts) -> &AtomicI64],
}

/// Processes.
const PROCS: Sum = Sum { raises: &[|c| &c.charged], lowers: &[|c| &c.refunded] };

/// LWPs, less one for each process that lives.
const LWPS: Sum = Sum {
    raises: &[|c| &c.lwps_in, |c| &c.refunded, |c| &c.zombies_in],
    lowers: &[|c| &c.lwps_out, |c| &c.charged, |c| &c.zombies_out],
};

/// Processes, and LWPs less one for each process that lives.
const TASKS: Sum = Sum {
    raises: &[|c| &c.lwps_in, |c| &c.zombies_in],
    lowers: &[|c| &c.lwps_out, |c| &c.zombies_out],
};

/// The most that a user may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Most {
    /// Processes, zombies included.
    Procs(u64),
    /// LWPs, the first of each process not counted.
    Lwps(u64),
    /// Both.
    Tasks(u64),
}

/// One user's counts.
pub struct UidInfo {
    uid: u32,
    counts: [CachePadded<Counts>; LANES],
    next: *mut UidInfo,
}

impl UidInfo {
    #[inline]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    fn here(&self, lane: Lane) -> &Counts {
        &self.counts[lane.0]
    }

    fn add_up(&self, parts: &[fn(&Counts) -> &AtomicI64]) -> i64 {
        let all = parts.iter().flat_map(|part| self.counts.iter().map(move |counts| part(counts)));
        // Acquire [P76], [P77]: whoever sees a process refunded sees it charged, and the
        // other way about; pairs with Release in `count`.
        all.map(|count| count.load(Acquire)).sum()
    }

    fn sum(&self, of: &Sum) -> i64 {
        let lowers = self.add_up(of.lowers);
        self.add_up(of.raises) - lowers
    }

    /// Whether a sum is more than `limit`. It is never too low; one that others make too
    /// high meanwhile is not believed. Lock-free.
    fn is_more_than(&self, of: &Sum, limit: u64) -> bool {
        let mut before = self.add_up(of.raises);
        loop {
            let lowers = self.add_up(of.lowers);
            let raises = self.add_up(of.raises);
            if u64::try_from(raises - lowers).unwrap_or(0) <= limit {
                return false;
            }
            if raises == before {
                return true;
            }
            before = raises;
        }
    }

    /// Whether the user has more than that. Lock-free.
    pub fn has_more_than(&self, most: Most) -> bool {
        let (of, limit) = match most {
            Most::Procs(limit) => (&PROCS, limit),
            Most::Lwps(limit) => (&LWPS, limit),
            Most::Tasks(limit) => (&TASKS, limit),
        };
        self.is_more_than(of, limit)
    }

    /// Charges a process, whose first LWP is counted already, unless the user would have
    /// more than it may: never more, and of several that come to the limit at once perhaps
    /// none gets the last place. Wait-free without a limit, else lock-free.
    #[inline]
    pub fn charge_proc(&self, lane: Lane, most: Option<Most>) -> Result<(), OverLimit> {
        self.count_procs(lane, 1);
        self.check(&[most]).inspect_err(|_| self.count_procs(lane, -1))
    }

    /// Charges an LWP, which is not the first of its process: as [`UidInfo::charge_proc`].
    #[inline]
    pub fn charge_lwp(&self, lane: Lane, most: [Option<Most>; 2]) -> Result<(), OverLimit> {
        self.add_lwps(lane, 1);
        self.check(&most).inspect_err(|_| self.add_lwps(lane, -1))
    }

    /// Whether what has been charged is within the limits.
    #[inline]
    fn check(&self, most: &[Option<Most>]) -> Result<(), OverLimit> {
        if most.iter().all(Option::is_none) {
            return Ok(());
        }
        // SeqCst fence [P25]: of two that charge in different lanes at once, one
        // sees the other's charge.
        fence(SeqCst);
        let is_over = most.iter().flatten().any(|most| self.has_more_than(*most));
        if is_over { Err(OverLimit) } else { Ok(()) }
    }

    /// Charges a process, whatever the limit, or refunds one. Wait-free.
    #[inline]
    pub fn count_procs(&self, lane: Lane, by: i64) {
        let Counts { charged, refunded, .. } = self.here(lane);
        count(charged, refunded, by);
    }

    /// Counts a zombie: before its last LWP is taken off; or one that has been refunded.
    /// Wait-free.
    pub fn add_zombies(&self, lane: Lane, by: i64) {
        let Counts { zombies_in, zombies_out, .. } = self.here(lane);
        count(zombies_in, zombies_out, by);
    }

    /// Counts an LWP: before its process is charged, if it is the first; and takes it off:
    /// after its process has ended, if it was the last. Wait-free.
    #[inline]
    pub fn add_lwps(&self, lane: Lane, by: i64) {
        let Counts { lwps_in, lwps_out, .. } = self.here(lane);
        count(lwps_in, lwps_out, by);
    }

    /// Processes (zombies included), and LWPs not counting the first of each.
    pub fn counts(&self) -> (i64, i64) {
        (self.sum(&PROCS), self.sum(&LWPS))
    }
}

#[inline]
fn count(comes: &AtomicI64, goes: &AtomicI64, by: i64) {
    // Release [P76], [P77]: what was counted before it; pairs with Acquire in `add_up`.
    if by > 0 {
        comes.fetch_add(by, Release)
    } else {
        goes.fetch_add(-by, Release)
    };
}

/// The user has as many processes, or LWPs, as it may (EAGAIN).
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
        // Acquire [P19]: the entry; pairs with Release in `get`.
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
    ///
    /// # Safety
    /// That is one of these.
    #[inline]
    pub unsafe fn get_likely(&self, likely: &UidInfo, uid: u32) -> &UidInfo {
        if likely.uid != uid {
            return self.get(uid);
        }
        // SAFETY: an entry, which lives as long as this.
        unsafe { &*std::ptr::from_ref(likely) }
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

/// The user that a process or an LWP is charged to: an entry of [`Uids`], until the
/// charge is given back.
pub struct Charge(AtomicPtr<UidInfo>);

impl Charge {
    pub fn new(info: &UidInfo) -> Self {
        Self(AtomicPtr::new(std::ptr::from_ref(info).cast_mut()))
    }

    /// The user, if the charge has not been given back.
    #[inline]
    pub fn get(&self) -> Option<&UidInfo> {
        // Acquire [P19]: the entry; pairs with Release in `follow`.
        let info = self.0.load(Acquire);
        // SAFETY: an entry, which lives as long as the kernel.
        unsafe { info.as_ref() }
    }

    /// Moves the charge to `user`, whoever that becomes meanwhile: one that is moved is
    /// counted with `count`. A charge that was given back stays so. Lock-free.
    ///
    /// Whoever changes what `user` looks at has a SeqCst fence after it, as is here when
    /// that is another charge, and calls this.
    #[inline]
    pub fn follow<'a>(
        &self,
        user: impl Fn() -> Option<&'a UidInfo>,
        count: impl Fn(&UidInfo, i64),
    ) {
        while let (Some(new), Some(old)) = (user(), self.get())
            && !std::ptr::eq(new, old)
        {
            count(new, 1);
            let (from, to) = (std::ptr::from_ref(old), std::ptr::from_ref(new));
            // Release [P19]: the entry. Relaxed on failure: another look follows.
            if self.0.compare_exchange(from.cast_mut(), to.cast_mut(), Release, Relaxed).is_ok() {
                count(old, -1);
                // SeqCst fence [P74]: either who changes the user sees the charge that
                // was moved here, or this sees the change. So it is also that which
                // follows this one's change, for the charges that follow this one.
                fence(SeqCst);
            } else {
                count(new, -1);
            }
        }
    }

    /// Gives the charge back: the user that it was, the first time.
    #[inline]
    pub fn give_back(&self) -> Option<&UidInfo> {
        // Acquire [P19]: the entry.
        let info = self.0.swap(std::ptr::null_mut(), Acquire);
        // SAFETY: as in `get`.
        unsafe { info.as_ref() }
    }
}
