//! How long single operations take under load, as a distribution: two threads
//! work at once, with and without a third that keeps a guard; and one thread
//! creates while another ends a process with very many children.

use crate::peers::maps::LockedTree;
use crate::peers::procs::{Proc, Table};
use crate::table::cpu::stay_on;
use crate::table::ops::family;
use lwproc::{Entered, Fd, Kernel, Lwp, LwpHandle, OnExec, Pid, Rfork};
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Operations timed on each thread.
const SAMPLES: usize = 200_000;
/// Live processes.
const LIVE: usize = 1000;
/// Children of the parent that ends.
const CHILDREN: usize = 100_000;

/// What one thread works on.
struct Bench<'k> {
    kernel: &'k Kernel,
    entered: Option<Entered<'k>>,
    other: Option<Lwp>,
    parked: Option<LwpHandle>,
    fd: Fd,
    pids: &'k [Pid],
    at: usize,
}

impl<'k> Bench<'k> {
    fn new(kernel: &'k Kernel, pids: &'k [Pid]) -> Self {
        let mut k = kernel.enter().expect("a new thread");
        k.rfork(Rfork::Fresh).expect("ids");
        let fd = k.files().open((), OnExec::Keep).expect("room");
        let new = || kernel.new_lwp(k.pid()).expect("ids");
        let (other, parked) = (Some(new()), Some(new().unclaim()));
        Self { kernel, entered: Some(k), other, parked, fd, pids, at: 0 }
    }

    fn k(&mut self) -> &mut Entered<'k> {
        self.entered.as_mut().expect("entered")
    }

    fn pid(&mut self) -> Pid {
        self.at = (self.at + 389) % self.pids.len();
        self.pids[self.at]
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        if let Some(parked) = self.parked.take() {
            drop(parked.claim());
        }
    }
}

type Op = fn(&mut Bench<'_>);

const OPS: &[(&str, Op)] = &[
    ("the clock alone", |_| ()),
    ("enter + leave", |b| {
        b.entered = None;
        b.entered = Some(b.kernel.enter().expect("left"));
    }),
    ("switch", |b| {
        let new = b.other.take().expect("the other one");
        b.other = b.k().switch(new).expect("the same kernel");
    }),
    ("newlwp + release", |b| {
        let pid = b.k().pid();
        drop(b.kernel.new_lwp(pid).expect("ids"));
    }),
    ("rfork + release", |b| {
        let parent = b.k().rfork(Rfork::Fresh).expect("ids").expect("the parent");
        b.k().release().expect("pertinent");
        b.k().switch(parent).expect("the same kernel");
    }),
    ("find, borrowed", |b| {
        let pid = b.pid();
        let guard = b.kernel.pin();
        black_box(guard.proc(pid).map(|proc| proc.nlwps()));
    }),
    ("find, counted", |b| {
        let pid = b.pid();
        let guard = b.kernel.pin();
        drop(black_box(guard.proc(pid).and_then(|proc| proc.handle())));
    }),
    ("claim + unclaim", |b| {
        let parked = b.parked.as_ref().expect("parked");
        parked.unclaim(parked.claim().expect("parked")).expect("its own");
    }),
    ("hold + rele", |b| {
        b.k().hold().expect("room");
        b.k().unhold().expect("held");
    }),
    ("fd look-up", |b| {
        let fd = b.fd;
        drop(black_box(b.k().files().get(fd)));
    }),
];

fn time(op: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    op();
    begin.elapsed()
}

/// Prints p50, p99, p99.9 and the most.
fn print(what: &str, how: &str, mut samples: Vec<Duration>) {
    samples.sort_unstable();
    let at = |part: f64| {
        let index = (samples.len() as f64 * part) as usize;
        samples.get(index.min(samples.len().saturating_sub(1))).map_or(0, Duration::as_nanos)
    };
    println!(
        "{what:<34} {how:<16} {:>9} {:>8} {:>8} {:>8} {:>11}",
        samples.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// Two threads, each timing every call of its own.
fn under_load(kernel: &Kernel, pids: &[Pid], op: Op) -> Vec<Duration> {
    let start = Barrier::new(2);
    let work = |number| {
        stay_on(number);
        let mut bench = Bench::new(kernel, pids);
        let mut samples = Vec::with_capacity(SAMPLES);
        (0..SAMPLES / 10).for_each(|_| op(&mut bench));
        start.wait();
        samples.extend((0..SAMPLES).map(|_| time(|| op(&mut bench))));
        samples
    };
    thread::scope(|scope| {
        let both = [scope.spawn(|| work(0)), scope.spawn(|| work(1))];
        both.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Times creates on this thread until the flag is set.
fn creates_until(done: &AtomicBool, mut create: impl FnMut()) -> Vec<Duration> {
    let mut samples = Vec::with_capacity(1 << 20);
    // Relaxed: a flag alone.
    while !done.load(Relaxed) {
        samples.push(time(&mut create));
    }
    samples
}

/// Runs `end` while another thread creates; how long it took, and the creates.
fn creates_during(end: impl FnOnce(), create: impl FnMut() + Send) -> (Duration, Vec<Duration>) {
    let (done, start) = (AtomicBool::new(false), Barrier::new(2));
    thread::scope(|scope| {
        let creates = scope.spawn(|| {
            stay_on(1);
            start.wait();
            creates_until(&done, create)
        });
        start.wait();
        let took = time(end);
        done.store(true, Relaxed);
        (took, creates.join().expect("no panic"))
    })
}

fn exit_of_a_parent() {
    let kernel = Kernel::new();
    let (parent, children) = family(&kernel, CHILDREN);
    let create = || drop(kernel.spawn().start().expect("ids"));
    let (took, creates) = creates_during(|| drop(parent), create);
    drop(children);
    print("newproc + release", "during exit", creates);
    println!("  the exit of a parent of {CHILDREN}: {:.1} ms", took.as_secs_f64() * 1e3);

    let table = Table::<LockedTree<Proc>>::default();
    let parent = table.fork(table.init());
    (0..CHILDREN).for_each(|_| _ = table.fork(parent));
    let create = || table.exit(table.fork(table.init()));
    let (took, creates) = creates_during(|| table.exit(parent), create);
    print("  the same, Mutex<BTreeMap>", "during exit", creates);
    println!("  the exit of a parent of {CHILDREN}: {:.1} ms", took.as_secs_f64() * 1e3);
}

/// Prints all distributions.
pub fn run() {
    println!(
        "{:<34} {:<16} {:>9} {:>8} {:>8} {:>8} {:>11}",
        "ns for one operation, 2 threads", "", "samples", "p50", "p99", "p99.9", "max"
    );
    for (name, op) in OPS {
        for keeps_guard in [false, true] {
            let kernel = Kernel::new();
            let lwps: Vec<Lwp> = (0..LIVE).map(|_| kernel.spawn().start().expect("ids")).collect();
            let pids: Vec<Pid> = lwps.iter().map(Lwp::pid).collect();
            // On this thread, which only waits.
            let guard = keeps_guard.then(|| kernel.pin());
            let samples = under_load(&kernel, &pids, *op);
            drop(guard);
            print(name, if keeps_guard { "a guard is kept" } else { "" }, samples);
        }
    }
    exit_of_a_parent();
}
