//! The table by criterion, with its statistics and plots: long.

use super::ops::rows;
use super::worlds::Worlds;
use criterion::{BenchmarkId, Criterion};
use std::time::Duration;

/// Live processes.
const LIVE: [usize; 4] = [10, 1000, 100_000, 1_000_000];
/// Host threads; the last ones are more than a small machine has cores.
const THREADS: [usize; 4] = [1, 2, 4, 8];

/// Measures the operations with `filter` in their names.
pub fn run(filter: &str) {
    let mut criterion = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400));
    for live in LIVE {
        let worlds = Worlds::new(live);
        for row in rows(&worlds, filter) {
            let name = format!("{} ({}), {live} live", row.op, row.sharing.name());
            let mut group = criterion.benchmark_group(name);
            for threads in THREADS {
                for contender in &row.contenders {
                    let id = BenchmarkId::new(contender.name, threads);
                    group.bench_function(id, |b| {
                        b.iter_custom(|iters| contender.per_item(contender.run(threads, iters)));
                    });
                }
            }
            group.finish();
        }
    }
    criterion.final_summary();
}
