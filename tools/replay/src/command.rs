//! The verb `replay` of the command `lwproc`.

use crate::copies::{Load, run};
use crate::plan::Plan;
use crate::report::{Report, nodes, timeline};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lines from which a progress bar is worth its while.
const LONG: u64 = 2_000_000;

/// Replay a log of `strace -f` through a kernel and compare every answer.
///
/// Exits with 0 when nothing disagreed, 1 when something did, 2 when the log cannot be read.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The log, plain or gzip.
    log: PathBuf,
    /// Print the process tree.
    #[arg(long)]
    tree: bool,
    /// Draw processes and threads over the log.
    #[arg(long, value_name = "FILE.svg")]
    timeline: Option<PathBuf>,
    /// Print a report for machines instead of the summary.
    #[arg(long)]
    json: bool,
    /// Replay this many independent copies, all in one kernel.
    #[arg(long, value_name = "K", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    copies: u32,
    /// Share the copies out over this many host threads.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
}

impl Replay {
    /// Replays the log and prints what was found.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or a file that was asked for cannot be written.
    pub fn run(&self) -> Result<ExitCode, Box<dyn std::error::Error>> {
        let good = replay(self)?;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Whether everything agreed.
fn replay(options: &Replay) -> Result<bool, Box<dyn std::error::Error>> {
    let name = options.log.display();
    let plan = Plan::open(&options.log).map_err(|error| match error {
        error @ crate::parse::LoadError::Open { .. } => error.to_string(),
        error => format!("{name}: {error}"),
    })?;
    let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    let load =
        Load { copies: at_least_one(options.copies), threads: at_least_one(options.threads) };
    let bar = progress(u64::from(plan.census.lines) * u64::from(options.copies));
    let run = run(&plan, load, &|lines| bar.inc(lines))?;
    bar.finish_and_clear();
    if let Some(file) = &options.timeline {
        std::fs::write(file, timeline(&title(&options.log), &plan))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    let mut report = Report::new(&name.to_string(), &plan, &run);
    let mut text = String::new();
    if options.json {
        report.tree = options.tree.then(|| nodes(&plan));
        text = serde_json::to_string_pretty(&report)?;
        text.push('\n');
    } else {
        if options.tree {
            for node in nodes(&plan) {
                text.push_str(&format!("{node}\n"));
            }
            text.push('\n');
        }
        text.push_str(&report.to_string());
    }
    match io::stdout().write_all(text.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(report.good)
}

/// The log's name without the endings.
fn title(log: &Path) -> String {
    let name = log.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.strip_suffix(".strace").unwrap_or(name).to_owned()
}

/// A bar on stderr, when that is a terminal and the work is long.
fn progress(lines: u64) -> ProgressBar {
    if lines < LONG {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(lines), ProgressDrawTarget::stderr());
    let style = "{bar:40} {percent}%  {human_pos} of {human_len} lines, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
