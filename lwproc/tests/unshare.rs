//! An LWP with a descriptor table of its own, and what a new LWP has from its maker.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::sync::Arc;

type Files = ThreadHost<Arc<str>>;

fn kernel() -> Kernel<Files> {
    Kernel::builder().rules(Rules::LINUX).host(Files::new()).build().unwrap()
}

/// A process with a file open at 0, and what says whether that is open; its two LWPs.
struct Scene {
    kernel: Kernel<Files>,
    file: Arc<str>,
    pid: Pid,
    first: Option<Lwp<Files>>,
    other: Option<Lwp<Files>>,
}

impl Scene {
    fn new() -> Self {
        let (kernel, file) = (kernel(), Arc::<str>::from("a file"));
        let first = kernel.spawn().start().unwrap();
        let pid = first.pid();
        let k = kernel.enter_as(first).unwrap();
        assert_eq!(k.files().open(file.clone(), OnExec::Keep).unwrap(), Fd(0));
        let first = Kernel::leave(k);
        let other = Some(kernel.new_lwp(pid).unwrap());
        Self { kernel, file, pid, first, other }
    }

    /// Runs as an LWP, which comes back.
    fn run<R>(
        &self,
        lwp: Lwp<Files>,
        f: impl FnOnce(&mut Entered<'_, Files>) -> R,
    ) -> (R, Lwp<Files>) {
        let mut k = self.kernel.enter_as(lwp).unwrap();
        let result = f(&mut k);
        (result, Kernel::leave(k).unwrap())
    }

    fn as_first<R>(&mut self, f: impl FnOnce(&mut Entered<'_, Files>) -> R) -> R {
        let lwp = self.first.take().unwrap();
        let (result, lwp) = self.run(lwp, f);
        self.first = Some(lwp);
        result
    }

    fn as_other<R>(&mut self, f: impl FnOnce(&mut Entered<'_, Files>) -> R) -> R {
        let lwp = self.other.take().unwrap();
        let (result, lwp) = self.run(lwp, f);
        self.other = Some(lwp);
        result
    }

    /// Whether the file is open in any table.
    fn is_open(&self) -> bool {
        Arc::strong_count(&self.file) > 1
    }

    fn fd_count(&self) -> usize {
        self.kernel.pin().proc(self.pid).unwrap().fd_count()
    }
}

fn open(k: &Entered<'_, Files>) -> Vec<i32> {
    k.files().list().iter().map(|(fd, _)| fd.0).collect()
}

fn open_another(k: &Entered<'_, Files>, on_exec: OnExec) -> Fd {
    k.files().open("another".into(), on_exec).unwrap()
}

#[test]
fn the_others_do_not_see_what_it_opens_and_closes() {
    let mut scene = Scene::new();
    scene.as_other(|k| {
        k.files_mut().unshare().unwrap();
        assert_eq!((open(k), k.files().table_users()), (vec![0], 1));
        open_another(k, OnExec::Keep);
        k.files().close(Fd(0)).unwrap();
        assert_eq!(open(k), [1]);
    });
    assert_eq!(scene.as_first(|k| open(k)), [0]);
    assert!(scene.is_open());
    assert_eq!(scene.fd_count(), 1);
    // Again, when it has its own: nothing changes.
    scene.as_other(|k| k.files_mut().unshare()).unwrap();
    assert_eq!(scene.as_other(|k| open(k)), [1]);
}

#[test]
fn one_that_nobody_else_uses_stays() {
    let mut scene = Scene::new();
    drop(scene.other.take());
    scene.as_first(|k| k.files_mut().unshare()).unwrap();
    scene.other = Some(scene.kernel.new_lwp(scene.pid).unwrap());
    scene.as_other(|k| open_another(k, OnExec::Keep));
    assert_eq!(scene.as_first(|k| open(k)), [0, 1]);
}

#[test]
fn those_that_it_makes_have_its_table() {
    let mut scene = Scene::new();
    let pid = scene.pid;
    let (third, shares, copies) = scene.as_other(|k| {
        k.files_mut().unshare().unwrap();
        open_another(k, OnExec::Keep);
        let third = k.new_lwp(pid).unwrap();
        let [shares, copies] =
            [Rfork::Share, Rfork::Copy].map(|how| k.spawn().files(how).start().unwrap());
        open_another(k, OnExec::Keep);
        assert_eq!(k.files().table_users(), 3);
        (third, shares, copies)
    });
    let seen = [third, shares, copies].map(|lwp| scene.run(lwp, |k| open(k)).0);
    assert_eq!(seen, [vec![0, 1, 2], vec![0, 1, 2], vec![0, 1]]);
    // One that somebody else makes has the process's.
    let outside = scene.kernel.new_lwp(pid).unwrap();
    assert_eq!(scene.run(outside, |k| open(k)).0, [0]);
    assert_eq!(scene.as_first(|k| k.files().table_users()), 1);
}

#[test]
fn an_exec_keeps_it() {
    let mut scene = Scene::new();
    scene.as_other(|k| {
        k.files_mut().unshare().unwrap();
        open_another(k, OnExec::Keep);
        open_another(k, OnExec::Close);
    });
    let pid = scene.pid;
    let first = scene.first.take();
    let new = scene.as_other(|k| {
        k.drain();
        drop(first);
        k.exec("new").unwrap();
        assert_eq!(open(k), [0, 1]);
        k.new_lwp(pid).unwrap()
    });
    assert_eq!(scene.fd_count(), 2, "it is the process's now");
    assert_eq!(scene.run(new, |k| open(k)).0, [0, 1]);
    let outside = scene.kernel.new_lwp(pid).unwrap();
    assert_eq!(scene.run(outside, |k| open(k)).0, [0, 1]);
    assert!(scene.is_open());
    drop(scene.other.take());
    assert!(!scene.is_open());
}

#[test]
fn an_exec_leaves_a_child_what_they_share() {
    let mut scene = Scene::new();
    let first = scene.first.take();
    let child = scene.as_other(|k| {
        k.files_mut().unshare().unwrap();
        open_another(k, OnExec::Close);
        let child = k.spawn().files(Rfork::Share).start().unwrap();
        k.drain();
        drop(first);
        k.exec("new").unwrap();
        assert_eq!((open(k), k.files().table_users()), (vec![0], 1));
        child
    });
    assert_eq!(scene.fd_count(), 1);
    let (seen, child) = scene.run(child, |k| open(k));
    assert_eq!(seen, [0, 1]);
    drop(child);
    assert!(scene.is_open());
    drop(scene.other.take());
    assert!(!scene.is_open());
}

#[test]
fn each_table_is_closed_with_its_last_user() {
    let mut scene = Scene::new();
    scene.as_other(|k| k.files_mut().unshare()).unwrap();
    let of_first: Arc<str> = Arc::from("only the first has it");
    scene.as_first(|k| k.files().open(of_first.clone(), OnExec::Keep).map(drop)).unwrap();
    assert_eq!(Arc::strong_count(&of_first), 2);
    drop(scene.first.take());
    assert_eq!(Arc::strong_count(&of_first), 1, "closed, though the process lives");
    assert!(scene.is_open());
    // One that joins then has an empty one; a child by a handle, too.
    let outside = scene.kernel.new_lwp(scene.pid).unwrap();
    let ((), outside) = scene.run(outside, |k| {
        assert_eq!(open(k), []);
        open_another(k, OnExec::Keep);
    });
    let handle = outside.proc_handle();
    let child = handle.spawn().start().unwrap();
    assert_eq!(scene.run(child, |k| open(k)).0, []);
    drop(outside);
    assert_eq!(scene.as_other(|k| open(k)), [0]);
    drop(scene.other.take());
    assert_eq!((scene.is_open(), handle.is_alive()), (false, false));
}

#[test]
fn an_implicit_context_has_none() {
    let kernel = kernel();
    let mut k = kernel.enter().unwrap();
    assert_eq!(k.files_mut().unshare(), Err(UnshareError::Implicit));
    assert_eq!(UnshareError::Implicit.errno(), Errno::EINVAL);
    k.hold().unwrap();
    k.files_mut().unshare().unwrap();
    open_another(&k, OnExec::Keep);
    k.unhold().unwrap();
    drop(k);
    assert_eq!(open(&kernel.enter().unwrap()), [], "and not init's");
}

#[test]
fn a_new_lwp_blocks_what_its_maker_does() {
    let kernel = kernel();
    let k = kernel.enter_as(kernel.spawn().start().unwrap()).unwrap();
    let (pid, mask) = (k.pid(), SigSet::from(Signo::INT).with(Signo::TERM));
    k.signals().set_blocked(mask).unwrap();
    let blocked = |lwp: &Lwp<Files>| kernel.pin().lwp(lwp.lid()).unwrap().blocked();
    let own = k.new_lwp(pid).unwrap();
    assert_eq!(blocked(&own), mask);
    let child = k.spawn().start().unwrap();
    assert_eq!(blocked(&child), mask);
    // The first of a process that has none in its place, too.
    let stranger = kernel.new_lwp(pid).unwrap();
    assert_eq!(blocked(&stranger), SigSet::EMPTY, "made by the kernel's owner");
    let by_handle = own.proc_handle().new_lwp().unwrap();
    assert_eq!(blocked(&by_handle), SigSet::EMPTY);
    let of_child = k.new_lwp(child.pid()).unwrap();
    assert_eq!(blocked(&of_child), SigSet::EMPTY, "made by one of another process");
}
