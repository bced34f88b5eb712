//! Making and ending.

use super::{each_map, entered, inside};
use crate::peers::maps::Map;
use crate::peers::procs::{Proc, Table};
use crate::table::floor::{EdgeBytes, Floor, LwpBytes, ProcBytes, TableBytes};
use crate::table::timing::Contender;
use crate::table::worlds::{Filled, Sharing, Worlds};
use lwproc::{Entered, Kernel, Lwp, Rfork};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A peer's process for a while.
struct Own<'w, M: Map<Proc>>(&'w Table<M>, u64);

impl<M: Map<Proc>> Drop for Own<'_, M> {
    fn drop(&mut self) {
        if self.1 != 0 {
            self.0.exit(self.1);
        }
    }
}

/// A process of the thread's own, or the common one; and its number.
fn process<M: Map<Proc>>(filled: &Filled<M>, sharing: Sharing) -> (Option<Own<'_, M>>, u64) {
    match sharing {
        Sharing::Own => {
            let pid = filled.table.fork(filled.table.init());
            (Some(Own(&filled.table, pid)), pid)
        }
        Sharing::Shared => (None, filled.common),
    }
}

fn fork_and_release(k: &mut Entered<'_>) {
    let parent = k.rfork(Rfork::Fresh).expect("ids").expect("the parent");
    k.release().expect("pertinent");
    k.switch(parent).expect("the same kernel");
}

/// The floor of the operation in one kernel, and that itself as the peer.
fn beside_one_kernel<'w>(ours: Contender<'w>, common: Vec<Contender<'w>>) -> Vec<Contender<'w>> {
    let mut common = common.into_iter();
    let (one, floor) = (common.next().map(|one| one.called("one kernel")), common.next());
    [Some(ours), floor, one].into_iter().flatten().collect()
}

/// What two threads have that share nothing of ours, beside two in one kernel.
pub fn newlwp_alone(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    let alone = |thread| {
        let kernel = worlds.ours.alone(thread);
        (kernel, inside(kernel))
    };
    let ours = Contender::new("lwproc", alone, |(kernel, k)| {
        drop(black_box(kernel.new_lwp(k.pid()).expect("ids")));
    });
    beside_one_kernel(ours, newlwp(worlds, sharing))
}

/// As [`newlwp_alone`].
pub fn rfork_alone(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    let ours =
        Contender::new("lwproc", |thread| inside(worlds.ours.alone(thread)), fork_and_release);
    beside_one_kernel(ours, rfork(worlds, sharing))
}

pub fn newlwp(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    fn peer<M: Map<Proc>>(filled: &Filled<M>, sharing: Sharing) -> Contender<'_> {
        Contender::new(
            M::NAME,
            move |_| process(filled, sharing),
            |(_, pid)| {
                let lwp = filled.table.newlwp(*pid).expect("it lives");
                filled.table.release(black_box(lwp));
            },
        )
    }
    let kernel = &worlds.ours.kernel;
    let mut all = vec![
        Contender::new(
            "lwproc",
            move |_| entered(worlds, sharing),
            |k| {
                drop(black_box(kernel.new_lwp(k.pid()).expect("ids")));
            },
        ),
        // Making: the process is counted up, the id taken, the list's head swung; a
        // pin, and an LWP. Ending: the word says so, the list's node is marked and
        // unlinked, the process counted down, the id given back; a pin, and the
        // LWP retired. Its memory and its kernel are kept by counts: two up, two down.
        Contender::new(
            "floor",
            |_| Floor::new(),
            |floor| {
                black_box(Floor::local());
                let lwp = {
                    let _guard = floor.pin();
                    floor.rmws::<5>();
                    Floor::make::<LwpBytes>()
                };
                black_box(Floor::local());
                let guard = floor.pin();
                floor.rmws::<7>();
                Floor::retire(&guard, lwp);
            },
        ),
    ];
    each_map!(all, worlds, |filled| peer(filled, sharing));
    all
}

/// What a process and its first LWP cannot avoid. Making: the id taken, two lists'
/// heads swung (its LWPs, its parent's children), the parent's credentials and
/// limits shared, its kernel kept; a pin; four objects (process, LWP, table, edge).
/// Ending: the LWP's word, its list twice, the process's count down to none, the
/// edge taken out, its list twice, the memory of both let go, the id given back; a
/// pin, and four objects freed, three of them after a grace period.
fn process_floor(floor: &Floor) {
    black_box(Floor::local());
    let (proc, lwp, table, edge) = {
        let _guard = floor.pin();
        floor.rmws::<6>();
        (
            Floor::make::<ProcBytes>(),
            Floor::make::<LwpBytes>(),
            Floor::make::<TableBytes>(),
            Floor::make::<EdgeBytes>(),
        )
    };
    black_box(Floor::local());
    let guard = floor.pin();
    floor.rmws::<10>();
    Floor::retire(&guard, lwp);
    Floor::retire(&guard, edge);
    Floor::retire(&guard, (proc, table).into());
}

pub fn newproc(worlds: &Worlds, _: Sharing) -> Vec<Contender<'_>> {
    fn peer<M: Map<Proc>>(filled: &Filled<M>) -> Contender<'_> {
        Contender::new(
            M::NAME,
            |_| (),
            |()| {
                filled.table.exit(black_box(filled.table.fork(filled.table.init())));
            },
        )
    }
    let kernel = &worlds.ours.kernel;
    let mut all = vec![
        Contender::new(
            "lwproc",
            |_| (),
            |()| {
                drop(black_box(kernel.spawn().start().expect("ids")));
            },
        ),
        Contender::new("floor", |_| Floor::new(), |floor| process_floor(floor)),
    ];
    each_map!(all, worlds, peer);
    all
}

pub fn rfork(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    fn peer<M: Map<Proc>>(filled: &Filled<M>, sharing: Sharing) -> Contender<'_> {
        Contender::new(
            M::NAME,
            move |_| process(filled, sharing),
            |(_, parent)| {
                filled.table.exit(black_box(filled.table.fork(*parent)));
            },
        )
    }
    let mut all = vec![
        Contender::new("lwproc", move |_| entered(worlds, sharing), fork_and_release),
        // The two switches are loads and stores.
        Contender::new("floor", |_| Floor::new(), |floor| process_floor(floor)),
    ];
    each_map!(all, worlds, |filled| peer(filled, sharing));
    all
}

/// A process with children, by their LWPs.
pub fn family(kernel: &Kernel, children: usize) -> (Lwp, Vec<Lwp>) {
    let mut k = kernel.enter().expect("not entered");
    k.rfork(Rfork::Fresh).expect("ids");
    let mut parent = k.unbind().expect("not exiting").expect("forked");
    let mut born = Vec::with_capacity(children);
    for _ in 0..children {
        k.switch(parent).expect("same kernel");
        parent = k.rfork(Rfork::Fresh).expect("ids").expect("the parent");
        born.extend(k.unbind().expect("not exiting"));
    }
    (parent, born)
}

/// Children of a parent that exits.
const CHILDREN: usize = 1000;

fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

pub fn exit(worlds: &Worlds, _: Sharing) -> Vec<Contender<'_>> {
    fn peer<M: Map<Proc>>(filled: &Filled<M>) -> Contender<'_> {
        let table = &filled.table;
        let op = |_: &mut ()| {
            let parent = table.fork(table.init());
            let children: Vec<u64> = (0..CHILDREN).map(|_| table.fork(parent)).collect();
            let took = time(|| table.exit(parent));
            for child in children {
                table.exit(child);
            }
            took
        };
        Contender::timed(M::NAME, |_| (), op).of(CHILDREN)
    }
    let kernel = &worlds.ours.kernel;
    let mut all = vec![
        Contender::timed(
            "lwproc",
            |_| (),
            |()| {
                let (parent, children) = family(kernel, CHILDREN);
                let took = time(|| drop(parent));
                drop(children);
                took
            },
        )
        .of(CHILDREN),
        // For each child a new edge, pushed on its new list, which counts it, and
        // swung to; the old edges go with the parent.
        Contender::timed(
            "floor",
            |_| Floor::new(),
            |floor| {
                let mut edges = Vec::with_capacity(CHILDREN);
                let took = time(|| {
                    for _ in 0..CHILDREN {
                        floor.rmws::<3>();
                        edges.push(Floor::make::<EdgeBytes>());
                    }
                });
                drop(edges);
                took
            },
        )
        .of(CHILDREN),
    ];
    each_map!(all, worlds, peer);
    all
}
