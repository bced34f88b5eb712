//! Runs models and reports on each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// One model: a closure that loom runs in every interleaving.
#[derive(Clone)]
pub struct Model {
    pub name: &'static str,
    pub threads: usize,
    /// The most preemptions in one execution; `None` is exhaustive.
    pub bound: Option<usize>,
    /// Takes minutes: the short run bounds its preemptions.
    pub long: bool,
    pub body: fn(),
}

impl Model {
    pub fn long(self) -> Self {
        Self { long: true, ..self }
    }
}

/// An exhaustive model of two threads.
pub fn pair(name: &'static str, body: fn()) -> Model {
    Model { name, threads: 2, bound: None, long: false, body }
}

/// The most preemptions of a long model in the short run.
const SHORT_BOUND: usize = 2;

/// Runs a model; how many executions loom explored.
fn explore(model: &Model) -> std::thread::Result<u64> {
    let states = Arc::new(AtomicU64::new(0));
    let counter = states.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = model.bound;
    builder.max_branches = 20_000;
    // A model that stopped early would pass: never stop early.
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.checkpoint_file = None;
    let body = model.body;
    catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            counter.fetch_add(1, Relaxed);
            body();
        });
    }))?;
    Ok(states.load(Relaxed))
}

/// Runs the models that the command line asks for.
pub fn run(models: &[Model]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--list") {
        models.iter().for_each(|m| println!("{}", m.name));
        return ExitCode::SUCCESS;
    }
    let exact = args.iter().any(|a| a == "--exact");
    let wanted = |m: &&Model| {
        args.iter().all(|arg| match arg.as_str() {
            "--exact" => true,
            "--short" => true,
            "--long" => m.long,
            name if exact => m.name == name,
            filter => m.name.contains(filter),
        })
    };
    let short = args.iter().any(|a| a == "--short");
    let (mut exhaustive, mut bounded, mut failed) = (0, 0, 0);
    for model in models.iter().filter(wanted) {
        let start = Instant::now();
        let model = &Model {
            bound: model.bound.or(model.long.then_some(SHORT_BOUND).filter(|_| short)),
            ..model.clone()
        };
        let result = explore(model);
        let bound = model.bound.map_or("none".into(), |b| b.to_string());
        let (states, verdict) = match result {
            Ok(states) => (states.to_string(), "ok"),
            Err(_) => ("?".into(), "FAILED"),
        };
        let (name, threads, secs) = (model.name, model.threads, start.elapsed().as_secs_f64());
        println!(
            "model {name} threads={threads} bound={bound} states={states} secs={secs:.1} {verdict}"
        );
        match (verdict, model.bound) {
            ("ok", None) => exhaustive += 1,
            ("ok", Some(_)) => bounded += 1,
            _ => failed += 1,
        }
    }
    let ran = exhaustive + bounded + failed;
    println!("models {ran} exhaustive {exhaustive} bounded {bounded} failed {failed}");
    if failed == 0 && ran > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
