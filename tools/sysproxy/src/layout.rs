//! Structures as NetBSD 10 for amd64 lays them out, and numbers that stand in them. Each
//! source is a file of NetBSD; the offsets are a C compiler's for its declarations.

use lwproc::{Limit, Resource, SigSet, Usage};
use std::time::Duration;

/// `NGROUPS_MAX`, `sys/sys/syslimits.h`.
pub const NGROUPS_MAX: usize = 16;

/// `RLIM_INFINITY`, `sys/sys/resource.h`.
pub const RLIM_INFINITY: u64 = !(1 << 63);

/// The resources in the order of their numbers (`RLIMIT_*`), `sys/sys/resource.h`.
pub const RESOURCES: [Resource; 12] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Memlock,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Sbsize,
    Resource::As,
    Resource::Nthr,
];

/// The size of `struct rlimit`, `sys/sys/resource.h`: two `rlim_t` of 8 bytes.
pub const RLIMIT: usize = 16;

/// The size of `struct rusage`, `sys/sys/resource.h`: two `struct timeval` of 16 bytes and 14
/// `long`.
pub const RUSAGE: usize = 144;

/// The size of `sigset_t`, `sys/sys/sigtypes.h`: 4 words of 32 bits.
pub const SIGSET: usize = 16;

/// Fields of a structure, each at its offset.
struct Fields<const N: usize>([u8; N]);

impl<const N: usize> Fields<N> {
    fn put<const M: usize>(&mut self, offset: usize, bytes: [u8; M]) {
        if let Some(field) = self.0.get_mut(offset..).and_then(|rest| rest.get_mut(..M)) {
            field.copy_from_slice(&bytes);
        }
    }
}

/// `struct rlimit`.
pub fn rlimit(limit: Limit) -> [u8; RLIMIT] {
    let value = |value: u64| value.min(RLIM_INFINITY).to_ne_bytes();
    let mut fields = Fields([0; RLIMIT]);
    fields.put(0, value(limit.soft));
    fields.put(8, value(limit.hard));
    fields.0
}

/// Back from `struct rlimit`. More than RLIM_INFINITY is that.
pub fn from_rlimit(bytes: &[u8; RLIMIT]) -> Limit {
    let value = |at: usize| {
        let value = crate::frame::u64_at(bytes, at).unwrap_or_default();
        if value >= RLIM_INFINITY { Limit::INFINITY } else { value }
    };
    Limit { soft: value(0), hard: value(8) }
}

/// `struct timeval`: 8 bytes of seconds, 4 of microseconds, 4 of padding.
fn timeval(time: Duration) -> [u8; 16] {
    let mut fields = Fields([0; 16]);
    fields.put(0, time.as_secs().to_ne_bytes());
    fields.put(8, time.subsec_micros().to_ne_bytes());
    fields.0
}

/// `struct rusage`. What a kernel of lwproc does not count is 0.
pub fn rusage(usage: &Usage) -> [u8; RUSAGE] {
    let mut fields = Fields([0; RUSAGE]);
    fields.put(0, timeval(usage.user));
    fields.put(16, timeval(usage.system));
    let longs = [
        (32, usage.max_rss),
        (64, usage.minor_faults),
        (72, usage.major_faults),
        (88, usage.block_inputs),
        (96, usage.block_outputs),
        (104, usage.messages_sent),
        (112, usage.messages_received),
        (120, usage.signals),
        (128, usage.voluntary_switches),
        (136, usage.involuntary_switches),
    ];
    longs.iter().for_each(|(at, value)| fields.put(*at, value.to_ne_bytes()));
    fields.0
}

/// `sigset_t`: signal n is bit n - 1 of the words taken together.
pub fn sigset(set: SigSet) -> [u8; SIGSET] {
    let mut fields = Fields([0; SIGSET]);
    let (low, high) = (set.bits() as u32, (set.bits() >> 32) as u32);
    fields.put(0, low.to_ne_bytes());
    fields.put(4, high.to_ne_bytes());
    fields.0
}

/// Back from `sigset_t`. There are no signals beyond the second word.
pub fn from_sigset(bytes: &[u8; SIGSET]) -> SigSet {
    let word = |at| u64::from(crate::frame::u32_at(bytes, at).unwrap_or_default());
    SigSet::from_bits(word(0) | word(4) << 32)
}

/// The size of `struct kinfo_proc2`, `sys/sys/sysctl.h`.
pub const KINFO_PROC2: usize = 680;

/// Where the fields of `struct kinfo_proc2` lie, of those that are filled.
#[allow(missing_docs)]
pub mod kinfo {
    pub const EFLAG: usize = 104;
    pub const EXITSIG: usize = 108;
    pub const PID: usize = 116;
    pub const PPID: usize = 120;
    pub const SID: usize = 124;
    pub const PGID: usize = 128;
    pub const TPGID: usize = 132;
    pub const UID: usize = 136;
    pub const RUID: usize = 140;
    pub const GID: usize = 144;
    pub const RGID: usize = 148;
    pub const GROUPS: usize = 152;
    pub const NGROUPS: usize = 216;
    pub const TDEV: usize = 220;
    pub const SIGLIST: usize = 296;
    pub const SIGMASK: usize = 312;
    pub const STAT: usize = 360;
    pub const NICE: usize = 363;
    pub const XSTAT: usize = 364;
    pub const COMM: usize = 368;
    pub const UVALID: usize = 448;
    pub const UUTIME: usize = 464;
    pub const USTIME: usize = 472;
    pub const MAXRSS: usize = 480;
    pub const MINFLT: usize = 512;
    pub const NSIGNALS: usize = 568;
    pub const NVCSW: usize = 576;
    pub const NIVCSW: usize = 584;
    pub const CPUID: usize = 600;
    pub const NLWPS: usize = 616;
    pub const REALSTAT: usize = 632;
    pub const SVUID: usize = 640;
    pub const SVGID: usize = 644;
    pub const ENAME: usize = 648;

    /// The most supplementary groups in it.
    pub const KI_NGROUPS: usize = 16;
    /// Room for a name.
    pub const KI_MAXCOMLEN: usize = 24;
    /// No terminal (`NODEV`).
    pub const NODEV: u32 = u32::MAX;
    /// It leads its session (`EPROC_SLEADER`).
    pub const EPROC_SLEADER: i32 = 2;
    /// Nobody says on which CPU (`KI_NOCPU`).
    pub const KI_NOCPU: u64 = u64::MAX;
    /// `NZERO`: neither nice nor unkind.
    pub const NZERO: u8 = 20;
}

/// One process in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Kinfo {
    pub pid: i32,
    pub ppid: i32,
    pub pgid: i32,
    pub sid: i32,
    pub uids: lwproc::IdSet,
    pub gids: lwproc::IdSet,
    pub groups: Vec<u32>,
    pub pending: SigSet,
    pub blocked: SigSet,
    /// `LSSLEEP` = 3, `LSSTOP` = 4, `LSZOMB` = 5, `LSONPROC` = 7: `sys/sys/lwp.h`.
    pub stat: i8,
    /// `SACTIVE` = 2, `SDYING` = 3, `SSTOP` = 4, `SZOMB` = 5: `sys/sys/proc.h`.
    pub realstat: u64,
    pub nlwps: u64,
    pub comm: String,
    pub usage: Usage,
}

impl Kinfo {
    /// As `struct kinfo_proc2`. What a kernel of lwproc does not have is 0.
    pub fn to_bytes(&self) -> [u8; KINFO_PROC2] {
        let mut f = Fields([0; KINFO_PROC2]);
        let leads = if self.pid == self.sid { kinfo::EPROC_SLEADER } else { 0 };
        let ints = [
            (kinfo::EFLAG, leads),
            (kinfo::EXITSIG, lwproc::Signo::CHLD.number().into()),
            (kinfo::PID, self.pid),
            (kinfo::PPID, self.ppid),
            (kinfo::SID, self.sid),
            (kinfo::PGID, self.pgid),
            (kinfo::TPGID, -1),
        ];
        ints.iter().for_each(|(at, int)| f.put(*at, int.to_ne_bytes()));
        let ids = [
            (kinfo::UID, self.uids.effective),
            (kinfo::RUID, self.uids.real),
            (kinfo::SVUID, self.uids.saved),
            (kinfo::GID, self.gids.effective),
            (kinfo::RGID, self.gids.real),
            (kinfo::SVGID, self.gids.saved),
            (kinfo::TDEV, kinfo::NODEV),
        ];
        ids.iter().for_each(|(at, id)| f.put(*at, id.to_ne_bytes()));
        let groups = self.groups.len().min(kinfo::KI_NGROUPS);
        for (i, group) in self.groups[..groups].iter().enumerate() {
            f.put(kinfo::GROUPS + 4 * i, group.to_ne_bytes());
        }
        f.put(kinfo::NGROUPS, (groups as u16).to_ne_bytes());
        f.put(kinfo::SIGLIST, sigset(self.pending));
        f.put(kinfo::SIGMASK, sigset(self.blocked));
        f.put(kinfo::STAT, self.stat.to_ne_bytes());
        f.put(kinfo::NICE, [kinfo::NZERO]);
        let comm = self.comm.bytes().take(kinfo::KI_MAXCOMLEN - 1);
        comm.enumerate().for_each(|(i, byte)| f.put(kinfo::COMM + i, [byte]));
        let time = |time: Duration| (time.as_secs() as u32, time.subsec_micros());
        for (at, (seconds, micros)) in
            [(kinfo::UUTIME, time(self.usage.user)), (kinfo::USTIME, time(self.usage.system))]
        {
            f.put(at, seconds.to_ne_bytes());
            f.put(at + 4, micros.to_ne_bytes());
        }
        let longs = [
            (kinfo::UVALID, 1),
            (kinfo::MAXRSS, self.usage.max_rss),
            (kinfo::MINFLT, self.usage.minor_faults),
            (kinfo::NSIGNALS, self.usage.signals),
            (kinfo::NVCSW, self.usage.voluntary_switches),
            (kinfo::NIVCSW, self.usage.involuntary_switches),
            (kinfo::CPUID, kinfo::KI_NOCPU),
            (kinfo::NLWPS, self.nlwps),
            (kinfo::REALSTAT, self.realstat),
        ];
        longs.iter().for_each(|(at, long)| f.put(*at, long.to_ne_bytes()));
        f.put(kinfo::ENAME, *b"netbsd");
        f.0
    }

    /// Back from `struct kinfo_proc2`, as far as a listing needs it.
    pub fn from_bytes(bytes: &[u8; KINFO_PROC2]) -> Self {
        let u32_at = |at| crate::frame::u32_at(bytes, at).unwrap_or_default();
        let int = |at| u32_at(at).cast_signed();
        let long = |at| crate::frame::u64_at(bytes, at).unwrap_or_default();
        let set =
            |at: usize| bytes[at..].first_chunk::<SIGSET>().map_or(SigSet::EMPTY, from_sigset);
        let ids = |real, effective, saved| lwproc::IdSet {
            real: u32_at(real),
            effective: u32_at(effective),
            saved: u32_at(saved),
        };
        let groups = usize::from(bytes[kinfo::NGROUPS]).min(kinfo::KI_NGROUPS);
        let comm = &bytes[kinfo::COMM..kinfo::COMM + kinfo::KI_MAXCOMLEN];
        let comm = comm.split(|byte| *byte == 0).next().unwrap_or_default();
        Self {
            pid: int(kinfo::PID),
            ppid: int(kinfo::PPID),
            pgid: int(kinfo::PGID),
            sid: int(kinfo::SID),
            uids: ids(kinfo::RUID, kinfo::UID, kinfo::SVUID),
            gids: ids(kinfo::RGID, kinfo::GID, kinfo::SVGID),
            groups: (0..groups).map(|i| u32_at(kinfo::GROUPS + 4 * i)).collect(),
            pending: set(kinfo::SIGLIST),
            blocked: set(kinfo::SIGMASK),
            stat: bytes[kinfo::STAT].cast_signed(),
            realstat: long(kinfo::REALSTAT),
            nlwps: long(kinfo::NLWPS),
            comm: String::from_utf8_lossy(comm).into_owned(),
            usage: Usage {
                max_rss: long(kinfo::MAXRSS),
                minor_faults: long(kinfo::MINFLT),
                signals: long(kinfo::NSIGNALS),
                voluntary_switches: long(kinfo::NVCSW),
                involuntary_switches: long(kinfo::NIVCSW),
                ..Usage::default()
            },
        }
    }
}
