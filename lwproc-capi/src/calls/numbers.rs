//! Which numbers come next.
#![allow(unsafe_code)]

use super::{store, wanted};
use crate::mistake::{Mistake, errno};
use crate::registry;
use libc::{c_int, pid_t};
use lwproc::{NumberingError, Pid};

/// Sets the most pids and lids in use at once, and so the largest number, of this thread's
/// kernel, whose numbering is LWPROC_NUMBERING_CYCLIC; Linux's pid_max is one more. What is in
/// use stays. EINVAL: not 1 to 2^30 - 1; no kernel. EOPNOTSUPP: another numbering. Also in a
/// callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_set_id_capacity(capacity: usize) -> c_int {
    errno("lwproc_set_id_capacity", || {
        registry::current()?.kernel.set_id_capacity(capacity)?;
        Ok(())
    })
}

/// Lets that number count as given last: the next one is looked for above it; Linux's
/// ns_last_pid. EINVAL: not 0 to one more than the capacity; no kernel. EOPNOTSUPP: the
/// numbering is not LWPROC_NUMBERING_CYCLIC. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_set_last_number(last: pid_t) -> c_int {
    errno("lwproc_set_last_number", || {
        registry::current()?.kernel.set_last_number(Pid(last))?;
        Ok(())
    })
}

/// The number that was given last. As lwproc_set_last_number.
///
/// # Safety
/// `last` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_last_number(last: *mut pid_t) -> c_int {
    errno("lwproc_last_number", || {
        wanted(last)?;
        let given = registry::current()?.kernel.last_number();
        let given = given.ok_or(Mistake::from(NumberingError::NotCyclic))?;
        // SAFETY: by contract.
        unsafe { store(last, given.0) }
    })
}
