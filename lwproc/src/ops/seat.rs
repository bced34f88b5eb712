//! Which participant the calling thread is: found through thread-local
//! storage, made at the thread's first use of a world, left at its end.
#![allow(unsafe_code)]

use super::death;
use super::death::lost;
use crate::host::Host;
use crate::object::home::Anchor;
use crate::panics;
use crate::reclaim::{Managed, Pin};
use crate::sync::{Arc, Weak, thread_local};
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::participant::Participant;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
thread_local! {
    /// The world used last, and this thread's participant in it.
    static LAST: Cell<(u64, *const ())> = const { Cell::new((0, std::ptr::null())) };
    static ENROLMENTS: Enrolments = const { Enrolments(RefCell::new(BTreeMap::new())) };
}
#[cfg(any(lwproc_loom, lwproc_shuttle))]
thread_local! {
    static LAST: Cell<(u64, *const ())> = Cell::new((0, std::ptr::null()));
    static ENROLMENTS: Enrolments = Enrolments(RefCell::new(BTreeMap::new()));
}

/// This thread's participants, one for each world it has used, by serial.
struct Enrolments(RefCell<BTreeMap<u64, Box<dyn Enrolment>>>);

impl Drop for Enrolments {
    fn drop(&mut self) {
        // A model that failed is over: its thread has nothing to leave.
        if cfg!(any(lwproc_loom, lwproc_shuttle)) && std::thread::panicking() {
            return std::mem::forget(self.0.take());
        }
        // From here on the thread is a stranger to every world.
        forget_last();
        for enrolment in self.0.take().into_values() {
            enrolment.resign();
        }
    }
}

fn forget_last() {
    // Failure: the storage is gone already.
    let _ = LAST.try_with(|last| last.set((0, std::ptr::null())));
}

/// A participant of some world, whatever its host type.
trait Enrolment {
    fn participant(&self) -> *const ();
    fn is_stale(&self) -> bool;
    /// The thread ends: releases its bound LWP and vacates its participant.
    fn resign(self: Box<Self>);
}

struct EnrolmentOf<H: Host> {
    participant: *const Participant<H>,
    world: Weak<World<H>>,
}

impl<H: Host> Enrolment for EnrolmentOf<H> {
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
        if me.let_go() {
            // A guard or an entry was leaked, or outlives this thread's storage: it
            // still uses the participant, so nobody else may.
            return;
        }
        let aftermath = resign_from(&world, me);
        // A panic of the host's must not leave a thread's destructor.
        let _ = panics::catch(|| aftermath.settle());
        drop(world);
    }
}

/// Takes the thread from its participant, which nothing uses any more.
fn resign_from<H: Host>(world: &World<H>, me: &Participant<H>) -> Aftermath<H> {
    // What user code does here is not the last use again.
    me.hold();
    let bound = me.own.take_bound();
    let aftermath = if bound.is_null() {
        Aftermath::none()
    } else {
        // SAFETY: the thread owned what was bound to it.
        let node = unsafe { Managed::deref_counted(bound) };
        let clear = || {
            if !me.own.untold.get() {
                world.host.clear(node.token());
            }
        };
        // A panic of the host's must not lose the LWP.
        let _ = panics::catch(clear);
        let lost = lost(node, std::ptr::eq(me.unwound.get(), bound));
        // SAFETY: the thread owned what was bound to it.
        unsafe { death::freelwp(world, me, bound, lost) }
    };
    me.pin().flush();
    let others = me.let_go();
    debug_assert!(!others, "a participant is used that nobody can find");
    me.vacate();
    aftermath
}

/// The calling thread's use of its participant. `!Send`.
pub(crate) struct Seat<'w, H: Host> {
    me: &'w Participant<H>,
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
            return Seat::new(me);
        }
        self.seat_slow()
    }

    #[cold]
    fn seat_slow(&self) -> Seat<'_, H> {
        let known = ENROLMENTS.try_with(|all| {
            let mut all = all.0.borrow_mut();
            if let Some(m) = all.get(&self.serial) {
                return m.participant();
            }
            all.retain(|_, m| !m.is_stale());
            let me = self.register();
            me.hold();
            let participant: *const Participant<H> = me;
            let enrolment = EnrolmentOf { participant, world: self.downgrade() };
            all.insert(self.serial, Box::new(enrolment));
            participant.cast()
        });
        match known {
            Ok(participant) => {
                LAST.with(|last| last.set((self.serial, participant)));
                // SAFETY: an enrolment with this world's serial.
                Seat::new(unsafe { &*participant.cast::<Participant<H>>() })
            }
            // The thread's storage is gone: the participant goes with its last use.
            Err(_) => Seat::new(self.register()),
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
        let me = self.participants.add(&self.collector);
        me.hold();
        let participant: *const Participant<H> = me;
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
    pub(crate) fn seat(&self) -> Seat<'_, H> {
        self.world().seat()
    }
}

impl<'w, H: Host> Seat<'w, H> {
    /// A further use by the thread that has the participant.
    #[inline]
    pub(crate) fn new(me: &'w Participant<H>) -> Self {
        me.hold();
        Self { me, _not_send: std::marker::PhantomData }
    }

    #[inline]
    pub(crate) fn world(&self) -> &'w World<H> {
        self.me.world()
    }

    #[inline]
    pub(crate) fn me(&self) -> &'w Participant<H> {
        self.me
    }

    #[inline]
    pub(crate) fn pin(&self) -> Pin<'w> {
        self.me.pin()
    }

    /// A further use of this seat.
    pub(crate) fn share(&self) -> Self {
        Self::new(self.me)
    }

    /// A share in what keeps the world: of the scope's anchor in a scope, which may
    /// outlive the [`Kernel`] value; else of this participant's, which the teardown
    /// takes away, so for users of that value only.
    ///
    /// [`Kernel`]: crate::Kernel
    pub(crate) fn anchor(&self) -> Arc<Anchor<H>> {
        if let Some(ground) = self.me.innermost().ground() {
            return ground.anchor.clone();
        }
        // SAFETY: the owner's field; the teardown has the kernel to itself.
        let anchor = unsafe { &mut *self.me.anchor.get() };
        anchor.get_or_insert_with(|| self.world().new_anchor()).clone()
    }
}

impl<H: Host> Seat<'_, H> {
    /// The last use by a thread whose storage is gone: it has left the kernel by now,
    /// and what it left bound goes with it.
    #[cold]
    fn resign(&self) {
        resign_from(self.world(), self.me).settle();
    }
}

impl<H: Host> Drop for Seat<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if !self.me.let_go() {
            self.resign();
        }
    }
}
