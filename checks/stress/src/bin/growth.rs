//! Memory does not grow: processes, LWPs and files come and go, and the bytes in use are
//! the same at the end as after a tenth of it, while a guard of another kernel is held all
//! the time.
//!
//! `growth [CYCLES] [with-a-leak]`; 100,000,000 cycles in the full run. The last keeps some
//! memory on purpose, and the run must then fail.
#![allow(unsafe_code)]

use lwproc::{Kernel, Rfork};
use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// The system's allocator, with a count of the bytes in use.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What garbage that is still to be freed may vary by.
const SLACK: usize = 1 << 20;
/// The threads that do it.
const THREADS: usize = 2;

/// A process with two LWPs and an open file, and their ends.
fn cycle(kernel: &Kernel) {
    let mut k = kernel.enter().expect("not entered");
    k.rfork(Rfork::Fresh).expect("ids are left");
    k.files().open((), lwproc::OnExec::Keep).expect("descriptors are left");
    let second = k.new_lwp(k.pid()).expect("ids are left");
    drop(k.switch(second).expect("the same kernel"));
    k.release().expect("not held");
}

/// The most bytes in use when everything is flushed, over a few looks.
fn work(kernel: &Kernel, cycles: usize, keep: usize) {
    std::thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                for i in 0..cycles / THREADS {
                    cycle(kernel);
                    if keep > 0 && i % keep == 0 {
                        std::mem::forget(vec![0u8; 64]);
                    }
                }
                (0..8).for_each(|_| kernel.flush());
            });
        }
    });
    (0..8).for_each(|_| kernel.flush());
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let cycles = args.first().and_then(|arg| arg.parse().ok()).unwrap_or(100_000_000);
    let keep = usize::from(args.iter().any(|arg| arg == "with-a-leak")) * 2;
    let (kernel, other) = (Kernel::new(), Kernel::new());
    let start = Instant::now();
    let guard = other.pin();
    work(&kernel, cycles / 10, 0);
    let before = BYTES.load(Relaxed);
    work(&kernel, cycles - cycles / 10, keep);
    let after = BYTES.load(Relaxed);
    drop(guard);
    let stats = kernel.reclaim_stats();
    let held_back = stats.retired - stats.freed;
    let secs = start.elapsed().as_secs_f64();
    println!(
        "cycles {cycles}, bytes in use {before} then {after}, objects retired {} held back \
         {held_back}, secs {secs:.1}",
        stats.retired
    );
    let grows = after > before + SLACK || held_back > 10_000;
    ExitCode::from(u8::from(grows))
}
