//! The id table: free lists, growth, publication.

use crate::runner::{Model, pair};
use lwproc::Numbering;
use lwproc::layers::{
    Exhausted, IdTable, Managed, Reserved, Segments, Shard, Slot, Surplus, Tagged,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub fn models() -> Vec<Model> {
    vec![
        pair("ids_reserve_against_reserve", reserve_against_reserve),
        pair("ids_reserve_against_reserve_of_the_last", reserve_the_last),
        pair("ids_release_against_reserve", release_against_reserve),
        pair("ids_steal_against_reserve_and_release", steal_against_owner),
        pair("ids_steal_of_what_is_just_made_ready", steal_of_just_ready),
        pair("ids_steal_that_lost_to_a_refill", steal_that_lost),
        pair("ids_steal_across_segments", steal_across_segments),
        pair("ids_growth_against_growth", growth_against_growth),
        pair("ids_growth_keeps_what_was_written", growth_keeps),
        pair("ids_hand_over_against_reserve", || hand_over_and_reserve(true)),
        pair("ids_reserve_against_hand_over", || hand_over_and_reserve(false)),
        pair("ids_put_against_put_of_surplus", put_against_put),
        pair("ids_take_against_put_of_surplus", take_against_put),
        pair("ids_put_against_take_of_surplus", put_against_take),
        pair("ids_take_against_take_of_surplus", take_against_take),
        pair("ids_take_against_takes_and_put_of_surplus", take_against_takes_and_put),
        pair("ids_unhold_against_unhold", unhold_against_unhold),
        pair("ids_hold_against_last_unhold", hold_against_last_unhold),
    ]
}

struct Ids {
    table: IdTable<u32, u32>,
    shards: [Shard; 2],
}

impl Ids {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            table: IdTable::new(capacity, Numbering::Generations),
            shards: [Shard::new(), Shard::new()],
        })
    }
    fn reserve(&self, me: usize) -> Result<Reserved, Exhausted> {
        self.table.reserve(&self.shards[me], self.shards.iter())
    }
    fn release(&self, me: usize, id: Reserved) {
        self.table.release(&self.shards[me], id);
    }
}

fn reserve_against_reserve() {
    let ids = Ids::new(4);
    let other = ids.clone();
    let t = loom::thread::spawn(move || other.reserve(1));
    let here = ids.reserve(0);
    assert_ne!(here.unwrap(), t.join().unwrap().unwrap());
}

/// One id for two: exactly one gets it.
fn reserve_the_last() {
    let ids = Ids::new(1);
    let other = ids.clone();
    let t = loom::thread::spawn(move || other.reserve(1));
    let (here, there) = (ids.reserve(0), t.join().unwrap());
    assert!(here.is_ok() ^ there.is_ok());
}

/// An id released by one thread comes to the other as a new number, and the
/// generation with it.
fn release_against_reserve() {
    let ids = Ids::new(1);
    let first = ids.reserve(0).unwrap();
    let other = ids.clone();
    let t = loom::thread::spawn(move || other.reserve(1));
    ids.release(0, first);
    match t.join().unwrap() {
        Ok(id) => assert_eq!(id.0.get(), first.0.get() + 2, "the next generation"),
        Err(Exhausted) => assert_ne!(ids.reserve(0).unwrap(), first),
    }
}

/// A thief empties the owner's lists while the owner takes and gives back: no
/// id is given twice, none is lost.
fn steal_against_owner() {
    let ids = Ids::new(3);
    let held: Vec<_> = (0..3).map(|_| ids.reserve(0).unwrap()).collect();
    held.into_iter().for_each(|id| ids.release(0, id));
    // The first refills the owner's ready list with the other two.
    let mine = ids.reserve(0).unwrap();
    let other = ids.clone();
    let t = loom::thread::spawn(move || other.reserve(1));
    let second = ids.reserve(0);
    ids.release(0, mine);
    let stolen = t.join().unwrap();
    let taken: Vec<_> = [second, stolen].into_iter().flatten().collect();
    if let [a, b] = taken[..] {
        assert_ne!(a, b);
    }
    let mut left = 0;
    while ids.reserve(0).is_ok() {
        left += 1;
    }
    assert_eq!(left + taken.len(), 3, "none lost");
}

/// The last batch begins in one segment and ends in the next: whoever gets an id of
/// it, also from the other's hands, has a place to publish it in.
fn steal_across_segments() {
    let ids = Ids::new(4);
    for number in [1, 2] {
        assert_eq!(ids.reserve(0).unwrap().0.get(), number, "the constants of idtable");
    }
    let check = |ids: &Ids, taken: Option<Reserved>| {
        let number = taken.map(|id| id.0.get() as i32);
        assert!(number.is_none_or(|n| ids.table.proc(n).is_some() && ids.table.slot(n).is_some()));
        number
    };
    let other = ids.clone();
    let t = loom::thread::spawn(move || check(&other, other.reserve(1).ok()));
    let here = check(&ids, ids.reserve(0).ok());
    let there = t.join().unwrap();
    assert!(here != there && (here.is_some() || there.is_some()));
}

/// Both make the segment of index 4; one copy is dropped, no slot with it.
fn growth_against_growth() {
    let ids = Ids::new(16);
    for _ in 0..2 {
        let _ = ids.reserve(0).unwrap();
    }
    let other = ids.clone();
    let t = loom::thread::spawn(move || other.reserve(1).unwrap());
    let here = ids.reserve(0).unwrap();
    let there = t.join().unwrap();
    assert_ne!(here, there);
    for id in [here, there] {
        let number = id.0.get() as i32;
        assert!(ids.table.slot(number).is_some() && ids.table.proc(number).is_some());
    }
}

/// The owner frees two ids and refills its ready list with one; a thief that
/// finds it there has its new generation.
fn steal_of_just_ready() {
    let ids = Ids::new(2);
    let held: Vec<_> = (0..2).map(|_| ids.reserve(0).unwrap()).collect();
    let (other, old) = (ids.clone(), held.clone());
    let t = loom::thread::spawn(move || {
        if let Ok(stolen) = other.reserve(1) {
            assert!(!old.contains(&stolen), "an identity was issued twice");
        }
    });
    for id in &held {
        ids.release(0, *id);
    }
    if let Ok(id) = ids.reserve(0) {
        assert!(!held.contains(&id), "an identity was issued twice");
    }
    t.join().unwrap();
}

/// As above, for a thief that had seen what was ready before, and lost it to
/// the owner.
fn steal_that_lost() {
    let ids = Ids::new(3);
    let mut held: Vec<_> = (0..3).map(|_| ids.reserve(0).unwrap()).collect();
    ids.release(0, held[0]);
    ids.release(0, held[1]);
    // The first freed is ready now, the second comes back.
    held[1] = ids.reserve(0).unwrap();
    let (other, old) = (ids.clone(), held.clone());
    let t = loom::thread::spawn(move || {
        if let Ok(stolen) = other.reserve(1) {
            assert!(!old.contains(&stolen), "an identity was issued twice");
        }
    });
    let _ = ids.reserve(0);
    ids.release(0, held[1]);
    ids.release(0, held[2]);
    let _ = ids.reserve(0);
    t.join().unwrap();
}

/// Both make the same segment and write to their slots: neither write goes
/// with the copy that is dropped.
fn growth_keeps() {
    let ids = Ids::new(6);
    let held: Vec<_> = (0..2).map(|_| ids.reserve(0).unwrap()).collect();
    let other = ids.clone();
    let use_one = |ids: &Ids, me| {
        let id = ids.reserve(me).unwrap();
        ids.release(me, id);
        id
    };
    let t = loom::thread::spawn(move || use_one(&other, 1));
    let used = [use_one(&ids, 0), t.join().unwrap()];
    while let Ok(id) = ids.reserve(0) {
        assert!(!used.contains(&id) && !held.contains(&id), "an identity was issued twice");
    }
}

/// Two bearers of an id: the last releases it, and by then both have emptied
/// what they had in the slot.
fn unhold_against_unhold() {
    let ids = Ids::new(2);
    let id = ids.reserve(0).unwrap();
    assert!(ids.table.hold(id.0));
    let number = id.0.get() as i32;
    let slot = ids.table.slot(number).unwrap();
    let (a, b) = (Managed::new(1), Managed::new(2));
    ids.table.proc(number).unwrap().store(Tagged::new(a), Relaxed);
    slot.lwp.store(Tagged::new(b), Relaxed);
    let check = move |ids: &Ids, last: bool| {
        let (slot, proc) = (ids.table.slot(number).unwrap(), ids.table.proc(number).unwrap());
        let empty = proc.load(Relaxed).is_null() && slot.lwp.load(Relaxed).is_null();
        assert!(empty || !last, "released with a bearer in the slot");
    };
    let other = ids.clone();
    let t = loom::thread::spawn(move || {
        other.table.proc(number).unwrap().store(Tagged::NULL, Relaxed);
        let last = other.table.unhold(&other.shards[1], id);
        check(&other, last);
        last
    });
    slot.lwp.store(Tagged::NULL, Relaxed);
    let last = ids.table.unhold(&ids.shards[0], id);
    check(&ids, last);
    assert!(last ^ t.join().unwrap(), "released once");
    let next = [ids.reserve(0).unwrap(), ids.reserve(0).unwrap()];
    assert!(next[0] != next[1] && !next.contains(&id) && ids.reserve(0).is_err());
    // SAFETY: in no slot any more.
    unsafe { Managed::free(a) };
    // SAFETY: as above.
    unsafe { Managed::free(b) };
}

/// A bearer is added to the id in time, or it has been released, and neither it
/// nor its successor gets one.
fn hold_against_last_unhold() {
    let ids = Ids::new(1);
    let id = ids.reserve(0).unwrap();
    let other = ids.clone();
    let t = loom::thread::spawn(move || other.table.hold(id.0));
    let released = ids.table.unhold(&ids.shards[0], id);
    let next = ids.reserve(0);
    let held = t.join().unwrap();
    assert!(held ^ released);
    match next {
        Ok(next) => assert!(released && next != id && ids.table.unhold(&ids.shards[0], next)),
        Err(Exhausted) => assert!(held && ids.table.unhold(&ids.shards[0], id)),
    }
}

/// How many freed ids make a batch: the constants of idtable.
const FULL: usize = 3;

/// The owner frees its last id, and hands all of them over; another thread wants one.
fn hand_over_and_reserve(release_there: bool) {
    let ids = Ids::new(FULL);
    let held: Vec<_> = (0..FULL).map(|_| ids.reserve(0).unwrap()).collect();
    let (last, others) = held.split_last().unwrap();
    others.iter().for_each(|id| ids.release(0, *id));
    let (other, last) = (ids.clone(), *last);
    let release = move |ids: &Ids| {
        ids.release(0, last);
        None
    };
    let reserve = |ids: &Ids| ids.reserve(1).ok();
    let t = loom::thread::spawn(move || match release_there {
        true => release(&other),
        false => reserve(&other),
    });
    let here = if release_there { reserve(&ids) } else { release(&ids) };
    let mut taken: Vec<_> = [here, t.join().unwrap()].into_iter().flatten().collect();
    while let Ok(id) = ids.reserve(0) {
        taken.push(id);
    }
    assert!(taken.iter().all(|id| !held.contains(id)), "an identity was issued twice");
    taken.sort_by_key(|id| id.0.get());
    taken.dedup();
    assert_eq!(taken.len(), FULL, "none lost, none twice");
}

/// The slots, and what is handed over.
struct Handed {
    slots: Segments<Slot<u32, u32>>,
    surplus: Surplus,
}

impl Handed {
    /// With the batches that begin with these.
    fn new(firsts: &[u32]) -> Arc<Self> {
        let this = Self { slots: Segments::new(), surplus: Surplus::new() };
        firsts.iter().for_each(|first| this.put(*first));
        Arc::new(this)
    }

    /// Hands a batch of one over; what it was released as goes with it.
    fn put(&self, first: u32) {
        let slot = self.slots.ensure(first);
        slot.link.store(0, Relaxed);
        slot.generation.store(u64::from(first), Relaxed);
        self.surplus.put(first, &self.slots);
    }

    fn take(&self) -> Option<u32> {
        let first = self.surplus.take(&self.slots)?;
        let slot = self.slots.ensure(first);
        assert_eq!(slot.generation.load(Relaxed), u64::from(first), "as it was put");
        assert_eq!(slot.link.load(Relaxed) as u32, 0, "its own chain");
        Some(first)
    }

    /// What is left, and what was taken: all of it, each once.
    fn check(&self, taken: impl IntoIterator<Item = Option<u32>>, all: &[u32]) {
        let mut seen: Vec<u32> = taken.into_iter().flatten().collect();
        while let Some(first) = self.take() {
            seen.push(first);
        }
        seen.sort_unstable();
        assert_eq!(seen, all);
    }
}

fn put_against_put() {
    let handed = Handed::new(&[]);
    let other = handed.clone();
    let t = loom::thread::spawn(move || other.put(1));
    handed.put(2);
    t.join().unwrap();
    handed.check([], &[1, 2]);
}

fn take_against_put() {
    let handed = Handed::new(&[1]);
    let other = handed.clone();
    let t = loom::thread::spawn(move || other.take());
    handed.put(2);
    let taken = t.join().unwrap();
    assert!(taken.is_some(), "one was there all the time");
    handed.check([taken], &[1, 2]);
}

fn put_against_take() {
    let handed = Handed::new(&[1]);
    let other = handed.clone();
    let t = loom::thread::spawn(move || other.put(2));
    let taken = handed.take();
    t.join().unwrap();
    assert!(taken.is_some(), "one was there all the time");
    handed.check([taken], &[1, 2]);
}

fn take_against_take() {
    let handed = Handed::new(&[1, 2]);
    let other = handed.clone();
    let t = loom::thread::spawn(move || other.take());
    let here = handed.take();
    handed.check([here, t.join().unwrap()], &[1, 2]);
}

/// A batch that one thread looks at is taken, and so is the one below it, and then the
/// first comes back.
fn take_against_takes_and_put() {
    let handed = Handed::new(&[1, 2]);
    let other = handed.clone();
    let t = loom::thread::spawn(move || other.take());
    let [first, second] = [handed.take(), handed.take()];
    let kept = match first {
        Some(2) => {
            handed.put(2);
            [None, second]
        }
        _ => [first, second],
    };
    let there = t.join().unwrap();
    handed.check([kept[0], kept[1], there], &[1, 2]);
}
