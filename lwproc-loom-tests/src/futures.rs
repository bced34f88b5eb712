//! Handles that wait for the end of a process, and scopes beside others' steps.

use crate::full::{assert_empty, at_once, enter_as, family, kernel, kernel_with};
use crate::runner::{Model, pair};
use lwproc::layers::{Parker, Unparker};
use lwproc::{ExitStatus, Kernel, Pid, ProcHandle, WaitPolicy, current};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};

pub fn models() -> Vec<Model> {
    vec![
        pair("futures_exited_against_exit", exited_against_exit),
        pair("futures_exit_against_exited", exit_against_exited),
        pair("futures_exited_blocking_against_exit", exited_blocking_against_exit),
        pair("futures_wait_against_exit", wait_against_exit),
        pair("futures_wait_dropped_against_exit", wait_dropped_against_exit).deep(),
        pair("futures_poll_against_teardown", poll_against_teardown),
        pair("futures_scope_dropped_against_newlwp", scope_dropped_against_newlwp),
    ]
}

struct Unpark(Unparker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor: polls, and parks until woken.
fn block_on<F: Future>(future: F) -> F::Output {
    let (parker, mut future) = (Parker::new(), pin!(future));
    let waker = Waker::from(Arc::new(Unpark(parker.unparker().clone())));
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        parker.park();
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn handle_of(kernel: &Kernel, pid: Pid) -> ProcHandle {
    kernel.pin().proc(pid).unwrap().handle().unwrap()
}

/// A process that ends, and who waits for it sees the status and what its hook did.
fn exit_beside(policy: WaitPolicy, waiter_there: bool, wait: fn(ProcHandle) -> ExitStatus) {
    let kernel = kernel_with(policy, 6);
    let done = Arc::new(loom::sync::atomic::AtomicU32::new(0));
    let hook = done.clone();
    kernel.add_exit_hook(move |_| {
        // Relaxed: published by the end.
        hook.store(1, Relaxed);
    });
    let lwp = kernel.spawn().start().unwrap();
    let proc = handle_of(&kernel, lwp.pid());
    let waits = move || {
        assert_eq!(wait(proc), ExitStatus::default());
        // Relaxed: seen with the end.
        assert_eq!(done.load(Relaxed), 1);
    };
    if waiter_there {
        at_once(&kernel, waits, move || drop(lwp));
    } else {
        at_once(&kernel, move || drop(lwp), waits);
    }
    assert_empty(&kernel);
}

fn exited_against_exit() {
    exit_beside(WaitPolicy::AutoReap, true, |proc| block_on(proc.exited()));
}

fn exit_against_exited() {
    exit_beside(WaitPolicy::AutoReap, false, |proc| block_on(proc.exited()));
}

fn exited_blocking_against_exit() {
    exit_beside(WaitPolicy::AutoReap, false, |proc| proc.exited().block());
}

/// The parent waits in a scope while the child ends: it reaps it, with its status.
fn wait_against_exit() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let (proc, k) = (handle_of(&kernel, child.pid()), kernel.clone());
    let there = move || {
        enter_as(&k, child).exit(ExitStatus::exited(5)).unwrap();
    };
    let reaped = at_once(&kernel, there, || block_on(parent.scope(proc.wait()))).1.unwrap();
    assert_eq!((reaped.pid, reaped.status), (proc.pid(), ExitStatus::exited(5)));
    drop(proc);
    assert_empty(&kernel);
}

/// A wait is polled once and dropped while the child ends: the zombie is still there.
fn wait_dropped_against_exit() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    // The end of the parent is another model's.
    let sibling = kernel.new_lwp(parent.pid()).unwrap();
    let proc = handle_of(&kernel, child.pid());
    let mut wait = Box::pin(parent.scope(proc.wait()));
    assert!(poll(wait.as_mut()).is_pending());
    at_once(&kernel, move || drop(child), move || drop(wait));
    assert!(proc.try_wait(&enter_as(&kernel, sibling)).unwrap().is_some());
    kernel.enter().unwrap().release().unwrap();
    drop(proc);
    assert_empty(&kernel);
}

/// A kernel is torn down while a scope is polled: it survives, and goes by itself.
fn poll_against_teardown() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    let seat = kernel.reserve_seat();
    let t = loom::thread::spawn(move || {
        seat.take();
        let mut task = Box::pin(lwp.scope(async move {
            assert_eq!(current(|cx| cx.pid()), Ok(pid));
        }));
        assert!(poll(task.as_mut()).is_ready());
        task
    });
    let kernel = Arc::into_inner(kernel).unwrap();
    assert_eq!(kernel.shutdown().survivors, [(pid, lid)]);
    drop(t.join().unwrap());
}

/// A scope's last LWP goes while somebody joins its process.
fn scope_dropped_against_newlwp() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, k) = (lwp.pid(), kernel.clone());
    let task = lwp.scope(async {});
    let joined = at_once(&kernel, move || k.new_lwp(pid), move || drop(task)).0;
    if let Ok(lwp) = joined {
        assert_eq!(lwp.pid(), pid);
        drop(lwp);
    }
    assert_empty(&kernel);
}
