//! The context of a scope, entered for one poll on whatever thread polls.
#![allow(unsafe_code)]

use super::Entered;
use crate::host::{Host, LwpToken};
use crate::object::node::LwpNode;
use crate::ops::owned::Lwp;
use crate::ops::seat::Seat;
use crate::reclaim::Tagged;
use crate::world::aftermath::Aftermath;
use crate::world::context::Context;
use crate::world::participant::Participant;

/// A scope's context on this thread. It suspends the one before, and what that was
/// is put back when this is dropped.
pub(crate) struct Scoped<'s, H: Host> {
    entered: Entered<'s, H>,
    /// Where the LWP is between polls.
    home: &'s mut Option<Lwp<H>>,
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
    /// Enters as the LWP that is at `home`, or in an implicit context. Blocks while
    /// all virtual CPUs are taken.
    pub(crate) fn enter(
        seat: Seat<'s, H>,
        cx: &'s Context<H>,
        home: &'s mut Option<Lwp<H>>,
    ) -> Self {
        let me = seat.me();
        // First, for it may panic.
        if let Some(outer) = token_of(me) {
            seat.world().host.clear(outer);
        }
        let entered = Entered { seat, cx };
        entered.seat.put_big_lock_down();
        let took_cpu = me.cpu.get().is_none();
        let this = Self { entered, home, outer: me.innermost.replace(cx), took_cpu };
        if took_cpu {
            this.entered.seat.acquire_cpu();
        }
        match this.home.take() {
            Some(lwp) => this.entered.attach_current(lwp),
            None => {
                this.entered.seat.tell_cpu(std::ptr::null_mut());
                this.entered.refresh_creds();
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
        let lwp = aftermath.run(|| entered.detach_current()).flatten();
        *self.home = aftermath.run(|| Entered::put_away(lwp)).flatten();
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
        me.innermost.set(self.outer);
        // The context around may have been left meanwhile.
        if self.took_cpu || !me.innermost().entered.get() {
            entered.seat.release_cpu();
        } else {
            entered.seat.tell_cpu(me.innermost().bound());
        }
        if let Some(outer) = token_of(me) {
            aftermath.run(|| world.host.set(outer));
        }
        entered.seat.pick_big_lock_up();
        aftermath.settle();
    }
}
