//! Limits, caps, use, names, and the place in the file system.

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicIsize, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn nofile(soft: u64, hard: u64) -> (Resource, Limit) {
    (Resource::Nofile, Limit { soft, hard })
}

#[test]
fn a_childs_limits_are_its_parents_until_either_changes_its_own() {
    let limits = Limits::unlimited().with(Resource::Nofile, Limit { soft: 64, hard: 128 }).unwrap();
    let kernel = Kernel::builder().limits(limits.clone()).build().unwrap();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.resources().limits(), limits);
    k.rfork(Rfork::Fresh).unwrap();
    let (r, low) = nofile(10, 100);
    // The parent's set is one of its own by now: R11 shared that with the child.
    assert_eq!(k.resources().set_limit(r, low), Ok(Limit { soft: 64, hard: 128 }));
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert_eq!(k.resources().limit(r), low);
    let (_, lower) = nofile(5, 50);
    k.resources().set_limit(r, lower).unwrap();
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!(k.resources().limit(r), low);
    k.resources().set_limit(r, Limit::both(7)).unwrap();
    let parent = k.switch(child).unwrap().unwrap();
    assert_eq!(k.resources().limit(r), lower);
    let guard = kernel.pin();
    assert_eq!(guard.proc(parent.pid()).unwrap().rlimit(r), Some(Limit::both(7)));
    assert_eq!(guard.proc(Pid::INIT).unwrap().rlimit(r).unwrap().soft, 64);
}

#[test]
fn only_the_superuser_raises_a_hard_limit() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let (r, limit) = nofile(10, 20);
    k.resources().set_limit(r, limit).unwrap();
    k.resources().set_limit(r, Limit { soft: 10, hard: 30 }).unwrap();
    k.creds().set(&CredChange::SetUid(1)).unwrap();
    let error = k.resources().set_limit(r, Limit { soft: 10, hard: 31 }).unwrap_err();
    assert_eq!((error, error.errno()), (LimitError::NotPermitted, Errno::EPERM));
    let error = k.resources().set_limit(r, Limit { soft: 21, hard: 20 }).unwrap_err();
    assert_eq!((error, error.errno()), (LimitError::SoftAboveHard, Errno::EINVAL));
    assert_eq!(k.resources().limit(r), Limit { soft: 10, hard: 30 });
    k.resources().set_limit(r, Limit { soft: 30, hard: 30 }).unwrap();
}

#[test]
fn an_ended_process_has_no_limits() {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    k.resources().set_limit(Resource::Cpu, Limit::both(3)).unwrap();
    let child = k.pid();
    k.release().unwrap();
    k.switch(parent).unwrap();
    let guard = kernel.pin();
    assert_eq!(guard.proc(child).unwrap().rlimit(Resource::Cpu), None);
}

#[test]
fn nproc_is_enforced_when_asked_for_and_refunded() {
    let limits = Limits::unlimited().with(Resource::Nproc, Limit::both(3)).unwrap();
    let asked = Kernel::builder()
        .limits(limits.clone())
        .limits_policy(LimitsPolicy::default().with_nproc(Enforcement::Enforced))
        .build()
        .unwrap();
    let not = Kernel::builder().limits(limits).build().unwrap();
    for (kernel, enforced) in [(&asked, true), (&not, false)] {
        for _ in 0..3 {
            let mut k = kernel.enter().unwrap();
            k.rfork(Rfork::Fresh).unwrap();
            // The superuser is not limited.
            let kept: Vec<_> = (0..4).map(|_| k.rfork(Rfork::Share).unwrap()).collect();
            k.creds().set(&CredChange::SetUid(7)).unwrap();
            let mut own: Vec<_> = (0..2).map(|_| k.rfork(Rfork::Share).unwrap()).collect();
            assert_eq!(kernel.user_counts(7).procs, 3);
            let before = kernel.counts();
            if enforced {
                let error = k.rfork(Rfork::Share).unwrap_err();
                assert_eq!((error, error.errno()), (ForkError::Limit, Errno::EAGAIN));
                assert_eq!((kernel.counts(), kernel.user_counts(7).procs), (before, 3));
                drop(own.pop());
            }
            k.rfork(Rfork::Share).unwrap();
            k.release().unwrap();
            drop((k, kept, own));
            assert_eq!((kernel.counts().procs, kernel.user_counts(7).procs), (2, 0));
        }
    }
}

#[test]
fn nthr_is_enforced_when_asked_for_and_counts_further_lwps() {
    let enforced = LimitsPolicy::default().with_nthr(Enforcement::Enforced);
    let kernel = Kernel::builder().limits_policy(enforced).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.resources().set_limit(Resource::Nthr, Limit::both(2)).unwrap();
    // The superuser's have no limit, and the first of each process is not counted.
    let by_root: Vec<_> = (0..4).map(|_| k.new_lwp(k.pid()).unwrap()).collect();
    assert_eq!(kernel.user_counts(0).lwps, 4);
    drop(by_root);
    k.creds().set(&CredChange::SetUid(7)).unwrap();
    let counts = || {
        let UserCounts { procs, lwps, .. } = kernel.user_counts(7);
        (procs, lwps)
    };
    for _ in 0..3 {
        let child = k.spawn().start().unwrap();
        let of_child = kernel.new_lwp(child.pid()).unwrap();
        let own = k.new_lwp(k.pid()).unwrap();
        assert_eq!(counts(), (2, 2));
        for pid in [k.pid(), child.pid()] {
            let error = kernel.new_lwp(pid).unwrap_err();
            assert_eq!((error, error.errno()), (NewLwpError::Limit, Errno::EAGAIN));
        }
        assert_eq!(counts(), (2, 2));
        // The limit is that of the process that gets the LWP.
        kernel.set_limits_policy(LimitsPolicy::default());
        drop(k.new_lwp(k.pid()).unwrap());
        kernel.set_limits_policy(enforced);
        // Whichever LWP of a process is left is not counted.
        drop(child);
        drop(kernel.new_lwp(of_child.pid()).unwrap());
        drop((of_child, own));
        assert_eq!(counts(), (1, 0));
    }
    k.release().unwrap();
}

/// Three others of the user: two are too few for an exec, three are enough.
#[test]
fn an_exec_after_a_change_of_user_is_subject_to_nproc() {
    let enforced = LimitsPolicy::default().with_nproc(Enforcement::Enforced);
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).limits_policy(enforced);
    let kernel = kernel.build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let as_seven = |k: &Entered<'_>| k.spawn().change_cred(&CredChange::SetUid(7)).start().unwrap();
    let others = [as_seven(&k), as_seven(&k), as_seven(&k)];
    let exec = |k: &mut Entered<'_>| {
        k.drain();
        let result = k.exec("other");
        assert_eq!(k.process().comm().as_str() == "other", result.is_ok());
        k.process().set_comm("");
        result
    };
    k.resources().set_limit(Resource::Nproc, Limit { soft: 2, hard: 3 }).unwrap();
    assert_eq!(exec(&mut k), Ok(()), "the superuser's");
    for real in [7, 0] {
        k.creds().set(&CredChange::SetResuid(Some(real), None, None)).unwrap();
        assert_eq!(exec(&mut k), Ok(()), "the superuser's still");
    }
    k.creds().set(&CredChange::SetUid(7)).unwrap();
    for _ in 0..2 {
        let error = exec(&mut k).unwrap_err();
        assert_eq!((error, error.errno()), (ExecError::Limit, Errno::EAGAIN));
    }
    k.reopen();
    drop(k.new_lwp(k.pid()).unwrap());
    kernel.set_limits_policy(LimitsPolicy::default());
    let forks = k.spawn().start().unwrap();
    kernel.set_limits_policy(enforced);
    k.resources().set_limit(Resource::Nproc, Limit::both(3)).unwrap();
    assert_eq!(exec(&mut k), Err(ExecError::Limit), "four others");
    // A zombie counts until it is waited for.
    drop(forks);
    assert_eq!(exec(&mut k), Err(ExecError::Limit));
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert_eq!(exec(&mut k), Ok(()));
    // Without a change of user an exec is never refused: neither that of this one again, nor
    // that of its child; but that of one that was made as another user.
    k.resources().set_limit(Resource::Nproc, Limit::both(0)).unwrap();
    assert_eq!(exec(&mut k), Ok(()));
    k.reopen();
    k.creds().set(&CredChange::SetUid(7)).unwrap();
    assert_eq!(exec(&mut k), Ok(()), "who it was before");
    kernel.set_limits_policy(LimitsPolicy::default());
    let child = k.spawn().start().unwrap();
    kernel.set_limits_policy(enforced);
    let parent = k.switch(child).unwrap().unwrap();
    assert_eq!(exec(&mut k), Ok(()), "as its parent");
    k.release().unwrap();
    let [one, ..] = others;
    k.switch(one).unwrap();
    k.resources().set_limit(Resource::Nproc, Limit::both(0)).unwrap();
    assert_eq!(exec(&mut k), Err(ExecError::Limit), "made as another user");
    k.release().unwrap();
    drop((k, parent));
}

#[test]
fn the_kernel_has_a_most_when_asked_for() {
    let kernel = Kernel::builder().max_procs(4).build().unwrap();
    for _ in 0..3 {
        let two: Vec<_> = (0..2).map(|_| kernel.spawn().start().unwrap()).collect();
        let before = kernel.counts();
        let error = kernel.spawn().start().unwrap_err();
        assert_eq!((error, error.errno()), (SpawnError::KernelFull, Errno::EAGAIN));
        let mut k = kernel.enter().unwrap();
        assert_eq!(k.rfork(Rfork::Share).unwrap_err(), ForkError::KernelFull);
        assert_eq!((kernel.counts(), kernel.user_counts(0).procs), (before, 4));
        drop((k, two));
    }
    // The place is given back when the ids or the user's limit say no.
    let few = Kernel::builder().max_procs(3).id_capacity(2).build().unwrap();
    let mut k = few.enter().unwrap();
    let lwp = few.new_lwp(Pid::INIT).unwrap();
    assert_eq!(k.rfork(Rfork::Share).unwrap_err(), ForkError::IdsExhausted);
    assert_eq!(few.user_counts(0).procs, 2);
    drop(lwp);
    k.rfork(Rfork::Share).unwrap();
    k.release().unwrap();
}

#[test]
fn use_goes_to_who_waits_and_profiling_to_the_children() {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
    let used = |ms, faults| Usage {
        user: Duration::from_millis(ms),
        max_rss: ms,
        minor_faults: faults,
        ..Usage::default()
    };
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let profile = Profile { base: 0x1000, size: 64, offset: 0, scale: 1 };
    k.resources().set_profile(Some(profile));
    k.resources().add_usage(used(5, 1));
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert_eq!((k.resources().usage(), k.resources().profile()), (Usage::default(), Some(profile)));
    k.resources().set_profile(None);
    k.resources().add_usage(used(10, 2));
    let child = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert_eq!((k.resources().usage(), k.resources().profile()), (Usage::default(), None));
    k.resources().add_usage(used(20, 4));
    k.exit(ExitStatus::exited(0)).unwrap();
    k.switch(child).unwrap();
    let grandchild = k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert_eq!(grandchild.usage, used(20, 4));
    assert_eq!((k.resources().usage(), k.resources().children_usage()), (used(10, 2), used(20, 4)));
    k.exit(ExitStatus::exited(0)).unwrap();
    k.switch(parent).unwrap();
    assert_eq!(k.resources().children_usage(), Usage::default());
    let expected = Usage { max_rss: 20, ..used(30, 6) };
    assert_eq!(k.try_wait(WaitTarget::Any).unwrap().unwrap().usage, expected);
    assert_eq!((k.resources().usage(), k.resources().children_usage()), (used(5, 1), expected));
    assert_eq!(k.resources().profile(), Some(profile));
}

#[test]
fn an_lwp_has_a_name_of_its_own() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    let name = |k: &Entered<'_>| k.curlwp().expect("it lives").name();
    assert!(k.curlwp().is_none(), "nobody has no name");
    k.rfork(Rfork::Fresh).unwrap();
    assert_eq!(name(&k), None);
    k.curlwp().unwrap().set_name("worker");
    k.curlwp().unwrap().set_name("pagedaemon");
    let first = k.become_new_lwp(k.pid()).unwrap().unwrap();
    assert_eq!(name(&k), None);
    let guard = kernel.pin();
    let seen = guard.lwp(first.lid()).unwrap();
    assert_eq!(seen.name().unwrap().as_str(), "pagedaemon");
}

/// A place that counts how many there are, and knows what it was made from.
#[derive(Debug)]
struct Place {
    live: Arc<AtomicIsize>,
    depth: u32,
}

impl Default for Place {
    fn default() -> Self {
        Self { live: Arc::new(AtomicIsize::new(1)), depth: 0 }
    }
}

impl Clone for Place {
    fn clone(&self) -> Self {
        self.live.fetch_add(1, SeqCst);
        Self { live: self.live.clone(), depth: self.depth + 1 }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.fetch_sub(1, SeqCst);
    }
}

#[derive(Default)]
struct Places {
    released: Mutex<Vec<u32>>,
    panic_at: AtomicU32,
}

impl Host for Places {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = Place;
    type SigValue = ();

    fn vfs_init(&self, parent: &Place) -> Place {
        assert!(self.panic_at.load(SeqCst) != 1, "no place");
        parent.clone()
    }

    fn vfs_release(&self, vfs: Place) {
        self.released.lock().unwrap().push(vfs.depth);
        assert!(self.panic_at.load(SeqCst) != 2, "the place is on fire");
    }
}

#[test]
fn a_process_has_a_place_of_its_own_until_it_ends() {
    let kernel = Kernel::builder().host(Places::default()).build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    kernel.add_exit_hook(move |proc| log.lock().unwrap().push(proc.vfs().depth));
    let mut k = kernel.enter().unwrap();
    let live = k.process().vfs().live.clone();
    assert_eq!(live.load(SeqCst), 1);
    k.rfork(Rfork::Fresh).unwrap();
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert_eq!((k.process().vfs().depth, live.load(SeqCst)), (2, 3));
    k.release().unwrap();
    k.switch(parent).unwrap();
    assert_eq!((k.process().vfs().depth, live.load(SeqCst)), (1, 2));
    assert_eq!(*kernel.host().released.lock().unwrap(), [2]);
    assert_eq!(*seen.lock().unwrap(), [2], "an exit hook sees it");

    let before = kernel.counts();
    kernel.host().panic_at.store(1, SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| k.rfork(Rfork::Fresh))).is_err());
    kernel.host().panic_at.store(2, SeqCst);
    assert_eq!((kernel.counts(), live.load(SeqCst)), (before, 2));
    let parent = k.rfork(Rfork::Fresh).unwrap();
    k.release().unwrap();
    let left = catch_unwind(AssertUnwindSafe(|| k.switch(parent.unwrap())));
    assert!(left.is_err(), "the panic comes through");
    assert_eq!((kernel.counts(), live.load(SeqCst)), (before, 2), "and the process has ended");
    kernel.host().panic_at.store(0, SeqCst);
}

#[test]
fn the_default_host_has_no_places() {
    let kernel: Kernel<ThreadHost> = Kernel::new();
    assert_eq!(*kernel.enter().unwrap().process().vfs(), ());
}

/// Files that are nothing.
#[derive(Default)]
struct Files;

impl Host for Files {
    type VmSpace = ();
    type File = u32;
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
}

#[test]
fn nofile_bounds_new_descriptors_and_spares_open_ones() {
    let kernel = Kernel::builder().host(Files).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let fds: Vec<_> = (0..6).map(|i| k.files().open(i, OnExec::Keep).unwrap()).collect();
    k.resources().set_limit(Resource::Nofile, Limit::both(4)).unwrap();
    assert_eq!(*k.files().get(fds[5]).unwrap(), 5);
    assert_eq!(k.files().open(9, OnExec::Keep).unwrap_err().errno(), Errno::EMFILE);
    assert_eq!(k.files().reserve(OnExec::Keep).map(drop), Err(FdError::TooMany));
    assert_eq!(k.files().dup(fds[0]), Err(FdError::TooMany));
    assert_eq!(k.files().dup_from(fds[0], Fd(4), OnExec::Keep), Err(FdError::BadMinimum));
    assert_eq!(k.files().dup2(fds[0], Fd(4)), Err(FdError::BadFd));
    k.files().close(fds[3]).unwrap();
    assert_eq!(k.files().dup(fds[0]), Ok(Fd(3)));
    assert_eq!(k.files().dup2(fds[0], fds[1]), Ok(fds[1]));
    k.resources()
        .set_limit(Resource::Nofile, Limit { soft: Limit::INFINITY, hard: Limit::INFINITY })
        .unwrap();
    assert_eq!(k.files().dup(fds[0]), Ok(Fd(6)));
}

#[test]
fn use_comes_to_its_end_and_stays_there() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let most = Usage { signals: u64::MAX - 1, user: Duration::MAX, ..Usage::default() };
    k.resources().add_usage(most);
    k.resources().add_usage(Usage {
        signals: 5,
        user: Duration::from_nanos(1),
        ..Usage::default()
    });
    let (signals, user) = (k.resources().usage().signals, k.resources().usage().user);
    assert_eq!((signals, user), (u64::MAX, Duration::from_nanos(u64::MAX)));
}
