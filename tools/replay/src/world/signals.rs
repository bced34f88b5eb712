//! Signals in the kernel: sent, pending, taken.

use super::World;
use lwproc::{Errno, KillTarget, SigSet, Signo};

/// The kernel's number of a signal of Linux. Three have rules of their own: SIGSTOP, SIGCONT, and
/// what has the number on Linux that one of them has here.
fn ours(signal: i32) -> i32 {
    const SIGCHLD: i32 = 17;
    const SIGCONT: i32 = 18;
    const SIGSTOP: i32 = 19;
    i32::from(match signal {
        SIGSTOP => Signo::STOP.number(),
        SIGCONT => Signo::CONT.number(),
        SIGCHLD => Signo::TSTP.number(),
        other => return other,
    })
}

impl World<'_, '_> {
    /// Sends a signal, by its number on Linux, as the task that runs; what the kernel refuses.
    pub fn kill(&mut self, target: KillTarget, signal: i32) -> Option<Errno> {
        self.cpu.signals().kill(target, ours(signal)).err().map(|error| error.errno())
    }

    /// Whether a signal is pending for the task that runs, or for its process.
    pub fn pends(&self, signal: i32) -> bool {
        Signo::new(ours(signal)).is_some_and(|signal| self.cpu.signals().pending().contains(signal))
    }

    /// Takes one pending signal of the task that runs, by its number on Linux; whether the kernel
    /// gave it.
    pub fn take_signal(&mut self, signal: i32) -> bool {
        let Some(wanted) = Signo::new(ours(signal)) else {
            return false;
        };
        let Ok(before) = self.cpu.signals().set_blocked(SigSet::ALL.without(wanted)) else {
            return false;
        };
        // SIGSTOP cannot be blocked, and comes first when SIGCONT has overtaken it.
        let mut taken = self.cpu.signals().take();
        if taken == Some(Signo::STOP) && wanted != Signo::STOP {
            taken = self.cpu.signals().take();
        }
        self.cpu.signals().set_blocked(before).is_ok() && taken == Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_stay_apart() {
        let mut all: Vec<_> = (0..=64).map(super::ours).collect();
        all.sort_unstable();
        assert_eq!(all, (0..=64).collect::<Vec<_>>());
        assert_eq!((super::ours(9), super::ours(18), super::ours(19)), (9, 19, 17));
    }
}
