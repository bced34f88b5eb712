//! The bare descriptor table: its slots here, its users and its end in `ends`.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

mod ends;

use crate::runner::{Model, pair};
use lwproc::OnExec::{Close, Keep};
use lwproc::layers::{Collector, FdTable, FileHold, Local, TableLink, TableUse};
use lwproc::{FdError, OnExec, Rfork};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

pub fn models() -> Vec<Model> {
    let slots = vec![
        pair("files_get_against_close", get_against_close),
        pair("files_open_against_get", open_against_get),
        pair("files_open_against_open", open_against_open),
        pair("files_open_against_close", open_against_close),
        pair("files_open_against_close_swapped", open_against_close_swapped),
        pair("files_close_against_close", close_against_close),
        pair("files_dup2_against_close", dup2_against_close),
        pair("files_dup2_against_get", dup2_against_get),
        pair("files_dup2_against_dup2", dup2_against_dup2),
        pair("files_dup2_and_open_against_close", dup2_and_open_against_close),
        pair("files_dup2_and_close_against_open", dup2_and_close_against_open),
        pair("files_dup2_and_close_against_open_swapped", dup2_and_close_against_open_swapped),
        pair("files_dup2_against_open_and_close", dup2_against_open_and_close),
        pair("files_set_on_exec_against_close", set_on_exec_against_close),
        pair("files_set_on_exec_against_close_swapped", set_on_exec_against_close_swapped),
        pair("files_set_on_exec_against_open_and_get", set_on_exec_against_get),
        pair("files_reservation_against_dup2", reservation_against_dup2),
        pair("files_reservation_against_open", reservation_against_open),
        pair("files_fill_against_get", fill_against_get),
        pair("files_copy_against_close", copy_against_close),
        pair("files_copy_against_dup2", copy_against_dup2),
        pair("files_copy_against_close_in_a_block", copy_against_close_in_a_block),
        pair("files_growth_against_growth", growth_against_growth),
        pair("files_growth_of_blocks_against_growth", growth_of_blocks),
        pair("files_open_in_a_block_against_close", open_in_a_block),
    ];
    [slots, ends::models()].concat()
}

/// Descriptors that these tables have at most.
const LIMIT: u32 = 8;

/// A file: its cell is written when it is made and when it is closed, and read
/// by who looks, so an ordering that is missing is an error.
struct File {
    cell: loom::cell::UnsafeCell<u32>,
    closed: Arc<AtomicUsize>,
}

unsafe impl Send for File {}
unsafe impl Sync for File {}

impl File {
    fn name(&self) -> u32 {
        self.cell.with(|name| unsafe { *name })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.cell.with_mut(|name| unsafe { *name = 0 });
        self.closed.fetch_add(1, SeqCst);
    }
}

/// A table, with the process's link to it, and two threads' places in the
/// collector.
struct World {
    // Dropped before the collector, which checks that nothing is left.
    this: TableUse<File>,
    link: TableLink<File>,
    collector: Collector,
    closed: Arc<AtomicUsize>,
}

unsafe impl Sync for World {}
unsafe impl Send for World {}

impl World {
    fn new() -> Arc<Self> {
        let (this, link) = TableUse::fresh();
        Arc::new(Self { this, link, collector: Collector::new(), closed: Arc::default() })
    }

    fn table(&self) -> &FdTable<File> {
        self.this.borrow().table()
    }

    fn file(&self, name: u32) -> FileHold<File> {
        let cell = loom::cell::UnsafeCell::new(0);
        cell.with_mut(|cell| unsafe { *cell = name });
        FileHold::new(File { cell, closed: self.closed.clone() })
    }

    fn open(&self, name: u32, flag: OnExec) -> u32 {
        self.table().open(self.file(name), flag, 0, LIMIT).ok().unwrap()
    }

    fn closed(&self) -> usize {
        self.closed.load(SeqCst)
    }

    /// Ends it alone: gives the use back and checks that each of `files` that
    /// were made is closed once.
    fn end(self: Arc<Self>, files: usize) {
        let Self { this, link, collector, closed } = Arc::into_inner(self).unwrap();
        let local = collector.register();
        this.release(|| local.pin(), drop);
        link.clear(|| local.pin());
        assert_eq!(closed.load(SeqCst), files, "each is closed once");
        drop((link, local));
        drop(collector);
    }
}

/// A thread in a world.
struct Here<'w> {
    world: &'w World,
    local: Local,
}

impl<'w> Here<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, local: world.collector.register() }
    }

    fn close(&self, fd: u32) -> Result<(), FdError> {
        let pin = self.local.pin();
        let closed = self.world.table().take(fd, &pin)?.release(|| &pin);
        drop(pin);
        drop(closed);
        Ok(())
    }

    fn get(&self, fd: u32) -> Result<(u32, OnExec), FdError> {
        let (hold, flag) = self.world.table().hold(fd, &self.local.pin()).ok_or(FdError::BadFd)?;
        let name = hold.get().name();
        assert_ne!(name, 0, "a closed file");
        self.let_go(hold);
        Ok((name, flag))
    }

    fn let_go(&self, hold: FileHold<File>) {
        let closed = hold.release(|| self.local.pin());
        drop(closed);
    }

    fn place(&self, fd: u32, hold: FileHold<File>) -> Result<(), ()> {
        let pin = self.local.pin();
        let (result, closed) = match self.world.table().place(fd, hold, Keep, &pin) {
            Ok(before) => (Ok(()), before.and_then(|before| before.release(|| &pin))),
            Err(hold) => (Err(()), hold.release(|| &pin)),
        };
        drop(pin);
        drop(closed);
        result
    }

    /// At rest: the free descriptors are found, lowest first, and no other.
    fn check_free(&self, taken: &[u32]) {
        let open: Vec<u32> = self.world.table().iter().map(|(fd, _)| fd).collect();
        assert_eq!(open, taken);
        let free: Vec<u32> = (0..LIMIT).filter(|fd| !taken.contains(fd)).take(3).collect();
        for fd in &free {
            assert_eq!(self.world.open(100, Keep), *fd, "the lowest that is free");
        }
    }
}

/// Both at once; the first on a thread of its own.
fn at_once<A: Send + 'static, B>(
    world: &Arc<World>,
    there: impl FnOnce(&Here<'_>) -> A + Send + 'static,
    here: impl FnOnce(&Here<'_>) -> B,
) -> (A, B) {
    let other = world.clone();
    let t = loom::thread::spawn(move || {
        let result = there(&Here::new(&other));
        drop(other);
        result
    });
    let b = here(&Here::new(world));
    (t.join().unwrap(), b)
}

/// A look-up gets the file or EBADF, never a closed file.
fn get_against_close() {
    let world = World::new();
    let fd = world.open(1, Keep);
    let (got, closed) = at_once(&world, move |t| t.get(fd), |t| t.close(fd));
    assert!(matches!(got, Ok((1, Keep)) | Err(FdError::BadFd)));
    assert_eq!((closed, world.closed()), (Ok(()), 1));
    Here::new(&world).check_free(&[]);
    world.end(4);
}

fn open_against_get() {
    let world = World::new();
    let (got, fd) = at_once(&world, |t| t.get(0), |t| t.world.open(1, Close));
    assert!(matches!(got, Ok((1, Close)) | Err(FdError::BadFd)));
    assert_eq!(fd, 0);
    world.end(1);
}

fn open_against_open() {
    let world = World::new();
    let (a, b) = at_once(&world, |t| t.world.open(1, Keep), |t| t.world.open(2, Keep));
    assert_eq!((a.min(b), a.max(b)), (0, 1));
    Here::new(&world).check_free(&[0, 1]);
    world.end(5);
}

/// The descriptor is taken again, or the next one; afterwards all that is free
/// is found.
fn open_against_close() {
    let world = World::new();
    let fd = world.open(1, Keep);
    let (new, closed) = at_once(&world, |t| t.world.open(2, Keep), |t| t.close(fd));
    assert!(new <= 1);
    assert_eq!(closed, Ok(()));
    Here::new(&world).check_free(&[new]);
    world.end(5);
}

fn open_against_close_swapped() {
    let world = World::new();
    let fd = world.open(1, Keep);
    let (closed, new) = at_once(&world, move |t| t.close(fd), |t| t.world.open(2, Keep));
    assert!(new <= 1);
    assert_eq!(closed, Ok(()));
    Here::new(&world).check_free(&[new]);
    world.end(5);
}

fn close_against_close() {
    let world = World::new();
    let fd = world.open(1, Keep);
    let (a, b) = at_once(&world, move |t| t.close(fd), |t| t.close(fd));
    assert!(a.is_ok() ^ b.is_ok(), "closed once");
    Here::new(&world).check_free(&[]);
    world.end(4);
}

/// The descriptor that a dup2 has just made is closed: its bit is not left.
fn dup2_against_close() {
    let world = World::new();
    let (closed, placed) = at_once(&world, |t| t.close(1), |t| t.place(1, t.world.file(1)));
    assert_eq!(placed, Ok(()));
    Here::new(&world).check_free(if closed.is_ok() { &[] } else { &[1] });
    world.end(4);
}

/// There is no moment at which the descriptor is not open.
fn dup2_against_get() {
    let world = World::new();
    let fd = world.open(1, Close);
    let (got, placed) = at_once(&world, move |t| t.get(fd), |t| t.place(fd, t.world.file(2)));
    assert!(matches!(got, Ok((1, Close) | (2, Keep))));
    assert_eq!((placed, world.closed()), (Ok(()), 1));
    world.end(2);
}

fn dup2_against_dup2() {
    let world = World::new();
    let (a, b) = at_once(&world, |t| t.place(1, t.world.file(1)), |t| t.place(1, t.world.file(2)));
    assert_eq!((a, b, world.closed()), (Ok(()), Ok(()), 1));
    Here::new(&world).check_free(&[1]);
    world.end(5);
}

fn place_and_open(t: &Here<'_>) -> u32 {
    t.place(0, t.world.file(1)).unwrap();
    t.world.open(2, Keep)
}

/// Placed, closed by another, and searched for by the one that placed it.
fn dup2_and_open_against_close() {
    let world = World::new();
    let (closed, fd) = at_once(&world, |t| t.close(0), place_and_open);
    after_place_and_open(world, closed, fd);
}

fn after_place_and_open(world: Arc<World>, closed: Result<(), FdError>, fd: u32) {
    assert!(fd == 1 || closed.is_ok(), "opened over it");
    let taken: Vec<u32> = world.table().iter().map(|(fd, _)| fd).collect();
    assert_eq!(taken.len() + usize::from(closed.is_ok()), 2);
    Here::new(&world).check_free(&taken);
    world.end(5);
}

fn place_and_close(t: &Here<'_>) -> Result<(), FdError> {
    t.place(0, t.world.file(1)).unwrap();
    t.close(0)
}

/// The descriptor is placed, and closed again, while a search passes it by.
fn dup2_and_close_against_open() {
    let world = World::new();
    let (closed, fd) = at_once(&world, place_and_close, |t| t.world.open(2, Keep));
    after_place_and_close(world, closed, fd);
}

fn dup2_and_close_against_open_swapped() {
    let world = World::new();
    let (fd, closed) = at_once(&world, |t| t.world.open(2, Keep), place_and_close);
    after_place_and_close(world, closed, fd);
}

fn after_place_and_close(world: Arc<World>, closed: Result<(), FdError>, fd: u32) {
    assert_eq!(closed, Ok(()));
    // If it was opened there first, it was replaced, and closed.
    let open = Here::new(&world).get(fd).is_ok();
    assert!(open || fd == 0);
    let taken: Vec<u32> = open.then_some(fd).into_iter().collect();
    Here::new(&world).check_free(&taken);
    world.end(5);
}

/// A search sets the bit of a descriptor that is placed and not yet marked, and
/// its own thread closes it.
fn dup2_against_open_and_close() {
    let world = World::new();
    let there = |t: &Here<'_>| {
        let fd = t.world.open(2, Keep);
        (fd, t.close(0))
    };
    let ((fd, closed), placed) = at_once(&world, there, |t| t.place(0, t.world.file(1)));
    assert_eq!(placed, Ok(()));
    let here = Here::new(&world);
    assert!(fd == 0 || closed.is_ok() || here.get(0).is_ok());
    let taken: Vec<u32> = world.table().iter().map(|(fd, _)| fd).collect();
    here.check_free(&taken);
    drop(here);
    world.end(5);
}

fn set_on_exec_against_close() {
    let world = World::new();
    let fd = world.open(1, Keep);
    let there = move |t: &Here<'_>| t.world.table().set_on_exec(fd, Close);
    let (set, closed) = at_once(&world, there, |t| t.close(fd));
    assert!(matches!(set, Ok(()) | Err(FdError::BadFd)));
    assert_eq!((closed, world.closed()), (Ok(()), 1));
    assert_eq!(world.table().on_exec(fd), Err(FdError::BadFd));
    Here::new(&world).check_free(&[]);
    world.end(4);
}

fn set_on_exec_against_close_swapped() {
    let world = World::new();
    let fd = world.open(1, Keep);
    let here = |t: &Here<'_>| t.world.table().set_on_exec(fd, Close);
    let (closed, set) = at_once(&world, move |t| t.close(fd), here);
    assert!(matches!(set, Ok(()) | Err(FdError::BadFd)));
    assert_eq!((closed, world.closed()), (Ok(()), 1));
    Here::new(&world).check_free(&[]);
    world.end(4);
}

/// A flag that is set passes the file's publication on.
fn set_on_exec_against_get() {
    let world = World::new();
    let there = |t: &Here<'_>| t.get(0);
    let here = |t: &Here<'_>| {
        t.world.open(1, Keep);
        t.world.table().set_on_exec(0, Close).unwrap();
    };
    let (got, ()) = at_once(&world, there, here);
    assert!(matches!(got, Ok((1, _)) | Err(FdError::BadFd)));
    assert_eq!(Here::new(&world).get(0), Ok((1, Close)));
    world.end(1);
}

/// Only its owner changes a reserved descriptor.
fn reservation_against_dup2() {
    let world = World::new();
    let there = |t: &Here<'_>| t.place(0, t.world.file(1));
    let here = |t: &Here<'_>| {
        let fd = t.world.table().reserve(LIMIT).unwrap();
        t.world.table().fill(fd, t.world.file(2), Keep);
        fd
    };
    let (placed, fd) = at_once(&world, there, here);
    let here = Here::new(&world);
    match (placed, fd) {
        (Err(()), 0) => assert_eq!((here.get(0), world.closed()), (Ok((2, Keep)), 1)),
        (Ok(()), 0) => assert_eq!((here.get(0), world.closed()), (Ok((1, Keep)), 1)),
        (Ok(()), 1) => assert_eq!((here.get(0), here.get(1)), (Ok((1, Keep)), Ok((2, Keep)))),
        other => panic!("{other:?}"),
    }
    here.check_free(if fd == 0 { &[0] } else { &[0, 1] });
    drop(here);
    world.end(5);
}

fn reservation_against_open() {
    let world = World::new();
    let here = |t: &Here<'_>| {
        let fd = t.world.table().reserve(LIMIT).unwrap();
        t.world.table().unreserve(fd);
        fd
    };
    let (new, fd) = at_once(&world, |t| t.world.open(1, Keep), here);
    assert!(new <= 1 && fd <= 1);
    Here::new(&world).check_free(&[new]);
    world.end(4);
}

fn fill_against_get() {
    let world = World::new();
    let fd = world.table().reserve(LIMIT).unwrap();
    let here = |t: &Here<'_>| t.world.table().fill(fd, t.world.file(1), Close);
    let (got, ()) = at_once(&world, move |t| t.get(fd), here);
    assert!(matches!(got, Ok((1, Close)) | Err(FdError::BadFd)));
    world.end(1);
}

/// A copy has the file, counted, or not.
fn copy_against(here: impl FnOnce(&Here<'_>), closed: usize, files: usize) {
    copy_of_one_against(0, here, closed, files);
}

/// What is open, at `fd` or above it, is copied while it is closed or replaced.
fn copy_of_one_against(fd: u32, here: impl FnOnce(&Here<'_>), closed: usize, files: usize) {
    let world = World::new();
    assert!(world.table().open(world.file(1), Close, fd, LIMIT).is_ok());
    let there = |t: &Here<'_>| t.world.this.borrow().inherit(Rfork::Copy, &t.local.pin());
    let ((copy, link), ()) = at_once(&world, there, here);
    let entries: Vec<_> = copy.borrow().table().iter().collect();
    assert!(entries.len() <= 1);
    let me = Here::new(&world);
    if let Some((fd, flag)) = entries.first() {
        let hold = copy.borrow().table().hold(*fd, &me.local.pin()).unwrap().0;
        let name = hold.get().name();
        assert_eq!(*flag, if name == 1 { Close } else { Keep });
        me.let_go(hold);
    } else {
        assert_eq!(closed, 1);
    }
    copy.release(|| me.local.pin(), drop);
    link.clear(|| me.local.pin());
    drop((link, me));
    world.end(files);
}

fn copy_against_close() {
    copy_against(|t| t.close(0).unwrap(), 1, 1);
}

fn copy_against_dup2() {
    copy_against(|t| t.place(0, t.world.file(2)).unwrap(), 0, 2);
}

/// A descriptor beyond the word of the table, in the last block that there is.
const IN_A_BLOCK: u32 = LIMIT - 1;

fn copy_against_close_in_a_block() {
    copy_of_one_against(IN_A_BLOCK, |t| t.close(IN_A_BLOCK).unwrap(), 1, 1);
}

fn growth(first: u32, second: u32) {
    let world = World::new();
    let there = move |t: &Here<'_>| t.place(first, t.world.file(1));
    let (a, b) = at_once(&world, there, |t| t.place(second, t.world.file(2)));
    assert_eq!((a, b), (Ok(()), Ok(())));
    let here = Here::new(&world);
    assert_eq!((here.get(first), here.get(second)), (Ok((1, Keep)), Ok((2, Keep))));
    drop(here);
    world.end(2);
}

/// Both make the same segment.
fn growth_against_growth() {
    growth(1, 2);
}

/// Both make the same segment of blocks, for two blocks of it.
fn growth_of_blocks() {
    growth(IN_A_BLOCK, IN_A_BLOCK + 1);
}

/// All descriptors of the table's own word are taken: the next one is in a block, or
/// the one that is closed.
fn open_in_a_block() {
    let world = World::new();
    let [.., last] = [1, 2, 3, 4].map(|name| world.open(name, Keep));
    assert_eq!(last, 3, "the constants of filedesc/slots.rs");
    let (new, closed) = at_once(&world, |t| t.world.open(5, Keep), |t| t.close(1));
    assert!(closed.is_ok() && [1, 4].contains(&new), "{new}");
    let taken: &[u32] = if new == 1 { &[0, 1, 2, 3] } else { &[0, 2, 3, 4] };
    Here::new(&world).check_free(taken);
    world.end(8);
}
