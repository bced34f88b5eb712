//! Signals that the kernel's own side posts: to a process, an LWP, a group.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;

fn kernel(model: SigModel) -> Kernel {
    Kernel::builder().wait_policy(WaitPolicy::Wait).signal_model(model).build().unwrap()
}

fn become_user(k: &mut Entered<'_>, uid: u32) {
    k.set_cred(&CredChange::SetResuid(Some(uid), Some(uid), Some(uid))).unwrap();
}

/// SIGCHLD, as an embedder sends it: from the exit hook, whoever the child was.
#[test]
fn a_child_of_another_user_tells_its_parent() {
    let kernel = kernel(SigModel::Record);
    kernel.exithook_establish(|child| child.parent().unwrap().post(Signo::CHLD));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.pid();
    let lwp = k.rfork(Rfork::Share).unwrap().unwrap();
    become_user(&mut k, 5);
    let refused = k.kill(KillTarget::Proc(parent), Signo::CHLD.number().into());
    assert_eq!(refused, Err(KillError::NotPermitted));
    k.releaselwp().unwrap();
    k.switch(lwp).unwrap();
    assert_eq!(k.take_signal(), Some(Signo::CHLD));
    assert_eq!(k.take_signal(), None);
}

#[test]
fn an_lwp_gets_its_own_and_a_group_each_of_its_members() {
    let kernel = kernel(SigModel::Record);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    k.setsid().unwrap();
    let other = kernel.alloclwp(Some(k.pid())).unwrap();
    let leader = k.rfork(Rfork::Share).unwrap().unwrap();
    let guard = kernel.pin();
    kernel.find_lwp(other.lid(), &guard).unwrap().post(Signo::USR1);
    kernel.pgrp(leader.pid(), &guard).unwrap().post(Signo::TERM);
    let pending = |pid| kernel.find(pid, &guard).unwrap().pending();
    assert_eq!([leader.pid(), k.pid()].map(pending), [SigSet::from(Signo::TERM); 2]);
    assert_eq!(pending(Pid::INIT), SigSet::EMPTY);
    drop(guard);
    assert_eq!(k.take_signal(), Some(Signo::TERM));
    k.switch(leader).unwrap();
    assert_eq!(k.pending(), SigSet::from(Signo::TERM), "the other LWP's is not for this one");
    k.switch(other).unwrap();
    assert_eq!([(); 3].map(|()| k.take_signal()), [Some(Signo::USR1), Some(Signo::TERM), None]);
}

#[test]
fn what_has_ended_gets_nothing() {
    // With this model, whoever gets a signal panics.
    let kernel = kernel(SigModel::Panic);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let (pid, handle) = (k.pid(), k.rfork(Rfork::Share).unwrap().unwrap());
    k.releaselwp().unwrap();
    k.switch(handle).unwrap();
    k.releaselwp().unwrap();
    k.switch(parent).unwrap();
    let guard = kernel.pin();
    let zombie = kernel.find(pid, &guard).unwrap();
    assert_eq!(zombie.state(), ProcState::Zombie);
    assert_eq!(zombie.parent().map(|p| p.pid()), Some(k.pid()));
    zombie.post(Signo::TERM);
    let _reaped = k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert!(zombie.parent().is_none());
    zombie.post(Signo::TERM);
    assert!(kernel.find(Pid::KERNEL, &guard).unwrap().parent().is_none());
}
