//! Panics of the embedder's that come where something is to be given back.

use crate::bench::{Kernel, *};
use lwproc::*;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

struct Object;

impl SyncObject for Object {
    fn unsleep(&self, _: Lid) {}
}

/// What a panic ends leaves nothing: neither asleep, nor without CPU and big lock.
#[track_caller]
fn panics(kernel: &Kernel, k: &mut K<'_>, mut run: impl FnMut(&mut K<'_>)) {
    let before = Snapshot::of(kernel, Some(k));
    for _ in 0..3 {
        catch_unwind(AssertUnwindSafe(|| run(k))).unwrap_err();
        Snapshot::of(kernel, Some(k)).assert_eq(&before, "a panic");
    }
}

#[test]
fn a_panic_in_a_sleep_gives_cpu_and_big_lock_back() {
    let kernel = kernel(|builder| builder.virtual_cpus(NonZeroUsize::MIN));
    let channel = WaitChannel::new();
    let mut k = kernel.enter().unwrap();
    for bound in [false, true] {
        if bound {
            start_as(&mut k, 5);
        }
        for _ in 0..2 {
            k.big_lock().lock().unwrap();
        }
        for at in 1..=2 {
            panics(&kernel, &mut k, |k| {
                let mut asked = 0;
                let condition = || {
                    asked += 1;
                    assert!(asked < at, "planned");
                    None::<()>
                };
                k.sleep_on(&channel, condition).unwrap();
            });
        }
        panics(&kernel, &mut k, |k| {
            k.sleep_with(Arc::new(Object), || panic!("planned")).unwrap();
        });
        assert_eq!((k.big_lock().depth(), k.cpu()), (2, Some(0)));
    }
    leave(k);
    // The channel is nobody's, the CPU and the lock anybody's.
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.big_lock().lock().unwrap();
            let mut asked = 0;
            let third = || {
                channel.wake_one();
                asked += 1;
                (asked == 3).then_some(())
            };
            k.sleep_on(&channel, third).unwrap();
        });
    });
    assert_empty(kernel);
}

struct Loud;

impl Host for Loud {
    type VmSpace = ();
    type File = Noise;
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
}

/// A file that panics when it is closed, and tells that it was.
struct Noise(#[expect(dead_code)] Arc<()>);

impl Drop for Noise {
    fn drop(&mut self) {
        panic!("planned");
    }
}

/// The exec is done all the same: each file is closed, the name is new, the process
/// takes LWPs.
#[test]
fn an_exec_is_done_though_the_files_it_closes_panic() {
    let kernel = lwproc::Kernel::builder().host(Loud).build().unwrap();
    let open = Arc::new(());
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    for flag in [OnExec::Close, OnExec::Keep, OnExec::Close, OnExec::Close] {
        k.files().open(Noise(open.clone()), flag).map_err(|_| ()).unwrap();
    }
    k.drain();
    let execed = catch_unwind(AssertUnwindSafe(|| k.exec("new")));
    assert_eq!(execed.unwrap_err().downcast_ref(), Some(&"planned"));
    assert_eq!((k.files().list(), Arc::strong_count(&open)), (vec![(Fd(1), OnExec::Keep)], 2));
    assert_eq!(k.process().comm().as_str(), "new");
    assert_eq!(k.exec("again"), Err(ExecError::NotDraining), "it is open again");
    drop(kernel.new_lwp(k.pid()).unwrap());
    catch_unwind(AssertUnwindSafe(|| k.files().close(Fd(1)))).unwrap_err();
    k.release().unwrap();
    drop(k);
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2));
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!((stats.retired - stats.freed, Arc::strong_count(&open)), (0, 1));
}
