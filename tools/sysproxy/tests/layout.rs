//! Structures against NetBSD's declarations: what stands at which offset.

use lwproc::{IdSet, Limit, SigSet, Signo, Usage};
use lwproc_sysproxy::layout::{self, KINFO_PROC2, Kinfo, RUSAGE};
use std::time::Duration;

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// `struct rlimit` of `sys/sys/resource.h`: rlim_cur, rlim_max.
#[test]
fn rlimit() {
    let bytes = layout::rlimit(Limit { soft: 7, hard: Limit::INFINITY });
    assert_eq!((u64_at(&bytes, 0), u64_at(&bytes, 8)), (7, 0x7fff_ffff_ffff_ffff));
    assert_eq!(layout::from_rlimit(&bytes), Limit { soft: 7, hard: Limit::INFINITY });
    assert_eq!(layout::from_rlimit(&[0xff; 16]), Limit::NONE);
}

/// `sigset_t` of `sys/sys/sigtypes.h`: bit 0 of word 0 is signal 1.
#[test]
fn sigset() {
    let set = SigSet::from(Signo::new(1).unwrap()) | SigSet::from(Signo::new(33).unwrap());
    let bytes = layout::sigset(set);
    assert_eq!([0, 4, 8, 12].map(|at| u32_at(&bytes, at)), [1, 1, 0, 0]);
    assert_eq!(layout::from_sigset(&bytes), set);
    assert_eq!(layout::from_sigset(&[0xff; 16]), SigSet::ALL);
}

/// Each number once, so that no two fields are confused.
fn usage() -> Usage {
    Usage {
        user: Duration::new(1, 2_000),
        system: Duration::new(3, 4_000),
        max_rss: 5,
        minor_faults: 6,
        major_faults: 7,
        block_inputs: 8,
        block_outputs: 9,
        messages_sent: 10,
        messages_received: 11,
        signals: 12,
        voluntary_switches: 13,
        involuntary_switches: 14,
    }
}

/// `struct rusage` of `sys/sys/resource.h`, with `struct timeval` of `sys/sys/time.h`.
#[test]
fn rusage() {
    let bytes = layout::rusage(&usage());
    let fields: Vec<u64> = (0..RUSAGE).step_by(8).map(|at| u64_at(&bytes, at)).collect();
    // utime, stime; maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock,
    // msgsnd, msgrcv, nsignals, nvcsw, nivcsw.
    assert_eq!(fields, [1, 2, 3, 4, 5, 0, 0, 0, 6, 7, 0, 8, 9, 10, 11, 12, 13, 14]);
}

/// `struct kinfo_proc2` of `sys/sys/sysctl.h`; the offsets are what `offsetof` says for it.
#[test]
fn kinfo_proc2() {
    let info = Kinfo {
        pid: 21,
        ppid: 22,
        pgid: 23,
        sid: 21,
        uids: IdSet { real: 25, effective: 26, saved: 27 },
        gids: IdSet { real: 28, effective: 29, saved: 30 },
        groups: vec![31, 32],
        pending: SigSet::from(Signo::new(2).unwrap()),
        blocked: SigSet::from(Signo::new(40).unwrap()),
        stat: 3,
        realstat: 2,
        nlwps: 33,
        comm: "a name".into(),
        usage: usage(),
    };
    let bytes = info.to_bytes();
    assert_eq!(bytes.len(), KINFO_PROC2);
    assert_eq!(bytes.len(), 680);
    let ints = [
        (104, 2),        // p_eflag: EPROC_SLEADER
        (108, 20),       // p_exitsig: SIGCHLD
        (116, 21),       // p_pid
        (120, 22),       // p_ppid
        (124, 21),       // p_sid
        (128, 23),       // p__pgid
        (132, u32::MAX), // p_tpgid
        (136, 26),       // p_uid
        (140, 25),       // p_ruid
        (144, 29),       // p_gid
        (148, 28),       // p_rgid
        (152, 31),       // p_groups
        (156, 32),
        (160, 0),
        (220, u32::MAX), // p_tdev: NODEV
        (296, 2),        // p_siglist
        (316, 1 << 7),   // p_sigmask, second word
        (464, 1),        // p_uutime_sec
        (468, 2),        // p_uutime_usec
        (472, 3),        // p_ustime_sec
        (476, 4),
        (640, 27), // p_svuid
        (644, 30), // p_svgid
    ];
    for (at, expected) in ints {
        assert_eq!(u32_at(&bytes, at), expected, "at {at}");
    }
    let longs = [
        (448, 1),        // p_uvalid
        (480, 5),        // p_uru_maxrss
        (512, 6),        // p_uru_minflt
        (568, 12),       // p_uru_nsignals
        (576, 13),       // p_uru_nvcsw
        (584, 14),       // p_uru_nivcsw
        (600, u64::MAX), // p_cpuid: KI_NOCPU
        (616, 33),       // p_nlwps
        (632, 2),        // p_realstat
        (664, 0),        // p_vm_vsize
        (672, 0),        // p_vm_msize
    ];
    for (at, expected) in longs {
        assert_eq!(u64_at(&bytes, at), expected, "at {at}");
    }
    assert_eq!((bytes[216], bytes[217]), (2, 0), "p_ngroups");
    assert_eq!((bytes[360], bytes[363]), (3, 20), "p_stat, p_nice");
    assert_eq!(&bytes[368..376], b"a name\0\0", "p_comm");
    assert_eq!(&bytes[648..656], b"netbsd\0\0", "p_ename");

    let back = Kinfo::from_bytes(&bytes);
    assert_eq!(Kinfo { usage: info.usage, ..back }, info);
}
