//! Limits, use, and places in the file system.
#![allow(unsafe_code)]

use std::time::Duration;

use libc::{c_int, c_uint, c_void};
use lwproc::{Enforcement, Limit, Profile, Resource, Usage};

use super::{store, wanted};
use crate::context;
use crate::embedded::vmspace;
use crate::instance::{LIMITS, LWPROC_NPROC, LWPROC_NTHR, limits_policy};
use crate::mistake::{Mistake, Refusal, errno};
use crate::registry;

/// What can be limited: the first twelve are numbered as in NetBSD. LWPROC_RLIMIT_NOFILE holds,
/// LWPROC_RLIMIT_NPROC with LWPROC_NPROC, LWPROC_RLIMIT_NTHR with LWPROC_NTHR; the others are kept for the embedder.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum lwproc_resource {
    /// CPU time, seconds.
    LWPROC_RLIMIT_CPU,
    /// Size of a file, bytes.
    LWPROC_RLIMIT_FSIZE,
    /// Data segment, bytes.
    LWPROC_RLIMIT_DATA,
    /// Stack, bytes.
    LWPROC_RLIMIT_STACK,
    /// Core file, bytes.
    LWPROC_RLIMIT_CORE,
    /// Resident set, bytes.
    LWPROC_RLIMIT_RSS,
    /// Locked memory, bytes.
    LWPROC_RLIMIT_MEMLOCK,
    /// Processes of the real user.
    LWPROC_RLIMIT_NPROC,
    /// One more than the largest descriptor.
    LWPROC_RLIMIT_NOFILE,
    /// Socket buffers, bytes.
    LWPROC_RLIMIT_SBSIZE,
    /// Address space, bytes.
    LWPROC_RLIMIT_AS,
    /// LWPs of the real user.
    LWPROC_RLIMIT_NTHR,
    /// File locks.
    LWPROC_RLIMIT_LOCKS,
    /// Queued signals.
    LWPROC_RLIMIT_SIGPENDING,
    /// POSIX message queues, bytes.
    LWPROC_RLIMIT_MSGQUEUE,
    /// Ceiling of the nice value, as 20 - nice.
    LWPROC_RLIMIT_NICE,
    /// Ceiling of the real-time priority.
    LWPROC_RLIMIT_RTPRIO,
    /// CPU time without a blocking call, microseconds.
    LWPROC_RLIMIT_RTTIME,
}

use lwproc_resource::*;

const RESOURCES: [(lwproc_resource, Resource); 18] = [
    (LWPROC_RLIMIT_CPU, Resource::Cpu),
    (LWPROC_RLIMIT_FSIZE, Resource::Fsize),
    (LWPROC_RLIMIT_DATA, Resource::Data),
    (LWPROC_RLIMIT_STACK, Resource::Stack),
    (LWPROC_RLIMIT_CORE, Resource::Core),
    (LWPROC_RLIMIT_RSS, Resource::Rss),
    (LWPROC_RLIMIT_MEMLOCK, Resource::Memlock),
    (LWPROC_RLIMIT_NPROC, Resource::Nproc),
    (LWPROC_RLIMIT_NOFILE, Resource::Nofile),
    (LWPROC_RLIMIT_SBSIZE, Resource::Sbsize),
    (LWPROC_RLIMIT_AS, Resource::As),
    (LWPROC_RLIMIT_NTHR, Resource::Nthr),
    (LWPROC_RLIMIT_LOCKS, Resource::Locks),
    (LWPROC_RLIMIT_SIGPENDING, Resource::Sigpending),
    (LWPROC_RLIMIT_MSGQUEUE, Resource::Msgqueue),
    (LWPROC_RLIMIT_NICE, Resource::Nice),
    (LWPROC_RLIMIT_RTPRIO, Resource::Rtprio),
    (LWPROC_RLIMIT_RTTIME, Resource::Rttime),
];

const _: () = assert!(RESOURCES.len() == Resource::ALL.len());

fn resource(number: c_int) -> Result<Resource, Refusal> {
    let found = RESOURCES.iter().find(|(resource, _)| *resource as c_int == number);
    Ok(found.ok_or(Mistake::Argument("no such resource"))?.1)
}

/// No limit.
pub const LWPROC_RLIM_INFINITY: u64 = u64::MAX;

/// A limit of one resource.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_rlimit {
    /// What holds; LWPROC_RLIM_INFINITY: none.
    pub rlim_cur: u64,
    /// How far the process may raise it.
    pub rlim_max: u64,
}

/// getrlimit(2) of the current process: `resource` is one of LWPROC_RLIMIT_*. EINVAL.
///
/// # Safety
/// `limit` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getrlimit(resource: c_int, limit: *mut lwproc_rlimit) -> c_int {
    errno("lwproc_getrlimit", || {
        let which = self::resource(resource)?;
        let Limit { soft, hard } = context::public(|cx| Ok(cx.k().resources().limit(which)))?;
        // SAFETY: by contract.
        unsafe { store(limit, lwproc_rlimit { rlim_cur: soft, rlim_max: hard }) }
    })
}

/// setrlimit(2) of the current process, and no other; children begin with their parent's.
/// EINVAL: no such resource, or `rlim_cur` is above `rlim_max`. EPERM: only the superuser
/// raises `rlim_max`.
///
/// # Safety
/// `limit` may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_setrlimit(resource: c_int, limit: *const lwproc_rlimit) -> c_int {
    errno("lwproc_setrlimit", || {
        let which = self::resource(resource)?;
        // SAFETY: by contract.
        let limit = unsafe { limit.as_ref() }.ok_or(Mistake::Argument("no limit"))?;
        let limit = Limit { soft: limit.rlim_cur, hard: limit.rlim_max };
        context::public(|cx| Ok(cx.k().resources().set_limit(which, limit).map(drop)?))
    })
}

/// Says which limits hold from now on in this thread's kernel: LWPROC_NPROC, LWPROC_NTHR, both,
/// or 0 for none but LWPROC_RLIMIT_NOFILE, which always does. What is there beyond a limit stays. EINVAL:
/// unknown flags. Also in a callback.
#[unsafe(no_mangle)]
pub extern "C" fn lwproc_limits_setpolicy(flags: c_uint) -> c_int {
    errno("lwproc_limits_setpolicy", || {
        if flags & !LIMITS != 0 {
            return Err(Mistake::Argument("unknown flags").into());
        }
        registry::current()?.kernel.set_limits_policy(limits_policy(flags));
        Ok(())
    })
}

/// Which limits hold in this thread's kernel: LWPROC_NPROC, LWPROC_NTHR, both or 0. Also in a
/// callback.
///
/// # Safety
/// `flags` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_limits_policy(flags: *mut c_uint) -> c_int {
    errno("lwproc_limits_policy", || {
        let policy = registry::current()?.kernel.limits_policy();
        let says = |which, flag| if which == Enforcement::Enforced { flag } else { 0 };
        let now = says(policy.nproc, LWPROC_NPROC) | says(policy.nthr, LWPROC_NTHR);
        // SAFETY: by contract.
        unsafe { store(flags, now) }
    })
}

/// lwproc_getrusage: what the current process has used.
pub const LWPROC_RUSAGE_SELF: c_int = 0;
/// lwproc_getrusage: what the children it has waited for had used, and theirs.
pub const LWPROC_RUSAGE_CHILDREN: c_int = -1;

/// What a process has used. The embedder measures, the kernel keeps and adds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_rusage {
    /// User time, nanoseconds.
    pub utime: u64,
    /// System time, nanoseconds.
    pub stime: u64,
    /// The largest resident set, KiB. The sum of two is the larger.
    pub maxrss: u64,
    /// Page faults without I/O.
    pub minflt: u64,
    /// Page faults with I/O.
    pub majflt: u64,
    /// Block input operations.
    pub inblock: u64,
    /// Block output operations.
    pub oublock: u64,
    /// Messages sent.
    pub msgsnd: u64,
    /// Messages received.
    pub msgrcv: u64,
    /// Signals received.
    pub nsignals: u64,
    /// Switches while it waited.
    pub nvcsw: u64,
    /// Switches while it could have run.
    pub nivcsw: u64,
}

impl From<&lwproc_rusage> for Usage {
    fn from(use_: &lwproc_rusage) -> Self {
        Self {
            user: Duration::from_nanos(use_.utime),
            system: Duration::from_nanos(use_.stime),
            max_rss: use_.maxrss,
            minor_faults: use_.minflt,
            major_faults: use_.majflt,
            block_inputs: use_.inblock,
            block_outputs: use_.oublock,
            messages_sent: use_.msgsnd,
            messages_received: use_.msgrcv,
            signals: use_.nsignals,
            voluntary_switches: use_.nvcsw,
            involuntary_switches: use_.nivcsw,
        }
    }
}

impl From<Usage> for lwproc_rusage {
    fn from(usage: Usage) -> Self {
        // The kernel keeps 64 bits of it.
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            utime: nanos(usage.user),
            stime: nanos(usage.system),
            maxrss: usage.max_rss,
            minflt: usage.minor_faults,
            majflt: usage.major_faults,
            inblock: usage.block_inputs,
            oublock: usage.block_outputs,
            msgsnd: usage.messages_sent,
            msgrcv: usage.messages_received,
            nsignals: usage.signals,
            nvcsw: usage.voluntary_switches,
            nivcsw: usage.involuntary_switches,
        }
    }
}

/// Charges the current process with what it has used.
///
/// # Safety
/// `more` may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_addrusage(more: *const lwproc_rusage) -> c_int {
    errno("lwproc_addrusage", || {
        // SAFETY: by contract.
        let more = unsafe { more.as_ref() }.ok_or(Mistake::Argument("no use"))?;
        context::public(|cx| {
            cx.k().resources().add_usage(more.into());
            Ok(())
        })
    })
}

/// getrusage(2) of the current process: `who` is LWPROC_RUSAGE_SELF or
/// LWPROC_RUSAGE_CHILDREN. EINVAL.
///
/// # Safety
/// `usage` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getrusage(who: c_int, usage: *mut lwproc_rusage) -> c_int {
    errno("lwproc_getrusage", || {
        wanted(usage)?;
        let used = context::public(|cx| match who {
            LWPROC_RUSAGE_SELF => Ok(cx.k().resources().usage()),
            LWPROC_RUSAGE_CHILDREN => Ok(cx.k().resources().children_usage()),
            _ => Err(Mistake::Argument("whose use?").into()),
        })?;
        // SAFETY: by contract.
        unsafe { store(usage, used.into()) }
    })
}

/// How a process is profiled.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lwproc_profile {
    /// Where the samples go, in the process's address space.
    pub base: usize,
    /// In bytes. 0: it is not profiled.
    pub size: usize,
    /// Of the first sampled program counter.
    pub offset: usize,
    /// From program counter to sample, in 1/65536.
    pub scale: c_uint,
}

/// profil(2): how the current process is profiled from now on, and its children from their
/// birth. The embedder takes the samples. NULL: it is not.
///
/// # Safety
/// `profile` is NULL or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_setprofile(profile: *const lwproc_profile) -> c_int {
    errno("lwproc_setprofile", || {
        // SAFETY: by contract.
        let profile = unsafe { profile.as_ref() }.filter(|profile| profile.size > 0);
        context::public(|cx| {
            cx.k().resources().set_profile(profile.map(
                |&lwproc_profile { base, size, offset, scale }| Profile {
                    base,
                    size,
                    offset,
                    scale,
                },
            ));
            Ok(())
        })
    })
}

/// How the current process is profiled.
///
/// # Safety
/// `profile` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_getprofile(profile: *mut lwproc_profile) -> c_int {
    errno("lwproc_getprofile", || {
        let none = Profile { base: 0, size: 0, offset: 0, scale: 0 };
        let Profile { base, size, offset, scale } =
            context::public(|cx| Ok(cx.k().resources().profile().unwrap_or(none)))?;
        // SAFETY: by contract.
        unsafe { store(profile, lwproc_profile { base, size, offset, scale }) }
    })
}

/// The address space that the current process was forked with; NULL: the local one.
///
/// # Safety
/// `vm` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_vmspace(vm: *mut *mut vmspace) -> c_int {
    errno("lwproc_vmspace", || {
        let its = context::public(|cx| Ok(cx.k().process().vmspace().map(|vm| vm.vm)))?;
        // SAFETY: by contract.
        unsafe { store(vm, its.unwrap_or(std::ptr::null_mut())) }
    })
}

/// The current process's place in the file system, which the hypercall vfs_init made; NULL:
/// none. It is the process's until that ends.
///
/// # Safety
/// `vfs` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lwproc_vfs(vfs: *mut *mut c_void) -> c_int {
    errno("lwproc_vfs", || {
        let place = context::public(|cx| Ok(cx.k().process().vfs().vfs()))?;
        // SAFETY: by contract.
        unsafe { store(vfs, place) }
    })
}
