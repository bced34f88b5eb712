//! Descriptors.

use super::entered;
use crate::peers::maps::{Dash, LockedHash, LockedTree, Map, Papaya, Scc, Slab};
use crate::peers::procs::Files;
use crate::table::floor::{EdgeBytes, Floor, LwpBytes, ProcBytes, TableBytes};
use crate::table::timing::Contender;
use crate::table::worlds::{Sharing, Worlds};
use lwproc::{Entered, Fd, OnExec, Rfork};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel};

/// Open descriptors of the process whose descriptor is looked up.
const OPEN: usize = 32;

fn open(k: &Entered<'_>, count: usize) -> Vec<Fd> {
    (0..count).map(|_| k.files().open((), OnExec::Keep).expect("room")).collect()
}

pub fn look_up(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    fn peer<M: Map<u64> + 'static>(sharing: Sharing) -> Contender<'static> {
        let tables: Vec<(Arc<M>, u64)> = (0..64)
            .map(|_| {
                let map = M::default();
                let keys: Vec<u64> = (0..OPEN).map(|_| map.insert(Arc::new)).collect();
                (Arc::new(map), keys[OPEN / 2])
            })
            .collect();
        let table = move |thread: usize| match sharing {
            Sharing::Own => tables[thread % 64].clone(),
            Sharing::Shared => tables[0].clone(),
        };
        Contender::new(M::NAME, table, |(map, key)| {
            black_box(map.get(*key).map(|file| *file));
        })
    }
    // The common process's descriptors are opened once.
    let common = std::thread::scope(|scope| {
        let open = || open(&entered(worlds, Sharing::Shared), OPEN)[OPEN / 2];
        scope.spawn(open).join().expect("no panic")
    });
    vec![
        Contender::new(
            "lwproc",
            move |_| {
                let k = entered(worlds, sharing);
                let fd = match sharing {
                    Sharing::Own => open(&k, OPEN)[OPEN / 2],
                    Sharing::Shared => common,
                };
                (k, fd)
            },
            |(k, fd)| drop(black_box(k.files().get(*fd))),
        ),
        // A pin to find the file under; the file is counted up and down.
        Contender::new(
            "floor",
            |_| Floor::new(),
            |floor| {
                {
                    let _guard = floor.pin();
                    floor.rmws::<1>();
                }
                floor.rmws::<1>();
            },
        ),
        peer::<LockedTree<u64>>(sharing),
        peer::<LockedHash<u64>>(sharing),
        peer::<Dash<u64>>(sharing),
        peer::<Papaya<u64>>(sharing),
        peer::<Scc<u64>>(sharing),
        peer::<Slab<u64>>(sharing),
    ]
}

pub fn fork<const FDS: usize>(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    let table = &worlds.tree.table;
    vec![
        Contender::new(
            "lwproc",
            move |_| {
                let k = entered(worlds, sharing);
                open(&k, FDS);
                k
            },
            |k| {
                let parent = k.rfork(Rfork::Copy).expect("ids").expect("the parent");
                k.release().expect("pertinent");
                k.switch(parent).expect("the same kernel");
            },
        ),
        // As rfork, and each file counted up and down, and a slot of it written.
        Contender::new(
            "floor",
            |_| (Floor::new(), (0..FDS).map(|_| Box::default()).collect::<Vec<Box<AtomicU64>>>()),
            |(floor, files)| {
                let (proc, lwp, table, edge, slots) = {
                    let _guard = floor.pin();
                    floor.rmws::<6>();
                    let slots: Vec<u64> =
                        files.iter().map(|file| file.fetch_add(1, AcqRel)).collect();
                    (
                        Floor::make::<ProcBytes>(),
                        Floor::make::<LwpBytes>(),
                        Floor::make::<TableBytes>(),
                        Floor::make::<EdgeBytes>(),
                        slots,
                    )
                };
                let guard = floor.pin();
                floor.rmws::<10>();
                for file in files.iter() {
                    black_box(file.fetch_sub(1, AcqRel));
                }
                Floor::retire(&guard, lwp);
                Floor::retire(&guard, edge);
                Floor::retire(&guard, (proc, table, slots).into());
            },
        ),
        Contender::new(
            "Mutex<BTreeMap>",
            |_| {
                let files: Files = (0..FDS as i32).map(|fd| (fd, Arc::new(1))).collect();
                table.fork_with(table.init(), files)
            },
            |parent| {
                let files = table
                    .map()
                    .read(*parent, |parent| parent.files.lock().expect("not poisoned").clone());
                table.exit(table.fork_with(*parent, files.unwrap_or_default()));
            },
        ),
    ]
}
