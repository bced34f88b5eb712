//! Draining, exec, and the exit of a whole process.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

fn kernel() -> Kernel {
    Kernel::builder().signal_model(SigModel::Record).build().unwrap()
}

#[track_caller]
fn assert_empty<H: Host>(kernel: &Kernel<H>) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2));
}

#[test]
fn a_drain_tells_the_others_and_reopen_takes_it_back() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    let other = k.become_new_lwp(pid).unwrap().unwrap();
    assert!(!k.must_exit());
    k.drain();
    assert!(!k.must_exit(), "not who drains");
    assert_eq!(kernel.new_lwp(pid).unwrap_err(), NewLwpError::Draining);
    assert_eq!(NewLwpError::Draining.errno(), Errno::EBUSY);
    let own = k.switch(other).unwrap().unwrap();
    assert!(k.must_exit());
    let other = k.switch(own).unwrap().unwrap();
    k.reopen();
    drop(kernel.new_lwp(pid).unwrap());
    let own = k.switch(other).unwrap().unwrap();
    assert!(!k.must_exit());
    k.drain();
    drop(k.switch(own).unwrap().unwrap());
    assert!(k.must_exit());
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn implicit_contexts_drain_init_and_need_not_exit() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.exit_group(ExitStatus::exited(1)), Err(ReleaseError::NotPertinent));
    k.drain();
    assert!(!k.must_exit());
    assert_eq!(k.wait_alone(), Ok(()), "init's own LWP");
    assert_eq!(k.hold(), Err(HoldError::Draining));
    k.exec("other").unwrap();
    assert_eq!(k.process().comm().as_str(), "other");
    k.hold().unwrap();
    assert!(!k.must_exit());
    k.unhold().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn execnotify_needs_a_drain_and_to_be_alone() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let pid = k.pid();
    let child = k.switch(parent).unwrap().unwrap();
    assert_eq!(k.groups().setpgid(pid, pid), Ok(()), "a parent moves its child");
    let parent = k.switch(child).unwrap().unwrap();
    let refused = |k: &mut Entered<'_>| k.exec("new").unwrap_err();
    assert_eq!(refused(&mut k), ExecError::NotDraining);
    let other = kernel.new_lwp(pid).unwrap();
    k.drain();
    assert_eq!(refused(&mut k), ExecError::NotAlone { nlwps: 2 });
    for error in [ExecError::NotDraining, ExecError::NotAlone { nlwps: 2 }] {
        assert_eq!(error.errno(), Errno::EBUSY);
    }
    assert_ne!(k.process().comm().as_str(), "new", "nothing has changed");
    drop(other);
    k.exec("new").unwrap();
    assert_eq!(k.process().comm().as_str(), "new");
    let guard = kernel.pin();
    assert_eq!(guard.proc(pid).unwrap().state(), ProcState::Active, "open again");
    drop(guard);
    drop(kernel.new_lwp(pid).unwrap());
    assert_eq!(refused(&mut k), ExecError::NotDraining);
    let _child = k.switch(parent).unwrap();
    assert_eq!(
        k.groups().setpgid(pid, pid),
        Err(GroupError::HasExeced),
        "and no longer when it has execed"
    );
}

#[test]
fn wait_alone_returns_when_the_others_have_gone() {
    let kernel = kernel();
    for _ in 0..200 {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Share).unwrap();
        assert_eq!(k.wait_alone(), Err(AloneError::NotDraining));
        let others = [(); 3].map(|()| kernel.new_lwp(k.pid()).unwrap());
        k.drain();
        std::thread::scope(|s| {
            for lwp in others {
                s.spawn(|| drop(lwp));
            }
            assert_eq!(k.wait_alone(), Ok(()));
        });
        let guard = kernel.pin();
        assert_eq!(guard.proc(k.pid()).unwrap().nlwps(), 1);
        drop(guard);
        k.exec("new").unwrap();
        k.release().unwrap();
    }
    assert_eq!(AloneError::NotDraining.errno(), Errno::EINVAL);
    assert_eq!(AloneError::Interrupted.errno(), Errno::EINTR);
    assert_empty(&kernel);
}

#[test]
fn wait_alone_is_interrupted() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    let other = kernel.new_lwp(pid).unwrap();
    k.drain();
    std::thread::scope(|s| {
        let kernel = &kernel;
        // By a signal.
        s.spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), 15).unwrap();
        });
        assert_eq!(k.wait_alone(), Err(AloneError::Interrupted));
        assert_eq!(k.wait_alone(), Err(AloneError::Interrupted), "it is still pending");
        assert_eq!(k.signals().take(), Some(Signo::TERM));
        // By the drain of the other LWP.
        s.spawn(move || {
            let mut k = kernel.enter().unwrap();
            k.switch(other).unwrap();
            assert!(k.must_exit());
            std::thread::sleep(Duration::from_millis(20));
            k.drain();
            k.release().unwrap();
        });
        let first = k.wait_alone();
        assert!(matches!(first, Err(AloneError::Interrupted)) && k.must_exit() || first.is_ok());
    });
    k.reopen();
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn reopen_ends_the_wait_to_be_alone() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let other = kernel.new_lwp(k.pid()).unwrap();
    k.drain();
    std::thread::scope(|s| {
        let kernel = &kernel;
        s.spawn(move || {
            let mut k = kernel.enter().unwrap();
            k.switch(other).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            k.reopen();
            assert!(!k.must_exit());
        });
        assert_eq!(k.wait_alone(), Err(AloneError::NotDraining));
    });
}

#[test]
fn exit_group_releases_the_parked_and_tells_the_others() {
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait);
    let kernel = builder.build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let pid = k.pid();
    let parked: Vec<_> = (0..3).map(|_| kernel.new_lwp(pid).unwrap().unclaim()).collect();
    let owned = kernel.new_lwp(pid).unwrap();
    k.hold().unwrap();
    assert_eq!(k.exit_group(ExitStatus::exited(1)), Err(ReleaseError::Held { holds: 1 }));
    assert!(parked.iter().all(|l| l.state() == LwpState::Parked), "nothing has changed");
    k.unhold().unwrap();
    k.exit_group(ExitStatus::exited(7)).unwrap();
    assert!(k.curlwp().is_none() && k.must_exit());
    assert!(parked.iter().all(|l| l.state() == LwpState::Gone));
    assert_eq!(k.exit_group(ExitStatus::exited(1)), Err(ReleaseError::NotPertinent));
    k.switch(owned).unwrap();
    assert!(k.must_exit());
    k.release().unwrap();
    k.switch(parent).unwrap();
    let reaped = k.try_wait(WaitTarget::Any).unwrap().unwrap();
    assert_eq!((reaped.pid, reaped.status), (pid, ExitStatus::exited(7)));
    k.release().unwrap();
    drop((k, parked));
    assert_empty(&kernel);
}

#[derive(Default)]
struct Panics(AtomicBool, AtomicUsize);

impl Host for Panics {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
    fn destroy(&self, _: LwpToken) {
        self.1.fetch_add(1, SeqCst);
        assert!(!self.0.load(SeqCst), "the host panics");
    }
}

#[test]
fn a_panic_of_the_host_does_not_stop_exit_group() {
    let kernel = Kernel::builder().host(Panics::default()).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parked = [(); 3].map(|()| kernel.new_lwp(k.pid()).unwrap().unclaim());
    kernel.host().0.store(true, SeqCst);
    let panicked = catch_unwind(AssertUnwindSafe(|| k.exit_group(ExitStatus::exited(1))));
    kernel.host().0.store(false, SeqCst);
    assert!(panicked.is_err());
    assert_eq!(kernel.host().1.load(SeqCst), 3);
    assert!(parked.iter().all(|l| l.state() == LwpState::Gone) && k.curlwp().is_none());
    drop((k, parked));
    assert_empty(&kernel);
}

/// LWPs come, sleep, are parked and claimed while the process exits: all of them learn
/// of it, and nothing is left.
#[test]
fn exit_group_in_a_storm() {
    let kernel = kernel();
    for _ in 0..100 {
        let lwp = kernel.spawn().start().unwrap();
        let pid = lwp.pid();
        let (start, channel) = (Barrier::new(4), WaitChannel::new());
        std::thread::scope(|s| {
            // Comes and goes.
            s.spawn(|| {
                start.wait();
                let mut refused = false;
                while !refused {
                    match kernel.new_lwp(pid) {
                        Ok(lwp) => drop(lwp),
                        Err(why) => {
                            refused = true;
                            assert!(matches!(
                                why,
                                NewLwpError::Draining | NewLwpError::NoSuchProcess
                            ));
                        }
                    }
                }
            });
            // Sleeps until it is told.
            let sleeper = kernel.new_lwp(pid).unwrap();
            s.spawn(|| {
                let mut k = kernel.enter().unwrap();
                k.switch(sleeper).unwrap();
                start.wait();
                assert_eq!(k.sleep_on(&channel, || None::<()>), Err(Interrupted::Exit));
                assert!(k.must_exit());
                k.release().unwrap();
            });
            // Parks, and claims again unless the exit has got it.
            let parker = kernel.new_lwp(pid).unwrap();
            s.spawn(|| {
                start.wait();
                let mut lwp = parker;
                loop {
                    let handle = lwp.unclaim();
                    match handle.claim() {
                        Ok(claimed) => lwp = claimed,
                        Err(ClaimError::Exiting) => break,
                        // The exit has it, and has not yet released it.
                        Err(_) => break,
                    }
                    let mut k = kernel.enter().unwrap();
                    k.switch(lwp).unwrap();
                    if k.must_exit() {
                        k.release().unwrap();
                        break;
                    }
                    lwp = k.unbind().unwrap().unwrap();
                }
            });
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            start.wait();
            k.exit_group(ExitStatus::exited(1)).unwrap();
        });
        assert_empty(&kernel);
    }
}

#[test]
fn of_two_that_drain_the_one_that_began_goes_on() {
    let kernel = Kernel::new();
    let one = kernel.spawn().start().unwrap();
    let other = kernel.new_lwp(one.pid()).unwrap();
    let mut k = kernel.enter().unwrap();
    k.switch(one).unwrap();
    assert_eq!(k.drain(), Drain::Begun);
    let one = k.switch(other).unwrap().unwrap();
    assert_eq!(k.drain(), Drain::Already);
    assert!(k.must_exit());
    let other = k.switch(one).unwrap().unwrap();
    assert!(!k.must_exit(), "told by the one that came second");
    drop(other);
    assert_eq!((k.wait_alone(), k.exec("ls")), (Ok(()), Ok(())));
}

#[test]
fn an_exec_gives_the_saved_ids_up() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    k.creds().set(&CredChange::SetResgid(Some(5), Some(6), Some(7))).unwrap();
    k.creds().set(&CredChange::SetResuid(Some(1000), Some(1001), Some(0))).unwrap();
    k.drain();
    k.exec("ls").unwrap();
    let ids = |ids: IdSet| (ids.real, ids.effective, ids.saved);
    assert_eq!(ids(k.cred().users()), (1000, 1001, 1001));
    assert_eq!(ids(k.cred().groups()), (5, 6, 6));
    assert_eq!(k.creds().set(&CredChange::SetEuid(0)), Err(CredError::NotPermitted));
}
