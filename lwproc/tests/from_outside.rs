//! What blocks is ended from outside.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::time::{Duration, Instant};

const NEVER: Duration = Duration::MAX;
/// Longer than a wake-up takes.
const PATIENCE: Duration = Duration::from_secs(5);

fn kernel() -> Kernel {
    Kernel::builder().wait_policy(WaitPolicy::Wait).signal_model(SigModel::Record).build().unwrap()
}

fn handle_of(kernel: &Kernel, pid: Pid) -> ProcHandle {
    kernel.pin().proc(pid).unwrap().handle().unwrap()
}

fn is_asleep(kernel: &Kernel, lid: Lid) -> bool {
    let guard = kernel.pin();
    guard.lwp(lid).is_some_and(|l| format!("{l:?}").contains("SLEEPING"))
}

/// Whether it comes, in a time that a test can wait.
fn comes(condition: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() > PATIENCE {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

fn unsleep(kernel: &Kernel, lid: Lid) -> Unslept {
    let guard = kernel.pin();
    guard.lwp(lid).unwrap().unsleep()
}

/// A process of two LWPs, and its child: neither changes.
struct Family {
    own: ProcHandle,
    child: ProcHandle,
}

/// A blocking call, made by an LWP of the family.
type Call = fn(&mut Entered<'_>, &Family) -> Result<(), Errno>;

/// With the process draining.
fn drained(
    k: &mut Entered<'_>,
    call: impl Fn(&mut Entered<'_>) -> Result<(), AloneError>,
) -> Result<(), Errno> {
    k.drain();
    let result = call(k).map_err(|why| why.errno());
    k.reopen();
    result
}

fn channel() -> WaitChannel {
    WaitChannel::new()
}

fn never() -> Option<()> {
    None
}

const CALLS: &[(&str, Call)] = &[
    ("wait", |k, _| k.wait(WaitTarget::Any).map(drop).map_err(|e| e.errno())),
    ("wait, pid", |k, f| k.wait(WaitTarget::Pid(f.child.pid())).map(drop).map_err(|e| e.errno())),
    ("wait, handle", |k, f| f.child.wait().block(k).map(drop).map_err(|e| e.errno())),
    ("wait_alone", |k, _| drained(k, |k| k.wait_alone())),
    ("sleep_on", |k, _| k.sleep_on(&channel(), never).map_err(|e| e.errno())),
    ("until: wait", |k, _| k.until(NEVER).wait(WaitTarget::Any).map(drop).map_err(|e| e.errno())),
    ("until: wait_for", |k, f| k.until(NEVER).wait_for(&f.child).map(drop).map_err(|e| e.errno())),
    ("until: exited", |k, f| k.until(NEVER).exited(&f.child).map(drop).map_err(|e| e.errno())),
    ("until: drained", |k, f| drained(k, |k| k.until(NEVER).drained(&f.own))),
    ("until: wait_alone", |k, _| drained(k, |k| k.until(NEVER).wait_alone())),
    ("until: sleep_on", |k, _| k.until(NEVER).sleep_on(&channel(), never).map_err(|e| e.errno())),
    ("until: big lock", |k, _| k.until(NEVER).big_lock().map_err(|e| e.errno())),
];

/// Makes each call in a thread of its own, and has `end` end it.
fn end_each(end: impl Fn(&Kernel, &Entered<'_>, Lid)) {
    for (name, call) in CALLS {
        let kernel = kernel();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Share).unwrap();
        let parent = k.rfork(Rfork::Share).unwrap().unwrap();
        let child = handle_of(&kernel, k.pid());
        let child_lwp = k.switch(parent).unwrap().unwrap();
        let family = Family { own: handle_of(&kernel, k.pid()), child };
        let second = family.own.new_lwp().unwrap();
        let lid = k.lid().unwrap();
        let own = k.unbind().unwrap().unwrap();
        k.big_lock().lock().unwrap();
        std::thread::scope(|s| {
            let sleeper = s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.switch(own).unwrap();
                let result = call(&mut k, &family);
                (result, k.unbind().unwrap().unwrap())
            });
            assert!(comes(|| is_asleep(&kernel, lid)), "{name}");
            end(&kernel, &k, lid);
            let ended = comes(|| sleeper.is_finished());
            // For the others not to hang when this one fails.
            k.signals().kill(KillTarget::Lwp(lid), 1).unwrap();
            let (result, own) = sleeper.join().unwrap();
            assert_eq!((ended, result), (true, Err(Errno::EINTR)), "{name}");
            assert!(!is_asleep(&kernel, lid), "{name}");
            drop((own, second, child_lwp));
        });
    }
}

#[test]
fn unsleep_ends_each() {
    end_each(|kernel, _, lid| assert_eq!(unsleep(kernel, lid), Unslept::Woken));
}

#[test]
fn a_signal_ends_each() {
    end_each(|_, k, lid| k.signals().kill(KillTarget::Lwp(lid), 15).unwrap());
}

/// One that comes while a wait looks at what it was woken for is not lost.
#[test]
fn an_unsleep_between_two_looks() {
    let kernel = kernel();
    for _ in 0..300 {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Share).unwrap();
        let parent = k.rfork(Rfork::Share).unwrap().unwrap();
        let child = k.switch(parent).unwrap().unwrap();
        let (pid, lid) = (child.pid(), k.lid().unwrap());
        let own = k.unbind().unwrap().unwrap();
        drop(k);
        std::thread::scope(|s| {
            let sleeper = s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.switch(own).unwrap();
                let result = k.wait(WaitTarget::Pid(pid));
                (result, k.unbind().unwrap().unwrap())
            });
            assert!(comes(|| is_asleep(&kernel, lid)));
            // Wakes the parent, for nothing.
            let waker = s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.switch(child).unwrap();
                k.groups().setpgid(Pid(0), Pid(0)).unwrap();
                k.unbind().unwrap().unwrap()
            });
            assert_eq!(unsleep(&kernel, lid), Unslept::Woken);
            let ended = comes(|| sleeper.is_finished());
            let child = waker.join().unwrap();
            drop(child);
            let (result, own) = sleeper.join().unwrap();
            assert_eq!((ended, result), (true, Err(WaitError::Interrupted)));
            drop(own);
        });
    }
}
