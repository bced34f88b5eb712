//! A future that runs as an LWP: entering, leaving, nesting, switching, panics.
#![allow(missing_docs)]

use lwproc::*;
use lwproc_async_tests::{assert_empty, poll, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// Who this is: the pid, and the LWP's number unless the context is implicit.
fn whoami() -> (Pid, Option<Lid>) {
    current(|cx| (cx.pid(), cx.lid())).unwrap()
}

fn of(lwp: &Lwp) -> (Pid, Option<Lid>) {
    (lwp.pid(), Some(lwp.lid()))
}

#[test]
fn each_poll_runs_as_the_lwp_on_whatever_thread() {
    let kernel = Kernel::new();
    let lwp = kernel.spawn().start().unwrap();
    let me = of(&lwp);
    assert_eq!(current(|cx| cx.pid()), Err(CurrentError::NoContext));
    assert_eq!(CurrentError::NoContext.errno(), Errno::ESRCH);
    let mut task = Box::pin(lwp.scope(async move {
        for _ in 0..3 {
            assert_eq!(whoami(), me);
            yield_now().await;
        }
        whoami()
    }));
    assert_eq!(task.lwp().map(|lwp| lwp.lid()), me.1);
    assert_eq!(poll(&mut task), Poll::Pending);
    assert_eq!(kernel.host_curlwp(), None);
    std::thread::scope(|s| {
        s.spawn(|| assert_eq!(poll(&mut task), Poll::Pending));
    });
    // The LWP did not stay on that thread: it would have gone with it.
    assert_eq!(poll(&mut task), Poll::Pending);
    assert_eq!(poll(&mut task), Poll::Ready(me));
    assert_eq!(current(|cx| cx.pid()), Err(CurrentError::NoContext));
    drop(task);
    assert_empty(&kernel);
}

#[test]
fn dropping_it_drops_the_future_in_its_context() {
    struct AtDrop(Arc<Mutex<Option<Pid>>>);
    impl Drop for AtDrop {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = current(|cx| cx.pid()).ok();
        }
    }
    let kernel = Kernel::new();
    for polls in 0..2 {
        let lwp = kernel.spawn().start().unwrap();
        let (pid, seen) = (lwp.pid(), Arc::new(Mutex::new(None)));
        let held = AtDrop(seen.clone());
        let mut task = Box::pin(lwp.scope(async move {
            let _held = held;
            yield_now().await;
        }));
        for _ in 0..polls {
            assert!(poll(&mut task).is_pending());
        }
        drop(task);
        assert_eq!(*seen.lock().unwrap(), Some(pid));
        assert_empty(&kernel);
    }
}

#[test]
fn what_was_bound_before_is_bound_again() {
    let kernel = Kernel::new();
    let lwp = kernel.spawn().start().unwrap();
    let inside = of(&lwp);
    let mut task = Box::pin(lwp.scope(async {
        assert_eq!(whoami().0, inside.0);
        yield_now().await;
        assert_eq!(whoami().0, inside.0);
    }));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let (token, own) = (kernel.host_curlwp(), (k.pid(), k.lid()));
    // Entered.
    assert!(poll(&mut task).is_pending());
    assert_eq!(((k.pid(), k.lid()), kernel.host_curlwp()), (own, token));
    drop(k);
    // Outside, with an LWP left bound.
    assert!(poll(&mut task).is_ready());
    assert_eq!(kernel.host_curlwp(), token);
    let mut k = kernel.enter().unwrap();
    assert_eq!((k.pid(), k.lid()), own);
    k.release().unwrap();
    drop(k);
    drop(task);
    assert_empty(&kernel);
}

#[test]
fn a_borrow_of_the_context_around_a_scope_is_of_that_context() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    k.creds().set(&CredChange::SetUid(7)).unwrap();
    let (pid, lwp) = (k.pid(), kernel.spawn().start().unwrap());
    let outer = &k;
    let mut kept = None;
    let mut task = Box::pin(lwp.scope(async {
        // The context around is still what it was, and not this one.
        kept = Some((outer.cred(), outer.curlwp().unwrap()));
        assert_eq!((outer.pid(), outer.cred().users().real), (pid, 7));
        assert_ne!(whoami().0, pid);
        current(|cx| cx.release()).unwrap().unwrap();
    }));
    assert!(poll(&mut task).is_ready());
    drop(task);
    kernel.flush();
    let (cred, curlwp) = kept.unwrap();
    assert_eq!((cred.users().real, curlwp.pid()), (7, pid));
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn a_scope_in_init_and_an_implicit_context_around_have_credentials_of_their_own() {
    let kernel = Kernel::new();
    let k = kernel.enter().unwrap();
    let (before, outer) = (k.cred(), &k);
    let mut task = Box::pin(kernel.new_lwp(Pid::INIT).unwrap().scope(async {
        current(|cx| {
            assert_eq!(cx.pid(), Pid::INIT);
            cx.creds().set(&CredChange::SetUid(9)).unwrap();
            assert_eq!(cx.cred().users().real, 9);
        })
        .unwrap();
        assert_eq!(outer.cred().users().real, 0);
    }));
    assert!(poll(&mut task).is_ready());
    drop(task);
    kernel.flush();
    assert_eq!(before.users().real, 0);
    drop(k);
    assert_eq!(kernel.enter().unwrap().cred().users().real, 9);
    assert_empty(&kernel);
}

#[test]
fn scopes_nest() {
    let kernel = Kernel::new();
    let other = Kernel::new();
    let [a, b] = [(), ()].map(|()| kernel.spawn().start().unwrap());
    let c = other.spawn().start().unwrap();
    let (ida, idb, idc) = (of(&a), of(&b), of(&c));
    let mut task = Box::pin(a.scope(async {
        assert_eq!(whoami(), ida);
        let inner = b.scope(async {
            assert_eq!(whoami(), idb);
            yield_now().await;
            assert_eq!(whoami(), idb);
            c.scope(async {
                assert_eq!(whoami(), idc);
                yield_now().await;
                assert_eq!(whoami(), idc);
            })
            .await;
            assert_eq!(whoami(), idb);
            5
        });
        let inner = inner.await;
        assert_eq!(whoami(), ida);
        inner
    }));
    let mut polls = 1;
    while poll(&mut task).is_pending() {
        polls += 1;
        assert_eq!(current(|_| ()), Err(CurrentError::NoContext));
    }
    assert_eq!(polls, 3);
    drop(task);
    assert_empty(&kernel);
    assert_empty(&other);
}

#[test]
fn a_context_is_lent_to_one_at_a_time() {
    let kernel = Kernel::new();
    let [a, b] = [(), ()].map(|()| kernel.spawn().start().unwrap());
    let (ida, idb) = (of(&a), of(&b));
    let mut task = Box::pin(a.scope(async {
        assert_eq!(kernel.enter().unwrap_err(), EnterError::AlreadyEntered);
        current(|cx| {
            assert_eq!(current(|_| ()), Err(CurrentError::Busy));
            assert_eq!(CurrentError::Busy.errno(), Errno::EDEADLK);
            // A scope in the closure has another context.
            let mut inner = Box::pin(b.scope(async { whoami() }));
            assert_eq!(poll(&mut inner), Poll::Ready(idb));
            assert_eq!((cx.pid(), cx.lid()), ida);
            assert_eq!(current(|_| ()), Err(CurrentError::Busy));
        })
        .unwrap();
        // A panic gives it back.
        let panicked = catch_unwind(|| current(|_| panic!("in the closure")));
        assert!(panicked.is_err());
        assert_eq!(whoami(), ida);
    }));
    assert!(poll(&mut task).is_ready());
    drop(task);
    assert_empty(&kernel);
}

/// What a closure is given can be swapped for another; the scope does not mind.
#[test]
fn a_context_that_is_swapped_away_does_no_harm() {
    let kernel: &'static Kernel = Box::leak(Box::new(Kernel::new()));
    let other: &'static Kernel = Box::leak(Box::new(Kernel::new()));
    let lwp = kernel.spawn().start().unwrap();
    let me = of(&lwp);
    let mut task = Box::pin(lwp.scope(async {
        current(|cx| {
            let mut mine = other.enter().unwrap();
            std::mem::swap(cx, &mut mine);
            assert_eq!((mine.pid(), mine.lid()), me);
            mine.rfork(Rfork::Share).unwrap();
        })
        .unwrap();
        // It has left the other kernel, and runs as what was forked.
        drop(other.enter().unwrap());
        assert_ne!(whoami(), me);
        whoami()
    }));
    let Poll::Ready(forked) = poll(&mut task) else { panic!("ready") };
    assert_eq!(task.lwp().map(of), Some(forked));
    drop(task);
    assert_empty(kernel);
}

#[test]
fn what_is_current_at_the_end_of_a_poll_is_kept() {
    let kernel = Kernel::new();
    let [a, b] = [(), ()].map(|()| kernel.spawn().start().unwrap());
    let (ida, idb) = (of(&a), of(&b));
    let mut task = Box::pin(a.scope(async move {
        let a = current(|cx| cx.switch(b)).unwrap().unwrap().unwrap();
        assert_eq!((of(&a), whoami()), (ida, idb));
        yield_now().await;
        assert_eq!(whoami(), idb);
        // Back to the first; the other goes.
        current(|cx| cx.release()).unwrap().unwrap();
        assert!(current(|cx| cx.switch(a)).unwrap().unwrap().is_none());
        yield_now().await;
        assert_eq!(whoami(), ida);
        let parent = current(|cx| cx.rfork(Rfork::Copy)).unwrap().unwrap();
        assert_eq!(current(|cx| cx.ppid()).unwrap(), ida.0);
        drop(parent);
        yield_now().await;
        assert_eq!(current(|cx| cx.ppid()).unwrap(), Pid::INIT);
        assert_eq!(current(|cx| cx.unbind()).unwrap(), Err(UnbindError::NeedsLwp));
        let (pid, lid) = whoami();
        current(|cx| cx.exit(ExitStatus::exited(3))).unwrap().unwrap();
        assert_eq!(whoami(), (pid, lid));
        yield_now().await;
        let gone = CurrentError::Inert { pid, lid: lid.unwrap() };
        assert_eq!(current(|_| ()), Err(gone));
    }));
    assert!(poll(&mut task).is_pending());
    assert_eq!(task.lwp().map(of), Some(idb));
    while poll(&mut task).is_pending() {}
    assert_eq!(task.lwp(), None);
    assert_empty(&kernel);
}

#[test]
fn a_panic_in_a_poll_leaves_the_kernel_consistent() {
    let kernel =
        Kernel::builder().virtual_cpus(std::num::NonZero::new(1).unwrap()).build().unwrap();
    for released in [false, true] {
        let lwp = kernel.spawn().start().unwrap();
        let me = of(&lwp);
        let mut task = Box::pin(lwp.scope(async move {
            current(|cx| {
                cx.big_lock().lock().unwrap();
                if released {
                    cx.release().unwrap();
                }
                panic!("of the future");
            })
            .unwrap()
        }));
        let panicked = catch_unwind(AssertUnwindSafe(|| poll(&mut task)));
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"of the future"));
        assert_eq!(task.lwp().map(of), (!released).then_some(me));
        assert_eq!(current(|_| ()), Err(CurrentError::NoContext));
        // Entered by nobody, on no CPU, with no lock.
        let k = kernel.enter().unwrap();
        assert_eq!((k.lid(), k.cpu()), (None, Some(0)));
        std::thread::scope(|s| {
            drop(k);
            s.spawn(|| kernel.enter().unwrap().big_lock().lock().unwrap());
        });
        drop(task);
        assert_empty(&kernel);
    }
}

#[test]
fn a_scope_inside_an_entered_thread_shares_its_cpu_and_not_its_lock() {
    let kernel =
        Kernel::builder().virtual_cpus(std::num::NonZero::new(1).unwrap()).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let k = kernel.enter().unwrap();
    k.big_lock().lock().unwrap();
    k.big_lock().lock().unwrap();
    let mut task = Box::pin(lwp.scope(async {
        current(|cx| {
            assert_eq!((cx.cpu(), cx.big_lock().depth()), (Some(0), 0));
            // The other has given it up: this does not block.
            cx.big_lock().lock().unwrap();
            let guard = kernel.pin();
            let running = guard.cpu_lwp(0).unwrap();
            assert_eq!(running.lid(), cx.lid().unwrap());
        })
        .unwrap();
    }));
    assert!(poll(&mut task).is_ready());
    assert_eq!((k.cpu(), k.big_lock().depth()), (Some(0), 2));
    assert!(kernel.pin().cpu_lwp(0).is_none());
    drop(task);
    k.big_lock().unlock().unwrap();
    drop(k);
    assert_empty(&kernel);
}

/// The hypercalls pair up on each thread, whatever nests.
#[test]
fn the_host_sees_pairs() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<(bool, LwpToken)>>>);
    impl Host for Log {
        type VmSpace = ();
        type File = ();
        type Emul = ();
        type Vfs = ();
        type SigValue = ();
        fn set(&self, lwp: LwpToken) {
            self.0.lock().unwrap().push((true, lwp));
        }
        fn clear(&self, lwp: LwpToken) {
            self.0.lock().unwrap().push((false, lwp));
        }
    }
    let log = Log::default();
    let kernel = Kernel::builder().host(log.clone()).build().unwrap();
    let [a, b, c] = [(), (), ()].map(|()| kernel.spawn().start().unwrap());
    let (ta, tb, tc) = (a.token(), b.token(), c.token());
    let mut k = kernel.enter().unwrap();
    k.switch(a).unwrap();
    let mut task = Box::pin(b.scope(async {
        assert_eq!(current(|_| ()), Err(CurrentError::NoContext));
        current_of::<Log, _>(|cx| cx.switch(c).unwrap()).unwrap();
    }));
    assert!(poll(&mut task).is_ready());
    drop(task);
    k.release().unwrap();
    drop(k);
    let expected = [
        (true, ta),
        (false, ta),
        (true, tb),
        (false, tb),
        (true, tc),
        (false, tc),
        (true, ta),
        // The drop of the future.
        (false, ta),
        (true, tc),
        (false, tc),
        (true, ta),
        (false, ta),
    ];
    assert_eq!(*log.0.lock().unwrap(), expected);
    assert_empty(&kernel);
}

/// Host calls that panic lose neither the future nor the LWP.
#[test]
fn a_panic_of_the_host_on_the_way_in_or_out_loses_nothing() {
    static LEFT: AtomicU32 = AtomicU32::new(u32::MAX);
    fn count(what: &str) {
        if LEFT.fetch_sub(1, SeqCst) == 0 {
            panic!("{what}");
        }
    }
    struct Panics;
    impl Host for Panics {
        type VmSpace = ();
        type File = ();
        type Emul = ();
        type Vfs = ();
        type SigValue = ();
        fn set(&self, _: LwpToken) {
            count("set");
        }
        fn clear(&self, _: LwpToken) {
            count("clear");
        }
    }
    let kernel = Kernel::builder().host(Panics).build().unwrap();
    for nth in 0..8 {
        let held = Arc::new(());
        let [a, b] = [(), ()].map(|()| kernel.spawn().start().unwrap());
        let mut k = kernel.enter().unwrap();
        LEFT.store(u32::MAX, SeqCst);
        k.switch(a).unwrap();
        let inside = held.clone();
        let mut task = Box::pin(b.scope(async move {
            yield_now().await;
            drop(inside);
        }));
        LEFT.store(nth, SeqCst);
        // Of the poll the calls 0 to 3, of the drop the others.
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut task).is_pending()));
        assert_eq!(polled.is_err(), nth < 4, "{nth}");
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(task)));
        assert_eq!(dropped.is_err(), nth >= 4, "{nth}");
        LEFT.store(u32::MAX, SeqCst);
        assert_eq!(Arc::strong_count(&held), 1, "{nth}");
        k.release().unwrap();
        drop(k);
        assert_empty(&kernel);
    }
}

#[test]
fn scopes_survive_their_kernel() {
    // Dropped between polls, and in a poll, by the scope that has it.
    for inside in [false, true] {
        let kernel = Arc::new(Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap());
        let lwp = kernel.spawn().start().unwrap();
        let (me, weak) = (of(&lwp), Arc::downgrade(&kernel));
        let owned = kernel.clone();
        let mut task = Box::pin(lwp.scope(async move {
            yield_now().await;
            drop(owned);
            assert_eq!(whoami(), me);
            yield_now().await;
            // It still forks, and gets nothing that keeps the world for ever.
            let parent = current(|cx| cx.rfork(Rfork::Copy)).unwrap().unwrap().unwrap();
            assert_eq!(of(&parent), me);
            current(|cx| cx.exit(ExitStatus::exited(1))).unwrap().unwrap();
            assert!(current(|cx| cx.switch(parent)).unwrap().unwrap().is_none());
            let reaped = current(|cx| cx.try_wait(WaitTarget::Any)).unwrap().unwrap().unwrap();
            assert_eq!(reaped.status.exit_code(), Some(1));
            whoami()
        }));
        assert!(poll(&mut task).is_pending());
        if inside {
            drop(kernel);
        } else {
            std::thread::scope(|s| {
                s.spawn(move || drop(kernel));
            });
        }
        assert!(weak.upgrade().is_some());
        assert!(poll(&mut task).is_pending());
        assert!(weak.upgrade().is_none());
        assert_eq!(poll(&mut task), Poll::Ready(me));
    }
}

/// A kernel is torn down while another thread polls one of its scopes.
#[test]
fn a_teardown_beside_a_poll() {
    for _ in 0..200 {
        let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
        let lwp = kernel.spawn().start().unwrap();
        let me = of(&lwp);
        let start = std::sync::Barrier::new(2);
        let mut task = Box::pin(lwp.scope(async {
            for i in 0..50 {
                assert_eq!(whoami(), me);
                current(|cx| {
                    let parent = cx.rfork(Rfork::Copy).unwrap().unwrap();
                    cx.release().unwrap();
                    cx.switch(parent).unwrap();
                })
                .unwrap();
                if i == 10 {
                    start.wait();
                }
                yield_now().await;
            }
        }));
        std::thread::scope(|s| {
            s.spawn(|| {
                start.wait();
                assert_eq!(kernel.shutdown().survivors.first(), Some(&(me.0, me.1.unwrap())));
            });
            while poll(&mut task).is_pending() {}
        });
    }
}
