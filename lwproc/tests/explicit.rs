//! Kernels that no thread enters without an LWP.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

fn kernel() -> Kernel {
    Kernel::builder().forbid_implicit_contexts().build().unwrap()
}

#[test]
fn a_thread_whose_lwp_has_gone_does_not_enter_as_init() {
    type End = fn(&mut Entered<'_>);
    let ends: [End; 3] = [
        |k| k.release().unwrap(),
        |k| k.exit(ExitStatus::exited(0)).unwrap(),
        |k| k.exit_group(ExitStatus::exited(0)).unwrap(),
    ];
    let kernel = kernel();
    for end in ends {
        let mut k = kernel.enter_as(kernel.spawn().start().unwrap()).unwrap();
        k.creds().set(&CredChange::SetUid(1000)).unwrap();
        let pid = k.pid();
        end(&mut k);
        // To the end of this entry it is who it was.
        assert_eq!((k.pid(), k.cred().users().real, k.curlwp().is_none()), (pid, 1000, true));
        assert_eq!(k.unbind(), Err(UnbindError::Exiting));
        assert_eq!(k.lend(|| current(|k| k.pid())), Ok(pid));
        drop(k);
        assert_eq!(kernel.enter().unwrap_err(), EnterError::NoLwp);
        assert_eq!(kernel.enter_until(kernel.now()).unwrap_err(), EnterError::NoLwp);
        assert_eq!(EnterError::NoLwp.errno(), Errno::ESRCH);
    }
    assert_eq!(kernel.counts().procs, 2);
}

#[test]
fn an_lwp_is_brought_and_taken_along() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, token) = (lwp.pid(), lwp.token());
    let k = kernel.enter_as(lwp).unwrap();
    assert_eq!((k.pid(), kernel.host_curlwp()), (pid, Some(token)));
    drop(k);
    // It stays bound, as ever.
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.pid(), pid);
    assert_eq!(k.unbind(), Err(UnbindError::NeedsLwp));
    assert_eq!(k.lend(|| current(|k| k.unbind())), Ok(Err(UnbindError::NeedsLwp)));
    assert_eq!(UnbindError::NeedsLwp.errno(), Errno::EBUSY);
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    k.big_lock().lock().unwrap();
    let child = Kernel::leave(k).unwrap();
    assert_eq!(kernel.host_curlwp(), None);
    let mut k = kernel.enter_as(parent).unwrap();
    assert_eq!(k.big_lock().depth(), 0);
    let parent = k.switch(child).unwrap();
    assert_eq!((k.ppid(), k.big_lock().depth()), (pid, 1), "as in a switch");
    k.release().unwrap();
    assert!(Kernel::leave(k).is_none());
    drop(parent);
    assert_eq!(kernel.counts().procs, 2);
    assert!(kernel.shutdown().is_clean());
}

/// What `current` gives is not the thread's own entry: it cannot be left by it.
#[test]
fn a_view_takes_no_lwp_along() {
    let kernel: &'static Kernel = Box::leak(Box::new(kernel()));
    let another: &'static Kernel = Box::leak(Box::new(Kernel::new()));
    let mut k = kernel.enter_as(kernel.spawn().start().unwrap()).unwrap();
    let pid = k.pid();
    k.lend(|| {
        current(|k| {
            let view = std::mem::replace(k, another.enter().unwrap());
            assert!(Kernel::leave(view).is_none());
        })
        .unwrap();
    });
    assert_eq!(k.pid(), pid);
    k.release().unwrap();
}

/// Counts down to a panic, in what tells the host of a switch.
#[derive(Default)]
struct Panics(AtomicU32);

impl Panics {
    fn count(&self) {
        let step = self.0.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1));
        assert_ne!(step, Ok(1), "planned");
    }
}

impl Host for Panics {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();

    fn set(&self, _: LwpToken) {
        self.count();
    }
    fn clear(&self, _: LwpToken) {
        self.count();
    }
}

/// A switch in which the host panics is made all the same.
#[test]
fn a_panic_of_the_host_in_a_switch_makes_nobody_init() {
    for (at, exiting) in [(1, false), (2, false), (1, true), (2, true)] {
        let builder = Kernel::builder().host(Panics::default());
        let kernel = builder.forbid_implicit_contexts().build().unwrap();
        let [a, b] = [(), ()].map(|()| kernel.spawn().start().unwrap());
        let (pid_a, pid_b) = (a.pid(), b.pid());
        let mut k = kernel.enter_as(a).unwrap();
        if exiting {
            k.release().unwrap();
        }
        kernel.host().0.store(at, SeqCst);
        catch_unwind(AssertUnwindSafe(|| k.switch(b).map(drop))).unwrap_err();
        assert_eq!(k.pid(), pid_b, "call {at}");
        assert!(kernel.pin().proc(pid_a).is_none(), "the old one is released");
        let c = kernel.spawn().start().unwrap();
        drop(k.switch(c).unwrap());
        k.release().unwrap();
        drop(k);
        assert_eq!(kernel.counts().procs, 2);
    }
    let builder = Kernel::builder().host(Panics::default());
    let kernel = builder.forbid_implicit_contexts().build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    kernel.host().0.store(1, SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| kernel.enter_as(lwp).map(drop))).is_err());
    // It is bound, and the thread outside.
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.pid(), pid);
    k.release().unwrap();
}
