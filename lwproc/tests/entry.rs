//! What comes with being in the kernel: the big lock, the virtual CPU's current
//! LWP, numbers that are shown.

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::{
    BigLockError, Errno, ExitStatus, Kernel, Lid, Pid, Rfork, SyncObject, WaitChannel, WaitPolicy,
    WaitTarget,
};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

fn cpus(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

#[test]
fn the_big_lock_counts_and_belongs_to_the_context() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.big_lock().unlock().unwrap_err(), BigLockError::NotHeld);
    assert_eq!(BigLockError::NotHeld.errno(), Errno::EPERM);
    k.rfork(Rfork::Fresh).unwrap();
    k.big_lock().lock().unwrap();
    k.big_lock().lock().unwrap();
    // The depth goes with the LWP that is switched away, and comes back with it.
    let first = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert_eq!(k.big_lock().depth(), 0);
    k.big_lock().lock().unwrap();
    let second = k.switch(first).unwrap().unwrap();
    assert_eq!(k.big_lock().depth(), 2);
    k.big_lock().unlock().unwrap();
    let first = k.switch(second).unwrap().unwrap();
    assert_eq!(k.big_lock().depth(), 1);
    k.release().unwrap();
    k.switch(first).unwrap();
    assert_eq!(k.big_lock().depth(), 1);
    k.release().unwrap();
    // Leaving gives it up.
    drop(k);
    let k = kernel.enter().unwrap();
    assert_eq!(k.big_lock().depth(), 0);
    k.big_lock().lock().unwrap();
}

/// Once the thread waited here for itself.
#[test]
fn a_switch_from_an_implicit_context_gives_the_big_lock_up() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.big_lock().lock().unwrap();
    k.big_lock().lock().unwrap();
    let had_it = k.unbind().unwrap().unwrap();
    assert_eq!(k.big_lock().depth(), 0);
    for _ in 0..3 {
        k.big_lock().lock().unwrap();
    }
    assert!(k.unbind().unwrap().is_none());
    assert_eq!(k.big_lock().depth(), 3, "nothing was switched");
    k.switch(had_it).unwrap();
    assert_eq!(k.big_lock().depth(), 2);
    k.release().unwrap();
    let never = kernel.spawn().start().unwrap();
    k.switch(never).unwrap();
    assert_eq!(k.big_lock().depth(), 0);
    let never = k.unbind().unwrap();
    k.big_lock().lock().unwrap();
    k.switch(never.unwrap()).unwrap();
    assert_eq!(k.big_lock().depth(), 0);
    thread::scope(|s| {
        s.spawn(|| kernel.enter().unwrap().big_lock().lock().unwrap());
    });
    k.release().unwrap();
}

#[test]
fn one_thread_at_a_time_holds_the_big_lock() {
    // Two CPUs for four threads: who waits for the lock gives its CPU away.
    for builder in [Kernel::builder(), Kernel::builder().virtual_cpus(cpus(2))] {
        let kernel = builder.build().unwrap();
        let (inside, total) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for turn in 0..200 {
                        let mut k = kernel.enter().unwrap();
                        k.rfork(Rfork::Fresh).unwrap();
                        k.big_lock().lock().unwrap();
                        k.big_lock().lock().unwrap();
                        assert!(!inside.swap(true, SeqCst), "two inside");
                        total.fetch_add(1, SeqCst);
                        if turn % 3 == 0 {
                            // Meanwhile another thread may be inside.
                            inside.store(false, SeqCst);
                            let old = k.rfork(Rfork::Fresh).unwrap().unwrap();
                            k.release().unwrap();
                            k.switch(old).unwrap();
                            assert!(!inside.swap(true, SeqCst), "two inside after a switch");
                        }
                        inside.store(false, SeqCst);
                        k.big_lock().unlock().unwrap();
                        k.big_lock().unlock().unwrap();
                        k.release().unwrap();
                    }
                });
            }
        });
        assert_eq!((total.into_inner(), kernel.counts().procs), (800, 2));
    }
}

#[test]
fn who_waits_for_a_child_holds_no_big_lock_meanwhile() {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    let child = k.switch(parent).unwrap().unwrap();
    k.big_lock().lock().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(child).unwrap();
            k.big_lock().lock().unwrap();
            k.big_lock().unlock().unwrap();
            k.exit(ExitStatus::exited(1)).unwrap();
        });
        let reaped = k.wait(WaitTarget::Any).unwrap();
        assert_eq!(reaped.status.exit_code(), Some(1));
        assert_eq!(k.big_lock().depth(), 1);
    });
    k.big_lock().unlock().unwrap();
    k.release().unwrap();
}

#[test]
fn a_cpu_knows_its_current_lwp() {
    let kernel = Kernel::builder().virtual_cpus(cpus(2)).build().unwrap();
    let guard = kernel.pin();
    let on = |cpu| guard.cpu_lwp(cpu).map(|lwp| (lwp.pid(), lwp.lid()));
    let mut k = kernel.enter().unwrap();
    let cpu = k.cpu().unwrap();
    assert_eq!(on(cpu), None, "an implicit context");
    k.rfork(Rfork::Fresh).unwrap();
    assert_eq!(on(cpu), Some((k.pid(), k.lid().unwrap())));
    let old = k.become_new_lwp(k.pid()).unwrap().unwrap();
    assert_eq!(on(cpu), Some((k.pid(), k.lid().unwrap())));
    assert_ne!(on(cpu).unwrap().1, old.lid());
    assert_eq!((on(1 - cpu), on(2), on(usize::MAX)), (None, None, None));
    let numbers = (k.pid(), k.lid().unwrap());
    drop(k);
    assert_eq!(on(cpu), None, "nobody is in the kernel");
    let mut k = kernel.enter().unwrap();
    assert_eq!((k.cpu(), on(cpu)), (Some(cpu), Some(numbers)), "the same again");
    k.unbind().unwrap();
    assert_eq!(on(cpu), None);
}

/// Both CPUs are taken while the thread sleeps, and then the one that it did not have
/// is given back.
#[test]
fn a_thread_that_lost_its_cpu_comes_back_on_the_other() {
    struct Never;
    impl SyncObject for Never {
        fn unsleep(&self, _: Lid) {}
    }
    let kernel = Kernel::builder().virtual_cpus(cpus(2)).build().unwrap();
    let guard = kernel.pin();
    let on = |cpu| guard.cpu_lwp(cpu).map(|lwp| (lwp.pid(), lwp.lid()));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let had = k.cpu().unwrap();
    let own = Some((k.pid(), k.lid().unwrap()));
    assert_eq!((on(had), on(1 - had)), (own, None));
    let (taken, stop) = (AtomicU32::new(0), [AtomicBool::new(false), AtomicBool::new(false)]);
    let deadline = Instant::now() + Duration::from_secs(20);
    let until = |done: &dyn Fn() -> bool| {
        while !done() && Instant::now() < deadline {
            thread::yield_now();
        }
    };
    thread::scope(|s| {
        let take = || {
            let k = kernel.enter().unwrap();
            let cpu = k.cpu().unwrap();
            taken.fetch_add(1, SeqCst);
            until(&|| stop[cpu].load(SeqCst));
        };
        let both_taken = || {
            s.spawn(take);
            s.spawn(take);
            until(&|| taken.load(SeqCst) == 2);
            let (taken, on_had) = (taken.load(SeqCst), on(had));
            stop[1 - had].store(true, SeqCst);
            (taken, on_had)
        };
        let asleep = k.sleep_with(Arc::new(Never), both_taken);
        let back = (k.cpu(), on(had), on(1 - had));
        stop[had].store(true, SeqCst);
        assert_eq!(asleep, Ok((2, None)), "a sleeper has none");
        assert_eq!(back, (Some(1 - had), None, own), "its LWP runs there now");
    });
    // It prefers the new one from now on.
    drop(k);
    assert_eq!((on(0), on(1)), (None, None));
    let mut k = kernel.enter().unwrap();
    assert_eq!((k.cpu(), on(1 - had)), (Some(1 - had), own));
    k.release().unwrap();
}

#[test]
fn numbers_that_are_shown_are_in_no_table() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let (pid, lid) = (k.pid(), k.lid().unwrap());
    assert_eq!((k.process().alias().pid(), k.process().alias().lid()), (pid, Some(lid)));
    k.process().alias().set(Pid(4711), Lid(-5));
    assert_eq!((k.process().alias().pid(), k.process().alias().lid()), (Pid(4711), Some(Lid(-5))));
    assert_eq!((k.pid(), k.lid()), (pid, Some(lid)));
    let guard = kernel.pin();
    assert!(guard.proc(Pid(4711)).is_none());
    assert!(guard.proc(pid).is_some());
    drop(guard);
    // A child shows its own, and another LWP of the process the process's.
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert_eq!(
        (k.process().alias().pid(), k.ppid(), k.process().alias().ppid()),
        (k.pid(), pid, Pid(4711))
    );
    k.switch(parent).unwrap();
    k.become_new_lwp(pid).unwrap();
    assert_eq!((k.process().alias().pid(), k.process().alias().lid()), (Pid(4711), k.lid()));
    k.release().unwrap();
    drop(k);
    assert_eq!(kernel.enter().unwrap().process().alias().lid(), None);
}

/// What a thread keeps in its storage, to be dropped after the library's own.
mod kept {
    use std::any::Any;
    use std::cell::RefCell;

    thread_local! {
        static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
    }

    struct AtEnd<F: FnMut()>(F);

    impl<F: FnMut()> Drop for AtEnd<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    /// Before the first use of a kernel, whose storage is gone first then.
    pub(crate) fn begin() {
        KEPT.with_borrow(|_| ());
    }
    pub(crate) fn keep(what: impl Any) {
        KEPT.with_borrow_mut(|kept| kept.push(Box::new(what)));
    }
    pub(crate) fn at_end(run: impl FnMut() + 'static) {
        keep(AtEnd(run));
    }
}

/// Runs a thread to the end of its storage; how many participants are in use then.
fn used_after(kernel: &'static Kernel, run: impl FnOnce() + Send + 'static) -> usize {
    let thread = std::thread::spawn(move || {
        kept::begin();
        run();
    });
    thread.join().unwrap();
    let stats = kernel.reclaim_stats();
    stats.participants - stats.vacant
}

fn immortal() -> &'static Kernel {
    Box::leak(Box::new(Kernel::new()))
}

#[test]
fn an_entry_may_outlive_the_thread_storage() {
    let kernel = immortal();
    let used = used_after(kernel, move || {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        kept::at_end(move || {
            let guard = kernel.pin();
            assert_eq!(guard.procs().count(), 3, "the entry has kept it");
        });
        kept::keep(k);
        kept::at_end(move || assert_eq!(kernel.counts().procs, 2, "ended with the entry"));
    });
    assert_eq!((used, kernel.counts().procs), (0, 2));
}

#[test]
fn guards_may_outlive_the_thread_storage() {
    let kernel = immortal();
    let used = used_after(kernel, move || {
        kept::keep((kernel.pin(), kernel.pin()));
        kept::keep(kernel.pin());
    });
    assert_eq!(used, 0);
}

/// A participant with a guard that was leaked is never given to another.
#[test]
fn a_leaked_guard_keeps_the_participant() {
    let kernel = immortal();
    assert_eq!(used_after(kernel, move || std::mem::forget(kernel.pin())), 1);
    assert_eq!(used_after(kernel, move || std::mem::forget(kernel.enter().unwrap())), 2);
    assert_eq!(used_after(kernel, move || drop(kernel.enter().unwrap())), 2);
}

/// Whose storage is gone has a participant for each use.
#[test]
fn a_kernel_may_be_used_when_the_thread_storage_is_gone() {
    let kernel = immortal();
    let used = used_after(kernel, move || {
        kept::at_end(move || {
            let lwp = kernel.spawn().start().unwrap();
            let guard = kernel.pin();
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            let parent = k.rfork(Rfork::Fresh).unwrap();
            drop(guard);
            assert_eq!(kernel.counts().procs, 4);
            drop(parent);
            // The child is bound to the thread, and goes with it.
        });
        drop(kernel.pin());
    });
    assert_eq!((used, kernel.counts().procs), (0, 2));
}

/// A condition that is slept on has what its caller has: the big lock, and the CPU.
#[test]
fn a_condition_runs_under_the_big_lock() {
    let kernel = Kernel::builder().virtual_cpus(cpus(2)).build().unwrap();
    let (inside, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let channel = WaitChannel::new();
    let looks = AtomicUsize::new(0);
    std::thread::scope(|s| {
        let sleeper = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.big_lock().lock().unwrap();
            k.big_lock().lock().unwrap();
            k.sleep_on(&channel, || {
                assert!(!inside.load(SeqCst), "beside the holder of the lock");
                looks.fetch_add(1, SeqCst);
                done.load(SeqCst).then_some(())
            })
            .unwrap();
            assert_eq!(k.big_lock().depth(), 2);
            assert!(k.cpu().is_some());
            k.big_lock().unlock().unwrap();
            k.big_lock().unlock().unwrap();
        });
        // Until it has looked so often: however late it comes, and whoever runs.
        while !done.load(SeqCst) && !sleeper.is_finished() {
            let k = kernel.enter().unwrap();
            k.big_lock().lock().unwrap();
            inside.store(true, SeqCst);
            done.store(looks.load(SeqCst) >= 100, SeqCst);
            channel.wake_all();
            std::thread::yield_now();
            inside.store(false, SeqCst);
            k.big_lock().unlock().unwrap();
            drop(k);
            std::thread::yield_now();
        }
    });
}
