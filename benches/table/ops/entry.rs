//! Being in the kernel: entering, leaving, switching, who runs what.

use super::entered;
use crate::peers::lifecycle::{CURRENT, KernelLock, Locked, OwnLock};
use crate::table::floor::{Floor, chase};
use crate::table::timing::Contender;
use crate::table::worlds::{Sharing, Worlds};
use lwproc::LwpHandle;
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};

/// A chain of loads within one line.
fn chain() -> Vec<Cell<usize>> {
    (0..8).map(|at| Cell::new((at + 1) % 8)).collect()
}

/// What a user would have: a counted pointer in thread-local storage.
fn current_arc() -> Contender<'static> {
    let state = |_| CURRENT.set(Some(Arc::new(1)));
    Contender::new("thread-local Arc", state, |()| {
        black_box(CURRENT.with_borrow(|lwp| lwp.as_ref().map(|lwp| **lwp)));
    })
}

pub fn curlwp(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    vec![
        Contender::new(
            "lwproc",
            move |_| entered(worlds, sharing),
            |k| {
                black_box(black_box(&*k).curlwp().is_some());
            },
        ),
        // One read of a const-initialised thread-local: where a thread's own is kept.
        Contender::new(
            "floor",
            |_| Floor::new(),
            |_| {
                black_box(!Floor::local().is_null());
            },
        ),
        current_arc(),
    ]
}

pub fn curlwp_host(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    vec![
        Contender::new(
            "lwproc",
            move |_| entered(worlds, sharing),
            |_| {
                black_box(worlds.ours.kernel.host_curlwp().is_some());
            },
        ),
        // As above.
        Contender::new(
            "floor",
            |_| Floor::new(),
            |_| {
                black_box(!Floor::local().is_null());
            },
        ),
        current_arc(),
    ]
}

/// Enter and leave of an LWP with a locked life.
fn locked_entry<L: Locked>(sharing: Sharing) -> Contender<'static> {
    let lwps = L::make(64);
    let lwp = move |thread: usize| Arc::clone(&lwps[thread % 64]);
    let _ = sharing;
    Contender::new(L::NAME, lwp, |lwp| {
        black_box(lwp.claim());
        if !lwp.is_exiting() {
            lwp.unclaim();
        }
    })
}

/// What entering and leaving cannot avoid: the thread's own, by a thread-local
/// read; in already?; the bound LWP and its word, to see what others have told it;
/// and on leaving the word again.
fn entry_floor() -> Contender<'static> {
    Contender::new(
        "floor",
        |_| (Floor::new(), chain()),
        |(floor, chain)| {
            black_box(Floor::local());
            if floor.enter() {
                black_box(chase::<2>(chain));
                black_box(chase::<1>(chain));
                floor.leave();
            }
        },
    )
}

pub fn bound(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    let kernel = &worlds.ours.kernel;
    vec![
        Contender::new(
            "lwproc",
            move |_| drop(entered(worlds, sharing)),
            |()| {
                drop(black_box(kernel.enter()));
            },
        ),
        entry_floor(),
        locked_entry::<OwnLock>(sharing),
        locked_entry::<KernelLock>(sharing),
    ]
}

pub fn implicit(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    let kernel = &worlds.ours.kernel;
    vec![
        Contender::new("lwproc", |_| (), |()| drop(black_box(kernel.enter()))),
        // As bound, with init's credentials in the place of the LWP's word.
        entry_floor(),
        locked_entry::<OwnLock>(sharing),
        locked_entry::<KernelLock>(sharing),
    ]
}

fn locked_switch<L: Locked>() -> Contender<'static> {
    let lwps = L::make(128);
    let two = move |thread: usize| {
        let at = thread % 64 * 2;
        lwps[at].claim();
        (Arc::clone(&lwps[at]), Arc::clone(&lwps[at + 1]))
    };
    Contender::new(L::NAME, two, |(old, new)| {
        if black_box(new.claim()) {
            old.unclaim();
            CURRENT.with_borrow_mut(|current| black_box(current.as_mut().map(|_| ())));
            std::mem::swap(old, new);
        }
    })
}

pub fn switch(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    let kernel = &worlds.ours.kernel;
    vec![
        Contender::new(
            "lwproc",
            move |_| {
                let k = entered(worlds, sharing);
                let other = kernel.new_lwp(k.pid()).expect("ids");
                (k, Some(other))
            },
            |(k, other)| {
                let new = other.take().expect("the other one");
                *other = k.switch(new).expect("the same kernel");
            },
        ),
        // No read-modify-write: the right to run an LWP moves with its owner. Loads
        // that depend: new LWP -> its process -> its kernel, old and new word; the
        // thread's own is at hand. A store of what is bound, and the host's of its own
        // thread-local.
        Contender::new(
            "floor",
            |_| (Floor::new(), chain()),
            |(floor, chain)| {
                black_box(chase::<3>(chain));
                black_box(chase::<1>(chain));
                floor.enter();
                black_box(Floor::local());
                black_box(chase::<1>(chain));
            },
        ),
        locked_switch::<OwnLock>(),
        locked_switch::<KernelLock>(),
    ]
}

fn locked_claim<L: Locked>(sharing: Sharing) -> Contender<'static> {
    let lwps = L::make(64);
    let lwp = move |thread: usize| match sharing {
        Sharing::Own => Arc::clone(&lwps[thread % 64]),
        Sharing::Shared => Arc::clone(&lwps[0]),
    };
    Contender::new(L::NAME, lwp, |lwp| {
        if black_box(lwp.claim()) {
            lwp.unclaim();
        }
    })
}

pub fn claim(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    let kernel = &worlds.ours.kernel;
    let park = || kernel.new_lwp(worlds.ours.common.pid()).expect("ids").unclaim();
    let common = park();
    vec![
        Contender::new(
            "lwproc",
            move |_| match sharing {
                Sharing::Own => Parked(Some(park()), false),
                Sharing::Shared => Parked(Some(common.clone()), true),
            },
            |parked| {
                let handle = parked.0.as_ref().expect("parked");
                if let Ok(lwp) = black_box(handle.claim()) {
                    handle.unclaim(lwp).expect("its own");
                }
            },
        ),
        // Two read-modify-writes: the right is taken, and given back.
        Contender::new("floor", |_| Floor::new(), |floor| floor.rmws::<2>()),
        locked_claim::<OwnLock>(sharing),
        locked_claim::<KernelLock>(sharing),
    ]
}

/// A parked LWP; a thread's own is released with its state.
struct Parked(Option<LwpHandle>, bool);

impl Drop for Parked {
    fn drop(&mut self) {
        if !self.1
            && let Some(handle) = self.0.take()
        {
            drop(handle.claim());
        }
    }
}

fn locked_hold<L: Locked>() -> Contender<'static> {
    let lwps = L::make(64);
    let lwp = move |thread: usize| {
        let lwp = Arc::clone(&lwps[thread % 64]);
        lwp.hold();
        lwp
    };
    Contender::new(L::NAME, lwp, |lwp| {
        lwp.hold();
        lwp.rele();
    })
}

pub fn hold(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    vec![
        Contender::new(
            "lwproc",
            move |_| entered(worlds, sharing),
            |k| {
                black_box(k.hold().is_ok());
                black_box(k.unhold().is_ok());
            },
        ),
        // Two read-modify-writes: bits that others set are in the same word.
        Contender::new("floor", |_| Floor::new(), |floor| floor.rmws::<2>()),
        locked_hold::<OwnLock>(),
        locked_hold::<KernelLock>(),
        Contender::new(
            "AtomicU32",
            |_| AtomicU32::new(1),
            |refs| {
                black_box(refs.fetch_add(1, Relaxed));
                black_box(refs.fetch_sub(1, Relaxed));
            },
        ),
    ]
}

/// A locked pointer to counted credentials, one for each thread or for all.
fn shared_or_own<T: Send + Sync>(
    make: impl Fn() -> T,
    sharing: Sharing,
) -> impl Fn(usize) -> Arc<T> + Sync {
    let all: Vec<Arc<T>> = (0..64).map(|_| Arc::new(make())).collect();
    move |thread| match sharing {
        Sharing::Own => Arc::clone(&all[thread % 64]),
        Sharing::Shared => Arc::clone(&all[0]),
    }
}

pub fn cred(worlds: &Worlds, sharing: Sharing) -> Vec<Contender<'_>> {
    let mutex = shared_or_own(|| Mutex::new(Arc::new(0u32)), sharing);
    let rwlock = shared_or_own(|| RwLock::new(Arc::new(0u32)), sharing);
    vec![
        Contender::new(
            "lwproc",
            move |_| entered(worlds, sharing),
            |k| {
                black_box(black_box(&*k).cred().is_superuser());
            },
        ),
        // Loads that depend: the LWP, its snapshot, the credentials, the uid.
        Contender::new(
            "floor",
            |_| chain(),
            |chain| {
                black_box(chase::<4>(chain) == 0);
            },
        ),
        Contender::new("Mutex<Arc>", mutex, |cred| {
            black_box(**cred.lock().expect("not poisoned") == 0);
        }),
        Contender::new("RwLock<Arc>", rwlock, |cred| {
            black_box(**cred.read().expect("not poisoned") == 0);
        }),
    ]
}
