//! What a kernel does, one test for each statement of the seed's behaviour.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

#[path = "common/becoming.rs"]
mod becoming;

use becoming::Become;
use lwproc::*;

fn kernel() -> Kernel {
    Kernel::new()
}

/// Nothing lives but proc0, init and their own LWPs.
#[track_caller]
fn assert_empty(kernel: &Kernel) {
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps, counts.zombies, counts.ids), (2, 2, 0, 2), "{kernel}");
}

#[test]
fn newlwp_of_proc0_and_init_is_legal_and_of_a_stranger_is_not() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert!(k.become_new_lwp(Pid(0)).unwrap().is_none());
    assert_eq!(k.pid(), Pid(0));
    let first = k.curlwp().unwrap().lid();
    let old = k.become_new_lwp(Pid(1)).unwrap().expect("the LWP of proc0");
    assert_eq!((old.pid(), old.lid()), (Pid(0), first));
    assert_ne!(k.curlwp().unwrap().lid(), first);
    for absent in [37, -1, i32::MAX, i32::MIN, 1 << 21] {
        let error = k.become_new_lwp(Pid(absent)).unwrap_err();
        assert_eq!(error, NewLwpError::NoSuchProcess);
        assert_eq!(error.errno(), Errno::ESRCH);
    }
    drop(old);
    k.release().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn numbers_start_at_one_and_count_up() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!((k.pid(), k.lid()), (Pid(1), None));
    let mut kept = Vec::new();
    for expected in 2..100 {
        kept.extend(k.rfork(Rfork::Share).unwrap());
        assert_eq!((k.pid(), k.lid()), (Pid(expected), Some(Lid(expected))));
        assert_eq!(k.ppid(), Pid(expected - 1));
    }
}

#[test]
fn a_further_lwp_is_not_found_as_a_process() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    let first = k.become_new_lwp(pid).unwrap().unwrap();
    let second = k.lid().unwrap();
    assert_ne!(second.0, pid.0);
    assert_eq!(k.become_new_lwp(Pid(second.0)).unwrap_err(), NewLwpError::NoSuchProcess);
    drop(first);
}

#[test]
fn the_first_lwp_bears_the_pid_and_a_later_one_takes_it_over() {
    let kernel = kernel();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    assert_eq!(first.lid().0, pid.0);
    let second = kernel.new_lwp(pid).unwrap();
    assert_ne!(second.lid().0, pid.0);
    drop(first);
    let guard = kernel.pin();
    assert!(guard.proc(pid).is_some(), "the pid stays findable");
    assert!(guard.lwp(Lid(pid.0)).is_none());
    drop(guard);
    let third = kernel.new_lwp(pid).unwrap();
    assert_eq!(third.lid().0, pid.0);
    let fourth = kernel.new_lwp(pid).unwrap();
    assert_ne!(fourth.lid().0, pid.0, "at most one LWP bears the pid");
    drop((second, third, fourth));
    assert_empty(&kernel);
}

#[test]
fn lwps_released_in_order_of_creation() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    let mut lwps = vec![k.unbind().unwrap().unwrap()];
    for _ in 0..128 {
        k.become_new_lwp(pid).unwrap();
        lwps.push(k.unbind().unwrap().unwrap());
    }
    for lwp in lwps {
        let lid = lwp.lid();
        assert!(k.switch(lwp).unwrap().is_none());
        assert_eq!((k.pid(), k.curlwp().unwrap().lid()), (pid, lid));
        k.release().unwrap();
        assert!(k.curlwp().is_none(), "exiting reads as none");
        drop(k);
        k = kernel.enter().unwrap();
        assert!(k.curlwp().is_none());
        assert_eq!(k.pid(), Pid::INIT, "the implicit context shows");
    }
    assert_eq!(k.become_new_lwp(pid).unwrap_err(), NewLwpError::NoSuchProcess);
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn a_bound_lwp_stays_bound_across_entries() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let (pid, lid) = (k.pid(), k.lid());
    drop(k);
    let k = kernel.enter().unwrap();
    assert_eq!((k.pid(), k.lid()), (pid, lid));
    drop(k);
    std::thread::scope(|s| {
        s.spawn(|| assert_eq!(kernel.enter().unwrap().pid(), Pid::INIT));
    });
}

#[test]
fn entering_twice_is_an_error() {
    let (a, b) = (kernel(), kernel());
    let k = a.enter().unwrap();
    assert_eq!(a.enter().unwrap_err(), EnterError::AlreadyEntered);
    assert_eq!(EnterError::AlreadyEntered.errno(), Errno::EDEADLK);
    let other = b.enter().unwrap();
    drop(other);
    drop(k);
    drop(a.enter().unwrap());
}

#[test]
fn release_from_an_implicit_or_exiting_context_is_an_error() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.release(), Err(ReleaseError::NotPertinent));
    k.rfork(Rfork::Share).unwrap();
    k.release().unwrap();
    assert_eq!(k.release(), Err(ReleaseError::NotPertinent));
    assert_eq!(k.unbind().unwrap_err(), UnbindError::Exiting);
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn a_switch_frees_the_exiting_lwp() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    k.release().unwrap();
    assert_eq!(kernel.counts().procs, 4);
    assert!(k.switch(parent).unwrap().is_none());
    assert_eq!(kernel.counts().procs, 3);
}

#[test]
fn unbind_then_switch_back_is_legal() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    let lwp = k.unbind().unwrap().unwrap();
    assert_eq!(k.pid(), Pid::INIT);
    assert!(k.unbind().unwrap().is_none());
    k.switch(lwp).unwrap();
    assert_eq!(k.pid(), pid);
}

#[test]
fn a_running_lwp_cannot_be_claimed_and_a_parked_one_can_once() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (pid, lid) = (lwp.pid(), lwp.lid());
    let guard = kernel.pin();
    let seen = guard.lwp(lid).unwrap();
    let running = ClaimError::AlreadyRunning { pid, lid };
    assert_eq!(seen.claim().unwrap_err(), running);
    assert_eq!(seen.state(), LwpState::Owned);
    let handle = lwp.unclaim();
    assert_eq!(seen.state(), LwpState::Parked);
    let claimed = seen.claim().unwrap();
    assert_eq!(handle.claim().unwrap_err(), running);
    drop(claimed);
    assert_eq!(handle.claim().unwrap_err(), ClaimError::Exiting);
    assert_eq!(handle.state(), LwpState::Gone);
    assert_eq!((handle.pid(), handle.lid()), (pid, lid));
    assert!(guard.lwp(lid).is_none());
}

#[test]
fn curlwp_itself_is_running() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let guard = kernel.pin();
    let me = guard.lwp(k.lid().unwrap()).unwrap();
    assert!(matches!(me.claim(), Err(ClaimError::AlreadyRunning { .. })));
}

#[test]
fn lwps_of_another_kernel_are_refused_and_given_back() {
    let (a, b) = (kernel(), kernel());
    let lwp = a.spawn().start().unwrap();
    let pid = lwp.pid();
    let mut k = b.enter().unwrap();
    let error = k.switch(lwp).unwrap_err();
    assert_eq!(error.errno(), Errno::EXDEV);
    assert_eq!(error.into_lwp().pid(), pid);
    drop(k);
    assert_empty(&a);
    let proc = a.spawn().start().unwrap();
    let handle = a.pin().proc(proc.pid()).unwrap().handle().unwrap();
    // A guard and a handle know their kernel, wherever the thread is.
    let k = b.enter().unwrap();
    let further = handle.new_lwp().unwrap();
    assert_eq!((a.counts().lwps, b.counts().lwps), (4, 2));
    assert_eq!(a.pin().lwp(further.lid()).map(|lwp| lwp.pid()), Some(proc.pid()));
    assert!(b.pin().proc(proc.pid()).is_none() && k.pin().proc(proc.pid()).is_none());
    assert_eq!((a.pin().procs().count(), k.pin().procs().count()), (3, 2));
}

#[test]
fn holds_keep_the_lwp_and_revive_an_implicit_context() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.unhold(), Err(ReleError::NotHeld));
    k.hold().unwrap();
    let lid = k.curlwp().expect("revived").lid();
    assert_eq!((k.pid(), k.curlwp().unwrap().refcnt()), (Pid::INIT, 1));
    drop(k);
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.curlwp().unwrap().lid(), lid, "it persists");
    k.hold().unwrap();
    assert_eq!(k.release(), Err(ReleaseError::Held { holds: 1 }));
    k.unhold().unwrap();
    k.unhold().unwrap();
    assert!(k.curlwp().is_none());
    assert_eq!(k.unhold(), Err(ReleError::NotHeld));
    k.hold().unwrap();
    assert!(k.curlwp().is_some(), "a hold takes the exit back");
    k.unhold().unwrap();
    drop(k);
    assert_empty(&kernel);
}

#[test]
fn a_draining_process_takes_no_lwps() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let pid = k.pid();
    k.drain();
    let guard = kernel.pin();
    assert_eq!(guard.proc(pid).unwrap().state(), ProcState::Draining);
    let error = kernel.new_lwp(pid).unwrap_err();
    assert_eq!((error, error.errno()), (NewLwpError::Draining, Errno::EBUSY));
    k.reopen();
    drop(kernel.new_lwp(pid).unwrap());
}

#[test]
fn rfork_flags() {
    assert_eq!(Rfork::from_flags(0), Ok(Rfork::Share));
    assert_eq!(Rfork::from_flags(1), Ok(Rfork::Copy));
    assert_eq!(Rfork::from_flags(2), Ok(Rfork::Fresh));
    for flags in [3, 4, -1, i32::MIN] {
        let error = Rfork::from_flags(flags).unwrap_err();
        assert_eq!((error, error.errno()), (ForkError::BadFlags { flags }, Errno::EINVAL));
    }
}

#[test]
fn orphans_go_to_init() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent_pid = k.pid();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.pid();
    assert_eq!(k.ppid(), parent_pid);
    drop(parent);
    assert_eq!(k.ppid(), Pid::INIT);
    let guard = kernel.pin();
    let init = guard.proc(Pid::INIT).unwrap();
    assert_eq!(init.children().map(|c| c.pid()).collect::<Vec<_>>(), [child]);
    assert!(guard.proc(parent_pid).is_none());
}

#[test]
fn alloclwp_makes_children_of_proc0_or_lwps() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let guard = kernel.pin();
    let proc = guard.proc(lwp.pid()).unwrap();
    assert_eq!((proc.ppid(), proc.nlwps()), (Pid(0), 1));
    let more = kernel.new_lwp(lwp.pid()).unwrap();
    assert_eq!(proc.nlwps(), 2);
    let lids: Vec<_> = proc.lwps().map(|l| l.lid()).collect();
    assert_eq!(lids, [more.lid(), lwp.lid()], "newest first");
    assert_eq!(kernel.new_lwp(Pid(99)).unwrap_err(), NewLwpError::NoSuchProcess);
}

#[test]
fn handles_keep_identity_when_the_pid_is_reused() {
    let kernel = Kernel::builder().id_capacity(2).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    let guard = kernel.pin();
    let handle = guard.proc(pid).unwrap().handle().unwrap();
    let identity = handle.identity();
    drop(guard);
    drop(lwp);
    assert!(!handle.is_alive());
    let again = kernel.spawn().start().unwrap();
    assert_ne!(again.pid(), pid, "a reused slot yields a new number");
    assert_eq!(handle.new_lwp().unwrap_err(), NewLwpError::NoSuchProcess);
    let guard = kernel.pin();
    assert_ne!(guard.proc(again.pid()).unwrap().identity(), identity);
    assert!(guard.proc(pid).is_none());
    assert_eq!(handle.clone(), handle);
}

#[test]
fn comm_is_inherited_and_replaced() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.process().comm().as_str(), "init");
    k.rfork(Rfork::Share).unwrap();
    k.process().set_comm("sh");
    let parent = k.rfork(Rfork::Share).unwrap();
    assert_eq!(k.process().comm().as_str(), "sh");
    k.process().set_comm("a name longer than sixteen bytes");
    k.process().set_comm("cat");
    assert_eq!(k.process().comm().as_str(), "cat");
    let guard = kernel.pin();
    assert_eq!(guard.proc(parent.unwrap().pid()).unwrap().comm().as_str(), "sh");
    k.process().set_comm("");
    k.rfork(Rfork::Share).unwrap();
    assert_eq!(k.process().comm().as_str(), "rumproc");
}

#[test]
fn shutdown_reports_who_was_there() {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
    let owned = kernel.spawn().start().unwrap();
    let parked = kernel.spawn().start().unwrap().unclaim();
    let mut k = kernel.enter().unwrap();
    k.switch(owned).unwrap();
    k.rfork(Rfork::Share).unwrap().unwrap().unclaim();
    let zombie = k.pid();
    k.exit(ExitStatus::exited(1)).unwrap();
    drop(k);
    let mut k = kernel.enter().unwrap();
    k.become_new_lwp(Pid(0)).unwrap();
    let bound = (k.pid(), k.lid().unwrap());
    drop(k);
    let survivor = kernel.spawn().start().unwrap();
    let report = kernel.shutdown();
    assert!(report.released.contains(&(parked.pid(), parked.lid())));
    assert!(report.released.contains(&bound));
    assert_eq!(report.released.len(), 3);
    assert_eq!(report.reaped, [] as [Pid; 0], "{zombie}'s parent ended first, so init reaped it");
    assert_eq!(report.survivors, [(survivor.pid(), survivor.lid())]);
    assert!(!report.is_clean());
    assert!(report.to_string().contains("3 LWPs released"));
    assert_eq!(parked.claim().unwrap_err(), ClaimError::Exiting);
    drop(survivor);
}

#[test]
fn display_reads_like_ps() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    k.process().set_comm("sh");
    k.groups().setsid().unwrap();
    let parked = kernel.new_lwp(k.pid()).unwrap().unclaim();
    let shown = kernel.to_string();
    let rows: Vec<Vec<&str>> = shown.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["PID", "PPID", "PGRP", "SID", "STAT", "NLWP", "COMM", "LWPS"]);
    assert_eq!(rows[1], ["0", "0", "0", "0", "A", "1", "system", "0*"]);
    assert_eq!(rows[2], ["1", "0", "0", "0", "A", "1", "init", "1*"]);
    assert_eq!(rows[3], ["2", "1", "2", "2", "A", "2", "sh", "3.", "2*"]);
    assert_eq!(parked.lid(), Lid(3));
    assert!(format!("{kernel:?}").contains("procs: 3"));
}

#[test]
fn a_thread_that_ends_releases_what_was_bound_to_it() {
    let kernel = kernel();
    let fork_and_end = || {
        kernel.enter().unwrap().rfork(Rfork::Share).map(drop).unwrap();
        assert_eq!(kernel.counts().procs, 3);
    };
    // Joined one by one: a scope alone does not wait for a thread's storage.
    std::thread::scope(|s| s.spawn(fork_and_end).join().unwrap());
    assert_empty(&kernel);
    assert_eq!(kernel.reclaim_stats().participants, 1);
    std::thread::scope(|s| s.spawn(fork_and_end).join().unwrap());
    assert_eq!(kernel.reclaim_stats().participants, 1, "the vacant one was taken over");
}

#[test]
fn many_kernels_are_strangers() {
    let kernels: Vec<Kernel> = (0..20).map(|_| Kernel::new()).collect();
    let mut entered: Vec<Entered<'_>> = kernels.iter().map(|k| k.enter().unwrap()).collect();
    for (i, k) in entered.iter_mut().enumerate() {
        for _ in 0..i {
            k.rfork(Rfork::Share).map(drop).unwrap();
        }
    }
    for (i, k) in entered.iter().enumerate() {
        assert_eq!(k.pid(), Pid(1 + i as i32));
    }
}

#[test]
fn virtual_cpus_bound_the_threads_in_the_kernel() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let kernel = Kernel::builder().virtual_cpus(two).build().unwrap();
    let inside = [AtomicUsize::new(0), AtomicUsize::new(0)];
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..2000 {
                    let k = kernel.enter().unwrap();
                    let mine = &inside[k.cpu().unwrap()];
                    assert_eq!(mine.fetch_add(1, SeqCst), 0, "a CPU is one thread's");
                    mine.fetch_sub(1, SeqCst);
                    drop(k);
                }
            });
        }
    });
    assert_eq!(Kernel::new().enter().unwrap().cpu(), None);
}

/// The waiting parent gives its CPU to the child it waits for.
#[test]
fn a_sleeping_thread_gives_its_cpu_away() {
    let one = std::num::NonZeroUsize::MIN;
    let kernel = Kernel::builder().virtual_cpus(one).wait_policy(WaitPolicy::Wait).build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Share).unwrap();
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.switch(parent).unwrap().unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut k = kernel.enter().unwrap();
            k.switch(child).unwrap();
            k.exit(ExitStatus::exited(9)).unwrap();
        });
        assert_eq!(k.wait(WaitTarget::Any).unwrap().status.exit_code(), Some(9));
        assert_eq!(k.cpu(), Some(0));
    });
}
