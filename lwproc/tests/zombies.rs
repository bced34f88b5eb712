//! Who is told that a child can be waited for: neither too early, nor never.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

fn builder() -> Builder {
    Kernel::builder().wait_policy(WaitPolicy::Wait).signal_model(SigModel::Record)
}

/// A child of the current process with as many children of its own; and their LWPs.
fn child_with(k: &mut Entered<'_>, children: usize) -> (Lwp, Vec<Lwp>) {
    let child = k.spawn().start().unwrap();
    let handle = child.proc_handle();
    (child, (0..children).map(|_| handle.spawn().start().unwrap()).collect())
}

/// Children end on another thread; the parent waits by what `told` sees, and never in
/// vain. The end takes the longer, the more children the child has itself.
fn never_too_early(kernel: &Kernel, told: impl Fn(&Entered<'_>) -> bool) {
    let (send, receive) = mpsc::channel::<Lwp>();
    std::thread::scope(|s| {
        s.spawn(move || receive.into_iter().for_each(drop));
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        for _ in 0..300 {
            let (child, orphans) = child_with(&mut k, 100);
            let pid = child.pid();
            send.send(child).unwrap();
            let begun = Instant::now();
            while !told(&k) {
                assert!(begun.elapsed() < Duration::from_secs(10), "not told once");
                std::hint::spin_loop();
            }
            let reaped = k.try_wait(WaitTarget::Any).unwrap();
            assert_eq!(reaped.map(|reaped| reaped.pid), Some(pid), "told too early");
            drop(orphans);
        }
        k.release().unwrap();
        drop(send);
    });
}

#[test]
fn sigchld_comes_when_there_is_something_to_reap() {
    let kernel = builder().sigchld().build().unwrap();
    never_too_early(&kernel, |k| k.signals().take() == Some(Signo::CHLD));
}

#[test]
fn a_zombie_hook_is_called_when_there_is_something_to_reap() {
    let kernel = builder().build().unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let calls = told.clone();
    kernel.add_zombie_hook(move |child, parent| {
        assert_eq!((child.ppid(), child.nlwps()), (parent.pid(), 0));
        calls.fetch_add(1, SeqCst);
    });
    never_too_early(&kernel, |_| told.swap(0, SeqCst) == 1);
}

/// What a sink or a hook was told, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Pid, Pid)>>>);

impl Log {
    fn add(&self, child: Pid, parent: Pid) {
        self.0.lock().unwrap().push((child, parent));
    }
    fn take(&self) -> Vec<(Pid, Pid)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl TraceSink for Log {
    fn event(&self, event: &TraceEvent) {
        if let TraceEvent::Zombie { pid, ppid, status } = *event {
            assert_eq!(status, ExitStatus::exited(3));
            self.add(pid, ppid);
        }
    }
}

#[test]
fn a_sink_is_told() {
    let (kernel, log) = (builder().build().unwrap(), Log::default());
    kernel.set_trace(Some(Arc::new(log.clone())));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let (child, _) = child_with(&mut k, 0);
    let pid = child.pid();
    child.exit(ExitStatus::exited(3));
    assert_eq!(log.take(), [(pid, k.pid())]);
    k.wait(WaitTarget::Any).unwrap();
    assert_eq!(log.take(), []);
}

#[test]
fn of_what_nobody_waits_for_nobody_is_told() {
    for policy in [WaitPolicy::Wait, WaitPolicy::AutoReap] {
        let kernel = builder().wait_policy(policy).sigchld().build().unwrap();
        let log = Log::default();
        let of_hook = log.clone();
        kernel.add_zombie_hook(move |child, parent| of_hook.add(child.pid(), parent.pid()));
        // A child of proc0, and orphans: one that ends before its parent, and one after.
        let parent = kernel.spawn().start().unwrap();
        let handle = parent.proc_handle();
        let [first, second] = [0; 2].map(|_| handle.spawn().start().unwrap());
        let zombie = (first.pid(), parent.pid());
        drop(first);
        let told = if policy == WaitPolicy::Wait { vec![zombie] } else { vec![] };
        assert_eq!(log.take(), told);
        let chld = SigSet::EMPTY.with(Signo::CHLD);
        let pending = kernel.pin().proc(parent.pid()).unwrap().pending();
        assert_eq!(pending, if told.is_empty() { SigSet::EMPTY } else { chld });
        drop((parent, second));
        assert_eq!(log.take(), []);
        for pid in [Pid::KERNEL, Pid::INIT] {
            assert!(kernel.pin().proc(pid).unwrap().pending().is_empty());
        }
        assert_eq!(kernel.counts().procs, 2);
    }
}

#[test]
fn a_hook_that_panics_leaves_the_zombie() {
    let kernel = builder().build().unwrap();
    let log = Log::default();
    let of_hook = log.clone();
    let adds = kernel.add_zombie_hook(move |child, parent| of_hook.add(child.pid(), parent.pid()));
    let panics = kernel.add_zombie_hook(|_, _| panic!("a hook's"));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let (child, _) = child_with(&mut k, 0);
    let pid = child.pid();
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(child)));
    assert!(dropped.is_err());
    assert_eq!(log.take(), [(pid, k.pid())]);
    assert_eq!(k.try_wait(WaitTarget::Any).unwrap().unwrap().pid, pid);
    assert_eq!(kernel.remove_zombie_hook(panics), Ok(()));
    assert_eq!(kernel.remove_zombie_hook(panics), Err(HookError::NoSuchHook));
    drop(child_with(&mut k, 0));
    assert_eq!(log.take().len(), 1);
    assert_eq!(kernel.remove_zombie_hook(adds), Ok(()));
    drop(child_with(&mut k, 0));
    assert_eq!(log.take(), []);
    while let Ok(Some(_)) = k.try_wait(WaitTarget::Any) {}
}
