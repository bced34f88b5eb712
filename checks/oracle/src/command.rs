//! What the command does.

use clap::Parser;
use lwproc_oracle::compare::{self, Run, Sides, Source};
use lwproc_oracle::linux::{Linux, Rights};
use lwproc_oracle::random::Random;
use lwproc_oracle::shrink;
use lwproc_oracle::step;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

/// Prints a line; whoever reads may have gone.
macro_rules! say {
    ($($what:tt)*) => { drop(writeln!(io::stdout(), $($what)*)) };
}

/// Compares lwproc with the Linux underneath, by random sequences of operations.
#[derive(Debug, Parser)]
#[command(name = "oracle", version)]
struct Options {
    /// How many operations, about.
    #[arg(long, default_value_t = 20_000)]
    ops: u64,
    /// Repeats a run: the same sequences.
    #[arg(long)]
    seed: Option<u64>,
    /// How long a sequence is: from..to.
    #[arg(long, default_value = "40..60", value_parser = length)]
    length: (usize, usize),
    /// Runs this sequence alone, and prints both sides.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Writes the shortest sequence of a mismatch there, for `sequences/`.
    #[arg(long, value_name = "FILE")]
    write_test: Option<PathBuf>,
    /// Runs each sequence twice on Linux alone, and compares these; also with operations
    /// that the library does not have yet.
    #[arg(long)]
    linux_alone: bool,
    /// Prints every sequence.
    #[arg(long)]
    verbose: bool,
}

fn length(text: &str) -> Result<(usize, usize), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse::<usize>().map_err(|why| why.to_string());
    let (from, to) = (number(from)?, number(to)?);
    if from <= to { Ok((from, to)) } else { Err("it ends before it begins".into()) }
}

pub fn main() -> ExitCode {
    let options = Options::parse();
    let mut linux = match Linux::new(Rights::here()) {
        Ok(linux) => linux,
        Err(why) => {
            eprintln!("oracle: SKIPPED, NOTHING WAS COMPARED: {why}");
            return ExitCode::SUCCESS;
        }
    };
    if linux.rights() == Rights::OneUser {
        eprintln!("oracle: not the superuser: changes of ids are SKIPPED");
    }
    let done = match &options.replay {
        Some(file) => replay(&mut linux, file),
        None => random(&mut linux, &options),
    };
    done.unwrap_or_else(|trouble| {
        eprintln!("oracle: {trouble}");
        ExitCode::from(2)
    })
}

fn replay(
    linux: &mut Linux,
    file: &std::path::Path,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let steps = step::read(&std::fs::read_to_string(file)?)?;
    let run = compare::run(linux, Source::Steps(&steps), Sides::Both)?;
    say!("{}", compare::report(&run));
    Ok(if run.mismatch.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[derive(Default)]
struct Totals {
    sequences: u64,
    operations: u64,
    comparisons: u64,
    known: BTreeMap<&'static str, u64>,
    verbs: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, run: &Run) {
        self.sequences += 1;
        self.operations += run.steps.len() as u64;
        self.comparisons += run.comparisons;
        for known in &run.known {
            *self.known.entry(known.name).or_default() += 1;
        }
        for step in &run.steps {
            *self.verbs.entry(step.verb.name).or_default() += 1;
        }
    }
}

fn random(linux: &mut Linux, options: &Options) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let seed = options.seed.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_nanos() as u64) % 1_000_000_007
    });
    say!("seed {seed}");
    let mut random = Random::new(seed);
    let (begun, mut totals) = (Instant::now(), Totals::default());
    let mut mismatch = None;
    let sides = if options.linux_alone { Sides::LinuxAlone } else { Sides::Both };
    while totals.operations < options.ops && mismatch.is_none() {
        let (from, to) = options.length;
        let length = from + random.below(to - from + 1);
        let mut own = Random::new(random.next_u64());
        let run = compare::run(linux, Source::Random(&mut own, length), sides)?;
        totals.add(&run);
        if sides == Sides::LinuxAlone && !repeats(linux, &run)? {
            return Ok(ExitCode::FAILURE);
        }
        if options.verbose {
            say!("{}", compare::report(&run));
        }
        if run.mismatch.is_some() {
            mismatch = Some(run);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let Totals { sequences, operations, comparisons, known, verbs } = &totals;
    say!(
        "{operations} operations in {sequences} sequences, {comparisons} comparisons, \
         {} mismatches, {:.0} operations a second",
        u8::from(mismatch.is_some()),
        *operations as f64 / seconds
    );
    say!("operations: {verbs:?}");
    for (name, times) in known {
        say!("known difference, {times} times: {name}");
    }
    match mismatch {
        Some(run) => report(linux, run, options),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Whether a sequence has the same outcomes, and the same states, again.
fn repeats(linux: &mut Linux, run: &Run) -> Result<bool, Box<dyn std::error::Error>> {
    let again = compare::run(linux, Source::Steps(&run.steps), Sides::LinuxAlone)?;
    let mut pairs = run.transcript.iter().zip(&again.transcript);
    let differs = pairs.position(|(first, second)| first != second);
    if let Some(at) = differs {
        for (step, [outcomes, _]) in run.steps.iter().zip(&run.transcript).take(at) {
            say!("  {:40} | {outcomes}", step.to_string());
        }
        say!("IT DOES NOT REPEAT, from here on: {}", run.steps[at]);
        say!("{:#?}\n{:#?}", run.transcript[at], again.transcript[at]);
    }
    Ok(differs.is_none() && again.steps == run.steps)
}

fn report(
    linux: &mut Linux,
    run: Run,
    options: &Options,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    say!("mismatch after {} operations; shrinking", run.steps.len());
    say!("{}", compare::report(&run));
    if !shrink::shows_again(linux, &run)? {
        say!("IT DOES NOT SHOW AGAIN: the oracle, or a race");
        return Ok(ExitCode::FAILURE);
    }
    let shortest = shrink::shrink(linux, run)?;
    say!("the shortest sequence that shows it:\n{}", compare::report(&shortest));
    if let Some(file) = &options.write_test {
        let steps = shortest.steps.iter().map(|step| format!("{step}\n"));
        let why = shortest.mismatch.as_ref().map(|why| format!("# {why}\n")).unwrap_or_default();
        std::fs::write(file, why + &steps.collect::<String>())?;
        say!("written to {}", file.display());
    }
    Ok(ExitCode::FAILURE)
}
