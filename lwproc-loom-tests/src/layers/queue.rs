//! The queue of signals that are kept one by one.

use crate::runner::{Model, pair};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;
use lwproc::Signo;
use lwproc::layers::queue::{Keep, NotKept, Queue, SentTo};
use lwproc::layers::{Collector, Local};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub fn models() -> Vec<Model> {
    vec![
        pair("queue_push_against_push", push_against_push),
        pair("queue_push_against_take", push_against_take),
        pair("queue_take_against_push", take_against_push),
        pair("queue_take_against_take", take_against_take),
        pair("queue_take_against_take_of_the_last", take_of_the_last),
        pair("queue_discard_against_take", discard_against_take).long(),
        pair("queue_discard_against_push", discard_against_push),
        pair("queue_first_against_first", first_against_first),
        pair("queue_merge_against_take", merge_against_take),
        pair("queue_push_against_push_at_the_most", push_at_the_most),
        pair("queue_set_against_push_and_take", set_against_push_and_take),
    ]
}

/// Written before it is pushed, and read by who takes it.
type Value = UnsafeCell<u32>;

struct World {
    queue: Option<Queue<Value>>,
    locals: Vec<Local>,
    // Last: frees the garbage and looks for leaks.
    _collector: Collector,
}

// SAFETY: each thread uses a participant of its own.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl Drop for World {
    fn drop(&mut self) {
        self.queue = None;
    }
}

impl World {
    /// With these queued.
    fn new<const N: usize>(values: [u32; N]) -> Arc<Self> {
        let collector = Collector::new();
        let locals = (0..2).map(|_| collector.register()).collect();
        let world = Self { queue: Some(Queue::new()), locals, _collector: collector };
        values.into_iter().for_each(|value| world.push(1, value, Keep::Each).unwrap());
        Arc::new(world)
    }

    fn queue(&self) -> &Queue<Value> {
        self.queue.as_ref().unwrap()
    }

    fn push_most(
        &self,
        thread: usize,
        number: u32,
        keep: Keep,
        most: usize,
    ) -> Result<(), NotKept<Value>> {
        let value = UnsafeCell::new(0);
        value.with_mut(|p| unsafe { *p = number });
        let pin = self.locals[thread].pin();
        self.queue().push((Signo::TERM, None, Some(value)), SentTo::One, (keep, most), &pin)
    }

    fn push(&self, thread: usize, number: u32, keep: Keep) -> Result<(), NotKept<Value>> {
        self.push_most(thread, number, keep, 4)
    }

    fn take(&self, thread: usize) -> Option<u32> {
        let taken = self.queue().take(Signo::TERM, None, &self.locals[thread].pin());
        taken.map(|value| read(&value.unwrap()))
    }

    fn discard(&self, thread: usize) -> Vec<u32> {
        self.queue().discard(|_| true, &self.locals[thread].pin()).iter().map(read).collect()
    }

    fn rest(&self) -> Vec<u32> {
        let rest = std::iter::from_fn(|| self.take(1)).collect();
        assert!(self.queue().is_empty());
        rest
    }
}

fn read(value: &Value) -> u32 {
    value.with(|p| unsafe { *p })
}

/// Runs the two at once, the first on a thread of its own.
fn at_once<A: 'static, B>(
    world: &Arc<World>,
    there: impl FnOnce(&World) -> A + Send + 'static,
    here: impl FnOnce(&World) -> B,
) -> (A, B) {
    let w = world.clone();
    let t = loom::thread::spawn(move || there(&w));
    let b = here(world);
    (t.join().unwrap(), b)
}

fn push_against_push() {
    let world = World::new([]);
    at_once(&world, |w| w.push(0, 1, Keep::Each).unwrap(), |w| w.push(1, 2, Keep::Each).unwrap());
    let rest = world.rest();
    assert!(rest == [1, 2] || rest == [2, 1], "{rest:?}");
}

/// One is pending all the time.
fn set_against_push_and_take() {
    let world = World::new([1]);
    let (set, taken) = at_once(
        &world,
        |w| w.queue().set(None, &w.locals[0].pin()),
        |w| {
            w.push(1, 2, Keep::Each).unwrap();
            w.take(1)
        },
    );
    assert_eq!((set, taken), (Signo::TERM.into(), Some(1)));
    assert_eq!(world.rest(), [2]);
}

fn check_take(taken: Option<u32>, rest: Vec<u32>) {
    let all: Vec<u32> = taken.into_iter().chain(rest).collect();
    assert_eq!(all, [1, 2], "in the order of sending, and none is lost");
}

/// Who only looks is on the spawned thread.
fn push_against_take() {
    let world = World::new([]);
    let here = |w: &World| {
        w.push(1, 1, Keep::Each).unwrap();
        w.push(1, 2, Keep::Each).unwrap();
    };
    let (taken, ()) = at_once(&world, |w| w.take(0), here);
    check_take(taken, world.rest());
}

/// One is there already.
fn take_against_push() {
    let world = World::new([1]);
    let (taken, ()) = at_once(&world, |w| w.take(0), |w| w.push(1, 2, Keep::Each).unwrap());
    assert_eq!(taken, Some(1));
    check_take(taken, world.rest());
}

fn take_against_take() {
    let world = World::new([1, 2, 3]);
    let (a, b) = at_once(&world, |w| w.take(0), |w| w.take(1));
    assert!([a, b] == [Some(1), Some(2)] || [a, b] == [Some(2), Some(1)], "{a:?} {b:?}");
    assert_eq!(world.rest(), [3]);
}

fn take_of_the_last() {
    let world = World::new([1]);
    let (a, b) = at_once(&world, |w| w.take(0), |w| w.take(1));
    assert!([a, b] == [Some(1), None] || [a, b] == [None, Some(1)], "{a:?} {b:?}");
    assert!(world.queue().is_empty());
}

fn discard_against_take() {
    let world = World::new([1, 2]);
    let (mut all, taken) = at_once(&world, |w| w.discard(0), |w| w.take(1));
    all.extend(taken);
    all.sort_unstable();
    assert_eq!(all, [1, 2]);
    assert!(world.queue().is_empty());
}

fn discard_against_push() {
    let world = World::new([1]);
    let there = |w: &World| w.discard(0);
    let (discarded, ()) = at_once(&world, there, |w| w.push(1, 2, Keep::Each).unwrap());
    assert_eq!([discarded, world.rest()].concat().len(), 2);
}

/// One is kept, and the other's value comes back.
fn first_against_first() {
    let world = World::new([]);
    let push = |w: &World, thread| match w.push(thread, thread as u32, Keep::First) {
        Ok(()) => None,
        Err(NotKept::Merged(value)) => value.as_ref().map(read),
        Err(NotKept::Full(_)) => unreachable!("there is room"),
    };
    let (there, here) = at_once(&world, move |w| push(w, 0), |w| push(w, 1));
    let mut all = world.rest();
    assert_eq!(all.len(), 1);
    all.extend(there.into_iter().chain(here));
    all.sort_unstable();
    assert_eq!(all, [0, 1]);
}

/// Who takes one sees what each sender did that it stands for.
fn merge_against_take() {
    let world = World::new([1]);
    let did = Arc::new(AtomicU32::new(0));
    let done = did.clone();
    let there = move |w: &World| {
        done.store(1, Relaxed);
        w.push(0, 2, Keep::First).is_err()
    };
    let (merged, seen) = at_once(&world, there, |w| {
        assert_eq!(w.take(1), Some(1));
        did.load(Relaxed)
    });
    assert!(!merged || seen == 1, "taken with a send that is not seen");
    assert_eq!(world.rest().len(), usize::from(!merged));
}

fn push_at_the_most() {
    let world = World::new([1]);
    let push = |w: &World, thread| w.push_most(thread, 2, Keep::Each, 2).is_ok();
    let (there, here) = at_once(&world, move |w| push(w, 0), |w| push(w, 1));
    assert!(there ^ here);
    assert_eq!(world.rest(), [1, 2]);
}
