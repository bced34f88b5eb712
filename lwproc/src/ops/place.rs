//! What a process takes before it is built: the first step of a birth.
#![allow(unsafe_code)]

use super::seat::Seat;
use super::shape::{NewProcError, Shape};
use super::{death, places, regroup};
use crate::cred::uids::{Most, OverLimit, UidInfo};
use crate::cred::{Cred, CredRef};
use crate::emul::EmulPtr;
use crate::host::Host;
use crate::idtable::{Exhausted, Reserved};
use crate::limits::Resource;
use crate::object::namespace::{Born, Closed, Namespace, Numbers};
use crate::object::node::{ProcNode, ProcPtr};
use crate::object::proc_word::Places;
use crate::policy::{Difference, Rules};
use crate::reclaim::{Managed, Pin};
use crate::sync::Arc;
use crate::world::World;
use crate::world::aftermath::Aftermath;
use crate::world::caps::Full;
use crate::world::config::Enforcement;
use crate::world::participant::{Participant, Tally};

/// What a process takes before it is built: its credentials, and by them a place in the
/// kernel, its user's charge, and an id. Dropped, it gives back what has been taken.
/// No pin is held for it: it may be kept.
pub(crate) struct Place<'w, H: Host> {
    world: &'w World<H>,
    me: &'w Participant<H>,
    cred: Option<CredRef>,
    user: &'w UidInfo,
    /// What its system calls will mean.
    pub(super) emul: EmulPtr<H>,
    pub(super) places: Places,
    taken: Taken,
    /// With [`Taken::Id`].
    numbers: Option<Arc<Numbers>>,
}

/// Each with those before it.
#[derive(Clone, Copy)]
enum Taken {
    Nothing,
    /// The places, and the charge of the LWP.
    Room,
    Charge,
    Id(Reserved),
}

// All inlined, or what a fork takes would be written to memory, and read again.
impl<'w, H: Host> Place<'w, H> {
    /// The first step of a birth: all that may be refused by numbers. The parent lives.
    #[inline(always)]
    pub(crate) fn reserve<S: Shape<H>>(
        seat: &Seat<'w, H>,
        parent: ProcPtr<H>,
        shape: &mut S,
        pin: &Pin<'_>,
    ) -> Result<Self, S::Error> {
        let (world, me) = (seat.world(), seat.me());
        // SAFETY: the parent lives.
        let parent = unsafe { Managed::deref_counted(parent) };
        // First: with the configuration a hook that was removed may be dropped, which is
        // user code.
        let (emul, nproc) = world.at_birth();
        let parents = shape.forker().cred.unwrap_or(&parent.resources.cred);
        let parents = parents.hold(pin).expect("the parent lives");
        let limit = nproc_limit(nproc, world.rules, parent, parents.get(), pin);
        // One look at the credentials: who is charged is who the child is (R14).
        let cred = shape.cred(parents, pin)?;
        let real = cred.get().users().real;
        // SAFETY: a user of this kernel.
        let user = unsafe { world.uids.get_likely(parent.resources.user(), real) };
        let (places, taken) = (Places::NONE, Taken::Nothing);
        let mut place =
            Self { world, me, cred: Some(cred), user, emul, places, taken, numbers: None };
        place.take(world.config.places(), limit)?;
        place.number(parent, shape.namespace(), pin)?;
        Ok(place)
    }

    /// The number that has been taken.
    #[inline(always)]
    pub(crate) fn id(&self) -> Reserved {
        match self.taken {
            Taken::Id(id) => id,
            _ => unreachable!("a place that was refused is nobody's"),
        }
    }

    #[inline(always)]
    fn take(&mut self, places: Places, limit: Option<Most>) -> Result<(), NewProcError> {
        let Self { world, me, .. } = *self;
        if places != Places::NONE {
            places::take(world, places).map_err(|Full| NewProcError::KernelFull)?;
            self.places = places;
        }
        self.user.add_lwps(me.lane, 1);
        self.taken = Taken::Room;
        self.user.charge_proc(me.lane, limit).map_err(|OverLimit| NewProcError::Limit)?;
        self.taken = Taken::Charge;
        let id = reserve(world, me).map_err(|Exhausted| NewProcError::IdsExhausted)?;
        self.taken = Taken::Id(id);
        Ok(())
    }

    /// Numbers the process in its pid namespaces, if it is to be in any: its parent's, or
    /// as the init of a new one inside.
    #[inline(always)]
    fn number(
        &mut self,
        parent: &ProcNode<H>,
        new: Option<u32>,
        pin: &Pin<'_>,
    ) -> Result<(), NewProcError> {
        if parent.numbers().is_some() || new.is_some() {
            self.numbers = Some(self.enter(parent, new, pin)?);
        }
        Ok(())
    }

    #[cold]
    fn enter(
        &mut self,
        parent: &ProcNode<H>,
        new: Option<u32>,
        pin: &Pin<'_>,
    ) -> Result<Arc<Numbers>, NewProcError> {
        let around = parent.numbers().map(|numbers| numbers.namespace().clone());
        let namespace = match (new, around, self.taken) {
            (Some(max), around, Taken::Id(id)) => Namespace::new(around, max, id.0)?,
            (_, Some(around), _) => around,
            _ => return Err(NewProcError::IdsExhausted),
        };
        let numbers = Numbers::take(&namespace).ok_or(NewProcError::IdsExhausted)?;
        let Self { world, me, .. } = *self;
        for (entered, at) in namespace.outward().enumerate() {
            if at.life.enter() == Err(Closed) {
                numbers.give_back();
                let entered = namespace.outward().take(entered);
                Aftermath::collect(|aftermath| {
                    death::leave_namespaces(world, me, entered, pin, aftermath);
                });
                return Err(NewProcError::NamespaceEnded);
            }
        }
        Ok(numbers)
    }

    pub(crate) fn born(&self, id: Reserved) -> Born<'_> {
        Born { id: id.0, numbers: self.numbers.as_ref() }
    }

    /// The process has it all from now on.
    #[inline(always)]
    pub(super) fn fill(mut self) -> (CredRef, &'w UidInfo, Option<Arc<Numbers>>) {
        let (cred, user) = (self.cred.take().expect("until it is filled"), self.user);
        let numbers = self.numbers.take();
        std::mem::forget(self);
        (cred, user, numbers)
    }
}

impl<H: Host> Drop for Place<'_, H> {
    #[inline(always)]
    fn drop(&mut self) {
        let Self { world, me, user, places, taken, .. } = *self;
        if let Some(cred) = self.cred.take() {
            give_back(world, me, user, places, (taken, self.numbers.take()), cred);
        }
    }
}

// By value: a reference would keep what a fork takes in memory.
#[cold]
fn give_back<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
    user: &UidInfo,
    places: Places,
    (taken, numbers): (Taken, Option<Arc<Numbers>>),
    cred: CredRef,
) {
    if let Taken::Id(id) = taken {
        // A group that was founded for it may have others in it by now, who bear the id.
        regroup::drop_bearer(world, me, id.0, numbers.as_ref());
    }
    if let Some(numbers) = numbers {
        Aftermath::collect(|aftermath| {
            let all = numbers.namespace().outward();
            death::leave_namespaces(world, me, all, &me.pin(), aftermath);
        });
    }
    if let Taken::Charge | Taken::Id(_) = taken {
        user.count_procs(me.lane, -1);
    }
    if !matches!(taken, Taken::Nothing) {
        user.add_lwps(me.lane, -1);
        places::give_back(world, places);
    }
    cred.release(&me.pin());
}

/// Whether the limit of a user's processes is none to one with these credentials.
pub(crate) fn is_exempt(rules: Rules, cred: &Cred) -> bool {
    match rules.is_linux(Difference::LimitOfTheSuperuser) {
        true => cred.users().real == 0,
        false => cred.is_superuser(),
    }
}

/// What the limit of a user's processes means.
pub(crate) fn most_procs(rules: Rules, limit: u64) -> Most {
    match rules.is_linux(Difference::LimitOfLwps) {
        true => Most::Tasks(limit),
        false => Most::Procs(limit),
    }
}

/// The most processes that the user of a forking process may have; `None`: any
/// number. The superuser is not limited.
fn nproc_limit<H: Host>(
    nproc: Enforcement,
    rules: Rules,
    parent: &ProcNode<H>,
    cred: &Cred,
    pin: &Pin<'_>,
) -> Option<Most> {
    // Linux asks for either: the real uid 0, or the right of the effective one.
    if nproc == Enforcement::Ignored || cred.is_superuser() || is_exempt(rules, cred) {
        return None;
    }
    let limits = parent.resources.limits.get(pin)?;
    Some(most_procs(rules, limits.get(Resource::Nproc).soft))
}

pub(super) fn reserve<H: Host>(
    world: &World<H>,
    me: &Participant<H>,
) -> Result<Reserved, Exhausted> {
    let id = world.ids.reserve(&me.shard, world.participants.iter().map(|p| &p.shard))?;
    me.tally.add(Tally { ids: 1, ..Tally::default() });
    Ok(id)
}
