//! LWPs: a process takes new ones exactly while it has some; an LWP is claimed by one at
//! a time, and never once it has been released. These are two histories: that an LWP is
//! gone for those who look for it, and for the process, is not one moment.

use super::history::{check, overlapping};
use super::record;
use lwproc::*;
use stateright::semantics::SequentialSpec;
use std::sync::Mutex;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    New,
    Release,
    Claim,
    Unclaim,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Done,
    NoSuchProcess,
    Claimed,
    Running,
    /// It is on its way out, or gone.
    Gone,
}

/// How many LWPs the process has.
#[derive(Clone)]
struct Live(u32);

impl SequentialSpec for Live {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::New if self.0 == 0 => return Ret::NoSuchProcess,
            Op::New => self.0 += 1,
            _ => self.0 -= 1,
        }
        Ret::Done
    }
}

/// The LWP that is fought for.
#[derive(Clone, Copy, PartialEq)]
enum TheOne {
    Free,
    Claimed,
    Gone,
}

impl SequentialSpec for TheOne {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        let (next, ret) = match (op, *self) {
            (Op::Claim, Self::Free) => (Self::Claimed, Ret::Claimed),
            (Op::Claim, Self::Claimed) => (Self::Claimed, Ret::Running),
            (Op::Claim, Self::Gone) => (Self::Gone, Ret::Gone),
            (Op::Unclaim, _) => (Self::Free, Ret::Done),
            _ => (Self::Gone, Ret::Done),
        };
        *self = next;
        ret
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let (kernel, left) = (Kernel::new(), Mutex::new(Vec::new()));
    // Not the first: its number would be given to another once it is gone.
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let second = kernel.new_lwp(pid).unwrap();
    let lid = second.lid();
    drop(first);
    drop(second.unclaim());
    let calls = record(3, seed, |_, start, r| {
        let mut own: Vec<Lwp> = Vec::new();
        let mut the_one: Option<Lwp> = None;
        start();
        for _ in 0..6 {
            match r.random.below(6) {
                0 => r.call(Op::New, || match kernel.new_lwp(pid) {
                    Ok(lwp) => {
                        own.push(lwp);
                        Ret::Done
                    }
                    Err(NewLwpError::NoSuchProcess) => Ret::NoSuchProcess,
                    Err(other) => panic!("{other}"),
                }),
                1 | 2 => match (own.pop(), the_one.take()) {
                    (Some(lwp), one) => {
                        the_one = one;
                        r.call(Op::Release, || {
                            drop(lwp);
                            Ret::Done
                        });
                    }
                    (None, Some(one)) => r.call(Op::Drop, || {
                        drop(one);
                        Ret::Done
                    }),
                    _ => {}
                },
                3 if the_one.is_some() => {
                    let one = the_one.take();
                    r.call(Op::Unclaim, || {
                        drop(one.map(Lwp::unclaim));
                        Ret::Done
                    });
                }
                _ => r.call(Op::Claim, || {
                    let guard = kernel.pin();
                    match guard.lwp(lid).map(|lwp| lwp.claim()) {
                        Some(Ok(lwp)) => {
                            the_one = Some(lwp);
                            Ret::Claimed
                        }
                        Some(Err(ClaimError::AlreadyRunning { .. })) => Ret::Running,
                        _ => Ret::Gone,
                    }
                }),
            }
        }
        left.lock().unwrap().extend(own.into_iter().chain(the_one));
    });
    let overlaps = overlapping(&calls);
    let (mut of_process, mut of_lwp) = (calls.clone(), calls);
    of_process.retain(|call| matches!(call.op, Op::New | Op::Release | Op::Drop));
    check(Live(1), &of_process);
    of_lwp.retain(|call| matches!(call.op, Op::Claim | Op::Unclaim | Op::Drop));
    check(TheOne::Free, &of_lwp);
    overlaps
}
