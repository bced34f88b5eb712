//! Recording what threads call and get, and checking it.

use lwproc_stress::common::worker::Random;
use lwproc_stress::freeze;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

/// A call: between two moments of one clock.
#[derive(Clone, Debug)]
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

impl<Op, Ret> Recorder<'_, Op, Ret> {
    pub fn call(&mut self, op: Op, run: impl FnOnce() -> Ret) {
        let invoked = self.clock.fetch_add(1, SeqCst);
        let ret = run();
        let returned = self.clock.fetch_add(1, SeqCst);
        self.calls.push(Call { thread: self.thread, invoked, op, ret, returned });
    }
}

/// All threads leave it at once.
struct Start(AtomicUsize);

impl Start {
    fn wait(&self) {
        self.0.fetch_sub(1, SeqCst);
        let mut spins = 0;
        while self.0.load(SeqCst) > 0 {
            spins += 1;
            if spins % 100 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

/// Runs threads that begin together; `body` gets ready, calls `start`, and records.
///
/// From `start` on they [crawl](freeze::crawl): calls that take a tenth of a microsecond
/// would hardly ever meet.
pub fn record<Op: Send, Ret: Send>(
    threads: usize,
    seed: u64,
    body: impl Fn(usize, &dyn Fn(), &mut Recorder<'_, Op, Ret>) + Sync,
) -> Vec<Call<Op, Ret>> {
    freeze::install();
    let (clock, start) = (AtomicU64::new(0), Start(AtomicUsize::new(threads)));
    let mut calls: Vec<Call<Op, Ret>> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let (clock, start, body) = (&clock, &start, &body);
                s.spawn(move || {
                    let random =
                        Random((seed * 64 + thread as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    let mut recorder = Recorder { clock, thread, random, calls: Vec::new() };
                    let start = || {
                        start.wait();
                        freeze::crawl(seed as u32 * 8 + thread as u32 + 1);
                    };
                    body(thread, &start, &mut recorder);
                    freeze::run();
                    recorder.calls
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
    });
    calls.sort_by_key(|call| call.invoked);
    calls
}

/// Checks that some order explains the calls, and gives their places in it.
pub fn explain<S>(spec: S, calls: &[Call<S::Op, S::Ret>]) -> Option<Vec<(S::Op, S::Ret)>>
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
    tester.serialized_history()
}

/// As [`explain`]; without an explanation the test fails.
pub fn check<S>(spec: S, calls: &[Call<S::Op, S::Ret>])
where
    S: SequentialSpec + Clone,
    S::Op: Clone + Debug,
    S::Ret: Clone + Debug + PartialEq,
{
    if explain(spec, calls).is_none() {
        let lines: Vec<_> = calls.iter().map(|c| format!("{c:?}\n")).collect();
        panic!("no order explains:\n{}", lines.concat());
    }
}

/// How many rounds: `LWPROC_ROUNDS` times as many as `few`; hardly any without optimisation,
/// where each instruction counts ten times.
pub fn rounds(few: u64) -> u64 {
    let few = if cfg!(debug_assertions) { 2 } else { few };
    let times = std::env::var("LWPROC_ROUNDS").ok().and_then(|n| n.parse().ok());
    few * times.unwrap_or(1)
}

/// How many pairs of calls of a history ran at the same time: what the rounds are worth.
pub fn overlapping<Op, Ret>(calls: &[Call<Op, Ret>]) -> usize {
    let pairs =
        calls.iter().enumerate().flat_map(|(i, a)| calls[i + 1..].iter().map(move |b| (a, b)));
    pairs.filter(|(a, b)| a.overlaps(b)).count()
}
