//! Table references are the LWPs that use the table: at each step of a random
//! sequence, and at rest after storms.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug)]
enum Op {
    Fork(Rfork),
    Newlwp(u8),
    Drop(u8),
    Switch(u8),
    Exit,
    Exec,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => prop_oneof![Just(Rfork::Share), Just(Rfork::Copy), Just(Rfork::Fresh)]
            .prop_map(Op::Fork),
        3 => any::<u8>().prop_map(Op::Newlwp),
        4 => any::<u8>().prop_map(Op::Drop),
        2 => any::<u8>().prop_map(Op::Switch),
        1 => Just(Op::Exit),
        1 => Just(Op::Exec),
    ]
}

#[derive(Default)]
struct Model {
    /// The table of each process, and its LWPs.
    procs: BTreeMap<Pid, (usize, BTreeSet<Lid>)>,
    tables: usize,
}

impl Model {
    fn born(&mut self, pid: Pid, lid: Lid, shares: Option<usize>) {
        self.tables += 1;
        let lwps = &mut self.procs.entry(pid).or_default();
        lwps.0 = shares.unwrap_or(self.tables);
        lwps.1.insert(lid);
    }

    fn gone(&mut self, pid: Pid, lid: Lid) {
        let lwps = &mut self.procs.get_mut(&pid).unwrap().1;
        assert!(lwps.remove(&lid));
        if lwps.is_empty() {
            self.procs.remove(&pid);
        }
    }

    fn users(&self, table: usize) -> usize {
        self.procs.values().filter(|p| p.0 == table).map(|p| p.1.len()).sum()
    }

    fn check(&self, kernel: &Kernel<Files>, host: &Files) {
        let guard = kernel.pin();
        for proc in guard.procs() {
            let (table, lwps) = &self.procs[&proc.pid()];
            assert_eq!(proc.nlwps() as usize, lwps.len());
            assert_eq!(proc.fd_table_users(), self.users(*table));
            for (pid, (other, _)) in &self.procs {
                let other_proc = guard.proc(*pid).unwrap();
                assert_eq!(proc.shares_fds_with(&other_proc), table == other);
            }
        }
        let tables: BTreeSet<usize> = self.procs.values().map(|p| p.0).collect();
        // One file in each but proc0's and init's.
        assert_eq!(host.is_open(), tables.len() as isize - 2);
    }
}

fn run(ops: &[Op]) {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    let mut model = Model::default();
    model.born(Pid(0), Lid(0), None);
    model.born(Pid(1), Lid(1), None);
    let mut owned: Vec<Lwp<Files>> = Vec::new();
    k.rfork(Rfork::Fresh).unwrap();
    model.born(k.pid(), k.lid().unwrap(), None);
    k.files().open(host.file(0), Keep).unwrap();
    for op in ops {
        match *op {
            Op::Fork(how) => {
                let table = model.procs[&k.pid()].0;
                owned.extend(k.rfork(how).unwrap());
                let shares = (how == Rfork::Share).then_some(table);
                model.born(k.pid(), k.lid().unwrap(), shares);
                if how != Rfork::Share {
                    let _ = k.files().close(Fd(0));
                    k.files().open(host.file(0), Keep).unwrap();
                }
            }
            Op::Newlwp(i) => {
                let pids: Vec<Pid> = model.procs.keys().copied().collect();
                let pid = pids[usize::from(i) % pids.len()];
                let lwp = kernel.new_lwp(pid).unwrap();
                model.procs.get_mut(&pid).unwrap().1.insert(lwp.lid());
                owned.push(lwp);
            }
            Op::Drop(i) => {
                if let Some(i) = usize::from(i).checked_rem(owned.len()) {
                    let lwp = owned.swap_remove(i);
                    model.gone(lwp.pid(), lwp.lid());
                }
            }
            Op::Switch(i) => {
                let own = |l: &Lwp<Files>| l.pid() > Pid::INIT;
                if let Some(i) = usize::from(i).checked_rem(owned.len())
                    && own(&owned[i])
                {
                    let next = owned.swap_remove(i);
                    owned.extend(k.switch(next).unwrap());
                }
            }
            Op::Exit => {
                let (pid, lid) = (k.pid(), k.lid().unwrap());
                k.release().unwrap();
                k.rfork(Rfork::Fresh).unwrap();
                model.gone(pid, lid);
                model.born(k.pid(), k.lid().unwrap(), None);
                k.files().open(host.file(0), Keep).unwrap();
            }
            Op::Exec => {
                let (table, lwps) = model.procs[&k.pid()].clone();
                let unshares = lwps.len() == 1 && model.users(table) > 1;
                k.drain();
                k.files_mut().close_on_exec();
                k.reopen();
                if unshares {
                    model.born(k.pid(), k.lid().unwrap(), None);
                    k.files().close(Fd(0)).unwrap();
                    k.files().open(host.file(0), Keep).unwrap();
                }
            }
        }
        model.check(&kernel, &host);
    }
    k.release().unwrap();
    drop((k, owned));
    assert_eq!(host.is_open(), 0);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed);
    assert!(kernel.shutdown().is_clean());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn are_the_lwps_that_use_it(ops in prop::collection::vec(op(), 0..100)) {
        run(&ops);
    }
}

const THREADS: usize = 4;

/// Threads of one process do everything to one small table. At rest the
/// files open are those that the table has, and the bitmap is right: all
/// that is free is found again, lowest first.
#[test]
fn a_storm_in_one_table() {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let pid = k.pid();
    for round in 0..20 {
        std::thread::scope(|s| {
            for me in 0..THREADS {
                let (kernel, host) = (&kernel, &host);
                s.spawn(move || {
                    let mut random =
                        Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul((round * 8 + me + 1) as u64));
                    let mut k = kernel.enter().unwrap();
                    k.become_new_lwp(pid).unwrap();
                    for n in 0..1000 {
                        storm(&k, host, &mut random, n);
                    }
                    k.release().unwrap();
                });
            }
        });
        assert_eq!(k.files().table_users(), 1);
        let open = names(&k);
        let mut files: Vec<_> = open.iter().map(|(fd, ..)| *fd).collect();
        files.retain(|fd| {
            let same = |other: &i32| {
                let (a, b) = (k.files().get(Fd(*fd)).unwrap(), k.files().get(Fd(*other)).unwrap());
                a.same_file(&b)
            };
            open.iter().map(|(fd, ..)| *fd).find(same) == Some(*fd)
        });
        assert_eq!(host.is_open(), files.len() as isize, "open are those in the table");
        // Every free descriptor is found, lowest first.
        let taken: BTreeSet<i32> = open.iter().map(|(fd, ..)| *fd).collect();
        for free in (0..200).filter(|fd| !taken.contains(fd)) {
            assert_eq!(k.files().open(host.file(0), Keep).unwrap(), Fd(free), "round {round}");
        }
        k.files().close_range(Fd(0), Fd(i32::MAX), CloseRange::Close).unwrap();
        assert_eq!(host.is_open(), 0);
        for fd in 0..200 {
            assert_eq!(k.files().open(host.file(0), Keep).unwrap(), Fd(fd));
        }
        k.files().close_range(Fd(0), Fd(i32::MAX), CloseRange::Close).unwrap();
    }
}

fn storm(k: &Entered<'_, Files>, host: &Files, random: &mut Random, n: u32) {
    let fd = Fd(random.below(24) as i32);
    let other = Fd(random.below(24) as i32);
    match random.below(12) {
        0..=1 => _ = k.files().open(host.file(n), Keep).unwrap(),
        2..=4 => _ = k.files().close(fd),
        5 => _ = k.files().dup2(fd, other),
        6 => _ = k.files().dup(fd),
        7 => _ = k.files().set_on_exec(fd, Close),
        8 => {
            if let Ok(file) = k.files().get(fd) {
                let _ = k.files().close(fd);
                assert!(file.host.is_open() > 0);
            }
        }
        9 => {
            let reserved = k.files().reserve(Keep).unwrap();
            assert_eq!(k.files().close(reserved.fd()), Err(FdError::BadFd));
            assert_eq!(k.files().get(reserved.fd()).err(), Some(FdError::BadFd));
            if n.is_multiple_of(2) {
                reserved.fill(host.file(n));
            }
        }
        10 => _ = k.files().close_range(fd, other, CloseRange::Close),
        _ => _ = k.files().list(),
    }
}

/// Processes with files are forked, joined and left by all threads at once;
/// at rest each table has the users it should, and nothing else is open.
#[test]
fn a_storm_of_processes() {
    let (host, kernel) = kernel();
    let pids: [std::sync::atomic::AtomicI32; 8] = std::array::from_fn(|_| 1.into());
    std::thread::scope(|s| {
        for me in 0..THREADS {
            let (kernel, host, pids) = (&kernel, &host, &pids);
            s.spawn(move || {
                let mut random = Random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(me as u64 + 1));
                let mut k = kernel.enter().unwrap();
                let mut owned = Vec::new();
                for n in 0..4000 {
                    let at = random.below(8);
                    match random.below(6) {
                        0 => {
                            let how = [Rfork::Share, Rfork::Copy, Rfork::Fresh][random.below(3)];
                            owned.extend(k.rfork(how).unwrap());
                            pids[at].store(k.pid().0, SeqCst);
                        }
                        1..=2 => {
                            if let Ok(old) = k.become_new_lwp(Pid(pids[at].load(SeqCst))) {
                                owned.extend(old);
                                assert!(k.files().table_users() >= 1);
                            }
                        }
                        3 => _ = k.release(),
                        4 => storm(&k, host, &mut random, n),
                        _ => {
                            let guard = kernel.pin();
                            let pid = Pid(pids[at].load(SeqCst));
                            if let Some(proc) = guard.proc(pid) {
                                let _ = (proc.fd_count(), proc.fd_table_users());
                            }
                        }
                    }
                    while owned.len() > 6 {
                        let i = random.below(owned.len());
                        drop(owned.swap_remove(i));
                    }
                    if n % 16 == 0 {
                        drop(k);
                        k = kernel.enter().unwrap();
                    }
                }
                while let Some(lwp) = k.unbind().ok().flatten() {
                    drop(lwp);
                }
            });
        }
    });
    let k = kernel.enter().unwrap();
    assert_eq!(k.files().table_users(), 1);
    k.files().close_range(Fd(0), Fd(i32::MAX), CloseRange::Close).unwrap();
    drop(k);
    // Threads of a scope may still be ending; the teardown takes the rest.
    assert_eq!(kernel.shutdown().survivors, []);
    assert_eq!(host.is_open(), 0);
}
