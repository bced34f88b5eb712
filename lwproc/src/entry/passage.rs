//! Entering and leaving.

use super::Entered;
use super::sleep::Interrupted;
use crate::error::EnterError;
use crate::handles::refused::EnterAsError;
use crate::host::Host;
use crate::ops::owned::Lwp;
use crate::ops::seat::Seat;
use crate::world::Implicit;
use crate::world::clock::Deadline;
use crate::world::context::{Context, Passage};
use std::time::Duration;

impl<'k, H: Host> Entered<'k, H> {
    #[inline]
    pub(crate) fn new(seat: Seat<'k, H>) -> Result<Self, EnterError> {
        let cx = &seat.me().own;
        // Never so without an LWP where that is forbidden: there are no credentials then.
        if cx.passage.get() == Passage::Open && cx.enters_quietly(&seat.world().init) {
            cx.passage.set(Passage::Light);
            return Ok(Self { seat, cx });
        }
        Self::new_prepared(seat, None)
    }

    /// The general case. It takes the seat, so that the quick one has nothing to undo.
    #[cold]
    #[inline(never)]
    fn new_prepared(seat: Seat<'k, H>, deadline: Deadline) -> Result<Self, EnterError> {
        let cx = Self::begin(&seat)?;
        let entered = Self { seat, cx };
        entered.prepare(deadline)?;
        Ok(entered)
    }

    /// The thread's own context, in which it is from now on.
    fn begin(seat: &Seat<'k, H>) -> Result<&'k Context<H>, EnterError> {
        let me = seat.me();
        if !me.innermost.get().is_null() || me.own.is_entered() {
            return Err(EnterError::AlreadyEntered);
        }
        me.own.passage.set(me.inside());
        // If it left because it panicked, it has gone on since.
        me.unwound.set(std::ptr::null_mut());
        Ok(&me.own)
    }

    /// Enters as that LWP.
    pub(crate) fn new_as(seat: Seat<'k, H>, lwp: Lwp<H>) -> Result<Self, EnterAsError<H>> {
        let Ok(cx) = Self::begin(&seat) else {
            return Err(EnterAsError::AlreadyEntered(lwp));
        };
        let entered = Self { seat, cx };
        if entered.node().is_some() {
            return Err(EnterAsError::HasLwp(lwp));
        }
        entered.seat.acquire_cpu();
        entered.attach_current(lwp);
        entered.stop_by_the_way();
        entered.refresh_creds();
        Ok(entered)
    }

    /// Leaves with the LWP, if it is this value's to take, and lives.
    pub(crate) fn leave(self) -> Option<Lwp<H>> {
        let is_own = std::ptr::eq(self.cx, &self.seat.me().own);
        if is_own && !self.is_exiting() { self.detach_current() } else { None }
    }

    /// As [`Entered::new`], until that time.
    pub(crate) fn new_by(seat: Seat<'k, H>, deadline: Duration) -> Result<Self, EnterError> {
        Self::new_prepared(seat, Some(deadline))
    }

    /// Gets what it lacks: a virtual CPU, the process's credentials. Refused where it may
    /// not be, and when it would have to wait for too long.
    #[cold]
    fn prepare(&self, deadline: Deadline) -> Result<(), EnterError> {
        if self.bound().is_null() && self.seat.world().implicit == Implicit::Forbidden {
            return Err(EnterError::NoLwp);
        }
        match deadline {
            None => self.seat.acquire_cpu(),
            Some(deadline) if self.seat.acquire_cpu_by(deadline) => {}
            Some(_) => return Err(EnterError::TimedOut),
        }
        if self.stop_here(deadline) == Err(Interrupted::TimedOut) {
            return Err(EnterError::TimedOut);
        }
        self.refresh_creds();
        Ok(())
    }
}

/// Leaves at the end of its scope, even when the host panics in it.
struct Leaving<'e, 'k, H: Host>(&'e Entered<'k, H>);

impl<H: Host> Drop for Leaving<'_, '_, H> {
    fn drop(&mut self) {
        let Entered { seat, cx } = self.0;
        if self.0.is_suspended() {
            // The thread follows when the scopes inside have ended.
            cx.biglocks.set(0);
        } else {
            seat.kernel_unlock_all();
            seat.release_cpu();
        }
        cx.passage.set(Passage::Guarded);
    }
}

impl<H: Host> Entered<'_, H> {
    /// Leaves with something to give back: the LWP, the big lock, a virtual CPU.
    #[cold]
    fn leave_with_more(&mut self) {
        if self.cx.passage.get() == Passage::Inner {
            // That of a scope, which is left when its poll ends.
            return;
        }
        let leaving = Leaving(self);
        let closed = self.leave_files();
        if self.is_exiting() {
            drop(self.detach_current());
        } else if std::thread::panicking() {
            self.seat.me().unwound.set(self.bound());
        }
        drop(leaving);
        if let Some(closed) = closed {
            closed.settle();
        }
    }
}

impl<H: Host> Drop for Entered<'_, H> {
    #[inline]
    fn drop(&mut self) {
        let cx = self.cx;
        let light = cx.passage.get() == Passage::Light && cx.biglocks.get() == 0;
        if light && !self.is_exiting() && !std::thread::panicking() {
            cx.passage.set(Passage::Open);
        } else {
            self.leave_with_more();
        }
    }
}
