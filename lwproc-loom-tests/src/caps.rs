//! The most processes and LWPs: two that want the last place, an end that gives one back,
//! and a kernel that is given its first most while things come and go.

use crate::full::{assert_empty, at_once};
use crate::runner::{Model, pair};
use lwproc::{Builder, Kernel, Lwp, NewLwpError, Pid, SpawnError, WaitPolicy, WaitTarget};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("caps_newlwp_against_newlwp", newlwp_against_newlwp),
        pair("caps_newlwp_against_newlwp_of_one", newlwp_against_newlwp_of_one),
        pair("caps_newlwp_against_end", newlwp_against_end),
        pair("caps_fork_against_fork", fork_against_fork),
        pair("caps_first_most_against_newlwp", first_most_against_newlwp),
        pair("caps_first_most_against_end", first_most_against_end),
        pair("caps_first_most_against_spawn_of_handle", first_most_against_spawn_of_handle).long(),
        pair("caps_first_most_against_first_most", first_most_against_first_most).bounded(3),
        pair("caps_first_most_of_procs_against_another", first_most_of_procs_against_another),
        pair("caps_first_most_against_fork", first_most_against_fork),
        pair("caps_first_most_against_reap", first_most_against_reap),
        pair("caps_first_most_against_wait", first_most_against_wait),
    ]
}

fn kernel_with(configure: impl FnOnce(Builder) -> Builder) -> Arc<Kernel> {
    Arc::new(configure(Kernel::builder().id_capacity(14)).build().unwrap())
}

/// proc0's, init's, and P's first LWP.
const LWPS: u64 = 3;
/// proc0, init and P.
const PROCS: u64 = 3;

/// A process that holds what is looked at.
fn process(kernel: &Kernel) -> (Lwp, Pid) {
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    (lwp, pid)
}

/// That there is room for exactly so many LWPs.
fn assert_room_for_lwps(kernel: &Kernel, pid: Pid, room: u64) {
    let made: Vec<Lwp> = (0..room).map(|_| kernel.new_lwp(pid).unwrap()).collect();
    assert_eq!(kernel.new_lwp(pid).err(), Some(NewLwpError::KernelFull));
    drop(made);
}

/// That there is room for exactly so many processes.
fn assert_room_for_procs(kernel: &Kernel, room: u64) {
    let made: Vec<Lwp> = (0..room).map(|_| kernel.spawn().start().unwrap()).collect();
    assert_eq!(kernel.spawn().start().err(), Some(SpawnError::KernelFull));
    drop(made);
}

/// One gets the last place, and no more than one.
fn newlwp_against_newlwp() {
    let kernel = kernel_with(|builder| builder.max_lwps(LWPS + 1));
    let (first, pid) = process(&kernel);
    let k = kernel.clone();
    let (there, here) = at_once(&kernel, move || k.new_lwp(pid), || kernel.new_lwp(pid));
    let made: Vec<Lwp> = [there, here].into_iter().filter_map(one_or_full).collect();
    assert_eq!(made.len(), 1);
    drop(made);
    assert_room_for_lwps(&kernel, pid, 1);
    drop(first);
    assert_empty(&kernel);
}

fn one_or_full(made: Result<Lwp, NewLwpError>) -> Option<Lwp> {
    made.map_err(|why| assert_eq!(why, NewLwpError::KernelFull)).ok()
}

/// The same in a process.
fn newlwp_against_newlwp_of_one() {
    let kernel = kernel_with(|builder| builder.max_lwps_per_proc(2));
    let (first, pid) = process(&kernel);
    let k = kernel.clone();
    let (there, here) = at_once(&kernel, move || k.new_lwp(pid), || kernel.new_lwp(pid));
    assert_eq!(u8::from(there.is_ok()) + u8::from(here.is_ok()), 1);
    let refused = [&there, &here].map(|made| made.as_ref().err().copied());
    assert!(refused.contains(&Some(NewLwpError::ProcessFull)));
    drop((first, there, here));
    assert_empty(&kernel);
}

/// A place that is given back can be taken, and is taken once.
fn newlwp_against_end() {
    let kernel = kernel_with(|builder| builder.max_lwps(LWPS + 1));
    let (first, pid) = process(&kernel);
    let second = kernel.new_lwp(pid).unwrap();
    let k = kernel.clone();
    let (made, ()) = at_once(&kernel, move || k.new_lwp(pid), || drop(second));
    let made = one_or_full(made);
    assert_room_for_lwps(&kernel, pid, 1 - u64::from(made.is_some()));
    drop((first, made));
    assert_empty(&kernel);
}

fn fork_against_fork() {
    let kernel = kernel_with(|builder| builder.max_procs(3));
    let k = kernel.clone();
    let (there, here) = at_once(&kernel, move || k.spawn().start(), || kernel.spawn().start());
    assert_eq!(u8::from(there.is_ok()) + u8::from(here.is_ok()), 1);
    drop((there, here));
    assert_room_for_procs(&kernel, 1);
    assert_empty(&kernel);
}

/// What is made while a kernel gets its first most is counted.
fn first_most_against_newlwp() {
    let kernel = kernel_with(|builder| builder);
    let (first, pid) = process(&kernel);
    let k = kernel.clone();
    let (made, ()) =
        at_once(&kernel, move || k.new_lwp(pid).unwrap(), || kernel.set_max_lwps(LWPS + 2));
    assert_room_for_lwps(&kernel, pid, 1);
    drop((first, made));
    assert_empty(&kernel);
}

/// What ends meanwhile is not.
fn first_most_against_end() {
    let kernel = kernel_with(|builder| builder);
    let (first, pid) = process(&kernel);
    let second = kernel.new_lwp(pid).unwrap();
    let k = kernel.clone();
    let ((), ()) = at_once(&kernel, move || drop(second), || k.set_max_lwps(LWPS + 1));
    assert_room_for_lwps(&kernel, pid, 1);
    drop(first);
    assert_empty(&kernel);
}

/// Nor is what only keeps a parent while it spawns.
fn first_most_against_spawn_of_handle() {
    let kernel = kernel_with(|builder| builder);
    let (first, pid) = process(&kernel);
    let parent = first.proc_handle();
    let k = kernel.clone();
    let (child, ()) =
        at_once(&kernel, move || parent.spawn().start().unwrap(), move || k.set_max_lwps(LWPS + 2));
    assert_room_for_lwps(&kernel, pid, 1);
    drop((first, child));
    assert_empty(&kernel);
}

/// When a most has been set, all that live are counted, whoever counts them; and nobody twice.
fn first_most_against_first_most() {
    let kernel = kernel_with(|builder| builder);
    let (first, pid) = process(&kernel);
    let k = kernel.clone();
    let here = || {
        kernel.set_max_lwps(LWPS);
        kernel.new_lwp(pid).err()
    };
    let ((), refused) = at_once(&kernel, move || k.set_max_lwps(LWPS), here);
    assert_eq!(refused, Some(NewLwpError::KernelFull));
    kernel.set_max_lwps(LWPS + 1);
    assert_room_for_lwps(&kernel, pid, 1);
    drop(first);
    assert_empty(&kernel);
}

/// The same of processes.
fn first_most_of_procs_against_another() {
    let kernel = kernel_with(|builder| builder);
    let (first, _) = process(&kernel);
    let k = kernel.clone();
    let here = || {
        kernel.set_max_procs(PROCS);
        kernel.spawn().start().err()
    };
    let ((), refused) = at_once(&kernel, move || k.set_max_procs(PROCS), here);
    assert_eq!(refused, Some(SpawnError::KernelFull));
    kernel.set_max_procs(PROCS + 1);
    assert_room_for_procs(&kernel, 1);
    drop(first);
    assert_empty(&kernel);
}

fn first_most_against_fork() {
    let kernel = kernel_with(|builder| builder);
    let k = kernel.clone();
    let (made, ()) =
        at_once(&kernel, move || k.spawn().start().unwrap(), || kernel.set_max_procs(PROCS + 1));
    assert_room_for_procs(&kernel, 1);
    drop(made);
    assert_empty(&kernel);
}

fn first_most_against_reap() {
    let kernel = kernel_with(|builder| builder);
    let (first, _) = process(&kernel);
    let k = kernel.clone();
    let ((), ()) = at_once(&kernel, move || drop(first), || k.set_max_procs(PROCS));
    assert_room_for_procs(&kernel, 1);
    assert_empty(&kernel);
}

/// The same, of a zombie that its parent waits for.
fn first_most_against_wait() {
    let kernel = kernel_with(|builder| builder.wait_policy(WaitPolicy::Wait));
    let (first, _) = process(&kernel);
    let child = first.proc_handle().spawn().start().unwrap();
    drop(child);
    let k = kernel.clone();
    let there = move || {
        let e = k.enter_as(first).unwrap();
        assert!(e.try_wait(WaitTarget::Any).unwrap().is_some());
        Kernel::leave(e).unwrap()
    };
    let (first, ()) = at_once(&kernel, there, || kernel.set_max_procs(PROCS + 1));
    assert_room_for_procs(&kernel, 1);
    drop(first);
    assert_empty(&kernel);
}
