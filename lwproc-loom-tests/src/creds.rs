//! Credentials: changes against entries, new LWPs, readers and each other.

use crate::full::{assert_empty, at_once, enter_as, kernel};
use crate::runner::{Model, pair};
use lwproc::{
    CredChange, Entered, IdSet, Kernel, KillError, KillTarget, Lwp, Pid, Rules, SigModel,
};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("cred_set_against_entry", set_against_entry),
        pair("cred_set_against_newlwp", || {
            let becomes = IdSet { real: 5, ..IdSet::default() };
            set_against_newlwp(&CredChange::SetResuid(Some(5), None, None), becomes);
        }),
        // Moves no charge.
        pair("cred_set_of_effective_against_newlwp", || {
            let becomes = IdSet { effective: 5, ..IdSet::default() };
            set_against_newlwp(&CredChange::SetEuid(5), becomes);
        }),
        pair("cred_set_against_set", || set_against_set(5, 6)).long(),
        pair("cred_set_against_set_back", || set_against_set(5, 0)).long(),
        pair("cred_set_against_release", set_against_release),
        pair("cred_set_against_reader", set_against_reader),
        pair("cred_set_in_init_against_implicit_entry", set_in_init),
        pair("cred_exit_against_reader", exit_against_reader),
        pair("cred_first_charge_against_first_charge", first_charge),
        pair("cred_own_set_against_tkill", own_set_against_tkill),
        pair("cred_own_birth_against_tkill", own_birth_against_tkill),
        pair("cred_own_end_against_tkill", own_end_against_tkill),
    ]
}

fn uid(k: &Entered<'_>) -> u32 {
    k.cred().users().real
}

/// Real uid, privilege kept.
fn become_user(k: &mut Entered<'_>, uid: u32) {
    k.creds().set(&CredChange::SetResuid(Some(uid), None, None)).unwrap();
}

fn two_lwps(kernel: &Kernel) -> (Lwp, Lwp, Pid) {
    let a = kernel.spawn().start().unwrap();
    let pid = a.pid();
    (a, kernel.new_lwp(pid).unwrap(), pid)
}

/// When all is at rest, what is charged is what a scan finds.
fn assert_charged(kernel: &Kernel) {
    for user in [0, 5, 6] {
        assert_eq!(kernel.user_counts(user), kernel.user_counts_by_scan(user), "user {user}");
    }
}

fn release(mut k: Entered<'_>) {
    k.release().unwrap();
}

/// An entry sees the old or the new credentials; the one after the change has
/// returned sees the new.
fn set_against_entry() {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let k = kernel.clone();
    let there = move || {
        let e = enter_as(&k, a);
        let seen = uid(&e);
        assert!(seen == 0 || seen == 5);
        drop(e);
        let mut e = k.enter().unwrap();
        assert!(uid(&e) >= seen, "never back");
        e.unbind().unwrap().unwrap()
    };
    let here = || {
        let mut e = enter_as(&kernel, b);
        become_user(&mut e, 5);
        assert_eq!(uid(&e), 5);
        release(e);
    };
    let (a, ()) = at_once(&kernel, there, here);
    assert_charged(&kernel);
    let e = enter_as(&kernel, a);
    assert_eq!(uid(&e), 5);
    release(e);
    assert_empty(&kernel);
}

/// An LWP made during a change is marked, or has the new credentials.
fn set_against_newlwp(change: &CredChange, becomes: IdSet) {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (pid, k) = (a.pid(), kernel.clone());
    let there = move || k.new_lwp(pid).unwrap();
    let here = || {
        let mut e = enter_as(&kernel, a);
        e.creds().set(change).unwrap();
        e.unbind().unwrap().unwrap()
    };
    let (b, a) = at_once(&kernel, there, here);
    assert_charged(&kernel);
    let e = enter_as(&kernel, b);
    assert_eq!(e.cred().users(), becomes);
    release(e);
    drop(a);
    assert_empty(&kernel);
}

/// Both happen, in some order, and the charges are with the last.
fn set_against_set(there: u32, here: u32) {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let k = kernel.clone();
    let set = |k: &Kernel, lwp, to| {
        let mut e = enter_as(k, lwp);
        become_user(&mut e, to);
        e.unbind().unwrap().unwrap()
    };
    let (a, b) = at_once(&kernel, move || set(&k, a, there), || set(&kernel, b, here));
    assert_charged(&kernel);
    drop((a, b));
    assert_empty(&kernel);
}

/// A reader under a guard sees whole credentials, and not after they are freed.
fn set_against_reader() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (pid, k) = (a.pid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        let cred = guard.proc(pid).unwrap().cred().unwrap();
        assert!([0, 5].contains(&cred.users().real));
    };
    let here = || {
        let mut e = enter_as(&kernel, a);
        become_user(&mut e, 5);
        e.unbind().unwrap().unwrap()
    };
    let ((), a) = at_once(&kernel, there, here);
    drop(a);
    assert_empty(&kernel);
}

/// An implicit context's snapshot of init's credentials.
fn set_in_init() {
    let kernel = kernel();
    let k = kernel.clone();
    let there = move || {
        let seen = uid(&k.enter().unwrap());
        assert!(seen == 0 || seen == 5);
        assert!(uid(&k.enter().unwrap()) >= seen, "never back");
    };
    let here = || become_user(&mut kernel.enter().unwrap(), 5);
    at_once(&kernel, there, here);
    assert_eq!(uid(&kernel.enter().unwrap()), 5);
    assert_charged(&kernel);
}

/// A sibling ends while its charge moves.
fn set_against_release() {
    let kernel = kernel();
    let (a, b, _) = two_lwps(&kernel);
    let here = || {
        let mut e = enter_as(&kernel, b);
        become_user(&mut e, 5);
        e.unbind().unwrap().unwrap()
    };
    let ((), b) = at_once(&kernel, move || drop(a), here);
    assert_charged(&kernel);
    drop(b);
    assert_empty(&kernel);
}

fn exit_against_reader() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let mut e = enter_as(&kernel, a);
    become_user(&mut e, 5);
    let (pid, a, k) = (e.pid(), e.unbind().unwrap().unwrap(), kernel.clone());
    drop(e);
    let there = move || {
        let guard = k.pin();
        if let Some(cred) = guard.proc(pid).and_then(|p| p.cred()) {
            assert_eq!(cred.users().real, 5);
        }
    };
    at_once(&kernel, there, move || drop(a));
    assert_empty(&kernel);
}

/// Two processes become the same user, new to the kernel, at once: one entry.
fn first_charge() {
    let kernel = kernel();
    let (a, b) = (kernel.spawn().start().unwrap(), kernel.spawn().start().unwrap());
    let k = kernel.clone();
    let set = |k: &Arc<Kernel>, lwp| {
        let mut e = enter_as(k, lwp);
        become_user(&mut e, 5);
        e.unbind().unwrap().unwrap()
    };
    let (a, b) = at_once(&kernel, move || set(&k, a), || set(&kernel, b));
    assert_eq!(kernel.user_counts(5).procs, 2);
    drop((a, b));
    assert_eq!(kernel.user_counts(5).procs, 0);
    assert_empty(&kernel);
}

/// By Linux's rules.
fn kernel_of_own() -> Arc<Kernel> {
    let builder = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    Arc::new(builder.id_capacity(8).build().unwrap())
}

/// What user 5, no LWP of that process, hears of a signal 0 for an LWP.
fn asks(kernel: &Kernel, lwp: Lwp, target: KillTarget) -> (Result<(), KillError>, Lwp) {
    let k = enter_as(kernel, lwp);
    let answer = k.signals().kill(target, 0);
    let lwp = Kernel::leave(k).unwrap();
    (answer, lwp)
}

fn user_5(kernel: &Kernel) -> Lwp {
    let mut k = enter_as(kernel, kernel.spawn().start().unwrap());
    k.creds().set(&CredChange::SetUid(5)).unwrap();
    Kernel::leave(k).unwrap()
}

/// A stranger sees whole credentials of the LWP, the old or the new, and not after they are
/// freed.
fn own_set_against_tkill() {
    let kernel = kernel_of_own();
    let (a, b, _) = two_lwps(&kernel);
    // Others than the kernel's permanent ones.
    let mut e = enter_as(&kernel, b);
    become_user(&mut e, 6);
    let b = Kernel::leave(e).unwrap();
    let stranger = user_5(&kernel);
    let (k, target) = (kernel.clone(), KillTarget::Lwp(b.lid()));
    let there = move || asks(&k, stranger, target);
    let here = || {
        let mut e = enter_as(&kernel, b);
        become_user(&mut e, 5);
        Kernel::leave(e).unwrap()
    };
    let ((answer, stranger), b) = at_once(&kernel, there, here);
    assert!([Ok(()), Err(KillError::NotPermitted)].contains(&answer));
    let (answer, stranger) = asks(&kernel, stranger, target);
    assert_eq!(answer, Ok(()));
    drop((a, b, stranger));
    assert_empty(&kernel);
}

/// An LWP that is found has its maker's, never its process's.
fn own_birth_against_tkill() {
    let kernel = kernel_of_own();
    let mut e = enter_as(&kernel, kernel.spawn().start().unwrap());
    let pid = e.pid();
    let further = e.new_lwp(pid).unwrap();
    e.creds().set(&CredChange::SetUid(5)).unwrap();
    let first = Kernel::leave(e).unwrap();
    let stranger = user_5(&kernel);
    let lid = lwproc::Lid(stranger.lid().0 + 1);
    let k = kernel.clone();
    let there = move || asks(&k, stranger, KillTarget::Lwp(lid));
    let here = || {
        let e = enter_as(&kernel, further);
        let third = e.new_lwp(pid).unwrap();
        assert_eq!(third.lid(), lid);
        (third, Kernel::leave(e).unwrap())
    };
    let ((answer, stranger), made) = at_once(&kernel, there, here);
    let expected = [Err(KillError::NoSuchProcess), Err(KillError::NotPermitted)];
    assert!(expected.contains(&answer), "{answer:?}");
    drop((first, made, stranger));
    assert_empty(&kernel);
}

/// An LWP ends while somebody looks.
fn own_end_against_tkill() {
    let kernel = kernel_of_own();
    let (a, b, _) = two_lwps(&kernel);
    let mut e = enter_as(&kernel, b);
    become_user(&mut e, 5);
    let b = Kernel::leave(e).unwrap();
    let stranger = user_5(&kernel);
    let (k, target) = (kernel.clone(), KillTarget::Lwp(b.lid()));
    let there = move || asks(&k, stranger, target);
    let ((_, stranger), ()) = at_once(&kernel, there, || drop(b));
    drop((a, stranger));
    assert_empty(&kernel);
}
