//! The library's reclamation on the real collector: crossbeam-epoch itself runs under
//! loom here (`--cfg crossbeam_loom`), and `Managed` knows when it is freed. Nothing is
//! assumed of the collector: P0, an axiom elsewhere, is what these models look for.
//!
//! One thread takes an object away, retires it, and flushes until the collector has freed
//! what it can; the other one looks, or takes away, too, and leaves its garbage. So an object that goes too early is seen, by loom's
//! cell in it or by the mark that it has gone. `epoch_before_*` break a rule of `reclaim`
//! each, and must fail.
//!
//! Each pin and each flush is many steps here, so these are bounded.

use crate::layers::list::{Item, Ptr};
use crate::runner::{Model, pair};
use lwproc::layers::{
    Collector, CountedCell, CountedRef, Dropped, Link, List, Local, Managed, Pin, RefCount, Tagged,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// Of the whole kernel's models those that end in seconds on real epochs, unbounded. What
/// is retired in them is hardly ever freed before the teardown: they are about what that
/// frees, and how often.
const KERNEL: [&str; 12] = [
    "kernel_drop_of_survivors_after_shutdown",
    "kernel_exit_of_parent_against_children",
    "kernel_files_handle_against_last_release",
    "kernel_files_look_against_last_release",
    "kernel_files_newlwp_against_last_release",
    "kernel_fork_against_find",
    "kernel_handle_against_release",
    "kernel_newlwp_against_iterate",
    "kernel_newlwp_against_last_release",
    "kernel_rename_against_rename",
    "kernel_wait_as_init_against_exit",
    "kernel_shutdown_against_survivor",
];

/// `others` are the models that there are without real epochs.
pub fn models(others: &[Model]) -> Vec<Model> {
    let bounded = |name, bound, body: fn()| pair(name, body).bounded(bound);
    let mut models = vec![
        bounded("epoch_look_against_retire", 3, look_against_retire),
        bounded("epoch_retire_against_look", 3, retire_against_look),
        bounded("epoch_two_looks_against_retire", 3, two_looks_against_retire),
        bounded("epoch_try_inc_against_dec", 3, try_inc_against_dec),
        bounded("epoch_dec_against_dec", 2, dec_against_dec),
        bounded("epoch_iterate_against_remove", 3, iterate_against_remove),
        bounded("epoch_remove_against_iterate", 3, remove_against_iterate),
        bounded("epoch_remove_against_remove", 3, remove_against_remove),
        bounded("epoch_push_against_remove", 3, push_against_remove),
        bounded("epoch_remove_against_push", 3, remove_against_push),
        bounded("epoch_get_against_commit", 3, get_against_commit),
        bounded("epoch_hold_against_commit", 3, hold_against_commit),
        bounded("epoch_commit_against_commit", 3, commit_against_commit),
        bounded("epoch_look_against_thread_that_leaves", 2, look_against_leave),
        bounded("epoch_before_looked_without_a_pin", 3, without_a_pin).fails(GONE),
        bounded("epoch_before_kept_after_the_pin", 3, after_the_pin).fails(GOES),
        bounded("epoch_before_retired_then_unlinked", 3, retired_then_unlinked).fails(GONE),
        bounded("epoch_before_rises_from_zero", 3, rises_from_zero).fails("freed twice"),
    ];
    models.extend(KERNEL.map(|name| {
        let model = others.iter().find(|model| model.name == name).expect("a model's name");
        Model { name: format!("epoch_{name}").leak(), long: false, ..model.clone() }
    }));
    models
}

/// A look at what has gone.
const GONE: &str = "use after free";
/// A look that its end does not come after: loom's words.
const GOES: &str = "Concurrent read and write accesses to `UnsafeCell`";

/// A cell with something in it that counts, and a participant for each thread.
struct World {
    link: Link<Thing>,
    // Before the participants: what it frees is counted by them.
    collector: Collector,
    locals: Vec<Local>,
}

struct Thing {
    refs: RefCount,
    value: u32,
}

// SAFETY: each thread of a model uses a participant of its own.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl Drop for World {
    fn drop(&mut self) {
        let last = self.link.swap(Tagged::NULL, Relaxed);
        if !last.is_null() {
            // SAFETY: nobody else is left.
            unsafe { Managed::free(last.ptr()) };
        }
        leave(&mut self.locals);
    }
}

fn leave(locals: &mut [Local]) {
    for local in locals {
        // SAFETY: once; not used any more.
        unsafe { local.unregister() };
    }
}

impl World {
    fn new() -> Arc<Self> {
        let collector = Collector::new();
        let locals = (0..2).map(|_| collector.register()).collect();
        let thing = Managed::new(Thing { refs: RefCount::new(), value: 1 });
        Arc::new(Self { link: Link::new(Tagged::new(thing)), collector, locals })
    }

    fn look(&self, pin: &Pin<'_>) -> Option<u32> {
        // SAFETY: loaded with Acquire under the pin.
        unsafe { self.link.load(Acquire).as_ref(pin) }.map(|thing| thing.value)
    }

    /// Takes it out and lets it go.
    fn retire(&self, local: &Local) {
        {
            let pin = local.pin();
            let old = self.link.swap(Tagged::NULL, AcqRel);
            // SAFETY: taken out by this thread.
            unsafe { pin.retire(old.ptr()) };
        }
        flush(local);
    }
}

/// What can be freed is freed: a bag goes two epochs after it was closed.
fn flush(local: &Local) {
    for _ in 0..3 {
        local.pin().flush();
    }
}

/// Runs one on a thread, the other here.
fn at_once<W: Send + Sync + 'static>(world: Arc<W>, there: fn(&W), here: fn(&W)) {
    let other = world.clone();
    let thread = loom::thread::spawn(move || there(&other));
    here(&world);
    thread.join().unwrap();
}

fn look(w: &World) {
    let pin = w.locals[1].pin();
    assert!(matches!(w.look(&pin), Some(1) | None));
}

fn retire(w: &World) {
    w.retire(&w.locals[0]);
}

fn look_against_retire() {
    at_once(World::new(), look, retire);
}

fn retire_against_look() {
    at_once(World::new(), retire, look);
}

/// A reference that is kept while other pins come and go.
fn two_looks_against_retire() {
    let looks = |w: &World| {
        let pin = w.locals[1].pin();
        // SAFETY: loaded with Acquire under the pin.
        let thing = unsafe { w.link.load(Acquire).as_ref(&pin) };
        let _ = w.look(&w.locals[1].pin());
        let again = w.link.load(Acquire);
        assert!(thing.is_none_or(|thing| thing.value == 1));
        // SAFETY: as above.
        assert!(unsafe { again.as_ref(&pin) }.is_none_or(|thing| thing.value == 1));
    };
    at_once(World::new(), looks, retire);
}

/// Takes the cell's reference away, and retires if it is the last.
fn dec(local: &Local, object: *mut Managed<Thing>) {
    {
        let pin = local.pin();
        // SAFETY: this reference counts.
        let thing = unsafe { Managed::deref_counted(object) };
        if thing.refs.dec() == Dropped::Last {
            // SAFETY: the last reference, and out of the cell by now.
            unsafe { pin.retire(object) };
        }
    }
    flush(local);
}

/// Takes the cell's reference out, and lets it go.
fn give_back(w: &World) {
    let old = w.link.swap(Tagged::NULL, AcqRel);
    dec(&w.locals[0], old.ptr());
}

/// Rule 4: a reader makes a reference of what it sees, and keeps that without a pin.
fn try_inc_against_dec() {
    let hold = |w: &World| {
        let object = {
            let pin = w.locals[1].pin();
            let seen = w.link.load(Acquire);
            // SAFETY: loaded with Acquire under the pin.
            let Some(thing) = (unsafe { seen.as_ref(&pin) }) else { return };
            if !thing.refs.try_inc() {
                return;
            }
            seen.ptr()
        };
        // SAFETY: counted.
        assert_eq!(unsafe { Managed::deref_counted(object) }.value, 1);
        dec(&w.locals[1], object);
    };
    at_once(World::new(), hold, give_back);
}

fn dec_against_dec() {
    let world = World::new();
    let object = world.link.swap(Tagged::NULL, AcqRel).ptr();
    // SAFETY: the only reference.
    unsafe { Managed::deref_counted(object) }.refs.inc();
    // The link keeps the address only.
    world.link.store(Tagged::new(object), Relaxed);
    let other = world.clone();
    let thread = loom::thread::spawn(move || {
        let object = other.link.load(Acquire).ptr();
        dec(&other.locals[1], object);
    });
    dec(&world.locals[0], object);
    thread.join().unwrap();
    world.link.store(Tagged::NULL, Relaxed);
}

/// A participant goes, as a thread does: what it retired is with the collector, and
/// whoever finds its grace period over frees it.
fn look_against_leave() {
    let world = World::new();
    let other = world.clone();
    let thread = loom::thread::spawn(move || look(&other));
    let mut gone = world.collector.register();
    {
        let pin = gone.pin();
        let old = world.link.swap(Tagged::NULL, AcqRel);
        // SAFETY: taken out by this thread.
        unsafe { pin.retire(old.ptr()) };
        pin.flush();
    }
    // SAFETY: once; not used any more.
    unsafe { gone.unregister() };
    flush(&world.locals[0]);
    gone.free_mail();
    thread.join().unwrap();
    // Before the participant, as above.
    drop(world);
}

/// A look with no right to it.
fn look_anyway(seen: *mut Managed<Thing>) {
    if !seen.is_null() {
        // SAFETY: none; the model tells.
        let _ = unsafe { Managed::deref_counted(seen) }.value;
    }
}

/// Rule 2 broken: no pin.
fn without_a_pin() {
    let look = |w: &World| look_anyway(w.link.load(Acquire).ptr());
    at_once(World::new(), look, retire);
}

/// Rule 2 broken: the pin goes before the last use.
fn after_the_pin() {
    let look = |w: &World| {
        let pin = w.locals[1].pin();
        let seen = w.link.load(Acquire).ptr();
        drop(pin);
        look_anyway(seen);
    };
    at_once(World::new(), look, retire);
}

/// Rule 3 broken: it can still be reached by pins that begin after its retirement.
fn retired_then_unlinked() {
    let retire = |w: &World| {
        {
            let pin = w.locals[0].pin();
            // SAFETY: none; the model tells.
            unsafe { pin.retire(w.link.load(Acquire).ptr()) };
        }
        flush(&w.locals[0]);
        w.link.store(Tagged::NULL, Relaxed);
    };
    at_once(World::new(), look, retire);
}

/// Rule 4 broken: a reference is made of one that may be the last to have gone.
fn rises_from_zero() {
    let hold = |w: &World| {
        let object = {
            let pin = w.locals[1].pin();
            let seen = w.link.load(Acquire);
            // SAFETY: loaded with Acquire under the pin.
            let Some(thing) = (unsafe { seen.as_ref(&pin) }) else { return };
            thing.refs.inc();
            seen.ptr()
        };
        // SAFETY: none; the model tells.
        assert_eq!(unsafe { Managed::deref_counted(object) }.value, 1);
        dec(&w.locals[1], object);
    };
    at_once(World::new(), hold, give_back);
}

/// The intrusive list.
struct Items {
    list: Option<List<Item>>,
    items: Vec<Ptr>,
    _collector: Collector,
    locals: Vec<Local>,
}

// SAFETY: each thread of a model uses a participant of its own.
unsafe impl Send for Items {}
// SAFETY: as above.
unsafe impl Sync for Items {}

impl Drop for Items {
    fn drop(&mut self) {
        drop(self.list.take());
        leave(&mut self.locals);
    }
}

impl Items {
    fn flush(&self, me: usize) {
        if me == 0 {
            flush(&self.locals[0]);
        }
    }

    fn new(n: u32) -> Arc<Self> {
        let collector = Collector::new();
        let locals = (0..2).map(|_| collector.register()).collect();
        let list = Some(List::new());
        let mut items = Self { list, items: vec![], locals, _collector: collector };
        items.items = (1..=n).map(|value| items.push(value)).collect();
        Arc::new(items)
    }

    fn list(&self) -> &List<Item> {
        self.list.as_ref().unwrap()
    }

    fn push(&self, value: u32) -> Ptr {
        let item = Item::new(value);
        // SAFETY: new, in no list.
        unsafe { self.list().push(item) };
        item
    }

    fn remove(&self, value: u32, me: usize) {
        {
            let pin = self.locals[me].pin();
            // SAFETY: each model removes a value once. `living` 0: sweep at once.
            unsafe { self.list().remove(self.items[value as usize - 1], 0, &pin) };
        }
        self.flush(me);
    }

    fn values(&self, me: usize) -> Vec<u32> {
        let pin = self.locals[me].pin();
        self.list().iter(&pin).map(|(item, _)| item.value).collect()
    }
}

fn iterate(w: &Items) {
    let values = w.values(1);
    assert!(values == [3, 2, 1] || values == [3, 1], "{values:?}");
}

fn remove_middle(w: &Items) {
    w.remove(2, 0);
}

fn iterate_against_remove() {
    at_once(Items::new(3), iterate, remove_middle);
}

fn remove_against_iterate() {
    at_once(Items::new(3), remove_middle, iterate);
}

fn remove_against_remove() {
    let world = Items::new(2);
    at_once(world.clone(), |w| w.remove(1, 1), |w| w.remove(2, 0));
    assert_eq!(world.values(0), []);
}

fn push_one(w: &Items) {
    w.push(3);
}

fn push_against_remove() {
    let world = Items::new(2);
    at_once(world.clone(), push_one, |w| w.remove(2, 0));
    assert_eq!(world.values(0), [3, 1]);
}

fn remove_against_push() {
    let world = Items::new(2);
    at_once(world.clone(), |w| w.remove(2, 0), push_one);
    assert_eq!(world.values(0), [3, 1]);
}

/// A cell with a counted value, as a process's credentials are.
struct Cell {
    cell: CountedCell<u32>,
    _collector: Collector,
    locals: Vec<Local>,
}

// SAFETY: each thread of a model uses a participant of its own.
unsafe impl Send for Cell {}
// SAFETY: as above.
unsafe impl Sync for Cell {}

impl Drop for Cell {
    fn drop(&mut self) {
        // SAFETY: nobody else is left.
        unsafe { self.cell.clear_alone() };
        leave(&mut self.locals);
    }
}

impl Cell {
    fn flush(&self, me: usize) {
        if me == 0 {
            flush(&self.locals[0]);
        }
    }

    fn new() -> Arc<Self> {
        let collector = Collector::new();
        let locals = (0..2).map(|_| collector.register()).collect();
        Arc::new(Self { cell: CountedCell::new(CountedRef::new(1)), locals, _collector: collector })
    }

    /// The next value; the reference that the change gave is given back.
    fn commit(&self, me: usize) {
        {
            let pin = self.locals[me].pin();
            let new = self.cell.commit(&pin, |old| Ok::<_, ()>(old + 1)).unwrap();
            new.release(&pin);
        }
        self.flush(me);
    }
}

fn get_against_commit() {
    let get = |w: &Cell| {
        let pin = w.locals[1].pin();
        assert!(matches!(w.cell.get(&pin), Some(1 | 2)));
    };
    at_once(Cell::new(), get, |w| w.commit(0));
}

/// What is held outlives the pin.
fn hold_against_commit() {
    let hold = |w: &Cell| {
        let held = w.cell.hold(&w.locals[1].pin()).unwrap();
        assert!(matches!(held.get(), 1 | 2));
        held.release(&w.locals[1].pin());
    };
    at_once(Cell::new(), hold, |w| w.commit(0));
}

fn commit_against_commit() {
    let world = Cell::new();
    at_once(world.clone(), |w| w.commit(1), |w| w.commit(0));
    let pin = world.locals[0].pin();
    assert_eq!(world.cell.get(&pin), Some(&3));
}
