//! Memory does not grow: processes, LWPs and files come and go, and the bytes in use are
//! the same at the end as after a tenth of it, while a guard of another kernel is held all
//! the time.
//!
//! In two shapes, each in a kernel of its own: every thread ends what it made (`same`), and
//! one thread makes and another ends (`apart`; a tenth of the cycles).
//!
//! `growth [CYCLES] [with-a-leak]`; 100,000,000 cycles in the full run. The last keeps some
//! memory on purpose, and the run must then fail.
#![allow(unsafe_code)]

use lwproc::{Kernel, Lwp, Rfork};
use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
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

/// Each thread ends what it made. Of every `keep` cycles, if that is not 0, one leaks.
fn same(kernel: &Kernel, cycles: usize, keep: usize) {
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
}

/// One thread makes processes, another ends them; few live at once.
fn apart(kernel: &Kernel, cycles: usize, _keep: usize) {
    std::thread::scope(|s| {
        let (made, to_end) = sync_channel::<Lwp>(16);
        s.spawn(move || {
            to_end.into_iter().for_each(drop);
            (0..8).for_each(|_| kernel.flush());
        });
        for _ in 0..cycles {
            made.send(kernel.spawn().start().expect("ids are left")).expect("it listens");
        }
    });
}

type Shape = fn(&Kernel, usize, usize);

/// Runs a shape in a kernel of its own; whether memory grew.
fn grows(name: &str, shape: Shape, cycles: usize, keep: usize) -> bool {
    let (kernel, other) = (Kernel::new(), Kernel::new());
    let start = Instant::now();
    let guard = other.pin();
    let mut bytes = [0; 2];
    for (bytes, (cycles, keep)) in
        bytes.iter_mut().zip([(cycles / 10, 0), (cycles - cycles / 10, keep)])
    {
        shape(&kernel, cycles, keep);
        (0..8).for_each(|_| kernel.flush());
        *bytes = BYTES.load(Relaxed);
    }
    drop(guard);
    let [before, after] = bytes;
    let stats = kernel.reclaim_stats();
    let held_back = stats.retired - stats.freed;
    let secs = start.elapsed().as_secs_f64();
    println!(
        "{name}: cycles {cycles}, bytes in use {before} then {after}, objects retired {} held \
         back {held_back}, secs {secs:.1}",
        stats.retired
    );
    after > before + SLACK || held_back > 10_000
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let cycles = args.first().and_then(|arg| arg.parse().ok()).unwrap_or(100_000_000);
    let keep = usize::from(args.iter().any(|arg| arg == "with-a-leak")) * 2;
    let all: [(&str, Shape, usize); 2] =
        [("same", same, cycles), ("apart", apart, (cycles / 10).max(200_000))];
    // Only the first one leaks when told to.
    let shapes = if keep > 0 { &all[..1] } else { &all[..] };
    let grown: Vec<&str> = shapes
        .iter()
        .filter_map(|&(name, shape, cycles)| grows(name, shape, cycles, keep).then_some(name))
        .collect();
    if !grown.is_empty() {
        eprintln!("grows: {}", grown.join(", "));
    }
    ExitCode::from(u8::from(!grown.is_empty()))
}
