//! Children made by a builder, in groups of their own or of others; and processes that
//! are acted on by their handle. Through the public interface.

use crate::files::{FD, Files, assert_closed, process};
use crate::full::{assert_empty, at_once, enter_as, family, kernel};
use crate::groups::{check_join, members, moved_or_gone, pgid, setpgid};
use crate::runner::{Model, pair};
use lwproc::{
    FdError, FileHandle, GroupError, Host, Kernel, Lwp, NewLwpError, Pid, ProcHandle, SpawnError,
    SpawnGroup,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("groups_setpgid_against_spawn_new", setpgid_against_spawn_new),
        pair("groups_setpgid_against_spawn_new_that_exits", setpgid_against_spawn_and_exit),
        pair("groups_setpgid_against_spawn_new_that_fails", setpgid_against_spawn_that_fails),
        pair("groups_setpgid_setpgid_spawn_new_that_exits", two_against_spawn_and_exit)
            .threads(3)
            .bounded(1),
        pair("groups_spawn_join_against_exit_of_last", spawn_join_against_exit),
        pair("groups_exit_of_last_against_spawn_join", exit_against_spawn_join),
        pair("handle_spawn_against_last_release", spawn_against_last_release),
        pair("handle_last_release_against_spawn", last_release_against_spawn),
        pair("handle_spawn_against_wait_alone", spawn_against_wait_alone),
        pair("handle_newlwp_against_last_release", newlwp_against_last_release),
        pair("handle_last_release_against_newlwp", last_release_against_newlwp),
        pair("handle_setpgid_against_exit", setpgid_against_exit),
        pair("handle_exit_against_setpgid", exit_against_setpgid),
        pair("handle_setpgid_against_exit_of_parent", setpgid_against_exit_of_parent),
        pair("handle_take_file_against_close", take_file_against_close),
        pair("handle_close_against_take_file", close_against_take_file),
        pair("handle_take_file_against_exit", take_file_against_exit),
        pair("handle_exit_against_take_file", exit_against_take_file),
    ]
}

/// The pid that comes next after one process.
const NEXT: Pid = Pid(3);

fn spawn_new<H: Host>(kernel: &Kernel<H>) -> Lwp<H> {
    kernel.spawn().group(SpawnGroup::New).start().unwrap()
}

/// The group is there before its founder: another may be first in it.
fn setpgid_against_spawn_new() {
    let kernel = kernel();
    let joiner = kernel.spawn().start().unwrap();
    let (pid, k) = (joiner.pid(), kernel.clone());
    let there = move || setpgid(&k, joiner, Pid(0), NEXT);
    let ((joiner, joined), founder) = at_once(&kernel, there, || spawn_new(&kernel));
    assert_eq!(founder.pid(), NEXT);
    check_join(&kernel, NEXT, pid, joined);
    drop(founder);
    after_leaving(kernel, NEXT, vec![(pid, (joiner, joined))]);
}

type Joined = (Lwp, Result<(), GroupError>);

/// The group, and with it its id, is there for those that joined, and for nobody else.
fn after_leaving(kernel: Arc<Kernel>, pgid: Pid, joiners: Vec<(Pid, Joined)>) {
    let guard = kernel.pin();
    let mut left = vec![];
    for (pid, (_, joined)) in &joiners {
        match joined {
            Ok(()) => left.push(*pid),
            Err(error) => assert_eq!(*error, GroupError::NoSuchGroup),
        }
    }
    let mut its = members(pgid, &guard);
    its.sort();
    assert_eq!(its, left);
    assert_eq!(guard.pgrp(pgid).is_some(), !left.is_empty());
    drop(guard);
    assert_eq!(kernel.counts().ids, 2 + joiners.len() + usize::from(!left.is_empty()));
    drop(joiners);
    assert_empty(&kernel);
}

fn setpgid_against_spawn_and_exit() {
    let kernel = kernel();
    let joiner = kernel.spawn().start().unwrap();
    let (pid, k) = (joiner.pid(), kernel.clone());
    let there = move || setpgid(&k, joiner, Pid(0), NEXT);
    let (joiner, ()) = at_once(&kernel, there, || drop(spawn_new(&kernel)));
    after_leaving(kernel, NEXT, vec![(pid, joiner)]);
}

/// A host that has no place for a process: the birth panics, without a word.
struct Full;

impl Host for Full {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = Option<()>;
    type SigValue = ();

    fn vfs_init(&self, parent: &Option<()>) -> Option<()> {
        // A child of proc0 has room; its own children have none.
        match parent {
            None => Some(()),
            Some(()) => resume_unwind(Box::new(())),
        }
    }
}

/// The group is found for a child that is not born after all.
fn setpgid_against_spawn_that_fails() {
    let kernel = Arc::new(Kernel::builder().host(Full).id_capacity(6).build().unwrap());
    let joiner = kernel.spawn().start().unwrap();
    let (pid, proc) = (joiner.pid(), joiner.proc_handle());
    let k = kernel.clone();
    let there = move || {
        let mut k = enter_as(&k, joiner);
        let joined = k.groups().setpgid(Pid(0), NEXT);
        (k.unbind().unwrap().unwrap(), joined)
    };
    let here = || {
        let spawn = AssertUnwindSafe(|| proc.spawn().group(SpawnGroup::New).start());
        catch_unwind(spawn).map(drop).expect_err("the host panics");
    };
    let ((joiner, joined), ()) = at_once(&kernel, there, here);
    let guard = kernel.pin();
    let its = guard.proc(pid).unwrap().pgid();
    match joined {
        Ok(()) => assert_eq!(its, Some(NEXT)),
        Err(error) => assert_eq!((error, its), (GroupError::NoSuchGroup, Some(Pid(0)))),
    }
    assert_eq!(guard.pgrp(NEXT).is_some(), joined.is_ok());
    drop(guard);
    assert_eq!(kernel.counts().ids, 3 + usize::from(joined.is_ok()));
    drop((joiner, proc));
    assert_empty(&kernel);
}

fn two_against_spawn_and_exit() {
    let kernel = kernel();
    let [a, b] = [(); 2].map(|()| kernel.spawn().start().unwrap());
    let pids = [a.pid(), b.pid()];
    // The main thread's next.
    let pgid = Pid(4);
    let join = |lwp: Lwp| {
        let (k, seat) = (kernel.clone(), kernel.reserve_seat());
        loom::thread::spawn(move || {
            seat.take();
            setpgid(&k, lwp, Pid(0), pgid)
        })
    };
    let threads = [join(a), join(b)];
    let founder = spawn_new(&kernel);
    assert_eq!(founder.pid(), pgid);
    drop(founder);
    let joined = threads.map(|t| t.join().unwrap());
    after_leaving(kernel, pgid, pids.into_iter().zip(joined).collect());
}

type Spawned = Result<Lwp, SpawnError>;

fn spawn_join(kernel: &Kernel, pgid: Pid) -> Spawned {
    kernel.spawn().group(SpawnGroup::Join(pgid)).start()
}

fn spawn_join_against_exit() {
    let kernel = kernel();
    let last = spawn_new(&kernel);
    let (pgid, k) = (last.pid(), kernel.clone());
    let there = move || spawn_join(&k, pgid);
    let (spawned, ()) = at_once(&kernel, there, move || drop(last));
    after_spawn_join(kernel, pgid, spawned);
}

/// The same with the roles changed.
fn exit_against_spawn_join() {
    let kernel = kernel();
    let last = spawn_new(&kernel);
    let pgid = last.pid();
    let here = || spawn_join(&kernel, pgid);
    let ((), spawned) = at_once(&kernel, move || drop(last), here);
    after_spawn_join(kernel, pgid, spawned);
}

/// The child is in the group, which lives on; or there was none, and no child.
fn after_spawn_join(kernel: Arc<Kernel>, pgid: Pid, spawned: Spawned) {
    let guard = kernel.pin();
    match &spawned {
        Ok(child) => {
            assert_eq!(members(pgid, &guard), [child.pid()]);
            assert_eq!(guard.proc(child.pid()).unwrap().pgid(), Some(pgid));
        }
        Err(why) => {
            assert_eq!(*why, SpawnError::Group(GroupError::NoSuchGroup));
            assert!(guard.pgrp(pgid).is_none());
        }
    }
    drop(guard);
    // The child's, and the group's.
    assert_eq!(kernel.counts().ids, 2 + 2 * usize::from(spawned.is_ok()));
    drop(spawned);
    assert_empty(&kernel);
}

type Child = Result<Lwp<Files>, SpawnError>;

fn spawn_against_last_release() {
    let (host, kernel, lwp) = process(6);
    let proc = lwp.proc_handle();
    let (child, ()) = at_once(&kernel, move || proc.spawn().start(), move || drop(lwp));
    after_spawn(host, kernel, child);
}

/// The same with the roles changed.
fn last_release_against_spawn() {
    let (host, kernel, lwp) = process(6);
    let proc = lwp.proc_handle();
    let ((), child) = at_once(&kernel, move || drop(lwp), || proc.spawn().start());
    drop(proc);
    after_spawn(host, kernel, child);
}

/// There is a child, whole, which init has got by now; or there never was one.
fn after_spawn(host: Files, kernel: Arc<Kernel<Files>>, child: Child) {
    match child {
        Ok(child) => {
            let guard = kernel.pin();
            let proc = guard.proc(child.pid()).unwrap();
            assert_eq!(proc.ppid(), Pid::INIT);
            let init = guard.proc(Pid::INIT).unwrap();
            assert!(init.children().any(|c| c.pid() == child.pid()));
            drop(guard);
            let k = enter_as(&kernel, child);
            assert!(k.files().get(FD).is_ok(), "it shares its parent's");
            assert_eq!(k.files().table_users(), 1);
            exit(k);
        }
        Err(why) => assert_eq!(why, SpawnError::NoSuchProcess),
    }
    assert_closed(&host, &kernel);
}

fn exit(mut k: lwproc::Entered<'_, Files>) {
    k.release().unwrap();
}

/// Who makes a child counts as an LWP: the one that waits to be alone learns that it
/// has gone.
fn spawn_against_wait_alone() {
    let (host, kernel, lwp) = process(6);
    let (proc, own) = (lwp.proc_handle(), lwp.proc_handle());
    let mut k = enter_as(&kernel, lwp);
    let here = || {
        k.drain();
        k.wait_alone().unwrap();
        assert_eq!(own.nlwps(), 1);
    };
    let (child, ()) = at_once(&kernel, move || proc.spawn().start(), here);
    match child {
        Ok(child) => drop(child),
        Err(why) => assert_eq!(why, SpawnError::Draining),
    }
    exit(k);
    assert_closed(&host, &kernel);
}

fn newlwp_against_last_release() {
    let (host, kernel, lwp) = process(6);
    let proc = lwp.proc_handle();
    let (joined, ()) = at_once(&kernel, move || proc.new_lwp(), move || drop(lwp));
    after_join(host, kernel, joined);
}

/// The same with the roles changed.
fn last_release_against_newlwp() {
    let (host, kernel, lwp) = process(6);
    let proc = lwp.proc_handle();
    let ((), joined) = at_once(&kernel, move || drop(lwp), || proc.new_lwp());
    drop(proc);
    after_join(host, kernel, joined);
}

fn after_join(host: Files, kernel: Arc<Kernel<Files>>, joined: Result<Lwp<Files>, NewLwpError>) {
    match joined {
        Ok(lwp) => {
            let k = enter_as(&kernel, lwp);
            assert!(k.files().get(FD).is_ok() && k.files().table_users() == 1);
            exit(k);
        }
        Err(why) => assert_eq!(why, NewLwpError::NoSuchProcess),
    }
    assert_closed(&host, &kernel);
}

/// Founds a group for a process that ends: neither the group nor the id is left.
fn setpgid_against_exit() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (proc, pid) = (lwp.proc_handle(), lwp.pid());
    let (moved, ()) = at_once(&kernel, move || proc.setpgid(Pid(0)), move || drop(lwp));
    after_move(kernel, pid, moved);
}

/// The same with the roles changed.
fn exit_against_setpgid() {
    let kernel = kernel();
    let lwp = kernel.spawn().start().unwrap();
    let (proc, pid) = (lwp.proc_handle(), lwp.pid());
    let ((), moved) = at_once(&kernel, move || drop(lwp), || proc.setpgid(Pid(0)));
    drop(proc);
    after_move(kernel, pid, moved);
}

fn after_move(kernel: Arc<Kernel>, pid: Pid, moved: Result<(), GroupError>) {
    moved_or_gone(moved);
    let guard = kernel.pin();
    assert!(guard.pgrp(pid).is_none() && pgid(pid, &guard).is_none());
    drop(guard);
    assert_empty(&kernel);
}

/// Its parent is the one that goes, or init, in the same session.
fn setpgid_against_exit_of_parent() {
    let kernel = kernel();
    let (parent, child) = family(&kernel);
    let (proc, pid) = (child.proc_handle(), child.pid());
    let (moved, ()) = at_once(&kernel, move || proc.setpgid(Pid(0)), move || drop(parent));
    assert_eq!(moved, Ok(()));
    assert_eq!(members(pid, &kernel.pin()), [pid]);
    drop(child);
    assert_empty(&kernel);
}

type Taken = Result<FileHandle<Files>, FdError>;

fn close(kernel: &Kernel<Files>, lwp: Lwp<Files>) -> Lwp<Files> {
    let mut k = enter_as(kernel, lwp);
    k.files().close(FD).unwrap();
    k.unbind().unwrap().unwrap()
}

fn take_file_against_close() {
    let (host, kernel, lwp) = process(6);
    let proc = lwp.proc_handle();
    let (taken, lwp) = at_once(&kernel, move || proc.take_file(FD), || close(&kernel, lwp));
    after_take(&host, taken, &[FdError::BadFd]);
    drop(lwp);
    assert_closed(&host, &kernel);
}

/// The same with the roles changed.
fn close_against_take_file() {
    let (host, kernel, lwp) = process(6);
    let (proc, k) = (lwp.proc_handle(), kernel.clone());
    let (lwp, taken) = at_once(&kernel, move || close(&k, lwp), || proc.take_file(FD));
    after_take(&host, taken, &[FdError::BadFd]);
    drop((lwp, proc));
    assert_closed(&host, &kernel);
}

/// The file is open as long as its handle is there, and closed with it.
fn after_take(host: &Files, taken: Taken, refusals: &[FdError]) {
    match taken {
        Ok(file) => {
            assert_eq!(host.is_open(), 1);
            drop(file);
        }
        Err(why) => assert!(refusals.contains(&why), "{why:?}"),
    }
    assert_eq!(host.is_open(), 0);
}

fn take_file_against_exit() {
    let (host, kernel, lwp) = process(6);
    let proc = lwp.proc_handle();
    let (taken, ()) = at_once(&kernel, move || proc.take_file(FD), move || drop(lwp));
    after_take(&host, taken, &[FdError::BadFd, FdError::NoSuchProcess]);
    assert_closed(&host, &kernel);
}

/// The same with the roles changed.
fn exit_against_take_file() {
    let (host, kernel, lwp) = process(6);
    let proc: ProcHandle<Files> = lwp.proc_handle();
    let ((), taken) = at_once(&kernel, move || drop(lwp), || proc.take_file(FD));
    drop(proc);
    after_take(&host, taken, &[FdError::BadFd, FdError::NoSuchProcess]);
    assert_closed(&host, &kernel);
}
