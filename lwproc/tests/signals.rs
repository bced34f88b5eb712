//! Signals: who gets them, who may send them, who takes them.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Mutex};

const TERM: i32 = 15;
const USR1: i32 = 30;

fn kernel() -> Kernel {
    Kernel::builder().signal_model(SigModel::Record).build().unwrap()
}

fn signo(number: i32) -> Signo {
    Signo::new(number).unwrap()
}

#[track_caller]
fn assert_empty<H: Host>(kernel: &Kernel<H>) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}

/// A process as that user, parked by `unbind`.
fn process(k: &mut Entered<'_>, ids: [u32; 3]) -> Lwp {
    let old = k.rfork(Rfork::Share).unwrap();
    let [real, effective, saved] = ids.map(Some);
    k.creds().set(&CredChange::SetResuid(real, effective, saved)).unwrap();
    match old {
        Some(old) => k.switch(old).unwrap().unwrap(),
        None => k.unbind().unwrap().unwrap(),
    }
}

#[test]
fn a_recorded_signal_marks_and_is_taken_once() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    assert!(
        !k.signals().has_pending()
            && k.signals().pending().is_empty()
            && k.signals().take().is_none()
    );
    for number in [TERM, 1, TERM, 64] {
        k.signals().kill(KillTarget::Proc(pid), number).unwrap();
    }
    assert!(k.signals().has_pending());
    assert_eq!(k.signals().pending(), [1, TERM, 64].map(signo).into_iter().collect());
    let taken: Vec<_> = std::iter::from_fn(|| k.signals().take()).collect();
    assert_eq!(taken, [1, TERM, 64].map(signo), "the lowest first, each once");
    assert!(!k.signals().has_pending() && k.signals().pending().is_empty());
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn an_lwps_own_signals_come_first_and_reach_no_other() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    let first = k.become_new_lwp(pid).unwrap().unwrap();
    let second = k.lid().unwrap();
    k.signals().kill(KillTarget::Proc(pid), 1).unwrap();
    k.signals().kill(KillTarget::Lwp(second), USR1).unwrap();
    let second = k.switch(first).unwrap().unwrap();
    assert_eq!(k.signals().pending(), signo(1).into());
    let first = k.switch(second).unwrap().unwrap();
    assert_eq!(k.signals().take(), Some(signo(USR1)));
    assert!(k.signals().has_pending(), "the process's is left");
    assert_eq!(k.signals().take(), Some(signo(1)));
    drop(k.switch(first).unwrap());
    assert!(!k.signals().has_pending() && k.signals().take().is_none());
}

/// S504-S512, S516: the mark is set by a switch to an LWP that could take something,
/// also when it was made after the signal.
#[test]
fn a_switch_brings_the_mark() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    let mut k = kernel.enter().unwrap();
    k.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
    assert!(!k.signals().has_pending(), "the implicit context runs as init");
    k.switch(lwp).unwrap();
    assert!(k.signals().has_pending());
    let first = k.become_new_lwp(pid).unwrap().unwrap();
    assert!(k.signals().has_pending());
    let guard = kernel.pin();
    let word = |lid| format!("{:?}", guard.lwp(lid).unwrap());
    assert!(!word(lid).contains("PENDSIG"), "{}", word(lid));
    assert!(word(k.lid().unwrap()).contains("PENDSIG"));
    assert_eq!(k.signals().take(), Some(signo(TERM)));
    drop(k.switch(first).unwrap());
    assert!(!k.signals().has_pending());
}

#[test]
fn a_blocked_signal_waits() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.signals().set_blocked(SigSet::ALL), Err(MaskError::Implicit));
    assert_eq!(MaskError::Implicit.errno(), Errno::EINVAL);
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    assert_eq!(k.signals().set_blocked(signo(TERM).into()), Ok(SigSet::EMPTY));
    k.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
    assert!(!k.signals().has_pending() && k.signals().take().is_none());
    assert_eq!(k.signals().pending(), signo(TERM).into());
    k.signals().kill(KillTarget::Proc(pid), USR1).unwrap();
    assert!(k.signals().has_pending());
    assert_eq!(k.signals().take(), Some(signo(USR1)));
    assert!(!k.signals().has_pending());
    let lwp = k.unbind().unwrap().unwrap();
    k.switch(lwp).unwrap();
    assert!(!k.signals().has_pending(), "nor does a switch bring it");
    let first = k.switch(kernel.new_lwp(pid).unwrap()).unwrap().unwrap();
    assert!(
        k.signals().blocked().is_empty() && k.signals().has_pending(),
        "another LWP does not block it"
    );
    drop(k.switch(first).unwrap());
    assert_eq!(k.signals().set_blocked(SigSet::EMPTY), Ok(signo(TERM).into()));
    assert!(k.signals().has_pending());
    assert_eq!(k.signals().set_blocked(SigSet::ALL), Ok(SigSet::EMPTY));
    assert!(!k.signals().has_pending());
    assert_eq!(k.signals().blocked(), SigSet::ALL - SigSet::UNBLOCKABLE);
    k.signals().kill(KillTarget::Proc(pid), 9).unwrap();
    assert_eq!(k.signals().take(), Some(Signo::KILL));
}

/// S238.
#[test]
fn a_fork_has_nothing_pending_and_the_mask_of_the_forker() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    k.signals().set_blocked(signo(TERM).into()).unwrap();
    k.signals().kill(KillTarget::Proc(k.pid()), TERM).unwrap();
    k.signals().kill(KillTarget::Lwp(k.lid().unwrap()), USR1).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    assert_eq!((k.signals().pending(), k.signals().blocked()), (SigSet::EMPTY, signo(TERM).into()));
    assert!(!k.signals().has_pending());
    drop(k.switch(parent).unwrap());
    assert_eq!(k.signals().pending().len(), 2);
}

#[test]
fn exec_keeps_signals_and_mask() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    k.signals().set_blocked(signo(TERM).into()).unwrap();
    k.signals().kill(KillTarget::Proc(k.pid()), TERM).unwrap();
    k.signals().kill(KillTarget::Proc(k.pid()), USR1).unwrap();
    k.drain();
    k.exec("new").unwrap();
    assert_eq!((k.signals().pending().len(), k.signals().blocked()), (2, signo(TERM).into()));
    assert_eq!(k.signals().take(), Some(signo(USR1)));
}

/// real, effective and saved uid of sender and target, and whether it may.
#[test]
fn who_may_signal_whom() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let table = [
        ([0, 0, 0], [7, 7, 7], true),
        ([5, 0, 5], [7, 7, 7], true),
        ([0, 5, 5], [7, 7, 7], false), // not privileged: the effective uid is not 0
        ([5, 5, 5], [5, 5, 5], true),
        ([5, 5, 5], [7, 7, 7], false),
        ([5, 5, 5], [7, 5, 7], false), // the target's effective uid does not count
        ([5, 5, 5], [7, 7, 5], true),
        ([5, 5, 5], [5, 7, 7], true),
        ([5, 6, 6], [6, 7, 7], true),
        ([5, 6, 6], [7, 7, 6], true),
        ([5, 6, 6], [7, 7, 5], true),
        ([5, 6, 7], [7, 7, 7], false), // nor the sender's saved one
        ([5, 5, 5], [0, 0, 0], false),
    ];
    for (from, to, may) in table {
        let (sender, target) = (process(&mut k, from), process(&mut k, to));
        let (pid, lid) = (target.pid(), target.lid());
        k.switch(sender).unwrap();
        let expected = if may { Ok(()) } else { Err(KillError::NotPermitted) };
        for number in [0, TERM] {
            assert_eq!(
                k.signals().kill(KillTarget::Proc(pid), number),
                expected,
                "{from:?} {to:?}"
            );
            assert_eq!(k.signals().kill(KillTarget::Lwp(lid), number), expected, "{from:?} {to:?}");
        }
        assert_eq!(k.signals().kill(KillTarget::Proc(k.pid()), 0), Ok(()), "its own process");
        // All are in the session of proc0 here.
        assert_eq!(k.signals().kill(KillTarget::Proc(pid), Signo::CONT.number().into()), Ok(()));
        let sender = k.switch(target).unwrap().unwrap();
        let sent = k.signals().pending().contains(signo(TERM));
        assert_eq!(sent, may);
        // From another session it is a signal like the others.
        k.groups().setsid().unwrap();
        k.signals().take();
        let target = k.switch(sender).unwrap();
        for to in [KillTarget::Proc(pid), KillTarget::Lwp(lid)] {
            assert_eq!(
                k.signals().kill(to, Signo::CONT.number().into()),
                expected,
                "{from:?} {to:?}"
            );
        }
        drop(target);
        k.release().unwrap();
        drop(k);
        k = kernel.enter().unwrap();
    }
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn errors_and_signal_0() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let (pid, lid) = (k.pid(), k.lid().unwrap());
    for number in [-1, 65, i32::MIN, i32::MAX, 256 + TERM] {
        let error = k.signals().kill(KillTarget::Proc(pid), number).unwrap_err();
        assert_eq!(error, KillError::BadSignal { signo: number });
        assert_eq!(error.errno(), Errno::EINVAL);
    }
    for target in [
        KillTarget::Proc(Pid(1000)),
        KillTarget::Proc(Pid(-1)),
        KillTarget::Proc(Pid(i32::MAX)),
        KillTarget::Lwp(Lid(1000)),
        KillTarget::Lwp(Lid(i32::MIN)),
        KillTarget::LwpOf(Pid::INIT, lid),
        KillTarget::LwpOf(pid, Lid(1000)),
        KillTarget::Pgrp(Pid(1000)),
        KillTarget::All, // there is no other
    ] {
        for number in [0, TERM] {
            assert_eq!(
                k.signals().kill(target, number),
                Err(KillError::NoSuchProcess),
                "{target:?}"
            );
        }
    }
    assert_eq!(KillError::NoSuchProcess.errno(), Errno::ESRCH);
    assert_eq!(KillError::NotPermitted.errno(), Errno::EPERM);
    assert_eq!(k.signals().kill(KillTarget::Lwp(lid), 0), Ok(()));
    assert_eq!(k.signals().kill(KillTarget::LwpOf(pid, lid), 0), Ok(()));
    assert!(k.signals().pending().is_empty(), "0 sends nothing");
    // A number of a process is none of an LWP, and the other way round.
    k.become_new_lwp(pid).unwrap();
    let further = Pid(k.lid().unwrap().0);
    assert_eq!(k.signals().kill(KillTarget::Proc(further), 0), Err(KillError::NoSuchProcess));
    assert_eq!(
        k.signals().kill(KillTarget::Lwp(lid), 0),
        Err(KillError::NoSuchProcess),
        "it has gone"
    );
}

#[test]
fn targets_as_kill_2_has_them() {
    let table = [
        (7, KillTarget::Proc(Pid(7))),
        (1, KillTarget::Proc(Pid::INIT)),
        (0, KillTarget::OwnPgrp),
        (-1, KillTarget::All),
        (-2, KillTarget::Pgrp(Pid(2))),
        (-i32::MAX, KillTarget::Pgrp(Pid(i32::MAX))),
    ];
    for (number, target) in table {
        assert_eq!(KillTarget::from_raw(number), target);
    }
    let kernel = kernel();
    let k = kernel.enter().unwrap();
    let least = KillTarget::from_raw(i32::MIN);
    assert_eq!(k.signals().kill(least, TERM), Err(KillError::NoSuchProcess));
}

#[test]
fn all_and_groups_leave_out_the_kernels_own() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let lwps = [[5, 5, 5], [5, 5, 5], [6, 6, 6]].map(|ids| process(&mut k, ids));
    let [sender, friend, stranger] = lwps;
    let got = |k: &mut Entered<'_>, lwp: Lwp| {
        let old = k.switch(lwp).unwrap();
        let taken: SigSet = std::iter::from_fn(|| k.signals().take()).collect();
        let lwp = match old {
            Some(old) => k.switch(old).unwrap().unwrap(),
            None => k.unbind().unwrap().unwrap(),
        };
        (taken, lwp)
    };
    k.switch(sender).unwrap();
    k.signals().kill(KillTarget::All, 1).unwrap();
    k.signals().kill(KillTarget::OwnPgrp, 2).unwrap();
    k.signals().kill(KillTarget::Pgrp(Pid(0)), 3).unwrap();
    let own: SigSet = std::iter::from_fn(|| k.signals().take()).collect();
    assert_eq!(own, [2, 3].map(signo).into_iter().collect());
    let (taken, friend) = got(&mut k, friend);
    assert_eq!(taken, [1, 2, 3].map(signo).into_iter().collect());
    let (taken, stranger) = got(&mut k, stranger);
    assert!(taken.is_empty());
    drop(friend);
    assert_eq!(
        k.signals().kill(KillTarget::All, 1),
        Err(KillError::NotPermitted),
        "only strangers"
    );
    drop(stranger);
    assert_eq!(k.signals().kill(KillTarget::All, 1), Err(KillError::NoSuchProcess));
    let sender = k.unbind().unwrap().unwrap();
    assert!(k.signals().pending().is_empty(), "init got nothing");
    k.signals().kill(KillTarget::Proc(Pid::INIT), 4).unwrap();
    assert!(k.signals().has_pending(), "unless it was meant");
    assert_eq!((k.signals().take(), k.signals().take()), (Some(signo(4)), None));
    drop(sender);
}

#[test]
fn a_zombie_is_signalled_without_effect() {
    let builder = Kernel::builder().signal_model(SigModel::Record).wait_policy(WaitPolicy::Wait);
    let kernel = builder.build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.pid();
    drop(k.switch(parent).unwrap());
    assert_eq!(kernel.counts().zombies, 1);
    assert_eq!(k.signals().kill(KillTarget::Proc(child), TERM), Ok(()));
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert_eq!(k.signals().kill(KillTarget::Proc(child), TERM), Err(KillError::NoSuchProcess));
}

#[derive(Default)]
struct Raised(Mutex<Vec<(Pid, Signo)>>, AtomicBool);

impl Host for Raised {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
    fn raise(&self, pid: Pid, signo: Signo) {
        self.0.lock().unwrap().push((pid, signo));
        assert!(!self.1.load(SeqCst), "the host panics");
    }
}

#[test]
fn the_host_may_be_asked_to_raise() {
    let builder = Kernel::builder().host(Raised::default()).wait_policy(WaitPolicy::Wait);
    let kernel = builder.signal_model(SigModel::Raise).build().unwrap();
    let lwps = [(); 3].map(|()| kernel.spawn().start().unwrap());
    let k = kernel.enter().unwrap();
    k.signals().kill(KillTarget::Proc(lwps[0].pid()), 0).unwrap();
    k.signals().kill(KillTarget::Proc(lwps[0].pid()), TERM).unwrap();
    k.signals().kill(KillTarget::Lwp(lwps[1].lid()), 1).unwrap();
    let expected = vec![(lwps[0].pid(), signo(TERM)), (lwps[1].pid(), signo(1))];
    assert_eq!(std::mem::take(&mut *kernel.host().0.lock().unwrap()), expected);
    drop(k);
    let mut k = kernel.enter().unwrap();
    // A zombie is beyond reach.
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.pid();
    drop(k.switch(parent).unwrap());
    assert_eq!(kernel.counts().zombies, 1);
    k.signals().kill(KillTarget::Proc(child), TERM).unwrap();
    assert!(kernel.host().0.lock().unwrap().is_empty());
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    drop(k.unbind().unwrap());
    // One that panics does not spare the others.
    kernel.host().1.store(true, SeqCst);
    let panicked = catch_unwind(AssertUnwindSafe(|| k.signals().kill(KillTarget::All, 2)));
    assert!(panicked.is_err());
    assert_eq!(kernel.host().0.lock().unwrap().len(), 3);
    let [first, ..] = lwps;
    k.switch(first).unwrap();
    assert!(!k.signals().has_pending() && k.signals().pending().is_empty(), "nothing is kept");
}

#[test]
fn the_default_is_to_ignore_and_panic_is_by_request() {
    let kernel = Kernel::new();
    let lwp = kernel.spawn().start().unwrap();
    let mut k = kernel.enter().unwrap();
    k.signals().kill(KillTarget::Proc(lwp.pid()), TERM).unwrap();
    assert_eq!(k.signals().kill(KillTarget::Proc(Pid(99)), TERM), Err(KillError::NoSuchProcess));
    k.switch(lwp).unwrap();
    assert!(!k.signals().has_pending() && k.signals().pending().is_empty());

    let kernel = Kernel::builder().signal_model(SigModel::Panic).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let k = kernel.enter().unwrap();
    k.signals().kill(KillTarget::Proc(lwp.pid()), 0).unwrap();
    let panic =
        catch_unwind(AssertUnwindSafe(|| k.signals().kill(KillTarget::Proc(lwp.pid()), TERM)));
    let text = panic.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*text, "SIGTERM for process 2, in a kernel built to take no signals");
    drop((k, lwp));
    assert_empty(&kernel);
}

/// Senders and takers at once: every signal that was pending is taken once, and at
/// rest no mark and no signal is left.
#[test]
fn every_signal_is_taken_once() {
    let kernel = kernel();
    for round in 0..10 {
        let first = kernel.spawn().start().unwrap();
        let pid = first.pid();
        let second = kernel.new_lwp(pid).unwrap();
        let (start, done) = (Barrier::new(3), AtomicUsize::new(0));
        let taken = AtomicUsize::new(0);
        std::thread::scope(|s| {
            for lwp in [first, second] {
                let (kernel, start, done, taken) = (&kernel, &start, &done, &taken);
                s.spawn(move || {
                    let mut k = kernel.enter().unwrap();
                    k.switch(lwp).unwrap();
                    start.wait();
                    let mut blocking = false;
                    loop {
                        let last = done.load(SeqCst) == 1;
                        blocking = !blocking && !last;
                        let mask = if blocking { SigSet::ALL } else { SigSet::EMPTY };
                        k.signals().set_blocked(mask).unwrap();
                        while let Some(signo) = k.signals().take() {
                            assert!(!blocking || SigSet::UNBLOCKABLE.contains(signo));
                            taken.fetch_add(1, SeqCst);
                        }
                        // To another LWP and back, through the marks.
                        let lwp = k.unbind().unwrap().unwrap();
                        k.switch(lwp).unwrap();
                        if last && !k.signals().has_pending() {
                            break;
                        }
                    }
                    assert!(!k.signals().has_pending());
                    k.release().unwrap();
                });
            }
            let k = kernel.enter().unwrap();
            start.wait();
            let mut sent = 0;
            for i in 0..500 {
                // One at a time of each number: none is merged with another.
                let number = i % 64 + 1;
                let guard = kernel.pin();
                let target = guard.proc(pid).unwrap();
                while target.pending().contains(signo(number)) {
                    std::thread::yield_now();
                }
                drop(guard);
                k.signals().kill(KillTarget::Proc(pid), number).unwrap();
                sent += 1;
            }
            let guard = kernel.pin();
            let target = guard.proc(pid).unwrap();
            while !target.pending().is_empty() {
                std::thread::yield_now();
            }
            done.store(1, SeqCst);
            drop((guard, k));
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while taken.load(SeqCst) < sent {
                assert!(std::time::Instant::now() < deadline, "round {round}: a signal is lost");
                std::thread::yield_now();
            }
            assert_eq!(taken.load(SeqCst), sent);
        });
    }
    assert_empty(&kernel);
}
