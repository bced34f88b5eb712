//! Signals that are kept one by one, and what comes with them.
#![cfg(not(lwproc_loom))]
#![allow(missing_docs)]

use lwproc::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A value that counts its drop.
#[derive(Debug)]
struct Value(u32, Arc<AtomicUsize>);

impl Drop for Value {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
        assert!(self.0 < 1000, "value {} does not like to go", self.0);
    }
}

type TestHost = ThreadHost<(), (), (), (), Value>;
type K<'k> = Entered<'k, TestHost>;

const TERM: i32 = 15;
const RT: i32 = 40;

fn signo(number: i32) -> Signo {
    Signo::new(number).unwrap()
}

fn set<const N: usize>(numbers: [i32; N]) -> SigSet {
    numbers.map(signo).into_iter().collect()
}

/// A kernel, and how many of its values have been dropped.
fn kernel(rules: Rules) -> (Kernel<TestHost>, Values) {
    let builder = Kernel::builder().host(TestHost::new()).rules(rules).max_queued_signals(6);
    let kernel = builder.signal_model(SigModel::Record).wait_policy(WaitPolicy::Wait).build();
    (kernel.unwrap(), Values::default())
}

#[derive(Default)]
struct Values(Arc<AtomicUsize>);

impl Values {
    fn one(&self, number: u32) -> Value {
        Value(number, self.0.clone())
    }

    /// Dropped since the last look.
    fn dropped(&self) -> usize {
        self.0.swap(0, SeqCst)
    }
}

fn process(kernel: &Kernel<TestHost>) -> K<'_> {
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k
}

/// Takes all; numbers and values.
fn all(k: &K<'_>) -> Vec<(u8, Option<u32>)> {
    let taken = std::iter::from_fn(|| k.signals().take_info());
    taken.map(|taken| (taken.signo.number(), taken.value.map(|value| value.0))).collect()
}

fn both() -> [Rules; 2] {
    [Rules::LINUX, Rules::NETBSD]
}

/// semantics.md, queued signals: "each send is kept, with its value; three sent, three taken,
/// lowest number first, in order"; and a kill is kept too, without one.
#[test]
fn each_is_kept_and_they_are_taken_in_order() {
    for rules in both() {
        let (kernel, values) = kernel(rules);
        let k = process(&kernel);
        let (pid, lid) = (k.pid(), k.lid().unwrap());
        let of_proc = (QueueTarget::Proc(pid), KillTarget::Proc(pid));
        let of_lwp = (QueueTarget::Lwp(lid), KillTarget::LwpOf(pid, lid));
        for (queue, kill) in [of_proc, of_lwp] {
            k.signals().queue(queue, RT + 1, values.one(1)).unwrap();
            k.signals().queue(queue, RT, values.one(2)).unwrap();
            k.signals().kill(kill, RT).unwrap();
            k.signals().queue(queue, RT, values.one(3)).unwrap();
            k.signals().kill(kill, TERM).unwrap();
            k.signals().kill(kill, TERM).unwrap();
            assert_eq!(k.signals().pending(), set([TERM, RT, RT + 1]));
            let guard = kernel.pin();
            let (proc, lwp) = (guard.proc(pid).unwrap(), guard.lwp(lid).unwrap());
            let own = matches!(queue, QueueTarget::Lwp(_));
            assert_eq!(proc.pending().is_empty(), own);
            assert_eq!(lwp.pending().is_empty(), !own);
            let (term, rt) = (TERM as u8, RT as u8);
            let expected =
                [(term, None), (rt, Some(2)), (rt, None), (rt, Some(3)), (rt + 1, Some(1))];
            assert_eq!(all(&k), expected, "{rules:?}");
            assert!(!k.signals().has_pending() && k.signals().pending().is_empty());
            assert_eq!(values.dropped(), 3);
        }
    }
}

/// SIGRTMIN and SIGRTMAX of each.
#[test]
fn from_which_number_on() {
    for (rules, kept) in [(Rules::LINUX, 32..=64), (Rules::NETBSD, 33..=63)] {
        let (kernel, _) = kernel(rules);
        let k = process(&kernel);
        for number in 31..=64 {
            for _ in 0..2 {
                k.signals().kill(KillTarget::Proc(k.pid()), number).unwrap();
            }
            let times = if kept.contains(&number) { 2 } else { 1 };
            assert_eq!(all(&k), vec![(number as u8, None); times], "{rules:?}");
        }
    }
}

/// Linux's `legacy_queue`: one is pending, and the first value counts.
#[test]
fn of_a_standard_signal_the_first_counts() {
    for rules in both() {
        let (kernel, values) = kernel(rules);
        let k = process(&kernel);
        let (pid, lid) = (k.pid(), k.lid().unwrap());
        for (queue, kill) in [
            (QueueTarget::Proc(pid), KillTarget::Proc(pid)),
            (QueueTarget::LwpOf(pid, lid), KillTarget::Lwp(lid)),
        ] {
            k.signals().queue(queue, TERM, values.one(1)).unwrap();
            k.signals().queue(queue, TERM, values.one(2)).unwrap();
            k.signals().kill(kill, TERM).unwrap();
            assert_eq!(values.dropped(), 1);
            assert_eq!(all(&k), [(TERM as u8, Some(1))]);
            k.signals().kill(kill, TERM).unwrap();
            k.signals().queue(queue, TERM, values.one(3)).unwrap();
            assert_eq!(all(&k), [(TERM as u8, None)]);
            assert_eq!(values.dropped(), 2);
        }
        // For its process and for itself: two.
        k.signals().queue(QueueTarget::Proc(pid), TERM, values.one(4)).unwrap();
        k.signals().queue(QueueTarget::Lwp(lid), TERM, values.one(5)).unwrap();
        assert_eq!(all(&k), [(TERM as u8, Some(5)), (TERM as u8, Some(4))], "its own first");
    }
}

/// EAGAIN beyond the most, which is the process's with its LWPs; a kill loses no signal.
#[test]
fn a_process_has_so_many_at_most() {
    let (kernel, values) = kernel(Rules::LINUX);
    let k = process(&kernel);
    let (own, lid) = (QueueTarget::Proc(k.pid()), QueueTarget::Lwp(k.lid().unwrap()));
    for number in 0..6 {
        let to = if number % 2 == 0 { own } else { lid };
        k.signals().queue(to, RT, values.one(number)).unwrap();
    }
    assert_eq!(k.signals().queue(own, RT, values.one(7)), Err(QueueError::Full));
    assert_eq!((QueueError::Full.errno(), values.dropped()), (Errno::EAGAIN, 1));
    assert_eq!(k.signals().queue(own, TERM, values.one(8)), Ok(()), "without its value");
    for _ in 0..2 {
        k.signals().kill(KillTarget::Proc(k.pid()), RT + 1).unwrap();
    }
    let (term, rt) = (TERM as u8, RT as u8);
    let expected = [(rt, 1), (rt, 3), (rt, 5)].map(|(signo, value)| (signo, Some(value)));
    let rest = [(term, None), (rt, Some(0)), (rt, Some(2)), (rt, Some(4)), (rt + 1, None)];
    assert_eq!(all(&k), [&expected[..], &rest[..]].concat());
    assert_eq!(k.signals().queue(own, RT, values.one(9)), Ok(()));
    assert_eq!(all(&k), [(rt, Some(9))]);
}

#[test]
fn a_child_inherits_none_and_an_exec_keeps_all() {
    let (kernel, values) = kernel(Rules::LINUX);
    let mut k = process(&kernel);
    let (pid, lid) = (k.pid(), k.lid().unwrap());
    k.signals().queue(QueueTarget::Proc(pid), RT, values.one(1)).unwrap();
    k.signals().queue(QueueTarget::Lwp(lid), RT, values.one(2)).unwrap();
    let parent = k.rfork(Rfork::Fresh).unwrap().unwrap();
    assert!(k.signals().pending().is_empty() && !k.signals().has_pending());
    drop(k.switch(parent).unwrap());
    k.drain();
    k.exec("new").unwrap();
    assert!(k.signals().has_pending());
    assert_eq!(all(&k), [(RT as u8, Some(2)), (RT as u8, Some(1))]);
}

/// Whoever ends, and whoever discards, drops the values; each once.
#[test]
fn values_go_with_what_they_were_for() {
    let (kernel, values) = kernel(Rules::LINUX);
    let k = process(&kernel);
    let queue = |k: &K<'_>, target, number| {
        k.signals().queue(target, number, values.one(1)).unwrap();
    };
    let own = QueueTarget::Proc(k.pid());
    // An LWP.
    let other = kernel.new_lwp(k.pid()).unwrap();
    queue(&k, QueueTarget::Lwp(other.lid()), RT);
    queue(&k, QueueTarget::Lwp(other.lid()), TERM);
    drop(other);
    assert_eq!(values.dropped(), 2);
    // What is ignored from now on, wherever it is pending.
    k.signals().set_blocked(SigSet::ALL).unwrap();
    queue(&k, own, RT);
    queue(&k, QueueTarget::Lwp(k.lid().unwrap()), RT);
    queue(&k, own, RT + 1);
    k.signals().set_disposition(RT, Disposition::Ignore).unwrap();
    assert_eq!((values.dropped(), k.signals().pending()), (2, set([RT + 1])));
    // What is ignored already.
    k.signals().set_blocked(SigSet::EMPTY).unwrap();
    queue(&k, own, RT);
    assert_eq!((values.dropped(), k.signals().pending()), (1, set([RT + 1])));
    k.signals().discard(set([RT, RT + 1]));
    assert_eq!((values.dropped(), k.signals().pending()), (1, SigSet::EMPTY));
    assert!(!k.signals().has_pending());
    // What the kernel acts on, and what asks only.
    for number in [0, 18, 20] {
        queue(&k, own, number);
        assert_eq!(values.dropped(), 1, "{number}");
    }
    // A process, whatever its LWPs block.
    let child = k.spawn().blocked(SigSet::ALL).start().unwrap();
    queue(&k, QueueTarget::Proc(child.pid()), RT);
    queue(&k, QueueTarget::Proc(child.pid()), TERM);
    queue(&k, QueueTarget::Lwp(child.lid()), RT);
    let pid = child.pid();
    drop(child);
    assert_eq!(values.dropped(), 3);
    queue(&k, QueueTarget::Proc(pid), RT);
    assert_eq!(values.dropped(), 1, "a zombie has none");
    let killed = k.spawn().start().unwrap();
    queue(&k, QueueTarget::Proc(killed.pid()), 9);
    assert_eq!(values.dropped(), 1);
    drop(killed);
    // The kernel.
    queue(&k, own, RT);
    queue(&k, QueueTarget::Proc(Pid::INIT), RT);
    queue(&k, QueueTarget::Proc(Pid::KERNEL), RT);
    drop(k);
    drop(kernel);
    assert_eq!(values.dropped(), 3);
}

/// No model but Record keeps a value.
#[test]
fn what_is_not_recorded_is_dropped() {
    for model in [SigModel::Ignore, SigModel::Raise] {
        let kernel = Kernel::builder().host(TestHost::new()).signal_model(model).build().unwrap();
        let (k, values) = (process(&kernel), Values::default());
        k.signals().queue(QueueTarget::Proc(k.pid()), RT, values.one(1)).unwrap();
        assert_eq!((values.dropped(), k.signals().pending()), (1, SigSet::EMPTY));
    }
}

/// A panic of one drop goes on when all have been dropped, and nothing is left.
#[test]
fn a_drop_that_panics_spares_nobody() {
    let (kernel, values) = kernel(Rules::LINUX);
    let k = process(&kernel);
    k.signals().set_blocked(SigSet::ALL).unwrap();
    let own = QueueTarget::Proc(k.pid());
    let fill = |k: &K<'_>, target| {
        for number in [1, 1000, 2, 1001, 3] {
            k.signals().queue(target, RT, values.one(number)).unwrap();
        }
    };
    let panics = |what: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(what)).unwrap_err();
    fill(&k, own);
    panics(&mut || k.signals().discard(SigSet::ALL));
    assert_eq!((values.dropped(), k.signals().pending()), (5, SigSet::EMPTY));
    fill(&k, own);
    panics(&mut || _ = k.signals().set_disposition(RT, Disposition::Ignore));
    assert_eq!((values.dropped(), k.signals().pending()), (5, SigSet::EMPTY));
    k.signals().set_disposition(RT, Disposition::Default).unwrap();
    let other = kernel.new_lwp(k.pid()).unwrap();
    fill(&k, QueueTarget::Lwp(other.lid()));
    let mut other = Some(other);
    panics(&mut || drop(other.take()));
    assert_eq!((values.dropped(), kernel.counts().lwps), (5, 3));
    // One that is merged.
    k.signals().queue(own, TERM, values.one(1)).unwrap();
    let queue = || k.signals().queue(own, TERM, values.one(1000));
    catch_unwind(AssertUnwindSafe(queue)).unwrap_err();
    assert_eq!(k.signals().take_of(SigSet::ALL).map(|taken| taken.signo), Some(Signo::TERM));
    // The process.
    fill(&k, own);
    values.dropped();
    let pid = k.pid();
    let mut k = Some(k);
    panics(&mut || {
        let mut k = k.take().expect("once");
        k.release().unwrap();
        drop(k.unbind());
    });
    assert_eq!((values.dropped(), kernel.counts().lwps), (5, 2));
    assert!(kernel.pin().proc(pid).is_none_or(|proc| proc.state() == ProcState::Zombie));
}

/// A value that looks at the kernel it was sent in, and holds an LWP of it.
#[test]
fn a_value_may_be_of_the_kernel() {
    struct Held(#[expect(dead_code)] Option<Lwp<HeldHost>>);
    type HeldHost = ThreadHost<(), (), (), (), Box<dyn std::any::Any + Send>>;
    let builder = Kernel::builder().host(HeldHost::new()).signal_model(SigModel::Record);
    let kernel = builder.build().unwrap();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let [first, second] = [(); 2].map(|()| kernel.spawn().start().unwrap());
    let (first_pid, own) = (first.pid(), QueueTarget::Proc(k.pid()));
    k.signals().queue(own, RT, Box::new(Held(Some(first)))).unwrap();
    // Dropped with the process, which drops another process's LWP, and its queue.
    k.signals().queue(QueueTarget::Proc(first_pid), RT, Box::new(Held(Some(second)))).unwrap();
    k.release().unwrap();
    drop(k);
    let counts = kernel.counts();
    assert_eq!((counts.procs, counts.lwps), (2, 2));
}

/// `sigtimedwait`: also what is blocked, and whatever is done with it.
#[test]
fn one_of_a_set_is_taken() {
    for rules in both() {
        let (kernel, values) = kernel(rules);
        let k = process(&kernel);
        let (pid, lid) = (k.pid(), k.lid().unwrap());
        k.signals().set_blocked(SigSet::ALL).unwrap();
        for number in [RT, TERM, 2] {
            k.signals().queue(QueueTarget::Proc(pid), number, values.one(1)).unwrap();
            k.signals().kill(KillTarget::Lwp(lid), number).unwrap();
        }
        // What would stop it, and what would do nothing.
        k.signals().kill(KillTarget::Proc(pid), 22).unwrap();
        k.signals().kill(KillTarget::Proc(pid), 28).unwrap();
        assert!(!k.signals().has_pending() && k.signals().take().is_none());
        let take = |set| {
            let taken = k.signals().take_of(set)?;
            Some((taken.signo.number(), taken.value.is_some()))
        };
        assert_eq!(take(set([3])), None);
        assert_eq!(take(set([TERM, RT])), Some((15, false)), "its own first");
        assert_eq!(take(set([TERM, RT])), Some((40, false)));
        assert_eq!(take(set([TERM, RT])), Some((15, true)));
        assert_eq!(take(set([TERM, RT])), Some((40, true)));
        assert_eq!(take(set([TERM, RT])), None);
        assert_eq!(take(SigSet::ALL), Some((2, false)));
        assert_eq!(take(SigSet::ALL), Some((2, true)));
        assert_eq!(take(SigSet::ALL), Some((22, false)));
        assert_eq!(take(SigSet::ALL), Some((28, false)));
        assert!(k.signals().pending().is_empty() && !k.signals().has_pending());
    }
}

/// In an implicit context there is no LWP, and init's are taken.
#[test]
fn an_implicit_context_takes_inits() {
    let (kernel, values) = kernel(Rules::NETBSD);
    let k = kernel.enter().unwrap();
    k.signals().queue(QueueTarget::Proc(Pid::INIT), RT, values.one(1)).unwrap();
    k.signals().queue(QueueTarget::Proc(Pid::INIT), RT, values.one(2)).unwrap();
    assert!(k.signals().has_pending());
    assert_eq!(k.signals().take_info().and_then(|taken| taken.value).map(|v| v.0), Some(1));
    k.signals().discard(SigSet::ALL);
    assert!(!k.signals().has_pending());
    assert_eq!(values.dropped(), 2);
}

/// A child that is made before its parent has taken what was sent to many gets that too.
#[test]
fn forks_do_not_escape_what_is_kept_one_by_one() {
    for rules in both() {
        let (kernel, values) = kernel(rules);
        let k = process(&kernel);
        k.groups().setpgid(Pid(0), Pid(0)).unwrap();
        let pid = k.pid();
        k.signals().queue(QueueTarget::Proc(pid), RT + 1, values.one(1)).unwrap();
        k.signals().kill(KillTarget::OwnPgrp, RT).unwrap();
        let child = k.spawn().start().unwrap();
        let pending = |pid| kernel.pin().proc(pid).unwrap().pending();
        assert_eq!(pending(child.pid()), set([RT]));
        assert_eq!(k.signals().take(), Some(signo(RT)));
        let child = k.spawn().start().unwrap();
        assert_eq!(pending(child.pid()), SigSet::EMPTY);
        k.signals().kill(KillTarget::Proc(pid), RT).unwrap();
        let child = k.spawn().start().unwrap();
        assert_eq!(pending(child.pid()), SigSet::EMPTY, "this one was for one");
    }
}
