//! `Spawn`: a child made without becoming it.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

mod bench;
mod files;
mod groups;
mod refused;

use bench::{Bench, kernel};
use lwproc::*;

#[test]
fn a_child_is_as_its_parent_where_nothing_is_said() {
    let (kernel, _) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.process().set_comm("parent");
    k.groups().setsid().unwrap();
    k.creds().set(&CredChange::SetEuid(7)).unwrap();
    k.resources().set_limit(Resource::Core, Limit::both(5)).unwrap();
    k.signals().set_blocked(SigSet::from(Signo::HUP)).unwrap();
    let before = (k.pid(), k.lid(), k.files().table_users());

    let child = k.spawn().start().unwrap();
    assert_eq!((k.pid(), k.lid()), (before.0, before.1), "the context goes on as it was");
    assert_eq!(k.files().table_users(), before.2 + 1, "descriptors are shared");
    let guard = k.pin();
    let seen = guard.proc(child.pid()).unwrap();
    assert_eq!((seen.ppid(), seen.nlwps()), (k.pid(), 1));
    assert_eq!((seen.pgid(), seen.sid()), (Some(k.pid()), Some(k.pid())));
    assert_eq!((seen.comm(), seen.cred()), (k.process().comm(), Some(k.cred())));
    assert_eq!(seen.rlimit(Resource::Core), Some(Limit::both(5)));
    drop(guard);
    k.switch(child).unwrap();
    assert_eq!(k.signals().blocked(), SigSet::from(Signo::HUP));
    assert!(k.process().vmspace().is_none());
}

#[test]
fn a_child_of_the_kernel_is_proc0s_and_has_no_descriptor() {
    let (kernel, _) = kernel();
    let child = kernel.spawn().start().unwrap();
    let guard = kernel.pin();
    let seen = guard.proc(child.pid()).unwrap();
    assert_eq!((seen.ppid(), seen.comm().as_str()), (Pid::KERNEL, "system"));
    assert_eq!((seen.fd_count(), seen.fd_table_users()), (0, 1));
    assert!(!seen.shares_fds_with(&guard.proc(Pid::KERNEL).unwrap()));
}

#[test]
fn the_builder_says_what_is_different() {
    let bench = Bench::new();
    let (kernel, host) = (&bench.kernel, &bench.host);
    let key = kernel.proc_key::<Counted>();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let mask = SigSet::from(Signo::INT).with(Signo::KILL);
    let child = k
        .spawn()
        .name("a name that is longer than a name may be")
        .blocked(mask)
        .vmspace(host.value())
        .data(key, host.value())
        .data(key, host.value())
        .change_cred(&CredChange::SetGroups([4].into()))
        .change_cred(&CredChange::SetUid(9))
        .start()
        .unwrap();
    assert_eq!(host.alive(), 2, "of two data under one key the first is dropped");
    let pid = child.pid();
    assert_eq!(kernel.user_counts(9).procs, 1);
    assert_eq!(kernel.user_counts(9), kernel.user_counts_by_scan(9));
    let back = k.switch(child).unwrap().unwrap();
    assert_eq!((k.pid(), k.process().comm().as_str()), (pid, "a name that is l"));
    assert_eq!(k.signals().blocked(), SigSet::from(Signo::INT), "SIGKILL is never blocked");
    assert!(k.process().vmspace().is_some() && k.data().proc(key).is_some());
    assert_eq!((k.cred().users(), k.cred().supplementary()), (IdSet::all(9), &[4][..]));
    k.release().unwrap();
    k.switch(back).unwrap();
    assert_eq!((host.alive(), kernel.user_counts(9).procs), (0, 0));
}

use bench::Counted;

#[test]
fn credentials_are_given_without_a_rule_and_changed_by_the_rules() {
    let (kernel, _) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.creds().set(&CredChange::SetUid(5)).unwrap();
    let ordinary = k.cred().clone();
    let to_root = CredChange::SetUid(0);
    let refused = k.spawn().change_cred(&to_root).start().unwrap_err();
    assert_eq!(refused, SpawnError::Cred(CredError::NotPermitted));
    let given = k.spawn().cred(Cred::superuser()).start().unwrap();
    let changed = k.spawn().cred(Cred::superuser()).change_cred(&CredChange::SetUid(6)).start();
    let users = |lwp: &Lwp<_>| k.pin().proc(lwp.pid()).unwrap().cred().unwrap().users();
    assert_eq!((users(&given), users(&changed.unwrap())), (IdSet::all(0), IdSet::all(6)));
    assert_eq!(k.cred(), &ordinary);
}

#[test]
fn an_address_space_is_the_childs() {
    let bench = Bench::new();
    let mut k = bench.kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let children = [k.spawn(), k.spawn().name("named"), bench.kernel.spawn()];
    let children = children.map(|spawn| spawn.vmspace(bench.host.value()).start().unwrap());
    assert_eq!(bench.host.alive(), 3);
    for child in children {
        let before = bench.host.alive();
        let back = k.switch(child).unwrap().unwrap();
        assert!(k.process().vmspace().is_some());
        k.release().unwrap();
        k.switch(back).unwrap();
        assert_eq!(bench.host.alive(), before - 1, "it goes with the process");
    }
}

#[test]
fn a_mask_that_is_given_counts_and_not_the_parents() {
    let (kernel, _) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.signals().set_blocked(SigSet::ALL).unwrap();
    let child = k.spawn().blocked(SigSet::EMPTY).start().unwrap();
    k.signals().kill(KillTarget::Proc(child.pid()), 1).unwrap();
    k.switch(child).unwrap();
    assert!(k.signals().has_pending());
    assert_eq!(k.signals().take(), Some(Signo::HUP));
}

#[test]
fn an_implicit_context_spawns_for_init() {
    let (kernel, _) = kernel();
    let k = kernel.enter().unwrap();
    let child = k.spawn().start().unwrap();
    let guard = k.pin();
    let seen = guard.proc(child.pid()).unwrap();
    assert_eq!((seen.ppid(), seen.comm().as_str()), (Pid::INIT, "init"));
    assert!(seen.shares_fds_with(&guard.proc(Pid::INIT).unwrap()));
}

#[test]
fn a_spawn_is_a_fork_for_hooks_and_sinks() {
    use std::sync::{Arc, Mutex};
    struct Log(Mutex<Vec<TraceEvent>>);
    impl TraceSink for Log {
        fn event(&self, event: &TraceEvent) {
            self.0.lock().unwrap().push(*event);
        }
    }
    let (kernel, _) = kernel();
    let log = Arc::new(Log(Mutex::default()));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.process().set_trace(Some(log.clone()));
    let child = k.spawn().start().unwrap();
    let fork = TraceEvent::Fork { parent: k.pid(), child: child.pid() };
    assert_eq!(*log.0.lock().unwrap(), [fork]);
}

#[test]
fn the_limit_is_the_parents_for_the_childs_user() {
    let (kernel, _) = kernel();
    kernel.set_limits_policy(LimitsPolicy::default().with_nproc(Enforcement::Enforced));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.resources().set_limit(Resource::Nproc, Limit::both(1)).unwrap();
    let as_user = |k: &Entered<'_, _>, uid| {
        k.spawn().cred(Cred::superuser()).change_cred(&CredChange::SetUid(uid)).start()
    };
    // The superuser has no limit, whoever the child is.
    let (one, two) = (as_user(&k, 3).unwrap(), as_user(&k, 3).unwrap());
    k.creds().set(&CredChange::SetUid(4)).unwrap();
    assert_eq!(as_user(&k, 3).unwrap_err(), SpawnError::Limit);
    assert_eq!(as_user(&k, 4).unwrap_err(), SpawnError::Limit);
    drop((one, two));
    let three = as_user(&k, 3).unwrap();
    assert_eq!(as_user(&k, 3).unwrap_err(), SpawnError::Limit);
    drop(three);
}

#[test]
fn a_builder_may_be_dropped() {
    let bench = Bench::new();
    let k = bench.kernel.enter().unwrap();
    drop(k.spawn().vmspace(bench.host.value()).name("never"));
    assert_eq!(bench.host.alive(), 0);
    assert_eq!(format!("{:?}", k.spawn()), "Spawn(child of 1)");
}
