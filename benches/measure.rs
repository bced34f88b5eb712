//! The benchmarks, but for those that need an allocator or a simulator of their
//! own: `ci/bench.sh` runs them.

mod peers;
mod table;

use std::time::Duration;
use table::ops::rows;
use table::timing::{Effort, medians};
use table::worlds::Worlds;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let filter = args.first().map_or("", String::as_str);
    let effort = Effort { batches: 5, batch: Duration::from_millis(1) };
    for live in [1000] {
        let worlds = Worlds::new(live);
        for row in rows(&worlds, filter) {
            for threads in [1, 2] {
                let ns = medians(&row.contenders, threads, effort);
                let all: Vec<String> = row
                    .contenders
                    .iter()
                    .zip(&ns)
                    .map(|(c, ns)| format!("{} {ns:.1}", c.name))
                    .collect();
                println!("{}/{} {threads} {live}: {}", row.op, row.sharing.name(), all.join(", "));
            }
        }
    }
}
