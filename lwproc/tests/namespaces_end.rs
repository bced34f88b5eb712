//! The end of a pid namespace's init, which ends all in it.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/namespaces.rs"]
#[allow(dead_code)]
mod common;

use common::*;
use lwproc::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

#[test]
fn the_end_of_init_ends_all() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, mut children) = namespace(&mut k, 3);
    let outer = init.pid();
    let held = children.pop().unwrap();
    let (held, inner) = act(&mut k, held, |k| k.spawn().new_namespace(MAX).start().unwrap());
    // One is parked, one a zombie.
    let _parked = children.pop().unwrap().unclaim();
    drop(children.pop());
    end(&mut k, init, 5);
    assert_eq!(state(&kernel, outer), Some(ProcState::Dying));
    assert_eq!(k.try_wait(WaitTarget::Any), Ok(None));
    assert_eq!(kernel.counts().zombies, 0);
    let (held, ()) = act(&mut k, held, |k| {
        assert!(k.must_exit());
        assert_eq!((k.pid(), k.ppid()), (Pid(4), Pid(1)));
        let refused = k.rfork(Rfork::Share).unwrap_err();
        assert_eq!((refused, refused.errno()), (ForkError::NamespaceEnded, Errno::ENOMEM));
        let refused = k.spawn().new_namespace(MAX).start().unwrap_err();
        assert_eq!((refused, refused.errno()), (SpawnError::NamespaceEnded, Errno::ENOMEM));
    });
    drop(held);
    assert_eq!(state(&kernel, outer), Some(ProcState::Dying), "one is left, further inside");
    drop(inner);
    assert_eq!(state(&kernel, outer), Some(ProcState::Zombie));
    let found = k.wait(WaitTarget::Any).unwrap();
    assert_eq!((found.pid, found.status.exit_code()), (outer, Some(5)));
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (3, 3, 0, 3));
}

#[test]
fn who_waits_for_init_sleeps_until_all_are_gone() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, children) = namespace(&mut k, 2);
    let handle = root(&kernel, &init);
    end(&mut k, init, 6);
    let gone = AtomicUsize::new(0);
    std::thread::scope(|s| {
        s.spawn(|| {
            for child in children {
                std::thread::sleep(Duration::from_millis(10));
                gone.fetch_add(1, SeqCst);
                drop(child);
            }
        });
        assert_eq!(handle.exited().block().exit_code(), Some(6));
        assert_eq!(gone.load(SeqCst), 2);
        assert_eq!(k.wait(WaitTarget::Any).unwrap().status.exit_code(), Some(6));
    });
}

#[test]
fn with_every_policy_of_waits_and_signals_it_ends() {
    for signals in [SigModel::Record, SigModel::Ignore] {
        for policy in [WaitPolicy::Wait, WaitPolicy::AutoReap] {
            let kernel = Kernel::builder().signal_model(signals).wait_policy(policy);
            let kernel = kernel.build().unwrap();
            let mut k = shell(&kernel);
            let (init, children) = namespace(&mut k, 2);
            let outer = init.pid();
            end(&mut k, init, 0);
            assert_eq!(state(&kernel, outer), Some(ProcState::Dying));
            let told = children.into_iter().map(|child| act(&mut k, child, |k| k.must_exit()).1);
            assert_eq!(told.collect::<Vec<_>>(), [true, true]);
            let now = (policy == WaitPolicy::Wait).then_some(ProcState::Zombie);
            assert_eq!(state(&kernel, outer), now);
            let _ = k.try_wait(WaitTarget::Any);
            assert_eq!(kernel.counts().procs, 3);
        }
    }
}

#[test]
fn what_is_left_of_one_goes_with_the_kernel() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, children) = namespace(&mut k, 2);
    end(&mut k, init, 0);
    drop(k);
    let report = kernel.shutdown();
    assert_eq!(report.survivors.len(), 2);
    drop(children);
    // And where nothing ends it before.
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, children) = namespace(&mut k, 2);
    let (init, ()) = act(&mut k, init, |k| assert_eq!(k.groups().setpgid(Pid(2), Pid(2)), Ok(())));
    drop((init.unclaim(), children.into_iter().map(Lwp::unclaim).collect::<Vec<_>>()));
    drop(k);
    assert_eq!(kernel.shutdown().survivors, []);
}

/// Threads fork inside, and inside of that, while init ends: nothing is left.
#[test]
fn nobody_escapes_the_end_of_init() {
    let rounds = if cfg!(miri) { 3 } else { 300 };
    for signals in [SigModel::Record, SigModel::Ignore] {
        let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).signal_model(signals);
        let kernel = kernel.build().unwrap();
        for round in 0..rounds {
            let mut k = shell(&kernel);
            let (init, forkers) = namespace(&mut k, 2);
            let start = Barrier::new(3);
            std::thread::scope(|s| {
                for forker in forkers {
                    s.spawn(|| {
                        let mut k = kernel.enter_as(forker).unwrap();
                        start.wait();
                        for turn in 0.. {
                            let spawn = k.spawn();
                            let spawn =
                                if turn % 8 == 7 { spawn.new_namespace(MAX) } else { spawn };
                            match spawn.start() {
                                // Some are left running by nobody, some become zombies.
                                Ok(child) if turn % 3 == 0 => drop(child.unclaim()),
                                Ok(child) if turn % 3 == 1 => drop(child),
                                Ok(child) => drop(k.switch(child).unwrap().unwrap()),
                                Err(why) => {
                                    assert_eq!(why, SpawnError::NamespaceEnded);
                                    break;
                                }
                            }
                        }
                    });
                }
                start.wait();
                for _ in 0..round % 50 {
                    std::hint::spin_loop();
                }
                end(&mut k, init, 0);
                assert_eq!(k.wait(WaitTarget::Any).unwrap().status.exit_code(), Some(0));
            });
            k.release().unwrap();
            drop(k);
            let counts = kernel.counts();
            assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
        }
    }
}
