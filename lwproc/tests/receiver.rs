//! One LWP is told of a signal of its process, and another when that one does not take it; and
//! who waits for one.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

const TERM: i32 = 15;
const INT: i32 = 2;

fn kernel(rules: Rules) -> Kernel {
    let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
    builder.wait_policy(WaitPolicy::Wait).build().unwrap()
}

fn signo(number: i32) -> Signo {
    Signo::new(number).unwrap()
}

fn is_asleep(kernel: &Kernel, lid: Lid) -> bool {
    kernel.pin().lwp(lid).is_some_and(|lwp| lwp.state() == LwpState::Sleeping)
}

fn until(mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "it does not come");
        std::thread::yield_now();
    }
}

/// A process with a newest LWP, which is told, and an older one that sleeps until it is; what
/// `newest` does with its LWP has the other told.
fn hands_over(newest: impl FnOnce(&Kernel, Lwp)) {
    let kernel = kernel(Rules::NETBSD);
    let older = kernel.spawn().start().unwrap();
    let (pid, lid) = (older.pid(), older.lid());
    let told = kernel.new_lwp(pid).unwrap();
    std::thread::scope(|s| {
        let kernel = &kernel;
        s.spawn(move || {
            let mut k = kernel.enter().unwrap();
            k.switch(older).unwrap();
            let slept = k.sleep_on(&WaitChannel::new(), || None::<()>);
            assert_eq!(slept, Err(Interrupted::Signal));
            assert_eq!(k.signals().take(), Some(Signo::TERM));
        });
        until(|| is_asleep(kernel, lid));
        kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), TERM).unwrap();
        assert!(is_asleep(kernel, lid), "it is not told");
        newest(kernel, told);
    });
}

#[test]
fn one_that_ends_tells_another() {
    hands_over(|_, lwp| drop(lwp));
    hands_over(|_, lwp| lwp.release());
    hands_over(|kernel, lwp| {
        let mut k = kernel.enter().unwrap();
        k.switch(lwp).unwrap();
        assert!(k.signals().has_pending());
        k.release().unwrap();
    });
}

#[test]
fn one_that_blocks_it_tells_another() {
    hands_over(|kernel, lwp| {
        let mut k = kernel.enter().unwrap();
        k.switch(lwp).unwrap();
        // Another one is taken first, and the mark stays.
        k.signals().kill(KillTarget::Proc(k.pid()), INT).unwrap();
        assert_eq!(k.signals().take(), Some(signo(INT)));
        assert!(k.signals().has_pending());
        k.signals().set_blocked(signo(TERM).into()).unwrap();
        assert!(!k.signals().has_pending());
    });
}

#[test]
fn one_that_is_parked_tells_another() {
    hands_over(|_, lwp| drop(lwp.unclaim()));
    hands_over(|kernel, lwp| {
        let mut k = kernel.enter().unwrap();
        k.switch(lwp).unwrap();
        drop(k.unbind().unwrap().unwrap().unclaim());
    });
}

/// Who is parked is not told, unless nobody else is there.
#[test]
fn who_is_parked_is_not_told() {
    let kernel = kernel(Rules::NETBSD);
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let parked = kernel.new_lwp(pid).unwrap().unclaim();
    let mut k = kernel.enter().unwrap();
    k.switch(first).unwrap();
    k.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
    assert!(k.signals().has_pending());
    assert_eq!(k.signals().take(), Some(Signo::TERM));
    k.switch(parked.claim().unwrap()).unwrap();
    k.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
    assert!(k.signals().has_pending());
}

/// Nor one that is to exit.
#[test]
fn who_is_to_exit_is_not_told() {
    let kernel = kernel(Rules::NETBSD);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let _other = kernel.new_lwp(k.pid()).unwrap();
    k.drain();
    k.signals().kill(KillTarget::Proc(k.pid()), TERM).unwrap();
    assert!(k.signals().has_pending());
}

/// Each of many signals for a process with several LWPs, which block, unblock, end and begin,
/// wakes one of them in the end.
#[test]
fn none_is_lost() {
    for rules in [Rules::NETBSD, Rules::LINUX.job_control(JobControl::Embedder)] {
        let kernel = kernel(rules);
        let lwp = kernel.spawn().start().unwrap();
        let pid = lwp.pid();
        let stop = AtomicBool::new(false);
        std::thread::scope(|s| {
            let (kernel, stop) = (&kernel, &stop);
            // Its number is the process's, for as long as all goes on.
            let keeper = kernel.new_lwp(pid).unwrap();
            for (seed, lwp) in [lwp, kernel.new_lwp(pid).unwrap()].into_iter().enumerate() {
                s.spawn(move || {
                    let (mut lwp, mut round) = (lwp, seed);
                    while !stop.load(SeqCst) {
                        let mut k = kernel.enter().unwrap();
                        k.switch(lwp).unwrap();
                        round += 1;
                        if round.is_multiple_of(3) {
                            k.signals().set_blocked(SigSet::ALL).unwrap();
                            k.signals().set_blocked(SigSet::EMPTY).unwrap();
                        }
                        let done = || stop.load(SeqCst).then_some(());
                        let slept = k.until(kernel.now() + Duration::from_secs(20));
                        let slept = { slept }.sleep_on(&WaitChannel::new(), done);
                        if let Err(why) = slept {
                            assert_ne!(why, Interrupted::TimedOut, "a signal is lost");
                            while k.signals().take().is_some() {}
                        }
                        let new = kernel.new_lwp(pid).unwrap();
                        match round.is_multiple_of(4) {
                            true => {
                                k.release().unwrap();
                                drop(k);
                                lwp = new;
                            }
                            false => {
                                drop(new);
                                lwp = k.unbind().unwrap().unwrap();
                            }
                        }
                    }
                });
            }
            let parked = keeper.unclaim();
            let k = kernel.enter().unwrap();
            for _ in 0..2000 {
                k.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
                until(|| kernel.pin().proc(pid).is_some_and(|proc| proc.pending().is_empty()));
            }
            stop.store(true, SeqCst);
            k.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
            k.signals().kill(KillTarget::Proc(pid), INT).unwrap();
            until(|| kernel.pin().proc(pid).is_none_or(|proc| proc.nlwps() == 1));
            drop(parked.claim().unwrap());
        });
    }
}

/// `sigwaitinfo`: it waits for what all block.
#[test]
fn a_signal_can_be_waited_for() {
    for rules in [Rules::NETBSD, Rules::LINUX] {
        let kernel = kernel(rules);
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let chld = signo(if rules == Rules::LINUX { 17 } else { 20 });
        let set = SigSet::from(Signo::TERM).with(chld);
        k.signals().set_blocked(set).unwrap();
        let (pid, lid) = (k.pid(), k.lid().unwrap());
        let late = kernel.now() + Duration::from_millis(5);
        assert_eq!(k.until(late).take_of(set), Err(Interrupted::TimedOut));
        for (target, number) in [
            (KillTarget::Proc(pid), TERM),
            (KillTarget::Lwp(lid), TERM),
            // It does nothing by itself.
            (KillTarget::Proc(pid), i32::from(chld.number())),
        ] {
            std::thread::scope(|s| {
                let kernel = &kernel;
                s.spawn(move || {
                    until(|| is_asleep(kernel, lid));
                    kernel.enter().unwrap().signals().kill(target, number).unwrap();
                });
                let soon = kernel.now() + Duration::from_secs(20);
                let taken = k.until(soon).take_of(set);
                assert_eq!(taken, Ok(Taken { signo: signo(number), value: None }));
            });
        }
        // What is pending before, and one that it does not block: of the set, and not.
        k.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
        assert_eq!(k.signals().wait_for(set).map(|taken| taken.signo), Ok(Signo::TERM));
        k.signals().kill(KillTarget::Proc(pid), INT).unwrap();
        let both = set.with(signo(INT));
        assert_eq!(k.signals().wait_for(set), Err(Interrupted::Signal));
        assert_eq!(k.signals().wait_for(both).map(|taken| taken.signo), Ok(signo(INT)));
        std::thread::scope(|s| {
            let kernel = &kernel;
            s.spawn(move || {
                until(|| is_asleep(kernel, lid));
                kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), INT).unwrap();
            });
            assert_eq!(k.signals().wait_for(both).map(|taken| taken.signo), Ok(signo(INT)));
        });
    }
}
