//! Job control: stops against continuations, entries, new LWPs, waits, forks and ends.

use crate::full::{assert_empty, at_once, enter_as};
use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicU32;
use lwproc::{
    ChildEvent, Disposition, EnterError, Kernel, KillTarget, Lwp, Pid, ProcState, Rules, SigModel,
    SigSet, Signo, SpawnGroup, WaitError, WaitEvents, WaitPolicy, WaitTarget,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub fn models() -> Vec<Model> {
    vec![
        pair("job_stop_against_cont", || stop_against_cont(Sender::Stops)),
        pair("job_cont_against_stop", || stop_against_cont(Sender::Continues)),
        pair("job_stop_against_look", stop_against_look),
        pair("job_stop_against_newlwp", stop_against_newlwp),
        pair("job_newlwp_against_stop", newlwp_against_stop),
        pair("job_cont_against_entry", || goes_on(CONT)),
        pair("job_kill_against_entry", || goes_on(KILL)),
        pair("job_stop_against_wait", stop_against_wait),
        pair("job_notice_against_notice", notice_against_notice),
        pair("job_take_against_cont", take_against_cont),
        pair("job_cont_against_taking", cont_against_taking),
        pair("job_catch_against_stop", catch_against_stop),
        pair("job_notice_against_cont", notice_against_cont),
        pair("job_exit_of_ignored_against_wait", exit_of_ignored_against_wait).long(),
        pair("job_group_stop_against_fork", group_stop_against_fork).long(),
    ]
}

const KILL: i32 = 9;
const CHLD: i32 = 17;
const CONT: i32 = 18;
const STOP: i32 = 19;
const TSTP: i32 = 20;

/// Who runs on the other thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Stops,
    Continues,
}

fn linux() -> Arc<Kernel> {
    let builder = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    Arc::new(builder.wait_policy(WaitPolicy::Wait).id_capacity(6).build().unwrap())
}

fn signo(number: i32) -> Signo {
    Signo::new(number).unwrap()
}

/// Kills as init, from an implicit context.
fn kill(k: &Kernel, target: KillTarget, signal: i32) {
    k.enter().unwrap().signals().kill(target, signal).unwrap();
}

fn state(kernel: &Kernel, pid: Pid) -> ProcState {
    kernel.pin().proc(pid).unwrap().state()
}

fn victim(kernel: &Kernel) -> (Lwp, Pid) {
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    (lwp, pid)
}

/// One that catches a signal.
fn catcher(kernel: &Kernel, signal: i32) -> (Lwp, Pid) {
    let (lwp, pid) = victim(kernel);
    let e = enter_as(kernel, lwp);
    e.signals().set_disposition(signal, Disposition::Catch).unwrap();
    (Kernel::leave(e).unwrap(), pid)
}

/// Whatever comes last, it discards what the other left.
fn stop_against_cont(there: Sender) {
    let kernel = linux();
    let (lwp, pid) = catcher(&kernel, CONT);
    let signals = if there == Sender::Stops { [STOP, CONT] } else { [CONT, STOP] };
    let k = kernel.clone();
    let theirs = move || kill(&k, KillTarget::Proc(pid), signals[0]);
    at_once(&kernel, theirs, || kill(&kernel, KillTarget::Proc(pid), signals[1]));
    let pending = kernel.pin().proc(pid).unwrap().pending();
    let stopped = state(&kernel, pid) == ProcState::Stopped;
    assert_eq!(pending.contains(signo(CONT)), !stopped, "stopped: {stopped}");
    lwp.release();
    assert_empty(&kernel);
}

/// Whether a thread that enters as its LWP stops, which is let in at once or not at all.
fn stops(kernel: &Kernel) -> bool {
    match kernel.enter_until(Duration::ZERO) {
        Ok(_entered) => false,
        Err(why) => {
            assert_eq!(why, EnterError::TimedOut);
            true
        }
    }
}

/// A look that comes first does not hide the stop from the next one.
fn stop_against_look() {
    let kernel = linux();
    let (lwp, pid) = victim(&kernel);
    drop(enter_as(&kernel, lwp));
    let k = kernel.clone();
    at_once(&kernel, move || kill(&k, KillTarget::Proc(pid), STOP), || stops(&kernel));
    assert!(stops(&kernel));
    end(&kernel, pid);
    assert_empty(&kernel);
}

/// Ends a process that is stopped, as which this thread runs.
fn end(kernel: &Kernel, pid: Pid) {
    kernel.pin().proc(pid).unwrap().post(Signo::KILL);
    kernel.enter().unwrap().release().unwrap();
}

/// The new LWP is marked by who stops, or finds the process stopped.
fn stop_against_newlwp() {
    let kernel = linux();
    let (lwp, pid) = victim(&kernel);
    let k = kernel.clone();
    let stop = move || kill(&k, KillTarget::Proc(pid), STOP);
    let ((), new) = at_once(&kernel, stop, || kernel.new_lwp(pid).unwrap());
    lwp.release();
    stops_as(&kernel, new);
    assert_empty(&kernel);
}

fn newlwp_against_stop() {
    let kernel = linux();
    let (lwp, pid) = victim(&kernel);
    let k = kernel.clone();
    let new = move || k.new_lwp(pid).unwrap();
    let (new, ()) = at_once(&kernel, new, || kill(&kernel, KillTarget::Proc(pid), STOP));
    lwp.release();
    stops_as(&kernel, new);
    assert_empty(&kernel);
}

fn stops_as(kernel: &Kernel, lwp: Lwp) {
    let pid = lwp.pid();
    // A switch is no stop.
    let e = enter_as(kernel, lwp);
    assert!(e.signals().has_pending(), "it does not know");
    drop(e);
    assert!(stops(kernel));
    end(kernel, pid);
}

/// A thread that is stopped goes on.
fn goes_on(signal: i32) {
    let kernel = linux();
    let (lwp, pid) = victim(&kernel);
    kill(&kernel, KillTarget::Proc(pid), STOP);
    let k = kernel.clone();
    let there = move || kill(&k, KillTarget::Proc(pid), signal);
    let ((), mut e) = at_once(&kernel, there, || kernel.enter_as(lwp).unwrap());
    assert_eq!(e.must_exit(), signal == KILL);
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// A wait that sleeps is woken, and finds the stop.
fn stop_against_wait() {
    let kernel = linux();
    let (parent, _) = victim(&kernel);
    let child = parent.proc_handle().spawn().start().unwrap();
    let pid = child.pid();
    let k = kernel.clone();
    let there = move || kill(&k, KillTarget::Proc(pid), STOP);
    let mut e = enter_as(&kernel, parent);
    let stops = WaitTarget::Pid(pid).events(WaitEvents::STOPPED);
    let ((), found) = at_once(&kernel, there, || e.wait(stops).unwrap());
    assert_eq!(found.event, ChildEvent::Stopped(signo(STOP)));
    child.release();
    e.wait(WaitTarget::Any).unwrap();
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// Of two waits one takes it.
fn notice_against_notice() {
    let kernel = linux();
    let (parent, ppid) = victim(&kernel);
    let other = kernel.new_lwp(ppid).unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    kill(&kernel, KillTarget::Proc(child.pid()), STOP);
    let stops = WaitTarget::Any.events(WaitEvents::STOPPED);
    let k = kernel.clone();
    let there = move || {
        let e = enter_as(&k, other);
        let found = e.try_wait(stops).unwrap().is_some();
        (Kernel::leave(e), found)
    };
    let e = enter_as(&kernel, parent);
    let ((other, found), mine) = at_once(&kernel, there, || e.try_wait(stops).unwrap().is_some());
    assert!(found != mine, "taken twice, or lost");
    drop((child, other));
    e.wait(WaitTarget::Any).unwrap();
    drop(Kernel::leave(e));
    assert_empty(&kernel);
}

/// Who takes a notice sees what the sender of the signal did.
fn notice_against_cont() {
    let kernel = linux();
    let (parent, _) = victim(&kernel);
    let child = parent.proc_handle().spawn().start().unwrap();
    let pid = child.pid();
    kill(&kernel, KillTarget::Proc(pid), STOP);
    let did = Arc::new(AtomicU32::new(0));
    let (k, done) = (kernel.clone(), did.clone());
    let looks = move || {
        let e = enter_as(&k, parent);
        let found = e.try_wait(WaitTarget::Pid(pid).events(WaitEvents::CONTINUED)).unwrap();
        (Kernel::leave(e).unwrap(), found.map(|_| done.load(Relaxed)))
    };
    let signals = || {
        // Relaxed: the signal carries it.
        did.store(1, Relaxed);
        kill(&kernel, KillTarget::Proc(pid), CONT);
    };
    let ((parent, seen), ()) = at_once(&kernel, looks, signals);
    assert!(seen.is_none_or(|seen| seen == 1), "the notice came before the signal");
    child.release();
    let e = enter_as(&kernel, parent);
    e.wait(WaitTarget::Any).unwrap();
    drop(Kernel::leave(e));
    assert_empty(&kernel);
}

/// A stop that is caught is taken, or discarded.
fn take_against_cont() {
    let kernel = linux();
    let (lwp, pid) = catcher(&kernel, TSTP);
    kill(&kernel, KillTarget::Proc(pid), TSTP);
    let k = kernel.clone();
    let there = move || kill(&k, KillTarget::Proc(pid), CONT);
    let mut e = enter_as(&kernel, lwp);
    let ((), taken) = at_once(&kernel, there, || e.signals().take());
    assert!(taken.is_none_or(|taken| taken == signo(TSTP)));
    assert_eq!((e.signals().take(), e.signals().pending()), (None, SigSet::EMPTY));
    assert!(!e.signals().has_pending());
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// A wait that sleeps for a child that leaves no zombie ends with it.
fn exit_of_ignored_against_wait() {
    let kernel = linux();
    let (parent, _) = victim(&kernel);
    let child = parent.proc_handle().spawn().start().unwrap();
    let mut e = enter_as(&kernel, parent);
    e.signals().set_disposition(CHLD, Disposition::Ignore).unwrap();
    let there = move || child.release();
    let ((), waited) = at_once(&kernel, there, || e.wait(WaitTarget::Any));
    assert_eq!(waited, Err(WaitError::NoChild));
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// One of a group that its parent controls, so that a terminal stops it; and the parent.
fn controlled(kernel: &Kernel) -> (Lwp, Pid, Lwp) {
    let parent = kernel.spawn().start().unwrap();
    let lwp = parent.proc_handle().spawn().group(SpawnGroup::New).start().unwrap();
    let pid = lwp.pid();
    (lwp, pid, parent)
}

/// A stop that was sent before SIGCONT does not stop after it, though it is taken then.
fn cont_against_taking() {
    let kernel = linux();
    let (lwp, pid, parent) = controlled(&kernel);
    let mut e = enter_as(&kernel, lwp);
    e.signals().set_blocked(SigSet::ALL).unwrap();
    kill_by_handle(&kernel, pid, TSTP);
    assert_eq!(e.signals().pending(), signo(TSTP).into());
    e.signals().set_blocked(SigSet::EMPTY).unwrap();
    let k = kernel.clone();
    let there = move || kill_by_handle(&k, pid, CONT);
    let ((), taken) = at_once(&kernel, there, || e.signals().take());
    assert_eq!(taken, None);
    assert_ne!(state(&kernel, pid), ProcState::Stopped, "for good");
    e.release().unwrap();
    drop((e, parent));
    assert_empty(&kernel);
}

/// From a thread that is entered already.
fn kill_by_handle(kernel: &Kernel, pid: Pid, signal: i32) {
    kernel.pin().proc(pid).unwrap().post(signo(signal));
}

/// A stop that meets the change to a handler stops, or is caught.
fn catch_against_stop() {
    let kernel = linux();
    let (lwp, pid, parent) = controlled(&kernel);
    let e = enter_as(&kernel, lwp);
    let k = kernel.clone();
    let there = move || kill(&k, KillTarget::Proc(pid), TSTP);
    let catch = || e.signals().set_disposition(TSTP, Disposition::Catch).unwrap();
    at_once(&kernel, there, catch);
    let pends = kernel.pin().proc(pid).unwrap().pending().contains(signo(TSTP));
    assert!(pends != (state(&kernel, pid) == ProcState::Stopped), "dropped");
    drop((Kernel::leave(e), parent));
    assert_empty(&kernel);
}

/// Neither the parent nor the child runs on.
fn group_stop_against_fork() {
    let kernel = linux();
    let parent = kernel.spawn().group(SpawnGroup::New).start().unwrap();
    let (handle, pgid) = (parent.proc_handle(), parent.pid());
    let k = kernel.clone();
    let there = move || kill(&k, KillTarget::Pgrp(pgid), STOP);
    let ((), child) = at_once(&kernel, there, || handle.spawn().start().unwrap());
    for lwp in [&parent, &child] {
        assert_eq!(state(&kernel, lwp.pid()), ProcState::Stopped, "{lwp:?} has escaped");
    }
    drop((child, parent, handle));
    assert_empty(&kernel);
}
