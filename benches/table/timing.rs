//! Threads, batches, medians.
//!
//! A row has several contenders, and each is run in many short batches, one
//! after the other, so that the noise of the machine hits all alike; what is
//! reported is the median batch.

use super::cpu::stay_on;
use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Where the threads of a batch wait for each other. Spins: threads that are
/// woken one by one would not run at once.
#[derive(Debug)]
pub struct Lineup {
    threads: usize,
    arrived: AtomicUsize,
}

impl Lineup {
    fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0) }
    }

    fn wait(&self) {
        let mine = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (mine / self.threads + 1) * self.threads;
        let mut spins = 0u32;
        while self.arrived.load(Ordering::Acquire) < all {
            spins += 1;
            if spins.is_multiple_of(256) { thread::yield_now() } else { hint::spin_loop() }
        }
    }
}

/// When a thread's batch began and ended. Of one that times itself: a span of that length.
type Span = (Instant, Instant);

type Batch<'w> = Box<dyn Fn(&Lineup, usize, u64) -> Span + Sync + 'w>;

/// One implementation of an operation.
pub struct Contender<'w> {
    /// Its name.
    pub name: &'static str,
    /// How many items one call is about: what is reported is the cost of one.
    items: f64,
    batch: Batch<'w>,
}

impl<'w> Contender<'w> {
    /// `op` on a state that each thread makes for itself, by its number.
    pub fn new<S>(
        name: &'static str,
        state: impl Fn(usize) -> S + Sync + 'w,
        op: impl Fn(&mut S) + Sync + 'w,
    ) -> Self {
        let batch = move |lineup: &Lineup, thread, iters: u64| {
            let mut state = state(thread);
            (0..iters / 8 + 1).for_each(|_| op(&mut state));
            lineup.wait();
            let begin = Instant::now();
            (0..iters).for_each(|_| op(&mut state));
            let end = Instant::now();
            // What the threads leave behind is put away when all are done.
            lineup.wait();
            (begin, end)
        };
        Self { name, items: 1.0, batch: Box::new(batch) }
    }

    /// `op` times itself: what it prepares is not counted.
    pub fn timed<S>(
        name: &'static str,
        state: impl Fn(usize) -> S + Sync + 'w,
        op: impl Fn(&mut S) -> Duration + Sync + 'w,
    ) -> Self {
        let batch = move |lineup: &Lineup, thread, iters: u64| {
            let mut state = state(thread);
            lineup.wait();
            let begin = Instant::now();
            let took: Duration = (0..iters).map(|_| op(&mut state)).sum();
            lineup.wait();
            (begin, begin + took)
        };
        Self { name, items: 1.0, batch: Box::new(batch) }
    }

    /// Under another name.
    pub fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// One call is about this many items.
    pub fn of(self, items: usize) -> Self {
        Self { items: items as f64, ..self }
    }

    /// The time from the first thread's beginning to the last one's end, for `iters`
    /// calls on each: when they do not run at once, that is not hidden.
    pub fn run(&self, threads: usize, iters: u64) -> Duration {
        let lineup = Lineup::new(threads);
        thread::scope(|scope| {
            let runs: Vec<_> = (0..threads)
                .map(|number| {
                    let (lineup, batch) = (&lineup, &self.batch);
                    scope.spawn(move || {
                        stay_on(number);
                        batch(lineup, number, iters)
                    })
                })
                .collect();
            let spans: Vec<Span> =
                runs.into_iter().map(|run| run.join().expect("no panic")).collect();
            let begin = spans.iter().map(|span| span.0).min().expect("a thread");
            let end = spans.iter().map(|span| span.1).max().expect("a thread");
            end - begin
        })
    }

    /// The part of one item.
    pub fn per_item(&self, took: Duration) -> Duration {
        took.div_f64(self.items)
    }

    /// Nanoseconds for one item, on each thread.
    pub fn ns(&self, took: Duration, iters: u64) -> f64 {
        took.as_nanos() as f64 / iters as f64 / self.items
    }

    /// How many calls take about `wanted`.
    pub fn calibrate(&self, threads: usize, wanted: Duration) -> u64 {
        let mut iters = 1;
        loop {
            let took = self.run(threads, iters);
            if took >= wanted / 2 || iters >= 1 << 24 {
                let scale = wanted.as_secs_f64() / took.as_secs_f64().max(1e-9);
                return ((iters as f64 * scale.min(4.0)) as u64).max(1);
            }
            iters *= 4;
        }
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Batches of each contender; odd.
    pub batches: usize,
    /// The length of one.
    pub batch: Duration,
}

impl Effort {
    /// A batch of several threads must outlast their start, and one of more
    /// threads than cores the scheduler's turns.
    fn for_threads(self, threads: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let longer = match threads {
            1 => 1,
            _ if threads <= cores => 3,
            _ => 20,
        };
        Self { batch: self.batch * longer, ..self }
    }
}

/// The middle one; of an even number the upper.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Contenders among so many live processes, on so many threads.
pub type Setting<'a, 'w> = (&'a [Contender<'w>], usize);

/// The median of each contender in each setting, in nanoseconds for one item. Batches of
/// all settings alternate, so that ratios between them are of one time, too.
pub fn medians(settings: &[Setting<'_, '_>], effort: Effort) -> Vec<Vec<f64>> {
    let mut runs: Vec<(usize, usize, u64)> = Vec::new();
    for (setting, (contenders, threads)) in settings.iter().enumerate() {
        let wanted = effort.for_threads(*threads).batch;
        let calibrated = contenders.iter().map(|c| c.calibrate(*threads, wanted)).enumerate();
        runs.extend(calibrated.map(|(contender, iters)| (setting, contender, iters)));
    }
    let mut samples: Vec<Vec<Vec<f64>>> =
        settings.iter().map(|(contenders, _)| vec![Vec::new(); contenders.len()]).collect();
    for batch in 0..effort.batches {
        // Each is the first in turn.
        for turn in 0..runs.len() {
            let (setting, at, iters) = runs[(turn + batch) % runs.len()];
            let (contenders, threads) = settings[setting];
            let took = contenders[at].run(threads, iters);
            samples[setting][at].push(contenders[at].ns(took, iters));
        }
    }
    samples.into_iter().map(|setting| setting.into_iter().map(median).collect()).collect()
}
