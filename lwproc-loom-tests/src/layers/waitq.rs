//! The queue of sleepers.

use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicU32;
use lwproc::layers::{Parker, WaitQueue, Waiting};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Wake, Waker};

pub fn models() -> Vec<Model> {
    vec![
        pair("waitq_wait_against_wake", wait_against_wake),
        pair("waitq_wait_against_wait_and_wake", wait_against_wait).threads(3).bounded(3),
        pair("waitq_poll_against_wake", poll_against_wake),
        pair("waitq_wake_against_poll", wake_against_poll),
        pair("waitq_new_waker_against_wake", new_waker_against_wake),
        pair("waitq_drop_against_wake", drop_against_wake),
        pair("waitq_wake_against_drop", wake_against_drop),
        pair("waitq_drop_of_one_against_wake_of_another", drop_against_wake_of_another),
        pair("waitq_wake_of_one_against_drop_of_another", wake_against_drop_of_another),
        pair("waitq_drop_against_wait", drop_against_wait),
        pair("waitq_drop_and_wake_against_wait", drop_and_wake_against_wait).threads(3).bounded(3),
        pair("waitq_two_drops_against_wake", two_drops_against_wake).threads(3).bounded(3),
    ]
}

/// A sleeper wakes, and at its first look sees what the waker did: at the
/// latest the third look, after the one before and the one after it
/// registered.
fn wait_against_wake() {
    let world = Arc::new((WaitQueue::new(), AtomicU32::new(0)));
    let other = world.clone();
    let t = loom::thread::spawn(move || {
        let mut looks = 0;
        other.0.wait_until(&Parker::new(), || {
            looks += 1;
            // Relaxed: whatever order there is, the queue gives it.
            (other.1.load(Relaxed) == 1).then_some(())
        });
        assert!(looks <= 3, "woken for nothing");
    });
    world.1.store(1, Relaxed);
    world.0.wake_all();
    t.join().unwrap();
}

/// Two sleepers register at once: the waker finds both.
fn wait_against_wait() {
    let world = Arc::new((WaitQueue::new(), AtomicU32::new(0)));
    let sleeper = || {
        let world = world.clone();
        loom::thread::spawn(move || {
            world.0.wait_until(&Parker::new(), || (world.1.load(Relaxed) == 1).then_some(()));
        })
    };
    let sleepers = [sleeper(), sleeper()];
    world.1.store(1, Relaxed);
    world.0.wake_all();
    for t in sleepers {
        t.join().unwrap();
    }
}

/// An executor with one task: a thread that parks until its waker is used.
struct Executor {
    parker: Parker,
    woken: Arc<Notify>,
}

struct Notify {
    unparker: lwproc::layers::Unparker,
    wakes: AtomicU32,
}

impl Wake for Notify {
    fn wake(self: Arc<Self>) {
        // Relaxed: the executor's parker synchronises.
        self.wakes.fetch_add(1, Relaxed);
        self.unparker.unpark();
    }
}

impl Executor {
    fn new() -> Self {
        let parker = Parker::new();
        let unparker = parker.unparker().clone();
        Self { parker, woken: Arc::new(Notify { unparker, wakes: AtomicU32::new(0) }) }
    }

    fn waker(&self) -> Waker {
        self.woken.clone().into()
    }
}

type World = (WaitQueue, AtomicU32);

fn world() -> Arc<World> {
    Arc::new((WaitQueue::new(), AtomicU32::new(0)))
}

/// Whatever order there is, the queue and the executor give it.
fn done(world: &World) -> Option<()> {
    (world.1.load(Relaxed) == 1).then_some(())
}

fn event(world: &World) {
    world.1.store(1, Relaxed);
    world.0.wake_all();
}

/// A task waits: at the latest its second poll is ready.
fn wait(world: &World) {
    let (executor, mut waiting) = (Executor::new(), Waiting::default());
    let waker = executor.waker();
    let mut polls = 1;
    while world.0.poll_for(&mut waiting, &waker, || done(world)).is_pending() {
        executor.parker.park();
        polls += 1;
    }
    assert!(polls <= 2, "woken for nothing");
    drop(waker);
    // The waker is nowhere else, or in the hands of who is just calling it.
    assert!(Arc::strong_count(&executor.woken) <= 2);
}

/// A task registers while the event comes: it sees it, or it is woken.
fn poll_against_wake() {
    let world = world();
    let other = world.clone();
    let t = loom::thread::spawn(move || wait(&other));
    event(&world);
    t.join().unwrap();
}

/// The same, with the roles of the two threads exchanged.
fn wake_against_poll() {
    let world = world();
    let other = world.clone();
    let t = loom::thread::spawn(move || event(&other));
    wait(&world);
    t.join().unwrap();
}

/// A task that moves to another executor while the event comes: if the first waker is
/// not in the queue any more, the second one is, or the event is seen.
fn new_waker_against_wake() {
    let world = world();
    let other = world.clone();
    let (first, second) = (Executor::new(), Executor::new());
    let mut waiting = Waiting::default();
    let polled = world.0.poll_for(&mut waiting, &first.waker(), || done(&world));
    assert_eq!(polled, Poll::Pending);
    let t = loom::thread::spawn(move || event(&other));
    let waker = second.waker();
    while world.0.poll_for(&mut waiting, &waker, || done(&world)).is_pending() {
        second.parker.park();
    }
    t.join().unwrap();
    drop(waker);
    assert_eq!(Arc::strong_count(&first.woken), 1);
    assert_eq!(Arc::strong_count(&second.woken), 1);
}

/// A future is dropped while it is woken: its waker is called or dropped, once.
fn drop_and_wake(dropper_there: bool) {
    let world = world();
    let other = world.clone();
    let executor = Executor::new();
    let mut waiting = Waiting::default();
    let polled = world.0.poll_for(&mut waiting, &executor.waker(), || done(&world));
    assert_eq!(polled, Poll::Pending);
    if dropper_there {
        let t = loom::thread::spawn(move || other.0.stop_waiting(&mut waiting));
        event(&world);
        t.join().unwrap();
    } else {
        let t = loom::thread::spawn(move || event(&other));
        world.0.stop_waiting(&mut waiting);
        t.join().unwrap();
    }
    assert!(executor.woken.wakes.load(Relaxed) <= 1);
    assert_eq!(Arc::strong_count(&executor.woken), 1, "the waker is gone");
}

fn drop_against_wake() {
    drop_and_wake(true);
}

fn wake_against_drop() {
    drop_and_wake(false);
}

/// A task in the queue.
fn waiting(world: &World) -> (Executor, Waiting) {
    let (executor, mut waiting) = (Executor::new(), Waiting::default());
    let polled = world.0.poll_for(&mut waiting, &executor.waker(), || done(world));
    assert_eq!(polled, Poll::Pending);
    (executor, waiting)
}

/// One future is dropped, and its leaving sweeps the queue, while the event comes: those
/// below it and above it are woken all the same.
fn two_stay(dropper_there: bool) {
    let world = world();
    let other = world.clone();
    let (b, mut stays) = waiting(&world);
    let (a, mut leaves) = waiting(&world);
    let (c, mut stays_too) = waiting(&world);
    if dropper_there {
        let t = loom::thread::spawn(move || other.0.stop_waiting(&mut leaves));
        event(&world);
        t.join().unwrap();
    } else {
        let t = loom::thread::spawn(move || event(&other));
        world.0.stop_waiting(&mut leaves);
        t.join().unwrap();
    }
    assert_eq!([&b, &c].map(|e| e.woken.wakes.load(Relaxed)), [1, 1]);
    world.0.stop_waiting(&mut stays);
    world.0.stop_waiting(&mut stays_too);
    assert_eq!([a, b, c].map(|e| Arc::strong_count(&e.woken)), [1, 1, 1]);
}

fn drop_against_wake_of_another() {
    two_stay(true);
}

fn wake_against_drop_of_another() {
    two_stay(false);
}

/// A thread registers while the queue is swept: it is there for the event.
fn drop_against_wait() {
    let world = world();
    let other = world.clone();
    let (_, mut leaves) = waiting(&world);
    let t = loom::thread::spawn(move || {
        other.0.wait_until(&Parker::new(), || done(&other));
    });
    world.0.stop_waiting(&mut leaves);
    event(&world);
    t.join().unwrap();
}

/// A sleeper that is woken by who sweeps sees at its first look what the waker did.
fn drop_and_wake_against_wait() {
    let world = world();
    let ((b, mut stays), (_, mut leaves)) = (waiting(&world), waiting(&world));
    let other = world.clone();
    let sweeps = loom::thread::spawn(move || other.0.stop_waiting(&mut leaves));
    let other = world.clone();
    let wakes = loom::thread::spawn(move || event(&other));
    b.parker.park();
    let mut looks = 0;
    let polled = world.0.poll_for(&mut stays, &b.waker(), || {
        looks += 1;
        done(&world)
    });
    assert_eq!((polled, looks), (Poll::Ready(()), 1));
    sweeps.join().unwrap();
    wakes.join().unwrap();
}

/// Two leave at once, and both would sweep: the third is woken.
fn two_drops_against_wake() {
    let world = world();
    let (b, mut stays) = waiting(&world);
    let drops = [(); 2].map(|()| {
        let (other, (_, mut leaves)) = (world.clone(), waiting(&world));
        loom::thread::spawn(move || other.0.stop_waiting(&mut leaves))
    });
    event(&world);
    drops.into_iter().for_each(|t| _ = t.join().unwrap());
    assert_eq!(b.woken.wakes.load(Relaxed), 1);
    world.0.stop_waiting(&mut stays);
}
