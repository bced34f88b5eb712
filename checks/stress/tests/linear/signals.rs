//! Signals of a process: a signal sent is pending once, whoever takes gets the
//! lowest-numbered one, and each is taken by one.

use super::history::{check, of_lwps, overlapping};
use lwproc::*;
use stateright::semantics::SequentialSpec;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Kill(u8),
    Take,
    Pending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Sent,
    Taken(Option<u8>),
    Pending(u64),
}

#[derive(Clone)]
struct Pending(u64);

impl SequentialSpec for Pending {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Kill(signo) => {
                self.0 |= 1 << (signo - 1);
                Ret::Sent
            }
            Op::Take if self.0 == 0 => Ret::Taken(None),
            Op::Take => {
                let lowest = self.0.trailing_zeros();
                self.0 &= self.0 - 1;
                Ret::Taken(Some(lowest as u8 + 1))
            }
            Op::Pending => Ret::Pending(self.0),
        }
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let calls = of_lwps(&kernel, pid, seed, |k, r| match r.random.below(5) {
        0 | 1 => {
            let signo = 1 + r.random.below(3) as u8;
            r.call(Op::Kill(signo), || {
                k.signals().kill(KillTarget::Proc(pid), i32::from(signo)).unwrap();
                Ret::Sent
            });
        }
        2 => r.call(Op::Pending, || Ret::Pending(k.signals().pending().bits())),
        _ => r.call(Op::Take, || Ret::Taken(k.signals().take().map(|signo| signo.number()))),
    });
    let overlaps = overlapping(&calls);
    check(Pending(0), &calls);
    drop(first);
    overlaps
}
