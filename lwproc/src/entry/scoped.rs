//! The context of a scope, entered for one poll on whatever thread polls.
#![allow(unsafe_code)]

use super::Entered;
use crate::host::{Host, LwpToken};
use crate::id::{Lid, Pid};
use crate::object::node::LwpNode;
use crate::ops::owned::Lwp;
use crate::ops::seat::Seat;
use crate::reclaim::Tagged;
use crate::world::aftermath::Aftermath;
use crate::world::context::Context;
use crate::world::participant::Participant;

/// What a scope has between polls.
pub(crate) enum Between<H: Host> {
    /// The LWP that it runs as.
    Lwp(Lwp<H>),
    /// None: that one has gone.
    Gone(Pid, Lid),
}

impl<H: Host> Between<H> {
    /// Another one; what was there.
    pub(crate) fn replace(&mut self, new: Lwp<H>) -> Option<Lwp<H>> {
        match std::mem::replace(self, Self::Lwp(new)) {
            Self::Lwp(old) => Some(old),
            Self::Gone(..) => None,
        }
    }

    /// Takes the LWP out, or says who it was.
    pub(crate) fn take(&mut self) -> Result<Lwp<H>, (Pid, Lid)> {
        let gone = match self {
            Self::Lwp(lwp) => Self::Gone(lwp.pid(), lwp.lid()),
            Self::Gone(pid, lid) => return Err((*pid, *lid)),
        };
        match std::mem::replace(self, gone) {
            Self::Lwp(lwp) => Ok(lwp),
            Self::Gone(..) => unreachable!("looked at above"),
        }
    }
}

/// A scope's context on this thread. It suspends the one before, and what that was
/// is put back when this is dropped.
pub(crate) struct Scoped<'s, H: Host> {
    entered: Entered<'s, H>,
    /// Where the LWP is between polls.
    between: &'s mut Between<H>,
    /// What is put back.
    outer: *const Context<H>,
    took_cpu: bool,
}

/// What the host knows the LWP by that is bound to the thread's innermost context.
fn token_of<H: Host>(me: &Participant<H>) -> Option<LwpToken> {
    // Before the look: the teardown may take the LWP from the thread at any time.
    let pin = me.pin();
    // SAFETY: bound by this thread, which made it or was given it; and if it is freed
    // meanwhile, it is retired after this pin was taken.
    unsafe { Tagged::new(me.innermost().bound()).as_ref(&pin) }.map(LwpNode::token)
}

impl<'s, H: Host> Scoped<'s, H> {
    /// Enters as the LWP that is at `between`; as nobody if it has gone. Blocks while all
    /// virtual CPUs are taken.
    pub(crate) fn enter(
        seat: Seat<'s, H>,
        cx: &'s Context<H>,
        between: &'s mut Between<H>,
    ) -> Self {
        let me = seat.me();
        // First, for it may panic.
        if let Some(outer) = token_of(me)
            && !me.innermost().untold.replace(true)
        {
            seat.world().host.clear(outer);
        }
        let entered = Entered { seat, cx };
        entered.seat.put_big_lock_down();
        let took_cpu = me.cpu.get().is_none();
        let this = Self { entered, between, outer: me.suspend(cx), took_cpu };
        if took_cpu {
            this.entered.seat.acquire_cpu();
        }
        match this.between.take() {
            Ok(lwp) => this.entered.attach_current(lwp),
            Err(gone) => {
                this.entered.seat.tell_cpu(std::ptr::null_mut());
                cx.inert.set(Some(gone));
            }
        }
        this
    }

    pub(crate) fn entered(&self) -> &Entered<'s, H> {
        &self.entered
    }

    /// What leaving does that may panic, each part whatever the others do.
    fn leave(&mut self, aftermath: &mut Aftermath<H>) {
        let entered = &self.entered;
        if entered.is_exiting() {
            entered.rouse();
        }
        if let Some(closed) = entered.leave_files() {
            aftermath.then(closed);
        }
        let Some(lwp) = entered.take_off() else {
            return;
        };
        aftermath.run(|| entered.clear_in_host(&lwp));
        *self.between = Between::Gone(lwp.pid(), lwp.lid());
        if let Some(lwp) = Entered::put_away(Some(lwp), aftermath) {
            *self.between = Between::Lwp(lwp);
        }
    }
}

impl<H: Host> Drop for Scoped<'_, H> {
    fn drop(&mut self) {
        let mut aftermath = Aftermath::none();
        self.leave(&mut aftermath);
        let entered = &self.entered;
        let (world, me) = (entered.seat.world(), entered.seat.me());
        entered.seat.kernel_unlock_all();
        // SAFETY: the context ends here, and its borrows have.
        if let Some(cred) = unsafe { entered.cx.take_init_cred() } {
            cred.release(&me.pin());
        }
        me.resume(self.outer);
        // The context around may have been left meanwhile.
        if self.took_cpu || !me.innermost().is_entered() {
            entered.seat.release_cpu();
        } else {
            entered.seat.tell_cpu(me.innermost().bound());
        }
        if let Some(outer) = token_of(me) {
            aftermath.run(|| world.host.set(outer)).inspect(|()| me.innermost().untold.set(false));
        }
        entered.seat.pick_big_lock_up();
        aftermath.settle();
    }
}
