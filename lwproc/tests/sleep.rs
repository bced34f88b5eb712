//! Sleeping on channels and on the embedder's own objects, and what ends a sleep.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

fn kernel() -> Kernel {
    Kernel::builder().signal_model(SigModel::Record).build().unwrap()
}

#[track_caller]
fn assert_empty(kernel: &Kernel) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}

fn is_asleep(kernel: &Kernel, lid: Lid) -> bool {
    let guard = kernel.pin();
    guard.lwp(lid).is_some_and(|l| format!("{l:?}").contains("SLEEPING"))
}

fn until(condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "it never comes");
        std::thread::yield_now();
    }
}

#[test]
fn a_sleep_ends_with_its_condition() {
    let kernel = kernel();
    let (channel, value) = (WaitChannel::new(), AtomicUsize::new(0));
    let get = || Some(value.load(SeqCst)).filter(|v| *v != 0);
    for bound in [false, true] {
        value.store(0, SeqCst);
        let mut k = kernel.enter().unwrap();
        if bound {
            k.rfork(Rfork::Share).unwrap();
        }
        std::thread::scope(|s| {
            s.spawn(|| {
                std::thread::sleep(Duration::from_millis(10));
                channel.wake_all();
                value.store(7, SeqCst);
                channel.wake_one();
            });
            assert_eq!(k.sleep_on(&channel, get), Ok(7));
        });
        assert_eq!(k.sleep_on(&channel, get), Ok(7), "it holds already");
        if bound {
            assert!(!is_asleep(&kernel, k.lid().unwrap()));
            k.release().unwrap();
        }
    }
    assert_empty(&kernel);
}

/// Starts an LWP that sleeps, ends the sleep, and gives what it returned.
fn end_sleep(
    kernel: &Kernel,
    channel: &WaitChannel,
    end: impl FnOnce(&Entered<'_>, Pid, Lid),
) -> Interrupted {
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    std::thread::scope(|s| {
        let sleeper = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            let why = k.sleep_on(channel, || None::<()>).unwrap_err();
            if why != Interrupted::Unslept {
                assert_eq!(k.sleep_on(channel, || None::<()>), Err(why), "it still stands");
                assert_eq!(k.sleep_on(channel, || Some(3)), Ok(3), "the condition comes first");
            }
            k.release().unwrap();
            why
        });
        until(|| is_asleep(kernel, lid));
        end(&kernel.enter().unwrap(), pid, lid);
        sleeper.join().unwrap()
    })
}

#[test]
fn signals_end_a_sleep() {
    let (kernel, channel) = (kernel(), WaitChannel::new());
    let by_proc = |k: &Entered<'_>, pid, _| k.signals().kill(KillTarget::Proc(pid), 15).unwrap();
    assert_eq!(end_sleep(&kernel, &channel, by_proc), Interrupted::Signal);
    let by_lwp = |k: &Entered<'_>, _, lid| k.signals().kill(KillTarget::Lwp(lid), 15).unwrap();
    assert_eq!(end_sleep(&kernel, &channel, by_lwp), Interrupted::Signal);
    assert_eq!(Interrupted::Signal.errno(), Errno::EINTR);
    assert_empty(&kernel);
}

#[test]
fn a_drain_ends_a_sleep() {
    let (kernel, channel) = (kernel(), WaitChannel::new());
    let drained = end_sleep(&kernel, &channel, |_, pid, _| {
        let lwp = kernel.new_lwp(pid).unwrap();
        std::thread::scope(|s| {
            s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.switch(lwp).unwrap();
                k.drain();
                assert_eq!(k.wait_alone(), Ok(()));
                k.release().unwrap();
            });
        });
    });
    assert_eq!((drained, drained.errno()), (Interrupted::Exit, Errno::EINTR));
    assert_empty(&kernel);
}

#[test]
fn unsleep_ends_a_sleep_once() {
    let (kernel, channel) = (kernel(), WaitChannel::new());
    let unsleep = |lid| {
        let guard = kernel.pin();
        guard.lwp(lid).unwrap().unsleep()
    };
    let unslept = |_: &Entered<'_>, _, lid| assert_eq!(unsleep(lid), Unslept::Woken);
    assert_eq!(end_sleep(&kernel, &channel, unslept), Interrupted::Unslept);
    let lwp = kernel.spawn().start().unwrap();
    assert_eq!(unsleep(lwp.lid()), Unslept::Awake);
    let mut k = kernel.enter().unwrap();
    k.switch(lwp).unwrap();
    assert_eq!(unsleep(k.lid().unwrap()), Unslept::Awake);
    let done = AtomicBool::new(false);
    std::thread::scope(|s| {
        let (done, channel) = (&done, &channel);
        s.spawn(move || {
            std::thread::sleep(Duration::from_millis(10));
            done.store(true, SeqCst);
            channel.wake_all();
        });
        let slept = k.sleep_on(channel, || done.load(SeqCst).then_some(()));
        assert_eq!(slept, Ok(()), "an unsleep of one who is awake is not kept");
    });
}

/// Sleepers that are interrupted one by one: the others sleep on, and nobody calls their
/// conditions. So the work is the same for each.
#[test]
fn an_interrupted_sleeper_does_not_wake_the_others() {
    const SLEEPERS: usize = 100;
    let (kernel, channel) = (kernel(), WaitChannel::new());
    let (looks, awake) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let lwps: Vec<_> = (0..SLEEPERS).map(|_| kernel.spawn().start().unwrap()).collect();
    let lids: Vec<_> = lwps.iter().map(|lwp| lwp.lid()).collect();
    std::thread::scope(|s| {
        let (kernel, channel, looks, awake) = (&kernel, &channel, &looks, &awake);
        for lwp in lwps {
            s.spawn(move || {
                let mut k = kernel.enter().unwrap();
                k.switch(lwp).unwrap();
                let slept = k.sleep_on(channel, || {
                    looks.fetch_add(1, SeqCst);
                    None::<()>
                });
                assert_eq!(slept, Err(Interrupted::Signal));
                awake.fetch_add(1, SeqCst);
                k.release().unwrap();
            });
        }
        until(|| looks.load(SeqCst) == 3 * SLEEPERS && lids.iter().all(|l| is_asleep(kernel, *l)));
        let k = kernel.enter().unwrap();
        for (i, lid) in lids.iter().enumerate() {
            k.signals().kill(KillTarget::Lwp(*lid), 15).unwrap();
            until(|| awake.load(SeqCst) == i + 1);
        }
    });
    assert_eq!(looks.load(SeqCst), 3 * SLEEPERS);
    assert_empty(&kernel);
}

/// It does not wake, or sleeps again.
#[test]
fn a_blocked_signal_does_not_end_a_sleep() {
    let (kernel, channel) = (kernel(), WaitChannel::new());
    let done = AtomicBool::new(false);
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            k.signals().set_blocked(SigSet::ALL).unwrap();
            assert_eq!(k.sleep_on(&channel, || done.load(SeqCst).then_some(1)), Ok(1));
            assert_eq!(k.signals().pending(), Signo::TERM.into());
            k.release().unwrap();
        });
        until(|| is_asleep(&kernel, lid));
        kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), 15).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(is_asleep(&kernel, lid));
        done.store(true, SeqCst);
        channel.wake_one();
    });
    assert_empty(&kernel);
}

/// One signal of the process interrupts all, and whoever takes it first has it.
#[test]
fn a_signal_that_another_took_does_not_hold_up_a_sleep() {
    let (kernel, channel) = (kernel(), WaitChannel::new());
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let second = kernel.new_lwp(pid).unwrap();
    let taken = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for lwp in [first, second] {
            let (kernel, channel, taken) = (&kernel, &channel, &taken);
            s.spawn(move || {
                let mut k = kernel.enter().unwrap();
                k.switch(lwp).unwrap();
                let over = || (taken.load(SeqCst) == 2).then_some(());
                while let Err(why) = k.sleep_on(channel, over) {
                    assert_eq!(why, Interrupted::Signal);
                    if k.signals().take().is_some() {
                        taken.fetch_add(1, SeqCst);
                        channel.wake_all();
                    }
                }
                k.release().unwrap();
            });
        }
        let k = kernel.enter().unwrap();
        for round in 1..=2 {
            k.signals().kill(KillTarget::Proc(pid), 15).unwrap();
            until(|| taken.load(SeqCst) == round);
        }
    });
    assert_empty(&kernel);
}

#[test]
fn wait_for_children_is_interrupted() {
    let builder = Kernel::builder().signal_model(SigModel::Record).wait_policy(WaitPolicy::Wait);
    let kernel = builder.build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let (pid, lid) = (k.pid(), k.lid().unwrap());
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.switch(parent).unwrap().unwrap();
    let unslept = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            until(|| is_asleep(&kernel, lid));
            let woken = kernel.pin().lwp(lid).map(|lwp| lwp.unsleep());
            assert_eq!(woken, Some(Unslept::Woken));
            until(|| unslept.load(SeqCst) && is_asleep(&kernel, lid));
            kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), 15).unwrap();
        });
        assert_eq!(k.wait(WaitTarget::Any), Err(WaitError::Interrupted), "it was unslept");
        assert!(!k.signals().has_pending());
        unslept.store(true, SeqCst);
        assert_eq!(k.wait(WaitTarget::Any), Err(WaitError::Interrupted), "a signal came");
    });
    assert_eq!(WaitError::Interrupted.errno(), Errno::EINTR);
    assert_eq!(k.wait(WaitTarget::Any), Err(WaitError::Interrupted), "still pending");
    let child_pid = child.pid();
    drop(child);
    assert_eq!(k.wait(WaitTarget::Any).unwrap().pid, child_pid, "a zombie comes first");
    assert_eq!(k.wait(WaitTarget::Any), Err(WaitError::NoChild), "and so does its absence");
    k.signals().take().unwrap();
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[derive(Default)]
struct Bell {
    rung: Mutex<Vec<Lid>>,
    rings: Condvar,
    panics: bool,
}

impl SyncObject for Bell {
    fn unsleep(&self, lwp: Lid) {
        self.rung.lock().unwrap().push(lwp);
        self.rings.notify_all();
        assert!(!self.panics, "the bell breaks");
    }
}

impl Bell {
    fn wait(&self) -> Lid {
        let mut rung = self.rung.lock().unwrap();
        loop {
            match rung.pop() {
                Some(lid) => return lid,
                None => rung = self.rings.wait(rung).unwrap(),
            }
        }
    }
}

#[test]
fn an_embedder_sleeps_in_its_own_way() {
    let kernel = kernel();
    let bell = Arc::new(Bell::default());
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            assert_eq!(k.sleep_with(bell.clone(), || bell.wait()), Ok(lid));
            assert!(k.signals().has_pending());
            let never = || -> Lid { unreachable!("a reason was there before") };
            assert_eq!(k.sleep_with(bell.clone(), never), Err(Interrupted::Signal));
            assert_eq!(k.signals().take(), Some(Signo::TERM));
            assert_eq!(k.sleep_with(bell.clone(), || bell.wait()), Ok(lid));
            // A sleep that ends by itself.
            assert_eq!(k.sleep_with(bell.clone(), || 5), Ok(5));
            k.release().unwrap();
        });
        until(|| is_asleep(&kernel, lid));
        kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), 15).unwrap();
        until(|| {
            let guard = kernel.pin();
            guard.lwp(lid).is_some_and(|lwp| lwp.unsleep() == Unslept::Woken)
        });
    });
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.sleep_with(bell.clone(), || 6), Ok(6), "an implicit context");
    drop(k);
    assert_empty(&kernel);
    drop(kernel);
    assert_eq!(Arc::strong_count(&bell), 1, "no object is left");
}

#[test]
fn a_panic_in_a_sleep_ends_it() {
    let kernel = kernel();
    let channel = WaitChannel::new();
    let bell = Arc::new(Bell::default());
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let lid = k.lid().unwrap();
    let asleep = |k: &mut Entered<'_>| {
        let slept = AssertUnwindSafe(|| k.sleep_with(bell.clone(), || panic!("asleep")));
        catch_unwind(slept).map(drop).unwrap_err();
        let mut looks = 0;
        let condition = || -> Option<()> {
            looks += 1;
            if looks == 2 { panic!("asleep") } else { None }
        };
        catch_unwind(AssertUnwindSafe(|| k.sleep_on(&channel, condition))).unwrap_err();
    };
    asleep(&mut k);
    assert!(!is_asleep(&kernel, lid));
    assert_eq!(k.sleep_on(&channel, || Some(1)), Ok(1));
}

/// An object that panics does not keep the others from waking.
#[test]
fn a_panic_of_an_object_spares_nobody() {
    let kernel = kernel();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let lwps = [(); 2].map(|()| kernel.new_lwp(pid).unwrap());
    let lids: Vec<_> = lwps.iter().map(|l| l.lid()).collect();
    std::thread::scope(|s| {
        for lwp in lwps {
            s.spawn(|| {
                let bell = Arc::new(Bell { panics: true, ..Bell::default() });
                let mut k = kernel.enter().unwrap();
                k.switch(lwp).unwrap();
                let sleep = || {
                    // A ring that panics poisons what it holds.
                    while bell.rung.lock().is_ok_and(|rung| rung.is_empty()) {
                        std::thread::yield_now();
                    }
                };
                k.sleep_with(bell.clone(), sleep).unwrap();
                assert!(k.must_exit());
                k.release().unwrap();
            });
        }
        until(|| lids.iter().all(|lid| is_asleep(&kernel, *lid)));
        let k = kernel.enter().unwrap();
        let killed = catch_unwind(AssertUnwindSafe(|| k.signals().kill(KillTarget::Proc(pid), 9)));
        killed.unwrap_err();
    });
    drop(first);
    assert_empty(&kernel);
}

#[test]
fn a_sleeper_gives_its_virtual_cpu_away() {
    let builder = Kernel::builder().virtual_cpus(NonZeroUsize::new(1).unwrap());
    let kernel = builder.build().unwrap();
    let (channel, done) = (WaitChannel::new(), AtomicBool::new(false));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let k = kernel.enter().unwrap();
            done.store(true, SeqCst);
            channel.wake_all();
            drop(k);
        });
        k.sleep_on(&channel, || done.load(SeqCst).then_some(())).unwrap();
        assert_eq!(k.cpu(), Some(0));
    });
    let bell = Arc::new(Bell::default());
    let there = AtomicBool::new(false);
    std::thread::scope(|s| {
        let (there, kernel) = (&there, &kernel);
        s.spawn(move || {
            drop(kernel.enter().unwrap());
            there.store(true, SeqCst);
        });
        k.sleep_with(bell, || until(|| there.load(SeqCst))).unwrap();
        assert_eq!(k.cpu(), Some(0));
    });
}

/// A semaphore: each unit that is put is taken once, and with as many `wake_one` as
/// units no sleeper is forgotten; though some are interrupted all the time.
#[test]
fn no_wake_up_is_lost() {
    const UNITS: usize = 3000;
    let kernel = kernel();
    let (channel, units) = (WaitChannel::new(), AtomicUsize::new(0));
    let (taken, start) = (AtomicUsize::new(0), Barrier::new(6));
    let stop = AtomicBool::new(false);
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let lwps: Vec<_> =
        std::iter::once(first).chain((0..2).map(|_| kernel.new_lwp(pid).unwrap())).collect();
    std::thread::scope(|s| {
        for lwp in lwps {
            s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.switch(lwp).unwrap();
                start.wait();
                let take = || {
                    if stop.load(SeqCst) {
                        return Some(false);
                    }
                    let one = |n: usize| n.checked_sub(1);
                    units.fetch_update(SeqCst, SeqCst, one).is_ok().then_some(true)
                };
                loop {
                    match k.sleep_on(&channel, take) {
                        Ok(true) => drop(taken.fetch_add(1, SeqCst)),
                        Ok(false) => break,
                        Err(why) => {
                            assert_eq!(why, Interrupted::Signal);
                            k.signals().take();
                        }
                    }
                }
                k.release().unwrap();
            });
        }
        for _ in 0..2 {
            s.spawn(|| {
                start.wait();
                for _ in 0..UNITS / 2 {
                    units.fetch_add(1, SeqCst);
                    channel.wake_one();
                }
            });
        }
        start.wait();
        let k = kernel.enter().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while taken.load(SeqCst) < UNITS / 2 {
            assert!(std::time::Instant::now() < deadline, "a wake-up is lost");
            k.signals().kill(KillTarget::Proc(pid), 15).unwrap();
        }
        // And the rest without any help.
        while taken.load(SeqCst) < UNITS {
            assert!(std::time::Instant::now() < deadline, "a wake-up is lost");
            std::thread::yield_now();
        }
        stop.store(true, SeqCst);
        channel.wake_all();
    });
    assert_empty(&kernel);
}
