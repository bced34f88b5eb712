//! What a hostile review of job control found: each was wrong once.
#![allow(missing_docs)]
#![cfg(not(lwproc_loom))]

#[path = "common/jobs.rs"]
mod common;

use common::{job, kill, linux, shell, signo as sig, state};
use lwproc::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const HUP: i32 = 1;
const KILL: i32 = 9;
const CHLD: i32 = 17;
const CONT: i32 = 18;
const STOP: i32 = 19;
const TSTP: i32 = 20;

fn until(mut f: impl FnMut() -> bool) -> bool {
    let t = Instant::now();
    while !f() {
        if t.elapsed() > Duration::from_secs(3) {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

/// A drain that is taken back leaves a stopped LWP running.
#[test]
fn a_drain_that_is_taken_back_leaves_the_process_stopped() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let a = job(&mut k);
    let pid = a.pid();
    let b = kernel.new_lwp(pid).unwrap();
    let mut sh = k.switch(a).unwrap();
    let (bound, go, woken, reopened, ran, end) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicBool::new(false),
    );
    std::thread::scope(|s| {
        s.spawn(|| {
            drop(kernel.enter_as(b).unwrap());
            bound.store(true, SeqCst);
            until(|| go.load(SeqCst));
            let e = kernel.enter().unwrap(); // stops here
            woken.store(true, SeqCst);
            until(|| reopened.load(SeqCst));
            assert!(!e.must_exit());
            drop(e);
            let e = kernel.enter().unwrap(); // must stop: the process is stopped
            let st = state(&kernel, pid);
            ran.store(!end.load(SeqCst), SeqCst);
            eprintln!("b entered; process is {st:?}");
            drop(e);
        });
        assert!(until(|| bound.load(SeqCst)));
        kill(&k, pid, STOP);
        go.store(true, SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        assert!(!woken.load(SeqCst));
        let _ = k.drain();
        assert!(until(|| woken.load(SeqCst)));
        k.reopen();
        assert_eq!(state(&kernel, pid), ProcState::Stopped);
        reopened.store(true, SeqCst);
        std::thread::sleep(Duration::from_millis(100));
        end.store(true, SeqCst);
        kill(&k, pid, CONT);
    });
    drop(k.switch(sh.take().unwrap()));
    assert!(!ran.load(SeqCst), "an LWP of a stopped process runs on");
}

/// SIGCONT to what has ended, or is being killed; stopped zombies and groups; init and HUP.
#[test]
fn what_has_ended_is_not_stopped_and_tells_nobody() {
    let kernel = linux();
    let mut k = shell(&kernel);
    k.signals().set_disposition(CHLD, Disposition::Catch).unwrap();
    let mut bad = Vec::new();
    // A stopped process, dropped; its zombie is sent SIGCONT.
    let c = job(&mut k);
    let pid = c.pid();
    kill(&k, pid, STOP);
    drop(c);
    assert_eq!(k.signals().take(), Some(sig(CHLD)));
    assert_eq!(k.signals().take(), None);
    kill(&k, pid, CONT);
    if let Some(s) = k.signals().take() {
        bad.push(format!("SIGCONT to a zombie: parent gets {s:?}"));
    }
    k.wait(WaitTarget::Pid(pid)).unwrap();
    // One that is killed, whose LWP is somebody's still.
    let c = job(&mut k);
    let pid = c.pid();
    kill(&k, pid, STOP);
    let _ = k.signals().take();
    kill(&k, pid, KILL);
    kill(&k, pid, CONT);
    if let Some(s) = k.signals().take() {
        bad.push(format!("SIGCONT to a killed process: parent gets {s:?}"));
    }
    drop(c);
    // A zombie that was stopped counts as a stopped member.
    let sh = k.spawn().start().unwrap();
    let own = k.switch(sh).unwrap().unwrap();
    k.signals().set_disposition(HUP, Disposition::Catch).unwrap();
    let [a, b] = [0; 2].map(|_| k.spawn().start().unwrap());
    let pa = a.pid();
    for lwp in [&a, &b] {
        k.groups().setpgid(lwp.pid(), pa).unwrap();
    }
    kill(&k, b.pid(), STOP);
    drop(b); // A zombie of the shell.
    k.switch(own).unwrap().unwrap().exit(ExitStatus::exited(0));
    let own = k.switch(a).unwrap().unwrap();
    let got: Vec<_> = std::iter::from_fn(|| k.signals().take()).collect();
    if !got.is_empty() {
        bad.push(format!("no living member was stopped, yet: {got:?}"));
    }
    k.switch(own).unwrap();
    drop(k);
    // An LWP that has gone, of a process that lives.
    let mut k = shell(&kernel);
    let c = job(&mut k);
    let pid = c.pid();
    let further = kernel.new_lwp(pid).unwrap();
    let pin = kernel.pin();
    let seen = pin.lwp(further.lid()).unwrap();
    drop(further);
    seen.post(sig(STOP));
    if state(&kernel, pid) == ProcState::Stopped {
        bad.push(format!("a stop for an LWP that is {:?} stops the process", seen.state()));
    }
    drop(pin);
    drop(c);
    drop(k);
    // Group 0 and init.
    let kernel = linux();
    let mut k = kernel.enter().unwrap();
    let p = kernel.spawn().start().unwrap();
    let c = p.proc_handle().spawn().start().unwrap();
    k.switch(p).unwrap();
    k.groups().setpgid(k.pid(), k.pid()).unwrap();
    kill(&k, c.pid(), STOP);
    k.exit(ExitStatus::exited(0)).unwrap();
    drop(k);
    let k = kernel.enter().unwrap();
    if !k.signals().pending().is_empty() {
        bad.push(format!(
            "init has pending: {:?}, takes {:?}",
            k.signals().pending(),
            k.signals().take()
        ));
    }
    k.signals().set_disposition(CONT, Disposition::Catch).unwrap();
    kill(&k, k.pid(), CONT);
    if k.signals().take() != Some(sig(CONT)) {
        bad.push("init catches SIGCONT, and never gets it".into());
    }
    drop(k);
    drop(c);
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn entries_of_who_stops() {
    let each: [fn(); 5] = [deadline, creds, gives_back, forbids, unwound];
    let all = each.map(std::panic::catch_unwind);
    assert!(all.iter().all(Result::is_ok));
}

/// The deadline of an entry into a stopped process, where CPUs are few.
fn deadline() {
    let b = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    let b = b.wait_policy(WaitPolicy::Wait).virtual_cpus(std::num::NonZeroUsize::new(1).unwrap());
    let kernel = b.build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    let (ready, go) = (AtomicBool::new(false), AtomicBool::new(false));
    let took = std::thread::scope(|s| {
        let t = s.spawn(|| {
            drop(kernel.enter_as(lwp).unwrap());
            ready.store(true, SeqCst);
            until(|| go.load(SeqCst));
            let t = Instant::now();
            let r = kernel.enter_until(kernel.now() + Duration::from_millis(100)).map(drop);
            assert_eq!(r.unwrap_err(), EnterError::TimedOut);
            t.elapsed()
        });
        until(|| ready.load(SeqCst));
        let k = kernel.enter().unwrap();
        kill(&k, pid, STOP);
        drop(k);
        go.store(true, SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        let k = kernel.enter().unwrap(); // the CPU is free: it stopped
        std::thread::sleep(Duration::from_millis(1500));
        let _ = k.signals().kill(KillTarget::Proc(pid), CONT);
        drop(k);
        t.join().unwrap()
    });
    assert!(took < Duration::from_millis(1300), "100 ms took {took:?}");
}

/// Credentials of the process after an entry that had stopped.
fn creds() {
    let rules = Rules::LINUX.as_netbsd(Difference::OwnCredentials);
    let b = Kernel::builder().rules(rules).signal_model(SigModel::Record);
    let kernel = b.wait_policy(WaitPolicy::Wait).build().unwrap();
    let mut k = shell(&kernel);
    let a = job(&mut k);
    let pid = a.pid();
    let b = kernel.new_lwp(pid).unwrap();
    let mut sh = k.switch(a).unwrap();
    kill(&k, pid, STOP);
    let uid = std::thread::scope(|s| {
        let t = s.spawn(|| {
            let e = kernel.enter_as(b).unwrap(); // stops
            let uid = e.cred().users().effective;
            drop(e);
            uid
        });
        std::thread::sleep(Duration::from_millis(100));
        k.creds().set(&CredChange::SetUid(1000)).unwrap();
        kill(&k, pid, CONT);
        t.join().unwrap()
    });
    drop(k.switch(sh.take().unwrap()));
    assert_eq!(uid, 1000, "the entry has returned after the change");
}

/// A blocked stop that is being taken when SIGCONT comes.
#[test]
fn a_stop_that_is_taken_is_not_later_than_sigcont() {
    let first = std::panic::catch_unwind(orphaned);
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    // The group is walked before it is known not to be orphaned.
    let _members: Vec<_> = (0..300).map(|_| child.proc_handle().spawn().start().unwrap()).collect();
    let (round, ready, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let mut lost = 0;
    let mut rounds = 0;
    std::thread::scope(|s| {
        s.spawn(|| {
            let k = kernel.enter_as(child).unwrap();
            for n in 1.. {
                k.signals().set_blocked(sig(TSTP).into()).unwrap();
                ready.store(n, SeqCst);
                while round.load(SeqCst) < n {
                    std::hint::spin_loop();
                }
                if round.load(SeqCst) == usize::MAX {
                    break;
                }
                k.signals().set_blocked(SigSet::EMPTY).unwrap();
                let _ = k.signals().take();
                done.store(n, SeqCst);
            }
        });
        let start = Instant::now();
        for n in 1..20_000_usize {
            if start.elapsed() > Duration::from_secs(2) || lost > 2 {
                break;
            }
            rounds = n;
            while ready.load(SeqCst) < n {
                std::thread::yield_now();
            }
            kill(&k, pid, TSTP); // blocked
            round.store(n, SeqCst);
            for _ in 0..(n % 2000) {
                std::hint::spin_loop();
            }
            kill(&k, pid, CONT);
            let t = Instant::now();
            while done.load(SeqCst) < n && t.elapsed() < Duration::from_millis(300) {
                std::thread::yield_now();
            }
            if done.load(SeqCst) < n {
                lost += usize::from(state(&kernel, pid) == ProcState::Stopped);
                kill(&k, pid, CONT);
            }
        }
        while ready.load(SeqCst) < rounds + 1 {
            kill(&k, pid, CONT);
            std::thread::yield_now();
        }
        round.store(usize::MAX, SeqCst);
    });
    assert!(first.is_ok());
    assert_eq!(lost, 0, "stopped for good by a stop from before SIGCONT, of {rounds}");
}

/// A process that never has the default disposition is stopped by TSTP; and a take in a scope
/// of a stopped process holds the executor's thread.
#[test]
fn what_is_never_done_by_default_does_not_stop() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = job(&mut k);
    let pid = child.pid();
    let end = AtomicBool::new(false);
    let mut own = k.switch(child).unwrap();
    k.signals().set_disposition(TSTP, Disposition::Catch).unwrap();
    let child = k.switch(own.take().unwrap()).unwrap().unwrap();
    let (mut sent, mut stopped) = (0, 0);
    let ready = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            let k = kernel.enter_as(child).unwrap();
            ready.store(true, SeqCst);
            while !end.load(SeqCst) {
                k.signals().set_disposition(TSTP, Disposition::Ignore).unwrap();
                k.signals().set_disposition(TSTP, Disposition::Catch).unwrap();
            }
        });
        until(|| ready.load(SeqCst));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) && stopped < 5 {
            kill(&k, pid, TSTP);
            sent += 1;
            if state(&kernel, pid) == ProcState::Stopped {
                stopped += 1;
                kill(&k, pid, CONT);
            }
        }
        end.store(true, SeqCst);
    });
    let mut bad = Vec::new();
    if stopped > 0 {
        bad.push(format!("caught or ignored, {stopped} of {sent} TSTP stopped the process"));
    }
    #[cfg(feature = "async")]
    {
        use std::task::{Context, Waker};
        let guest = k.spawn().start().unwrap();
        let pid = guest.pid();
        let polled = AtomicBool::new(false);
        std::thread::scope(|s| {
            let polled = &polled;
            s.spawn(move || {
                let mut scope = Box::pin(guest.scope(async move {
                    current(|k| {
                        k.signals().kill(KillTarget::Proc(k.pid()), STOP).unwrap();
                        k.signals().take()
                    })
                    .unwrap();
                    std::future::pending::<()>().await;
                }));
                let mut cx = Context::from_waker(Waker::noop());
                let _ = scope.as_mut().poll(&mut cx);
                polled.store(true, SeqCst);
            });
            std::thread::sleep(Duration::from_millis(200));
            if !polled.load(SeqCst) {
                bad.push("take() in a scope: the poll does not return while it is stopped".into());
            }
            kill(&k, pid, CONT);
        });
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

struct Slow {
    armed: AtomicBool,
    inside: AtomicBool,
    go: AtomicBool,
}
impl Host for Slow {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
    fn vfs_init(&self, (): &()) {
        if self.armed.swap(false, SeqCst) {
            self.inside.store(true, SeqCst);
            until(|| self.go.load(SeqCst));
        }
    }
}

/// A fork that is under way while its group is stopped and continued.
#[test]
fn a_fork_has_what_came_last() {
    let new = || AtomicBool::new(false);
    let host = Slow { armed: new(), inside: new(), go: new() };
    let b = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record).host(host);
    let kernel = b.wait_policy(WaitPolicy::Wait).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    k.groups().setsid().unwrap();
    let forker = k.spawn().start().unwrap();
    let pgid = forker.pid();
    k.groups().setpgid(pgid, pgid).unwrap();
    let mut bad = Vec::new();
    let (forker, child) = std::thread::scope(|s| {
        let t = s.spawn(|| {
            let k = kernel.enter_as(forker).unwrap();
            kernel.host().armed.store(true, SeqCst);
            let child = k.spawn().start().unwrap();
            (Kernel::leave(k).unwrap(), child)
        });
        assert!(until(|| kernel.host().inside.load(SeqCst)));
        k.signals().kill(KillTarget::Pgrp(pgid), STOP).unwrap();
        k.signals().kill(KillTarget::Pgrp(pgid), CONT).unwrap();
        kernel.host().go.store(true, SeqCst);
        t.join().unwrap()
    });
    let states = [&forker, &child].map(|l| kernel.pin().proc(l.pid()).unwrap().state());
    if states[1] != ProcState::Active {
        bad.push(format!("group stopped, then continued; forker and its child are {states:?}"));
    }
    // What was ignored of many, and is then sent to one.
    let own = k.switch(forker).unwrap().unwrap();
    k.signals().set_disposition(TSTP, Disposition::Ignore).unwrap();
    k.signals().kill(KillTarget::Pgrp(pgid), TSTP).unwrap();
    k.signals().set_disposition(TSTP, Disposition::Default).unwrap();
    k.signals().kill(KillTarget::Proc(pgid), TSTP).unwrap();
    let second = k.spawn().start().unwrap();
    k.signals().kill(KillTarget::Proc(pgid), CONT).unwrap();
    let st = kernel.pin().proc(second.pid()).unwrap().state();
    if st != ProcState::Active {
        bad.push(format!("TSTP was sent to the parent alone, its child is {st:?}"));
    }
    drop(k.switch(own));
    drop((child, second));
    assert!(bad.is_empty(), "{bad:#?}");
}

/// The virtual CPU and the big lock are others' while it is stopped.
fn gives_back() {
    let b = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    let one = std::num::NonZeroUsize::new(1).unwrap();
    let kernel = b.virtual_cpus(one).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    std::thread::scope(|s| {
        let t = s.spawn(|| {
            let mut k = kernel.enter_as(lwp).unwrap();
            k.big_lock().lock().unwrap();
            k.big_lock().lock().unwrap();
            kill(&k, pid, STOP);
            k.lend(|| current(|k| k.signals().take()).unwrap());
            kill(&k, pid, STOP);
            assert_eq!(k.signals().take(), None);
            assert_eq!((k.big_lock().depth(), k.cpu()), (2, Some(0)));
        });
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(50));
            assert!(until(|| state(&kernel, pid) == ProcState::Stopped));
            let k = kernel.enter_until(kernel.now() + Duration::from_secs(1)).unwrap();
            k.big_lock().lock().unwrap();
            kill(&k, pid, CONT);
        }
        t.join().unwrap();
    });
}

/// No implicit context where they are forbidden, whatever a scope does inside.
#[cfg(not(feature = "async"))]
fn forbids() {}

/// The same.
#[cfg(feature = "async")]
fn forbids() {
    let kernel = Kernel::builder().forbid_implicit_contexts().build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let mut lwp = Some(lwp);
    for n in 0..4 {
        let mut k = kernel.enter_as(lwp.take().unwrap()).unwrap();
        k.lend(|| current(|k| assert!(k.unbind().is_err())).unwrap());
        use std::task::{Context, Waker};
        let other = kernel.spawn().start().unwrap();
        let mut slot = Some(k);
        let left = std::cell::Cell::new(None);
        let mut scope = Box::pin(other.scope(std::future::poll_fn(|_| {
            let k = slot.take().unwrap();
            match n {
                0 => left.set(Kernel::leave(k)),
                1 => drop(k),
                _ => slot = Some(k),
            }
            assert!(matches!(kernel.enter(), Err(EnterError::AlreadyEntered)));
            std::task::Poll::Ready(())
        })));
        let _ = scope.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(scope);
        lwp = left.take();
        if n == 1 {
            slot = Some(kernel.enter().unwrap());
        }
        if let Some(k) = slot {
            assert!(k.curlwp().is_some());
            lwp = Kernel::leave(k);
        }
        assert!(matches!(kernel.enter(), Err(EnterError::NoLwp)));
        assert!(matches!(kernel.enter(), Err(EnterError::NoLwp)));
    }
}

/// A panic that was caught long ago.
fn unwound() {
    let b = Kernel::builder().wait_policy(WaitPolicy::Wait);
    let kernel = b.dropped(ExitStatus::exited(3)).panicked(ExitStatus::exited(4)).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    let child = k.spawn().start().unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _k = kernel.enter_as(child).unwrap();
                std::panic::resume_unwind(Box::new(()));
            }));
            assert!(caught.is_err());
            drop(kernel.enter().unwrap());
        });
    });
    let status = k.wait(WaitTarget::Any).unwrap().status;
    eprintln!("a thread that has gone on after a panic, and ends: {status:?}");
}

/// A stop by a terminal that meets the end of who kept the group from being orphaned.
fn orphaned() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let mut lost = 0;
    let start = Instant::now();
    let mut n = 0_u32;
    while start.elapsed() < Duration::from_secs(12) && lost == 0 {
        n += 1;
        let sh = k.spawn().start().unwrap();
        let leader = sh.proc_handle().spawn().start().unwrap();
        let pid = leader.pid();
        let own = k.switch(sh).unwrap().unwrap();
        k.groups().setpgid(pid, pid).unwrap();
        let sh = k.switch(own).unwrap().unwrap();
        let members: Vec<_> =
            (0..60).map(|_| leader.proc_handle().spawn().start().unwrap()).collect();
        let at = AtomicUsize::new(0);
        std::thread::scope(|s| {
            s.spawn(|| {
                let k = kernel.enter().unwrap();
                at.fetch_add(1, SeqCst);
                while at.load(SeqCst) < 2 {
                    std::hint::spin_loop();
                }
                for _ in 0..(n % 37) * 20 {
                    std::hint::spin_loop();
                }
                kill(&k, pid, TSTP);
            });
            while at.load(SeqCst) < 1 {
                std::hint::spin_loop();
            }
            at.fetch_add(1, SeqCst);
            for _ in 0..(n % 41) * 20 {
                std::hint::spin_loop();
            }
            sh.exit(ExitStatus::exited(0));
        });
        lost += usize::from(state(&kernel, pid) == ProcState::Stopped);
        drop(members);
        drop(leader);
        while k.try_wait(WaitTarget::Any).is_ok_and(|c| c.is_some()) {}
    }
    assert_eq!(lost, 0, "of {n}: stopped in an orphaned group, and nobody was told");
}
