//! Entering, leaving and switching with locks: one for each LWP, or one for all.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

/// What a lock guards of an LWP's life.
#[derive(Debug, Default)]
pub struct Life {
    running: bool,
    exiting: bool,
    refs: u32,
}

/// An LWP whose life has a lock of its own.
#[derive(Debug, Default)]
pub struct OwnLock(Mutex<Life>);

/// An LWP whose life is under the kernel's lock.
#[derive(Debug)]
pub struct KernelLock(Arc<Mutex<Vec<Life>>>, usize);

/// An LWP with a locked life.
pub trait Locked: Send + Sync + 'static {
    /// Its name in the tables.
    const NAME: &'static str;
    /// LWPs of one kernel.
    fn make(count: usize) -> Vec<Arc<Self>>;
    /// Looks at or changes its life.
    fn with<R>(&self, change: impl FnOnce(&mut Life) -> R) -> R;

    /// Takes the right to run it.
    fn claim(&self) -> bool {
        self.with(|life| !life.exiting && !std::mem::replace(&mut life.running, true))
    }
    /// Gives it back.
    fn unclaim(&self) {
        self.with(|life| life.running = false);
    }
    /// One more reference.
    fn hold(&self) {
        self.with(|life| {
            life.refs += 1;
            life.exiting = false;
        });
    }
    /// One fewer.
    fn rele(&self) {
        self.with(|life| {
            life.refs -= 1;
            life.exiting = life.refs == 0;
        });
    }
    /// Whether it is about to go.
    fn is_exiting(&self) -> bool {
        self.with(|life| life.exiting)
    }
}

impl Locked for OwnLock {
    const NAME: &'static str = "Mutex in each LWP";
    fn make(count: usize) -> Vec<Arc<Self>> {
        (0..count).map(|_| Arc::default()).collect()
    }
    fn with<R>(&self, change: impl FnOnce(&mut Life) -> R) -> R {
        change(&mut self.0.lock().expect("not poisoned"))
    }
}

impl Locked for KernelLock {
    const NAME: &'static str = "one Mutex";
    fn make(count: usize) -> Vec<Arc<Self>> {
        let all = Arc::new(Mutex::new((0..count).map(|_| Life::default()).collect()));
        (0..count).map(|at| Arc::new(Self(Arc::clone(&all), at))).collect()
    }
    fn with<R>(&self, change: impl FnOnce(&mut Life) -> R) -> R {
        change(&mut self.0.lock().expect("not poisoned")[self.1])
    }
}

thread_local! {
    /// The current LWP's number, behind what a user would have: a counted pointer.
    pub static CURRENT: RefCell<Option<Arc<u64>>> = const { RefCell::new(None) };
}
