//! What a process and an LWP take, by an allocator that counts: the bytes that
//! were asked for, and what the live set's allocations are, for one more of each.
#![allow(unsafe_code)]

use lwproc::{Kernel, Lwp, Rfork};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

struct Counting;

static BYTES: AtomicI64 = AtomicI64::new(0);
static BLOCKS: AtomicI64 = AtomicI64::new(0);

fn count(bytes: i64, blocks: i64) {
    // Relaxed: counts, read when nothing else runs.
    BYTES.fetch_add(bytes, Relaxed);
    BLOCKS.fetch_add(blocks, Relaxed);
}

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout), 1);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout), 1);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-size(layout), -1);
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MANY: usize = 1 << 16;

/// Prints what `MANY` more of something take, for each.
fn measure(what: &str, kernel: &Kernel, make: impl Fn(&Kernel) -> Lwp) {
    let mut lwps = Vec::with_capacity(2 * MANY);
    // Garbage and tables that grow in large steps are there already.
    lwps.extend((0..MANY).map(|_| make(kernel)));
    let before = (BYTES.load(Relaxed), BLOCKS.load(Relaxed));
    lwps.extend((0..MANY).map(|_| make(kernel)));
    kernel.flush();
    let each = |now: i64, before: i64| (now - before) as f64 / MANY as f64;
    let bytes = each(BYTES.load(Relaxed), before.0);
    let blocks = each(BLOCKS.load(Relaxed), before.1);
    println!("{what:<44} {bytes:>8.1} bytes {blocks:>6.2} blocks");
}

fn main() {
    println!("for one more of {MANY}; slots of ids in segments that double are in it");
    measure("a process with its first LWP", &Kernel::new(), |kernel| {
        kernel.spawn().start().expect("ids")
    });
    let kernel = Kernel::new();
    let first = kernel.spawn().start().expect("ids");
    measure("a further LWP", &kernel, |kernel| kernel.new_lwp(first.pid()).expect("ids"));
    measure("a forked process, descriptors shared", &Kernel::new(), |kernel| {
        let mut k = kernel.enter().expect("not entered");
        k.rfork(Rfork::Share).expect("ids");
        k.unbind().expect("not exiting").expect("forked")
    });
}
