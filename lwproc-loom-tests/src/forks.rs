//! Forks in two steps, the parent of a vfork, and an exec that takes the process's number:
//! against who looks.

use crate::files::{Files, process};
use crate::full::{assert_empty, at_once, enter_as};
use crate::runner::{Model, pair};
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use lwproc::{
    ExitStatus, Interrupted, Kernel, Lid, Lwp, Pid, Rules, SigModel, VforkEnd, WaitPolicy,
};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("forks_find_against_exec_of_further_lwp", find_against_exec),
        pair("forks_find_of_the_pid_against_exec_of_further_lwp", find_pid_against_exec),
        pair("forks_vfork_wait_against_exec", vfork_against_exec),
        pair("forks_vfork_wait_against_end", || vfork_against_end(WaitPolicy::AutoReap)).long(),
        pair("forks_vfork_wait_against_zombie", || vfork_against_end(WaitPolicy::Wait)),
        pair("forks_vfork_wait_against_end_of_the_parent", vfork_against_end_of_parent),
        pair("forks_find_against_cancel", find_against_cancel),
        pair("forks_find_against_commit", find_against_commit),
        pair("forks_cancel_against_end_of_the_parent", cancel_against_end_of_parent),
        pair("forks_newlwp_against_unshare", newlwp_against_unshare),
        pair("forks_unshare_against_newlwp", unshare_against_newlwp),
    ]
}

fn kernel(policy: WaitPolicy) -> Arc<Kernel> {
    let builder = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    Arc::new(builder.wait_policy(policy).id_capacity(6).build().unwrap())
}

/// The further LWP of a process whose first one has gone.
fn further(kernel: &Kernel) -> Lwp {
    let first = kernel.spawn().start().unwrap();
    let further = kernel.new_lwp(first.pid()).unwrap();
    drop(first);
    further
}

fn exec(kernel: &Arc<Kernel>, lwp: Lwp) -> Lwp {
    exec_after(kernel, lwp, || ())
}

/// The last thing before the exec: a drain has a fence.
fn exec_after(kernel: &Arc<Kernel>, lwp: Lwp, last: impl FnOnce()) -> Lwp {
    let mut e = enter_as(kernel, lwp);
    e.drain();
    last();
    e.exec("new").unwrap();
    e.unbind().unwrap().unwrap()
}

/// At each moment one of its two numbers finds it, and no other.
fn find_against_exec() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let lwp = further(&kernel);
    let (pid, own, k) = (lwp.pid(), lwp.lid(), kernel.clone());
    let look = move || {
        let guard = k.pin();
        match guard.lwp(own) {
            Some(found) => assert_eq!(found.pid(), pid),
            None => {
                let found = guard.lwp(Lid(pid.0)).expect("by neither of its numbers");
                assert_eq!((found.pid(), found.lid()), (pid, Lid(pid.0)));
                assert!(guard.lwp(own).is_none(), "by its old one again");
            }
        }
    };
    let ((), lwp) = at_once(&kernel, look, || exec(&kernel, lwp));
    assert_eq!(lwp.lid(), Lid(pid.0));
    drop(lwp);
    assert_empty(&kernel);
}

/// Who finds it by the new number sees all of it, which is made meanwhile; another gets the
/// old one afterwards.
fn find_pid_against_exec() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let first = kernel.spawn().start().unwrap();
    let (pid, k) = (first.pid(), kernel.clone());
    let look = move || {
        let guard = k.pin();
        if let Some(found) = guard.lwp(Lid(pid.0)) {
            assert_eq!((found.pid(), found.lid()), (pid, Lid(pid.0)));
        }
    };
    let here = || {
        let further = kernel.new_lwp(pid).unwrap();
        drop(first);
        let lwp = exec(&kernel, further);
        (kernel.new_lwp(pid).unwrap(), lwp)
    };
    let ((), (next, lwp)) = at_once(&kernel, look, here);
    assert_ne!(next.lid(), lwp.lid());
    drop((next, lwp));
    assert_empty(&kernel);
}

/// A parent and its child.
fn family(kernel: &Kernel) -> (Lwp, Lwp) {
    let parent = kernel.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    (parent, child)
}

/// What waits for the child as its parent.
fn waits(
    kernel: &Arc<Kernel>,
    parent: Lwp,
    child: &Lwp,
) -> impl FnOnce() -> (Result<VforkEnd, Interrupted>, Lwp) + 'static {
    let (k, vforked) = (kernel.clone(), child.proc_handle().vforked());
    move || {
        let mut e = enter_as(&k, parent);
        let ended = vforked.block(&e);
        (ended, e.unbind().unwrap().unwrap())
    }
}

/// The parent is woken, and sees what the child did before.
fn vfork_against_exec() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let (parent, child) = family(&kernel);
    let wait = waits(&kernel, parent, &child);
    let memory = Arc::new(AtomicUsize::new(0));
    let seen = memory.clone();
    let there = move || {
        let (ended, parent) = wait();
        (ended, seen.load(Relaxed), parent)
    };
    let here = || exec_after(&kernel, child, || memory.store(1, Relaxed));
    let ((ended, seen, parent), child) = at_once(&kernel, there, here);
    assert_eq!((ended, seen), (Ok(VforkEnd::Execed), 1));
    drop((parent, child));
    assert_empty(&kernel);
}

fn vfork_against_end(policy: WaitPolicy) {
    let kernel = kernel(policy);
    let (parent, child) = family(&kernel);
    let wait = waits(&kernel, parent, &child);
    let ((ended, parent), ()) = at_once(&kernel, wait, move || drop(child));
    assert_eq!(ended, Ok(VforkEnd::Ended));
    drop(parent);
    assert_empty(&kernel);
}

/// The child goes on, and the parent does not sleep for ever.
fn vfork_against_end_of_parent() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let (parent, child) = family(&kernel);
    let handle = parent.proc_handle();
    let wait = waits(&kernel, parent, &child);
    let end = || handle.end(ExitStatus::exited(7)).unwrap();
    let ((ended, parent), ()) = at_once(&kernel, wait, end);
    assert_eq!(ended, Err(Interrupted::Exit));
    drop((parent, child, handle));
    assert_empty(&kernel);
}

/// The number that will be the next.
const NEXT: Pid = Pid(3);

fn find_against_cancel() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let parent = kernel.spawn().start().unwrap();
    let (handle, k) = (parent.proc_handle(), kernel.clone());
    let look = move || {
        let guard = k.pin();
        assert!(guard.proc(NEXT).is_none() && guard.lwp(Lid(NEXT.0)).is_none());
        assert!(guard.pgrp(NEXT).is_none());
    };
    let here = || {
        let reserved = handle.spawn().group(lwproc::SpawnGroup::New).reserve().unwrap();
        assert_eq!(reserved.pid(), NEXT);
        reserved.cancel();
    };
    at_once(&kernel, look, here);
    drop((parent, handle));
    assert_empty(&kernel);
}

fn find_against_commit() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let parent = kernel.spawn().start().unwrap();
    let (handle, k) = (parent.proc_handle(), kernel.clone());
    let ppid = parent.pid();
    let look = move || {
        let guard = k.pin();
        if let Some(child) = guard.proc(NEXT) {
            assert_eq!((child.ppid(), child.nlwps(), child.pgid()), (ppid, 1, Some(NEXT)));
        }
    };
    let here = || {
        let reserved = handle.spawn().group(lwproc::SpawnGroup::New).reserve().unwrap();
        reserved.commit().unwrap()
    };
    let ((), child) = at_once(&kernel, look, here);
    assert_eq!(child.pid(), NEXT);
    drop((child, parent, handle));
    assert_empty(&kernel);
}

/// Whichever comes last ends the parent.
fn cancel_against_end_of_parent() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let parent = kernel.spawn().start().unwrap();
    let handle = parent.proc_handle();
    let reserved = handle.spawn().reserve().unwrap();
    let there = move || drop(parent);
    at_once(&kernel, there, move || reserved.cancel());
    assert!(!handle.is_alive());
    drop(handle);
    assert_empty(&kernel);
}

/// A process with a file open, of which one LWP goes on with a table of its own, and the other
/// ends; when that is done.
fn unshares() -> (Files, Arc<Kernel<Files>>, Pid, impl FnOnce() -> Lwp<Files> + 'static) {
    let (host, kernel, lwp) = process(6);
    let (pid, k) = (lwp.pid(), kernel.clone());
    let other = kernel.new_lwp(pid).unwrap();
    let unshare = move || {
        let mut e = enter_as(&k, lwp);
        e.files_mut().unshare().unwrap();
        let lwp = e.unbind().unwrap().unwrap();
        drop(other);
        lwp
    };
    (host, kernel, pid, unshare)
}

/// It joins, whatever table there is.
fn after_join(host: &Files, kernel: &Arc<Kernel<Files>>, joined: Lwp<Files>, own: Lwp<Files>) {
    let e = enter_as(kernel, joined);
    assert_eq!(e.files().table_users(), 1);
    assert_eq!(host.is_open(), 1, "the one of its own");
    drop(e.files().list());
    let mut e = e;
    e.release().unwrap();
    drop((e, own));
    assert_eq!(host.is_open(), 0);
    assert_empty(kernel);
}

fn newlwp_against_unshare() {
    let (host, kernel, pid, unshare) = unshares();
    let k = kernel.clone();
    let (joined, own) = at_once(&kernel, move || k.new_lwp(pid), unshare);
    after_join(&host, &kernel, joined.expect("the process lives"), own);
}

fn unshare_against_newlwp() {
    let (host, kernel, pid, unshare) = unshares();
    let (own, joined) = at_once(&kernel, unshare, || kernel.new_lwp(pid));
    after_join(&host, &kernel, joined.expect("the process lives"), own);
}
