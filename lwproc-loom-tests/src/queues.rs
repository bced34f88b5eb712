//! Who is told of a signal of a process, and what is queued: against masks, ends and parking.

use crate::full::{assert_empty, at_once, enter_as};
use crate::runner::{Model, pair};
use crate::signals::{kill, recording};
use loom::sync::Arc as LoomArc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use lwproc::{
    Host, Kernel, KillTarget, Lwp, LwpToken, Pid, QueueTarget, SigModel, SigSet, Signo, Taken,
};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("receiver_blocks_against_post", blocks_against_post),
        pair("receiver_post_against_block", post_against_block),
        pair("receiver_ends_against_post", ends_against_post),
        pair("receiver_post_against_end", post_against_end),
        pair("receiver_parks_against_post", parks_against_post),
        pair("receiver_two_posts", two_posts),
        pair("receiver_wait_for_against_post", wait_against_post),
        pair("queued_for_an_lwp_against_its_end", for_lwp_against_end).long(),
        pair("queued_end_of_an_lwp_against_queue", end_against_for_lwp).long(),
        pair("queued_for_a_process_against_its_end", for_proc_against_end).long(),
        pair("queued_two_against_take", two_against_take).long(),
    ]
}

const TERM: i32 = 15;
const RT: i32 = 40;

/// A process of two LWPs; the second is told of its signals.
fn two(kernel: &Kernel) -> (Lwp, Lwp, Pid) {
    let older = kernel.spawn().start().unwrap();
    let pid = older.pid();
    let newest = kernel.new_lwp(pid).unwrap();
    (older, newest, pid)
}

/// The signal is pending, and the one that is left has been told.
fn is_told(kernel: &Kernel, lwp: Lwp) {
    assert!(format!("{lwp:?}").contains("PENDSIG"), "nobody is told");
    let e = enter_as(kernel, lwp);
    assert_eq!(e.signals().take(), Some(Signo::TERM));
    drop(e);
}

fn blocks_against_post() {
    let kernel = recording();
    let (older, newest, pid) = two(&kernel);
    let k = kernel.clone();
    let e = enter_as(&kernel, newest);
    let here = || e.signals().set_blocked(SigSet::ALL).unwrap();
    let ((), before) = at_once(&kernel, move || kill(&k, pid), here);
    assert!(before.is_empty());
    drop(e);
    is_told(&kernel, older);
}

/// With the parts changed.
fn post_against_block() {
    let kernel = recording();
    let (older, newest, pid) = two(&kernel);
    let killer = kernel.spawn().start().unwrap();
    let e = enter_as(&kernel, killer);
    let k = kernel.clone();
    let there = move || {
        let e = enter_as(&k, newest);
        e.signals().set_blocked(SigSet::ALL).unwrap();
        // Stays bound, so that nothing but the two decides.
        std::mem::forget(e);
    };
    at_once(&kernel, there, || e.signals().kill(KillTarget::Proc(pid), TERM).unwrap());
    drop(e);
    is_told(&kernel, older);
}

fn ends_against_post() {
    let kernel = recording();
    let (older, newest, pid) = two(&kernel);
    let k = kernel.clone();
    at_once(&kernel, move || kill(&k, pid), || drop(newest));
    is_told(&kernel, older);
}

/// With the parts changed.
fn post_against_end() {
    let kernel = recording();
    let (older, newest, pid) = two(&kernel);
    let e = kernel.enter().unwrap();
    let here = || e.signals().kill(KillTarget::Proc(pid), TERM).unwrap();
    at_once(&kernel, move || drop(newest), here);
    drop(e);
    is_told(&kernel, older);
}

fn parks_against_post() {
    let kernel = recording();
    let (older, newest, pid) = two(&kernel);
    let k = kernel.clone();
    let ((), parked) = at_once(&kernel, move || kill(&k, pid), || newest.unclaim());
    is_told(&kernel, older);
    drop(parked);
}

/// Of two signals at once none is lost to the one that is told of both.
fn two_posts() {
    let kernel = recording();
    let (_older, newest, pid) = two(&kernel);
    let k = kernel.clone();
    let here = || {
        kernel.enter().unwrap().signals().kill(KillTarget::Proc(pid), 2).unwrap();
    };
    at_once(&kernel, move || kill(&k, pid), here);
    assert!(format!("{newest:?}").contains("PENDSIG"), "nobody is told");
    let e = enter_as(&kernel, newest);
    assert_eq!(e.signals().take().map(Signo::number), Some(2));
    assert!(e.signals().has_pending());
    assert_eq!(e.signals().take(), Some(Signo::TERM));
}

/// Who waits for what it blocks is woken.
fn wait_against_post() {
    let kernel = recording();
    let lwp = kernel.spawn().start().unwrap();
    let pid = lwp.pid();
    let k = kernel.clone();
    let e = enter_as(&kernel, lwp);
    let set = SigSet::from(Signo::TERM);
    e.signals().set_blocked(set).unwrap();
    let here = || e.signals().wait_for(set);
    let ((), taken) = at_once(&kernel, move || kill(&k, pid), here);
    assert_eq!(taken, Ok(Taken { signo: Signo::TERM, value: None }));
}

/// A host whose values are counted.
#[derive(Default)]
struct Values;

struct Value(LoomArc<AtomicUsize>);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Host for Values {
    type VmSpace = ();
    type File = ();
    type Emul = ();
    type Vfs = ();
    type SigValue = Value;

    // Threads of a model share the host thread's storage.
    fn set(&self, _: LwpToken) {}
    fn clear(&self, _: LwpToken) {}
    fn current(&self) -> Option<LwpToken> {
        None
    }
}

fn valued() -> (Arc<Kernel<Values>>, LoomArc<AtomicUsize>) {
    let builder = Kernel::builder().host(Values).signal_model(SigModel::Record);
    (Arc::new(builder.id_capacity(6).build().unwrap()), LoomArc::default())
}

/// To one that ends: the value is dropped by the sender or by the end, and not left.
fn queue_for(k: &Kernel<Values>, target: QueueTarget, dropped: &LoomArc<AtomicUsize>) {
    let _ended = k.enter().unwrap().signals().queue(target, RT, Value(dropped.clone()));
}

fn for_lwp_against_end() {
    let (kernel, dropped) = valued();
    let older = kernel.spawn().start().unwrap();
    let newest = kernel.new_lwp(older.pid()).unwrap();
    let (k, target, values) = (kernel.clone(), QueueTarget::Lwp(newest.lid()), dropped.clone());
    at_once(&kernel, move || queue_for(&k, target, &values), || drop(newest));
    assert_eq!(dropped.load(SeqCst), 1);
    drop(older);
    assert_empty(&kernel);
}

/// With the parts changed.
fn end_against_for_lwp() {
    let (kernel, dropped) = valued();
    let older = kernel.spawn().start().unwrap();
    let newest = kernel.new_lwp(older.pid()).unwrap();
    let target = QueueTarget::Lwp(newest.lid());
    at_once(&kernel, move || drop(newest), || queue_for(&kernel, target, &dropped));
    assert_eq!(dropped.load(SeqCst), 1);
    drop(older);
    assert_empty(&kernel);
}

fn for_proc_against_end() {
    let (kernel, dropped) = valued();
    let lwp = kernel.spawn().start().unwrap();
    let (k, target, values) = (kernel.clone(), QueueTarget::Proc(lwp.pid()), dropped.clone());
    at_once(&kernel, move || queue_for(&k, target, &values), || drop(lwp));
    assert_eq!(dropped.load(SeqCst), 1);
    assert_empty(&kernel);
}

/// Two are sent, and one takes meanwhile, who only looks, on the spawned thread: both are taken,
/// and the LWP has been told of what is left.
fn two_against_take() {
    let (kernel, dropped) = valued();
    let lwp = kernel.spawn().start().unwrap();
    let (k, target) = (kernel.clone(), QueueTarget::Proc(lwp.pid()));
    let e = kernel.enter().unwrap();
    let there = move || {
        let mut e = enter_as(&k, lwp);
        let taken = usize::from(e.signals().take().is_some());
        (taken, e.unbind().unwrap().unwrap())
    };
    let here = || {
        for _ in 0..2 {
            e.signals().queue(target, RT, Value(dropped.clone())).unwrap();
        }
    };
    let ((taken, lwp), ()) = at_once(&kernel, there, here);
    drop(e);
    let e = enter_as(&kernel, lwp);
    for _ in taken..2 {
        assert!(e.signals().has_pending() && e.signals().take().is_some());
    }
    assert!(!e.signals().has_pending() && e.signals().take().is_none());
    assert_eq!(dropped.load(SeqCst), 2);
}
