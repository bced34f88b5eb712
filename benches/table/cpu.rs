//! Keeps a thread on a core: threads that live for milliseconds would share one
//! before the scheduler parts them.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
mod linux {
    /// A `cpu_set_t`.
    type Set = [u64; 16];

    unsafe extern "C" {
        fn sched_getaffinity(pid: i32, size: usize, set: *mut Set) -> i32;
        fn sched_setaffinity(pid: i32, size: usize, set: *const Set) -> i32;
    }

    fn allowed() -> Vec<usize> {
        let mut set: Set = [0; 16];
        // SAFETY: the set is as large as said; 0 is the calling thread.
        if unsafe { sched_getaffinity(0, size_of::<Set>(), &raw mut set) } < 0 {
            return Vec::new();
        }
        (0..set.len() * 64).filter(|cpu| set[cpu / 64] >> (cpu % 64) & 1 != 0).collect()
    }

    /// The thread runs on the core with that number among the allowed, round and
    /// round; where that is refused, anywhere.
    pub fn stay_on(number: usize) {
        let cpus = allowed();
        if let Some(cpu) = cpus.get(number % cpus.len().max(1)) {
            let mut set: Set = [0; 16];
            set[cpu / 64] = 1 << (cpu % 64);
            // SAFETY: as above.
            let _refused = unsafe { sched_setaffinity(0, size_of::<Set>(), &raw const set) };
        }
    }
}

#[cfg(target_os = "linux")]
pub use linux::stay_on;

/// Nothing: known for Linux only.
#[cfg(not(target_os = "linux"))]
pub fn stay_on(_number: usize) {}
