//! Resource limits.

use super::{Call, Cause, Parsed};
use crate::parse::{Answer, text};
use lwproc::{Limit, Resource};

/// The syscalls of this family.
pub const NAMES: &[&str] = &["prlimit64", "getrlimit", "setrlimit", "ugetrlimit"];

const RESOURCES: [(&str, Resource); 16] = [
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_STACK", Resource::Stack),
];

fn resource(name: &[u8]) -> Option<Resource> {
    RESOURCES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, resource)| *resource)
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// It was, or none was wanted.
    Yes,
    /// EPERM.
    NotPermitted,
    /// EINVAL.
    Invalid,
    /// ESRCH.
    NoSuchProcess,
}

/// A call of this family, with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits<N> {
    /// Whose; `None` for the caller's.
    pub of: Option<N>,
    /// Which.
    pub resource: Resource,
    /// What it is set to.
    pub new: Option<Limit>,
    /// What it was.
    pub old: Option<Limit>,
    /// Whether it was set.
    pub granted: Granted,
}

impl<N> Limits<N> {
    /// Whether the call changes nothing.
    pub fn is_question(&self) -> bool {
        self.new.is_none() || self.granted == Granted::NoSuchProcess
    }

    pub(super) fn resolve<M>(self, find: &mut impl FnMut(N) -> M) -> Limits<M> {
        let Self { of, resource, new, old, granted } = self;
        Limits { of: of.map(find), resource, new, old, granted }
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let granted = match answer {
        Answer::None => return Parsed::Unanswered,
        Answer::Value(0) => Granted::Yes,
        Answer::Error(b"EPERM") => Granted::NotPermitted,
        Answer::Error(b"EINVAL") => Granted::Invalid,
        Answer::Error(b"ESRCH") => Granted::NoSuchProcess,
        _ => return Parsed::Unexplained(Cause::Form),
    };
    match limits(name, args, granted) {
        Some(limits) => Parsed::Modelled(Call::Limits(limits)),
        None if granted == Granted::Yes => Parsed::NotModelled,
        None => Parsed::Unexplained(Cause::Form),
    }
}

fn limits(name: &[u8], args: &[u8], granted: Granted) -> Option<Limits<i32>> {
    let mut args = text::args(args);
    let of = match name {
        b"prlimit64" => text::number(args.next()?)?,
        _ => 0,
    };
    let of = Some(of).filter(|pid| *pid != 0);
    let resource = resource(args.next()?)?;
    let (new, old) = match name {
        b"prlimit64" => (limit(args.next()?)?, args.next()?),
        b"setrlimit" => (limit(args.next()?)?, &b"NULL"[..]),
        _ => (None, args.next()?),
    };
    // A refused call leaves the buffer for the old limit alone.
    let old = if granted == Granted::Yes { limit(old)? } else { None };
    let missing = granted == Granted::NoSuchProcess;
    let says_something = new.is_some() || old.is_some() || missing;
    says_something.then_some(Limits { of, resource, new, old, granted })
}

/// `NULL`, or `{rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}`.
fn limit(text: &[u8]) -> Option<Option<Limit>> {
    if text == b"NULL" {
        return Some(None);
    }
    let soft = value(text::field(text, b"rlim_cur=")?)?;
    let hard = value(text::field(text, b"rlim_max=")?)?;
    Some(Some(Limit { soft, hard }))
}

fn value(text: &[u8]) -> Option<u64> {
    if text.starts_with(b"RLIM") && text.ends_with(b"INFINITY") {
        return Some(Limit::INFINITY);
    }
    let factor = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    let mut factors = text.split(|byte| *byte == b'*').map(factor);
    let first = factors.next()??;
    factors.try_fold(first, |product, factor| product.checked_mul(factor?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "{rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}";

    fn of(name: &str, args: &str, answer: Answer<'_>) -> Option<Limits<i32>> {
        match parse(name.as_bytes(), args.as_bytes(), answer) {
            Parsed::Modelled(Call::Limits(limits)) => Some(limits),
            _ => None,
        }
    }

    #[test]
    fn questions_and_changes() {
        let (zero, stack) = (Answer::Value(0), Limit { soft: 8 << 20, hard: Limit::INFINITY });
        let asked =
            of("prlimit64", &format!("0, RLIMIT_STACK, NULL, {STACK}"), zero).expect("a limit");
        assert_eq!((asked.of, asked.resource), (None, Resource::Stack));
        assert_eq!((asked.new, asked.old, asked.is_question()), (None, Some(stack), true));
        let set =
            of("prlimit64", &format!("7, RLIMIT_STACK, {STACK}, NULL"), zero).expect("a limit");
        assert_eq!(
            (set.of, set.new, set.old, set.is_question()),
            (Some(7), Some(stack), None, false)
        );
        let old = of("getrlimit", "RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=4*1024}", zero);
        assert_eq!(old.and_then(|asked| asked.old), Some(Limit { soft: 1024, hard: 4096 }));
        let new = of("setrlimit", "RLIMIT_CORE, {rlim_cur=0, rlim_max=RLIM_INFINITY}", zero);
        assert_eq!(new.and_then(|asked| asked.new), Some(Limit { soft: 0, hard: Limit::INFINITY }));
        let refused =
            of("prlimit64", &format!("0, RLIMIT_STACK, {STACK}, 0x7f"), Answer::Error(b"EPERM"));
        let refused = refused.expect("a limit");
        assert_eq!((refused.granted, refused.is_question()), (Granted::NotPermitted, false));
        let gone = of("prlimit64", "7, RLIMIT_STACK, NULL, 0x7f", Answer::Error(b"ESRCH"));
        let gone = gone.expect("a limit");
        assert_eq!((gone.of, gone.granted, gone.old), (Some(7), Granted::NoSuchProcess, None));
    }

    #[test]
    fn what_says_nothing() {
        let zero = Answer::Value(0);
        assert_eq!(of("prlimit64", "0, RLIMIT_STACK, NULL, NULL", zero), None);
        assert_eq!(of("prlimit64", "0, 0x63 /* RLIMIT_??? */, NULL, {}", zero), None);
        assert_eq!(of("prlimit64", "0, RLIMIT_STACK, NULL, {rlim_cur=9*, rlim_max=1}", zero), None);
        assert_eq!(of("getrlimit", "RLIMIT_STACK, 0x7f", Answer::Error(b"EFAULT")), None);
    }
}
