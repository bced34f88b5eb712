//! Kernels, processes and LWPs that are not made.

use crate::becoming::Become;
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

pub fn numbering(forced: &mut Forced) {
    let why = NumberingError::NotCyclic;
    let dense = kernel(|builder| builder.numbering(Numbering::Dense));
    forced.refused_outside(&dense, why, || dense.set_id_capacity(5));
    forced.refused_outside(&dense, why, || dense.set_last_number(Pid(5)));
    let why = NumberingError::OutOfRange;
    let cyclic = kernel(|builder| builder.numbering(Numbering::Cyclic));
    forced.refused_outside(&cyclic, why, || cyclic.set_id_capacity(0));
    forced.refused_outside(&cyclic, why, || cyclic.set_last_number(Pid(-1)));
    assert_eq!(room(&cyclic), 32_766);
}

/// Every limit is enforced.
pub fn limited(max_procs: u64) -> Kernel {
    let policy = LimitsPolicy::default().with_nproc(Enforcement::Enforced);
    kernel(|builder| builder.limits_policy(policy).max_procs(max_procs))
}

/// An LWP of proc0 is current, and proc0 is user 7's, who may have as many processes.
pub fn give_proc0_to_user_7(k: &mut K<'_>, nproc: u64) {
    k.become_new_lwp(Pid::KERNEL).unwrap();
    k.resources().set_limit(Resource::Nproc, Limit::both(nproc)).unwrap();
    k.creds().set(&CredChange::SetUid(7)).unwrap();
}

/// How many processes can still be made, and what there is then is let go.
pub fn room(kernel: &Kernel) -> usize {
    let made: Vec<Lwp> = std::iter::from_fn(|| kernel.spawn().start().ok()).collect();
    made.len()
}

pub fn newlwp(forced: &mut Forced) {
    no_such_process(forced);
    draining(forced);
    no_id_is_left(forced);
    beyond_a_most(forced);
}

fn beyond_a_most(forced: &mut Forced) {
    let policy = LimitsPolicy::default().with_nthr(Enforcement::Enforced);
    let kernel = kernel(|builder| builder.max_lwps(8).max_lwps_per_proc(3).limits_policy(policy));
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let pid = k.pid();
    let handle = kernel.pin().proc(pid).unwrap().handle().unwrap();
    let mut refused = |k: &mut K<'_>, why| {
        forced.refused(&kernel, k, why, |k| k.become_new_lwp(pid));
        forced.refused(&kernel, k, why, |_| kernel.new_lwp(pid));
        forced.refused(&kernel, k, why, |_| handle.new_lwp());
    };
    let second = kernel.new_lwp(pid).unwrap();
    k.resources().set_limit(Resource::Nthr, Limit::both(1)).unwrap();
    refused(&mut k, NewLwpError::Limit);
    kernel.set_limits_policy(LimitsPolicy::default());
    let third = kernel.new_lwp(pid).unwrap();
    refused(&mut k, NewLwpError::ProcessFull);
    let others: Vec<Lwp> = std::iter::from_fn(|| kernel.spawn().start().ok()).collect();
    assert_eq!(kernel.counts().lwps, 8);
    refused(&mut k, NewLwpError::KernelFull);
    drop((others, second, third, handle));
    leave(k);
    assert_eq!(room(&kernel), 6);
    assert_empty(kernel);
}

fn no_such_process(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let further = kernel.new_lwp(k.pid()).unwrap();
    let gone = kernel.spawn().start().unwrap();
    let handle = kernel.pin().proc(gone.pid()).unwrap().handle().unwrap();
    let gone = {
        let pid = gone.pid();
        drop(gone);
        pid
    };
    let why = NewLwpError::NoSuchProcess;
    for number in [37, -1, i32::MAX, i32::MIN, further.lid().0, gone.0] {
        forced.refused(&kernel, &mut k, why, |k| k.become_new_lwp(Pid(number)));
        forced.refused(&kernel, &mut k, why, |_| kernel.new_lwp(Pid(number)));
    }
    forced.refused(&kernel, &mut k, why, |_| handle.new_lwp());
    // A zombie takes none.
    let zombie = child(&mut k);
    let pid = zombie.pid();
    drop(zombie);
    forced.refused(&kernel, &mut k, why, |k| k.become_new_lwp(pid));
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    drop((further, handle));
    leave(k);
    forced.refused_outside(&kernel, why, || kernel.new_lwp(pid));
    assert_empty(kernel);
}

fn draining(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.drain();
    let handle = kernel.pin().proc(k.pid()).unwrap().handle().unwrap();
    let why = NewLwpError::Draining;
    forced.refused(&kernel, &mut k, why, |k| k.become_new_lwp(k.pid()));
    forced.refused(&kernel, &mut k, why, |k| kernel.new_lwp(k.pid()));
    forced.refused(&kernel, &mut k, why, |_| handle.new_lwp());
    drop(handle);
    leave(k);
    assert_empty(kernel);
}

/// Few ids, with a limit and a cap, which are charged before the id is looked for.
pub fn few_ids() -> Kernel {
    let policy = LimitsPolicy::default().with_nproc(Enforcement::Enforced);
    kernel(|builder| builder.id_capacity(6).max_procs(20).limits_policy(policy))
}

fn no_id_is_left(forced: &mut Forced) {
    let kernel = few_ids();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    let handle = kernel.pin().proc(k.pid()).unwrap().handle().unwrap();
    let held: Vec<Lwp> = std::iter::from_fn(|| kernel.spawn().start().ok()).collect();
    assert_eq!(kernel.counts().ids, 7, "and 0");
    let why = NewLwpError::IdsExhausted;
    forced.refused(&kernel, &mut k, why, |k| k.become_new_lwp(k.pid()));
    forced.refused(&kernel, &mut k, why, |k| kernel.new_lwp(k.pid()));
    forced.refused(&kernel, &mut k, why, |_| handle.new_lwp());
    drop((held, handle));
    leave(k);
    assert_eq!(room(&kernel), 5);
    assert_empty(kernel);
}

/// Why no child is made, whether it would have been forked or spawned.
#[derive(Clone, Copy)]
pub enum Why {
    IdsExhausted,
    Limit,
    KernelFull,
    NamespaceEnded,
}

/// Tries to make a child in each way, which is refused for the same reason each time.
pub type Tries = fn(&mut Forced, &Kernel, &mut K<'_>, Why);

pub const FILES: [Rfork; 3] = [Rfork::Share, Rfork::Copy, Rfork::Fresh];

fn forks(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>, why: Why) {
    let why = match why {
        Why::IdsExhausted => ForkError::IdsExhausted,
        Why::Limit => ForkError::Limit,
        Why::KernelFull => ForkError::KernelFull,
        Why::NamespaceEnded => ForkError::NamespaceEnded,
    };
    for files in FILES {
        forced.refused(kernel, k, why, |k| k.rfork(files));
    }
}

pub fn fork(forced: &mut Forced) {
    without_ids(forced, forks);
    beyond_the_users_limit(forced, forks);
    in_a_full_kernel(forced, forks);
    in_an_ended_namespace(forced, forks);
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    for flags in [3, 4, -1, i32::MIN] {
        let why = ForkError::BadFlags { flags };
        forced.refused(&kernel, &mut k, why, |_| Rfork::from_flags(flags));
    }
}

pub fn without_ids(forced: &mut Forced, tries: Tries) {
    let kernel = kernel(|builder| builder.id_capacity(6).max_procs(20));
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.files().open(kernel.host().file(), OnExec::Keep).unwrap();
    let held: Vec<Lwp> = std::iter::from_fn(|| kernel.spawn().start().ok()).collect();
    tries(forced, &kernel, &mut k, Why::IdsExhausted);
    drop(held);
    leave(k);
    assert_eq!(room(&kernel), 5);
    assert_empty(kernel);
}

/// What a user is refused for gives its place in the kernel back.
pub fn beyond_the_users_limit(forced: &mut Forced, tries: Tries) {
    let kernel = limited(8);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.resources().set_limit(Resource::Nproc, Limit::both(1)).unwrap();
    k.creds().set(&CredChange::SetUid(7)).unwrap();
    k.files().open(kernel.host().file(), OnExec::Keep).unwrap();
    // Six rounds of three each: far beyond what there is room for.
    tries(forced, &kernel, &mut k, Why::Limit);
    assert_eq!(room(&kernel), 5, "of eight there were three");
    leave(k);
    assert_empty(kernel);
}

/// What is refused leaves no number taken, and init does not wait for it.
pub fn in_an_ended_namespace(forced: &mut Forced, tries: Tries) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.spawn().new_namespace(100).start().unwrap()).unwrap();
    let child = k.spawn().files(Rfork::Fresh).start().unwrap();
    let init = k.switch(child).unwrap().expect("it lives");
    k.files().open(kernel.host().file(), OnExec::Keep).unwrap();
    drop(init);
    tries(forced, &kernel, &mut k, Why::NamespaceEnded);
    leave(k);
    assert_empty(kernel);
}

/// What the kernel is full for is not charged to the user.
pub fn in_a_full_kernel(forced: &mut Forced, tries: Tries) {
    let kernel = limited(4);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.resources().set_limit(Resource::Nproc, Limit::both(2)).unwrap();
    k.creds().set(&CredChange::SetUid(7)).unwrap();
    let last = kernel.spawn().start().unwrap();
    tries(forced, &kernel, &mut k, Why::KernelFull);
    drop(last);
    let parent = k.rfork(Rfork::Share).unwrap().expect("as many as the user may have");
    assert_eq!(k.rfork(Rfork::Share).unwrap_err(), ForkError::KernelFull);
    drop(parent);
    leave(k);
    assert_empty(kernel);
}
