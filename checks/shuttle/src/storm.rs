//! Storms: threads that do everything at random to the same few processes, for long. They
//! are the workers of lwproc's stress test (`lwproc/tests/common`), with sleeping and waking
//! added; whenever they rest, and at the end, everything must add up.

use crate::common::invariants::{check, check_host};
use crate::common::worker::{Board, Counting, Entered, Gear, Kernel, Lwp, Random, Worker};
use crate::runner::{FREED, Test};
use lwproc::{
    CloseRange, Fd, Lid, LwpHandle, OnExec, Pid, ProcHandle, SigModel, WaitChannel, WaitPolicy,
};
use shuttle::sync::Barrier;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};

pub fn tests() -> Vec<Test> {
    let test = |name, threads, schedules, body| Test { name, threads, schedules, body };
    vec![
        test("storm_autoreap", 6, 1200, |seed| storm(Storm { seed, ..AUTOREAP })),
        test("storm_waiting", 6, 1200, |seed| {
            storm(Storm { seed, policy: WaitPolicy::Wait, ..AUTOREAP });
        }),
        // Ids run out all the time, and shards are robbed.
        test("storm_few_ids", 5, 1200, |seed| {
            storm(Storm { seed, policy: WaitPolicy::Wait, threads: 5, ids: 12, ..AUTOREAP });
        }),
        // More threads than virtual CPUs.
        test("storm_two_cpus", 5, 1200, |seed| {
            storm(Storm { seed, threads: 5, cpus: NonZeroUsize::new(2), ..AUTOREAP });
        }),
        test("storm_eight", 8, 600, |seed| storm(Storm { seed, threads: 8, ..AUTOREAP })),
        test("storm_teardown", 5, 1200, |seed| teardown(Storm { seed, threads: 5, ..AUTOREAP })),
    ]
}

#[derive(Clone, Copy)]
struct Storm {
    seed: u64,
    policy: WaitPolicy,
    threads: usize,
    ids: usize,
    cpus: Option<NonZeroUsize>,
}

/// The most ids that a table has in the models.
const IDS: usize = 59;
const AUTOREAP: Storm =
    Storm { seed: 0, policy: WaitPolicy::AutoReap, threads: 6, ids: IDS, cpus: None };

/// How often all threads rest.
const ROUNDS: usize = 2;
/// How often a thread enters in a round; then it does one to six things.
const ENTRIES: usize = 6;

impl Storm {
    fn kernel(&self, host: &Counting) -> Arc<Kernel> {
        let builder = lwproc::Kernel::builder().wait_policy(self.policy).id_capacity(self.ids);
        let builder = builder.signal_model(SigModel::Record);
        let builder = match self.cpus {
            Some(cpus) => builder.virtual_cpus(cpus),
            None => builder,
        };
        Arc::new(builder.host(host.clone()).build().unwrap())
    }

    fn random(&self, thread: usize) -> Random {
        let spread = (self.seed.wrapping_add(thread as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Random(spread | 1)
    }
}

/// Where threads sleep and are woken: never all of them.
struct Beds {
    channel: WaitChannel,
    /// Threads that are in a round.
    up: AtomicUsize,
    /// Wake-ups that are there to be taken.
    tokens: AtomicUsize,
}

impl Beds {
    fn sleep(&self, k: &mut Entered<'_>) {
        self.up.fetch_sub(1, SeqCst);
        let _ = k.sleep_on(&self.channel, || {
            let token = self.tokens.load(SeqCst);
            self.tokens.store(token.saturating_sub(1), SeqCst);
            (token > 0 || self.up.load(SeqCst) == 0).then_some(())
        });
        self.up.fetch_add(1, SeqCst);
    }

    fn wake(&self) {
        self.tokens.fetch_add(1, SeqCst);
        self.channel.wake_one();
    }

    /// A thread is through with its round: nobody may wait for it.
    fn retire(&self) {
        self.up.fetch_sub(1, SeqCst);
        self.channel.wake_all();
    }
}

/// What the stress test's workers do not do.
fn more(worker: &mut Worker<'_>, k: &mut Entered<'_>, beds: &Beds) {
    let number = worker.board.look(&mut worker.random);
    match worker.random.below(8) {
        0 => beds.sleep(k),
        1 | 2 => beds.wake(),
        3 => {
            let guard = worker.kernel.pin();
            let _ = guard.lwp(Lid(number)).map(|lwp| lwp.unsleep());
        }
        4 => {
            let new = worker.kernel.new_lwp(Pid(number));
            worker.keep(new.ok());
        }
        5 => drop(k.files().close_range(Fd(2), Fd(5), CloseRange::Close)),
        6 => drop(k.files().dup_from(Fd(0), Fd(1), OnExec::Keep)),
        _ => {
            k.drain();
            k.reopen();
        }
    }
}

/// Runs the threads and lets them rest now and then; what they own afterwards. (Not in a
/// scope: that does not wait for the threads' storage, and what is bound to them.)
fn run(storm: Storm, kernel: &Arc<Kernel>) -> Vec<Lwp> {
    let gear = Gear::new(kernel);
    let board = Arc::new(Board(std::array::from_fn(|_| AtomicI32::new(1))));
    let (tokens, up) = (AtomicUsize::new(0), AtomicUsize::new(storm.threads));
    let beds = Arc::new(Beds { channel: WaitChannel::new(), up, tokens });
    let rest = Arc::new(Barrier::new(storm.threads + 1));
    let thread = |me| {
        let (kernel, board) = (kernel.clone(), board.clone());
        let (beds, rest) = (beds.clone(), rest.clone());
        shuttle::thread::spawn(move || {
            let (kernel, board, random) = (&*kernel, &*board, storm.random(me));
            let mut worker = Worker::new(kernel, board, random, gear);
            for _ in 0..ROUNDS {
                for _ in 0..ENTRIES {
                    let mut k = kernel.enter().unwrap();
                    for _ in 0..1 + worker.random.below(6) {
                        match worker.random.below(7) {
                            0 => worker.block(&mut k),
                            1 => more(&mut worker, &mut k, &beds),
                            _ => worker.step(&mut k),
                        }
                    }
                }
                beds.retire();
                rest.wait();
                beds.up.fetch_add(1, SeqCst);
                rest.wait();
            }
            // What is bound to the thread goes with it.
            worker.owned
        })
    };
    let threads: Vec<_> = (0..storm.threads).map(thread).collect();
    for _ in 0..ROUNDS {
        rest.wait();
        check(kernel);
        check_host(kernel, &gear);
        rest.wait();
    }
    let joined = threads.into_iter().map(|thread| thread.join().expect("no panic"));
    let left = joined.flatten().collect();
    FREED.fetch_add(kernel.reclaim_stats().freed, SeqCst);
    left
}

fn storm(storm: Storm) {
    let host = Counting::default();
    let kernel = storm.kernel(&host);
    let left = run(storm, &kernel);
    check(&kernel);
    drop(left);
    check(&kernel);
    let report = Arc::into_inner(kernel).expect("nobody else has it").shutdown();
    assert_eq!(report.survivors, []);
    host.expect_nothing_left();
}

/// The kernel is torn down while others still drop, park and claim what they have of it.
fn teardown(storm: Storm) {
    let host = Counting::default();
    let kernel = storm.kernel(&host);
    let mut left = run(storm, &kernel);
    left.extend((0..4).map_while(|_| kernel.spawn().start().ok()));
    let handles: Vec<LwpHandle<Counting>> =
        left.split_off(left.len() / 2).into_iter().map(Lwp::unclaim).collect();
    let procs: Vec<ProcHandle<Counting>> = {
        let guard = kernel.pin();
        guard.procs().filter_map(|p| p.handle()).collect()
    };
    let mut threads = Vec::new();
    for me in 0..storm.threads {
        let owned: Vec<Lwp> = left.drain(..left.len().min(2)).collect();
        let (handles, procs, mut random) = (handles.clone(), procs.clone(), storm.random(me));
        threads.push(shuttle::thread::spawn(move || {
            for lwp in owned {
                match random.below(2) {
                    0 => drop(lwp),
                    _ => drop(lwp.unclaim()),
                }
            }
            for handle in handles {
                drop(handle.claim());
            }
            for proc in procs {
                let _ = (proc.nlwps(), proc.is_alive());
            }
        }));
    }
    drop(handles);
    drop(procs);
    drop(left);
    drop(Arc::into_inner(kernel).expect("nobody else has it").shutdown());
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    host.expect_nothing_left();
}
