//! Exit hooks: their order, what they see, where they run, and panics.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, Weak};

type Log<T> = Arc<Mutex<Vec<T>>>;

fn logged<T: Clone>(log: &Log<T>) -> Vec<T> {
    log.lock().unwrap().clone()
}

#[track_caller]
fn assert_empty(kernel: &Kernel) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}

/// A hook that notes the pids it was called for.
fn note_pids(kernel: &Kernel) -> Log<Pid> {
    let log = Log::default();
    let to = log.clone();
    kernel.add_exit_hook(move |proc| to.lock().unwrap().push(proc.pid()));
    log
}

fn message(panicked: Box<dyn std::any::Any + Send>) -> &'static str {
    panicked.downcast_ref::<&'static str>().copied().unwrap_or("?")
}

#[test]
fn the_last_established_runs_first() {
    let kernel = Kernel::new();
    let log: Log<i32> = Log::default();
    for number in 1..=3 {
        let log = log.clone();
        kernel.add_exit_hook(move |_| log.lock().unwrap().push(number));
    }
    drop(kernel.spawn().start().unwrap());
    assert_eq!(logged(&log), [3, 2, 1]);
    let lwp = kernel.spawn().start().unwrap();
    drop(kernel.new_lwp(lwp.pid()).unwrap());
    assert_eq!(logged(&log).len(), 3, "not the last LWP");
    drop(lwp);
    assert_eq!(logged(&log).len(), 6);
    assert_empty(&kernel);
}

#[test]
fn a_hook_that_was_taken_away_does_not_run() {
    let (kernel, other) = (Kernel::new(), Kernel::new());
    let log: Log<i32> = Log::default();
    let alive = Arc::new(());
    let [first, second] = [1, 2].map(|number| {
        let (log, alive) = (log.clone(), alive.clone());
        kernel.add_exit_hook(move |_| {
            let _ = &alive;
            log.lock().unwrap().push(number);
        })
    });
    assert_ne!(first, second);
    assert_eq!(other.remove_exit_hook(first), Err(HookError::WrongKernel));
    assert_eq!(HookError::WrongKernel.errno(), Errno::EXDEV);
    assert_eq!(kernel.remove_exit_hook(first), Ok(()));
    assert_eq!(Arc::strong_count(&alive), 2, "dropped at once when nobody runs it");
    assert_eq!(kernel.remove_exit_hook(first), Err(HookError::NoSuchHook));
    assert_eq!(HookError::NoSuchHook.errno(), Errno::ENOENT);
    drop(kernel.spawn().start().unwrap());
    assert_eq!(logged(&log), [2]);
    let third = kernel.add_exit_hook(|_| {});
    assert_ne!(first, third, "never used again");
    drop(kernel);
    assert_eq!(Arc::strong_count(&alive), 1, "the kernel keeps none");
}

/// What a hook sees of the process that ends.
#[test]
fn the_process_still_stands_in_its_hooks() {
    for policy in [WaitPolicy::AutoReap, WaitPolicy::Wait] {
        let kernel = Arc::new(Kernel::builder().wait_policy(policy).build().unwrap());
        let calls = Arc::new(AtomicUsize::new(0));
        let handle = Arc::new(Mutex::new(None));
        let expected: Arc<OnceLock<(Pid, Pid, Pid)>> = Arc::default();
        let (weak, count, kept, about) =
            (Arc::downgrade(&kernel), calls.clone(), handle.clone(), expected.clone());
        kernel.add_exit_hook(move |proc| {
            let Some(&(pid, parent, child)) = about.get() else { return };
            if proc.pid() != pid {
                return;
            }
            count.fetch_add(1, SeqCst);
            let kernel: Arc<Kernel> = Weak::upgrade(&weak).unwrap();
            assert_eq!((proc.ppid(), proc.nlwps()), (parent, 0));
            assert_eq!(proc.state(), ProcState::Dying);
            assert_eq!(proc.comm().as_str(), "hooked");
            assert_eq!(proc.cred().unwrap().users().real, 7);
            assert_eq!(proc.children().map(|c| c.pid()).collect::<Vec<_>>(), [child]);
            assert_eq!(proc.lwps().count(), 0);
            assert_eq!((proc.pgid(), proc.sid()), (Some(pid), Some(pid)));
            assert_eq!(proc.rlimit(Resource::Core), Some(Limit::both(9)));
            assert_eq!((proc.vfs(), proc.vmspace()), (&(), None));
            let guard = kernel.pin();
            assert_eq!(guard.proc(pid).unwrap().identity(), proc.identity());
            assert_eq!(kernel.new_lwp(pid).unwrap_err(), NewLwpError::NoSuchProcess);
            let other = kernel.spawn().start().unwrap();
            assert_ne!(other.pid(), pid, "its number is not free");
            *kept.lock().unwrap() = proc.handle();
        });
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let parent = k.pid();
        let parents_lwp = k.rfork(Rfork::Fresh).unwrap().unwrap();
        k.process().set_comm("hooked");
        k.groups().setsid().unwrap();
        k.resources().set_limit(Resource::Core, Limit::both(9)).unwrap();
        k.creds().set(&CredChange::SetUid(7)).unwrap();
        let pid = k.pid();
        let lwp = k.rfork(Rfork::Fresh).unwrap().unwrap();
        let child = k.unbind().unwrap().unwrap();
        expected.set((pid, parent, child.pid())).unwrap();
        drop(lwp);
        assert_eq!(calls.load(SeqCst), 1);
        // Taken out: left in the hook, it would keep the kernel that keeps the hook.
        assert!(!handle.lock().unwrap().take().unwrap().is_alive());
        drop((child, parents_lwp, k));
        assert_empty(&kernel);
    }
}

/// Every way in which a process can end.
#[test]
fn hooks_run_in_every_context() {
    let kernel = Kernel::new();
    let log = note_pids(&kernel);
    let mut ended = Vec::new();
    // Dropped by a thread that is outside, and by one that never was inside.
    let lwp = kernel.spawn().start().unwrap();
    ended.push(lwp.pid());
    drop(lwp);
    let lwp = kernel.spawn().start().unwrap();
    ended.push(lwp.pid());
    std::thread::spawn(move || drop(lwp)).join().unwrap();
    assert_eq!(logged(&log), ended);
    // At a switch, and at leaving.
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    ended.push(k.pid());
    k.release().unwrap();
    assert_eq!(logged(&log).len(), 2, "it still runs");
    k.rfork(Rfork::Fresh).unwrap();
    assert_eq!(logged(&log), ended);
    ended.push(k.pid());
    k.release().unwrap();
    drop(k);
    assert_eq!(logged(&log), ended);
    // At the end of its thread.
    let pid = std::thread::scope(|s| {
        let bound = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.rfork(Rfork::Fresh).unwrap();
            k.pid()
        });
        bound.join().unwrap()
    });
    ended.push(pid);
    assert_eq!(logged(&log), ended);
    assert_empty(&kernel);
    // At the teardown: bound to this thread, and parked; and after it, of one that
    // survived.
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    ended.push(k.pid());
    drop(k);
    let parked = kernel.spawn().start().unwrap();
    ended.push(parked.pid());
    drop(parked.unclaim());
    let survivor = kernel.spawn().start().unwrap();
    let pid = survivor.pid();
    drop(kernel);
    assert_eq!(logged(&log), ended);
    ended.push(pid);
    drop(survivor);
    assert_eq!(logged(&log), ended);
}

/// At the end of a thread its storage is gone: a hook may use the kernel all the same.
#[test]
fn hooks_may_use_the_kernel_at_the_end_of_a_thread() {
    let kernel = Arc::new(Kernel::new());
    let (weak, calls) = (Arc::downgrade(&kernel), Arc::new(AtomicUsize::new(0)));
    let (count, first) = (calls.clone(), Arc::new(OnceLock::new()));
    let about = first.clone();
    kernel.add_exit_hook(move |proc| {
        count.fetch_add(1, SeqCst);
        if about.get() != Some(&proc.pid()) {
            return;
        }
        let kernel = weak.upgrade().unwrap();
        assert_eq!(kernel.pin().procs().count(), 3);
        drop(kernel.spawn().start().unwrap());
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        k.release().unwrap();
        drop(k);
        let id = kernel.add_exit_hook(|_| {});
        kernel.remove_exit_hook(id).unwrap();
    });
    let thread = {
        let (kernel, first) = (kernel.clone(), first.clone());
        std::thread::spawn(move || {
            let mut k = kernel.enter().unwrap();
            k.rfork(Rfork::Fresh).unwrap();
            first.set(k.pid()).unwrap();
        })
    };
    thread.join().unwrap();
    assert_eq!(calls.load(SeqCst), 3);
    assert_empty(&kernel);
    drop(kernel);
}

/// What a thread leaves at its end is not given to another before it has done with it:
/// the hooks come first, and the destructors of specific data need it all the same.
#[test]
fn a_hook_at_the_end_of_a_thread_leaves_it_its_participant() {
    struct Looks(Weak<Kernel>, Log<usize>);
    impl Looks {
        fn look(&self) {
            // The hook itself goes with the kernel.
            if let Some(stats) = self.0.upgrade().map(|kernel| kernel.reclaim_stats()) {
                self.1.lock().unwrap().push(stats.participants - stats.vacant);
            }
        }
    }
    impl Drop for Looks {
        fn drop(&mut self) {
            self.look();
        }
    }
    let kernel = Arc::new(Kernel::new());
    let log: Log<usize> = Log::default();
    let hook = Looks(Arc::downgrade(&kernel), log.clone());
    let data = Looks(Arc::downgrade(&kernel), log.clone());
    kernel.add_exit_hook(move |_| hook.look());
    let key = kernel.proc_key::<Mutex<Looks>>();
    let thread = {
        let kernel = kernel.clone();
        std::thread::spawn(move || {
            let mut k = kernel.enter().unwrap();
            k.rfork(Rfork::Fresh).unwrap();
            k.data().set_proc(key, Mutex::new(data)).map_err(|_| ()).unwrap();
        })
    };
    thread.join().unwrap();
    let before = logged(&log);
    assert_eq!(before.len(), 2, "the hook, and the data");
    assert_eq!(before[0], before[1], "participants that are in use");
    drop(kernel);
}

/// A hook of a process that outlives its kernel may take handles: the world stays
/// until they are dropped.
#[test]
fn a_hook_after_the_teardown_may_keep_a_handle() {
    let (kernel, kept) = (Kernel::new(), Arc::new(Mutex::new(None)));
    let (gone, to) = (Arc::new(()), kept.clone());
    let held = gone.clone();
    kernel.add_exit_hook(move |proc| {
        let _ = &held;
        *to.lock().unwrap() = Some((proc.handle().unwrap(), proc.pid()));
    });
    let survivor = kernel.spawn().start().unwrap();
    drop(kernel);
    std::thread::spawn(move || drop(survivor)).join().unwrap();
    assert_eq!(Arc::strong_count(&gone), 2, "the handle keeps the world");
    let (handle, pid) = kept.lock().unwrap().take().unwrap();
    assert_eq!((handle.pid(), handle.is_alive()), (pid, false));
    drop(handle);
    assert_eq!(Arc::strong_count(&gone), 1, "and the world goes with it");
}

#[test]
fn a_process_that_a_failed_newlwp_ends_has_its_hooks_run() {
    let kernel = Kernel::builder().id_capacity(3).build().unwrap();
    let ends = Arc::new(AtomicUsize::new(0));
    let count = ends.clone();
    kernel.add_exit_hook(move |proc| {
        assert!(proc.handle().is_some());
        count.fetch_add(1, SeqCst);
    });
    for round in 1..=500 {
        let lwp = kernel.spawn().start().unwrap();
        let (pid, more) = (lwp.pid(), kernel.new_lwp(lwp.pid()).unwrap());
        std::thread::scope(|s| {
            let other = s.spawn(|| (0..3).for_each(|_| drop(kernel.new_lwp(pid))));
            drop(lwp);
            drop(more);
            // The end of a scope synchronises where the thread sanitizer does not look.
            other.join().unwrap();
        });
        assert_eq!(ends.load(SeqCst), round);
        assert_empty(&kernel);
    }
}

#[test]
fn a_panic_stops_neither_the_others_nor_the_end() {
    for policy in [WaitPolicy::AutoReap, WaitPolicy::Wait] {
        let kernel = Kernel::builder().wait_policy(policy).build().unwrap();
        let log: Log<i32> = Log::default();
        for number in 1..=4 {
            let log = log.clone();
            kernel.add_exit_hook(move |_| {
                log.lock().unwrap().push(number);
                match number {
                    2 => panic!("of hook 2"),
                    3 => panic!("of hook 3"),
                    _ => {}
                }
            });
        }
        // A drop, a switch, a leave.
        let lwp = kernel.spawn().start().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| drop(lwp))).unwrap_err();
        assert_eq!(message(panicked), "of hook 3", "the first");
        assert_eq!(logged(&log), [4, 3, 2, 1]);
        assert_empty(&kernel);
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        k.release().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| drop(k.rfork(Rfork::Fresh))));
        assert_eq!(message(panicked.unwrap_err()), "of hook 3");
        k.release().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| drop(k)));
        assert_eq!(message(panicked.unwrap_err()), "of hook 3");
        assert_empty(&kernel);
        drop(kernel.enter().expect("it was left"));
        // The end of a thread: nobody is there to be told.
        std::thread::scope(|s| {
            let bound = s.spawn(|| kernel.enter().unwrap().rfork(Rfork::Fresh).map(drop));
            bound.join().unwrap().unwrap();
        });
        assert_empty(&kernel);
        assert_eq!(logged(&log).len(), 16);
    }
}

#[test]
fn a_panic_in_the_teardown_loses_nothing() {
    let gone = Arc::new(());
    let kernel = Kernel::new();
    let log = note_pids(&kernel);
    let held = gone.clone();
    kernel.add_exit_hook(move |_| {
        let _ = &held;
        panic!("of the hook");
    });
    for _ in 0..3 {
        drop(kernel.spawn().start().unwrap().unclaim());
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(kernel))).unwrap_err();
    assert_eq!(message(panicked), "of the hook");
    assert_eq!(logged(&log).len(), 3, "all were released");
    assert_eq!(Arc::strong_count(&gone), 1, "and the world is gone");
}

#[test]
fn hooks_may_change_the_hooks() {
    let kernel = Arc::new(Kernel::new());
    let log: Log<&str> = Log::default();
    let me: Arc<OnceLock<HookId>> = Arc::default();
    let (weak, to, own) = (Arc::downgrade(&kernel), log.clone(), me.clone());
    let id = kernel.add_exit_hook(move |_| {
        to.lock().unwrap().push("once");
        let kernel = weak.upgrade().unwrap();
        kernel.remove_exit_hook(*own.get().unwrap()).unwrap();
        let to = to.clone();
        kernel.add_exit_hook(move |_| to.lock().unwrap().push("later"));
    });
    me.set(id).unwrap();
    drop(kernel.spawn().start().unwrap());
    assert_eq!(logged(&log), ["once"]);
    drop(kernel.spawn().start().unwrap());
    assert_eq!(logged(&log), ["once", "later"]);
    assert_eq!(kernel.remove_exit_hook(id), Err(HookError::NoSuchHook));
}

/// A hook that ends another process: its hooks run inside.
#[test]
fn hooks_may_end_processes() {
    let kernel = Arc::new(Kernel::new());
    let log = note_pids(&kernel);
    let next: Arc<Mutex<Vec<Lwp>>> = Arc::default();
    let more = next.clone();
    kernel.add_exit_hook(move |_| {
        let lwp = more.lock().unwrap().pop();
        drop(lwp);
    });
    let lwps: Vec<Lwp> = (0..4).map(|_| kernel.spawn().start().unwrap()).collect();
    let pids: Vec<Pid> = lwps.iter().map(Lwp::pid).collect();
    *next.lock().unwrap() = lwps;
    let last = next.lock().unwrap().pop();
    drop(last);
    assert_eq!(logged(&log), pids);
    assert_empty(&kernel);
}

/// Many threads end processes while hooks come and go: a hook runs at most once for
/// each process, never after its removal was known, and all is given back.
#[test]
fn hooks_come_and_go_while_processes_end() {
    let kernel = Kernel::new();
    let always = Arc::new(AtomicUsize::new(0));
    let count = always.clone();
    kernel.add_exit_hook(move |_| {
        count.fetch_add(1, SeqCst);
    });
    let (threads, rounds, own) = (3, 400, AtomicUsize::new(0));
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| (0..rounds).for_each(|_| drop(kernel.spawn().start().unwrap())));
        }
        s.spawn(|| {
            for _ in 0..rounds {
                let calls = Arc::new(AtomicUsize::new(0));
                let count = calls.clone();
                let id = kernel.add_exit_hook(move |_| {
                    count.fetch_add(1, SeqCst);
                });
                kernel.remove_exit_hook(id).unwrap();
                // Who began before may still be at it: as many as threads.
                let known = calls.load(SeqCst);
                drop(kernel.spawn().start().unwrap());
                assert!(calls.load(SeqCst) <= known + threads);
                own.fetch_add(1, SeqCst);
            }
        });
    });
    let rounds_of_all = threads * rounds + own.load(SeqCst);
    assert_eq!(always.load(SeqCst), rounds_of_all);
    assert_empty(&kernel);
}
