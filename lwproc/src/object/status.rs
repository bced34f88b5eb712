//! Exit status of a process.

use std::fmt;

/// How a process ended, as `wait` reports it. 16 bits: exit code in the high
/// byte, or signal number in the low seven bits and the core-dump flag in the
/// eighth: the traditional encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ExitStatus(u16);

impl ExitStatus {
    const SIGNAL_MASK: u16 = 0x7f;
    const CORE: u16 = 0x80;

    /// Ended by `exit(code)`.
    pub const fn exited(code: u8) -> Self {
        Self((code as u16) << 8)
    }

    /// Ended by a signal, 1 to 126; other numbers are masked to seven bits.
    /// Signal 0 is `exited(0)`.
    pub const fn signaled(signal: u8, core: CoreDump) -> Self {
        let signal = signal as u16 & Self::SIGNAL_MASK;
        match core {
            CoreDump::Dumped if signal != 0 => Self(signal | Self::CORE),
            _ => Self(signal),
        }
    }

    /// The exit code, when it ended by `exit`.
    pub const fn exit_code(self) -> Option<u8> {
        if self.0 & Self::SIGNAL_MASK == 0 { Some((self.0 >> 8) as u8) } else { None }
    }

    /// The signal, when it ended by one.
    pub const fn signal(self) -> Option<u8> {
        let signal = self.0 & Self::SIGNAL_MASK;
        if signal == 0 { None } else { Some(signal as u8) }
    }

    /// Whether a core was dumped.
    pub const fn core_dumped(self) -> bool {
        self.0 & Self::CORE != 0
    }

    /// The traditional `wait` status word.
    pub const fn as_wait_status(self) -> i32 {
        self.0 as i32
    }

    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

/// What a process ends with when nobody says how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) released: ExitStatus,
    pub(crate) fates: Fates,
}

/// The statuses of an LWP that goes without having been released.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fates {
    pub(crate) dropped: ExitStatus,
    pub(crate) panicked: ExitStatus,
}

impl Default for Ends {
    fn default() -> Self {
        // As those who are ended by others, and as those who call `abort`.
        let [dropped, panicked] = [9, 6].map(|signal| ExitStatus::signaled(signal, CoreDump::None));
        Self { released: ExitStatus::exited(0), fates: Fates { dropped, panicked } }
    }
}

impl Fates {
    /// In one word.
    pub(crate) fn bits(self) -> u32 {
        u32::from(self.dropped.0) | u32::from(self.panicked.0) << 16
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self { dropped: ExitStatus(bits as u16), panicked: ExitStatus((bits >> 16) as u16) }
    }
}

/// Whether a death by signal left a core.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CoreDump {
    /// No core.
    None,
    /// A core was dumped.
    Dumped,
}

impl fmt::Debug for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.exit_code(), self.signal()) {
            (Some(code), _) => write!(f, "exited {code}"),
            (_, Some(signal)) if self.core_dumped() => write!(f, "killed by {signal} (core)"),
            (_, signal) => write!(f, "killed by {}", signal.unwrap_or(0)),
        }
    }
}

#[cfg(all(test, not(lwproc_loom)))]
mod tests {
    use super::*;

    #[test]
    fn status_round_trips() {
        assert_eq!(ExitStatus::exited(7).exit_code(), Some(7));
        assert_eq!(ExitStatus::exited(7).signal(), None);
        assert_eq!(ExitStatus::exited(7).as_wait_status(), 0x700);
        let killed = ExitStatus::signaled(11, CoreDump::Dumped);
        assert_eq!(
            (killed.signal(), killed.exit_code(), killed.core_dumped()),
            (Some(11), None, true)
        );
        assert_eq!(killed.as_wait_status(), 0x8b);
        assert_eq!(ExitStatus::from_bits(killed.bits()), killed);
        assert_eq!(ExitStatus::signaled(0, CoreDump::Dumped), ExitStatus::exited(0));
        assert_eq!(killed.to_string(), "killed by 11 (core)");
    }
}
