//! Drain, exec and exit of a group: against new LWPs, releases and claims.

use crate::full::{assert_empty, at_once, enter_as, kernel, kernel_with};
use crate::runner::{Model, pair};
use lwproc::{
    EndError, Entered, ExitStatus, Kernel, Lwp, NewLwpError, Pid, ProcHandle, Rfork, WaitPolicy,
    WaitTarget,
};

pub fn models() -> Vec<Model> {
    vec![
        pair("drain_against_newlwp", drain_against_newlwp),
        pair("drain_newlwp_against_drain", newlwp_against_drain),
        pair("drain_and_reopen_against_newlwp", drain_and_reopen_against_newlwp),
        pair("drain_again_against_newlwp", drain_again_against_newlwp),
        pair("drain_wait_alone_against_release", wait_alone_against_release),
        pair("drain_release_against_wait_alone", release_against_wait_alone).long(),
        pair("drain_exit_group_against_claim", exit_group_against_claim),
        pair("drain_exit_group_against_unclaim", || exit_group_against_unclaim(|_| ())),
        pair("drain_unclaim_against_exit_group", || unclaim_against_exit_group(|_| ())),
        pair("drain_then_exit_group_against_unclaim", || exit_group_against_unclaim(drain)),
        pair("drain_then_unclaim_against_exit_group", || unclaim_against_exit_group(drain)).long(),
        pair("drain_exit_group_against_reopen", exit_group_against_reopen),
        pair("drain_reopen_against_exit_group", reopen_against_exit_group),
        pair("drain_exit_group_against_exit_group", exit_group_against_exit_group).long(),
        pair("drain_exit_group_against_newlwp", exit_group_against_newlwp),
        pair("drain_end_against_claim", end_against_claim),
        pair("drain_end_against_unclaim", end_against_unclaim),
        pair("drain_unclaim_against_end", unclaim_against_end),
        pair("drain_end_against_newlwp", end_against_newlwp),
        pair("drain_end_against_end", end_against_end),
        pair("drain_end_against_release", end_against_release),
        pair("drain_release_against_end", release_against_end),
    ]
}

fn drain(e: &mut Entered<'_>) {
    let _ = e.drain();
}

fn release(mut e: Entered<'_>) {
    e.release().unwrap();
}

fn unbind(mut e: Entered<'_>) -> Lwp {
    e.unbind().unwrap().unwrap()
}

/// A new LWP is told to exit, or was refused; none comes between (R10).
fn told_or_refused(kernel: &Kernel, new: Result<Lwp, NewLwpError>) {
    match new {
        Ok(lwp) => {
            let e = enter_as(kernel, lwp);
            assert!(e.must_exit(), "neither told nor refused");
            release(e);
        }
        Err(why) => assert_eq!(why, NewLwpError::Draining),
    }
}

fn drain_against_newlwp() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (pid, k) = (a.pid(), kernel.clone());
    let mut e = enter_as(&kernel, a);
    let (new, ()) = at_once(&kernel, move || k.new_lwp(pid), || drain(&mut e));
    let a = unbind(e);
    told_or_refused(&kernel, new);
    drop(a);
    assert_empty(&kernel);
}

/// With the parts changed.
fn newlwp_against_drain() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (pid, k) = (a.pid(), kernel.clone());
    let there = move || {
        let mut e = enter_as(&k, a);
        e.drain();
        unbind(e)
    };
    let (a, new) = at_once(&kernel, there, || kernel.new_lwp(pid));
    told_or_refused(&kernel, new);
    drop(a);
    assert_empty(&kernel);
}

/// Once the process is open again, nobody is told to exit.
fn drain_and_reopen_against_newlwp() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (pid, k) = (a.pid(), kernel.clone());
    let there = move || {
        let mut e = enter_as(&k, a);
        e.drain();
        e.reopen();
        unbind(e)
    };
    let (a, new) = at_once(&kernel, there, || kernel.new_lwp(pid));
    if let Ok(lwp) = new {
        let e = enter_as(&kernel, lwp);
        assert!(!e.must_exit(), "told by a drain that is over");
        release(e);
    }
    drop(a);
    assert_empty(&kernel);
}

/// Open in between, closed in the end: told.
fn drain_again_against_newlwp() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (pid, k) = (a.pid(), kernel.clone());
    let there = move || {
        let mut e = enter_as(&k, a);
        e.drain();
        e.reopen();
        e.drain();
        unbind(e)
    };
    let (a, new) = at_once(&kernel, there, || kernel.new_lwp(pid));
    told_or_refused(&kernel, new);
    drop(a);
    assert_empty(&kernel);
}

fn two_lwps(kernel: &Kernel) -> (Lwp, Lwp, Pid) {
    let a = kernel.spawn().start().unwrap();
    let pid = a.pid();
    (a, kernel.new_lwp(pid).unwrap(), pid)
}

/// Whoever waits to be alone wakes when the other has gone.
fn wait_alone_against_release() {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let mut e = enter_as(&kernel, a);
    e.drain();
    at_once(&kernel, move || drop(b), || e.wait_alone().unwrap());
    e.exec("x").unwrap();
    release(e);
    assert_empty(&kernel);
}

/// With the parts changed, and the drain in the race as well.
fn release_against_wait_alone() {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let k = kernel.clone();
    let there = move || {
        let mut e = enter_as(&k, a);
        e.drain();
        e.wait_alone().unwrap();
        e.exec("x").unwrap();
        release(e);
    };
    at_once(&kernel, there, move || drop(b));
    assert_empty(&kernel);
}

/// A parked LWP is released by the exit, or whoever claimed it is told.
fn exit_group_against_claim() {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let parked = b.unclaim();
    let mut e = enter_as(&kernel, a);
    let here = || e.exit_group(ExitStatus::exited(1)).unwrap();
    let (claimed, ()) = at_once(&kernel, move || parked.claim().ok(), here);
    drop(e);
    if let Some(lwp) = claimed {
        let e = enter_as(&kernel, lwp);
        assert!(e.must_exit());
        release(e);
    }
    assert_empty(&kernel);
}

/// An LWP that is parked meanwhile is released: by the exit, or as it is parked.
fn exit_group_against_unclaim(before: impl Fn(&mut Entered<'_>)) {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let mut e = enter_as(&kernel, a);
    before(&mut e);
    let here = || e.exit_group(ExitStatus::exited(1)).unwrap();
    let (parked, ()) = at_once(&kernel, move || b.unclaim(), here);
    drop(e);
    assert!(parked.claim().is_err());
    drop(parked);
    assert_empty(&kernel);
}

fn unclaim_against_exit_group(before: impl Fn(&mut Entered<'_>)) {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let mut e = enter_as(&kernel, a);
    before(&mut e);
    let (a, k) = (unbind(e), kernel.clone());
    let there = move || enter_as(&k, a).exit_group(ExitStatus::exited(1)).unwrap();
    let ((), parked) = at_once(&kernel, there, move || b.unclaim());
    assert!(parked.claim().is_err());
    drop(parked);
    assert_empty(&kernel);
}

/// The exit is not taken back: whoever reopens is told to exit, and nobody joins.
fn exit_group_against_reopen() {
    let kernel = kernel();
    let (a, b, pid) = two_lwps(&kernel);
    let mut f = enter_as(&kernel, b);
    f.drain();
    let k = kernel.clone();
    let there = move || enter_as(&k, a).exit_group(ExitStatus::exited(1)).unwrap();
    at_once(&kernel, there, || f.reopen());
    assert!(f.must_exit());
    assert_eq!(kernel.new_lwp(pid).err(), Some(NewLwpError::Draining));
    release(f);
    assert_empty(&kernel);
}

fn reopen_against_exit_group() {
    let kernel = kernel();
    let (a, b, pid) = two_lwps(&kernel);
    let k = kernel.clone();
    let mut e = enter_as(&kernel, a);
    e.drain();
    let there = move || {
        let mut f = enter_as(&k, b);
        f.reopen();
        f.unbind().unwrap().unwrap()
    };
    let (b, ()) = at_once(&kernel, there, || e.exit_group(ExitStatus::exited(1)).unwrap());
    drop(e);
    assert_eq!(kernel.new_lwp(pid).err(), Some(NewLwpError::Draining));
    let f = enter_as(&kernel, b);
    assert!(f.must_exit());
    release(f);
    assert_empty(&kernel);
}

/// One of two decides how the process ends, and it ends once.
fn exit_group_against_exit_group() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (mut e, mut parent) = (kernel.enter().unwrap(), None);
    for _ in 0..2 {
        parent = e.rfork(Rfork::Share).unwrap();
    }
    let (pid, b) = (e.pid(), kernel.new_lwp(e.pid()).unwrap());
    let k = kernel.clone();
    let there = move || enter_as(&k, b).exit_group(ExitStatus::exited(5)).unwrap();
    at_once(&kernel, there, || e.exit_group(ExitStatus::exited(6)).unwrap());
    e.switch(parent.expect("the parent's")).unwrap();
    let ended = e.try_wait(WaitTarget::Pid(pid)).unwrap().expect("both have gone");
    assert!([Some(5), Some(6)].contains(&ended.status.exit_code()));
    release(e);
    assert_empty(&kernel);
}

fn exit_group_against_newlwp() {
    let kernel = kernel_with(WaitPolicy::AutoReap, 6);
    let a = kernel.spawn().start().unwrap();
    let (pid, k) = (a.pid(), kernel.clone());
    let there = move || {
        let mut e = enter_as(&k, a);
        e.exit_group(ExitStatus::exited(1)).unwrap();
    };
    let ((), new) = at_once(&kernel, there, || kernel.new_lwp(pid));
    match new {
        Ok(lwp) => {
            let e = enter_as(&kernel, lwp);
            assert!(e.must_exit());
            release(e);
        }
        Err(why) => assert!(matches!(why, NewLwpError::Draining | NewLwpError::NoSuchProcess)),
    }
    assert_empty(&kernel);
}

const SEVEN: ExitStatus = ExitStatus::exited(7);

/// A process and its LWP; the handle outlives both.
fn one_lwp(kernel: &Kernel) -> (ProcHandle, Lwp) {
    let lwp = kernel.spawn().start().unwrap();
    (lwp.proc_handle(), lwp)
}

/// Ended from outside, the process is gone with its status once nobody has its LWPs.
fn assert_ended(handle: &ProcHandle, kernel: &Kernel) {
    assert_eq!(handle.exit_status(), Some(SEVEN));
    assert_empty(kernel);
}

/// A parked LWP goes by the end, or whoever claimed it is told.
fn end_against_claim() {
    let kernel = kernel();
    let (handle, lwp) = one_lwp(&kernel);
    let parked = lwp.unclaim();
    let here = || handle.end(SEVEN).unwrap();
    let (claimed, ()) = at_once(&kernel, move || parked.claim().ok(), here);
    if let Some(lwp) = claimed {
        let e = enter_as(&kernel, lwp);
        assert!(e.must_exit());
        release(e);
    }
    assert_ended(&handle, &kernel);
}

/// An LWP that is parked meanwhile goes: by the end, or as it is parked.
fn end_against_unclaim() {
    let kernel = kernel();
    let (handle, lwp) = one_lwp(&kernel);
    let here = || handle.end(SEVEN).unwrap();
    at_once(&kernel, move || drop(lwp.unclaim()), here);
    assert_ended(&handle, &kernel);
}

/// With the parts changed.
fn unclaim_against_end() {
    let kernel = kernel();
    let (handle, lwp) = one_lwp(&kernel);
    let other = handle.clone();
    at_once(&kernel, move || other.end(SEVEN).unwrap(), move || drop(lwp.unclaim()));
    assert_ended(&handle, &kernel);
}

/// A new LWP is refused, or told; parked, it goes.
fn end_against_newlwp() {
    let kernel = kernel();
    let (handle, lwp) = one_lwp(&kernel);
    let (pid, k) = (handle.pid(), kernel.clone());
    let (new, ()) = at_once(&kernel, move || k.new_lwp(pid), || handle.end(SEVEN).unwrap());
    match new {
        Ok(lwp) => drop(lwp.unclaim()),
        Err(why) => assert_eq!(why, NewLwpError::Draining),
    }
    drop(lwp.unclaim());
    assert_ended(&handle, &kernel);
}

/// One of two ends it.
fn end_against_end() {
    let kernel = kernel();
    let (handle, lwp) = one_lwp(&kernel);
    drop(lwp.unclaim());
    let other = handle.clone();
    let (there, here) =
        at_once(&kernel, move || other.end(ExitStatus::exited(8)), || handle.end(SEVEN));
    let status = match (there, here) {
        (Err(EndError::Ended), Ok(())) => SEVEN,
        (Ok(()), Err(EndError::Ended)) => ExitStatus::exited(8),
        both => panic!("{both:?}"),
    };
    assert_eq!(handle.exit_status(), Some(status));
    assert_empty(&kernel);
}

/// What has ended by itself is not ended: its status stays as it was first seen.
fn ended_once(kernel: &Kernel, handle: &ProcHandle, end: Result<(), EndError>, seen: ExitStatus) {
    assert_eq!(seen, if end.is_ok() { SEVEN } else { ExitStatus::exited(0) });
    assert_eq!(handle.exit_status(), Some(seen));
    assert_empty(kernel);
}

fn release_and_look(lwp: Lwp) -> ExitStatus {
    let handle = lwp.proc_handle();
    lwp.release();
    handle.exit_status().expect("that was its last")
}

fn end_against_release() {
    let kernel = kernel();
    let (handle, lwp) = one_lwp(&kernel);
    let (seen, end) = at_once(&kernel, move || release_and_look(lwp), || handle.end(SEVEN));
    ended_once(&kernel, &handle, end, seen);
}

fn release_against_end() {
    let kernel = kernel();
    let (handle, lwp) = one_lwp(&kernel);
    let other = handle.clone();
    let (end, seen) = at_once(&kernel, move || other.end(SEVEN), move || release_and_look(lwp));
    ended_once(&kernel, &handle, end, seen);
}
