//! Numbers in Linux's order.

use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicU32;
use lwproc::layers::Cyclic;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub fn models() -> Vec<Model> {
    vec![
        pair("cyclic_reserve_against_reserve", || two_reserve(4, 0, [1, 2])),
        pair("cyclic_reserve_against_reserve_round_the_end", || two_reserve(4, 2, [3, 1])),
        pair("cyclic_reserve_against_reserve_of_the_last", the_last),
        pair("cyclic_release_against_reserve", release_against_reserve),
        pair("cyclic_reserve_against_release_and_reserve", reserve_against_release_and_reserve),
        pair("cyclic_set_last_against_reserve", set_last_against_reserve),
        pair("cyclic_set_max_against_reserve", set_max_against_reserve),
    ]
}

/// Both get a number, in order, and no other.
fn two_reserve(max: u32, last: u32, given: [u32; 2]) {
    let numbers = Arc::new(Cyclic::new(max));
    numbers.set_last(last);
    let other = numbers.clone();
    let t = loom::thread::spawn(move || other.reserve().unwrap());
    let (here, there) = (numbers.reserve().unwrap(), t.join().unwrap());
    assert!([here, there] == given || [there, here] == given, "{here}, {there}");
    assert_eq!(numbers.last(), given[1]);
}

/// One number for two: exactly one gets it.
fn the_last() {
    let numbers = Arc::new(Cyclic::new(2));
    let other = numbers.clone();
    let t = loom::thread::spawn(move || other.reserve());
    let (here, there) = (numbers.reserve(), t.join().unwrap());
    assert!(here.is_some() ^ there.is_some());
}

/// What its holder did under a number comes before what the next one does.
fn release_against_reserve() {
    let numbers = Arc::new((Cyclic::new(2), AtomicU32::new(0)));
    let held = numbers.0.reserve().unwrap();
    let other = numbers.clone();
    let t = loom::thread::spawn(move || {
        let taken = other.0.reserve();
        assert!(taken.is_none() || other.1.load(Relaxed) == 7);
        taken
    });
    numbers.1.store(7, Relaxed);
    numbers.0.release(held);
    assert!(t.join().unwrap().is_some() || numbers.0.reserve().is_some(), "none lost");
}

/// One comes all the way round while another reserves: no number is given twice, and
/// both are given.
fn reserve_against_release_and_reserve() {
    let numbers = Arc::new(Cyclic::new(3));
    let held = numbers.reserve().unwrap();
    let other = numbers.clone();
    let t = loom::thread::spawn(move || other.reserve());
    numbers.release(held);
    let here = [numbers.reserve(), numbers.reserve()];
    let there = t.join().unwrap();
    let mut given: Vec<_> = here.into_iter().chain([there]).flatten().collect();
    given.sort_unstable();
    assert_eq!(given, [1, 2]);
}

/// Either comes first, and neither is lost.
fn set_last_against_reserve() {
    let numbers = Arc::new(Cyclic::new(9));
    let other = numbers.clone();
    let t = loom::thread::spawn(move || other.reserve().unwrap());
    numbers.set_last(3);
    let here = (t.join().unwrap(), numbers.reserve().unwrap());
    assert!([(1, 4), (4, 5)].contains(&here), "{here:?}");
}

/// Who moves past the end has done it before the end is set, and the order goes on there.
fn set_max_against_reserve() {
    let numbers = Arc::new(Cyclic::new(4));
    numbers.set_last(2);
    let other = numbers.clone();
    let t = loom::thread::spawn(move || other.reserve().unwrap());
    numbers.set_max(3);
    let last = numbers.last();
    let there = t.join().unwrap();
    assert!(there == 1 || there == 3 && last == 3, "{there}, and {last} when the end was set");
    assert_eq!((numbers.max(), numbers.reserve()), (3, Some(if there == 1 { 2 } else { 1 })));
}
