//! The whole kernel, through its public interface: two threads, and what they
//! do at once. Everything is made and ended within each execution, so every
//! model also checks that nothing leaks and nothing is freed too early.

use crate::runner::{Model, pair};
use lwproc::{
    ClaimError, Entered, ExitStatus, Host, Kernel, Lid, Lwp, NewLwpError, Pid, Rfork, WaitPolicy,
    WaitTarget,
};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("kernel_newlwp_against_last_release", newlwp_against_last_release),
        pair("kernel_release_against_release", release_against_release),
        pair("kernel_claim_against_claim", claim_against_claim),
        pair("kernel_exit_switch_against_claim_by_id", exit_switch_against_claim),
        pair("kernel_unclaim_against_claim_by_id", unclaim_against_claim),
        pair("kernel_exit_of_parent_against_exit_of_child", exit_parent_against_exit_child).long(),
        pair("kernel_exit_of_parent_against_exit_of_child_with_zombies", zombie_parent_child)
            .long(),
        pair("kernel_exit_of_parent_against_children", exit_parent_against_children),
        pair("kernel_fork_against_find", fork_against_find),
        pair("kernel_fork_against_fork", fork_against_fork),
        pair("kernel_newlwp_against_newlwp_of_the_pid", newlwp_against_newlwp),
        pair("kernel_take_over_of_the_pid_against_release", take_over_against_release),
        pair("kernel_newlwp_against_iterate", newlwp_against_iterate),
        pair("kernel_iterate_against_growth", iterate_against_growth),
        pair("kernel_wait_against_exit", wait_against_exit),
        pair("kernel_wait_as_init_against_exit", wait_as_init).long(),
        pair("kernel_wait_against_wait", wait_against_wait).long(),
        pair("kernel_rename_against_comm", rename_against_comm),
        pair("kernel_rename_against_rename", rename_against_rename),
        pair("kernel_handle_against_release", handle_against_release),
        pair("kernel_enter_against_enter", enter_against_enter),
        pair("kernel_drop_of_survivors_after_shutdown", survivors_after_shutdown),
        pair("kernel_ids_exhausted_newlwp_against_release", exhausted_newlwp_against_release),
    ]
}

pub(crate) fn kernel_with(policy: WaitPolicy, id_capacity: usize) -> Arc<Kernel> {
    let builder = Kernel::builder().wait_policy(policy).id_capacity(id_capacity);
    Arc::new(builder.build().unwrap())
}

pub(crate) fn kernel() -> Arc<Kernel> {
    kernel_with(WaitPolicy::AutoReap, 6)
}

/// Runs the two at once, the first on a thread of its own.
pub(crate) fn at_once<H: Host, A: Send + 'static, B>(
    kernel: &Kernel<H>,
    there: impl FnOnce() -> A + Send + 'static,
    here: impl FnOnce() -> B,
) -> (A, B) {
    // This thread has a seat already; so the two never wait for one.
    let seat = kernel.reserve_seat();
    let t = loom::thread::spawn(move || {
        seat.take();
        there()
    });
    let b = here();
    (t.join().unwrap(), b)
}

pub(crate) fn assert_empty<H: Host>(kernel: &Kernel<H>) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}

/// Two threads that the kernel does not know yet: each gets a participant.
fn enter_against_enter() {
    let kernel = kernel();
    let k = kernel.clone();
    let t = loom::thread::spawn(move || {
        let e = k.enter().unwrap();
        assert_eq!(e.pid(), Pid::INIT);
    });
    let e = kernel.enter().unwrap();
    assert_eq!(e.pid(), Pid::INIT);
    drop(e);
    t.join().unwrap();
    assert!(kernel.reclaim_stats().participants <= 2);
}

/// A parent and its child, each with one owned LWP.
pub(crate) fn family(kernel: &Kernel) -> (Lwp, Lwp) {
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.unbind().unwrap().unwrap();
    (parent, child)
}

/// R1, R2: a process found is alive when it is joined, or the answer is ESRCH.
fn newlwp_against_last_release() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, k) = (lwp.pid(), kernel.clone());
    let (joined, ()) = at_once(&kernel, move || k.new_lwp(pid), move || drop(lwp));
    match joined {
        Ok(lwp) => {
            assert_eq!(lwp.pid(), pid);
            let guard = kernel.pin();
            assert_eq!(guard.proc(pid).unwrap().nlwps(), 1);
        }
        Err(error) => assert_eq!(error, NewLwpError::NoSuchProcess),
    }
    assert_empty(&kernel);
}

/// R4: the process is freed once.
fn release_against_release() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let b = kernel.new_lwp(a.pid()).unwrap();
    at_once(&kernel, move || drop(a), move || drop(b));
    assert_empty(&kernel);
}

/// R6: one parked LWP, two that want to run it.
fn claim_against_claim() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let handle = lwp.unclaim();
    let other = handle.clone();
    let (there, here) = at_once(&kernel, move || other.claim().ok(), move || handle.claim().ok());
    assert!(there.is_some() ^ here.is_some());
    drop((there, here));
    assert_empty(&kernel);
}

/// R6, R7: while an exiting LWP is switched away from and freed, another
/// thread tries to claim it by its number.
fn exit_switch_against_claim() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let b = kernel.spawn().start().unwrap();
    let (lid, k) = (a.lid(), kernel.clone());
    let here = || {
        let mut e = kernel.enter().unwrap();
        e.switch(a).unwrap();
        e.release().unwrap();
        e.switch(b).unwrap();
        e.release().unwrap();
    };
    let there = move || {
        let guard = k.pin();
        let claimed = guard.lwp(lid).map(|l| l.claim().map(drop));
        assert!(!matches!(claimed, Some(Ok(()))), "claimed an exiting LWP");
    };
    at_once(&kernel, there, here);
    assert_empty(&kernel);
}

/// R7: the thread has left the LWP before another can run it.
fn unclaim_against_claim() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (lid, k) = (lwp.lid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        let lwp = guard.lwp(lid).unwrap();
        match lwp.claim() {
            Ok(lwp) => drop(lwp),
            Err(error) => {
                assert!(matches!(error, ClaimError::AlreadyRunning { .. }));
            }
        }
    };
    let (_, handle) = at_once(&kernel, there, move || lwp.unclaim());
    drop(handle.claim());
    assert_empty(&kernel);
}

fn parent_and_child_exit(policy: WaitPolicy) {
    let kernel = kernel_with(policy, 6);
    let (parent, child) = family(&kernel);
    at_once(&kernel, move || drop(parent), move || drop(child));
    assert_empty(&kernel);
}

/// The edge of the child is swung to init, or it has left: once.
fn exit_parent_against_exit_child() {
    parent_and_child_exit(WaitPolicy::AutoReap);
}

/// The child becomes a zombie while its parent goes: exactly one reaps it.
fn zombie_parent_child() {
    parent_and_child_exit(WaitPolicy::Wait);
}

/// An orphan is never invisible: it is seen under its parent, or under init
/// if init is looked at afterwards.
fn exit_parent_against_children() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (pid, child_pid, k) = (parent.pid(), child.pid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        let is_child =
            |p: Pid| guard.proc(p).is_some_and(|p| p.children().any(|c| c.pid() == child_pid));
        assert!(is_child(pid) || is_child(Pid::INIT), "invisible orphan");
        let ppid = guard.proc(child_pid).unwrap().ppid();
        assert!(ppid == pid || ppid == Pid::INIT);
    };
    at_once(&kernel, there, move || drop(parent));
    drop(child);
    assert_empty(&kernel);
}

/// R3: a process is complete when it is found.
fn fork_against_find() {
    let kernel = kernel();
    let k = kernel.clone();
    let there = move || {
        let guard = k.pin();
        if let Some(proc) = guard.proc(Pid(2)) {
            assert_eq!((proc.pid(), proc.ppid(), proc.nlwps()), (Pid(2), Pid(0), 1));
            assert_eq!(proc.comm().as_str(), "system");
            assert_eq!(proc.lwps().map(|l| l.lid()).collect::<Vec<_>>(), [Lid(2)]);
        }
        if let Some(lwp) = guard.lwp(Lid(2)) {
            assert_eq!(lwp.pid(), Pid(2));
        }
    };
    let here = || kernel.spawn().start().unwrap();
    let (_, lwp) = at_once(&kernel, there, here);
    drop(lwp);
    assert_empty(&kernel);
}

fn fork_against_fork() {
    let kernel = kernel();
    let k = kernel.clone();
    let (a, b) =
        at_once(&kernel, move || k.spawn().start().unwrap(), || kernel.spawn().start().unwrap());
    assert_ne!(a.pid(), b.pid());
    let guard = kernel.pin();
    assert_eq!(guard.proc(Pid(0)).unwrap().children().count(), 3);
    drop(guard);
    drop((a, b));
    assert_empty(&kernel);
}

/// The pid is free: one of two new LWPs takes it over.
fn newlwp_against_newlwp() {
    let kernel = kernel();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let keep = kernel.new_lwp(pid).unwrap();
    drop(first);
    let k = kernel.clone();
    let new = move |k: &Kernel| k.new_lwp(pid).unwrap();
    let (a, b) = at_once(&kernel, move || new(&k), || new(&kernel));
    assert!((a.lid().0 == pid.0) ^ (b.lid().0 == pid.0));
    assert_ne!(a.lid(), b.lid());
    drop((a, b, keep));
    assert_empty(&kernel);
}

/// At most one live LWP bears the pid, also to one who looks while it passes
/// from the old to the new.
fn take_over_against_release() {
    let kernel = kernel();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let keep = kernel.new_lwp(pid).unwrap();
    let k = kernel.clone();
    let there = move || {
        let new = k.new_lwp(pid).unwrap();
        let guard = k.pin();
        let proc = guard.proc(pid).unwrap();
        let bearers = proc.lwps().filter(|l| l.lid().0 == pid.0).count();
        assert!(bearers <= 1, "the pid is borne twice");
        new
    };
    let (new, ()) = at_once(&kernel, there, move || drop(first));
    drop((new, keep));
    assert_empty(&kernel);
}

/// The table grows by a segment, which the iteration may see.
fn iterate_against_growth() {
    let kernel = kernel();
    // With 0 and init, all but one of the first segment.
    let held = kernel.spawn().start().unwrap();
    let k = kernel.clone();
    let iterate = move || {
        let guard = k.pin();
        let count = guard.procs().count();
        assert!([3, 4, 5].contains(&count));
    };
    let make_two = || [(); 2].map(|()| kernel.spawn().start().unwrap());
    let ((), [last, first]) = at_once(&kernel, iterate, make_two);
    assert_eq!((last.pid(), first.pid()), (Pid(3), Pid(4)), "the constants of idtable");
    drop((last, first, held));
    assert_empty(&kernel);
}

fn newlwp_against_iterate() {
    let kernel = kernel();
    let first = kernel.spawn().start().unwrap();
    let (pid, lid, k) = (first.pid(), first.lid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        let lids: Vec<Lid> = guard.proc(pid).unwrap().lwps().map(|l| l.lid()).collect();
        assert_eq!(lids.iter().filter(|l| **l == lid).count(), 1, "present throughout");
        assert!(lids.len() <= 2);
    };
    let here = || drop(kernel.new_lwp(pid).unwrap());
    at_once(&kernel, there, here);
    drop(first);
    assert_empty(&kernel);
}

pub(crate) fn enter_as<H: Host>(kernel: &Kernel<H>, lwp: Lwp<H>) -> Entered<'_, H> {
    let mut k = kernel.enter().unwrap();
    k.switch(lwp).unwrap();
    k
}

/// A blocking wait always wakes, with the status.
fn wait_against_exit() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let (pid, k) = (child.pid(), kernel.clone());
    let there = move || {
        let mut e = enter_as(&k, child);
        e.exit(ExitStatus::exited(5)).unwrap();
    };
    let here = || {
        let mut e = enter_as(&kernel, parent);
        let reaped = e.wait(WaitTarget::Any).unwrap();
        assert_eq!((reaped.pid, reaped.status), (pid, ExitStatus::exited(5)));
        e.release().unwrap();
    };
    at_once(&kernel, there, here);
    assert_empty(&kernel);
}

/// One zombie, two waiters of its parent: exactly one reaps.
fn wait_against_wait() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let sibling = kernel.new_lwp(parent.pid()).unwrap();
    drop(child);
    let k = kernel.clone();
    let wait = |k: &Kernel, lwp| {
        let mut e = enter_as(k, lwp);
        let reaped = matches!(e.try_wait(WaitTarget::Any), Ok(Some(_)));
        e.release().unwrap();
        reaped
    };
    let (a, b) = at_once(&kernel, move || wait(&k, sibling), || wait(&kernel, parent));
    assert!(a ^ b);
    assert_empty(&kernel);
}

/// A claim that an LWP of init makes and gives back strands no zombie.
fn wait_as_init() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let mut e = kernel.enter().unwrap();
    e.rfork(Rfork::Share).unwrap();
    let child = e.unbind().unwrap().unwrap();
    drop(e);
    let k = kernel.clone();
    let there = move || drop(k.enter().unwrap().claim_zombie(WaitTarget::Any));
    at_once(&kernel, there, move || drop(child));
    assert_empty(&kernel);
}

fn rename_against_comm() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, k) = (lwp.pid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        if let Some(proc) = guard.proc(pid) {
            assert!(["system", "a", "b"].contains(&proc.comm().as_str()));
        }
    };
    let here = || {
        let mut e = enter_as(&kernel, lwp);
        e.process().set_comm("a");
        e.process().set_comm("b");
        e.release().unwrap();
    };
    at_once(&kernel, there, here);
    assert_empty(&kernel);
}

/// Two LWPs name their process: each gives back the name it replaced.
fn rename_against_rename() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let b = kernel.new_lwp(a.pid()).unwrap();
    let k = kernel.clone();
    let there = move || {
        let mut e = enter_as(&k, a);
        e.process().set_comm("a");
        e.release().unwrap();
    };
    let here = || {
        let e = enter_as(&kernel, b);
        e.process().set_comm("b");
        e
    };
    let ((), mut e) = at_once(&kernel, there, here);
    assert!(["a", "b"].contains(&e.process().comm().as_str()));
    e.release().unwrap();
    drop(e);
    assert_empty(&kernel);
}

/// A counted handle taken at the last moment keeps the memory.
fn handle_against_release() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid, k) = (lwp.pid(), lwp.lid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        let proc = guard.proc(pid).and_then(|p| p.handle());
        let lwp = guard.lwp(lid).and_then(|l| l.handle());
        (proc, lwp)
    };
    let ((proc, lwp), ()) = at_once(&kernel, there, move || drop(lwp));
    if let Some(proc) = proc {
        assert_eq!((proc.pid(), proc.is_alive()), (pid, false));
    }
    if let Some(lwp) = lwp {
        assert_eq!((lwp.pid(), lwp.claim().unwrap_err()), (pid, ClaimError::Exiting));
    }
    assert_empty(&kernel);
}

/// Two LWPs of one process outlive their kernel: the memory goes with the
/// last, whichever it is.
fn survivors_after_shutdown() {
    let kernel = kernel();
    let a = kernel.spawn().start().unwrap();
    let b = kernel.new_lwp(a.pid()).unwrap();
    let seat = kernel.reserve_seat();
    let kernel = Arc::into_inner(kernel).unwrap();
    assert_eq!(kernel.shutdown().survivors.len(), 2);
    let t = loom::thread::spawn(move || {
        seat.take();
        drop(a);
    });
    drop(b);
    t.join().unwrap();
}

/// A `new_lwp` that finds no id must give its place back, and may be the end of
/// the process.
fn exhausted_newlwp_against_release() {
    let kernel = kernel_with(WaitPolicy::AutoReap, 2);
    let lwp = kernel.spawn().start().unwrap();
    let (pid, k) = (lwp.pid(), kernel.clone());
    let (joined, ()) = at_once(&kernel, move || k.new_lwp(pid), move || drop(lwp));
    match joined {
        Ok(lwp) => assert_eq!(lwp.lid().0, pid.0, "only the pid itself was free"),
        Err(e) => assert!(matches!(e, NewLwpError::IdsExhausted | NewLwpError::NoSuchProcess)),
    }
    assert_empty(&kernel);
}
