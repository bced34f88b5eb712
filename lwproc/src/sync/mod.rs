//! The one door to atomics, threads and thread-local storage.
//!
//! Every other module takes its atomics from here, so that
//! `--cfg lwproc_loom` swaps the whole crate onto loom's types at once. The
//! two sides have the same names; where loom lacks an operation
//! ([`fetch_or_addr`]) the model side builds it from one that loom has.

pub(crate) mod config_cell;
#[cfg(lwproc_loom)]
mod model_arc;
#[cfg(lwproc_loom)]
mod model_park;
#[cfg(not(lwproc_loom))]
mod park;

#[cfg(lwproc_loom)]
pub use model_park::{Parker, Unparker};
#[cfg(not(lwproc_loom))]
pub use park::{Parker, Unparker};

#[cfg(not(lwproc_loom))]
mod imp {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicI64, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
    pub(crate) use std::sync::{Arc, Weak};

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

#[cfg(lwproc_loom)]
mod imp {
    pub(crate) use super::model_arc::{Arc, Weak};
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicI64, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence,
    };

    use std::sync::atomic::Ordering;

    /// Loom has no `fetch_or` on pointers: the same effect as a CAS loop.
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

    pub(crate) use loom::thread_local;
}

pub(crate) use imp::*;
pub(crate) use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
