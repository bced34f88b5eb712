//! The id table of a kernel: who bears a number, and what is published under one.
#![allow(unsafe_code)]

use super::group::Pgrp;
use super::node::{LwpNode, LwpPtr, ProcNode, ProcPtr};
use crate::host::Host;
use crate::id::{Identity, Lid, Pid};
use crate::idtable::IdTable;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sync::{Acquire, Release};

/// The id table of a kernel.
pub(crate) type Table<H> = IdTable<ProcNode<H>, LwpNode<H>, Pgrp>;

/// Stores a process and its first LWP in the slot of their id, which is reserved.
pub(crate) fn publish<H: Host>(ids: &Table<H>, id: Identity, proc: ProcPtr<H>, lwp: LwpPtr<H>) {
    let slot = ids.slot(id.number()).expect("a reserved id has a slot");
    // Release [P4]: the LWP's fields; pairs with Acquire in `find_lwp`.
    slot.lwp.store(Tagged::new(lwp), Release);
    let link = ids.proc(id.number()).expect("a reserved id has a slot");
    // Release [P3]: the process's fields; pairs with Acquire in `resolve`.
    link.store(Tagged::new(proc), Release);
}

/// Moves an LWP, which bears an id of its own, to its process's slot, which is free; the id
/// that it had, under which nothing is published any more. At each moment one of its two
/// numbers finds it. Wait-free.
///
/// # Safety
/// The caller owns it, and no other LWP of the process comes or is there.
pub(crate) unsafe fn move_lwp<H: Host>(ids: &Table<H>, to: Identity, lwp: LwpPtr<H>) -> Identity {
    // SAFETY: owned.
    let node = unsafe { Managed::deref_counted(lwp) };
    let from = node.id();
    let slot = |id: Identity| &ids.slot(id.number()).expect("an id in use has a slot").lwp;
    // Release [P4]: the LWP's fields; pairs with Acquire in `find_lwp`.
    slot(to).store(Tagged::new(lwp), Release);
    node.bear(to);
    // Release [P150]: that it is in the other slot; pairs with Acquire in `find_lwp`.
    slot(from).store(Tagged::NULL, Release);
    from
}

/// The process that bears the number's slot, if one is published. Wait-free.
#[inline]
fn occupant<'g, H: Host>(
    ids: &Table<H>,
    number: i32,
    pin: &'g Pin<'_>,
) -> Option<(&'g ProcNode<H>, ProcPtr<H>)> {
    // Acquire [P3]: the process's fields; pairs with Release in `publish`.
    // [P15]: who is gone has left its children to init.
    let found = ids.proc(number)?.load(Acquire);
    // SAFETY: loaded with Acquire under the pin; unpublished before retired.
    Some((unsafe { found.as_ref(pin) }?, found.ptr()))
}

/// The process with that pid, zombies included. Wait-free.
#[inline]
pub(crate) fn find<'g, H: Host>(
    ids: &Table<H>,
    pid: Pid,
    pin: &'g Pin<'_>,
) -> Option<(&'g ProcNode<H>, ProcPtr<H>)> {
    occupant(ids, pid.0, pin).filter(|(node, _)| node.pid() == pid)
}

/// The process of that identity, if it is published. Wait-free.
pub(crate) fn resolve<'g, H: Host>(
    ids: &Table<H>,
    id: Identity,
    pin: &'g Pin<'_>,
) -> Option<(&'g ProcNode<H>, ProcPtr<H>)> {
    occupant(ids, id.number(), pin).filter(|(node, _)| node.id == id)
}

/// Every process, zombies included, in slot order. Weakly consistent.
pub(crate) fn all<'g, H: Host>(
    ids: &'g Table<H>,
    pin: &'g Pin<'_>,
) -> impl Iterator<Item = &'g ProcNode<H>> {
    // Acquire [P3]: as in `occupant`.
    // SAFETY: loaded with Acquire under the pin; unpublished before retired.
    ids.procs().filter_map(move |link| unsafe { link.load(Acquire).as_ref(pin) })
}

/// The live LWP with that lid. Wait-free.
pub(crate) fn find_lwp<'g, H: Host>(
    ids: &Table<H>,
    lid: Lid,
    pin: &'g Pin<'_>,
) -> Option<(&'g LwpNode<H>, LwpPtr<H>)> {
    // Acquire [P4]: the LWP's fields; pairs with Release in `publish`, `publish_lwp`, and
    // `move_lwp`. [P150]: whoever no longer finds it here finds it by its new number.
    let found = ids.slot(lid.0)?.lwp.load(Acquire);
    // SAFETY: loaded with Acquire under the pin.
    let node = unsafe { found.as_ref(pin) }?;
    (node.lid() == lid && !node.word.load().has_exited()).then_some((node, found.ptr()))
}

/// The live LWP that bears that id. Wait-free.
pub(crate) fn resolve_lwp<'g, H: Host>(
    ids: &Table<H>,
    id: Identity,
    pin: &'g Pin<'_>,
) -> Option<(&'g LwpNode<H>, LwpPtr<H>)> {
    find_lwp(ids, id.lid(), pin).filter(|(node, _)| node.id() == id)
}
