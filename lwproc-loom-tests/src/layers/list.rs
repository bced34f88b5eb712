//! The intrusive list.

use crate::runner::{Model, pair};
use lwproc::layers::{Collector, Link, List, Local, Managed, Node, Pin, Tagged};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

pub fn models() -> Vec<Model> {
    vec![
        pair("list_push_against_push", push_against_push),
        pair("list_push_against_remove", push_against_remove),
        pair("list_push_against_iterate", push_against_iterate),
        pair("list_remove_against_iterate", remove_against_iterate),
        pair("list_remove_against_remove_neighbour", remove_neighbours),
        pair("list_remove_against_remove_apart", remove_apart),
        pair("list_sweep_against_push", sweep_against_push),
        pair("list_sweep_against_push_at_a_dead_head", sweep_dead_head),
        pair("list_sweep_that_starts_over", sweep_starts_over),
        pair("list_sweep_of_what_another_removed", sweep_of_anothers),
        pair("list_push_remove_iterate", push_remove_iterate).threads(3),
    ]
}

pub(crate) struct Item {
    pub(crate) value: u32,
    next: Link<Item>,
}

pub(crate) type Ptr = *mut Managed<Item>;

impl Item {
    pub(crate) fn new(value: u32) -> Ptr {
        Managed::new(Self { value, next: Link::new(Tagged::NULL) })
    }
}

impl Node for Item {
    fn next(&self) -> &Link<Self> {
        &self.next
    }
    unsafe fn unlinked(this: Ptr, pin: &Pin<'_>) {
        // SAFETY: unlinked once.
        unsafe { pin.retire(this) };
    }
    unsafe fn abandoned(this: Ptr) {
        // SAFETY: the list is gone.
        unsafe { Managed::free(this) };
    }
}

/// A list with items 1..=n pushed in that order, and a participant for each
/// thread.
struct World {
    list: Option<List<Item>>,
    /// Another way to item 2, as an LWP's slot is another way to the LWP.
    slot: Link<Item>,
    items: Vec<Ptr>,
    locals: Vec<Local>,
    // Last: frees the garbage and looks for leaks.
    _collector: Collector,
}

// SAFETY: each thread of a model uses a participant of its own.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.list.take());
    }
}

impl World {
    fn new(n: u32) -> Arc<Self> {
        let collector = Collector::new();
        let locals = (0..3).map(|_| collector.register()).collect();
        let mut world = Self {
            list: Some(List::new()),
            slot: Link::new(Tagged::NULL),
            items: Vec::new(),
            locals,
            _collector: collector,
        };
        world.items = (1..=n).map(|value| world.push(value)).collect();
        Arc::new(world)
    }

    fn list(&self) -> &List<Item> {
        self.list.as_ref().unwrap()
    }

    fn push(&self, value: u32) -> Ptr {
        let item = Item::new(value);
        // SAFETY: new, in no list.
        unsafe { self.list().push(item) };
        item
    }

    fn remove(&self, value: u32, me: usize) {
        let pin = self.locals[me].pin();
        // SAFETY: each model removes a value once. `living` 0: sweep at once.
        unsafe { self.list().remove(self.items[value as usize - 1], 0, &pin) };
    }

    /// Removes without a sweep: only the head is unlinked at once.
    fn mark(&self, value: u32, me: usize) {
        let pin = self.locals[me].pin();
        // SAFETY: as in `remove`.
        unsafe { self.list().remove(self.items[value as usize - 1], 1000, &pin) };
    }

    fn values(&self, me: usize) -> Vec<u32> {
        let pin = self.locals[me].pin();
        self.list().iter(&pin).map(|(item, _)| item.value).collect()
    }
}

fn push_against_push() {
    let w = World::new(1);
    let o = w.clone();
    let t = loom::thread::spawn(move || o.push(2));
    w.push(3);
    t.join().unwrap();
    let values = w.values(0);
    assert!(values == [3, 2, 1] || values == [2, 3, 1]);
}

fn push_against_remove() {
    let w = World::new(1);
    let o = w.clone();
    let t = loom::thread::spawn(move || o.remove(1, 1));
    w.push(2);
    t.join().unwrap();
    assert_eq!(w.values(0), [2]);
}

/// An item is complete when it is seen.
fn push_against_iterate() {
    let w = World::new(1);
    let o = w.clone();
    let t = loom::thread::spawn(move || o.values(1));
    w.push(2);
    let seen = t.join().unwrap();
    assert!(seen == [1] || seen == [2, 1]);
}

/// An item present throughout is seen exactly once; memory is not freed
/// under the iterator.
fn remove_against_iterate() {
    let w = World::new(3);
    let o = w.clone();
    let t = loom::thread::spawn(move || o.values(1));
    w.remove(2, 0);
    let seen = t.join().unwrap();
    assert!(seen == [3, 2, 1] || seen == [3, 1]);
    assert_eq!(w.values(0), [3, 1]);
}

fn remove_neighbours() {
    let w = World::new(3);
    let o = w.clone();
    let t = loom::thread::spawn(move || o.remove(1, 1));
    w.remove(2, 0);
    t.join().unwrap();
    assert_eq!(w.values(0), [3]);
}

fn remove_apart() {
    let w = World::new(3);
    let o = w.clone();
    let t = loom::thread::spawn(move || o.remove(3, 1));
    w.remove(1, 0);
    t.join().unwrap();
    assert_eq!(w.values(0), [2]);
}

fn sweep_against_push() {
    let w = World::new(2);
    let o = w.clone();
    let t = loom::thread::spawn(move || o.push(3));
    w.remove(1, 0);
    t.join().unwrap();
    assert_eq!(w.values(0), [3, 2]);
}

/// A sweep loses the head to a push, and walks on from the new node.
fn sweep_dead_head() {
    let w = World::new(3);
    w.mark(2, 0);
    w.mark(3, 0);
    let o = w.clone();
    let t = loom::thread::spawn(move || o.push(4));
    w.remove(1, 0);
    t.join().unwrap();
    assert_eq!(w.values(0), [4]);
}

/// The node that a sweep stands on is removed: it starts over, at a head that
/// was pushed meanwhile.
fn sweep_starts_over() {
    let w = World::new(3);
    w.mark(2, 0);
    let o = w.clone();
    let t = loom::thread::spawn(move || {
        o.mark(3, 1);
        o.push(4);
    });
    w.remove(1, 0);
    t.join().unwrap();
    assert_eq!(w.values(0), [4]);
}

/// One thread takes an item out of its slot and marks it, another sweeps and
/// retires it: after that the slot is seen empty.
fn sweep_of_anothers() {
    let w = World::new(3);
    w.slot.store(Tagged::new(w.items[1]), Relaxed);
    let o = w.clone();
    let t = loom::thread::spawn(move || {
        o.slot.store(Tagged::NULL, Relaxed);
        o.mark(2, 1);
    });
    w.remove(1, 0);
    let pin = w.locals[0].pin();
    // SAFETY: under the pin; the model looks whether that is enough.
    if let Some(item) = unsafe { w.slot.load(Acquire).as_ref(&pin) } {
        assert_eq!(item.value, 2);
    }
    drop(pin);
    t.join().unwrap();
}

fn push_remove_iterate() {
    let w = World::new(2);
    let (a, b) = (w.clone(), w.clone());
    let t1 = loom::thread::spawn(move || a.push(3));
    let t2 = loom::thread::spawn(move || b.remove(1, 1));
    let seen = w.values(0);
    assert!([&[2, 1][..], &[3, 2, 1], &[2], &[3, 2]].contains(&&seen[..]), "{seen:?}");
    t1.join().unwrap();
    t2.join().unwrap();
    assert_eq!(w.values(0), [3, 2]);
}
