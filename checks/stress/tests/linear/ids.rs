//! Ids: two that live never have the same number, and a number is found exactly while
//! its bearer lives.
//!
//! That none is left is promised to the rest of the table only: a call may fail so while
//! another moves the last free ids. So it is wrong only when it ran alone and the table
//! was not full.

use super::history::{Call, check, overlapping};
use super::record;
use lwproc::*;
use stateright::semantics::SequentialSpec;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

const CAPACITY: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    New,
    Drop(i32),
    Find(i32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    New(Option<i32>),
    Dropped,
    Found(bool),
}

#[derive(Clone, Default)]
struct Live(BTreeSet<i32>);

impl SequentialSpec for Live {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, _: &Op) -> Ret {
        unreachable!("every call returns")
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        match (op, ret) {
            (Op::New, Ret::New(Some(id))) => self.0.insert(*id),
            (Op::New, Ret::New(None)) => true,
            (Op::Drop(id), Ret::Dropped) => self.0.remove(id),
            (Op::Find(id), Ret::Found(found)) => self.0.contains(id) == *found,
            _ => false,
        }
    }
}

fn exhausted_for_a_reason(calls: &[Call<Op, Ret>]) {
    for call in calls.iter().filter(|call| call.ret == Ret::New(None)) {
        if calls.iter().any(|other| other.invoked != call.invoked && other.overlaps(call)) {
            continue;
        }
        let earlier = calls.iter().filter(|other| other.before(call));
        let live: i32 = earlier
            .map(|other| match other.ret {
                Ret::New(Some(_)) => 1,
                Ret::Dropped => -1,
                _ => 0,
            })
            .sum();
        assert_eq!(live as usize, CAPACITY - 1, "ids were left: {calls:?}");
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    // One id is init's.
    let kernel = Kernel::builder().id_capacity(CAPACITY).build().unwrap();
    let (board, left) = (AtomicI32::new(2), Mutex::new(Vec::new()));
    let calls = record(3, seed, |_, start, r| {
        let mut own = Vec::new();
        start();
        for _ in 0..6 {
            match r.random.below(5) {
                0 | 1 => r.call(Op::New, || {
                    let new = kernel.spawn().start().ok();
                    let pid = new.as_ref().map(|lwp| lwp.pid().0);
                    pid.inspect(|pid| board.store(*pid, SeqCst));
                    own.extend(new);
                    Ret::New(pid)
                }),
                2 if !own.is_empty() => {
                    let lwp: Lwp = own.remove(0);
                    r.call(Op::Drop(lwp.pid().0), || {
                        drop(lwp);
                        Ret::Dropped
                    });
                }
                _ => {
                    let pid = board.load(SeqCst);
                    r.call(Op::Find(pid), || Ret::Found(kernel.pin().proc(Pid(pid)).is_some()));
                }
            }
        }
        left.lock().unwrap().extend(own);
    });
    let overlaps = overlapping(&calls);
    check(Live::default(), &calls);
    exhausted_for_a_reason(&calls);
    overlaps
}
