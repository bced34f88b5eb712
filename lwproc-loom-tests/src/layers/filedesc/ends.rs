//! Who uses a table, and the end of tables and of files.

use super::{Here, LIMIT, World, at_once};
use crate::runner::{Model, pair};
use lwproc::OnExec::Keep;
use lwproc::Rfork;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

pub fn models() -> Vec<Model> {
    vec![
        pair("files_last_use_against_join", last_use_against_join),
        pair("files_last_use_against_join_swapped", last_use_against_join_swapped),
        pair("files_last_use_against_last_use", last_use_against_last_use),
        pair("files_end_of_process_against_look", end_against_look),
        pair("files_end_of_both_that_share", end_of_both),
        pair("files_end_of_both_that_share_unused", end_of_both_unused),
        pair("files_unshare_against_look", unshare_against_look),
        pair("files_last_reference_against_last_reference", last_references),
    ]
}

/// An LWP that joins gets a use that counts, with all that is open, or none (R5).
fn join_against_last_use(join_there: bool) {
    let world = World::new();
    world.open(1, Keep);
    let join = |t: &Here<'_>| match t.world.link.join(&t.local.pin()) {
        Some(joined) => {
            let table = joined.borrow().table();
            let hold = table.hold(0, &t.local.pin()).expect("open").0;
            assert_eq!(hold.get().name(), 1);
            t.let_go(hold);
            joined.release(|| t.local.pin(), drop);
            true
        }
        None => false,
    };
    // The world's own use is given back here, and only here.
    let leave = |t: &Here<'_>| {
        let this = unsafe { std::ptr::read(&raw const t.world.this) };
        this.release(|| t.local.pin(), drop);
    };
    if join_there {
        at_once(&world, join, leave);
    } else {
        at_once(&world, leave, join);
    }
    end_without_use(world, 1);
}

fn end_without_use(world: Arc<World>, files: usize) {
    let World { this: _, link, collector, closed } = Arc::into_inner(world).unwrap();
    let local = collector.register();
    if link.get(&local.pin()).is_some() {
        link.clear(|| local.pin());
    }
    assert_eq!(closed.load(SeqCst), files, "each is closed once");
    drop((link, local));
}

fn last_use_against_join() {
    join_against_last_use(true);
}

fn last_use_against_join_swapped() {
    join_against_last_use(false);
}

/// The last of two users closes; what the other did is seen.
fn last_use_against_last_use() {
    let world = World::new();
    let second = world.this.borrow().share();
    let there = move |t: &Here<'_>| {
        second.borrow().table().open(t.world.file(1), Keep, 0, LIMIT).ok().unwrap();
        second.release(|| t.local.pin(), drop);
    };
    let here = |t: &Here<'_>| {
        let this = unsafe { std::ptr::read(&raw const t.world.this) };
        this.release(|| t.local.pin(), drop);
    };
    at_once(&world, there, here);
    end_without_use(world, 1);
}

/// Two processes share a table; both end while somebody looks at it.
fn end_against_look() {
    let world = World::new();
    world.open(1, Keep);
    let look = |t: &Here<'_>| {
        let pin = t.local.pin();
        t.world.link.get(&pin).map(|table| table.iter().count())
    };
    let here = |t: &Here<'_>| {
        let this = unsafe { std::ptr::read(&raw const t.world.this) };
        this.release(|| t.local.pin(), drop);
        t.world.link.clear(|| t.local.pin());
    };
    let (seen, ()) = at_once(&world, look, here);
    assert!(seen.is_none_or(|n| n <= 1));
    end_without_use(world, 1);
}

/// Two processes that share a table end at once: one of them retires it.
fn end_against_end(used: bool) {
    let world = World::new();
    if used {
        world.open(1, Keep);
    }
    let local = world.collector.register();
    let (second, link) = world.this.borrow().inherit(Rfork::Share, &local.pin());
    let there = move |t: &Here<'_>| {
        second.release(|| t.local.pin(), drop);
        link.clear(|| t.local.pin());
        link
    };
    let here = |t: &Here<'_>| {
        let this = unsafe { std::ptr::read(&raw const t.world.this) };
        this.release(|| t.local.pin(), drop);
    };
    at_once(&world, there, here);
    drop(local);
    end_without_use(world, usize::from(used));
}

fn end_of_both() {
    end_against_end(true);
}

fn end_of_both_unused() {
    end_against_end(false);
}

/// A process replaces its table while somebody looks at it.
fn unshare_against_look() {
    let world = World::new();
    world.open(1, Keep);
    let look = |t: &Here<'_>| {
        let pin = t.local.pin();
        let table = t.world.link.get(&pin).expect("it lives");
        // The old one may be empty by now.
        assert!(table.iter().count() <= 1 && table.users() <= 1);
    };
    let here = |t: &Here<'_>| {
        let (copy, link) = t.world.this.borrow().copy(&t.local.pin());
        let this = unsafe { std::ptr::read(&raw const t.world.this) };
        this.release(|| t.local.pin(), drop);
        unsafe { t.world.link.replace(link, || t.local.pin()) };
        copy
    };
    let ((), copy) = at_once(&world, look, here);
    let here = Here::new(&world);
    copy.release(|| here.local.pin(), drop);
    drop(here);
    end_without_use(world, 1);
}

/// Two references of a file that no descriptor has: who drops the last closes it,
/// after all that the other did.
fn last_references() {
    let world = World::new();
    let a = world.file(1);
    let b = a.share();
    let there = move |t: &Here<'_>| {
        assert_eq!(b.get().name(), 1);
        t.let_go(b);
    };
    at_once(&world, there, |t| t.let_go(a));
    assert_eq!(world.closed(), 1);
    world.end(1);
}
