//! Stopping a thread wherever it is: a signal handler that blocks.
//!
//! Where a signal meets a thread is not quite random: mostly where the system has just
//! switched away from it. So a thread may be asked to go on for some instructions
//! first, one by one (the processor's trap flag; on other processors than x86-64 it
//! stops at once). [`crawl`] uses the same to make a thread so slow, and its pauses so
//! many, that calls of a few hundred instructions meet at each of them.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::null;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};

/// The most threads that can be frozen.
pub const THREADS: usize = 16;

const RUNS: u32 = 0;
const ASKED: u32 = 1;
const FROZEN: u32 = 2;

/// Whether each thread is to stop, or stands: what its handler waits on.
static CELLS: [AtomicU32; THREADS] = [const { AtomicU32::new(RUNS) }; THREADS];
/// How many instructions each has still to go before it stops.
static STEPS: [AtomicU32; THREADS] = [const { AtomicU32::new(0) }; THREADS];
/// The instruction at which each was stopped last.
static STOPPED_AT: [AtomicUsize; THREADS] = [const { AtomicUsize::new(0) }; THREADS];

std::thread_local! {
    static ME: Cell<usize> = const { Cell::new(usize::MAX) };
    /// The state of the generator of a thread that crawls; 0 of one that does not.
    static CRAWLS: Cell<u32> = const { Cell::new(0) };
}

/// A thread that can be frozen.
#[derive(Clone, Copy, Debug)]
pub struct Freezable {
    thread: libc::pthread_t,
    index: usize,
}

fn futex(cell: &AtomicU32, operation: libc::c_int, value: u32) {
    let no_timeout = null::<libc::timespec>();
    // SAFETY: a futex on a static cell; async-signal-safe.
    unsafe { libc::syscall(libc::SYS_futex, cell.as_ptr(), operation, value, no_timeout) };
}

/// The instruction that a handler has interrupted; steps on from it one by one, or no
/// longer does.
#[cfg(target_arch = "x86_64")]
fn interrupted(context: *mut libc::c_void, step: bool) -> usize {
    const TRAP: libc::greg_t = 1 << 8;
    let context: *mut libc::ucontext_t = context.cast();
    // SAFETY: what the system passes to a handler that asked for it.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    let flags = &mut registers[libc::REG_EFL as usize];
    *flags = if step { *flags | TRAP } else { *flags & !TRAP };
    registers[libc::REG_RIP as usize] as usize
}

#[cfg(not(target_arch = "x86_64"))]
fn interrupted(_: *mut libc::c_void, _: bool) -> usize {
    0
}

/// Uses no memory but static cells and the thread's own, and leaves errno as it was.
extern "C" fn handler(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let me = ME.get();
    if me == usize::MAX {
        let mut random = CRAWLS.get();
        interrupted(context, random != 0);
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        CRAWLS.set(random);
        if random % 512 == 1 {
            // SAFETY: gives the processor to another thread; async-signal-safe.
            unsafe { libc::sched_yield() };
        }
        return;
    }
    let steps = STEPS[me].load(SeqCst);
    // A signal may come when it has stood already.
    let asked = CELLS[me].load(SeqCst) == ASKED;
    let on = cfg!(target_arch = "x86_64") && asked && steps > 0;
    let instruction = interrupted(context, on);
    if !asked {
        return;
    }
    if on {
        STEPS[me].store(steps - 1, SeqCst);
        return;
    }
    // SAFETY: the thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: valid for this thread.
    let before = unsafe { *errno };
    STOPPED_AT[me].store(instruction, SeqCst);
    CELLS[me].store(FROZEN, SeqCst);
    while CELLS[me].load(SeqCst) == FROZEN {
        futex(&CELLS[me], libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, FROZEN);
    }
    // SAFETY: valid for this thread.
    unsafe { *errno = before };
}

/// Installs the handler, once for the program.
pub fn install() {
    // SAFETY: all-zero is a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // Neither interrupts the other's handler: a trap in there would kill the program.
    for signal in [libc::SIGUSR1, libc::SIGTRAP] {
        // SAFETY: the mask of a zeroed action is an empty set.
        unsafe { libc::sigaddset(&raw mut action.sa_mask, signal) };
    }
    for signal in [libc::SIGUSR1, libc::SIGTRAP] {
        // SAFETY: the handler is async-signal-safe.
        let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
        assert_eq!(result, 0, "sigaction");
    }
}

/// From now on the calling thread, which is not one that can be frozen, runs instruction by
/// instruction, and yields now and then. Does nothing on other processors than x86-64.
pub fn crawl(seed: u32) {
    CRAWLS.set(seed.max(1));
    // SAFETY: to this thread.
    unsafe { libc::raise(libc::SIGTRAP) };
}

/// Ends [`crawl`].
pub fn run() {
    CRAWLS.set(0);
}

impl Freezable {
    /// The calling thread, as number `index`.
    pub fn me(index: usize) -> Self {
        assert!(index < THREADS);
        ME.set(index);
        // SAFETY: always valid.
        Self { thread: unsafe { libc::pthread_self() }, index }
    }

    /// Asks it to stop, `steps` instructions from where it is. It does not get there while
    /// it sleeps in the system: then ask again, for none.
    pub fn ask(self, steps: u32) {
        STEPS[self.index].store(steps, SeqCst);
        // It may stand already, if this is not the first time.
        let _ = CELLS[self.index].compare_exchange(RUNS, ASKED, SeqCst, SeqCst);
        // SAFETY: the threads of the harness end after the last freeze.
        let result = unsafe { libc::pthread_kill(self.thread, libc::SIGUSR1) };
        assert_eq!(result, 0, "pthread_kill");
    }

    /// The instruction it stands at; `None` while it runs.
    pub fn stands_at(self) -> Option<usize> {
        (CELLS[self.index].load(SeqCst) == FROZEN).then(|| STOPPED_AT[self.index].load(SeqCst))
    }

    /// Lets it go on.
    pub fn thaw(self) {
        CELLS[self.index].store(RUNS, SeqCst);
        futex(&CELLS[self.index], libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
    }
}
