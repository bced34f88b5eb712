//! Controlling terminals: who has one, who is in the foreground, who is told what. The cases
//! were measured on Linux, with ptys; where NetBSD does otherwise, `rules.rs` has both.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/jobs.rs"]
mod common;

use common::{job, linux, shell, signo, state};
use lwproc::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const HUP: i32 = 1;
const INT: i32 = 2;
const CONT: i32 = 18;
const TTIN: i32 = 21;
const TTOU: i32 = 22;

/// A shell that catches what terminals send, as do all that it forks.
fn catching(kernel: &Kernel) -> Entered<'_> {
    let k = shell(kernel);
    for signal in [HUP, CONT] {
        k.signals().set_disposition(signal, Disposition::Catch).unwrap();
    }
    k
}

/// What is pending for a process.
fn pending(kernel: &Kernel, pid: Pid) -> Vec<i32> {
    kernel.pin().proc(pid).unwrap().pending().iter().map(|s| s.number().into()).collect()
}

/// Does something as an LWP, and goes on as before.
fn as_lwp<R>(k: &mut Entered<'_>, lwp: Lwp, f: impl FnOnce(&mut Entered<'_>) -> R) -> (Lwp, R) {
    let own = k.switch(lwp).unwrap().unwrap();
    let result = f(k);
    (k.switch(own).unwrap().unwrap(), result)
}

/// What a process is told that has that terminal, or not: by `tcgetpgrp`, and `/dev/tty`.
fn seen(k: &Entered<'_>, tty: &Terminal) -> Option<Pid> {
    let foreground = k.terminal(tty).foreground().ok();
    assert_eq!(foreground.is_some(), k.groups().controlling_terminal().as_ref() == Some(tty));
    foreground
}

#[test]
fn the_leader_of_a_session_acquires_one_terminal() {
    let kernel = linux();
    let (tty, other) = (kernel.new_terminal(), kernel.new_terminal());
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.terminal(&tty).acquire(), Err(TerminalError::NotLeader), "init leads none");
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    assert_eq!(k.terminal(&tty).acquire(), Err(TerminalError::NotLeader));
    let sid = k.groups().setsid().unwrap();
    assert_eq!((seen(&k, &tty), tty.session(), tty.foreground()), (None, None, None));
    assert_eq!(k.terminal(&tty).acquire(), Ok(()));
    assert_eq!(k.terminal(&tty).acquire(), Ok(()), "it has it");
    assert_eq!(k.terminal(&other).acquire(), Err(TerminalError::HasTerminal));
    assert_eq!((other.session(), other.foreground()), (None, None));
    assert_eq!((seen(&k, &tty), k.terminal(&tty).session()), (Some(sid), Ok(sid)));
    assert_eq!((tty.session(), tty.foreground()), (Some(sid), Some(sid)));
    assert_eq!(k.terminal(&other).session(), Err(TerminalError::NotControlling));
    for (error, errno) in [
        (TerminalError::NotControlling, Errno::ENOTTY),
        (TerminalError::HasTerminal, Errno::EPERM),
        (TerminalError::Background, Errno::EIO),
        (TerminalError::Signalled, Errno::EINTR),
    ] {
        assert_eq!(error.errno(), errno);
    }
}

#[test]
fn who_was_forked_before_has_it_not_and_who_is_forked_after_has_it() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let mut k = shell(&kernel);
    let mut before = k.spawn().start().unwrap();
    k.terminal(&tty).acquire().unwrap();
    let own = k.pid();
    for (after, made) in [
        ("a fork", k.spawn().start().unwrap()),
        ("in a group of its own", k.spawn().group(SpawnGroup::New).start().unwrap()),
        ("in one there is", k.spawn().group(SpawnGroup::Join(own)).start().unwrap()),
    ] {
        let (_, has) = as_lwp(&mut k, made, |k| {
            let grandchild = k.spawn().start().unwrap();
            (seen(k, &tty), as_lwp(k, grandchild, |k| seen(k, &tty)).1)
        });
        assert_eq!(has, (Some(own), Some(own)), "{after}");
    }
    for _ in 0..2 {
        let (lwp, has) = as_lwp(&mut k, before, |k| {
            let child = k.spawn().start().unwrap();
            assert_eq!(k.terminal(&tty).set_foreground(own), Err(TerminalError::NotControlling));
            (seen(k, &tty), as_lwp(k, child, |k| seen(k, &tty)).1)
        });
        assert_eq!(has, (None, None));
        before = lwp;
        k.groups().setpgid(before.pid(), Pid(0)).unwrap();
    }
    // A new session has none.
    let child = k.spawn().start().unwrap();
    let (_, has) = as_lwp(&mut k, child, |k| {
        assert_eq!(seen(k, &tty), Some(own));
        k.groups().setsid().unwrap();
        seen(k, &tty)
    });
    assert_eq!(has, None);
}

#[test]
fn only_the_superuser_steals_one() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let mut k = catching(&kernel);
    k.terminal(&tty).acquire().unwrap();
    let victim = k.pid();
    let thief = k.spawn().start().unwrap();
    let (thief, ()) = as_lwp(&mut k, thief, |k| {
        let own = k.groups().setsid().unwrap();
        assert_eq!(k.terminal(&tty).acquire(), Err(TerminalError::InUse));
        // It could have another after that.
        k.creds().set(&CredChange::SetEuid(1000)).unwrap();
        assert_eq!(k.terminal(&tty).steal(), Err(TerminalError::InUse));
        k.creds().set(&CredChange::SetEuid(0)).unwrap();
        assert_eq!(k.terminal(&tty).steal(), Ok(()));
        assert_eq!(seen(k, &tty), Some(own));
    });
    assert_eq!((seen(&k, &tty), pending(&kernel, victim)), (None, vec![]));
    assert_eq!(k.terminal(&tty).acquire(), Err(TerminalError::InUse));
    let other = kernel.new_terminal();
    assert_eq!(k.terminal(&other).acquire(), Ok(()), "it has lost the first");
    let thiefs = thief.pid();
    thief.exit(ExitStatus::exited(0));
    assert_eq!((tty.session(), kernel.pin().pgrp(thiefs).is_some()), (None, true));
}

#[test]
fn the_end_of_the_leader_tells_the_foreground_and_frees_the_terminal() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let mut k = catching(&kernel);
    k.terminal(&tty).acquire().unwrap();
    let leader = k.pid();
    let [front, back] = [job(&mut k), job(&mut k)];
    let (stays, _) = as_lwp(&mut k, back, |k| assert!(seen(k, &tty).is_some()));
    k.terminal(&tty).set_foreground(front.pid()).unwrap();
    k.exit_group(ExitStatus::exited(0)).unwrap();
    drop(k);
    assert_eq!(pending(&kernel, front.pid()), [HUP], "and no SIGCONT");
    assert_eq!(pending(&kernel, stays.pid()), []);
    assert_eq!((tty.session(), tty.foreground()), (None, None));
    assert_eq!(kernel.pin().proc(front.pid()).unwrap().sid(), Some(leader));
    let k = kernel.enter_as(front).unwrap();
    assert_eq!(k.groups().controlling_terminal().map(drop), None, "ENXIO");
    assert_eq!(k.terminal(&tty).set_foreground(k.pid()), Err(TerminalError::NotControlling));
    drop(k);
    let next = shell(&kernel);
    assert_eq!(next.terminal(&tty).acquire(), Ok(()));
}

#[test]
fn a_member_gives_it_up_for_itself_and_the_leader_for_all() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let mut k = catching(&kernel);
    assert_eq!(k.terminal(&tty).give_up(), Err(TerminalError::NotControlling));
    k.terminal(&tty).acquire().unwrap();
    let own = k.pid();
    let [front, member] = [job(&mut k), job(&mut k)];
    k.terminal(&tty).set_foreground(front.pid()).unwrap();
    let (_member, ()) = as_lwp(&mut k, member, |k| {
        assert_eq!(k.terminal(&tty).give_up(), Ok(()));
        assert_eq!(k.terminal(&tty).give_up(), Err(TerminalError::NotControlling));
        assert_eq!(k.terminal(&tty).acquire(), Err(TerminalError::NotLeader));
        let child = k.spawn().start().unwrap();
        assert_eq!((seen(k, &tty), as_lwp(k, child, |k| seen(k, &tty)).1), (None, None));
    });
    assert_eq!(seen(&k, &tty), Some(front.pid()));
    assert_eq!(k.terminal(&tty).give_up(), Ok(()));
    assert_eq!((seen(&k, &tty), tty.session()), (None, None));
    assert_eq!((pending(&kernel, front.pid()), pending(&kernel, own)), (vec![HUP, CONT], vec![]));
    // Who had it before has it not when the leader acquires it again.
    assert_eq!(k.terminal(&tty).acquire(), Ok(()));
    assert_eq!(as_lwp(&mut k, front, |k| seen(k, &tty)).1, None);
    assert_eq!(seen(&k, &tty), Some(own));
}

/// On Linux it is a kill by the leader, unlike what its end sends.
#[test]
fn who_gives_it_up_tells_whom_it_may() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let mut k = catching(&kernel);
    k.terminal(&tty).acquire().unwrap();
    let front = job(&mut k);
    k.terminal(&tty).set_foreground(front.pid()).unwrap();
    let (front, ()) = as_lwp(&mut k, front, |k| k.creds().set(&CredChange::SetUid(7)).unwrap());
    k.creds().set(&CredChange::SetUid(1000)).unwrap();
    k.terminal(&tty).give_up().unwrap();
    assert_eq!(pending(&kernel, front.pid()), [CONT], "SIGCONT is for the whole session");
}

#[test]
fn a_hang_up_tells_the_leader_and_its_end_the_foreground() {
    let kernel = linux();
    let [tty, other] = [kernel.new_terminal(), kernel.new_terminal()];
    for again in [false, true] {
        let mut k = catching(&kernel);
        k.terminal(&tty).acquire().unwrap();
        let [front, back] = [job(&mut k), job(&mut k)];
        k.terminal(&tty).set_foreground(front.pid()).unwrap();
        let own = k.unbind().unwrap().unwrap();
        // The driver, as nobody.
        k.terminal(&tty).hang_up().unwrap();
        assert_eq!((tty.session(), pending(&kernel, own.pid())), (None, vec![HUP, CONT]));
        assert_eq!(pending(&kernel, front.pid()), []);
        k.terminal(&tty).hang_up().unwrap();
        k.switch(own).unwrap();
        assert_eq!(seen(&k, &tty), None);
        if again {
            // Another terminal: nobody is owed anything.
            k.terminal(&other).acquire().unwrap();
        }
        k.exit_group(ExitStatus::exited(0)).unwrap();
        drop(k);
        let told = if again { vec![] } else { vec![HUP, CONT] };
        assert_eq!((pending(&kernel, front.pid()), pending(&kernel, back.pid())), (told, vec![]));
    }
}

#[test]
fn a_group_is_put_in_the_foreground() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let mut k = shell(&kernel);
    let set = |k: &Entered<'_>, pgid: i32| k.terminal(&tty).set_foreground(Pid(pgid));
    assert_eq!(set(&k, -1), Err(TerminalError::BadNumber));
    assert_eq!(set(&k, 0), Err(TerminalError::NotControlling));
    k.terminal(&tty).acquire().unwrap();
    let own = k.pid();
    assert_eq!(set(&k, -1), Err(TerminalError::BadNumber));
    assert_eq!(set(&k, i32::MIN), Err(TerminalError::BadNumber));
    assert_eq!(set(&k, 0), Err(TerminalError::NoSuchGroup));
    assert_eq!(set(&k, i32::MAX), Err(TerminalError::NoSuchGroup));
    assert_eq!(set(&k, 1), Err(TerminalError::OtherSession));
    let elsewhere = k.spawn().start().unwrap();
    let (elsewhere, _) = as_lwp(&mut k, elsewhere, |k| k.groups().setsid().unwrap());
    assert_eq!(set(&k, elsewhere.pid().0), Err(TerminalError::OtherSession));
    assert_eq!(seen(&k, &tty), Some(own));

    k.signals().set_disposition(TTOU, Disposition::Ignore).unwrap();
    let front = job(&mut k);
    let pgid = front.pid();
    assert_eq!((set(&k, pgid.0), seen(&k, &tty)), (Ok(()), Some(pgid)));
    // It ends, and is named still.
    front.exit(ExitStatus::exited(0));
    k.try_wait(WaitTarget::Pid(pgid)).unwrap().unwrap();
    assert!(kernel.pin().pgrp(pgid).is_none());
    assert_eq!(seen(&k, &tty), Some(pgid));
    assert_eq!(k.terminal(&tty).signal_foreground(signo(INT)), Ok(()));
    assert_eq!(k.terminal(&tty).may_read(), Err(TerminalError::Background), "a leader's orphaned");
    assert_eq!(set(&k, own.0), Ok(()));
    assert_eq!(k.terminal(&tty).may_read(), Ok(()));
}

#[test]
fn what_is_typed_goes_to_the_foreground() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let mut k = shell(&kernel);
    assert_eq!(k.terminal(&tty).signal_foreground(signo(INT)), Ok(()), "to nobody");
    k.terminal(&tty).acquire().unwrap();
    let [front, back] = [job(&mut k), job(&mut k)];
    let second = k.spawn().group(SpawnGroup::Join(front.pid())).start().unwrap();
    k.terminal(&tty).set_foreground(front.pid()).unwrap();
    k.terminal(&tty).signal_foreground(signo(INT)).unwrap();
    for (pid, told) in [(front.pid(), true), (second.pid(), true), (back.pid(), false)] {
        assert_eq!(pending(&kernel, pid) == [INT], told, "{pid}");
    }
    assert_eq!(pending(&kernel, k.pid()), []);
}

/// A shell with the terminal, and a job in the background that does `f`.
fn in_background<R>(
    kernel: &Kernel,
    f: impl FnOnce(&mut Entered<'_>, &Terminal) -> R,
) -> (R, ProcState) {
    let tty = kernel.new_terminal();
    let mut k = shell(kernel);
    k.terminal(&tty).acquire().unwrap();
    let back = job(&mut k);
    let pid = back.pid();
    let shell = k.switch(back).unwrap().unwrap();
    let result = f(&mut k, &tty);
    let (state, job) = (state(kernel, pid), Kernel::leave(k));
    drop((shell, job));
    (result, state)
}

#[test]
fn the_background_is_stopped_for_what_it_does() {
    let kernel = linux();
    let read = in_background(&kernel, |k, tty| k.terminal(tty).may_read());
    assert_eq!(read, (Err(TerminalError::Signalled), ProcState::Stopped));
    let write = in_background(&kernel, |k, tty| k.terminal(tty).may_write(Tostop::Set));
    assert_eq!(write, (Err(TerminalError::Signalled), ProcState::Stopped));
    let change = in_background(&kernel, |k, tty| k.terminal(tty).may_change());
    assert_eq!(change, (Err(TerminalError::Signalled), ProcState::Stopped));
    let set = in_background(&kernel, |k, tty| k.terminal(tty).set_foreground(Pid(-1)));
    assert_eq!(set, (Err(TerminalError::Signalled), ProcState::Stopped), "before the number");
    let write = in_background(&kernel, |k, tty| k.terminal(tty).may_write(Tostop::Clear));
    assert_eq!(write, (Ok(()), ProcState::Active));
    // It is nobody else's business, and not that of another terminal.
    let other = kernel.new_terminal();
    assert_eq!(in_background(&kernel, |k, _| k.terminal(&other).may_read()).0, Ok(()));
    let mut k = shell(&kernel);
    let tty = kernel.new_terminal();
    let before = job(&mut k);
    k.terminal(&tty).acquire().unwrap();
    assert_eq!(as_lwp(&mut k, before, |k| k.terminal(&tty).may_read()).1, Ok(()));
}

#[test]
fn a_signal_that_is_blocked_or_ignored_stops_nobody() {
    let kernel = linux();
    let blocks: fn(&mut Entered<'_>, i32) = |k, signal| {
        k.signals().set_blocked(signo(signal).into()).unwrap();
    };
    let ignores: fn(&mut Entered<'_>, i32) = |k, signal| {
        k.signals().set_disposition(signal, Disposition::Ignore).unwrap();
    };
    for of_no_use in [blocks, ignores] {
        let read = in_background(&kernel, |k, tty| {
            of_no_use(k, TTIN);
            (k.terminal(tty).may_read(), k.signals().pending().is_empty())
        });
        assert_eq!(read, ((Err(TerminalError::Background), true), ProcState::Active));
        let rest = in_background(&kernel, |k, tty| {
            of_no_use(k, TTOU);
            let (t, own) = (k.terminal(tty), k.pid());
            (t.may_write(Tostop::Set), t.may_change(), t.set_foreground(own), t.may_read())
        });
        assert_eq!(rest, ((Ok(()), Ok(()), Ok(()), Ok(())), ProcState::Active));
    }
    // A signal that is caught is for the LWP, which goes on.
    let caught = in_background(&kernel, |k, tty| {
        k.signals().set_disposition(TTIN, Disposition::Catch).unwrap();
        (k.terminal(tty).may_read(), k.signals().take())
    });
    assert_eq!(caught.0, (Err(TerminalError::Signalled), Some(signo(TTIN))));
}

#[test]
fn an_orphaned_group_is_refused() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let mut k = shell(&kernel);
    k.terminal(&tty).acquire().unwrap();
    let middle = job(&mut k);
    let (middle, orphan) = as_lwp(&mut k, middle, job);
    middle.exit(ExitStatus::exited(0));
    let (_orphan, ()) = as_lwp(&mut k, orphan, |k| {
        let (t, own) = (k.terminal(&tty), k.pid());
        assert_eq!(t.may_read(), Err(TerminalError::Background));
        assert_eq!(t.may_write(Tostop::Set), Err(TerminalError::Background));
        assert_eq!(t.may_write(Tostop::Clear), Ok(()));
        assert_eq!(t.may_change(), Err(TerminalError::Background));
        assert_eq!(t.set_foreground(own), Err(TerminalError::NotControlling));
        assert_eq!(t.set_foreground(Pid(-1)), Err(TerminalError::NotControlling));
        assert!(k.signals().pending().is_empty());
        k.signals().set_disposition(TTOU, Disposition::Ignore).unwrap();
        assert_eq!((t.may_write(Tostop::Set), t.may_change()), (Ok(()), Ok(())));
        assert_eq!((t.set_foreground(own), t.may_read()), (Ok(()), Ok(())));
    });
}

/// Where job control is the embedder's, the signals are posted as others, and the answers are
/// the same.
#[test]
fn job_control_of_the_embedder() {
    for (model, signalled) in [(SigModel::Record, true), (SigModel::Ignore, false)] {
        let kernel = Kernel::builder().signal_model(model).build().unwrap();
        let (read, state) = in_background(&kernel, |k, tty| {
            let read = k.terminal(tty).may_read();
            if signalled {
                assert_eq!(k.signals().take(), Some(signo(TTIN)));
                k.signals().set_blocked(signo(TTIN).into()).unwrap();
                assert_eq!(k.terminal(tty).may_read(), Err(TerminalError::Background));
            }
            assert_eq!(k.terminal(tty).may_write(Tostop::Set).is_err(), signalled);
            read
        });
        let of_no_use =
            if signalled { TerminalError::Signalled } else { TerminalError::Background };
        assert_eq!((read, state), (Err(of_no_use), ProcState::Active));
    }
}

#[test]
fn a_terminal_of_another_kernel_is_nobodys_here() {
    let (kernel, other) = (linux(), linux());
    let tty = other.new_terminal();
    let theirs = shell(&other);
    theirs.terminal(&tty).acquire().unwrap();
    let their_sid = theirs.pid();
    drop(theirs.groups().controlling_terminal());
    std::thread::scope(|s| {
        s.spawn(|| {
            let k = shell(&kernel);
            // The same numbers.
            assert_eq!(k.pid(), their_sid);
            let t = k.terminal(&tty);
            assert_eq!(t.acquire(), Err(TerminalError::WrongKernel));
            assert_eq!(t.steal(), Err(TerminalError::WrongKernel));
            assert_eq!(t.hang_up(), Err(TerminalError::WrongKernel));
            assert_eq!(t.signal_foreground(signo(HUP)), Err(TerminalError::WrongKernel));
            // Even to one that has a terminal of its own.
            k.terminal(&kernel.new_terminal()).acquire().unwrap();
            assert_eq!(t.give_up(), Err(TerminalError::NotControlling));
            assert_eq!(t.foreground(), Err(TerminalError::NotControlling));
            assert_eq!(t.set_foreground(k.pid()), Err(TerminalError::NotControlling));
            assert_eq!((t.may_read(), t.may_change()), (Ok(()), Ok(())));
        });
    });
    assert_eq!(tty.session(), Some(their_sid));
}

/// The terminal goes with the kernel, and the kernel without it.
#[test]
fn neither_keeps_the_other() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let k = shell(&kernel);
    k.terminal(&tty).acquire().unwrap();
    let lwp = Kernel::leave(k).unwrap();
    let report = kernel.shutdown();
    assert_eq!(report.survivors.len(), 1, "{report:?}");
    drop(lwp);
    assert_eq!(tty.session(), None, "its leader has ended");
}

/// Leaders acquire, lose and end beside members that set the foreground and a line that is
/// hung up again and again. Whatever happens, who has the terminal is in its session.
#[test]
fn a_storm_at_one_terminal() {
    let kernel = linux();
    let tty = kernel.new_terminal();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|s| {
        let leaders: Vec<_> = (0..3)
            .map(|n| {
                let (kernel, tty) = (&kernel, &tty);
                s.spawn(move || {
                    let mut had = 0;
                    for round in 0..300 {
                        let mut k = shell(kernel);
                        let own = k.pid();
                        k.signals().set_disposition(TTOU, Disposition::Ignore).unwrap();
                        match if round % 7 == n {
                            k.terminal(tty).steal()
                        } else {
                            k.terminal(tty).acquire()
                        } {
                            Ok(()) => had += 1,
                            Err(why) => assert_eq!(why, TerminalError::InUse),
                        }
                        let child = job(&mut k);
                        let set = k.terminal(tty).set_foreground(child.pid());
                        let seen = k.terminal(tty).foreground();
                        if set.is_ok() {
                            assert!(matches!(seen, Ok(_) | Err(TerminalError::NotControlling)));
                        }
                        if let Ok(pgid) = seen {
                            assert!(pgid == own || pgid == child.pid(), "{pgid} of {own}");
                        }
                        if round % 3 == 0 {
                            let done = k.terminal(tty).give_up();
                            assert!(matches!(done, Ok(()) | Err(TerminalError::NotControlling)));
                        }
                        k.exit_group(ExitStatus::exited(0)).unwrap();
                        drop(k);
                        assert_ne!(tty.session(), Some(own), "it has ended");
                        child.exit(ExitStatus::exited(0));
                    }
                    had
                })
            })
            .collect();
        s.spawn(|| {
            let k = kernel.enter().unwrap();
            while !is_over.load(SeqCst) {
                k.terminal(&tty).hang_up().unwrap();
                k.terminal(&tty).signal_foreground(signo(INT)).unwrap();
                std::thread::yield_now();
            }
        });
        let had: Vec<_> = leaders.into_iter().map(|leader| leader.join()).collect();
        is_over.store(true, SeqCst);
        let had: u32 = had.into_iter().map(Result::unwrap).sum();
        assert!(had > 0);
    });
    assert_eq!((tty.session(), tty.foreground()), (None, None));
    assert_eq!(kernel.counts().procs, 2);
}
