//! The child's descriptors.

use crate::bench::{Bench, Counting};
use lwproc::*;

/// The descriptors of an LWP's process, and which of `files` each is.
fn table(
    k: &mut Entered<'_, Counting>,
    lwp: Lwp<Counting>,
    files: &[FileHandle<Counting>],
) -> Vec<(i32, usize)> {
    let back = k.switch(lwp).unwrap().unwrap();
    let list = k.files().list();
    let which = |fd| {
        let file = k.files().get(fd).unwrap().handle();
        files.iter().position(|one| *one == file).unwrap()
    };
    let table = list
        .into_iter()
        .map(|(fd, on_exec)| {
            assert_eq!(on_exec, OnExec::Keep);
            (fd.0, which(fd))
        })
        .collect();
    k.release().unwrap();
    k.switch(back).unwrap();
    table
}

/// A process with three files, at 0 to 2.
fn with_three(bench: &Bench) -> (Entered<'_, Counting>, Vec<FileHandle<Counting>>) {
    let mut k = bench.kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let files = (0..3).map(|_| {
        let fd = k.files().open(bench.host.value(), OnExec::Keep).unwrap();
        k.files().get(fd).unwrap().handle()
    });
    let files = files.collect();
    (k, files)
}

#[test]
fn steps_are_taken_in_order_on_a_copy() {
    let bench = Bench::new();
    let (mut k, files) = with_three(&bench);
    for how in [Rfork::Copy, Rfork::Share] {
        let swap = k.spawn().files(how).fd(Fd(0), Fd(9)).fd(Fd(1), Fd(0)).fd(Fd(9), Fd(1));
        let child = swap.close(Fd(9)).close(Fd(2)).start().unwrap();
        assert_eq!(k.files().table_users(), 1, "the child has a table of its own");
        assert_eq!(table(&mut k, child, &files), [(0, 1), (1, 0)]);
        assert_eq!(k.files().list().len(), 3, "the parent's are as they were");
    }
}

#[test]
fn with_none_inherited_the_named_ones_are_the_parents() {
    let bench = Bench::new();
    let (mut k, files) = with_three(&bench);
    let child = k.spawn().files(Rfork::Fresh).fd(Fd(2), Fd(0)).fd(Fd(1), Fd(1)).fd(Fd(2), Fd(5));
    let child = child.start().unwrap();
    assert_eq!(table(&mut k, child, &files), [(0, 2), (1, 1), (5, 2)]);
    // By then 0 is the child's too; the parent's is meant all the same.
    let child = k.spawn().files(Rfork::Fresh).fd(Fd(1), Fd(0)).fd(Fd(0), Fd(2)).close(Fd(0));
    let child = child.start().unwrap();
    assert_eq!(table(&mut k, child, &files), [(2, 0)]);
}

#[test]
fn without_steps_it_is_as_rfork_says() {
    let bench = Bench::new();
    let (mut k, files) = with_three(&bench);
    let rows: [(_, &[_]); 3] = [
        (Rfork::Share, &[(0, 0), (1, 1), (2, 2)]),
        (Rfork::Copy, &[(0, 0), (1, 1), (2, 2)]),
        (Rfork::Fresh, &[]),
    ];
    for (how, expected) in rows {
        let child = k.spawn().files(how).start().unwrap();
        assert_eq!(k.files().table_users(), if how == Rfork::Share { 2 } else { 1 });
        assert_eq!(table(&mut k, child, &files), expected);
    }
    drop(files);
    assert_eq!(bench.host.alive(), 3);
}

#[test]
fn a_descriptor_onto_itself_is_kept_by_an_exec() {
    let bench = Bench::new();
    let (mut k, files) = with_three(&bench);
    k.files().set_on_exec(Fd(1), OnExec::Close).unwrap();
    let child = k.spawn().files(Rfork::Copy).fd(Fd(1), Fd(1)).start().unwrap();
    assert_eq!(table(&mut k, child, &files).len(), 3);
    assert_eq!(k.files().on_exec(Fd(1)), Ok(OnExec::Close), "the parent's");
}

#[test]
fn what_is_replaced_is_closed_and_what_is_not_open_is_no_error_to_close() {
    let bench = Bench::new();
    let (mut k, files) = with_three(&bench);
    drop(files);
    // 2 is only the child's by the time that 0 replaces it.
    let spawn = k.spawn().files(Rfork::Copy).close(Fd(1)).fd(Fd(0), Fd(2));
    let child = spawn.close(Fd(77)).close(Fd(-1)).close(Fd(i32::MAX)).start().unwrap();
    k.files().close_range(Fd(1), Fd(2), CloseRange::Close).unwrap();
    assert_eq!(bench.host.alive(), 1);
    drop(child);
    k.release().unwrap();
    drop(k);
    assert_eq!(bench.host.alive(), 0);
}

#[test]
fn bad_steps_are_refused() {
    let bench = Bench::new();
    let (k, files) = with_three(&bench);
    k.resources().set_limit(Resource::Nofile, Limit::both(8)).unwrap();
    let before = bench.seen();
    let bad = [(3, 0), (-1, 0), (i32::MIN, 0), (1 << 20, 0), (0, 8), (0, -1), (0, i32::MAX)];
    for how in [Rfork::Share, Rfork::Copy, Rfork::Fresh] {
        for (from, to) in bad {
            let spawn = k.spawn().files(how).fd(Fd(0), Fd(7)).fd(Fd(from), Fd(to));
            let refused = spawn.vmspace(bench.host.value()).start().unwrap_err();
            assert_eq!(refused, SpawnError::Files(FdError::BadFd), "{how:?} {from} {to}");
            assert_eq!(bench.seen(), before, "{how:?} {from} {to}");
        }
    }
    // What is closed in the child is not found in the parent, but where it has none.
    let closed = k.spawn().files(Rfork::Copy).close(Fd(0)).fd(Fd(0), Fd(1)).start();
    assert_eq!(closed.unwrap_err(), SpawnError::Files(FdError::BadFd));
    assert_eq!(k.files().list().len(), 3);
    drop(files);
    k.files().close_range(Fd(0), Fd(2), CloseRange::Close).unwrap();
    assert_eq!(bench.host.alive(), 0, "no copy that was given up has them");
}
