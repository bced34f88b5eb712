//! One line of a log of `strace -f`, with or without `-o`, timestamps and `-T`.

use super::text::{field, find, int, number, signal};
use std::fmt;

/// A line: who wrote it, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Number before the text; a log of one task has none.
    pub tid: Option<i32>,
    /// What happened.
    pub what: What<'a>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What<'a> {
    /// A call on one line.
    Call {
        /// Name of the syscall.
        name: &'a [u8],
        /// Text between the parentheses.
        args: &'a [u8],
        /// Text after `=`.
        answer: Answer<'a>,
    },
    /// `NAME(args <unfinished ...>`.
    Unfinished {
        /// Name of the syscall.
        name: &'a [u8],
        /// The arguments printed at entry.
        args: &'a [u8],
        /// `strace: Process N attached` broke into the line (only without `-o`).
        attached: Option<i32>,
    },
    /// `<... NAME resumed>args) = answer`.
    Resumed {
        /// Name of the syscall; `None` where a line continues one that a message broke.
        name: Option<&'a [u8]>,
        /// The arguments printed at return.
        args: &'a [u8],
        /// Text after `=`.
        answer: Answer<'a>,
    },
    /// `--- SIGNAME {...} ---`.
    Signal {
        /// Its number.
        signal: u8,
        /// The process that sent it with kill or its like.
        from: Option<i32>,
    },
    /// `--- stopped by SIGNAME ---`, or a signal that is not known.
    Stopped,
    /// `+++ exited with CODE +++`.
    Exited(u8),
    /// `+++ killed by SIGNAME +++`, perhaps `(core dumped)`.
    Killed {
        /// Number of the signal.
        signal: u8,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
    /// `+++ superseded by execve in pid N +++`.
    Superseded {
        /// The thread whose execve took the number over.
        by: i32,
    },
    /// `strace: Process N attached`.
    Attached(i32),
    /// Another message of strace.
    Note,
}

/// What a call returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A number.
    Value(i64),
    /// `-1 ENAME (...)`: the name.
    Error(&'a [u8]),
    /// `?`, or `? ERESTARTSYS (...)`: the call has not answered.
    None,
}

/// Why a line is not one of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineError {
    /// Nothing on the line.
    Blank,
    /// No syscall name with a parenthesis, and no `---`, `+++`, `<...` either.
    NotACall,
    /// The call has no `) = ANSWER`: a line cut short.
    NoAnswer,
    /// The answer is not a number, an error or `?`.
    BadAnswer,
    /// A `+++` or `<...` line that does not end as it should.
    Malformed,
    /// The line is longer than the limit.
    TooLong,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "nothing on the line",
            Self::NotACall => "no syscall, signal or exit on the line",
            Self::NoAnswer => "the call has no answer (a line cut short?)",
            Self::BadAnswer => "the answer is no number, error or `?`",
            Self::Malformed => "a marker that does not end as it should",
            Self::TooLong => "a line too long for a log",
        })
    }
}

impl std::error::Error for LineError {}

const UNFINISHED: &[u8] = b"<unfinished ...>";
const PID_CHANGED: &[u8] = b"<pid changed to ";

impl<'a> Line<'a> {
    /// Reads one line; the line ending may be there or not.
    ///
    /// # Errors
    /// [`LineError`] says what is wrong with the line.
    pub fn parse(text: &'a [u8]) -> Result<Self, LineError> {
        let text = text.trim_ascii_end();
        if text.is_empty() {
            return Err(LineError::Blank);
        }
        let (tid, rest) = prefix(text);
        let rest = skip_time(rest);
        Ok(Self { tid, what: what(rest)? })
    }
}

/// `[pid N] ` or `N `, each perhaps with `<comm>` behind the number.
fn prefix(text: &[u8]) -> (Option<i32>, &[u8]) {
    let bracketed = text.strip_prefix(b"[pid").map(<[u8]>::trim_ascii_start);
    let body = bracketed.unwrap_or(text);
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, mut rest) = body.split_at(digits);
    let Some(tid) = number(head).filter(|tid| *tid > 0) else {
        return (None, text);
    };
    if rest.first() == Some(&b'<') {
        match rest.iter().position(|byte| *byte == b'>') {
            Some(end) => rest = &rest[end + 1..],
            None => return (None, text),
        }
    }
    let closed = if bracketed.is_some() { rest.strip_prefix(b"]") } else { Some(rest) };
    match closed {
        Some(rest) if rest.first().is_none_or(|byte| *byte == b' ') => (Some(tid), rest),
        // A timestamp also begins with digits.
        _ => (None, text),
    }
}

/// `-t`, `-tt`, `-ttt` and `-r` put words of digits, colons and dots before the call.
fn skip_time(text: &[u8]) -> &[u8] {
    let mut text = text.trim_ascii_start();
    loop {
        let time =
            text.iter().take_while(|byte| byte.is_ascii_digit() || b":.".contains(byte)).count();
        match text.get(time) {
            Some(b' ') if time > 0 => text = text[time..].trim_ascii_start(),
            _ => return text,
        }
    }
}

fn what(text: &[u8]) -> Result<What<'_>, LineError> {
    if let Some(rest) = text.strip_prefix(b"+++ ") {
        return farewell(rest.strip_suffix(b" +++").ok_or(LineError::Malformed)?);
    }
    if let Some(rest) = text.strip_prefix(b"--- ") {
        return rest.strip_suffix(b" ---").map(delivery).ok_or(LineError::Malformed);
    }
    if let Some(rest) = text.strip_prefix(b"<... ") {
        let end = find(rest, b" resumed>").ok_or(LineError::Malformed)?;
        let (args, answer) = body_and_answer(&rest[end + b" resumed>".len()..])?;
        return Ok(What::Resumed { name: Some(&rest[..end]), args, answer });
    }
    if let Some(rest) = text.strip_prefix(b"strace: ") {
        return Ok(attached(rest).map_or(What::Note, What::Attached));
    }
    if text == UNFINISHED || text.starts_with(b"[ Process PID=") {
        return Ok(What::Note);
    }
    if text.starts_with(b",") || text.starts_with(b")") {
        let (args, answer) = body_and_answer(text)?;
        return Ok(What::Resumed { name: None, args, answer });
    }
    call(text)
}

fn call(text: &[u8]) -> Result<What<'_>, LineError> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_?".contains(byte);
    let end = text.iter().take_while(|byte| is_name(byte)).count();
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.len() > 64 {
        return Err(LineError::NotACall);
    }
    let rest = rest.strip_prefix(b"(").ok_or(LineError::NotACall)?;
    let unfinished = rest.strip_suffix(UNFINISHED).or_else(|| before_pid_change(rest));
    if let Some(args) = unfinished {
        return Ok(What::Unfinished { name, args, attached: None });
    }
    if rest.ends_with(b" attached")
        && let Some(at) = find(rest, b"strace: Process ")
        && let Some(tid) = attached(&rest[at + b"strace: ".len()..])
    {
        return Ok(What::Unfinished { name, args: &rest[..at], attached: Some(tid) });
    }
    let (args, answer) = body_and_answer(rest)?;
    Ok(What::Call { name, args, answer })
}

/// A thread's execve is broken off by `<pid changed to N ...>` when the leader is gone.
fn before_pid_change(text: &[u8]) -> Option<&[u8]> {
    let end = text.strip_suffix(b" ...>")?;
    let at = end.windows(PID_CHANGED.len()).rposition(|window| window == PID_CHANGED)?;
    number(&end[at + PID_CHANGED.len()..])?;
    Some(&text[..at])
}

/// `Process N attached`, perhaps with a comm.
fn attached(text: &[u8]) -> Option<i32> {
    let text = text.strip_prefix(b"Process ")?.strip_suffix(b" attached")?;
    number(text.split(|byte| *byte == b' ').next()?)
}

/// Splits `ARGS) = ANSWER` at the last `) = `, so that a string in the arguments cannot hide it.
fn body_and_answer(text: &[u8]) -> Result<(&[u8], Answer<'_>), LineError> {
    let mut from = text.len();
    while let Some(at) = text[..from].windows(3).rposition(|window| window == b" = ") {
        let before = text[..at].trim_ascii_end();
        if let Some(args) = before.strip_suffix(b")") {
            return Ok((args, answer(&text[at + 3..])?));
        }
        from = at + 2;
    }
    Err(LineError::NoAnswer)
}

fn answer(text: &[u8]) -> Result<Answer<'_>, LineError> {
    let mut words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    match words.next() {
        Some(b"?") => Ok(Answer::None),
        Some(value) => {
            // With `-y`, what a descriptor refers to follows its number.
            let digits = value.split(|byte| *byte == b'<').next().unwrap_or(value);
            let value = int(digits).ok_or(LineError::BadAnswer)?;
            match words.next() {
                Some(name) if value == -1 && name.starts_with(b"E") => Ok(Answer::Error(name)),
                // No error there is: the task was killed before the call began.
                Some(b"(errno") if value == -1 => Ok(Answer::None),
                _ => Ok(Answer::Value(value)),
            }
        }
        None => Err(LineError::NoAnswer),
    }
}

/// `SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=5, si_uid=0}`.
fn delivery(text: &[u8]) -> What<'_> {
    let name = text.split(|byte| *byte == b' ').next().unwrap_or(text);
    let by_kill = matches!(field(text, b"si_code="), Some(b"SI_USER" | b"SI_TKILL"));
    let from = if by_kill { field(text, b"si_pid=").and_then(number) } else { None };
    signal(name).map_or(What::Stopped, |signal| What::Signal { signal, from })
}

fn farewell(text: &[u8]) -> Result<What<'_>, LineError> {
    if let Some(code) = text.strip_prefix(b"exited with ") {
        let code = int(code).and_then(|code| u8::try_from(code).ok());
        return code.map(What::Exited).ok_or(LineError::Malformed);
    }
    if let Some(rest) = text.strip_prefix(b"killed by ") {
        let name = rest.strip_suffix(b" (core dumped)");
        let signal = signal(name.unwrap_or(rest)).ok_or(LineError::Malformed)?;
        return Ok(What::Killed { signal, core_dumped: name.is_some() });
    }
    if let Some(by) = text.strip_prefix(b"superseded by execve in pid ") {
        return number(by).map(|by| What::Superseded { by }).ok_or(LineError::Malformed);
    }
    Err(LineError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Line<'_> {
        Line::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_prefix_reads_the_same() {
        let call = What::Call { name: b"getpid", args: b"", answer: Answer::Value(7) };
        for prefix in [
            "42 ",
            "[pid 42] ",
            "[pid    42] ",
            "42  10:11:12 ",
            "42 10:11:12.000123 ",
            "42 1700000000.000123 ",
            "42      0.000123 ",
            "42<bash> ",
            "[pid 42<ba sh>] 10:11:12 ",
        ] {
            let text = format!("{prefix}getpid()                   = 7\n");
            assert_eq!(of(&text), Line { tid: Some(42), what: call.clone() }, "{prefix:?}");
        }
        for prefix in ["", "10:11:12 ", "     0.000123 ", "1700000000.000123 "] {
            let text = format!("{prefix}getpid() = 7 <0.000012>");
            assert_eq!(of(&text), Line { tid: None, what: call.clone() }, "{prefix:?}");
        }
    }

    #[test]
    fn answers() {
        let answer = |text| match of(text).what {
            What::Call { answer, .. } => answer,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            answer("1 wait4(-1, 0x7f, 0, NULL) = -1 ECHILD (No child processes)"),
            Answer::Error(b"ECHILD")
        );
        assert_eq!(
            answer("1 wait4(-1, 0x7f, 0, NULL) = ? ERESTARTSYS (To be restarted)"),
            Answer::None
        );
        assert_eq!(answer("1 exit_group(0) = ?"), Answer::None);
        assert_eq!(answer("1 getppid() = -1 (errno 18446744073709551514)"), Answer::None);
        assert_eq!(answer("1 fcntl(3, F_GETFD) = 0x1 (flags FD_CLOEXEC)"), Answer::Value(1));
        assert_eq!(answer("1 umask(000) = 022"), Answer::Value(18));
        assert_eq!(answer("1 dup(3</a b>) = 4</a b>"), Answer::Value(4));
        assert_eq!(answer("1 clone3({a=1} => {parent_tid=[9]}, 88) = 9"), Answer::Value(9));
        assert_eq!(answer("1 write(1, \") = 5\", 5) = 6"), Answer::Value(6));
    }

    #[test]
    fn markers() {
        assert_eq!(of("1 +++ exited with 3 +++").what, What::Exited(3));
        let killed = What::Killed { signal: 11, core_dumped: true };
        assert_eq!(of("1 +++ killed by SIGSEGV (core dumped) +++").what, killed);
        assert_eq!(of("1 +++ superseded by execve in pid 9 +++").what, What::Superseded { by: 9 });
        let child = What::Signal { signal: 17, from: None };
        assert_eq!(of("1 --- SIGCHLD {si_signo=SIGCHLD, si_pid=9} ---").what, child);
        let user = "1 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=9, si_uid=0} ---";
        assert_eq!(of(user).what, What::Signal { signal: 15, from: Some(9) });
        assert_eq!(of("1 --- stopped by SIGSTOP ---").what, What::Stopped);
        assert_eq!(of("strace: Process 12 attached").what, What::Attached(12));
        assert_eq!(of(" <unfinished ...>").what, What::Note);
        let changed = What::Unfinished { name: b"execve", args: b"\"a\" ", attached: None };
        assert_eq!(of("23 execve(\"a\" <pid changed to 22 ...>").what, changed);
        let broken = What::Unfinished { name: b"vfork", args: b"", attached: Some(12) };
        assert_eq!(of("[pid 3] vfork(strace: Process 12 attached").what, broken);
        assert!(matches!(of(", child_tidptr=0x7f) = 12").what, What::Resumed { name: None, .. }));
        assert!(matches!(
            of("1 <... read resumed>\"\", 1) = 0").what,
            What::Resumed { name: Some(b"read"), .. }
        ));
    }

    #[test]
    fn bad_lines_are_told_apart() {
        let error = |text: &[u8]| Line::parse(text).unwrap_err();
        assert_eq!(error(b" \n"), LineError::Blank);
        assert_eq!(error(b"hello world"), LineError::NotACall);
        assert_eq!(error(b"12345"), LineError::NotACall);
        assert_eq!(error(b"1 getpid()   "), LineError::NoAnswer);
        assert_eq!(error(b"1 getpid() = "), LineError::NoAnswer);
        assert_eq!(error(b"1 getpid() = x"), LineError::BadAnswer);
        assert_eq!(error(b"1 getpid() = 99999999999999999999"), LineError::BadAnswer);
        assert_eq!(error(b"1 +++ exited with 300 +++"), LineError::Malformed);
        assert_eq!(error(b"1 +++ exited wi"), LineError::Malformed);
        assert_eq!(error(b"1 <... getpid re"), LineError::Malformed);
        assert_eq!(error(b"\xff\xfe\x00\x01"), LineError::NotACall);
    }
}
