//! The process word, the LWP word and the count of handles.

use crate::runner::{Model, pair};
use loom::cell::UnsafeCell;
use lwproc::ExitStatus;
use lwproc::layers::RefCount;
use lwproc::layers::lwp_word::{AtomicLwpWord, ClaimRefused, Mark, Marked};
use lwproc::layers::proc_word::{AtomicProcWord, AttachRefused, Detached, Places};
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        pair("word_attach_against_last_detach", attach_against_last_detach),
        pair("word_detach_against_detach", detach_against_detach),
        pair("word_attach_against_gate", attach_against_gate),
        pair("word_attach_against_reopen", attach_against_reopen),
        pair("word_record_against_exit_whole", record_against_exit_whole),
        pair("word_exit_whole_against_record", exit_whole_against_record),
        pair("word_exit_whole_against_exit_whole", exit_whole_against_exit_whole),
        pair("word_dead_against_detach", dead_against_detach),
        pair("word_claim_against_claim", claim_against_claim),
        pair("word_claim_against_unclaim", claim_against_unclaim),
        pair("word_claim_against_exit", claim_against_exit),
        pair("word_take_crmod_against_mark", take_crmod_against_mark),
        pair("word_hold_against_mark", hold_against_mark),
        pair("word_unsleep_against_mark", unsleep_against_mark),
        pair("word_mark_against_unsleep", mark_against_unsleep),
        pair("refcount_dec_against_dec", dec_against_dec),
        pair("refcount_try_inc_against_dec", try_inc_against_dec),
    ]
}

pub fn born() -> AtomicProcWord {
    AtomicProcWord::new(ExitStatus::exited(0), Places::NONE)
}

/// R1, R2: an attach gets in before the end or is refused; one of the two
/// ends the process, never both and never neither.
fn attach_against_last_detach() {
    let word = Arc::new(born());
    let other = word.clone();
    let t = loom::thread::spawn(move || match other.attach(None) {
        Ok(()) => other.detach().0 == Detached::Last,
        Err(why) => {
            assert_eq!(why, AttachRefused::Dead);
            false
        }
    });
    let here = word.detach().0 == Detached::Last;
    let there = t.join().unwrap();
    assert!(here ^ there, "ended by exactly one");
    assert_eq!(word.attach(None), Err(AttachRefused::Dead));
}

/// R8: neither bit is lost, and each sees the sleeper.
fn both_marks(here: fn(&AtomicLwpWord) -> Marked, there: fn(&AtomicLwpWord) -> Marked) {
    let word = Arc::new(AtomicLwpWord::new());
    word.sleep();
    let other = word.clone();
    let t = loom::thread::spawn(move || there(&other));
    assert_eq!(here(&word), Marked::Sleeping);
    assert_eq!(t.join().unwrap(), Marked::Sleeping);
    assert!(word.load().has_unslept() && word.load().has_pendsig());
}

fn unsleep_against_mark() {
    both_marks(|w| w.unsleep(), |w| w.mark(Mark::PendSig));
}

/// With the parts changed.
fn mark_against_unsleep() {
    both_marks(|w| w.mark(Mark::PendSig), |w| w.unsleep());
}

/// R4: of two LWPs that go at once one ends the process, and it sees what the
/// other did to it.
fn detach_against_detach() {
    struct Proc(AtomicProcWord, [UnsafeCell<u32>; 2]);
    fn leave(proc: &Proc, me: usize) -> bool {
        proc.1[me].with_mut(|p| unsafe { *p = 1 });
        let last = proc.0.detach().0 == Detached::Last;
        if last {
            proc.1[1 - me].with(|p| assert_eq!(unsafe { *p }, 1));
        }
        last
    }
    let proc = Arc::new(Proc(born(), [UnsafeCell::new(0), UnsafeCell::new(0)]));
    proc.0.attach(None).unwrap();
    let other = proc.clone();
    let t = loom::thread::spawn(move || leave(&other, 1));
    let here = leave(&proc, 0);
    assert!(here ^ t.join().unwrap());
}

/// R9: an attach that comes after the gate is refused; one that came before is
/// counted.
fn attach_against_gate() {
    let word = Arc::new(born());
    let other = word.clone();
    let t = loom::thread::spawn(move || other.attach(None));
    let _ = word.close();
    let counted = word.load().nlwps();
    match t.join().unwrap() {
        Ok(()) => assert_eq!(word.load().nlwps(), 2),
        Err(why) => assert_eq!((why, counted), (AttachRefused::Draining, 1)),
    }
    word.open().unwrap();
    assert_eq!(word.attach(None), Ok(()));
}

/// R9: an LWP that comes after the gate was opened again sees all that was
/// done behind it.
fn attach_against_reopen() {
    struct Proc(AtomicProcWord, UnsafeCell<u32>);
    let proc = Arc::new(Proc(born(), UnsafeCell::new(0)));
    let _ = proc.0.close();
    let other = proc.clone();
    let t = loom::thread::spawn(move || {
        if other.0.attach(None).is_ok() {
            other.1.with(|p| assert_eq!(unsafe { *p }, 7));
        }
    });
    proc.1.with_mut(|p| unsafe { *p = 7 });
    proc.0.open().unwrap();
    t.join().unwrap();
}

const ONE: ExitStatus = ExitStatus::exited(1);
const SEVEN: ExitStatus = ExitStatus::exited(7);

/// What is said for the whole process stands, and no count is lost.
fn record_against_exit_whole() {
    let word = Arc::new(born());
    word.attach(None).unwrap();
    let other = word.clone();
    let t = loom::thread::spawn(move || {
        other.exit_whole(SEVEN).unwrap();
        assert_eq!(other.detach().0, Detached::Alone);
    });
    let _ = word.record(ONE);
    t.join().unwrap();
    let said = word.load();
    assert!(said.is_exiting() && said.is_draining());
    assert_eq!((said.nlwps(), said.status()), (1, SEVEN));
}

fn exit_whole_against_record() {
    let word = Arc::new(born());
    let other = word.clone();
    let t = loom::thread::spawn(move || _ = other.record(ONE));
    word.exit_whole(SEVEN).unwrap();
    t.join().unwrap();
    assert_eq!(word.load().status(), SEVEN);
}

/// Exactly one of two says it.
fn exit_whole_against_exit_whole() {
    let word = Arc::new(born());
    let other = word.clone();
    let t = loom::thread::spawn(move || other.exit_whole(ONE).is_ok());
    let here = word.exit_whole(SEVEN).is_ok();
    assert_ne!(t.join().unwrap(), here);
    assert_eq!(word.load().status(), if here { SEVEN } else { ONE });
}

/// Whoever sees a process dead sees all that its last LWP did.
fn dead_against_detach() {
    struct Proc(AtomicProcWord, UnsafeCell<u32>);
    let proc = Arc::new(Proc(born(), UnsafeCell::new(0)));
    let other = proc.clone();
    let t = loom::thread::spawn(move || {
        if other.0.load().is_dead() {
            other.1.with(|p| assert_eq!(unsafe { *p }, 7));
        }
    });
    proc.1.with_mut(|p| unsafe { *p = 7 });
    assert_eq!(proc.0.detach().0, Detached::Last);
    t.join().unwrap();
}

/// R6: two threads take one parked LWP: one gets it.
fn claim_against_claim() {
    let word = Arc::new(AtomicLwpWord::new());
    word.unclaim();
    let other = word.clone();
    let t = loom::thread::spawn(move || other.claim());
    let here = word.claim();
    let there = t.join().unwrap();
    assert_eq!(here.is_ok() as u32 + there.is_ok() as u32, 1);
    assert_eq!(here.and(there), Err(ClaimRefused::AlreadyRunning));
}

/// R7: the next owner sees all that the last one did.
fn claim_against_unclaim() {
    struct Lwp(AtomicLwpWord, UnsafeCell<u32>);
    let lwp = Arc::new(Lwp(AtomicLwpWord::new(), UnsafeCell::new(0)));
    let other = lwp.clone();
    let t = loom::thread::spawn(move || {
        if other.0.claim().is_ok() {
            other.1.with(|p| assert_eq!(unsafe { *p }, 7));
        }
    });
    lwp.1.with_mut(|p| unsafe { *p = 7 });
    lwp.0.unclaim();
    t.join().unwrap();
}

/// An exiting LWP is never claimed.
fn claim_against_exit() {
    let word = Arc::new(AtomicLwpWord::new());
    let other = word.clone();
    let t = loom::thread::spawn(move || other.claim());
    word.exit();
    assert!(t.join().unwrap().is_err());
    assert_eq!(word.claim(), Err(ClaimRefused::Exiting));
}

/// The owner that finds the mark sees what was done before it was set.
fn take_crmod_against_mark() {
    struct Lwp(AtomicLwpWord, UnsafeCell<u32>);
    let lwp = Arc::new(Lwp(AtomicLwpWord::new(), UnsafeCell::new(0)));
    let other = lwp.clone();
    let t = loom::thread::spawn(move || {
        if other.0.load().has_crmod() {
            other.0.take_crmod();
            other.1.with(|p| assert_eq!(unsafe { *p }, 7));
        }
    });
    lwp.1.with_mut(|p| unsafe { *p = 7 });
    lwp.0.mark_crmod();
    t.join().unwrap();
}

/// R8: the owner's hold and another thread's mark are both there.
fn hold_against_mark() {
    let word = Arc::new(AtomicLwpWord::new());
    let other = word.clone();
    let t = loom::thread::spawn(move || other.mark_crmod());
    word.hold().unwrap();
    t.join().unwrap();
    assert!(word.load().has_crmod());
    assert_eq!(word.load().refcnt(), 2);
}

/// Whoever comes too late for an object sees what was put in its place before.
fn try_inc_against_dec() {
    struct Object(RefCount, UnsafeCell<u32>);
    let object = Arc::new(Object(RefCount::new(), UnsafeCell::new(0)));
    let other = object.clone();
    let t = loom::thread::spawn(move || {
        if !other.0.try_inc() {
            other.1.with(|p| assert_eq!(unsafe { *p }, 7));
        }
    });
    object.1.with_mut(|p| unsafe { *p = 7 });
    let _ = object.0.dec();
    t.join().unwrap();
}

/// Of two handles dropped at once one is the last, and every use through the
/// other came before.
fn dec_against_dec() {
    struct Object(RefCount, UnsafeCell<u32>);
    fn drop_one(object: &Object) -> bool {
        object.1.with(|p| assert_eq!(unsafe { *p }, 7));
        // What a count of one answers.
        let last = object.0.dec() == RefCount::new().dec();
        if last {
            object.1.with_mut(|p| unsafe { *p = 0 });
        }
        last
    }
    let object = Arc::new(Object(RefCount::new(), UnsafeCell::new(7)));
    object.0.inc();
    let other = object.clone();
    let t = loom::thread::spawn(move || drop_one(&other));
    let here = drop_one(&object);
    assert!(here ^ t.join().unwrap());
}
