//! Runs models and reports on each.
//!
//! Loom runs all threads of a model on one host thread; so `--jobs` runs each
//! model in a process of its own, some at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One model: a closure that loom runs in every interleaving.
#[derive(Clone)]
pub struct Model {
    pub name: &'static str,
    pub threads: usize,
    /// The most preemptions in one execution; `None` is exhaustive.
    pub bound: Option<usize>,
    /// Takes minutes: the short run bounds its preemptions.
    pub long: bool,
    /// Left out of the short run.
    pub deep: bool,
    /// It is a model of code that is wrong, and ends with a panic that says this.
    pub fails: Option<&'static str>,
    pub body: Body,
}

pub type Body = Arc<dyn Fn() + Send + Sync>;

impl Model {
    pub fn long(self) -> Self {
        Self { long: true, ..self }
    }

    pub fn deep(self) -> Self {
        Self { deep: true, ..self }
    }

    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Not exhaustive: this many preemptions at most.
    pub fn bounded(self, bound: usize) -> Self {
        Self { bound: Some(bound), ..self }
    }

    /// It must fail, with a panic that says `why`.
    pub fn fails(self, why: &'static str) -> Self {
        Self { fails: Some(why), ..self }
    }
}

/// An exhaustive model of two threads.
pub fn pair(name: &'static str, body: impl Fn() + Send + Sync + 'static) -> Model {
    let body: Body = Arc::new(body);
    Model { name, threads: 2, bound: None, long: false, deep: false, fails: None, body }
}

/// The most preemptions of a long model in the short run.
const SHORT_BOUND: usize = 2;

/// How many executions loom explored, or what was said first as it failed.
fn explore(model: &Model) -> Result<u64, String> {
    let states = Arc::new(AtomicU64::new(0));
    let counter = states.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = model.bound;
    builder.max_branches = 20_000;
    // A model that stopped early would pass: never stop early.
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.checkpoint_file = None;
    let body = model.body.clone();
    let said: Arc<Mutex<Option<String>>> = Arc::default();
    if model.fails.is_some() {
        let said = said.clone();
        std::panic::set_hook(Box::new(move |info| {
            said.lock().unwrap().get_or_insert(info.to_string());
        }));
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            counter.fetch_add(1, Relaxed);
            body();
        });
    }));
    let _ = std::panic::take_hook();
    result.map_err(|_| said.lock().unwrap().take().unwrap_or_default())?;
    Ok(states.load(Relaxed))
}

/// Runs a model here, prints its line; whether it did as it must.
fn run_here(model: &Model) -> bool {
    let start = Instant::now();
    let result = explore(model);
    let bound = model.bound.map_or("none".into(), |b| b.to_string());
    let (states, verdict) = match (&result, model.fails) {
        (Ok(states), None) => (states.to_string(), "ok"),
        (Err(said), Some(why)) if said.contains(why) => ("?".into(), "fails as it must: ok"),
        (Err(said), Some(_)) => {
            eprintln!("{}: it said: {said}", model.name);
            ("?".into(), "fails for another reason: FAILED")
        }
        (Ok(states), Some(_)) => (states.to_string(), "does not fail: FAILED"),
        (Err(_), None) => ("?".into(), "FAILED"),
    };
    let (name, threads, secs) = (model.name, model.threads, start.elapsed().as_secs_f64());
    println!(
        "model {name} threads={threads} bound={bound} states={states} secs={secs:.1} {verdict}"
    );
    verdict.ends_with("ok")
}

/// Runs a model in a process of its own.
fn run_apart(model: &Model, options: &Options) -> bool {
    let mut command = Command::new(std::env::current_exe().expect("this program's path"));
    command.args(["--exact", model.name, "--one"]);
    if options.short {
        command.arg("--short");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a process for a model");
    if let Some(limit) = options.limit {
        let start = Instant::now();
        while child.try_wait().expect("a child's state").is_none() {
            if start.elapsed() > limit {
                let _ = child.kill();
                let _ = child.wait();
                println!("model {} secs={} TIMEOUT: FAILED", model.name, limit.as_secs());
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let output = child.wait_with_output().expect("a child's output");
    let line = String::from_utf8_lossy(&output.stdout);
    match line.trim_end() {
        // It died without a word: a panic while another unwound, or a signal.
        "" => println!("model {} DIED: FAILED", model.name),
        line => println!("{line}"),
    }
    output.status.success()
}

/// What the command line says.
#[derive(Default)]
struct Options {
    list: bool,
    exact: bool,
    short: bool,
    long: bool,
    deep: bool,
    one: bool,
    jobs: usize,
    limit: Option<Duration>,
    filters: Vec<String>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self::default();
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut number = || args.next().and_then(|n| n.parse().ok()).expect("a number");
            match arg.as_str() {
                "--list" => options.list = true,
                "--exact" => options.exact = true,
                "--short" => options.short = true,
                "--long" => options.long = true,
                "--deep" => options.deep = true,
                "--one" => options.one = true,
                "--jobs" => options.jobs = number() as usize,
                "--limit" => options.limit = Some(Duration::from_secs(number())),
                _ => options.filters.push(arg),
            }
        }
        options
    }

    fn wants(&self, model: &Model) -> bool {
        let named = match self.exact {
            true => self.filters.iter().any(|name| model.name == name),
            false => self.filters.iter().all(|part| model.name.contains(part.as_str())),
        };
        let of_deep = ["pair_", "triple_"].iter().any(|kind| model.name.starts_with(kind));
        let of_deep = model.deep || of_deep;
        let left_out = self.short && !self.one && model.deep;
        named && !left_out && (!self.long || model.long) && (!self.deep || of_deep)
    }
}

/// Runs the models that the command line asks for.
pub fn run(models: &[Model]) -> ExitCode {
    let options = Options::parse();
    if options.list {
        models.iter().for_each(|m| println!("{}", m.name));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<Model> = models
        .iter()
        .filter(|m| options.wants(m))
        .map(|m| {
            let short = m.long.then_some(SHORT_BOUND).filter(|_| options.short);
            Model { bound: short.or(m.bound), ..m.clone() }
        })
        .collect();
    let failed = if options.jobs > 0 {
        let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|s| {
            for _ in 0..options.jobs {
                s.spawn(|| {
                    while let Some(model) = wanted.get(next.fetch_add(1, Relaxed)) {
                        if !run_apart(model, &options) {
                            failed.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        failed.into_inner()
    } else {
        wanted.iter().filter(|m| !run_here(m)).count()
    };
    if !options.one {
        let count = |of: fn(&&Model) -> bool| wanted.iter().filter(of).count();
        let must_fail = count(|m| m.fails.is_some());
        let exhaustive = count(|m| m.fails.is_none() && m.bound.is_none());
        let bounded = count(|m| m.fails.is_none() && m.bound.is_some());
        println!(
            "models {} exhaustive {exhaustive} bounded {bounded} must-fail {must_fail} failed {failed}",
            wanted.len()
        );
    }
    if failed == 0 && !wanted.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
