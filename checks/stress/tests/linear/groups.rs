//! Groups: a process and its child move the child about, and look.
//!
//! A group exists from when another thread is *about to* make it, and until whoever takes
//! its last member away has done so; so a refusal for its existence, beside a call that makes
//! or leaves it, is not asked to fit.

use super::history::{check, overlapping};
use super::record;
use lwproc::*;
use stateright::semantics::SequentialSpec;
use std::sync::Mutex;

/// Of the child; the parent leads a group of its own, and its session is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    /// To a group of its own.
    Found,
    /// To the parent's.
    Join,
    Setsid,
    Getpgid,
    Getsid,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    Changed(Result<(), GroupError>),
    Is(Group),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Group {
    Zero,
    Parents,
    Own,
}

/// Where the child is.
#[derive(Clone)]
struct Child {
    pgid: Group,
    sid: Group,
}

impl SequentialSpec for Child {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            // A session leader is in its own session, and so is not moved.
            Op::Found | Op::Join if self.sid == Group::Own => {
                return Ret::Changed(Err(GroupError::SessionLeader));
            }
            Op::Found => self.pgid = Group::Own,
            Op::Join => self.pgid = Group::Parents,
            Op::Setsid if self.pgid == Group::Own => {
                return Ret::Changed(Err(GroupError::GroupExists));
            }
            Op::Setsid => (self.pgid, self.sid) = (Group::Own, Group::Own),
            Op::Getpgid => return Ret::Is(self.pgid),
            Op::Getsid => return Ret::Is(self.sid),
        }
        Ret::Changed(Ok(()))
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        // Which of two reasons is given is not promised.
        let of_many = |ret| match ret {
            Ret::Changed(Err(GroupError::OtherSession)) => {
                Ret::Changed(Err(GroupError::SessionLeader))
            }
            other => other,
        };
        self.invoke(op) == of_many(*ret)
    }
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let kernel = Kernel::new();
    let kept = Mutex::new(Vec::new());
    let (parent, child, lwps) = {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        k.groups().setpgid(Pid(0), Pid(0)).unwrap();
        let parent = k.pid();
        let own = k.rfork(Rfork::Fresh).unwrap().unwrap();
        let child = k.pid();
        let childs = k.switch(own).unwrap().unwrap();
        let others = kernel.new_lwp(parent).unwrap();
        let third = kernel.new_lwp(parent).unwrap();
        k.release().unwrap();
        (parent, child, Mutex::new(vec![third, others, childs]))
    };
    let group = |pid: Pid| match pid {
        Pid(0) => Group::Zero,
        pid if pid == parent => Group::Parents,
        pid => {
            assert_eq!(pid, child);
            Group::Own
        }
    };
    let calls = record(3, seed, |_, start, r| {
        let mut k = kernel.enter().unwrap();
        let own = lwps.lock().unwrap().pop().unwrap();
        k.switch(own).unwrap();
        let of = if k.pid() == child { Pid(0) } else { child };
        start();
        for _ in 0..6 {
            match r.random.below(6) {
                0 => r.call(Op::Found, || Ret::Changed(k.groups().setpgid(of, child))),
                1 | 2 => r.call(Op::Join, || Ret::Changed(k.groups().setpgid(of, parent))),
                3 if of == Pid(0) => {
                    r.call(Op::Setsid, || Ret::Changed(k.groups().setsid().map(drop)));
                }
                3 | 4 => r.call(Op::Getpgid, || Ret::Is(group(k.groups().pgid_of(of).unwrap()))),
                _ => r.call(Op::Getsid, || Ret::Is(group(k.groups().sid_of(of).unwrap()))),
            }
        }
        // Nobody ends before the others have looked.
        let own = k.unbind().unwrap();
        kept.lock().unwrap().extend(own);
    });
    let overlaps = overlapping(&calls);
    let mut to_fit = calls.clone();
    to_fit.retain(|call| {
        let makers: &[Op] = match (call.op, call.ret) {
            (Op::Setsid, Ret::Changed(Err(GroupError::GroupExists))) => &[Op::Found, Op::Join],
            (Op::Found, Ret::Changed(Err(GroupError::OtherSession))) => &[Op::Setsid],
            _ => return true,
        };
        !calls.iter().any(|other| makers.contains(&other.op) && other.overlaps(call))
    });
    check(Child { pgid: Group::Parents, sid: Group::Zero }, &to_fit);
    overlaps
}
