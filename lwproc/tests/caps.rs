//! The most processes and LWPs: of a kernel, of a process, of a user; set, lowered and
//! raised while the kernel runs.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

const ANY: u64 = u64::MAX;

fn kernel(configure: impl FnOnce(Builder) -> Builder) -> Kernel {
    configure(Kernel::builder()).build().unwrap()
}

/// Each way to make an LWP, or a process with its first one: whether it was made. What was
/// made is let go.
fn ways(kernel: &Kernel, pid: Pid) -> [(&'static str, Result<(), Errno>); 7] {
    let handle = kernel.pin().proc(pid).unwrap().handle().unwrap();
    let inside =
        |f: &dyn Fn(&mut Entered<'_>) -> Result<(), Errno>| f(&mut kernel.enter().unwrap());
    let rfork = |k: &mut Entered<'_>| {
        k.rfork(Rfork::Fresh)?;
        k.release()?;
        Ok(())
    };
    let hold = |k: &mut Entered<'_>| {
        k.hold()?;
        k.unhold()?;
        Ok(())
    };
    [
        ("Kernel::new_lwp", kernel.new_lwp(pid).map(drop).map_err(Errno::from)),
        ("ProcHandle::new_lwp", handle.new_lwp().map(drop).map_err(Errno::from)),
        ("Entered::new_lwp", inside(&|k| Ok(k.new_lwp(pid).map(drop)?))),
        ("Entered::hold", inside(&hold)),
        ("Kernel::spawn", kernel.spawn().start().map(drop).map_err(Errno::from)),
        ("ProcHandle::spawn", handle.spawn().start().map(drop).map_err(Errno::from)),
        ("Entered::rfork", inside(&rfork)),
    ]
}

/// Those of the ways that were refused.
fn refused(kernel: &Kernel, pid: Pid) -> Vec<&'static str> {
    let before = (kernel.counts(), kernel.user_counts(0));
    let ways = ways(kernel, pid);
    assert_eq!((kernel.counts(), kernel.user_counts(0)), before, "all has been given back");
    for (way, made) in ways {
        assert!(made.is_ok() || made == Err(Errno::EAGAIN), "{way}: {made:?}");
    }
    ways.iter().filter(|(_, made)| made.is_err()).map(|(way, _)| *way).collect()
}

const OF_PROCESSES: [&str; 3] = ["Kernel::spawn", "ProcHandle::spawn", "Entered::rfork"];
const OF_ONE: [&str; 3] = ["Kernel::new_lwp", "ProcHandle::new_lwp", "Entered::new_lwp"];

#[test]
fn each_way_to_make_an_lwp_counts_and_each_end_gives_back() {
    // lwp0, init's own, and two of a process.
    for most in [4, 5] {
        for built_with in [true, false] {
            let kernel = kernel(|b| if built_with { b.max_lwps(most) } else { b });
            let first = kernel.spawn().start().unwrap();
            let second = kernel.new_lwp(first.pid()).unwrap();
            if !built_with {
                kernel.set_max_lwps(most);
            }
            assert_eq!(kernel.max_lwps(), most);
            for _ in 0..3 {
                let refused = refused(&kernel, first.pid());
                assert_eq!(refused.len(), if most == 4 { 7 } else { 0 }, "{refused:?}");
            }
            drop((first, second));
            assert_eq!((kernel.counts().lwps, kernel.counts().ids), (2, 2));
        }
    }
}

#[test]
fn an_lwp_that_goes_makes_room_whichever_way_it_goes() {
    let kernel = kernel(|b| b.max_lwps(4));
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let ends: [fn(&Kernel, Lwp); 6] = [
        |_, lwp| drop(lwp),
        |_, lwp| lwp.release(),
        |_, lwp| lwp.exit(ExitStatus::exited(3)),
        |kernel, lwp| kernel.enter_as(lwp).unwrap().release().unwrap(),
        |kernel, lwp| {
            // The thread takes it along, and ends.
            thread::scope(|s| s.spawn(|| drop(kernel.enter_as(lwp).unwrap())).join().unwrap());
        },
        |_, lwp| {
            let unwound = thread::spawn(move || {
                let _lwp = lwp;
                std::panic::resume_unwind(Box::new(()));
            });
            unwound.join().unwrap_err();
        },
    ];
    for end in ends {
        for _ in 0..3 {
            let second = kernel.new_lwp(pid).unwrap();
            assert_eq!(kernel.new_lwp(pid).err(), Some(NewLwpError::KernelFull));
            end(&kernel, second);
        }
    }
    // A process that ends as a whole gives all back: those parked, too.
    drop(first);
    let child = kernel.spawn().start().unwrap();
    let further = kernel.new_lwp(child.pid()).unwrap();
    let (handle, parked) = (child.proc_handle(), further.unclaim());
    handle.end(ExitStatus::exited(1)).unwrap();
    drop((child, parked));
    assert!(!handle.is_alive());
    let again = [kernel.spawn().start().unwrap(), kernel.spawn().start().unwrap()];
    assert_eq!(kernel.spawn().start().err(), Some(SpawnError::KernelFull));
    drop(again);
}

#[test]
fn a_process_may_have_a_most_and_init_does_not() {
    let kernel = kernel(|b| b.max_lwps_per_proc(2));
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    for _ in 0..3 {
        assert_eq!(refused(&kernel, pid), [] as [&str; 0]);
        let second = kernel.new_lwp(pid).unwrap();
        assert_eq!(kernel.new_lwp(pid).err(), Some(NewLwpError::ProcessFull));
        assert_eq!(refused(&kernel, pid), OF_ONE);
        drop(second);
    }
    // Each process by itself.
    let other = kernel.spawn().start().unwrap();
    let of_other = kernel.new_lwp(other.pid()).unwrap();
    // What is the kernel's own.
    let own: Vec<Lwp> = (0..5).map(|_| kernel.new_lwp(Pid::INIT).unwrap()).collect();
    let of_proc0: Vec<Lwp> = (0..5).map(|_| kernel.new_lwp(Pid::KERNEL).unwrap()).collect();
    drop((own, of_proc0, other, of_other));
    kernel.set_max_lwps_per_proc(ANY);
    assert_eq!(kernel.max_lwps_per_proc(), ANY);
    let many: Vec<Lwp> = (0..5).map(|_| kernel.new_lwp(pid).unwrap()).collect();
    kernel.set_max_lwps_per_proc(6);
    assert_eq!(kernel.new_lwp(pid).err(), Some(NewLwpError::ProcessFull));
    drop(many);
    kernel.set_max_lwps_per_proc(1);
    assert_eq!((refused(&kernel, pid), kernel.max_lwps_per_proc()), (OF_ONE.to_vec(), 1));
    // A process has its first LWP in any case.
    kernel.set_max_lwps_per_proc(0);
    drop(kernel.spawn().start().unwrap());
}

#[test]
fn processes_have_a_most_from_when_it_is_set() {
    let kernel = kernel(|b| b.wait_policy(WaitPolicy::Wait));
    assert_eq!(kernel.max_procs(), ANY);
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let (alive, zombie) = (k.spawn().start().unwrap(), k.spawn().start().unwrap());
    drop(zombie);
    // proc0, init, this one, one that lives and a zombie.
    kernel.set_max_procs(5);
    assert_eq!((kernel.max_procs(), k.spawn().start().err()), (5, Some(SpawnError::KernelFull)));
    kernel.set_max_procs(2);
    assert_eq!(kernel.counts().procs + kernel.counts().zombies, 5, "nothing is ended");
    assert_eq!(k.rfork(Rfork::Copy), Err(ForkError::KernelFull));
    kernel.set_max_procs(6);
    let sixth = k.spawn().start().unwrap();
    assert_eq!(k.spawn().start().err(), Some(SpawnError::KernelFull));
    // A zombie makes room when it is waited for.
    drop(sixth);
    assert_eq!(k.spawn().start().err(), Some(SpawnError::KernelFull));
    while k.try_wait(WaitTarget::Any).unwrap().is_some() {}
    let two = [k.spawn().start().unwrap(), k.spawn().start().unwrap()];
    assert_eq!(k.spawn().start().err(), Some(SpawnError::KernelFull));
    kernel.set_max_procs(ANY);
    let many: Vec<Lwp> = (0..9).map(|_| k.spawn().start().unwrap()).collect();
    drop((two, many, alive));
    k.release().unwrap();
    drop(k);
    kernel.set_max_procs(3);
    for _ in 0..4 {
        let last = kernel.spawn().start().unwrap();
        assert_eq!(refused(&kernel, last.pid()), OF_PROCESSES);
    }
}

#[test]
fn an_error_gives_the_places_back() {
    // Ids end before the mosts do.
    let kernel = kernel(|b| b.id_capacity(3).max_lwps(9).max_procs(9).max_lwps_per_proc(5));
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let last = kernel.new_lwp(k.pid()).unwrap();
    for _ in 0..20 {
        assert_eq!(k.new_lwp(k.pid()).err(), Some(NewLwpError::IdsExhausted));
        assert_eq!(k.rfork(Rfork::Fresh).err(), Some(ForkError::IdsExhausted));
        let bad = k.spawn().fd(Fd(7), Fd(8)).start();
        assert_eq!(bad.err(), Some(SpawnError::IdsExhausted));
    }
    drop(last);
    for _ in 0..20 {
        let bad = k.spawn().fd(Fd(7), Fd(8)).start();
        assert_eq!(bad.err(), Some(SpawnError::Files(FdError::BadFd)));
        k.drain();
        assert_eq!(k.new_lwp(k.pid()).err(), Some(NewLwpError::Draining));
        k.reopen();
        assert_eq!(k.new_lwp(Pid(2222)).err(), Some(NewLwpError::NoSuchProcess));
    }
    kernel.set_max_lwps_per_proc(1);
    for _ in 0..20 {
        assert_eq!(k.new_lwp(k.pid()).err(), Some(NewLwpError::ProcessFull));
    }
    kernel.set_max_lwps_per_proc(ANY);
    kernel.set_max_lwps(4);
    kernel.set_max_procs(4);
    let child = k.spawn().start().unwrap();
    assert_eq!(k.new_lwp(k.pid()).err(), Some(NewLwpError::KernelFull));
    drop(child);
    drop(k.new_lwp(k.pid()).unwrap());
    // Of two mosts the one that refuses takes nothing of the other.
    kernel.set_max_lwps(3);
    for _ in 0..3 {
        assert_eq!(k.rfork(Rfork::Fresh).err(), Some(ForkError::KernelFull));
    }
    kernel.set_max_lwps(4);
    drop(k.spawn().start().unwrap());
    k.release().unwrap();
}

/// Threads make LWPs and processes and let them go, while another changes the mosts.
#[test]
fn there_are_never_more_and_nobody_is_refused_for_nothing() {
    const THREADS: usize = 4;
    let kernel = kernel(|b| b);
    let first = kernel.spawn().start().unwrap();
    let (pid, done, refused) = (first.pid(), AtomicBool::new(false), AtomicUsize::new(0));
    let rounds = if cfg!(miri) { 20 } else { 4000 };
    thread::scope(|s| {
        let (kernel, done, refused) = (&kernel, &done, &refused);
        let workers: Vec<_> = (0..THREADS)
            .map(|n| {
                s.spawn(move || {
                    for round in 0..rounds {
                        let made = if (round + n) % 2 == 0 {
                            kernel.new_lwp(pid).map_err(Errno::from)
                        } else {
                            kernel.spawn().start().map_err(Errno::from)
                        };
                        match made {
                            Ok(lwp) => drop(lwp),
                            Err(why) => {
                                assert_eq!(why, Errno::EAGAIN);
                                refused.fetch_add(1, SeqCst);
                            }
                        }
                    }
                })
            })
            .collect();
        s.spawn(move || {
            while !done.load(SeqCst) {
                for most in [ANY, 5, 3, 4] {
                    kernel.set_max_lwps(most);
                    kernel.set_max_procs(most);
                    thread::yield_now();
                }
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, SeqCst);
    });
    // With room for all nobody is refused.
    kernel.set_max_lwps(3 + THREADS as u64);
    kernel.set_max_procs(3 + THREADS as u64);
    refused.store(0, SeqCst);
    thread::scope(|s| {
        for n in 0..THREADS {
            let kernel = &kernel;
            s.spawn(move || {
                for round in 0..rounds {
                    match (round + n) % 2 {
                        0 => drop(kernel.new_lwp(pid).unwrap()),
                        _ => drop(kernel.spawn().start().unwrap()),
                    }
                }
            });
        }
    });
    // And what is counted is what lives.
    kernel.set_max_lwps(4);
    kernel.set_max_procs(4);
    for _ in 0..3 {
        let one = kernel.spawn().start().unwrap();
        assert_eq!(kernel.spawn().start().err(), Some(SpawnError::KernelFull));
        assert_eq!(kernel.new_lwp(pid).err(), Some(NewLwpError::KernelFull));
        drop(one);
    }
}

/// Several threads at the most: never above it, and the places are all taken.
#[test]
fn of_many_at_the_most_as_many_win_as_there_is_room() {
    const THREADS: usize = 4;
    for (most, made) in [(3, 0), (4, 1), (5, 2), (7, 4)] {
        for round in 0..if cfg!(miri) { 2 } else { 200 } {
            let kernel = kernel(|b| b.max_lwps(most).max_lwps_per_proc(most - 2));
            let first = kernel.spawn().start().unwrap();
            let pid = first.pid();
            let start = std::sync::Barrier::new(THREADS);
            let won: Vec<Lwp> = thread::scope(|s| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|_| {
                        s.spawn(|| {
                            start.wait();
                            kernel.new_lwp(pid).ok()
                        })
                    })
                    .collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(won.len(), made, "most {most}, round {round}");
        }
    }
}
