//! Trace sinks: what they are told, and when they are dropped.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use TraceEvent::*;
use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Events(Mutex<Vec<TraceEvent>>);

impl Events {
    fn take(&self) -> Vec<TraceEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl TraceSink for Events {
    fn event(&self, event: &TraceEvent) {
        self.0.lock().unwrap().push(*event);
    }
}

/// Panics at each event of which it is said.
struct Panicking(fn(&TraceEvent) -> bool, Events);

impl TraceSink for Panicking {
    fn event(&self, event: &TraceEvent) {
        self.1.event(event);
        assert!(!(self.0)(event), "planned");
    }
}

fn lid(pid: Pid) -> Lid {
    Lid(pid.0)
}

#[track_caller]
fn assert_empty(kernel: &Kernel) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}

#[test]
fn the_kernels_sink_is_told_of_everything() {
    for policy in [WaitPolicy::AutoReap, WaitPolicy::Wait] {
        let kernel = Kernel::builder().wait_policy(policy).build().unwrap();
        drop(kernel.spawn().start().unwrap());
        let sink = Arc::new(Events::default());
        kernel.set_trace(Some(sink.clone()));
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let a = k.pid();
        assert_eq!(
            sink.take(),
            [Fork { parent: Pid::INIT, child: a }, LwpCreate { pid: a, lid: lid(a) }]
        );
        let second = kernel.new_lwp(a).unwrap();
        assert_eq!(sink.take(), [LwpCreate { pid: a, lid: second.lid() }]);
        let gone = second.lid();
        drop(second);
        assert_eq!(sink.take(), [LwpExit { pid: a, lid: gone }]);
        let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
        let b = k.pid();
        assert_eq!(sink.take(), [Fork { parent: a, child: b }, LwpCreate { pid: b, lid: lid(b) }]);
        let status = ExitStatus::exited(3);
        k.exit(status).unwrap();
        k.switch(parent).unwrap();
        let end = [LwpExit { pid: b, lid: lid(b) }, Exit { pid: b, status }];
        let reap = [Reap { pid: b, status }];
        if policy == WaitPolicy::Wait {
            let zombie = [TraceEvent::Zombie { pid: b, ppid: a, status }];
            assert_eq!(sink.take(), [&end[..], &zombie[..]].concat());
            k.try_wait(WaitTarget::Any).unwrap().unwrap();
            assert_eq!(sink.take(), reap);
        } else {
            assert_eq!(sink.take(), [&end[..], &reap[..]].concat());
        }
        let before = kernel.set_trace(None).unwrap();
        assert!(std::ptr::addr_eq(Arc::as_ptr(&before), Arc::as_ptr(&sink)));
        drop(before);
        k.release().unwrap();
        drop(k);
        assert_eq!(sink.take(), []);
        assert_eq!(Arc::strong_count(&sink), 1);
        assert_empty(&kernel);
    }
}

#[test]
fn a_process_sink_is_told_of_its_process_only() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let (pid, sink) = (k.pid(), Arc::new(Events::default()));
    assert!(k.process().set_trace(Some(sink.clone())).is_none());
    let own = k.rfork(Rfork::Fresh).unwrap().unwrap();
    let child = k.pid();
    assert_eq!(sink.take(), [Fork { parent: pid, child }]);
    drop(kernel.new_lwp(child).unwrap());
    k.release().unwrap();
    k.switch(own).unwrap();
    assert_eq!(sink.take(), [], "not inherited");
    let second = kernel.new_lwp(pid).unwrap();
    let second_lid = second.lid();
    drop(second);
    let made = LwpCreate { pid, lid: second_lid };
    assert_eq!(sink.take(), [made, LwpExit { pid, lid: second_lid }]);
    let status = ExitStatus::exited(1);
    k.exit(status).unwrap();
    drop(k);
    assert_eq!(sink.take(), [LwpExit { pid, lid: lid(pid) }, Exit { pid, status }]);
    assert_eq!(Arc::strong_count(&sink), 1, "dropped at the end, not after a grace period");
    assert_empty(&kernel);
}

#[test]
fn a_sink_comes_back_when_it_is_replaced() {
    let kernel = Kernel::new();
    let (one, two) = (Arc::new(Events::default()), Arc::new(Events::default()));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.process().set_trace(Some(one.clone()));
    let before = k.process().set_trace(Some(two.clone())).unwrap();
    assert!(std::ptr::addr_eq(Arc::as_ptr(&before), Arc::as_ptr(&one)));
    drop(before);
    assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (1, 2));
    assert!(k.process().set_trace(None).is_some());
    assert_eq!(Arc::strong_count(&two), 1);
    drop(kernel.new_lwp(k.pid()).unwrap());
    assert_eq!(two.take(), []);
    // init's stays until the kernel goes.
    k.release().unwrap();
    drop(k);
    kernel.enter().unwrap().process().set_trace(Some(one.clone()));
    assert_eq!(Arc::strong_count(&one), 2);
    drop(kernel);
    assert_eq!(Arc::strong_count(&one), 1);
}

/// The hooks run before the sink hears of the end, and still have it.
#[test]
fn the_sink_goes_after_the_hooks() {
    let kernel = Kernel::new();
    let sink = Arc::new(Events::default());
    let seen = Arc::new(Mutex::new(None));
    let (to, weak) = (seen.clone(), Arc::downgrade(&sink));
    kernel.add_exit_hook(move |_| {
        let sink = weak.upgrade().unwrap();
        *to.lock().unwrap() = Some((Arc::strong_count(&sink), sink.take()));
    });
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    k.process().set_trace(Some(sink.clone()));
    k.release().unwrap();
    drop(k);
    assert_eq!(seen.lock().unwrap().take(), Some((3, vec![LwpExit { pid, lid: lid(pid) }])));
    assert_eq!(sink.take(), [Exit { pid, status: ExitStatus::default() }]);
    assert_eq!(Arc::strong_count(&sink), 1);
}

#[test]
fn a_panicking_sink_loses_nothing() {
    let at: [fn(&TraceEvent) -> bool; 5] = [
        |e| matches!(e, Fork { .. }),
        |e| matches!(e, LwpCreate { .. }),
        |e| matches!(e, LwpExit { .. }),
        |e| matches!(e, Exit { .. }),
        |e| matches!(e, Reap { .. }),
    ];
    for policy in [WaitPolicy::AutoReap, WaitPolicy::Wait] {
        for at in at {
            let kernel = Kernel::builder().wait_policy(policy).build().unwrap();
            let mut k = kernel.enter().unwrap();
            k.rfork(Rfork::Fresh).unwrap();
            // Both sinks: the panic of one does not keep the other from hearing it.
            let (one, two) = (Panicking(at, Events::default()), Events::default());
            let (one, two) = (Arc::new(one), Arc::new(two));
            k.process().set_trace(Some(one.clone()));
            kernel.set_trace(Some(two.clone()));
            let mut panics = 0;
            let mut step = |f: &mut dyn FnMut()| {
                panics += usize::from(catch_unwind(AssertUnwindSafe(f)).is_err());
            };
            let pid = k.pid();
            step(&mut || drop(kernel.new_lwp(pid)));
            step(&mut || {
                let own = k.rfork(Rfork::Fresh).unwrap().unwrap();
                k.release().unwrap();
                k.switch(own).unwrap();
            });
            step(&mut || {
                let _ = k.try_wait(WaitTarget::Any);
            });
            step(&mut || {
                if k.curlwp().is_some() {
                    k.release().unwrap();
                }
            });
            let told = one.1.0.lock().unwrap().len();
            assert!(two.0.lock().unwrap().len() >= told);
            kernel.set_trace(Some(one.clone()));
            step(&mut || drop(kernel.spawn().start()));
            let mut k = Some(k);
            step(&mut || drop(k.take()));
            drop(k);
            assert!(panics >= 1, "it was called");
            kernel.set_trace(None);
            drop(kernel.enter());
            assert_empty(&kernel);
            drop(kernel);
            assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (1, 1));
        }
    }
}

/// Sinks come and go while LWPs of the process do.
#[test]
fn sinks_are_replaced_while_events_come() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    let sink = Arc::new(Events::default());
    std::thread::scope(|s| {
        let threads =
            [0; 2].map(|_| s.spawn(|| (0..500).for_each(|_| drop(kernel.new_lwp(pid).unwrap()))));
        for round in 0..500 {
            let new: Option<Arc<dyn TraceSink>> =
                (round % 3 != 0).then(|| sink.clone() as Arc<dyn TraceSink>);
            k.process().set_trace(new.clone());
            kernel.set_trace(new);
        }
        // Their ends too, with what they hand over.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    k.process().set_trace(None);
    kernel.set_trace(None);
    assert_eq!(Arc::strong_count(&sink), 1);
    k.release().unwrap();
    drop(k);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed, "{stats:?}");
}

/// An exec is told when it is done, and a panic of the sink does not undo it.
#[test]
fn an_exec_is_told() {
    let kernel = Kernel::new();
    let events = Arc::new(Panicking(|event| matches!(event, Exec { .. }), Events::default()));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.process().set_trace(Some(events.clone()));
    let pid = k.pid();
    k.drain();
    assert!(catch_unwind(AssertUnwindSafe(|| k.exec("true"))).is_err());
    assert_eq!(events.1.take(), [Exec { pid, comm: k.process().comm() }]);
    assert_eq!(k.process().comm().as_str(), "true");
    assert_eq!(k.exec("again"), Err(ExecError::NotDraining), "it is open again");
    assert_eq!(events.1.take(), []);
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}
