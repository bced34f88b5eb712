//! Waiting: each child that ends is reaped once, with its status; ECHILD comes exactly
//! when no child is left. A peek reaps nothing, and hides nothing from another's wait.
//!
//! `try_wait(Any)` looks at one child after the other. So "none yet" promises no single
//! moment: only that each child was at some moment of the call not to be had, being alive,
//! gone, or in the hands of another waiter.

use super::history::{Call, check, overlapping};
use super::record;
use lwproc::*;
use stateright::semantics::SequentialSpec;
use std::sync::Mutex;

const CHILDREN: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    /// The child of that index ends.
    Exit(usize),
    /// Of any, or of one.
    Wait(Option<usize>),
    Peek(Option<usize>),
}

impl Op {
    /// The child that is waited for; `None`: any.
    fn target(self) -> Option<usize> {
        match self {
            Self::Wait(target) | Self::Peek(target) => target,
            Self::Exit(_) => unreachable!("no wait"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Exited,
    /// The child and its code.
    Reaped(usize, u8),
    Seen(usize, u8),
    NoneYet,
    NoChild,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Child {
    Live,
    Zombie,
    Reaped,
}

#[derive(Clone)]
struct Family([Child; CHILDREN]);

impl SequentialSpec for Family {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, _: &Op) -> Ret {
        unreachable!("every call returns")
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        let meant = |i: usize| op.target().is_none_or(|one| one == i);
        match (op, ret) {
            (Op::Exit(i), Ret::Exited) => {
                let before = std::mem::replace(&mut self.0[*i], Child::Zombie);
                before == Child::Live
            }
            (Op::Wait(_), Ret::Reaped(i, code)) => {
                let before = std::mem::replace(&mut self.0[*i], Child::Reaped);
                before == Child::Zombie && meant(*i) && usize::from(*code) == 10 + i
            }
            (Op::Peek(_), Ret::Seen(i, code)) => {
                self.0[*i] == Child::Zombie && meant(*i) && usize::from(*code) == 10 + i
            }
            (Op::Wait(_) | Op::Peek(_), Ret::NoChild) => {
                (0..CHILDREN).filter(|i| meant(*i)).all(|i| self.0[i] == Child::Reaped)
            }
            // See `none_yet_is_true`.
            (Op::Wait(_) | Op::Peek(_), Ret::NoneYet) => true,
            _ => false,
        }
    }
}

fn none_yet_is_true(calls: &[Call<Op, Ret>]) {
    for call in calls.iter().filter(|call| call.ret == Ret::NoneYet) {
        let target = call.op.target();
        for i in (0..CHILDREN).filter(|i| target.is_none_or(|one| one == *i)) {
            let had_ended = calls.iter().any(|c| c.op == Op::Exit(i) && c.before(call));
            let reaped = |c: &&Call<Op, Ret>| matches!(c.ret, Ret::Reaped(j, _) if j == i);
            let not_to_be_had = calls.iter().filter(reaped).any(|c| !call.before(c));
            assert!(!had_ended || not_to_be_had, "child {i} was there for {call:?} of\n{calls:#?}");
        }
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let kernel = Kernel::builder().wait_policy(WaitPolicy::Wait).build().unwrap();
    let kept = Mutex::new(Vec::new());
    let mut pids = Vec::new();
    let (children, lwps) = {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        let mut children = Vec::new();
        for i in 0..CHILDREN {
            let own = k.rfork(Rfork::Fresh).unwrap().unwrap();
            pids.push(k.pid());
            children.push((i, k.switch(own).unwrap().unwrap()));
        }
        let lwps: Vec<_> = (0..3).map(|_| kernel.new_lwp(k.pid()).unwrap()).collect();
        k.release().unwrap();
        (Mutex::new(children), Mutex::new(lwps))
    };
    let calls = record(3, seed, |_, start, r| {
        let mut k = kernel.enter().unwrap();
        let own = lwps.lock().unwrap().pop().unwrap();
        k.switch(own).unwrap();
        let mut child: Option<(usize, Lwp)> = children.lock().unwrap().pop();
        start();
        for _ in 0..5 {
            match (r.random.below(3), child.take()) {
                (0, Some((i, lwp))) => {
                    let own = k.switch(lwp).unwrap().unwrap();
                    k.exit(ExitStatus::exited(10 + i as u8)).unwrap();
                    r.call(Op::Exit(i), || {
                        k.switch(own).unwrap();
                        Ret::Exited
                    });
                }
                (which, other) => {
                    child = other;
                    let one = (which == 1).then(|| r.random.below(CHILDREN));
                    let target = one.map_or(WaitTarget::Any, |i| WaitTarget::Pid(pids[i]));
                    let found = |found, ret: fn(usize, u8) -> Ret| match found {
                        Ok::<_, WaitError>(Some(Reaped { pid, status, .. })) => {
                            let i = pids.iter().position(|one| *one == pid).unwrap();
                            ret(i, status.exit_code().unwrap())
                        }
                        Ok(None) => Ret::NoneYet,
                        Err(_) => Ret::NoChild,
                    };
                    if r.random.below(2) == 0 {
                        r.call(Op::Peek(one), || found(k.try_wait(target.peek()), Ret::Seen));
                    } else {
                        r.call(Op::Wait(one), || found(k.try_wait(target), Ret::Reaped));
                    }
                }
            }
        }
        let own = k.unbind().unwrap();
        kept.lock().unwrap().extend(own.into_iter().chain(child.map(|(_, lwp)| lwp)));
    });
    let overlaps = overlapping(&calls);
    check(Family([Child::Live; CHILDREN]), &calls);
    none_yet_is_true(&calls);
    overlaps
}
