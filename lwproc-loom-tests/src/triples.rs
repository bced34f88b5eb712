//! Three threads, for the core: release, newlwp, last release, claim, switch,
//! reparent, iterate. Exhaustive on the words, the counts and the ids; on the whole
//! kernel with a bound, and so never called exhaustive. (The list has its own:
//! `list_push_remove_iterate`.)

use crate::layers::born;
use crate::matrix::OPS;
use crate::runner::{Model, pair};
use crate::scene::{Op, run};
use loom::cell::UnsafeCell;
use lwproc::Numbering;
use lwproc::layers::RefCount;
use lwproc::layers::lwp_word::{AtomicLwpWord, Mark};
use lwproc::layers::proc_word::{AtomicProcWord, AttachRefused, Detached};
use lwproc::layers::{IdTable, Shard};
use std::sync::Arc;

/// The most preemptions in the whole kernel; those of the end of a family one less.
const BOUND: usize = 2;

const WHOLE: [[&str; 3]; 9] = [
    ["release", "newlwp", "last_release"],
    ["newlwp", "iterate", "last_release"],
    ["newlwp", "claim", "last_release"],
    ["claim", "claim", "switch"],
    ["claim", "unbind", "claim"],
    ["switch", "claim", "iterate"],
    ["exit_parent", "exit_child", "iterate"],
    ["exit_parent", "newlwp", "exit_child"],
    ["exit_child", "claim", "exit_parent"],
];

fn op(name: &str) -> Op {
    OPS.into_iter().find(|op| op.name == name).expect("an operation's name")
}

pub fn models() -> Vec<Model> {
    let three = |name, body: fn()| pair(name, body).threads(3);
    let mut models = vec![
        three("triple_word_attach_detach_detach", attach_detach_detach),
        three("triple_word_attach_gate_detach", attach_gate_detach),
        three("triple_word_claim_claim_unclaim", claim_claim_unclaim),
        three("triple_word_claim_mark_unclaim", claim_mark_unclaim),
        three("triple_refcount_dec_dec_try_inc", dec_dec_try_inc),
        three("triple_ids_reserve_reserve_release", reserve_reserve_release),
    ];
    models.extend(WHOLE.map(|names| {
        let name: &'static str = format!("triple_{}", names.join("_")).leak();
        let ops = names.map(op);
        let bound = if names.contains(&"exit_child") { BOUND - 1 } else { BOUND };
        pair(name, move || run(&ops)).threads(3).bounded(bound).deep()
    }));
    models
}

/// Runs the three at once; what each returned.
fn at_once<T: Send + Sync + 'static, R: Send + 'static>(
    shared: T,
    jobs: [fn(&T) -> R; 3],
) -> (Arc<T>, [R; 3]) {
    let shared = Arc::new(shared);
    let [first, second, here] = jobs;
    let spawn = |job: fn(&T) -> R| {
        let shared = shared.clone();
        loom::thread::spawn(move || job(&shared))
    };
    let (first, second) = (spawn(first), spawn(second));
    let here = here(&shared);
    (shared, [first.join().unwrap(), second.join().unwrap(), here])
}

fn count(of: &[bool]) -> usize {
    of.iter().filter(|yes| **yes).count()
}

/// Two LWPs go and one comes, and goes: one of the three ends the process.
fn attach_detach_detach() {
    let word = born();
    word.attach(None).unwrap();
    let leave = |w: &AtomicProcWord| w.detach().0 == Detached::Last;
    let come = |w: &AtomicProcWord| match w.attach(None) {
        Ok(()) => w.detach().0 == Detached::Last,
        Err(why) => {
            assert_eq!(why, AttachRefused::Dead);
            false
        }
    };
    let (word, ended) = at_once(word, [come, leave, leave]);
    assert_eq!(count(&ended), 1);
    assert!(word.load().is_dead());
}

/// One comes, the gate is closed, one goes: who is counted is in, who is not was
/// refused.
fn attach_gate_detach() {
    let word = born();
    word.attach(None).unwrap();
    let come = |w: &AtomicProcWord| w.attach(None).is_ok();
    let close = |w: &AtomicProcWord| {
        let _ = w.close();
        false
    };
    let leave = |w: &AtomicProcWord| {
        assert_ne!(w.detach().0, Detached::Last);
        false
    };
    let (word, [came, ..]) = at_once(word, [come, close, leave]);
    assert_eq!(word.load().nlwps(), 1 + u32::from(came));
    assert_eq!(word.attach(None), Err(AttachRefused::Draining));
}

/// One leaves an LWP, two want it: at most one has it at a time, and it sees what
/// the one before did.
fn claim_claim_unclaim() {
    struct Lwp(AtomicLwpWord, UnsafeCell<u32>);
    // SAFETY: loom watches the cell.
    unsafe impl Send for Lwp {}
    // SAFETY: as above.
    unsafe impl Sync for Lwp {}
    fn use_it(lwp: &Lwp) {
        // SAFETY: loom watches the cell.
        lwp.1.with_mut(|p| unsafe { *p += 1 });
    }
    let claim = |lwp: &Lwp| {
        let claimed = lwp.0.claim().is_ok();
        if claimed {
            use_it(lwp);
            lwp.0.unclaim();
        }
        claimed
    };
    let unclaim = |lwp: &Lwp| {
        use_it(lwp);
        lwp.0.unclaim();
        true
    };
    let lwp = Lwp(AtomicLwpWord::new(), UnsafeCell::new(0));
    let (lwp, used) = at_once(lwp, [claim, claim, unclaim]);
    assert!(lwp.0.claim().is_ok());
    // SAFETY: loom watches the cell.
    assert_eq!(lwp.1.with(|p| unsafe { *p }) as usize, count(&used));
}

/// A mark is lost to neither.
fn claim_mark_unclaim() {
    let claim = |w: &AtomicLwpWord| w.claim().is_ok();
    let mark = |w: &AtomicLwpWord| {
        let _ = w.mark(Mark::PendSig);
        false
    };
    let unclaim = |w: &AtomicLwpWord| {
        w.unclaim();
        false
    };
    let (word, [claimed, ..]) = at_once(AtomicLwpWord::new(), [claim, mark, unclaim]);
    assert!(word.load().has_pendsig());
    assert_eq!(word.claim().is_err(), claimed);
}

/// A handle is made of the last but one, or none is: the memory goes once.
fn dec_dec_try_inc() {
    // What a count of one answers.
    let last = |count: &RefCount| count.dec() == RefCount::new().dec();
    let count_of_two = RefCount::new();
    count_of_two.inc();
    let (_, ended) = at_once(count_of_two, [|c| c.try_inc() && last_of(c), last, last]);
    fn last_of(count: &RefCount) -> bool {
        count.dec() == RefCount::new().dec()
    }
    assert_eq!(count(&ended), 1);
}

/// Two want an id, one gives the only one back: no identity comes twice.
fn reserve_reserve_release() {
    struct Ids(IdTable<u32, u32>, [Shard; 3], lwproc::layers::Reserved);
    fn reserve(ids: &Ids, me: usize) -> Option<i32> {
        ids.0.reserve(&ids.1[me], ids.1.iter()).ok().map(|id| id.0.get() as i32)
    }
    let table = IdTable::new(1, Numbering::Generations);
    let shards = [Shard::new(), Shard::new(), Shard::new()];
    let first = table.reserve(&shards[2], shards.iter()).unwrap();
    let release = |ids: &Ids| {
        ids.0.release(&ids.1[2], ids.2);
        None
    };
    let ids = Ids(table, shards, first);
    let (ids, [a, b, _]) = at_once(ids, [|ids| reserve(ids, 0), |ids| reserve(ids, 1), release]);
    assert!(a.is_none() || b.is_none(), "one id for two");
    let first = first.0.get() as i32;
    assert!(a != Some(first) && b != Some(first), "an identity was issued twice");
    let left = reserve(&ids, 2);
    assert_eq!([a, b, left].iter().flatten().count(), 1, "none lost");
}
