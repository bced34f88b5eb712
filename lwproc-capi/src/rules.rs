//! Whose rules a kernel goes by, as C says it.

use libc::c_int;
use lwproc::{Difference, JobControl, Rules};

use crate::instance::lwproc_config;
use crate::mistake::Mistake;

/// NetBSD's rules: its numbers of signals, and each LWPROC_DIFFERS_* as there.
pub const LWPROC_RULES_NETBSD: c_int = 0;
/// Linux's rules, in the same way, and LWPROC_JOBS_KERNEL.
pub const LWPROC_RULES_LINUX: c_int = 1;

/// Job control is as the rules have it.
pub const LWPROC_JOBS_OF_RULES: c_int = 0;
/// Signals that stop or continue are signals as others, and dispositions the program's affair.
pub const LWPROC_JOBS_PROGRAM: c_int = 1;
/// The kernel keeps dispositions, stops and continues processes, and tells their parents. It
/// wants LWPROC_SIGMODEL_RECORD.
pub const LWPROC_JOBS_KERNEL: c_int = 2;

/// lwproc_kill of all, where none may be signalled. Linux: done. NetBSD: EPERM.
pub const LWPROC_DIFFERS_KILL_OF_NOBODY: u64 = 1;
/// A bad signal number for who is not there. Linux: ESRCH. NetBSD: EINVAL.
pub const LWPROC_DIFFERS_BAD_SIGNAL_FOR_NOBODY: u64 = 2;
/// lwproc_setpgid of a negative number, to group 0. Linux: EINVAL. NetBSD: ESRCH.
pub const LWPROC_DIFFERS_NEGATIVE_SETPGID: u64 = 4;
/// lwproc_setpgid of a zombie. Linux: done. NetBSD: ESRCH.
pub const LWPROC_DIFFERS_SETPGID_OF_ZOMBIE: u64 = 8;
/// An effective id that is set to itself. Linux: done. NetBSD: EPERM unless it is another of
/// the process's.
pub const LWPROC_DIFFERS_SETEUID_TO_EFFECTIVE: u64 = 16;
/// Whom the limit of processes does not hold for. Linux: who is the superuser by the real or
/// the effective uid. NetBSD: by the effective one.
pub const LWPROC_DIFFERS_LIMIT_OF_THE_SUPERUSER: u64 = 32;
/// A signal that does nothing. Linux: kept if the first LWP blocks it. NetBSD: if all do.
pub const LWPROC_DIFFERS_MASK_OF_THE_FIRST: u64 = 64;
/// lwproc_execnotify by a further LWP. Linux: it takes the process's number. NetBSD: it keeps
/// its own.
pub const LWPROC_DIFFERS_EXEC_OF_FURTHER_LWP: u64 = 128;
/// The number of a further LWP where a process is meant. Linux: its process. NetBSD: nobody's.
pub const LWPROC_DIFFERS_LWP_FOR_PROCESS: u64 = 256;
/// lwproc_terminal_give_up by a session's leader. Linux: done. NetBSD: EINVAL.
pub const LWPROC_DIFFERS_LEADER_GIVES_UP: u64 = 512;
/// lwproc_terminal_setforeground to no group of the session. Linux: by whose number it is.
/// NetBSD: EPERM.
pub const LWPROC_DIFFERS_FOREGROUND_OF_NO_GROUP: u64 = 1024;
/// lwproc_terminal_may_change in an orphaned group. Linux: EIO. NetBSD: done.
pub const LWPROC_DIFFERS_CHANGE_BY_ORPHANS: u64 = 2048;
/// lwproc_terminal_hang_up. Linux: SIGHUP and SIGCONT. NetBSD: SIGHUP.
pub const LWPROC_DIFFERS_HANG_UP: u64 = 4096;
/// Which LWP is told of a signal for its process. Linux: the first. NetBSD: the newest.
pub const LWPROC_DIFFERS_RECEIVER: u64 = 8192;

/// SIGCHLD of a child that leaves no zombie, by LWPROC_CHILD_NOWAIT. Linux: sent. NetBSD: not.
pub const LWPROC_DIFFERS_SIGNAL_WITHOUT_ZOMBIE: u64 = 16384;
/// SIGCHLD ignored, after lwproc_execnotify. Linux: still. NetBSD: LWPROC_SIG_DEFAULT.
pub const LWPROC_DIFFERS_EXEC_OF_IGNORED_CHILDREN: u64 = 32768;
/// Whose the credentials are. Linux: each LWP's own. NetBSD: the process's.
pub const LWPROC_DIFFERS_OWN_CREDENTIALS: u64 = 65536;
/// What the limit of a user's processes counts. Linux: further LWPs, too. NetBSD: processes.
pub const LWPROC_DIFFERS_LIMIT_OF_LWPS: u64 = 131072;

const DIFFERENCES: [(u64, Difference); 18] = [
    (LWPROC_DIFFERS_KILL_OF_NOBODY, Difference::KillOfNobody),
    (LWPROC_DIFFERS_BAD_SIGNAL_FOR_NOBODY, Difference::BadSignalForNobody),
    (LWPROC_DIFFERS_NEGATIVE_SETPGID, Difference::NegativeSetpgid),
    (LWPROC_DIFFERS_SETPGID_OF_ZOMBIE, Difference::SetpgidOfZombie),
    (LWPROC_DIFFERS_SETEUID_TO_EFFECTIVE, Difference::SeteuidToEffective),
    (LWPROC_DIFFERS_LIMIT_OF_THE_SUPERUSER, Difference::LimitOfTheSuperuser),
    (LWPROC_DIFFERS_MASK_OF_THE_FIRST, Difference::MaskOfTheFirst),
    (LWPROC_DIFFERS_EXEC_OF_FURTHER_LWP, Difference::ExecOfFurtherLwp),
    (LWPROC_DIFFERS_LWP_FOR_PROCESS, Difference::LwpForProcess),
    (LWPROC_DIFFERS_LEADER_GIVES_UP, Difference::LeaderGivesUp),
    (LWPROC_DIFFERS_FOREGROUND_OF_NO_GROUP, Difference::ForegroundOfNoGroup),
    (LWPROC_DIFFERS_CHANGE_BY_ORPHANS, Difference::ChangeByOrphans),
    (LWPROC_DIFFERS_HANG_UP, Difference::HangUp),
    (LWPROC_DIFFERS_RECEIVER, Difference::Receiver),
    (LWPROC_DIFFERS_SIGNAL_WITHOUT_ZOMBIE, Difference::SignalWithoutZombie),
    (LWPROC_DIFFERS_EXEC_OF_IGNORED_CHILDREN, Difference::ExecOfIgnoredChildren),
    (LWPROC_DIFFERS_OWN_CREDENTIALS, Difference::OwnCredentials),
    (LWPROC_DIFFERS_LIMIT_OF_LWPS, Difference::LimitOfLwps),
];

/// The rules that a configuration names.
pub(crate) fn rules(config: &lwproc_config) -> Result<Rules, Mistake> {
    let (mut rules, other): (_, fn(Rules, Difference) -> Rules) = match config.rules {
        LWPROC_RULES_NETBSD => (Rules::NETBSD, Rules::as_linux),
        LWPROC_RULES_LINUX => (Rules::LINUX, Rules::as_netbsd),
        _ => return Err(Mistake::Argument("no such rules")),
    };
    let mut unknown = config.differs;
    for (flag, difference) in DIFFERENCES {
        if config.differs & flag != 0 {
            rules = other(rules, difference);
            unknown &= !flag;
        }
    }
    if unknown != 0 {
        return Err(Mistake::Argument("unknown differences"));
    }
    match config.jobs {
        LWPROC_JOBS_OF_RULES => Ok(rules),
        LWPROC_JOBS_PROGRAM => Ok(rules.job_control(JobControl::Embedder)),
        LWPROC_JOBS_KERNEL => Ok(rules.job_control(JobControl::Kernel)),
        _ => Err(Mistake::Argument("no such job control")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// C's name of one.
    fn name(variant: &str) -> String {
        let mut name = String::from("LWPROC_DIFFERS");
        for c in variant.chars() {
            if c.is_uppercase() {
                name.push('_');
            }
            name.extend(c.to_uppercase());
        }
        name
    }

    #[test]
    fn each_flag_is_of_the_difference_of_its_name() {
        for (flag, difference) in DIFFERENCES {
            let name = name(&format!("{difference:?}"));
            let declared = format!("pub const {name}: u64 = {flag};");
            assert!(include_str!("rules.rs").contains(&declared), "{declared}");
        }
    }

    #[test]
    fn each_difference_has_a_flag() {
        let policy = include_str!("../../lwproc/src/policy.rs");
        let (_, body) = policy.split_once("pub enum Difference {").expect("it is there");
        let (body, _) = body.split_once("\n}").expect("it ends");
        let variants = body.lines().filter_map(|line| line.trim().strip_suffix(','));
        let variants: BTreeSet<_> = variants.filter(|line| !line.contains(' ')).collect();
        let flags = DIFFERENCES.map(|(_, difference)| format!("{difference:?}"));
        assert_eq!(variants, flags.iter().map(String::as_str).collect());
    }
}
