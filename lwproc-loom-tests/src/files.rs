//! Descriptors in the whole kernel: who closes, how often, and what an LWP that
//! joins finds.

use crate::full::{assert_empty, at_once, enter_as};
use crate::runner::{Model, pair};
use lwproc::{Entered, Fd, FdError, Host, Kernel, Lwp, NewLwpError, OnExec, Rfork};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

pub fn models() -> Vec<Model> {
    vec![
        pair("kernel_files_newlwp_against_last_release", newlwp_against_last_release),
        pair("kernel_files_last_release_against_newlwp", last_release_against_newlwp),
        pair("kernel_files_leave_against_newlwp", leave_against_newlwp),
        pair("kernel_files_newlwp_without_id_against_last_release", newlwp_without_id).long(),
        pair("kernel_files_fork_share_against_release", fork_share_against_release),
        pair("kernel_files_fork_copy_against_close", fork_copy_against_close),
        pair("kernel_files_release_against_release", release_against_release),
        pair("kernel_files_exit_of_both_that_share", exit_of_both_that_share).long(),
        pair("kernel_files_look_against_last_release", look_against_last_release),
        pair("kernel_files_handle_against_last_release", handle_against_last_release),
        pair("kernel_files_exec_against_exit_of_the_other", exec_against_exit).long(),
        pair("kernel_files_exec_against_newlwp", exec_against_newlwp),
        pair("kernel_files_implicit_against_implicit", implicit_against_implicit),
    ]
}

/// Counts what is open.
#[derive(Clone, Default)]
pub(crate) struct Files(Arc<AtomicUsize>);

pub(crate) struct File {
    open: Arc<AtomicUsize>,
    closed: bool,
}

impl Files {
    pub(crate) fn file(&self) -> File {
        self.0.fetch_add(1, SeqCst);
        File { open: self.0.clone(), closed: false }
    }

    pub(crate) fn is_open(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        assert!(!std::mem::replace(&mut self.closed, true), "closed twice");
        self.open.fetch_sub(1, SeqCst);
    }
}

impl Host for Files {
    type VmSpace = ();
    type File = File;
    type Emul = ();
    type Vfs = ();
    type SigValue = ();

    // Threads of a model share the host thread's storage.
    fn set(&self, _: lwproc::LwpToken) {}
    fn clear(&self, _: lwproc::LwpToken) {}
    fn current(&self) -> Option<lwproc::LwpToken> {
        None
    }
}

pub(crate) const FD: Fd = Fd(0);

fn kernel_with(id_capacity: usize) -> (Files, Arc<Kernel<Files>>) {
    let host = Files::default();
    let builder = Kernel::builder().host(host.clone()).id_capacity(id_capacity);
    (host, Arc::new(builder.build().unwrap()))
}

/// A kernel, and an LWP of a process that has a file open at 0.
pub(crate) fn process(id_capacity: usize) -> (Files, Arc<Kernel<Files>>, Lwp<Files>) {
    let (host, kernel) = kernel_with(id_capacity);
    let lwp = kernel.spawn().start().unwrap();
    let mut k = enter_as(&kernel, lwp);
    assert_eq!(k.files().open(host.file(), OnExec::Close).ok(), Some(FD));
    let lwp = k.unbind().unwrap().unwrap();
    drop(k);
    (host, kernel, lwp)
}

fn exit(mut k: Entered<'_, Files>) {
    k.release().unwrap();
}

#[track_caller]
pub(crate) fn assert_closed(host: &Files, kernel: &Kernel<Files>) {
    assert_eq!(host.is_open(), 0, "closed once");
    assert_empty(kernel);
}

/// R5: the LWP that joins finds what is open, or is refused.
fn newlwp_against_last_release() {
    let (host, kernel, lwp) = process(6);
    let (pid, k) = (lwp.pid(), kernel.clone());
    let (joined, ()) = at_once(&kernel, move || k.new_lwp(pid), move || drop(lwp));
    after_join(host, kernel, joined);
}

fn last_release_against_newlwp() {
    let (host, kernel, lwp) = process(6);
    let pid = lwp.pid();
    let ((), joined) = at_once(&kernel, move || drop(lwp), || kernel.new_lwp(pid));
    after_join(host, kernel, joined);
}

fn after_join(host: Files, kernel: Arc<Kernel<Files>>, joined: Result<Lwp<Files>, NewLwpError>) {
    match joined {
        Ok(lwp) => {
            let k = enter_as(&kernel, lwp);
            assert!(k.files().get(FD).is_ok(), "a table that was pulled away");
            assert_eq!(k.files().table_users(), 1);
            exit(k);
        }
        Err(error) => assert_eq!(error, NewLwpError::NoSuchProcess),
    }
    assert_closed(&host, &kernel);
}

/// The last LWP is current, and leaves: it closes in its own context.
fn leave_against_newlwp() {
    let (host, kernel, lwp) = process(6);
    let (pid, k) = (lwp.pid(), kernel.clone());
    let leave = move || exit(enter_as(&k, lwp));
    let ((), joined) = at_once(&kernel, leave, || kernel.new_lwp(pid));
    after_join(host, kernel, joined);
}

/// It finds no id, and gives its use back: it may be the last, and close.
fn newlwp_without_id() {
    let (host, kernel, lwp) = process(2);
    let (pid, k) = (lwp.pid(), kernel.clone());
    at_once(&kernel, move || k.new_lwp(pid).map(drop), move || drop(lwp)).0.ok();
    assert_closed(&host, &kernel);
}

/// A child that shares the table holds it when the other LWP goes.
fn fork_share_against_release() {
    let (host, kernel, lwp) = process(6);
    let other = kernel.new_lwp(lwp.pid()).unwrap();
    let k = kernel.clone();
    let there = move || {
        let mut k = enter_as(&k, lwp);
        let parent = k.rfork(Rfork::Share).unwrap();
        let child = k.unbind().unwrap();
        (parent, child)
    };
    let ((parent, child), ()) = at_once(&kernel, there, move || drop(other));
    drop(parent);
    let k = enter_as(&kernel, child.unwrap());
    assert!(k.files().get(FD).is_ok());
    assert_eq!(k.files().table_users(), 1);
    exit(k);
    assert_closed(&host, &kernel);
}

/// A copy has the file, or not.
fn fork_copy_against_close() {
    let (host, kernel, lwp) = process(6);
    let other = kernel.new_lwp(lwp.pid()).unwrap();
    let k = kernel.clone();
    let there = move || {
        let mut k = enter_as(&k, lwp);
        let parent = k.rfork(Rfork::Copy).unwrap();
        assert!(matches!(k.files().on_exec(FD), Ok(OnExec::Close) | Err(FdError::BadFd)));
        let child = k.unbind().unwrap();
        (parent, child)
    };
    let here = || {
        let mut k = enter_as(&kernel, other);
        k.files().close(FD).unwrap();
        k.unbind().unwrap()
    };
    drop(at_once(&kernel, there, here));
    assert_closed(&host, &kernel);
}

/// Two LWPs of one process go: one of them closes.
fn release_against_release() {
    let (host, kernel, lwp) = process(6);
    let other = kernel.new_lwp(lwp.pid()).unwrap();
    at_once(&kernel, move || drop(lwp), move || drop(other));
    assert_closed(&host, &kernel);
}

/// Two processes share a table, and end.
fn exit_of_both_that_share() {
    let (host, kernel, lwp) = process(6);
    let mut k = enter_as(&kernel, lwp);
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.unbind().unwrap().unwrap();
    drop(k);
    at_once(&kernel, move || drop(parent), move || drop(child));
    assert_closed(&host, &kernel);
}

/// Who looks at a process's table while it goes sees it, or that it is gone.
fn look_against_last_release() {
    let (host, kernel, lwp) = process(6);
    let (pid, k) = (lwp.pid(), kernel.clone());
    let there = move || {
        let guard = k.pin();
        if let Some(proc) = guard.proc(pid) {
            assert!(proc.fd_count() <= 1 && proc.fd_table_users() <= 1);
        }
    };
    at_once(&kernel, there, move || drop(lwp));
    assert_closed(&host, &kernel);
}

/// The last reference is a handle's or the table's.
fn handle_against_last_release() {
    let (host, kernel, lwp) = process(6);
    let mut k = enter_as(&kernel, lwp);
    let handle = k.files().get(FD).unwrap().handle();
    let lwp = k.unbind().unwrap().unwrap();
    drop(k);
    at_once(&kernel, move || drop(handle), move || drop(lwp));
    assert_closed(&host, &kernel);
}

/// One of two processes that share a table replaces it while the other ends.
fn exec_against_exit() {
    let (host, kernel, lwp) = process(6);
    let mut k = enter_as(&kernel, lwp);
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    let child = k.unbind().unwrap().unwrap();
    drop(k);
    let k = kernel.clone();
    let there = move || {
        let mut k = enter_as(&k, child);
        k.drain();
        k.files_mut().close_on_exec();
        assert_eq!((k.files().list().len(), k.files().table_users()), (0, 1));
        exit(k);
    };
    at_once(&kernel, there, move || drop(parent));
    assert_closed(&host, &kernel);
}

/// An LWP that joins a process that execs: before, and then it shares on; after,
/// and then it has the new table; or not.
fn exec_against_newlwp() {
    let (host, kernel, lwp) = process(6);
    let mut k = enter_as(&kernel, lwp);
    let parent = k.rfork(Rfork::Share).unwrap().unwrap();
    k.files().set_on_exec(FD, OnExec::Keep).unwrap();
    let child = k.unbind().unwrap().unwrap();
    let child_pid = child.pid();
    drop(k);
    let k = kernel.clone();
    let there = move || {
        let mut k = enter_as(&k, child);
        k.drain();
        k.files_mut().close_on_exec();
        k.reopen();
        k.unbind().unwrap().unwrap()
    };
    let (child, joined) = at_once(&kernel, there, || kernel.new_lwp(child_pid));
    drop(parent);
    if let Ok(lwp) = joined {
        let k = enter_as(&kernel, lwp);
        assert_eq!((k.files().list().len(), k.files().table_users()), (1, 2), "the child's table");
        exit(k);
    }
    drop(child);
    assert_closed(&host, &kernel);
}

/// Implicit contexts share init's table.
fn implicit_against_implicit() {
    let (host, kernel) = kernel_with(6);
    let (k, files) = (kernel.clone(), host.clone());
    let open_and_close = |k: &Kernel<Files>, host: &Files| {
        let k = k.enter().unwrap();
        let fd = k.files().open(host.file(), OnExec::Keep).unwrap();
        assert_eq!(k.files().table_users(), 1);
        k.files().close(fd).unwrap();
    };
    at_once(&kernel, move || open_and_close(&k, &files), || open_and_close(&kernel, &host));
    assert_closed(&host, &kernel);
}
