//! Exit statuses, zombies, and who reaps them.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

fn kernel() -> Kernel {
    Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap()
}

/// Forks, lets the child end with `status`, and is the parent again.
fn fork_and_exit(k: &mut Entered<'_>, status: ExitStatus) -> Pid {
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.pid();
    k.exit(status).unwrap();
    assert!(k.switch(parent).unwrap().is_none());
    child
}

#[test]
fn a_zombie_is_reaped_once_with_its_status() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    assert_eq!(k.try_wait(WaitTarget::Any), Err(WaitError::NoChild));
    assert_eq!(WaitError::NoChild.errno(), Errno::ECHILD);
    let status = ExitStatus::signaled(9, CoreDump::None);
    let child = fork_and_exit(&mut k, status);
    let guard = kernel.pin();
    let zombie = guard.proc(child).unwrap();
    assert_eq!((zombie.state(), zombie.ppid(), zombie.nlwps()), (ProcState::Zombie, k.pid(), 0));
    assert_eq!(kernel.new_lwp(child).unwrap_err(), NewLwpError::NoSuchProcess);
    assert_eq!(k.try_wait(WaitTarget::Pid(k.pid())), Err(WaitError::NoChild));
    let reaped = k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert_eq!((reaped.pid, reaped.status), (child, status));
    assert_eq!(zombie.state(), ProcState::Gone);
    assert_eq!(k.try_wait(WaitTarget::Any), Err(WaitError::NoChild));
    assert_eq!(kernel.counts().zombies, 0);
}

#[test]
fn a_living_child_is_not_reaped() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.pid();
    let living = k.switch(parent).unwrap();
    assert_eq!(k.try_wait(WaitTarget::Any), Ok(None));
    assert_eq!(k.try_wait(WaitTarget::Pid(child)), Ok(None));
    living.unwrap().release();
    assert_eq!(k.try_wait(WaitTarget::Any).unwrap().unwrap().status, ExitStatus::default());
}

#[test]
fn a_claim_that_is_dropped_leaves_the_zombie() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let child = fork_and_exit(&mut k, ExitStatus::exited(3));
    let claim = k.claim_zombie(WaitTarget::Any).unwrap().unwrap();
    assert_eq!((claim.pid(), claim.status()), (child, ExitStatus::exited(3)));
    assert!(k.claim_zombie(WaitTarget::Any).unwrap().is_none(), "claimed by another");
    drop(claim);
    assert_eq!(k.claim_zombie(WaitTarget::Any).unwrap().unwrap().reap().pid, child);
}

/// An LWP that finds only a claimed zombie sleeps until the claim is given back, or the
/// child reaped; it takes another zombie, if there is one.
#[test]
fn a_claim_does_not_hide_the_child_from_another_lwps_wait() {
    let kernel = kernel();
    for reaps in [false, true] {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Share).unwrap();
        let (first, asleep) = (fork_and_exit(&mut k, ExitStatus::exited(1)), AtomicUsize::new(0));
        let other = k.new_lwp(k.pid()).unwrap();
        let claim = k.claim_zombie(WaitTarget::Any).unwrap().unwrap();
        let waited = std::thread::scope(|s| {
            let waits = s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.switch(other).unwrap();
                assert_eq!(k.try_wait(WaitTarget::Any), Ok(None), "it is there");
                assert_eq!(k.try_wait(WaitTarget::OwnPgrp), Ok(None), "it is there");
                asleep.store(k.lid().unwrap().0 as usize, SeqCst);
                let waited = k.wait(WaitTarget::Any).map(|reaped| reaped.pid);
                k.release().unwrap();
                waited
            });
            let is_asleep = || {
                let lid = Lid(asleep.load(SeqCst) as _);
                let guard = kernel.pin();
                guard.lwp(lid).is_some_and(|l| l.state() == LwpState::Sleeping)
            };
            while !is_asleep() {
                std::thread::yield_now();
            }
            if reaps {
                let _ = claim.reap();
            } else {
                drop(claim)
            }
            waits.join().unwrap()
        });
        assert_eq!(waited, if reaps { Err(WaitError::NoChild) } else { Ok(first) });
        fork_and_exit(&mut k, ExitStatus::exited(2));
        let second = fork_and_exit(&mut k, ExitStatus::exited(3));
        let claim = k.claim_zombie(WaitTarget::Pid(second)).unwrap().unwrap();
        assert_eq!(k.wait(WaitTarget::Any).unwrap().status, ExitStatus::exited(2));
        assert_eq!(k.try_wait(WaitTarget::Any), Ok(None));
        drop(claim);
        assert_eq!(k.wait(WaitTarget::Any).unwrap().status, ExitStatus::exited(3));
        k.release().unwrap();
    }
}

/// One LWP peeks all the time while another waits: it finds every child that has ended, and
/// the one that peeks sees it until it is reaped.
#[test]
fn a_peek_hides_nothing_from_another_lwps_wait() {
    const ROUNDS: usize = 2_000;
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let other = k.new_lwp(k.pid()).unwrap();
    let (rounds, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(other).unwrap();
            while rounds.load(SeqCst) < ROUNDS {
                for target in [WaitTarget::Any, WaitTarget::OwnPgrp] {
                    match k.try_wait(target.peek()) {
                        Ok(Some(child)) => {
                            assert_eq!(child.status, ExitStatus::exited(3));
                            seen.fetch_add(1, SeqCst);
                        }
                        Ok(None) | Err(WaitError::NoChild) => (),
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            k.release().unwrap();
        });
        for round in 0.. {
            let child = fork_and_exit(&mut k, ExitStatus::exited(3));
            let target = [WaitTarget::Any, WaitTarget::Pid(child), WaitTarget::OwnPgrp][round % 3];
            let waited = k.try_wait(target).map(|found| found.map(|reaped| reaped.pid));
            let at_end = round >= ROUNDS && seen.load(SeqCst) > 0;
            rounds.store(if at_end || waited != Ok(Some(child)) { ROUNDS } else { 0 }, SeqCst);
            assert_eq!(waited, Ok(Some(child)), "round {round}");
            if at_end {
                break;
            }
        }
    });
    k.release().unwrap();
}

/// A peek sleeps until a child of those that it means has ended, tells how, and what it
/// used, and leaves both to who reaps it; it looks through a claim.
#[test]
fn a_peek_tells_all_and_leaves_it() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    assert_eq!(k.wait(WaitTarget::Any.peek()), Err(WaitError::NoChild));
    let (lwp, living) = (k.spawn().start().unwrap(), k.spawn().start().unwrap());
    let (child, parent) = (lwp.pid(), k.switch(lwp).unwrap().unwrap());
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    k.resources().add_usage(Usage { minor_faults: 7, ..Usage::default() });
    let lwp = k.switch(parent).unwrap().unwrap();
    for target in [WaitTarget::Any, WaitTarget::Pid(child), WaitTarget::Pgrp(child)] {
        assert_eq!(k.try_wait(target.peek()), Ok(None));
    }
    let seen = std::thread::scope(|s| {
        let asleep = || kernel.pin().lwps().any(|l| l.state() == LwpState::Sleeping);
        s.spawn(move || {
            while !asleep() {
                std::thread::yield_now();
            }
            lwp.exit(ExitStatus::exited(3));
        });
        k.wait(WaitTarget::Pgrp(child).peek()).unwrap()
    });
    assert_eq!((seen.pid, seen.status, seen.usage.minor_faults), (child, ExitStatus::exited(3), 7));
    assert_eq!(k.resources().children_usage().minor_faults, 0);
    assert_eq!(k.try_wait(WaitTarget::OwnPgrp.peek()), Ok(None));
    let claim = k.claim_zombie(WaitTarget::Any).unwrap().unwrap();
    for target in [WaitTarget::Any, WaitTarget::Pid(child), WaitTarget::Pgrp(child)] {
        assert_eq!(k.try_wait(target.peek()), Ok(Some(seen)));
        assert_eq!(k.try_wait(target), Ok(None));
    }
    drop(claim);
    assert_eq!(k.wait(WaitTarget::Any), Ok(seen));
    assert_eq!(k.resources().children_usage().minor_faults, 7);
    assert_eq!(k.try_wait(WaitTarget::Pid(child).peek()), Err(WaitError::NoChild));
    assert_eq!(format!("{:?}", WaitFor::from(WaitTarget::Any)), "Any");
    assert_eq!(format!("{:?}", WaitTarget::Any.peek()), "Any.peek()");
    drop(living);
    k.release().unwrap();
    // init reaps by itself, and has nothing to look at.
    drop(k);
    let k = kernel.enter().unwrap();
    assert_eq!(k.try_wait(WaitTarget::Any.peek()), Err(WaitError::NoChild));
}

/// What a wait for any child costs does not depend on how many live.
#[test]
fn a_wait_looks_at_zombies_only() {
    const ROUNDS: usize = 200;
    let cost = |living: usize| {
        let kernel = kernel();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        // The oldest end.
        let end: Vec<_> = (0..ROUNDS).map(|_| k.spawn().start().unwrap()).collect();
        let live: Vec<_> = (0..living).map(|_| k.spawn().start().unwrap()).collect();
        // Of all rounds the quickest: what others do on the machine is in the rest.
        let mut least = std::time::Duration::MAX;
        for lwp in end {
            let pid = lwp.pid();
            let begin = std::time::Instant::now();
            assert_eq!(k.try_wait(WaitTarget::Any), Ok(None));
            let look = begin.elapsed();
            drop(lwp);
            let begin = std::time::Instant::now();
            assert_eq!(k.wait(WaitTarget::Any).unwrap().pid, pid);
            least = least.min(look + begin.elapsed());
        }
        drop(live);
        least
    };
    let (few, many) = (cost(10), cost(20_000));
    // A look at all of them takes milliseconds.
    assert!(many < few * 20 + std::time::Duration::from_micros(100), "{few:?}, then {many:?}");
}

#[test]
fn init_reaps_orphaned_zombies_and_its_own_children() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    for code in 0..10 {
        fork_and_exit(&mut k, ExitStatus::exited(code));
    }
    assert_eq!(kernel.counts().zombies, 10);
    k.release().unwrap();
    drop(k);
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.zombies, counts.ids), (2, 0, 2));
    drop(kernel.spawn().start().unwrap());
    assert_eq!(kernel.counts().zombies, 0, "proc0 reaps by itself too");
}

#[test]
fn with_autoreap_waiting_ends_in_echild() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!(k.try_wait(WaitTarget::Any), Ok(None));
    std::thread::scope(|s| {
        s.spawn(|| drop(child));
        assert_eq!(k.wait(WaitTarget::Any), Err(WaitError::NoChild));
    });
}

#[test]
fn wait_blocks_until_a_child_ends() {
    let kernel = kernel();
    for _ in 0..200 {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Share).unwrap();
        let parent = k.rfork(Rfork::Share).unwrap().unwrap();
        let child = k.switch(parent).unwrap().unwrap();
        let pid = child.pid();
        std::thread::scope(|s| {
            let kernel = &kernel;
            s.spawn(move || {
                let mut k = kernel.enter().unwrap();
                k.switch(child).unwrap();
                k.exit(ExitStatus::exited(7)).unwrap();
            });
            let reaped = k.wait(WaitTarget::Pid(pid)).unwrap();
            assert_eq!((reaped.pid, reaped.status.exit_code()), (pid, Some(7)));
        });
        k.release().unwrap();
    }
    assert_eq!(kernel.counts().procs, 2);
}

/// Two LWPs of one process wait for the same children: each child is reaped
/// exactly once, and both learn of the end.
#[test]
fn exactly_one_waiter_reaps() {
    let kernel = kernel();
    for _ in 0..100 {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Share).unwrap();
        let pid = k.pid();
        let children: Vec<Lwp> = (0..8)
            .map(|_| {
                let parent = k.rfork(Rfork::Share).unwrap().unwrap();
                k.switch(parent).unwrap().unwrap()
            })
            .collect();
        let sibling = kernel.new_lwp(pid).unwrap();
        let first = k.unbind().unwrap().unwrap();
        drop(k);
        let (reaped, start) = (AtomicUsize::new(0), Barrier::new(3));
        std::thread::scope(|s| {
            for lwp in [first, sibling] {
                let (kernel, reaped, start) = (&kernel, &reaped, &start);
                s.spawn(move || {
                    let mut k = kernel.enter().unwrap();
                    k.switch(lwp).unwrap();
                    start.wait();
                    while k.wait(WaitTarget::Any).is_ok() {
                        reaped.fetch_add(1, SeqCst);
                    }
                    k.release().unwrap();
                });
            }
            start.wait();
            drop(children);
        });
        assert_eq!(reaped.load(SeqCst), 8);
        assert_eq!(kernel.counts().procs, 2);
        assert_eq!(kernel.counts().zombies, 0);
    }
}
