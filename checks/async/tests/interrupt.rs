//! What wakes a scope that is pending, and what ends a future inside.
#![allow(missing_docs)]

use lwproc::*;
use lwproc_async_tests::{Wakes, assert_empty, poll, poll_for};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::{Poll, Waker};

fn kernel() -> Kernel {
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait);
    builder.signal_model(SigModel::Record).build().unwrap()
}

fn waker() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes::default());
    (wakes.clone(), wakes.into())
}

fn post(kernel: &Kernel, pid: Pid, signo: Signo) {
    kernel.pin().proc(pid).unwrap().post(signo);
}

fn unsleep(kernel: &Kernel, lid: Lid) -> Unslept {
    kernel.pin().lwp(lid).unwrap().unsleep()
}

/// Takes what is pending, in the scope that is polled.
fn take() -> Option<Signo> {
    current(|k| k.signals().take()).unwrap()
}

/// Never ready: takes a signal at each poll.
async fn takes_signals() {
    poll_fn(|_| {
        take();
        Poll::<()>::Pending
    })
    .await;
}

#[test]
fn a_pending_scope_sleeps_and_an_unblocked_signal_wakes_it() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    let state = || kernel.pin().lwp(lid).unwrap().state();
    let (wakes, waker) = waker();
    let mut task = Box::pin(lwp.scope(async {
        current(|k| k.signals().set_blocked(SigSet::from(Signo::INT))).unwrap().unwrap();
        takes_signals().await;
    }));
    assert_eq!(state(), LwpState::Owned);
    for round in 0..3 {
        for _ in 0..3 {
            assert!(poll_for(&mut task, &waker).is_pending());
            assert_eq!((state(), wakes.count()), (LwpState::Sleeping, round));
        }
        post(&kernel, pid, Signo::INT);
        assert_eq!(wakes.count(), round);
        post(&kernel, pid, Signo::TERM);
        post(&kernel, pid, Signo::TERM);
        assert_eq!(wakes.count(), round + 1);
    }
    // A task that has changed its waker is woken by the new one, and the other is gone.
    let (others, other) = self::waker();
    assert!(poll_for(&mut task, &other).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
    kernel.enter().unwrap().signals().kill(KillTarget::Lwp(lid), 15).unwrap();
    assert_eq!((wakes.count(), others.count()), (3, 1));
    drop((task, other));
    assert_eq!(Arc::strong_count(&others), 1);
    assert_empty(&kernel);
}

#[test]
fn so_do_a_drain_an_exit_of_the_process_and_unsleep() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.new_lwp(pid).unwrap()).unwrap();
    let (wakes, waker) = waker();
    let mut task = Box::pin(lwp.scope(pending::<()>()));
    assert_eq!(unsleep(&kernel, lid), Unslept::Awake);
    assert!(poll_for(&mut task, &waker).is_pending());
    assert_eq!((unsleep(&kernel, lid), wakes.count()), (Unslept::Woken, 1));
    assert!(poll_for(&mut task, &waker).is_pending());
    k.drain();
    assert_eq!(wakes.count(), 2);
    k.reopen();
    assert!(poll_for(&mut task, &waker).is_pending());
    k.exit_group(ExitStatus::exited(4)).unwrap();
    assert_eq!(wakes.count(), 3);
    drop(k);
    drop(task);
    assert_eq!(wakes.count(), 3);
    assert_empty(&kernel);
}

/// What comes during a poll is not forgotten, the first one or one that a mark led to:
/// here one signal was there, is taken, and another comes.
#[test]
fn a_mark_that_comes_in_a_poll_wakes_it() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    post(&kernel, pid, Signo::TERM);
    let (wakes, waker) = waker();
    let mut polls = 0;
    let mut task = Box::pin(lwp.scope(poll_fn(|_| {
        polls += 1;
        assert!(take().is_some());
        if polls < 4 {
            post(&kernel, pid, Signo::HUP);
            return Poll::Pending;
        }
        Poll::Ready(())
    })));
    for round in 1..4 {
        assert!(poll_for(&mut task, &waker).is_pending());
        assert_eq!(wakes.count(), round);
    }
    assert!(poll_for(&mut task, &waker).is_ready());
    drop(task);
    assert_empty(&kernel);
}

/// A guest that never takes its signals does not keep its executor busy.
#[test]
fn a_mark_that_nobody_looks_at_wakes_it_once() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    post(&kernel, lwp.pid(), Signo::TERM);
    let (wakes, waker) = waker();
    let mut task = Box::pin(lwp.scope(pending::<()>()));
    assert!(poll_for(&mut task, &waker).is_pending());
    let first = wakes.count();
    assert!(first <= 1);
    for _ in 0..3 {
        assert!(poll_for(&mut task, &waker).is_pending());
        assert_eq!(wakes.count(), first);
    }
    drop(task);
    assert_empty(&kernel);
}

/// A sleep of the thread inside a poll, and what wakes the scope afterwards.
#[test]
fn it_sleeps_as_a_task_again_after_a_sleep_that_blocked() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    let channel = WaitChannel::new();
    let (wakes, waker) = waker();
    let mut task = Box::pin(lwp.scope(poll_fn(|_| {
        let mut asked = 0;
        let second = || {
            asked += 1;
            (asked == 2).then_some(())
        };
        current(|k| k.sleep_on(&channel, second)).unwrap().unwrap();
        Poll::<()>::Pending
    })));
    for _ in 0..3 {
        assert!(poll_for(&mut task, &waker).is_pending());
    }
    assert_eq!(wakes.count(), 0);
    post(&kernel, pid, Signo::TERM);
    assert_eq!(wakes.count(), 1);
    drop(task);
    assert_empty(&kernel);
}

#[test]
fn an_lwp_that_is_switched_to_sleeps_and_the_other_does_not() {
    let kernel = kernel();
    let [a, b] = [(), ()].map(|()| kernel.spawn().start().unwrap());
    let (lid_a, lid_b) = (a.lid(), b.lid());
    let (wakes, waker) = waker();
    let (mut to, mut from, mut polls) = (Some(b), None, 0);
    let mut task = Box::pin(a.scope(poll_fn(|_| {
        polls += 1;
        if polls == 2 {
            from = current(|k| k.switch(to.take().unwrap())).unwrap().unwrap();
        }
        Poll::<()>::Pending
    })));
    assert!(poll_for(&mut task, &waker).is_pending());
    assert!(poll_for(&mut task, &waker).is_pending());
    assert_eq!((unsleep(&kernel, lid_a), wakes.count()), (Unslept::Awake, 0));
    assert_eq!((unsleep(&kernel, lid_b), wakes.count()), (Unslept::Woken, 1));
    drop(task);
    drop(from);
    assert_empty(&kernel);
}

/// A future around that has wakers of its own: as `join_all`, `FuturesUnordered`.
#[test]
fn an_interruptible_future_with_another_waker_is_woken_too() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let child = k.spawn().start().unwrap();
    let proc = child.proc_handle();
    let lwp = k.unbind().unwrap().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    drop(k);
    let (outer, outer_waker) = waker();
    let (inner, inner_waker) = waker();
    let mut exited = Box::pin(interruptible(proc.exited()));
    let mut wait = proc.wait();
    let mut results = Vec::new();
    let mut task = Box::pin(lwp.scope(poll_fn(|_| {
        results.push((
            poll_for(&mut exited, &inner_waker),
            poll_for(&mut wait, &inner_waker).map_err(|why| why.errno()),
        ));
        take();
        Poll::<()>::Pending
    })));
    // In the first poll it does not sleep yet; later it does.
    for round in 1..=2 {
        assert!(poll_for(&mut task, &outer_waker).is_pending());
        assert_eq!((outer.count(), inner.count()), (round - 1, 2 * (round - 1)));
        post(&kernel, pid, Signo::TERM);
        assert_eq!((outer.count(), inner.count()), (round, 2 * round));
        assert!(poll_for(&mut task, &outer_waker).is_pending());
    }
    assert_eq!(unsleep(&kernel, lid), Unslept::Woken);
    assert!(poll_for(&mut task, &outer_waker).is_pending());
    drop(child);
    assert!(poll_for(&mut task, &outer_waker).is_pending());
    drop(task);
    let signal = (Poll::Ready(Err(Interrupted::Signal)), Poll::Ready(Err(Errno::EINTR)));
    let asleep = (Poll::Pending, Poll::Pending);
    assert_eq!(results[..4], [asleep, signal, asleep, signal]);
    // Reported once, by the first.
    assert_eq!(results[4], (Poll::Ready(Err(Interrupted::Unslept)), Poll::Pending));
    assert!(matches!(results[5].0, Poll::Ready(Ok(_))));
    drop((exited, wait, inner_waker));
    assert_eq!(Arc::strong_count(&inner), 1);
}

/// Outside a scope, and in that of another host's kernel.
#[test]
fn where_nobody_can_be_interrupted_it_is_the_future_alone() {
    let mut ready = Box::pin(interruptible(async { 5 }));
    assert_eq!(poll(&mut ready), Poll::Ready(Ok(5)));
    let mut never = Box::pin(interruptible(pending::<()>()));
    assert!(poll(&mut never).is_pending());
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    assert!(k.lend(|| poll(&mut never)).is_pending());
    k.signals().kill(KillTarget::Proc(k.pid()), 15).unwrap();
    assert_eq!(k.lend(|| poll(&mut never)), Poll::Ready(Err(Interrupted::Signal)));
    k.signals().take();
    assert!(k.lend(|| poll(&mut never)).is_pending());
}

struct Event(WaitChannel, AtomicU32);

impl Event {
    fn come(&self) -> Option<()> {
        self.1.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok().then_some(())
    }

    fn raise(&self) {
        self.1.fetch_add(1, SeqCst);
        self.0.wake_one();
    }
}

#[test]
fn a_channel_is_slept_on_as_a_future() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    let event = Event(WaitChannel::new(), AtomicU32::new(0));
    let (wakes, waker) = waker();
    let mut task = Box::pin(lwp.scope(async {
        let first = event.0.wait_until(|| event.come()).await;
        let second = event.0.wait_until(|| event.come()).await;
        (first, second)
    }));
    assert!(poll_for(&mut task, &waker).is_pending());
    event.raise();
    assert_eq!(wakes.count(), 1);
    assert!(poll_for(&mut task, &waker).is_pending());
    post(&kernel, pid, Signo::TERM);
    assert!(wakes.count() > 1);
    assert_eq!(poll_for(&mut task, &waker), Poll::Ready((Ok(()), Err(Interrupted::Signal))));
    drop(task);
    assert_empty(&kernel);
}

#[test]
fn a_wake_up_for_one_is_passed_on_by_one_that_has_no_use_for_it() {
    let event = Event(WaitChannel::new(), AtomicU32::new(0));
    let sleeper = || Box::pin(event.0.wait_until(|| event.come()));
    let [(a, waker_a), (b, waker_b)] = [waker(), waker()];
    // Dropped, and woken before.
    let mut dropped = sleeper();
    let mut stays = sleeper();
    assert!(poll_for(&mut dropped, &waker_a).is_pending());
    assert!(poll_for(&mut stays, &waker_b).is_pending());
    event.raise();
    assert_eq!((a.count(), b.count()), (1, 0));
    drop(dropped);
    assert_eq!(b.count(), 1);
    assert_eq!(poll_for(&mut stays, &waker_b), Poll::Ready(Ok(())));
    // Used: the others sleep on.
    let mut uses = sleeper();
    let mut stays = sleeper();
    assert!(poll_for(&mut uses, &waker_a).is_pending());
    assert!(poll_for(&mut stays, &waker_b).is_pending());
    event.raise();
    assert_eq!(poll_for(&mut uses, &waker_a), Poll::Ready(Ok(())));
    drop(uses);
    assert_eq!((a.count(), b.count()), (2, 1));
    // One that leaves asleep: the next wake-up is the other's.
    let mut leaves = sleeper();
    assert!(poll_for(&mut leaves, &waker_a).is_pending());
    drop(leaves);
    event.raise();
    assert_eq!((a.count(), b.count()), (2, 2));
    assert_eq!(poll_for(&mut stays, &waker_b), Poll::Ready(Ok(())));
    drop((stays, waker_a, waker_b));
    assert_eq!((Arc::strong_count(&a), Arc::strong_count(&b)), (1, 1));
}

/// Says whether it was dropped as that LWP.
struct InContext<'a>(&'a AtomicBool, Pid);

impl Drop for InContext<'_> {
    fn drop(&mut self) {
        self.0.store(current(|k| k.pid()) == Ok(self.1), SeqCst);
    }
}

fn guest<'a>(
    lwp: Lwp,
    dropped: &'a AtomicBool,
) -> Pin<Box<OrExit<impl Future<Output = ()> + use<'a>, ThreadHost>>> {
    let inside = InContext(dropped, lwp.pid());
    let guest = async move {
        let _inside = inside;
        pending::<()>().await;
    };
    Box::pin(lwp.scope(guest).or_exit())
}

#[test]
fn a_guest_that_only_awaits_goes_with_its_process() {
    let kernel = kernel();
    for before_the_first_poll in [false, true] {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let (wakes, waker) = waker();
        let dropped = AtomicBool::new(false);
        let mut task = guest(kernel.new_lwp(k.pid()).unwrap(), &dropped);
        if !before_the_first_poll {
            assert!(poll_for(&mut task, &waker).is_pending());
        }
        let proc = kernel.pin().proc(k.pid()).unwrap().handle().unwrap();
        k.exit_group(ExitStatus::exited(7)).unwrap();
        drop(k);
        assert_eq!(wakes.count(), usize::from(!before_the_first_poll));
        let told = Told::Exiting(ExitStatus::exited(7));
        assert_eq!(poll_for(&mut task, &waker), Poll::Ready(Err(told)));
        assert!(dropped.load(SeqCst));
        assert_eq!(proc.exit_status(), None);
        drop(task);
        assert_eq!(proc.exit_status(), Some(ExitStatus::exited(7)));
        drop(proc);
    }
    assert_empty(&kernel);
}

#[test]
fn one_that_is_told_by_a_drain_goes_and_one_that_ends_its_process_itself() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let dropped = AtomicBool::new(false);
    let mut task = guest(kernel.new_lwp(k.pid()).unwrap(), &dropped);
    assert!(poll(&mut task).is_pending());
    k.drain();
    assert_eq!(poll(&mut task), Poll::Ready(Err(Told::Draining)));
    assert!(dropped.load(SeqCst) && task.scope().lwp().is_some());
    drop(task);
    k.wait_alone().unwrap();
    k.release().unwrap();
    drop(k);

    let lwp = kernel.spawn().start().unwrap();
    let mut task = Box::pin(
        lwp.scope(async {
            current(|k| k.exit_group(ExitStatus::exited(2))).unwrap().unwrap();
            pending::<()>().await;
        })
        .or_exit(),
    );
    assert_eq!(poll(&mut task), Poll::Ready(Err(Told::Exiting(ExitStatus::exited(2)))));
    assert_empty(&kernel);
}

/// Waits for what another thread is to do, and not for ever.
#[track_caller]
fn until(done: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !done() {
        assert!(begin.elapsed().as_secs() < 60, "a guest was forgotten");
        std::thread::yield_now();
    }
}

/// Guests of many processes under an executor of two threads, which only await: none
/// misses the signal, the exit or the drain that comes while it is polled or between.
#[test]
fn none_of_many_guests_is_forgotten() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let kernel = kernel();
    for round in 0..1000 {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let taken = Arc::new(AtomicU32::new(0));
        let take = {
            let taken = taken.clone();
            move |why| {
                assert_eq!(why, Interrupted::Signal);
                assert_eq!(self::take(), Some(Signo::USR1));
                taken.fetch_add(1, SeqCst);
            }
        };
        let also = take.clone();
        let [first, second, third] = [(), (), ()].map(|()| kernel.new_lwp(k.pid()).unwrap());
        let lids = [first.lid(), third.lid()];
        let guests = [
            // Takes a signal of its own, then sleeps until it must exit.
            runtime.spawn(first.scope(async move {
                take(interruptible(pending::<()>()).await.unwrap_err());
                assert_eq!(interruptible(pending::<()>()).await, Err(Interrupted::Exit));
            })),
            runtime
                .spawn(async { assert!(second.scope(pending::<()>()).or_exit().await.is_err()) }),
            runtime.spawn(async {
                let guest = third.scope(async move {
                    let channel = WaitChannel::new();
                    also(channel.wait_until(|| None::<()>).await.unwrap_err());
                    pending::<()>().await;
                });
                assert!(guest.or_exit().await.is_err());
            }),
        ];
        for _ in 0..round % 7 {
            std::thread::yield_now();
        }
        for lid in lids {
            kernel.pin().lwp(lid).unwrap().post(Signo::USR1);
        }
        // Who is told to exit first does not look for signals.
        until(|| taken.load(SeqCst) == 2);
        if round % 2 == 0 {
            k.exit_group(ExitStatus::exited(1)).unwrap();
        } else {
            k.drain();
            k.release().unwrap();
        }
        drop(k);
        until(|| guests.iter().all(|guest| guest.is_finished()));
        guests.into_iter().for_each(|guest| runtime.block_on(guest).unwrap());
    }
    drop(runtime);
    assert_empty(&kernel);
}
