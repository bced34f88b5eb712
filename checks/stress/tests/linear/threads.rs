//! Histories of real threads.

use super::history::{Call, Recorder};
use lwproc_stress::freeze;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

/// All threads leave it at once.
struct Start(AtomicUsize);

impl Start {
    fn wait(&self) {
        self.0.fetch_sub(1, SeqCst);
        let mut spins = 0;
        while self.0.load(SeqCst) > 0 {
            spins += 1;
            if spins % 100 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

/// Runs threads that begin together; `body` gets ready, calls `start`, and records.
///
/// From `start` on they [crawl](freeze::crawl): calls that take a tenth of a microsecond
/// would hardly ever meet.
pub fn record<Op: Send, Ret: Send>(
    threads: usize,
    seed: u64,
    body: impl Fn(usize, &dyn Fn(), &mut Recorder<'_, Op, Ret>) + Sync,
) -> Vec<Call<Op, Ret>> {
    freeze::install();
    let (clock, start) = (AtomicU64::new(0), Start(AtomicUsize::new(threads)));
    let mut calls: Vec<Call<Op, Ret>> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let (clock, start, body) = (&clock, &start, &body);
                s.spawn(move || {
                    let mut recorder = Recorder::new(clock, thread, seed);
                    let start = || {
                        start.wait();
                        freeze::crawl(seed as u32 * 8 + thread as u32 + 1);
                    };
                    body(thread, &start, &mut recorder);
                    freeze::run();
                    recorder.calls()
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
    });
    calls.sort_by_key(|call| call.invoked);
    calls
}

/// How many rounds: `LWPROC_ROUNDS` times as many as `few`; hardly any without optimisation,
/// where each instruction counts ten times.
pub fn rounds(few: u64) -> u64 {
    let few = if cfg!(debug_assertions) { 2 } else { few };
    let times = std::env::var("LWPROC_ROUNDS").ok().and_then(|n| n.parse().ok());
    few * times.unwrap_or(1)
}
