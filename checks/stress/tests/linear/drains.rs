//! Draining: from the return of `drain` to the call of `reopen` no LWP comes to the process,
//! and otherwise each does.

use super::history::{check, of_lwps, overlapping};
use lwproc::*;
use stateright::semantics::SequentialSpec;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Drain,
    Reopen,
    New,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Done,
    Draining,
}

#[derive(Clone)]
struct Gate {
    closed: bool,
}

impl SequentialSpec for Gate {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::New if self.closed => return Ret::Draining,
            Op::New => {}
            Op::Drain => self.closed = true,
            Op::Reopen => self.closed = false,
        }
        Ret::Done
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let kernel = Kernel::new();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let calls = of_lwps(&kernel, pid, seed, |k, r| match r.random.below(6) {
        0 => r.call(Op::Drain, || {
            k.drain();
            Ret::Done
        }),
        1 => r.call(Op::Reopen, || {
            k.reopen();
            Ret::Done
        }),
        _ => r.call(Op::New, || match kernel.new_lwp(pid) {
            Ok(lwp) => {
                drop(lwp);
                Ret::Done
            }
            Err(NewLwpError::Draining) => Ret::Draining,
            Err(other) => panic!("{other}"),
        }),
    });
    let overlaps = overlapping(&calls);
    check(Gate { closed: false }, &calls);
    drop(first);
    overlaps
}
