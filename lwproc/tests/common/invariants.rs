//! What holds in every kernel whenever no thread is inside an operation.

use super::host::{Counting, What};
use super::worker::Gear;
use lwproc::*;
use std::collections::{HashMap, HashSet};

/// Who shares a descriptor table with whom: one use for each LWP.
fn check_tables<H: Host>(kernel: &Kernel<H>) {
    let guard = kernel.pin();
    let mut left: Vec<_> = guard.procs().filter(|p| p.nlwps() > 0).collect();
    while let Some(one) = left.pop() {
        let (sharing, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|p| p.shares_fds_with(&one));
        left = others;
        let lwps: u32 = sharing.iter().chain([&one]).map(|p| p.nlwps()).sum();
        assert_eq!(one.fd_table_users(), lwps as usize, "one use for each LWP");
        assert!(sharing.iter().all(|p| p.fd_count() == one.fd_count()));
    }
}

/// Groups and their members say the same; the ids that they keep.
fn check_groups<H: Host>(kernel: &Kernel<H>) -> HashSet<i32> {
    let guard = kernel.pin();
    let mut members: HashMap<Pid, HashSet<Identity>> = HashMap::new();
    let mut sessions = HashMap::new();
    for proc in guard.procs() {
        let (pgid, sid) = (proc.pgid().unwrap(), proc.sid().unwrap());
        members.entry(pgid).or_default().insert(proc.identity());
        assert_eq!(*sessions.entry(pgid).or_insert(sid), sid, "a group is in one session");
    }
    for group in guard.pgrps() {
        let seen: HashSet<_> = group.members().map(|p| p.identity()).collect();
        assert_eq!(members.remove(&group.id()), Some(seen), "group {}", group.id());
        assert_eq!(sessions[&group.id()], group.sid());
    }
    assert!(members.is_empty(), "groups that are not found: {members:?}");
    sessions.into_iter().flat_map(|(pgid, sid)| [pgid.0, sid.0]).collect()
}

/// The invariants, with every thread at rest.
pub fn check<H: Host>(kernel: &Kernel<H>) {
    let guard = kernel.pin();
    let (mut lwps, mut zombies, mut procs) = (0, 0, 0);
    let mut children = HashSet::new();
    for proc in guard.procs() {
        let own: Vec<Lid> = proc.lwps().map(|l| l.lid()).collect();
        assert_eq!(own.len(), proc.nlwps() as usize, "nlwps is the size of p_lwps");
        assert!(own.iter().filter(|l| l.0 == proc.pid().0).count() <= 1);
        for lid in &own {
            assert_eq!(guard.lwp(*lid).unwrap().pid(), proc.pid());
        }
        lwps += own.len();
        match proc.state() {
            ProcState::Zombie => zombies += 1,
            ProcState::Active | ProcState::Draining => procs += 1,
            other => panic!("{} is {other:?} at rest", proc.pid()),
        }
        let parent = guard.proc(proc.ppid()).expect("a live parent");
        assert!(parent.nlwps() > 0, "an orphan has a live parent");
        for child in proc.children() {
            assert_eq!(child.ppid(), proc.pid());
            assert!(children.insert(child.identity()), "a child of two parents");
        }
    }
    assert_eq!(children.len(), procs + zombies - 1, "all but proc0 are somebody's child");
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.zombies, counts.lwps), (procs, zombies, lwps));
    let guard2 = kernel.pin();
    let ids: HashSet<i32> = guard2
        .procs()
        .map(|p| p.pid().0)
        .chain(guard2.lwps().map(|l| l.lid().0))
        .chain(check_groups(kernel))
        .collect();
    assert_eq!(counts.ids, ids.len(), "no id leaked, none in use twice");
    check_tables(kernel);
    for uid in 0..3 {
        assert_eq!(kernel.user_counts(uid), kernel.user_counts_by_scan(uid), "user {uid}");
    }
}

/// The invariants of what the host has given, with every thread at rest and outside.
pub fn check_host(kernel: &Kernel<Counting>, gear: &Gear) {
    let (host, counts, guard) = (kernel.host(), kernel.counts(), kernel.pin());
    let living = counts.procs as isize;
    let (ended, released) = host.ended();
    assert_eq!(host.alive(What::Place), living - 2, "a place for each process but two");
    assert_eq!(released, ended, "given back at the end of each process");
    assert_eq!(host.interned(), living - 2 + ended, "the host is told of each once");
    assert_eq!(host.lwps(), counts.lwps as isize, "created and not destroyed");
    let with_space = guard.procs().filter(|p| p.specific(gear.space).is_some());
    assert_eq!(host.alive(What::Space), with_space.count() as isize, "address spaces");
    assert!(host.alive(What::Sink) <= living + 1, "one of each process, and the kernel's");
    assert!(guard.procs().all(|p| p.emul().0 < gear.emuls.len()));
    let busy = |cpu| guard.cpu_lwp(cpu).is_some();
    assert!(!(0..8).any(busy), "no CPU runs an LWP");
    // These would wait if somebody had left with a CPU or the big lock.
    let k = kernel.enter().expect("not entered");
    assert_eq!((k.big_lock().depth(), k.big_lock().lock()), (0, Ok(())));
}
