//! The whole kernel, one publication at a time: what one thread makes visible
//! while the other looks, and what the other must then see.

use crate::full::{assert_empty, at_once, enter_as, family, kernel, kernel_with};
use crate::runner::{Model, pair};
use loom::sync::atomic::{AtomicBool, fence};
use lwproc::{
    CredChange, Entered, ExitStatus, Kernel, Lid, Lwp, LwpState, Pid, Rfork, WaitError, WaitPolicy,
    WaitTarget,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

pub fn models() -> Vec<Model> {
    vec![
        pair("kernel_fork_against_procs", fork_against_procs),
        pair("kernel_fork_against_lwps", fork_against_lwps),
        pair("kernel_newlwp_of_the_pid_against_find_lwp", pid_lwp_against_find),
        pair("kernel_newlwp_against_find_lwp", newlwp_against_find),
        pair("kernel_children_against_reuse_of_an_id", children_against_reuse),
        pair("kernel_exit_of_child_against_exit_of_parent", || {
            exit_of_child_and_parent(WaitPolicy::AutoReap)
        })
        .bounded(2),
        pair("kernel_exit_of_child_against_exit_of_parent_with_zombies", || {
            exit_of_child_and_parent(WaitPolicy::Wait)
        })
        .bounded(2),
        pair("kernel_newlwp_against_set_of_credentials", newlwp_against_set),
        pair("kernel_first_charge_against_counts", first_charge_against_counts),
        pair("kernel_last_handle_against_find", last_handle_against_find),
        pair("kernel_register_against_counts", register_against_counts),
        pair("kernel_register_against_register", register_against_register),
        pair("kernel_bind_against_bind", bind_against_bind),
        pair("kernel_participant_taken_over", participant_taken_over),
        pair("kernel_end_of_thread_against_register", end_of_thread_against_register).bounded(3),
        pair("kernel_zombie_given_back_against_wait", given_back_against_wait)
            .threads(3)
            .bounded(2),
        pair("kernel_claim_given_back_against_wait", claim_given_back_against_wait),
        pair("kernel_peek_against_wait", || peek_and_wait(Spawned::Peeks)),
        pair("kernel_wait_against_peek", || peek_and_wait(Spawned::Waits)),
        pair("kernel_peek_against_exit", peek_against_exit).long(),
        pair("kernel_exit_against_peek", exit_against_peek),
        pair("kernel_wait_as_init_against_exit_of_both", wait_as_init_against_exit_of_both)
            .threads(3)
            .bounded(1),
        pair("kernel_exit_of_parent_against_wait_as_init", exit_of_parent_against_wait_as_init)
            .long(),
        pair("kernel_shutdown_against_survivor", shutdown_against_survivor).bounded(2),
        pair("kernel_shutdown_against_thread_end", shutdown_against_thread_end).bounded(2),
    ]
}

/// Whoever iterates finds only finished processes.
fn fork_against_procs() {
    let kernel = kernel();
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        assert!(guard.procs().all(|p| p.nlwps() == 1));
    };
    let (_, lwp) = at_once(&kernel, there, || kernel.spawn().start().unwrap());
    drop(lwp);
    assert_empty(&kernel);
}

/// Whoever iterates finds only finished LWPs.
fn fork_against_lwps() {
    let kernel = kernel();
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        assert!(guard.lwps().all(|l| l.state() == LwpState::Owned));
    };
    let (_, lwp) = at_once(&kernel, there, || kernel.spawn().start().unwrap());
    drop(lwp);
    assert_empty(&kernel);
}

fn newlwp_found_by(kernel: Arc<Kernel>, pid: Pid, lid: Lid) {
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        if let Some(lwp) = guard.lwp(lid) {
            assert_eq!((lwp.state(), lwp.pid()), (LwpState::Owned, pid));
        }
    };
    let (_, lwp) = at_once(&kernel, there, || kernel.new_lwp(pid).unwrap());
    assert_eq!(lwp.lid(), lid);
}

/// R3: an LWP that takes the pid over is complete when it is found.
fn pid_lwp_against_find() {
    let kernel = kernel();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let keep = kernel.new_lwp(pid).unwrap();
    drop(first);
    newlwp_found_by(kernel, pid, Lid(pid.0));
    drop(keep);
}

/// R3: an LWP with an id of its own is complete when it is found.
fn newlwp_against_find() {
    let kernel = kernel();
    let keep = kernel.spawn().start().unwrap();
    newlwp_found_by(kernel, keep.pid(), Lid(3));
    drop(keep);
}

/// The process ends on one thread, its last handle is dropped on another:
/// after that, nobody finds it.
fn last_handle_against_find() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    let guard = kernel.pin();
    let handle = guard.proc(pid).and_then(|p| p.handle()).unwrap();
    drop(guard);
    let here = || {
        drop(handle);
        let guard = kernel.pin();
        if let Some(proc) = guard.proc(pid) {
            assert_eq!(proc.pid(), pid);
        }
    };
    at_once(&kernel, move || drop(lwp), here);
    assert_empty(&kernel);
}

/// A participant is complete when the counts are summed up.
fn register_against_counts() {
    let kernel = kernel();
    let k = kernel.clone();
    let t = loom::thread::spawn(move || assert_empty(&k));
    let _ = kernel.reserve_seat();
    t.join().unwrap();
}

/// Both add a participant: both are there.
fn register_against_register() {
    let kernel = kernel();
    let k = kernel.clone();
    let t = loom::thread::spawn(move || {
        let _ = k.reserve_seat();
    });
    let _ = kernel.reserve_seat();
    t.join().unwrap();
    assert_eq!(kernel.reclaim_stats().participants, 3);
}

/// Two threads that the kernel does not know yet: what one binds is not the
/// other's.
fn bind_against_bind() {
    let kernel = kernel();
    let (a, b) = (kernel.spawn().start().unwrap(), kernel.spawn().start().unwrap());
    let bind = |k: &Kernel, lwp: Lwp| {
        let lid = lwp.lid();
        let mut e = k.enter().unwrap();
        e.switch(lwp).unwrap();
        assert_eq!(e.curlwp().unwrap().lid(), lid);
        e.unbind().unwrap().unwrap()
    };
    // Made above, so that this thread's participant is taken: two others.
    let spawn = |lwp| {
        let k = kernel.clone();
        loom::thread::spawn(move || bind(&k, lwp))
    };
    let t = spawn(a);
    let b = bind(&kernel, b);
    drop((b, t.join().unwrap()));
    assert_empty(&kernel);
}

/// A thread ends, and the next one takes its participant over with what the
/// first has left there.
fn participant_taken_over() {
    let kernel = kernel();
    let handle_of_init = |k: &Kernel| {
        let guard = k.pin();
        guard.proc(Pid::INIT).unwrap().handle().unwrap()
    };
    let k = kernel.clone();
    let t = loom::thread::spawn(move || handle_of_init(&k));
    drop(handle_of_init(&kernel));
    drop(t.join().unwrap());
}

/// A thread ends, and with it the process that it left bound, after an exit hook: until
/// it has done with that, no other gets its participant, whose tally it alone writes.
fn end_of_thread_against_register() {
    let kernel = kernel();
    kernel.add_exit_hook(|_| ());
    let k = kernel.clone();
    let t = loom::thread::spawn(move || {
        let mut e = k.enter().unwrap();
        e.rfork(Rfork::Fresh).unwrap();
    });
    drop(kernel.spawn().start().unwrap());
    t.join().unwrap();
    // Loom's `join` does not wait for the thread's storage.
    let in_use = || {
        let stats = kernel.reclaim_stats();
        stats.participants - stats.vacant
    };
    while in_use() > 1 {
        loom::thread::yield_now();
    }
    // The statistics are no synchronisation.
    fence(Acquire);
    assert_empty(&kernel);
}

/// One thread dies, a second takes the zombie and gives it back, a third takes
/// it then: it sees the status all the same.
fn given_back_against_wait() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let sibling = kernel.new_lwp(parent.pid()).unwrap();
    let pid = child.pid();
    let spawn = |lwp: Lwp, look: fn(&Entered<'_>, Pid)| {
        let (k, seat) = (kernel.clone(), kernel.reserve_seat());
        loom::thread::spawn(move || {
            seat.take();
            let mut e = enter_as(&k, lwp);
            look(&e, pid);
            e.unbind().unwrap().unwrap()
        })
    };
    let gives_back = spawn(sibling, |e, pid| drop(e.claim_zombie(WaitTarget::Pid(pid))));
    let waits = spawn(parent, |e, pid| {
        if let Ok(Some(reaped)) = e.try_wait(WaitTarget::Pid(pid)) {
            assert_eq!((reaped.pid, reaped.status), (pid, ExitStatus::exited(5)));
        }
    });
    enter_as(&kernel, child).exit(ExitStatus::exited(5)).unwrap();
    drop((gives_back.join().unwrap(), waits.join().unwrap()));
    assert_empty(&kernel);
}

/// An LWP sleeps while another has a claim on the only zombie, and gets it afterwards.
fn claim_given_back_against_wait() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let sibling = kernel.new_lwp(parent.pid()).unwrap();
    let pid = child.pid();
    drop(child);
    let k = kernel.clone();
    let there = move || {
        let mut e = enter_as(&k, sibling);
        drop(e.claim_zombie(WaitTarget::Any));
        e.release().unwrap();
    };
    let mut e = enter_as(&kernel, parent);
    let here = || assert_eq!(e.wait(WaitTarget::Any).unwrap().pid, pid);
    at_once(&kernel, there, here);
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// What the spawned thread does.
#[derive(Clone, Copy, PartialEq)]
enum Spawned {
    Peeks,
    Waits,
}

/// One LWP looks at the zombie while another reaps it, who finds it: the look hides nothing.
fn peek_and_wait(role: Spawned) {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let sibling = kernel.new_lwp(parent.pid()).unwrap();
    let pid = child.pid();
    enter_as(&kernel, child).exit(ExitStatus::exited(5)).unwrap();
    let ended = |child: lwproc::Reaped| (child.pid, child.status.exit_code());
    let wait = move |e: &Entered<'_>| {
        assert_eq!(e.try_wait(WaitTarget::Any).unwrap().map(ended), Some((pid, Some(5))));
    };
    let peek = move |e: &Entered<'_>| match e.try_wait(WaitTarget::Any.peek()) {
        Ok(seen) => assert!(seen.is_none_or(|seen| ended(seen) == (pid, Some(5)))),
        Err(gone) => assert_eq!(gone, WaitError::NoChild),
    };
    let k = kernel.clone();
    let there = move || {
        let mut e = enter_as(&k, sibling);
        if role == Spawned::Peeks {
            peek(&e)
        } else {
            wait(&e)
        }
        e.unbind().unwrap()
    };
    let mut e = enter_as(&kernel, parent);
    at_once(&kernel, there, || if role == Spawned::Peeks { wait(&e) } else { peek(&e) });
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

fn peek_at(e: &Entered<'_>, pid: Pid) {
    for _ in 0..2 {
        let seen = e.wait(WaitTarget::Any.peek()).unwrap();
        assert_eq!((seen.pid, seen.status), (pid, ExitStatus::exited(5)));
    }
}

/// A look that sleeps until the child ends sees how, and once more.
fn peek_against_exit() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let pid = child.pid();
    let k = kernel.clone();
    let there = move || {
        let mut e = enter_as(&k, parent);
        peek_at(&e, pid);
        assert_eq!(e.try_wait(WaitTarget::Any).unwrap().map(|reaped| reaped.pid), Some(pid));
        e.release().unwrap();
    };
    at_once(&kernel, there, || enter_as(&kernel, child).exit(ExitStatus::exited(5)).unwrap());
    assert_empty(&kernel);
}

/// The same with the roles changed.
fn exit_against_peek() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let pid = child.pid();
    let k = kernel.clone();
    let mut e = enter_as(&kernel, parent);
    let there = move || enter_as(&k, child).exit(ExitStatus::exited(5)).unwrap();
    at_once(&kernel, there, || peek_at(&e, pid));
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// init has a child, and perhaps for a moment a second one that never was: whoever waits
/// as init learns when none is left.
fn wait_as_init_against_exit_of_both() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let ends = [parent, child].map(|lwp| {
        let seat = kernel.reserve_seat();
        loom::thread::spawn(move || {
            seat.take();
            drop(lwp);
        })
    });
    let waited = kernel.enter().unwrap().wait(WaitTarget::Any);
    assert_eq!(waited, Err(WaitError::NoChild));
    ends.into_iter().for_each(|t| t.join().unwrap());
    assert_empty(&kernel);
}

/// A child of proc0 ends while its own child goes, which leaves no zombie: init has a child
/// that never was, perhaps, and whoever waits as init meanwhile is woken when that is known,
/// and by nobody else.
fn exit_of_parent_against_wait_as_init() {
    let kernel = kernel();
    let parent = kernel.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    let here = || {
        drop(child);
        kernel.enter().unwrap().wait(WaitTarget::Any)
    };
    let (_, waited) = at_once(&kernel, move || drop(parent), here);
    assert_eq!(waited, Err(WaitError::NoChild));
    assert_empty(&kernel);
}

/// The children are looked at while one goes and its id is given to another:
/// the other is complete when it is met there.
fn children_against_reuse() {
    let kernel = kernel_with(WaitPolicy::AutoReap, 3);
    let (parent, child) = family(&kernel);
    let (pid, k) = (parent.pid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        assert!(
            guard.proc(pid).unwrap().children().all(|c| [pid, Pid::KERNEL].contains(&c.ppid()))
        );
    };
    let here = || {
        drop(child);
        kernel.spawn().start().unwrap()
    };
    let (_, other) = at_once(&kernel, there, here);
    drop((parent, other));
    assert_empty(&kernel);
}

/// The kernel is shut down while the last LWP of a process that outlives it
/// goes: one of the two reaps it.
fn shutdown_against_survivor() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let lwp = kernel.spawn().start().unwrap();
    let seat = kernel.reserve_seat();
    let t = loom::thread::spawn(move || {
        seat.take();
        drop(lwp);
    });
    let report = Arc::into_inner(kernel).unwrap().shutdown();
    assert!(report.released.is_empty() && report.reaped.len() + report.survivors.len() <= 1);
    t.join().unwrap();
}

/// A thread ends with an LWP bound while the kernel is shut down: one of the
/// two releases it.
fn shutdown_against_thread_end() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let k = kernel.clone();
    let left = Arc::new(AtomicBool::new(false));
    let done = left.clone();
    let t = loom::thread::spawn(move || {
        drop(enter_as(&k, lwp));
        drop(k);
        // What `Arc` does when its last reference is dropped elsewhere.
        done.store(true, Release);
    });
    while !left.load(Acquire) {
        loom::thread::yield_now();
    }
    let report = Arc::into_inner(kernel).unwrap().shutdown();
    assert!(report.released.len() <= 1 && report.survivors.len() <= 1);
    t.join().unwrap();
}

/// As the two models of an exit of parent against child, with the parts
/// changed: loom tries this thread first, and does not try all that the other
/// could have done before (`docs/ORDERING.md`, "Blind spots").
fn exit_of_child_and_parent(policy: WaitPolicy) {
    let kernel = kernel_with(policy, 6);
    let (parent, child) = family(&kernel);
    at_once(&kernel, move || drop(child), move || drop(parent));
    assert_empty(&kernel);
}

/// As `cred_set_against_newlwp`, with the parts changed.
fn newlwp_against_set() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let (pid, k) = (a.pid(), kernel.clone());
    let there = move || {
        let mut e = enter_as(&k, a);
        e.creds().set(&CredChange::SetResuid(Some(5), None, None)).unwrap();
        e.unbind().unwrap().unwrap()
    };
    let (a, b) = at_once(&kernel, there, || kernel.new_lwp(pid).unwrap());
    let mut e = enter_as(&kernel, b);
    assert_eq!(e.cred().users().real, 5);
    e.release().unwrap();
    drop(e);
    drop(a);
    assert_empty(&kernel);
}

/// A user's entry is complete when it is found.
fn first_charge_against_counts() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let k = kernel.clone();
    let there = move || assert!(k.user_counts(5).procs <= 1);
    let here = || {
        let mut e = enter_as(&kernel, a);
        e.creds().set(&CredChange::SetResuid(Some(5), None, None)).unwrap();
        e.release().unwrap();
    };
    at_once(&kernel, there, here);
    assert_empty(&kernel);
}
