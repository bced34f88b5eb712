//! An allocator in which no thread ever waits for another.
//!
//! Each thread has its own free lists, one for each power of two; what it frees
//! goes to its own list, whoever allocated it. Lists are refilled from chunks that
//! the thread maps for itself; large blocks are mapped and unmapped one by one. (The
//! system serialises mappings, but a thread cannot be frozen by a signal while it
//! holds the system's lock.) What a thread that ends had in its lists is lost: it
//! is for programs whose threads last.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr::null_mut;

const CHUNK: usize = 1 << 20;
/// The largest block in the lists, and the number of lists.
const LARGEST: usize = 1 << 16;
const CLASSES: usize = LARGEST.ilog2() as usize + 1;

struct Arena {
    free: [Cell<*mut u8>; CLASSES],
    chunk: Cell<*mut u8>,
    left: Cell<usize>,
}

std::thread_local! {
    // Constant and without a destructor: using it allocates and registers nothing.
    static ARENA: Arena = const {
        Arena {
            free: [const { Cell::new(null_mut()) }; CLASSES],
            chunk: Cell::new(null_mut()),
            left: Cell::new(0),
        }
    };
}

/// See the module.
#[derive(Debug)]
pub struct OwnArenas;

/// The list that a layout is in; `None` for one that is mapped.
fn class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(16).next_power_of_two();
    (size <= LARGEST).then(|| size.ilog2() as usize)
}

fn map(len: usize) -> *mut u8 {
    let (read_write, private) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new private mapping.
    let at = unsafe { libc::mmap(null_mut(), len, read_write, private, -1, 0) };
    if at == libc::MAP_FAILED { null_mut() } else { at.cast() }
}

impl Arena {
    fn alloc(&self, class: usize) -> *mut u8 {
        let first = self.free[class].get();
        if !first.is_null() {
            // SAFETY: a block of the free list begins with the address of the next.
            let next = unsafe { first.cast::<*mut u8>().read() };
            self.free[class].set(next);
            return first;
        }
        let size = 1 << class;
        // Chunks are page-aligned, and blocks aligned to their size in them.
        let pad = self.chunk.get().addr().wrapping_neg() & (size - 1);
        if self.left.get() < pad + size {
            self.chunk.set(map(CHUNK));
            self.left.set(if self.chunk.get().is_null() { 0 } else { CHUNK });
            return if self.left.get() == 0 { null_mut() } else { self.alloc_aligned(size) };
        }
        self.chunk.set(self.chunk.get().wrapping_add(pad));
        self.left.set(self.left.get() - pad);
        self.cut(size)
    }

    fn alloc_aligned(&self, size: usize) -> *mut u8 {
        let pad = self.chunk.get().addr().wrapping_neg() & (size - 1);
        self.chunk.set(self.chunk.get().wrapping_add(pad));
        self.left.set(self.left.get() - pad);
        self.cut(size)
    }

    fn cut(&self, size: usize) -> *mut u8 {
        let block = self.chunk.get();
        self.chunk.set(block.wrapping_add(size));
        self.left.set(self.left.get() - size);
        block
    }
}

// SAFETY: blocks are disjoint, aligned, and as long as asked for; a thread's lists are
// used by that thread alone, and no signal handler of ours allocates.
unsafe impl GlobalAlloc for OwnArenas {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout) {
            Some(class) => ARENA.with(|arena| arena.alloc(class)),
            None => map(layout.size()),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout) {
            Some(class) => ARENA.with(|arena| {
                // SAFETY: at least 16 bytes, and free from now on.
                unsafe { block.cast::<*mut u8>().write(arena.free[class].get()) };
                arena.free[class].set(block);
            }),
            None => {
                // SAFETY: mapped by `alloc` with this length.
                unsafe { libc::munmap(block.cast(), layout.size()) };
            }
        }
    }
}
