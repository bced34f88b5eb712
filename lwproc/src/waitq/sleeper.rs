//! One sleeper, and what it says of itself.
#![allow(unsafe_code)]

#[cfg(feature = "async")]
use super::waker;
#[cfg(feature = "async")]
use crate::panics;
use crate::sync::{AtomicPtr, AtomicU32, Unparker};

/// In the stack, or on the way to a waker.
pub(super) const WAITING: u32 = 0;
/// Taken out by a waker.
pub(super) const WOKEN: u32 = 1;
/// No longer there: it sleeps no more, and must not use up a wake-up.
pub(super) const LEFT: u32 = 2;

pub(super) struct Sleeper {
    pub(super) who: Who,
    pub(super) state: AtomicU32,
    /// The sleeper below; read by whoever took the stack.
    pub(super) next: AtomicPtr<Sleeper>,
}

/// Whom to wake.
pub(super) enum Who {
    Thread(Unparker),
    /// Touched by who moved the state away from WAITING, and read by nobody else.
    #[cfg(feature = "async")]
    Task(waker::WakerCell),
}

impl Sleeper {
    /// Wakes it, by whoever moved it from WAITING to WOKEN.
    pub(super) fn wake(&self) {
        match &self.who {
            Who::Thread(unparker) => unparker.unpark(),
            #[cfg(feature = "async")]
            Who::Task(waker) => {
                // SAFETY: by who moved the state.
                let waker = unsafe { waker.take() };
                let _ = panics::catch(|| waker.wake());
            }
        }
    }
}
