//! Sleeping, and being woken.
#![allow(unsafe_code)]

use super::Entered;
use crate::errno::errors;
use crate::host::Host;
use crate::object::lwp_word::Mark;
use crate::object::node::LwpNode;
use crate::ops::seat::Seat;
use crate::ops::timer::Timer;
use crate::ops::{jobs, pending};
use crate::reclaim::Managed;
use crate::sleep::{Lent, SleepObject, SyncObject, WaitChannel};
use crate::waitq::{Bed, WaitQueue};
use crate::world::clock::Deadline;
use std::sync::Arc;
use std::time::Duration;

errors! {
    /// Why a sleep ended before its time.
    Interrupted {
        /// An unblocked signal is pending.
        Signal => EINTR, "interrupted by a signal";
        /// The LWP is to exit.
        Exit => EINTR, "interrupted: the lwp is to exit";
        /// Somebody ended the sleep: `LwpRef::unsleep`.
        Unslept => EINTR, "the sleep was ended";
        /// The [deadline](crate::Entered::until) has come.
        TimedOut => ETIMEDOUT, "timed out";
    }
}

impl Interrupted {
    /// The time is over: a last look at what was slept for.
    fn unless_timed_out<R>(self, done: impl FnOnce() -> Option<R>) -> Result<R, Self> {
        match self {
            Self::TimedOut => done().ok_or(self),
            _ => Err(self),
        }
    }
}

/// What a sleeper asks how long it may park; nothing without a deadline.
fn limit_of<'b, H: Host>(
    timer: &Timer<'_, H>,
    limit: &'b dyn Fn() -> Option<Duration>,
) -> Option<&'b dyn Fn() -> Option<Duration>> {
    timer.is_set().then_some(limit)
}

/// A sleep, which others may end: over at the end of its scope, also when user code
/// panics in it.
struct Asleep<'e, 'k, H: Host> {
    entered: &'e Entered<'k, H>,
    on: On,
}

/// The big lock and the virtual CPU are given to others, to the end of the scope.
struct Aside<'e, 'k, H: Host> {
    seat: &'e Seat<'k, H>,
    /// How deep the context held the big lock.
    biglocks: u32,
}

impl<'e, 'k, H: Host> Aside<'e, 'k, H> {
    /// `None` for a suspended context: what the thread has is not its own to give.
    fn step(entered: &'e Entered<'k, H>) -> Option<Self> {
        if entered.is_suspended() {
            return None;
        }
        let seat = &entered.seat;
        let biglocks = seat.kernel_unlock_all();
        seat.release_cpu();
        Some(Self { seat, biglocks })
    }
}

impl<H: Host> Drop for Aside<'_, '_, H> {
    fn drop(&mut self) {
        self.seat.acquire_cpu();
        self.seat.kernel_lock_to(self.biglocks);
    }
}

/// What a context sleeps on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Parker,
    Other,
}

impl<H: Host> Drop for Asleep<'_, '_, H> {
    fn drop(&mut self) {
        if let Some(node) = self.entered.node() {
            node.awake();
            if self.on == On::Other {
                let object = node.take_sleep_object();
                // SAFETY: this thread's: retired below.
                if let SleepObject::Other(object) = unsafe { Managed::deref_counted(object) } {
                    // SAFETY: this sleep's, which is over.
                    unsafe { object.end() };
                }
                // SAFETY: taken out above, so retired once, and found no more.
                unsafe { self.entered.seat.pin().retire(object) };
            }
        }
    }
}

impl<'k, H: Host> Entered<'k, H> {
    /// What is to end this context's sleep. Owner's words only; wait-free.
    fn interruption(&self) -> Option<Interrupted> {
        let node = self.node()?;
        let word = node.word.load();
        if word.has_qexit() {
            Some(Interrupted::Exit)
        } else if word.has_pendsig() && pending::refresh(node, self.proc(), self.seat.me()) {
            Some(Interrupted::Signal)
        } else if word.has_unslept() {
            Some(Interrupted::Unslept)
        } else {
            None
        }
    }

    /// As [`Entered::interruption`], to be reported: that somebody ended the sleep is
    /// reported once.
    pub(crate) fn interrupted(&self) -> Option<Interrupted> {
        let why = self.interruption();
        if let (Some(Interrupted::Unslept), Some(node)) = (why, self.node()) {
            node.word.clear_unslept();
        }
        why
    }

    /// From now on others may end the sleep.
    fn fall_asleep(&self, object: Option<Arc<dyn SyncObject>>) -> Asleep<'_, 'k, H> {
        let on = if object.is_some() { On::Other } else { On::Parker };
        if let Some(node) = self.node() {
            node.fall_asleep(match object {
                Some(object) => Managed::new(SleepObject::Other(Lent::new(object))),
                None => self.seat.me().sleep_object(),
            });
        }
        Asleep { entered: self, on }
    }

    /// Sleeps in a queue, without the big lock and a virtual CPU, until `done` yields a
    /// value. It looks once more when the time is over.
    pub(crate) fn sleep_in<R>(
        &self,
        waiters: &WaitQueue,
        deadline: Deadline,
        mut done: impl FnMut() -> Option<R>,
    ) -> Result<R, Interrupted> {
        if let Some(why) = self.interrupted() {
            return Err(why);
        }
        let timer = Timer::start(self.seat.world(), self.seat.me(), deadline);
        let interruption = || self.interruption_or_end(&timer);
        let result = self.sleep_unless(waiters, &timer, &mut done, interruption);
        drop(timer);
        self.stop_by_the_way();
        result.or_else(|why| why.unless_timed_out(done))
    }

    /// The same, of what only the end of the LWP interrupts, and an unsleep.
    pub(super) fn sleep_unless_fatal<R>(
        &self,
        waiters: &WaitQueue,
        mut done: impl FnMut() -> Option<R>,
    ) -> Result<R, Interrupted> {
        if let Some(done) = done() {
            return Ok(done);
        }
        let timer = Timer::start(self.seat.world(), self.seat.me(), None);
        let interruption = || self.fatal_interruption();
        let result = self.sleep_unless(waiters, &timer, &mut done, interruption);
        drop(timer);
        self.stop_by_the_way();
        result
    }

    /// Sleeps in a queue, without the big lock and a virtual CPU.
    fn sleep_unless<R>(
        &self,
        waiters: &WaitQueue,
        timer: &Timer<'_, H>,
        done: &mut impl FnMut() -> Option<R>,
        interruption: impl Fn() -> Option<Interrupted>,
    ) -> Result<R, Interrupted> {
        let asleep = self.fall_asleep(None);
        let aside = Aside::step(self);
        let bed = Bed::new(self.seat.me().parker());
        let limit = || timer.limit();
        let result =
            waiters.wait_for(bed.limit(limit_of(timer, &limit)), done, interruption, || ());
        drop((asleep, aside));
        result
    }

    /// What is to end a sleep of this context's that signals do not end.
    fn fatal_interruption(&self) -> Option<Interrupted> {
        let (node, seat) = (self.node()?, &self.seat);
        let has_fatal = || jobs::has_fatal(seat.world(), seat.me(), node, self.proc());
        match self.interruption()? {
            Interrupted::Signal if !has_fatal() => {
                node.word.load().has_unslept().then_some(Interrupted::Unslept)
            }
            why => Some(why),
        }
    }

    fn interruption_or_end(&self, timer: &Timer<'_, H>) -> Option<Interrupted> {
        self.interruption().or_else(|| timer.is_due().then_some(Interrupted::TimedOut))
    }

    /// As long as the current LWP's process is stopped, the thread sleeps, without the big
    /// lock and a virtual CPU. Only the end of the process, and the deadline, end that
    /// otherwise.
    #[inline]
    pub(super) fn stop_here(&self, deadline: Deadline) -> Result<(), Interrupted> {
        match self.node() {
            Some(node) if node.word.load().is_stopping() => self.stop(node, deadline),
            _ => Ok(()),
        }
    }

    /// Whether a task that is polled as the current LWP is to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        let Some(node) = self.node().filter(|node| node.word.load().is_stopping()) else {
            return false;
        };
        node.word.clear_stopping();
        let stopped = self.proc().is_stopped();
        if stopped {
            // For the next look.
            let _itself = node.word.mark(Mark::Stopping);
        }
        stopped && !node.word.load().has_qexit()
    }

    /// The same, whatever comes of it: what goes on here has its own deadline.
    pub(super) fn stop_by_the_way(&self) {
        // Without a deadline it is not over before the stop, or the process, is.
        let _ended = self.stop_here(None);
    }

    #[cold]
    fn stop(&self, node: &LwpNode<H>, deadline: Deadline) -> Result<(), Interrupted> {
        while node.word.load().is_stopping() {
            // Before the process's word is looked at: who stops it later sets the mark again.
            node.word.clear_stopping();
            let goes_on = || (!self.proc().is_stopped()).then_some(());
            if goes_on().is_some() {
                continue;
            }
            let timer = Timer::start(self.seat.world(), self.seat.me(), deadline);
            let asleep = self.fall_asleep(None);
            let aside = Aside::step(self);
            let ended = self.proc().waiters.wait_for(
                Bed::new(self.seat.me().parker()).limit(limit_of(&timer, &|| timer.limit())),
                goes_on,
                || match () {
                    () if node.word.load().has_qexit() => Some(Interrupted::Exit),
                    () => timer.is_due().then_some(Interrupted::TimedOut),
                },
                || (),
            );
            drop((asleep, timer));
            if ended == Err(Interrupted::TimedOut) {
                // An entry that fails: it needs no virtual CPU, and has no big lock.
                std::mem::forget(aside);
            } else {
                drop(aside);
            }
            if ended.is_err() {
                // It stops at the next look, if the process is stopped by then.
                let _awake = node.word.mark(Mark::Stopping);
                return ended;
            }
        }
        Ok(())
    }

    /// Sleeps until the big lock is this thread's.
    pub(super) fn sleep_for_big_lock(&self, deadline: Deadline) -> Result<(), Interrupted> {
        let lock = &self.seat.world().big_lock;
        if let Some(why) = self.interrupted() {
            return Err(why);
        }
        let timer = Timer::start(self.seat.world(), self.seat.me(), deadline);
        let asleep = self.fall_asleep(None);
        // Who holds the lock may need the CPU to get on.
        let aside = Aside::step(self);
        let locked = lock.lock_unless(
            Bed::new(self.seat.me().parker()).limit(limit_of(&timer, &|| timer.limit())),
            || self.interruption_or_end(&timer),
        );
        drop((asleep, aside, timer));
        locked.or_else(|why| why.unless_timed_out(|| lock.try_lock().then_some(())))
    }

    /// Sleeps in a process's queue, whatever context the thread has, or none; nothing
    /// interrupts it. `None` when the time is over. `done` must not panic.
    pub(crate) fn sleep_anyhow<R>(
        seat: &Seat<'k, H>,
        waiters: &WaitQueue,
        deadline: Deadline,
        mut done: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let biglocks = seat.kernel_unlock_all();
        let had_cpu = seat.me().cpu.get().is_some();
        seat.release_cpu();
        let timer = Timer::start(seat.world(), seat.me(), deadline);
        let result = waiters.wait_for(
            Bed::new(seat.me().parker()).limit(limit_of(&timer, &|| timer.limit())),
            &mut done,
            || timer.is_due().then_some(()),
            || (),
        );
        drop(timer);
        if had_cpu {
            seat.acquire_cpu();
        }
        seat.kernel_lock_to(biglocks);
        result.ok().or_else(done)
    }

    /// Sleeps on a channel until `condition` yields a value. **Blocks** the thread;
    /// gives the big lock and its virtual CPU to others while it sleeps, and has both
    /// again whenever `condition` is called: at once, and after every wake-up. It sees
    /// what a waker did before it woke the channel.
    ///
    /// In an implicit context there is no LWP, and nobody to interrupt.
    ///
    /// # Errors
    /// [`Interrupted`] (EINTR), while the condition does not hold: an unblocked signal
    /// is pending, the LWP is [to exit](Entered::must_exit), or somebody
    /// [unsleeps](crate::LwpRef::unsleep) it.
    pub fn sleep_on<R>(
        &mut self,
        channel: &WaitChannel,
        condition: impl FnMut() -> Option<R>,
    ) -> Result<R, Interrupted> {
        self.sleep_on_by(channel, None, condition)
    }

    pub(super) fn sleep_on_by<R>(
        &mut self,
        channel: &WaitChannel,
        deadline: Deadline,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R, Interrupted> {
        if let Some(r) = condition() {
            return Ok(r);
        }
        if let Some(why) = self.interrupted() {
            return Err(why);
        }
        let timer = Timer::start(self.seat.world(), self.seat.me(), deadline);
        let asleep = self.fall_asleep(None);
        let result = channel.queue().wait_for(
            Bed::new(self.seat.me().parker())
                .limit(limit_of(&timer, &|| timer.limit()))
                .missed(&|| channel.wake_one()),
            &mut condition,
            || self.interruption_or_end(&timer),
            || Aside::step(self),
        );
        drop((asleep, timer));
        self.stop_by_the_way();
        result.or_else(|why| why.unless_timed_out(condition))
    }

    /// Sleeps in a way of the embedder's: `sleep` blocks, and returns when
    /// `object.unsleep` is called, or has been since this call began; or for reasons of
    /// its own. **Blocks** the thread; gives the big lock and its virtual CPU to others
    /// meanwhile: `sleep` runs without them.
    ///
    /// What the sleep was ended for is to be asked afterwards
    /// ([`Signals::has_pending`](crate::Signals::has_pending), [`Entered::must_exit`]). `object` may be called for some
    /// time after the sleep; it is dropped when the sleep is over and nobody calls it, so
    /// perhaps by who does; a panic of that drop is swallowed.
    ///
    /// # Errors
    /// [`Interrupted`] (EINTR): a reason was there already, and `sleep` was not called.
    // Seed: `l_syncobj` S65-S73.
    pub fn sleep_with<R>(
        &mut self,
        object: Arc<dyn SyncObject>,
        sleep: impl FnOnce() -> R,
    ) -> Result<R, Interrupted> {
        if let Some(why) = self.interrupted() {
            return Err(why);
        }
        let asleep = self.fall_asleep(Some(object));
        let slept = match self.interruption() {
            Some(why) => Err(why),
            None => {
                let aside = Aside::step(self);
                Ok((sleep(), aside))
            }
        };
        // Awake first, then what was given to others.
        drop(asleep);
        let slept = slept.map(|(result, _aside)| result);
        self.stop_by_the_way();
        slept
    }
}
