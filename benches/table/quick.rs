//! The whole table in one run: for people, then as TSV.

use super::ops::{Row, rows};
use super::timing::{Effort, Setting, medians};
use super::worlds::Worlds;
use std::time::Duration;

const EFFORT: Effort = Effort { batches: 11, batch: Duration::from_millis(1) };

/// What one row measured.
struct Result {
    op: String,
    threads: usize,
    live: usize,
    ours: f64,
    floor: f64,
    peer: &'static str,
    peer_ns: f64,
}

impl Result {
    fn new(row: &Row<'_>, threads: usize, live: usize, ns: &[f64]) -> Self {
        let peers = row.contenders.iter().zip(ns).skip(2);
        let best = peers.min_by(|a, b| a.1.total_cmp(b.1));
        let op = format!("{} ({})", row.op, row.sharing.name());
        let (peer, peer_ns) = best.map_or(("none", f64::NAN), |(peer, ns)| (peer.name, *ns));
        Self { op, threads, live, ours: ns[0], floor: ns[1], peer, peer_ns }
    }
}

/// `scaling`: throughput over that with one thread.
fn print(result: &Result, scaling: Option<f64>) {
    let Result { op, threads, live, ours, floor, peer, peer_ns } = result;
    let scaling = scaling.map_or(String::new(), |scaling| format!("{scaling:.2}"));
    println!(
        "{op:<36} {threads:>3} {live:>8} {ours:>9.1} {floor:>9.1} {:>6.2} {peer:>18} {peer_ns:>9.1} {:>6.2} {scaling:>6}",
        ours / floor,
        peer_ns / ours,
    );
}

/// Measures the operations with `filter` in their names.
pub fn run(lives: &[usize], threads: &[usize], filter: &str) {
    println!("ns for one operation on each thread: medians of {} batches", EFFORT.batches);
    println!(
        "{:<36} {:>3} {:>8} {:>9} {:>9} {:>6} {:>18} {:>9} {:>6} {:>6}",
        "operation (objects)",
        "thr",
        "live",
        "ours",
        "floor",
        "o/f",
        "best peer",
        "peer",
        "p/o",
        "scale"
    );
    // All at once, for ratios between them.
    let worlds: Vec<Worlds> = lives.iter().map(|live| Worlds::new(*live)).collect();
    let of_worlds: Vec<Vec<Row<'_>>> = worlds.iter().map(|world| rows(world, filter)).collect();
    let mut results = Vec::new();
    for at in 0..of_worlds.first().map_or(0, Vec::len) {
        let of_row = of_worlds.iter().map(|rows| &rows[at]).zip(lives);
        let settings: Vec<(&Row<'_>, usize, usize)> = of_row
            .flat_map(|(row, live)| threads.iter().map(move |threads| (row, *threads, *live)))
            .collect();
        let to_run: Vec<Setting<'_, '_>> =
            settings.iter().map(|(row, threads, _)| (&row.contenders[..], *threads)).collect();
        let mut one = f64::NAN;
        for ((row, threads, live), ns) in settings.iter().zip(medians(&to_run, EFFORT)) {
            let result = Result::new(row, *threads, *live, &ns);
            if *threads == 1 {
                one = result.ours;
            }
            print(&result, (*threads > 1).then(|| *threads as f64 * one / result.ours));
            results.push(result);
        }
    }
    println!();
    for Result { op, threads, live, ours, floor, peer, peer_ns } in results {
        println!("{op}\t{threads}\t{live}\t{ours:.2}\t{floor:.2}\t{peer}\t{peer_ns:.2}");
    }
}

/// Runs ours alone, two seconds for each operation, for a profiler to look at.
pub fn profile(threads: usize, filter: &str) {
    let worlds = Worlds::new(1000);
    for row in rows(&worlds, filter) {
        let ours = &row.contenders[0];
        let iters = ours.calibrate(threads, Duration::from_secs(2));
        let ns = ours.ns(ours.run(threads, iters), iters);
        println!("{} ({}), {threads} threads: {ns:.1} ns", row.op, row.sharing.name());
    }
}
