//! Memory does not grow: processes, LWPs and files come and go, and the bytes in use are
//! the same at the end as after a tenth of it, while a guard of another kernel is held all
//! the time.
//!
//! In shapes, each in a kernel of its own: every thread ends what it made (`same`), one
//! thread makes and another ends (`apart`; a tenth of the cycles), and an LWP sleeps on a
//! channel until its second look (`sleeps`; as many as those). And sleepers of one channel
//! that are interrupted one by one look no more often for being many.
//!
//! `growth [CYCLES] [with-a-leak]`; 100,000,000 cycles in the full run. The last keeps some
//! memory on purpose, and the run must then fail.
#![allow(unsafe_code)]

use lwproc::{Kernel, KillTarget, Lwp, Rfork, SigModel, WaitChannel};
use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
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

/// What an LWP sleeps for is there once it has registered; nobody wakes the channel.
fn sleeps(kernel: &Kernel, cycles: usize, _keep: usize) {
    static CHANNEL: LazyLock<WaitChannel> = LazyLock::new(WaitChannel::new);
    let mut k = kernel.enter().expect("not entered");
    k.rfork(Rfork::Fresh).expect("ids are left");
    for _ in 0..cycles {
        let mut looks = 0;
        let second = || {
            looks += 1;
            (looks > 2).then_some(())
        };
        k.sleep_on(&CHANNEL, second).expect("nobody interrupts it");
    }
    k.release().expect("not held");
}

/// Interrupts some sleepers of one channel, one after the other; whether that makes the
/// others look.
fn crowd_looks() -> bool {
    const SLEEPERS: usize = 200;
    let kernel = Kernel::builder().signal_model(SigModel::Record).build().expect("by default");
    let (channel, looks, awake) = (WaitChannel::new(), AtomicUsize::new(0), AtomicUsize::new(0));
    let lwps: Vec<Lwp> =
        (0..SLEEPERS).map(|_| kernel.spawn().start().expect("ids are left")).collect();
    let lids: Vec<_> = lwps.iter().map(Lwp::lid).collect();
    std::thread::scope(|s| {
        let (kernel, channel, looks, awake) = (&kernel, &channel, &looks, &awake);
        for lwp in lwps {
            let sleeper = move || {
                let mut k = kernel.enter().expect("not entered");
                k.switch(lwp).expect("the same kernel");
                let slept = k.sleep_on(channel, || {
                    looks.fetch_add(1, SeqCst);
                    None::<()>
                });
                slept.expect_err("only a signal ends it");
                awake.fetch_add(1, SeqCst);
                k.release().expect("not held");
            };
            std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(s, sleeper)
                .expect("memory is left");
        }
        // Before, and after each has registered.
        while looks.load(SeqCst) < 3 * SLEEPERS {
            std::thread::yield_now();
        }
        let k = kernel.enter().expect("not entered");
        for (i, lid) in lids.into_iter().enumerate() {
            k.signals().kill(KillTarget::Lwp(lid), 15).expect("it lives");
            while awake.load(SeqCst) <= i {
                std::thread::yield_now();
            }
        }
    });
    let looks = looks.load(SeqCst);
    println!("interrupted: sleepers {SLEEPERS}, looks {looks}");
    looks > 3 * SLEEPERS
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
    let fewer = (cycles / 10).max(200_000);
    let all: [(&str, Shape, usize); 3] =
        [("same", same, cycles), ("apart", apart, fewer), ("sleeps", sleeps, fewer)];
    // Only the first one leaks when told to.
    let shapes = if keep > 0 { &all[..1] } else { &all[..] };
    let mut grown: Vec<&str> = shapes
        .iter()
        .filter_map(|&(name, shape, cycles)| grows(name, shape, cycles, keep).then_some(name))
        .collect();
    if keep == 0 && crowd_looks() {
        grown.push("interrupted");
    }
    if !grown.is_empty() {
        eprintln!("grows: {}", grown.join(", "));
    }
    ExitCode::from(u8::from(!grown.is_empty()))
}
