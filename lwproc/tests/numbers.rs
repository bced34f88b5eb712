//! Which numbers processes and LWPs get, under each numbering.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;

const ALL: [Numbering; 3] = [Numbering::Generations, Numbering::Dense, Numbering::Cyclic];

fn kernel(numbering: Numbering) -> Kernel {
    Kernel::builder().numbering(numbering).build().unwrap()
}

fn cyclic(capacity: usize) -> Kernel {
    Kernel::builder().numbering(Numbering::Cyclic).id_capacity(capacity).build().unwrap()
}

/// Makes a process, and lets it go.
fn fork_and_end(kernel: &Kernel) -> i32 {
    kernel.spawn().start().unwrap().pid().0
}

#[test]
fn the_largest_number_of_many_forks() {
    let largest = |numbering| {
        let kernel = kernel(numbering);
        (0..6_000).map(|_| fork_and_end(&kernel)).max()
    };
    assert_eq!(ALL.map(largest), [Some(157_286_480), Some(80), Some(6_001)], "as the table says");
}

#[test]
fn numbers_stay_within_the_capacity_and_each_can_be_had() {
    for numbering in [Numbering::Dense, Numbering::Cyclic] {
        for capacity in [5, 150, 700] {
            let builder = Kernel::builder().numbering(numbering);
            let kernel = builder.id_capacity(capacity).build().unwrap();
            assert_eq!(kernel.id_capacity(), capacity);
            for round in 0..4 {
                kernel.set_last_number(Pid(0)).ok();
                let held: Vec<_> =
                    (2..=capacity).map(|_| kernel.spawn().start().unwrap()).collect();
                let mut pids: Vec<_> = held.iter().map(|lwp| lwp.pid().0).collect();
                pids.sort_unstable();
                let all: Vec<_> = (2..=capacity as i32).collect();
                assert_eq!(pids, all, "{numbering:?}, round {round}");
                assert_eq!(kernel.spawn().start().map(drop), Err(SpawnError::IdsExhausted));
                let more = kernel.new_lwp(held[0].pid()).map(drop);
                assert_eq!(more, Err(NewLwpError::IdsExhausted));
            }
        }
    }
}

/// The last number of a kernel with few: it is used again at once, and who knew its
/// bearer by a handle is not deceived.
#[test]
fn a_number_that_is_used_again_names_the_new_bearer() {
    for numbering in [Numbering::Dense, Numbering::Cyclic] {
        let kernel = Kernel::builder().numbering(numbering).id_capacity(2).build().unwrap();
        let mut seen = HashSet::new();
        let mut before: Option<ProcHandle> = None;
        for _ in 0..100 {
            let lwp = kernel.spawn().start().unwrap();
            assert_eq!((lwp.pid(), lwp.lid()), (Pid(2), Lid(2)));
            let handle = kernel.pin().proc(Pid(2)).unwrap().handle().unwrap();
            assert!(seen.insert(handle.identity()), "an identity was given twice");
            if let Some(before) = before.replace(handle) {
                assert_eq!(before.pid(), Pid(2));
                assert!(!before.is_alive());
                assert_eq!(before.new_lwp().map(drop), Err(NewLwpError::NoSuchProcess));
            }
            for wrong in [Pid(1 << 21 | 2), Pid(1 << 30 | 2), Pid(i32::MAX), Pid(-2)] {
                assert!(kernel.pin().proc(wrong).is_none(), "{wrong}");
            }
        }
    }
}

#[test]
fn linux_order_goes_round_past_the_low_numbers() {
    let kernel = cyclic(310);
    assert_eq!(kernel.last_number(), Some(Pid::INIT));
    let held: Vec<_> = (2..=9).map(|_| kernel.spawn().start().unwrap()).collect();
    assert!(held.iter().map(|lwp| lwp.pid().0).eq(2..=9));
    // An LWP has a number of the same order.
    let lwp = kernel.new_lwp(Pid(4)).unwrap();
    assert_eq!((lwp.pid(), lwp.lid()), (Pid(4), Lid(10)));
    drop((lwp, held));
    assert!((0..300).map(|_| fork_and_end(&kernel)).eq(11..=310));
    let more: Vec<_> = (0..15).map(|_| fork_and_end(&kernel)).collect();
    assert!(more.iter().copied().eq((300..=310).chain(300..=303)), "{more:?}");
    assert_eq!(kernel.last_number(), Some(Pid(303)));
}

/// Only where there are numbers above them, they are kept.
#[test]
fn few_numbers_go_round_to_the_lowest() {
    let kernel = cyclic(299);
    let numbers: Vec<_> = (0..600).map(|_| fork_and_end(&kernel)).collect();
    assert!(numbers.iter().copied().eq((0..600).map(|n| 2 + n % 298)), "{numbers:?}");
}

/// A process of its own, current from now on.
fn start(k: &mut Entered<'_>) -> Pid {
    k.rfork(Rfork::Fresh).unwrap();
    k.pid()
}

/// A child of the current process, which goes on.
fn child(k: &mut Entered<'_>) -> Lwp {
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    k.switch(parent).unwrap().unwrap()
}

/// Does that as the LWP, which then ends.
fn last_act(k: &mut Entered<'_>, lwp: Lwp, act: impl FnOnce(&mut Entered<'_>)) {
    let before = k.switch(lwp).unwrap().unwrap();
    act(k);
    k.release().unwrap();
    k.switch(before).unwrap();
}

/// While a zombie, a group or a session has it.
#[test]
fn a_number_is_passed_over_until_nobody_bears_it() {
    for session in [false, true] {
        let builder = Kernel::builder().numbering(Numbering::Cyclic).id_capacity(310);
        let kernel = builder.wait_policy(WaitPolicy::Wait).build().unwrap();
        let mut k = kernel.enter().unwrap();
        start(&mut k);
        kernel.set_last_number(Pid(300)).unwrap();
        let next = |pid| {
            kernel.set_last_number(Pid(300)).unwrap();
            assert_eq!(fork_and_end(&kernel), pid);
        };
        let leader = child(&mut k);
        let mut other = None;
        last_act(&mut k, leader, |k| {
            if session {
                k.groups().setsid().unwrap();
            } else {
                k.groups().setpgid(Pid(0), Pid(0)).unwrap();
            }
            assert_eq!(k.pid(), Pid(301));
            other = Some(child(k));
        });
        next(303);
        // init reaps its own, and the leader is the current process's.
        assert_eq!(k.try_wait(WaitTarget::Any).unwrap().map(|reaped| reaped.pid), Some(Pid(301)));
        assert!(kernel.pin().proc(Pid(301)).is_none());
        next(303);
        last_act(&mut k, other.unwrap(), |k| {
            assert_eq!((k.pid(), k.groups().pgid()), (Pid(302), Pid(301)));
            if session {
                // The session keeps the number, whose group has gone.
                k.groups().setpgid(Pid(0), Pid(0)).unwrap();
                assert!(kernel.pin().pgrp(Pid(301)).is_none());
                next(303);
            }
        });
        next(301);
    }
}

#[test]
fn the_capacity_can_be_changed() {
    let kernel = cyclic(400);
    kernel.set_last_number(Pid(398)).unwrap();
    let [high, low] = [(); 2].map(|()| kernel.spawn().start().unwrap());
    assert_eq!((high.pid(), low.pid()), (Pid(399), Pid(400)));
    kernel.set_id_capacity(310).unwrap();
    assert_eq!((kernel.id_capacity(), fork_and_end(&kernel)), (310, 300));
    // What is above stays, and is found.
    assert!(kernel.pin().proc(Pid(399)).is_some());
    assert!(kernel.pin().procs().any(|proc| proc.pid() == Pid(400)));
    drop((high, low));
    kernel.set_id_capacity(1 << 20).unwrap();
    kernel.set_last_number(Pid(1 << 20)).unwrap();
    assert_eq!(fork_and_end(&kernel), 300);
    kernel.set_last_number(Pid((1 << 20) - 1)).unwrap();
    assert_eq!([(); 2].map(|()| fork_and_end(&kernel)), [1 << 20, 300]);
}

#[test]
fn what_cannot_be_set_changes_nothing() {
    for numbering in [Numbering::Generations, Numbering::Dense] {
        let kernel = kernel(numbering);
        assert_eq!((kernel.id_capacity(), kernel.last_number()), ((1 << 21) - 1, None));
        assert_eq!(kernel.set_id_capacity(10), Err(NumberingError::NotCyclic));
        assert_eq!(kernel.set_last_number(Pid(10)), Err(NumberingError::NotCyclic));
        assert_eq!(NumberingError::NotCyclic.errno(), Errno::EOPNOTSUPP);
        assert_eq!(kernel.id_capacity(), (1 << 21) - 1);
    }
    let kernel = kernel(Numbering::Cyclic);
    assert_eq!(kernel.id_capacity(), 32_767);
    for capacity in [0, 1 << 30, usize::MAX] {
        assert_eq!(kernel.set_id_capacity(capacity), Err(NumberingError::OutOfRange));
    }
    for last in [-1, i32::MIN, 32_769, i32::MAX] {
        assert_eq!(kernel.set_last_number(Pid(last)), Err(NumberingError::OutOfRange), "{last}");
    }
    assert_eq!(NumberingError::OutOfRange.errno(), Errno::EINVAL);
    assert_eq!((kernel.id_capacity(), kernel.last_number()), (32_767, Some(Pid::INIT)));
    // Linux takes `pid_max` itself.
    kernel.set_last_number(Pid(32_768)).unwrap();
    assert_eq!(fork_and_end(&kernel), 300);
}

#[test]
fn threads_at_once_get_numbers_of_their_own() {
    for numbering in [Numbering::Dense, Numbering::Cyclic] {
        // Without the low ones there are enough for all.
        let builder = Kernel::builder().numbering(numbering).id_capacity(800);
        let kernel = builder.build().unwrap();
        let borne = Mutex::new(HashSet::new());
        let work = || {
            let mut held = Vec::new();
            for n in 0..3_000 {
                if n % 7 < 4 && held.len() < 90 {
                    let Ok(lwp) = kernel.spawn().start() else {
                        // One that another thread is moving is missed.
                        assert_eq!(numbering, Numbering::Dense);
                        continue;
                    };
                    assert!((2..=800).contains(&lwp.pid().0));
                    assert!(borne.lock().unwrap().insert(lwp.pid()), "{} twice", lwp.pid());
                    held.push(lwp);
                } else if let Some(lwp) = held.pop() {
                    assert!(borne.lock().unwrap().remove(&lwp.pid()));
                    drop(lwp);
                }
            }
            for lwp in held {
                borne.lock().unwrap().remove(&lwp.pid());
            }
        };
        thread::scope(|s| (0..4).for_each(|_| drop(s.spawn(work))));
        assert_eq!(kernel.counts().ids, 2);
    }
}
