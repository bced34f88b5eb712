//! Blocking calls with a deadline, in the host's time.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);
/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(600);

/// A host that owns the time, which stands still unless it is told to go on.
#[derive(Debug, Default)]
struct Still {
    nanos: AtomicU64,
    asked: AtomicUsize,
}

impl Host for Still {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();

    fn now(&self) -> Duration {
        self.asked.fetch_add(1, SeqCst);
        Duration::from_nanos(self.nanos.load(SeqCst))
    }

    fn sleep_limit(&self, _: Duration) -> Option<Duration> {
        None
    }
}

fn pass<H: Host>(kernel: &Kernel<H>, nanos: &AtomicU64, to: u64) {
    nanos.store(to, SeqCst);
    kernel.tick();
}

fn builder() -> Builder {
    Kernel::builder().wait_policy(WaitPolicy::Wait).signal_model(SigModel::Record)
}

fn is_asleep<H: Host>(kernel: &Kernel<H>, lid: Lid) -> bool {
    let guard = kernel.pin();
    guard.lwp(lid).is_some_and(|l| format!("{l:?}").contains("SLEEPING"))
}

/// Whether it comes, in a time that a test can wait.
fn comes(condition: impl Fn() -> bool) -> bool {
    let begin = std::time::Instant::now();
    while !condition() {
        if begin.elapsed() > Duration::from_secs(5) {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[track_caller]
fn until(condition: impl Fn() -> bool) {
    assert!(comes(condition), "it never comes");
}

/// Joins who is to be woken by now; if it is not, its sleep is ended, and nobody hangs.
#[track_caller]
fn woken<H: Host, R>(kernel: &Kernel<H>, sleeper: std::thread::ScopedJoinHandle<'_, R>) -> R {
    if !comes(|| sleeper.is_finished()) {
        let guard = kernel.pin();
        guard.lwps().for_each(|lwp| _ = lwp.unsleep());
        panic!("not woken");
    }
    sleeper.join().unwrap()
}

/// A process with a child and a second LWP, which all stay.
struct Family<'k, H: Host> {
    k: Entered<'k, H>,
    child: ProcHandle<H>,
    _others: (Lwp<H>, Lwp<H>),
}

fn family<H: Host>(kernel: &Kernel<H>) -> Family<'_, H> {
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = kernel.pin().proc(k.pid()).unwrap().handle().unwrap();
    let lwp = k.switch(parent).unwrap().unwrap();
    let second = kernel.new_lwp(k.pid()).unwrap();
    Family { k, child, _others: (lwp, second) }
}

/// Each blocking call, until a time that has come when it returns; what it answers.
fn each<H: Host>(family: &mut Family<'_, H>, deadline: impl Fn() -> Duration) -> Vec<Errno> {
    let Family { k, child, .. } = family;
    let channel = WaitChannel::new();
    let never = || None::<()>;
    let mut answers = vec![
        k.until(deadline()).wait(WaitTarget::Any).unwrap_err().errno(),
        k.until(deadline()).wait(WaitTarget::OwnPgrp).unwrap_err().errno(),
        k.until(deadline()).claim_zombie(WaitTarget::Any).unwrap_err().errno(),
        k.until(deadline()).wait_for(child).unwrap_err().errno(),
        k.until(deadline()).exited(child).unwrap_err().errno(),
        k.until(deadline()).sleep_on(&channel, never).unwrap_err().errno(),
        child.exited().block_until(deadline()).unwrap_err().errno(),
        child.wait().block_until(k, deadline()).unwrap_err().errno(),
    ];
    k.drain();
    let own = k.curlwp().unwrap().pid();
    answers.push(k.until(deadline()).wait_alone().unwrap_err().errno());
    assert_eq!(own, k.pid());
    k.reopen();
    answers
}

#[test]
fn each_call_is_given_up_in_time() {
    let kernel = builder().build().unwrap();
    let mut family = family(&kernel);
    let begin = kernel.now();
    let answers = each(&mut family, || kernel.now() + SHORT);
    assert_eq!(answers, vec![Errno::ETIMEDOUT; 9]);
    assert!(kernel.now() >= begin + 9 * SHORT, "none before its time");
    // One that has passed: a look that does not sleep.
    let begin = kernel.now();
    assert_eq!(each(&mut family, || begin), vec![Errno::ETIMEDOUT; 9]);
    assert_eq!(each(&mut family, || Duration::ZERO), vec![Errno::ETIMEDOUT; 9]);
    assert!(!is_asleep(&kernel, family.k.lid().unwrap()));
    let drained = |family: &mut Family<'_, ThreadHost>| {
        family.k.drain();
        let own = kernel.pin().proc(family.k.pid()).unwrap().handle().unwrap();
        let by_view = family.k.within(SHORT).drained(&own);
        let by_handle = own.drained().block_until(kernel.now() + SHORT);
        family.k.reopen();
        (by_view, by_handle)
    };
    let (by_view, by_handle) = drained(&mut family);
    assert_eq!((by_view, by_handle), (Err(AloneError::TimedOut), Err(AloneError::TimedOut)));
}

#[test]
fn what_comes_before_the_deadline_is_had() {
    let kernel = builder().build().unwrap();
    let mut family = family(&kernel);
    let (channel, done) = (WaitChannel::new(), AtomicBool::new(false));
    let came = || done.load(SeqCst).then_some(5);
    let lwp = std::mem::replace(&mut family._others.0, kernel.spawn().start().unwrap());
    std::thread::scope(|s| {
        s.spawn(|| {
            std::thread::sleep(SHORT);
            done.store(true, SeqCst);
            channel.wake_one();
            std::thread::sleep(SHORT);
            drop(lwp);
        });
        assert_eq!(family.k.within(LONG).sleep_on(&channel, came), Ok(5));
        assert!(family.child.exited().block_until(kernel.now() + LONG).is_ok());
        assert!(family.k.within(LONG).exited(&family.child).is_ok());
        assert!(family.k.within(LONG).wait(WaitTarget::Any).is_ok());
    });
    assert_eq!(family.k.within(Duration::ZERO).sleep_on(&channel, came), Ok(5));
    let none = family.k.within(Duration::ZERO).wait(WaitTarget::Any);
    assert_eq!(none, Err(WaitError::NoChild));
}

/// The condition came, but nobody has told: it is looked at when the time is over.
#[test]
fn a_last_look_when_the_time_is_over() {
    let kernel = Kernel::builder().host(Still::default()).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let (lid, channel, came) = (lwp.lid(), WaitChannel::new(), AtomicBool::new(false));
    std::thread::scope(|s| {
        let sleeper = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            let deadline = Duration::from_nanos(10);
            k.until(deadline).sleep_on(&channel, || came.load(SeqCst).then_some(()))
        });
        until(|| is_asleep(&kernel, lid));
        came.store(true, SeqCst);
        pass(&kernel, &kernel.host().nanos, 10);
        assert_eq!(woken(&kernel, sleeper), Ok(()));
    });
}

/// In a time that the embedder owns, nothing happens until it ticks.
#[test]
fn time_that_the_host_owns() {
    let kernel = Kernel::builder()
        .host(Still::default())
        .wait_policy(WaitPolicy::Wait)
        .signal_model(SigModel::Record)
        .build()
        .unwrap();
    assert_eq!(kernel.now(), Duration::ZERO);
    let (lid, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|s| {
        let sleeper = s.spawn(|| {
            let mut family = family(&kernel);
            lid.store(family.k.lid().unwrap().0 as usize, SeqCst);
            let answers = each(&mut family, || Duration::from_nanos(100));
            over.store(true, SeqCst);
            answers
        });
        until(|| is_asleep(&kernel, Lid(lid.load(SeqCst) as i32)));
        for early in [0, 50, 99] {
            pass(&kernel, &kernel.host().nanos, early);
            std::thread::sleep(Duration::from_millis(5));
            assert!(!over.load(SeqCst) && is_asleep(&kernel, Lid(lid.load(SeqCst) as i32)));
        }
        let asked = kernel.host().asked.load(SeqCst);
        std::thread::sleep(SHORT);
        assert_eq!(kernel.host().asked.load(SeqCst), asked, "nobody looks at the clock meanwhile");
        pass(&kernel, &kernel.host().nanos, 100);
        assert_eq!(woken(&kernel, sleeper), vec![Errno::ETIMEDOUT; 9]);
    });
}

/// A condition that itself sleeps with another deadline leaves the outer one as it was.
#[test]
fn a_deadline_inside_another() {
    let kernel = Kernel::builder().host(Still::default()).build().unwrap();
    let (first, other) = (kernel.spawn().start().unwrap(), kernel.spawn().start().unwrap());
    let proc = kernel.pin().proc(other.pid()).unwrap().handle().unwrap();
    let (lid, looks) = (first.lid(), AtomicUsize::new(0));
    std::thread::scope(|s| {
        let sleeper = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(first).unwrap();
            k.until(Duration::from_nanos(10)).sleep_on(&WaitChannel::new(), || {
                if looks.fetch_add(1, SeqCst) == 1 {
                    // Asleep already, as it looks the second time.
                    let inner = proc.exited().block_until(Duration::from_nanos(5));
                    assert_eq!(inner, Err(ExitedError::TimedOut));
                }
                None::<()>
            })
        });
        // Asleep inside, then outside, or just about to.
        for (look, time) in [(2, 5), (3, 10)] {
            until(|| is_asleep(&kernel, lid) && looks.load(SeqCst) >= look);
            std::thread::sleep(Duration::from_millis(5));
            pass(&kernel, &kernel.host().nanos, time);
        }
        assert_eq!(woken(&kernel, sleeper), Err(Interrupted::TimedOut));
    });
}

#[test]
fn entering_and_the_big_lock_have_deadlines() {
    let kernel = builder().virtual_cpus(NonZeroUsize::MIN).build().unwrap();
    let mut k = kernel.enter_until(Duration::ZERO).unwrap();
    assert_eq!(k.cpu(), Some(0));
    assert_eq!(kernel.enter_until(kernel.now()).unwrap_err(), EnterError::AlreadyEntered);
    k.big_lock().lock().unwrap();
    k.within(Duration::ZERO).big_lock().unwrap();
    assert_eq!(k.big_lock().depth(), 2);
    std::thread::scope(|s| {
        s.spawn(|| {
            let late = kernel.enter_until(kernel.now() + SHORT).unwrap_err();
            assert_eq!((late, late.errno()), (EnterError::TimedOut, Errno::ETIMEDOUT));
            // It has not entered.
            assert_eq!(kernel.enter_until(Duration::ZERO).unwrap_err(), EnterError::TimedOut);
        });
    });
    // The lock is kept, the CPU is free while this one sleeps.
    let never = || None::<()>;
    std::thread::scope(|s| {
        s.spawn(|| {
            let entered = kernel.enter_until(kernel.now() + LONG).unwrap();
            assert_eq!(entered.cpu(), Some(0));
        });
        let slept = k.within(10 * SHORT).sleep_on(&WaitChannel::new(), never);
        assert_eq!(slept, Err(Interrupted::TimedOut));
        assert_eq!((k.cpu(), k.big_lock().depth()), (Some(0), 2));
    });
    let kernel = builder().build().unwrap();
    let k = kernel.enter().unwrap();
    k.big_lock().lock().unwrap();
    std::thread::scope(|s| {
        let kernel = &kernel;
        s.spawn(move || {
            let mut k = kernel.enter().unwrap();
            assert_eq!(k.within(SHORT).big_lock(), Err(BigLockError::TimedOut));
            assert_eq!(k.within(Duration::ZERO).big_lock(), Err(BigLockError::TimedOut));
            assert_eq!(k.big_lock().depth(), 0);
        });
        std::thread::sleep(3 * SHORT);
        let waiter = s.spawn(move || {
            let mut k = kernel.enter().unwrap();
            (k.within(LONG).big_lock(), k.big_lock().depth())
        });
        std::thread::sleep(SHORT);
        k.big_lock().unlock().unwrap();
        assert_eq!(waiter.join().unwrap(), (Ok(()), 1));
    });
}

#[test]
fn a_signal_comes_before_the_deadline() {
    let kernel = builder().build().unwrap();
    let mut family = family(&kernel);
    family.k.signals().kill(KillTarget::Lwp(family.k.lid().unwrap()), 15).unwrap();
    let answers = each(&mut family, || Duration::ZERO);
    let eintr = answers.iter().filter(|errno| **errno == Errno::EINTR).count();
    // But for the one that is nobody's sleep.
    assert_eq!((eintr, answers.len()), (8, 9));
}

/// Many sleepers, each with its own time, and a clock that goes on in leaps.
#[test]
fn each_sleeper_wakes_in_its_own_time() {
    let kernel = Kernel::builder().host(Still::default()).build().unwrap();
    let (asleep, woken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|s| {
        for i in 1..=8 {
            let (kernel, asleep, woken) = (&kernel, &asleep, &woken);
            s.spawn(move || {
                let mut k = kernel.enter().unwrap();
                k.rfork(Rfork::Share).unwrap();
                asleep.fetch_add(1, SeqCst);
                let deadline = Duration::from_nanos(10 * i);
                let slept = k.until(deadline).sleep_on(&WaitChannel::new(), || None::<()>);
                woken.fetch_add(1, SeqCst);
                assert_eq!(slept, Err(Interrupted::TimedOut));
                assert!(kernel.now() >= deadline, "too early");
                k.release().unwrap();
            });
        }
        until(|| asleep.load(SeqCst) == 8);
        let in_time = (0..=8_u64).all(|now| {
            pass(&kernel, &kernel.host().nanos, 10 * now);
            comes(|| woken.load(SeqCst) == now as usize)
        });
        let guard = kernel.pin();
        guard.lwps().for_each(|lwp| _ = lwp.unsleep());
        assert!(in_time);
    });
}

/// A child that was looked at is there for the next wait.
#[test]
fn a_wait_may_reap_nothing() {
    let kernel = builder().build().unwrap();
    let family = family(&kernel);
    let Family { mut k, child, _others: (lwp, second) } = family;
    let (waited, found) = std::thread::scope(|s| {
        let waiting = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(second).unwrap();
            let found = k.until(LONG).claim_zombie(WaitTarget::Any).map(|zombie| zombie.pid());
            (found, k.unbind().unwrap())
        });
        until(|| kernel.pin().lwps().any(|l| is_asleep(&kernel, l.lid())));
        drop(lwp);
        let (found, _lwp) = woken(&kernel, waiting);
        (kernel.counts().zombies, found)
    });
    assert_eq!((waited, found), (1, Ok(child.pid())));
    // At once, however late it is.
    let zombie = k.until(Duration::ZERO).claim_zombie(WaitTarget::Pid(child.pid()));
    assert_eq!(zombie.unwrap().status(), child.exit_status().unwrap());
    let seen = k.until(Duration::ZERO).wait(WaitTarget::Any.peek());
    assert_eq!(seen.unwrap().pid, child.pid());
    assert_eq!(k.until(Duration::ZERO).wait(WaitTarget::Any).unwrap().pid, child.pid());
    let none = k.until(LONG).claim_zombie(WaitTarget::Any).map(drop);
    assert_eq!(none, Err(WaitError::NoChild));
    assert_eq!(k.until(LONG).wait(WaitTarget::Any.peek()), Err(WaitError::NoChild));
}
