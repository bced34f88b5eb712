//! The most processes and LWPs of a kernel, and who has a place among them.
//!
//! A kernel counts neither until it has a most. From then on a process that is made, or an
//! LWP, first takes a place. What was made before is counted by whoever sets the most:
//! it says so in the configuration, and walks. The process's word says what of it is
//! counted, so each place is taken once, and given back by whoever takes the process or the
//! LWP off:
//!
//! * **an LWP** comes and goes by a step of that word, which says whether it is counted;
//! * **a process** that was begun too early is counted by the one who makes it, when it has
//!   been published. One that is reaped has first left its family, and then looks whether
//!   processes are counted. There is a fence between the two on each side.
//!
//! The count is never too low for what was made after a most was first set.
//!
//! A process that keeps its parent while it is spawned by a handle counts as an LWP of the
//! parent's, but takes no place.
#![allow(unsafe_code)]

use crate::host::Host;
use crate::object::node::ProcNode;
use crate::object::proc_word::Places;
use crate::reclaim::Pin;
use crate::sync::{Acquire, Relaxed, fence};
use crate::world::World;
use crate::world::caps::{Full, unbounded};
use crate::world::config::Part;
use std::sync::atomic::Ordering::SeqCst;

/// What a kernel may have a most of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Most {
    Procs,
    Lwps,
    LwpsOfOne,
}

/// The most; `u64::MAX`: any number. Wait-free.
pub(crate) fn most<H: Host>(world: &World<H>, of: Most) -> u64 {
    match of {
        Most::Procs => world.caps.procs.most(),
        Most::Lwps => world.caps.lwps.most(),
        Most::LwpsOfOne => unbounded(world.caps.lwps_of_one().into()),
    }
}

/// Sets a most. Lock-free; O(ids), but for that of one process's LWPs.
pub(crate) fn set_most<H: Host>(world: &World<H>, of: Most, most: u64, pin: &Pin<'_>) {
    let (part, cap) = match of {
        Most::Procs => (Part::ProcPlaces, &world.caps.procs),
        Most::Lwps => (Part::LwpPlaces, &world.caps.lwps),
        Most::LwpsOfOne => {
            world.caps.set_lwps_of_one(most);
            return world.config.touch(Part::NewLwp);
        }
    };
    world.config.touch(part);
    // SeqCst fence [P100]: see the module.
    fence(SeqCst);
    let places = world.config.places();
    for link in world.ids.procs() {
        // Acquire [P3]: the process's fields.
        let found = link.load(Acquire);
        // SAFETY: loaded with Acquire under the pin; unpublished before retired.
        if let Some(node) = unsafe { found.as_ref(pin) } {
            enrol(world, node, places);
        }
    }
    cap.set_most(most);
}

/// Counts what of a process is to be counted, and is not.
#[cold]
pub(crate) fn enrol<H: Host>(world: &World<H>, node: &ProcNode<H>, places: Places) {
    // Relaxed: the fence orders it [P100]. proc0, which has no parent, has its place.
    let in_family = !node.edge.load(Relaxed).is_null();
    let has_place = node.word.load().places().has(Places::PROCS);
    if places.has(Places::PROCS) && in_family && !has_place {
        world.caps.procs.take_anyway(1);
        if node.word.place().has(Places::PROCS) {
            world.caps.procs.give_back(1);
        }
    }
    if places.has(Places::LWPS) {
        let lwps = &world.caps.lwps;
        node.word.count(|n| lwps.take_anyway(n), |n| lwps.give_back(n));
    }
}

/// Takes the places of a new process and its first LWP. Lock-free.
#[cold]
pub(crate) fn take<H: Host>(world: &World<H>, places: Places) -> Result<(), Full> {
    if places.has(Places::PROCS) {
        world.caps.procs.take()?;
    }
    if places.has(Places::LWPS)
        && let Err(full) = world.caps.lwps.take()
    {
        if places.has(Places::PROCS) {
            world.caps.procs.give_back(1);
        }
        return Err(full);
    }
    Ok(())
}

/// Gives the places of a process that was not made back, and of its LWP. Wait-free.
pub(crate) fn give_back<H: Host>(world: &World<H>, places: Places) {
    if places.has(Places::PROCS) {
        world.caps.procs.give_back(1);
    }
    if places.has(Places::LWPS) {
        world.caps.lwps.give_back(1);
    }
}

/// A process that has left its family gives its place back, if it has one; and gets none
/// from now on.
#[cold]
pub(crate) fn leave<H: Host>(world: &World<H>, node: &ProcNode<H>) {
    if node.word.place().has(Places::PROCS) {
        world.caps.procs.give_back(1);
    }
}
