//! What `struct lwp *` and `struct proc *` are.
//!
//! ```text
//!          63 62  61 ................. 31  30 ................. 0
//! lwp       0  1  low bits of the serial   lid
//! proc      1  0  generation, kernel       pid
//! ```
//!
//! Both are non-canonical addresses on the machines that have them, and so no object's:
//! a program that looks through one faults at once. A serial recurs after 2^31 LWPs, and
//! must then meet the same lid; the 16 bits of a generation recur after 65,536 processes
//! of one slot.

use lwproc::{Lid, LwpToken, Pid, ProcRef};

use crate::host::CHost;

/// An LWP. Opaque: the pointer is a number, and is never looked through.
#[derive(Debug)]
pub struct lwp {
    _private: (),
}

/// A process. Opaque: the pointer is a number, and is never looked through.
#[derive(Debug)]
pub struct proc {
    _private: (),
}

const LWP: u64 = 0b01 << 62;
const PROC: u64 = 0b10 << 62;
const KIND: u64 = 0b11 << 62;
const NUMBER: u64 = (1 << 31) - 1;

fn number(bits: u64) -> i32 {
    // Lossless by the mask.
    (bits & NUMBER) as i32
}

/// The name of one LWP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LwpName(u64);

impl LwpName {
    pub(crate) fn of(token: LwpToken) -> Self {
        let serial = u64::from(token.serial().get()) & NUMBER;
        // A lid is not negative.
        Self(LWP | serial << 31 | (token.lid().0 as u64 & NUMBER))
    }

    /// `None`: nothing that this library gave out.
    pub(crate) fn from_ptr(ptr: *mut lwp) -> Option<Self> {
        let bits = ptr.addr() as u64;
        (bits & KIND == LWP).then_some(Self(bits))
    }

    pub(crate) fn to_ptr(self) -> *mut lwp {
        // 64 bits, by the crate's `cfg`.
        std::ptr::without_provenance_mut(self.0 as usize)
    }

    pub(crate) fn lid(self) -> Lid {
        Lid(number(self.0))
    }
}

/// The name of one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProcName(u64);

impl ProcName {
    pub(crate) fn of(proc: &ProcRef<'_, CHost>, kernel: u64) -> Self {
        let identity = proc.identity().get();
        let generation = (identity >> 31) & 0xffff;
        Self(PROC | (kernel & 0x7fff) << 47 | generation << 31 | (identity & NUMBER))
    }

    /// `None`: nothing that this library gave out.
    pub(crate) fn from_ptr(ptr: *mut proc) -> Option<Self> {
        let bits = ptr.addr() as u64;
        (bits & KIND == PROC).then_some(Self(bits))
    }

    pub(crate) fn to_ptr(self) -> *mut proc {
        std::ptr::without_provenance_mut(self.0 as usize)
    }

    pub(crate) fn pid(self) -> Pid {
        Pid(number(self.0))
    }
}
