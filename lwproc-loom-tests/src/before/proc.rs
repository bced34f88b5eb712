//! What the C code does to a process.

use super::{FREED_TWICE, Memory, USED_AFTER_FREE, both};
use crate::runner::{Model, pair};
use loom::sync::atomic::AtomicBool;
use loom::sync::{Mutex, MutexGuard};
use std::sync::atomic::Ordering::SeqCst;

pub fn models() -> Vec<Model> {
    vec![
        pair("before_r1_found_then_attached", r1).fails(USED_AFTER_FREE),
        pair("before_r2_attach_without_a_look_at_the_state", r2).fails(ON_A_CORPSE),
        pair("before_r3_id_given_before_the_lock_is_made", r3).fails(EMBRYO),
        pair("before_r4_state_read_again_after_the_unlock", r4).fails(FREED_TWICE),
        pair("before_r5_table_held_after_the_attach", r5).fails(USED_AFTER_FREE),
        pair("before_r9_gate_looked_at_twice", r9).fails(KASSERT),
        pair("before_r10_marked_then_closed", r10).fails(NOT_TOLD),
        pair("before_r16_look_up_without_a_lock", r16).fails(USED_AFTER_FREE),
        pair("before_r18_hooks_after_the_id_is_free", r18).fails(ANOTHERS_PID),
    ]
}

const ON_A_CORPSE: &str = "attached to a corpse";
const EMBRYO: &str = "its lock was not made yet";
const KASSERT: &str = "LWPEXIT is set, where it was not a moment ago";
const NOT_TOLD: &str = "neither told to exit nor refused";
const ANOTHERS_PID: &str = "the hook's pid is another's";

#[derive(Default)]
struct Own {
    nlwps: u32,
    dead: bool,
    draining: bool,
    /// For each LWP but the first: told to exit.
    told: Vec<bool>,
}

/// `proc_lock` is the table's: whether the one process is in it. `p_lock` is its own.
#[derive(Default)]
struct World {
    table: Mutex<bool>,
    own: Mutex<Own>,
    memory: Memory,
    files: Memory,
}

impl World {
    fn new(nlwps: u32) -> Self {
        let own = Own { nlwps, ..Own::default() };
        Self { table: Mutex::new(true), own: Mutex::new(own), ..Self::default() }
    }

    fn p_lock(&self) -> MutexGuard<'_, Own> {
        self.memory.used();
        self.own.lock().unwrap()
    }

    fn found(&self) -> bool {
        *self.table.lock().unwrap()
    }

    /// S309-S341.
    fn freelwp(&self) {
        let mut own = self.p_lock();
        own.nlwps -= 1;
        own.dead = own.nlwps == 0;
        drop(own);
        // The LWP itself goes meanwhile.
        if self.p_lock().dead {
            *self.table.lock().unwrap() = false;
            self.memory.free();
        }
    }
}

fn r1() {
    let newlwp = |w: &World| {
        if w.found() {
            // "XXX what holds proc?"
            w.p_lock().nlwps += 1;
        }
    };
    both(World::new(1), newlwp, World::freelwp);
}

/// As R1, in a C whose memory is never freed.
fn r2() {
    let newlwp = |w: &World| {
        if w.found() {
            let mut own = w.own.lock().unwrap();
            own.nlwps += 1;
            assert!(!own.dead, "{ON_A_CORPSE}");
        }
    };
    let last = |w: &World| {
        let mut own = w.own.lock().unwrap();
        own.nlwps -= 1;
        own.dead = own.nlwps == 0;
        drop(own);
        *w.table.lock().unwrap() = false;
    };
    both(World::new(1), newlwp, last);
}

fn r3() {
    struct Embryo(Mutex<bool>, AtomicBool);
    let find = |p: &Embryo| {
        if *p.0.lock().unwrap() {
            assert!(p.1.load(SeqCst), "{EMBRYO}");
        }
    };
    let newproc = |p: &Embryo| {
        // S229: the id, and with it the process.
        *p.0.lock().unwrap() = true;
        // S274: its lock.
        p.1.store(true, SeqCst);
    };
    both(Embryo(Mutex::new(false), AtomicBool::new(false)), find, newproc);
}

fn r4() {
    let release = |w: &World| {
        let mut own = w.own.lock().unwrap();
        own.nlwps -= 1;
        own.dead = own.nlwps == 0;
        drop(own);
        // S340. It may be freed: this model says so only when it is freed again.
        if w.own.lock().unwrap().dead {
            w.memory.free();
        }
    };
    both(World::new(2), release, release);
}

/// R1 to R4 apart: a process that lives, and a table that the LWPs hold.
fn r5() {
    fn leave(w: &World) {
        let mut own = w.own.lock().unwrap();
        own.nlwps -= 1;
        // `fd_free`: the last reference. The new LWP has none yet.
        w.files.free();
    }
    let newlwp = |w: &World| {
        // S369: it is there, with the process's table.
        w.own.lock().unwrap().nlwps += 1;
        // S389: `fd_hold`.
        w.files.used();
    };
    both(World::new(1), newlwp, leave);
}

fn r9() {
    let newlwp = |w: &World| {
        if w.own.lock().unwrap().draining {
            return;
        }
        let mut own = w.own.lock().unwrap();
        // S368.
        assert!(!own.draining, "{KASSERT}");
        own.nlwps += 1;
    };
    both(World::new(1), newlwp, |w| w.own.lock().unwrap().draining = true);
}

fn r10() {
    let newlwp = |w: &World| {
        let mut own = w.own.lock().unwrap();
        if !own.draining {
            own.told.push(false);
        }
    };
    let lwpexit = |w: &World| {
        w.own.lock().unwrap().told.iter_mut().for_each(|told| *told = true);
        w.own.lock().unwrap().draining = true;
    };
    let w = both(World::new(1), newlwp, lwpexit);
    assert!(w.own.lock().unwrap().told.iter().all(|told| *told), "{NOT_TOLD}");
}

/// The memory of a process is expected to stay a process's.
fn r16() {
    let look = |w: &World| {
        if w.found() {
            w.memory.used();
        }
    };
    let end = |w: &World| {
        *w.table.lock().unwrap() = false;
        w.memory.free();
    };
    both(World::new(1), look, end);
}

/// The slot of one id: free, the dying process's (1), or another's (2).
fn r18() {
    let proc_free = |slot: &Mutex<u32>| {
        *slot.lock().unwrap() = 0;
        // The hooks, S188: whose is the pid that they are told?
        assert_ne!(*slot.lock().unwrap(), 2, "{ANOTHERS_PID}");
    };
    let newproc = |slot: &Mutex<u32>| {
        let mut slot = slot.lock().unwrap();
        if *slot == 0 {
            *slot = 2;
        }
    };
    both(Mutex::new(1), newproc, proc_free);
}
