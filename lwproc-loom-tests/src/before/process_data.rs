//! What the C code does to what a process has.

use super::both;
use crate::runner::{Model, pair};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::atomic::Ordering::SeqCst;

pub fn models() -> Vec<Model> {
    vec![
        pair("before_r11_shared_although_it_can_be_written", r11).fails(CHANGED_BY_ANOTHER),
        pair("before_r12_limits_loaded_twice", r12).fails(WRONG_COUNT),
        pair("before_r13_group_copied_then_linked", r13).fails(IN_ANOTHER_GROUP),
        pair("before_r14_charged_before_the_creds_are_taken", r14).fails(CHARGED_TO_ANOTHER),
    ]
}

const CHANGED_BY_ANOTHER: &str = "the parent's limit was changed by its child";
const WRONG_COUNT: &str = "a reference to one set, a pointer to another";
const IN_ANOTHER_GROUP: &str = "it is not in the group that it names";
const CHARGED_TO_ANOTHER: &str = "the process is charged to another user";

/// `lim_addref` of a set that its owner may write: no race is needed.
fn r11() {
    struct Limits {
        writable: bool,
        nofile: AtomicU32,
    }
    let parents = Limits { writable: true, nofile: AtomicU32::new(64) };
    let childs = &parents;
    // The child's `setrlimit`: copies first unless it may write.
    if childs.writable {
        childs.nofile.store(5, SeqCst);
    }
    assert_eq!(parents.nofile.load(SeqCst), 64, "{CHANGED_BY_ANOTHER}");
}

fn r12() {
    struct Limits {
        /// Which set the parent has, and the child.
        parents: AtomicUsize,
        childs: AtomicUsize,
        references: [AtomicU32; 2],
    }
    let new = |n| AtomicU32::new(n);
    let limits = Limits {
        parents: AtomicUsize::new(0),
        childs: AtomicUsize::new(0),
        references: [new(1), new(0)],
    };
    let newproc = |l: &Limits| {
        // S268: a reference to one.
        l.references[l.parents.load(SeqCst)].fetch_add(1, SeqCst);
        // S269: the pointer to one.
        l.childs.store(l.parents.load(SeqCst), SeqCst);
    };
    let setrlimit = |l: &Limits| {
        l.references[1].fetch_add(1, SeqCst);
        l.parents.store(1, SeqCst);
        l.references[0].fetch_sub(1, SeqCst);
    };
    let l = both(limits, newproc, setrlimit);
    let users = |set| [&l.parents, &l.childs].iter().filter(|p| p.load(SeqCst) == set).count();
    for set in [0, 1] {
        assert_eq!(l.references[set].load(SeqCst) as usize, users(set), "{WRONG_COUNT}");
    }
}

fn r13() {
    struct Groups {
        /// What `p_pgrp` says, of parent and child; and the lists they are in.
        named: [AtomicUsize; 2],
        listed: Mutex<[usize; 2]>,
    }
    let newproc = |g: &Groups| {
        // S233, without the lock.
        g.named[1].store(g.named[0].load(SeqCst), SeqCst);
        // S296: beside the parent, wherever that is.
        let mut listed = g.listed.lock().unwrap();
        listed[1] = listed[0];
    };
    let setpgid = |g: &Groups| {
        let mut listed = g.listed.lock().unwrap();
        listed[0] = 1;
        g.named[0].store(1, SeqCst);
    };
    let zero = || AtomicUsize::new(0);
    let groups = Groups { named: [zero(), zero()], listed: Mutex::new([0, 0]) };
    let g = both(groups, newproc, setpgid);
    assert_eq!(g.named[1].load(SeqCst), g.listed.lock().unwrap()[1], "{IN_ANOTHER_GROUP}");
}

fn r14() {
    #[derive(Default)]
    struct Creds {
        parents: AtomicUsize,
        childs: AtomicUsize,
        procs: [AtomicU32; 2],
    }
    let newproc = |c: &Creds| {
        // S222.
        let uid = c.parents.load(SeqCst);
        // S285: `kauth_proc_fork`.
        c.childs.store(c.parents.load(SeqCst), SeqCst);
        // S290.
        c.procs[uid].fetch_add(1, SeqCst);
    };
    let c = both(Creds::default(), newproc, |c| c.parents.store(1, SeqCst));
    let uid = c.childs.load(SeqCst);
    assert_eq!(c.procs[uid].load(SeqCst), 1, "{CHARGED_TO_ANOTHER}");
}
