//! Process groups and sessions, through the public interface.

use crate::full::{assert_empty, at_once, enter_as, family, kernel, kernel_with};
use crate::runner::{Model, pair};
use lwproc::{
    Entered, GroupError, Guard, Kernel, Lwp, Pid, Rfork, WaitError, WaitPolicy, WaitTarget,
};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("groups_setpgid_by_child_against_by_parent", setpgid_against_setpgid),
        pair("groups_setpgid_of_sibling_against_founding", join_against_founding),
        pair("groups_setpgid_against_exit_of_target", setpgid_against_exit),
        pair("groups_exit_of_target_against_setpgid", exit_against_setpgid),
        pair("groups_fork_against_setsid", fork_against_setsid),
        pair("groups_fork_against_setsid_in_a_group", fork_against_setsid_in_a_group),
        pair("groups_fork_against_setpgid_of_the_child", fork_against_setpgid),
        pair("groups_setsid_against_setpgid_by_parent", setsid_against_setpgid),
        pair("groups_setpgid_by_parent_against_setsid", setpgid_against_setsid),
        pair("groups_last_leave_against_join", last_leave_against_join),
        pair("groups_last_leave_against_fork", last_leave_against_fork),
        pair("groups_members_of_group_0_against_fork", members_of_group_0),
        pair("groups_pgrps_against_founding", pgrps_against_founding),
        pair("groups_members_against_move", members_against_move),
        pair("groups_members_against_exit", members_against_exit),
        pair("groups_last_leave_against_exit_of_leader", leave_against_exit_of_leader),
        pair("groups_exit_of_member_against_exit_of_leader", exit_of_member_against_exit_of_leader)
            .long(),
        pair("groups_find_against_death", find_against_death),
        pair("groups_find_against_founding", find_against_founding),
        pair("groups_new_group_against_death_of_old", refound_against_death).long(),
        pair("groups_session_ends_once", session_ends_once).long(),
        pair("groups_wait_against_move", wait_against_move),
        pair("groups_setpgid_by_parent_against_exec", setpgid_against_exec),
        pair("groups_of_the_leaked_go_with_the_kernel", leaked),
    ]
}

/// Does something as an LWP, and takes it off the thread again.
fn run_as<R>(kernel: &Kernel, lwp: Lwp, f: impl FnOnce(&mut Entered<'_>) -> R) -> (Lwp, R) {
    let mut k = enter_as(kernel, lwp);
    let result = f(&mut k);
    (k.unbind().unwrap().unwrap(), result)
}

pub(crate) fn setpgid(
    kernel: &Kernel,
    lwp: Lwp,
    pid: Pid,
    pgid: Pid,
) -> (Lwp, Result<(), GroupError>) {
    run_as(kernel, lwp, |k| k.groups().setpgid(pid, pgid))
}

pub(crate) fn pgid(pid: Pid, guard: &Guard<'_>) -> Option<Pid> {
    guard.proc(pid).and_then(|p| p.pgid())
}

pub(crate) fn members(pgid: Pid, guard: &Guard<'_>) -> Vec<Pid> {
    guard.pgrp(pgid).map_or(vec![], |g| g.members().map(|p| p.pid()).collect())
}

/// Another LWP of the process.
fn second(kernel: &Kernel, lwp: &Lwp) -> Lwp {
    kernel.new_lwp(lwp.pid()).unwrap()
}

/// Both found the group of the child: there is one, with the child in it once.
fn setpgid_against_setpgid() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (pid, k) = (child.pid(), kernel.clone());
    let there = move || setpgid(&k, child, Pid(0), Pid(0));
    let here = || setpgid(&kernel, parent, pid, Pid(0));
    let ((child, a), (parent, b)) = at_once(&kernel, there, here);
    assert_eq!((a, b), (Ok(()), Ok(())));
    let guard = kernel.pin();
    assert_eq!(members(pid, &guard), [pid]);
    assert_eq!(guard.pgrps().count(), 2);
    drop(guard);
    drop((parent, child));
    assert_empty(&kernel);
}

/// The parent moves itself into the group that its child is founding.
fn join_against_founding() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (pid, parent_pid, k) = (child.pid(), parent.pid(), kernel.clone());
    let there = move || setpgid(&k, parent, Pid(0), pid);
    let here = || setpgid(&kernel, child, Pid(0), Pid(0));
    let ((parent, joined), (child, founded)) = at_once(&kernel, there, here);
    assert_eq!(founded, Ok(()));
    check_join(&kernel, pid, parent_pid, joined);
    drop((parent, child));
    assert_empty(&kernel);
}

pub(crate) fn check_join(kernel: &Kernel, pgid: Pid, joiner: Pid, joined: Result<(), GroupError>) {
    let guard = kernel.pin();
    let both = members(pgid, &guard);
    assert!(both.contains(&pgid));
    match joined {
        Ok(()) => assert!(both.contains(&joiner) && both.len() == 2),
        Err(error) => assert_eq!((error, both.len()), (GroupError::NoSuchGroup, 1)),
    }
}

pub(crate) fn moved_or_gone(result: Result<(), GroupError>) {
    assert!(matches!(result, Ok(()) | Err(GroupError::NoSuchProcess)), "{result:?}");
}

fn setpgid_against_exit() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (pid, k) = (child.pid(), kernel.clone());
    let there = move || setpgid(&k, parent, pid, Pid(0));
    let ((parent, moved), ()) = at_once(&kernel, there, move || drop(child));
    moved_or_gone(moved);
    drop(parent);
    assert_empty(&kernel);
}

/// The same with the roles changed.
fn exit_against_setpgid() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let pid = child.pid();
    let here = || setpgid(&kernel, parent, pid, Pid(0));
    let ((), (parent, moved)) = at_once(&kernel, move || drop(child), here);
    moved_or_gone(moved);
    drop(parent);
    assert_empty(&kernel);
}

fn check_fork(kernel: &Kernel, old: Pid, parent: Pid, child: Pid) {
    let guard = kernel.pin();
    let of_child = pgid(child, &guard).expect("never in none");
    assert!(of_child == old || of_child == parent);
    assert!(members(of_child, &guard).contains(&child));
    assert_eq!(members(parent, &guard).len(), 1 + usize::from(of_child == parent));
}

fn fork(kernel: &Kernel, lwp: Lwp) -> (Lwp, Lwp) {
    let mut k = enter_as(kernel, lwp);
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    (parent, k.unbind().unwrap().unwrap())
}

/// R13: the child is in its parent's old group or in the new one.
fn fork_against_setsid() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (b, k) = (second(&kernel, &a), kernel.clone());
    let there = move || fork(&k, a);
    let here = || run_as(&kernel, b, |k| k.groups().setsid());
    let ((a, child), (b, sid)) = at_once(&kernel, there, here);
    assert_eq!(sid, Ok(a.pid()));
    check_fork(&kernel, Pid(0), a.pid(), child.pid());
    drop((a, b, child));
    assert_empty(&kernel);
}

/// The same in a group that counts its members, where its leader stays.
fn fork_against_setsid_in_a_group() {
    let kernel = kernel();
    let (leader, a) = family(&kernel);
    let (own, pid) = (leader.pid(), a.pid());
    let (leader, ()) = run_as(&kernel, leader, |k| {
        k.groups().setpgid(Pid(0), Pid(0)).unwrap();
        k.groups().setpgid(pid, own).unwrap();
    });
    let (b, k) = (second(&kernel, &a), kernel.clone());
    let there = move || fork(&k, a);
    let here = || run_as(&kernel, b, |k| k.groups().setsid());
    let ((a, child), (b, sid)) = at_once(&kernel, there, here);
    assert_eq!(sid, Ok(pid));
    let guard = kernel.pin();
    let its = pgid(child.pid(), &guard).expect("never in none");
    assert!(its == own || its == pid);
    assert_eq!(members(own, &guard).len(), 1 + usize::from(its == own));
    assert_eq!(members(pid, &guard).len(), 1 + usize::from(its == pid));
    drop(guard);
    drop((leader, a, b, child));
    assert_empty(&kernel);
}

/// Another LWP of the parent moves the child as soon as it can be found.
fn fork_against_setpgid() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (b, own) = (second(&kernel, &a), a.pid());
    let (b, led) = setpgid(&kernel, b, Pid(0), Pid(0));
    assert_eq!(led, Ok(()));
    // Ids are counted up.
    let pid = Pid(b.lid().0 + 1);
    let k = kernel.clone();
    let there = move || setpgid(&k, b, pid, Pid(0));
    let ((b, moved), (a, child)) = at_once(&kernel, there, || fork(&kernel, a));
    assert_eq!(child.pid(), pid);
    moved_or_gone(moved);
    let guard = kernel.pin();
    let its = if moved.is_ok() { pid } else { own };
    assert_eq!(pgid(pid, &guard), Some(its));
    assert_eq!(members(own, &guard).len(), 1 + usize::from(its == own));
    drop(guard);
    drop((a, b, child));
    assert_empty(&kernel);
}

fn check_setsid(sid: Result<Pid, GroupError>, moved: Result<(), GroupError>, pid: Pid) {
    match sid {
        Ok(sid) => assert_eq!((sid, moved), (pid, Err(GroupError::OtherSession))),
        Err(error) => assert_eq!((error, moved), (GroupError::GroupExists, Ok(()))),
    }
}

/// One of the two makes the group of the child, and the other is refused.
fn setsid_against_setpgid() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (pid, k) = (child.pid(), kernel.clone());
    let there = move || run_as(&k, child, |k| k.groups().setsid());
    let here = || setpgid(&kernel, parent, pid, Pid(0));
    let ((child, sid), (parent, moved)) = at_once(&kernel, there, here);
    // It may have moved the child first, too; then that is in the group.
    check_setsid(sid, moved, pid);
    let guard = kernel.pin();
    assert_eq!(members(pid, &guard), [pid]);
    drop(guard);
    drop((parent, child));
    assert_empty(&kernel);
}

/// The same with the roles changed.
fn setpgid_against_setsid() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (pid, k) = (child.pid(), kernel.clone());
    let there = move || setpgid(&k, parent, pid, Pid(0));
    let here = || run_as(&kernel, child, |k| k.groups().setsid());
    let ((parent, moved), (child, sid)) = at_once(&kernel, there, here);
    check_setsid(sid, moved, pid);
    drop((parent, child));
    assert_empty(&kernel);
}

/// A group's only member leaves while another comes: it lives on, or there was
/// none to join.
fn last_leave_against_join() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (child, _) = setpgid(&kernel, child, Pid(0), Pid(0));
    let (pid, parent_pid, k) = (child.pid(), parent.pid(), kernel.clone());
    let there = move || setpgid(&k, parent, Pid(0), pid);
    let ((parent, joined), ()) = at_once(&kernel, there, move || drop(child));
    let guard = kernel.pin();
    match joined {
        Ok(()) => assert_eq!(members(pid, &guard), [parent_pid]),
        Err(error) => {
            assert_eq!(error, GroupError::NoSuchGroup);
            assert!(guard.pgrp(pid).is_none());
        }
    }
    drop(guard);
    drop(parent);
    assert_empty(&kernel);
}

/// The only member of a group, but for what it forks, leaves it: a fork that
/// finds it dead looks again.
fn last_leave_against_fork() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (child, _) = setpgid(&kernel, child, Pid(0), Pid(0));
    let (parent, _) = setpgid(&kernel, parent, Pid(0), Pid(0));
    let (pid, parent_pid, k) = (child.pid(), parent.pid(), kernel.clone());
    let there = move || fork(&k, child);
    let here = || setpgid(&kernel, parent, pid, parent_pid);
    let ((child, new), (parent, moved)) = at_once(&kernel, there, here);
    assert_eq!(moved, Ok(()));
    let guard = kernel.pin();
    let its = pgid(new.pid(), &guard).expect("never in none");
    assert!(its == pid || its == parent_pid);
    assert_eq!(members(pid, &guard).len(), usize::from(its == pid));
    drop(guard);
    drop((parent, child, new));
    assert_empty(&kernel);
}

/// A member throughout is seen once; one that moves is seen at most once, and
/// where it says it is.
fn members_against_move() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (parent, _) = setpgid(&kernel, parent, Pid(0), Pid(0));
    let (pid, parent_pid, k) = (child.pid(), parent.pid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        let seen = members(parent_pid, &guard);
        assert_eq!(seen.iter().filter(|p| **p == parent_pid).count(), 1);
        assert!(seen.iter().filter(|p| **p == pid).count() <= 1);
        if seen.contains(&pid) {
            assert_eq!(pgid(pid, &guard), Some(parent_pid));
        }
    };
    let here = || setpgid(&kernel, parent, pid, parent_pid);
    let ((), (parent, moved)) = at_once(&kernel, there, here);
    assert_eq!(moved, Ok(()));
    drop((parent, child));
    assert_empty(&kernel);
}

fn members_against_exit() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (parent, _) = setpgid(&kernel, parent, Pid(0), Pid(0));
    let (parent_pid, k) = (parent.pid(), kernel.clone());
    let (parent, moved) = setpgid(&kernel, parent, child.pid(), parent_pid);
    assert_eq!(moved, Ok(()));
    let there = move || {
        let guard = k.pin();
        let seen = members(parent_pid, &guard);
        assert!(seen.contains(&parent_pid) && seen.len() <= 2);
        guard.pgrp(parent_pid).unwrap().is_orphaned();
    };
    at_once(&kernel, there, move || drop(child));
    drop(parent);
    assert_empty(&kernel);
}

/// A parent that stays, and two children of it.
fn siblings(kernel: &Kernel) -> (Lwp, Lwp, Lwp) {
    let (parent, first) = family(kernel);
    let (parent, second) = fork(kernel, parent);
    (parent, first, second)
}

/// The leader ends while the last other member leaves: the id is given back
/// once, by the last.
fn leave_against_exit_of_leader() {
    let kernel = kernel();
    let (parent, leader, member) = siblings(&kernel);
    let (own, pgid, pid) = (parent.pid(), leader.pid(), member.pid());
    let (parent, ()) = run_as(&kernel, parent, |k| {
        k.groups().setpgid(Pid(0), Pid(0)).unwrap();
        k.groups().setpgid(pgid, Pid(0)).unwrap();
        k.groups().setpgid(pid, pgid).unwrap();
    });
    let there = move || drop(leader);
    let here = || setpgid(&kernel, parent, pid, own);
    let ((), (parent, moved)) = at_once(&kernel, there, here);
    assert_eq!(moved, Ok(()));
    assert_eq!(kernel.counts().ids, 4);
    drop((parent, member));
    assert_empty(&kernel);
}

/// The same, and both end.
fn exit_of_member_against_exit_of_leader() {
    let kernel = kernel_with(WaitPolicy::AutoReap, 4);
    let (parent, leader, member) = siblings(&kernel);
    let (pgid, pid) = (leader.pid(), member.pid());
    let (parent, ()) = run_as(&kernel, parent, |k| {
        k.groups().setpgid(pgid, Pid(0)).unwrap();
        k.groups().setpgid(pid, pgid).unwrap();
    });
    at_once(&kernel, move || drop(leader), move || drop(member));
    drop(parent);
    assert_empty(&kernel);
    // All ids are there, and none twice.
    let all = [(); 3].map(|()| kernel.spawn().start().unwrap());
    assert!(kernel.spawn().start().is_err());
    drop(all);
    assert_empty(&kernel);
}

/// A group that is found is complete, and readable as long as the guard is held.
fn find_against_death() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (child, sid) = run_as(&kernel, child, |k| k.groups().setsid());
    let (pid, k) = (sid.unwrap(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        if let Some(group) = guard.pgrp(pid) {
            assert_eq!((group.id(), group.sid()), (pid, pid));
            assert!(group.members().all(|p| p.pid() == pid));
        }
    };
    at_once(&kernel, there, move || drop(child));
    drop(parent);
    assert_empty(&kernel);
}

fn find_against_founding() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, k) = (lwp.pid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        if let Some(group) = guard.pgrp(pid) {
            assert_eq!((group.id(), group.sid()), (pid, pid));
            assert!(group.members().count() <= 1);
        }
        let proc = guard.proc(pid).unwrap();
        let its = proc.pgid().unwrap();
        assert!(its == Pid(0) || its == pid);
        if its == pid {
            assert_eq!(proc.sid(), Some(pid));
            assert!(members(pid, &guard).contains(&pid), "it is where it says it is");
        }
    };
    let ((), (lwp, sid)) =
        at_once(&kernel, there, || run_as(&kernel, lwp, |k| k.groups().setsid()));
    assert_eq!(sid, Ok(pid));
    drop(lwp);
    assert_empty(&kernel);
}

/// The last member of a group ends while its leader, which has left it before,
/// comes back: it finds the group, or makes a new one in its place.
fn refound_against_death() {
    let kernel = kernel();
    let (leader, child) = family(&kernel);
    let (leader, other) = fork(&kernel, leader);
    let (pid, child_pid, other_pid) = (leader.pid(), child.pid(), other.pid());
    let (leader, ()) = run_as(&kernel, leader, |k| {
        k.groups().setpgid(Pid(0), Pid(0)).unwrap();
        k.groups().setpgid(child_pid, pid).unwrap();
        k.groups().setpgid(other_pid, other_pid).unwrap();
        k.groups().setpgid(Pid(0), other_pid).unwrap();
    });
    let k = kernel.clone();
    let there = move || setpgid(&k, leader, Pid(0), Pid(0));
    let ((leader, back), ()) = at_once(&kernel, there, move || drop(child));
    assert_eq!(back, Ok(()));
    let guard = kernel.pin();
    assert_eq!(members(pid, &guard), [pid]);
    assert_eq!(members(other_pid, &guard), [other_pid]);
    drop(guard);
    drop((leader, other));
    assert_empty(&kernel);
}

/// Two groups of one session, whose leader is gone, end at once: the session
/// ends once, and with it its id is free.
fn session_ends_once() {
    let kernel = kernel();
    let leader = kernel.spawn().start().unwrap();
    let (leader, sid) = run_as(&kernel, leader, |k| k.groups().setsid());
    assert!(sid.is_ok());
    let (leader, a) = fork(&kernel, leader);
    let (leader, b) = fork(&kernel, leader);
    let (b, moved) = setpgid(&kernel, b, Pid(0), Pid(0));
    assert_eq!(moved, Ok(()));
    drop(leader);
    at_once(&kernel, move || drop(a), move || drop(b));
    assert_empty(&kernel);
}

/// Whoever waits for the children in a group learns that the last has left it.
fn wait_against_move() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let k = kernel.clone();
    let there = move || run_as(&k, parent, |k| k.wait(WaitTarget::OwnPgrp));
    let here = || setpgid(&kernel, child, Pid(0), Pid(0));
    let ((parent, waited), (child, _)) = at_once(&kernel, there, here);
    assert_eq!(waited, Err(WaitError::NoChild));
    drop((parent, child));
    assert_empty(&kernel);
}

/// Group 0 has no list: who is forked in it is found in it, and complete.
fn members_of_group_0() {
    let kernel = kernel();
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        let seen = members(Pid(0), &guard);
        assert!(seen.starts_with(&[Pid(0), Pid(1)]) && seen.len() <= 3);
        guard.pgrp(Pid(0)).unwrap().is_orphaned();
    };
    let ((), lwp) = at_once(&kernel, there, || kernel.spawn().start().unwrap());
    drop(lwp);
    assert_empty(&kernel);
}

/// Each group that is listed is complete.
fn pgrps_against_founding() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, k) = (lwp.pid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        let groups: Vec<_> = guard.pgrps().map(|g| (g.id(), g.members().count())).collect();
        assert_eq!(groups[0].0, Pid(0));
        assert!(groups.len() == 1 || (groups[1].0 == pid && groups[1].1 <= 1));
    };
    let ((), (lwp, _)) = at_once(&kernel, there, || setpgid(&kernel, lwp, Pid(0), Pid(0)));
    drop(lwp);
    assert_empty(&kernel);
}

/// A parent does not move a child that has run another program, also when it
/// does so at that moment.
fn setpgid_against_exec() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (pid, k) = (child.pid(), kernel.clone());
    let there = move || setpgid(&k, parent, pid, Pid(0));
    let here = || {
        let mut k = enter_as(&kernel, child);
        k.groups().mark_execed();
        let then = k.groups().pgid();
        (k.unbind().unwrap().unwrap(), then)
    };
    let ((parent, moved), (child, then)) = at_once(&kernel, there, here);
    let guard = kernel.pin();
    assert_eq!(pgid(pid, &guard), Some(then), "not after it");
    assert_eq!(moved, if then == pid { Ok(()) } else { Err(GroupError::HasExeced) });
    drop(guard);
    drop((parent, child));
    assert_empty(&kernel);
}

/// No race: what the models' leak check has to say of groups that nobody left.
fn leaked() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let (child, sid) = run_as(&kernel, child, |k| k.groups().setsid());
    assert!(sid.is_ok());
    drop(child);
    let mut k = enter_as(&kernel, parent);
    std::mem::forget(k.claim_zombie(WaitTarget::Any).unwrap().unwrap());
    k.release().unwrap();
    drop(k);
    // init leads a group of its own.
    kernel.enter().unwrap().groups().setpgid(Pid(0), Pid(0)).unwrap();
    let kernel: Kernel = Arc::into_inner(kernel).unwrap();
    drop(kernel);
}
