//! Specific data: keys, ends, order, panics.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Notes when it is dropped; may panic then.
struct Noted(&'static str, Log);

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
        assert!(!self.0.starts_with("panics"), "planned");
    }
}

fn logged(log: &Log) -> Vec<&'static str> {
    std::mem::take(&mut log.lock().unwrap())
}

#[track_caller]
fn assert_empty<H: Host>(kernel: &Kernel<H>) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}

#[test]
fn a_process_has_values_under_keys() {
    let kernel = Kernel::new();
    let (number, name) = (kernel.proc_key::<u32>(), kernel.proc_key::<String>());
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    assert_eq!(k.data().proc(number), None);
    assert_eq!(k.data().take_proc(number), None);
    assert_eq!(k.data().set_proc(number, 1), Ok(None));
    assert_eq!(k.data().set_proc(number, 2), Ok(Some(Arc::new(1))));
    assert_eq!(k.data().set_proc(name, "x".into()), Ok(None));
    assert_eq!(
        (k.data().proc(number), k.data().proc(name).unwrap().as_str()),
        (Some(Arc::new(2)), "x")
    );
    let sibling = kernel.new_lwp(pid).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(sibling).unwrap();
            assert_eq!(k.data().proc(number).as_deref(), Some(&2), "all LWPs see it");
            k.data().set_proc(number, 3).unwrap();
            k.release().unwrap();
        });
    });
    let guard = kernel.pin();
    assert_eq!(guard.proc(pid).unwrap().specific(number).as_deref(), Some(&3));
    drop(guard);
    k.rfork(Rfork::Fresh).map(drop).unwrap();
    assert_eq!(k.data().proc(number), None, "not inherited");
    assert_eq!(k.data().set_proc(number, 9), Ok(None));
    assert_eq!(k.data().take_proc(number).as_deref(), Some(&9));
    assert_eq!(k.data().proc(number), None);
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn an_lwp_has_values_under_keys() {
    let kernel = Kernel::new();
    // Not `Sync`: it is its owner's.
    let key = kernel.lwp_key::<Cell<u32>>();
    let text = kernel.lwp_key::<&'static str>();
    let mut k = kernel.enter().unwrap();
    assert!(k.data().lwp(key).is_none(), "implicit");
    assert!(k.data_mut().take_lwp(key).is_none());
    let refused = k.data_mut().set_lwp(key, Cell::new(1)).unwrap_err();
    assert_eq!((refused, refused.errno()), (SpecificError::NoLwp, Errno::EINVAL));
    k.rfork(Rfork::Fresh).unwrap();
    assert!(k.data().lwp(key).is_none());
    assert_eq!(k.data_mut().set_lwp(text, "t"), Ok(None));
    assert_eq!(k.data_mut().set_lwp(key, Cell::new(1)), Ok(None));
    k.data().lwp(key).unwrap().set(5);
    assert_eq!(k.data_mut().set_lwp(key, Cell::new(6)), Ok(Some(Cell::new(5))));
    let first = k.become_new_lwp(k.pid()).unwrap().unwrap();
    assert!(k.data().lwp(key).is_none(), "each LWP has its own");
    k.switch(first).map(drop).unwrap();
    assert_eq!(k.data().lwp(key).unwrap().get(), 6);
    let lwp = k.unbind().unwrap().unwrap();
    drop(k);
    // It moves with the LWP.
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            assert_eq!(k.data_mut().take_lwp(key), Some(Cell::new(6)));
            assert_eq!(k.data_mut().take_lwp(key), None);
            assert_eq!(k.data().lwp(text), Some(&"t"));
            k.release().unwrap();
        });
    });
    assert_empty(&kernel);
}

#[test]
fn keys_of_another_kernel_are_refused() {
    let (a, b) = (Kernel::new(), Kernel::new());
    let (proc, lwp) = (b.proc_key::<u8>(), b.lwp_key::<u8>());
    // The same numbers in `a`, of other types.
    let (own_proc, own_lwp) = (a.proc_key::<String>(), a.lwp_key::<String>());
    let mut k = a.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.data().set_proc(own_proc, "p".into()).unwrap();
    k.data_mut().set_lwp(own_lwp, "l".into()).unwrap();
    assert_eq!(k.data().set_proc(proc, 1), Err(SpecificError::WrongKernel));
    assert_eq!(k.data_mut().set_lwp(lwp, 1), Err(SpecificError::WrongKernel));
    assert_eq!(SpecificError::WrongKernel.errno(), Errno::EXDEV);
    assert_eq!((k.data().proc(proc), k.data().lwp(lwp)), (None, None));
    assert_eq!((k.data().take_proc(proc), k.data_mut().take_lwp(lwp)), (None, None));
    let guard = a.pin();
    assert!(guard.proc(k.pid()).unwrap().specific(proc).is_none());
    assert_eq!(format!("{proc:?}").split_once('(').unwrap().0, "ProcKey");
}

#[test]
fn values_are_dropped_in_the_order_of_their_keys() {
    for policy in [WaitPolicy::AutoReap, WaitPolicy::Wait] {
        let kernel = Kernel::builder().wait_policy(policy).build().unwrap();
        let log = Log::default();
        let procs: Vec<ProcKey<Noted>> = (0..3).map(|_| kernel.proc_key()).collect();
        let lwps: Vec<LwpKey<Noted>> = (0..3).map(|_| kernel.lwp_key()).collect();
        let noted = |name| Noted(name, log.clone());
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
        for (at, name) in [(1, "p1"), (2, "p2"), (0, "p0")] {
            k.data().set_proc(procs[at], noted(name)).unwrap();
        }
        for (at, name) in [(2, "l2"), (0, "l0"), (1, "l1")] {
            k.data_mut().set_lwp(lwps[at], noted(name)).unwrap();
        }
        let child = k.pid();
        k.exit(ExitStatus::exited(2)).unwrap();
        assert_eq!(logged(&log), [""; 0]);
        k.switch(parent).unwrap();
        assert_eq!(logged(&log), ["l0", "l1", "l2", "p0", "p1", "p2"], "{policy:?}");
        if policy == WaitPolicy::Wait {
            let guard = kernel.pin();
            assert!(guard.proc(child).unwrap().specific(procs[0]).is_none());
            drop(guard);
            k.try_wait(WaitTarget::Any).unwrap().unwrap();
        }
        k.release().unwrap();
        drop(k);
        assert_empty(&kernel);
    }
}

/// A share that somebody took outlives the process, and nothing else does.
#[test]
fn a_share_keeps_the_value() {
    let kernel = Kernel::new();
    let (log, key) = (Log::default(), kernel.proc_key::<Noted>());
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.data().set_proc(key, Noted("value", log.clone())).unwrap();
    let share = k.data().proc(key).unwrap();
    assert_eq!(Arc::strong_count(&share), 2);
    k.release().unwrap();
    drop(k);
    assert_eq!((Arc::strong_count(&share), logged(&log)), (1, vec![]));
    drop(share);
    assert_eq!(logged(&log), ["value"]);
    // init's goes with the kernel.
    let k = kernel.enter().unwrap();
    k.data().set_proc(key, Noted("init's", log.clone())).unwrap();
    drop(k);
    assert_eq!(logged(&log), [""; 0]);
    drop(kernel);
    assert_eq!(logged(&log), ["init's"]);
}

/// init's data goes with the teardown, so what it keeps does not keep the kernel.
#[test]
fn inits_data_may_hold_a_handle() {
    let alive = Arc::new(());
    let kernel = Kernel::new();
    let (key, held) = (kernel.proc_key::<(ProcHandle, Arc<()>)>(), alive.clone());
    kernel.add_exit_hook(move |_| drop(held.clone()));
    let k = kernel.enter().unwrap();
    let handle = kernel.pin().proc(Pid::INIT).unwrap().handle().unwrap();
    k.data().set_proc(key, (handle, alive.clone())).unwrap();
    drop(k);
    drop(kernel);
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// The hooks see the process's data, which goes after them; the LWP's is gone.
#[test]
fn hooks_come_first() {
    let kernel = Kernel::new();
    let (log, key, own) = (Log::default(), kernel.proc_key::<Noted>(), kernel.lwp_key::<Noted>());
    let to = log.clone();
    kernel.add_exit_hook(move |proc| {
        assert_eq!(proc.specific(key).unwrap().0, "value");
        to.lock().unwrap().push("hook");
    });
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.data().set_proc(key, Noted("value", log.clone())).unwrap();
    k.data_mut().set_lwp(own, Noted("lwp's", log.clone())).unwrap();
    drop(k.unbind());
    assert_eq!(logged(&log), ["lwp's", "hook", "value"]);
}

/// In every context in which an LWP can end.
#[test]
fn values_go_in_every_context() {
    let log = Log::default();
    let kernel = Kernel::new();
    let (proc, own) = (kernel.proc_key::<Noted>(), kernel.lwp_key::<Noted>());
    let give = |k: &mut Entered<'_>| {
        k.rfork(Rfork::Fresh).unwrap();
        k.data().set_proc(proc, Noted("p", log.clone())).unwrap();
        k.data_mut().set_lwp(own, Noted("l", log.clone())).unwrap();
    };
    // An owned LWP, dropped by another thread.
    let mut k = kernel.enter().unwrap();
    give(&mut k);
    let lwp = k.unbind().unwrap().unwrap();
    drop(k);
    std::thread::spawn(move || drop(lwp)).join().unwrap();
    assert_eq!(logged(&log), ["l", "p"]);
    // The end of a thread.
    std::thread::scope(|s| {
        s.spawn(|| give(&mut kernel.enter().unwrap())).join().unwrap();
    });
    assert_eq!(logged(&log), ["l", "p"]);
    assert_empty(&kernel);
    // The teardown: bound and parked; and a survivor.
    let mut k = kernel.enter().unwrap();
    give(&mut k);
    drop(k.unbind().unwrap().unwrap().unclaim());
    give(&mut k);
    let survivor = k.unbind().unwrap().unwrap();
    give(&mut k);
    drop(k);
    drop(kernel);
    assert_eq!(logged(&log), ["l", "p", "l", "p"]);
    drop(survivor);
    assert_eq!(logged(&log), ["l", "p"]);
}

#[test]
fn a_panicking_destructor_stops_neither_the_others_nor_the_end() {
    for policy in [WaitPolicy::AutoReap, WaitPolicy::Wait] {
        let kernel = Kernel::builder().wait_policy(policy).build().unwrap();
        let log = Log::default();
        let procs: Vec<ProcKey<Noted>> = (0..3).map(|_| kernel.proc_key()).collect();
        let lwps: Vec<LwpKey<Noted>> = (0..3).map(|_| kernel.lwp_key()).collect();
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        for (at, name) in [(0, "p0"), (1, "panics p1"), (2, "p2")] {
            k.data().set_proc(procs[at], Noted(name, log.clone())).unwrap();
        }
        for (at, name) in [(0, "l0"), (1, "panics l1"), (2, "l2")] {
            k.data_mut().set_lwp(lwps[at], Noted(name, log.clone())).unwrap();
        }
        k.release().unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(k))).is_err());
        assert_eq!(logged(&log), ["l0", "panics l1", "l2", "p0", "panics p1", "p2"]);
        assert_empty(&kernel);
        drop(kernel.enter().expect("it was left"));
        // init's panics when the kernel goes.
        let k = kernel.enter().unwrap();
        k.data().set_proc(procs[0], Noted("panics init's", log.clone())).unwrap();
        k.data().set_proc(procs[1], Noted("init's", log.clone())).unwrap();
        drop(k);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(kernel))).is_err());
        assert_eq!(logged(&log), ["panics init's", "init's"]);
    }
}

/// The values go before the host hears of the LWP's end.
#[test]
fn lwp_values_go_before_the_hosts_destroy() {
    struct Destroying(Log);
    impl Host for Destroying {
        type VmSpace = ();
        type File = ();
        type Emul = ();
        type Vfs = ();
        type SigValue = ();
        fn destroy(&self, _: LwpToken) {
            self.0.lock().unwrap().push("destroy");
        }
    }
    let log = Log::default();
    let kernel = Kernel::builder().host(Destroying(log.clone())).build().unwrap();
    let key = kernel.lwp_key::<Noted>();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.data_mut().set_lwp(key, Noted("value", log.clone())).unwrap();
    k.release().unwrap();
    drop(k);
    assert_eq!(logged(&log), ["value", "destroy"]);
}

/// Many LWPs of one process read and replace the same keys.
#[test]
fn lwps_share_their_process_data() {
    let kernel = Kernel::new();
    let keys: Vec<ProcKey<Arc<u32>>> = (0..4).map(|_| kernel.proc_key()).collect();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let alive = Arc::new(7);
    std::thread::scope(|s| {
        let threads = [0, 1, 2].map(|thread| {
            let (kernel, keys, alive) = (&kernel, &keys, &alive);
            s.spawn(move || {
                let mut k = kernel.enter().unwrap();
                k.become_new_lwp(pid).unwrap();
                for round in 0..600 {
                    let key = keys[(round + thread) % 4];
                    match round % 5 {
                        0 => drop(k.data().set_proc(key, alive.clone()).unwrap()),
                        1 => drop(k.data().take_proc(key)),
                        _ => {
                            if let Some(value) = k.data().proc(key) {
                                assert_eq!(**value, 7);
                            }
                        }
                    }
                }
                k.release().unwrap();
            })
        });
        // Their ends too, with what they hand over.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    drop(first);
    assert_eq!(Arc::strong_count(&alive), 1);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed, "{stats:?}");
    assert_empty(&kernel);
}
