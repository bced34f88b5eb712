//! A kernel that C made: its configuration, and what belongs to it beside the kernel.
#![allow(unsafe_code)]

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use libc::{c_int, c_uint, c_void};
use lwproc::{
    ClaimError, EmulId, Enforcement, ExitStatus, HookId, Kernel, LimitsPolicy, Lwp, LwpKey, LwpRef,
    Numbering, Pid, ProcHandle, ProcKey, ProcRef, SigModel, WaitPolicy,
};

use crate::embedded::{Emulation, Value, lwproc_destructor};
use crate::host::{CHost, lwproc_hypercalls};
use crate::mistake::Mistake;
use crate::names::{LwpName, ProcName, lwp, proc};
use crate::rules::rules;
use crate::table::Table;

/// A kernel. Opaque: the pointer is a number, and is never looked through.
#[derive(Debug)]
pub struct lwproc_kernel {
    _private: (),
}

/// Children are kept as zombies until their parent waits; without it they are reaped at
/// once, as in the rump kernel.
pub const LWPROC_WAIT: c_uint = 1;
/// The limit LWPROC_RLIMIT_NPROC holds, but for the superuser: rfork fails with EAGAIN, and so
/// does the execnotify of a process that has changed its real user, when the new one has more
/// other processes. Also said later, by lwproc_limits_setpolicy.
pub const LWPROC_NPROC: c_uint = 2;
/// The limit LWPROC_RLIMIT_NTHR holds, but for the superuser: newlwp fails with EAGAIN. The
/// first LWP of each process is not counted. Also said later, by lwproc_limits_setpolicy.
pub const LWPROC_NTHR: c_uint = 4;

/// The parent of each process that has become a zombie is sent SIGCHLD, by the numbers of the
/// rules, when it can wait for it: with LWPROC_WAIT. LWPROC_JOBS_KERNEL sends it in any case.
pub const LWPROC_SIGCHLD: c_uint = 8;

/// Process 1 waits for its children, orphans included, as others do; else it reaps by itself.
/// With LWPROC_WAIT.
pub const LWPROC_INIT_WAITS: c_uint = 16;

/// Signals are ignored.
pub const LWPROC_SIGMODEL_IGNORE: c_int = 0;
/// Signals are passed to the hypercall `raise`.
pub const LWPROC_SIGMODEL_RAISE: c_int = 1;
/// A signal is the end: SIGABRT.
pub const LWPROC_SIGMODEL_PANIC: c_int = 2;
/// Signals are kept until an LWP takes them.
pub const LWPROC_SIGMODEL_RECORD: c_int = 3;

/// A number that is used again is another one, for long.
pub const LWPROC_NUMBERING_GENERATIONS: c_int = 0;
/// Numbers are at most `id_capacity`, and used again soon.
pub const LWPROC_NUMBERING_DENSE: c_int = 1;
/// Linux's order: the next free number, up to `id_capacity`, and then again from 300.
pub const LWPROC_NUMBERING_CYCLIC: c_int = 2;

/// How a kernel is made. All zero is the default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_config {
    /// The hypercalls; copied. NULL: none.
    pub hypercalls: *const lwproc_hypercalls,
    /// Passed to each hypercall.
    pub arg: *mut c_void,
    /// LWPROC_WAIT, LWPROC_NPROC, LWPROC_NTHR, LWPROC_SIGCHLD, LWPROC_INIT_WAITS.
    pub flags: c_uint,
    /// LWPROC_SIGMODEL_*.
    pub sigmodel: c_int,
    /// The most pids and lids in use at once, at most 2^30 - 1. 0: 2^21 - 1; 32,767 for
    /// LWPROC_NUMBERING_CYCLIC.
    pub id_capacity: usize,
    /// How many threads may be in the kernel at once, at most 65,536; others wait. 0: any
    /// number.
    pub virtual_cpus: usize,
    /// The most processes, proc0 and init included. 0: any number. Also said later, by
    /// lwproc_set_max_procs.
    pub max_procs: u64,
    /// LWPROC_NUMBERING_*.
    pub numbering: c_int,
    /// LWPROC_RULES_*.
    pub rules: c_int,
    /// LWPROC_JOBS_*.
    pub jobs: c_int,
    /// LWPROC_DIFFERS_*: in these cases it is as the other system than `rules` says.
    pub differs: u64,
    /// The most signals that are queued for a process and its LWPs at once. 0: 1,024.
    pub max_queued_signals: usize,
}

/// The flags that say which limits hold.
pub(crate) const LIMITS: c_uint = LWPROC_NPROC | LWPROC_NTHR;

/// What they say among the flags.
pub(crate) fn limits_policy(flags: c_uint) -> LimitsPolicy {
    let says = |flag| match flags & flag {
        0 => Enforcement::Ignored,
        _ => Enforcement::Enforced,
    };
    LimitsPolicy::default().with_nproc(says(LWPROC_NPROC)).with_nthr(says(LWPROC_NTHR))
}

/// How many keys of specific data a kernel can have.
const KEYS_MAX: usize = 256;

/// How many emulations can be added to a kernel.
const EMULS_MAX: usize = 256;

/// A key of specific data, and what destroys the values.
#[derive(Debug)]
pub(crate) enum Key {
    Proc(ProcKey<Value>, lwproc_destructor),
    Lwp(LwpKey<Value>, lwproc_destructor),
}

/// A kernel that C made.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) kernel: Kernel<CHost>,
    /// What C knows it by.
    number: u64,
    /// What its processes are known by.
    serial: u64,
    keys: Row<Key, KEYS_MAX>,
    /// The first one is number 1.
    emuls: Row<EmulId, EMULS_MAX>,
    hooks: Table<HookId>,
}

/// Values that stay, by place: filled from the start, each by the thread that has reserved
/// the place, which nobody waits for.
#[derive(Debug)]
struct Row<T, const N: usize> {
    reserved: AtomicUsize,
    places: [OnceLock<T>; N],
}

impl<T, const N: usize> Row<T, N> {
    fn new() -> Self {
        Self { reserved: AtomicUsize::new(0), places: [const { OnceLock::new() }; N] }
    }

    /// Adds what `new` makes for a place; which one. `None`: there is no room.
    fn add(&self, new: impl FnOnce(usize) -> T) -> Option<usize> {
        let next = |reserved: usize| (reserved < N).then_some(reserved + 1);
        // Relaxed: only uniqueness is wanted; the place publishes the value.
        let place = self.reserved.fetch_update(Relaxed, Relaxed, next).ok()?;
        let _first = self.places[place].set(new(place));
        Some(place)
    }

    fn get(&self, place: usize) -> Option<&T> {
        self.places.get(place)?.get()
    }
}

impl Instance {
    pub(crate) fn new(config: Option<&lwproc_config>, number: u64) -> Result<Self, Mistake> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        // As in rump, how an LWP goes says nothing of its process.
        let zero = ExitStatus::exited(0);
        let mut builder = Kernel::builder().allow_native_emul().dropped(zero).panicked(zero);
        let mut host = CHost::new(lwproc_hypercalls::default(), std::ptr::null_mut());
        if let Some(config) = config {
            // SAFETY: NULL, or the caller's table.
            let calls = unsafe { config.hypercalls.as_ref() }.copied().unwrap_or_default();
            host = CHost::new(calls, config.arg);
            builder = builder.signal_model(match config.sigmodel {
                LWPROC_SIGMODEL_IGNORE => SigModel::Ignore,
                LWPROC_SIGMODEL_RAISE => SigModel::Raise,
                LWPROC_SIGMODEL_PANIC => SigModel::Panic,
                LWPROC_SIGMODEL_RECORD => SigModel::Record,
                _ => return Err(Mistake::Argument("no such signal model")),
            });
            let children = LWPROC_WAIT | LWPROC_SIGCHLD | LWPROC_INIT_WAITS;
            if config.flags & !(children | LIMITS) != 0 {
                return Err(Mistake::Argument("unknown flags"));
            }
            if config.flags & LWPROC_WAIT != 0 {
                builder = builder.wait_policy(WaitPolicy::Wait);
            }
            if config.flags & LWPROC_SIGCHLD != 0 {
                builder = builder.sigchld();
            }
            if config.flags & LWPROC_INIT_WAITS != 0 {
                builder = builder.init_waits();
            }
            builder = builder.limits_policy(limits_policy(config.flags)).rules(rules(config)?);
            if config.max_queued_signals != 0 {
                builder = builder.max_queued_signals(config.max_queued_signals);
            }
            builder = builder.numbering(match config.numbering {
                LWPROC_NUMBERING_GENERATIONS => Numbering::Generations,
                LWPROC_NUMBERING_DENSE => Numbering::Dense,
                LWPROC_NUMBERING_CYCLIC => Numbering::Cyclic,
                _ => return Err(Mistake::Argument("no such numbering")),
            });
            if config.id_capacity != 0 {
                builder = builder.id_capacity(config.id_capacity);
            }
            if let Some(cpus) = NonZeroUsize::new(config.virtual_cpus) {
                builder = builder.virtual_cpus(cpus);
            }
            if config.max_procs != 0 {
                builder = builder.max_procs(config.max_procs);
            }
        }
        // Relaxed: only uniqueness is wanted.
        let serial = SERIAL.fetch_add(1, Relaxed);
        let kernel = builder.host(host).build()?;
        Ok(Self {
            kernel,
            number,
            serial,
            keys: Row::new(),
            emuls: Row::new(),
            hooks: Table::new(),
        })
    }

    /// What C knows it by.
    pub(crate) fn to_ptr(&self) -> *mut lwproc_kernel {
        // 60 bits.
        std::ptr::without_provenance_mut(KERNEL | self.number as usize)
    }

    /// The number of the kernel that C means; `None`: nothing that this library gave out.
    pub(crate) fn number_of(ptr: *mut lwproc_kernel) -> Option<u64> {
        let bits = ptr.addr();
        (bits & KIND == KERNEL).then_some((bits & !KIND) as u64)
    }

    /// A look at an LWP that C means.
    pub(crate) fn with_lwp<R>(
        &self,
        ptr: *mut lwp,
        look: impl FnOnce(LwpRef<'_, CHost>) -> R,
    ) -> Result<R, Mistake> {
        let name = LwpName::from_ptr(ptr).ok_or(Mistake::NotAnLwp(ptr.addr()))?;
        let guard = self.kernel.pin();
        let found = guard.lwp(name.lid());
        let found = found.filter(|found| LwpName::of(found.token()) == name);
        found.map(look).ok_or(Mistake::LwpGone(name.lid()))
    }

    /// Takes the right to run an LWP.
    pub(crate) fn claim(&self, ptr: *mut lwp) -> Result<Lwp<CHost>, Mistake> {
        self.with_lwp(ptr, |found| {
            found.claim().map_err(|why| match why {
                ClaimError::AlreadyRunning { pid, lid } => Mistake::AlreadyRunning(pid, lid),
                _ => Mistake::LwpGone(found.lid()),
            })
        })?
    }

    /// A look at a process that C means.
    pub(crate) fn with_proc<R>(
        &self,
        ptr: *mut proc,
        look: impl FnOnce(ProcRef<'_, CHost>) -> R,
    ) -> Result<R, Mistake> {
        let gone = || Mistake::NotAProc(ptr.addr());
        let name = ProcName::from_ptr(ptr).ok_or_else(gone)?;
        let guard = self.kernel.pin();
        let found = guard.proc(name.pid());
        let found = found.filter(|found| ProcName::of(found, self.serial) == name);
        found.map(look).ok_or_else(gone)
    }

    /// The process that C means.
    pub(crate) fn proc(&self, ptr: *mut proc) -> Result<ProcHandle<CHost>, Mistake> {
        self.with_proc(ptr, |found| found.handle())?.ok_or(Mistake::NotAProc(ptr.addr()))
    }

    /// What C knows a process by; NULL when there is none.
    pub(crate) fn proc_ptr(&self, pid: Pid) -> *mut proc {
        let guard = self.kernel.pin();
        let found = guard.proc(pid);
        found.map_or(std::ptr::null_mut(), |found| ProcName::of(&found, self.serial).to_ptr())
    }

    pub(crate) fn add_key(&self, key: impl FnOnce() -> Key) -> Result<c_uint, Mistake> {
        // At most 256.
        let place = self.keys.add(|_| key()).ok_or(Mistake::Full("keys"))?;
        Ok(place as c_uint)
    }

    pub(crate) fn key(&self, number: c_uint) -> Option<&Key> {
        self.keys.get(number as usize)
    }

    /// The number of a new emulation.
    pub(crate) fn add_emul(
        &self,
        data: *mut c_void,
        destructor: lwproc_destructor,
    ) -> Result<c_uint, Mistake> {
        // At most 256.
        let number = |place| place as c_uint + 1;
        let add = |place| {
            let value = Value::new(data, destructor);
            self.kernel.add_emul(Emulation { number: number(place), value })
        };
        self.emuls.add(add).map(number).ok_or(Mistake::Full("emulations"))
    }

    pub(crate) fn emul(&self, number: c_uint) -> Option<EmulId> {
        match number.checked_sub(1) {
            None => Some(self.kernel.native_emul()),
            Some(place) => self.emuls.get(place as usize).copied(),
        }
    }

    /// The number of an emulation of this kernel.
    pub(crate) fn emul_number(&self, emul: EmulId) -> c_uint {
        let is_it = |place: &OnceLock<EmulId>| place.get() == Some(&emul);
        // At most 256.
        self.emuls.places.iter().position(is_it).map_or(0, |place| place as c_uint + 1)
    }

    /// What C knows a hook by.
    pub(crate) fn add_hook(&self, id: HookId) -> Option<u64> {
        Some(self.hooks.reserve()?.fill(id))
    }

    pub(crate) fn take_hook(&self, number: u64) -> Option<HookId> {
        self.hooks.take(number).ok()
    }
}

/// Marks the pointers to kernels.
const KERNEL: usize = 0b1011 << 60;
const KIND: usize = 0b1111 << 60;
