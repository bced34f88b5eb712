//! A signal for many: nobody is without it afterwards, however they fork meanwhile.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const TERM: i32 = 15;

fn kernel() -> Kernel {
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait);
    builder.signal_model(SigModel::Record).build().unwrap()
}

fn pending(kernel: &Kernel, pid: Pid) -> SigSet {
    kernel.pin().proc(pid).unwrap().pending()
}

/// A leader of a session of its own, of a user.
fn leader(kernel: &Kernel, uid: u32) -> Lwp {
    let spawn = kernel.spawn().session();
    spawn.change_cred(&CredChange::SetUid(uid)).start().unwrap()
}

/// A guest forks a chain as fast as it can, and looks for signals only before it forks.
fn none_escapes(signo: i32, whom: impl Fn(Pid) -> KillTarget) {
    for _ in 0..60 {
        let kernel = kernel();
        let root = leader(&kernel, 7);
        let [go, stopped, done] = [(); 3].map(|()| AtomicBool::new(false));
        let pid = root.pid();
        std::thread::scope(|s| {
            s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.switch(root).unwrap();
                let mut held = Vec::new();
                while !k.signals().has_pending() && held.len() < 5_000 {
                    held.extend(k.rfork(Rfork::Fresh).unwrap());
                    go.store(held.len() >= 50, SeqCst);
                }
                stopped.store(true, SeqCst);
                while !done.load(SeqCst) {
                    std::hint::spin_loop();
                }
                k.release().unwrap();
                drop(k);
                drop(held);
            });
            while !go.load(SeqCst) {
                std::hint::spin_loop();
            }
            let killed = kernel.enter().unwrap().signals().kill(whom(pid), signo);
            assert_eq!(killed, Ok(()));
            // One that has escaped forks on.
            while !stopped.load(SeqCst) {
                std::hint::spin_loop();
            }
            let signo = Signo::new(signo).unwrap();
            let guard = kernel.pin();
            let without =
                guard.procs().filter(|p| p.pid() > Pid::INIT && !p.pending().contains(signo));
            let without = without.count();
            drop(guard);
            done.store(true, SeqCst);
            assert_eq!(without, 0, "escaped");
        });
    }
}

#[test]
fn no_fork_escapes_a_kill_of_its_group() {
    none_escapes(TERM, KillTarget::Pgrp);
    none_escapes(9, KillTarget::Pgrp);
}

#[test]
fn no_fork_escapes_a_kill_of_its_session() {
    none_escapes(TERM, KillTarget::Session);
}

#[test]
fn no_fork_escapes_a_kill_of_its_tree() {
    none_escapes(TERM, KillTarget::Tree);
    none_escapes(9, KillTarget::Tree);
}

#[test]
fn no_fork_escapes_a_kill_of_its_user_and_of_all() {
    none_escapes(TERM, |_| KillTarget::User(7));
    none_escapes(TERM, |_| KillTarget::All);
}

#[test]
fn those_get_it_who_are_meant() {
    let kernel = kernel();
    let [one, other] = [7, 8].map(|uid| leader(&kernel, uid));
    let child = one.proc_handle().spawn().start().unwrap();
    let apart = child.proc_handle().spawn().session().start().unwrap();
    let all = [&one, &child, &apart, &other].map(Lwp::pid);
    let mut k = kernel.enter().unwrap();
    let mut sent = |target| {
        k.signals().kill(target, TERM).unwrap();
        all.map(|pid| {
            let got = pending(&kernel, pid).contains(Signo::TERM);
            if got {
                let lwp = kernel.new_lwp(pid).unwrap();
                k.switch(lwp).unwrap();
                assert_eq!(k.signals().take(), Some(Signo::TERM));
                drop(k.unbind().unwrap());
            }
            got
        })
    };
    assert_eq!(sent(KillTarget::Session(one.pid())), [true, true, false, false]);
    assert_eq!(sent(KillTarget::Pgrp(one.pid())), [true, true, false, false]);
    assert_eq!(sent(KillTarget::Tree(one.pid())), [true, true, true, false]);
    assert_eq!(sent(KillTarget::Tree(child.pid())), [false, true, true, false]);
    assert_eq!(sent(KillTarget::User(7)), [true, true, true, false]);
    assert_eq!(sent(KillTarget::User(8)), [false, false, false, true]);
    assert_eq!(sent(KillTarget::All), [true; 4]);
    assert_eq!(k.signals().kill(KillTarget::User(9), TERM), Err(KillError::NoSuchProcess));
    assert_eq!(
        k.signals().kill(KillTarget::Session(child.pid()), 0),
        Err(KillError::NoSuchProcess)
    );
    // Who is ended first hands its children over, who get it all the same.
    drop([one, child, apart].map(Lwp::unclaim));
    k.signals().kill(KillTarget::Tree(all[0]), 9).unwrap();
    assert_eq!(kernel.counts().procs, 3);
}

#[test]
fn a_child_gets_what_was_sent_to_many_and_waits_and_nothing_else() {
    let kernel = kernel();
    let parent = leader(&kernel, 7);
    let handle = parent.proc_handle();
    let pid = parent.pid();
    let mut k = kernel.enter().unwrap();
    let fork =
        |mask| pending(&kernel, handle.spawn().blocked(mask).start().unwrap().unclaim().pid());
    let term = SigSet::from(Signo::TERM);
    k.signals().kill(KillTarget::Proc(pid), 1).unwrap();
    assert_eq!(fork(SigSet::EMPTY), SigSet::EMPTY);
    k.signals().kill(KillTarget::Pgrp(pid), TERM).unwrap();
    assert_eq!(fork(SigSet::EMPTY), term);
    assert_eq!(fork(term), SigSet::EMPTY, "blocked: it is not put off by it");
    k.switch(parent).unwrap();
    while k.signals().take().is_some() {}
    assert_eq!(fork(SigSet::EMPTY), SigSet::EMPTY, "taken");
    k.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
    assert_eq!(fork(SigSet::EMPTY), SigSet::EMPTY, "it was for the parent alone");
}
