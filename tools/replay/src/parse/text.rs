//! Small readers for the text inside a syscall: numbers, flags, signals, lists.

/// Splits an argument list at its top-level commas; quotes and brackets nest.
pub fn args(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = top_level_comma(text);
        rest = end.map(|at| &text[at + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim_ascii())
    })
}

fn top_level_comma(text: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                // Skip the string; a backslash hides the byte after it.
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Reads a whole decimal, hexadecimal (`0x`) or octal (leading `0`) number.
pub fn int(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    // `from_str_radix` takes a sign of its own; the log never writes two.
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let magnitude = if let Some(hex) = digits.strip_prefix("0x") {
        // Addresses fill all 64 bits: keep the bits, as the kernel returned them.
        u64::from_str_radix(hex, 16).ok()? as i64
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    if negative { magnitude.checked_neg() } else { Some(magnitude) }
}

/// Reads a process number: a decimal that fits 31 bits and a sign.
pub fn number(text: &[u8]) -> Option<i32> {
    i32::try_from(int(text)?).ok()
}

/// Whether `flag` is one of the words of a `A|B|C` list anywhere in `text`.
pub fn has_flag(text: &[u8], flag: &[u8]) -> bool {
    text.split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_')).any(|word| word == flag)
}

/// The text after `key` up to the next `,`, `}`, `]` or blank.
pub fn field<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = find(text, key)? + key.len();
    let rest = &text[at..];
    let end = rest.iter().position(|byte| b",}] ".contains(byte)).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Position of the first `needle` in `text`.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len().max(1)).position(|window| window == needle)
}

/// Last path component of a quoted path argument, as a command name.
pub fn basename(quoted: &[u8]) -> String {
    let path = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    let path = path.strip_suffix(b"\"").unwrap_or(path);
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    String::from_utf8_lossy(name).into_owned()
}

const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Number of a signal by its Linux name (`SIGTERM`, `SIGRT_3`, `SIGRTMIN`) or a bare number.
pub fn signal(name: &[u8]) -> Option<u8> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some(at) = SIGNALS.iter().position(|known| *known == name) {
        return u8::try_from(at + 1).ok();
    }
    if name == "SIGRTMIN" {
        return Some(32);
    }
    match name.strip_prefix("SIGRT_") {
        Some(nth) => {
            nth.parse::<u8>().ok().and_then(|nth| nth.checked_add(32)).filter(|n| *n <= 64)
        }
        None => name.parse().ok().filter(|n| *n <= 64),
    }
}

/// Linux name of a signal number, for messages.
pub fn signal_name(number: u8) -> String {
    match SIGNALS.get(usize::from(number).wrapping_sub(1)) {
        Some(name) => (*name).to_owned(),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_split_outside_quotes_and_brackets() {
        let split: Vec<_> = args(br#"26, "a, \"b", [{x, y}], 0"#).collect();
        assert_eq!(split, [&b"26"[..], br#""a, \"b""#, b"[{x, y}]", b"0"]);
        assert_eq!(args(b"").collect::<Vec<_>>(), [b""]);
    }

    #[test]
    fn numbers_in_three_bases() {
        assert_eq!(int(b"22"), Some(22));
        assert_eq!(int(b"-1"), Some(-1));
        assert_eq!(int(b"022"), Some(18));
        assert_eq!(int(b"0xffffffffffffffff"), Some(-1));
        for bad in [&b""[..], b"-", b"--1", b"0x", b"08", b"1x", b"99999999999999999999", b"\xff"] {
            assert_eq!(int(bad), None, "{bad:?}");
        }
        assert_eq!(number(b"2147483648"), None);
    }

    #[test]
    fn signals_by_name_and_number() {
        assert_eq!(signal(b"SIGHUP"), Some(1));
        assert_eq!(signal(b"SIGSYS"), Some(31));
        assert_eq!(signal(b"SIGRT_2"), Some(34));
        assert_eq!(signal(b"SIGRT_250"), None);
        assert_eq!(signal(b"9"), Some(9));
        assert_eq!(signal_name(15), "SIGTERM");
        assert_eq!(signal_name(0), "signal 0");
    }

    #[test]
    fn fields_of_a_siginfo() {
        let info = b"{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=42, si_status=3}";
        assert_eq!(field(info, b"si_pid="), Some(&b"42"[..]));
        assert_eq!(field(info, b"si_status="), Some(&b"3"[..]));
        assert_eq!(field(info, b"si_uid="), None);
    }
}
