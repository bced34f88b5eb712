use super::*;
use std::cell::Cell;

fn born() -> AtomicProcWord {
    AtomicProcWord::new(ExitStatus::default(), Places::NONE)
}

#[test]
fn attach_follows_the_truth_table() {
    use AttachRefused::{Counted, Dead, Draining, Full};
    let table = [
        (0, Err(Dead), Err(Dead)),
        (DRAINING, Err(Dead), Err(Dead)),
        (COUNTED, Err(Dead), Err(Dead)),
        (1, Ok(2), Ok(2)),
        (6, Ok(7), Ok(7)),
        (7, Err(Full), Err(Full)),
        (8, Err(Full), Err(Full)),
        (1 | PLACED | NEW_USER, Ok(2 | PLACED | NEW_USER), Ok(2 | PLACED | NEW_USER)),
        (1 | COUNTED, Err(Counted), Ok(2 | COUNTED)),
        (7 | COUNTED, Err(Counted), Err(Full)),
        (1 | DRAINING, Err(Draining), Err(Draining)),
        (7 | DRAINING, Err(Draining), Err(Draining)),
        (1 | DRAINING | COUNTED, Err(Draining), Err(Draining)),
    ];
    for (word, uncounted, counted) in table {
        let attached = |place| ProcWord(word).attached(Some(7), place).map(|w| w.0);
        assert_eq!(attached(Counting::Uncounted), uncounted, "{:?}", ProcWord(word));
        assert_eq!(attached(Counting::Counted), counted, "{:?}", ProcWord(word));
    }
    assert_eq!(ProcWord(7).attached(None, Counting::Uncounted), Ok(ProcWord(8)));
}

#[test]
fn only_the_last_detach_ends_the_process() {
    let word = born();
    word.attach(None).unwrap();
    assert_eq!(word.detach(), (Detached::Remains, Counting::Uncounted));
    assert_eq!(word.detach(), (Detached::Last, Counting::Uncounted));
    assert_eq!(word.attach(None), Err(AttachRefused::Dead));
}

#[test]
fn the_last_but_one_of_a_draining_process_leaves_one_alone() {
    let word = AtomicProcWord(AtomicU64::new(3));
    let _open = word.close();
    assert_eq!(word.detach(), (Detached::Remains, Counting::Uncounted));
    assert_eq!(word.detach(), (Detached::Alone, Counting::Uncounted));
    assert_eq!(word.detach(), (Detached::Last, Counting::Uncounted));
    assert!(word.load().is_dead());
}

#[test]
fn what_is_said_for_the_whole_process_stays() {
    let (word, seven) = (born(), ExitStatus::exited(7));
    assert_eq!(word.record(ExitStatus::exited(1)), Ok(()));
    assert_eq!(word.record(ExitStatus::exited(2)), Ok(()));
    assert_eq!(word.load().status(), ExitStatus::exited(2));
    assert_eq!(word.exit_whole(seven), Ok(()));
    assert!(word.load().is_draining() && word.load().is_exiting());
    assert_eq!(word.exit_whole(ExitStatus::exited(9)), Err(Exiting));
    assert_eq!((word.record(ExitStatus::exited(9)), word.open()), (Err(Exiting), Err(Exiting)));
    assert_eq!((word.load().nlwps(), word.load().status()), (1, seven));
    assert_eq!(word.abandon(Lost::Panicked(ExitStatus::exited(9))).0, Detached::Last);
    assert_eq!(word.load().status(), seven);
}

#[test]
fn a_drop_counts_of_the_last_and_a_panic_of_any_and_both_less_than_a_word() {
    let [one, two, three] = [1, 2, 3].map(ExitStatus::exited);
    let end = |lost: &[Option<Lost>], said: Option<ExitStatus>| {
        let word = AtomicProcWord::new(one, Places::NONE);
        lost[1..].iter().for_each(|_| word.attach(None).unwrap());
        said.into_iter().for_each(|status| word.record(status).unwrap());
        for lwp in lost {
            let _left = lwp.map_or_else(|| word.detach(), |lost| word.abandon(lost));
        }
        assert!(word.load().is_dead());
        word.load().status()
    };
    let (dropped, panicked) = (Some(Lost::Dropped(two)), Some(Lost::Panicked(three)));
    assert_eq!(end(&[None], None), one);
    assert_eq!(end(&[dropped], None), two);
    assert_eq!(end(&[dropped, None], None), one);
    assert_eq!(end(&[None, dropped], None), two);
    assert_eq!(end(&[panicked, None], None), three);
    assert_eq!(end(&[panicked, dropped], None), three);
    assert_eq!(end(&[dropped, panicked], None), three);
    assert_eq!(end(&[panicked, dropped], Some(one)), one);
}

#[test]
fn what_has_ended_is_not_ended_again() {
    let word = born();
    assert_eq!(word.detach(), (Detached::Last, Counting::Uncounted));
    assert_eq!(word.exit_whole(ExitStatus::exited(9)), Err(Exiting));
    assert_eq!(word.load().status(), ExitStatus::default());
}

#[test]
fn the_gate_opens_again() {
    let word = born();
    assert!(!word.close().is_draining() && word.close().is_draining());
    assert_eq!(word.attach(None), Err(AttachRefused::Draining));
    assert_eq!((word.open(), word.attach(None)), (Ok(()), Ok(())));
}

#[test]
fn what_is_counted_goes_with_each_lwp() {
    let (word, taken) = (born(), Cell::new(0));
    let (take, back) = (|n| taken.set(taken.get() + n), |n: u32| taken.set(taken.get() - n));
    word.attach(None).unwrap();
    word.count(take, back);
    word.count(take, back);
    assert_eq!((taken.get(), word.attach(None)), (2, Err(AttachRefused::Counted)));
    assert_eq!(word.attach_counted(Some(3)), Ok(()));
    assert_eq!(word.detach(), (Detached::Remains, Counting::Counted));
    let born_counted = AtomicProcWord::new(ExitStatus::default(), Places::LWPS);
    assert_eq!(born_counted.detach(), (Detached::Last, Counting::Counted));
}

#[test]
fn a_process_has_a_place_once() {
    assert_eq!((born().place(), Places::from_bits(0x10)), (Places::NONE, Places::PROCS));
    let both = Places::from_bits(0xff);
    assert_eq!((both, both.has(Places::LWPS)), (Places::PROCS.and(Places::LWPS), true));
    let word = AtomicProcWord::new(ExitStatus::default(), both);
    assert_eq!((word.place(), word.load().places()), (both, both));
}

#[test]
fn debug_decodes() {
    let word = ProcWord(3 | DRAINING);
    assert_eq!(format!("{word:?}"), "nlwps=3|DRAINING");
    let all = ProcWord(1 | NEW_USER | PLACED | COUNTED);
    assert_eq!(format!("{all:?}"), "nlwps=1|NEW_USER|PLACED|COUNTED");
    let word = ProcWord(word.0 | EXITING).with_status(ExitStatus::exited(7));
    assert_eq!(format!("{word:?}"), "nlwps=3|DRAINING|EXITING|exited 7");
}
