//! The kernel as `ps` would show it.

use super::Kernel;
use crate::handles::lwp::LwpState;
use crate::handles::proc::{ProcRef, ProcState};
use crate::host::Host;
use std::fmt;

/// Processes shown before the rest is only counted.
const SHOWN: usize = 1000;

fn stat(proc: &ProcRef<'_, impl Host>) -> &'static str {
    match proc.state() {
        ProcState::Active => "A",
        ProcState::Draining => "D",
        ProcState::Stopped => "T",
        ProcState::Dying => "X",
        ProcState::Zombie => "Z",
        ProcState::Gone => "-",
    }
}

/// A table of processes with their LWPs: `*` is owned, `.` parked. Weakly
/// consistent; at most 1,000 processes, and the number of the others.
impl<H: Host> fmt::Display for Kernel<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = self.pin();
        let (pid, ppid, pgrp, sid) = ("PID", "PPID", "PGRP", "SID");
        writeln!(f, "{pid:>10} {ppid:>10} {pgrp:>10} {sid:>10} STAT NLWP {:<16} LWPS", "COMM")?;
        let mut procs = guard.procs();
        for proc in procs.by_ref().take(SHOWN) {
            let (pid, ppid, stat) = (proc.pid(), proc.ppid(), stat(&proc));
            write!(f, "{pid:>10} {ppid:>10} ")?;
            // A process that has been reaped meanwhile is in none.
            for of in [proc.pgid(), proc.sid()] {
                write!(f, "{:>10} ", of.map_or("-".into(), |id| id.to_string()))?;
            }
            write!(f, "{stat:<4} {:>4} {:<16}", proc.nlwps(), proc.comm())?;
            for lwp in proc.lwps().take(8) {
                let mark = match lwp.state() {
                    LwpState::Owned | LwpState::Sleeping => '*',
                    LwpState::Parked => '.',
                    LwpState::Gone => '-',
                };
                write!(f, " {}{mark}", lwp.lid())?;
            }
            f.write_str(if proc.nlwps() > 8 { " ...\n" } else { "\n" })?;
        }
        match procs.count() {
            0 => Ok(()),
            more => writeln!(f, "{:>10} more", more),
        }
    }
}

/// Counts and configuration, without a look at any process.
impl<H: Host> fmt::Debug for Kernel<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("serial", &self.world.serial)
            .field("policy", &self.world.policy)
            .field("id_capacity", &self.id_capacity())
            .field("counts", &self.counts())
            .field("reclaim", &self.reclaim_stats())
            .finish()
    }
}
