//! What the benchmarks share: the process table that a user would write
//! instead, and a way to time an operation on several threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

/// A process of [`LockedTable`].
#[derive(Debug)]
pub struct LockedProc {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// Its LWPs' numbers.
    pub lwps: Mutex<Vec<i32>>,
}

/// A process table as most Rust kernels and runtimes have it: one lock, one
/// map, shared processes.
#[derive(Debug, Default)]
pub struct LockedTable {
    map: Mutex<(BTreeMap<i32, Arc<LockedProc>>, i32)>,
}

impl LockedTable {
    /// Makes a process with one LWP.
    pub fn fork(&self, ppid: i32) -> i32 {
        let mut table = self.map.lock().expect("not poisoned");
        table.1 += 1;
        let pid = table.1;
        table.0.insert(pid, Arc::new(LockedProc { pid, ppid, lwps: Mutex::new(vec![pid]) }));
        pid
    }

    /// Ends a process.
    pub fn exit(&self, pid: i32) {
        self.map.lock().expect("not poisoned").0.remove(&pid);
    }

    /// Finds a process.
    pub fn find(&self, pid: i32) -> Option<Arc<LockedProc>> {
        self.map.lock().expect("not poisoned").0.get(&pid).cloned()
    }
}

/// Runs `op` `iters` times on each of `threads` threads at once, each with a
/// state of its own; the time of the slowest.
pub fn on_threads<S, O>(threads: usize, iters: u64, state: impl Fn() -> S + Sync, op: O) -> Duration
where
    O: Fn(&mut S) + Sync,
{
    let start = Barrier::new(threads);
    std::thread::scope(|s| {
        let runs: Vec<_> = (0..threads)
            .map(|_| {
                s.spawn(|| {
                    let mut state = state();
                    start.wait();
                    let begin = Instant::now();
                    (0..iters).for_each(|_| op(&mut state));
                    begin.elapsed()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("no panic")).max().unwrap_or_default()
    })
}
