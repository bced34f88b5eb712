//! Looking up and around.

use super::each_map;
use crate::peers::maps::Map;
use crate::peers::procs::Proc;
use crate::table::floor::Floor;
use crate::table::timing::Contender;
use crate::table::worlds::{Filled, Sharing, Worlds};
use std::hint::black_box;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

pub fn borrowed(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    fn peer<M: Map<Proc>>(filled: &Filled<M>, sharing: Sharing) -> Contender<'_> {
        Contender::new(
            M::NAME,
            move |thread| filled.cursor(thread, sharing),
            |keys| {
                black_box(filled.table.map().read(keys.next(), |proc| proc.nlwps.load(Relaxed)));
            },
        )
    }
    let (ours, arena) = (&worlds.ours, &worlds.arena);
    let mut all = vec![
        Contender::new(
            "lwproc",
            move |thread| ours.cursor(thread, sharing),
            |pids| {
                let guard = ours.kernel.pin();
                black_box(guard.proc(pids.next()).map(|proc| proc.nlwps()));
            },
        ),
        // The thread's own; a pin; the slot; the process's word.
        Contender::new(
            "floor",
            move |thread| (Floor::new(), arena.cursor(thread, sharing)),
            |(floor, keys)| {
                black_box(Floor::local());
                let _guard = floor.pin();
                black_box(arena.objects[keys.next()].0.load(Acquire));
            },
        ),
    ];
    each_map!(all, worlds, |filled| peer(filled, sharing));
    all
}

pub fn held(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    fn peer<M: Map<Proc>>(filled: &Filled<M>, sharing: Sharing) -> Contender<'_> {
        let map = filled.table.map();
        let state = move |thread| (map.guard(), filled.cursor(thread, sharing));
        Contender::new(M::NAME, state, |(guard, keys)| {
            black_box(map.read_in(guard, keys.next(), |proc| proc.nlwps.load(Relaxed)));
        })
    }
    let (ours, arena) = (&worlds.ours, &worlds.arena);
    let mut all = vec![
        Contender::new(
            "lwproc",
            move |thread| (ours.kernel.pin(), ours.cursor(thread, sharing)),
            |(guard, pids)| {
                black_box(guard.proc(pids.next()).map(|proc| proc.nlwps()));
            },
        ),
        // The slot, which its index leads to; the process's word.
        Contender::new(
            "floor",
            move |thread| arena.cursor(thread, sharing),
            |keys| {
                black_box(arena.objects[keys.next()].0.load(Acquire));
            },
        ),
    ];
    each_map!(all, worlds, |filled| peer(filled, sharing));
    all
}

pub fn counted(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    fn peer<M: Map<Proc>>(filled: &Filled<M>, sharing: Sharing) -> Contender<'_> {
        Contender::new(
            M::NAME,
            move |thread| filled.cursor(thread, sharing),
            |keys| {
                black_box(filled.table.map().get(keys.next()).map(|proc| proc.pid));
            },
        )
    }
    let (ours, arena) = (&worlds.ours, &worlds.arena);
    let mut all = vec![
        Contender::new(
            "lwproc",
            move |thread| ours.cursor(thread, sharing),
            |pids| {
                let guard = ours.kernel.pin();
                let found = guard.proc(pids.next());
                black_box(found.and_then(|proc| proc.handle()).map(|proc| proc.pid()));
            },
        ),
        // As borrowed, and two read-modify-writes of the count.
        Contender::new(
            "floor",
            move |thread| (Floor::new(), arena.cursor(thread, sharing)),
            |(floor, keys)| {
                black_box(Floor::local());
                let _guard = floor.pin();
                let object = &arena.objects[keys.next()].0;
                black_box(object.fetch_add(1, AcqRel));
                black_box(object.fetch_sub(1, AcqRel));
            },
        ),
    ];
    each_map!(all, worlds, |filled| peer(filled, sharing));
    all
}

pub fn iterate(worlds: &Worlds, _: Sharing) -> Vec<Contender<'_>> {
    fn peer<'w, M: Map<Proc>>(filled: &'w Filled<M>, live: usize) -> Option<Contender<'w>> {
        let walk = |_: &mut ()| {
            let mut sum = 0;
            filled.table.map().each(|proc| sum += proc.nlwps.load(Relaxed));
            black_box(sum);
        };
        M::WALKS.then(|| Contender::new(M::NAME, |_| (), walk).of(live))
    }
    let (ours, arena, live) = (&worlds.ours, &worlds.arena, worlds.live);
    let mut all = vec![
        Contender::new(
            "lwproc",
            |_| (),
            |()| {
                let guard = ours.kernel.pin();
                black_box(guard.procs().map(|proc| proc.nlwps()).sum::<u32>());
            },
        )
        .of(live),
        // The slot and the word of each.
        Contender::new(
            "floor",
            |_| (),
            |()| {
                black_box(arena.objects.iter().map(|object| object.0.load(Acquire)).sum::<u64>());
            },
        )
        .of(live),
    ];
    let mut walkers: Vec<Option<Contender<'_>>> = Vec::new();
    each_map!(walkers, worlds, |filled| peer(filled, live));
    all.extend(walkers.into_iter().flatten());
    all
}
