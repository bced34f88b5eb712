//! Recording what threads call and get, and checking it.

use super::{Random, record};
use lwproc::{Entered, Host, Kernel, Lwp, Pid};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A call: between two moments of one clock.
#[derive(Clone, PartialEq, Debug)]
pub struct Call<Op, Ret> {
    pub thread: usize,
    pub invoked: u64,
    pub op: Op,
    pub ret: Ret,
    pub returned: u64,
}

impl<Op, Ret> Call<Op, Ret> {
    pub fn overlaps(&self, other: &Self) -> bool {
        self.invoked < other.returned && other.invoked < self.returned
    }
    pub fn before(&self, other: &Self) -> bool {
        self.returned < other.invoked
    }
}

/// What one thread records.
pub struct Recorder<'c, Op, Ret> {
    clock: &'c AtomicU64,
    thread: usize,
    pub random: Random,
    calls: Vec<Call<Op, Ret>>,
}

impl<'c, Op, Ret> Recorder<'c, Op, Ret> {
    pub fn new(clock: &'c AtomicU64, thread: usize, seed: u64) -> Self {
        let random =
            (seed.wrapping_mul(64) + thread as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { clock, thread, random: Random(random), calls: Vec::new() }
    }

    pub fn calls(self) -> Vec<Call<Op, Ret>> {
        self.calls
    }

    pub fn call(&mut self, op: Op, run: impl FnOnce() -> Ret) {
        let invoked = self.clock.fetch_add(1, SeqCst);
        let ret = run();
        let returned = self.clock.fetch_add(1, SeqCst);
        self.calls.push(Call { thread: self.thread, invoked, op, ret, returned });
    }
}

/// What three threads do, six calls each, as LWPs of a process that another LWP keeps.
pub fn of_lwps<H: Host, Op: Send, Ret: Send>(
    kernel: &Kernel<H>,
    pid: Pid,
    seed: u64,
    call: impl Fn(&mut Entered<'_, H>, &mut Recorder<'_, Op, Ret>) + Sync,
) -> Vec<Call<Op, Ret>> {
    let lwps: Vec<Lwp<H>> = (0..3).map(|_| kernel.new_lwp(pid).unwrap()).collect();
    let lwps = Mutex::new(lwps);
    record(3, seed, |_, start, r| {
        let mut k = kernel.enter().unwrap();
        let own = lwps.lock().unwrap().pop().unwrap();
        k.switch(own).unwrap();
        start();
        for _ in 0..6 {
            call(&mut k, r);
        }
        k.release().unwrap();
    })
}

/// Checks that some order explains the calls; without one the test fails.
pub fn check<S>(spec: S, calls: &[Call<S::Op, S::Ret>])
where
    S: SequentialSpec + Clone,
    S::Op: Clone + Debug,
    S::Ret: Clone + Debug + PartialEq,
{
    let mut events = Vec::<(u64, &Call<_, _>)>::new();
    for call in calls {
        events.push((call.invoked, call));
        events.push((call.returned, call));
    }
    events.sort_by_key(|(at, _)| *at);
    let mut tester = LinearizabilityTester::new(spec);
    for (at, call) in events {
        let fed = if at == call.invoked {
            tester.on_invoke(call.thread, call.op.clone())
        } else {
            tester.on_return(call.thread, call.ret.clone())
        };
        fed.expect("a well-formed history");
    }
    if !tester.is_consistent() {
        let lines: Vec<_> = calls.iter().map(|c| format!("{c:?}\n")).collect();
        panic!("no order explains:\n{}", lines.concat());
    }
}

/// How many pairs of calls of a history ran at the same time: what the rounds are worth.
pub fn overlapping<Op, Ret>(calls: &[Call<Op, Ret>]) -> usize {
    let pairs =
        calls.iter().enumerate().flat_map(|(i, a)| calls[i + 1..].iter().map(move |b| (a, b)));
    pairs.filter(|(a, b)| a.overlaps(b)).count()
}
