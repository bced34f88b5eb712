//! The exit of a whole process is final, whoever drains, reopens, execs, exits or parks
//! besides.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;

/// A process of two LWPs, the one current; the parent's LWP and the other.
fn two_lwps(kernel: &Kernel) -> (Entered<'_>, Lwp, Lwp) {
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let other = kernel.new_lwp(k.pid()).unwrap();
    (k, parent, other)
}

fn kernel() -> Kernel {
    Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap()
}

fn reaped(k: &mut Entered<'_>, parent: Lwp) -> ExitStatus {
    k.switch(parent).unwrap();
    k.try_wait(WaitTarget::Any).unwrap().expect("it has ended").status
}

#[test]
fn the_first_one_says_how_the_process_ends() {
    let kernel = kernel();
    for second in [Entered::exit_group, Entered::exit] {
        let (mut k, parent, other) = two_lwps(&kernel);
        k.exit(ExitStatus::exited(3)).unwrap();
        k.hold().unwrap();
        k.exit_group(ExitStatus::exited(7)).unwrap();
        k.switch(other).unwrap();
        assert!(k.must_exit());
        second(&mut k, ExitStatus::exited(9)).unwrap();
        assert_eq!(reaped(&mut k, parent), ExitStatus::exited(7));
    }
}

#[test]
fn a_refused_one_says_nothing() {
    let kernel = kernel();
    let (mut k, parent, other) = two_lwps(&kernel);
    k.hold().unwrap();
    let refused = k.exit_group(ExitStatus::exited(7));
    assert_eq!(refused, Err(ReleaseError::Held { holds: 1 }));
    k.unhold().unwrap();
    drop(k.become_new_lwp(k.pid()).unwrap().unwrap());
    k.release().unwrap();
    k.switch(other).unwrap();
    assert!(!k.must_exit());
    k.exit(ExitStatus::exited(1)).unwrap();
    assert_eq!(reaped(&mut k, parent), ExitStatus::exited(1));
}

#[test]
fn it_cannot_be_taken_back() {
    let kernel = kernel();
    let (mut k, parent, other) = two_lwps(&kernel);
    assert_eq!(k.drain(), Drain::Begun);
    assert_eq!(k.drain(), Drain::Already);
    k.exit_group(ExitStatus::exited(7)).unwrap();
    k.switch(other).unwrap();
    // The exec that was being prepared.
    k.reopen();
    assert_eq!(k.exec("too late"), Err(ExecError::Exiting));
    assert_eq!(ExecError::Exiting.errno(), Errno::EINTR);
    assert!(k.must_exit());
    assert_eq!(kernel.new_lwp(k.pid()).err(), Some(NewLwpError::Draining));
    k.release().unwrap();
    assert_eq!(reaped(&mut k, parent), ExitStatus::exited(7));
}

#[test]
fn what_is_parked_from_then_on_is_released() {
    let kernel = kernel();
    let (mut k, parent, other) = two_lwps(&kernel);
    let pid = k.pid();
    k.exit_group(ExitStatus::exited(7)).unwrap();
    k.switch(parent).unwrap();
    let handle = other.unclaim();
    assert_eq!(handle.state(), LwpState::Gone);
    assert!(matches!(handle.claim(), Err(ClaimError::Exiting)));
    let ended = k.try_wait(WaitTarget::Pid(pid)).unwrap().expect("with the last of them");
    assert_eq!(ended.status, ExitStatus::exited(7));
}

/// Also the one that said it, which is held again.
#[test]
fn who_said_it_is_told_like_the_others() {
    let kernel = kernel();
    let (mut k, parent, other) = two_lwps(&kernel);
    k.exit_group(ExitStatus::exited(7)).unwrap();
    k.hold().unwrap();
    assert!(k.must_exit());
    let first = k.switch(other).unwrap().unwrap();
    assert_eq!(first.unclaim().state(), LwpState::Gone);
    k.release().unwrap();
    assert_eq!(reaped(&mut k, parent), ExitStatus::exited(7));
}

#[test]
fn what_is_parked_while_a_process_drains_stays() {
    let kernel = kernel();
    let (mut k, parent, other) = two_lwps(&kernel);
    k.drain();
    let handle = other.unclaim();
    assert_eq!(handle.state(), LwpState::Parked);
    drop(handle.claim().unwrap());
    k.exec("alone").unwrap();
    k.exit(ExitStatus::exited(2)).unwrap();
    assert_eq!(reaped(&mut k, parent), ExitStatus::exited(2));
}

/// They do not end: there it is the exit of one LWP.
#[test]
fn proc0_and_init_stay_open() {
    let kernel = kernel();
    for pid in [Pid(0), Pid::INIT] {
        let parked = kernel.new_lwp(pid).unwrap().unclaim();
        let mut k = kernel.enter().unwrap();
        k.become_new_lwp(pid).unwrap();
        k.exit_group(ExitStatus::exited(7)).unwrap();
        drop(k);
        drop(kernel.new_lwp(pid).unwrap());
        drop(parked.claim().unwrap());
    }
    assert_eq!(kernel.counts().lwps, 2);
}
