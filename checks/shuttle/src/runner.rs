//! Runs tests under shuttle's schedulers and reports on each.
//!
//! Shuttle runs all threads of a test on one host thread; so `--jobs` runs each test
//! in a process of its own, some at a time.

use shuttle::rand::{RngCore, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One test: what shuttle runs under each schedule. It is given a random number,
/// the same when the schedule is replayed.
#[derive(Clone, Copy)]
pub struct Test {
    pub name: &'static str,
    pub threads: usize,
    /// How many schedules of each scheduler in the short run.
    pub schedules: usize,
    pub body: fn(u64),
}

/// What the long run is in terms of the short one.
const LONG: usize = 40;

/// A way to draw schedules.
#[derive(Clone, Copy, PartialEq)]
enum Scheduler {
    Random,
    /// With one preemption less than this, at places drawn at random.
    Pct(usize),
}

const SCHEDULERS: [(&str, Scheduler); 3] =
    [("random", Scheduler::Random), ("pct3", Scheduler::Pct(3)), ("pct10", Scheduler::Pct(10))];

/// A test under a scheduler.
#[derive(Clone, Copy)]
struct Job {
    test: Test,
    by: (&'static str, Scheduler),
}

impl Job {
    /// What filters are looked for in.
    fn line(&self) -> String {
        let (name, threads, by) = (self.test.name, self.test.threads, self.by.0);
        format!("shuttle {name} threads={threads} scheduler={by}")
    }
}

/// Of all schedules of a run.
static STEPS: AtomicU64 = AtomicU64::new(0);
/// Pairs of calls that ran at the same time, in the histories.
pub static OVERLAPS: AtomicU64 = AtomicU64::new(0);
/// Objects that were freed while the storms went on: with real epochs only.
pub static FREED: AtomicU64 = AtomicU64::new(0);

fn config(failures: Option<&Path>) -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(4_000_000);
    config.silence_warnings = true;
    config.failure_persistence = match failures {
        Some(directory) => FailurePersistence::File(Some(directory.to_owned())),
        None => FailurePersistence::None,
    };
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    config
}

fn body(test: Test) -> impl Fn() + Send + Sync + 'static {
    move || {
        (test.body)(thread_rng().next_u64());
        STEPS.fetch_add(shuttle::current::context_switches() as u64, Relaxed);
    }
}

/// Runs a test here, prints its line; whether it passed.
fn run_here(job: Job, options: &Options) -> bool {
    let start = Instant::now();
    let failures = failures();
    std::fs::create_dir_all(&failures).expect("a directory for failing schedules");
    let (test, seed, config) = (job.test, options.seed, config(Some(&failures)));
    let schedules = test.schedules * if options.long { LONG } else { 1 };
    let result = catch_unwind(AssertUnwindSafe(|| match job.by.1 {
        Scheduler::Random => {
            Runner::new(RandomScheduler::new_from_seed(seed, schedules), config).run(body(test))
        }
        Scheduler::Pct(depth) => {
            let scheduler = PctScheduler::new_from_seed(seed, depth, schedules);
            Runner::new(scheduler, config).run(body(test))
        }
    }));
    let (line, steps, secs) = (job.line(), STEPS.load(Relaxed), start.elapsed().as_secs_f64());
    match result {
        Ok(ran) => {
            let counted = |what: &str, of: &AtomicU64| match of.load(Relaxed) {
                0 => String::new(),
                n => format!(" {what}={n}"),
            };
            let more = counted("overlaps", &OVERLAPS) + &counted("freed", &FREED);
            println!("{line} schedules={ran} steps={steps}{more} secs={secs:.1} ok");
        }
        Err(_) => println!("{line} seed={seed} steps={steps} secs={secs:.1} FAILED"),
    }
    result.is_ok()
}

/// Where the schedules of failures are written: beside the program.
fn failures() -> PathBuf {
    let program = std::env::current_exe().expect("this program's path");
    program.with_file_name("shuttle-failures")
}

/// Runs a test in a process of its own.
fn run_apart(job: Job, options: &Options) -> bool {
    let mut command = Command::new(std::env::current_exe().expect("this program's path"));
    command.args(["--one", "--seed", &options.seed.to_string()]);
    if options.long {
        command.arg("--long");
    }
    command.args([job.test.name, job.by.0]);
    let output = command.stderr(Stdio::inherit()).output().expect("a process for a test");
    match String::from_utf8_lossy(&output.stdout).trim_end() {
        // It died without a word: a panic while another unwound, or a signal.
        "" => println!("{} seed={} DIED: FAILED", job.line(), options.seed),
        line => println!("{line}"),
    }
    output.status.success()
}

/// What the command line says.
#[derive(Default)]
struct Options {
    list: bool,
    long: bool,
    /// The two filters are a test's and a scheduler's name.
    one: bool,
    replay: Option<PathBuf>,
    jobs: usize,
    seed: u64,
    filters: Vec<String>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self { jobs: 2, seed: 1, ..Self::default() };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut number = || args.next().and_then(|n| n.parse().ok()).expect("a number");
            match arg.as_str() {
                "--list" => options.list = true,
                "--long" => options.long = true,
                "--one" => options.one = true,
                "--jobs" => options.jobs = number() as usize,
                "--seed" => options.seed = number(),
                "--new-seed" => {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH);
                    options.seed = now.expect("after 1970").as_nanos() as u64;
                }
                "--replay" => options.replay = args.next().map(PathBuf::from),
                _ => options.filters.push(arg),
            }
        }
        options
    }

    fn wants(&self, job: &Job) -> bool {
        match (self.one, self.filters.as_slice()) {
            (true, [name, by]) => job.test.name == name && job.by.0 == by,
            _ => self.filters.iter().all(|part| job.line().contains(part.as_str())),
        }
    }
}

/// Runs what the command line asks for.
pub fn run(tests: &[Test]) -> ExitCode {
    let options = Options::parse();
    if let Some(file) = &options.replay {
        let [name] = options.filters.as_slice() else { panic!("--replay FILE NAME") };
        let test = *tests.iter().find(|test| test.name == name).expect("a test of that name");
        let scheduler = ReplayScheduler::new_from_file(file).expect("a schedule");
        Runner::new(scheduler, config(None)).run(body(test));
        println!("shuttle {name} replayed: it passes");
        return ExitCode::SUCCESS;
    }
    let jobs: Vec<Job> = tests
        .iter()
        .flat_map(|test| SCHEDULERS.map(|by| Job { test: *test, by }))
        .filter(|job| options.wants(job))
        .collect();
    if options.list {
        jobs.iter().for_each(|job| println!("{}", job.line()));
        return ExitCode::SUCCESS;
    }
    if options.one {
        let [job] = jobs.as_slice() else { panic!("--one NAME SCHEDULER") };
        return if run_here(*job, &options) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|s| {
        for _ in 0..options.jobs {
            s.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Relaxed)) {
                    if !run_apart(*job, &options) {
                        failed.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("shuttle tests {} seed {} failed {failed}", jobs.len(), options.seed);
    if failed == 0 && !jobs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
