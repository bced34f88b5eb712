//! Each case in which Linux does otherwise than NetBSD, on both sides. The numbers of
//! signals and job control are in `jobs.rs`.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;

const TERM: i32 = 15;

/// What `case` answers by the rules of Linux, and by those of NetBSD; by either's with that
/// one difference as on the other.
#[track_caller]
fn both<R: PartialEq + std::fmt::Debug>(
    difference: Difference,
    [linux, netbsd]: [R; 2],
    case: impl Fn(&Kernel) -> R,
) {
    let answer = |rules| {
        let mut limits = LimitsPolicy::default();
        limits.nproc = Enforcement::Enforced;
        let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
        let builder = builder.wait_policy(WaitPolicy::Wait).limits_policy(limits);
        case(&builder.build().unwrap())
    };
    for rules in [Rules::LINUX, Rules::NETBSD.as_linux(difference)] {
        assert_eq!(answer(rules), linux, "{rules:?}");
    }
    for rules in [Rules::NETBSD, Rules::LINUX.as_netbsd(difference)] {
        assert_eq!(answer(rules), netbsd, "{rules:?}");
    }
}

/// The thread as a process of its own.
fn process(kernel: &Kernel) -> Entered<'_> {
    let mut k = kernel.enter().unwrap();
    k.switch(kernel.spawn().start().unwrap()).unwrap();
    k
}

fn become_user(k: &mut Entered<'_>, users: [u32; 3]) {
    let [real, effective, saved] = users.map(Some);
    k.creds().set(&CredChange::SetResuid(real, effective, saved)).unwrap();
}

#[test]
fn credentials_of_two_lwps() {
    both(Difference::OwnCredentials, [[0, 1000], [1000; 2]], |kernel| {
        let mut k = process(kernel);
        let sibling = k.new_lwp(k.pid()).unwrap();
        become_user(&mut k, [1000; 3]);
        let first = k.switch(sibling).unwrap().unwrap();
        let guard = kernel.pin();
        let seen = [k.lid().unwrap(), first.lid()].map(|lid| guard.lwp(lid).unwrap().cred());
        assert_eq!(k.cred(), seen[0].unwrap());
        seen.map(|cred| cred.unwrap().users().real)
    });
    // A signal for one of them asks for its own.
    let answers = [Err(KillError::NotPermitted), Ok(())];
    both(Difference::OwnCredentials, answers, |kernel| {
        let mut k = process(kernel);
        let (sibling, pid) = (k.new_lwp(k.pid()).unwrap(), k.pid());
        become_user(&mut k, [1000; 3]);
        let stranger = kernel.spawn().start().unwrap();
        let _first = k.switch(stranger).unwrap();
        become_user(&mut k, [1000; 3]);
        assert_eq!(k.signals().kill(KillTarget::Proc(pid), TERM), Ok(()));
        k.signals().kill(KillTarget::Lwp(sibling.lid()), TERM)
    });
}

#[test]
fn kill_of_all_that_may_signal_nobody() {
    both(Difference::KillOfNobody, [Ok(()), Err(KillError::NotPermitted)], |kernel| {
        let _roots = kernel.spawn().start().unwrap();
        let mut k = process(kernel);
        become_user(&mut k, [1000; 3]);
        k.signals().kill(KillTarget::All, TERM)
    });
    // With nobody there, it is nobody's.
    both(Difference::KillOfNobody, [Err(KillError::NoSuchProcess); 2], |kernel| {
        process(kernel).signals().kill(KillTarget::All, TERM)
    });
}

#[test]
fn a_bad_signal_for_nobody() {
    let bad = KillError::BadSignal { signo: 65 };
    both(Difference::BadSignalForNobody, [Err(KillError::NoSuchProcess), Err(bad)], |kernel| {
        process(kernel).signals().kill(KillTarget::Proc(Pid(4000)), 65)
    });
    both(Difference::BadSignalForNobody, [Err(bad); 2], |kernel| {
        let k = process(kernel);
        k.signals().kill(KillTarget::Proc(k.pid()), 65)
    });
}

#[test]
fn setpgid_of_a_negative_number() {
    let answers = [Err(GroupError::BadNumber), Err(GroupError::NoSuchProcess)];
    both(Difference::NegativeSetpgid, answers, |kernel| {
        process(kernel).groups().setpgid(Pid(-1), Pid(0))
    });
    // To a group that is named, there is nobody of that number.
    both(Difference::NegativeSetpgid, [Err(GroupError::NoSuchProcess); 2], |kernel| {
        let k = process(kernel);
        k.groups().setpgid(Pid(-1), k.pid())
    });
}

#[test]
fn setpgid_of_a_zombie() {
    both(Difference::SetpgidOfZombie, [Ok(true), Err(GroupError::NoSuchProcess)], |kernel| {
        let k = process(kernel);
        k.groups().setsid().unwrap();
        let child = k.spawn().start().unwrap();
        let pid = child.pid();
        child.exit(ExitStatus::exited(3));
        let moved = k.groups().setpgid(pid, Pid(0));
        assert_eq!(k.groups().pgid_of(pid), Ok(if moved.is_ok() { pid } else { k.pid() }));
        // A wait for the group finds it there, and it leaves nothing.
        let group = if moved.is_ok() { pid } else { k.pid() };
        let reaped = k.try_wait(WaitTarget::Pgrp(group)).unwrap().unwrap();
        assert_eq!((reaped.pid, reaped.status), (pid, ExitStatus::exited(3)));
        assert_eq!(k.groups().setpgid(pid, Pid(0)), Err(GroupError::NoSuchProcess));
        moved.map(|()| kernel.pin().pgrp(pid).is_none())
    });
    // One of another session is refused as when it lived.
    let answers = [Err(GroupError::OtherSession), Err(GroupError::NoSuchProcess)];
    both(Difference::SetpgidOfZombie, answers, |kernel| {
        let mut k = process(kernel);
        let child = k.spawn().start().unwrap();
        let pid = child.pid();
        let own = k.switch(child).unwrap().unwrap();
        k.groups().setsid().unwrap();
        k.switch(own).unwrap().unwrap().release();
        k.groups().setpgid(pid, Pid(0))
    });
}

#[test]
fn seteuid_to_the_present_effective_id() {
    for change in [CredChange::SetEuid(5), CredChange::SetEgid(5)] {
        let answers = [Ok(()), Err(CredError::NotPermitted)];
        both(Difference::SeteuidToEffective, answers, |kernel| {
            let mut k = process(kernel);
            let ids = (Some(4), Some(5), Some(6));
            k.creds().set(&CredChange::SetResgid(ids.0, ids.1, ids.2)).unwrap();
            become_user(&mut k, [4, 5, 6]);
            let before = (k.cred().users(), k.cred().groups());
            let done = k.creds().set(&change);
            assert_eq!((k.cred().users(), k.cred().groups()), before);
            done
        });
    }
}

#[test]
fn who_is_the_superuser_to_the_limit_of_processes() {
    let fork = |kernel: &Kernel, [real, effective]: [u32; 2]| {
        let mut k = process(kernel);
        let none = Limit { soft: 0, hard: 0 };
        k.resources().set_limit(Resource::Nproc, none).unwrap();
        become_user(&mut k, [real, effective, 0]);
        k.spawn().start().map(drop)
    };
    let refused = Err(SpawnError::Limit);
    let case = Difference::LimitOfTheSuperuser;
    both(case, [Ok(()), refused], |kernel| fork(kernel, [0, 1000]));
    both(case, [Ok(()); 2], |kernel| fork(kernel, [1000, 0]));
    both(case, [refused; 2], |kernel| fork(kernel, [1000; 2]));
}

/// A fork, a further LWP, and an exec as another user, where further LWPs are there.
#[test]
fn threads_count_for_the_limit_of_processes() {
    let case = Difference::LimitOfLwps;
    let limited = |k: &mut Entered<'_>, most| {
        k.resources().set_limit(Resource::Nproc, Limit::both(most)).unwrap();
        become_user(k, [1000; 3]);
    };
    let refused = (Err(SpawnError::Limit), Err(NewLwpError::Limit));
    both(case, [refused, (Ok(()), Ok(()))], |kernel| {
        let mut k = process(kernel);
        limited(&mut k, 3);
        let (child, further) = (k.spawn().start().unwrap(), k.new_lwp(k.pid()).unwrap());
        let made = k.new_lwp(k.pid()).map(drop);
        let forked = k.spawn().start().map(drop);
        if forked.is_err() {
            let UserCounts { procs, lwps, .. } = kernel.user_counts(1000);
            assert_eq!((procs, lwps), (2, 1), "what was refused is given back");
            // One that has gone makes room; a zombie makes none.
            drop(further);
            drop(k.spawn().start().unwrap());
            assert_eq!(k.new_lwp(k.pid()).map(drop), Err(NewLwpError::Limit));
            k.try_wait(WaitTarget::Any).unwrap().unwrap();
            drop(k.new_lwp(k.pid()).unwrap());
        }
        drop(child);
        (forked, made)
    });
    let exec = |kernel: &Kernel, most| {
        let mut k = process(kernel);
        let user = k.spawn().change_cred(&CredChange::SetUid(1000)).start().unwrap();
        let _further = [(); 2].map(|()| kernel.new_lwp(user.pid()).unwrap());
        limited(&mut k, most);
        k.drain();
        k.exec("other")
    };
    both(case, [Err(ExecError::Limit), Ok(())], |kernel| exec(kernel, 2));
    both(case, [Ok(()); 2], |kernel| exec(kernel, 3));
}

#[test]
fn whose_mask_keeps_what_does_nothing() {
    let urg = |kernel: &Kernel| {
        let mut k = process(kernel);
        let urg = Signo::new(23).unwrap();
        let second = kernel.new_lwp(k.pid()).unwrap();
        k.signals().set_blocked(urg.into()).unwrap();
        let first = k.switch(second).unwrap().unwrap();
        k.signals().kill(KillTarget::Proc(k.pid()), urg.number().into()).unwrap();
        let kept = !k.signals().pending().is_empty();
        drop(first);
        kept
    };
    for (rules, kept) in
        [(Rules::LINUX, true), (Rules::LINUX.as_netbsd(Difference::MaskOfTheFirst), false)]
    {
        let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
        assert_eq!(urg(&builder.build().unwrap()), kept, "{rules:?}");
    }
}

/// The number of an exec'ing LWP that is not the first, whether it is its process's.
#[test]
fn the_number_of_a_further_lwp_that_execs() {
    both(Difference::ExecOfFurtherLwp, [true, false], |kernel| {
        let first = kernel.spawn().start().unwrap();
        let mut k = kernel.enter_as(kernel.new_lwp(first.pid()).unwrap()).unwrap();
        k.drain();
        drop(first);
        k.exec("new").unwrap();
        k.lid().unwrap().0 == k.pid().0
    });
}

#[test]
fn the_number_of_a_further_lwp_where_a_process_is_meant() {
    let case = Difference::LwpForProcess;
    let lwp_and_its_process = |kernel: &Kernel| {
        let child = process(kernel).spawn().start().unwrap();
        let further = kernel.new_lwp(child.pid()).unwrap();
        (Pid(further.lid().0), child, further)
    };
    both(case, [Ok(()), Err(KillError::NoSuchProcess)], |kernel| {
        let (number, child, further) = lwp_and_its_process(kernel);
        let k = kernel.enter().unwrap();
        let sent = k.signals().kill(KillTarget::Proc(number), TERM);
        let pin = k.pin();
        let got = pin.proc(child.pid()).unwrap().pending();
        assert_eq!(got.is_empty(), sent.is_err(), "it is the process's");
        assert!(pin.lwp(further.lid()).unwrap().pending().is_empty(), "and not the LWP's");
        sent
    });
    both(case, [Ok([true; 2]), Err(GroupError::NoSuchProcess)], |kernel| {
        let (number, child, _further) = lwp_and_its_process(kernel);
        let k = kernel.enter().unwrap();
        k.groups().setpgid(child.pid(), child.pid()).unwrap();
        let (pgid, sid) = (k.groups().pgid_of(number)?, k.groups().sid_of(number)?);
        Ok([pgid == child.pid(), sid == k.groups().sid()])
    });
    let answers = [Err(GroupError::NumberOfLwp), Err(GroupError::NoSuchProcess)];
    both(case, answers, |kernel| {
        let (number, _child, _further) = lwp_and_its_process(kernel);
        let k = kernel.enter().unwrap();
        k.groups().setpgid(number, Pid(0))
    });
    // One that is a process's, of no child, is that of no further LWP.
    both(case, [Err(GroupError::NoSuchProcess); 2], |kernel| {
        let stranger = kernel.spawn().start().unwrap();
        process(kernel).groups().setpgid(stranger.pid(), Pid(0))
    });
    // A wait is for a child, by its own number.
    both(case, [Err(WaitError::NoChild); 2], |kernel| {
        let (number, _child, _further) = lwp_and_its_process(kernel);
        let k = kernel.enter().unwrap();
        k.try_wait(WaitTarget::Pid(number)).map(drop)
    });
}

/// The thread as the leader of a session with a terminal.
fn at_terminal<'k>(kernel: &'k Kernel, tty: &Terminal) -> Entered<'k> {
    let k = process(kernel);
    k.groups().setsid().unwrap();
    k.terminal(tty).acquire().unwrap();
    k
}

#[test]
fn the_leader_of_a_session_gives_its_terminal_up() {
    let answers = [(Ok(()), true), (Err(TerminalError::LeaderKeeps), false)];
    both(Difference::LeaderGivesUp, answers, |kernel| {
        let tty = kernel.new_terminal();
        let k = at_terminal(kernel, &tty);
        let done = k.terminal(&tty).give_up();
        (done, tty.session().is_none())
    });
    assert_eq!(TerminalError::LeaderKeeps.errno(), Errno::EINVAL);
}

#[test]
fn the_foreground_of_what_is_no_group() {
    let set = |kernel: &Kernel, choose: fn(&Entered<'_>, &Lwp, &Lwp) -> Pid| {
        let tty = kernel.new_terminal();
        let k = at_terminal(kernel, &tty);
        let (child, thread) = (k.spawn().start().unwrap(), k.new_lwp(k.pid()).unwrap());
        let pgid = choose(&k, &child, &thread);
        let done = k.terminal(&tty).set_foreground(pgid);
        assert_eq!(tty.foreground(), Some(if done.is_ok() { pgid } else { k.pid() }));
        if done.is_ok() && pgid == child.pid() {
            // The group that it founds is the one.
            assert_eq!(k.terminal(&tty).may_read(), Err(TerminalError::Background));
            k.groups().setpgid(pgid, pgid).unwrap();
            k.terminal(&tty).signal_foreground(Signo::TERM).unwrap();
            assert!(kernel.pin().proc(pgid).unwrap().pending().contains(Signo::TERM));
        }
        done
    };
    let case = Difference::ForegroundOfNoGroup;
    let no = Err(TerminalError::OtherSession);
    both(case, [Ok(()), no], |kernel| set(kernel, |_, child, _| child.pid()));
    both(case, [Ok(()), no], |kernel| set(kernel, |_, _, thread| Pid(thread.lid().0)));
    both(case, [no; 2], |kernel| set(kernel, |_, _, _| Pid::INIT));
    both(case, [Ok(()); 2], |kernel| set(kernel, |k, _, _| k.pid()));
    let nobody = Err(TerminalError::NoSuchGroup);
    both(case, [nobody, no], |kernel| set(kernel, |_, _, _| Pid(0)));
    both(case, [nobody, no], |kernel| set(kernel, |_, _, _| Pid(4000)));
    both(case, [no; 2], |kernel| {
        let tty = kernel.new_terminal();
        let mut k = at_terminal(kernel, &tty);
        let other = k.spawn().start().unwrap();
        let sid = other.pid();
        let own = k.switch(other).unwrap().unwrap();
        k.groups().setsid().unwrap();
        let _member = k.spawn().group(SpawnGroup::New).start().unwrap();
        k.switch(own).unwrap().unwrap().exit(ExitStatus::exited(0));
        let _reaped = k.wait(WaitTarget::Any);
        assert!(kernel.pin().proc(sid).is_none(), "only the session bears it");
        k.terminal(&tty).set_foreground(sid)
    });
}

#[test]
fn a_change_of_the_terminal_by_an_orphaned_group() {
    use TerminalError::{Background, NotControlling};
    let answers = [(Err(Background), Err(NotControlling), false), (Ok(()), Ok(()), true)];
    both(Difference::ChangeByOrphans, answers, |kernel| {
        let tty = kernel.new_terminal();
        let mut k = at_terminal(kernel, &tty);
        let middle = k.spawn().start().unwrap();
        let leader = k.switch(middle).unwrap().unwrap();
        let orphan = k.spawn().group(SpawnGroup::New).start().unwrap();
        k.switch(orphan).unwrap().unwrap().exit(ExitStatus::exited(0));
        let (t, own) = (k.terminal(&tty), k.pid());
        assert_eq!(t.may_write(Tostop::Set), Err(Background));
        let done = (t.may_change(), t.set_foreground(own), tty.foreground() == Some(own));
        drop(leader);
        done
    });
}

#[test]
fn who_is_told_of_a_hang_up() {
    both(Difference::HangUp, [[2, 0, 2], [1, 0, 0]], |kernel| {
        let tty = kernel.new_terminal();
        let mut k = at_terminal(kernel, &tty);
        // Whatever does nothing is kept.
        k.signals().set_blocked(SigSet::ALL).unwrap();
        let job = k.spawn().group(SpawnGroup::New).start().unwrap();
        k.terminal(&tty).set_foreground(job.pid()).unwrap();
        k.terminal(&tty).hang_up().unwrap();
        // How many signals, SIGHUP first.
        let told = |pid| {
            let all = kernel.pin().proc(pid).unwrap().pending();
            assert!(all.is_empty() || all.contains(Signo::HUP), "{all:?}");
            all.iter().count()
        };
        let before = [told(k.pid()), told(job.pid())];
        k.exit_group(ExitStatus::exited(0)).unwrap();
        drop(k);
        [before[0], before[1], told(job.pid())]
    });
}

/// Of three LWPs that sleep, who is interrupted by a signal for the process: the first by its
/// number, then the oldest; or the newest.
#[test]
fn who_is_told_of_a_signal() {
    let told = |kernel: &Kernel, blocking: &[usize]| -> Vec<usize> {
        let first = kernel.spawn().start().unwrap();
        let pid = first.pid();
        let lwps = [first, kernel.new_lwp(pid).unwrap(), kernel.new_lwp(pid).unwrap()];
        let lids = [0, 1, 2].map(|i: usize| lwps[i].lid());
        let (channel, done) = (WaitChannel::new(), std::sync::atomic::AtomicBool::new(false));
        let order = std::sync::atomic::Ordering::SeqCst;
        std::thread::scope(|s| {
            let sleepers: Vec<_> = lwps
                .into_iter()
                .enumerate()
                .map(|(i, lwp)| {
                    let (channel, done) = (&channel, &done);
                    s.spawn(move || {
                        let mut k = kernel.enter().unwrap();
                        k.switch(lwp).unwrap();
                        if blocking.contains(&i) {
                            k.signals().set_blocked(SigSet::ALL).unwrap();
                        }
                        let slept = k.sleep_on(channel, || done.load(order).then_some(()));
                        // So that its end leaves nothing to the others.
                        let taken = slept.is_err().then(|| k.signals().take().is_some());
                        (i, taken)
                    })
                })
                .collect();
            let asleep =
                |lid| kernel.pin().lwp(lid).is_some_and(|lwp| lwp.state() == LwpState::Sleeping);
            while !lids.iter().all(|lid| asleep(*lid)) {
                std::thread::yield_now();
            }
            kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), TERM).unwrap();
            while kernel.pin().proc(pid).is_some_and(|proc| !proc.pending().is_empty()) {
                std::thread::yield_now();
            }
            done.store(true, order);
            channel.wake_all();
            let all = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap());
            all.filter(|(_, told)| *told == Some(true)).map(|(i, _)| i).collect()
        })
    };
    both(Difference::Receiver, [vec![0], vec![2]], |kernel| told(kernel, &[]));
    both(Difference::Receiver, [vec![1], vec![1]], |kernel| told(kernel, &[0, 2]));
    both(Difference::Receiver, [vec![1], vec![2]], |kernel| told(kernel, &[0]));
}

/// The same where job control is the kernel's.
#[track_caller]
fn both_with_jobs<R: PartialEq + std::fmt::Debug>(
    difference: Difference,
    [linux, netbsd]: [R; 2],
    case: impl Fn(&Kernel, i32) -> R,
) {
    let bsd = Rules::NETBSD.job_control(JobControl::Kernel);
    let sides = [
        (Rules::LINUX, 17, &linux),
        (bsd.as_linux(difference), 20, &linux),
        (bsd, 20, &netbsd),
        (Rules::LINUX.as_netbsd(difference), 17, &netbsd),
    ];
    for (rules, chld, expected) in sides {
        let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
        let kernel = builder.wait_policy(WaitPolicy::Wait).build().unwrap();
        assert_eq!(case(&kernel, chld), *expected, "{rules:?}");
    }
}

#[test]
fn sigchld_of_a_child_that_leaves_no_zombie() {
    both_with_jobs(Difference::SignalWithoutZombie, [true, false], |kernel, chld| {
        let k = process(kernel);
        k.signals().set_disposition(chld, Disposition::Catch).unwrap();
        k.signals().set_child_flags(ChildFlags::NO_WAIT).unwrap();
        drop(k.spawn().start().unwrap());
        assert_eq!(k.try_wait(WaitTarget::Any), Err(WaitError::NoChild));
        k.signals().take().is_some()
    });
}

#[test]
fn an_exec_of_who_ignores_sigchld() {
    let [ignore, default] = [Disposition::Ignore, Disposition::Default];
    both_with_jobs(Difference::ExecOfIgnoredChildren, [ignore, default], |kernel, chld| {
        let mut k = process(kernel);
        k.signals().set_disposition(chld, Disposition::Ignore).unwrap();
        k.drain();
        k.exec("another").unwrap();
        k.signals().disposition(chld).unwrap()
    });
}

/// It is not a zombie to those who wait, stop, continue or move it; and none at all when
/// another LWP execs.
#[test]
fn a_stopped_process_whose_first_lwp_has_gone() {
    let bsd = Rules::NETBSD.job_control(JobControl::Kernel);
    for (rules, stop, cont) in [(Rules::LINUX, 19, 18), (bsd, 17, 19)] {
        let builder = Kernel::builder().rules(rules).signal_model(SigModel::Record);
        let kernel = builder.wait_policy(WaitPolicy::Wait).build().unwrap();
        let mut k = process(&kernel);
        k.groups().setsid().unwrap();
        let first = k.spawn().start().unwrap();
        let (pid, further) = (first.pid(), kernel.new_lwp(first.pid()).unwrap());
        first.exit(ExitStatus::exited(1));
        let kill = |signo| k.signals().kill(KillTarget::Proc(pid), signo).unwrap();
        let state = || kernel.pin().proc(pid).unwrap().state();
        let found = |events| {
            let found = k.try_wait(WaitTarget::Pid(pid).events(events)).unwrap();
            found.map(|child| child.event)
        };
        kill(stop);
        assert_eq!(state(), ProcState::Stopped);
        assert_eq!(k.try_wait(WaitTarget::Any), Ok(None));
        assert_eq!(k.groups().setpgid(pid, pid), Ok(()));
        assert_eq!(k.groups().pgid_of(pid), Ok(pid));
        let by = Signo::new(stop).unwrap();
        assert_eq!(found(WaitEvents::STOPPED), Some(ChildEvent::Stopped(by)));
        kill(cont);
        assert_eq!(state(), ProcState::Active);
        assert_eq!(found(WaitEvents::CONTINUED), Some(ChildEvent::Continued));
        let own = k.switch(further).unwrap().unwrap();
        k.drain();
        k.exec("new").unwrap();
        assert_eq!(kernel.pin().proc(pid).unwrap().state(), ProcState::Active);
        k.switch(own).unwrap().unwrap().exit(ExitStatus::exited(3));
        let end = k.wait(WaitTarget::Pid(pid)).unwrap();
        assert_eq!((end.event, end.status), (ChildEvent::Ended, ExitStatus::exited(3)));
    }
}
