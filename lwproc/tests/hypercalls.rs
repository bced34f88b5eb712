//! The order of host calls, and hosts that panic.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Create,
    Set,
    Clear,
    Destroy,
}

thread_local! {
    static CURRENT: Cell<Option<LwpToken>> = const { Cell::new(None) };
}

/// Checks every call against the rules, and remembers them.
#[derive(Clone, Default)]
struct Recorder {
    calls: Arc<Mutex<Vec<(Call, LwpToken)>>>,
    living: Arc<Mutex<HashMap<LwpToken, usize>>>,
    panic_at: Arc<Mutex<Option<Call>>>,
    report: Arc<Mutex<Option<Teardown>>>,
    spaces: Arc<AtomicUsize>,
}

/// An address space that counts itself.
struct Space(Arc<AtomicUsize>);

impl Space {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count.clone())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Recorder {
    fn call(&self, call: Call, lwp: LwpToken) {
        self.calls.lock().unwrap().push((call, lwp));
        let planned = self.panic_at.lock().unwrap().take_if(|at| *at == call);
        assert!(planned.is_none(), "planned panic in {call:?}");
    }

    fn take(&self) -> Vec<(Call, LwpToken)> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Host for Recorder {
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
    type VmSpace = Space;

    fn create(&self, lwp: LwpToken) {
        assert!(self.living.lock().unwrap().insert(lwp, 0).is_none(), "created twice");
        self.call(Call::Create, lwp);
    }
    fn destroy(&self, lwp: LwpToken) {
        assert_eq!(
            self.living.lock().unwrap().remove(&lwp),
            Some(0),
            "destroyed while set, or twice"
        );
        self.call(Call::Destroy, lwp);
    }
    fn set(&self, lwp: LwpToken) {
        assert_eq!(CURRENT.get(), None, "set over a current LWP");
        self.call(Call::Set, lwp);
        *self.living.lock().unwrap().get_mut(&lwp).expect("created") += 1;
        CURRENT.set(Some(lwp));
    }
    fn clear(&self, lwp: LwpToken) {
        assert_eq!(CURRENT.take(), Some(lwp), "cleared what is not set");
        *self.living.lock().unwrap().get_mut(&lwp).expect("created") -= 1;
        self.call(Call::Clear, lwp);
    }
    fn current(&self) -> Option<LwpToken> {
        CURRENT.get()
    }
    fn teardown(&self, report: &Teardown) {
        *self.report.lock().unwrap() = Some(report.clone());
    }
}

fn kernel() -> (Recorder, Kernel<Recorder>) {
    let host = Recorder::default();
    let kernel = Kernel::builder().host(host.clone()).build().unwrap();
    assert_eq!(host.take().iter().map(|c| c.0).collect::<Vec<_>>(), [Call::Create; 2]);
    (host, kernel)
}

#[test]
fn calls_come_in_the_seeds_order() {
    use Call::*;
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!(host.take(), [], "an implicit context has no LWP");
    k.rfork(Rfork::Share).unwrap();
    let a = k.curlwp().unwrap().token();
    assert_eq!(kernel.host_curlwp(), Some(a));
    assert_eq!(host.take(), [(Create, a), (Set, a)]);
    let old = k.rfork(Rfork::Share).unwrap().unwrap();
    let b = k.curlwp().unwrap().token();
    assert_eq!(host.take(), [(Create, b), (Clear, a), (Set, b)]);
    drop(k);
    k = kernel.enter().unwrap();
    assert_eq!(host.take(), [], "entering and leaving when bound calls nothing");
    k.release().unwrap();
    k.switch(old).unwrap();
    assert_eq!(host.take(), [(Clear, b), (Set, a), (Destroy, b)]);
    let unbound = k.unbind().unwrap();
    assert_eq!(host.take(), [(Clear, a)]);
    drop(unbound);
    assert_eq!(host.take(), [(Destroy, a)]);
    drop(k);
    drop(kernel);
    assert_eq!(host.take().iter().map(|c| c.0).collect::<Vec<_>>(), [Destroy; 2]);
    assert!(host.living.lock().unwrap().is_empty());
    assert!(host.report.lock().unwrap().take().unwrap().is_clean());
}

#[test]
fn a_panicking_host_loses_nothing() {
    for at in [Call::Create, Call::Set, Call::Clear, Call::Destroy] {
        let (host, kernel) = kernel();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Share).unwrap();
        *host.panic_at.lock().unwrap() = Some(at);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let old = k.rfork(Rfork::Share).unwrap();
            drop(old);
        }));
        assert!(panicked.is_err(), "{at:?}");
        drop(k);
        let mut k = kernel.enter().unwrap();
        while let Some(lwp) = k.unbind().unwrap() {
            drop(lwp);
        }
        drop(k);
        let counts = kernel.counts();
        assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2), "{at:?}");
        drop(kernel);
        assert!(host.living.lock().unwrap().is_empty(), "{at:?}: each was destroyed once");
    }
}

#[test]
fn an_address_space_goes_with_its_process() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    assert!(k.process().vmspace().is_none());
    k.become_child_with(Space::new(&host.spaces), Rfork::Fresh).unwrap();
    assert!(k.process().vmspace().is_some());
    let pid = k.pid();
    let second = kernel.new_lwp(pid).unwrap();
    let first = k.rfork(Rfork::Share).unwrap();
    assert!(k.process().vmspace().is_none(), "not inherited");
    drop(first);
    assert_eq!(host.spaces.load(SeqCst), 1);
    drop(second);
    assert_eq!(host.spaces.load(SeqCst), 0, "at once, not after a grace period");
    drop(k);
}

#[test]
fn an_address_space_is_dropped_when_the_fork_fails() {
    let host = Recorder::default();
    let kernel = Kernel::builder().host(host.clone()).id_capacity(1).build().unwrap();
    let mut k = kernel.enter().unwrap();
    let error = k.become_child_with(Space::new(&host.spaces), Rfork::Fresh).unwrap_err();
    assert_eq!((error, error.errno()), (SpawnError::IdsExhausted, Errno::EAGAIN));
    assert_eq!(host.spaces.load(SeqCst), 0);
}

#[test]
fn a_token_names_one_lwp_also_when_its_number_is_taken_over() {
    let (_, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    let first = k.curlwp().unwrap().token();
    assert_eq!(first.lid().0, pid.0);
    let second = kernel.new_lwp(pid).unwrap();
    k.release().unwrap();
    k.switch(second).unwrap();
    let third = kernel.new_lwp(pid).unwrap();
    assert_eq!(third.lid(), first.lid(), "taken over");
    assert_ne!(third.token(), first);
    let guard = kernel.pin();
    assert_eq!(guard.lwp(first.lid()).unwrap().token(), third.token());
    drop(guard);
    // In another kernel, and another thread, too.
    let other = std::thread::spawn(|| {
        let kernel = Kernel::new();
        let lwps: Vec<_> = (0..2000).map(|_| kernel.spawn().start().unwrap()).collect();
        lwps.iter().map(|lwp| lwp.token().serial()).collect::<Vec<_>>()
    });
    let mut serials = other.join().unwrap();
    serials.extend([first.serial(), third.token().serial()]);
    let count = serials.len();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), count);
}

/// From what to what; from nothing, by `set`.
type Switched = (Option<LwpToken>, LwpToken);

/// Has a call of its own for a switch, which panics when it is told to.
#[derive(Clone, Default)]
struct Switcher {
    seen: Arc<Mutex<Vec<Switched>>>,
    panics: Arc<AtomicUsize>,
}

impl Host for Switcher {
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
    type VmSpace = ();

    fn set(&self, lwp: LwpToken) {
        self.seen.lock().unwrap().push((None, lwp));
    }
    fn switch(&self, old: LwpToken, new: LwpToken) {
        self.seen.lock().unwrap().push((Some(old), new));
        assert_eq!(self.panics.swap(0, SeqCst), 0, "planned");
    }
}

#[test]
fn a_switch_is_one_call_of_a_host_that_wants_it_so() {
    let host = Switcher::default();
    let kernel = Kernel::builder().host(host.clone()).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let a = k.curlwp().unwrap().token();
    // The general way, and the quick one.
    let first = k.rfork(Rfork::Share).unwrap().unwrap();
    let b = k.curlwp().unwrap().token();
    let second = k.switch(first).unwrap().unwrap();
    assert_eq!(
        std::mem::take(&mut *host.seen.lock().unwrap()),
        [(None, a), (Some(a), b), (Some(b), a)]
    );
    // The switch is made, and the host knows of no LWP.
    host.panics.store(1, SeqCst);
    let c = second.token();
    assert!(catch_unwind(AssertUnwindSafe(|| k.switch(second))).is_err());
    assert_eq!(k.curlwp().unwrap().token(), c);
    let other = kernel.new_lwp(k.pid()).unwrap();
    let d = other.token();
    drop(k.switch(other).unwrap());
    assert_eq!(*host.seen.lock().unwrap(), [(Some(a), c), (None, d)]);
}
