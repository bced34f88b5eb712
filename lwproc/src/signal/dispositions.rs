//! What a process does with its signals.

use super::Disposition;
use super::set::{SigSet, Signo};
use crate::sync::{AtomicU64, Relaxed};

/// What a process does with its signals, where the kernel keeps that. Who sends while it
/// changes meets what was, or what will be. A process that has never said anything has none.
#[derive(Debug)]
pub(crate) struct Dispositions {
    ignored: AtomicU64,
    caught: AtomicU64,
}

impl Clone for Dispositions {
    fn clone(&self) -> Self {
        // Relaxed: as in `of`.
        let [ignored, caught] = [&self.ignored, &self.caught].map(|set| set.load(Relaxed));
        Self { ignored: AtomicU64::new(ignored), caught: AtomicU64::new(caught) }
    }
}

impl Dispositions {
    pub(crate) fn new() -> Self {
        Self { ignored: AtomicU64::new(0), caught: AtomicU64::new(0) }
    }

    pub(crate) fn of(&self, signo: Signo) -> Disposition {
        // Relaxed, twice: nothing is published by it.
        let has = |set: &AtomicU64| SigSet::from_bits(set.load(Relaxed)).contains(signo);
        if has(&self.caught) {
            Disposition::Catch
        } else if has(&self.ignored) {
            Disposition::Ignore
        } else {
            Disposition::Default
        }
    }

    /// What it was. Of two that set one signal's at once, one comes last.
    pub(crate) fn set(&self, signo: Signo, new: Disposition) -> Disposition {
        let before = self.of(signo);
        let bit = SigSet::from(signo).bits();
        for (set, has) in [(&self.caught, Disposition::Catch), (&self.ignored, Disposition::Ignore)]
        {
            // Relaxed, twice: as in `of`.
            let _before =
                if new == has { set.fetch_or(bit, Relaxed) } else { set.fetch_and(!bit, Relaxed) };
        }
        before
    }

    /// Another program catches nothing.
    pub(crate) fn exec(&self) {
        // Relaxed: as in `of`.
        self.caught.store(0, Relaxed);
    }
}
