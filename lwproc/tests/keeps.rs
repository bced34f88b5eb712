//! Values of the embedder's that keep the kernel in which they lie: it goes all the same,
//! when its `Kernel`, its LWPs and the handles outside it have gone.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;

/// Counts the hosts that have gone, and with each its kernel.
struct Keeping(Arc<AtomicUsize>);

/// A handle of the kernel's own, or none.
struct Keeper(#[allow(dead_code)] Option<ProcHandle<Keeping>>);

impl Host for Keeping {
    type VmSpace = Keeper;
    type File = Keeper;
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl SyncObject for Keeper {
    fn unsleep(&self, _: Lid) {}
}

impl TraceSink for Keeper {
    fn event(&self, _: &TraceEvent) {}
}

type Context<'e> = Entered<'e, Keeping>;

/// Runs `keep` as a process on a thread that idles afterwards; whether the kernel has gone
/// when its value has.
#[track_caller]
fn goes(keep: impl FnOnce(&Kernel<Keeping>, &mut Context<'_>, Keeper) + Send) {
    let gone = Arc::new(AtomicUsize::new(0));
    let kernel = Kernel::builder().host(Keeping(gone.clone())).build().unwrap();
    let kernel = Arc::new(kernel);
    let ((idle, end), (done, is_done)) = (channel::<()>(), channel::<()>());
    std::thread::scope(|s| {
        let its = kernel.clone();
        s.spawn(move || {
            let mut k = its.enter().unwrap();
            k.rfork(Rfork::Fresh).unwrap();
            let handle = its.pin().proc(k.pid()).unwrap().handle().unwrap();
            keep(&its, &mut k, Keeper(Some(handle)));
            k.release().unwrap();
            drop(k);
            drop(its);
            done.send(()).unwrap();
            let _ = end.recv();
        });
        // Dropped when this fails: the thread goes on.
        let idle = idle;
        is_done.recv().unwrap();
        drop(Arc::into_inner(kernel).unwrap().shutdown());
        assert_eq!(gone.load(SeqCst), 1, "it goes with its value");
        idle.send(()).unwrap();
    });
}

#[test]
fn with_nothing_that_keeps_it() {
    goes(|_, k, _| k.sleep_with(Arc::new(Keeper(None)), || ()).unwrap());
}

#[test]
fn with_a_sync_object() {
    goes(|_, k, keeper| k.sleep_with(Arc::new(keeper), || ()).unwrap());
}

/// Somebody is calling the object when the sleep ends.
#[test]
fn with_a_sync_object_that_is_called_at_the_end() {
    struct Slow(#[allow(dead_code)] Keeper, std::sync::Barrier, std::sync::Barrier);
    impl SyncObject for Slow {
        fn unsleep(&self, _: Lid) {
            self.1.wait();
            self.2.wait();
        }
    }
    goes(|kernel, k, keeper| {
        let barrier = || std::sync::Barrier::new(2);
        let object = Arc::new(Slow(keeper, barrier(), barrier()));
        let (lid, weak) = (k.lid().unwrap(), Arc::downgrade(&object));
        std::thread::scope(|s| {
            let its = object.clone();
            k.sleep_with(object, || {
                s.spawn(move || kernel.pin().lwp(lid).unwrap().unsleep());
                its.1.wait();
            })
            .unwrap();
            let its = weak.upgrade().expect("it is being called");
            its.2.wait();
        });
        assert_eq!(weak.strong_count(), 0);
    });
}

#[test]
fn with_an_open_file_and_an_address_space() {
    goes(|kernel, k, keeper| {
        let again = kernel.pin().proc(k.pid()).unwrap().handle().unwrap();
        let _open = k.files().open(keeper, OnExec::Keep).unwrap();
        drop(kernel.spawn().vmspace(Keeper(Some(again))).start().unwrap());
    });
}

#[test]
fn with_data_under_keys() {
    goes(|kernel, k, keeper| {
        let again = kernel.pin().proc(k.pid()).unwrap().handle().unwrap();
        let (of_proc, of_lwp) = (kernel.proc_key(), kernel.lwp_key());
        drop(k.data().set_proc(of_proc, keeper).unwrap());
        drop(k.data_mut().set_lwp(of_lwp, Keeper(Some(again))).unwrap());
    });
}

#[test]
fn with_an_exit_hook_and_a_sink() {
    goes(|kernel, k, keeper| {
        let again = kernel.pin().proc(k.pid()).unwrap().handle().unwrap();
        kernel.set_trace(Some(Arc::new(Keeper(Some(again)))));
        kernel.add_exit_hook(move |_| _ = &keeper);
    });
}

/// A scope outlives its kernel, and sleeps.
#[cfg(feature = "async")]
#[test]
fn with_a_scope_that_sleeps_later() {
    let gone = Arc::new(AtomicUsize::new(0));
    let kernel = Kernel::builder().host(Keeping(gone.clone())).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let keeper = Keeper(Some(lwp.proc_handle()));
    drop(kernel);
    let mut scope = Box::pin(lwp.scope(async move {
        current_of::<Keeping, _>(|k| k.sleep_with(Arc::new(keeper), || ())).unwrap().unwrap();
    }));
    let ready = scope.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(ready.is_ready());
    drop(scope);
    assert_eq!(gone.load(SeqCst), 1);
}
