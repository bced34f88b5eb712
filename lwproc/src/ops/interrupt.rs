//! Marks set by others, and the sleep that they end.
#![allow(unsafe_code)]

use crate::host::Host;
use crate::object::lwp_word::{Mark, Marked};
use crate::object::node::LwpNode;
use crate::reclaim::{Managed, Pin, Tagged};
use crate::sleep::{SleepObject, Unslept};
use crate::sync::{Acquire, Relaxed, Release};
use crate::world::aftermath::Aftermath;

impl<H: Host> LwpNode<H> {
    /// Sets a mark, and wakes the LWP if it sleeps. Wait-free but for the object.
    pub(crate) fn interrupt(&self, mark: Mark, pin: &Pin<'_>, aftermath: &mut Aftermath<H>) {
        if self.word.mark(mark) == Marked::Sleeping {
            self.call_object(pin, aftermath);
        }
    }

    /// Tells the LWP that there is a signal for it, and wakes it if it sleeps; who finds it
    /// parked or gone is to tell another. Wait-free but for the object.
    pub(crate) fn tell(&self, pin: &Pin<'_>, aftermath: &mut Aftermath<H>) -> Marked {
        let marked = self.word.mark(Mark::PendSig);
        if marked == Marked::Sleeping {
            self.call_object(pin, aftermath);
        }
        marked
    }

    /// Ends the LWP's sleep, if it sleeps. Lock-free but for the object.
    pub(crate) fn unsleep(&self, pin: &Pin<'_>, aftermath: &mut Aftermath<H>) -> Unslept {
        match self.word.unsleep() {
            Marked::Sleeping => {
                self.call_object(pin, aftermath);
                Unslept::Woken
            }
            Marked::Awake | Marked::Parked | Marked::Gone => Unslept::Awake,
        }
    }

    /// Wakes the task that the LWP is, if it sleeps as one: it was not polled. Lock-free but
    /// for the task. After a fence.
    pub(crate) fn wake_task(&self, pin: &Pin<'_>) {
        // Acquire [P55]: as in `call_object`.
        // SAFETY: loaded with Acquire under the pin; taken out before retired.
        if let Some(object) = unsafe { self.sleeps_on.load(Acquire).as_ref(pin) } {
            object.wake_task();
        }
    }

    fn call_object(&self, pin: &Pin<'_>, aftermath: &mut Aftermath<H>) {
        // Acquire [P55]: the object's fields; pairs with Release in `fall_asleep`.
        // SAFETY: loaded with Acquire under the pin; taken out before retired.
        if let Some(object) = unsafe { self.sleeps_on.load(Acquire).as_ref(pin) } {
            aftermath.run(|| object.unsleep(self.lid()));
        }
    }

    /// From now on `object` is called by whoever interrupts the LWP. Its marks are
    /// to be looked at after this. Owner only.
    pub(crate) fn fall_asleep(&self, object: *mut Managed<SleepObject>) {
        // Release [P55]: the object's fields; pairs with Acquire in `call_object`.
        self.sleeps_on.store(Tagged::new(object), Release);
        self.word.sleep();
    }

    /// The sleep is over. A thread's own object may stay: it is never retired, and
    /// not called unless somebody saw the LWP asleep. Owner only.
    pub(crate) fn awake(&self) {
        self.word.wake();
    }

    /// It sleeps no more, whether it slept or not, nor on anything that may go. Owner
    /// only.
    #[inline]
    pub(crate) fn rouse(&self) {
        if self.word.load().is_asleep() {
            self.awake();
            let _its_owner_retires_it = self.take_sleep_object();
        }
    }

    /// Takes out the object of a sleep that is over, to be retired. Owner only.
    pub(crate) fn take_sleep_object(&self) -> *mut Managed<SleepObject> {
        // Relaxed: written by the owner; who finds none reads nothing.
        self.sleeps_on.swap(Tagged::NULL, Relaxed).ptr()
    }
}
