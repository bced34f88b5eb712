//! Descriptors of a table that LWPs share: each call on a descriptor takes effect at one
//! moment.
//!
//! "The lowest that is free" is promised as the documentation of `Entered` says: each lower
//! one was seen taken, or in the hands of a call that was still under way, at some moment
//! of the call. So a descriptor may not be passed by when it was free from before the
//! call to after it and no call touched it meanwhile; a call that opens has one in its hands,
//! too, that it loses to a third. The same holds of all, when there is none.

use super::history::{Call, check, overlapping};
use super::record;
use lwproc::*;
use stateright::semantics::SequentialSpec;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Mutex;

const LIMIT: usize = 4;

/// Files are numbers.
#[derive(Clone, Copy, Default)]
struct Files;

impl Host for Files {
    type VmSpace = ();
    type File = u32;
    type Emul = ();
    type Vfs = ();
    type SigValue = ();
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Open(u32),
    Dup(usize),
    Dup2(usize, usize),
    Get(usize),
    Close(usize),
    /// `dup` and `dup2` look a file up, and then put it somewhere: two moments. The
    /// histories have them as two calls; the second has the number of the first.
    LookUp(u64, usize),
    OpenIt(u64),
    Place(u64, usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    At(usize),
    TooMany,
    File(u32),
    Done,
    BadFd,
}

#[derive(Clone, Default)]
struct Table {
    files: [Option<u32>; LIMIT],
    looked_up: HashMap<u64, u32>,
    /// What a call may not pass by if it is free.
    untouched: Rc<Vec<(Op, usize)>>,
}

impl Table {
    fn open(&mut self, op: Op, file: Option<u32>, ret: Ret) -> bool {
        let below = match ret {
            Ret::At(at) => at,
            _ => LIMIT,
        };
        let free = |fd: &usize| self.files[*fd].is_none();
        if (0..below).filter(free).any(|fd| self.untouched.contains(&(op, fd))) {
            return false;
        }
        match (file, ret) {
            (Some(file), Ret::At(at)) => self.files[at].replace(file).is_none(),
            (file, ret) => file.is_some() && ret == Ret::TooMany,
        }
    }
}

impl SequentialSpec for Table {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, _: &Op) -> Ret {
        unreachable!("every call returns")
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        match (*op, *ret) {
            (Op::Open(file), ret) => self.open(*op, Some(file), ret),
            (Op::OpenIt(call), ret) => self.open(*op, self.looked_up.get(&call).copied(), ret),
            (Op::Get(fd) | Op::Close(fd) | Op::LookUp(_, fd), Ret::BadFd) => {
                self.files[fd].is_none()
            }
            (Op::Get(fd), Ret::File(file)) => self.files[fd] == Some(file),
            (Op::Close(fd), Ret::Done) => self.files[fd].take().is_some(),
            (Op::LookUp(call, fd), Ret::Done) => {
                self.looked_up.extend(self.files[fd].map(|file| (call, file)));
                self.files[fd].is_some()
            }
            (Op::Place(call, at), Ret::Done) => {
                self.files[at] = self.looked_up.get(&call).copied();
                self.files[at].is_some()
            }
            _ => false,
        }
    }
}

/// Takes `dup` and `dup2` apart.
fn in_single_steps(calls: &[Call<Op, Ret>]) -> Vec<Call<Op, Ret>> {
    let mut steps = Vec::new();
    for call in calls {
        let number = call.invoked;
        let (old, second) = match call.op {
            Op::Dup(old) => (old, (Op::OpenIt(number), call.ret)),
            Op::Dup2(old, new) => (old, (Op::Place(number, new), Ret::Done)),
            _ => {
                steps.push(call.clone());
                continue;
            }
        };
        let found = if call.ret == Ret::BadFd { Ret::BadFd } else { Ret::Done };
        steps.push(Call { op: Op::LookUp(number, old), ret: found, ..call.clone() });
        if found == Ret::Done {
            let (op, ret) = second;
            // Begins with the other, and is known to come later by its number.
            steps.push(Call { thread: call.thread + 100, op, ret, ..call.clone() });
        }
    }
    steps
}

/// The descriptors that nobody touches while a call opens: it may not pass them by.
fn untouched(steps: &[Call<Op, Ret>]) -> Vec<(Op, usize)> {
    let opens = |c: &&Call<Op, Ret>| matches!(c.op, Op::Open(_) | Op::OpenIt(_));
    let touches = |c: &Call<Op, Ret>, fd: usize| match (c.op, c.ret) {
        (Op::Open(_) | Op::OpenIt(_), Ret::At(at)) => at == fd,
        (Op::Place(_, at), _) | (Op::Close(at), Ret::Done) => at == fd,
        _ => false,
    };
    let mut untouched = Vec::new();
    for call in steps.iter().filter(opens) {
        let others = || steps.iter().filter(|c| c.overlaps(call) && *c != call);
        for fd in 0..LIMIT {
            // It had it in its hands, and lost it.
            let lost = |c: &Call<Op, Ret>| steps.iter().any(|o| touches(o, fd) && o.overlaps(c));
            if !others().any(|c| touches(c, fd)) && !others().filter(opens).any(lost) {
                untouched.push((call.op, fd));
            }
        }
    }
    untouched
}

/// One history, checked; how many pairs of calls overlapped.
pub fn round(seed: u64) -> usize {
    let kernel = Kernel::builder().host(Files).build().unwrap();
    let (kept, lwps) = {
        let mut k = kernel.enter().unwrap();
        k.rfork(Rfork::Fresh).unwrap();
        k.resources()
            .set_limit(Resource::Nofile, Limit { soft: LIMIT as u64, hard: LIMIT as u64 })
            .unwrap();
        let lwps: Vec<_> = (0..3).map(|_| kernel.new_lwp(k.pid()).unwrap()).collect();
        k.release().unwrap();
        (Mutex::new(Vec::new()), Mutex::new(lwps))
    };
    let calls = record(3, seed, |thread, start, r| {
        let mut k = kernel.enter().unwrap();
        let own = lwps.lock().unwrap().pop().unwrap();
        k.switch(own).unwrap();
        let opened = |result: Result<Fd, FdError>| match result {
            Ok(fd) => Ret::At(fd.0 as usize),
            Err(FdError::TooMany) => Ret::TooMany,
            Err(FdError::BadFd) => Ret::BadFd,
            Err(other) => panic!("{other}"),
        };
        start();
        for i in 0..5 {
            let at = |fd: usize| Fd(fd as i32);
            let (a, b) = (r.random.below(LIMIT), r.random.below(LIMIT));
            match r.random.below(8) {
                0..=2 => {
                    let file = (thread * 100 + i) as u32;
                    r.call(Op::Open(file), || {
                        opened(k.files().open(file, OnExec::Keep).map_err(|e| e.error()))
                    });
                }
                3 => r.call(Op::Dup(a), || opened(k.files().dup(at(a)))),
                4 if a != b => r.call(Op::Dup2(a, b), || opened(k.files().dup2(at(a), at(b)))),
                5 => r.call(Op::Get(a), || {
                    k.files().get(at(a)).map_or(Ret::BadFd, |f| Ret::File(*f))
                }),
                _ => r.call(Op::Close(a), || {
                    k.files().close(at(a)).map_or(Ret::BadFd, |()| Ret::Done)
                }),
            }
        }
        let own = k.unbind().unwrap();
        kept.lock().unwrap().extend(own);
    });
    let overlaps = overlapping(&calls);
    let steps = in_single_steps(&calls);
    let untouched = Rc::new(untouched(&steps));
    check(Table { untouched, ..Table::default() }, &steps);
    overlaps
}
