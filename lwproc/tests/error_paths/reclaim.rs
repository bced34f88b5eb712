//! Ids that run out, what is retired, LWPs that are parked too late.

use crate::becoming::Become;
use crate::bench::frees_all;
use lwproc::*;

#[test]
fn exhausted_ids_lose_nothing() {
    let kernel = Kernel::builder().id_capacity(64).build().unwrap();
    for round in 0..5 {
        let mut lwps = Vec::new();
        let mut k = kernel.enter().unwrap();
        loop {
            match k.rfork(Rfork::Share) {
                Ok(old) => lwps.extend(old),
                Err(error) => {
                    assert_eq!(error, ForkError::IdsExhausted);
                    break;
                }
            }
        }
        let full = kernel.counts();
        assert_eq!((full.ids, full.procs, full.lwps), (65, 65, 65), "round {round}");
        let here = (k.pid(), k.lid());
        for _ in 0..100 {
            assert_eq!(k.become_new_lwp(k.pid()).unwrap_err(), NewLwpError::IdsExhausted);
            assert_eq!(k.rfork(Rfork::Copy).unwrap_err(), ForkError::IdsExhausted);
            assert_eq!(kernel.spawn().start().unwrap_err(), SpawnError::IdsExhausted);
            assert_eq!(k.become_new_lwp(Pid(-5)).unwrap_err(), NewLwpError::NoSuchProcess);
        }
        assert_eq!((k.pid(), k.lid()), here, "the context is unchanged");
        assert_eq!(kernel.counts(), full);
        let guard = kernel.pin();
        assert!(guard.procs().all(|p| p.nlwps() == 1));
        drop(guard);
        let last = k.unbind().unwrap();
        assert_eq!(k.hold(), Err(HoldError::IdsExhausted));
        assert!(k.curlwp().is_none());
        drop((last, lwps));
        drop(k);
        let counts = kernel.counts();
        assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2));
    }
}

/// The last LWP goes while a `new_lwp` that will find no id has attached: then
/// the failed `new_lwp` ends the process.
#[test]
fn a_failed_newlwp_can_be_the_end_of_the_process() {
    let kernel = Kernel::builder().id_capacity(3).build().unwrap();
    for _ in 0..2000 {
        let lwp = kernel.spawn().start().unwrap();
        let (pid, more) = (lwp.pid(), kernel.new_lwp(lwp.pid()).unwrap());
        std::thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..3 {
                    match kernel.new_lwp(pid) {
                        Ok(lwp) => drop(lwp),
                        Err(NewLwpError::IdsExhausted | NewLwpError::NoSuchProcess) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
            drop(lwp);
            drop(more);
        });
        let counts = kernel.counts();
        assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2));
    }
}

#[test]
fn everything_retired_is_freed() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    for _ in 0..1000 {
        k.rfork(Rfork::Share).map(drop).unwrap();
        k.process().set_comm("x");
        k.process().set_comm("y");
    }
    k.release().unwrap();
    drop(k);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    // A process, its LWP or its edge, and a name, each round.
    assert!(stats.retired >= 3000, "{stats:?}");
    assert_eq!(stats.retired, stats.freed, "{stats:?}");
}

#[test]
fn a_guard_holds_back_its_own_kernel_only() {
    let (a, b) = (Kernel::new(), Kernel::new());
    let churn = |kernel: &Kernel| {
        for _ in 0..1000 {
            drop(kernel.spawn().start().unwrap());
        }
        kernel.flush();
    };
    std::thread::scope(|s| {
        s.spawn(|| {
            let _guard = a.pin();
            s.spawn(|| (churn(&a), churn(&b))).join().unwrap();
        });
    });
    let (held, free) = (a.reclaim_stats(), b.reclaim_stats());
    assert_eq!(free.retired, free.freed, "{free:?}");
    assert!(held.freed < held.retired, "{held:?}");
}

/// What is dead in a list is at most as much as lives there, whatever the order
/// of removal: here the oldest half, and then the newest.
#[test]
fn the_dead_in_a_list_do_not_outnumber_the_living() {
    let kernel = Kernel::new();
    let first = kernel.spawn().start().unwrap();
    let mut lwps: Vec<Lwp> = (0..1000).map(|_| kernel.new_lwp(first.pid()).unwrap()).collect();
    lwps.drain(..499).for_each(drop);
    while let Some(newest) = lwps.pop() {
        drop(newest);
    }
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert!(stats.retired >= 1000 - 32, "{stats:?}");
    drop(first);
}

/// Under a guard what has gone is still seen, and not to be counted any more.
#[test]
fn what_is_gone_gives_no_handle() {
    frees_all(gone_gives_no_handle);
}

fn gone_gives_no_handle() {
    let kernel = Kernel::new();
    let owned = kernel.spawn().start().unwrap();
    let further = kernel.new_lwp(owned.pid()).unwrap();
    let (pid, lid) = (owned.pid(), further.lid());
    {
        let guard = kernel.pin();
        let (proc, lwp) = (guard.proc(pid).unwrap(), guard.lwp(lid).unwrap());
        drop((proc.handle().unwrap(), lwp.handle().unwrap()));
        drop(further);
        assert!(lwp.handle().is_none() && lwp.state() == LwpState::Gone);
        assert!(proc.handle().is_some(), "one of its LWPs has gone, and it has not");
        drop(owned);
        assert!(proc.handle().is_none() && proc.state() == ProcState::Gone);
    }
    kernel.flush();
    let (counts, stats) = (kernel.counts(), kernel.reclaim_stats());
    assert_eq!((counts.procs, counts.lwps, counts.ids), (2, 2, 2));
    assert_eq!(stats.retired, stats.freed, "{stats:?}");
}

/// One that a handle keeps gives more of them.
#[test]
fn what_a_handle_keeps_gives_handles() {
    frees_all(kept_gives_handles);
}

fn kept_gives_handles() {
    let kernel = Kernel::new();
    let owned = kernel.spawn().start().unwrap();
    let guard = kernel.pin();
    let (proc, lwp) = (guard.proc(owned.pid()).unwrap(), guard.lwp(owned.lid()).unwrap());
    let kept = (proc.handle().unwrap(), lwp.handle().unwrap());
    drop(owned);
    assert_eq!((proc.handle().as_ref(), lwp.handle().as_ref()), (Some(&kept.0), Some(&kept.1)));
    drop(kept);
    assert!(proc.handle().is_none() && lwp.handle().is_none(), "never again");
    drop(guard);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed, "{stats:?}");
}

/// A host whose memory tells whether the kernel's has gone.
struct Watched(#[expect(dead_code)] std::sync::Arc<()>);

impl Host for Watched {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
}

/// Found by `pair_unbind_kernel_drop`: nobody released what was parked too late.
#[test]
fn an_lwp_is_parked_by_its_own_handle_only() {
    let kernel = Kernel::new();
    let (a, b) = (kernel.spawn().start().unwrap(), kernel.spawn().start().unwrap());
    let (a_lid, b) = (a.lid(), b.unclaim());
    let refused = b.unclaim(a).unwrap_err();
    assert_eq!(refused.errno(), Errno::EINVAL);
    assert_eq!(refused.to_string(), format!("lwp 2:{a_lid} is not that of the handle"));
    let a = refused.into_lwp().unclaim();
    for handle in [&a, &b] {
        let lwp = handle.claim().unwrap();
        assert_eq!(handle.state(), LwpState::Owned);
        handle.unclaim(lwp).unwrap();
        assert_eq!(handle.state(), LwpState::Parked, "and anybody can claim it again");
    }
    drop((a.claim().unwrap(), b.claim().unwrap()));
    assert_eq!(kernel.counts().lwps, 2, "proc0's and init's");
}

#[test]
fn an_lwp_parked_by_its_handle_when_its_kernel_has_gone_is_released() {
    let alive = std::sync::Arc::new(());
    let kernel = Kernel::builder().host(Watched(alive.clone())).build().unwrap();
    let handle = kernel.spawn().start().unwrap().unclaim();
    let lwp = handle.claim().unwrap();
    drop(kernel);
    handle.unclaim(lwp).unwrap();
    assert_eq!(handle.claim().unwrap_err(), ClaimError::Exiting);
    drop(handle);
    assert_eq!(std::sync::Arc::strong_count(&alive), 1, "the kernel's memory is gone");
}

#[test]
fn an_lwp_parked_when_its_kernel_has_gone_is_released() {
    let alive = std::sync::Arc::new(());
    let kernel = Kernel::builder().host(Watched(alive.clone())).build().unwrap();
    let lwp = kernel.spawn().start().unwrap();
    assert_eq!(kernel.shutdown().survivors.len(), 1);
    let handle = lwp.unclaim();
    assert_eq!(handle.claim().unwrap_err(), ClaimError::Exiting);
    drop(handle);
    assert_eq!(std::sync::Arc::strong_count(&alive), 1, "the kernel's memory is gone");
}
