//! Independent copies of one log, over several host threads, in one kernel.

use crate::plan::Plan;
use crate::replay::{Outcome, replay};
use lwproc::{BuildError, Counts, EnterError, Kernel, SigModel, WaitPolicy};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Ids of a fresh kernel: proc0 and init.
const IDS_AT_BOOT: usize = 2;

/// How much to replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Copies of the log.
    pub copies: NonZeroU32,
    /// Host threads that share them out.
    pub threads: NonZeroU32,
}

impl Default for Load {
    fn default() -> Self {
        Self { copies: NonZeroU32::MIN, threads: NonZeroU32::MIN }
    }
}

/// Why nothing could be replayed.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The kernel could not be built.
    Build(BuildError),
    /// A thread could not enter it.
    Enter(EnterError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => write!(f, "cannot build a kernel: {error}"),
            Self::Enter(error) => write!(f, "cannot enter the kernel: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// What all copies found.
#[derive(Debug)]
pub struct Run {
    /// What was asked for.
    pub load: Load,
    /// What the first copy found.
    pub first: Outcome,
    /// Disagreements in all copies.
    pub disagreed: u64,
    /// Copies that found anything else than the first.
    pub differing: u32,
    /// Context switches in all copies.
    pub switches: u64,
    /// Wall-clock time of the replay alone.
    pub elapsed: Duration,
    /// What is left in the kernel.
    pub left: Counts,
}

impl Run {
    /// Whether nothing lives beyond proc0 and init, and no id is lost.
    pub fn is_empty(&self) -> bool {
        self.left.procs == 2
            && self.left.lwps == 2
            && self.left.zombies == 0
            && self.left.ids == IDS_AT_BOOT
    }

    /// Ids that were not given back.
    pub fn leaked_ids(&self) -> usize {
        self.left.ids.saturating_sub(IDS_AT_BOOT)
    }

    /// Whether every answer agrees in every copy, and the kernel is empty.
    pub fn is_good(&self) -> bool {
        self.disagreed == 0 && self.differing == 0 && self.is_empty()
    }

    /// Log lines replayed per second.
    pub fn lines_per_second(&self, plan: &Plan) -> f64 {
        let lines = f64::from(plan.census.lines) * f64::from(self.load.copies.get());
        lines / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Replays `load.copies` copies of a plan in a fresh kernel; `tick` is told of lines done.
///
/// # Errors
/// [`RunError`].
pub fn run(plan: &Plan, load: Load, tick: &(dyn Fn(u64) + Sync)) -> Result<Run, RunError> {
    let builder = Kernel::builder().wait_policy(WaitPolicy::Wait).signal_model(SigModel::Record);
    let kernel = builder.build().map_err(RunError::Build)?;
    let next = AtomicU32::new(0);
    let first = OnceLock::new();
    let start = Instant::now();
    let work = || {
        let mut totals = Totals::default();
        // Relaxed: a ticket counter; the copies share nothing else.
        while next.fetch_add(1, Ordering::Relaxed) < load.copies.get() {
            let mut done = 0;
            let outcome = replay(plan, &kernel, |line| {
                tick(u64::from(line.saturating_sub(done)));
                done = line;
            })?;
            tick(u64::from(plan.last_line().saturating_sub(done)));
            totals.disagreed += outcome.total().disagreed;
            totals.switches += outcome.switches;
            // Only the first outcome is kept: a million copies must fit in memory.
            if let Err(outcome) = first.set(outcome) {
                totals.differing += u32::from(first.get() != Some(&outcome));
            }
        }
        Ok(totals)
    };
    let totals: Result<Vec<Totals>, EnterError> = if load.threads == NonZeroU32::MIN {
        work().map(|totals| vec![totals])
    } else {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..load.threads.get()).map(|_| scope.spawn(work)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        })
    };
    let elapsed = start.elapsed();
    let totals = totals.map_err(RunError::Enter)?;
    Ok(Run {
        load,
        first: first.into_inner().unwrap_or_default(),
        disagreed: totals.iter().map(|totals| totals.disagreed).sum(),
        differing: totals.iter().map(|totals| totals.differing).sum(),
        switches: totals.iter().map(|totals| totals.switches).sum(),
        elapsed,
        left: kernel.counts(),
    })
}

/// What one host thread found in its copies.
#[derive(Debug, Default)]
struct Totals {
    disagreed: u64,
    differing: u32,
    switches: u64,
}
