//! Why the log does not explain an answer.

/// Why the log does not explain an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A descriptor, open or not, that the first task got from outside the log.
    OuterDescriptor,
    /// The first sight of an id, a group or a limit that the first task got from outside the log.
    OuterValue,
    /// An error that a limit of descriptors gives which the log does not tell.
    OuterLimit,
    /// A process, a group or a sender of signals that is not in the log.
    OuterProcess,
    /// Capabilities set, a change of ids that they decided, or an answer that follows from one.
    Capability,
    /// EBADF from an open descriptor: perhaps it is open in a mode that the call cannot use.
    WrongMode,
    /// EMFILE from a table that is not full: the call has another limit as well.
    OtherLimit,
    /// A descriptor that a call may have given whose line does not show it: one received over a
    /// socket, one that an ioctl made.
    UnseenDescriptor,
    /// A descriptor in a table that one thread of a process has for itself.
    OwnTable,
    /// A descriptor that is too high for the replay's tables.
    HighDescriptor,
    /// A form of a call, or an error of it, that the kernel does not have.
    Form,
    /// A signal sent twice before it was taken, or by a sender that ended in the call.
    MergedSignal,
    /// A signal, or a death by one, that nobody in the log is seen to have sent.
    OuterSignal,
}

impl Cause {
    /// For people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::OuterDescriptor => "descriptor from outside the log",
            Self::OuterValue => "first sight of an id or limit from outside the log",
            Self::OuterLimit => "error by a limit of descriptors from outside the log",
            Self::OuterProcess => "process or group outside the log",
            Self::Capability => "ids changed by capabilities",
            Self::WrongMode => "EBADF that may be one of mode",
            Self::OtherLimit => "EMFILE that may be of another limit",
            Self::UnseenDescriptor => "descriptor given by a call that does not show it",
            Self::OwnTable => "descriptors of a thread's own table",
            Self::HighDescriptor => "descriptor above 65,535",
            Self::Form => "form or error of a call that the kernel does not have",
            Self::MergedSignal => "signal that may have merged with another",
            Self::OuterSignal => "signal that no kill in the log explains",
        }
    }
}
