//! Signals of a process: a signal sent is pending once, and each is taken by one.
//!
//! Whoever takes gets the lowest-numbered one of the moment at which it looks; a lower one
//! that is sent before it has taken that is left. So what is asked is that none was passed
//! by that was pending from before the call to after it.

use super::history::{Call, check, overlapping};
use super::record;
use lwproc::*;
use stateright::semantics::SequentialSpec;
use std::sync::Mutex;

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
            // See `passed_by`.
            Op::Take => unreachable!("it returns one of many"),
            Op::Pending => Ret::Pending(self.0),
        }
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        match ret {
            Ret::Taken(None) => self.0 == 0,
            Ret::Taken(Some(signo)) => {
                let before = self.0;
                self.0 &= !(1 << (signo - 1));
                self.0 != before
            }
            _ => self.invoke(op) == *ret,
        }
    }
}

/// A signal lower than the one taken, that was pending throughout.
fn passed_by(calls: &[Call<Op, Ret>]) -> Option<String> {
    for call in calls {
        let Ret::Taken(Some(taken)) = call.ret else { continue };
        for lower in 1..taken {
            let sent = calls.iter().filter(|c| c.op == Op::Kill(lower) && c.before(call));
            let Some(sent) = sent.max_by_key(|c| c.invoked) else { continue };
            let took = |c: &&Call<Op, Ret>| c.ret == Ret::Taken(Some(lower));
            if calls.iter().filter(took).all(|c| c.before(sent) || call.before(c)) {
                return Some(format!("{call:?} passed {lower} by"));
            }
        }
    }
    None
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().unwrap();
    let first = kernel.alloclwp(None).unwrap();
    let pid = first.pid();
    let lwps: Vec<Lwp> = (0..3).map(|_| kernel.alloclwp(Some(pid)).unwrap()).collect();
    let lwps = Mutex::new(lwps);
    let calls = record(3, seed, |_, start, r| {
        let mut k = kernel.enter().unwrap();
        let own = lwps.lock().unwrap().pop().unwrap();
        k.switch(own).unwrap();
        start();
        for _ in 0..6 {
            match r.random.below(5) {
                0 | 1 => {
                    let signo = 1 + r.random.below(3) as u8;
                    r.call(Op::Kill(signo), || {
                        k.kill(KillTarget::Proc(pid), i32::from(signo)).unwrap();
                        Ret::Sent
                    });
                }
                2 => r.call(Op::Pending, || Ret::Pending(k.pending().bits())),
                _ => r.call(Op::Take, || Ret::Taken(k.take_signal().map(|signo| signo.number()))),
            }
        }
        k.releaselwp().unwrap();
    });
    let overlaps = overlapping(&calls);
    check(Pending(0), &calls);
    assert_eq!(passed_by(&calls), None, "in {calls:?}");
    drop(first);
    overlaps
}
