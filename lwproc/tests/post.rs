//! Signals that the kernel's own side posts: to a process, an LWP, a group.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;

fn kernel(model: SigModel) -> Kernel {
    Kernel::builder().wait_policy(WaitPolicy::Wait).signal_model(model).build().unwrap()
}

fn become_user(k: &mut Entered<'_>, uid: u32) {
    k.creds().set(&CredChange::SetResuid(Some(uid), Some(uid), Some(uid))).unwrap();
}

/// SIGCHLD, as an embedder sends it: from the exit hook, whoever the child was.
#[test]
fn a_child_of_another_user_tells_its_parent() {
    let kernel = kernel(SigModel::Record);
    kernel.add_exit_hook(|child| child.parent().unwrap().post(Signo::CHLD));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.pid();
    let lwp = k.rfork(Rfork::Share).unwrap().unwrap();
    become_user(&mut k, 5);
    let refused = k.signals().kill(KillTarget::Proc(parent), Signo::CHLD.number().into());
    assert_eq!(refused, Err(KillError::NotPermitted));
    k.release().unwrap();
    k.switch(lwp).unwrap();
    assert_eq!(k.signals().take(), Some(Signo::CHLD));
    assert_eq!(k.signals().take(), None);
}

#[test]
fn an_lwp_gets_its_own_and_a_group_each_of_its_members() {
    let kernel = kernel(SigModel::Record);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    k.groups().setsid().unwrap();
    let other = kernel.new_lwp(k.pid()).unwrap();
    let leader = k.rfork(Rfork::Share).unwrap().unwrap();
    let guard = kernel.pin();
    guard.lwp(other.lid()).unwrap().post(Signo::USR1);
    guard.pgrp(leader.pid()).unwrap().post(Signo::TERM);
    let pending = |pid| guard.proc(pid).unwrap().pending();
    assert_eq!([leader.pid(), k.pid()].map(pending), [SigSet::from(Signo::TERM); 2]);
    assert_eq!(pending(Pid::INIT), SigSet::EMPTY);
    let of_one = |lid| guard.lwp(lid).unwrap().pending();
    let lids = [other.lid(), leader.lid(), k.lid().unwrap()];
    assert_eq!(lids.map(of_one), [Signo::USR1.into(), SigSet::EMPTY, SigSet::EMPTY]);
    k.signals().set_blocked(Signo::INT.into()).unwrap();
    let blocked = |lid| guard.lwp(lid).unwrap().blocked();
    assert_eq!(lids.map(blocked), [SigSet::EMPTY, SigSet::EMPTY, Signo::INT.into()]);
    drop(guard);
    assert_eq!(k.signals().take(), Some(Signo::TERM));
    k.switch(leader).unwrap();
    assert_eq!(
        k.signals().pending(),
        SigSet::from(Signo::TERM),
        "the other LWP's is not for this one"
    );
    k.switch(other).unwrap();
    assert_eq!([(); 3].map(|()| k.signals().take()), [Some(Signo::USR1), Some(Signo::TERM), None]);
}

#[test]
fn what_has_ended_gets_nothing() {
    // With this model, whoever gets a signal panics.
    let kernel = kernel(SigModel::Panic);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let (pid, handle) = (k.pid(), k.rfork(Rfork::Share).unwrap().unwrap());
    k.release().unwrap();
    k.switch(handle).unwrap();
    k.release().unwrap();
    k.switch(parent).unwrap();
    let guard = kernel.pin();
    let zombie = guard.proc(pid).unwrap();
    assert_eq!(zombie.state(), ProcState::Zombie);
    assert_eq!(zombie.parent().map(|p| p.pid()), Some(k.pid()));
    zombie.post(Signo::TERM);
    let _reaped = k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert!(zombie.parent().is_none());
    zombie.post(Signo::TERM);
    assert!(guard.proc(Pid::KERNEL).unwrap().parent().is_none());
}
