//! The table by itself.

use super::super::needs::Need;
use super::*;
use crate::calls::files::CopyBy;

fn open(fds: &[i32]) -> Files {
    Files::Open { fds: fds.to_vec(), on_exec: OnExec::Keep }
}

#[test]
fn the_lowest_free_number_is_next() {
    let mut table = Table::first();
    assert_eq!(table.need(&open(&[3]), 4096), None);
    assert_eq!(table.need(&open(&[5]), 4096), Some(Need::Open(3)));
    assert_eq!(table.need(&open(&[2]), 4096), Some(Need::Closed(2)));
    assert_eq!(table.need(&open(&[3, 4]), 4096), None);
    assert_eq!(table.need(&open(&[4, 3]), 4096), Some(Need::Open(3)));
    assert_eq!(table.need(&open(&[3, 3]), 4096), Some(Need::Never));
    (0..200).for_each(|fd| table.set(fd, Some(OnExec::Keep)));
    assert_eq!(table.need(&open(&[200]), 4096), None);
    table.apply(&Files::Close(130));
    assert_eq!(table.need(&open(&[130]), 4096), None);
    let copy = |min, new| Files::Copy { old: 0, min: Some(min), new, on_exec: OnExec::Keep };
    assert_eq!(table.need(&copy(131, 200), 4096), None);
    assert_eq!(table.need(&copy(500, 500), 4096), None);
    assert_eq!(table.need(&copy(500, 499), 4096), Some(Need::Never));
}

#[test]
fn what_is_told_is_known() {
    let mut table = Table::first();
    assert_eq!(table.known(0), Known::NotSeen);
    table.apply(&open(&[3]));
    assert!((0..=3).all(|fd| table.known(fd) == Known::Told));
    assert_eq!(table.known(4), Known::NotSeen);
    table.apply(&Files::CloseRange(100, i32::MAX));
    assert_eq!((table.known(99), table.known(100)), (Known::NotSeen, Known::Told));
    table.doubt(3);
    assert_eq!(table.copied().known(3), Known::ByOrder);
    table.apply(&Files::Close(3));
    assert_eq!(table.known(3), Known::Told);
}

#[test]
fn an_execve_closes_what_is_marked() {
    let mut table = Table::first();
    table.apply(&Files::Open { fds: vec![3, 4], on_exec: OnExec::Close });
    table.apply(&Files::SetOnExec(4, OnExec::Keep));
    table.apply(&Files::CopyTo { old: 3, new: 70, gave: 70, by: CopyBy::Dup2 });
    table.apply(&Files::CopyTo { old: 3, new: 3, gave: 3, by: CopyBy::Dup2 });
    table.apply(&Files::MarkRange(1, 1));
    table.exec();
    let left: Vec<_> = table.all().map(|(fd, _)| fd).collect();
    assert_eq!(left, [0, 2, 4, 70]);
}

#[test]
fn only_the_last_changes_are_remembered() {
    let mut table = Table::first();
    let close = Files::Close(0);
    (0..200).for_each(|line| table.remember(line, &close, &[line as i32]));
    assert_eq!(table.changed_since(198).collect::<Vec<_>>(), [198, 199]);
    assert_eq!(table.changed_since(0).count(), REMEMBERED);
    table.remember(300, &close, &(0..500).collect::<Vec<_>>());
    assert_eq!(table.changed_since(300).count(), 500);
}

#[test]
fn who_may_have_been_last() {
    let mut table = Table::first();
    let to = Files::CopyTo { old: 0, new: 7, gave: 7, by: CopyBy::Dup2 };
    table.remember(5, &Files::Close(7), &[7]);
    table.remember(6, &open(&[8]), &[8]);
    assert_eq!(table.contested(&to, &[7], 5, 9), [7]);
    assert!(table.contested(&to, &[7], 6, 9).is_empty());
    assert!(table.contested(&to, &[7], 3, 5).is_empty());
    // Who got a free number came after it was free.
    assert!(table.contested(&to, &[8], 5, 9).is_empty());
    assert!(table.contested(&open(&[7]), &[7], 5, 9).is_empty());
}

#[test]
fn numbers_out_of_reach_are_in_no_table() {
    let mut table = Table::first();
    for fd in [-1, i32::MIN, FD_END, i32::MAX] {
        table.set(fd, Some(OnExec::Keep));
        assert_eq!(table.get(fd), None);
        let closed = refused(Attempt::Close(fd), Errno::EBADF);
        assert_eq!(table.need(&closed, 4096), None);
    }
}

fn refused(attempt: Attempt, errno: Errno) -> Files {
    Files::Refused { attempt, errno, or: None }
}

#[test]
fn what_an_error_needs() {
    let mut table = Table::first();
    table.apply(&open(&[3]));
    let need = |attempt, errno| table.need(&refused(attempt, errno), 5);
    let to = |old, new, by| Attempt::CopyTo { old, new, by };
    let (dup2, dup3) = (CopyBy::Dup2, CopyBy::Dup3(OnExec::Keep));
    assert_eq!(need(to(3, 5, dup2), Errno::EBADF), None);
    assert_eq!(need(to(3, 4, dup2), Errno::EBADF), Some(Need::Closed(3)));
    assert_eq!(need(to(9, 9, dup2), Errno::EBADF), None);
    assert_eq!(need(to(9, 9, dup3), Errno::EBADF), Some(Need::Never));
    assert_eq!(need(to(9, 9, dup3), Errno::EINVAL), None);
    assert_eq!(need(to(3, 4, dup3), Errno::EINVAL), Some(Need::Never));
    assert_eq!(need(to(3, 4, dup3), Errno::EBUSY), None);
    assert_eq!(need(to(3, 2, dup3), Errno::EBUSY), Some(Need::Closed(2)));
    let copy = |min| Attempt::Copy { old: 3, min };
    assert_eq!(need(copy(Some(5)), Errno::EINVAL), None);
    assert_eq!(need(copy(Some(4)), Errno::EINVAL), Some(Need::Never));
    assert_eq!(need(copy(Some(4)), Errno::EMFILE), Some(Need::Open(4)));
    assert_eq!(need(copy(None), Errno::EMFILE), Some(Need::Open(4)));
    assert_eq!(need(copy(Some(5)), Errno::EMFILE), Some(Need::Never));
    assert_eq!(need(Attempt::Open(1), Errno::EMFILE), Some(Need::Open(4)));
    assert_eq!(need(Attempt::Open(2), Errno::EMFILE), None);
    let range = |first, last| Attempt::Range(first, last, lwproc::CloseRange::Close);
    assert_eq!(need(range(4, 3), Errno::EINVAL), None);
    assert_eq!(need(range(3, 3), Errno::EINVAL), Some(Need::Never));
}

#[test]
fn what_a_call_may_have_given() {
    let mut table = Table::first();
    table.apply(&open(&[3]));
    table.apply(&open(&[4]));
    table.apply(&Files::Close(3));
    assert_eq!(table.unseen(Given::This(3)), [3]);
    assert!(table.unseen(Given::This(5)).is_empty());
    assert_eq!(table.unseen(Given::UpTo(2)), [3, 5]);
    table.apply(&Files::Unseen { used: Some(4), given: Given::This(3) });
    assert_eq!((table.known(3), table.get(3)), (Known::Unseen, None));
    table.apply(&Files::Used(3));
    assert_eq!(table.known(3), Known::Told);
}
