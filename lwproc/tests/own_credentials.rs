//! By Linux's rules each LWP has credentials of its own.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;

const TERM: i32 = 15;

fn kernel() -> Kernel {
    let limits = LimitsPolicy::default().with_nproc(Enforcement::Enforced);
    let builder = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    builder.wait_policy(WaitPolicy::Wait).limits_policy(limits).build().unwrap()
}

/// A process of a first LWP, which the thread is, and a further one.
fn two(kernel: &Kernel) -> (Entered<'_>, Lwp) {
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    let further = k.new_lwp(k.pid()).unwrap();
    (k, further)
}

fn become_user(k: &mut Entered<'_>, uid: u32) {
    let uid = Some(uid);
    k.creds().set(&CredChange::SetResuid(uid, uid, uid)).unwrap();
}

fn uid(k: &Entered<'_>) -> u32 {
    k.cred().users().real
}

fn uid_of(kernel: &Kernel, pid: Pid) -> u32 {
    kernel.pin().proc(pid).unwrap().cred().unwrap().users().real
}

#[track_caller]
fn assert_counts(kernel: &Kernel, uid: u32, procs: usize, lwps: usize) {
    let counts = kernel.user_counts(uid);
    assert_eq!((counts.procs, counts.lwps), (procs, lwps));
    assert_eq!(kernel.user_counts_by_scan(uid), counts, "charged as scanned");
}

#[test]
fn an_lwp_has_its_makers() {
    let kernel = kernel();
    let (mut k, further) = two(&kernel);
    let pid = k.pid();
    let _first = k.switch(further).unwrap();
    become_user(&mut k, 7);
    assert_eq!(uid_of(&kernel, pid), 0);
    let third = k.new_lwp(pid).unwrap();
    let elsewhere = kernel.new_lwp(pid).unwrap();
    let further = k.switch(third).unwrap().unwrap();
    assert_eq!(uid(&k), 7);
    become_user(&mut k, 7);
    let third = k.switch(elsewhere).unwrap().unwrap();
    assert_eq!(uid(&k), 0, "made by nobody of them: as the process");
    become_user(&mut k, 8);
    k.switch(further).unwrap();
    assert_eq!(uid(&k), 7);
    drop(third);
}

#[test]
fn a_child_has_its_makers() {
    let kernel = kernel();
    let (mut k, further) = two(&kernel);
    let _first = k.switch(further).unwrap();
    become_user(&mut k, 7);
    let plain = k.spawn().start().unwrap();
    let planned = k.spawn().name("sh").change_cred(&CredChange::SetEuid(7)).start().unwrap();
    let reserved = k.spawn().reserve().unwrap().commit().unwrap();
    for child in [&plain, &planned, &reserved] {
        assert_eq!(uid_of(&kernel, child.pid()), 7);
    }
    assert_counts(&kernel, 7, 3, 0);
    let by_handle = k.pin().proc(k.pid()).unwrap().handle().unwrap();
    assert_eq!(uid_of(&kernel, by_handle.spawn().start().unwrap().pid()), 0, "as the process");
    k.rfork(Rfork::Share).unwrap();
    assert_eq!((uid(&k), uid_of(&kernel, k.pid())), (7, 7));
}

/// The first LWP is user 7's, the further one the superuser's.
#[test]
fn a_signal_asks_for_those_of_whom_it_names() {
    let kernel = kernel();
    let (mut k, further) = two(&kernel);
    let (pid, lid) = (k.pid(), further.lid());
    become_user(&mut k, 7);
    let first = k.switch(kernel.spawn().start().unwrap()).unwrap().unwrap();
    become_user(&mut k, 7);
    let no = Err(KillError::NotPermitted);
    let send = |target| k.signals().kill(target, TERM);
    assert_eq!(send(KillTarget::Proc(pid)), Ok(()));
    assert_eq!(send(KillTarget::Lwp(Lid(pid.0))), Ok(()));
    assert_eq!(send(KillTarget::Lwp(lid)), no);
    assert_eq!(send(KillTarget::LwpOf(pid, lid)), no);
    assert_eq!(send(KillTarget::Proc(Pid(lid.0))), no, "who is named is that LWP");
    assert_eq!(
        k.signals().queue(QueueTarget::Lwp(lid), TERM, ()).unwrap_err().errno(),
        Errno::EPERM
    );
    drop(first);
    assert_eq!(send(KillTarget::Proc(pid)), Ok(()), "it lends them still");
    let handle = further.proc_handle();
    assert_eq!(handle.signal(&k, TERM), Ok(()));
}

#[test]
fn a_death_signal_asks_for_those_of_whom_ends() {
    // The first LWP, which has made the child, and the last: who may signal it.
    for (first_is, last_is) in [(7, 0), (0, 7), (7, 7)] {
        let kernel = kernel();
        let (mut k, last) = two(&kernel);
        let child = k.spawn().start().unwrap();
        become_user(&mut k, first_is);
        let first = k.switch(last).unwrap().unwrap();
        become_user(&mut k, last_is);
        let last = k.switch(child).unwrap().unwrap();
        k.signals().set_disposition(TERM, Disposition::Catch).unwrap();
        k.signals().set_death_signal(Some(Signo::TERM)).unwrap();
        for (lwp, is) in [(first, first_is), (last, last_is)] {
            drop(lwp);
            let expected = (is == 0).then_some(Signo::TERM);
            assert_eq!(k.signals().take(), expected, "of {first_is}, {last_is}: {is}");
        }
    }
}

#[test]
fn who_takes_the_number_over_lends_its_own() {
    let kernel = kernel();
    let (mut k, further) = two(&kernel);
    let pid = k.pid();
    drop(k.switch(further).unwrap());
    become_user(&mut k, 7);
    assert_eq!(uid_of(&kernel, pid), 0);
    assert_counts(&kernel, 7, 0, 0);
    let second = k.new_lwp(pid).unwrap();
    assert_eq!((second.lid(), uid_of(&kernel, pid)), (Lid(pid.0), 7));
    assert_counts(&kernel, 7, 1, 1);
}

#[test]
fn all_are_charged_to_the_firsts_user() {
    let kernel = kernel();
    let (mut k, further) = two(&kernel);
    let first = k.switch(further).unwrap().unwrap();
    become_user(&mut k, 8);
    assert_counts(&kernel, 8, 0, 0);
    let further = k.switch(first).unwrap().unwrap();
    become_user(&mut k, 7);
    assert_counts(&kernel, 7, 1, 1);
    drop(k.switch(further).unwrap());
    assert_counts(&kernel, 7, 1, 0);
}

#[test]
fn exec_keeps_those_of_its_caller() {
    let kernel = kernel();
    let (mut k, further) = two(&kernel);
    let pid = k.pid();
    drop(k.switch(further).unwrap());
    k.creds().set(&CredChange::SetResuid(Some(7), Some(8), Some(9))).unwrap();
    assert_eq!(k.drain(), Drain::Begun);
    k.exec("sh").unwrap();
    let is = IdSet { real: 7, effective: 8, saved: 8 };
    assert_eq!(k.cred().users(), is);
    assert_eq!(kernel.pin().proc(pid).unwrap().cred().unwrap().users(), is);
    assert_counts(&kernel, 7, 1, 0);
}

#[test]
fn limits_ask_for_the_caller() {
    let kernel = kernel();
    let (mut k, further) = two(&kernel);
    let pid = k.pid();
    k.resources().set_limit(Resource::Nproc, Limit::both(1)).unwrap();
    let first = k.switch(further).unwrap().unwrap();
    become_user(&mut k, 7);
    let child = k.spawn().start().unwrap();
    assert_eq!(k.spawn().start().unwrap_err(), SpawnError::Limit);
    assert_eq!(k.rfork(Rfork::Share).unwrap_err(), ForkError::Limit);
    let further = k.switch(first).unwrap().unwrap();
    drop(k.spawn().start().unwrap());
    drop(k.switch(further).unwrap());
    // The process is another user's until then, and is not counted.
    let other = k.spawn().start();
    assert_eq!(other.unwrap_err(), SpawnError::Limit);
    k.resources().set_limit(Resource::Nproc, Limit { soft: 0, hard: 1 }).unwrap();
    assert_eq!(k.drain(), Drain::Begun);
    assert_eq!(k.exec("sh"), Err(ExecError::Limit));
    assert_eq!((uid_of(&kernel, pid), k.lid().unwrap() == Lid(pid.0)), (0, false), "as before");
    k.resources().set_limit(Resource::Nproc, Limit { soft: 1, hard: 1 }).unwrap();
    k.exec("sh").unwrap();
    assert_eq!(uid_of(&kernel, pid), 7);
    drop(child);
}

#[test]
fn an_implicit_context_changes_inits() {
    let kernel = kernel();
    let of_init = kernel.new_lwp(Pid::INIT).unwrap();
    let mut k = kernel.enter().unwrap();
    k.creds().set(&CredChange::SetEuid(9)).unwrap();
    assert_eq!(k.cred().users().effective, 9);
    let guard = kernel.pin();
    let effective = |pid| guard.proc(pid).unwrap().cred().unwrap().users().effective;
    assert_eq!(effective(Pid::INIT), 9);
    k.switch(of_init).unwrap();
    assert_eq!(k.cred().users().effective, 0, "its own");
    become_user(&mut k, 7);
    assert_eq!(effective(Pid::INIT), 9);
    drop(k.unbind().unwrap());
    assert_eq!(k.cred().users().effective, 9);
}
