//! The memory that the driver shares with the actors: a slot for each, and the words in it.
//!
//! A command is there when CMD differs from DONE; the actor makes both the same when it has
//! stored the answer. Both are futexes. The rest of the slot is the stack on which the actor
//! catches signals.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Where the memory is in an actor.
pub(super) const BASE: u64 = 0x10_0000_0000;
/// The size of a slot: a signal's frame has all registers, which may be 12 KiB.
pub(super) const SLOT: usize = 1 << 15;
/// Slots: the first is the namespace's, the second init's.
pub(super) const SLOTS: usize = 80;
pub(super) const SIZE: usize = SLOT * SLOTS;
/// The actors' only descriptors, above those that a sequence could be about.
pub(super) const MEMORY_FD: RawFd = 1001;
pub(super) const IMAGE_FD: RawFd = 1000;
/// `ns_last_pid`, for writing.
pub(super) const LAST_FD: RawFd = 1002;
pub(super) const TERMINAL_FD: RawFd = 1003;

const CMD: usize = 0;
pub(super) const DONE: usize = 4;
pub(super) const NUMBER: usize = 8;
pub(super) const ARGS: usize = 16;
pub(super) const RESULT: usize = 64;
pub(super) const CHILD: usize = 72;
pub(super) const CAUGHT: usize = 80;
/// What calls read and write.
const DATA: usize = 256;
const DATA_SIZE: usize = 512;

/// One system call: its number, its arguments, and what it finds in memory.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The number of the call.
    pub number: i64,
    /// Its arguments; those that are addresses lie from [`Seat::data`](super::Seat::data) on.
    pub args: [u64; 6],
    /// What its data are before.
    pub data: Vec<u8>,
}

/// Where the data of a slot are in an actor.
pub(super) fn data_of(slot: usize) -> u64 {
    address_of(slot) + DATA as u64
}

pub(super) fn address_of(slot: usize) -> u64 {
    BASE + (slot * SLOT) as u64
}

/// The mapping of the driver.
#[derive(Debug)]
pub(super) struct Memory {
    at: NonNull<u8>,
    fd: OwnedFd,
}

impl Memory {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: a descriptor of a new file of ours.
        if unsafe { libc::ftruncate(fd.as_raw_fd(), SIZE as i64) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let (prot, raw) = (libc::PROT_READ | libc::PROT_WRITE, fd.as_raw_fd());
        // SAFETY: a new mapping, wherever there is room.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, prot, libc::MAP_SHARED, raw, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { at: NonNull::new(at.cast()).expect("mapped"), fd })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn place(&self, slot: usize, offset: usize) -> *mut u8 {
        assert!(slot < SLOTS && offset < SLOT);
        // SAFETY: in the mapping, as is asserted.
        unsafe { self.at.as_ptr().add(slot * SLOT + offset) }
    }

    fn word(&self, slot: usize, offset: usize) -> &AtomicU32 {
        // SAFETY: aligned, mapped as long as `self`, and used as an atomic by all.
        unsafe { AtomicU32::from_ptr(self.place(slot, offset).cast()) }
    }

    fn long(&self, slot: usize, offset: usize) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.place(slot, offset).cast()) }
    }

    /// Makes the words of a slot as new.
    pub(super) fn clear(&self, slot: usize) {
        // SAFETY: in the mapping, and no actor has the slot.
        unsafe { self.place(slot, 0).write_bytes(0, DATA + DATA_SIZE) };
    }

    /// Hands a call to the actor of the slot.
    pub(super) fn ask(&self, slot: usize, call: &Call, child: Option<usize>) {
        assert!(call.data.len() <= DATA_SIZE);
        let long = |offset, value| self.long(slot, offset).store(value, Relaxed);
        long(NUMBER, call.number as u64);
        for (i, arg) in call.args.iter().enumerate() {
            long(ARGS + i * 8, *arg);
        }
        long(CHILD, child.map_or(0, address_of));
        let to = self.place(slot, DATA);
        // SAFETY: the actor is idle, and the data fit, as is asserted.
        unsafe { to.copy_from_nonoverlapping(call.data.as_ptr(), call.data.len()) };
        // Release: the actor that sees the number sees the call.
        self.word(slot, CMD).fetch_add(1, Release);
        self.futex(slot, CMD, libc::FUTEX_WAKE, 1, None);
    }

    /// Whether the actor has answered all that it was asked.
    pub(super) fn is_idle(&self, slot: usize) -> bool {
        // Acquire: the answer, too.
        self.word(slot, DONE).load(Acquire) == self.word(slot, CMD).load(Relaxed)
    }

    /// Waits until the actor has answered, for a short while.
    pub(super) fn wait(&self, slot: usize) {
        for _ in 0..50 {
            if self.is_idle(slot) {
                return;
            }
            std::thread::yield_now();
        }
        let done = self.word(slot, DONE).load(Acquire);
        if done != self.word(slot, CMD).load(Relaxed) {
            let short = libc::timespec { tv_sec: 0, tv_nsec: 200_000 };
            self.futex(slot, DONE, libc::FUTEX_WAIT, done, Some(&short));
        }
    }

    /// Marks the slot of an actor that is about to start as asked for that.
    pub(super) fn ask_to_start(&self, slot: usize) {
        self.word(slot, CMD).store(1, Release);
    }

    pub(super) fn result(&self, slot: usize) -> i64 {
        self.long(slot, RESULT).load(Relaxed) as i64
    }

    pub(super) fn caught(&self, slot: usize) -> u64 {
        self.long(slot, CAUGHT).load(Relaxed)
    }

    /// What the call of an idle actor left in memory.
    pub(super) fn data(&self, slot: usize) -> [u8; DATA_SIZE] {
        // SAFETY: in the mapping, and the actor is idle.
        unsafe { self.place(slot, DATA).cast::<[u8; DATA_SIZE]>().read() }
    }

    /// The namespace's words, in the first slot.
    pub(super) fn shared(&self, index: usize) -> &AtomicU64 {
        self.long(0, index * 8)
    }

    fn futex(&self, slot: usize, at: usize, op: i32, value: u32, wait: Option<&libc::timespec>) {
        let wait = wait.map_or(std::ptr::null(), std::ptr::from_ref);
        let word = self.word(slot, at).as_ptr();
        // SAFETY: the word is mapped, the time is there or null.
        unsafe { libc::syscall(libc::SYS_futex, word, op, value, wait, 0, 0) };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length.
        unsafe { libc::munmap(self.at.as_ptr().cast(), SIZE) };
    }
}
