//! What a process ends with that nobody said anything of, and ending one from outside.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

const DROPPED: ExitStatus = ExitStatus::signaled(9, CoreDump::None);
const PANICKED: ExitStatus = ExitStatus::signaled(6, CoreDump::None);
const OK: ExitStatus = ExitStatus::exited(0);

fn kernel() -> Kernel {
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait);
    builder.signal_model(SigModel::Record).build().unwrap()
}

/// How a new process ends of which this is done to the one LWP.
fn ends_with(kernel: &Kernel, end: impl FnOnce(Lwp)) -> ExitStatus {
    let lwp = kernel.spawn().start().unwrap();
    let handle = lwp.proc_handle();
    end(lwp);
    handle.exit_status().expect("it has ended")
}

/// Panics with what it is given.
fn panic_with<T>(owned: T) {
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let _owned = owned;
        panic!("a guest's");
    }));
    assert!(caught.is_err());
}

/// A thread that is the LWP, does that, and ends.
fn thread(kernel: &Kernel, lwp: Lwp, act: impl FnOnce(&mut Entered<'_>) + Send) {
    let joined = std::thread::scope(|s| {
        let run = move || {
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            act(&mut k);
        };
        s.spawn(run).join()
    });
    let _panicked = joined;
}

#[test]
fn only_who_is_released_has_succeeded() {
    let kernel = kernel();
    assert_eq!(ends_with(&kernel, Lwp::release), OK);
    assert_eq!(ends_with(&kernel, |lwp| thread(&kernel, lwp, |k| k.release().unwrap())), OK);
    assert_eq!(ends_with(&kernel, drop), DROPPED);
    assert_eq!(ends_with(&kernel, panic_with), PANICKED);
    assert_eq!(ends_with(&kernel, |lwp| thread(&kernel, lwp, |_| ())), DROPPED);
    let panics = |_: &mut Entered<'_>| panic!("a guest's");
    assert_eq!(ends_with(&kernel, |lwp| thread(&kernel, lwp, panics)), PANICKED);
    let caught = |k: &mut Entered<'_>| {
        panic_with(());
        k.release().unwrap();
    };
    assert_eq!(ends_with(&kernel, |lwp| thread(&kernel, lwp, caught)), OK);
    let released = |k: &mut Entered<'_>| {
        k.release().unwrap();
        panic!("when it has been released");
    };
    assert_eq!(ends_with(&kernel, |lwp| thread(&kernel, lwp, released)), OK);
}

#[test]
fn what_is_said_counts_more_than_how_the_lwps_go() {
    let (kernel, seven) = (kernel(), ExitStatus::exited(7));
    assert_eq!(ends_with(&kernel, |lwp| lwp.exit(seven)), seven);
    let of_two = |first: fn(Lwp), last: fn(Lwp)| {
        ends_with(&kernel, |lwp| {
            let other = kernel.new_lwp(lwp.pid()).unwrap();
            first(lwp);
            last(other);
        })
    };
    let exit: fn(Lwp) = |lwp| lwp.exit(ExitStatus::exited(7));
    for lost in [drop::<Lwp>, panic_with::<Lwp>] {
        assert_eq!(of_two(exit, lost), seven);
        assert_eq!(of_two(lost, exit), seven);
    }
    // A drop ends one of several; a panic ends the work of all.
    assert_eq!(of_two(drop, Lwp::release), OK);
    assert_eq!(of_two(Lwp::release, drop), DROPPED);
    assert_eq!(of_two(panic_with, Lwp::release), PANICKED);
    assert_eq!(of_two(panic_with, drop), PANICKED);
    let group = |lwp| {
        let other = kernel.new_lwp(Lwp::pid(&lwp)).unwrap();
        thread(&kernel, lwp, |k| k.exit_group(ExitStatus::exited(7)).unwrap());
        panic_with(other);
    };
    assert_eq!(ends_with(&kernel, group), seven);
}

/// Whichever that is: the first LWP may have gone before, or between.
#[test]
fn of_three_lwps_the_last_one_says() {
    let kernel = kernel();
    let codes = [1, 2, 3].map(ExitStatus::exited);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let status = ends_with(&kernel, |first| {
            let further = || Some(kernel.new_lwp(first.pid()).unwrap());
            let [second, third] = [further(), further()];
            let mut lwps = [Some(first), second, third];
            for at in order {
                lwps[at].take().unwrap().exit(codes[at]);
            }
        });
        assert_eq!(status, codes[order[2]], "{order:?}");
    }
}

#[test]
fn what_nobody_says_is_the_embedders_to_say() {
    let [one, two, three, four, five] = [1, 2, 3, 4, 5].map(ExitStatus::exited);
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait);
    let kernel = builder.released(one).dropped(two).panicked(three).build().unwrap();
    assert_eq!(ends_with(&kernel, Lwp::release), one);
    assert_eq!(ends_with(&kernel, drop), two);
    assert_eq!(ends_with(&kernel, panic_with), three);
    let own = |end: fn(Lwp)| {
        ends_with(&kernel, |lwp| {
            lwp.on_drop(four);
            lwp.on_panic(five);
            end(lwp);
        })
    };
    assert_eq!((own(Lwp::release), own(drop), own(panic_with)), (one, four, five));
    // Of this LWP alone.
    let further = |lwp: Lwp| {
        lwp.on_drop(four);
        let other = kernel.new_lwp(lwp.pid()).unwrap();
        drop(lwp);
        drop(other);
    };
    assert_eq!(ends_with(&kernel, further), two);
}

#[cfg(feature = "async")]
#[test]
fn a_scope_ends_as_its_future_does() {
    use std::task::{Context, Waker};
    fn poll<F: Future>(scope: &mut std::pin::Pin<Box<Scope<F>>>) -> bool {
        scope.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
    let kernel = kernel();
    let never_polled = |lwp: Lwp| drop(lwp.scope(std::future::ready(())));
    assert_eq!(ends_with(&kernel, never_polled), DROPPED);
    let aborted = |lwp: Lwp| {
        let mut scope = Box::pin(lwp.scope(std::future::pending::<()>()));
        assert!(!poll(&mut scope));
    };
    assert_eq!(ends_with(&kernel, aborted), DROPPED);
    let ready = |lwp: Lwp| {
        let mut scope = Box::pin(lwp.scope(std::future::ready(())));
        assert!(poll(&mut scope));
    };
    assert_eq!(ends_with(&kernel, ready), OK);
    let panicked = |lwp: Lwp| {
        let mut scope = Box::pin(lwp.scope(async { panic!("a guest's") }));
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut scope)));
        assert!(polled.is_err());
        drop(scope);
    };
    assert_eq!(ends_with(&kernel, panicked), PANICKED);
    let said = |lwp: Lwp| {
        lwp.on_drop(ExitStatus::exited(3));
        drop(lwp.scope(std::future::pending::<()>()));
    };
    assert_eq!(ends_with(&kernel, said), ExitStatus::exited(3));
}

#[test]
fn a_process_ends_at_once_where_nothing_runs() {
    let (kernel, seven) = (kernel(), ExitStatus::exited(7));
    let parked = |lwp: Lwp| {
        let handle = lwp.proc_handle();
        for _ in 0..2 {
            drop(kernel.new_lwp(lwp.pid()).unwrap().unclaim());
        }
        drop(lwp.unclaim());
        assert_eq!((handle.nlwps(), handle.end(seven)), (3, Ok(())));
        assert_eq!(handle.exit_status(), Some(seven));
        assert_eq!(handle.end(OK), Err(EndError::Ended));
    };
    assert_eq!(ends_with(&kernel, parked), seven);
}

#[test]
fn who_runs_is_told_and_woken_when_its_process_is_ended() {
    let (kernel, seven) = (kernel(), ExitStatus::exited(7));
    let channel = WaitChannel::new();
    let lwp = kernel.spawn().start().unwrap();
    let handle = lwp.proc_handle();
    let (lid, owned) = (lwp.lid(), kernel.new_lwp(lwp.pid()).unwrap());
    std::thread::scope(|s| {
        let thread = s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(lwp).unwrap();
            assert_eq!(k.sleep_on(&channel, || None::<()>), Err(Interrupted::Exit));
            assert!(k.must_exit());
        });
        let asleep = || kernel.pin().lwp(lid).map(|lwp| lwp.state()) == Some(LwpState::Sleeping);
        while !asleep() {
            std::thread::yield_now();
        }
        assert_eq!(handle.end(seven), Ok(()));
        assert_eq!(handle.end(OK), Err(EndError::Ended));
        // With what the end of its storage does.
        thread.join().unwrap();
    });
    // The thread has ended; what is owned lives until its owner lets it go.
    assert_eq!((handle.nlwps(), handle.exit_status()), (1, None));
    assert_eq!(handle.new_lwp().err(), Some(NewLwpError::Draining));
    drop(owned.unclaim());
    assert_eq!(handle.exit_status(), Some(seven));
}

#[test]
fn what_has_ended_or_never_ends_is_not_ended() {
    let kernel = kernel();
    for pid in [Pid::KERNEL, Pid::INIT] {
        let handle = kernel.pin().proc(pid).unwrap().handle().unwrap();
        assert_eq!(handle.end(OK), Err(EndError::Permanent));
        assert!(handle.new_lwp().is_ok());
    }
    let ended = |lwp: Lwp| {
        let handle = lwp.proc_handle();
        lwp.release();
        assert_eq!(handle.end(DROPPED), Err(EndError::Ended));
    };
    assert_eq!(ends_with(&kernel, ended), OK);
}

#[test]
fn sigkill_ends_what_it_is_sent_to() {
    let kernel = kernel();
    let sent = |send: &dyn Fn(&mut Entered<'_>, &ProcHandle, Lid)| {
        ends_with(&kernel, |lwp| {
            let (handle, lid) = (lwp.proc_handle(), lwp.lid());
            drop((kernel.new_lwp(lwp.pid()).unwrap().unclaim(), lwp.unclaim()));
            send(&mut kernel.enter().unwrap(), &handle, lid);
            assert!(!handle.is_alive());
        })
    };
    let kill = |target| move |k: &mut Entered<'_>| k.signals().kill(target, 9).unwrap();
    assert_eq!(sent(&|k, p, _| kill(KillTarget::Proc(p.pid()))(k)), DROPPED);
    assert_eq!(sent(&|k, _, l| kill(KillTarget::Lwp(l))(k)), DROPPED);
    assert_eq!(sent(&|k, p, _| p.signal(k, 9).unwrap()), DROPPED);
    assert_eq!(sent(&|_, p, _| kernel.pin().proc(p.pid()).unwrap().post(Signo::KILL)), DROPPED);
    assert_eq!(sent(&|k, _, _| kill(KillTarget::All)(k)), DROPPED);
    let lwp = kernel.spawn().group(SpawnGroup::New).start().unwrap();
    let (handle, pgid) = (lwp.proc_handle(), lwp.pid());
    drop(lwp.unclaim());
    kernel.pin().pgrp(pgid).unwrap().post(Signo::KILL);
    assert_eq!(handle.exit_status(), Some(DROPPED));

    // Who runs as it is told, and nothing that it says counts; it can see why.
    let killed = |k: &mut Entered<'_>| {
        kill(KillTarget::Proc(k.pid()))(k);
        assert!(k.must_exit() && k.signals().has_pending());
        assert_eq!(k.signals().take(), Some(Signo::KILL));
        k.exit(ExitStatus::exited(3)).unwrap();
    };
    assert_eq!(ends_with(&kernel, |lwp| thread(&kernel, lwp, killed)), DROPPED);
    // The first word counts, and init is exempt.
    let exited = |k: &mut Entered<'_>| {
        k.exit_group(ExitStatus::exited(3)).unwrap();
        kill(KillTarget::Proc(k.pid()))(k);
    };
    let three = ends_with(&kernel, |lwp| thread(&kernel, lwp, exited));
    assert_eq!(three, ExitStatus::exited(3));
    let mut k = kernel.enter().unwrap();
    kill(KillTarget::Proc(Pid::INIT))(&mut k);
    assert_eq!(k.signals().take(), Some(Signo::KILL));
    assert!(k.hold().is_ok());
}

#[test]
fn sigkill_is_what_the_model_of_signals_makes_of_it() {
    let kernel = Kernel::new();
    let lwp = kernel.spawn().start().unwrap();
    let handle = lwp.proc_handle();
    let parked = lwp.unclaim();
    let k = kernel.enter().unwrap();
    k.signals().kill(KillTarget::Proc(handle.pid()), 9).unwrap();
    assert!(handle.is_alive() && parked.claim().is_ok());
}

/// Notes what the process is when its LWP is woken.
struct Looks(Arc<Kernel>, Pid, Arc<Mutex<Vec<ProcState>>>);

impl SyncObject for Looks {
    fn unsleep(&self, _: Lid) {
        let state = self.0.pin().proc(self.1).map(|proc| proc.state());
        self.2.lock().unwrap().extend(state);
    }
}

/// Whoever wakes from a SIGKILL finds that its process ends, and how.
#[test]
fn a_sleeper_wakes_from_sigkill_to_a_process_that_ends() {
    let (kernel, seen) = (Arc::new(kernel()), Arc::default());
    let lwp = kernel.spawn().start().unwrap();
    let (handle, pid) = (lwp.proc_handle(), lwp.pid());
    let mut k = kernel.enter().unwrap();
    k.switch(lwp).unwrap();
    let object = Arc::new(Looks(kernel.clone(), pid, Arc::clone(&seen)));
    k.sleep_with(object, || kernel.pin().proc(pid).unwrap().post(Signo::KILL)).unwrap();
    assert!(k.must_exit());
    k.release().unwrap();
    drop(k);
    assert_eq!(seen.lock().unwrap().first(), Some(&ProcState::Draining));
    assert_eq!(handle.exit_status(), Some(DROPPED));
}
