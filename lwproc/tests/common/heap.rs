//! What a thread has allocated and not freed: a reference that is left keeps something.
//! For the tests that count; it is their allocator.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(by: isize) {
    // At a thread's end, when its storage is gone, nobody measures.
    let _ = LIVE.try_with(|live| live.set(live.get() + by));
}

// SAFETY: it is the system's, which is counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1);
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-1);
        // SAFETY: by contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations of this thread live; those of others that it freed are taken off.
pub fn live() -> isize {
    LIVE.get()
}
