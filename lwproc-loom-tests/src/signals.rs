//! Signals: posts against switches, new LWPs, takers and masks.

use crate::becoming::Become;
use crate::full::{assert_empty, at_once, enter_as};
use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicU32;
use lwproc::{
    Entered, Kernel, KillTarget, Lwp, Pid, ProcHandle, SigModel, SigSet, Signo, SpawnGroup,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub fn models() -> Vec<Model> {
    vec![
        pair("signal_post_against_switch_in", post_against_switch_in),
        pair("signal_switch_in_against_post", switch_in_against_post),
        pair("signal_post_against_switch_out_and_in", post_against_switch_out),
        pair("signal_post_against_newlwp", post_against_newlwp),
        pair("signal_newlwp_against_post", newlwp_against_post),
        pair("signal_post_to_all_against_fork", post_to_all_against_fork),
        pair("signal_post_against_take", post_against_take),
        pair("signal_post_against_take_of_an_lwps_own", post_to_lwp_against_take),
        pair("signal_take_against_take", take_against_take),
        pair("signal_post_against_set_blocked", post_against_set_blocked),
        pair("signal_set_blocked_against_post", set_blocked_against_post),
        pair("signal_group_against_fork", || many_against_fork(KillTarget::Pgrp)).long(),
        pair("signal_fork_against_group", || fork_against_many(KillTarget::Pgrp)).long(),
        pair("signal_group_against_group", many_against_many).long(),
        pair("signal_user_against_fork", || many_against_fork(|_| KillTarget::User(0))).long(),
    ]
}

const TERM: i32 = 15;

pub(crate) fn recording() -> Arc<Kernel> {
    let builder = Kernel::builder().signal_model(SigModel::Record).id_capacity(6);
    Arc::new(builder.build().unwrap())
}

/// Kills as init, from an implicit context.
pub(crate) fn kill(k: &Kernel, pid: Pid) {
    k.enter().unwrap().signals().kill(KillTarget::Proc(pid), TERM).unwrap();
}

/// The LWP that runs knows of the signal, and takes it.
fn takes(mut e: Entered<'_>) {
    assert!(e.signals().has_pending(), "the mark is lost");
    assert_eq!(e.signals().take(), Some(Signo::TERM));
    assert!(!e.signals().has_pending() && e.signals().take().is_none());
    e.release().unwrap();
}

/// Who is found among all can be looked at.
fn post_to_all_against_fork() {
    let kernel = recording();
    let k = kernel.clone();
    // Nobody else may be there yet.
    let post = move || _ = k.enter().unwrap().signals().kill(KillTarget::All, TERM);
    let ((), lwp) = at_once(&kernel, post, || kernel.spawn().start().unwrap());
    drop(lwp);
    assert_empty(&kernel);
}

fn lwp_of(kernel: &Kernel) -> (Lwp, Pid) {
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    (lwp, pid)
}

fn post_against_switch_in() {
    let kernel = recording();
    let (lwp, pid) = lwp_of(&kernel);
    let k = kernel.clone();
    let ((), e) = at_once(&kernel, move || kill(&k, pid), || enter_as(&kernel, lwp));
    takes(e);
    assert_empty(&kernel);
}

/// With the parts changed: the LWP runs to the end of its switch, and then looks at
/// its mark alone.
fn switch_in_against_post() {
    let kernel = recording();
    let (lwp, pid) = lwp_of(&kernel);
    let k = kernel.clone();
    let there = move || {
        drop(enter_as(&k, lwp));
        let mut e = k.enter().unwrap();
        let marked = e.signals().has_pending();
        (e.unbind().unwrap().unwrap(), marked)
    };
    let ((lwp, marked), ()) = at_once(&kernel, there, || kill(&kernel, pid));
    let e = enter_as(&kernel, lwp);
    assert!(e.signals().pending().contains(Signo::TERM) && (e.signals().has_pending() || marked));
    takes(e);
    assert_empty(&kernel);
}

/// The mark that a switch away takes off is there again after the switch back.
fn post_against_switch_out() {
    let kernel = recording();
    let (lwp, pid) = lwp_of(&kernel);
    let k = kernel.clone();
    let mut e = enter_as(&kernel, lwp);
    let here = || {
        let lwp = e.unbind().unwrap().unwrap();
        e.switch(lwp).unwrap();
    };
    at_once(&kernel, move || kill(&k, pid), here);
    takes(e);
    assert_empty(&kernel);
}

/// The new LWP is marked by the poster, or finds the signal.
fn post_against_newlwp() {
    let kernel = recording();
    let (lwp, pid) = lwp_of(&kernel);
    let k = kernel.clone();
    let mut e = kernel.enter().unwrap();
    let here = || drop(e.become_new_lwp(pid).unwrap());
    at_once(&kernel, move || kill(&k, pid), here);
    takes(e);
    drop(lwp);
    assert_empty(&kernel);
}

/// With the parts changed. The look at the mark comes before the join.
fn newlwp_against_post() {
    let kernel = recording();
    let (lwp, pid) = lwp_of(&kernel);
    let killer = kernel.spawn().start().unwrap();
    let mut e = enter_as(&kernel, killer);
    let k = kernel.clone();
    let there = move || {
        let mut e = k.enter().unwrap();
        e.become_new_lwp(pid).unwrap();
        drop(e);
        let mut e = k.enter().unwrap();
        let marked = e.signals().has_pending();
        (e.unbind().unwrap().unwrap(), marked)
    };
    let here = || e.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
    let ((new, _), ()) = at_once(&kernel, there, here);
    e.release().unwrap();
    drop(e);
    takes(enter_as(&kernel, new));
    drop(lwp);
    assert_empty(&kernel);
}

fn post_and_take(target: impl Fn(&Lwp) -> KillTarget) {
    let kernel = recording();
    let (lwp, _) = lwp_of(&kernel);
    let (k, target) = (kernel.clone(), target(&lwp));
    let did = Arc::new(AtomicU32::new(0));
    let done = did.clone();
    let mut e = enter_as(&kernel, lwp);
    let there = move || {
        // Relaxed: the signal carries it.
        done.store(1, Relaxed);
        k.enter().unwrap().signals().kill(target, TERM).unwrap();
    };
    let here = || {
        let taken = e.signals().take().is_some();
        assert!(!taken || did.load(Relaxed) == 1, "taken before it was sent");
        taken
    };
    let ((), taken) = at_once(&kernel, there, here);
    if taken {
        assert!(e.signals().take().is_none(), "taken twice");
        e.release().unwrap();
        drop(e);
    } else {
        takes(e);
    }
    assert_empty(&kernel);
}

/// A signal is taken, with what its sender did, or it is pending and marked.
fn post_against_take() {
    post_and_take(|lwp| KillTarget::Proc(lwp.pid()));
}

fn post_to_lwp_against_take() {
    post_and_take(|lwp| KillTarget::Lwp(lwp.lid()));
}

/// One signal of the process, two LWPs: exactly one takes it.
fn take_against_take() {
    let kernel = recording();
    let (a, pid) = lwp_of(&kernel);
    let b = kernel.new_lwp(pid).unwrap();
    kill(&kernel, pid);
    let k = kernel.clone();
    let take = |k: &Kernel, lwp| {
        let mut e = enter_as(k, lwp);
        let taken = e.signals().take().is_some();
        assert!(e.signals().take().is_none() && !e.signals().has_pending());
        e.release().unwrap();
        taken
    };
    let (there, here) = at_once(&kernel, move || take(&k, a), || take(&kernel, b));
    assert!(there ^ here);
    assert_empty(&kernel);
}

/// A signal posted while it is being unblocked is marked.
fn post_against_set_blocked() {
    let kernel = recording();
    let (lwp, pid) = lwp_of(&kernel);
    let k = kernel.clone();
    let e = enter_as(&kernel, lwp);
    e.signals().set_blocked(SigSet::ALL).unwrap();
    let here = || assert_eq!(e.signals().set_blocked(SigSet::EMPTY).map(SigSet::len), Ok(62));
    at_once(&kernel, move || kill(&k, pid), here);
    takes(e);
    assert_empty(&kernel);
}

/// With the parts changed.
fn set_blocked_against_post() {
    let kernel = recording();
    let (lwp, pid) = lwp_of(&kernel);
    let killer = kernel.spawn().start().unwrap();
    let mut e = enter_as(&kernel, lwp);
    e.signals().set_blocked(SigSet::ALL).unwrap();
    let lwp = e.unbind().unwrap().unwrap();
    e.switch(killer).unwrap();
    let k = kernel.clone();
    let word = |k: &Kernel| {
        let guard = k.pin();
        let lwp = guard.lwp(lwproc::Lid(pid.0)).unwrap();
        format!("{lwp:?}").contains("PENDSIG")
    };
    let there = move || {
        let e = enter_as(&k, lwp);
        e.signals().set_blocked(SigSet::EMPTY).unwrap();
        // Stays bound, so that nothing but the two decides on the mark.
        std::mem::forget(e);
    };
    let here = || e.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
    at_once(&kernel, there, here);
    assert!(word(&kernel), "the mark is lost");
    e.release().unwrap();
}

/// A process that leads a group, and its LWP.
fn leader(kernel: &Kernel) -> (ProcHandle, Lwp) {
    let lwp = kernel.spawn().group(SpawnGroup::New).start().unwrap();
    (lwp.proc_handle(), lwp)
}

fn send_to(kernel: &Kernel, target: KillTarget) {
    kernel.enter().unwrap().signals().kill(target, TERM).unwrap();
}

/// Whatever comes first, they have it.
fn have_it<const N: usize>(kernel: &Kernel, all: [Lwp; N]) {
    let guard = kernel.pin();
    for lwp in &all {
        let pending = guard.proc(lwp.pid()).unwrap().pending();
        assert_eq!(pending, SigSet::from(Signo::TERM), "{lwp:?} has escaped");
    }
    drop((guard, all));
    assert_empty(kernel);
}

fn many_against_fork(target: fn(Pid) -> KillTarget) {
    let kernel = recording();
    let (handle, parent) = leader(&kernel);
    let (k, whom) = (kernel.clone(), target(parent.pid()));
    let here = || handle.spawn().start().unwrap();
    let ((), child) = at_once(&kernel, move || send_to(&k, whom), here);
    have_it(&kernel, [parent, child]);
}

/// Two that note what they send to many: each note is whole for the other, and goes once.
fn many_against_many() {
    let kernel = recording();
    let (_, lwp) = leader(&kernel);
    let (k, whom) = (kernel.clone(), KillTarget::Pgrp(lwp.pid()));
    at_once(&kernel, move || send_to(&k, whom), || send_to(&kernel, whom));
    have_it(&kernel, [lwp]);
}

/// With the parts changed.
fn fork_against_many(target: fn(Pid) -> KillTarget) {
    let kernel = recording();
    let (handle, parent) = leader(&kernel);
    let whom = target(parent.pid());
    let there = move || handle.spawn().start().unwrap();
    let (child, ()) = at_once(&kernel, there, || send_to(&kernel, whom));
    have_it(&kernel, [parent, child]);
}
