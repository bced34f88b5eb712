//! Job control by the kernel: what stops a process, what continues it, who is told.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/jobs.rs"]
mod common;

use common::{job, kill, linux, shell, signo, state};
use lwproc::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Linux's numbers.
const KILL: i32 = 9;
const HUP: i32 = 1;
const TERM: i32 = 15;
const CHLD: i32 = 17;
const CONT: i32 = 18;
const STOP: i32 = 19;
const TSTP: i32 = 20;
const TTIN: i32 = 21;

const BOTH: [WaitEvents; 2] = [WaitEvents::STOPPED, WaitEvents::CONTINUED];

fn found(k: &Entered<'_>, pid: Pid, events: WaitEvents) -> Option<ChildEvent> {
    let found = k.try_wait(WaitTarget::Pid(pid).events(events)).unwrap();
    found.map(|child| child.event)
}

/// What the LWP can take and does, as the thread; the thread is what it was before then.
fn take_as(k: &mut Entered<'_>, lwp: Lwp) -> (Lwp, Vec<i32>) {
    let own = k.switch(lwp).unwrap().unwrap();
    let taken = std::iter::from_fn(|| k.signals().take()).map(|s| s.number().into()).collect();
    (k.switch(own).unwrap().unwrap(), taken)
}

#[test]
fn a_stop_and_a_continuation_are_found_once_each() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let [stopped, continued] = BOTH;
    for signal in [STOP, TSTP, TTIN] {
        kill(&k, child.pid(), signal);
        assert_eq!(state(&kernel, child.pid()), ProcState::Stopped);
        let event = ChildEvent::Stopped(signo(signal));
        assert_eq!(found(&k, child.pid(), continued), None);
        let peek = WaitTarget::Any.events(stopped).peek();
        assert_eq!(k.wait(peek).unwrap().event, event);
        assert_eq!(found(&k, child.pid(), stopped | continued), Some(event));
        assert_eq!(found(&k, child.pid(), stopped | continued), None, "taken");
        // Once more changes nothing.
        kill(&k, child.pid(), STOP);
        assert_eq!(found(&k, child.pid(), stopped), None);
        kill(&k, child.pid(), CONT);
        assert_eq!(state(&kernel, child.pid()), ProcState::Active);
        assert_eq!(found(&k, child.pid(), stopped), None);
        assert_eq!(found(&k, child.pid(), stopped | continued), Some(ChildEvent::Continued));
        assert_eq!(found(&k, child.pid(), stopped | continued), None, "taken");
        kill(&k, child.pid(), CONT);
        assert_eq!(found(&k, child.pid(), continued), None, "it was not stopped");
    }
}

#[test]
fn a_notice_that_nobody_took_is_replaced_by_the_next() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let [stopped, continued] = BOTH;
    kill(&k, child.pid(), STOP);
    kill(&k, child.pid(), CONT);
    assert_eq!(found(&k, child.pid(), stopped), None);
    kill(&k, child.pid(), TSTP);
    assert_eq!(found(&k, child.pid(), continued), None);
    assert_eq!(found(&k, child.pid(), stopped), Some(ChildEvent::Stopped(signo(TSTP))));
    // The end takes all with it.
    kill(&k, child.pid(), CONT);
    let pid = child.pid();
    child.exit(ExitStatus::exited(3));
    assert_eq!(
        k.try_wait(WaitTarget::Pid(pid).events(stopped | continued)),
        Err(WaitError::NoChild),
        "only its end can be waited for"
    );
    let all = WaitTarget::Any.events(stopped | continued | WaitEvents::EXITED);
    let end = k.wait(all).unwrap();
    assert_eq!((end.event, end.status), (ChildEvent::Ended, ExitStatus::exited(3)));
}

#[test]
fn status_words_are_those_of_wait() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let [stopped, continued] = BOTH;
    let word = |k: &Entered<'_>| {
        let events = stopped | continued | WaitEvents::EXITED;
        k.wait(WaitTarget::Any.events(events)).unwrap().as_wait_status()
    };
    kill(&k, child.pid(), STOP);
    let status = word(&k);
    assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == STOP);
    kill(&k, child.pid(), CONT);
    assert!(libc::WIFCONTINUED(word(&k)));
    kill(&k, child.pid(), KILL);
    drop(child);
    let status = word(&k);
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == KILL);
}

#[test]
fn a_wait_without_ends_has_no_child_when_all_have_ended() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let [a, b] = [0; 2].map(|_| job(&mut k));
    let stops = WaitTarget::Any.events(WaitEvents::STOPPED);
    a.release();
    assert_eq!(k.try_wait(stops), Ok(None), "one lives");
    b.release();
    assert_eq!(k.try_wait(stops), Err(WaitError::NoChild));
    assert_eq!(k.wait(stops), Err(WaitError::NoChild), "and it does not sleep");
    k.wait(WaitTarget::Any).unwrap();
}

#[test]
fn a_wait_that_sleeps_is_woken_by_either() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    std::thread::scope(|s| {
        for (signal, events) in [(STOP, WaitEvents::STOPPED), (CONT, WaitEvents::CONTINUED)] {
            let kernel = &kernel;
            let sender = s.spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                kill(&kernel.enter().unwrap(), pid, signal);
            });
            // The SIGCHLD for it does nothing by default, and interrupts nobody.
            assert_eq!(k.wait(WaitTarget::Any.events(events)).unwrap().pid, pid);
            sender.join().unwrap();
        }
    });
}

#[test]
fn lwps_stop_at_entry_at_the_end_of_a_sleep_and_when_they_take() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    let [other, third] = [0; 2].map(|_| kernel.new_lwp(pid).unwrap());
    let channel = WaitChannel::new();
    let [go, ready, passed] = [0; 3].map(AtomicUsize::new);
    let wait_for = |count: &AtomicUsize, at_least| {
        while count.load(SeqCst) < at_least {
            std::thread::yield_now();
        }
    };
    let blocks_term = |k: &Entered<'_>| k.signals().set_blocked(signo(TERM).into()).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut of_child = kernel.enter_as(child).unwrap();
            blocks_term(&of_child);
            ready.fetch_add(1, SeqCst);
            of_child.sleep_on(&channel, || (go.load(SeqCst) != 0).then_some(())).unwrap();
            passed.fetch_add(1, SeqCst);
            of_child.release().unwrap();
        });
        s.spawn(|| {
            blocks_term(&kernel.enter_as(other).unwrap());
            ready.fetch_add(1, SeqCst);
            wait_for(&go, 1);
            let mut of_child = kernel.enter().unwrap();
            passed.fetch_add(1, SeqCst);
            of_child.release().unwrap();
        });
        s.spawn(|| {
            let mut of_child = kernel.enter_as(third).unwrap();
            ready.fetch_add(1, SeqCst);
            wait_for(&go, 1);
            assert!(of_child.signals().has_pending());
            assert_eq!(of_child.signals().take(), Some(Signo::TERM));
            passed.fetch_add(1, SeqCst);
            of_child.release().unwrap();
        });
        wait_for(&ready, 3);
        std::thread::sleep(Duration::from_millis(20));
        kill(&k, pid, STOP);
        // It can be taken when the process goes on, and does not make it go on.
        kill(&k, pid, TERM);
        go.store(1, SeqCst);
        channel.wake_all();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(passed.load(SeqCst), 0, "all three are stopped");
        kill(&k, pid, CONT);
    });
    assert_eq!(passed.load(SeqCst), 3);
    assert_eq!(k.wait(WaitTarget::Any).unwrap().pid, pid);
}

#[test]
fn an_entry_into_a_stopped_process_has_a_deadline() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    let [ready, timed_out] = [0; 2].map(|_| AtomicBool::new(false));
    let wait_for = |flag: &AtomicBool| {
        while !flag.load(SeqCst) {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|s| {
        s.spawn(|| {
            drop(kernel.enter_as(child).unwrap());
            ready.store(true, SeqCst);
            while state(&kernel, pid) != ProcState::Stopped {
                std::thread::yield_now();
            }
            let soon = kernel.now() + Duration::from_millis(5);
            assert_eq!(kernel.enter_until(soon).map(drop).unwrap_err(), EnterError::TimedOut);
            timed_out.store(true, SeqCst);
            // It stops at the next look all the same; killed, it stops no more.
            assert!(kernel.enter().unwrap().must_exit());
        });
        wait_for(&ready);
        kill(&k, pid, STOP);
        wait_for(&timed_out);
        std::thread::sleep(Duration::from_millis(10));
        kill(&k, pid, KILL);
    });
    let end = k.wait(WaitTarget::Any).unwrap();
    assert_eq!(end.status, ExitStatus::signaled(9, CoreDump::None));
}

#[test]
fn sigkill_ends_a_stopped_process_at_once() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let pid = job(&mut k).unclaim().pid();
    kill(&k, pid, STOP);
    kill(&k, pid, KILL);
    let all = WaitEvents::EXITED | WaitEvents::STOPPED | WaitEvents::CONTINUED;
    let end = k.wait(WaitTarget::Any.events(all)).unwrap();
    assert_eq!((end.pid, end.event), (pid, ChildEvent::Ended));
}

#[test]
fn stops_and_continuations_discard_each_other() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    let own = k.switch(child).unwrap().unwrap();
    for signal in [CONT, TSTP, TTIN] {
        k.signals().set_disposition(signal, Disposition::Catch).unwrap();
    }
    let own_lwp = KillTarget::LwpOf(pid, k.lid().unwrap());
    for by_lwp in [false, true] {
        let send = |k: &Entered<'_>, signal| {
            let target = if by_lwp { own_lwp } else { KillTarget::Proc(pid) };
            k.signals().kill(target, signal).unwrap();
        };
        send(&k, TSTP);
        send(&k, TTIN);
        send(&k, CONT);
        assert_eq!(k.signals().take(), Some(signo(CONT)), "by_lwp: {by_lwp}");
        assert_eq!(k.signals().take(), None);
        send(&k, CONT);
        send(&k, TTIN);
        assert_eq!(k.signals().take(), Some(signo(TTIN)), "by_lwp: {by_lwp}");
        assert_eq!(k.signals().take(), None);
    }
    // Across the sets of the process and of its LWP.
    k.signals().kill(own_lwp, TSTP).unwrap();
    kill(&k, pid, CONT);
    k.signals().kill(own_lwp, TTIN).unwrap();
    assert_eq!(k.signals().pending(), signo(TTIN).into());
    k.switch(own).unwrap();
}

#[test]
fn a_blocked_stop_stops_when_it_is_taken() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    let mut own = k.switch(child).unwrap();
    k.signals().set_blocked(signo(TSTP).into()).unwrap();
    kill(&k, pid, TSTP);
    assert_eq!(state(&kernel, pid), ProcState::Active);
    assert_eq!(k.signals().pending(), signo(TSTP).into());
    k.signals().set_blocked(SigSet::EMPTY).unwrap();
    let mut continued = false;
    std::thread::scope(|s| {
        s.spawn(|| {
            while state(&kernel, pid) != ProcState::Stopped {
                std::thread::yield_now();
            }
            continued = true;
            kill(&kernel.enter().unwrap(), pid, CONT);
        });
        assert_eq!(k.signals().take(), None);
    });
    assert!(continued);
    k.switch(own.take().unwrap()).unwrap();
}

#[test]
fn what_is_ignored_or_does_nothing_is_not_kept() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    kill(&k, pid, CHLD);
    kill(&k, pid, CONT);
    let (child, taken) = take_as(&mut k, child);
    assert_eq!(taken, [], "by default they do nothing");
    let own = k.switch(child).unwrap().unwrap();
    let before = k.signals().set_disposition(TERM, Disposition::Ignore);
    assert_eq!(before, Ok(Disposition::Default));
    k.signals().set_disposition(TSTP, Disposition::Ignore).unwrap();
    k.signals().set_disposition(HUP, Disposition::Catch).unwrap();
    for signal in [TERM, TSTP, HUP] {
        kill(&k, pid, signal);
    }
    assert_eq!(state(&kernel, pid), ProcState::Active);
    assert_eq!(k.signals().pending(), signo(HUP).into());
    // Blocked, it is kept until it is ignored once more.
    k.signals().set_blocked(signo(TERM).into()).unwrap();
    kill(&k, pid, TERM);
    assert!(k.signals().pending().contains(signo(TERM)));
    k.signals().set_disposition(TERM, Disposition::Ignore).unwrap();
    assert_eq!(k.signals().pending(), signo(HUP).into());
    // A child does as its parent, and another program catches nothing.
    let grandchild = k.spawn().start().unwrap();
    let of_child = k.switch(grandchild).unwrap().unwrap();
    assert_eq!(k.signals().disposition(HUP), Ok(Disposition::Catch));
    assert_eq!(k.signals().disposition(TERM), Ok(Disposition::Ignore));
    let _begun = k.drain();
    k.exec("other").unwrap();
    assert_eq!(k.signals().disposition(HUP), Ok(Disposition::Default));
    assert_eq!(k.signals().disposition(TERM), Ok(Disposition::Ignore));
    drop(k.switch(of_child).unwrap());
    k.switch(own).unwrap();
}

#[test]
fn children_of_one_that_ignores_sigchld_leave_no_zombies() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let [first, second] = [0; 2].map(|_| job(&mut k));
    // One that has ended before stays.
    let earlier = first.pid();
    first.exit(ExitStatus::exited(3));
    k.signals().set_disposition(CHLD, Disposition::Ignore).unwrap();
    let (pid, ids) = (second.pid(), kernel.counts().ids);
    second.release();
    assert!(kernel.pin().proc(pid).is_none());
    assert_eq!(kernel.counts().ids, ids - 1);
    assert_eq!(k.wait(WaitTarget::Any).unwrap().pid, earlier);
    assert_eq!(k.try_wait(WaitTarget::Any), Err(WaitError::NoChild));
    // A wait sleeps until all are gone. It is inherited, and survives an exec.
    let child = k.spawn().start().unwrap();
    let own = k.switch(child).unwrap().unwrap();
    let _begun = k.drain();
    k.exec("other").unwrap();
    let grandchildren = [0; 2].map(|_| k.spawn().start().unwrap());
    std::thread::scope(|s| {
        s.spawn(|| {
            for grandchild in grandchildren {
                std::thread::sleep(Duration::from_millis(10));
                grandchild.exit(ExitStatus::exited(1));
            }
        });
        assert_eq!(k.wait(WaitTarget::Any), Err(WaitError::NoChild));
    });
    assert_eq!(kernel.counts().zombies, 0);
    drop(k.switch(own).unwrap());
}

#[test]
fn dispositions_are_refused_where_nobody_keeps_them() {
    let kernel = linux();
    let k = kernel.enter().unwrap();
    for bad in [i32::MIN, -1, 0, KILL, STOP, 65, i32::MAX] {
        let refused = Err(DispositionError::BadSignal { signo: bad });
        assert_eq!(k.signals().set_disposition(bad, Disposition::Catch), refused);
        assert_eq!(k.signals().disposition(bad), refused);
    }
    drop(k);
    let seeds = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let k = seeds.enter().unwrap();
    assert_eq!(k.signals().disposition(TERM), Err(DispositionError::NotKept));
}

#[test]
fn by_the_rules_of_the_seed_a_stop_is_a_signal_as_others() {
    let builder = Kernel::builder().signal_model(SigModel::Record);
    let kernel = builder.wait_policy(WaitPolicy::Wait).build().unwrap();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    kill(&k, pid, Signo::STOP.number().into());
    assert_eq!(state(&kernel, pid), ProcState::Active);
    let (_child, taken) = take_as(&mut k, child);
    assert_eq!(taken, [17]);
    assert_eq!(found(&k, pid, WaitEvents::STOPPED), None);
}

#[test]
fn numbers_go_by_name() {
    let netbsd = Rules::NETBSD.job_control(JobControl::Kernel);
    for (rules, stop, cont) in [(Rules::LINUX, 19, 18), (netbsd, 17, 19)] {
        let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
        let kernel = builder.wait_policy(WaitPolicy::Wait).build().unwrap();
        let mut k = shell(&kernel);
        let child = job(&mut k);
        let pid = child.pid();
        kill(&k, pid, stop);
        let stopped = Some(ChildEvent::Stopped(signo(stop)));
        assert_eq!(found(&k, pid, WaitEvents::STOPPED), stopped);
        // To a process of one's session, whoever it is.
        k.creds().set(&CredChange::SetUid(1000)).unwrap();
        let stranger = k.switch(child).unwrap().unwrap();
        k.creds().set(&CredChange::SetUid(2000)).unwrap();
        let child = k.switch(stranger).unwrap().unwrap();
        let refused = k.signals().kill(KillTarget::Proc(pid), stop);
        assert_eq!(refused, Err(KillError::NotPermitted));
        kill(&k, pid, cont);
        assert_eq!(found(&k, pid, WaitEvents::CONTINUED), Some(ChildEvent::Continued));
        k.signals().set_blocked(SigSet::ALL).unwrap();
        let blockable = SigSet::ALL.without(signo(KILL)).without(signo(stop));
        assert_eq!(k.signals().blocked(), blockable);
        drop(child);
    }
}

fn pending(kernel: &Kernel, pid: Pid) -> SigSet {
    kernel.pin().proc(pid).unwrap().pending()
}

#[test]
fn a_stop_of_who_is_stopped_is_pending_until_it_goes_on() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    kill(&k, pid, STOP);
    assert_eq!(pending(&kernel, pid), SigSet::EMPTY);
    kill(&k, pid, TSTP);
    assert_eq!(pending(&kernel, pid), signo(TSTP).into());
    kill(&k, pid, CONT);
    assert_eq!(pending(&kernel, pid), SigSet::EMPTY);
    assert_eq!(state(&kernel, pid), ProcState::Active);
    let (_child, taken) = take_as(&mut k, child);
    assert_eq!(taken, []);
}

#[test]
fn an_orphaned_group_with_a_stopped_member_is_hung_up_and_continued() {
    let kernel = linux();
    let mut init = shell(&kernel);
    for stops in [true, false] {
        // init > sh > (leader of the job, member of the job).
        let sh = init.spawn().start().unwrap();
        let own = init.switch(sh).unwrap().unwrap();
        let mut k = init;
        k.signals().set_disposition(HUP, Disposition::Catch).unwrap();
        k.signals().set_disposition(CONT, Disposition::Catch).unwrap();
        let [a, b] = [0; 2].map(|_| k.spawn().start().unwrap());
        for lwp in [&a, &b] {
            k.groups().setpgid(lwp.pid(), a.pid()).unwrap();
        }
        if stops {
            kill(&k, b.pid(), STOP);
        }
        // The shell ends.
        let sh = k.switch(own).unwrap().unwrap();
        sh.exit(ExitStatus::exited(0));
        init = k;
        assert_eq!(state(&kernel, b.pid()), ProcState::Active);
        let expected: &[i32] = if stops { &[HUP, CONT] } else { &[] };
        for lwp in [a, b] {
            let pid = lwp.pid();
            let (lwp, taken) = take_as(&mut init, lwp);
            assert_eq!(taken, expected, "stops: {stops}, {pid}");
            // Nobody controls it now: what a terminal sends does not stop it.
            kill(&init, pid, TSTP);
            assert_eq!(state(&kernel, pid), ProcState::Active);
            kill(&init, pid, STOP);
            assert_eq!(state(&kernel, pid), ProcState::Stopped);
            kill(&init, pid, TSTP);
            assert_eq!(pending(&kernel, pid), signo(TSTP).into(), "who is stopped has it");
            drop(lwp);
        }
        init.wait(WaitTarget::Any).unwrap();
    }
}

#[test]
fn no_fork_escapes_a_stop_of_its_group() {
    const ROUNDS: usize = if cfg!(miri) { 1 } else { 100 };
    let kernel = linux();
    let mut k = shell(&kernel);
    for _ in 0..ROUNDS {
        let forker = job(&mut k);
        let pgid = forker.pid();
        let [begun, done] = [0; 2].map(|_| AtomicBool::new(false));
        // It lives on, or its group would be orphaned, and continued.
        let _forker = std::thread::scope(|s| {
            let forking = s.spawn(|| {
                let k = kernel.enter_as(forker).unwrap();
                begun.store(true, SeqCst);
                let mut all = Vec::new();
                while !done.load(SeqCst) {
                    all.push(k.spawn().start().unwrap().unclaim());
                }
                Kernel::leave(k)
            });
            while !begun.load(SeqCst) {
                std::thread::yield_now();
            }
            k.signals().kill(KillTarget::Pgrp(pgid), STOP).unwrap();
            // The forker, in the kernel, may make more of them: they are stopped, too.
            std::thread::sleep(Duration::from_micros(200));
            done.store(true, SeqCst);
            forking.join().unwrap()
        });
        let pin = kernel.pin();
        let members: Vec<_> = pin.pgrp(pgid).unwrap().members().collect();
        let running = members.iter().filter(|proc| proc.state() == ProcState::Active).count();
        assert_eq!(running, 0, "of {}", members.len());
        k.signals().kill(KillTarget::Pgrp(pgid), KILL).unwrap();
        while k.try_wait(WaitTarget::Any).is_ok_and(|child| child.is_some()) {}
    }
}

#[cfg(feature = "async")]
#[test]
fn a_scope_is_not_polled_while_its_process_is_stopped() {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake};

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    let kernel = linux();
    let k = shell(&kernel);
    let child = k.spawn().start().unwrap();
    let (pid, polls) = (child.pid(), AtomicUsize::new(0));
    let mut scope = pin!(child.scope(std::future::poll_fn(|_| {
        match polls.fetch_add(1, SeqCst) {
            0 => Poll::Pending,
            _ => Poll::Ready(current(|k| k.pid()).unwrap()),
        }
    })));
    let woken = Arc::new(Count::default());
    let waker = woken.clone().into();
    let mut cx = Context::from_waker(&waker);
    let mut poll = || scope.as_mut().poll(&mut cx);
    assert!(poll().is_pending() && polls.load(SeqCst) == 1);
    kill(&k, pid, STOP);
    for _ in 0..2 {
        assert!(poll().is_pending() && polls.load(SeqCst) == 1);
    }
    let before = woken.0.load(SeqCst);
    kill(&k, pid, CONT);
    assert_eq!(woken.0.load(SeqCst), before + 1);
    assert_eq!(poll(), Poll::Ready(pid));
}

/// As each stop does, be it that the group is orphaned.
#[test]
fn a_stop_that_stops_nobody_discards_sigcont() {
    let kernel = linux();
    let k = shell(&kernel);
    k.signals().set_blocked(signo(CONT).into()).unwrap();
    let own = KillTarget::Proc(k.pid());
    k.signals().kill(own, CONT).unwrap();
    assert!(k.signals().pending().contains(signo(CONT)));
    k.signals().kill(own, TSTP).unwrap();
    assert_eq!(kernel.pin().proc(k.pid()).unwrap().state(), ProcState::Active);
    assert_eq!(k.signals().pending(), SigSet::EMPTY);
}
