//! An `Entered` around a scope that is polled: it is suspended, and what the thread has is
//! the scope's.
#![allow(missing_docs)]

use lwproc::*;
use lwproc_async_tests::{assert_empty, poll};
use std::num::NonZeroUsize;
use std::thread;

fn kernel() -> Kernel {
    Kernel::builder().virtual_cpus(NonZeroUsize::MIN).build().unwrap()
}

/// Whether another thread finds the big lock free, at once.
fn lock_is_free(kernel: &Kernel) -> bool {
    // With one virtual CPU that thread could not enter.
    thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.until(kernel.now()).big_lock().is_ok()
        })
        .join()
        .unwrap()
    })
}

/// Whether another thread finds a virtual CPU free, at once.
fn cpu_is_free(kernel: &Kernel) -> bool {
    thread::scope(|s| s.spawn(|| kernel.enter_until(kernel.now()).is_ok()).join().unwrap())
}

fn in_scope<R>(kernel: &Kernel, run: impl FnOnce() -> R) -> R {
    let lwp = kernel.spawn().start().unwrap();
    let mut scope = Box::pin(lwp.scope(async { run() }));
    match poll(&mut scope) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => unreachable!("nothing is awaited"),
    }
}

/// Its drop ends that entry, and nothing of the scope's; the thread is outside when the
/// poll is over.
#[test]
fn one_that_is_dropped_inside_takes_nothing_along() {
    let kernel = kernel();
    for exiting in [false, true] {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        k.big_lock().lock().unwrap();
        let pid = k.pid();
        if exiting {
            k.release().unwrap();
        }
        in_scope(&kernel, || {
            current(|cx| cx.big_lock().lock().unwrap()).unwrap();
            drop(k);
            assert_eq!(current(|cx| (cx.big_lock().depth(), cx.cpu())), Ok((1, Some(0))));
            assert!(!cpu_is_free(&kernel), "it is the scope's");
            assert_eq!(kernel.enter().unwrap_err(), EnterError::AlreadyEntered);
            assert_eq!(kernel.pin().proc(pid).is_none(), exiting);
        });
        // Nothing is put back: the next entry is one.
        assert!(cpu_is_free(&kernel));
        let k = kernel.enter().unwrap();
        assert_eq!((k.big_lock().depth(), k.pid() == pid), (0, !exiting));
        assert_eq!(kernel.host_curlwp(), k.curlwp().map(|lwp| lwp.token()));
        drop(k);
        assert!(lock_is_free(&kernel));
    }
    assert_empty(&kernel);
}

/// The same where a scope lies between.
#[test]
fn one_that_is_dropped_two_scopes_further_in_takes_nothing_along() {
    let kernel = kernel();
    let k = kernel.enter().unwrap();
    k.big_lock().lock().unwrap();
    in_scope(&kernel, || {
        current(|cx| cx.big_lock().lock().unwrap()).unwrap();
        in_scope(&kernel, || {
            drop(k);
            assert_eq!(current(|cx| (cx.big_lock().depth(), cx.cpu())), Ok((0, Some(0))));
        });
        assert_eq!(current(|cx| (cx.big_lock().depth(), cx.cpu())), Ok((1, Some(0))));
        assert!(!cpu_is_free(&kernel));
    });
    assert!(cpu_is_free(&kernel) && lock_is_free(&kernel));
    drop(kernel.enter().unwrap());
    assert_empty(&kernel);
}

/// It has its big lock again, and has no business with the inner one's.
#[test]
fn its_big_lock_waits_for_it() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    for _ in 0..2 {
        k.big_lock().lock().unwrap();
    }
    let k = &mut k;
    in_scope(&kernel, || {
        current(|cx| cx.big_lock().lock().unwrap()).unwrap();
        assert_eq!(k.big_lock().unlock(), Err(BigLockError::Suspended));
        assert_eq!(k.big_lock().lock(), Err(BigLockError::Suspended));
        assert_eq!(k.until(kernel.now()).big_lock(), Err(BigLockError::Suspended));
        assert_eq!(BigLockError::Suspended.errno(), Errno::EDEADLK);
        assert_eq!((k.big_lock().depth(), current(|cx| cx.big_lock().depth())), (2, Ok(1)));
        assert!(!lock_is_free(&kernel));
    });
    assert_eq!(k.big_lock().depth(), 2);
    assert!(!lock_is_free(&kernel));
    k.big_lock().unlock().unwrap();
    k.big_lock().unlock().unwrap();
    assert!(lock_is_free(&kernel));
}

/// The depth is that of the LWP, as in any switch.
#[test]
fn its_big_lock_goes_with_the_lwp_that_it_switches_from() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.big_lock().lock().unwrap();
    let (k, other) = (&mut k, kernel.spawn().start().unwrap());
    let first = in_scope(&kernel, || {
        let first = k.switch(other).unwrap().unwrap();
        assert_eq!((k.big_lock().depth(), k.cpu()), (0, Some(0)));
        assert_eq!(current(|cx| cx.big_lock().depth()), Ok(0));
        first
    });
    assert_eq!(k.big_lock().depth(), 0);
    let (first, other) = in_scope(&kernel, || {
        let other = k.switch(first).unwrap().unwrap();
        assert_eq!((k.big_lock().depth(), current(|cx| cx.big_lock().depth())), (1, Ok(0)));
        (k.unbind().unwrap().unwrap(), other)
    });
    assert_eq!(k.big_lock().depth(), 0);
    drop((first, other));
}

/// It sleeps with what the thread has, for that is not its own to give.
#[test]
fn it_gives_nothing_away_when_it_sleeps() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.big_lock().lock().unwrap();
    let (channel, k) = (WaitChannel::new(), &mut k);
    in_scope(&kernel, || {
        current(|cx| cx.big_lock().lock().unwrap()).unwrap();
        let mut asked = 0;
        let third = || {
            channel.wake_one();
            asked += 1;
            let has = current(|cx| (cx.big_lock().depth(), cx.cpu()));
            assert_eq!((has, cpu_is_free(&kernel)), (Ok((1, Some(0))), false));
            (asked == 3).then_some(())
        };
        k.sleep_on(&channel, third).unwrap();
        struct Object;
        impl SyncObject for Object {
            fn unsleep(&self, _: Lid) {}
        }
        let asleep = || (current(|cx| (cx.big_lock().depth(), cx.cpu())), cpu_is_free(&kernel));
        let slept = k.sleep_with(std::sync::Arc::new(Object), asleep).unwrap();
        assert_eq!(slept, (Ok((1, Some(0))), false));
    });
    assert_eq!((k.big_lock().depth(), k.cpu()), (1, Some(0)));
}

/// A scope that is polled while the thread sleeps has a CPU for itself, and gives it back.
#[test]
fn a_scope_inside_a_sleep_has_a_cpu_of_its_own() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.big_lock().lock().unwrap();
    struct Object;
    impl SyncObject for Object {
        fn unsleep(&self, _: Lid) {}
    }
    k.sleep_with(std::sync::Arc::new(Object), || {
        assert!(cpu_is_free(&kernel) && lock_is_free(&kernel));
        in_scope(&kernel, || {
            assert_eq!(current(|cx| (cx.big_lock().depth(), cx.cpu())), Ok((0, Some(0))));
            assert!(!cpu_is_free(&kernel));
        });
        assert!(cpu_is_free(&kernel) && lock_is_free(&kernel));
    })
    .unwrap();
    assert_eq!((k.big_lock().depth(), k.cpu()), (1, Some(0)));
}
