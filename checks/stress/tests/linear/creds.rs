//! Credentials of a process: each change is allowed or refused by those that it replaces,
//! and a look sees what the last change left. The charge to a user goes with them.

use super::history::{check, of_lwps, overlapping};
use lwproc::*;
use stateright::semantics::SequentialSpec;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    SetEffective(u32),
    SetReal(u32),
    Look,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Done,
    NotPermitted,
    Seen(IdSet),
}

/// The user ids, and the rules of `seteuid` and of `setresuid(id, -1, -1)`.
#[derive(Clone)]
struct Users(IdSet);

impl SequentialSpec for Users {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        let IdSet { real, effective, saved } = self.0;
        match *op {
            Op::Look => return Ret::Seen(self.0),
            Op::SetEffective(id) if effective == 0 || id == real || id == saved => {
                self.0.effective = id;
            }
            Op::SetReal(id) if effective == 0 || [real, effective, saved].contains(&id) => {
                self.0.real = id;
            }
            _ => return Ret::NotPermitted,
        }
        Ret::Done
    }
}

fn done(result: Result<(), CredError>) -> Ret {
    match result {
        Ok(()) => Ret::Done,
        Err(CredError::NotPermitted) => Ret::NotPermitted,
        Err(other) => panic!("{other}"),
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let kernel = Kernel::new();
    let first = kernel.spawn().start().unwrap();
    let pid = first.pid();
    let look = || {
        let guard = kernel.pin();
        guard.proc(pid).and_then(|proc| proc.cred()).expect("it lives").users()
    };
    let calls = of_lwps(&kernel, pid, seed, |k, r| {
        let id = r.random.below(3) as u32;
        match r.random.below(4) {
            0 | 1 => r.call(Op::SetEffective(id), || done(k.creds().set(&CredChange::SetEuid(id)))),
            2 => r.call(Op::SetReal(id), || {
                done(k.creds().set(&CredChange::SetResuid(Some(id), None, None)))
            }),
            _ => r.call(Op::Look, || Ret::Seen(look())),
        }
    });
    let overlaps = overlapping(&calls);
    check(Users(IdSet::all(0)), &calls);
    for uid in 0..3 {
        assert_eq!(kernel.user_counts(uid), kernel.user_counts_by_scan(uid), "user {uid}");
    }
    drop(first);
    overlaps
}
