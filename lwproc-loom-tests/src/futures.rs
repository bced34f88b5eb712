//! Handles that wait for the end of a process, and scopes beside others' steps.

use crate::full::{assert_empty, at_once, enter_as, family, kernel, kernel_with};
use crate::runner::{Model, pair};
use crate::signals::{kill, recording};
use loom::sync::atomic::AtomicU32;
use lwproc::layers::{Parker, Unparker};
use lwproc::{
    ExitStatus, Kernel, Pid, ProcHandle, Signo, Told, WaitChannel, WaitPolicy, WaitTarget, current,
    interruptible,
};
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, Poll, Wake, Waker};

pub fn models() -> Vec<Model> {
    vec![
        pair("futures_exited_against_exit", exited_against_exit).long(),
        pair("futures_exit_against_exited", exit_against_exited).long(),
        pair("futures_exited_blocking_against_exit", exited_blocking_against_exit).long(),
        pair("futures_wait_against_exit", wait_against_exit),
        pair("futures_wait_any_against_exit", wait_any_against_exit).long(),
        pair("futures_wait_dropped_against_exit", wait_dropped_against_exit).deep(),
        pair("futures_poll_against_teardown", poll_against_teardown),
        pair("futures_scope_dropped_against_newlwp", scope_dropped_against_newlwp),
        pair("futures_scope_against_post", scope_against_post),
        pair("futures_scope_again_against_post", scope_again_against_post).deep(),
        pair("futures_interruptible_against_post", interruptible_against_post),
        pair("futures_or_exit_against_exit_group", or_exit_against_exit_group).deep(),
        pair("futures_scope_dropped_against_post", scope_dropped_against_post).deep(),
        pair("futures_channel_dropped_against_wake_one", channel_dropped_against_wake_one),
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
        at_once(&kernel, waits, move || lwp.release());
    } else {
        at_once(&kernel, move || lwp.release(), waits);
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

/// The parent waits in a scope for whichever child ends.
fn wait_any_against_exit() {
    let kernel = kernel_with(WaitPolicy::Wait, 6);
    let (parent, child) = family(&kernel);
    let (pid, k) = (child.pid(), kernel.clone());
    let there = move || {
        enter_as(&k, child).exit(ExitStatus::exited(5)).unwrap();
    };
    let any = async { current(|k| k.process().wait(WaitTarget::Any)).unwrap().await };
    let reaped = at_once(&kernel, there, || block_on(parent.scope(any))).1.unwrap();
    assert_eq!((reaped.pid, reaped.status), (pid, ExitStatus::exited(5)));
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

/// Ready when it has taken a signal.
async fn takes_a_signal() {
    poll_fn(|_| match current(|k| k.signals().take()).unwrap() {
        Some(_) => Poll::Ready(()),
        None => Poll::Pending,
    })
    .await;
}

/// Counts how often it wakes.
#[derive(Default)]
struct Count(std::sync::atomic::AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// One poll of a future while something comes that is to make it ready: it is, or is woken
/// and is then.
fn ready_or_woken<F: Future + Unpin>(
    kernel: &Arc<Kernel>,
    mut task: F,
    there: impl FnOnce() + Send + 'static,
) -> F::Output {
    let wakes = Arc::new(Count::default());
    let waker = Waker::from(wakes.clone());
    let mut poll = || Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
    match at_once(kernel, there, &mut poll).1 {
        Poll::Ready(output) => output,
        Poll::Pending => {
            assert!(wakes.0.load(Relaxed) > 0, "the task is forgotten");
            match poll() {
                Poll::Ready(output) => output,
                Poll::Pending => panic!("woken for nothing"),
            }
        }
    }
}

fn post(k: Arc<Kernel>, pid: Pid) -> impl FnOnce() + Send {
    move || k.pin().proc(pid).unwrap().post(Signo::HUP)
}

/// A signal comes while a scope is polled for the first time, and falls asleep.
fn scope_against_post() {
    let kernel = recording();
    let lwp = kernel.spawn().start().unwrap();
    let there = post(kernel.clone(), lwp.pid());
    ready_or_woken(&kernel, Box::pin(lwp.scope(takes_a_signal())), there);
    assert_empty(&kernel);
}

/// The same for a scope that sleeps already, and has been woken once: its task is to be
/// found again.
fn scope_again_against_post() {
    let kernel = recording();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    let mut task = Box::pin(lwp.scope(async {
        takes_a_signal().await;
        takes_a_signal().await;
    }));
    assert!(poll(task.as_mut()).is_pending());
    kill(&kernel, pid);
    ready_or_woken(&kernel, task, post(kernel.clone(), pid));
    assert_empty(&kernel);
}

/// A future inside that is polled with a waker of its own, before the LWP sleeps: that
/// waker is called.
fn interruptible_against_post() {
    let kernel = recording();
    let lwp = kernel.spawn().start().unwrap();
    let there = post(kernel.clone(), lwp.pid());
    let wakes = Arc::new(Count::default());
    let waker = Waker::from(wakes.clone());
    let mut inner = Box::pin(interruptible(pending::<()>()));
    let mut task = Box::pin(
        lwp.scope(poll_fn(|_| inner.as_mut().poll(&mut Context::from_waker(&waker)).map(drop))),
    );
    let polled = at_once(&kernel, there, || poll(task.as_mut())).1;
    assert!(polled.is_ready() || wakes.0.load(Relaxed) > 0, "the future is forgotten");
    assert!(polled.is_ready() || poll(task.as_mut()).is_ready());
    drop(task);
    assert_empty(&kernel);
}

/// A guest that only awaits is told, however its poll meets the end of its process.
fn or_exit_against_exit_group() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (other, k) = (kernel.new_lwp(lwp.pid()).unwrap(), kernel.clone());
    let there = move || enter_as(&k, other).exit_group(ExitStatus::exited(3)).unwrap();
    let guest = Box::pin(lwp.scope(pending::<()>()).or_exit());
    let told = ready_or_woken(&kernel, guest, there);
    assert_eq!(told, Err(Told::Exiting(ExitStatus::exited(3))));
    assert_empty(&kernel);
}

/// A scope that sleeps is dropped while it is woken: what it sleeps on is not touched
/// afterwards.
fn scope_dropped_against_post() {
    let kernel = recording();
    let lwp = kernel.spawn().start().unwrap();
    // The end of the process is another model's.
    let sibling = kernel.new_lwp(lwp.pid()).unwrap();
    let there = post(kernel.clone(), lwp.pid());
    let mut task = Box::pin(lwp.scope(pending::<()>()));
    assert!(poll(task.as_mut()).is_pending());
    at_once(&kernel, there, move || drop(task));
    drop(sibling);
    assert_empty(&kernel);
}

/// Of two that sleep on a channel one is dropped while one is woken: the other is, if the
/// wake-up came to the one that went.
fn channel_dropped_against_wake_one() {
    let channel = Arc::new((WaitChannel::new(), AtomicU32::new(0)));
    let other = channel.clone();
    let come = || (channel.1.load(Acquire) > 0).then_some(());
    let mut goes = Box::pin(channel.0.wait_until(come));
    let mut stays = Box::pin(channel.0.wait_until(come));
    assert!(poll(goes.as_mut()).is_pending());
    let wakes = Arc::new(Count::default());
    let waker = Waker::from(wakes.clone());
    assert!(stays.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let t = loom::thread::spawn(move || {
        other.1.store(1, Release);
        other.0.wake_one();
    });
    drop(goes);
    t.join().unwrap();
    assert!(wakes.0.load(Relaxed) > 0, "the wake-up is lost");
    assert!(poll(stays.as_mut()).is_ready());
}
