//! The benchmarks, but for those that need an allocator or a simulator of their
//! own. `ci/bench.sh` runs them:
//!
//! ```text
//! measure table LIVE,... THREADS,... [FILTER]
//! measure full [FILTER]
//! measure profile THREADS FILTER
//! measure latency
//! measure replay LOG...
//! measure pictures TSV DIRECTORY
//! ```

mod latency;
mod peers;
mod pictures;
mod replay;
mod table;

use std::process::ExitCode;

fn numbers(list: &str) -> Option<Vec<usize>> {
    list.split(',').map(|number| number.parse().ok().filter(|number| *number > 0)).collect()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (lives, threads) = match args.as_slice() {
        ["table", lives, threads, ..] => (numbers(lives), numbers(threads)),
        _ => (None, None),
    };
    match (args.as_slice(), lives, threads) {
        (["table", _, _, filter @ ..], Some(lives), Some(threads)) if filter.len() <= 1 => {
            table::quick::run(&lives, &threads, filter.first().unwrap_or(&""));
        }
        (["full", filter @ ..], ..) if filter.len() <= 1 => {
            table::full::run(filter.first().unwrap_or(&""));
        }
        (["profile", threads, filter], ..) if numbers(threads).is_some_and(|n| n.len() == 1) => {
            table::quick::profile(numbers(threads).map_or(1, |n| n[0]), filter);
        }
        (["latency"], ..) => latency::run(),
        (["replay", logs @ ..], ..) if !logs.is_empty() => {
            if let Err(why) = logs.iter().try_for_each(|log| replay::run(log)) {
                eprintln!("measure: {why}");
                return ExitCode::FAILURE;
            }
        }
        (["pictures", tsv, directory], ..) => {
            if let Err(why) = pictures::draw(tsv.as_ref(), directory.as_ref()) {
                eprintln!("measure: {why}");
                return ExitCode::FAILURE;
            }
        }
        // `cargo test` and `cargo bench` without a wish.
        _ => println!("measure: nothing asked for; see ci/bench.sh"),
    }
    ExitCode::SUCCESS
}
