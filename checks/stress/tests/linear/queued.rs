//! Queued signals of a process, of one number: each is taken by one, in the order of sending,
//! with its value.

use super::history::{check, of_lwps, overlapping};
use lwproc::*;
use stateright::semantics::SequentialSpec;
use std::collections::VecDeque;

type Host = ThreadHost<(), (), (), (), u8>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Queue(u8),
    Kill,
    Take,
    Pending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Sent,
    Full,
    /// What came with it, if one was pending.
    Taken(Option<Option<u8>>),
    Pending(u64),
}

#[derive(Clone)]
struct Queue {
    pending: VecDeque<Option<u8>>,
    most: usize,
}

const MOST: usize = 4;
const RT: i32 = 40;

impl SequentialSpec for Queue {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match *op {
            Op::Queue(_) if self.pending.len() == self.most => Ret::Full,
            Op::Queue(value) => {
                self.pending.push_back(Some(value));
                Ret::Sent
            }
            Op::Kill => {
                self.pending.push_back(None);
                Ret::Sent
            }
            Op::Take => Ret::Taken(self.pending.pop_front()),
            Op::Pending => Ret::Pending(u64::from(!self.pending.is_empty()) << (RT - 1)),
        }
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    // Kills have room always: beyond the most they would be merged.
    let (most, kills) = if seed.is_multiple_of(2) { (MOST, false) } else { (100, true) };
    let builder = Kernel::builder().host(Host::new()).signal_model(SigModel::Record);
    let kernel = builder.max_queued_signals(most).build().unwrap();
    let first = kernel.spawn().start().unwrap();
    let (pid, target) = (first.pid(), QueueTarget::Proc(first.pid()));
    let mut calls = of_lwps(&kernel, pid, seed, |k, r| match r.random.below(6) {
        0 if kills => r.call(Op::Kill, || {
            k.signals().kill(KillTarget::Proc(pid), RT).unwrap();
            Ret::Sent
        }),
        0..=2 => {
            let value = r.random.below(200) as u8;
            r.call(Op::Queue(value), || match k.signals().queue(target, RT, value) {
                Ok(()) => Ret::Sent,
                Err(why) => {
                    assert_eq!(why, QueueError::Full);
                    Ret::Full
                }
            });
        }
        3 => r.call(Op::Pending, || Ret::Pending(k.signals().pending().bits())),
        4 => r.call(Op::Take, || {
            let taken = k.signals().take_of(SigSet::ALL);
            Ret::Taken(taken.map(|taken| taken.value))
        }),
        _ => r.call(Op::Take, || Ret::Taken(k.signals().take_info().map(|taken| taken.value))),
    });
    let overlaps = overlapping(&calls);
    // A take that is under way has room again only when it is done with what it took.
    calls.retain(|call| call.ret != Ret::Full);
    check(Queue { pending: VecDeque::new(), most }, &calls);
    drop(first);
    overlaps
}
