//! Sleeps with a deadline, in a time that the models own; and waits that are unslept.

use crate::full::{assert_empty, at_once, enter_as, family, kernel_with};
use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicU32;
use lwproc::{
    AloneError, Entered, ExitedError, Host, Interrupted, Kernel, Lid, Unslept, WaitChannel,
    WaitError, WaitPolicy, WaitTarget, current_of,
};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Waker};
use std::time::Duration;

pub fn models() -> Vec<Model> {
    vec![
        pair("sleep_until_against_tick", sleep_until_against_tick),
        pair("sleep_tick_against_until", tick_against_sleep_until),
        pair("sleep_until_against_event_and_tick", sleep_until_against_event_and_tick),
        pair("sleep_until_inside_until_against_tick", inner_until_against_tick),
        pair("sleep_exited_until_against_tick", exited_until_against_tick),
        pair("sleep_wait_against_unsleep", wait_against_unsleep),
        pair("sleep_unsleep_against_wait", unsleep_against_wait),
        pair("sleep_unsleep_against_wait_alone", unsleep_against_wait_alone),
    ]
}

/// Owns the time. Relaxed: whatever order there is, the ticks give it.
struct Clock(AtomicU32);

impl Host for Clock {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed).into())
    }

    fn sleep_limit(&self, _: Duration) -> Option<Duration> {
        None
    }
}

fn clocked() -> Arc<Kernel<Clock>> {
    let builder = Kernel::builder().host(Clock(AtomicU32::new(0))).id_capacity(6);
    Arc::new(builder.build().unwrap())
}

fn pass(kernel: &Kernel<Clock>, now: u32) {
    kernel.host().0.store(now, Relaxed);
    kernel.tick();
}

const ONE: Duration = Duration::from_nanos(1);

fn never() -> Option<()> {
    None
}

/// Sleeps in an implicit context: of the LWP's word nothing is asked here.
fn sleep_until(kernel: &Kernel<Clock>) {
    let slept = kernel.enter().unwrap().until(ONE).sleep_on(&WaitChannel::new(), never);
    assert_eq!(slept, Err(Interrupted::TimedOut));
}

fn sleep_until_against_tick() {
    let kernel = clocked();
    let k = kernel.clone();
    at_once(&kernel, move || sleep_until(&k), || pass(&kernel, 1));
}

/// With the parts changed.
fn tick_against_sleep_until() {
    let kernel = clocked();
    let k = kernel.clone();
    at_once(&kernel, move || pass(&k, 1), || sleep_until(&kernel));
}

/// An event that came before the time was over is not missed.
fn sleep_until_against_event_and_tick() {
    let kernel = clocked();
    let event = Arc::new((WaitChannel::new(), AtomicU32::new(0)));
    let (k, other) = (kernel.clone(), event.clone());
    let there = move || {
        let came = || (other.1.load(Relaxed) == 1).then_some(());
        k.enter().unwrap().until(ONE).sleep_on(&other.0, came)
    };
    let here = || {
        event.1.store(1, Relaxed);
        event.0.wake_one();
        pass(&kernel, 1);
    };
    assert_eq!(at_once(&kernel, there, here).0, Ok(()));
}

/// A sleep with a later deadline in a look of another, which has its own again
/// afterwards. The inner one ends before it looks at the time.
fn inner_until_against_tick() {
    let kernel = clocked();
    let other = kernel.spawn().start().unwrap();
    let k = kernel.clone();
    let there = move || {
        let mut inner = pin!(other.scope(async {
            let mut came = [None, Some(())].into_iter();
            let sleep = |k: &mut Entered<'_, Clock>| {
                k.until(2 * ONE).sleep_on(&WaitChannel::new(), || came.next().unwrap())
            };
            assert_eq!(current_of(sleep), Ok(Ok(())));
        }));
        let mut looks = 0;
        let look = || {
            looks += 1;
            // The last one before it sleeps.
            if looks == 3 {
                assert!(inner.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
            }
            None::<()>
        };
        let slept = k.enter().unwrap().until(ONE).sleep_on(&WaitChannel::new(), look);
        assert_eq!(slept, Err(Interrupted::TimedOut));
    };
    at_once(&kernel, there, || pass(&kernel, 1));
    assert_empty(&kernel);
}

/// By handle, in no context at all.
fn exited_until_against_tick() {
    let kernel = clocked();
    let other = kernel.spawn().start().unwrap();
    let proc = kernel.pin().proc(other.pid()).unwrap().handle().unwrap();
    let there = move || assert_eq!(proc.exited().block_until(ONE), Err(ExitedError::TimedOut));
    at_once(&kernel, there, || pass(&kernel, 1));
    drop(other);
    assert_empty(&kernel);
}

fn unsleep(kernel: &Kernel, lid: Lid) -> Unslept {
    let guard = kernel.pin();
    guard.lwp(lid).unwrap().unsleep()
}

/// Whoever was told that it slept has ended its wait; else the child ends.
fn wait_against_unsleep() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let (lid, k) = (parent.lid(), kernel.clone());
    let there = move || {
        let mut e = enter_as(&k, parent);
        let waited = e.wait(WaitTarget::Any);
        (e.unbind().unwrap().unwrap(), waited)
    };
    let here = || {
        let unslept = unsleep(&kernel, lid);
        (unslept, (unslept == Unslept::Woken).then_some(child))
    };
    let ((parent, waited), (unslept, child)) = at_once(&kernel, there, here);
    match unslept {
        Unslept::Woken => assert_eq!(waited, Err(WaitError::Interrupted)),
        Unslept::Awake => assert!(waited.is_ok()),
    }
    drop((parent, child));
    assert_empty(&kernel);
}

/// With the parts changed.
fn unsleep_against_wait() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let (lid, k) = (parent.lid(), kernel.clone());
    let there = move || {
        let unslept = unsleep(&k, lid);
        (unslept, (unslept == Unslept::Woken).then_some(child))
    };
    let mut e = enter_as(&kernel, parent);
    let ((unslept, child), waited) = at_once(&kernel, there, || e.wait(WaitTarget::Any));
    match unslept {
        Unslept::Woken => assert_eq!(waited, Err(WaitError::Interrupted)),
        Unslept::Awake => assert!(waited.is_ok()),
    }
    e.release().unwrap();
    drop(e);
    drop(child);
    assert_empty(&kernel);
}

/// The drain comes before: its race is another model's.
fn unsleep_against_wait_alone() {
    let kernel = kernel_with(WaitPolicy::AutoReap, 6);
    let a = kernel.spawn().start().unwrap();
    let b = kernel.new_lwp(a.pid()).unwrap();
    let (lid, k) = (a.lid(), kernel.clone());
    let there = move || {
        let unslept = unsleep(&k, lid);
        (unslept, (unslept == Unslept::Woken).then_some(b))
    };
    let mut e = enter_as(&kernel, a);
    e.drain();
    let ((unslept, b), alone) = at_once(&kernel, there, || e.wait_alone());
    match unslept {
        Unslept::Woken => assert_eq!(alone, Err(AloneError::Interrupted)),
        Unslept::Awake => assert_eq!(alone, Ok(())),
    }
    e.release().unwrap();
    drop(e);
    drop(b);
    assert_empty(&kernel);
}
