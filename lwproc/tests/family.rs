//! Who is whose child, how a parent is told of an end, and where orphans go: as measured on
//! Linux.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/jobs.rs"]
mod common;

use common::{job, kill, linux, shell, signo, state};
use lwproc::*;
use std::sync::{Arc, Mutex};

/// Linux's numbers.
const KILL: i32 = 9;
const USR1: i32 = 10;
const USR2: i32 = 12;
const CHLD: i32 = 17;
const CONT: i32 = 18;
const STOP: i32 = 19;

const OK: ExitStatus = ExitStatus::exited(0);

fn catch(k: &Entered<'_>, signals: &[i32]) {
    for signal in signals {
        k.signals().set_disposition(*signal, Disposition::Catch).unwrap();
    }
}

fn taken(k: &Entered<'_>) -> Vec<i32> {
    std::iter::from_fn(|| k.signals().take()).map(|signo| signo.number().into()).collect()
}

/// What is pending for a process.
fn pending(kernel: &Kernel, pid: Pid) -> Vec<i32> {
    let pending = kernel.pin().proc(pid).unwrap().pending();
    pending.iter().map(|signo| signo.number().into()).collect()
}

fn ppid(kernel: &Kernel, pid: Pid) -> Pid {
    kernel.pin().proc(pid).unwrap().ppid()
}

fn exec(k: &mut Entered<'_>) {
    assert_eq!(k.drain(), Drain::Begun);
    k.exec("another").unwrap();
}

/// Does something as another LWP, which comes back.
fn as_lwp<R>(k: &mut Entered<'_>, lwp: Lwp, f: impl FnOnce(&mut Entered<'_>) -> R) -> (Lwp, R) {
    let own = k.switch(lwp).unwrap();
    let result = f(k);
    let lwp = match own {
        Some(own) => k.switch(own).unwrap(),
        None => k.unbind().unwrap(),
    };
    (lwp.unwrap(), result)
}

fn reaped(k: &Entered<'_>, what: impl Into<WaitFor>) -> Result<Option<Pid>, WaitError> {
    Ok(k.try_wait(what)?.map(|child| child.pid))
}

const CLONE: WaitTarget = WaitTarget::Any;

#[test]
fn a_clone_child_is_found_by_waits_for_its_kind_only() {
    let kernel = linux();
    let k = shell(&kernel);
    catch(&k, &[USR1, CHLD]);
    let child = k.spawn().exit_signal(Some(signo(USR1))).start().unwrap();
    let handle = child.proc_handle();
    let none = Err(WaitError::NoChild);
    assert_eq!(reaped(&k, WaitTarget::Any), none);
    assert_eq!(reaped(&k, WaitTarget::Pid(handle.pid())), none);
    assert_eq!(reaped(&k, CLONE.kind(ChildKind::Clone)), Ok(None));
    child.exit(OK);
    assert_eq!(taken(&k), [USR1], "in the place of SIGCHLD");
    assert_eq!(reaped(&k, WaitTarget::Any), none);
    assert_eq!(k.try_wait(WaitTarget::OwnPgrp.peek()).unwrap_err(), WaitError::NoChild);
    assert_eq!(handle.try_wait(&k).unwrap_err(), WaitError::NoChild);
    let any = WaitTarget::Pid(handle.pid()).kind(ChildKind::Any);
    assert_eq!(reaped(&k, any.peek()), Ok(Some(handle.pid())));
    assert_eq!(handle.wait().kind(ChildKind::Clone).now(&k).unwrap().unwrap().pid, handle.pid());
    assert_eq!(reaped(&k, CLONE.kind(ChildKind::Any)), none);
    // And those are not found by waits for clone children.
    let ordinary = k.spawn().exit_signal(Some(signo(CHLD))).start().unwrap();
    assert_eq!(reaped(&k, CLONE.kind(ChildKind::Clone)), none);
    ordinary.exit(OK);
    assert_eq!((taken(&k), reaped(&k, CLONE.kind(ChildKind::Clone))), (vec![CHLD], none));
    assert!(reaped(&k, WaitTarget::Any).unwrap().is_some());
}

#[test]
fn a_clone_child_stays_a_zombie_where_sigchld_is_ignored() {
    let kernel = linux();
    let k = shell(&kernel);
    k.signals().set_disposition(CHLD, Disposition::Ignore).unwrap();
    for signal in [None, Some(signo(USR1))] {
        catch(&k, &[USR1]);
        let child = k.spawn().exit_signal(signal).start().unwrap();
        let pid = child.pid();
        child.exit(OK);
        assert_eq!(state(&kernel, pid), ProcState::Zombie);
        assert_eq!(taken(&k), if signal.is_some() { vec![USR1] } else { vec![] });
        assert_eq!(k.wait(CLONE.kind(ChildKind::Any)).unwrap().pid, pid);
    }
}

#[test]
fn an_exec_and_a_new_parent_make_ordinary_children() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let child = k.spawn().exit_signal(Some(signo(USR1))).start().unwrap();
    let pid = child.pid();
    let (child, grandchild) = as_lwp(&mut k, child, |k| {
        exec(k);
        k.spawn().exit_signal(None).start().unwrap()
    });
    assert_eq!(reaped(&k, WaitTarget::Any), Ok(None));
    k.process().set_subreaper(Subreaper::Yes);
    catch(&k, &[CHLD]);
    child.exit(OK);
    assert_eq!((taken(&k), reaped(&k, WaitTarget::Any)), (vec![CHLD], Ok(Some(pid))));
    let pid = grandchild.pid();
    grandchild.exit(OK);
    assert_eq!((taken(&k), reaped(&k, WaitTarget::Any)), (vec![CHLD], Ok(Some(pid))));
}

#[test]
fn a_parent_that_has_execed_is_told_of_clone_children_by_sigchld() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let [a, b] = [Some(signo(KILL)), None].map(|s| k.spawn().exit_signal(s).start().unwrap());
    exec(&mut k);
    catch(&k, &[CHLD]);
    let pid = a.pid();
    a.exit(OK);
    assert_eq!(taken(&k), [CHLD]);
    assert_eq!(reaped(&k, WaitTarget::Any), Err(WaitError::NoChild), "a clone child still");
    assert_eq!(reaped(&k, CLONE.kind(ChildKind::Clone)), Ok(Some(pid)));
    k.signals().set_disposition(CHLD, Disposition::Ignore).unwrap();
    b.exit(OK);
    assert_eq!(reaped(&k, CLONE.kind(ChildKind::Any)), Err(WaitError::NoChild), "no zombie");
}

#[test]
fn a_stop_of_a_clone_child_is_told_by_sigchld() {
    let kernel = linux();
    let k = shell(&kernel);
    catch(&k, &[USR1, CHLD]);
    let child = k.spawn().exit_signal(Some(signo(USR1))).start().unwrap();
    kill(&k, child.pid(), STOP);
    assert_eq!(taken(&k), [CHLD]);
    let stopped = WaitTarget::Any.events(WaitEvents::STOPPED);
    assert_eq!(k.try_wait(stopped).unwrap_err(), WaitError::NoChild);
    let found = k.try_wait(stopped.kind(ChildKind::Clone)).unwrap().unwrap();
    assert_eq!(found.event, ChildEvent::Stopped(signo(STOP)));
    kill(&k, child.pid(), KILL);
    drop(child);
    assert_eq!(taken(&k), [USR1]);
}

#[test]
fn an_lwp_waits_for_its_own_children_and_the_oldest_for_those_of_who_has_gone() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let [second, third] = [(); 2].map(|()| k.new_lwp(k.pid()).unwrap());
    let child_of = |k: &mut Entered<'_>, lwp| as_lwp(k, lwp, |k| k.spawn().start().unwrap());
    let (second, b) = child_of(&mut k, second);
    let (third, c) = child_of(&mut k, third);
    let own = WaitTarget::Any.of_this_lwp();
    assert_eq!(reaped(&k, own), Err(WaitError::NoChild));
    let [b_pid, c_pid] = [&b, &c].map(|child| child.pid());
    b.exit(OK);
    assert_eq!(reaped(&k, own), Err(WaitError::NoChild));
    let (second, found) = as_lwp(&mut k, second, |k| reaped(k, own));
    assert_eq!(found, Ok(Some(b_pid)));
    assert_eq!(reaped(&k, WaitTarget::Any), Ok(None));
    // c's maker goes: it is the first one's, and the second one's when that has gone.
    drop(third);
    assert_eq!(reaped(&k, WaitTarget::Pid(c_pid).of_this_lwp()), Ok(None));
    let (second, found) = as_lwp(&mut k, second, |k| reaped(k, own));
    assert_eq!(found, Err(WaitError::NoChild));
    let own_child = k.spawn().start().unwrap();
    k.release().unwrap();
    drop(k.switch(second).unwrap());
    c.exit(OK);
    assert_eq!(reaped(&k, own), Ok(Some(c_pid)));
    own_child.exit(OK);
    assert!(reaped(&k, own).unwrap().is_some());
    assert_eq!(reaped(&k, own), Err(WaitError::NoChild));
}

#[test]
fn a_sibling_is_the_child_of_its_makers_parent() {
    let kernel = linux();
    let mut k = shell(&kernel);
    catch(&k, &[USR1]);
    let maker = k.spawn().exit_signal(Some(signo(USR1))).start().unwrap();
    let second = k.new_lwp(k.pid()).unwrap();
    let (maker, sibling) = as_lwp(&mut k, maker, |k| {
        let sibling = k.spawn().exit_signal(None).sibling().start().unwrap();
        assert_eq!(reaped(k, CLONE.kind(ChildKind::Any)), Err(WaitError::NoChild));
        sibling
    });
    let pid = sibling.pid();
    assert_eq!(ppid(&kernel, pid), k.pid());
    sibling.exit(OK);
    assert_eq!(taken(&k), [USR1], "as its maker");
    // The LWP that made the one made the other.
    let own = CLONE.kind(ChildKind::Clone).of_this_lwp();
    let (second, found) = as_lwp(&mut k, second, |k| reaped(k, own));
    assert_eq!(found, Err(WaitError::NoChild));
    assert_eq!(reaped(&k, own), Ok(Some(pid)));
    drop((maker, second));
    // proc0 and init have none, their children have.
    let refused = Err(SpawnError::NoSiblings);
    assert_eq!(kernel.spawn().sibling().start().map(drop), refused);
    let (shell, found) = {
        let own = k.unbind().unwrap().unwrap();
        let init = kernel.pin().proc(Pid::INIT).unwrap().handle().unwrap();
        (own, [k.spawn().sibling().start().map(drop), init.spawn().sibling().start().map(drop)])
    };
    assert_eq!(found, [refused; 2]);
    assert_eq!(found[0].unwrap_err().errno(), Errno::EINVAL);
    let sibling = shell.proc_handle().spawn().sibling().start().unwrap();
    assert_eq!(ppid(&kernel, sibling.pid()), Pid::KERNEL);
}

#[test]
fn orphans_go_to_the_nearest_living_subreaper() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let line: Vec<Lwp> = std::iter::successors(Some(k.spawn().start().unwrap()), |last| {
        (last.pid().0 < k.pid().0 + 5).then(|| last.proc_handle().spawn().start().unwrap())
    })
    .collect();
    let [a, b, c, d, e] = <[Lwp; 5]>::try_from(line).unwrap();
    let [b_pid, c_pid, d_pid, e_pid] = [&b, &c, &d, &e].map(|lwp| lwp.pid());
    assert_eq!(k.process().set_subreaper(Subreaper::Yes), Subreaper::No);
    let (b, before) = as_lwp(&mut k, b, |k| {
        let by_birth = k.process().subreaper();
        k.process().set_subreaper(Subreaper::Yes);
        exec(k);
        (by_birth, k.process().subreaper())
    });
    assert_eq!(before, (Subreaper::No, Subreaper::Yes), "by birth, after an exec");
    // One that dies is passed over, and so is one that has only been one.
    let (c, _) = as_lwp(&mut k, c, |k| {
        k.process().set_subreaper(Subreaper::Yes);
        k.process().set_subreaper(Subreaper::No)
    });
    drop(d);
    assert_eq!(ppid(&kernel, e_pid), b_pid);
    drop(b);
    assert_eq!(ppid(&kernel, e_pid), k.pid());
    assert_eq!(ppid(&kernel, c_pid), k.pid(), "its parent was the one that died");
    drop(c);
    assert_eq!(k.process().set_subreaper(Subreaper::No), Subreaper::Yes);
    let own = k.pid();
    drop(k.unbind().unwrap());
    assert_eq!(ppid(&kernel, e_pid), Pid::INIT);
    assert!(kernel.pin().proc(own).is_none_or(|proc| proc.state() == ProcState::Zombie));
    assert!(kernel.pin().proc(d_pid).is_none_or(|proc| proc.state() == ProcState::Zombie));
    drop((a, e, k));
    assert_eq!(kernel.shutdown().survivors, []);
}

/// The pids of zombies that can be waited for, and those of their parents.
struct Zombies(Mutex<Vec<(Pid, Pid)>>);

impl TraceSink for Zombies {
    fn event(&self, event: &TraceEvent) {
        if let TraceEvent::Zombie { pid, ppid, .. } = *event {
            self.0.lock().unwrap().push((pid, ppid));
        }
    }
}

#[test]
fn who_inherits_a_zombie_is_told_of_it() {
    let kernel = linux();
    let zombies = Arc::new(Zombies(Mutex::default()));
    let _none = kernel.set_trace(Some(zombies.clone()));
    let mut k = shell(&kernel);
    k.process().set_subreaper(Subreaper::Yes);
    catch(&k, &[CHLD]);
    let child = k.spawn().start().unwrap();
    let (child_pid, grandchild) = (child.pid(), child.proc_handle().spawn().start().unwrap());
    let grandchild_pid = grandchild.pid();
    grandchild.exit(ExitStatus::exited(3));
    assert_eq!((taken(&k), reaped(&k, WaitTarget::Any)), (vec![], Ok(None)));
    let (child, _) = as_lwp(&mut k, child, |k| k.signals().set_blocked(SigSet::ALL));
    child.exit(OK);
    assert_eq!(taken(&k), [CHLD]);
    let found = k.wait(WaitTarget::Pid(grandchild_pid)).unwrap();
    assert_eq!(found.status, ExitStatus::exited(3));
    assert_eq!(reaped(&k, WaitTarget::Any), Ok(Some(child_pid)));
    let told = [(grandchild_pid, child_pid), (grandchild_pid, k.pid()), (child_pid, k.pid())];
    assert_eq!(*zombies.0.lock().unwrap(), told);
    assert_eq!(reaped(&k, WaitTarget::Any), Err(WaitError::NoChild));
}

#[test]
fn who_ignores_sigchld_inherits_no_zombie() {
    for (does, flags, told) in [
        (Disposition::Ignore, ChildFlags::NONE, vec![]),
        (Disposition::Catch, ChildFlags::NO_WAIT, vec![CHLD]),
    ] {
        let kernel = linux();
        let mut k = shell(&kernel);
        k.process().set_subreaper(Subreaper::Yes);
        k.signals().set_disposition(CHLD, does).unwrap();
        k.signals().set_child_flags(flags).unwrap();
        let child = k.spawn().start().unwrap();
        let (child, grandchild) = as_lwp(&mut k, child, |k| {
            catch(k, &[CHLD]);
            k.signals().set_child_flags(ChildFlags::NONE).unwrap();
            k.spawn().start().unwrap()
        });
        let pid = grandchild.pid();
        grandchild.exit(OK);
        assert_eq!(state(&kernel, pid), ProcState::Zombie);
        drop(child);
        assert!(kernel.pin().proc(pid).is_none());
        assert_eq!(taken(&k), told);
        assert_eq!(reaped(&k, WaitTarget::Any), Err(WaitError::NoChild));
        assert_eq!(kernel.counts().zombies, 0);
    }
}

/// A group with a stopped member is orphaned by the end of its parent's, unless who takes its
/// members in keeps it.
#[test]
fn a_subreaper_in_the_session_keeps_a_group_from_being_orphaned() {
    for (subreaper, stays) in [(Subreaper::Yes, true), (Subreaper::No, false)] {
        let kernel = linux();
        let mut k = shell(&kernel);
        k.process().set_subreaper(subreaper);
        let child = job(&mut k);
        let (child, grandchild) = as_lwp(&mut k, child, job);
        kill(&k, grandchild.pid(), STOP);
        drop(child);
        let is_stopped = state(&kernel, grandchild.pid()) == ProcState::Stopped;
        assert_eq!(is_stopped, stays);
        let stopped = WaitTarget::Pid(grandchild.pid()).events(WaitEvents::STOPPED);
        assert_eq!(k.try_wait(stopped).is_ok(), stays, "inherited as it is");
    }
}

#[test]
fn an_init_that_waits_has_its_children_and_orphans() {
    let builder = Kernel::builder().rules(Rules::LINUX).signal_model(SigModel::Record);
    let kernel = builder.wait_policy(WaitPolicy::Wait).init_waits().build().unwrap();
    let k = kernel.enter().unwrap();
    let child = k.spawn().start().unwrap();
    let grandchild = child.proc_handle().spawn().start().unwrap();
    let late = child.proc_handle().spawn().start().unwrap();
    let pids = [&child, &grandchild, &late].map(|lwp| lwp.pid());
    grandchild.exit(ExitStatus::exited(7));
    assert_eq!(reaped(&k, WaitTarget::Any), Ok(None));
    assert_eq!(pending(&kernel, Pid::INIT), [], "what does nothing is not sent to init");
    catch(&k, &[CHLD]);
    child.exit(ExitStatus::exited(5));
    assert_eq!(taken(&k), [CHLD]);
    assert_eq!(k.wait(WaitTarget::Pid(pids[1])).unwrap().status, ExitStatus::exited(7));
    drop(k.claim_zombie(WaitTarget::Any).unwrap().expect("given back"));
    assert_eq!(reaped(&k, WaitTarget::Any), Ok(Some(pids[0])));
    assert_eq!(reaped(&k, WaitTarget::Any), Ok(None), "the other one lives");
    std::thread::scope(|s| {
        s.spawn(|| late.exit(OK));
        assert_eq!(k.wait(WaitTarget::Any).unwrap().pid, pids[2]);
    });
    assert_eq!(reaped(&k, WaitTarget::Any), Err(WaitError::NoChild));
    let left = k.spawn().start().unwrap();
    let pid = left.pid();
    left.exit(OK);
    drop(k);
    // proc0 reaps its own.
    kernel.spawn().start().unwrap().exit(OK);
    assert_eq!(kernel.counts().zombies, 1);
    assert_eq!(kernel.shutdown().reaped, [pid]);
}

#[test]
fn children_of_who_says_so_leave_no_zombies_and_sigchld_is_sent() {
    let kernel = linux();
    let mut k = shell(&kernel);
    catch(&k, &[CHLD]);
    let flags = ChildFlags::NO_WAIT;
    assert_eq!(k.signals().set_child_flags(flags), Ok(ChildFlags::NONE));
    k.spawn().start().unwrap().exit(OK);
    assert_eq!(taken(&k), [CHLD]);
    assert_eq!(reaped(&k, WaitTarget::Any), Err(WaitError::NoChild));
    // A child says the same, and another program nothing.
    let child = k.spawn().start().unwrap();
    let (child, seen) = as_lwp(&mut k, child, |k| {
        let inherited = k.signals().child_flags();
        exec(k);
        (inherited, k.signals().child_flags())
    });
    assert_eq!(seen, (flags, ChildFlags::NONE));
    assert_eq!(k.signals().child_flags(), flags);
    // What was a zombie before is one.
    k.signals().set_child_flags(ChildFlags::NONE).unwrap();
    let pid = child.pid();
    child.exit(OK);
    k.signals().set_child_flags(flags).unwrap();
    assert_eq!(reaped(&k, WaitTarget::Any), Ok(Some(pid)));
}

#[test]
fn stops_are_not_told_to_who_says_so_or_ignores_sigchld() {
    let kernel = linux();
    let k = shell(&kernel);
    catch(&k, &[CHLD]);
    let child = k.spawn().start().unwrap();
    let stop_and_go = || {
        kill(&k, child.pid(), STOP);
        kill(&k, child.pid(), CONT);
        taken(&k)
    };
    assert_eq!(stop_and_go(), [CHLD]);
    k.signals().set_child_flags(ChildFlags::NO_STOP).unwrap();
    assert_eq!(stop_and_go(), []);
    let both = WaitTarget::Any.events(WaitEvents::STOPPED | WaitEvents::CONTINUED);
    assert_eq!(k.wait(both).unwrap().event, ChildEvent::Continued, "a wait is told");
    k.signals().set_child_flags(ChildFlags::NONE).unwrap();
    k.signals().set_blocked(signo(CHLD).into()).unwrap();
    k.signals().set_disposition(CHLD, Disposition::Ignore).unwrap();
    assert_eq!(stop_and_go(), []);
    assert_eq!(pending(&kernel, k.pid()), [], "not even blocked");
    let embedder = Kernel::new();
    let refused = embedder.enter().unwrap().signals().set_child_flags(ChildFlags::NO_STOP);
    assert_eq!(refused, Err(DispositionError::NotKept));
}

#[test]
fn a_death_signal_is_sent_at_the_end_of_who_made_the_process() {
    let kernel = linux();
    let mut k = shell(&kernel);
    let parent = k.spawn().start().unwrap();
    let maker = parent.proc_handle().new_lwp().unwrap();
    let (maker, child) = as_lwp(&mut k, maker, |k| k.spawn().start().unwrap());
    let (child, _) = as_lwp(&mut k, child, |k| {
        catch(k, &[USR1]);
        assert_eq!(k.signals().set_death_signal(Some(signo(USR1))), Ok(None));
        assert_eq!(k.signals().death_signal(), Some(signo(USR1)));
        let forked = k.spawn().start().unwrap();
        let (forked, asks) = as_lwp(k, forked, |k| k.signals().death_signal());
        assert_eq!(asks, None, "not inherited");
        drop(forked);
    });
    let other = parent.proc_handle().new_lwp().unwrap();
    drop(other);
    assert_eq!(pending(&kernel, child.pid()), [], "not its maker");
    drop(maker);
    let (child, seen) = as_lwp(&mut k, child, |k| (taken(k), k.ppid()));
    assert_eq!(seen, (vec![USR1], parent.pid()), "the first LWP has inherited it");
    drop(parent);
    let (child, seen) = as_lwp(&mut k, child, |k| (taken(k), k.ppid()));
    assert_eq!(seen, (vec![USR1], Pid::INIT));
    drop(child);
    drop(k.unbind());
    let refused = k.signals().set_death_signal(Some(signo(USR1)));
    assert_eq!((refused, k.signals().death_signal()), (Err(DeathSignalError::Implicit), None));
}

#[test]
fn a_death_signal_goes_with_the_effective_ids() {
    let kernel = linux();
    let asks = |change: &dyn Fn(&mut Entered<'_>)| {
        let mut k = shell(&kernel);
        k.signals().set_death_signal(Some(signo(USR1))).unwrap();
        change(&mut k);
        k.signals().death_signal().is_some()
    };
    let set = |k: &mut Entered<'_>, ids: [Option<u32>; 3]| {
        k.creds().set(&CredChange::SetResuid(ids[0], ids[1], ids[2])).unwrap();
    };
    assert!(asks(&|k| set(k, [Some(1), None, Some(2)])));
    assert!(!asks(&|k| set(k, [None, Some(1), None])));
    assert!(!asks(&|k| k.creds().set(&CredChange::SetEgid(1)).unwrap()));
    assert!(asks(&exec));
    assert!(!asks(&|k| {
        set(k, [None, Some(1), None]);
        k.signals().set_death_signal(Some(signo(USR1))).unwrap();
        exec(k);
    }));
    // Whom the parent may not signal has none.
    for (user, expected) in [(0, vec![USR1]), (7, vec![USR1]), (8, vec![])] {
        let mut k = shell(&kernel);
        let parent = k.spawn().start().unwrap();
        let child = parent.proc_handle().spawn().start().unwrap();
        let (child, _) = as_lwp(&mut k, child, |k| {
            set(k, [Some(7); 3]);
            k.signals().set_death_signal(Some(signo(USR1))).unwrap();
        });
        let (parent, _) = as_lwp(&mut k, parent, |k| set(k, [Some(user); 3]));
        drop(parent);
        assert_eq!(pending(&kernel, child.pid()), expected, "as user {user}");
    }
}

/// Each end kills the next, and none is inside another.
#[test]
fn a_long_line_of_deaths_ends() {
    const LENGTH: usize = 20_000;
    let kernel = linux();
    let mut k = kernel.enter().unwrap();
    let first = kernel.spawn().start().unwrap();
    let mut last = first.proc_handle();
    for _ in 0..LENGTH {
        let child = last.spawn().start().unwrap();
        last = child.proc_handle();
        let (child, _) = as_lwp(&mut k, child, |k| {
            k.signals().set_death_signal(Some(signo(KILL))).unwrap();
        });
        child.unclaim();
    }
    assert_eq!(kernel.counts().procs, 3 + LENGTH);
    drop(first);
    assert_eq!((kernel.counts().procs, kernel.counts().lwps), (2, 2));
    assert!(last.exit_status().is_some());
    // The same from below: by exit signals.
    let mut parent = kernel.spawn().start().unwrap();
    for _ in 0..LENGTH {
        let child = parent.proc_handle().spawn().exit_signal(Some(signo(KILL))).start().unwrap();
        std::mem::replace(&mut parent, child).unclaim();
    }
    drop(parent);
    assert_eq!((kernel.counts().procs, kernel.counts().lwps), (2, 2));
}

#[test]
fn an_exit_signal_that_kills_ends_the_parent() {
    let kernel = linux();
    let k = shell(&kernel);
    let parent = k.spawn().start().unwrap();
    let pid = parent.pid();
    let child = parent.proc_handle().spawn().exit_signal(Some(signo(KILL))).start().unwrap();
    parent.unclaim();
    child.exit(OK);
    let status = k.wait(WaitTarget::Pid(pid)).unwrap().status;
    assert_eq!(status, ExitStatus::signaled(9, CoreDump::None));
    let sent = k.spawn().exit_signal(Some(signo(USR2))).start().unwrap();
    assert_eq!(
        format!("{:?}", CLONE.kind(ChildKind::Clone).of_this_lwp()),
        "Any.kind(Clone).of_this_lwp()"
    );
    drop(sent);
}

/// A kernel without a signal for the ends of children has those that are asked for.
#[test]
fn without_sigchld_a_clone_child_has_its_signal() {
    let builder = Kernel::builder().signal_model(SigModel::Record);
    let kernel = builder.wait_policy(WaitPolicy::Wait).build().unwrap();
    let k = shell(&kernel);
    k.spawn().start().unwrap().exit(OK);
    assert_eq!(taken(&k), []);
    k.spawn().exit_signal(Some(signo(USR1))).start().unwrap().exit(OK);
    assert_eq!(taken(&k), [USR1]);
    assert!(reaped(&k, WaitTarget::Any).unwrap().is_some());
    assert!(reaped(&k, CLONE.kind(ChildKind::Clone)).unwrap().is_some());
}
