//! Faults: user code that panics, in turn at every point where it runs; ids that run out
//! at every operation; a thread that dies inside. Whatever it was, the invariants hold
//! afterwards, nothing is lost, and the kernel can be used.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

mod common;

use common::becoming::Become;
use common::invariants::check;
use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};

/// Counts the calls of user code down, and panics at one of them.
#[derive(Default)]
struct Fuse {
    left: AtomicUsize,
    blown: AtomicUsize,
    /// Values of the embedder's that are alive, and LWPs that the host knows.
    alive: AtomicIsize,
    lwps: AtomicIsize,
    /// Places in the file system that were made and not released.
    places: AtomicIsize,
}

#[derive(Clone, Default)]
struct Faulty(Arc<Fuse>);

impl Faulty {
    fn user_code(&self) {
        if self.0.left.fetch_sub(1, SeqCst) == 1 {
            self.0.blown.fetch_add(1, SeqCst);
            panic!("the fuse");
        }
    }
    fn value(&self) -> Value {
        self.0.alive.fetch_add(1, SeqCst);
        Value(Some(self.clone()))
    }
}

/// A file, an address space, specific data, what a hook captures.
#[derive(Default)]
struct Value(Option<Faulty>);

impl Drop for Value {
    fn drop(&mut self) {
        if let Some(host) = &self.0 {
            host.0.alive.fetch_sub(1, SeqCst);
            host.user_code();
        }
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.0.as_ref().map_or_else(Self::default, Faulty::value)
    }
}

impl Host for Faulty {
    type VmSpace = Value;
    type File = Value;
    type Emul = ();
    type Vfs = Value;
    type SigValue = ();

    fn create(&self, _: LwpToken) {
        self.0.lwps.fetch_add(1, SeqCst);
        self.user_code();
    }
    fn destroy(&self, _: LwpToken) {
        self.0.lwps.fetch_sub(1, SeqCst);
        self.user_code();
    }
    fn set(&self, _: LwpToken) {
        self.user_code();
    }
    fn clear(&self, _: LwpToken) {
        self.user_code();
    }
    fn vfs_init(&self, _: &Value) -> Value {
        self.user_code();
        self.0.places.fetch_add(1, SeqCst);
        self.value()
    }
    fn vfs_release(&self, vfs: Value) {
        self.0.places.fetch_sub(1, SeqCst);
        self.user_code();
        drop(vfs);
    }
    fn syscall_intern(&self, (): &(), _: Pid) {
        self.user_code();
    }
    fn raise(&self, _: Pid, _: Signo) {
        self.user_code();
    }
}

impl TraceSink for Faulty {
    fn event(&self, _: &TraceEvent) {
        self.user_code();
    }
}

impl SyncObject for Faulty {
    fn unsleep(&self, _: Lid) {
        self.user_code();
    }
}

type K<'k> = Entered<'k, Faulty>;

/// Something that may panic. What it answers is another test's.
fn attempt<R>(run: impl FnOnce() -> R) {
    drop(catch_unwind(AssertUnwindSafe(|| drop(run()))));
}

/// One of everything that runs user code.
fn everything(kernel: &Kernel<Faulty>, k: &mut K<'_>) {
    let host = kernel.host();
    let keys = (kernel.proc_key::<Value>(), kernel.lwp_key::<Value>());
    let hook = {
        let (host, captured) = (host.clone(), host.value());
        kernel.add_exit_hook(move |_| {
            let _ = &captured;
            host.user_code();
        })
    };
    let mut owned = Vec::new();
    attempt(|| kernel.set_trace(Some(Arc::new(host.clone()))));
    attempt(|| owned.extend(k.become_child_with(host.value(), Rfork::Fresh).ok().flatten()));
    attempt(|| k.process().set_trace(Some(Arc::new(host.clone()))));
    for flag in [OnExec::Keep, OnExec::Close, OnExec::Close] {
        attempt(|| k.files().open(host.value(), flag).map_err(FdError::from));
    }
    attempt(|| k.files().dup2(Fd(0), Fd(1)));
    for _ in 0..2 {
        attempt(|| k.data().set_proc(keys.0, host.value()));
        attempt(|| k.data_mut().set_lwp(keys.1, host.value()));
    }
    attempt(|| owned.extend(k.rfork(Rfork::Copy).ok().flatten()));
    attempt(|| k.data().set_proc(keys.0, host.value()));
    attempt(|| owned.extend(k.become_new_lwp(k.pid()).ok().flatten()));
    attempt(|| k.data_mut().set_lwp(keys.1, host.value()));
    attempt(|| k.signals().kill(KillTarget::Proc(k.pid()), 15));
    let lid = k.lid();
    let unsleep = || lid.and_then(|lid| Some(kernel.pin().lwp(lid)?.unsleep()));
    attempt(|| k.sleep_with(Arc::new(host.clone()), unsleep).map(drop));
    attempt(|| {
        k.sleep_on(&WaitChannel::new(), || {
            host.user_code();
            Some(())
        })
    });
    attempt(|| k.files().close(Fd(0)));
    let other = owned.pop();
    attempt(|| owned.extend(other.and_then(|lwp| k.switch(lwp).ok().flatten())));
    attempt(|| owned.extend(k.unbind().ok().flatten()));
    attempt(|| k.hold());
    attempt(|| k.unhold());
    let other = owned.pop();
    attempt(|| owned.extend(other.and_then(|lwp| k.switch(lwp).ok().flatten())));
    attempt(|| k.files_mut().close_on_exec());
    attempt(|| owned.extend(k.rfork(Rfork::Share).ok().flatten()));
    attempt(|| k.exit(ExitStatus::exited(3)));
    let parent = owned.pop();
    attempt(|| owned.extend(parent.and_then(|lwp| k.switch(lwp).ok().flatten())));
    attempt(|| k.try_wait(WaitTarget::Any).is_ok());
    attempt(|| k.exit_group(ExitStatus::exited(1)));
    attempt(|| kernel.remove_exit_hook(hook));
    attempt(|| owned.extend(kernel.spawn().start().ok()));
    // One by one: a panic in a vector's drop is another test's.
    owned.into_iter().for_each(|lwp| attempt(|| lwp));
    attempt(|| kernel.set_trace(None));
}

/// Everything, with a panic at the `at`th call of user code (0: none); false when there are
/// fewer calls.
fn with_a_fault(policy: WaitPolicy, capacity: usize, at: usize) -> bool {
    let host = Faulty::default();
    let builder = Kernel::builder().wait_policy(policy).id_capacity(capacity);
    let kernel = builder.signal_model(SigModel::Raise).host(host.clone()).build().unwrap();
    host.0.left.store(at, SeqCst);
    std::thread::scope(|s| {
        let inside = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            everything(&kernel, &mut k);
            attempt(|| k);
        });
        // Waits for the thread's storage, too, and so for what is bound to it.
        inside.join().expect("each panic was caught");
    });
    check(&kernel);
    // It is as good as new.
    {
        let before = kernel.counts();
        let mut k = kernel.enter().unwrap();
        attempt(|| k.rfork(Rfork::Fresh).is_ok());
        attempt(|| k.release().is_ok());
        attempt(|| k);
        assert_eq!(kernel.counts(), before, "fault at call {at}");
    }
    check(&kernel);
    attempt(|| kernel.shutdown());
    assert_eq!(host.0.alive.load(SeqCst), 0, "values lost: fault at call {at}");
    assert_eq!(host.0.lwps.load(SeqCst), 0, "LWPs lost: fault at call {at}");
    assert_eq!(host.0.places.load(SeqCst), 0, "places made and not released: fault at call {at}");
    host.0.blown.load(SeqCst) == 1
}

/// Expected panics say nothing.
fn quietly(run: impl FnOnce()) {
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<&str>() != Some(&"the fuse") {
            eprintln!("{info}");
        }
    }));
    run();
}

#[test]
fn user_code_panics_at_every_point() {
    quietly(|| {
        for policy in [WaitPolicy::AutoReap, WaitPolicy::Wait] {
            let calls = (1..).take_while(|at| with_a_fault(policy, 1000, *at)).count();
            println!("{policy:?}: {calls} points");
            assert!(calls > 60, "{calls} calls of user code");
        }
    });
}

#[test]
fn ids_run_out_at_every_operation() {
    for policy in [WaitPolicy::AutoReap, WaitPolicy::Wait] {
        (2..12).for_each(|capacity| _ = with_a_fault(policy, capacity, 0));
    }
}

/// Both at once: the way back from a failure runs user code, too.
#[test]
fn user_code_panics_while_ids_run_out() {
    quietly(|| {
        for capacity in 2..10 {
            let _ = (1..).take_while(|at| with_a_fault(WaitPolicy::Wait, capacity, *at)).count();
        }
    });
}

#[test]
fn a_thread_dies_inside() {
    quietly(|| {
        let host = Faulty::default();
        let kernel = Kernel::builder().host(host.clone()).build().unwrap();
        let before = kernel.counts();
        let died = std::thread::scope(|s| {
            let inside = s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.rfork(Rfork::Fresh).unwrap();
                k.files().open(host.value(), OnExec::Keep).unwrap();
                k.exit(ExitStatus::exited(0)).unwrap();
                panic!("the fuse");
            });
            inside.join().is_err()
        });
        assert!(died);
        check(&kernel);
        assert_eq!(kernel.counts(), before);
        drop(kernel);
        assert_eq!((host.0.alive.load(SeqCst), host.0.lwps.load(SeqCst)), (0, 0));
    });
}
