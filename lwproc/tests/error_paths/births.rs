//! Kernels, processes and LWPs that are not made.

use crate::bench::{Kernel, Lwp, *};
use lwproc::*;
use std::num::NonZeroUsize;

pub fn build(forced: &mut Forced) {
    let host = Counting::default();
    let builder = || lwproc::Kernel::builder().host(host.clone());
    for capacity in [0, 1 << 30, usize::MAX] {
        let refused = builder().id_capacity(capacity).build();
        forced.note(refused, &BuildError::IdCapacity { capacity });
        assert_eq!((host.users(), host.out()), (0, [0; 5]), "the host was dropped");
    }
    for count in [1 << 17, usize::MAX] {
        let refused = builder().virtual_cpus(NonZeroUsize::new(count).unwrap()).build();
        forced.note(refused, &BuildError::VirtualCpus { count });
        assert_eq!((host.users(), host.out()), (0, [0; 5]), "the host was dropped");
    }
    let most = builder().id_capacity((1 << 30) - 1).build().unwrap();
    assert_eq!(most.id_capacity(), (1 << 30) - 1);
    assert!(lwproc::Kernel::new().id_capacity() >= 1 << 20);
}

/// Every limit is enforced.
fn limited(max_procs: u64) -> Kernel {
    let policy = LimitsPolicy::default().with_nproc(Enforcement::Enforced);
    kernel(|builder| builder.limits_policy(policy).max_procs(max_procs))
}

/// An LWP of proc0 is current, and proc0 is user 7's, who may have as many processes.
fn give_proc0_to_user_7(k: &mut K<'_>, nproc: u64) {
    k.newlwp(Pid::KERNEL).unwrap();
    k.set_rlimit(Resource::Nproc, Limit::both(nproc)).unwrap();
    k.set_cred(&CredChange::SetUid(7)).unwrap();
}

/// How many processes can still be made, and what there is then is let go.
fn room(kernel: &Kernel) -> usize {
    let made: Vec<Lwp> = std::iter::from_fn(|| kernel.alloclwp(None).ok()).collect();
    made.len()
}

pub fn newlwp(forced: &mut Forced) {
    no_such_process(forced);
    draining(forced);
    ids_exhausted(forced);
    user_limit(forced);
    kernel_full(forced);
    wrong_kernel(forced);
}

fn no_such_process(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let further = kernel.alloclwp(Some(k.pid())).unwrap();
    let gone = kernel.alloclwp(None).unwrap();
    let handle = kernel.find(gone.pid(), &kernel.pin()).unwrap().handle().unwrap();
    let gone = {
        let pid = gone.pid();
        drop(gone);
        pid
    };
    let why = NewLwpError::NoSuchProcess;
    for number in [37, -1, i32::MAX, i32::MIN, further.lid().0, gone.0] {
        forced.refused(&kernel, &mut k, why, |k| k.newlwp(Pid(number)));
        forced.refused(&kernel, &mut k, why, |_| kernel.alloclwp(Some(Pid(number))));
    }
    forced.refused(&kernel, &mut k, why, |_| kernel.alloclwp_in(&handle));
    // A zombie takes none.
    let zombie = child(&mut k);
    let pid = zombie.pid();
    drop(zombie);
    forced.refused(&kernel, &mut k, why, |k| k.newlwp(pid));
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    drop((further, handle));
    leave(k);
    forced.refused_outside(&kernel, why, || kernel.alloclwp(Some(pid)));
    assert_empty(kernel);
}

fn draining(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.drain();
    let handle = kernel.find(k.pid(), &kernel.pin()).unwrap().handle().unwrap();
    let why = NewLwpError::Draining;
    forced.refused(&kernel, &mut k, why, |k| k.newlwp(k.pid()));
    forced.refused(&kernel, &mut k, why, |k| kernel.alloclwp(Some(k.pid())));
    forced.refused(&kernel, &mut k, why, |_| kernel.alloclwp_in(&handle));
    drop(handle);
    leave(k);
    assert_empty(kernel);
}

/// With a limit and a cap, which are charged before the id is looked for.
fn ids_exhausted(forced: &mut Forced) {
    let policy = LimitsPolicy::default().with_nproc(Enforcement::Enforced);
    let configure = |b: Builder<_>| b.id_capacity(6).max_procs(20).limits_policy(policy);
    let kernel = kernel(configure);
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let held: Vec<Lwp> = std::iter::from_fn(|| kernel.alloclwp(None).ok()).collect();
    assert_eq!(kernel.counts().ids, 7, "and 0");
    let why = NewLwpError::IdsExhausted;
    forced.refused(&kernel, &mut k, why, |k| k.newlwp(k.pid()));
    forced.refused(&kernel, &mut k, why, |_| kernel.alloclwp(None));
    drop(held);
    leave(k);
    assert_eq!(room(&kernel), 5);
    assert_empty(kernel);
}

fn user_limit(forced: &mut Forced) {
    let kernel = limited(8);
    let mut k = kernel.enter().unwrap();
    give_proc0_to_user_7(&mut k, 2);
    let second = kernel.alloclwp(None).unwrap();
    forced.refused(&kernel, &mut k, NewLwpError::Limit, |_| kernel.alloclwp(None));
    // Not what an LWP of a process is refused for.
    drop(kernel.alloclwp(Some(second.pid())).unwrap());
    drop(second);
    k.switch(kernel.alloclwp(None).unwrap()).unwrap();
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
    let last = kernel.alloclwp(None).unwrap();
    forced.refused(&kernel, &mut k, NewLwpError::KernelFull, |_| kernel.alloclwp(None));
    drop(last);
    leave(k);
    assert_eq!(room(&kernel), 2);
    assert_empty(kernel);
}

fn wrong_kernel(forced: &mut Forced) {
    let (own, other) = (plain(), plain());
    let lwp = other.alloclwp(None).unwrap();
    let handle = other.find(lwp.pid(), &other.pin()).unwrap().handle().unwrap();
    let before = Snapshot::of(&other, None);
    let mut k = own.enter().unwrap();
    start_as(&mut k, 5);
    let why = NewLwpError::WrongKernel;
    forced.refused(&own, &mut k, why, |_| own.alloclwp_in(&handle));
    Snapshot::of(&other, None).assert_eq(&before, "a refusal of the other kernel");
    drop((lwp, handle));
    leave(k);
    assert_empty(own);
    assert_empty(other);
}

/// Each way to fork is refused for the same reason.
fn forks(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>, why: ForkError) {
    for files in [Rfork::Share, Rfork::Copy, Rfork::Fresh] {
        forced.refused(kernel, k, why, |k| k.rfork(files));
        // The address space is dropped.
        let host = kernel.host();
        forced.refused(kernel, k, why, |k| k.rfork_vmspace(host.vmspace(), files));
    }
}

pub fn fork(forced: &mut Forced) {
    fork_without_ids(forced);
    fork_beyond_the_users_limit(forced);
    fork_in_a_full_kernel(forced);
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    for flags in [3, 4, -1, i32::MIN] {
        let why = ForkError::BadFlags { flags };
        forced.refused(&kernel, &mut k, why, |_| Rfork::from_flags(flags));
    }
}

fn fork_without_ids(forced: &mut Forced) {
    let kernel = kernel(|builder| builder.id_capacity(6).max_procs(20));
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.fd_open(kernel.host().file(), OnExec::Keep).unwrap();
    let held: Vec<Lwp> = std::iter::from_fn(|| kernel.alloclwp(None).ok()).collect();
    forks(forced, &kernel, &mut k, ForkError::IdsExhausted);
    drop(held);
    leave(k);
    assert_eq!(room(&kernel), 5);
    assert_empty(kernel);
}

/// What a user is refused for gives its place in the kernel back.
fn fork_beyond_the_users_limit(forced: &mut Forced) {
    let kernel = limited(8);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.set_rlimit(Resource::Nproc, Limit::both(1)).unwrap();
    k.set_cred(&CredChange::SetUid(7)).unwrap();
    k.fd_open(kernel.host().file(), OnExec::Keep).unwrap();
    // Six rounds of three each: far beyond what there is room for.
    forks(forced, &kernel, &mut k, ForkError::Limit);
    assert_eq!(room(&kernel), 5, "of eight there were three");
    leave(k);
    assert_empty(kernel);
}

/// What the kernel is full for is not charged to the user.
fn fork_in_a_full_kernel(forced: &mut Forced) {
    let kernel = limited(4);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.set_rlimit(Resource::Nproc, Limit::both(2)).unwrap();
    k.set_cred(&CredChange::SetUid(7)).unwrap();
    let last = kernel.alloclwp(None).unwrap();
    forks(forced, &kernel, &mut k, ForkError::KernelFull);
    drop(last);
    let parent = k.rfork(Rfork::Share).unwrap().expect("as many as the user may have");
    assert_eq!(k.rfork(Rfork::Share).unwrap_err(), ForkError::KernelFull);
    drop(parent);
    leave(k);
    assert_empty(kernel);
}
