//! Children that are not spawned.

use crate::becoming::Become;
use crate::bench::{Kernel, Lwp, *};
use crate::births::*;
use lwproc::*;

pub fn spawn(forced: &mut Forced) {
    no_such_process(forced);
    draining(forced);
    no_siblings(forced);
    ids_exhausted(forced);
    user_limit(forced);
    kernel_full(forced);
    by_what_was_said(forced);
    without_ids(forced, spawns);
    beyond_the_users_limit(forced, spawns);
    in_a_full_kernel(forced, spawns);
    in_an_ended_namespace(forced, spawns);
    namespace_depth(forced);
}

fn ids_exhausted(forced: &mut Forced) {
    let kernel = few_ids();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let held: Vec<Lwp> = std::iter::from_fn(|| kernel.spawn().start().ok()).collect();
    assert_eq!(kernel.counts().ids, 7, "and 0");
    forced.refused(&kernel, &mut k, SpawnError::IdsExhausted, |_| kernel.spawn().start());
    drop(held);
    leave(k);
    assert_eq!(room(&kernel), 5);
    assert_empty(kernel);
}

fn user_limit(forced: &mut Forced) {
    let kernel = limited(8);
    let mut k = kernel.enter().unwrap();
    give_proc0_to_user_7(&mut k, 2);
    let second = kernel.spawn().start().unwrap();
    forced.refused(&kernel, &mut k, SpawnError::Limit, |_| kernel.spawn().start());
    // Not what an LWP of a process is refused for.
    drop(kernel.new_lwp(second.pid()).unwrap());
    drop(second);
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    leave(k);
    assert_eq!(kernel.user_counts(7).procs, 1, "proc0");
    assert_eq!(room(&kernel), 1, "user 7's");
    kernel.set_limits_policy(LimitsPolicy::default());
    assert_eq!(room(&kernel), 6, "the kernel's");
}

fn kernel_full(forced: &mut Forced) {
    let kernel = limited(4);
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let last = kernel.spawn().start().unwrap();
    forced.refused(&kernel, &mut k, SpawnError::KernelFull, |_| kernel.spawn().start());
    drop(last);
    leave(k);
    assert_eq!(room(&kernel), 2);
    assert_empty(kernel);
}

fn spawns(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>, why: Why) {
    let why = match why {
        Why::IdsExhausted => SpawnError::IdsExhausted,
        Why::Limit => SpawnError::Limit,
        Why::KernelFull => SpawnError::KernelFull,
        Why::NamespaceEnded => SpawnError::NamespaceEnded,
    };
    for files in FILES {
        forced.refused(kernel, k, why, |k| k.spawn().files(files).start());
        // The address space is dropped.
        let host = kernel.host();
        forced.refused(kernel, k, why, |k| k.become_child_with(host.vmspace(), files));
    }
}

fn no_siblings(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, SpawnError::NoSiblings, |k| k.spawn().sibling().start());
    drop(k);
    assert_empty(kernel);
}

fn namespace_depth(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    let mut around = Vec::new();
    for _ in 0..32 {
        let inner = k.spawn().files(Rfork::Fresh).new_namespace(100).start().unwrap();
        around.extend(k.switch(inner).unwrap());
    }
    let why = SpawnError::NamespaceDepth;
    forced.refused(&kernel, &mut k, why, |k| k.spawn().new_namespace(100).start());
    leave(k);
    while around.pop().is_some() {}
    assert_empty(kernel);
}

/// A parent that is known by its handle, and has gone.
fn no_such_process(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let zombie = child(&mut k);
    let handle = zombie.proc_handle();
    drop(zombie);
    let why = SpawnError::NoSuchProcess;
    forced.refused(&kernel, &mut k, why, |_| handle.spawn().start());
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    forced.refused(&kernel, &mut k, why, |_| everything(handle.spawn(), kernel.host()).start());
    leave(k);
    forced.refused_outside(&kernel, why, || handle.spawn().start());
    drop(handle);
    assert_empty(kernel);
}

fn draining(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let handle = k.pin().proc(k.pid()).unwrap().handle().unwrap();
    k.drain();
    let why = SpawnError::Draining;
    forced.refused(&kernel, &mut k, why, |_| handle.spawn().start());
    forced.refused(&kernel, &mut k, why, |_| everything(handle.spawn(), kernel.host()).start());
    // Its own LWP may.
    drop(k.spawn().start().unwrap());
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    drop(handle);
    leave(k);
    assert_empty(kernel);
}

/// With what is taken before anything can be refused.
fn everything<'a>(spawn: Spawn<'a, Counting>, host: &Counting) -> Spawn<'a, Counting> {
    spawn.files(Rfork::Copy).group(SpawnGroup::New).name("a child").vmspace(host.vmspace())
}

/// Descriptors, credentials, groups and keys that the child cannot have.
fn by_what_was_said(forced: &mut Forced) {
    let (kernel, other) = (plain(), plain());
    let host = kernel.host();
    let (own, foreign) = (kernel.proc_key::<Value>(), other.proc_key::<Value>());
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.creds().set(&CredChange::SetUid(5)).unwrap();
    k.files().open(host.file(), OnExec::Keep).unwrap();
    let (to_root, to_nobody) = (CredChange::SetUid(0), CredChange::SetUid(u32::MAX));
    let with = |k: &K<'_>, why, change: &dyn Fn(Spawn<'_, Counting>) -> Result<Lwp, SpawnError>| {
        let spawn = everything(k.spawn(), host).data(own, host.other()).fd(Fd(0), Fd(2));
        change(spawn).inspect_err(|got: &SpawnError| assert_eq!(got.errno(), why))
    };
    let why = SpawnError::WrongKernel;
    forced.refused(&kernel, &mut k, why, |k| {
        with(k, Errno::EXDEV, &|spawn| spawn.data(foreign, host.other()).start())
    });
    for (from, to) in [(7, 0), (-1, 0), (0, -1), (0, i32::MAX)].map(|(a, b)| (Fd(a), Fd(b))) {
        forced.refused(&kernel, &mut k, SpawnError::Files(FdError::BadFd), |k| {
            with(k, Errno::EBADF, &|spawn| spawn.fd(from, to).start())
        });
    }
    for (change, inner) in [(&to_root, CredError::NotPermitted), (&to_nobody, CredError::InvalidId)]
    {
        forced.refused(&kernel, &mut k, SpawnError::Cred(inner), |k| {
            with(k, inner.errno(), &|spawn| spawn.change_cred(change).start())
        });
    }
    for (pgid, inner) in [(77, GroupError::NoSuchGroup), (-1, GroupError::BadNumber)] {
        forced.refused(&kernel, &mut k, SpawnError::Group(inner), |k| {
            let group = SpawnGroup::Join(Pid(pgid));
            with(k, inner.errno(), &|spawn| spawn.group(group).start())
        });
    }
    leave(k);
    assert_empty(kernel);
    assert_empty(other);
}
