//! Which numbers come next, while the kernel runs.

use super::Kernel;
use crate::errno::errors;
use crate::host::Host;
use crate::id::Pid;
use crate::idtable::IdTable;

errors! {
    /// Why the numbers to come were not changed.
    NumberingError {
        /// The kernel's numbering is not [`Numbering::Cyclic`](crate::Numbering::Cyclic).
        NotCyclic => EOPNOTSUPP, "the numbers are not given in order";
        /// There cannot be as many ids, or the number cannot be given.
        OutOfRange => EINVAL, "out of range";
    }
}

impl<H: Host> Kernel<H> {
    /// The most ids that can be in use at once, not counting 0. Wait-free.
    pub fn id_capacity(&self) -> usize {
        self.world.ids.capacity()
    }

    /// Sets the capacity, and so the largest number, of a kernel whose numbers are
    /// [`Cyclic`](crate::Numbering::Cyclic): as [`Builder::id_capacity`]. A larger number in
    /// use stays; none is given any more. Linux: `pid_max`, which is one more.
    ///
    /// Lock-free.
    ///
    /// # Errors
    /// [`NumberingError::NotCyclic`] (EOPNOTSUPP), [`NumberingError::OutOfRange`] (EINVAL).
    ///
    /// [`Builder::id_capacity`]: crate::Builder::id_capacity
    #[doc(alias = "pid_max")]
    pub fn set_id_capacity(&self, capacity: usize) -> Result<(), NumberingError> {
        let cyclic = self.world.ids.cyclic().ok_or(NumberingError::NotCyclic)?;
        if !(1..=IdTable::<(), ()>::MAX_CAPACITY).contains(&capacity) {
            return Err(NumberingError::OutOfRange);
        }
        cyclic.set_max(capacity as u32 + 1);
        Ok(())
    }

    /// The number that was given last, if they are [`Cyclic`](crate::Numbering::Cyclic):
    /// the next one is looked for above it. Wait-free.
    #[doc(alias = "ns_last_pid")]
    pub fn last_number(&self) -> Option<Pid> {
        let cyclic = self.world.ids.cyclic()?;
        // At most 2^30.
        Some(Pid(cyclic.last() as i32))
    }

    /// Lets that number count as given last: 0 to one more than the capacity. Linux:
    /// `/proc/sys/kernel/ns_last_pid`.
    ///
    /// Lock-free.
    ///
    /// # Errors
    /// [`NumberingError::NotCyclic`] (EOPNOTSUPP), [`NumberingError::OutOfRange`] (EINVAL).
    #[doc(alias = "ns_last_pid")]
    pub fn set_last_number(&self, last: Pid) -> Result<(), NumberingError> {
        let cyclic = self.world.ids.cyclic().ok_or(NumberingError::NotCyclic)?;
        let last = u32::try_from(last.0).map_err(|_negative| NumberingError::OutOfRange)?;
        if last > cyclic.max() {
            return Err(NumberingError::OutOfRange);
        }
        cyclic.set_last(last);
        Ok(())
    }
}
