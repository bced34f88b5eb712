//! What a process does with its signals.

use super::set::{SigSet, Signo};
use super::{ChildFlags, Disposition};
use crate::sync::{Acquire, AtomicU32, AtomicU64, Relaxed, Release};

/// What a process does with its signals, where the kernel keeps that. Who sends while it
/// changes meets what was, or what will be. A process that has never said anything has none.
#[derive(Debug)]
pub(crate) struct Dispositions {
    /// Those of which something has been said: what is not here is done by default.
    given: AtomicU64,
    /// Of these, those that are caught; the others are ignored.
    caught: AtomicU64,
    /// Of SIGCHLD.
    of_children: AtomicU32,
}

impl Clone for Dispositions {
    fn clone(&self) -> Self {
        // Acquire [P112]: as in `of`.
        let given = AtomicU64::new(self.given.load(Acquire));
        // Relaxed: as in `of`.
        let caught = AtomicU64::new(self.caught.load(Relaxed));
        Self { given, caught, of_children: AtomicU32::new(self.of_children().0) }
    }
}

impl Dispositions {
    pub(crate) fn new() -> Self {
        let [given, caught] = [0; 2].map(AtomicU64::new);
        Self { given, caught, of_children: AtomicU32::new(0) }
    }

    pub(crate) fn of(&self, signo: Signo) -> Disposition {
        let has = |set| SigSet::from_bits(set).contains(signo);
        // Acquire [P112]: which of the two it is; pairs with Release in `set`.
        if !has(self.given.load(Acquire)) {
            return Disposition::Default;
        }
        // Relaxed: the load above has what came with it, and what comes later is as good.
        if has(self.caught.load(Relaxed)) { Disposition::Catch } else { Disposition::Ignore }
    }

    /// What it was. Of two that set one signal's at once, one comes last.
    pub(crate) fn set(&self, signo: Signo, new: Disposition) -> Disposition {
        let before = self.of(signo);
        let bit = SigSet::from(signo).bits();
        // Relaxed: published by the change below, where it was not given.
        let _caught = match new {
            Disposition::Default => 0,
            Disposition::Catch => self.caught.fetch_or(bit, Relaxed),
            Disposition::Ignore => self.caught.fetch_and(!bit, Relaxed),
        };
        // Release [P112]: which it is; pairs with Acquire in `of`.
        let _given = match new {
            Disposition::Default => self.given.fetch_and(!bit, Release),
            _ => self.given.fetch_or(bit, Release),
        };
        before
    }

    /// What is said of the children's signal.
    pub(crate) fn of_children(&self) -> ChildFlags {
        // Relaxed: says nothing but itself.
        ChildFlags(self.of_children.load(Relaxed))
    }

    /// Says it; what was said before.
    pub(crate) fn set_of_children(&self, new: ChildFlags) -> ChildFlags {
        // Relaxed: says nothing but itself.
        ChildFlags(self.of_children.swap(new.0, Relaxed))
    }

    /// Another program catches nothing, and has said nothing of children.
    pub(crate) fn exec(&self) {
        // Relaxed: nobody else sets any now.
        self.of_children.store(0, Relaxed);
        // Relaxed, twice: as in `of`; nobody else sets any now.
        self.given.fetch_and(!self.caught.load(Relaxed), Relaxed);
    }
}
