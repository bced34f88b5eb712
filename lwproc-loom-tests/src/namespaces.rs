//! Pid namespaces: who is found by a number while it is born and goes, and the end of a
//! namespace's init against all that happens inside.

use crate::full::{assert_empty, at_once, enter_as};
use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicU32;
use lwproc::{
    Host, Kernel, Lwp, Pid, PidNamespace, ProcState, SigModel, SpawnError, WaitPolicy, WaitTarget,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub fn models() -> Vec<Model> {
    vec![
        pair("namespace_fork_against_find", fork_against_find),
        pair("namespace_reap_against_find", reap_against_find),
        pair("namespace_reap_against_fork_of_the_number", reap_against_fork_of_the_number),
        pair("namespace_end_against_fork", || end_against_fork(Other::Ends)).long(),
        pair("namespace_fork_against_end", || end_against_fork(Other::Forks)).long(),
        pair("namespace_end_against_exit", || end_against_exit(Other::Ends)).long(),
        pair("namespace_exit_against_end", || end_against_exit(Other::Exits)).long(),
        pair("namespace_end_against_orphaning", end_against_orphaning).long(),
        pair("namespace_end_against_last_exit", || seen_by_the_last(Other::Exits)).long(),
        pair("namespace_last_exit_against_end", || seen_by_the_last(Other::Ends)).long(),
    ]
}

/// What the other thread does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Ends,
    Forks,
    Exits,
}

fn kernel(policy: WaitPolicy) -> Arc<Kernel> {
    let builder = Kernel::builder().signal_model(SigModel::Ignore).wait_policy(policy);
    Arc::new(builder.id_capacity(6).build().unwrap())
}

/// The init of a namespace with so many numbers, a child of it, and the namespace.
fn namespace(kernel: &Kernel, numbers: u32) -> (Lwp, Lwp, PidNamespace) {
    let init = kernel.spawn().new_namespace(numbers + 1).start().unwrap();
    let child = init.proc_handle().spawn().start().unwrap();
    let namespace = kernel.pin().proc(init.pid()).unwrap().namespace();
    (init, child, namespace)
}

fn find(kernel: &Kernel, namespace: &PidNamespace, number: i32) -> Option<Pid> {
    let guard = kernel.pin();
    let found = namespace.proc(&guard, Pid(number))?;
    assert_eq!(namespace.pid_of(&found), Some(Pid(number)));
    assert_ne!(found.state(), ProcState::Zombie);
    Some(found.pid())
}

/// Whoever is found is whole.
fn fork_against_find() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let (init, child, namespace) = namespace(&kernel, 4);
    let (k, n) = (kernel.clone(), namespace);
    let forks = || init.proc_handle().spawn().start().unwrap();
    let (found, forked) = at_once(&kernel, move || find(&k, &n, 3), forks);
    assert!(found.is_none_or(|found| found == forked.pid()));
    drop((child, forked, init));
    assert_empty(&kernel);
}

fn reap_against_find() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let (init, child, namespace) = namespace(&kernel, 4);
    let (k, n, pid) = (kernel.clone(), namespace.clone(), child.pid());
    let (found, ()) = at_once(&kernel, move || find(&k, &n, 2), || drop(child));
    assert!(found.is_none_or(|found| found == pid));
    assert_eq!(find(&kernel, &namespace, 2), None);
    drop(init);
    assert_empty(&kernel);
}

/// There are two numbers: the second goes from the one to the other, or is not free yet.
fn reap_against_fork_of_the_number() {
    let kernel = kernel(WaitPolicy::AutoReap);
    let (init, child, namespace) = namespace(&kernel, 2);
    let handle = init.proc_handle();
    let forks = move || handle.spawn().start();
    let (forked, ()) = at_once(&kernel, forks, || drop(child));
    match &forked {
        Ok(forked) => assert_eq!(find(&kernel, &namespace, 2), Some(forked.pid())),
        Err(why) => assert_eq!(*why, SpawnError::IdsExhausted),
    }
    drop(forked);
    assert_eq!(find(&kernel, &namespace, 2), None);
    drop(init);
    assert_empty(&kernel);
}

/// Nobody escapes: what is forked is told to go, or is not forked.
fn end_against_fork(there: Other) {
    let kernel = kernel(WaitPolicy::AutoReap);
    let (init, child, _) = namespace(&kernel, 4);
    let forks = |kernel: &Kernel| {
        let entered = enter_as(kernel, child);
        let forked = entered.spawn().start();
        (forked, Kernel::leave(entered).unwrap())
    };
    let k = kernel.clone();
    let (forked, child) = match there {
        Other::Forks => at_once(&kernel, move || forks(&k), || drop(init)).0,
        _ => at_once(&kernel, move || drop(init), || forks(&k)).1,
    };
    match &forked {
        Ok(forked) => {
            let state = kernel.pin().proc(forked.pid()).unwrap().state();
            assert_eq!(state, ProcState::Draining, "it has escaped");
        }
        Err(why) => assert_eq!(*why, SpawnError::NamespaceEnded),
    }
    drop((forked, child));
    assert_empty(&kernel);
}

/// Whoever is last carries the end of init on: once.
fn end_against_exit(there: Other) {
    let kernel = kernel(WaitPolicy::Wait);
    let (init, child, _) = namespace(&kernel, 4);
    if there == Other::Ends {
        at_once(&kernel, move || drop(init), || drop(child));
    } else {
        at_once(&kernel, move || drop(child), || drop(init));
    }
    assert_empty(&kernel);
}

/// A zombie that is handed to init while that ends is reaped.
fn end_against_orphaning() {
    let kernel = kernel(WaitPolicy::Wait);
    let (init, child, _) = namespace(&kernel, 4);
    drop(child.proc_handle().spawn().start().unwrap());
    at_once(&kernel, move || drop(init), || drop(child));
    assert_empty(&kernel);
}

/// Counts the processes whose end is over.
#[derive(Default)]
struct Counts(AtomicU32);

impl Host for Counts {
    type VmSpace = ();
    type File = ();
    type SigValue = ();
    type Emul = ();
    type Vfs = ();

    fn vfs_init(&self, (): &()) {}

    fn vfs_release(&self, (): ()) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Who carries the end of init on, or waits for it, sees all that has ended.
fn seen_by_the_last(there: Other) {
    let builder = Kernel::builder().host(Counts::default()).signal_model(SigModel::Ignore);
    let builder = builder.wait_policy(WaitPolicy::Wait).id_capacity(6);
    let kernel = Arc::new(builder.build().unwrap());
    let entered = enter_as(&kernel, kernel.spawn().start().unwrap());
    let init = entered.spawn().new_namespace(4).start().unwrap();
    let child = init.proc_handle().spawn().start().unwrap();
    let (theirs, own) = if there == Other::Ends { (init, child) } else { (child, init) };
    let look = || {
        drop(own);
        if entered.try_wait(WaitTarget::Any).unwrap().is_some() {
            assert_eq!(kernel.host().0.load(Relaxed), 2);
        }
    };
    at_once(&kernel, move || drop(theirs), look);
    drop(entered);
}
