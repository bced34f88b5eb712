//! Who a process is, and what its user is charged.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;

fn uid(k: &Entered<'_>) -> u32 {
    k.cred().users().real
}

fn setuid(k: &mut Entered<'_>, uid: u32) {
    k.creds().set(&CredChange::SetUid(uid)).unwrap();
}

#[track_caller]
fn assert_counts(kernel: &Kernel, uid: u32, procs: usize, lwps: usize) {
    let counts = kernel.user_counts(uid);
    assert_eq!((counts.procs, counts.lwps), (procs, lwps));
    assert_eq!(kernel.user_counts_by_scan(uid), counts, "charged as scanned");
}

#[test]
fn two_processes_keep_their_uids_across_switches() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    setuid(&mut k, 22);
    let mut other = k.unbind().unwrap().unwrap();
    k.rfork(Rfork::Share).unwrap();
    setuid(&mut k, 11);
    for round in 0..6 {
        other = k.switch(other).unwrap().unwrap();
        assert_eq!(uid(&k), if round % 2 == 0 { 22 } else { 11 });
    }
    let pid = k.pid();
    k.become_new_lwp(pid).unwrap();
    assert_eq!(uid(&k), 11, "a new LWP sees its process's uid");
}

#[test]
fn a_child_inherits_and_the_implicit_context_is_root_again() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    setuid(&mut k, 7);
    k.rfork(Rfork::Share).map(drop).unwrap();
    assert_eq!(uid(&k), 7);
    assert!(matches!(k.creds().set(&CredChange::SetUid(0)), Err(CredError::NotPermitted)));
    assert_eq!(CredError::NotPermitted.errno(), Errno::EPERM);
    k.release().unwrap();
    drop(k);
    assert_eq!(uid(&kernel.enter().unwrap()), 0);
}

#[test]
fn a_change_shows_in_siblings_at_their_next_entry() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let sibling = kernel.new_lwp(k.pid()).unwrap();
    let (step, next) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(sibling).unwrap();
            assert_eq!(uid(&k), 0);
            step.wait();
            next.wait();
            assert_eq!(uid(&k), 0, "stable during one entry");
            drop(k);
            let k = kernel.enter().unwrap();
            assert_eq!(uid(&k), 5);
        });
        step.wait();
        setuid(&mut k, 5);
        assert_eq!(uid(&k), 5, "the caller's own at once");
        next.wait();
    });
}

#[test]
fn an_embedder_commits_what_it_has_prepared() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    setuid(&mut k, 1000);
    // A set-user-id program of user 7, which the rules would refuse.
    let seven = CredChange::SetResuid(None, Some(7), Some(7));
    assert_eq!(k.creds().set(&seven), Err(CredError::NotPermitted));
    let root = Cred::superuser();
    let prepared = root.changed(&CredChange::SetResuid(Some(1000), Some(7), Some(7))).unwrap();
    k.creds()
        .commit(|old| {
            assert_eq!(old.users(), IdSet::all(1000));
            Ok::<_, CredError>(prepared.clone())
        })
        .unwrap();
    assert_eq!(k.cred().users(), IdSet { real: 1000, effective: 7, saved: 7 });
    assert_eq!(k.creds().commit(|_| Err("no")), Err("no"));
    assert_eq!(k.cred().users().effective, 7);
    k.creds().commit(|_| Ok::<_, CredError>(root.clone())).unwrap();
    assert_counts(&kernel, 1000, 0, 0);
    assert_counts(&kernel, 0, 3, 0);
}

#[test]
fn a_long_entry_takes_a_change_up_when_it_asks_to() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let sibling = kernel.new_lwp(k.pid()).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(sibling).unwrap();
            setuid(&mut k, 5);
        });
    });
    assert_eq!(uid(&k), 0, "stable until it asks");
    // A refusal is of the newest ones, and they are seen then.
    let copy = kernel.new_lwp(k.pid()).unwrap();
    assert_eq!(k.creds().set(&CredChange::SetUid(7)), Err(CredError::NotPermitted));
    assert_eq!(uid(&k), 5);
    drop(copy);
    k.creds().commit(|_| Ok::<_, CredError>(Cred::superuser())).unwrap();
    let sibling = kernel.new_lwp(k.pid()).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(sibling).unwrap();
            setuid(&mut k, 6);
        });
    });
    k.creds().update();
    assert_eq!(uid(&k), 6);
}

#[test]
fn minus_one_is_no_id() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    let (no, before) = (Some(u32::MAX), k.cred().clone());
    let changes = [
        CredChange::SetUid(u32::MAX),
        CredChange::SetEgid(u32::MAX),
        CredChange::SetReuid(None, no),
        CredChange::SetResgid(Some(1), Some(2), no),
        CredChange::SetGroups([1, u32::MAX].into()),
    ];
    for change in changes {
        assert_eq!(k.creds().set(&change), Err(CredError::InvalidId), "{change:?}");
        assert_eq!(format!("{:?}", k.cred()), format!("{before:?}"));
    }
    assert_eq!(CredError::InvalidId.errno(), Errno::EINVAL);
    k.rfork(Rfork::Share).unwrap();
    setuid(&mut k, 7);
    // Who may not at all learns that first only of a list of groups.
    assert_eq!(k.creds().set(&CredChange::SetUid(u32::MAX)), Err(CredError::InvalidId));
    let groups = CredChange::SetGroups([u32::MAX].into());
    assert_eq!(k.creds().set(&groups), Err(CredError::NotPermitted));
}

#[test]
fn an_implicit_context_changes_init() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.creds().set(&CredChange::SetEuid(9)).unwrap();
    assert_eq!(k.cred().users(), IdSet { real: 0, effective: 9, saved: 0 });
    std::thread::scope(|s| {
        s.spawn(|| assert_eq!(kernel.enter().unwrap().cred().users().effective, 9));
    });
    let guard = kernel.pin();
    let init = guard.proc(Pid::INIT).unwrap();
    assert_eq!(init.cred().unwrap().users().effective, 9);
    k.rfork(Rfork::Share).unwrap();
    assert_eq!(k.cred().users().effective, 9);
}

#[test]
fn users_are_charged_for_processes_and_further_lwps() {
    let kernel = Kernel::new();
    assert_counts(&kernel, 0, 2, 0);
    assert_counts(&kernel, 7, 0, 0);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    let more: Vec<Lwp> = (0..3).map(|_| kernel.new_lwp(pid).unwrap()).collect();
    assert_counts(&kernel, 0, 3, 3);
    setuid(&mut k, 7);
    // At once, whether they enter again or not.
    drop(more.into_iter().map(Lwp::unclaim).collect::<Vec<_>>());
    assert_counts(&kernel, 0, 2, 0);
    assert_counts(&kernel, 7, 1, 3);
    let parent = k.rfork(Rfork::Share).unwrap();
    assert_counts(&kernel, 7, 2, 3);
    k.release().unwrap();
    k.switch(parent.unwrap()).unwrap();
    assert_counts(&kernel, 7, 1, 3);
}

#[test]
fn init_is_charged_to_its_user() {
    let kernel = Kernel::new();
    let lwp = kernel.new_lwp(Pid::INIT).unwrap();
    setuid(&mut kernel.enter().unwrap(), 4);
    assert_counts(&kernel, 0, 1, 0);
    assert_counts(&kernel, 4, 1, 1);
    drop(lwp);
    assert_counts(&kernel, 4, 1, 0);
}

#[test]
fn zombies_stay_charged_until_reaped() {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    setuid(&mut k, 3);
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    k.exit(ExitStatus::exited(0)).unwrap();
    k.switch(parent).unwrap();
    assert_counts(&kernel, 3, 2, 0);
    let guard = kernel.pin();
    let me = guard.proc(k.pid()).unwrap();
    let zombie = me.children().next().unwrap();
    assert_eq!(zombie.cred().unwrap().users().real, 3);
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert!(zombie.cred().is_none());
    assert_counts(&kernel, 3, 1, 0);
}

/// Threads fork, exit and change uids at random; at rest the charges are what a scan
/// finds.
#[test]
fn charges_add_up_after_a_storm() {
    let kernel = Kernel::new();
    std::thread::scope(|s| {
        for me in 0..4u32 {
            let kernel = &kernel;
            s.spawn(move || {
                let mut k = kernel.enter().unwrap();
                k.rfork(Rfork::Share).unwrap();
                for i in 0..2000 {
                    let change = CredChange::SetResuid(Some((me + i) % 5), Some(0), Some(0));
                    k.creds().set(&change).unwrap();
                    if i % 3 == 0 {
                        k.rfork(Rfork::Share).map(drop).unwrap();
                    } else {
                        drop(kernel.new_lwp(k.pid()).unwrap());
                    }
                }
                k.release().unwrap();
            });
        }
    });
    assert_counts(&kernel, 0, 2, 0);
    for uid in 1..5 {
        assert_counts(&kernel, uid, 0, 0);
    }
    kernel.flush();
}

/// Two LWPs of one process change its uid at once, again and again.
#[test]
fn racing_changes_leave_one_charge() {
    let kernel = Kernel::new();
    let a = kernel.spawn().start().unwrap();
    let b = kernel.new_lwp(a.pid()).unwrap();
    let pid = a.pid();
    std::thread::scope(|s| {
        for (n, lwp) in [a, b].into_iter().enumerate() {
            let kernel = &kernel;
            s.spawn(move || {
                let mut k = kernel.enter().unwrap();
                k.switch(lwp).unwrap();
                for i in 0..3000 {
                    let real = Some(10 + (n as u32 + i) % 3);
                    k.creds().set(&CredChange::SetResuid(real, Some(0), Some(0))).unwrap();
                }
                drop(k);
                let mut k = kernel.enter().unwrap();
                let _ = k.unbind().unwrap().unwrap().unclaim();
            });
        }
    });
    let guard = kernel.pin();
    let proc = guard.proc(pid).unwrap();
    let uid = proc.cred().unwrap().users().real;
    for user in 10..13 {
        let mine = usize::from(user == uid);
        assert_counts(&kernel, user, mine, mine);
    }
}

/// The saved id that a sibling set before it ended is not kept either.
#[test]
fn an_exec_takes_up_what_a_sibling_has_changed() {
    let kernel = Kernel::new();
    let mut k = kernel.enter_as(kernel.spawn().start().unwrap()).unwrap();
    let sibling = k.new_lwp(k.pid()).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter_as(sibling).unwrap();
            k.creds().set(&CredChange::SetResuid(Some(1000), Some(1001), Some(1002))).unwrap();
            k.release().unwrap();
        });
    });
    assert_eq!(uid(&k), 0);
    assert_eq!(k.drain(), Drain::Begun);
    k.exec("sh").unwrap();
    assert_eq!(k.cred().users(), IdSet { real: 1000, effective: 1001, saved: 1001 });
}
