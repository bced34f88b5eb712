//! What the C code does to an LWP.

use super::{Memory, USED_AFTER_FREE, both};
use crate::runner::{Model, pair};
use loom::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::atomic::Ordering::SeqCst;

pub fn models() -> Vec<Model> {
    vec![
        pair("before_r6_tested_then_set", r6).fails(RUN_TWICE),
        pair("before_r7_unclaimed_before_it_is_left", r7).fails(STILL_BOUND),
        pair("before_r8_flags_changed_without_a_lock", r8).fails(MARK_LOST),
        pair("before_r15_allocated_and_forgotten", r15).fails(LEAKED),
        pair("before_r17_bound_without_a_claim", r17).fails(RUN_TWICE),
        pair("before_r19_switch_to_what_is_gone", r19).fails(USED_AFTER_FREE),
    ]
}

const RUN_TWICE: &str = "two threads run one LWP";
const STILL_BOUND: &str = "the thread is still bound";
const MARK_LOST: &str = "a mark is lost";
const LEAKED: &str = "allocated and not freed";

#[derive(Default)]
struct Lwp {
    running: AtomicBool,
    /// `LW_RUMP_CLEAR`: on the LWP, not on the thread.
    clear: AtomicBool,
    flags: AtomicU32,
    /// Threads that run as it.
    runners: AtomicU32,
    memory: Memory,
}

impl Lwp {
    fn run(&self) {
        assert_eq!(self.runners.fetch_add(1, SeqCst), 0, "{RUN_TWICE}");
    }

    /// S478 to S498.
    fn switch_to(&self) {
        if !self.running.load(SeqCst) {
            self.running.store(true, SeqCst);
            self.run();
        }
    }

    /// Leaves the kernel: whether the thread is off the LWP.
    fn leave(&self) -> bool {
        self.clear.swap(false, SeqCst)
    }
}

fn r6() {
    both(Lwp::default(), Lwp::switch_to, Lwp::switch_to);
}

/// With a claim that is atomic.
fn r7() {
    let lwp = Lwp { running: AtomicBool::new(true), ..Lwp::default() };
    let binder = |lwp: &Lwp| {
        if lwp.running.compare_exchange(false, true, SeqCst, SeqCst).is_ok() {
            // It runs as the LWP, and leaves; and stays bound, or so it thinks.
            lwp.leave();
        }
    };
    let switch_to_null = |lwp: &Lwp| {
        lwp.running.store(false, SeqCst);
        lwp.clear.store(true, SeqCst);
        assert!(lwp.leave(), "{STILL_BOUND}");
    };
    both(lwp, binder, switch_to_null);
}

fn r8() {
    const PENDSIG: u32 = 1;
    const QEXIT: u32 = 2;
    fn set(lwp: &Lwp, bit: u32) {
        lwp.flags.store(lwp.flags.load(SeqCst) | bit, SeqCst);
    }
    let lwp = both(Lwp::default(), |l| set(l, PENDSIG), |l| set(l, QEXIT));
    assert_eq!(lwp.flags.load(SeqCst), PENDSIG | QEXIT, "{MARK_LOST}");
}

/// S419 allocates an LWP, S353 another; no race is needed.
fn r15() {
    let allocated = AtomicU32::new(0);
    let (s419, s353) = (allocated.fetch_add(1, SeqCst), allocated.fetch_add(1, SeqCst));
    // S338, for the one that there is a pointer to.
    let _ = (s419, s353);
    allocated.fetch_sub(1, SeqCst);
    assert_eq!(allocated.load(SeqCst), 0, "{LEAKED}");
}

fn r17() {
    // A kernel thread runs as the LWP that was made for it.
    both(Lwp::default(), Lwp::run, Lwp::switch_to);
}

fn r19() {
    // Both have a pointer; nothing says that it is no good any more.
    let switch = |lwp: &Lwp| {
        lwp.memory.used();
        lwp.switch_to();
    };
    both(Lwp::default(), switch, |lwp| lwp.memory.free());
}
