//! Taking signals, and blocking them.

use super::Entered;
use super::signal::Signals;
use super::sleep::Interrupted;
use crate::host::Host;
use crate::ops::jobs::{self, Left};
use crate::ops::{pending, post, take};
use crate::signal::{MaskError, SigSet, Signo, Taken};
use crate::world::aftermath::Aftermath;
use crate::world::clock::Deadline;

impl<H: Host> Entered<'_, H> {
    /// Sleeps until a signal of a set can be taken.
    pub(super) fn take_of_by(
        &self,
        set: SigSet,
        deadline: Deadline,
    ) -> Result<Taken<H::SigValue>, Interrupted> {
        let take = || self.signals().take_of(set);
        // One that is not blocked interrupts the sleep.
        let slept = || self.sleep_in(&self.proc().waiters, deadline, take);
        take().map_or_else(slept, Ok).or_else(|why| take().ok_or(why))
    }
}

impl<H: Host> Signals<'_, H> {
    /// The signals pending for the current LWP, blocked or not: its own and its
    /// process's. Wait-free; O(what is queued).
    pub fn pending(self) -> SigSet {
        let (k, pin) = (self.entered(), self.entered().seat.pin());
        let own = |node| pending::of_lwp(node, k.proc(), &pin);
        k.node().map_or(SigSet::EMPTY, own) | pending::of_proc(k.proc(), &pin)
    }

    /// The signals that the current LWP blocks; none in an implicit context. Wait-free.
    pub fn blocked(self) -> SigSet {
        self.entered().node().map_or(SigSet::EMPTY, pending::blocked)
    }

    /// Replaces the current LWP's mask; the one before. SIGKILL and SIGSTOP are never
    /// blocked. A new LWP blocks nothing; the first of a fork what the forking one
    /// does. Wait-free; but if signals of its process are pending that it blocks now, others
    /// are told of them, as by [`Signals::kill`].
    ///
    /// # Errors
    /// [`MaskError::Implicit`] (EINVAL): an implicit context has no mask.
    pub fn set_blocked(self, mask: SigSet) -> Result<SigSet, MaskError> {
        let k = self.entered();
        let node = k.node().ok_or(MaskError::Implicit)?;
        let before = pending::blocked(node);
        let mask = mask - k.seat.world().rules.numbers.untouchable();
        Aftermath::collect(|aftermath| {
            post::set_blocked(node, k.proc(), mask, k.seat.me(), aftermath);
        });
        Ok(before)
    }

    /// Takes a pending signal that is not blocked: the lowest-numbered one of the LWP's
    /// own, or else of the process's. Of several LWPs that take at once, exactly one
    /// gets a signal of the process, and it sees what the sender did before. `None`
    /// when there is none. Lock-free, but where the kernel
    /// [stops processes](crate::JobControl::Kernel): then it **blocks** while the process is
    /// stopped, or is `None` in a [scope](crate::Scope), which stops after the poll.
    #[doc(alias = "take_signal")]
    pub fn take(self) -> Option<Signo> {
        self.take_info().map(|taken| taken.signo)
    }

    /// As [`Signals::take`], with the value that was [queued](Signals::queue).
    /// O(what is queued).
    pub fn take_info(self) -> Option<Taken<H::SigValue>> {
        let (k, world) = (self.entered(), self.entered().seat.world());
        let take = || take::take(k.node(), k.proc(), !self.blocked(), k.seat.me());
        if !jobs::kept(world) {
            return take();
        }
        loop {
            if k.cx.ground().is_none() {
                k.stop_by_the_way();
            } else if k.is_stopped() {
                // The scope stops when its poll has ended.
                return None;
            }
            let since = k.proc().jobs.load();
            let taken = take()?;
            let mut left = Left::Nothing;
            Aftermath::collect(|aftermath| {
                let pin = k.seat.pin();
                left = jobs::taken(world, k.proc(), taken.signo, since, &pin, aftermath);
            });
            if left == Left::Post {
                return Some(taken);
            }
        }
    }

    /// Takes a pending signal of a set, blocked or not, whatever the process does with it: the
    /// lowest-numbered one of the LWP's own, or else of the process's. Not SIGKILL and
    /// SIGSTOP. `None` when there is none. Lock-free; O(what is queued).
    // POSIX: `sigtimedwait`, with no time.
    pub fn take_of(self, set: SigSet) -> Option<Taken<H::SigValue>> {
        let k = self.entered();
        let wanted = set - k.seat.world().rules.numbers.untouchable();
        take::take(k.node(), k.proc(), wanted, k.seat.me())
    }

    /// As [`Signals::take_of`], and **blocks** until there is one: the LWP, and each other of
    /// its process, should block the set. [`Until::take_of`](crate::Until::take_of) has a
    /// deadline.
    ///
    /// # Errors
    /// [`Interrupted`] (EINTR): another signal is to be taken, the LWP is
    /// [to exit](Entered::must_exit), or somebody [unsleeps](crate::LwpRef::unsleep) it.
    // POSIX: `sigwaitinfo`.
    #[doc(alias = "sigwait")]
    pub fn wait_for(self, set: SigSet) -> Result<Taken<H::SigValue>, Interrupted> {
        self.entered().take_of_by(set, None)
    }

    /// Discards what is pending of a set for the current LWP and its process, blocked or not;
    /// values are dropped. Not SIGKILL and SIGSTOP. Lock-free; O(what is queued).
    ///
    /// # Panics
    /// If the drop of a value does; when all have been dropped.
    pub fn discard(self, set: SigSet) {
        let k = self.entered();
        let set = set - k.seat.world().rules.numbers.untouchable();
        Aftermath::collect(|aftermath| {
            post::discard(k.node(), k.proc(), set, k.seat.me(), aftermath);
        });
    }

    /// Whether there may be something to take: the mark `LW_PENDSIG`. It is set when
    /// there is; now and then also when another LWP has just taken the signal, or it has just
    /// been blocked. Wait-free; one load.
    // Seed: S504-S512, S516.
    #[inline]
    pub fn has_pending(self) -> bool {
        let k = self.entered();
        match k.node() {
            Some(node) => node.word.load().has_signals(),
            None => !pending::of_proc(k.proc(), &k.seat.pin()).is_empty(),
        }
    }
}
