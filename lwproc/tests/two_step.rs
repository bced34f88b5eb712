//! A fork in two steps: what is taken first, what is seen meanwhile, and what comes back.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Space = ThreadHost<(), Arc<()>>;

fn process(kernel: &Kernel) -> Entered<'_> {
    kernel.enter_as(kernel.spawn().start().unwrap()).unwrap()
}

fn recorded() -> Kernel {
    let builder = Kernel::builder().signal_model(SigModel::Record).wait_policy(WaitPolicy::Wait);
    builder.build().unwrap()
}

#[track_caller]
fn assert_empty<H: Host>(kernel: &Kernel<H>) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
    assert_eq!(kernel.user_counts(0), kernel.user_counts_by_scan(0));
}

#[test]
fn the_number_is_known_and_nobody_finds_it() {
    let kernel = Kernel::new();
    let k = process(&kernel);
    let (before, charged) = (kernel.counts(), kernel.user_counts(0));
    let reserved = k.spawn().group(SpawnGroup::New).name("sh").reserve().unwrap();
    let (pid, identity) = (reserved.pid(), reserved.identity());
    let guard = kernel.pin();
    assert!(guard.proc(pid).is_none() && guard.lwp(Lid(pid.0)).is_none());
    assert!(guard.pgrp(pid).is_none(), "nor its group");
    assert_eq!(guard.procs().count(), before.procs);
    let counts = kernel.counts();
    assert_eq!(
        (counts.procs, counts.lwps, counts.ids),
        (before.procs, before.lwps, before.ids + 1)
    );
    assert_eq!(kernel.user_counts(0).procs, charged.procs + 1, "it is charged already");
    assert_eq!(k.signals().kill(KillTarget::Proc(pid), 0), Err(KillError::NoSuchProcess));
    assert_eq!(k.try_wait(WaitTarget::Any), Err(WaitError::NoChild));
    drop(guard);
    let child = reserved.commit().unwrap();
    assert_eq!((child.pid(), child.proc_handle().identity()), (pid, identity));
    let guard = kernel.pin();
    let found = guard.proc(pid).unwrap();
    assert_eq!((found.ppid(), found.pgid()), (k.pid(), Some(pid)));
    assert_eq!(found.comm().as_str(), "sh");
    drop((guard, child, k));
}

#[test]
fn what_is_cancelled_gives_all_back() {
    let kernel = Kernel::new();
    let k = process(&kernel);
    let (before, charged) = (kernel.counts(), kernel.user_counts(0));
    for _ in 0..1000 {
        let reserved = k.spawn().group(SpawnGroup::New).files(Rfork::Copy).reserve().unwrap();
        reserved.cancel();
        drop(k.spawn().reserve().unwrap());
    }
    assert_eq!((kernel.counts(), kernel.user_counts(0)), (before, charged));
}

#[test]
fn it_takes_the_last_place_and_the_last_id() {
    let kernel = Kernel::builder().max_procs(4).build().unwrap();
    let k = process(&kernel);
    let reserved = k.spawn().reserve().unwrap();
    assert_eq!(k.spawn().reserve().unwrap_err(), SpawnError::KernelFull);
    assert_eq!(k.spawn().start().unwrap_err(), SpawnError::KernelFull);
    reserved.cancel();
    let child = k.spawn().reserve().unwrap().commit().unwrap();
    assert_eq!(k.spawn().start().unwrap_err(), SpawnError::KernelFull);
    drop(child);
    drop(k.spawn().start().unwrap());

    let kernel = Kernel::builder().id_capacity(3).build().unwrap();
    let k = process(&kernel);
    let reserved = k.spawn().reserve().unwrap();
    assert_eq!(k.spawn().reserve().unwrap_err(), SpawnError::IdsExhausted);
    reserved.cancel();
    drop(k.spawn().start().unwrap());
}

/// A most that comes between the steps counts the child once.
#[test]
fn a_most_that_is_set_meanwhile_counts_it() {
    let kernel = Kernel::new();
    let k = process(&kernel);
    let (kept, cancelled) = (k.spawn().reserve().unwrap(), k.spawn().reserve().unwrap());
    kernel.set_max_procs(4);
    cancelled.cancel();
    let child = kept.commit().unwrap();
    assert_eq!(k.spawn().start().unwrap_err(), SpawnError::KernelFull);
    drop(child);
    drop(k.spawn().start().unwrap());
}

#[test]
fn its_credentials_are_those_of_the_reservation() {
    let kernel = Kernel::new();
    let parent = kernel.spawn().start().unwrap();
    let handle = parent.proc_handle();
    let mut k = kernel.enter_as(parent).unwrap();
    let reserved = handle.spawn().reserve().unwrap();
    k.creds().set(&CredChange::SetResuid(Some(5), Some(5), Some(5))).unwrap();
    let child = reserved.commit().unwrap();
    assert_eq!(
        kernel.pin().proc(child.pid()).unwrap().cred().map(|cred| cred.users().real),
        Some(0)
    );
    assert_eq!(kernel.user_counts(5).procs, 1);
    assert_eq!(kernel.user_counts(0), kernel.user_counts_by_scan(0));
    drop(child);
}

#[test]
fn its_descriptors_and_its_group_are_those_of_the_commit() {
    let kernel = Kernel::builder().host(ThreadHost::<&str>::new()).build().unwrap();
    let k = kernel.enter_as(kernel.spawn().start().unwrap()).unwrap();
    let reserved = k.spawn().files(Rfork::Copy).reserve().unwrap();
    let fd = k.files().open("a file", OnExec::Keep).unwrap();
    let pgid = k.groups().setsid().unwrap();
    let child = reserved.commit().unwrap();
    assert_eq!(kernel.pin().proc(child.pid()).unwrap().pgid(), Some(pgid));
    let in_child = Kernel::leave(k).unwrap();
    let k = kernel.enter_as(child).unwrap();
    assert_eq!(*k.files().get(fd).unwrap(), "a file");
    drop(in_child);
}

#[test]
fn a_commit_that_is_refused_gives_all_back() {
    let kernel = Kernel::new();
    let k = process(&kernel);
    let (before, charged) = (kernel.counts(), kernel.user_counts(0));
    let no_file = k.spawn().files(Rfork::Copy).fd(Fd(7), Fd(1)).reserve().unwrap();
    assert_eq!(no_file.commit().unwrap_err(), SpawnError::Files(FdError::BadFd));
    let no_group = k.spawn().group(SpawnGroup::Join(Pid(4000))).reserve().unwrap();
    assert_eq!(no_group.commit().unwrap_err(), SpawnError::Group(GroupError::NoSuchGroup));
    assert_eq!((kernel.counts(), kernel.user_counts(0)), (before, charged));
}

#[test]
fn the_parent_of_a_handle_is_kept() {
    let kernel = recorded();
    let parent = kernel.spawn().start().unwrap();
    let handle = parent.proc_handle();
    let reserved = handle.spawn().reserve().unwrap();
    // It does not exec.
    let mut k = kernel.enter_as(parent).unwrap();
    k.drain();
    assert_eq!(k.exec("new"), Err(ExecError::NotAlone { nlwps: 2 }));
    assert_eq!(handle.spawn().reserve().unwrap_err(), SpawnError::Draining);
    k.release().unwrap();
    drop(k);
    assert!(handle.is_alive(), "and does not end");
    let child = reserved.commit().unwrap();
    assert!(!handle.is_alive());
    assert_eq!(kernel.pin().proc(child.pid()).unwrap().ppid(), Pid::INIT);
    drop(child);
    let late = handle.spawn().reserve().unwrap_err();
    assert_eq!(late, SpawnError::NoSuchProcess);
    drop(handle);
    assert_empty(&kernel);
}

#[test]
fn a_cancelled_one_may_be_the_end_of_its_parent() {
    let kernel = recorded();
    let parent = kernel.spawn().start().unwrap();
    let handle = parent.proc_handle();
    let reserved = handle.spawn().reserve().unwrap();
    parent.exit(ExitStatus::exited(3));
    assert_eq!(handle.exit_status(), None);
    reserved.cancel();
    assert_eq!(handle.exit_status(), Some(ExitStatus::exited(3)));
    drop(handle);
    assert_empty(&kernel);
}

#[test]
fn the_child_of_one_that_was_killed_meanwhile_is_killed() {
    let kernel = recorded();
    let parent = kernel.spawn().start().unwrap();
    let handle = parent.proc_handle();
    let reserved = handle.spawn().reserve().unwrap();
    kernel.enter().unwrap().signals().kill(KillTarget::Tree(parent.pid()), 9).unwrap();
    let child = reserved.commit().unwrap();
    let k = kernel.enter_as(child).unwrap();
    assert!(k.must_exit());
    drop((k, parent));
}

/// What is sent to many between the steps is not the child's, which is not there yet.
#[test]
fn what_was_over_before_the_commit_is_not_sent_to_the_child() {
    let kernel = recorded();
    let k = process(&kernel);
    let reserved = k.spawn().reserve().unwrap();
    k.signals().kill(KillTarget::User(0), 15).unwrap();
    assert_eq!(k.signals().take(), Some(Signo::TERM));
    let child = reserved.commit().unwrap();
    assert!(kernel.pin().proc(child.pid()).unwrap().pending().is_empty());
    let reserved = k.spawn().reserve().unwrap();
    k.signals().kill(KillTarget::User(0), 15).unwrap();
    let next = reserved.commit().unwrap();
    let pending = kernel.pin().proc(next.pid()).unwrap().pending();
    assert_eq!(pending, Signo::TERM.into(), "its parent has not taken it");
    drop((child, next));
}

#[test]
fn the_address_space_is_the_childs_or_is_dropped() {
    let kernel = Kernel::builder().host(Space::new()).build().unwrap();
    let k = kernel.enter_as(kernel.spawn().start().unwrap()).unwrap();
    let [first, second] = [(); 2].map(Arc::new);
    let reserved = k.spawn().vmspace(first.clone()).reserve().unwrap();
    let reserved = reserved.vmspace(second.clone());
    assert_eq!([&first, &second].map(Arc::strong_count), [1, 2]);
    let child = reserved.commit().unwrap();
    assert_eq!(Arc::strong_count(&second), 2);
    drop(child);
    assert_eq!(Arc::strong_count(&second), 1);
    drop(k.spawn().vmspace(first.clone()).reserve().unwrap());
    assert_eq!(Arc::strong_count(&first), 1);
}

struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_panic_of_what_was_given_comes_when_all_is_back() {
    let kernel = Kernel::builder().host(ThreadHost::<(), Loud>::new()).build().unwrap();
    let parent = kernel.spawn().start().unwrap();
    let handle = parent.proc_handle();
    let reserved = handle.spawn().vmspace(Loud).reserve().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| reserved.cancel())).is_err());
    let refused = handle.spawn().vmspace(Loud).fd(Fd(7), Fd(1)).reserve().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(refused.commit()))).is_err());
    assert_eq!(handle.nlwps(), 1);
    drop((parent, handle));
    assert_empty(&kernel);
}

#[test]
fn the_kernel_may_go_meanwhile() {
    let kernel = Kernel::new();
    let parent = kernel.spawn().start().unwrap();
    let handle = parent.proc_handle();
    let reserved = handle.spawn().reserve().unwrap();
    let cancelled = handle.spawn().reserve().unwrap();
    drop(kernel);
    cancelled.cancel();
    let child = reserved.commit().unwrap();
    assert_eq!(child.proc_handle().nlwps(), 1);
    drop((child, parent));
}
