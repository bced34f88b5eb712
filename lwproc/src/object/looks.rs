//! What several words of a process say together.

use super::job_word::Notice;
use super::node::ProcNode;
use super::proc_word::ProcWord;
use crate::host::Host;
use crate::signal::queue::Queue;
use crate::signal::{Disposition, Signo};

impl<H: Host> ProcNode<H> {
    /// Whether its LWPs stop where they look.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        let lives = |word: ProcWord| !word.is_exiting() && !word.is_dead();
        self.jobs.load().is_stopped() && lives(self.word.load())
    }

    /// What it does with a signal, where the kernel keeps that.
    pub(crate) fn disposition(&self, signo: Signo) -> Disposition {
        self.signals.get().map_or(Disposition::Default, |state| state.dispositions.of(signo))
    }

    /// Its queued signals, and its LWPs', if there are any. Two loads; one if there never were.
    #[inline]
    pub(crate) fn queue(&self) -> Option<&Queue<H::SigValue>> {
        self.signals.get().map(|state| &state.queue).filter(|queue| !queue.is_empty())
    }

    /// What a wait of its parent can take of it.
    pub(crate) fn notice(&self) -> Option<Notice> {
        let word = self.word.load();
        let lives = !word.is_dead() && !word.is_exiting();
        if lives { self.jobs.load().notice() } else { None }
    }
}
