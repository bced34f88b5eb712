//! `current()` under a plain entry: `Entered::lend`.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn pid() -> Result<i32, CurrentError> {
    current(|k| k.pid().0)
}

#[test]
fn a_lent_context_is_found_and_no_other() {
    let kernel = Kernel::new();
    assert_eq!(pid(), Err(CurrentError::NoContext));
    let mut k = kernel.enter().unwrap();
    assert_eq!(pid(), Err(CurrentError::NoContext), "an entry alone lends nothing");
    assert_eq!(k.lend(pid), Ok(1), "an implicit one runs as init");
    k.rfork(Rfork::Fresh).unwrap();
    let own = k.pid().0;
    assert_eq!(k.lend(pid), Ok(own));
    assert_eq!(pid(), Err(CurrentError::NoContext));
    let elsewhere = k.lend(|| std::thread::spawn(pid).join().unwrap());
    assert_eq!(elsewhere, Err(CurrentError::NoContext), "it is this thread's");
}

#[test]
fn what_is_done_to_it_stays() {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let key = kernel.lwp_key::<u32>();
    let mut k = kernel.enter().unwrap();
    // From implicit to an LWP of its own, and on to another.
    k.lend(|| current(|k| k.hold()).unwrap()).unwrap();
    assert_eq!(k.pid(), Pid::INIT);
    let held = k.unbind().unwrap().unwrap();
    let parent = k.lend(|| {
        current(|k| {
            let implicit = k.rfork(Rfork::Fresh).unwrap();
            assert!(implicit.is_none());
            k.data_mut().set_lwp(key, 7).unwrap();
            k.creds().set(&CredChange::SetUid(4)).unwrap();
            k.big_lock().lock().unwrap();
            k.rfork(Rfork::Fresh).unwrap().unwrap()
        })
        .unwrap()
    });
    assert_eq!(k.ppid(), parent.pid());
    assert_eq!((k.cred().users(), k.data().lwp(key)), (IdSet::all(4), None));
    assert_eq!(k.big_lock().depth(), 0, "it is the other LWP's");
    let child = k.switch(parent).unwrap();
    assert_eq!((k.data().lwp(key), k.big_lock().depth()), (Some(&7), 1));
    assert_eq!(kernel.host_curlwp(), k.curlwp().map(|lwp| lwp.token()));
    drop((held, child));
}

#[test]
fn one_that_ends_inside_is_left_at_the_end() {
    let kernel = Kernel::new();
    let before = kernel.counts();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.lend(|| current(|k| k.release()).unwrap()).unwrap();
    assert!(k.curlwp().is_none() && k.lid().is_some());
    drop(k);
    assert_eq!(kernel.counts(), before);
}

#[test]
fn it_is_had_by_one_closure_at_a_time() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let own = k.pid().0;
    k.lend(|| {
        let inner = current(|k| {
            assert_eq!(pid(), Err(CurrentError::Busy));
            k.lend(|| {
                assert_eq!(pid(), Ok(own), "who has it may lend it on");
                current(|k| k.rfork(Rfork::Fresh).unwrap()).unwrap()
            })
        });
        assert!(inner.is_ok());
        assert_ne!(pid(), Ok(own), "it is given back as it was left");
        assert_eq!(current(|k| k.ppid().0), Ok(own));
        drop(inner);
    });
    assert_ne!(k.pid().0, own);
}

#[test]
fn kernels_and_hosts_are_told_apart() {
    struct Other;
    impl Host for Other {
        type VmSpace = ();
        type File = ();
        type Emul = ();
        type Vfs = ();
        type SigValue = ();
    }
    let (one, two) = (Kernel::new(), Kernel::new());
    let other = Kernel::builder().host(Other).build().unwrap();
    let (mut a, mut b) = (one.enter().unwrap(), two.enter().unwrap());
    let mut c = other.enter().unwrap();
    a.rfork(Rfork::Fresh).unwrap();
    for _ in 0..2 {
        b.rfork(Rfork::Fresh).unwrap();
    }
    c.rfork(Rfork::Fresh).unwrap();
    let (in_a, in_b) = (a.pid().0, b.pid().0);
    a.lend(|| {
        assert_eq!(current_of::<Other, _>(|_| ()), Err(CurrentError::NoContext));
        c.lend(|| {
            assert_eq!(pid(), Ok(in_a), "the other host's is passed over");
            assert!(current_of::<Other, _>(|k| k.pid()).is_ok());
            b.lend(|| assert_eq!(pid(), Ok(in_b), "the innermost"));
            assert_eq!(pid(), Ok(in_a));
        });
    });
}

#[test]
fn a_panic_gives_it_back() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let own = k.pid().0;
    for inside in [false, true] {
        let lend = AssertUnwindSafe(|| {
            k.lend(|| {
                current(|k| drop(k.rfork(Rfork::Fresh))).unwrap();
                match inside {
                    true => current(|_| panic!("inside")).unwrap(),
                    false => panic!("outside"),
                }
            })
        });
        assert!(catch_unwind(lend).is_err());
        assert_eq!(pid(), Err(CurrentError::NoContext));
        assert_ne!(k.pid().0, own, "what was done before stays");
        let now = k.pid().0;
        assert_eq!(k.lend(pid), Ok(now));
    }
}

/// What `current` gives is a value of its own: user code may put it away.
#[test]
fn a_value_that_is_taken_from_it_does_no_harm() {
    let kernel = Kernel::new();
    let another: &'static Kernel = Box::leak(Box::new(Kernel::new()));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let own = k.pid().0;
    k.lend(|| {
        current(|k| {
            let mine = std::mem::replace(k, another.enter().unwrap());
            assert_eq!((mine.pid().0, k.pid()), (own, Pid::INIT));
            drop(mine);
        })
        .unwrap();
        assert_eq!(pid(), Ok(own));
        current(|k| std::mem::forget(std::mem::replace(k, another.enter().unwrap()))).unwrap();
    });
    assert_eq!(k.pid().0, own);
    assert!(kernel.enter().is_err(), "it is still entered");
    drop(k);
    drop(kernel.enter().unwrap());
}

#[test]
fn threads_have_their_virtual_cpu_and_the_big_lock_inside() {
    let kernel = Kernel::builder().virtual_cpus(NonZeroUsize::MIN).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.big_lock().lock().unwrap();
    k.lend(|| {
        current(|k| {
            assert_eq!((k.cpu(), k.big_lock().depth()), (Some(0), 1));
            let guard = k.pin();
            assert_eq!(guard.cpu_lwp(0).map(|lwp| lwp.lid()), k.lid());
            k.big_lock().unlock().unwrap();
        })
        .unwrap();
    });
    assert_eq!((k.cpu(), k.big_lock().depth()), (Some(0), 0));
    k.lend(|| current(|k| k.unbind()).unwrap()).unwrap();
    assert!(k.pin().cpu_lwp(0).is_none());
}

#[test]
fn credentials_that_change_meanwhile_are_taken_up() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    let change = |gid| {
        std::thread::scope(|s| {
            s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.creds().set(&CredChange::SetGid(gid)).unwrap();
            });
        });
    };
    assert_eq!(k.cred().groups(), IdSet::all(0));
    change(3); // init's, which this context runs on
    k.lend(|| {
        assert_eq!(current(|k| k.cred().groups()), Ok(IdSet::all(3)), "a loan takes them up");
        change(4);
        assert_eq!(current(|k| k.cred().groups()), Ok(IdSet::all(3)), "stable in one loan");
    });
    assert_eq!(k.cred().groups(), IdSet::all(4));
}

#[cfg(feature = "async")]
mod scopes {
    use super::*;
    use std::future::{poll_fn, ready};
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(task: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
        task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A task moves between threads, and what an embedder keeps beside it.
    const _: () = {
        const fn moves<T: Send + Sync>() {}
        const fn scope<F: Send + Sync>() {
            moves::<Scope<F>>();
        }
        scope::<()>();
        moves::<Kernel>();
        moves::<Lwp>();
        moves::<LwpHandle>();
        moves::<ProcHandle>();
        moves::<FileHandle>();
        moves::<(Exited, Drained, WaitProc)>();
    };

    #[test]
    fn a_scope_in_a_loan_is_found_first_and_the_loan_again_after_it() {
        let kernel = Kernel::new();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let own = k.pid().0;
        let lwp = kernel.spawn().start().unwrap();
        let theirs = lwp.pid().0;
        let mut task = Box::pin(lwp.scope(poll_fn(|_| Poll::<()>::Pending.map(|()| pid()))));
        k.lend(|| {
            assert!(poll(&mut task).is_pending());
            assert_eq!(pid(), Ok(own));
        });
        let lwp = kernel.spawn().start().unwrap();
        let other = lwp.pid().0;
        let mut task = Box::pin(lwp.scope(async move { (pid(), ready(()).await) }));
        assert_eq!(k.lend(|| poll(&mut task)), Poll::Ready((Ok(other), ())));
        assert_eq!((k.pid().0, kernel.host_curlwp()), (own, k.curlwp().map(|lwp| lwp.token())));
        assert_ne!(theirs, other);
    }

    #[test]
    fn a_scope_lends_its_context() {
        let kernel = Kernel::new();
        let lwp = kernel.spawn().start().unwrap();
        let own = lwp.pid().0;
        let mut task = Box::pin(lwp.scope(async move {
            current(|k| k.lend(|| (pid(), current(|k| drop(k.rfork(Rfork::Fresh)))))).unwrap()
        }));
        assert_eq!(poll(&mut task), Poll::Ready((Ok(own), Ok(()))));
        assert_ne!(task.lwp().unwrap().pid().0, own, "it goes on as the child");
    }

    /// The context around a scope is suspended while it is polled; lending it is lending
    /// what it runs as, and the thread stays the scope's.
    #[test]
    fn a_suspended_context_can_be_lent() {
        let kernel = Kernel::new();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let own = k.pid().0;
        let lwp = kernel.spawn().start().unwrap();
        let (theirs, token) = (lwp.pid().0, lwp.token());
        {
            let (k, kernel) = (&mut k, &kernel);
            let mut task = Box::pin(lwp.scope(async move {
                assert_eq!(pid(), Ok(theirs));
                assert_eq!(k.lend(pid), Ok(own));
                k.lend(|| current(|k| drop(k.rfork(Rfork::Fresh))).unwrap());
                assert_eq!(kernel.host_curlwp(), Some(token));
                pid()
            }));
            assert_eq!(poll(&mut task), Poll::Ready(Ok(theirs)));
        }
        assert_ne!(k.pid().0, own);
        assert_eq!(kernel.host_curlwp(), k.curlwp().map(|lwp| lwp.token()));
    }

    #[test]
    fn a_wait_is_a_future_in_a_loan() {
        let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let child = k.spawn().start().unwrap();
        let mut wait = Box::pin(child.proc_handle().wait());
        assert!(k.lend(|| poll(&mut wait)).is_pending());
        drop(child);
        assert!(matches!(k.lend(|| poll(&mut wait)), Poll::Ready(Ok(_))));
    }
}
