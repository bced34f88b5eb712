//! Sleeping, and being woken.
#![allow(unsafe_code)]

use super::Entered;
use crate::errno::errors;
use crate::host::Host;
use crate::ops::post;
use crate::ops::seat::Seat;
use crate::reclaim::Managed;
use crate::sleep::{SleepObject, SyncObject, WaitChannel};
use crate::waitq::WaitQueue;
use std::sync::Arc;

errors! {
    /// Why a sleep ended before its time.
    Interrupted {
        /// An unblocked signal is pending.
        Signal => EINTR, "interrupted by a signal";
        /// The LWP is to exit.
        Exit => EINTR, "interrupted: the lwp is to exit";
        /// Somebody ended the sleep: `LwpRef::unsleep`.
        Unslept => EINTR, "the sleep was ended";
    }
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
    fn step(seat: &'e Seat<'k, H>) -> Self {
        let biglocks = seat.kernel_unlock_all();
        seat.release_cpu();
        Self { seat, biglocks }
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
        } else if word.has_pendsig() && post::refresh(node, self.proc()) {
            Some(Interrupted::Signal)
        } else if word.has_unslept() {
            Some(Interrupted::Unslept)
        } else {
            None
        }
    }

    /// From now on others may end the sleep.
    fn fall_asleep(&self, object: Option<Arc<dyn SyncObject>>) -> Asleep<'_, 'k, H> {
        let on = if object.is_some() { On::Other } else { On::Parker };
        if let Some(node) = self.node() {
            node.fall_asleep(match object {
                Some(object) => Managed::new(SleepObject::Other(Some(object))),
                None => self.seat.me().sleep_object(),
            });
        }
        Asleep { entered: self, on }
    }

    /// Sleeps in a process's queue; an explicit unsleep does not end it.
    pub(crate) fn sleep_in<R>(
        &self,
        waiters: &WaitQueue,
        done: impl FnMut() -> Option<R>,
    ) -> Result<R, Interrupted> {
        let due = || self.interruption().filter(|why| *why != Interrupted::Unslept);
        if let Some(why) = due() {
            return Err(why);
        }
        let asleep = self.fall_asleep(None);
        let aside = Aside::step(&self.seat);
        let result = waiters.wait_for(self.seat.me().parker(), done, due, None, || ());
        drop((asleep, aside));
        if result.is_err() {
            // Clears away what is left of this sleeper.
            waiters.wake_all();
        }
        result
    }

    /// Sleeps in a process's queue, whatever context the thread has, or none; nothing
    /// interrupts it. `done` must not panic.
    pub(crate) fn sleep_anyhow<R>(
        seat: &Seat<'k, H>,
        waiters: &WaitQueue,
        done: impl FnMut() -> Option<R>,
    ) -> R {
        let biglocks = seat.kernel_unlock_all();
        let had_cpu = seat.me().cpu.get().is_some();
        seat.release_cpu();
        let result = waiters.wait_until(seat.me().parker(), done);
        if had_cpu {
            seat.acquire_cpu();
        }
        seat.kernel_lock_to(biglocks);
        result
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
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R, Interrupted> {
        if let Some(r) = condition() {
            return Ok(r);
        }
        if let Some(why) = self.interruption() {
            return Err(why);
        }
        let _asleep = self.fall_asleep(None);
        channel.queue().wait_for(
            self.seat.me().parker(),
            condition,
            || self.interruption(),
            Some(&|| channel.wake_all()),
            || Aside::step(&self.seat),
        )
    }

    /// Sleeps in a way of the embedder's: `sleep` blocks, and returns when
    /// `object.unsleep` is called, or has been since this call began; or for reasons of
    /// its own. **Blocks** the thread; gives the big lock and its virtual CPU to others
    /// meanwhile: `sleep` runs without them.
    ///
    /// What the sleep was ended for is to be asked afterwards
    /// ([`Signals::has_pending`](crate::Signals::has_pending), [`Entered::must_exit`]). `object` may be called for some
    /// time after the sleep, and dropped later, by another thread; a panic of that
    /// drop is swallowed.
    ///
    /// # Errors
    /// [`Interrupted`] (EINTR): a reason was there already, and `sleep` was not called.
    // Seed: `l_syncobj` S65-S73.
    pub fn sleep_with<R>(
        &mut self,
        object: Arc<dyn SyncObject>,
        sleep: impl FnOnce() -> R,
    ) -> Result<R, Interrupted> {
        if let Some(why) = self.interruption() {
            return Err(why);
        }
        let asleep = self.fall_asleep(Some(object));
        let slept = match self.interruption() {
            Some(why) => Err(why),
            None => {
                let aside = Aside::step(&self.seat);
                Ok((sleep(), aside))
            }
        };
        // Awake first, then what was given to others.
        drop(asleep);
        slept.map(|(result, _aside)| result)
    }
}
