//! One scene for all that is run at once: a process P of several LWPs with two
//! open files, a child C of it where one is needed, and what must be true when
//! the threads have joined, and when everything is gone.

use crate::files::Files;
use crate::full::{assert_empty, enter_as};
use lwproc::{
    Entered, Fd, Kernel, Lid, Lwp as OwnedLwp, LwpHandle, OnExec, Pid, ProcRef, Rfork, SigModel,
    WaitPolicy,
};
use std::sync::Arc;

pub type Lwp = OwnedLwp<Files>;
pub type World = Arc<Kernel<Files>>;
/// One thread's part. It has all it needs, made in the scene before.
pub type Job = Box<dyn FnOnce(&World) -> Vec<Kept> + Send>;

/// What a thread leaves.
pub enum Kept {
    Owned(Lwp),
    Parked(LwpHandle<Files>),
}

/// What must be there before the threads start.
#[derive(Clone, Copy, Default)]
pub struct Needs {
    /// P has a child C.
    pub child: bool,
    /// P has files at [`FD`] and [`FD2`].
    pub files: bool,
    /// Children that end become zombies; so does C, if it is nobody's.
    pub zombie: bool,
    /// The next ids are taken together, and the last of them is the first of a part of
    /// the table that is not there yet.
    pub full_table: bool,
    /// An LWP of P that stays.
    pub keeper: bool,
    /// P's first LWP is parked, if it is nobody's.
    pub parked: bool,
}

impl Needs {
    fn and(self, other: Self) -> Self {
        Self {
            child: self.child | other.child,
            files: self.files | other.files,
            zombie: self.zombie | other.zombie,
            full_table: self.full_table | other.full_table,
            keeper: self.keeper | other.keeper,
            parked: self.parked | other.parked,
        }
    }
}

/// An operation: what it needs, and how it takes that from the scene.
#[derive(Clone, Copy)]
pub struct Op {
    pub name: &'static str,
    pub needs: Needs,
    /// It ends an LWP of P for good: then nothing else may keep P.
    pub ends: bool,
    pub prepare: fn(&mut Scene) -> Job,
}

pub const FD: Fd = Fd(0);
pub const FD2: Fd = Fd(1);
/// P and C, and their first LWPs: ids are counted up.
pub const P: Pid = Pid(2);
pub const C: Pid = Pid(3);
pub const LP: Lid = Lid(2);
/// Who P may become.
pub const USER: u32 = 5;

/// Ids in the models come in parts of 4, 8 and so on.
const PARTS: [i32; 2] = [4, 12];

pub struct Scene {
    pub kernel: World,
    host: Files,
    pub first: Option<Lwp>,
    first_of_child: Option<Lwp>,
    kept: Vec<Kept>,
}

impl Scene {
    fn new(needs: Needs) -> Self {
        let host = Files::default();
        let policy = if needs.zombie { WaitPolicy::Wait } else { WaitPolicy::AutoReap };
        let builder = Kernel::builder().host(host.clone()).wait_policy(policy);
        let builder = builder.signal_model(SigModel::Record).id_capacity(14);
        let kernel = Arc::new(builder.build().unwrap());
        let mut e = kernel.enter().unwrap();
        e.rfork(Rfork::Fresh).unwrap();
        if needs.files {
            for fd in [FD, FD2] {
                assert_eq!(e.files().open(host.file(), OnExec::Keep).ok(), Some(fd));
            }
        }
        let mut first_of_child = None;
        if needs.child {
            let parent = e.rfork(Rfork::Fresh).unwrap().unwrap();
            first_of_child = e.switch(parent).unwrap();
        }
        let first = e.unbind().unwrap();
        drop(e);
        assert_eq!(first.as_ref().map(|l| (l.pid(), l.lid())), Some((P, LP)));
        Self { kernel, host, first, first_of_child, kept: vec![] }
    }

    /// An LWP of P, each time another: first its first.
    pub fn lwp(&mut self) -> Lwp {
        let first = self.first.take();
        first.unwrap_or_else(|| self.kernel.new_lwp(P).unwrap())
    }

    /// An LWP of C.
    pub fn lwp_of_child(&mut self) -> Lwp {
        let first = self.first_of_child.take();
        first.unwrap_or_else(|| self.kernel.new_lwp(C).unwrap())
    }

    /// When each has what it needs.
    fn settle(&mut self, needs: Needs, ends: bool) {
        if needs.keeper && !ends {
            self.kept.push(Kept::Owned(self.kernel.new_lwp(P).unwrap()));
        }
        self.kept.extend(self.first.take().map(|lwp| match needs.parked {
            true => Kept::Parked(lwp.unclaim()),
            false => Kept::Owned(lwp),
        }));
        if let Some(child) = self.first_of_child.take()
            && !needs.zombie
        {
            self.kept.push(Kept::Owned(child));
        }
        if needs.full_table {
            self.fill_the_table();
        }
    }

    /// Takes ids until the next two, a batch, end in a part of the table that is still to
    /// be made.
    fn fill_the_table(&mut self) {
        loop {
            let filler = self.kernel.new_lwp(Pid::KERNEL).unwrap();
            let last = filler.lid().0;
            self.kept.push(Kept::Owned(filler));
            if PARTS.contains(&(last + 2)) {
                break;
            }
        }
    }

    /// What is true of any kernel at rest.
    fn check(&self) {
        let (kernel, guard) = (&self.kernel, self.kernel.pin());
        let mut lids = vec![];
        let (mut procs, mut zombies) = (0, 0);
        for p in guard.procs() {
            let its: Vec<Lid> = p.lwps().map(|l| l.lid()).collect();
            assert_eq!(p.nlwps() as usize, its.len(), "nlwps is the number of LWPs");
            assert!(its.iter().all(|l| guard.lwp(*l).is_some_and(|l| l.pid() == p.pid())));
            lids.extend(its);
            match p.nlwps() {
                0 => zombies += 1,
                _ => procs += 1,
            }
            if p.pid() != Pid::KERNEL {
                let parent = guard.proc(p.ppid()).expect("the parent is there");
                assert!(parent.nlwps() > 0, "and lives");
                assert_eq!(parent.children().filter(|c| c.pid() == p.pid()).count(), 1, "one edge");
            }
            self.check_group(&p, &guard);
            let users = guard.procs().filter(|q| q.shares_fds_with(&p));
            let users: u32 = users.map(|q| q.nlwps()).sum();
            if p.pid() > Pid::INIT && p.fd_count() > 0 {
                assert_eq!(p.fd_table_users(), users as usize, "a use for each LWP");
            }
        }
        let (all, counts) = (lids.len(), kernel.counts());
        lids.sort_unstable_by_key(|l| l.0);
        lids.dedup();
        assert_eq!(lids.len(), all, "no id twice");
        assert_eq!((counts.procs, counts.lwps, counts.zombies), (procs, all, zombies));
        for user in [0, USER] {
            assert_eq!(kernel.user_counts(user), kernel.user_counts_by_scan(user), "user {user}");
        }
    }

    fn check_group(&self, p: &ProcRef<'_, Files>, guard: &lwproc::Guard<'_, Files>) {
        let Some(pgid) = p.pgid() else {
            assert_eq!(p.nlwps(), 0);
            return;
        };
        let group = guard.pgrp(pgid).expect("its group is there");
        assert_eq!(group.members().filter(|q| q.pid() == p.pid()).count(), 1, "a member once");
        assert_eq!(p.sid(), Some(group.sid()));
    }

    /// Everything goes, and nothing is left.
    fn end(mut self) {
        let mut parked = vec![];
        for kept in self.kept.drain(..) {
            match kept {
                Kept::Owned(lwp) => drop(lwp),
                Kept::Parked(handle) => parked.push(handle),
            }
        }
        // Somebody may have claimed it: then it has just gone.
        parked.into_iter().for_each(|handle| drop(handle.claim()));
        assert_empty(&self.kernel);
        assert_eq!(self.host.is_open(), 0, "each file is closed");
    }
}

/// Runs the operations at once, the last on this thread, and checks.
pub fn run(ops: &[Op]) {
    let needs = ops.iter().fold(Needs::default(), |needs, op| needs.and(op.needs));
    let mut scene = Scene::new(needs);
    let mut jobs: Vec<Job> = ops.iter().map(|op| (op.prepare)(&mut scene)).collect();
    scene.settle(needs, ops.iter().any(|op| op.ends));
    let here = jobs.pop().expect("an operation");
    // Every thread has a seat already; so none waits for one.
    let threads: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let (kernel, seat) = (scene.kernel.clone(), scene.kernel.reserve_seat());
            loom::thread::spawn(move || {
                seat.take();
                job(&kernel)
            })
        })
        .collect();
    let mut kept = here(&scene.kernel);
    for thread in threads {
        kept.extend(thread.join().unwrap());
    }
    scene.kept.extend(kept);
    scene.check();
    scene.end();
}

/// What may go on while the kernel is torn down: what needs no borrow of it.
pub type Outlives = Box<dyn FnOnce() + Send>;

/// Runs something while the kernel is torn down.
pub fn run_against_drop(needs: Needs, prepare: fn(&mut Scene) -> Outlives) {
    let mut scene = Scene::new(needs);
    let job = prepare(&mut scene);
    let Scene { kernel, host, first, first_of_child, kept } = scene;
    let seat = kernel.reserve_seat();
    let thread = loom::thread::spawn(move || {
        seat.take();
        job();
    });
    Arc::into_inner(kernel).expect("nobody borrows it").shutdown();
    thread.join().unwrap();
    drop((first, first_of_child, kept));
    assert_eq!(host.is_open(), 0, "each file is closed");
}

/// Does something as an LWP, and takes it off the thread again.
pub fn as_lwp(kernel: &World, lwp: Lwp, f: impl FnOnce(&mut Entered<'_, Files>)) -> Vec<Kept> {
    let mut e = enter_as(kernel, lwp);
    f(&mut e);
    vec![Kept::Owned(e.unbind().unwrap().unwrap())]
}
