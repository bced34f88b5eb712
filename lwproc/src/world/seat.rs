//! Which participant the calling thread is: found through thread-local
//! storage, made at the thread's first use of a world, left at its end.
#![allow(unsafe_code)]

use super::aftermath::Aftermath;
use super::death;
use super::participant::Participant;
use super::{Anchor, World};
use crate::host::Host;
use crate::reclaim::{Managed, Pin};
use crate::sync::thread_local;
use crate::sync::{Arc, Weak};
use std::cell::{Cell, RefCell};

#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
thread_local! {
    /// The world used last, and this thread's participant in it.
    static LAST: Cell<(u64, *const ())> = const { Cell::new((0, std::ptr::null())) };
    static MEMBERSHIPS: Memberships = const { Memberships(RefCell::new(Vec::new())) };
}
#[cfg(any(lwproc_loom, lwproc_shuttle))]
thread_local! {
    static LAST: Cell<(u64, *const ())> = Cell::new((0, std::ptr::null()));
    static MEMBERSHIPS: Memberships = Memberships(RefCell::new(Vec::new()));
}

/// This thread's participants, one for each world it has used.
struct Memberships(RefCell<Vec<Box<dyn Membership>>>);

impl Drop for Memberships {
    fn drop(&mut self) {
        // A model that failed is over: its thread has nothing to leave.
        if cfg!(any(lwproc_loom, lwproc_shuttle)) && std::thread::panicking() {
            return self.0.take().into_iter().for_each(std::mem::forget);
        }
        // From here on the thread is a stranger to every world.
        forget_last();
        for membership in self.0.take() {
            membership.resign();
        }
    }
}

fn forget_last() {
    // Failure: the storage is gone already.
    let _ = LAST.try_with(|last| last.set((0, std::ptr::null())));
}

/// A participant of some world, whatever its host type.
trait Membership {
    fn serial(&self) -> u64;
    fn participant(&self) -> *const ();
    fn is_stale(&self) -> bool;
    /// The thread ends: releases its bound LWP and vacates its participant.
    fn resign(self: Box<Self>);
}

struct MembershipOf<H: Host> {
    serial: u64,
    participant: *const Participant<H>,
    world: Weak<World<H>>,
}

impl<H: Host> Membership for MembershipOf<H> {
    fn serial(&self) -> u64 {
        self.serial
    }

    fn participant(&self) -> *const () {
        self.participant.cast()
    }

    fn is_stale(&self) -> bool {
        self.world.strong_count() == 0
    }

    fn resign(self: Box<Self>) {
        let Some(world) = self.world.upgrade() else {
            return;
        };
        // SAFETY: the world lives, and with it its participants.
        let me = unsafe { &*self.participant };
        let aftermath = resign_from(&world, me);
        // A panic of the host's must not leave a thread's destructor.
        let settled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| aftermath.settle()));
        drop(settled);
        drop(world);
    }
}

fn resign_from<H: Host>(world: &World<H>, me: &Participant<H>) -> Aftermath<H> {
    if me.in_use.get() != 0 {
        // A guard or an entry was leaked, or outlives this thread's storage:
        // it still uses the participant, so nobody else may.
        return Aftermath::none();
    }
    let bound = me.own.take_bound();
    let aftermath = if bound.is_null() {
        Aftermath::none()
    } else {
        // SAFETY: the thread owned what was bound to it.
        let token = unsafe { Managed::deref_counted(bound) }.token();
        let clear = || world.host.clear(token);
        // A panic of the host's must not lose the LWP.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(clear));
        // SAFETY: the thread owned what was bound to it.
        unsafe { death::freelwp(world, me, bound) }
    };
    me.pin().flush();
    me.vacate();
    aftermath
}

/// The calling thread's use of its participant. `!Send`.
pub(crate) struct Seat<'w, H: Host> {
    world: &'w World<H>,
    me: &'w Participant<H>,
    /// What keeps the world, for a seat that does not come from a [`Kernel`] value;
    /// the teardown may come at any time.
    ///
    /// [`Kernel`]: crate::Kernel
    anchor: Option<&'w Arc<Anchor<H>>>,
    /// The thread's storage is gone: vacate at the end of this use.
    temporary: bool,
    _not_send: std::marker::PhantomData<*mut ()>,
}

impl<H: Host> World<H> {
    /// The calling thread's seat. Wait-free, but for the first time.
    #[inline]
    pub(crate) fn seat(&self) -> Seat<'_, H> {
        let last = LAST.try_with(Cell::get).unwrap_or((0, std::ptr::null()));
        if last.0 == self.serial {
            // SAFETY: the serial names this world, whose participants live as
            // long as it does, and whose type is this one.
            let me = unsafe { &*last.1.cast::<Participant<H>>() };
            return Seat::new(self, me, false);
        }
        self.seat_slow()
    }

    #[cold]
    fn seat_slow(&self) -> Seat<'_, H> {
        let known = MEMBERSHIPS.try_with(|all| {
            let mut all = all.0.borrow_mut();
            if let Some(m) = all.iter().find(|m| m.serial() == self.serial) {
                return m.participant();
            }
            all.retain(|m| !m.is_stale());
            let participant: *const Participant<H> = self.register();
            let (serial, world) = (self.serial, self.downgrade());
            all.push(Box::new(MembershipOf { serial, participant, world }));
            participant.cast()
        });
        match known {
            Ok(participant) => {
                LAST.with(|last| last.set((self.serial, participant)));
                // SAFETY: a membership with this world's serial.
                Seat::new(self, unsafe { &*participant.cast::<Participant<H>>() }, false)
            }
            Err(_) => Seat::new(self, self.register(), true),
        }
    }
}

/// For the models: a participant made by one thread for another, so that the
/// registration of threads is modelled once, and not again in every model.
#[cfg(any(lwproc_loom, lwproc_shuttle))]
#[derive(Clone, Copy)]
pub struct ReservedSeat(u64, usize);

#[cfg(any(lwproc_loom, lwproc_shuttle))]
impl<H: Host> World<H> {
    pub(crate) fn reserve_seat(&self) -> ReservedSeat {
        let participant: *const Participant<H> = self.participants.add(&self.collector);
        ReservedSeat(self.serial, participant.expose_provenance())
    }
}

#[cfg(any(lwproc_loom, lwproc_shuttle))]
impl ReservedSeat {
    /// The calling thread sits down.
    pub fn take(self) {
        LAST.with(|last| last.set((self.0, std::ptr::with_exposed_provenance(self.1))));
    }
}

impl<H: Host> Anchor<H> {
    /// The calling thread's seat, for a user that has no [`Kernel`](crate::Kernel)
    /// value.
    pub(crate) fn seat(this: &Arc<Self>) -> Seat<'_, H> {
        let mut seat = this.world().seat();
        seat.anchor = Some(this);
        seat
    }
}

impl<'w, H: Host> Seat<'w, H> {
    fn new(world: &'w World<H>, me: &'w Participant<H>, temporary: bool) -> Self {
        me.in_use.set(me.in_use.get() + 1);
        Self { world, me, anchor: None, temporary, _not_send: std::marker::PhantomData }
    }

    /// A further use by a thread that has the participant already.
    pub(crate) fn again(world: &'w World<H>, me: &'w Participant<H>) -> Self {
        Self::new(world, me, false)
    }

    pub(crate) fn world(&self) -> &'w World<H> {
        self.world
    }

    pub(crate) fn me(&self) -> &'w Participant<H> {
        self.me
    }

    pub(crate) fn pin(&self) -> Pin<'w> {
        self.me.pin()
    }

    /// A further use of this seat.
    pub(crate) fn share(&self) -> Self {
        let mut seat = Self::again(self.world, self.me);
        seat.anchor = self.anchor;
        seat
    }

    /// A share of this participant's anchor. For users of the [`Kernel`]
    /// value only: the teardown takes the anchor away. Others have one with them.
    ///
    /// [`Kernel`]: crate::Kernel
    pub(crate) fn anchor(&self) -> Arc<Anchor<H>> {
        if let Some(anchor) = self.anchor {
            return anchor.clone();
        }
        // SAFETY: the owner's field; the teardown has the kernel to itself.
        let anchor = unsafe { &mut *self.me.anchor.get() };
        anchor.get_or_insert_with(|| self.world.new_anchor()).clone()
    }
}

impl<H: Host> Drop for Seat<'_, H> {
    fn drop(&mut self) {
        self.me.in_use.set(self.me.in_use.get() - 1);
        if self.temporary && self.me.in_use.get() == 0 {
            // An entry through a temporary seat has left by now, and what it
            // left bound goes with it.
            resign_from(self.world, self.me).settle();
        }
    }
}
