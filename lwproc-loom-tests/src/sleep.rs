//! Sleeping LWPs: what ends their sleep never misses them.

use crate::full::{assert_empty, at_once, enter_as, kernel};
use crate::runner::{Model, pair};
use crate::signals::{kill, recording};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;
use lwproc::{
    Interrupted, Kernel, KillTarget, Lid, SyncObject, Unslept, WaitChannel, WaitError, WaitTarget,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

pub fn models() -> Vec<Model> {
    let three = |name, body: fn()| pair(name, body).threads(3).bounded(2);
    vec![
        pair("sleep_against_drain", sleep_against_drain),
        pair("sleep_drain_against_sleep", drain_against_sleep),
        pair("sleep_against_signal", sleep_against_signal),
        pair("sleep_signal_against_sleep", signal_against_sleep),
        pair("sleep_wait_against_signal", wait_against_signal),
        pair("sleep_against_unsleep", sleep_against_unsleep),
        pair("sleep_unsleep_against_sleep", unsleep_against_sleep),
        pair("sleep_with_against_unsleep", sleep_with_against_unsleep),
        pair("sleep_twice_against_unsleep", sleep_twice_against_unsleep),
        pair("sleep_against_wake_one", sleep_against_wake_one),
        pair("sleep_wake_all_against_sleep", wake_all_against_sleep),
        three("sleep_against_two_wakers", sleep_against_two_wakers),
        three("sleep_two_against_wake_one_and_signal", two_against_wake_and_signal),
        three("sleep_two_against_wake_one_and_look", two_against_wake_and_look),
        three("sleep_two_against_two_wakes", two_against_two_wakes),
        three("sleep_two_against_two_wakers", two_against_two_wakers).threads(4),
    ]
}

fn never() -> Option<()> {
    None
}

fn sleep_against_drain() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let b = kernel.new_lwp(a.pid()).unwrap();
    let k = kernel.clone();
    let there = move || {
        let mut e = enter_as(&k, b);
        assert_eq!(e.sleep_on(&WaitChannel::new(), never), Err(Interrupted::Exit));
        e.release().unwrap();
    };
    let mut e = enter_as(&kernel, a);
    at_once(&kernel, there, || e.drain());
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// With the parts changed.
fn drain_against_sleep() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let b = kernel.new_lwp(a.pid()).unwrap();
    let k = kernel.clone();
    let there = move || {
        let mut e = enter_as(&k, a);
        e.drain();
        e.release().unwrap();
    };
    let mut e = enter_as(&kernel, b);
    let here = || assert_eq!(e.sleep_on(&WaitChannel::new(), never), Err(Interrupted::Exit));
    at_once(&kernel, there, here);
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

fn sleep_against_signal() {
    let kernel = recording();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, k) = (lwp.pid(), kernel.clone());
    let there = move || {
        let mut e = enter_as(&k, lwp);
        assert_eq!(e.sleep_on(&WaitChannel::new(), never), Err(Interrupted::Signal));
        assert!(e.signals().take().is_some());
        e.release().unwrap();
    };
    at_once(&kernel, there, || kill(&kernel, pid));
    assert_empty(&kernel);
}

/// With the parts changed.
fn signal_against_sleep() {
    let kernel = recording();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, k) = (lwp.pid(), kernel.clone());
    let mut e = enter_as(&kernel, lwp);
    let here = || assert_eq!(e.sleep_on(&WaitChannel::new(), never), Err(Interrupted::Signal));
    at_once(&kernel, move || kill(&k, pid), here);
    assert!(e.signals().take().is_some());
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// The wait for children, in the process's own queue.
fn wait_against_signal() {
    let kernel = recording();
    let (parent, child) = crate::full::family(&kernel);
    let (pid, k) = (parent.pid(), kernel.clone());
    let mut e = enter_as(&kernel, parent);
    let here = || assert_eq!(e.wait(WaitTarget::Any), Err(WaitError::Interrupted));
    at_once(&kernel, move || kill(&k, pid), here);
    e.release().unwrap();
    drop(e);
    drop(child);
    assert_empty(&kernel);
}

/// Ends an LWP's sleep, or if it does not sleep yet, gives it what it will sleep for.
fn end(kernel: &Kernel, lid: Lid, event: &Event) -> Unslept {
    let guard = kernel.pin();
    let unslept = guard.lwp(lid).unwrap().unsleep();
    if unslept == Unslept::Awake {
        event.1.store(1, Relaxed);
        event.0.wake_all();
    }
    unslept
}

/// Whoever was told that it slept has ended its sleep.
fn sleep_against_unsleep() {
    let (kernel, event) = (kernel(), Event::new());
    let lwp = kernel.spawn().start().unwrap();
    let (lid, k, other) = (lwp.lid(), kernel.clone(), event.clone());
    let there = move || {
        let mut e = enter_as(&k, lwp);
        let slept = e.sleep_on(&other.0, || other.came());
        (e.unbind().unwrap().unwrap(), slept)
    };
    let ((lwp, slept), unslept) = at_once(&kernel, there, || end(&kernel, lid, &event));
    assert_eq!(slept.is_ok(), unslept == Unslept::Awake);
    drop(lwp);
    assert_empty(&kernel);
}

/// With the parts changed.
fn unsleep_against_sleep() {
    let (kernel, event) = (kernel(), Event::new());
    let lwp = kernel.spawn().start().unwrap();
    let (lid, k, other) = (lwp.lid(), kernel.clone(), event.clone());
    let mut e = enter_as(&kernel, lwp);
    let here = || e.sleep_on(&event.0, || event.came());
    let (unslept, slept) = at_once(&kernel, move || end(&k, lid, &other), here);
    assert_eq!(slept.is_ok(), unslept == Unslept::Awake);
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// An embedder's object, with a field that loom watches.
struct Bell {
    made: UnsafeCell<u32>,
    rung: AtomicU32,
}

unsafe impl Send for Bell {}
unsafe impl Sync for Bell {}

impl Bell {
    fn new() -> Arc<Self> {
        let bell = Arc::new(Self { made: UnsafeCell::new(0), rung: AtomicU32::new(0) });
        bell.made.with_mut(|p| unsafe { *p = 1 });
        bell
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.made.with_mut(|p| unsafe { *p = 0 });
    }
}

impl SyncObject for Bell {
    fn unsleep(&self, _: Lid) {
        self.made.with(|p| assert_eq!(unsafe { *p }, 1));
        self.rung.fetch_add(1, AcqRel);
    }
}

/// Whoever was told that it slept has called its object; and the object, which is
/// retired meanwhile, is not used after it has gone.
fn sleep_with_against_unsleep() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (lid, k) = (lwp.lid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        guard.lwp(lid).unwrap().unsleep()
    };
    let mut e = enter_as(&kernel, lwp);
    let here = || {
        let bell = Bell::new();
        let slept = e.sleep_with(bell.clone(), || {
            // Relaxed: only whether.
            bell.rung.load(Relaxed)
        });
        (bell, slept)
    };
    let (unslept, (bell, slept)) = at_once(&kernel, there, here);
    let rung = bell.rung.load(Acquire);
    match unslept {
        Unslept::Awake => assert_eq!((rung, slept), (0, Ok(0))),
        // It saw SLEEPING, and found the object unless the sleep was over.
        Unslept::Woken => assert!(rung == 1 || slept.is_ok() || slept == Err(Interrupted::Unslept)),
    }
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// The interrupter may meet the object of the sleep after: it is complete. And it is
/// dropped after its last use, by whoever that was.
fn sleep_twice_against_unsleep() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (lid, k) = (lwp.lid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        let _ = guard.lwp(lid).unwrap().unsleep();
    };
    let mut e = enter_as(&kernel, lwp);
    let here = || {
        for _ in 0..2 {
            let _ = e.sleep_with(Bell::new(), || ());
        }
    };
    at_once(&kernel, there, here);
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// A channel and what is waited for.
struct Event(WaitChannel, AtomicU32);

impl Event {
    fn new() -> Arc<Self> {
        Arc::new(Self(WaitChannel::new(), AtomicU32::new(0)))
    }

    /// Relaxed: whatever order there is, the channel gives it.
    fn came(&self) -> Option<()> {
        (self.1.load(Relaxed) == 1).then_some(())
    }
}

fn sleep_against_wake_one() {
    let (kernel, event) = (kernel(), Event::new());
    let (k, other) = (kernel.clone(), event.clone());
    let there = move || {
        let mut looks = 0;
        let came = || {
            looks += 1;
            other.came()
        };
        k.enter().unwrap().sleep_on(&other.0, came).unwrap();
        // Twice before it registers, once after, and once when it is woken.
        assert!(looks <= 4, "woken for nothing");
    };
    let here = || {
        event.1.store(1, Relaxed);
        event.0.wake_one();
    };
    at_once(&kernel, there, here);
}

/// With the parts changed.
fn wake_all_against_sleep() {
    let (kernel, event) = (kernel(), Event::new());
    let other = event.clone();
    let there = move || {
        other.1.store(1, Relaxed);
        other.0.wake_all();
    };
    let here = || kernel.enter().unwrap().sleep_on(&event.0, || event.came()).unwrap();
    at_once(&kernel, there, here);
}

/// Two wakers at once: the one that serves the queue serves the other's event too.
fn sleep_against_two_wakers() {
    let (kernel, event) = (kernel(), Event::new());
    let spawn = |event: Arc<Event>, comes: u32| {
        loom::thread::spawn(move || {
            if comes == 1 {
                event.1.store(1, Relaxed);
            }
            event.0.wake_one();
        })
    };
    let wakers = [spawn(event.clone(), 0), spawn(event.clone(), 1)];
    kernel.enter().unwrap().sleep_on(&event.0, || event.came()).unwrap();
    wakers.into_iter().for_each(|t| t.join().unwrap());
}

/// The wake-up of a sleeper that is interrupted at the same moment is passed on. (This
/// thread is that sleeper: so one preemption is enough to show it.)
fn two_against_wake_and_signal() {
    let (kernel, event) = (recording(), Event::new());
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    let seats = [kernel.reserve_seat(), kernel.reserve_seat()];
    let mut e = enter_as(&kernel, lwp);
    let (k, other) = (kernel.clone(), event.clone());
    let sleeps = loom::thread::spawn(move || {
        seats[0].take();
        k.enter().unwrap().sleep_on(&other.0, || other.came()).unwrap();
    });
    let (k, other) = (kernel.clone(), event.clone());
    let wakes = loom::thread::spawn(move || {
        seats[1].take();
        other.1.store(1, Relaxed);
        other.0.wake_one();
        // It may be awake already.
        let _ = k.enter().unwrap().signals().kill(KillTarget::Proc(pid), 15);
    });
    if e.sleep_on(&event.0, || event.came()).is_ok() {
        event.0.wake_one();
    }
    sleeps.join().unwrap();
    wakes.join().unwrap();
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// A sleeper leaves at its second look, for reasons of its own: the only wake-up is for the
/// other.
fn two_against_wake_and_look() {
    let (kernel, event) = (kernel(), Event::new());
    let (k, other, seat) = (kernel.clone(), event.clone(), kernel.reserve_seat());
    let sleeps = loom::thread::spawn(move || {
        seat.take();
        k.enter().unwrap().sleep_on(&other.0, || other.came()).unwrap();
    });
    let other = event.clone();
    let wakes = loom::thread::spawn(move || {
        other.1.store(1, Relaxed);
        other.0.wake_one();
    });
    let mut looks = 0;
    let second = || {
        looks += 1;
        // Twice before it registers.
        (looks > 2).then_some(())
    };
    kernel.enter().unwrap().sleep_on(&event.0, second).unwrap();
    sleeps.join().unwrap();
    wakes.join().unwrap();
}

/// Two sleepers, and a wake-up for each.
fn two_against_two_wakes() {
    let (kernel, event) = (kernel(), Event::new());
    let spawn = |k: Arc<Kernel>, event: Arc<Event>| {
        let seat = k.reserve_seat();
        loom::thread::spawn(move || {
            seat.take();
            k.enter().unwrap().sleep_on(&event.0, || event.came()).unwrap();
        })
    };
    let sleepers = [0, 1].map(|_| spawn(kernel.clone(), event.clone()));
    event.1.store(1, Relaxed);
    event.0.wake_one();
    event.0.wake_one();
    sleepers.into_iter().for_each(|t| t.join().unwrap());
}

/// The same, by two wakers: what one put back the other finds.
fn two_against_two_wakers() {
    let (kernel, event) = (kernel(), Event::new());
    let spawn = |k: Arc<Kernel>, event: Arc<Event>| {
        let seat = k.reserve_seat();
        loom::thread::spawn(move || {
            seat.take();
            k.enter().unwrap().sleep_on(&event.0, || event.came()).unwrap();
        })
    };
    let sleepers = [0, 1].map(|_| spawn(kernel.clone(), event.clone()));
    let other = event.clone();
    let waker = loom::thread::spawn(move || {
        other.1.store(1, Relaxed);
        other.0.wake_one();
    });
    event.1.store(1, Relaxed);
    event.0.wake_one();
    sleepers.into_iter().for_each(|t| t.join().unwrap());
    waker.join().unwrap();
}
