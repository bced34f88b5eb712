//! The exported functions, by family. Their documentation is for C, in the header.

// In the order of the header.
pub mod rump;

pub mod inside;

pub mod attempt;

pub mod births;
pub mod creds;
pub mod families;
pub mod files;
pub mod handles;
pub mod listing;
pub mod process;
pub mod resources;
pub mod signals;
pub mod sleep;
pub mod specific;
pub mod terminals;

pub mod biglock;
pub mod caps;
pub mod emul;
pub mod hooks;
pub mod instances;
pub mod numbers;
pub mod trace;

use crate::host::{Deadline, NEVER, time};
use crate::mistake::{Mistake, Refusal};

/// Where the caller wants a result.
///
/// # Safety
/// `out` is NULL, which is a mistake, or may be written.
#[allow(unsafe_code)]
unsafe fn store<T>(out: *mut T, value: T) -> Result<(), Refusal> {
    if out.is_null() {
        return Err(Mistake::Argument("nowhere to put the result").into());
    }
    // SAFETY: by contract.
    unsafe { out.write(value) };
    Ok(())
}

/// A NULL-checked look at where a result is wanted, before anything is done.
fn wanted<T>(out: *mut T) -> Result<(), Refusal> {
    if out.is_null() {
        return Err(Mistake::Argument("nowhere to put the result").into());
    }
    Ok(())
}

/// The deadline that C names; NULL: never.
///
/// # Safety
/// `deadline` is NULL or may be read.
#[allow(unsafe_code)]
unsafe fn until(deadline: *const libc::timespec) -> Result<Deadline, Refusal> {
    // SAFETY: by contract.
    match unsafe { deadline.as_ref() } {
        None => Ok(NEVER),
        Some(deadline) => Ok(time(deadline).ok_or(Mistake::Argument("not a time"))?),
    }
}
