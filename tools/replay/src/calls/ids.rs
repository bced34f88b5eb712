//! Users and groups: who a process is, and changes of it.

use super::{Call, Cause, Parsed};
use crate::parse::{Answer, text};
use lwproc::{CredChange, GROUPS_MAX};

/// The syscalls of this family.
pub const NAMES: &[&str] = &[
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "prctl",
];

/// One of the two sets of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Users.
    Users,
    /// Groups.
    Groups,
}

/// One of the three ids of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Who started it.
    Real,
    /// What it may do.
    Effective,
    /// What it may become again.
    Saved,
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// It was.
    Yes,
    /// EPERM.
    NotPermitted,
    /// EINVAL.
    Invalid,
}

/// A call of this family, with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// getuid and its like.
    One(Side, Part, u32),
    /// getresuid and getresgid: real, effective, saved.
    All(Side, [u32; 3]),
    /// getgroups with a list.
    Groups(Vec<u32>),
    /// getgroups that only counts.
    GroupCount(usize),
    /// A change, made or refused.
    Change(CredChange, Granted),
    /// What the caller may do no longer follows from its ids.
    Capabilities,
}

impl Ids {
    /// Whether the call changes nothing.
    pub fn is_question(&self) -> bool {
        !matches!(self, Self::Change(..) | Self::Capabilities)
    }
}

/// Reads a call of this family.
pub fn parse(name: &[u8], args: &[u8], answer: Answer<'_>) -> Parsed {
    let ids = match answer {
        Answer::None => return Parsed::Unanswered,
        Answer::Error(b"EPERM") => refused(name, args, Granted::NotPermitted),
        Answer::Error(b"EINVAL") => refused(name, args, Granted::Invalid),
        Answer::Error(_) => None,
        Answer::Value(value) => answered(name, args, value),
    };
    match (ids, name) {
        (Some(ids), _) => Parsed::Modelled(Call::Ids(ids)),
        (None, b"prctl") => Parsed::NotModelled,
        (None, b"capset") => Parsed::Unexplained(Cause::Capability),
        (None, _) => Parsed::Unexplained(Cause::Form),
    }
}

fn refused(name: &[u8], args: &[u8], granted: Granted) -> Option<Ids> {
    Some(Ids::Change(change(name, args)?, granted))
}

fn answered(name: &[u8], args: &[u8], value: i64) -> Option<Ids> {
    let one = |side, part| Some(Ids::One(side, part, u32::try_from(value).ok()?));
    match name {
        b"getuid" => one(Side::Users, Part::Real),
        b"geteuid" => one(Side::Users, Part::Effective),
        b"getgid" => one(Side::Groups, Part::Real),
        b"getegid" => one(Side::Groups, Part::Effective),
        b"getresuid" => all(args).map(|ids| Ids::All(Side::Users, ids)),
        b"getresgid" => all(args).map(|ids| Ids::All(Side::Groups, ids)),
        b"getgroups" => groups(args, usize::try_from(value).ok()?),
        b"capset" => Some(Ids::Capabilities),
        b"prctl" => {
            let mut args = text::args(args);
            let (what, how) = (args.next()?, args.next()?);
            let changes = match what {
                b"PR_SET_KEEPCAPS" | b"PR_SET_SECUREBITS" => how != b"0",
                b"PR_CAP_AMBIENT" => how == b"PR_CAP_AMBIENT_RAISE",
                _ => false,
            };
            changes.then_some(Ids::Capabilities)
        }
        _ if value == 0 => refused(name, args, Granted::Yes),
        _ => None,
    }
}

/// An id; -1 is none, and so is 4294967295.
fn id(text: &[u8]) -> Option<u32> {
    u32::try_from(text::int(text)?).ok().filter(|id| *id != u32::MAX)
}

/// An id to be set, -1 among them.
fn wanted(text: &[u8]) -> Option<u32> {
    id_or_none(text).map(|id| id.unwrap_or(u32::MAX))
}

/// An id, or -1 for "leave it as it is".
fn id_or_none(text: &[u8]) -> Option<Option<u32>> {
    match text::int(text)? {
        -1 | 0xffff_ffff => Some(None),
        value => u32::try_from(value).ok().map(Some),
    }
}

fn all(args: &[u8]) -> Option<[u32; 3]> {
    let one = |text: &[u8]| id(text.strip_prefix(b"[")?.strip_suffix(b"]")?);
    let ids: Option<Vec<u32>> = text::args(args).map(one).collect();
    ids?.try_into().ok()
}

/// `[4, 24]`; a long list is cut short by strace, with dots at its end.
fn list(text: &[u8]) -> Option<Vec<u32>> {
    match text {
        b"[]" => Some(Vec::new()),
        text => {
            let inner = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
            text::args(inner).map(id).collect()
        }
    }
}

fn groups(args: &[u8], count: usize) -> Option<Ids> {
    let mut args = text::args(args);
    let (_size, groups) = (args.next()?, args.next()?);
    match list(groups) {
        Some(groups) if groups.len() == count => Some(Ids::Groups(groups)),
        Some(_) => None,
        None => Some(Ids::GroupCount(count)),
    }
}

fn change(name: &[u8], args: &[u8]) -> Option<CredChange> {
    let mut args = text::args(args);
    if name == b"setgroups" {
        let (count, groups) = (text::int(args.next()?)?, args.next()?);
        return list_to_set(usize::try_from(count).ok()?, groups);
    }
    if let b"setuid" | b"setgid" = name {
        let id = wanted(args.next()?)?;
        let users = name == b"setuid";
        return Some(if users { CredChange::SetUid(id) } else { CredChange::SetGid(id) });
    }
    let mut next = || id_or_none(args.next()?);
    let change = match name {
        b"setreuid" => CredChange::SetReuid(next()?, next()?),
        b"setregid" => CredChange::SetRegid(next()?, next()?),
        b"setresuid" => CredChange::SetResuid(next()?, next()?, next()?),
        b"setresgid" => CredChange::SetResgid(next()?, next()?, next()?),
        _ => return None,
    };
    Some(change)
}

/// The groups that setgroups sets. Of a list that strace cut short, or that is longer than any
/// can be, the count alone is known: that many, all different.
fn list_to_set(count: usize, groups: &[u8]) -> Option<CredChange> {
    let all = groups.strip_prefix(b"[").and_then(|groups| groups.strip_suffix(b"]"));
    let told: Option<Vec<u32>> = match all {
        _ if count == 0 => Some(Vec::new()),
        Some(all) => text::args(all).map(wanted).collect(),
        None => None,
    };
    let groups: Vec<u32> = match told {
        Some(told) if told.len() == count => told,
        Some(_) => return None,
        None if count > GROUPS_MAX || text::find(groups, b"...").is_some() => {
            (0..).take(count.min(GROUPS_MAX + 1)).collect()
        }
        None => return None,
    };
    Some(CredChange::SetGroups(groups.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, args: &str, answer: Answer<'_>) -> Option<Ids> {
        match parse(name.as_bytes(), args.as_bytes(), answer) {
            Parsed::Modelled(Call::Ids(ids)) => Some(ids),
            _ => None,
        }
    }

    #[test]
    fn questions() {
        let users = |part, id| Some(Ids::One(Side::Users, part, id));
        assert_eq!(of("getuid", "", Answer::Value(7)), users(Part::Real, 7));
        assert_eq!(
            of("geteuid", "", Answer::Value(4_294_967_294)),
            users(Part::Effective, u32::MAX - 1)
        );
        assert_eq!(
            of("getegid", "", Answer::Value(7)),
            Some(Ids::One(Side::Groups, Part::Effective, 7))
        );
        assert_eq!(
            of("getresuid", "[1], [2], [3]", Answer::Value(0)),
            Some(Ids::All(Side::Users, [1, 2, 3]))
        );
        assert_eq!(of("getresuid", "[1], [2]", Answer::Value(0)), None);
        assert_eq!(of("getresgid", "0x7f, 0x7f, 0x7f", Answer::Value(0)), None);
        let zero = Answer::Value(0);
        assert_eq!(of("getgroups", "65536, []", zero), Some(Ids::Groups(Vec::new())));
        assert_eq!(of("getgroups", "9, [4, 24]", Answer::Value(2)), Some(Ids::Groups(vec![4, 24])));
        assert_eq!(of("getgroups", "0, NULL", Answer::Value(2)), Some(Ids::GroupCount(2)));
        assert_eq!(
            of("getgroups", "99, [4, 24, ...]", Answer::Value(40)),
            Some(Ids::GroupCount(40))
        );
        assert_eq!(of("getuid", "", Answer::None), None);
    }

    #[test]
    fn changes() {
        let made = |change| Some(Ids::Change(change, Granted::Yes));
        let zero = Answer::Value(0);
        assert_eq!(of("setuid", "5", zero), made(CredChange::SetUid(5)));
        assert_eq!(of("setreuid", "-1, 5", zero), made(CredChange::SetReuid(None, Some(5))));
        assert_eq!(
            of("setresgid", "4294967295, 5, 6", zero),
            made(CredChange::SetResgid(None, Some(5), Some(6)))
        );
        assert_eq!(
            of("setgroups", "2, [4, 24]", zero),
            made(CredChange::SetGroups([4, 24].into()))
        );
        assert_eq!(of("setgroups", "0, []", zero), made(CredChange::SetGroups([].into())));
        assert_eq!(of("setgroups", "0, NULL", zero), made(CredChange::SetGroups([].into())));
        let cut = of("setgroups", "40, [4, 24, ...]", zero);
        assert_eq!(cut, made(CredChange::SetGroups((0..40).collect())));
        assert_eq!(of("setgroups", "3, [4, 24]", zero), None);
        assert_eq!(of("setuid", "-1", zero), made(CredChange::SetUid(u32::MAX)));
        assert_eq!(
            of("setgroups", "1, [-1]", zero),
            made(CredChange::SetGroups([u32::MAX].into()))
        );
        let not_permitted = Some(Ids::Change(CredChange::SetUid(0), Granted::NotPermitted));
        assert_eq!(of("setuid", "0", Answer::Error(b"EPERM")), not_permitted);
        assert_eq!(of("setuid", "1", Answer::Error(b"EAGAIN")), None);
    }

    #[test]
    fn what_gives_other_capabilities() {
        let zero = Answer::Value(0);
        let is_one = |name, args| of(name, args, zero) == Some(Ids::Capabilities);
        assert!(is_one("capset", "{version=_LINUX_CAPABILITY_VERSION_3, pid=7}, {effective=0}"));
        assert!(is_one("prctl", "PR_SET_KEEPCAPS, 1"));
        assert!(!is_one("prctl", "PR_SET_KEEPCAPS, 0"));
        assert!(!is_one("prctl", "PR_SET_NAME, \"a\""));
        assert!(is_one("prctl", "PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0"));
        assert!(!is_one("prctl", "PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0"));
        assert_eq!(of("capset", "", Answer::Error(b"EPERM")), None);
    }
}
