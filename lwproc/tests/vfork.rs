//! The parent of a vfork: until when it sleeps, and what ends that.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::thread::{Scope, ScopedJoinHandle, yield_now};

const KILL: i32 = 9;
const TERM: i32 = 15;
const QUIT: i32 = 3;

fn kernel(rules: Rules) -> Kernel {
    let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
    builder.wait_policy(WaitPolicy::Wait).build().unwrap()
}

/// A parent, and its child that has just been made.
fn family(kernel: &Kernel) -> (Lwp, Lwp) {
    let parent = kernel.spawn().start().unwrap();
    let child = parent.proc_handle().spawn().start().unwrap();
    (parent, child)
}

type Slept = (Result<VforkEnd, Interrupted>, Option<Lwp>);

/// The parent waits in a thread of its own, which is asleep when this returns.
fn waits<'s>(
    s: &'s Scope<'s, '_>,
    kernel: &'s Kernel,
    parent: Lwp,
    child: &Lwp,
) -> ScopedJoinHandle<'s, Slept> {
    let handle = parent.unclaim();
    let vforked = child.proc_handle().vforked();
    let lwp = handle.claim().unwrap();
    let thread = s.spawn(move || {
        let k = kernel.enter_as(lwp).unwrap();
        let slept = vforked.block(&k);
        (slept, Kernel::leave(k))
    });
    while handle.state() != LwpState::Sleeping {
        yield_now();
    }
    thread
}

#[track_caller]
fn sleeps_still(kernel: &Kernel, lid: Lid, waiting: &ScopedJoinHandle<'_, Slept>) {
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!waiting.is_finished());
    assert_eq!(kernel.pin().lwp(lid).unwrap().state(), LwpState::Sleeping);
}

fn execs(kernel: &Kernel, lwp: Lwp) -> Lwp {
    let mut k = kernel.enter_as(lwp).unwrap();
    k.drain();
    k.exec("new").unwrap();
    Kernel::leave(k).unwrap()
}

#[test]
fn it_sleeps_until_the_child_execs() {
    let kernel = kernel(Rules::LINUX);
    let (parent, child) = family(&kernel);
    let (lid, handle) = (parent.lid(), child.proc_handle());
    assert_eq!(handle.vfork_end(), None);
    std::thread::scope(|s| {
        let waiting = waits(s, &kernel, parent, &child);
        // That is not an exec.
        let mut k = kernel.enter_as(child).unwrap();
        k.drain();
        k.reopen();
        sleeps_still(&kernel, lid, &waiting);
        let child = execs(&kernel, Kernel::leave(k).unwrap());
        let (slept, parent) = waiting.join().unwrap();
        assert_eq!(slept, Ok(VforkEnd::Execed));
        // Once for all.
        let k = kernel.enter_as(parent.unwrap()).unwrap();
        assert_eq!(handle.vforked().block(&k), Ok(VforkEnd::Execed));
        drop(child);
        k.try_wait(WaitTarget::Any).unwrap().unwrap();
        assert_eq!(handle.vforked().block(&k), Ok(VforkEnd::Ended), "and reaped");
    });
}

#[test]
fn an_exec_by_any_lwp_of_the_child_counts() {
    let kernel = kernel(Rules::LINUX);
    let (parent, child) = family(&kernel);
    let further = kernel.new_lwp(child.pid()).unwrap();
    std::thread::scope(|s| {
        let waiting = waits(s, &kernel, parent, &child);
        drop(child);
        let _child = execs(&kernel, further);
        assert_eq!(waiting.join().unwrap().0, Ok(VforkEnd::Execed));
    });
}

#[test]
fn it_sleeps_until_the_child_has_ended() {
    for policy in [WaitPolicy::Wait, WaitPolicy::AutoReap] {
        let kernel = Kernel::builder().wait_policy(policy).build().unwrap();
        let (parent, child) = family(&kernel);
        let (lid, other) = (parent.lid(), kernel.new_lwp(child.pid()).unwrap());
        std::thread::scope(|s| {
            let waiting = waits(s, &kernel, parent, &child);
            drop(child);
            sleeps_still(&kernel, lid, &waiting);
            drop(other);
            assert_eq!(waiting.join().unwrap().0, Ok(VforkEnd::Ended));
        });
    }
}

/// What `disturb` does to the parent while it sleeps, and whether that ends its sleep.
fn disturbed(rules: Rules, disturb: impl Fn(&Entered<'_>, Pid)) -> Option<Interrupted> {
    let kernel = kernel(rules);
    let (parent, child) = family(&kernel);
    let (pid, lid) = (parent.pid(), parent.lid());
    std::thread::scope(|s| {
        let waiting = waits(s, &kernel, parent, &child);
        let k = kernel.enter().unwrap();
        disturb(&k, pid);
        drop(k);
        std::thread::sleep(std::time::Duration::from_millis(20));
        if waiting.is_finished() {
            let (slept, parent) = waiting.join().unwrap();
            drop(parent);
            return slept.err();
        }
        sleeps_still(&kernel, lid, &waiting);
        let _child = execs(&kernel, child);
        assert_eq!(waiting.join().unwrap().0, Ok(VforkEnd::Execed));
        None
    })
}

fn kill(signo: i32) -> impl Fn(&Entered<'_>, Pid) {
    move |k, pid| k.signals().kill(KillTarget::Proc(pid), signo).unwrap()
}

#[test]
fn only_what_is_fatal_ends_that_sleep() {
    assert_eq!(disturbed(Rules::LINUX, kill(KILL)), Some(Interrupted::Exit));
    assert_eq!(disturbed(Rules::NETBSD, kill(KILL)), Some(Interrupted::Exit));
    // What it does by itself; with a core it pends, as on Linux.
    assert_eq!(disturbed(Rules::LINUX, kill(TERM)), Some(Interrupted::Signal));
    assert_eq!(disturbed(Rules::LINUX, kill(QUIT)), None);
    // Only the embedder knows what it does.
    assert_eq!(disturbed(Rules::NETBSD, kill(TERM)), None);
    let unsleep = |k: &Entered<'_>, pid: Pid| {
        let guard = k.pin();
        let lwp = guard.lwp(Lid(pid.0)).unwrap();
        assert_eq!(lwp.unsleep(), Unslept::Woken);
    };
    assert_eq!(disturbed(Rules::NETBSD, unsleep), Some(Interrupted::Unslept));
    let both = |k: &Entered<'_>, pid: Pid| {
        kill(TERM)(k, pid);
        unsleep(k, pid);
    };
    assert_eq!(disturbed(Rules::NETBSD, both), Some(Interrupted::Unslept));
}

#[test]
fn a_signal_that_is_caught_or_blocked_pends() {
    for does in [Some(Disposition::Catch), None] {
        let kernel = kernel(Rules::LINUX);
        let (parent, child) = family(&kernel);
        let (pid, lid) = (parent.pid(), parent.lid());
        let k = kernel.enter_as(parent).unwrap();
        match does {
            Some(does) => drop(k.signals().set_disposition(TERM, does).unwrap()),
            None => drop(k.signals().set_blocked(SigSet::ALL).unwrap()),
        }
        let parent = Kernel::leave(k).unwrap();
        std::thread::scope(|s| {
            let waiting = waits(s, &kernel, parent, &child);
            kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), TERM).unwrap();
            sleeps_still(&kernel, lid, &waiting);
            drop(child);
            let (slept, parent) = waiting.join().unwrap();
            assert_eq!(slept, Ok(VforkEnd::Ended));
            let k = kernel.enter_as(parent.unwrap()).unwrap();
            assert!(k.signals().pending().contains(Signo::TERM));
        });
    }
}

#[test]
fn the_end_of_the_parent_by_another_lwp_ends_it() {
    let kernel = kernel(Rules::NETBSD);
    let (parent, child) = family(&kernel);
    let other = kernel.new_lwp(parent.pid()).unwrap();
    let handle = parent.proc_handle();
    std::thread::scope(|s| {
        let waiting = waits(s, &kernel, parent, &child);
        let mut k = kernel.enter_as(other).unwrap();
        k.exit_group(ExitStatus::exited(4)).unwrap();
        drop(k);
        let (slept, parent) = waiting.join().unwrap();
        assert_eq!(slept, Err(Interrupted::Exit));
        drop(parent);
        assert_eq!(handle.exit_status(), Some(ExitStatus::exited(4)));
    });
    assert_eq!(kernel.pin().proc(child.pid()).unwrap().ppid(), Pid::INIT, "the child goes on");
}

#[test]
fn a_stop_takes_effect_afterwards() {
    let kernel = kernel(Rules::LINUX);
    let (parent, child) = family(&kernel);
    let (pid, lid) = (parent.pid(), parent.lid());
    std::thread::scope(|s| {
        let waiting = waits(s, &kernel, parent, &child);
        let send = |signo| kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), signo);
        send(19).unwrap();
        assert_eq!(kernel.pin().proc(pid).unwrap().state(), ProcState::Stopped);
        let child = execs(&kernel, child);
        sleeps_still(&kernel, lid, &waiting);
        send(18).unwrap();
        assert_eq!(waiting.join().unwrap().0, Ok(VforkEnd::Execed));
        drop(child);
    });
}

#[test]
fn a_virtual_cpu_is_free_meanwhile() {
    let kernel =
        Kernel::builder().virtual_cpus(std::num::NonZero::new(1).unwrap()).build().unwrap();
    let (parent, child) = family(&kernel);
    std::thread::scope(|s| {
        let waiting = waits(s, &kernel, parent, &child);
        let _child = execs(&kernel, child);
        assert_eq!(waiting.join().unwrap().0, Ok(VforkEnd::Execed));
    });
}

#[cfg(feature = "async")]
#[test]
fn a_task_waits_too() {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    let kernel = kernel(Rules::LINUX);
    let (parent, child) = family(&kernel);
    let vforked = child.proc_handle().vforked();
    let mut scope = pin!(parent.scope(vforked));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(scope.as_mut().poll(&mut cx).is_pending());
    let _child = execs(&kernel, child);
    assert_eq!(scope.as_mut().poll(&mut cx), Poll::Ready(VforkEnd::Execed));
}
