//! A scope whose LWP has gone is nobody, and never init.
#![allow(missing_docs)]

use lwproc::*;
use lwproc_async_tests::{assert_empty, poll, yield_now};
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;

/// A guest of uid 1000, as an LWP.
fn guest(kernel: &Kernel) -> Lwp {
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.creds().set(&CredChange::SetUid(1000)).unwrap();
    k.unbind().unwrap().unwrap()
}

fn kernel() -> Kernel {
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait);
    builder.signal_model(SigModel::Record).build().unwrap()
}

/// Whatever a guest does to lose its LWP: in the poll it acts as it did, and after that
/// everything is refused with one error, which says who it was.
#[test]
fn after_the_end_of_its_lwp_everything_is_refused() {
    type End = fn(&mut Entered<'_>);
    let ends: [End; 3] = [
        |k| k.release().unwrap(),
        |k| k.exit(ExitStatus::exited(0)).unwrap(),
        |k| k.exit_group(ExitStatus::exited(0)).unwrap(),
    ];
    let kernel = kernel();
    let stranger = kernel.spawn().start().unwrap();
    let victim = stranger.pid();
    for end in ends {
        let lwp = guest(&kernel);
        let gone = CurrentError::Inert { pid: lwp.pid(), lid: lwp.lid() };
        assert_eq!(gone.errno(), Errno::ESRCH);
        let child = kernel.pin().proc(victim).unwrap().handle().unwrap();
        let mut task = Box::pin(lwp.scope(async {
            let may_not = |k: &mut Entered<'_>| k.signals().kill(KillTarget::Proc(victim), 9);
            assert_eq!(current(may_not), Ok(Err(KillError::NotPermitted)));
            current(end).unwrap();
            assert_eq!(current(may_not), Ok(Err(KillError::NotPermitted)), "to the poll's end");
            assert_eq!(current(|k| k.unbind()), Ok(Err(UnbindError::Exiting)));
            for _ in 0..2 {
                yield_now().await;
                assert_eq!(current(may_not), Err(gone));
                assert_eq!(current(|k| k.rfork(Rfork::Fresh).map(drop)), Err(gone));
                assert_eq!(kernel.enter().unwrap_err(), EnterError::AlreadyEntered);
                assert_eq!(child.wait().await, Err(WaitError::NoContext));
            }
            // Nobody to interrupt.
            assert_eq!(interruptible(async { 1 }).await, Ok(1));
        }));
        while poll(&mut task).is_pending() {}
        assert!(task.lwp().is_none());
        drop(task);
        assert!(kernel.pin().proc(victim).unwrap().pending().is_empty());
    }
    drop(stranger);
    assert_empty(&kernel);
}

/// A guest that has exited does not come back from its next await.
#[test]
fn a_guest_that_exits_ends_its_or_exit() {
    let kernel = kernel();
    let ends: [fn(&mut Entered<'_>); 2] =
        [|k| k.exit(ExitStatus::exited(4)).unwrap(), |k| k.release().unwrap()];
    for (end, status) in ends.into_iter().zip([4, 0]) {
        let lwp = guest(&kernel);
        let handle = lwp.proc_handle();
        let came_back = Cell::new(false);
        let scope = lwp.scope(async {
            current(end).unwrap();
            yield_now().await;
            came_back.set(true);
        });
        let mut task = Box::pin(scope.or_exit());
        assert_eq!(poll(&mut task), Poll::Ready(Err(Told::Gone)));
        assert_eq!(handle.exit_status(), Some(ExitStatus::exited(status)));
        drop(task);
        assert!(!came_back.get());
    }
    assert_empty(&kernel);
}

#[test]
fn an_lwp_can_be_given_to_it() {
    let (kernel, another) = (kernel(), Kernel::new());
    let [first, second, third] = [(), (), ()].map(|()| kernel.spawn().start().unwrap());
    let (pid, lids) = (third.pid(), [second.lid(), third.lid()]);
    let mut task = Box::pin(first.scope(async {
        current(|k| k.release()).unwrap().unwrap();
        yield_now().await;
        assert_eq!(current(|k| k.lid()).unwrap(), Some(lids[0]));
        yield_now().await;
        current(|k| k.pid()).unwrap()
    }));
    assert!(poll(&mut task).is_pending());
    assert!(task.lwp().is_none());
    let foreign = another.spawn().start().unwrap();
    let refused = task.as_mut().switch(foreign).unwrap_err();
    assert_eq!(refused.errno(), Errno::EXDEV);
    assert!(task.as_mut().switch(second).unwrap().is_none());
    assert!(poll(&mut task).is_pending());
    // One that it runs as comes back, and sleeps no more.
    let second = task.as_mut().switch(third).unwrap().unwrap();
    assert_eq!(second.lid(), lids[0]);
    assert_eq!(kernel.pin().lwp(lids[0]).unwrap().state(), LwpState::Owned);
    assert_eq!(poll(&mut task), Poll::Ready(pid));
    drop((task, second, refused));
    assert_empty(&kernel);
}

/// A host that panics when it is told of a switch: at the `n`th call from now.
#[derive(Default)]
struct Panics(AtomicCell);

#[derive(Default)]
struct AtomicCell(std::sync::atomic::AtomicU32);

impl AtomicCell {
    fn arm(&self, at: u32) {
        self.0.store(at, std::sync::atomic::Ordering::SeqCst);
    }

    fn count(&self) {
        let step = |n: u32| n.checked_sub(1);
        let order = std::sync::atomic::Ordering::SeqCst;
        assert_ne!(self.0.fetch_update(order, order, step), Ok(1), "planned");
    }
}

impl Host for Panics {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();

    fn set(&self, _: LwpToken) {
        self.0.count();
    }
    fn clear(&self, _: LwpToken) {
        self.0.count();
    }
}

/// A guest that survives a panic of the host in a switch is one of the two LWPs.
#[test]
fn a_panic_of_the_host_makes_nobody_init() {
    for (at, exiting) in [(1, false), (2, false), (1, true), (2, true)] {
        let kernel = Kernel::builder().host(Panics::default()).build().unwrap();
        let [a, b] = [(), ()].map(|()| kernel.spawn().start().unwrap());
        let (pid_b, lid_b) = (b.pid(), b.lid());
        let mut task = Box::pin(a.scope(async {
            current_of::<Panics, _>(|k| {
                if exiting {
                    k.release().unwrap();
                }
                kernel.host().0.arm(at);
                catch_unwind(AssertUnwindSafe(|| k.switch(b).map(drop))).unwrap_err();
                assert_eq!((k.pid(), k.lid()), (pid_b, Some(lid_b)));
            })
            .unwrap();
            yield_now().await;
            current_of::<Panics, _>(|k| (k.pid(), k.lid())).unwrap()
        }));
        assert!(poll(&mut task).is_pending());
        assert_eq!(poll(&mut task), Poll::Ready((pid_b, Some(lid_b))));
        drop(task);
        assert_empty(&kernel);
    }
}

/// And one that the host panics for on the way in or out keeps its LWP.
#[test]
fn a_panic_of_the_host_around_a_poll_loses_no_lwp() {
    for at in 1..=2 {
        let kernel = Kernel::builder().host(Panics::default()).build().unwrap();
        let lwp = kernel.spawn().start().unwrap();
        let lid = lwp.lid();
        let polled = Rc::new(Cell::new(0));
        let mut task = Box::pin(lwp.scope(poll_fn(|_| {
            polled.set(polled.get() + 1);
            Poll::<()>::Pending
        })));
        kernel.host().0.arm(at);
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut task))).is_err());
        assert_eq!(task.lwp().map(|lwp| lwp.lid()), Some(lid));
        assert!(poll(&mut task).is_pending());
        assert_eq!(polled.get(), at);
        drop(task);
        assert_empty(&kernel);
    }
}
