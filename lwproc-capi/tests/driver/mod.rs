//! Any bytes, read as calls of the C functions that do not abort: with pointers that are
//! live, stale, of another kernel, null or invented, on two kernels, from threads that come
//! and go. Each answer is 0 or an errno, and nothing is left at the end.
//!
//! Every pointer that these functions look through is a local's, or is from the library and
//! was not given back: that is the safety of all the calls here.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

mod callbacks;
mod jobs;
mod services;

use callbacks::Has;
use libc::{c_int, c_uint, pid_t};
use lwproc_capi::calls::attempt::*;
use lwproc_capi::calls::biglock::lwproc_biglock_depth;
use lwproc_capi::calls::files::{lwproc_file, lwproc_file_put};
use lwproc_capi::calls::handles::{lwproc_handle, lwproc_handle_close};
use lwproc_capi::calls::inside::{lwproc_curproc, rump_lwproc_rfork_vmspace};
use lwproc_capi::calls::instances::*;
use lwproc_capi::calls::process::{LWPROC_WALL, LWPROC_WNOHANG, lwproc_reopen, lwproc_wait};
use lwproc_capi::calls::rump::*;
use lwproc_capi::calls::sleep::{
    lwproc_channel, lwproc_channel_create, lwproc_channel_destroy, lwproc_try_unsleep,
};
use lwproc_capi::calls::terminals::{lwproc_terminal, lwproc_terminal_destroy};
use lwproc_capi::{lwp, lwproc_config, lwproc_kernel, proc, vmspace};
use std::collections::BTreeSet;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::Ordering::Relaxed;

/// Bytes to be read; zeros at the end.
struct Bytes<'b>(std::slice::Iter<'b, u8>);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    /// One of these, and at times the odd one.
    fn mostly<T: Copy>(&mut self, all: &[T], odd: T) -> T {
        let n = usize::from(self.byte());
        if n > 250 { odd } else { all[n % all.len()] }
    }

    /// A small number, or an odd one.
    fn number(&mut self) -> c_int {
        match self.byte() {
            n @ 0..=239 => c_int::from(n % 12),
            n => [-1, -2, c_int::MIN, c_int::MAX, 1 << 30, 255][usize::from(n) % 6],
        }
    }
}

struct Driver<'b> {
    bytes: Bytes<'b>,
    has: &'b Has,
    kernels: [*mut lwproc_kernel; 2],
    /// Of both kernels, and also when they have gone.
    lwps: Vec<*mut lwp>,
    procs: Vec<*mut proc>,
    files: Vec<*mut lwproc_file>,
    keys: Vec<c_uint>,
    hooks: Vec<u64>,
    handles: Vec<*mut lwproc_handle>,
    terminals: Vec<*mut lwproc_terminal>,
    channel: *mut lwproc_channel,
    is_elsewhere: bool,
    /// This thread has said that its LWP be parked when it leaves.
    parks: bool,
    /// By which errno each kind of call was answered.
    answers: BTreeSet<(u8, c_int)>,
}

// SAFETY: used by one thread at a time, which the others wait for.
unsafe impl Send for Driver<'_> {}

const ERRNOS: [c_int; 20] = [
    0,
    libc::EACCES,
    libc::EAGAIN,
    libc::EBADF,
    libc::EBUSY,
    libc::ECHILD,
    libc::EDEADLK,
    libc::EINTR,
    libc::EINVAL,
    libc::EIO,
    libc::EMFILE,
    libc::ENOENT,
    libc::ENOSYS,
    libc::ENOTTY,
    libc::EOPNOTSUPP,
    libc::EOVERFLOW,
    libc::EPERM,
    libc::ESRCH,
    libc::ETIMEDOUT,
    libc::EXDEV,
];

fn invented<T>(bits: u64) -> *mut T {
    without_provenance_mut(bits as usize)
}

fn is_scheduled() -> bool {
    unsafe { lwproc_biglock_depth(&mut 0) == 0 }
}

fn counts() -> lwproc_counts {
    let mut counts = lwproc_counts { procs: 0, lwps: 0, zombies: 0, ids: 0 };
    assert_eq!(unsafe { lwproc_count(&mut counts) }, 0);
    counts
}

impl Driver<'_> {
    fn lwp(&mut self) -> *mut lwp {
        match self.bytes.byte() {
            0 => null_mut(),
            1 => invented(self.bytes.word()),
            // In the range of LWPs.
            2 => invented(self.bytes.word() >> 2 | 1 << 62),
            3 => self.proc().cast(),
            4 => std::ptr::from_mut(self).cast(),
            n if self.lwps.is_empty() => invented(n.into()),
            n => self.lwps[usize::from(n) % self.lwps.len()],
        }
    }

    fn proc(&mut self) -> *mut proc {
        match self.bytes.byte() {
            0..=40 => null_mut(),
            41 => invented(self.bytes.word()),
            // In the range of processes.
            42 => invented(self.bytes.word() >> 2 | 1 << 63),
            n if self.procs.is_empty() => invented(n.into()),
            n => self.procs[usize::from(n) % self.procs.len()],
        }
    }

    fn kernel(&mut self) -> *mut lwproc_kernel {
        match self.bytes.byte() {
            0 => null_mut(),
            1..=3 => invented(self.bytes.word()),
            n => self.kernels[usize::from(n) % 2],
        }
    }

    fn pid(&mut self) -> pid_t {
        self.bytes.number()
    }

    /// Somewhere for a result, or nowhere.
    fn place<T>(&mut self, place: &mut T) -> *mut T {
        if self.bytes.byte() == 255 { null_mut() } else { place }
    }

    fn create(&mut self, which: usize) -> c_int {
        let calls = callbacks::hypercalls();
        let config = lwproc_config {
            hypercalls: &calls,
            arg: std::ptr::from_ref(self.has).cast_mut().cast(),
            flags: self.bytes.mostly(&[0, 1, 2, 3, 8, 9], 1 << 30),
            // LWPROC_SIGMODEL_PANIC ends the program.
            sigmodel: self.bytes.mostly(&[0, 1, 3, 3, 3], 4),
            id_capacity: self.bytes.mostly(&[0, 1, 2, 3, 10, 100, 1000], 1 << 31),
            virtual_cpus: self.bytes.mostly(&[0, 0, 0, 1, 2], 1 << 17),
            max_procs: self.bytes.one_of(&[0, 0, 0, 3, 10]),
            numbering: self.bytes.mostly(&[0, 0, 1, 2], 4),
            rules: self.bytes.mostly(&[0, 1], 2),
            // A stopped process would wait for another thread: LWPROC_JOBS_PROGRAM.
            jobs: self.bytes.mostly(&[1], 3),
            differs: self.bytes.mostly(&[0, 0, 128, 0x3ffff], 1 << 63),
            max_queued_signals: self.bytes.one_of(&[0, 2]),
        };
        let mut kernel = self.kernels[which];
        let error = unsafe { lwproc_kernel_create(&config, self.place(&mut kernel)) };
        self.kernels[which] = kernel;
        error
    }

    /// After each call: what there is now may be named later.
    fn look(&mut self) {
        let mut l = null_mut();
        if lwproc_kernel_current().is_null() {
            return assert_eq!(unsafe { lwproc_try_curlwp(&mut l) }, libc::EINVAL);
        }
        assert_eq!(unsafe { lwproc_try_curlwp(&mut l) }, 0);
        assert_eq!(l, rump_pub_lwproc_curlwp());
        if !l.is_null() && !self.lwps.contains(&l) {
            self.lwps.push(l);
        }
        let p = lwproc_curproc();
        assert!(!p.is_null());
        if !self.procs.contains(&p) {
            self.procs.push(p);
        }
        let counts = counts();
        assert!(counts.lwps >= counts.procs && counts.procs >= 2, "{counts:?}");
    }

    fn step(&mut self) {
        let op = self.bytes.byte();
        let error = self.call(op);
        assert!(ERRNOS.contains(&error), "{op}: {error}");
        self.answers.insert((op, error));
        self.look();
    }

    fn call(&mut self, op: u8) -> c_int {
        match op {
            0..=19 => rump_pub_lwproc_rfork(self.bytes.one_of(&[0, 1, 2, 0, 1, 2, 3, 4, -1])),
            20..=34 => rump_pub_lwproc_newlwp(self.pid()),
            35..=54 => {
                let l = self.lwp();
                let error = lwproc_try_switch(l);
                if error == 0 && l.is_null() {
                    self.parks = is_scheduled();
                } else if error == 0 {
                    assert_eq!(rump_pub_lwproc_curlwp(), l, "that one, and no other");
                }
                error
            }
            55..=64 => lwproc_try_releaselwp(),
            65..=74 => lwproc_try_schedule(),
            75..=80 => {
                self.parks = false;
                lwproc_try_unschedule()
            }
            81..=83 => lwproc_try_lwphold(),
            84..=86 => lwproc_try_lwprele(),
            87..=93 => {
                let mut l = null_mut();
                let error = unsafe { lwproc_try_alloclwp(self.proc(), self.place(&mut l)) };
                self.lwps.extend((!l.is_null()).then_some(l));
                error
            }
            94 => {
                let may = self.bytes.byte() % 2;
                rump_i_know_what_i_am_doing_with_sysents.store(may.into(), Relaxed);
                lwproc_try_sysent_usenative()
            }
            95 => lwproc_try_allbetsareoff_setid(self.pid(), self.bytes.number()),
            96..=99 if is_scheduled() => self.fork_vmspace(),
            102 | 103 => self.jobs(),
            100 | 101 => unsafe { lwproc_try_unsleep(self.lwp(), self.place(&mut 0)) },
            104..=109 => self.elsewhere(),
            110..=114 => lwproc_kernel_use(self.kernel()),
            115 => {
                let mut left = lwproc_leftover { lwps: 0, zombies: 0 };
                unsafe { lwproc_kernel_destroy(self.kernel(), self.place(&mut left)) }
            }
            116..=119 => {
                let which = usize::from(self.bytes.byte() % 2);
                // A new one for one that has gone; never two.
                match lwproc_kernel_use(self.kernels[which]) {
                    libc::EINVAL => self.create(which),
                    other => other,
                }
            }
            _ => self.service(op),
        }
    }

    fn fork_vmspace(&mut self) -> c_int {
        let live = &self.has.vmspaces;
        let vm: *mut vmspace = self.bytes.one_of(&[null_mut(), live.as_arg().cast()]);
        live.add((!vm.is_null()).into());
        let error = rump_lwproc_rfork_vmspace(vm, self.bytes.one_of(&[0, 1, 2, 3]));
        if error == libc::EINVAL {
            live.add(-i64::from(!vm.is_null()));
        }
        error
    }

    /// The next calls are another thread's, which may end inside a kernel.
    fn elsewhere(&mut self) -> c_int {
        // Who is inside may have what the other waits for.
        if self.is_elsewhere || is_scheduled() {
            return 0;
        }
        self.is_elsewhere = true;
        let driver = &mut *self;
        let thread = move || {
            let kernel = driver.kernel();
            let error = lwproc_kernel_use(kernel);
            for _ in 0..driver.bytes.byte() % 16 {
                driver.step();
            }
            let kernel = lwproc_kernel_current();
            let l = if kernel.is_null() { null_mut() } else { rump_pub_lwproc_curlwp() };
            (error, Ended(kernel, l))
        };
        let (error, Ended(kernel, l)) = std::thread::scope(|s| s.spawn(thread).join()).unwrap();
        self.is_elsewhere = false;
        if !l.is_null() && !std::mem::take(&mut self.parks) {
            let own = lwproc_kernel_current();
            assert_eq!(lwproc_kernel_use(kernel), 0);
            let found = unsafe { lwproc_try_unsleep(l, null_mut()) };
            assert_eq!(found, libc::ESRCH, "it went with its thread");
            assert_eq!(lwproc_kernel_use(own), 0);
        }
        error
    }

    /// Ends what there is in a kernel, by its calls, and then the kernel.
    fn end(&mut self, kernel: *mut lwproc_kernel) {
        assert_eq!(lwproc_kernel_use(kernel), 0);
        release();
        for l in self.lwps.clone() {
            if lwproc_try_switch(l) == 0 {
                release();
            }
        }
        let left = counts();
        assert_eq!((left.procs, left.lwps), (2, 2), "{left:?}");
        reap();
        // proc0's children.
        let mut zombies = 0;
        if rump_pub_lwproc_newlwp(0) == 0 {
            reap();
            release();
        } else {
            zombies = counts().zombies;
        }
        assert_eq!(counts().zombies, zombies);
        let mut left = lwproc_leftover { lwps: 99, zombies: 99 };
        assert_eq!(unsafe { lwproc_kernel_destroy(kernel, &mut left) }, 0);
        assert_eq!((left.lwps, left.zombies), (0, zombies));
        assert_eq!(lwproc_kernel_use(kernel), libc::EINVAL);
    }
}

/// As what a thread ran in which kernel, when it ended.
struct Ended(*mut lwproc_kernel, *mut lwp);

// SAFETY: numbers.
unsafe impl Send for Ended {}

/// Releases the current LWP, held or not.
fn release() {
    loop {
        match lwproc_try_releaselwp() {
            libc::EBUSY => assert_eq!(lwproc_try_lwprele(), 0),
            0 | libc::EINVAL => return,
            other => panic!("{other}"),
        }
    }
}

/// Waits for each child that has ended; the process may have been left draining.
fn reap() {
    assert_eq!(lwproc_reopen(), 0);
    let mut pid = 1;
    while pid != 0 {
        pid = 0;
        let error = unsafe { lwproc_wait(-1, LWPROC_WNOHANG | LWPROC_WALL, &mut pid, null_mut()) };
        assert!(error == 0 || error == libc::ECHILD, "{error}");
    }
}

/// Reads the bytes, and looks for what is left. By which errno each kind of call was
/// answered.
pub fn run(bytes: &[u8]) -> BTreeSet<(u8, c_int)> {
    let has = Has::default();
    let mut driver = Driver {
        bytes: Bytes(bytes.iter()),
        has: &has,
        kernels: [null_mut(); 2],
        lwps: Vec::new(),
        procs: Vec::new(),
        files: Vec::new(),
        keys: Vec::new(),
        hooks: Vec::new(),
        handles: Vec::new(),
        terminals: Vec::new(),
        channel: null_mut(),
        is_elsewhere: false,
        parks: false,
        answers: BTreeSet::new(),
    };
    assert_eq!(unsafe { lwproc_channel_create(&mut driver.channel) }, 0);
    driver.create(0);
    driver.create(1);
    driver.look();
    for _ in 0..400 {
        if driver.bytes.0.len() == 0 {
            break;
        }
        driver.step();
    }
    if is_scheduled() {
        assert_eq!(lwproc_try_unschedule(), 0);
    }
    for kernel in driver.kernels {
        if !kernel.is_null() && lwproc_kernel_use(kernel) == 0 {
            driver.end(kernel);
        }
    }
    // They outlive their kernel.
    for file in driver.files {
        unsafe { lwproc_file_put(file) };
    }
    for handle in driver.handles {
        unsafe { lwproc_handle_close(handle) };
    }
    for terminal in driver.terminals {
        unsafe { lwproc_terminal_destroy(terminal) };
    }
    assert_eq!(unsafe { lwproc_channel_destroy(driver.channel) }, 0);
    assert_eq!(has.all(), [0; 8], "the library kept what it was given");
    driver.answers
}
