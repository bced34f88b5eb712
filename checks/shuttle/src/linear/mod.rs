//! Linearizability under shuttle's schedules: the histories, and the specifications that
//! they are checked against, are those of `checks/stress/tests/linear`.

#[path = "../../../stress/tests/linear/creds.rs"]
mod creds;
#[path = "../../../stress/tests/linear/drains.rs"]
mod drains;
#[path = "../../../stress/tests/linear/fds.rs"]
mod fds;
#[path = "../../../stress/tests/linear/groups.rs"]
mod groups;
#[path = "../../../stress/tests/linear/history.rs"]
mod history;
#[path = "../../../stress/tests/linear/ids.rs"]
mod ids;
#[path = "../../../stress/tests/linear/kills.rs"]
mod kills;
#[path = "../../../stress/tests/linear/lwps.rs"]
mod lwps;
#[path = "../../../stress/tests/linear/queued.rs"]
mod queued;
#[path = "../../../stress/tests/linear/signals.rs"]
mod signals;
#[path = "../../../stress/tests/linear/waits.rs"]
mod waits;

use crate::common::worker::Random;
use crate::runner::{OVERLAPS, Test};
use history::{Call, Recorder};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub fn tests() -> Vec<Test> {
    let test = |name, body| Test { name, threads: 3, schedules: 6000, body };
    vec![
        test("linear_creds", |seed| overlap(creds::round(seed))),
        test("linear_drains", |seed| overlap(drains::round(seed))),
        test("linear_fds", |seed| overlap(fds::round(seed))),
        test("linear_groups", |seed| overlap(groups::round(seed))),
        test("linear_ids", |seed| overlap(ids::round(seed))),
        test("linear_kills", |seed| overlap(kills::round(seed))),
        test("linear_lwps", |seed| overlap(lwps::round(seed))),
        test("linear_queued", |seed| overlap(queued::round(seed))),
        test("linear_signals", |seed| overlap(signals::round(seed))),
        test("linear_waits", |seed| overlap(waits::round(seed))),
    ]
}

fn overlap(pairs: usize) {
    OVERLAPS.fetch_add(pairs as u64, Relaxed);
}

/// Runs threads; `body` gets ready, calls `start`, and records. The clock is not shuttle's:
/// a call begins before its first step and ends after its last.
fn record<Op: Send, Ret: Send>(
    threads: usize,
    seed: u64,
    body: impl Fn(usize, &dyn Fn(), &mut Recorder<'_, Op, Ret>) + Sync,
) -> Vec<Call<Op, Ret>> {
    let (clock, calls) = (AtomicU64::new(0), Mutex::new(Vec::<Call<Op, Ret>>::new()));
    shuttle::thread::scope(|s| {
        for thread in 0..threads {
            let (clock, calls, body) = (&clock, &calls, &body);
            s.spawn(move || {
                let mut recorder = Recorder::new(clock, thread, seed);
                body(thread, &|| (), &mut recorder);
                calls.lock().unwrap().extend(recorder.calls());
            });
        }
    });
    let mut calls = calls.into_inner().unwrap();
    calls.sort_by_key(|call| call.invoked);
    calls
}
