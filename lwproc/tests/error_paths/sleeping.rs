//! Sleeps that are interrupted, and what needs a process that drains.

use crate::becoming::Become;
use crate::bench::{Kernel, *};
use lwproc::*;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const TERM: i32 = 15;

/// Sleeps, and is called what its object holds.
struct Object(#[expect(dead_code)] Value);

impl SyncObject for Object {
    fn unsleep(&self, _: Lid) {}
}

/// An LWP that holds the big lock twice, in a kernel of one virtual CPU.
fn kernel_of_one_cpu() -> Kernel {
    kernel(|b| b.virtual_cpus(NonZeroUsize::MIN).signal_model(SigModel::Record))
}

/// A sleep is refused, in each way to sleep.
fn sleeps(forced: &mut Forced, kernel: &Kernel, k: &mut K<'_>, why: Interrupted) {
    let (channel, host) = (WaitChannel::new(), kernel.host());
    forced.refused(kernel, k, why, |k| k.sleep_on(&channel, || None::<()>));
    forced.refused(kernel, k, why, |k| {
        k.sleep_with(Arc::new(Object(host.other())), || unreachable!("not slept"))
    });
}

pub fn sleep(forced: &mut Forced) {
    let kernel = kernel_of_one_cpu();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    for _ in 0..2 {
        k.big_lock().lock().unwrap();
    }
    // Ended by somebody, once it sleeps.
    let channel = WaitChannel::new();
    let lid = k.lid().unwrap();
    forced.refused(&kernel, &mut k, Interrupted::Unslept, |k| {
        let mut asked = 0;
        k.sleep_on(&channel, || {
            asked += 1;
            if asked == 2 {
                let guard = kernel.pin();
                assert_eq!(guard.lwp(lid).unwrap().unsleep(), Unslept::Woken);
            }
            None::<()>
        })
    });
    // Nothing comes, and there is no time.
    forced.refused(&kernel, &mut k, Interrupted::TimedOut, |k| {
        k.until(Duration::ZERO).sleep_on(&channel, || None::<()>)
    });
    k.signals().kill(KillTarget::Proc(k.pid()), TERM).unwrap();
    sleeps(forced, &kernel, &mut k, Interrupted::Signal);
    k.signals().take().unwrap();
    // Its process drains, by another LWP.
    let first = k.become_new_lwp(k.pid()).unwrap().unwrap();
    k.drain();
    let second = k.switch(first).unwrap().unwrap();
    assert!(k.must_exit());
    sleeps(forced, &kernel, &mut k, Interrupted::Exit);
    // The channel is as new: nobody is left in it.
    drop(second);
    let done = AtomicUsize::new(0);
    k.reopen();
    let seen = k.sleep_on(&channel, || {
        channel.wake_one();
        (done.fetch_add(1, SeqCst) == 3).then_some(())
    });
    assert_eq!(seen, Ok(()));
    leave(k);
    assert_empty(kernel);
}

pub fn alone(forced: &mut Forced) {
    let kernel = kernel_of_one_cpu();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.big_lock().lock().unwrap();
    let handle = kernel.pin().proc(k.pid()).unwrap().handle().unwrap();
    let other = kernel.new_lwp(k.pid()).unwrap();
    let why = AloneError::NotDraining;
    forced.refused(&kernel, &mut k, why, |k| k.wait_alone());
    forced.refused(&kernel, &mut k, why, |_| handle.drained().block());
    k.drain();
    let why = AloneError::TimedOut;
    forced.refused(&kernel, &mut k, why, |k| k.until(Duration::ZERO).wait_alone());
    forced.refused(&kernel, &mut k, why, |_| handle.drained().block_until(Duration::ZERO));
    k.signals().kill(KillTarget::Proc(k.pid()), TERM).unwrap();
    forced.refused(&kernel, &mut k, AloneError::Interrupted, |k| k.wait_alone());
    drop(other);
    assert_eq!((k.wait_alone(), handle.drained().block()), (Ok(()), Ok(())));
    drop(handle);
    leave(k);
    assert_empty(kernel);
}

pub fn exec(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.process().set_comm("old");
    let file = kernel.host().file();
    k.files().open(file, OnExec::Close).unwrap();
    forced.refused(&kernel, &mut k, ExecError::NotDraining, |k| k.exec("new"));
    let other = kernel.new_lwp(k.pid()).unwrap();
    k.drain();
    let why = ExecError::NotAlone { nlwps: 2 };
    forced.refused(&kernel, &mut k, why, |k| k.exec("new"));
    drop(other);
    kernel.set_limits_policy(LimitsPolicy::default().with_nproc(Enforcement::Enforced));
    let child = k.spawn().files(Rfork::Fresh).start().unwrap();
    k.resources().set_limit(Resource::Nproc, Limit::both(0)).unwrap();
    forced.refused(&kernel, &mut k, ExecError::Limit, |k| k.exec("new"));
    drop(child);
    forced.refused(&kernel, &mut k, ExecError::Limit, |k| k.exec("new"));
    k.try_wait(WaitTarget::Any).unwrap().expect("a zombie counts");
    k.exec("new").unwrap();
    assert_eq!((k.process().comm().as_str(), k.files().list().len()), ("new", 0));
    let other = kernel.new_lwp(k.pid()).unwrap();
    k.exit_group(ExitStatus::exited(1)).unwrap();
    k.switch(other).unwrap();
    forced.refused(&kernel, &mut k, ExecError::Exiting, |k| k.exec("newer"));
    leave(k);
    assert_empty(kernel);
}
