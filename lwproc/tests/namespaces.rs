//! Pid namespaces: each clause of pid_namespaces(7), as measured on Linux. Their end is in
//! `namespaces_end.rs`.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/namespaces.rs"]
#[allow(dead_code)]
mod common;

use common::*;
use lwproc::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

const KILL: i32 = 9;
const USR1: i32 = 10;
const TERM: i32 = 15;
const CONT: i32 = 18;
const STOP: i32 = 19;
const TSTP: i32 = 20;

#[test]
fn the_first_process_is_number_1_and_its_parent_0() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, children) = namespace(&mut k, 2);
    let (own, outer) = (k.pid(), init.pid());
    let (init, ()) = act(&mut k, init, |k| {
        assert_eq!((k.pid(), k.ppid(), k.lid()), (Pid(1), Pid(0), Some(Lid(1))));
        assert_eq!([0, 1].map(|n| here(k, &children[n])), [Some(Pid(2)), Some(Pid(3))]);
        let current = k.curlwp().unwrap();
        assert_eq!((current.pid(), current.lid()), (Pid(1), Lid(1)));
        // Outside there is nobody.
        assert_eq!(k.signals().kill(KillTarget::Proc(own), 0), Err(KillError::NoSuchProcess));
        assert_eq!(k.groups().pgid_of(own), Err(GroupError::NoSuchProcess));
        assert_eq!(k.groups().sid_of(outer), Err(GroupError::NoSuchProcess));
        let mine = k.process().namespace();
        assert_eq!(mine.procs(&k.pin()).count(), 3);
        assert!(mine.proc(&k.pin(), own).is_none());
        assert_eq!(mine.pid_of(&k.pin().proc(own).unwrap()), None);
    });
    let (child, ()) = act(&mut k, children.into_iter().next().unwrap(), |k| {
        assert_eq!((k.pid(), k.ppid()), (Pid(2), Pid(1)));
    });
    // To the namespace around it is a process as others.
    assert_eq!(k.process().namespace().level(), 0);
    assert_eq!(kernel.pin().proc(outer).unwrap().ppid(), own);
    drop((init, child));
    assert_eq!(k.wait(WaitTarget::Any).unwrap().pid, outer);
}

#[test]
fn a_process_has_a_number_in_each() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, mut children) = namespace(&mut k, 1);
    let child = children.pop().unwrap();
    let (child, (inner, grandchild)) = act(&mut k, child, |k| {
        let inner = k.spawn().new_namespace(MAX).start().unwrap();
        assert_eq!(here(k, &inner), Some(Pid(3)));
        act(k, inner, |k| {
            assert_eq!((k.pid(), k.ppid()), (Pid(1), Pid(0)));
            k.spawn().start().unwrap()
        })
    });
    let guard = kernel.pin();
    let of = |lwp: &Lwp| guard.proc(lwp.pid()).unwrap();
    let spaces = [
        of(&inner).namespace(),
        of(&init).namespace(),
        of(&inner).namespace().outer().unwrap().outer().unwrap(),
    ];
    assert_eq!(spaces.each_ref().map(PidNamespace::level), [2, 1, 0]);
    assert_eq!(spaces[0].outer(), Some(spaces[1].clone()));
    let numbers = |lwp: &Lwp| spaces.each_ref().map(|space| space.pid_of(&of(lwp)).map(|n| n.0));
    assert_eq!(numbers(&grandchild), [Some(2), Some(4), Some(grandchild.pid().0)]);
    assert_eq!(numbers(&inner), [Some(1), Some(3), Some(inner.pid().0)]);
    assert_eq!(numbers(&child), [None, Some(2), Some(child.pid().0)]);
    assert_eq!(spaces.each_ref().map(|space| space.procs(&guard).count()), [2, 4, 7]);
    drop(guard);
    // 32 are the most.
    let mut at = vec![grandchild];
    for level in 3..=33 {
        let parent = at.pop().unwrap();
        let (parent, made) = act(&mut k, parent, |k| k.spawn().new_namespace(MAX).start());
        at.push(parent);
        match made {
            Ok(child) => at.push(child),
            Err(why) => assert_eq!(
                (level, why, why.errno()),
                (33, SpawnError::NamespaceDepth, Errno::ENOSPC)
            ),
        }
    }
    let deepest = at.last().unwrap();
    assert_eq!(kernel.pin().proc(deepest.pid()).unwrap().namespace().level(), 32);
    end(&mut k, init, 0);
    drop((child, inner, at));
    k.wait(WaitTarget::Any).unwrap();
    assert_eq!(kernel.counts().procs, 3);
}

#[test]
fn an_lwp_has_a_number_in_each_too() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, _) = namespace(&mut k, 0);
    let (init, further) = act(&mut k, init, |k| {
        let further = k.new_lwp(Pid(1)).unwrap();
        let (further, ()) = act(k, further, |k| {
            assert_eq!((k.pid(), k.lid()), (Pid(1), Some(Lid(2))));
            assert_eq!(k.curlwp().unwrap().lid(), Lid(2));
        });
        assert_eq!(k.new_lwp(Pid(2)).unwrap_err(), NewLwpError::NoSuchProcess);
        let guard = k.pin();
        let found = k.process().namespace().lwp(&guard, Lid(2)).unwrap();
        assert_eq!(found.lid(), further.lid());
        assert_eq!(k.process().namespace().lid_of(&found), Some(Lid(2)));
        let kill = |target, signal| k.signals().kill(target, signal);
        assert_eq!(kill(KillTarget::LwpOf(Pid(1), Lid(2)), 0), Ok(()));
        assert_eq!(kill(KillTarget::Lwp(Lid(2)), 0), Ok(()));
        assert_eq!(kill(KillTarget::LwpOf(Pid(2), Lid(2)), 0), Err(KillError::NoSuchProcess));
        assert_eq!(kill(KillTarget::Lwp(further.lid()), 0), Err(KillError::NoSuchProcess));
        // By Linux's rules the number of a further LWP means its process.
        assert_eq!(kill(KillTarget::Proc(Pid(2)), 0), Ok(()));
        assert_eq!(k.groups().pgid_of(Pid(2)), Ok(Pid(0)));
        assert_eq!(k.groups().setpgid(Pid(2), Pid(0)), Err(GroupError::NumberOfLwp));
        assert_eq!(kill(KillTarget::Proc(Pid(further.lid().0)), 0), Err(KillError::NoSuchProcess));
        further
    });
    further.release();
    let (_init, ()) = act(&mut k, init, |k| {
        assert_eq!(k.signals().kill(KillTarget::Lwp(Lid(2)), 0), Err(KillError::NoSuchProcess));
        k.process().namespace().set_last(Pid(1));
        assert_eq!(here(k, &k.spawn().start().unwrap()), Some(Pid(2)), "given back");
    });
}

#[test]
fn numbers_begin_at_1_and_wrap_to_300() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let init = k.spawn().new_namespace(303).start().unwrap();
    let (_init, ()) = act(&mut k, init, |k| {
        let numbers = k.process().namespace();
        assert_eq!((numbers.max(), numbers.last()), (Some(303), Some(Pid(1))));
        let fork = |k: &Entered<'_>| k.spawn().start().map(|lwp| (here(k, &lwp).unwrap().0, lwp));
        let reap = |k: &Entered<'_>| k.wait(WaitTarget::Any).unwrap();
        let (first, lwp) = fork(k).unwrap();
        assert_eq!(first, 2);
        drop(lwp);
        assert_eq!(reap(k).pid, Pid(2));
        numbers.set_last(Pid(299));
        let held: Vec<_> = (300..303).map(|_| fork(k).unwrap()).collect();
        assert_eq!(held.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [300, 301, 302]);
        let full = fork(k).unwrap_err();
        assert_eq!((full, full.errno()), (SpawnError::IdsExhausted, Errno::EAGAIN));
        drop(held);
        for n in [302, 301, 300] {
            assert_eq!(reap(k).pid, Pid(n));
        }
        let (again, lwp) = fork(k).unwrap();
        assert_eq!(again, 300);
        drop(lwp);
        reap(k);
        numbers.set_max(400);
        numbers.set_last(Pid(349));
        assert_eq!(fork(k).unwrap().0, 350);
        reap(k);
    });
}

#[test]
fn a_number_in_use_as_a_group_or_session_is_not_given_again() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, mut children) = namespace(&mut k, 1);
    let (leader, member) = act(&mut k, children.pop().unwrap(), |k| {
        assert_eq!(k.groups().setsid(), Ok(Pid(2)));
        assert_eq!((k.groups().pgid(), k.groups().sid()), (Pid(2), Pid(2)));
        k.spawn().start().unwrap()
    });
    drop(leader);
    let (init, ()) = act(&mut k, init, |k| {
        let kernels = k.pin().proc(member.pid()).unwrap().pgid().unwrap();
        let numbers = k.process().namespace();
        assert_eq!(k.wait(WaitTarget::Pid(Pid(2))).unwrap().pid, Pid(2));
        let next = |k: &Entered<'_>| {
            numbers.set_last(Pid(1));
            let number = here(k, &k.spawn().start().unwrap()).unwrap().0;
            k.wait(WaitTarget::Pid(Pid(number))).unwrap();
            number
        };
        assert_eq!(next(k), 4);
        assert_eq!(k.groups().pgid_of(Pid(3)), Ok(Pid(2)));
        assert_eq!(k.signals().kill(KillTarget::Pgrp(Pid(2)), 0), Ok(()));
        assert_eq!(k.signals().kill(KillTarget::Session(Pid(2)), 0), Ok(()));
        assert_eq!(k.signals().kill(KillTarget::Pgrp(kernels), 0), Err(KillError::NoSuchProcess));
        let group = numbers.pgrp(&k.pin(), Pid(2)).unwrap().identity();
        assert_eq!(kernel.pin().pgrp(kernels).unwrap().identity(), group);
        drop(member);
        assert_eq!(k.wait(WaitTarget::Pgrp(Pid(2))).unwrap().pid, Pid(3));
        assert!(numbers.pgrp(&k.pin(), Pid(2)).is_none());
        assert_eq!(next(k), 2, "its last bearer has gone");
    });
    drop(init);
}

#[test]
fn a_group_or_session_led_outside_is_0() {
    let kernel = linux();
    let mut k = shell(&kernel);
    k.groups().setsid().unwrap();
    let sid = k.groups().sid();
    let (init, _) = namespace(&mut k, 0);
    let outer = init.pid();
    let (init, ()) = act(&mut k, init, |k| {
        assert_eq!((k.groups().pgid(), k.groups().sid()), (Pid(0), Pid(0)));
        assert_eq!(k.groups().pgid_of(Pid(1)), Ok(Pid(0)));
        assert_eq!(k.groups().sid_of(Pid(0)), Ok(Pid(0)));
        assert_eq!(k.signals().kill(KillTarget::Pgrp(sid), 0), Err(KillError::NoSuchProcess));
        // Its own group is meant with all its members.
        k.signals().kill(KillTarget::OwnPgrp, USR1).unwrap();
    });
    assert_eq!(k.signals().take(), Some(signo(USR1)));
    assert_eq!(k.groups().pgid_of(outer), Ok(sid));
    // A parent outside moves it, and both know the group by their own numbers.
    k.groups().setpgid(outer, outer).unwrap();
    let (init, ()) = act(&mut k, init, |k| {
        assert_eq!((k.groups().pgid(), k.groups().sid()), (Pid(1), Pid(0)));
        let child = k.spawn().group(SpawnGroup::Join(Pid(1))).start().unwrap();
        let second = k.spawn().start().unwrap();
        assert_eq!(k.groups().pgid_of(Pid(2)), Ok(Pid(1)));
        k.groups().setpgid(Pid(2), Pid(0)).unwrap();
        assert_eq!(k.groups().pgid_of(Pid(2)), Ok(Pid(2)));
        k.groups().setpgid(Pid(3), Pid(2)).unwrap();
        assert_eq!(k.groups().setpgid(Pid(3), Pid(77)), Err(GroupError::NoSuchGroup));
        assert_eq!(k.groups().setpgid(Pid(77), Pid(0)), Err(GroupError::NoSuchProcess));
        assert_eq!(k.groups().setpgid(Pid(2), sid), Err(GroupError::NoSuchGroup));
        assert_eq!(k.groups().setpgid(Pid(2), Pid(-2)), Err(GroupError::BadNumber));
        let refused = k.spawn().group(SpawnGroup::Join(sid)).start().unwrap_err();
        assert_eq!(refused, SpawnError::Group(GroupError::NoSuchGroup));
        assert_eq!(k.try_wait(WaitTarget::Pgrp(Pid(2))), Ok(None));
        assert_eq!(k.try_wait(WaitTarget::Pgrp(Pid(77))), Err(WaitError::NoChild));
        assert_eq!(k.try_wait(WaitTarget::Pid(Pid(77))), Err(WaitError::NoChild));
        assert_eq!(k.try_wait(WaitTarget::Pid(child.pid())), Err(WaitError::NoChild));
        drop((child, second));
        let reaped = [(); 2].map(|()| k.wait(WaitTarget::Pgrp(Pid(2))).unwrap().pid.0);
        assert_eq!(reaped.iter().sum::<i32>(), 5);
    });
    drop(init);
}

#[test]
fn orphans_go_to_the_namespaces_init() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, mut children) = namespace(&mut k, 1);
    let (child, [living, dead]) = act(&mut k, children.pop().unwrap(), |k| {
        let [living, dead] = [(); 2].map(|()| k.spawn().start().unwrap());
        end(k, dead, 7);
        let dead = k.try_wait(WaitTarget::Any.peek()).unwrap().unwrap().pid;
        [(living.pid(), Some(living)), (dead, None)]
    });
    assert_eq!(dead.0, Pid(4));
    let (living_pid, living) = (living.0, living.1.unwrap());
    end(&mut k, child, 3);
    let (living, ppid) = act(&mut k, living, |k| k.ppid());
    assert_eq!(ppid, Pid(1));
    let (init, ()) = act(&mut k, init, |k| {
        // Its own child, and the zombie that it has inherited.
        let mut found = [(); 2].map(|()| {
            let reaped = k.wait(WaitTarget::Any).unwrap();
            (reaped.pid.0, reaped.status.exit_code().unwrap())
        });
        found.sort();
        assert_eq!(found, [(2, 3), (4, 7)]);
        assert_eq!(k.try_wait(WaitTarget::Any), Ok(None));
        // It was told.
        assert_eq!(k.signals().pending(), SigSet::EMPTY, "SIGCHLD is ignored by default");
        k.signals().set_disposition(17, Disposition::Catch).unwrap();
    });
    end(&mut k, living, 1);
    assert_eq!(state(&kernel, living_pid), Some(ProcState::Zombie));
    let (init, ()) = act(&mut k, init, |k| {
        assert_eq!(k.signals().take(), Some(signo(17)));
        assert_eq!(k.wait(WaitTarget::Pid(Pid(3))).unwrap().status.exit_code(), Some(1));
    });
    drop(init);
}

#[test]
fn an_inherited_zombie_wakes_and_tells_init() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, mut children) = namespace(&mut k, 1);
    let (init, ()) = act(&mut k, init, |k| {
        k.signals().set_disposition(17, Disposition::Catch).unwrap();
        k.signals().set_blocked(SigSet::from(signo(17))).unwrap();
    });
    // Its grandchild hands a zombie on, and is a zombie of another itself.
    let (child, grandchild) = act(&mut k, children.pop().unwrap(), |k| {
        let grandchild = k.spawn().start().unwrap();
        act(k, grandchild, |k| drop(k.spawn().start().unwrap())).0
    });
    let asleep = AtomicBool::new(false);
    std::thread::scope(|s| {
        let waits = s.spawn(|| {
            let k = kernel.enter_as(init).unwrap();
            asleep.store(true, SeqCst);
            let found = k.wait(WaitTarget::Any).unwrap().pid.0;
            assert!(k.signals().pending().contains(signo(17)));
            found
        });
        while !asleep.load(SeqCst) {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_millis(5));
        grandchild.exit(ExitStatus::exited(0));
        assert_eq!(waits.join().unwrap(), 4);
        drop(child);
    });
}

#[test]
fn a_kill_of_all_from_inside_reaches_those_inside_but_init() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let outside = k.spawn().start().unwrap();
    let (beside, besides) = namespace(&mut k, 1);
    let (init, mut children) = namespace(&mut k, 2);
    let (sender, other) = (children.remove(0), children.remove(0));
    let (other, inner) = act(&mut k, other, |k| k.spawn().new_namespace(MAX).start().unwrap());
    let (sender, ()) = act(&mut k, sender, |k| {
        k.signals().kill(KillTarget::All, USR1).unwrap();
        k.signals().kill(KillTarget::User(0), TERM).unwrap();
        assert!(!k.signals().pending().contains(signo(USR1)), "not to itself");
    });
    let pending = |lwp: &Lwp| kernel.pin().proc(lwp.pid()).unwrap().pending();
    assert!(pending(&other).contains(signo(USR1)));
    assert_eq!(pending(&outside), SigSet::EMPTY);
    assert_eq!(pending(&besides[0]), SigSet::EMPTY, "another namespace, as deep");
    assert_eq!(k.signals().pending(), SigSet::EMPTY);
    // Both inits leave it at the default.
    assert_eq!((pending(&init), pending(&inner)), (SigSet::EMPTY, SigSet::EMPTY));
    assert!(pending(&sender).contains(signo(TERM)));
    // SIGKILL is from outside for the inner one.
    let (sender, ()) = act(&mut k, sender, |k| k.signals().kill(KillTarget::All, KILL).unwrap());
    assert!(!act(&mut k, besides.into_iter().next().unwrap(), |k| k.must_exit()).1);
    drop((other, inner, outside, beside));
    let (init, ()) = act(&mut k, init, |k| {
        assert_eq!(k.process().namespace().procs(&k.pin()).count(), 4);
        for _ in 0..2 {
            let status = k.wait(WaitTarget::Any).unwrap().status;
            assert_eq!(status.signal(), Some(9));
        }
        assert_eq!(k.signals().kill(KillTarget::Proc(Pid(2)), 0), Ok(()));
    });
    drop((init, sender));
}

#[test]
fn its_init_is_immune_from_inside() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, mut children) = namespace(&mut k, 1);
    let outer = init.pid();
    let (init, ()) = act(&mut k, init, |k| {
        for signal in [KILL, STOP, TERM, TSTP] {
            assert_eq!(k.signals().kill(KillTarget::Proc(Pid(1)), signal), Ok(()));
        }
    });
    let (child, inner) = act(&mut k, children.pop().unwrap(), |k| {
        for signal in [KILL, STOP, TERM, TSTP] {
            assert_eq!(k.signals().kill(KillTarget::Proc(Pid(1)), signal), Ok(()));
        }
        k.spawn().new_namespace(MAX).start().unwrap()
    });
    // From further inside there is no number for it, but for its group.
    let (inner, ()) = act(&mut k, inner, |k| {
        k.signals().kill(KillTarget::Proc(Pid(1)), KILL).unwrap();
    });
    assert_eq!(state(&kernel, outer), Some(ProcState::Active));
    assert_eq!(state(&kernel, inner.pid()), Some(ProcState::Active));
    assert_eq!(kernel.pin().proc(outer).unwrap().pending(), SigSet::EMPTY);
    // What it leaves at the default does nothing from outside either; blocked it pends, and
    // does nothing when it is taken.
    let (init, ()) = act(&mut k, init, |k| {
        k.signals().set_blocked(SigSet::from(Signo::TERM)).unwrap();
        k.signals().set_disposition(USR1, Disposition::Catch).unwrap();
    });
    for signal in [TERM, USR1, 2, TSTP] {
        assert_eq!(k.signals().kill(KillTarget::Proc(outer), signal), Ok(()));
    }
    let (init, ()) = act(&mut k, init, |k| {
        // That it is said anew what it does by default discards it not.
        k.signals().set_disposition(TERM, Disposition::Default).unwrap();
        assert!(k.signals().pending().contains(Signo::TERM));
        k.signals().set_blocked(SigSet::EMPTY).unwrap();
        assert_eq!([(); 2].map(|()| k.signals().take()), [Some(signo(USR1)), None]);
    });
    // SIGSTOP from outside; SIGCONT from inside.
    k.signals().kill(KillTarget::Proc(outer), STOP).unwrap();
    assert_eq!(state(&kernel, outer), Some(ProcState::Stopped));
    let (child, ()) = act(&mut k, child, |k| {
        k.signals().kill(KillTarget::Proc(Pid(1)), CONT).unwrap();
    });
    assert_eq!(state(&kernel, outer), Some(ProcState::Active));
    // SIGKILL from outside.
    k.signals().kill(KillTarget::Proc(outer), KILL).unwrap();
    drop((init, child, inner));
    assert_eq!(k.wait(WaitTarget::Any).unwrap().status.signal(), Some(9));
}

/// Where the embedder has the dispositions, all but the two are its affair.
#[test]
fn without_dispositions_init_gets_all_but_what_kills_or_stops() {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let mut k = shell(&kernel);
    let (init, _) = namespace(&mut k, 0);
    let (_init, ()) = act(&mut k, init, |k| {
        for signal in [KILL, Signo::TERM.number() as i32, 17] {
            k.signals().kill(KillTarget::Proc(Pid(1)), signal).unwrap();
        }
        assert_eq!(k.signals().pending(), SigSet::from(Signo::TERM));
        assert!(!k.must_exit());
    });
}

#[test]
fn a_birth_that_fails_leaves_no_number_behind() {
    let kernel = Kernel::builder().id_capacity(5).build().unwrap();
    let mut k = shell(&kernel);
    let init = k.spawn().new_namespace(MAX).start().unwrap();
    let (init, ()) = act(&mut k, init, |k| {
        let children = [(); 2].map(|()| k.spawn().start().unwrap());
        assert_eq!(k.spawn().start().unwrap_err(), SpawnError::IdsExhausted);
        drop(children);
        let numbers = k.process().namespace();
        numbers.set_last(Pid(1));
        let bad = k.spawn().fd(Fd(7), Fd(8)).group(SpawnGroup::New).start().unwrap_err();
        assert_eq!(bad, SpawnError::Files(FdError::BadFd));
        numbers.set_last(Pid(1));
        assert_eq!(here(k, &k.spawn().start().unwrap()), Some(Pid(2)));
        assert_eq!(k.spawn().new_namespace(1).start().unwrap_err(), SpawnError::IdsExhausted);
        numbers.set_last(Pid(1));
        assert_eq!(here(k, &k.spawn().start().unwrap()), Some(Pid(2)));
        // There is one inside, and none here.
        let inner = k.spawn().new_namespace(MAX).start().unwrap();
        numbers.set_max(2);
        let (_inner, ()) = act(k, inner, |k| {
            assert_eq!(k.spawn().start().unwrap_err(), SpawnError::IdsExhausted);
            numbers.set_max(MAX);
            k.process().namespace().set_last(Pid(1));
            assert_eq!(here(k, &k.spawn().start().unwrap()), Some(Pid(2)));
        });
    });
    drop(init);
    assert_eq!(kernel.counts().procs, 3);
}

#[test]
fn aliases_are_beside_the_numbers() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let (init, mut children) = namespace(&mut k, 1);
    let (_init, ()) = act(&mut k, init, |k| {
        k.process().alias().set(Pid(4711), Lid(4712));
        let shown = k.process().alias();
        assert_eq!((shown.pid(), shown.lid(), shown.ppid()), (Pid(4711), Some(Lid(4712)), Pid(0)));
        assert_eq!((k.pid(), k.lid()), (Pid(1), Some(Lid(1))));
    });
    let (_child, ()) = act(&mut k, children.pop().unwrap(), |k| {
        assert_eq!((k.process().alias().ppid(), k.ppid()), (Pid(4711), Pid(1)));
        assert_eq!((k.process().alias().pid(), k.process().alias().lid()), (Pid(2), Some(Lid(2))));
    });
}

/// A namespace's numbers while others come and go: nobody is found under another's.
#[test]
fn a_number_is_found_with_its_process_or_not_at_all() {
    let kernel = linux();
    let k = shell(&kernel);
    // Few numbers: each is used again and again.
    let init = k.spawn().new_namespace(5).start().unwrap();
    let until = Instant::now() + Duration::from_millis(if cfg!(miri) { 50 } else { 400 });
    let handle = root(&kernel, &init);
    std::thread::scope(|s| {
        s.spawn(|| {
            let k = kernel.enter_as(init).unwrap();
            while Instant::now() < until {
                if let Ok(child) = k.spawn().start() {
                    drop(child);
                }
                let _ = k.try_wait(WaitTarget::Any);
            }
        });
        s.spawn(|| {
            let mut seen = 0;
            while Instant::now() < until {
                let guard = kernel.pin();
                let Some(init) = guard.proc(handle.pid()) else { break };
                let numbers = init.namespace();
                for n in 2..5 {
                    if let Some(found) = numbers.proc(&guard, Pid(n)) {
                        assert_eq!(numbers.pid_of(&found), Some(Pid(n)));
                        seen += 1;
                    }
                }
            }
            assert!(seen > 0);
        });
    });
}
