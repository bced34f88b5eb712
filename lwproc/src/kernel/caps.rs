//! How many processes and LWPs there may be, while the kernel runs.

use super::Kernel;
use crate::host::Host;
use crate::ops::places::{self, Most};

impl<H: Host> Kernel<H> {
    /// Sets the most processes of the kernel, as [`Builder::max_procs`]; `u64::MAX`: any
    /// number. Whatever lives stays; what begins after this is refused (EAGAIN) while as
    /// many live. One that is just being made when a kernel gets its first most may be one
    /// too many. From the first most on they are counted, on one cache line.
    ///
    /// Lock-free; O(ids).
    ///
    /// [`Builder::max_procs`]: crate::Builder::max_procs
    pub fn set_max_procs(&self, max: u64) {
        self.set_most(Most::Procs, max);
    }

    /// Sets the most LWPs of the kernel, as [`Builder::max_lwps`]. As
    /// [`Kernel::set_max_procs`].
    ///
    /// [`Builder::max_lwps`]: crate::Builder::max_lwps
    pub fn set_max_lwps(&self, max: u64) {
        self.set_most(Most::Lwps, max);
    }

    /// Sets the most LWPs of a process, as [`Builder::max_lwps_per_proc`]; `u64::MAX`: any
    /// number. Whatever lives stays; it holds for each new LWP that begins to be made after
    /// this. Wait-free.
    ///
    /// [`Builder::max_lwps_per_proc`]: crate::Builder::max_lwps_per_proc
    pub fn set_max_lwps_per_proc(&self, max: u64) {
        self.set_most(Most::LwpsOfOne, max);
    }

    fn set_most(&self, of: Most, most: u64) {
        places::set_most(&self.world, of, most, &self.seat().pin());
    }

    /// The most processes of the kernel; `u64::MAX`: any number. Wait-free.
    pub fn max_procs(&self) -> u64 {
        places::most(&self.world, Most::Procs)
    }

    /// The most LWPs of the kernel, likewise. Wait-free.
    pub fn max_lwps(&self) -> u64 {
        places::most(&self.world, Most::Lwps)
    }

    /// The most LWPs of a process, likewise. Wait-free.
    pub fn max_lwps_per_proc(&self) -> u64 {
        places::most(&self.world, Most::LwpsOfOne)
    }
}
