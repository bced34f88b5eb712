//! The defects of the C code (R1 to R19), each in a small model of what it does,
//! in our words: these must fail. Their twins, which must pass, run our own code,
//! and have the same number (`r1_...`).
//!
//! Loom is not the tool for R11 and for parts of R15, R18 and R19: their tests are
//! in `lwproc/tests/defects.rs`.

mod lwp;
mod proc;
mod process_data;

use crate::full::{assert_empty, at_once};
use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicBool;
use lwproc::{Kernel, Pid};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

pub fn models() -> Vec<Model> {
    [proc::models(), lwp::models(), process_data::models()].concat()
}

/// Those of our own code: a name of its own for a model that is there.
const AFTER: [(&str, &str); 17] = [
    ("r1_newlwp_against_last_release", "kernel_newlwp_against_last_release"),
    ("r2_attach_against_last_detach", "word_attach_against_last_detach"),
    ("r3_fork_against_find", "kernel_fork_against_find"),
    ("r4_release_against_release", "kernel_release_against_release"),
    ("r5_newlwp_against_last_close", "kernel_files_newlwp_against_last_release"),
    ("r6_claim_against_claim", "kernel_claim_against_claim"),
    ("r7_unclaim_against_claim", "kernel_unclaim_against_claim_by_id"),
    ("r8_hold_against_mark", "word_hold_against_mark"),
    ("r9_attach_against_gate", "word_attach_against_gate"),
    ("r10_drain_against_newlwp", "drain_against_newlwp"),
    ("r12_set_of_limits_against_fork", "limit_set_against_fork"),
    ("r13_fork_against_setsid", "groups_fork_against_setsid"),
    ("r14_fork_against_setcred", "pair_rfork_setcred"),
    ("r15_newlwp_leaks_nothing", "pair_newlwp_release"),
    ("r16_look_against_release", "kernel_handle_against_release"),
    ("r17_bind_of_a_new_lwp_against_claim", "pair_switch_claim"),
    ("r19_switch_and_release_against_claim", "kernel_exit_switch_against_claim_by_id"),
];

/// The models of our own code that have a defect's number.
pub fn after(models: &[Model]) -> Vec<Model> {
    let named = |(name, of)| {
        let model = models.iter().find(|m| m.name == of);
        Model { name, ..model.unwrap_or_else(|| panic!("no model {of}")).clone() }
    };
    let mut after: Vec<Model> = AFTER.into_iter().map(named).collect();
    after.push(pair("r18_hook_against_reuse_of_the_id", hook_against_reuse));
    after
}

/// A hook finds the process it is called for under its number, in its group, though
/// another thread wants an id at that time.
fn hook_against_reuse() {
    let kernel: Arc<Kernel> = Arc::new(Kernel::builder().id_capacity(3).build().unwrap());
    let weak = Arc::downgrade(&kernel);
    kernel.add_exit_hook(move |proc| {
        let kernel = weak.upgrade().expect("it lives as long as its hooks run");
        let guard = kernel.pin();
        let found = guard.proc(proc.pid()).expect("its id is its own");
        assert_eq!((found.identity(), found.nlwps()), (proc.identity(), 0));
        assert_eq!(proc.pgid(), Some(Pid(0)));
    });
    let (lwp, k) = (kernel.spawn().start().unwrap(), kernel.clone());
    let (other, ()) = at_once(&kernel, move || k.spawn().start().unwrap(), move || drop(lwp));
    drop(other);
    assert_empty(&kernel);
}

/// Memory that tells when it is used after it was freed.
#[derive(Default)]
struct Memory(AtomicBool);

const USED_AFTER_FREE: &str = "used after it was freed";
const FREED_TWICE: &str = "freed twice";

impl Memory {
    fn used(&self) {
        assert!(!self.0.load(SeqCst), "{USED_AFTER_FREE}");
    }

    fn free(&self) {
        assert!(!self.0.swap(true, SeqCst), "{FREED_TWICE}");
    }
}

/// Runs the two at once on what they share.
fn both<T: Send + Sync + 'static>(shared: T, there: fn(&T), here: fn(&T)) -> Arc<T> {
    let shared = Arc::new(shared);
    let other = shared.clone();
    let t = loom::thread::spawn(move || there(&other));
    here(&shared);
    t.join().unwrap();
    shared
}
