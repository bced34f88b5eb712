//! Emulations: defaults, the native one, the hook at birth.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

struct Emul {
    name: &'static str,
    _alive: Option<Arc<()>>,
}

impl Default for Emul {
    fn default() -> Self {
        Self { name: "native", _alive: None }
    }
}

fn emul(name: &'static str) -> Emul {
    Emul { name, _alive: None }
}

#[derive(Clone, Default)]
struct Emulating {
    interned: Arc<Mutex<Vec<(&'static str, Pid)>>>,
    panics: Arc<AtomicBool>,
    spaces: Arc<AtomicUsize>,
}

struct Space(Arc<AtomicUsize>);

impl Drop for Space {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Host for Emulating {
    type VmSpace = Space;
    type File = ();
    type Emul = Emul;
    type Vfs = ();
    type SigValue = ();

    fn syscall_intern(&self, emul: &Emul, pid: Pid) {
        self.interned.lock().unwrap().push((emul.name, pid));
        assert!(!self.panics.swap(false, SeqCst), "planned");
    }
}

fn kernel() -> (Emulating, Kernel<Emulating>) {
    let host = Emulating::default();
    (host.clone(), Kernel::builder().host(host).allow_native_emul().build().unwrap())
}

#[test]
fn a_process_has_the_default_of_its_birth() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.process().emul().name, "native", "init's");
    assert_eq!(kernel.default_emul(), kernel.native_emul());
    k.rfork(Rfork::Fresh).unwrap();
    assert_eq!(k.process().emul().name, "native");
    let linux = kernel.add_emul(emul("linux"));
    assert_ne!(linux, kernel.native_emul());
    assert_ne!(linux, kernel.add_emul(emul("other")));
    assert_eq!(kernel.default_emul(), kernel.native_emul());
    kernel.set_default_emul(linux).unwrap();
    assert_eq!(kernel.default_emul(), linux);
    assert_eq!(k.process().emul().name, "native", "who lives keeps its own");
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    let (first, second) = (parent.pid(), k.pid());
    assert_eq!(k.process().emul().name, "linux");
    kernel.set_default_emul(kernel.native_emul()).unwrap();
    k.rfork(Rfork::Fresh).map(drop).unwrap();
    assert_eq!(k.process().emul().name, "native", "the default's, not the parent's");
    let third = k.pid();
    let guard = kernel.pin();
    assert_eq!(guard.proc(first).unwrap().emul().name, "native");
    assert_eq!(
        *host.interned.lock().unwrap(),
        [("native", first), ("linux", second), ("native", third)],
        "not for proc0 and init"
    );
    drop(parent);
}

#[test]
fn going_native_is_for_the_whole_process_and_opted_in() {
    let (_, kernel) = kernel();
    let linux = kernel.add_emul(emul("linux"));
    kernel.set_default_emul(linux).unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.rfork(Rfork::Fresh).map(drop).unwrap();
    let pid = k.pid();
    let sibling = kernel.new_lwp(pid).unwrap();
    assert_eq!(k.process().emul().name, "linux");
    k.process().use_native_emul().unwrap();
    assert_eq!(k.process().emul().name, "native");
    k.switch(sibling).map(drop).unwrap();
    assert_eq!((k.pid(), k.process().emul().name), (pid, "native"));
    k.rfork(Rfork::Fresh).map(drop).unwrap();
    assert_eq!(k.process().emul().name, "linux", "a child has the default");
    drop(k);
    let strict = Kernel::new();
    let refused = strict.enter().unwrap().process().use_native_emul().unwrap_err();
    assert_eq!((refused, refused.errno()), (EmulError::NotPermitted, Errno::EPERM));
}

#[test]
fn an_emulation_of_another_kernel_is_refused() {
    let ((_, a), (_, b)) = (kernel(), kernel());
    let foreign = b.add_emul(emul("theirs"));
    let refused = a.set_default_emul(foreign).unwrap_err();
    assert_eq!((refused, refused.errno()), (EmulError::WrongKernel, Errno::EXDEV));
    assert_eq!(a.set_default_emul(b.native_emul()), Err(EmulError::WrongKernel));
    assert_eq!(a.default_emul(), a.native_emul());
    let id = format!("{foreign:?}");
    assert!(id.starts_with("EmulId("), "{id}");
}

#[test]
fn emulations_live_as_long_as_the_kernel() {
    let alive = Arc::new(());
    let (_, kernel) = kernel();
    for _ in 0..100 {
        kernel.add_emul(Emul { name: "many", _alive: Some(alive.clone()) });
    }
    let survivor = kernel.spawn().start().unwrap();
    drop(kernel);
    assert_eq!(Arc::strong_count(&alive), 101);
    drop(survivor);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_panic_at_birth_loses_nothing() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.creds().set(&CredChange::SetUid(7)).unwrap();
    let (before, stats) = (kernel.counts(), kernel.user_counts(7));
    for _ in 0..3 {
        host.panics.store(true, SeqCst);
        let fork = || k.become_child_with(Space(host.spaces.clone()), Rfork::Fresh).map(drop);
        assert!(catch_unwind(AssertUnwindSafe(fork)).is_err());
    }
    assert_eq!(host.spaces.load(SeqCst), 3, "the address spaces were dropped");
    host.panics.store(true, SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| kernel.spawn().start().map(drop))).is_err());
    assert_eq!(kernel.counts(), before);
    assert_eq!(kernel.user_counts(7), stats);
    assert_eq!(kernel.user_counts_by_scan(7), stats);
    let own = k.pid();
    k.rfork(Rfork::Fresh).map(drop).unwrap();
    assert_eq!(k.ppid(), Pid::INIT, "the parent went: {own}");
    k.release().unwrap();
    drop(k);
    assert_eq!(kernel.counts().ids, 2);
    assert_eq!(kernel.user_counts(7), UserCounts::default());
}

/// The process is not found while its birth is announced.
#[test]
fn the_hook_at_birth_comes_before_the_process() {
    struct Looking(Arc<Mutex<Option<std::sync::Weak<Kernel<Looking>>>>>, Arc<AtomicUsize>);
    impl Host for Looking {
        type VmSpace = ();
        type File = ();
        type Emul = ();
        type Vfs = ();
        type SigValue = ();
        fn syscall_intern(&self, (): &(), pid: Pid) {
            let kernel = self.0.lock().unwrap().as_ref().and_then(std::sync::Weak::upgrade);
            let kernel = kernel.unwrap();
            assert!(kernel.pin().proc(pid).is_none());
            self.1.fetch_add(1, SeqCst);
        }
    }
    let (weak, calls) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let host = Looking(weak.clone(), calls.clone());
    let kernel = Arc::new(Kernel::builder().host(host).build().unwrap());
    *weak.lock().unwrap() = Some(Arc::downgrade(&kernel));
    drop(kernel.spawn().start().unwrap());
    assert_eq!(calls.load(SeqCst), 1);
}

/// The limit on processes can be set and lifted while the kernel runs.
#[test]
fn the_limits_policy_can_be_replaced() {
    let limits = Limits::unlimited().with(Resource::Nproc, Limit::both(1)).unwrap();
    let kernel = Kernel::builder().limits(limits).build().unwrap();
    let enforced = LimitsPolicy::default().with_nproc(Enforcement::Enforced);
    assert_eq!(kernel.limits_policy().nproc, Enforcement::Ignored);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.creds().set(&CredChange::SetUid(5)).unwrap();
    let one = k.rfork(Rfork::Fresh).unwrap();
    kernel.set_limits_policy(enforced);
    assert_eq!(k.rfork(Rfork::Fresh).unwrap_err(), ForkError::Limit);
    kernel.set_limits_policy(LimitsPolicy::default());
    let two = k.rfork(Rfork::Fresh).unwrap();
    kernel.set_limits_policy(enforced);
    assert_eq!(k.rfork(Rfork::Fresh).unwrap_err(), ForkError::Limit);
    k.release().unwrap();
    drop((k, one, two));
    assert_eq!(kernel.counts().procs, 2);
}
