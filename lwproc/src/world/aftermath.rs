//! What is left to do when something has ended.

use super::participant::Participant;
use crate::filedesc::link::TableUse;
use crate::host::Host;
use crate::object::doomed::Doomed;
use crate::object::home::Anchor;
use crate::panics::{self, Panic};
use crate::sync::Arc;
use std::collections::VecDeque;

/// What is left to do once no part of the world is in use any more: user code
/// that may panic, and the LWP's share in the world, which may be the last.
#[must_use = "settle it when the seat has been given back"]
pub(crate) struct Aftermath<H: Host> {
    panic: Option<Panic>,
    pub(crate) vmspace: Option<H::VmSpace>,
    pub(crate) anchor: Option<Arc<Anchor<H>>>,
    /// LWPs that are to end, in turns: the end of one may doom others.
    doomed: Option<Box<AllDoomed<H>>>,
}

/// Ends an LWP, but for what is left to do then.
pub(crate) type EndDoomed<H> = fn(Doomed<H>) -> Aftermath<H>;

struct AllDoomed<H: Host> {
    all: VecDeque<Doomed<H>>,
    end: EndDoomed<H>,
}

impl<H: Host> Aftermath<H> {
    pub(crate) fn none() -> Self {
        Self { panic: None, vmspace: None, anchor: None, doomed: None }
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

    /// Ends LWPs when it is settled, one after the other and not one inside another.
    pub(crate) fn end(&mut self, doomed: impl IntoIterator<Item = Doomed<H>>, end: EndDoomed<H>) {
        let mut doomed = doomed.into_iter().peekable();
        if doomed.peek().is_some() {
            let all = self
                .doomed
                .get_or_insert_with(|| Box::new(AllDoomed { all: VecDeque::new(), end }));
            all.all.extend(doomed);
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
        if let Some(later) = later.doomed.take() {
            self.end(later.all, later.end);
        }
    }

    /// Ends the next that is doomed; `None`: there is none.
    fn end_next(&mut self) -> Option<()> {
        let doomed = self.doomed.as_mut()?;
        let (next, end) = (doomed.all.pop_front()?, doomed.end);
        if let Some(mut ended) = self.run(|| end(next)) {
            ended.give_back();
            self.then(ended);
        }
        Some(())
    }

    /// Drops what is kept for it.
    fn give_back(&mut self) {
        let (vmspace, anchor) = (self.vmspace.take(), self.anchor.take());
        self.run(|| drop(vmspace));
        // Last: with it the world may go.
        self.run(|| drop(anchor));
    }

    /// Runs it. The caller uses nothing of the world any more, unless it holds
    /// the world alive by other means.
    pub(crate) fn settle(mut self) {
        self.give_back();
        // Each keeps the world by itself.
        while self.end_next().is_some() {}
        if let Some(panic) = self.panic {
            panic.report();
        }
    }
}
