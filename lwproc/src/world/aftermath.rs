//! What is left to do when something has ended.

use super::participant::Participant;
use crate::filedesc::link::TableUse;
use crate::host::Host;
use crate::object::home::Anchor;
use crate::panics::{self, Panic};
use crate::sync::Arc;

/// What is left to do once no part of the world is in use any more: user code
/// that may panic, and the LWP's share in the world, which may be the last.
#[must_use = "settle it when the seat has been given back"]
pub(crate) struct Aftermath<H: Host> {
    panic: Option<Panic>,
    pub(crate) vmspace: Option<H::VmSpace>,
    pub(crate) anchor: Option<Arc<Anchor<H>>>,
}

impl<H: Host> Aftermath<H> {
    pub(crate) fn none() -> Self {
        Self { panic: None, vmspace: None, anchor: None }
    }

    /// For user code that runs while nothing is ended: the first panic goes on when
    /// all of it has run.
    pub(crate) fn collect(run: impl FnOnce(&mut Self)) {
        let mut aftermath = Self::none();
        run(&mut aftermath);
        aftermath.settle();
    }

    /// A share in what keeps the world.
    pub(crate) fn anchor(&self) -> Option<Arc<Anchor<H>>> {
        self.anchor.clone()
    }

    /// Runs user code now; if it panics, that goes on in `settle`. The first
    /// panic counts.
    pub(crate) fn run<R>(&mut self, user_code: impl FnOnce() -> R) -> Option<R> {
        match panics::catch(user_code) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.panic.get_or_insert(panic);
                None
            }
        }
    }

    /// Gives a use of a descriptor table back; the last closes its files now, and
    /// a panic of one does not keep the others from being closed.
    pub(crate) fn close_files(&mut self, me: &Participant<H>, files: TableUse<H::File>) {
        files.release(|| me.pin(), |file| _ = self.run(|| drop(file)));
    }

    /// Takes another's panic over; its own, if it has one, counts.
    pub(crate) fn then(&mut self, mut later: Self) {
        if let Some(panic) = later.panic.take() {
            self.panic.get_or_insert(panic);
        }
    }

    /// Runs it. The caller uses nothing of the world any more, unless it holds
    /// the world alive by other means.
    pub(crate) fn settle(mut self) {
        let (vmspace, anchor) = (self.vmspace.take(), self.anchor.take());
        self.run(|| drop(vmspace));
        // Last: with it the world may go.
        self.run(|| drop(anchor));
        if let Some(panic) = self.panic {
            panic.report();
        }
    }
}
