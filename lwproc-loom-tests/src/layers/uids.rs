//! What a user is charged: a limit against others that charge and refund, and a charge
//! that follows its process's.

use crate::runner::{Model, pair};
use loom::sync::atomic::fence;
use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use lwproc::layers::{Charge, Lane, Most, OverLimit, Uids};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("uids_limit_against_move_upwards", || limit_against_move(0, 1)),
        pair("uids_limit_against_move_downwards", || limit_against_move(1, 0)),
        pair("uids_move_upwards_against_limit", || move_against_limit(0, 1)),
        pair("uids_move_downwards_against_limit", || move_against_limit(1, 0)),
        pair("uids_limit_against_release_upwards", || limit_against_release(0, 1)),
        pair("uids_limit_against_release_downwards", || limit_against_release(1, 0)),
        pair("uids_lwp_limit_against_lwp_limit", lwp_limit_against_lwp_limit),
        pair("uids_lwp_limit_against_birth_upwards", || lwp_limit_against_birth(0, 1)),
        pair("uids_lwp_limit_against_birth_downwards", || lwp_limit_against_birth(1, 0)),
        pair("uids_lwp_limit_against_end_upwards", || lwp_limit_against_end(0, 1)),
        pair("uids_lwp_limit_against_end_downwards", || lwp_limit_against_end(1, 0)),
        pair("uids_task_limit_against_task_limit", task_limit_against_task_limit),
        pair("uids_task_limit_against_end_upwards", || task_limit_against_end(0, 1)),
        pair("uids_task_limit_against_end_downwards", || task_limit_against_end(1, 0)),
        pair("uids_charge_follows_two_changes", follows_two_changes),
        pair("uids_charge_follows_against_give_back", follows_against_give_back),
        pair("uids_charge_given_back_against_follow", given_back_against_follow),
    ]
}

/// One process is always there: charged in one lane, the other refunded in another.
fn move_in(uids: &Uids, from: usize, to: usize) {
    uids.get(7).count_procs(Lane::of(from), 1);
    uids.get(7).count_procs(Lane::of(to), -1);
}

fn one() -> Arc<Uids> {
    let uids = Arc::new(Uids::new());
    uids.get(7).count_procs(Lane::of(1), 1);
    uids
}

/// A user that always has one may have no second; whoever adds its lanes up meanwhile.
fn limit_against_move(from: usize, to: usize) {
    let uids = one();
    let there = uids.clone();
    let t =
        loom::thread::spawn(move || there.get(7).charge_proc(Lane::of(0), Some(Most::Procs(1))));
    move_in(&uids, from, to);
    assert_eq!(t.join().unwrap(), Err(OverLimit));
    assert_eq!(uids.get(7).counts().0, 1);
}

fn move_against_limit(from: usize, to: usize) {
    let uids = one();
    let there = uids.clone();
    let t = loom::thread::spawn(move || move_in(&there, from, to));
    assert_eq!(uids.get(7).charge_proc(Lane::of(0), Some(Most::Procs(1))), Err(OverLimit));
    t.join().unwrap();
    assert_eq!(uids.get(7).counts().0, 1);
}

/// A user that never has more than one may have a second.
fn limit_against_release(from: usize, to: usize) {
    let uids = one();
    let there = uids.clone();
    let t =
        loom::thread::spawn(move || there.get(7).charge_proc(Lane::of(0), Some(Most::Procs(2))));
    uids.get(7).count_procs(Lane::of(from), -1);
    uids.get(7).count_procs(Lane::of(to), 1);
    assert_eq!(t.join().unwrap(), Ok(()));
    assert_eq!(uids.get(7).counts().0, 2);
}

/// A process of two LWPs.
fn two_lwps() -> Arc<Uids> {
    let uids = one();
    uids.get(7).add_lwps(Lane::of(1), 2);
    uids
}

/// A user that has one LWP, the first not counted, may have one more: both is too much.
fn lwp_limit_against_lwp_limit() {
    let uids = two_lwps();
    let there = uids.clone();
    let t = loom::thread::spawn(move || {
        there.get(7).charge_lwp(Lane::of(0), [Some(Most::Lwps(2)), None])
    });
    let here = uids.get(7).charge_lwp(Lane::of(1), [Some(Most::Lwps(2)), None]);
    let both = t.join().unwrap().and(here);
    assert_eq!(both, Err(OverLimit));
    assert!(uids.get(7).counts().1 <= 2);
}

/// A process comes, with its first LWP: there is no room for a further one meanwhile.
fn lwp_limit_against_birth(lwp: usize, proc: usize) {
    let uids = two_lwps();
    let there = uids.clone();
    let t = loom::thread::spawn(move || {
        there.get(7).charge_lwp(Lane::of(0), [Some(Most::Lwps(1)), None])
    });
    uids.get(7).add_lwps(Lane::of(lwp), 1);
    uids.get(7).count_procs(Lane::of(proc), 1);
    assert_eq!(t.join().unwrap(), Err(OverLimit));
    assert_eq!(uids.get(7).counts(), (2, 1));
}

/// A process goes, with its last LWP: a zombie first.
fn lwp_limit_against_end(lwp: usize, proc: usize) {
    let uids = two_lwps();
    uids.get(7).add_lwps(Lane::of(0), 1);
    uids.get(7).count_procs(Lane::of(0), 1);
    let there = uids.clone();
    let t = loom::thread::spawn(move || {
        there.get(7).charge_lwp(Lane::of(0), [Some(Most::Lwps(1)), None])
    });
    uids.get(7).add_zombies(Lane::of(proc), 1);
    uids.get(7).add_lwps(Lane::of(lwp), -1);
    uids.get(7).count_procs(Lane::of(lwp), -1);
    uids.get(7).add_zombies(Lane::of(proc), -1);
    assert_eq!(t.join().unwrap(), Err(OverLimit));
    assert_eq!(uids.get(7).counts(), (1, 1));
}

/// A user of two LWPs that may have three: a process and a further LWP are too much.
fn task_limit_against_task_limit() {
    let uids = two_lwps();
    let there = uids.clone();
    let t = loom::thread::spawn(move || {
        let user = there.get(7);
        user.add_lwps(Lane::of(0), 1);
        let charged = user.charge_proc(Lane::of(0), Some(Most::Tasks(3)));
        charged.inspect_err(|_| user.add_lwps(Lane::of(0), -1))
    });
    let here = uids.get(7).charge_lwp(Lane::of(1), [None, Some(Most::Tasks(3))]);
    let both = t.join().unwrap().and(here);
    assert_eq!(both, Err(OverLimit));
    assert!(matches!(uids.get(7).counts(), (1, 1 | 2) | (2, 1)));
}

/// A process becomes a zombie: there is no room for a further LWP meanwhile.
fn task_limit_against_end(lwp: usize, proc: usize) {
    let uids = two_lwps();
    uids.get(7).add_lwps(Lane::of(0), 1);
    uids.get(7).count_procs(Lane::of(0), 1);
    let there = uids.clone();
    let t = loom::thread::spawn(move || {
        there.get(7).charge_lwp(Lane::of(0), [None, Some(Most::Tasks(3))])
    });
    uids.get(7).add_zombies(Lane::of(proc), 1);
    uids.get(7).add_lwps(Lane::of(lwp), -1);
    assert_eq!(t.join().unwrap(), Err(OverLimit));
    assert_eq!(uids.get(7).counts(), (2, 1));
}

/// A process's user, an LWP's charge, and the users that the charges are counted with.
struct Charged {
    uids: Uids,
    uid: AtomicU32,
    lwp: Charge,
}

impl Charged {
    fn new() -> Arc<Self> {
        let uids = Uids::new();
        uids.get(0).add_lwps(Lane::of(0), 1);
        let lwp = Charge::new(uids.get(0));
        Arc::new(Self { uid: AtomicU32::new(0), lwp, uids })
    }

    fn follow(&self, lane: usize) {
        let user = || Some(self.uids.get(self.uid.load(Relaxed)));
        self.lwp.follow(user, |user, by| user.add_lwps(Lane::of(lane), by));
    }

    fn change(&self, to: u32, lane: usize) {
        self.uid.swap(to, Relaxed);
        fence(std::sync::atomic::Ordering::SeqCst);
        self.follow(lane);
    }

    fn give_back(&self, lane: usize) {
        self.lwp.give_back().expect("once").add_lwps(Lane::of(lane), -1);
    }

    /// LWPs of the users 0 and 5.
    fn counts(&self) -> [i64; 2] {
        [0, 5].map(|uid| self.uids.get(uid).counts().1)
    }
}

/// To 5 and back, at once: the charge is with the last.
fn follows_two_changes() {
    let charged = Charged::new();
    let there = charged.clone();
    let t = loom::thread::spawn(move || there.change(5, 1));
    charged.change(0, 0);
    t.join().unwrap();
    let last = charged.uid.load(Relaxed);
    let charge = charged.lwp.get().expect("not given back");
    assert!(std::ptr::eq(charge, charged.uids.get(last)), "charged to another than {last}");
    assert_eq!(charged.counts(), if last == 0 { [1, 0] } else { [0, 1] });
}

fn follows_against_give_back() {
    let charged = Charged::new();
    let there = charged.clone();
    let t = loom::thread::spawn(move || there.change(5, 1));
    charged.give_back(0);
    t.join().unwrap();
    assert!(charged.lwp.get().is_none(), "given back for good");
    assert_eq!(charged.counts(), [0, 0]);
}

fn given_back_against_follow() {
    let charged = Charged::new();
    let there = charged.clone();
    let t = loom::thread::spawn(move || there.give_back(0));
    charged.change(5, 1);
    t.join().unwrap();
    assert!(charged.lwp.get().is_none(), "given back for good");
    assert_eq!(charged.counts(), [0, 0]);
}
