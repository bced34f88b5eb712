//! Process groups and sessions: POSIX's rules, who keeps which id, waiting by
//! group.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::time::{Duration, Instant};

fn kernel() -> Kernel {
    Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap()
}

/// A child of the current process; the parent goes on.
fn fork(k: &mut Entered<'_>) -> Lwp {
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    k.switch(parent).unwrap().unwrap()
}

/// Runs as `lwp` for the time of `f`.
fn run_as<R>(k: &mut Entered<'_>, lwp: Lwp, f: impl FnOnce(&mut Entered<'_>) -> R) -> (Lwp, R) {
    let before = k.switch(lwp).unwrap();
    let result = f(k);
    let lwp = match before {
        Some(before) => k.switch(before).unwrap(),
        None => k.unbind().unwrap(),
    };
    (lwp.unwrap(), result)
}

/// The process of a new LWP of proc0's, current from now on.
fn start(k: &mut Entered<'_>) -> Pid {
    k.rfork(Rfork::Fresh).unwrap();
    k.pid()
}

fn members(kernel: &Kernel, pgid: Pid) -> Option<Vec<Pid>> {
    let guard = kernel.pin();
    let mut pids: Vec<Pid> = guard.pgrp(pgid)?.members().map(|p| p.pid()).collect();
    pids.sort();
    Some(pids)
}

fn groups(kernel: &Kernel) -> Vec<(Pid, Pid)> {
    let guard = kernel.pin();
    guard.pgrps().map(|g| (g.id(), g.sid())).collect()
}

#[test]
fn all_are_in_proc0s_group_until_they_leave_it() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!((k.groups().pgid(), k.groups().sid()), (Pid(0), Pid(0)));
    let own = start(&mut k);
    let child = fork(&mut k);
    assert_eq!(members(&kernel, Pid(0)).unwrap(), [Pid(0), Pid(1), own, child.pid()]);
    assert_eq!(groups(&kernel), [(Pid(0), Pid(0))]);
    let guard = kernel.pin();
    let seen = guard.proc(child.pid()).unwrap();
    assert_eq!((seen.pgid(), seen.sid()), (Some(Pid(0)), Some(Pid(0))));
    assert_eq!(format!("{:?}", guard.pgrp(Pid(0)).unwrap()), "PgrpRef(0 of session 0)");
    // Those who leave are no members of it any more, and find no way back.
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    assert_eq!(members(&kernel, Pid(0)).unwrap(), [Pid(0), Pid(1), child.pid()]);
    assert_eq!((k.groups().pgid(), k.groups().sid()), (own, Pid(0)));
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    assert_eq!(k.groups().pgid(), own);
    let stranger = Kernel::new();
    assert!(guard.pgrp(own).is_some() && stranger.pin().pgrp(own).is_none());
    assert_eq!(groups(&stranger), [(Pid(0), Pid(0))]);
}

#[test]
fn a_child_is_in_its_parents_group_and_session() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let own = start(&mut k);
    assert_eq!(k.groups().setsid(), Ok(own));
    assert_eq!((k.groups().pgid(), k.groups().sid()), (own, own));
    let child = fork(&mut k);
    assert_eq!(
        (k.groups().pgid_of(child.pid()), k.groups().sid_of(child.pid())),
        (Ok(own), Ok(own))
    );
    assert_eq!(members(&kernel, own).unwrap(), [own, child.pid()]);
    let (child, grandchild) = run_as(&mut k, child, |k| {
        k.groups().setpgid(Pid(0), Pid(0)).unwrap();
        assert_eq!((k.groups().pgid(), k.groups().sid()), (k.pid(), own));
        fork(k)
    });
    assert_eq!(k.groups().pgid_of(grandchild.pid()), Ok(child.pid()));
    assert_eq!(members(&kernel, child.pid()).unwrap(), [child.pid(), grandchild.pid()]);
    assert_eq!(groups(&kernel), [(Pid(0), Pid(0)), (own, own), (child.pid(), own)]);
    // What is forked from proc0 starts where proc0 is.
    let other = kernel.spawn().start().unwrap();
    assert_eq!(k.groups().pgid_of(other.pid()), Ok(Pid(0)));
}

#[test]
fn a_parent_moves_its_children_between_groups() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let own = start(&mut k);
    k.groups().setpgid(Pid(0), own).unwrap();
    let (a, b) = (fork(&mut k), fork(&mut k));
    k.groups().setpgid(a.pid(), Pid(0)).unwrap();
    k.groups().setpgid(b.pid(), a.pid()).unwrap();
    assert_eq!(members(&kernel, own).unwrap(), [own]);
    assert_eq!(members(&kernel, a.pid()).unwrap(), [a.pid(), b.pid()]);
    k.groups().setpgid(a.pid(), own).unwrap();
    assert_eq!(members(&kernel, a.pid()).unwrap(), [b.pid()], "without its leader");
    k.groups().setpgid(a.pid(), a.pid()).unwrap();
    assert_eq!(members(&kernel, a.pid()).unwrap(), [a.pid(), b.pid()]);
    for pid in [a.pid(), b.pid()] {
        k.groups().setpgid(pid, own).unwrap();
    }
    assert_eq!(members(&kernel, a.pid()), None, "a group without members is gone");
    assert_eq!(members(&kernel, own).unwrap(), [own, a.pid(), b.pid()]);
    assert_eq!(k.groups().setpgid(b.pid(), a.pid()), Err(GroupError::NoSuchGroup));
}

#[test]
fn setpgid_refuses_what_posix_says() {
    use GroupError::*;
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let own = start(&mut k);
    let child = fork(&mut k);
    let (child, grandchild) = run_as(&mut k, child, fork);
    let outsider = kernel.spawn().start().unwrap();
    let further = kernel.new_lwp(own).unwrap();
    let zombie = fork(&mut k);
    let zombie = {
        let pid = zombie.pid();
        drop(zombie);
        pid
    };
    let counts = kernel.counts();
    let cases = [
        (Pid(0), Pid(-1), BadNumber, Errno::EINVAL),
        (own, Pid(i32::MIN), BadNumber, Errno::EINVAL),
        (Pid(-1), Pid(0), NoSuchProcess, Errno::ESRCH),
        (Pid(1 << 30), Pid(0), NoSuchProcess, Errno::ESRCH),
        (Pid(further.lid().0), Pid(0), NoSuchProcess, Errno::ESRCH),
        (Pid::INIT, Pid(0), NoSuchProcess, Errno::ESRCH),
        (grandchild.pid(), Pid(0), NoSuchProcess, Errno::ESRCH),
        (outsider.pid(), Pid(0), NoSuchProcess, Errno::ESRCH),
        (zombie, Pid(0), NoSuchProcess, Errno::ESRCH),
        (Pid(0), child.pid(), NoSuchGroup, Errno::EPERM),
        (child.pid(), own, NoSuchGroup, Errno::EPERM),
        (Pid(0), Pid(1 << 30), NoSuchGroup, Errno::EPERM),
    ];
    for (pid, pgid, error, errno) in cases {
        assert_eq!(k.groups().setpgid(pid, pgid), Err(error), "setpgid({pid}, {pgid})");
        assert_eq!(error.errno(), errno);
    }
    assert_eq!(kernel.counts(), counts);
    assert_eq!(groups(&kernel), [(Pid(0), Pid(0))], "nothing has changed");
    // A child in a session of its own; and a session's leader.
    let (child, _) = run_as(&mut k, child, |k| {
        k.groups().setsid().unwrap();
        assert_eq!(k.groups().setpgid(Pid(0), Pid(0)), Err(SessionLeader));
        assert_eq!(k.groups().setpgid(k.pid(), Pid(0)), Err(SessionLeader));
        assert_eq!(k.groups().setsid(), Err(GroupExists));
        // Its child is in the old session.
        assert_eq!(k.groups().setpgid(grandchild.pid(), Pid(0)), Err(OtherSession));
        assert_eq!(k.groups().setpgid(grandchild.pid(), k.pid()), Err(OtherSession));
    });
    assert_eq!(k.groups().setpgid(child.pid(), Pid(0)), Err(OtherSession));
    assert_eq!(
        k.groups().setpgid(Pid(0), child.pid()),
        Err(OtherSession),
        "a group of another session"
    );
    for error in [SessionLeader, OtherSession, NoSuchGroup, GroupExists] {
        assert_eq!(error.errno(), Errno::EPERM);
    }
    assert_eq!(HasExeced.errno(), Errno::EACCES);
    // proc0 leads session 0.
    let lwp = kernel.new_lwp(Pid(0)).unwrap();
    let _ = run_as(&mut k, lwp, |k| {
        assert_eq!(k.groups().setpgid(Pid(0), Pid(0)), Err(SessionLeader));
        assert_eq!(k.groups().setsid(), Err(GroupExists));
    });
}

#[test]
fn getpgid_and_getsid_find_every_process() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let own = start(&mut k);
    k.groups().setsid().unwrap();
    assert_eq!((k.groups().pgid_of(Pid(0)), k.groups().sid_of(Pid(0))), (Ok(own), Ok(own)));
    assert_eq!(
        (k.groups().pgid_of(Pid::INIT), k.groups().sid_of(Pid::INIT)),
        (Ok(Pid(0)), Ok(Pid(0)))
    );
    for pid in [Pid(-1), Pid(77), Pid(i32::MAX)] {
        assert_eq!(k.groups().pgid_of(pid), Err(GroupError::NoSuchProcess));
        assert_eq!(k.groups().sid_of(pid), Err(GroupError::NoSuchProcess));
    }
    // A zombie is where it was.
    let child = fork(&mut k);
    let pid = child.pid();
    drop(child);
    assert_eq!((k.groups().pgid_of(pid), k.groups().sid_of(pid)), (Ok(own), Ok(own)));
    let guard = kernel.pin();
    let zombie = guard.proc(pid).unwrap();
    assert_eq!(members(&kernel, own).unwrap(), [own, pid]);
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert_eq!((zombie.pgid(), zombie.sid()), (None, None));
    assert_eq!(k.groups().pgid_of(pid), Err(GroupError::NoSuchProcess));
    assert_eq!(members(&kernel, own).unwrap(), [own]);
}

#[test]
fn a_group_of_the_pid_bars_a_session() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let own = start(&mut k);
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    assert_eq!(k.groups().setsid(), Err(GroupError::GroupExists), "it leads one");
    // It leaves it, and another stays.
    let child = fork(&mut k);
    k.groups().setpgid(child.pid(), Pid(0)).unwrap();
    let (child, grandchild) = run_as(&mut k, child, |k| {
        let grandchild = fork(k);
        k.groups().setpgid(grandchild.pid(), own).unwrap();
        grandchild
    });
    k.groups().setpgid(Pid(0), child.pid()).unwrap();
    assert_eq!(members(&kernel, own).unwrap(), [grandchild.pid()]);
    assert_eq!(k.groups().setsid(), Err(GroupError::GroupExists), "it led one that lives");
    let (child, _) =
        run_as(&mut k, child, |k| k.groups().setpgid(grandchild.pid(), k.pid()).unwrap());
    assert_eq!(k.groups().setsid(), Ok(own), "and now it is gone");
    assert_eq!(groups(&kernel), [(Pid(0), Pid(0)), (own, own), (child.pid(), Pid(0))]);
    drop((child, grandchild));
}

#[test]
fn init_and_implicit_contexts_have_a_group_too() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    assert_eq!((k.groups().pgid(), k.groups().sid()), (Pid::INIT, Pid(0)));
    start(&mut k);
    assert_eq!(k.groups().pgid(), Pid::INIT);
    drop(k.unbind());
    k.groups().setpgid(Pid(0), Pid::INIT).unwrap();
    assert_eq!(k.groups().setsid(), Err(GroupError::GroupExists));
    drop(k);
    assert_eq!(kernel.counts().ids, 2);
    // In a kernel of its own: a session of init's, which never ends.
    let kernel = Kernel::new();
    assert_eq!(kernel.enter().unwrap().groups().setsid(), Ok(Pid::INIT));
    let lwp = kernel.spawn().start().unwrap();
    assert_eq!(members(&kernel, Pid::INIT).unwrap(), [Pid::INIT]);
    assert_eq!(members(&kernel, Pid(0)).unwrap(), [Pid(0), lwp.pid()]);
}

/// Ids are few, so one that was given back would be taken at once.
#[test]
fn the_id_of_a_group_is_not_reissued() {
    for policy in [WaitPolicy::Wait, WaitPolicy::AutoReap] {
        let kernel = Kernel::builder().wait_policy(policy).id_capacity(4).build().unwrap();
        let mut k = kernel.enter().unwrap();
        let leader = start(&mut k);
        k.groups().setpgid(Pid(0), Pid(0)).unwrap();
        let member = fork(&mut k);
        k.release().unwrap();
        drop(k);
        let k = kernel.enter().unwrap();
        let guard = kernel.pin();
        assert!(guard.proc(leader).is_none(), "the leader is gone");
        drop(guard);
        assert_eq!(members(&kernel, leader).unwrap(), [member.pid()]);
        assert_eq!(kernel.counts().ids, 4, "proc0, init, the member; and the group");
        for _ in 0..10 {
            let new = kernel.spawn().start().unwrap();
            assert_ne!(new.pid().0 & 7, leader.0 & 7, "the group's slot");
            assert_eq!(kernel.spawn().start().unwrap_err(), SpawnError::IdsExhausted);
        }
        assert_eq!(k.groups().pgid_of(member.pid()), Ok(leader));
        drop(member);
        assert_eq!(kernel.counts().ids, 2);
        assert!(members(&kernel, leader).is_none());
        let all: Vec<Lwp> = (0..3).map(|_| kernel.spawn().start().unwrap()).collect();
        let again = all.iter().find(|l| l.pid().0 & 7 == leader.0 & 7).expect("the slot is free");
        assert_ne!(again.pid(), leader, "under a new number");
        assert_eq!(k.groups().setpgid(Pid(0), leader), Err(GroupError::NoSuchGroup));
    }
}

#[test]
fn the_id_of_a_session_is_not_reissued() {
    let kernel = Kernel::builder().id_capacity(4).build().unwrap();
    let mut k = kernel.enter().unwrap();
    let leader = start(&mut k);
    k.groups().setsid().unwrap();
    let member = fork(&mut k);
    let (member, _) = run_as(&mut k, member, |k| k.groups().setpgid(Pid(0), Pid(0)).unwrap());
    k.release().unwrap();
    drop(k);
    let mut k = kernel.enter().unwrap();
    assert!(members(&kernel, leader).is_none(), "its group is gone");
    assert_eq!(k.groups().sid_of(member.pid()), Ok(leader), "and the session lives");
    assert_eq!(kernel.counts().ids, 4);
    for _ in 0..10 {
        let new = kernel.spawn().start().unwrap();
        assert_ne!(new.pid().0 & 7, leader.0 & 7, "the session's slot");
    }
    // Its group bars a session, so it forks: the way of a daemon.
    let (member, daemon) = run_as(&mut k, member, |k| {
        assert_eq!(k.groups().setsid(), Err(GroupError::GroupExists));
        let child = fork(k);
        run_as(k, child, |k| assert_eq!(k.groups().setsid(), Ok(k.pid()))).0
    });
    assert_eq!(kernel.counts().ids, 5, "proc0, init, two processes, the session");
    drop(member);
    assert_eq!(kernel.counts().ids, 3, "proc0, init, the daemon");
    assert_eq!(groups(&kernel), [(Pid(0), Pid(0)), (daemon.pid(), daemon.pid())]);
}

#[test]
fn waiting_for_a_group() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let own = start(&mut k);
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    let (a, b, c) = (fork(&mut k), fork(&mut k), fork(&mut k));
    let pids = [a.pid(), b.pid(), c.pid()];
    k.groups().setpgid(b.pid(), Pid(0)).unwrap();
    k.groups().setpgid(c.pid(), b.pid()).unwrap();
    let target = WaitTarget::Pgrp(b.pid());
    assert_eq!(k.try_wait(target), Ok(None));
    drop((a, c));
    let waited = |r: Result<Option<Reaped>, WaitError>| r.map(|r| r.unwrap().pid);
    assert_eq!(waited(k.try_wait(target)), Ok(pids[2]));
    assert_eq!(k.try_wait(target), Ok(None), "a is in another group");
    assert_eq!(waited(k.try_wait(WaitTarget::OwnPgrp)), Ok(pids[0]));
    assert_eq!(k.try_wait(WaitTarget::OwnPgrp), Err(WaitError::NoChild));
    drop(b);
    for pgid in [Pid(-1), Pid(0), own, Pid(12345)] {
        assert_eq!(k.try_wait(WaitTarget::Pgrp(pgid)), Err(WaitError::NoChild), "{pgid}");
    }
    assert_eq!(k.wait(target).map(|r| r.pid), Ok(pids[1]));
    assert_eq!(k.wait(target), Err(WaitError::NoChild));
    assert_eq!(members(&kernel, pids[1]), None);
}

/// Whoever waits for a group learns that its last child there has left it.
#[test]
fn waiting_ends_when_the_child_leaves_the_group() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    let own = start(&mut k);
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    let child = fork(&mut k);
    std::thread::scope(|s| {
        s.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            let mut k = kernel.enter().unwrap();
            k.switch(child).unwrap();
            k.groups().setpgid(Pid(0), Pid(0)).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        });
        assert_eq!(k.wait(WaitTarget::OwnPgrp), Err(WaitError::NoChild));
    });
    assert_eq!(k.groups().pgid(), own);
}

/// A wait by pid does not walk the children: the oldest of many first.
#[test]
fn many_zombies_are_reaped_by_pid_oldest_first() {
    const N: usize = 20_000;
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    start(&mut k);
    let pids: Vec<Pid> = (0..N).map(|_| fork(&mut k).pid()).collect();
    let stranger = kernel.spawn().start().unwrap();
    assert_eq!(k.try_wait(WaitTarget::Pid(stranger.pid())), Err(WaitError::NoChild));
    let begun = Instant::now();
    for pid in pids {
        assert_eq!(k.try_wait(WaitTarget::Pid(pid)).unwrap().unwrap().pid, pid);
        assert_eq!(k.try_wait(WaitTarget::Pid(pid)), Err(WaitError::NoChild));
    }
    assert_eq!(kernel.counts().zombies, 0);
    // A tenth of a second without optimisation; by a walk of the children, more
    // than a minute.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_group_is_orphaned_when_nobody_is_left_to_continue_it() {
    let kernel = kernel();
    let orphaned = |pgid| {
        let guard = kernel.pin();
        guard.pgrp(pgid).unwrap().is_orphaned()
    };
    let mut k = kernel.enter().unwrap();
    // A shell, and a job of two.
    let shell = start(&mut k);
    k.groups().setsid().unwrap();
    assert!(orphaned(shell), "a session's leader has its parent elsewhere");
    let job = fork(&mut k);
    k.groups().setpgid(job.pid(), Pid(0)).unwrap();
    let (job, second) = run_as(&mut k, job, fork);
    assert!(!orphaned(job.pid()), "the shell can continue it");
    // The first of the job ends: the other's parent is init, in session 0.
    let pgid = job.pid();
    drop(job);
    assert_eq!(members(&kernel, pgid).unwrap(), [pgid, second.pid()], "a zombie and it");
    assert!(orphaned(pgid));
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert!(orphaned(pgid));
    // Parent and child in two groups of one session.
    let job = fork(&mut k);
    k.groups().setpgid(job.pid(), Pid(0)).unwrap();
    assert!(!orphaned(job.pid()));
    k.groups().setpgid(job.pid(), shell).unwrap();
    assert!(orphaned(shell));
    // In session 0 init is a parent like any other.
    drop(k.unbind());
    start(&mut k);
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    assert!(!orphaned(k.pid()));
    assert!(orphaned(Pid(0)));
}

/// With nobody to reap a leaked zombie, its group goes with the kernel.
#[test]
fn groups_of_leaked_zombies_go_with_the_kernel() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    start(&mut k);
    let child = fork(&mut k);
    drop(run_as(&mut k, child, |k| k.groups().setsid().unwrap()));
    std::mem::forget(k.claim_zombie(WaitTarget::Any).unwrap().unwrap());
    k.release().unwrap();
    drop(k);
    assert_eq!(groups(&kernel).len(), 2);
    assert_eq!(kernel.counts().ids, 3);
}

/// An LWP that outlives its kernel: its group goes with it.
#[test]
fn survivors_keep_their_group() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    start(&mut k);
    let child = fork(&mut k);
    let (child, _) = run_as(&mut k, child, |k| k.groups().setsid().unwrap());
    drop(k);
    assert_eq!(kernel.shutdown().survivors.len(), 1);
    drop(child);
}

#[test]
fn a_parent_does_not_move_a_child_that_has_run_another_program() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let (own, child) = (parent.pid(), k.pid());
    for _ in 0..2 {
        k.drain();
        k.exec("other").unwrap();
    }
    // Itself it moves still, and stays marked; its own child is not.
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    let lwp = k.rfork(Rfork::Share).unwrap().unwrap();
    let grandchild = k.switch(lwp).unwrap().unwrap();
    k.groups().setpgid(grandchild.pid(), Pid(0)).unwrap();
    let lwp = k.switch(parent).unwrap().unwrap();
    assert_eq!(k.groups().setpgid(child, Pid(0)), Err(GroupError::HasExeced));
    assert_eq!(k.groups().setpgid(child, own), Err(GroupError::HasExeced));
    assert_eq!(k.groups().pgid_of(child), Ok(child));
    drop((lwp, grandchild));
}
