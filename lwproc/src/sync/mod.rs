//! The one door to atomics, threads and thread-local storage.
//!
//! Every other module takes its atomics from here, so that one cfg swaps the whole
//! crate onto a checker's types at once: `--cfg lwproc_loom` onto loom's,
//! `--cfg lwproc_shuttle` onto shuttle's. All sides have the same names; where a
//! checker lacks an operation ([`fetch_or_addr`]) the model side builds it from one
//! that it has.

pub(crate) mod config_cell;
#[cfg(any(lwproc_loom, lwproc_shuttle))]
mod model_arc;
#[cfg(lwproc_loom)]
mod model_park;
#[cfg(not(lwproc_loom))]
mod park;

#[cfg(lwproc_loom)]
pub use model_park::{Parker, Unparker};
#[cfg(not(lwproc_loom))]
pub use park::{Parker, Unparker};

#[cfg(all(lwproc_loom, lwproc_shuttle))]
compile_error!("one checker at a time: lwproc_loom or lwproc_shuttle");

#[cfg(not(any(lwproc_loom, lwproc_shuttle)))]
mod imp {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicI64, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
    pub(crate) use std::sync::{Arc, Weak};
    pub(crate) use std::thread;

    /// Sets address bits of a pointer; wait-free.
    #[inline]
    pub(crate) fn fetch_or_addr<T>(
        cell: &AtomicPtr<T>,
        bits: usize,
        order: std::sync::atomic::Ordering,
    ) -> *mut T {
        cell.fetch_or(bits, order)
    }

    pub(crate) use std::thread_local;
}

#[cfg(any(lwproc_loom, lwproc_shuttle))]
mod imp {
    pub(crate) use super::model_arc::{Arc, Weak};
    pub(crate) use checker::sync::atomic::{
        AtomicBool, AtomicI64, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
    pub(crate) use checker::{thread, thread_local};
    #[cfg(lwproc_loom)]
    use loom as checker;
    #[cfg(lwproc_shuttle)]
    use shuttle as checker;

    use std::sync::atomic::Ordering;

    /// The checkers have no `fetch_or` on pointers: the same effect as a CAS loop.
    pub(crate) fn fetch_or_addr<T>(cell: &AtomicPtr<T>, bits: usize, order: Ordering) -> *mut T {
        let load = match order {
            Ordering::AcqRel | Ordering::Acquire => Ordering::Acquire,
            _ => Ordering::Relaxed,
        };
        let mut old = cell.load(load);
        loop {
            let new = old.map_addr(|a| a | bits);
            match cell.compare_exchange(old, new, order, load) {
                Ok(old) => return old,
                Err(seen) => old = seen,
            }
        }
    }

    /// A place whose uses the checker watches.
    #[cfg(lwproc_loom)]
    pub(crate) use loom::cell::UnsafeCell as Watched;

    /// Shuttle knows no races but those of its schedules: nothing to watch.
    #[cfg(lwproc_shuttle)]
    pub(crate) struct Watched<T>(std::cell::UnsafeCell<T>);

    #[cfg(lwproc_shuttle)]
    impl<T> Watched<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// A SeqCst fence for a thread that has made its last writes known by a read-modify-write.
/// On x86 that is a fence of the machine, and only the compiler is to be told.
#[inline]
pub(crate) fn fence_after_update() {
    #[cfg(all(target_arch = "x86_64", not(any(lwproc_loom, lwproc_shuttle, miri))))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(target_arch = "x86_64", not(any(lwproc_loom, lwproc_shuttle, miri)))))]
    fence(Ordering::SeqCst);
}

pub(crate) use imp::*;
pub(crate) use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
